//! MariaDB in a namespace: a data folder of its own, made for the test.

use std::net::SocketAddr;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::error::{Result, Tried};
use crate::net::{Host, Lab};
use crate::nginx::wait_listening;
use crate::process::{Process, Spec};
use crate::system;

/// A running server.
#[derive(Debug)]
pub struct Mariadb {
    process: Process,
    host: Host,
    socket: String,
}

impl Mariadb {
    /// The programs that it needs.
    pub const PROGRAMS: [&str; 3] = ["mariadbd", "mariadb-install-db", "mariadb"];

    /// Makes a data folder and starts its server on a host. `options` are further options of `mariadbd`. `root` has no password, on the host
    /// alone.
    ///
    /// # Errors
    ///
    /// Where it is not installed, or does not start within 5 s.
    pub fn start(
        lab: &Lab,
        host: Host,
        name: &str,
        listen: SocketAddr,
        options: &[&str],
    ) -> Result<Self> {
        let folder = lab.folder().join(name).display().to_string();
        std::fs::create_dir(&folder).tried(|| format!("create {folder}"))?;
        system::run("chown", &["mysql:", &folder])?;
        let data = format!("--datadir={folder}/data");
        // A server that starts removes the temporary tables that it finds, another server's as well.
        let temporary = format!("--tmpdir={folder}");
        let made = [
            "--no-defaults",
            "--user=mysql",
            &data,
            &temporary,
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
        ];
        system::run("mariadb-install-db", &made)?;
        let socket = format!("{folder}/socket");
        let spec = Spec::new(name, "mariadbd")
            .args([
                "--no-defaults",
                "--user=mysql",
                &data,
                &temporary,
                &format!("--socket={socket}"),
            ])
            .args([
                format!("--bind-address={}", listen.ip()),
                format!("--port={}", listen.port()),
            ])
            .args([
                "--skip-name-resolve",
                "--local-infile=1",
                "--max-allowed-packet=64M",
                "--innodb-buffer-pool-size=32M",
                "--innodb-flush-log-at-trx-commit=0",
            ])
            .args(options)
            .within("/");
        let mut process = lab.spawn(host, &spec)?;
        wait_listening(lab, host, listen, &mut process)?;
        Ok(Self {
            process,
            host,
            socket,
        })
    }

    /// Asks the server something as its `root`, and returns its rows, columns parted by tabs.
    ///
    /// # Errors
    ///
    /// Where the client fails, or the statement.
    pub fn ask(&self, lab: &Lab, statement: &str) -> Result<String> {
        let arguments = [
            "--no-defaults",
            "-S",
            &self.socket,
            "-u",
            "root",
            "-N",
            "-B",
            "-e",
            statement,
        ];
        Ok(lab.run(self.host, "mariadb", &arguments)?.trim().to_owned())
    }

    /// The process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Ends the server.
    ///
    /// # Errors
    ///
    /// Where it does not end within 5 s.
    pub fn finish(mut self) -> Result<()> {
        self.process
            .stop(Signal::SIGKILL, Duration::from_secs(5))
            .map(drop)
    }
}
