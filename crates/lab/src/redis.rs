//! Redis in a namespace: no persistence, nothing but memory.

use std::net::SocketAddr;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::error::Result;
use crate::net::{Host, Lab};
use crate::nginx::wait_listening;
use crate::process::{Process, Spec};

/// A running Redis server.
#[derive(Debug)]
pub struct Redis {
    process: Process,
    host: Host,
    listen: SocketAddr,
}

impl Redis {
    /// Starts a server on a host and waits until it accepts connections.
    ///
    /// # Errors
    ///
    /// Where it does not start within 5 s.
    pub fn start(lab: &Lab, host: Host, name: &str, listen: SocketAddr) -> Result<Self> {
        let (address, port) = (listen.ip().to_string(), listen.port().to_string());
        let folder = lab.folder().display().to_string();
        let mut spec = Spec::new(name, "redis-server").args(["--bind", &address, "--port", &port]);
        spec = spec.args([
            "--protected-mode",
            "no",
            "--save",
            "",
            "--appendonly",
            "no",
            "--dir",
            &folder,
        ]);
        // The digest of a whole data set is a debugging command, refused by default since version 7.
        spec = spec.args(["--enable-debug-command", "yes", "--tcp-backlog", "4096"]);
        let mut process = lab.spawn(host, &spec)?;
        wait_listening(lab, host, listen, &mut process)?;
        Ok(Self {
            process,
            host,
            listen,
        })
    }

    /// The process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Asks the server something and returns its answer without white space at the ends.
    ///
    /// # Errors
    ///
    /// Where `redis-cli` fails.
    pub fn ask(&self, lab: &Lab, words: &[&str]) -> Result<String> {
        let (address, port) = (self.listen.ip().to_string(), self.listen.port().to_string());
        let mut arguments = vec!["-h", &address, "-p", &port];
        arguments.extend(words);
        Ok(lab
            .run(self.host, "redis-cli", &arguments)?
            .trim()
            .to_owned())
    }

    /// The number of keys and the digest of all data.
    ///
    /// # Errors
    ///
    /// Where `redis-cli` fails.
    pub fn contents(&self, lab: &Lab) -> Result<(String, String)> {
        Ok((
            self.ask(lab, &["DBSIZE"])?,
            self.ask(lab, &["DEBUG", "DIGEST"])?,
        ))
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
