//! What a rule asks of its protocol module: read from the command line once, and the same for all of the rule's flows.

use std::sync::Arc;

use crate::account::Account;
use crate::cancels::Cancels;
use crate::filter::Filter;
use crate::opening::Opening;
use crate::rewrite::Rewriting;

pub use crate::protocol::Protocol;

/// Which protocol a rule's flows speak (`--protocol`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Choice {
    /// The one that a flow's first bytes look like; a flow whose first bytes look like none passes as bytes.
    #[default]
    Auto,
    /// This one. A flow that does not speak it leaves the module, and is counted.
    Is(Protocol),
}

/// What a rule asks for. A rule without a module has none of these.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Module {
    /// The protocol.
    pub choice: Choice,
    /// Whether only messages that are known to be safe are copied (`--read-only`).
    pub read_only: bool,
    /// Messages that are like none of these are not copied, unless there are none (`--only`).
    pub only: Vec<Filter>,
    /// Messages that are like one of these are not copied (`--except`).
    pub except: Vec<Filter>,
    /// What is changed of messages that are copied.
    pub rewriting: Rewriting,
    /// Who logs in at the target in the place of clients of Redis (`--login`).
    pub redis_login: Option<Account>,
    /// How sessions of connections log in whose beginning was not seen; where there is nothing, those are not joined.
    pub joins: Option<Opening>,
    /// What cancels statements of its sessions, of all workers.
    pub cancels: Arc<Cancels>,
}

/// What a rule asks for does not fit the protocol that it names.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Misfit {
    /// A filter of another protocol, whose messages never come.
    #[error("the filter '{0}' is about {1}, and the flows speak {2}")]
    Filter(String, &'static str, &'static str),
    /// Something is to be rewritten in messages that have none of it.
    #[error("paths, hosts and headers are rewritten in http1, and the flows speak {0}")]
    Rewriting(&'static str),
}

impl Module {
    /// Whether messages are judged, so that what cannot be judged is not copied either.
    #[must_use]
    pub fn judges(&self) -> bool {
        self.read_only || !self.only.is_empty() || !self.except.is_empty()
    }

    /// The protocol of its flows, where that is known before they begin.
    #[must_use]
    pub const fn protocol(&self) -> Option<Protocol> {
        match self.choice {
            Choice::Is(protocol) => Some(protocol),
            Choice::Auto => None,
        }
    }

    /// Whether its flows begin with a login, which each session makes anew.
    #[must_use]
    pub fn logs_in(&self) -> bool {
        self.protocol().is_some_and(Protocol::logs_in)
    }

    /// Whether filters and rewriting fit the protocol.
    ///
    /// With [`Choice::Auto`] all fit. A flow then has the filters of its own protocol; where each `--only` is about another one,
    /// nothing of the flow is copied.
    ///
    /// # Errors
    ///
    /// The first that does not fit.
    pub fn check(&self) -> Result<(), Misfit> {
        let Choice::Is(protocol) = self.choice else {
            return Ok(());
        };
        for filter in self.only.iter().chain(&self.except) {
            let about = filter.protocol();
            if about != protocol {
                let shown = filter.to_string();
                return Err(Misfit::Filter(shown, about.name(), protocol.name()));
            }
        }
        if !self.rewriting.is_nothing() && protocol != Protocol::Http1 {
            return Err(Misfit::Rewriting(protocol.name()));
        }
        Ok(())
    }

    /// What `--read-only` keeps from being copied, in words: of the protocol, or of each where it is found out.
    #[must_use]
    pub fn blocked_words(&self) -> String {
        let of = |protocol: &Protocol| format!("{}: {}", protocol.name(), blocked(*protocol));
        match self.choice {
            Choice::Is(protocol) => of(&protocol),
            Choice::Auto => Protocol::ALL.iter().map(of).collect::<Vec<_>>().join("; "),
        }
    }

    /// Whether a message is copied by the filters, of which `is_like` says whether it is like one.
    pub(crate) fn is_wanted(&self, is_like: impl Fn(&Filter) -> bool) -> bool {
        (self.only.is_empty() || self.only.iter().any(&is_like)) && !self.except.iter().any(is_like)
    }
}

const fn blocked(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Http1 => "every method but GET, HEAD, OPTIONS and TRACE, and upgrades",
        Protocol::Redis => {
            "every command but those that Redis flags readonly, and those that are about the connection or only tell something"
        }
        Protocol::Postgres | Protocol::Mysql => "every statement that is not known to read only",
    }
}
