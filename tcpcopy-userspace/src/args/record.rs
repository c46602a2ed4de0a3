//! `tcpcopy record`: what is recorded, and into which files.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Parser as _};
use command_line::LogArgs;
use host::netns;

use super::{
    Args, HookChoice, InterfaceArg, Priority, Responses, RuleArg, heading, quantity, rule,
};

/// What to record, and where to.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct RecordArgs {
    /// What to record: [ONLINE_IP:]ONLINE_PORT[,...]
    ///
    /// Without ONLINE_IP every address of this host is meant, as in a run. Clients' packets are recorded whole, but for bare
    /// acknowledgements, which say nothing that a replay needs.
    #[arg(help_heading = heading::WHAT_TO_RECORD, short = 'x', long = "service", value_name = "SERVICE", required = true, value_delimiter = ',', action = ArgAction::Append, value_parser = rule::service)]
    services: Vec<RuleArg>,

    /// What is kept of the online server's answers
    #[arg(help_heading = heading::WHAT_TO_RECORD, long, value_enum, value_name = "WHAT", default_value_t = Responses::Headers)]
    pub(crate) responses: Responses,

    /// Record also what a tcpcopy sends here: on the host of a target, where copies are the clients
    ///
    /// They are recorded without their mark, so that the file can be replayed like any other. Without this option they are left out
    /// and counted: on the online server's side a request would be in the file twice.
    #[arg(help_heading = heading::WHAT_TO_RECORD, long)]
    pub(crate) copies: bool,

    /// Overwrite the values of Authorization, Proxy-Authorization, Cookie and Set-Cookie in HTTP/1, by as many stars
    ///
    /// A target that asks for a login answers a replay of such a file with 401. Other secrets, in addresses or bodies for instance,
    /// are not known and stay.
    #[arg(help_heading = heading::WHAT_TO_RECORD, long)]
    pub(crate) mask: bool,

    /// The file: FILE.pcapng, or FILE.pcapng.zst to compress it
    ///
    /// Only its owner may read it: it holds what clients have sent. What exists is not replaced.
    #[arg(help_heading = heading::THE_FILE, short = 'o', long, value_name = "FILE.pcapng")]
    pub(crate) out: PathBuf,

    /// Replace files that exist
    #[arg(help_heading = heading::THE_FILE, long)]
    pub(crate) force: bool,

    /// Begin another file where one has this many bytes: FILE-00001.pcapng, FILE-00002.pcapng, ...
    #[arg(help_heading = heading::THE_FILE, long, value_name = "BYTES", value_parser = quantity::size)]
    pub(crate) rotate_size: Option<u64>,

    /// Begin another file after this time
    #[arg(help_heading = heading::THE_FILE, long, value_name = "TIME", value_parser = quantity::time)]
    pub(crate) rotate_every: Option<Duration>,

    /// Online interfaces: IFACE[:host|:mirror][,...] [default: those that own the online addresses]
    ///
    /// As in a run: docs/where.md has a table of places.
    #[arg(help_heading = heading::WHERE_IT_PASSES, short = 'i', long = "interface", value_name = "IFACE", value_delimiter = ',')]
    interfaces: Vec<InterfaceArg>,

    /// Record inside another network namespace: a container's, by the number of one of its processes, for example
    #[arg(help_heading = heading::WHERE_IT_PASSES, long, value_name = "NAME|PID|PATH")]
    netns: Option<netns::Reference>,

    /// End after this time [default: record until SIGINT or SIGTERM]
    #[arg(help_heading = heading::WHEN_TO_STOP, long, value_name = "TIME", value_parser = quantity::time)]
    pub(crate) duration: Option<Duration>,

    /// Print what was recorded as one line of JSON on standard output
    #[arg(help_heading = heading::WHAT_TO_KEEP, long)]
    pub(crate) json: bool,

    /// Who waits where processors or memory run short
    #[arg(help_heading = heading::TO_SPARE_THIS_HOST, long, value_enum, value_name = "WHOSE", default_value_t = Priority::Low)]
    pub(crate) priority: Priority,

    /// How the programs are attached to interfaces
    #[arg(help_heading = heading::TO_SPARE_THIS_HOST, long, value_enum, value_name = "HOW", default_value_t = HookChoice::Auto)]
    hook: HookChoice,

    #[command(flatten)]
    pub(crate) log: LogArgs,
}

/// What is kept of what passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Recording {
    /// How much of the answers.
    pub(crate) responses: Responses,
    /// Whether what a copier sends is kept like a client's packet.
    pub(crate) copies: bool,
}

impl RecordArgs {
    /// What a run would have to be told so that it takes the same packets; its rules have no targets.
    pub(crate) fn as_run(&self) -> Args {
        Args {
            rules: self.services.clone(),
            interfaces: self.interfaces.clone(),
            netns: self.netns.clone(),
            workers: Some(1),
            hook: self.hook,
            priority: self.priority,
            log: self.log,
            // All else is as where nobody says anything.
            ..Args::parse_from(["tcpcopy", "-x", "80-127.0.0.1:80"])
        }
    }

    /// What is kept of what passes.
    pub(crate) const fn recording(&self) -> Recording {
        Recording {
            responses: self.responses,
            copies: self.copies,
        }
    }

    /// Whether the files are numbered.
    pub(crate) const fn rotates(&self) -> bool {
        self.rotate_size.is_some() || self.rotate_every.is_some()
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::super::Vantage;
    use super::{RecordArgs, Responses};

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: RecordArgs,
    }

    fn read(line: &str) -> Result<RecordArgs, clap::Error> {
        Line::try_parse_from(line.split(' ')).map(|line| line.args)
    }

    #[test]
    fn a_recording_takes_what_a_run_would_take() {
        let args = read(
            "record -x 80,[::1]:81 -o f.pcapng -i eth0,veth1:host --rotate-every 10m --hook clsact",
        )
        .unwrap();
        assert_eq!((args.responses, args.mask), (Responses::Headers, false));
        assert!(args.rotates());
        let run = args.as_run();
        let rules: Vec<String> = run.rules.iter().map(ToString::to_string).collect();
        assert_eq!(rules, ["port 80", "[::1]:81"]);
        assert!(run.rules.iter().all(|rule| !rule.has_target()));
        assert_eq!(run.interfaces[1].place, Vantage::Host);
        assert_eq!(
            (run.hook, run.workers),
            (super::HookChoice::Clsact, Some(1))
        );
        let plain = read("record -x 80 -o f.pcapng").unwrap();
        assert!(!plain.rotates());
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for line in [
            "record -x 80",
            "record -o f.pcapng",
            "record -x 80-10.0.0.2:80 -o f.pcapng",
            "record -x 80 -o f.pcapng --responses some",
            "record -x 80 -o f.pcapng --rotate-every 10",
            "record -x 80 -o f.pcapng --rotate-size 1Q",
        ] {
            assert!(read(line).is_err(), "{line} was taken");
        }
    }
}
