//! The clients of a test: loads against the online server, each request with an id of its own.

use std::net::SocketAddr;
use std::time::Duration;

use lab::command::last_line;
use lab::load::Report;
use lab::net::ONLINE;
use lab::{Host, Process, Spec};
use nix::sys::signal::Signal;

use crate::{PORT, Stand};

/// A load to start.
#[derive(Clone, Debug)]
pub struct Clients {
    arguments: Vec<String>,
    from: Host,
    to: SocketAddr,
    seconds: u64,
    cpu: Option<usize>,
}

impl Clients {
    /// Keep-alive connections, and requests per second over all of them (0: as many as go).
    #[must_use]
    pub fn keep_alive(connections: u32, rate: u32, seconds: u64) -> Self {
        let arguments = [
            "--connections",
            &connections.to_string(),
            "--rate",
            &rate.to_string(),
        ]
        .map(str::to_owned);
        Self {
            arguments: arguments.to_vec(),
            from: Host::Client,
            to: (ONLINE, PORT).into(),
            seconds,
            cpu: None,
        }
    }

    /// For so many seconds in the long form, which `TCPCOPY_LONG=1` asks for: CI has no time for it.
    #[must_use]
    pub fn long(self, seconds: u64) -> Self {
        let asked = std::env::var_os("TCPCOPY_LONG").is_some_and(|value| value == "1");
        let seconds = if asked { seconds } else { self.seconds };
        Self { seconds, ..self }
    }

    /// Another port of the online server than [`PORT`].
    #[must_use]
    pub fn at_port(self, port: u16) -> Self {
        self.at((ONLINE, port).into())
    }

    /// Another address of the online server than [`ONLINE`] at [`PORT`].
    #[must_use]
    pub fn at(self, to: SocketAddr) -> Self {
        Self { to, ..self }
    }

    /// From another host than [`Host::Client`].
    #[must_use]
    pub fn from(self, from: Host) -> Self {
        Self { from, ..self }
    }

    /// On one CPU only.
    #[must_use]
    pub fn on_cpu(self, cpu: usize) -> Self {
        Self {
            cpu: Some(cpu),
            ..self
        }
    }

    /// Connections per second with one request each, closed by the client right after the response.
    #[must_use]
    pub fn short(rate: u32, seconds: u64) -> Self {
        Self::keep_alive(500, rate, seconds).and(&["--short", "client"])
    }

    /// More arguments of the load.
    #[must_use]
    pub fn and(mut self, arguments: &[&str]) -> Self {
        self.arguments
            .extend(arguments.iter().map(ToString::to_string));
        self
    }

    /// Starts the load against the online server.
    ///
    /// # Panics
    ///
    /// Where it cannot be started.
    #[must_use]
    pub fn start(&self, stand: &Stand) -> Running {
        let to = self.to.to_string();
        let spec = Spec::new("clients", stand.part()).args(["load", "--quiet", "--to", &to]);
        let spec = spec
            .args(["--seconds", &self.seconds.to_string()])
            .args(&self.arguments);
        let spec = match self.cpu {
            Some(cpu) => spec.cpu(cpu),
            None => spec,
        };
        let process = stand
            .lab
            .spawn(self.from, &spec)
            .unwrap_or_else(|error| panic!("the clients: {error}"));
        Running {
            process,
            seconds: self.seconds,
        }
    }

    /// Runs the load to its end.
    ///
    /// # Panics
    ///
    /// Where it does not run to its end.
    #[must_use]
    pub fn run(&self, stand: &Stand) -> Report {
        self.start(stand).wait()
    }
}

/// A load that runs.
#[derive(Debug)]
pub struct Running {
    process: Process,
    seconds: u64,
}

impl Running {
    /// Ends it now: what it was to go on beside is over. Requests that are under way are answered first.
    ///
    /// # Panics
    ///
    /// As [`Running::wait`].
    #[must_use]
    pub fn stop(mut self) -> Report {
        self.process
            .signal(Signal::SIGTERM)
            .unwrap_or_else(|error| panic!("the clients: {error}"));
        self.wait()
    }

    /// Waits for its end.
    ///
    /// # Panics
    ///
    /// Where it fails or takes 30 s longer than it should.
    #[must_use]
    pub fn wait(mut self) -> Report {
        let limit = Duration::from_secs(self.seconds + 30);
        self.process
            .wait_success(limit)
            .unwrap_or_else(|error| panic!("the clients: {error}"));
        last_line(&self.process.output()).expect("the clients leave a report")
    }
}
