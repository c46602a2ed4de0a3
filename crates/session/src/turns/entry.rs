//! A session's own login at the target, in a stream of its own before the flow's.
//!
//! The flow of a protocol with logins begins [`LOGIN_ROOM`] behind 0, so that a connection can begin that far before the byte that it goes
//! on with. What the login says stands there; when all of it is acknowledged and the target has let the session in, the connection
//! goes on with the flow's bytes.

use protocol::{Login, Opened, Step};

use crate::limits::{GREETING_MAX, LOGIN_ROOM};
use crate::time::Instant;

/// How far a session is with its login.
#[derive(Debug, Default)]
pub(crate) enum Entry {
    /// The protocol has none.
    #[default]
    Free,
    /// It is not known yet how the client logs in; the target may have said something already.
    Awaited(Vec<u8>),
    /// It is under way.
    Running(Box<Running>),
    /// It is over. What it has said may not be acknowledged yet.
    Over { said: Vec<u8> },
    /// The flow's bytes are sent.
    In,
}

/// A login under way.
#[derive(Debug)]
pub(crate) struct Running {
    login: Login,
    /// Everything that it has said.
    said: Vec<u8>,
    pub(crate) since: Instant,
    end: Option<End>,
    /// What the target has said after that.
    behind: Vec<u8>,
}

/// How a login has ended.
#[derive(Debug)]
pub(crate) enum End {
    Opened(Box<Opened>),
    /// Why the target has not let the session in.
    Failed(String),
}

impl Entry {
    /// The first step of a connection.
    pub(super) fn first(logs_in: bool) -> Self {
        if logs_in {
            Self::Awaited(Vec::new())
        } else {
            Self::Free
        }
    }

    /// Whether the protocol has a login.
    pub(crate) fn logs_in(&self) -> bool {
        !matches!(self, Self::Free)
    }

    /// Whether the flow's bytes may be sent.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self, Self::Free | Self::In)
    }

    /// Whether what the target says is the login's.
    pub(super) fn takes(&self) -> bool {
        matches!(self, Self::Awaited(_) | Self::Running(_))
    }

    /// A login begins.
    pub(crate) fn begin(&mut self, login: Login, now: Instant) {
        let Self::Awaited(heard) = self else {
            return;
        };
        let heard = core::mem::take(heard);
        let mut running = Running {
            login,
            said: Vec::new(),
            since: now,
            end: None,
            behind: Vec::new(),
        };
        running.said = running.login.start();
        running.go_on(&heard);
        *self = Self::Running(Box::new(running));
    }

    /// The target has said this while the login is under way, or has not begun. Returns whether it can be kept.
    pub(super) fn on_target(&mut self, bytes: &[u8]) -> bool {
        match self {
            Self::Awaited(heard) => {
                heard.extend_from_slice(bytes);
                heard.len() <= GREETING_MAX
            }
            Self::Running(running) if running.end.is_some() => {
                running.behind.extend_from_slice(bytes);
                running.behind.len() <= GREETING_MAX
            }
            Self::Running(running) => {
                running.go_on(bytes);
                true
            }
            Self::Free | Self::Over { .. } | Self::In => true,
        }
    }

    /// How it has ended, once it has: what the login has said is sent to its end all the same.
    pub(crate) fn take_end(&mut self) -> Option<End> {
        let Self::Running(running) = self else {
            return None;
        };
        let mut end = running.end.take()?;
        if let End::Opened(opened) = &mut end {
            opened.rest.extend_from_slice(&running.behind);
        }
        let said = core::mem::take(&mut running.said);
        *self = Self::Over { said };
        Some(end)
    }

    /// What it has said so far.
    pub(crate) fn said(&self) -> &[u8] {
        match self {
            Self::Running(running) => &running.said,
            Self::Over { said } => said,
            Self::Free | Self::Awaited(_) | Self::In => &[],
        }
    }

    /// Copies what it has said from `at` on.
    pub(crate) fn copy_out(&self, at: u64, into: &mut [u8]) {
        let said = usize::try_from(at)
            .ok()
            .and_then(|at| self.said().get(at..));
        if let Some(said) = said {
            let len = said.len().min(into.len());
            into[..len].copy_from_slice(&said[..len]);
        }
    }
}

impl Running {
    fn go_on(&mut self, bytes: &[u8]) {
        let mut bytes = bytes;
        while self.end.is_none() {
            match self.login.push(bytes) {
                Step::Wait => return,
                Step::Send(said) => self.said.extend_from_slice(&said),
                Step::Done(opened) => self.end = Some(End::Opened(opened)),
                Step::Failed(why) => self.end = Some(End::Failed(why)),
            }
            if self.said.len() as u64 >= LOGIN_ROOM {
                self.end = Some(End::Failed("the login does not end".to_owned()));
            }
            bytes = &[];
        }
    }
}
