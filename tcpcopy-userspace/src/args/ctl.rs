//! `tcpcopy ctl`: what a run that goes on is told; and `--ctl`, where it listens.

use std::path::{Path, PathBuf};

use clap::Subcommand;

use super::quantity;
use super::rule::options::COPIES_MAX;

/// Where a run listens.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = super::heading::WHEN_TO_STOP)]
pub(crate) struct ControlArgs {
    /// Listen for `tcpcopy ctl` at this path, or nowhere: PATH or none [default: /run/tcpcopy/PID.sock, where that can be written]
    ///
    /// A socket that only this user and root may use. `tcpcopy ctl` changes the share, the copies and the rate of a run that goes on,
    /// pauses, resumes and stops it: docs/control.md. Several runs of a host have each their own.
    #[arg(long = "ctl", value_name = "PATH")]
    path: Option<PathBuf>,
}

/// Where a run listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ControlAt<'a> {
    /// Where `tcpcopy ctl` looks by itself, if that can be.
    OwnPlace,
    /// There, or it does not begin.
    Path(&'a Path),
    /// Nowhere.
    Nowhere,
}

impl ControlArgs {
    /// Where a run listens.
    pub(crate) fn at(&self) -> ControlAt<'_> {
        match &self.path {
            None => ControlAt::OwnPlace,
            Some(path) if path.as_os_str() == "none" => ControlAt::Nowhere,
            Some(path) => ControlAt::Path(path),
        }
    }
}

/// What a run is told, and which.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct CtlArgs {
    /// The process of the run, where several go on
    #[arg(long, value_name = "PID", global = true, conflicts_with = "socket")]
    pub(crate) pid: Option<u32>,

    /// The socket of the run, where it was started with --ctl PATH
    #[arg(long = "socket", value_name = "PATH", global = true)]
    pub(crate) socket: Option<PathBuf>,

    /// Print the answer as one line of JSON
    #[arg(long, global = true)]
    pub(crate) json: bool,

    #[command(subcommand)]
    pub(crate) order: Order,
}

/// What a run is told.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Order {
    /// Says how the run stands: what it copies, how much of it, and what came of it so far
    Status,
    /// Changes the share, the copies or the rate; sessions that have begun go on
    Set {
        #[command(subcommand)]
        what: Setting,
    },
    /// Copies nothing new until `resume`; sessions that have begun go on
    Pause,
    /// Copies again
    Resume,
    /// Reads the file of --config again: changes what can be changed, and says what cannot
    Reload,
    /// Ends the run as Ctrl-C does: capture ends, open requests have the time of --drain, the summary is written
    Stop,
}

/// What is changed.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Setting {
    /// Share of the connections to copy (-r), 0 to 100: those that begin from now on
    ///
    /// With one --seed the same connections are copied at every host, and a smaller share is a part of the larger one. Connections
    /// that are being copied go on, whatever the share; what began before a share is raised is joined as --join says.
    Percent {
        #[arg(value_name = "PERCENT", value_parser = quantity::percent, allow_negative_numbers = true)]
        percent: f64,
        /// The number of a rule, as `status` prints it [default: all of them]
        #[arg(long, value_name = "N")]
        rule: Option<usize>,
    },
    /// Sessions for each connection (-n), 1 to 1000: of connections that begin from now on
    Copies {
        #[arg(value_name = "COPIES", value_parser = quantity::within(1, COPIES_MAX))]
        copies: u16,
        /// The number of a rule, as `status` prints it [default: all of them]
        #[arg(long, value_name = "N")]
        rule: Option<usize>,
    },
    /// At most so many new sessions per second (--max-new-sessions), or `none` for no limit
    Rate {
        #[arg(value_name = "N", value_parser = rate)]
        rate: Rate,
    },
}

/// A limit of new sessions per second, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rate(pub(crate) Option<u32>);

fn rate(text: &str) -> Result<Rate, String> {
    match text {
        "none" => Ok(Rate(None)),
        text => quantity::within(1, u32::MAX)(text)
            .map(|rate| Rate(Some(rate)))
            .map_err(|words| format!("{words}, or none for no limit")),
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::{ControlAt, Order, Rate, Setting};
    use crate::args::{CommandLine, Task};

    fn parse(line: &str) -> Result<Task, clap::Error> {
        CommandLine::read(line.split(' ').map(OsString::from))
    }

    #[test]
    fn orders_are_read() {
        let order = |line: &str| match parse(line) {
            Ok(Task::Ctl(ctl)) => ctl.order,
            other => panic!("{line}: {other:?}"),
        };
        assert!(matches!(order("tcpcopy ctl status"), Order::Status));
        assert!(matches!(order("tcpcopy ctl stop --pid 7"), Order::Stop));
        assert!(matches!(
            order("tcpcopy ctl set percent 50 --rule 2"),
            Order::Set {
                what: Setting::Percent {
                    percent: 50.0,
                    rule: Some(2)
                }
            }
        ));
        assert!(matches!(
            order("tcpcopy ctl --socket /tmp/x set rate none"),
            Order::Set {
                what: Setting::Rate { rate: Rate(None) }
            }
        ));
        for (line, words) in [
            ("tcpcopy ctl set percent 101", "from 0 to 100"),
            ("tcpcopy ctl set percent -1", "from 0 to 100"),
            ("tcpcopy ctl set copies 0", "write 1 to 1000"),
            ("tcpcopy ctl set rate 0", "or none for no limit"),
            ("tcpcopy ctl", "status"),
        ] {
            let said = parse(line).expect_err(line);
            assert!(said.to_string().contains(words), "{line}: {said}");
        }
    }

    #[test]
    fn a_run_listens_at_a_path_or_nowhere() {
        for (words, at) in [
            ("", ControlAt::OwnPlace),
            (" --ctl none", ControlAt::Nowhere),
            (
                " --ctl /tmp/a.sock",
                ControlAt::Path("/tmp/a.sock".as_ref()),
            ),
        ] {
            let line = format!("tcpcopy -x 80-10.0.0.2:80{words}");
            let Ok(Task::Run(args)) = parse(&line) else {
                panic!("{line}")
            };
            assert_eq!(args.control.at(), at, "{line}");
        }
    }
}
