//! `intercept` as a process in the namespace of the calling thread.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// How long it may take to start and to end.
const PATIENCE: Duration = Duration::from_secs(10);

/// A running `intercept`; killed when dropped.
pub(crate) struct Intercept {
    child: Child,
    lines: Receiver<String>,
    log: String,
}

impl Intercept {
    /// Starts it and waits until it is ready.
    pub(crate) fn start(arguments: &str) -> Self {
        let mut child = command(arguments)
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        let stderr = child.stderr.take().expect("piped");
        let (sender, lines) = channel();
        thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        let mut intercept = Self {
            child,
            lines,
            log: String::new(),
        };
        intercept.wait_for("ready");
        intercept
    }

    /// Waits until a line of the log contains `word`.
    pub(crate) fn wait_for(&mut self, word: &str) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => {
                    self.log.push_str(&line);
                    self.log.push('\n');
                    if line.contains(word) {
                        return;
                    }
                }
                Err(_) => panic!("no `{word}` in the log:\n{}", self.log),
            }
        }
    }

    /// Sends a signal and waits for the end; gives the status and all of the log.
    pub(crate) fn end(mut self, signal: Signal) -> (ExitStatus, String) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).expect("a pid"));
        kill(pid, signal).expect("it runs");
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            match self.child.try_wait().expect("our child") {
                Some(status) => break status,
                None if Instant::now() > deadline => {
                    panic!("it does not end; its log:\n{}", self.log)
                }
                None => thread::sleep(Duration::from_millis(5)),
            }
        };
        let mut log = core::mem::take(&mut self.log);
        while let Ok(line) = self.lines.recv_timeout(Duration::from_secs(1)) {
            log.push_str(&line);
            log.push('\n');
        }
        (status, log)
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Intercept {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs it to its end, for arguments that it refuses.
pub(crate) fn refused(arguments: &str) -> Output {
    command(arguments).output().expect("it starts")
}

fn command(arguments: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_intercept"));
    command
        .args(arguments.split_whitespace())
        .env_remove("RUST_LOG")
        .env_remove("NOTIFY_SOCKET")
        .env("NO_COLOR", "1")
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    command
}
