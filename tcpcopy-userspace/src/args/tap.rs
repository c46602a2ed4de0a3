//! `--tap` and `--dry-run`: a file of what is sent, or would be.

use std::path::PathBuf;

/// The file of what is sent to targets and received from them.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = super::heading::WHAT_TO_KEEP)]
pub(crate) struct TapArgs {
    /// Record what is sent to the target and received from it: FILE.pcapng, or FILE.pcapng.zst to compress it
    ///
    /// What is sent is in the file as a whole, what is received as headers (with --protocol as a whole too). THE FILE HOLDS WHAT CLIENTS SEND; only its owner may read
    /// it. What exists is not replaced. What cannot be written fast enough is missing in the file alone, and counted. `tcpcopy inspect`
    /// and tshark read it; a replay would send nothing of it, for it leaves copies out. docs/recording.md has more.
    #[arg(long = "tap", value_name = "FILE.pcapng", group = "packets_file")]
    tapped: Option<PathBuf>,

    /// Send nothing: write what would be sent into this file, together with the answers of a target that is made up
    ///
    /// That target accepts every connection and answers each request with as many bytes as the online server did, at the same time; what
    /// they would be is left out. Nothing is compared, and what is counted is what would be sent. A replay takes no longer than its
    /// files take to be read, whatever their time, and needs no right but to read them; /dev/null keeps nothing. A live run needs the
    /// rights that it always needs. docs/replay.md has more.
    #[arg(long, value_name = "FILE.pcapng", group = "packets_file")]
    dry_run: Option<PathBuf>,

    /// Replace the file of --tap or --dry-run where it exists
    #[arg(long, requires = "packets_file")]
    pub(crate) force: bool,
}

impl TapArgs {
    /// The file, if there is to be one.
    pub(crate) const fn file(&self) -> Option<&PathBuf> {
        match &self.tapped {
            Some(file) => Some(file),
            None => self.dry_run.as_ref(),
        }
    }

    /// Whether nothing is to be sent.
    pub(crate) const fn is_dry_run(&self) -> bool {
        self.dry_run.is_some()
    }

    /// The option that names the file.
    pub(crate) const fn option(&self) -> &'static str {
        if self.is_dry_run() {
            "--dry-run"
        } else {
            "--tap"
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use crate::args::{CommandLine, Task};

    fn parse(line: &str) -> Result<Task, clap::Error> {
        CommandLine::read(line.split(' ').map(OsString::from))
    }

    #[test]
    fn a_run_and_a_replay_can_be_tapped() {
        for line in [
            "tcpcopy -x 80-10.0.0.2:80 --tap t.pcapng --force",
            "tcpcopy run -x 80-10.0.0.2:80 --tap t.pcapng --force",
            "tcpcopy replay --pcap a.pcap -x 80-10.0.0.2:80 --tap t.pcapng --force",
        ] {
            let task = parse(line).expect(line);
            let is_read = matches!(task, Task::Run(args) if args.tap.file().is_some() && args.tap.force && !args.tap.is_dry_run());
            assert!(is_read, "{line}");
        }
        let dry = parse("tcpcopy replay --pcap a.pcap -x 80-10.0.0.2:80 --dry-run d.pcapng");
        assert!(
            matches!(dry, Ok(Task::Run(args)) if args.tap.is_dry_run() && args.tap.file().is_some())
        );
        let both = parse("tcpcopy -x 80-10.0.0.2:80 --tap t.pcapng --dry-run d.pcapng");
        assert!(both.is_err(), "one file of one kind");
        let assisted = parse("tcpcopy -x 80-10.0.0.2:80 --dry-run d.pcapng -s 10.0.0.3");
        assert!(assisted.is_err_and(|it| it.to_string().contains("leave out -s")));
        let addresses =
            "tcpcopy replay --pcap a.pcap -x 80-10.0.0.2:80 --dry-run d.pcapng -s 10.0.0.3";
        assert!(parse(addresses).is_ok(), "the clients' own addresses");
        let alone = parse("tcpcopy -x 80-10.0.0.2:80 --force").expect_err("nothing to replace");
        assert!(alone.to_string().contains("--tap"), "{alone}");
    }
}
