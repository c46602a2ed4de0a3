//! Tests under other kernels, beside others: what runs in an emulated machine says no time, and its waits are patient, so lints and
//! unit tests may have the processors meanwhile.
//!
//! They are a process of their own, whose words go to a file and are shown when it has ended: two builds at a time could not be read.

use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::{step, workspace};

/// The running tests; dropping them ends them.
#[derive(Debug)]
pub(super) struct OtherKernels {
    child: Child,
    words: PathBuf,
}

impl OtherKernels {
    /// Starts the short form of `cargo xtask vm`, on a machine that is set up.
    ///
    /// # Errors
    ///
    /// Where there is no place for its words, or it does not start.
    pub(super) fn start(no_skip: bool) -> Result<Self> {
        let folder = workspace::target().join("vm");
        fs::create_dir_all(&folder)
            .with_context(|| format!("cannot create {}", folder.display()))?;
        let words = folder.join("short.log");
        step::say(&format!(
            "tests under other kernels begin, beside what follows; what they say is shown later, and stands in {}",
            words.display()
        ));
        let program = std::env::current_exe().context("where is this program?")?;
        let mut command = Command::new(program);
        command.args(["vm", "--short", "--no-setup"]);
        if no_skip {
            command.arg("--no-skip");
        }
        Self::spawn(&mut command, words)
    }

    fn spawn(command: &mut Command, words: PathBuf) -> Result<Self> {
        let file =
            File::create(&words).with_context(|| format!("cannot create {}", words.display()))?;
        let child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone().context("cannot share a file")?)
            .stderr(file)
            .spawn()
            .context("cannot start the tests under other kernels")?;
        Ok(Self { child, words })
    }

    /// Waits for their end and shows what they have said.
    ///
    /// # Errors
    ///
    /// Where one has failed.
    pub(super) fn finish(mut self) -> Result<()> {
        step::say("tests under other kernels");
        let status = self.child.wait().context("cannot wait for them")?;
        let words = fs::read(&self.words)
            .with_context(|| format!("cannot read {}", self.words.display()))?;
        std::io::stderr()
            .write_all(&words)
            .context("cannot write to standard error")?;
        if !status.success() {
            bail!("tests under other kernels failed ({status})");
        }
        Ok(())
    }
}

impl Drop for OtherKernels {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            // It takes its machine down.
            if let Ok(pid) = i32::try_from(self.child.id()) {
                let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
            }
            let _ = self.child.wait();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::process::Command;
    use std::time::{Duration, Instant};

    use super::OtherKernels;

    /// Runs a script in the place of the tests.
    fn with_script<T>(name: &str, script: &str, then: impl FnOnce(OtherKernels) -> T) -> T {
        let name = format!("xtask-kernels-{name}-{}", std::process::id());
        let words = std::env::temp_dir().join(name);
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        let result = then(OtherKernels::spawn(&mut command, words.clone()).unwrap());
        fs::remove_file(words).unwrap();
        result
    }

    #[test]
    fn a_failure_fails() {
        with_script("passes", "true", OtherKernels::finish).unwrap();
        let error = with_script("fails", "exit 1", OtherKernels::finish).unwrap_err();
        assert!(error.to_string().contains("exit status: 1"), "{error}");
    }

    #[test]
    fn where_something_else_fails_nobody_waits_for_machines() {
        let began = Instant::now();
        with_script("waits", "exec sleep 600", drop);
        assert!(began.elapsed() < Duration::from_secs(300));
    }
}
