//! The client's side of a flow: its bytes become messages.

use crate::module::{Choice, Module, Protocol};
use crate::opening::Opening;
use crate::said::Said;
use crate::{http1, mysql, postgres, redis};

pub use crate::expect::Expect;
pub use crate::parts::{Head, Part, Patch, Why};

/// Reads the bytes of one client.
#[derive(Debug)]
pub enum Requests {
    /// It is not known yet what it speaks.
    Unknown(Unknown),
    /// HTTP/1.
    Http1(Box<http1::Requests>),
    /// Redis.
    Redis(Box<redis::Requests>),
    /// PostgreSQL.
    Postgres(Box<postgres::Requests>),
    /// MySQL.
    Mysql(Box<mysql::Requests>),
    /// It has left the module, and passes as bytes.
    Left,
    /// It has left the module of a rule that says what may be copied ([`Module::judges`]), or of a protocol with logins, where what follows
    /// means nothing on another connection: nothing more is told.
    Barred,
}

/// The first bytes of a flow of which it is not known yet what it speaks.
#[derive(Debug)]
pub struct Unknown {
    held: Vec<u8>,
    /// Whether what cannot be judged is not to be copied.
    judges: bool,
}

impl Unknown {
    /// How many bytes of its client are held.
    #[must_use]
    pub fn held_len(&self) -> usize {
        self.held.len()
    }
}

impl Requests {
    /// A reader of a flow that begins with its next byte.
    #[must_use]
    pub fn new(module: &Module) -> Self {
        match module.choice {
            Choice::Auto => Self::Unknown(Unknown {
                held: Vec::new(),
                judges: module.judges(),
            }),
            Choice::Is(protocol) => Self::of(protocol, module.judges()),
        }
    }

    /// A reader that begins between two messages of a connection whose beginning was not seen ([`crate::joining`]).
    #[must_use]
    pub fn unseen(module: &Module, opening: &Opening) -> Self {
        match opening {
            Opening::Postgres(_) | Opening::Cancel(_) => {
                Self::Postgres(Box::new(postgres::Requests::unseen()))
            }
            Opening::Mysql(opening) => Self::Mysql(Box::new(mysql::Requests::unseen(opening))),
            Opening::Redis(_) => Self::of(Protocol::Redis, module.judges()),
        }
    }

    fn of(protocol: Protocol, judges: bool) -> Self {
        match protocol {
            Protocol::Http1 => Self::Http1(Box::new(http1::Requests::new(judges))),
            Protocol::Redis => Self::Redis(Box::new(redis::Requests::new(judges))),
            Protocol::Postgres => Self::Postgres(Box::default()),
            Protocol::Mysql => Self::Mysql(Box::default()),
        }
    }

    /// What it was found to speak.
    #[must_use]
    pub fn protocol(&self) -> Option<Protocol> {
        match self {
            Self::Http1(_) => Some(Protocol::Http1),
            Self::Redis(_) => Some(Protocol::Redis),
            Self::Postgres(_) => Some(Protocol::Postgres),
            Self::Mysql(_) => Some(Protocol::Mysql),
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
        if let Self::Unknown(Unknown { held: first, .. }) = self {
            first.extend_from_slice(bytes);
            let found = match looks_like(first) {
                Looks::Open => return,
                Looks::Like(protocol) => Self::of(protocol, module.judges()),
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
            Self::Mysql(requests) => requests.push(module, bytes, tell),
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
        match (&mut *self, said) {
            (Self::Postgres(requests), Said::Left) => {
                let why = requests.why_left();
                self.leave(why, self.lets_pass(why), tell);
            }
            (_, Said::Left) => self.leave(Why::Upgraded, self.lets_pass(Why::Upgraded), tell),
            (Self::Postgres(requests), _) => requests.hear(said, tell),
            (Self::Mysql(requests), _) => requests.hear(said, tell),
            _ => {}
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
            // Without the login nothing means anything at the target.
            Self::Postgres(_) | Self::Mysql(_) => false,
            Self::Unknown(unknown) => !unknown.judges,
            Self::Left => true,
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
            Self::Unknown(unknown) => unknown.held,
            Self::Http1(requests) => requests.into_held(),
            Self::Redis(requests) => requests.into_held(),
            Self::Postgres(_) | Self::Mysql(_) => Vec::new(),
        };
        tell(Part::Leave(why));
        if passes && !held.is_empty() {
            tell(Part::Bytes(&held));
        }
    }

    /// How many bytes of its client it holds that may still pass as they are: those of a message that is not known as a whole. What of a
    /// login is held never passes.
    #[must_use]
    pub fn held_len(&self) -> usize {
        match self {
            Self::Unknown(unknown) => unknown.held_len(),
            Self::Http1(requests) => requests.held_len(),
            Self::Redis(requests) => requests.held_len(),
            Self::Postgres(_) | Self::Mysql(_) | Self::Left | Self::Barred => 0,
        }
    }

    /// Whether it stands between two messages, and holds nothing.
    #[must_use]
    pub fn is_between(&self) -> bool {
        match self {
            Self::Unknown(unknown) => unknown.held.is_empty(),
            Self::Http1(requests) => requests.is_between(),
            Self::Redis(requests) => requests.is_between(),
            Self::Postgres(requests) => requests.is_between(),
            Self::Mysql(requests) => requests.is_between(),
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
            Protocol::Mysql => mysql::looks_like(first),
        };
        match is_it {
            Some(true) => return Looks::Like(*protocol),
            Some(false) => {}
            None => looks = Looks::Open,
        }
    }
    looks
}
