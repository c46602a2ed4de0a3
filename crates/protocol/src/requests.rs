//! The client's side of a flow: its bytes become messages.

use crate::module::{Choice, Module, Protocol};
use crate::said::Said;
use crate::{http1, postgres, redis};

pub use crate::expect::Expect;
pub use crate::parts::{Head, Part, Patch, Why};

/// Reads the bytes of one client.
#[derive(Debug)]
pub enum Requests {
    /// It is not known yet what it speaks.
    Unknown(Vec<u8>),
    /// HTTP/1.
    Http1(Box<http1::Requests>),
    /// Redis.
    Redis(Box<redis::Requests>),
    /// PostgreSQL.
    Postgres(Box<postgres::Requests>),
    /// It has left the module, and passes as bytes.
    Left,
    /// It has left the module of a rule that says what may be copied ([`Module::judges`]): nothing more is told.
    Barred,
}

impl Requests {
    /// A reader of a flow that begins with its next byte.
    #[must_use]
    pub fn new(module: &Module) -> Self {
        match module.choice {
            Choice::Auto => Self::Unknown(Vec::new()),
            Choice::Is(protocol) => Self::of(protocol),
        }
    }

    fn of(protocol: Protocol) -> Self {
        match protocol {
            Protocol::Http1 => Self::Http1(Box::default()),
            Protocol::Redis => Self::Redis(Box::default()),
            Protocol::Postgres => Self::Postgres(Box::default()),
        }
    }

    /// What it was found to speak.
    #[must_use]
    pub fn protocol(&self) -> Option<Protocol> {
        match self {
            Self::Http1(_) => Some(Protocol::Http1),
            Self::Redis(_) => Some(Protocol::Redis),
            Self::Postgres(_) => Some(Protocol::Postgres),
            Self::Unknown(_) | Self::Left | Self::Barred => None,
        }
    }

    /// The next bytes in order. `went_on` says that the client had seen more of the online server's bytes when it sent these than
    /// when it sent those before.
    pub fn push(
        &mut self,
        module: &Module,
        bytes: &[u8],
        went_on: bool,
        tell: &mut dyn FnMut(Part<'_>),
    ) {
        let held;
        let mut bytes = bytes;
        if let Self::Unknown(first) = self {
            first.extend_from_slice(bytes);
            let found = match looks_like(first) {
                Looks::Open => return,
                Looks::Like(protocol) => Self::of(protocol),
                Looks::Unknown => return self.leave(Why::Unknown, !module.judges(), tell),
            };
            held = core::mem::take(first);
            bytes = &held;
            *self = found;
        }
        let why = match self {
            Self::Http1(requests) => requests.push(module, bytes, went_on, tell),
            Self::Redis(requests) => requests.push(module, bytes, tell),
            Self::Postgres(requests) => requests.push(module, bytes, tell),
            Self::Left => {
                tell(Part::Bytes(bytes));
                None
            }
            Self::Unknown(_) | Self::Barred => None,
        };
        if let Some(why) = why {
            self.leave(why, self.lets_pass(why), tell);
        }
    }

    /// The online server has said this, before the client's next bytes.
    pub fn hear(&mut self, said: &Said, tell: &mut dyn FnMut(Part<'_>)) {
        if matches!(said, Said::Left) {
            let why = match self {
                Self::Postgres(requests) => requests.why_left(),
                _ => Why::Upgraded,
            };
            self.leave(why, self.lets_pass(why), tell);
        } else if let Self::Postgres(requests) = self {
            requests.hear(said, tell);
        }
    }

    /// The client has closed. What is held of a message that has not ended passes as bytes, if it may.
    pub fn close(&mut self, tell: &mut dyn FnMut(Part<'_>)) {
        if !self.is_between() {
            self.leave(Why::Cut, self.lets_pass(Why::Cut), tell);
        }
    }

    /// Whether nothing of what its client says is copied: it cannot be judged.
    #[must_use]
    pub fn is_barred(&self) -> bool {
        matches!(self, Self::Barred)
    }

    /// Whether what follows passes as bytes once the flow has left for this.
    fn lets_pass(&self, why: Why) -> bool {
        match self {
            Self::Http1(requests) => requests.lets_pass(why),
            Self::Redis(requests) => requests.lets_pass(),
            Self::Postgres(requests) => requests.lets_pass(),
            Self::Unknown(_) | Self::Left => true,
            Self::Barred => false,
        }
    }

    /// The flow leaves its module; what the reader holds of a message is told as bytes if it may pass.
    fn leave(&mut self, why: Why, passes: bool, tell: &mut dyn FnMut(Part<'_>)) {
        let next = if passes { Self::Left } else { Self::Barred };
        let held = match core::mem::replace(self, next) {
            before @ (Self::Left | Self::Barred) => {
                *self = before;
                return;
            }
            Self::Unknown(held) => held,
            Self::Http1(requests) => requests.into_held(),
            Self::Redis(requests) => requests.into_held(),
            Self::Postgres(requests) => requests.into_held(),
        };
        tell(Part::Leave(why));
        if passes && !held.is_empty() {
            tell(Part::Bytes(&held));
        }
    }

    /// Whether it stands between two messages, and holds nothing.
    #[must_use]
    pub fn is_between(&self) -> bool {
        match self {
            Self::Unknown(held) => held.is_empty(),
            Self::Http1(requests) => requests.is_between(),
            Self::Redis(requests) => requests.is_between(),
            Self::Postgres(requests) => requests.is_between(),
            Self::Left | Self::Barred => true,
        }
    }
}

/// What a flow's first bytes look like.
enum Looks {
    /// Too little is there to tell.
    Open,
    Like(Protocol),
    Unknown,
}

fn looks_like(first: &[u8]) -> Looks {
    let mut looks = Looks::Unknown;
    // What logs in has to be named: its sessions log in anew.
    for protocol in Protocol::ALL.iter().filter(|it| !it.logs_in()) {
        let is_it = match protocol {
            Protocol::Http1 => http1::looks_like(first),
            Protocol::Redis => redis::looks_like(first),
            Protocol::Postgres => postgres::looks_like(first),
        };
        match is_it {
            Some(true) => return Looks::Like(*protocol),
            Some(false) => {}
            None => looks = Looks::Open,
        }
    }
    looks
}
