//! `intercept`'s end.

use std::time::Instant;

use super::{Phase, deadlines, greet, hello, put_proof};
use crate::error::Error;
use crate::handshake::{prologue, respond};
use crate::inbox::Inbox;
use crate::inspection::Addresses;
use crate::key::{Key, Keys};
use crate::message::{Flows, Subscription, ToIntercept};
use crate::role::Role;
use crate::seal::Sealer;

/// What `intercept` hears.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InterceptEvent<'a> {
    /// What is wanted: answer with [`encode::subscribed`] or [`encode::refused`].
    Subscribe(Subscription<'a>),
    /// Sessions that are about to open.
    Open(Flows<'a>),
    /// Sessions that are gone.
    Close(Flows<'a>),
    /// Answer with [`encode::pong`].
    Ping {
        /// For the answer.
        nonce: u64,
    },
    /// Answer with [`crate::inspection::inspected`].
    Inspect(Addresses<'a>),
}

/// `intercept`'s end.
#[derive(Debug)]
pub struct InterceptEnd {
    inbox: Inbox,
    phase: Phase,
    keys: Option<Keys>,
    /// What the peer said first, as it is part of the proof.
    theirs: Vec<u8>,
    proven: Option<Key>,
    sealer: Option<Sealer>,
    opened: Instant,
    heard: Instant,
}

impl InterceptEnd {
    /// The end of a connection that was just accepted. With keys the peer has to prove one of them.
    #[must_use]
    pub fn new(keys: Option<Keys>, now: Instant) -> Self {
        Self {
            inbox: Inbox::default(),
            phase: Phase::AwaitsHello,
            keys,
            theirs: Vec::new(),
            proven: None,
            sealer: None,
            opened: now,
            heard: now,
        }
    }

    /// Where the socket's next bytes go. Never empty once [`InterceptEnd::next_event`] gave `None`.
    pub fn space(&mut self) -> &mut [u8] {
        self.inbox.space()
    }

    /// Says that the first `len` bytes of [`InterceptEnd::space`] were filled.
    pub fn filled(&mut self, now: Instant, len: usize) {
        self.heard = now;
        self.inbox.filled(len);
    }

    /// The next event, or `None` where more bytes are needed; [`InterceptEnd::greet`] comes first.
    ///
    /// # Errors
    ///
    /// Any [`Error`]: close the connection.
    pub fn next_event(&mut self) -> Result<Option<InterceptEvent<'_>>, Error> {
        if matches!(self.phase, Phase::AwaitsHello | Phase::AwaitsProof) {
            return Ok(None);
        }
        let Some(frame) = self.inbox.next_frame()? else {
            return Ok(None);
        };
        let message = ToIntercept::parse(frame)?;
        let event = match (self.phase, message) {
            (Phase::AwaitsSubscription, ToIntercept::Subscribe(subscription)) => {
                self.phase = Phase::Running;
                InterceptEvent::Subscribe(subscription)
            }
            (Phase::Running, ToIntercept::Open(flows)) => InterceptEvent::Open(flows),
            (Phase::Running, ToIntercept::Close(flows)) => InterceptEvent::Close(flows),
            (_, ToIntercept::Ping { nonce }) => InterceptEvent::Ping { nonce },
            (Phase::Running, ToIntercept::Inspect(addresses)) => InterceptEvent::Inspect(addresses),
            (phase, other) => {
                return Err(Error::OutOfTurn {
                    kind: other.name(),
                    when: phase.name(),
                });
            }
        };
        Ok(Some(event))
    }

    /// Takes the peer's hello and the proof of its key, as far as they came, and appends what is answered to `out`, which is sent as it
    /// is. Where [`InterceptEnd::take_sealer`] gives something after that, it seals all that is said from then on. To be called
    /// whenever bytes came, before [`InterceptEnd::next_event`]; after the subscription it does nothing.
    ///
    /// # Errors
    ///
    /// Any [`Error`]: send what is in `out`, then close the connection.
    pub fn greet(&mut self, out: &mut Vec<u8>) -> Result<(), Error> {
        let has_key = self.keys.is_some();
        if self.phase == Phase::AwaitsHello {
            let greeted = greet(self.inbox.clear(), Role::Intercept, has_key);
            // A stranger is told nothing, not even who is here. Another release is told, by which it learns what is wrong.
            if !matches!(greeted, Ok(None) | Err(Error::NotTheChannel(_))) {
                out.extend_from_slice(&hello(Role::Intercept, has_key));
            }
            let Some(theirs) = greeted? else {
                return Ok(());
            };
            self.theirs = theirs;
            self.phase = if has_key {
                Phase::AwaitsProof
            } else {
                Phase::AwaitsSubscription
            };
        }
        if self.phase == Phase::AwaitsProof {
            let Some(message) = self.inbox.clear().next_record()? else {
                return Ok(());
            };
            let keys = self.keys.as_ref().ok_or(Error::NotOurKey)?;
            let said = prologue(&self.theirs, &hello(Role::Intercept, true));
            let ((sealer, opener), key, answer) = respond(keys, &said, message)?;
            put_proof(out, &answer);
            self.sealer = Some(sealer);
            self.proven = Some(key);
            self.inbox.seal(opener);
            self.phase = Phase::AwaitsSubscription;
        }
        Ok(())
    }

    /// What seals all that is said from now on; once, where the peer has just proven its key.
    pub const fn take_sealer(&mut self) -> Option<Sealer> {
        self.sealer.take()
    }

    /// The key that the peer has proven.
    #[must_use]
    pub const fn proven(&self) -> Option<&Key> {
        self.proven.as_ref()
    }

    /// Looks at the time. To be called about once per [`PING_INTERVAL`].
    ///
    /// # Errors
    ///
    /// [`Error::Silent`] where nothing was heard for [`SILENCE_MAX`], [`Error::Unsubscribed`] where there is no
    /// subscription that long after the opening.
    pub fn on_time(&self, now: Instant) -> Result<(), Error> {
        deadlines(self.phase, self.opened, self.heard, now)
    }
}
