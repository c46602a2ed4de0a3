//! `--tap`: what is said of the file.

use std::path::PathBuf;

/// The file of what is sent to targets and received from them.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = super::heading::WHAT_TO_KEEP)]
pub(crate) struct TapArgs {
    /// Record what is sent to the target and received from it: FILE.pcapng, or FILE.pcapng.zst to compress it
    ///
    /// What is sent is in the file as a whole, what is received as headers. THE FILE HOLDS WHAT CLIENTS SEND; only its owner may read
    /// it. What exists is not replaced. What cannot be written fast enough is missing in the file alone, and counted. `tcpcopy inspect`
    /// and tshark read it; a replay would send nothing of it, for it leaves copies out. docs/recording.md has more.
    #[arg(long = "tap", value_name = "FILE.pcapng")]
    pub(crate) file: Option<PathBuf>,

    /// Replace the file of --tap where it exists
    #[arg(long, requires = "file")]
    pub(crate) force: bool,
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
            let is_read =
                matches!(task, Task::Run(args) if args.tap.file.is_some() && args.tap.force);
            assert!(is_read, "{line}");
        }
        let alone = parse("tcpcopy -x 80-10.0.0.2:80 --force").expect_err("nothing to replace");
        assert!(alone.to_string().contains("--tap"), "{alone}");
    }
}
