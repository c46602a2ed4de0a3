//! The two ends of a connection: the order in which things may be said, pings, and silence.
//!
//! An end is driven like a decoder: fill [`TcpcopyEnd::space`] from the socket, say how much ([`TcpcopyEnd::filled`]),
//! then take events until there is none. What is to be sent is appended to the caller's `out`.

use std::time::Instant;

use wire::flow::Endpoint;

use crate::decoder::Decoder;
use crate::error::Error;
use crate::hello::{Hello, Role};
use crate::message::{Endpoints, Flows, Reports, ToIntercept, ToTcpcopy};
use crate::{PING_INTERVAL, SILENCE_MAX, encode};

/// What `tcpcopy` hears.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TcpcopyEvent<'a> {
    /// The subscription stands: from now on sessions may be announced ([`encode::open`], [`encode::close`]).
    Subscribed,
    /// Target segments.
    Reports(Reports<'a>),
    /// The answer to the ping with this nonce.
    Pong {
        /// The ping's: pings are numbered from 0.
        nonce: u64,
        /// `intercept`'s clock when it answered.
        stamp_ns: u64,
    },
    /// Reports that `intercept` dropped for this connection.
    Lost {
        /// How many since the last such event.
        count: u64,
    },
}

/// How far a connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    AwaitsHello,
    AwaitsSubscription,
    Running,
}

impl Phase {
    const fn name(self) -> &'static str {
        match self {
            Self::AwaitsHello => "before its hello",
            Self::AwaitsSubscription => "before the subscription",
            Self::Running => "after the subscription",
        }
    }
}

/// `tcpcopy`'s end.
#[derive(Debug)]
pub struct TcpcopyEnd {
    decoder: Decoder,
    phase: Phase,
    targets: Vec<Endpoint>,
    heard: Instant,
    pinged: Instant,
    nonce: u64,
}

impl TcpcopyEnd {
    /// The end of a connection that was just opened, for 1 to [`crate::TARGETS_MAX`] targets. Appends the hello.
    pub fn new(targets: Vec<Endpoint>, now: Instant, out: &mut Vec<u8>) -> Self {
        Hello::new(Role::Tcpcopy).encode(out);
        Self {
            decoder: Decoder::new(),
            phase: Phase::AwaitsHello,
            targets,
            heard: now,
            pinged: now,
            nonce: 0,
        }
    }

    /// Where the socket's next bytes go. Never empty once [`TcpcopyEnd::next_event`] gave `None`.
    pub fn space(&mut self) -> &mut [u8] {
        self.decoder.space()
    }

    /// Says that the first `len` bytes of [`TcpcopyEnd::space`] were filled.
    pub fn filled(&mut self, now: Instant, len: usize) {
        self.heard = now;
        self.decoder.filled(len);
    }

    /// The next event, or `None` where more bytes are needed. May append to `out`.
    ///
    /// # Errors
    ///
    /// Any [`Error`]: send what is in `out`, then close the connection. [`Error::Refused`] is `intercept`'s word.
    pub fn next_event(&mut self, out: &mut Vec<u8>) -> Result<Option<TcpcopyEvent<'_>>, Error> {
        if self.phase == Phase::AwaitsHello {
            if !greet(&mut self.decoder, Role::Tcpcopy)? {
                return Ok(None);
            }
            encode::subscribe(out, &self.targets);
            self.phase = Phase::AwaitsSubscription;
        }
        let Some(frame) = self.decoder.next_frame()? else {
            return Ok(None);
        };
        let message = ToTcpcopy::parse(frame)?;
        let event = match (self.phase, message) {
            (Phase::AwaitsSubscription, ToTcpcopy::Subscribed) => {
                self.phase = Phase::Running;
                TcpcopyEvent::Subscribed
            }
            (Phase::AwaitsSubscription, ToTcpcopy::Refused(why)) => {
                return Err(Error::Refused(why));
            }
            (Phase::Running, ToTcpcopy::Reports(reports)) => TcpcopyEvent::Reports(reports),
            (Phase::Running, ToTcpcopy::Lost { count }) => TcpcopyEvent::Lost { count },
            (_, ToTcpcopy::Pong { nonce, stamp_ns }) => TcpcopyEvent::Pong { nonce, stamp_ns },
            (phase, other) => {
                return Err(Error::OutOfTurn {
                    kind: other.name(),
                    when: phase.name(),
                });
            }
        };
        Ok(Some(event))
    }

    /// Appends a ping where one is due and gives its nonce. To be called at least once per [`PING_INTERVAL`].
    ///
    /// # Errors
    ///
    /// [`Error::Silent`] where nothing was heard for [`SILENCE_MAX`].
    pub fn on_time(&mut self, now: Instant, out: &mut Vec<u8>) -> Result<Option<u64>, Error> {
        silence(self.heard, now)?;
        if now.saturating_duration_since(self.pinged) < PING_INTERVAL
            || self.phase == Phase::AwaitsHello
        {
            return Ok(None);
        }
        self.pinged = now;
        let nonce = self.nonce;
        self.nonce += 1;
        encode::ping(out, nonce);
        Ok(Some(nonce))
    }
}

/// What `intercept` hears.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InterceptEvent<'a> {
    /// The targets whose replies are wanted: answer with [`encode::subscribed`] or [`encode::refused`].
    Subscribe(Endpoints<'a>),
    /// Sessions that are about to open.
    Open(Flows<'a>),
    /// Sessions that are gone.
    Close(Flows<'a>),
    /// Answer with [`encode::pong`].
    Ping {
        /// For the answer.
        nonce: u64,
    },
}

/// `intercept`'s end.
#[derive(Debug)]
pub struct InterceptEnd {
    decoder: Decoder,
    phase: Phase,
    heard: Instant,
}

impl InterceptEnd {
    /// The end of a connection that was just accepted. Appends the hello.
    pub fn new(now: Instant, out: &mut Vec<u8>) -> Self {
        Hello::new(Role::Intercept).encode(out);
        Self {
            decoder: Decoder::new(),
            phase: Phase::AwaitsHello,
            heard: now,
        }
    }

    /// Where the socket's next bytes go. Never empty once [`InterceptEnd::next_event`] gave `None`.
    pub fn space(&mut self) -> &mut [u8] {
        self.decoder.space()
    }

    /// Says that the first `len` bytes of [`InterceptEnd::space`] were filled.
    pub fn filled(&mut self, now: Instant, len: usize) {
        self.heard = now;
        self.decoder.filled(len);
    }

    /// The next event, or `None` where more bytes are needed.
    ///
    /// # Errors
    ///
    /// Any [`Error`]: close the connection.
    pub fn next_event(&mut self) -> Result<Option<InterceptEvent<'_>>, Error> {
        if self.phase == Phase::AwaitsHello {
            if !greet(&mut self.decoder, Role::Intercept)? {
                return Ok(None);
            }
            self.phase = Phase::AwaitsSubscription;
        }
        let Some(frame) = self.decoder.next_frame()? else {
            return Ok(None);
        };
        let message = ToIntercept::parse(frame)?;
        let event = match (self.phase, message) {
            (Phase::AwaitsSubscription, ToIntercept::Subscribe(targets)) => {
                self.phase = Phase::Running;
                InterceptEvent::Subscribe(targets)
            }
            (Phase::Running, ToIntercept::Open(flows)) => InterceptEvent::Open(flows),
            (Phase::Running, ToIntercept::Close(flows)) => InterceptEvent::Close(flows),
            (_, ToIntercept::Ping { nonce }) => InterceptEvent::Ping { nonce },
            (phase, other) => {
                return Err(Error::OutOfTurn {
                    kind: other.name(),
                    when: phase.name(),
                });
            }
        };
        Ok(Some(event))
    }

    /// # Errors
    ///
    /// [`Error::Silent`] where nothing was heard for [`SILENCE_MAX`].
    pub fn on_time(&self, now: Instant) -> Result<(), Error> {
        silence(self.heard, now)
    }
}

/// Reads the peer's hello; `false` while it is not complete.
fn greet(decoder: &mut Decoder, ours: Role) -> Result<bool, Error> {
    match decoder.next_hello()? {
        None => Ok(false),
        Some(hello) if hello.role == ours.peer() => Ok(true),
        Some(hello) => Err(decoder.fail(Error::Role { theirs: hello.role })),
    }
}

fn silence(heard: Instant, now: Instant) -> Result<(), Error> {
    let silent = now.saturating_duration_since(heard);
    if silent < SILENCE_MAX {
        Ok(())
    } else {
        Err(Error::Silent(silent))
    }
}
