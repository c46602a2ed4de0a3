//! The listening socket, and the thread `metrics` that answers.
//!
//! One thread for all connections. It yields to the process's own work where processors are short, and what a
//! connection may take of it is bounded: its number, its request, its time.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{self, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use process::confinement::{self, Trade};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::oneshot;
use tokio::task::{AbortHandle, LocalSet};
use tokio::time::{sleep, timeout};

use crate::access::{Access, Verdict};
use crate::pace::Pace;
use crate::place::{self, Listener, Place, Socket};
use crate::routes::{HTML, Reply, Routes};

/// Name of the thread.
pub const THREAD: &str = "metrics";
/// Most connections at a time; one more ends the oldest. Who holds many connections open locks nobody out.
const CONNECTIONS_MAX: usize = 32;
/// How long a client may take for the head of a request, and be silent between two.
const HEAD_MAX: Duration = Duration::from_secs(5);
/// Most bytes of a request's head; a longer one is answered with 431.
const HEAD_LEN_MAX: usize = 16 << 10;
/// How long a connection may last; then the request under way is finished, and it ends ...
const CONNECTION_MAX: Duration = Duration::from_secs(60);
/// ... or does not get further than this: a client that does not read its answer.
const FAREWELL_MAX: Duration = Duration::from_secs(5);
/// How long accepting pauses where the process has no descriptor left.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(100);
/// What a request without its token is told (RFC 6750 section 3).
const CHALLENGE: &str = "Bearer realm=\"tcpcopy\"";
/// How much more willing than others the thread is to wait for a processor, as in nice(2).
const NICE: i32 = 10;

/// The address cannot be listened at.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {place} for --listen: {cause}; {}", place.advice(cause))]
pub struct BindError {
    place: Place,
    cause: io::Error,
}

/// A socket that listens, and nobody who answers yet.
#[derive(Debug)]
pub struct Bound {
    listener: Listener,
    place: Place,
    socket: Option<Socket>,
}

impl Bound {
    /// Listens; the kernel chooses the port where it is 0. A socket of the file system that nobody listens at is replaced.
    ///
    /// # Errors
    ///
    /// [`BindError`] with what to do: the port is in use, the address not this host's, or there is another file.
    pub fn bind(place: &Place) -> Result<Self, BindError> {
        let listening = place::listen(place).map_err(|cause| BindError {
            place: place.clone(),
            cause,
        });
        listening.map(|(listener, place, socket)| Self {
            listener,
            place,
            socket,
        })
    }

    /// Where it listens.
    #[must_use]
    pub const fn place(&self) -> &Place {
        &self.place
    }

    /// Starts the thread that answers those whom `access` grants it, and says where; warns where others can read it as well.
    ///
    /// # Errors
    ///
    /// Where the kernel gives no thread or no epoll descriptor.
    pub fn serve(self, routes: Routes, access: Access) -> Result<Server, BindError> {
        let (place, has_token) = (self.place.clone(), access.has_token());
        let has_page = routes.has_front_page();
        let server = self.start(routes, access).map_err(|cause| BindError {
            place: place.clone(),
            cause,
        })?;
        match &place {
            Place::Tcp(address) if has_page => {
                tracing::info!("page       http://{address}/      metrics: /metrics");
            }
            Place::Tcp(address) => tracing::info!("metrics at http://{address}/metrics"),
            Place::Unix(path) => tracing::info!(
                "metrics at the socket {0}: curl --unix-socket {0} http://localhost/metrics",
                path.display()
            ),
        }
        if place.is_open() && !has_token {
            tracing::warn!(
                finding = "metrics-open",
                "whoever reaches {place} can read the metrics: there is no token (--metrics-token) and no TLS. Listen on 127.0.0.1 \
                 or at a socket (unix:PATH), or have a firewall or a proxy before it"
            );
        }
        Ok(server)
    }

    fn start(self, routes: Routes, access: Access) -> io::Result<Server> {
        let access = match self.place {
            Place::Unix(_) => access.on_file_system(),
            Place::Tcp(_) => access,
        };
        let listener = self.listener;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build()?;
        let (stop, stopped) = oneshot::channel();
        let thread = thread::Builder::new()
            .name(THREAD.to_owned())
            .spawn(move || {
                if let Err(errno) = rustix::process::nice(NICE) {
                    tracing::debug!("the thread that shows metrics keeps its priority: {errno}");
                }
                confinement::confine(Trade::Serves);
                let local = LocalSet::new();
                local.block_on(&runtime, async {
                    // Whatever is under way when the process ends is not waited for.
                    tokio::select! {
                        _ = stopped => {}
                        () = accept(listener, Rc::new((routes, access))) => {}
                    }
                });
            })?;
        Ok(Server {
            stop: Some(stop),
            thread: Some(thread),
            _socket: self.socket,
        })
    }
}

/// The running server; dropping it ends it.
#[derive(Debug)]
pub struct Server {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    /// Its name in the file system, where it has one.
    _socket: Option<Socket>,
}

/// What there is to show, and who may see it.
type Shown = Rc<(Routes, Access)>;

/// A listening socket in the runtime of its thread.
enum Waiting {
    Tcp(tokio::net::TcpListener),
    Unix(tokio::net::UnixListener),
}

impl Waiting {
    fn new(listener: Listener) -> io::Result<Self> {
        match listener {
            Listener::Tcp(listener) => tokio::net::TcpListener::from_std(listener).map(Self::Tcp),
            Listener::Unix(listener) => {
                tokio::net::UnixListener::from_std(listener).map(Self::Unix)
            }
        }
    }

    /// Accepts a connection, and starts to serve it.
    async fn serve_one(&self, shown: Shown, pace: Rc<Pace>) -> io::Result<AbortHandle> {
        let task = match self {
            Self::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                tokio::task::spawn_local(converse(stream, shown, pace))
            }
            Self::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                tokio::task::spawn_local(converse(stream, shown, pace))
            }
        };
        Ok(task.abort_handle())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            // It may have ended by itself.
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn accept(listener: Listener, shown: Shown) {
    let listener = match Waiting::new(listener) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::error!(
                finding = "metrics-address",
                "no metrics: cannot wait for connections: {error}"
            );
            return;
        }
    };
    let mut open: VecDeque<AbortHandle> = VecDeque::new();
    let (connections, requests) = (Pace::new(), Rc::new(Pace::new()));
    loop {
        connections.turn().await;
        let serving = listener.serve_one(Rc::clone(&shown), Rc::clone(&requests));
        let Ok(connection) = serving.await else {
            // No descriptor, no memory, or a peer that has gone: the next may fare better.
            sleep(EXHAUSTED_PAUSE).await;
            continue;
        };
        open.retain(|connection| !connection.is_finished());
        if open.len() >= CONNECTIONS_MAX
            && let Some(oldest) = open.pop_front()
        {
            oldest.abort();
        }
        open.push_back(connection);
    }
}

/// One connection from its first request to its end.
async fn converse(
    stream: impl AsyncRead + AsyncWrite + Unpin + 'static,
    shown: Shown,
    pace: Rc<Pace>,
) {
    let service = service_fn(move |request| {
        let (shown, pace) = (Rc::clone(&shown), Rc::clone(&pace));
        async move {
            pace.turn().await;
            let (routes, access) = &*shown;
            Ok::<_, Infallible>(respond(routes, access, &request))
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_MAX)
        .max_buf_size(HEAD_LEN_MAX)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    // What a client does wrong is its own business.
    if timeout(CONNECTION_MAX, connection.as_mut()).await.is_err() {
        connection.as_mut().graceful_shutdown();
        let _ = timeout(FAREWELL_MAX, connection).await;
    }
}

fn respond(routes: &Routes, access: &Access, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    let mut more = None;
    let verdict = access.judge(request.uri().path(), request.headers());
    let reply = if verdict == Verdict::OtherName {
        let why = "ask for it by its number, as localhost, or by a name that was given with --metrics-name";
        Reply::refusal(StatusCode::MISDIRECTED_REQUEST, why)
    } else if verdict == Verdict::NoToken {
        more = Some((header::WWW_AUTHENTICATE, CHALLENGE));
        let why = "a token is needed: Authorization: Bearer TOKEN";
        Reply::refusal(StatusCode::UNAUTHORIZED, why)
    } else if ![Method::GET, Method::HEAD].contains(request.method()) {
        more = Some((header::ALLOW, "GET, HEAD"));
        Reply::refusal(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD")
    } else {
        routes.answer(request.uri().path())
    };
    let mut response = Response::new(Full::new(reply.body));
    *response.status_mut() = reply.status;
    let headers = response.headers_mut();
    let mut set = |name, value| headers.insert(name, HeaderValue::from_static(value));
    set(header::CONTENT_TYPE, reply.content_type);
    set(header::CACHE_CONTROL, "no-store");
    set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    if reply.content_type == HTML {
        set(header::CONTENT_SECURITY_POLICY, reply.policy);
        set(header::REFERRER_POLICY, "no-referrer");
    }
    if let Some((name, value)) = more {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::{Read, Write};
    use std::net::TcpStream;
    use std::os::unix::fs::PermissionsExt as _;
    use std::os::unix::net::UnixStream;
    use std::time::{Duration, Instant};

    use super::{Access, Bound, CONNECTIONS_MAX, HEAD_LEN_MAX, HEAD_MAX, Place, Server};
    use crate::board::{Board, Phase};
    use crate::routes::{HTML, Routes, TEXT};

    fn tcp(ip: [u8; 4]) -> Place {
        Place::Tcp((ip, 0).into())
    }

    /// A server with a page of `len` bytes at `/big`, and where it is.
    fn serve(place: &Place, len: usize, access: Access) -> (Server, Place) {
        let bound = Bound::bind(place).unwrap();
        let board = Board::new();
        board.publish(len);
        board.enter(Phase::Ready);
        let routes = Routes::new(&board)
            .fixed("/", HTML, "<p>")
            .from_board("/big", TEXT, &board, |_, len| vec![b'x'; *len])
            .page("/bug", || panic!("a page that fails"));
        let place = bound.place().clone();
        (bound.serve(routes, access).unwrap(), place)
    }

    /// One on loopback, and how to reach it.
    fn server(len: usize) -> (Server, impl Fn() -> TcpStream) {
        let (server, place) = serve(&tcp([127, 0, 0, 1]), len, Access::default());
        (server, move || connect(&place))
    }

    fn connect(place: &Place) -> TcpStream {
        let Place::Tcp(address) = place else {
            panic!("{place} has no address");
        };
        let stream = TcpStream::connect(address).unwrap();
        let patience = Some(HEAD_MAX + Duration::from_secs(5));
        stream.set_read_timeout(patience).unwrap();
        stream
    }

    /// What comes back for `request` until the server closes.
    fn ask(mut stream: impl Read + Write, request: &[u8]) -> String {
        stream.write_all(request).unwrap();
        let mut answer = Vec::new();
        // A connection that the server gives up may end with a reset.
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    }

    fn get(stream: TcpStream, path: &str) -> String {
        ask(
            stream,
            format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                .as_bytes(),
        )
    }

    #[test]
    fn each_request_gets_the_answer_it_deserves() {
        let (_server, connect) = server(3);
        let with = |line: &str, host: &str| {
            let request = format!("{line}\r\nHost: {host}\r\nConnection: close\r\n\r\n");
            ask(connect(), request.as_bytes())
        };
        for (line, host, status, end) in [
            ("GET /health HTTP/1.1", "127.0.0.1:9", 200, "healthy\n"),
            ("GET /ready?x=y HTTP/1.1", "[::1]:9", 200, "ready\n"),
            ("GET /big HTTP/1.1", "LocalHost", 200, "xxx"),
            ("HEAD /big HTTP/1.1", "localhost", 200, "\r\n\r\n"),
            ("POST /big HTTP/1.1", "localhost", 405, "HEAD\n"),
            ("DELETE / HTTP/1.1", "localhost", 405, "HEAD\n"),
            ("GET /../etc/passwd HTTP/1.1", "localhost", 404, "/ready\n"),
            (
                "GET /big HTTP/1.1",
                "evil.example:9",
                421,
                "--metrics-name\n",
            ),
            ("GET /big HTTP/1.0", "localhost", 200, "xxx"),
        ] {
            let answer = with(line, host);
            let first = answer.lines().next().unwrap_or_default();
            assert!(first.contains(&format!(" {status} ")), "{line}: {answer}");
            assert!(answer.ends_with(end), "{line}: {answer}");
        }
        let head = with("HEAD /big HTTP/1.1", "localhost");
        assert!(head.contains("content-length: 3"), "{head}");
        let page = with("GET / HTTP/1.1", "localhost");
        assert!(page.contains("content-security-policy: default-src 'none'"));
        assert!(with("PUT / HTTP/1.1", "localhost").contains("allow: GET, HEAD"));
    }

    #[test]
    fn nonsense_is_shown_out_and_the_next_is_served() {
        let (_server, connect) = server(3);
        let long = format!(
            "GET / HTTP/1.1\r\nX: {}\r\n\r\n",
            "y".repeat(2 * HEAD_LEN_MAX)
        );
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(1000));
        for nonsense in [
            &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
            &[0; 4096],
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            b"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
            b"GET /bug HTTP/1.1\r\nHost: localhost\r\n\r\n",
            long.as_bytes(),
            many.as_bytes(),
        ] {
            let answer = ask(connect(), nonsense);
            assert!(!answer.contains(" 200 "), "{answer}");
            assert!(get(connect(), "/health").contains(" 200 "));
        }
        // A body that never comes, after a question that can be answered without it.
        let body =
            "GET /health HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999\r\n\r\nx";
        assert!(ask(connect(), body.as_bytes()).contains(" 200 "));
    }

    #[test]
    fn who_holds_all_connections_keeps_nobody_out() {
        let (server, connect) = server(64 << 20);
        let mut held: Vec<TcpStream> = (0..CONNECTIONS_MAX).map(|_| connect()).collect();
        for stream in &mut held {
            // An answer that is not read, or a request that never ends.
            stream
                .write_all(b"GET /big HTTP/1.1\r\nHost: localhost\r\n\r\nGET /b")
                .unwrap();
        }
        let asked = Instant::now();
        assert!(get(connect(), "/health").contains(" 200 "));
        assert!(asked.elapsed() < HEAD_MAX);
        // Nor do they keep the process from ending.
        let ending = Instant::now();
        drop(server);
        assert!(ending.elapsed() < HEAD_MAX);
    }

    #[test]
    fn a_request_that_does_not_come_is_not_waited_for() {
        let (_server, connect) = server(3);
        let asked = Instant::now();
        let mut slow = connect();
        slow.write_all(b"GET /health HT").unwrap();
        let mut answer = Vec::new();
        let _ = slow.read_to_end(&mut answer);
        assert!(asked.elapsed() < HEAD_MAX + Duration::from_secs(3));
        assert!(!String::from_utf8_lossy(&answer).contains(" 200 "));
    }

    #[test]
    fn where_it_cannot_listen_it_says_what_to_do() {
        let bound = Bound::bind(&tcp([127, 0, 0, 1])).unwrap();
        let words = Bound::bind(bound.place()).unwrap_err().to_string();
        assert!(words.contains("choose another port"), "{words}");
        let words = Bound::bind(&tcp([192, 0, 2, 1])).unwrap_err().to_string();
        assert!(words.contains("no such address"), "{words}");
        let words = Bound::bind(&Place::Unix("/no/such/folder/s".into()))
            .unwrap_err()
            .to_string();
        assert!(words.contains("make its folder"), "{words}");
    }

    const TOKEN: &str = "0123456789abcdef0123";

    /// In a folder that goes with it.
    fn with_token(name: &str, test: impl FnOnce(&std::path::Path, Access)) {
        let folder = std::env::temp_dir().join(format!("tcpcopy-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let file = folder.join("token");
        fs::write(&file, TOKEN).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        test(&folder, Access::new(Some(&file), &[]).unwrap());
        fs::remove_dir_all(folder).unwrap();
    }

    fn request(path: &str, more: &str) -> String {
        format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{more}\r\n")
    }

    #[test]
    fn without_its_token_nothing_is_shown_but_that_it_lives() {
        with_token("tokens", |_, access| {
            let (_server, place) = serve(&tcp([0, 0, 0, 0]), 3, access);
            let ask = |path: &str, more: &str| ask(connect(&place), request(path, more).as_bytes());
            for path in ["/", "/big", "/nowhere"] {
                let answer = ask(path, "");
                assert!(answer.starts_with("HTTP/1.1 401 "), "{path}: {answer}");
                assert!(
                    answer.contains("www-authenticate: Bearer realm="),
                    "{answer}"
                );
            }
            assert!(ask("/health", "").contains(" 200 "));
            assert!(ask("/ready", "").contains(" 200 "));
            let wrong = format!("Authorization: Bearer {TOKEN}x\r\n");
            assert!(ask("/big", &wrong).contains(" 401 "));
            let right = format!("Authorization: Bearer {TOKEN}\r\n");
            assert!(ask("/big", &right).ends_with("xxx"));
        });
    }

    #[test]
    fn a_socket_of_the_file_system_is_served_and_goes() {
        with_token("sockets", |folder, access| {
            let path = folder.join("metrics.sock");
            let (server, place) = serve(&Place::Unix(path.clone()), 3, access);
            assert_eq!(place.to_string(), format!("unix:{}", path.display()));
            let ask = |more: &str| {
                let stream = UnixStream::connect(&path).unwrap();
                ask(stream, request("/big", more).as_bytes())
            };
            assert!(ask("").contains(" 401 "));
            let right = format!("Authorization: Bearer {TOKEN}\r\n");
            assert!(ask(&right).ends_with("xxx"));
            // curl, where it is there, is content as well.
            let with_curl = std::process::Command::new("curl")
                .args(["-s", "--unix-socket", &path.display().to_string()])
                .args(["-H", right.trim_end(), "http://localhost/big"])
                .output();
            if let Ok(output) = with_curl {
                assert_eq!(output.stdout, b"xxx", "{output:?}");
            }
            drop(server);
            assert!(!path.exists());
        });
    }

    /// The thread that serves is confined: whatever many at once ask of it, it gets along with the calls that it has.
    #[test]
    fn a_confined_thread_bears_a_load() {
        let (_server, connect) = server(1 << 20);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..25 {
                        let answer = get(connect(), "/big");
                        assert!(answer.len() > 1 << 20, "{}", answer.len());
                    }
                });
            }
        });
    }
}
