//! nginx in a namespace: one worker, an access log by request id, a static reply or a proxy.

use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::access_log::{self, FORMAT};
use crate::error::{Result, Tried};
use crate::interrupt;
use crate::net::{Host, Lab};
use crate::process::{Process, Spec};

/// The file that [`Answer::File`] is served from.
const BODY: &str = "body.bin";

/// What the server answers with.
#[derive(Clone, Debug)]
pub enum Answer {
    /// A body of this length, in bytes.
    Bytes(usize),
    /// A file of this length that holds nothing but zeros, in bytes; it takes no room.
    File(u64),
    /// The response of an upstream server.
    Proxy(SocketAddr),
}

/// What to start.
#[derive(Clone, Debug)]
pub struct Config {
    /// Name of its log files.
    pub name: String,
    /// Where it listens.
    pub listen: SocketAddr,
    /// What it answers with.
    pub answer: Answer,
    /// Whether it speaks HTTP/2 in clear text, and nothing else.
    pub http2: bool,
    /// After how many requests it closes a connection.
    pub keepalive_requests: u32,
    /// How long a connection may be idle, in seconds.
    pub keepalive_timeout_s: u32,
    /// Whether it writes an access log; without one it cannot be compared.
    pub access_log: bool,
    /// The only CPU that it may use.
    pub cpu: Option<usize>,
}

impl Config {
    /// A server with an access log that answers 600 bytes.
    #[must_use]
    pub fn new(name: &str, listen: SocketAddr) -> Self {
        Self {
            name: name.to_owned(),
            listen,
            answer: Answer::Bytes(600),
            http2: false,
            keepalive_requests: 1_000_000_000,
            keepalive_timeout_s: 600,
            access_log: true,
            cpu: None,
        }
    }
}

/// A running nginx.
#[derive(Debug)]
pub struct Nginx {
    process: Process,
    access_log: PathBuf,
}

impl Nginx {
    /// Writes its configuration, starts it on a host and waits until it accepts connections.
    ///
    /// # Errors
    ///
    /// Where it does not start within 5 s.
    pub fn start(lab: &Lab, host: Host, config: &Config) -> Result<Self> {
        // Each start has a folder of its own: a server that is started again must not append to its first log.
        let mut folder = lab.folder().join(&config.name);
        let mut number = 2;
        while folder.exists() {
            folder = lab.folder().join(format!("{}-{number}", config.name));
            number += 1;
        }
        std::fs::create_dir(&folder).tried(|| format!("create {}", folder.display()))?;
        let file = folder.join("nginx.conf");
        if let Answer::File(length) = config.answer {
            let body = folder.join(BODY);
            let made = std::fs::File::create(&body).and_then(|file| file.set_len(length));
            made.tried(|| format!("make {}", body.display()))?;
        }
        std::fs::write(&file, text(config)).tried(|| format!("write {}", file.display()))?;
        let (prefix, conf) = (folder.display().to_string(), file.display().to_string());
        let mut spec =
            Spec::new(&config.name, "nginx").args(["-p", &prefix, "-c", &conf, "-e", "stderr"]);
        if let Some(cpu) = config.cpu {
            spec = spec.cpu(cpu);
        }
        let mut process = lab.spawn(host, &spec)?;
        wait_listening(lab, host, config.listen, &mut process)?;
        Ok(Self {
            process,
            access_log: folder.join("access.log"),
        })
    }

    /// The process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// CPU time that it used so far.
    #[must_use]
    pub fn cpu(&self) -> Duration {
        self.process.cpu()
    }

    /// Ends it in order and returns the requests that it has seen.
    ///
    /// # Errors
    ///
    /// Where it does not end within 5 s, or its log cannot be read.
    pub fn finish(&mut self) -> Result<Vec<access_log::Request>> {
        // SIGQUIT would wait for keep-alive connections to end; SIGTERM writes the log's buffer out as well.
        self.process.stop(Signal::SIGTERM, Duration::from_secs(5))?;
        access_log::read(&self.access_log)
    }

    /// Makes it write out its log and returns the requests that it has seen so far.
    ///
    /// # Errors
    ///
    /// Where its log cannot be read.
    pub fn requests(&mut self) -> Result<Vec<access_log::Request>> {
        // The log's buffer is flushed after a second at the latest.
        interrupt::sleep(Duration::from_millis(1200))?;
        access_log::read(&self.access_log)
    }
}

/// Waits until something accepts connections on a host.
///
/// # Errors
///
/// Where the process ends first, or after 5 s.
pub fn wait_listening(
    lab: &Lab,
    host: Host,
    address: SocketAddr,
    process: &mut Process,
) -> Result<()> {
    let namespace = lab.namespace(host);
    // From inside: the lab's clients may not have a route to every address.
    interrupt::wait_until(
        &format!("{} to accept connections", process.name()),
        Duration::from_secs(5),
        || {
            process.expect_alive()?;
            namespace
                .enter(|| TcpStream::connect_timeout(&address, Duration::from_millis(500)).is_ok())
        },
    )
}

fn text(config: &Config) -> String {
    let log = if config.access_log {
        format!("log_format ids '{FORMAT}';\n    access_log access.log ids buffer=256k flush=1s;")
    } else {
        "access_log off;".to_owned()
    };
    let answer = match &config.answer {
        Answer::Bytes(length) => format!("return 200 '{}';", "x".repeat(*length)),
        Answer::File(_) => format!("try_files /{BODY} =404; sendfile on;"),
        Answer::Proxy(upstream) => format!(
            "proxy_pass http://{upstream};\n            proxy_http_version 1.1;\n            \
             proxy_set_header Connection '';"
        ),
    };
    format!(
        "user root;
daemon off;
master_process off;
worker_processes 1;
pid nginx.pid;
error_log stderr warn;
events {{
    worker_connections 16384;
}}
http {{
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    keepalive_requests {requests};
    keepalive_timeout {timeout}s;
    client_max_body_size 64m;
    tcp_nodelay on;
    {log}
    server {{
        root .;
        listen {} backlog=4096{http2};
        location / {{
            default_type text/plain;
            add_header X-Request-Id $arg_id;
            {answer}
        }}
    }}
}}
",
        config.listen,
        http2 = if config.http2 { " http2" } else { "" },
        requests = config.keepalive_requests,
        timeout = config.keepalive_timeout_s,
    )
}
