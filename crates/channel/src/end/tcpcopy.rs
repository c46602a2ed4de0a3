//! `tcpcopy`'s end.

use std::time::Instant;

use wire::flow::{Endpoint, PoolRange};

use super::{Phase, deadlines, greet, hello, put_proof};
use crate::error::Error;
use crate::handshake::{Initiator, prologue};
use crate::inbox::Inbox;
use crate::inspection::Inspection;
use crate::key::Key;
use crate::message::{Flows, Reports, ToTcpcopy};
use crate::role::Role;
use crate::seal::Sealer;
use crate::{PING_INTERVAL, encode};

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
    /// Sessions that were announced and are another `tcpcopy`'s: their replies do not come here.
    Taken(Flows<'a>),
    /// What was asked for by [`crate::inspection::inspect`].
    Inspected(Inspection<'a>),
}

/// `tcpcopy`'s end.
#[derive(Debug)]
pub struct TcpcopyEnd {
    inbox: Inbox,
    phase: Phase,
    key: Option<Key>,
    initiator: Option<Initiator>,
    sealer: Option<Sealer>,
    /// Frames on their way into records.
    scratch: Vec<u8>,
    targets: Vec<Endpoint>,
    whole: Vec<Endpoint>,
    sources: Vec<PoolRange>,
    payload_max: u8,
    opened: Instant,
    heard: Instant,
    pinged: Instant,
    nonce: u64,
}

impl TcpcopyEnd {
    /// The end of a connection that was just opened, for 1 to [`crate::TARGETS_MAX`] targets and at most `payload_max` bytes
    /// of the payload of each of their replies. With a key it is proven, and the peer has to prove it. Appends the hello.
    pub fn new(
        targets: Vec<Endpoint>,
        payload_max: u8,
        key: Option<Key>,
        now: Instant,
        out: &mut Vec<u8>,
    ) -> Self {
        out.extend_from_slice(&hello(Role::Tcpcopy, key.is_some()));
        Self {
            inbox: Inbox::default(),
            phase: Phase::AwaitsHello,
            key,
            initiator: None,
            sealer: None,
            scratch: Vec::new(),
            targets,
            whole: Vec::new(),
            sources: Vec::new(),
            payload_max,
            opened: now,
            heard: now,
            pinged: now,
            nonce: 0,
        }
    }

    /// Says that all sessions come from these ranges, so that others that are announced are refused. To be called before anything is heard.
    #[must_use]
    pub fn with_sources(self, sources: Vec<PoolRange>) -> Self {
        Self { sources, ..self }
    }

    /// Asks for whole replies of these targets, as far as they are among the others. To be called before anything is heard.
    #[must_use]
    pub fn with_whole(mut self, whole: &[Endpoint]) -> Self {
        let (whole, others) = self.targets.drain(..).partition(|it| whole.contains(it));
        Self {
            targets: others,
            whole,
            ..self
        }
    }

    /// Where the socket's next bytes go. Never empty once [`TcpcopyEnd::next_event`] gave `None`.
    pub fn space(&mut self) -> &mut [u8] {
        self.inbox.space()
    }

    /// Says that the first `len` bytes of [`TcpcopyEnd::space`] were filled.
    pub fn filled(&mut self, now: Instant, len: usize) {
        self.heard = now;
        self.inbox.filled(len);
    }

    /// The next event, or `None` where more bytes are needed. May append to `out`.
    ///
    /// # Errors
    ///
    /// Any [`Error`]: send what is in `out`, then close the connection. [`Error::Refused`] is `intercept`'s word.
    pub fn next_event(&mut self, out: &mut Vec<u8>) -> Result<Option<TcpcopyEvent<'_>>, Error> {
        if !self.is_greeted(out)? {
            return Ok(None);
        }
        let Some(frame) = self.inbox.next_frame()? else {
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
            (Phase::Running, ToTcpcopy::Taken(flows)) => TcpcopyEvent::Taken(flows),
            (Phase::Running, ToTcpcopy::Inspected(inspection)) => {
                TcpcopyEvent::Inspected(inspection)
            }
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

    /// Goes as far as the subscription's turn; `false` where more bytes are needed for that.
    fn is_greeted(&mut self, out: &mut Vec<u8>) -> Result<bool, Error> {
        if self.phase == Phase::AwaitsHello {
            let key = self.key.as_ref();
            let clear = self.inbox.clear();
            let Some(theirs) = greet(clear, Role::Tcpcopy, key.is_some())? else {
                return Ok(false);
            };
            if let Some(key) = key {
                let said = prologue(&hello(Role::Tcpcopy, true), &theirs);
                let (initiator, message) = Initiator::new(key, &said)?;
                put_proof(out, &message);
                self.initiator = Some(initiator);
                self.phase = Phase::AwaitsProof;
            } else {
                self.subscribe(out);
            }
        }
        if self.phase == Phase::AwaitsProof {
            let Some(answer) = self.inbox.clear().next_record()? else {
                return Ok(false);
            };
            let initiator = self.initiator.take().ok_or(Error::NotOurKey)?;
            let (sealer, opener) = initiator.finish(answer)?;
            self.sealer = Some(sealer);
            self.inbox.seal(opener);
            self.subscribe(out);
        }
        Ok(true)
    }

    fn subscribe(&mut self, out: &mut Vec<u8>) {
        let (targets, payload_max) = (core::mem::take(&mut self.targets), self.payload_max);
        let sources = core::mem::take(&mut self.sources);
        let whole = core::mem::take(&mut self.whole);
        self.say(out, |frames| {
            encode::subscribe(frames, &whole, &targets, payload_max, &sources);
        });
        self.phase = Phase::AwaitsSubscription;
    }

    /// Appends frames to what is to be sent, sealed where there is a key. To be called once there is a subscription.
    pub fn say(&mut self, out: &mut Vec<u8>, frames: impl FnOnce(&mut Vec<u8>)) {
        match &mut self.sealer {
            None => frames(out),
            Some(sealer) => {
                frames(&mut self.scratch);
                sealer.seal(&self.scratch, out);
                self.scratch.clear();
            }
        }
    }

    /// What it means that the peer closed the connection now, where that means something of its own.
    #[must_use]
    pub fn on_close(&self) -> Option<Error> {
        (self.phase == Phase::AwaitsProof).then_some(Error::NotOurKey)
    }

    /// Appends a ping where one is due and gives its nonce. To be called at least once per [`PING_INTERVAL`].
    ///
    /// # Errors
    ///
    /// [`Error::Silent`] where nothing was heard for [`SILENCE_MAX`], [`Error::Unsubscribed`] where there is no
    /// subscription that long after the opening.
    pub fn on_time(&mut self, now: Instant, out: &mut Vec<u8>) -> Result<Option<u64>, Error> {
        deadlines(self.phase, self.opened, self.heard, now)?;
        if now.saturating_duration_since(self.pinged) < PING_INTERVAL
            || matches!(self.phase, Phase::AwaitsHello | Phase::AwaitsProof)
        {
            return Ok(None);
        }
        self.pinged = now;
        let nonce = self.nonce;
        self.nonce += 1;
        self.say(out, |frames| encode::ping(frames, nonce));
        Ok(Some(nonce))
    }
}
