//! `--protocol`, of the run and of each rule: which module reads what clients and servers say.
//!
//! What a module is asked for stands here as it was written; [`Args::module_of`] makes one thing of the run's words and a rule's own.

use std::fmt;
use std::str::FromStr;

use protocol::{Choice, Module, Protocol};

use super::{Args, RuleArg};

/// Which module: as it is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ProtocolArg(Option<Choice>);

impl ProtocolArg {
    const NONE: &str = "none";

    /// All that can be written.
    fn all() -> impl Iterator<Item = Self> {
        let named = Protocol::ALL.iter().copied().map(Choice::Is);
        let choices = [Choice::Auto].into_iter().chain(named).map(Some);
        [None].into_iter().chain(choices).map(Self)
    }
}

impl fmt::Display for ProtocolArg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.map_or(Self::NONE, protocol_name))
    }
}

impl FromStr for ProtocolArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::all()
            .find(|it| it.to_string() == text)
            .ok_or_else(|| {
                let names: Vec<String> = Self::all().map(|it| it.to_string()).collect();
                format!("write one of {}", names.join(", "))
            })
    }
}

/// A choice as it is written.
pub(crate) const fn protocol_name(choice: Choice) -> &'static str {
    match choice {
        Choice::Auto => "auto",
        Choice::Is(protocol) => protocol.name(),
    }
}

/// What the run says of modules; a rule may say otherwise for itself.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = super::heading::WHAT_TO_COPY)]
pub(crate) struct ModuleOptions {
    /// Read requests and responses by a protocol module: none, auto (by a connection's first bytes) or http1
    ///
    /// Responses of both servers are then taken whole, and not their headers alone: that costs the online server a copy of each,
    /// the ring as much room, and with -s the channel as much bandwidth. A rule may say otherwise for itself: /protocol=none behind
    /// it. A connection that does not speak the protocol is copied as without a module, and counted.
    #[arg(long, value_name = "PROTOCOL", default_value_t)]
    protocol: ProtocolArg,
}

impl Args {
    /// What a rule asks of its module, if it has one.
    pub(crate) fn module_of(&self, rule: &RuleArg) -> Option<Module> {
        let protocol = rule.options.protocol.unwrap_or(self.modules.protocol);
        protocol.0.map(|choice| Module {
            choice,
            ..Module::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;
    use protocol::{Choice, Protocol};

    use super::{Args, ProtocolArg};

    #[test]
    fn what_is_written_is_read() {
        for arg in ProtocolArg::all() {
            assert_eq!(arg.to_string().parse(), Ok(arg));
        }
        let refused = "http3".parse::<ProtocolArg>().unwrap_err();
        assert_eq!(refused, "write one of none, auto, http1");
    }

    #[test]
    fn a_rule_goes_before_the_run() {
        let choices = |line: &str| {
            let args = Args::parse_from(line.split(' '));
            let modules = args.rules.iter().map(|rule| args.module_of(rule));
            modules.map(|it| it.map(|it| it.choice)).collect::<Vec<_>>()
        };
        let http1 = Some(Choice::Is(Protocol::Http1));
        assert_eq!(
            choices("tcpcopy -x 80-10.0.0.9:80,81-10.0.0.9:81/protocol=http1"),
            [None, http1]
        );
        assert_eq!(
            choices("tcpcopy --protocol http1 -x 80-10.0.0.9:80/protocol=none,81-10.0.0.9:81"),
            [None, http1]
        );
        assert_eq!(
            choices("tcpcopy --protocol auto -x 80-10.0.0.9:80"),
            [Some(Choice::Auto)]
        );
    }
}
