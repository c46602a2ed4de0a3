//! A process in a namespace: its logs, its signals, its CPU time.
//!
//! It is started by `ip netns exec`, which enters the namespace and then becomes the program, so the process id is
//! the program's own. Dropping a [`Process`] kills it and waits for it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::error::{Error, Result, Tried};
use crate::host::Namespace;
use crate::interrupt;
use crate::machine;

/// What to start.
#[derive(Clone, Debug)]
pub struct Spec {
    name: String,
    program: PathBuf,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    cpu: Option<usize>,
    folder: Option<PathBuf>,
}

impl Spec {
    /// A program, and the name that its logs get.
    #[must_use]
    pub fn new(name: &str, program: impl Into<PathBuf>) -> Self {
        Self {
            name: name.to_owned(),
            program: program.into(),
            arguments: Vec::new(),
            environment: Vec::new(),
            cpu: None,
            folder: None,
        }
    }

    /// One more argument.
    #[must_use]
    pub fn arg(mut self, argument: impl Into<String>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// More arguments.
    #[must_use]
    pub fn args<I: IntoIterator<Item: ToString>>(mut self, arguments: I) -> Self {
        self.arguments
            .extend(arguments.into_iter().map(|argument| argument.to_string()));
        self
    }

    /// A variable of the environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The folder that it is started in.
    #[must_use]
    pub fn within(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folder = Some(folder.into());
        self
    }

    /// The only CPU that it may use. Does nothing where this machine has no such CPU.
    #[must_use]
    pub fn cpu(mut self, cpu: usize) -> Self {
        self.cpu = (cpu < machine::cpus()).then_some(cpu);
        self
    }
}

/// A running process.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    out: PathBuf,
    log: PathBuf,
    ended: Option<ExitStatus>,
    cpu_at_end: Duration,
}

impl Process {
    pub(crate) fn spawn(namespace: &Namespace, folder: &Path, spec: &Spec) -> Result<Self> {
        let (out, log) = (
            fresh(folder, &spec.name, "out"),
            fresh(folder, &spec.name, "log"),
        );
        let create =
            |file: &Path| File::create(file).tried(|| format!("create {}", file.display()));
        let mut command = Command::new("ip");
        command.args(["netns", "exec", namespace.name()]);
        if let Some(cpu) = spec.cpu {
            command.args(["taskset", "-c", &cpu.to_string()]);
        }
        let mut program = spec.program.clone();
        if let Some(folder) = &spec.folder {
            command.current_dir(folder);
            // A path from here is none from there; a bare name is looked up.
            if program.components().count() > 1 {
                let there = std::path::absolute(&program);
                program = there.tried(|| format!("find {}", spec.program.display()))?;
            }
        }
        command
            .arg(&program)
            .args(&spec.arguments)
            .envs(spec.environment.iter().map(|(n, v)| (n, v)));
        command
            .stdin(Stdio::null())
            .stdout(create(&out)?)
            .stderr(create(&log)?);
        // A group of its own: Ctrl-C reaches us alone, and we end the others in order.
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let child = command.spawn().map_err(|source| Error::Program {
            program: spec.program.display().to_string(),
            source,
        })?;
        Ok(Self {
            name: spec.name.clone(),
            child,
            out,
            log,
            ended: None,
            cpu_at_end: Duration::ZERO,
        })
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The name that it was given.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it wrote to standard error so far.
    #[must_use]
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// What it wrote to standard output so far.
    #[must_use]
    pub fn output(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.out).unwrap_or_default()).into_owned()
    }

    /// Waits until its log or its output holds `text` as words of their own (`ready`, but not `already`).
    ///
    /// # Errors
    ///
    /// [`Error::Ended`] where the process ends first, [`Error::NotReady`] after `limit` (times [`interrupt::patience`]),
    /// [`Error::Interrupted`].
    pub fn wait_for(&mut self, text: &str, limit: Duration) -> Result<()> {
        let limit = limit * interrupt::patience();
        let end = Instant::now() + limit;
        loop {
            interrupt::check()?;
            let ended = self.poll()?;
            if says(&self.log(), text) || says(&self.output(), text) {
                return Ok(());
            }
            if let Some(status) = ended {
                return Err(self.early(status));
            }
            if Instant::now() >= end {
                return Err(Error::NotReady {
                    name: self.name.clone(),
                    text: text.to_owned(),
                    seconds: limit.as_secs(),
                    log: self.log.clone(),
                    tail: self.tail(),
                });
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Its exit status, if it has ended.
    ///
    /// # Errors
    ///
    /// Where the system does not say.
    pub fn poll(&mut self) -> Result<Option<ExitStatus>> {
        if self.ended.is_none() {
            let pid = Pid::from_raw(self.pid().cast_signed());
            // Looked at before it is reaped: a zombie still has its times, a reaped process has none.
            use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
            let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
            let status = waitid(Id::Pid(pid), flags).tried(|| format!("wait for {}", self.name))?;
            if !matches!(status, WaitStatus::StillAlive) {
                self.cpu_at_end = machine::process_cpu(self.pid());
                self.ended = Some(
                    self.child
                        .wait()
                        .tried(|| format!("wait for {}", self.name))?,
                );
            }
        }
        Ok(self.ended)
    }

    /// Fails where the process has ended.
    ///
    /// # Errors
    ///
    /// [`Error::Ended`].
    pub fn expect_alive(&mut self) -> Result<()> {
        match self.poll()? {
            None => Ok(()),
            Some(status) => Err(self.early(status)),
        }
    }

    /// Waits for its end.
    ///
    /// # Errors
    ///
    /// [`Error::Timeout`] after `limit` (times [`interrupt::patience`]), [`Error::Interrupted`].
    pub fn wait(&mut self, limit: Duration) -> Result<ExitStatus> {
        let limit = limit * interrupt::patience();
        let end = Instant::now() + limit;
        loop {
            if let Some(status) = self.poll()? {
                return Ok(status);
            }
            interrupt::check()?;
            if Instant::now() >= end {
                return Err(Error::Timeout {
                    what: format!("the end of {}", self.name),
                    seconds: limit.as_secs(),
                });
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits for its end and fails unless it succeeded.
    ///
    /// # Errors
    ///
    /// [`Error::Ended`] with the end of its log, [`Error::Timeout`], [`Error::Interrupted`].
    pub fn wait_success(&mut self, limit: Duration) -> Result<()> {
        let status = self.wait(limit)?;
        if status.success() {
            Ok(())
        } else {
            Err(self.early(status))
        }
    }

    /// Sends a signal.
    ///
    /// # Errors
    ///
    /// Where the system refuses; a process that has ended is no error.
    pub fn signal(&mut self, signal: Signal) -> Result<()> {
        if self.poll()?.is_some() {
            return Ok(());
        }
        kill(Pid::from_raw(self.pid().cast_signed()), signal)
            .tried(|| format!("send {signal} to {}", self.name))
    }

    /// Sends a signal and waits for the end.
    ///
    /// # Errors
    ///
    /// [`Error::Timeout`] after `limit`, [`Error::Interrupted`].
    pub fn stop(&mut self, signal: Signal, limit: Duration) -> Result<ExitStatus> {
        self.signal(signal)?;
        self.wait(limit)
    }

    /// CPU time that it and its children used so far, in steps of 10 ms.
    #[must_use]
    pub fn cpu(&self) -> Duration {
        if self.ended.is_some() {
            self.cpu_at_end
        } else {
            machine::process_cpu(self.pid())
        }
    }

    /// Its peak resident memory in bytes; 0 once it has ended.
    #[must_use]
    pub fn memory_peak(&self) -> u64 {
        machine::memory_peak(self.pid())
    }

    /// The last lines of its log.
    #[must_use]
    pub fn tail(&self) -> String {
        let text = format!("{}{}", self.output(), self.log());
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(15)..].join("\n")
    }

    fn early(&self, status: ExitStatus) -> Error {
        Error::Ended {
            name: self.name.clone(),
            status: status.to_string(),
            log: self.log.clone(),
            tail: self.tail(),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.ended.is_none() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Whether a log holds a text that is not a part of longer words.
fn says(log: &str, text: &str) -> bool {
    log.match_indices(text).any(|(at, _)| {
        let before = log[..at].chars().next_back();
        let after = log[at + text.len()..].chars().next();
        ![before, after]
            .into_iter()
            .flatten()
            .any(char::is_alphanumeric)
    })
}

/// A file name that is not taken yet: a process that is started again keeps its first log.
fn fresh(folder: &Path, name: &str, ending: &str) -> PathBuf {
    let mut file = folder.join(format!("{name}.{ending}"));
    let mut number = 2;
    while file.exists() {
        file = folder.join(format!("{name}-{number}.{ending}"));
        number += 1;
    }
    file
}

#[cfg(test)]
mod tests {
    use super::says;

    #[test]
    fn a_word_is_not_found_inside_another() {
        assert!(says("12:00 INFO ready\n", "ready"));
        assert!(says("ready: serving", "ready"));
        assert!(!says("is already there", "ready"));
    }
}
