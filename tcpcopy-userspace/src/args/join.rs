//! Which flows are joined whose beginning was not copied, as written.

use clap::ValueEnum;
use session::Join;

use super::{Args, RuleArg};

/// Which flows are joined whose beginning was not copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum JoinArg {
    /// Those whose next request stands alone, HTTP/1 or memcached, behind one that was seen to end
    Standalone,
    /// All, at the next request. A rule stops doing so where its target closes or resets such connections and the online server
    /// does not
    Always,
    /// None
    Never,
}

impl Args {
    /// Which flows a rule joins whose beginning was not copied.
    pub(crate) const fn join_of(&self, rule: &RuleArg) -> Join {
        let join = match rule.options.join {
            Some(join) => join,
            None if self.full_sessions_only => JoinArg::Never,
            None => self.join,
        };
        match join {
            JoinArg::Standalone => Join::Standalone,
            JoinArg::Always => Join::Always,
            JoinArg::Never => Join::Never,
        }
    }
}
