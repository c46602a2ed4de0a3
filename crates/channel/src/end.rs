//! The two ends of a connection: the order in which things may be said, pings, and silence.
//!
//! An end is driven like a decoder: fill [`TcpcopyEnd::space`] from the socket, say how much ([`TcpcopyEnd::filled`]),
//! then take events until there is none. What is to be sent is appended to the caller's `out`.

use std::time::Instant;

use wire::flow::Endpoint;

use crate::decoder::Decoder;
use crate::error::Error;
use crate::hello::Hello;
use crate::inspection::{Addresses, Inspection};
use crate::message::{Flows, Reports, Subscription, ToIntercept, ToTcpcopy};
use crate::role::Role;
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
    /// Sessions that were announced and are another `tcpcopy`'s: their replies do not come here.
    Taken(Flows<'a>),
    /// What was asked for by [`crate::inspection::inspect`].
    Inspected(Inspection<'a>),
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
    payload_max: u8,
    opened: Instant,
    heard: Instant,
    pinged: Instant,
    nonce: u64,
}

impl TcpcopyEnd {
    /// The end of a connection that was just opened, for 1 to [`crate::TARGETS_MAX`] targets and at most `payload_max` bytes
    /// of the payload of each of their replies. Appends the hello.
    pub fn new(targets: Vec<Endpoint>, payload_max: u8, now: Instant, out: &mut Vec<u8>) -> Self {
        Hello::new(Role::Tcpcopy).encode(out);
        Self {
            decoder: Decoder::new(),
            phase: Phase::AwaitsHello,
            targets,
            payload_max,
            opened: now,
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
            encode::subscribe(out, &self.targets, self.payload_max);
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

    /// Appends a ping where one is due and gives its nonce. To be called at least once per [`PING_INTERVAL`].
    ///
    /// # Errors
    ///
    /// [`Error::Silent`] where nothing was heard for [`SILENCE_MAX`], [`Error::Unsubscribed`] where there is no
    /// subscription that long after the opening.
    pub fn on_time(&mut self, now: Instant, out: &mut Vec<u8>) -> Result<Option<u64>, Error> {
        deadlines(self.phase, self.opened, self.heard, now)?;
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
    decoder: Decoder,
    phase: Phase,
    opened: Instant,
    heard: Instant,
}

impl InterceptEnd {
    /// The end of a connection that was just accepted. Appends the hello.
    pub fn new(now: Instant, out: &mut Vec<u8>) -> Self {
        Hello::new(Role::Intercept).encode(out);
        Self {
            decoder: Decoder::new(),
            phase: Phase::AwaitsHello,
            opened: now,
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

/// Reads the peer's hello; `false` while it is not complete.
fn greet(decoder: &mut Decoder, ours: Role) -> Result<bool, Error> {
    match decoder.next_hello()? {
        None => Ok(false),
        Some(hello) if hello.role == ours.peer() => Ok(true),
        Some(hello) => Err(decoder.fail(Error::Role { theirs: hello.role })),
    }
}

fn deadlines(phase: Phase, opened: Instant, heard: Instant, now: Instant) -> Result<(), Error> {
    let silent = now.saturating_duration_since(heard);
    if silent >= SILENCE_MAX {
        return Err(Error::Silent(silent));
    }
    let opening = now.saturating_duration_since(opened);
    if phase != Phase::Running && opening >= SILENCE_MAX {
        return Err(Error::Unsubscribed(opening));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use wire::flow::{Addr, Endpoint, FlowKey};

    use super::{InterceptEnd, InterceptEvent, TcpcopyEnd, TcpcopyEvent};
    use crate::error::Error;
    use crate::refusal::Refusal;
    use crate::role::Role;
    use crate::{SILENCE_MAX, encode};

    /// Both ends with what each has sent and the other has not yet read.
    struct Pair {
        tcpcopy: TcpcopyEnd,
        intercept: InterceptEnd,
        to_intercept: Vec<u8>,
        to_tcpcopy: Vec<u8>,
        now: Instant,
    }

    impl Pair {
        fn new() -> Self {
            let now = Instant::now();
            let (mut to_intercept, mut to_tcpcopy) = (Vec::new(), Vec::new());
            let targets = vec![Endpoint::new(Addr::v4([10, 0, 0, 2]), 80)];
            let tcpcopy = TcpcopyEnd::new(targets, 0, now, &mut to_intercept);
            let intercept = InterceptEnd::new(now, &mut to_tcpcopy);
            Self {
                tcpcopy,
                intercept,
                to_intercept,
                to_tcpcopy,
                now,
            }
        }

        fn deliver_to_intercept(&mut self) {
            let bytes = core::mem::take(&mut self.to_intercept);
            self.intercept.space()[..bytes.len()].copy_from_slice(&bytes);
            self.intercept.filled(self.now, bytes.len());
        }

        fn intercept_hears(&mut self) -> Result<Option<InterceptEvent<'_>>, Error> {
            self.deliver_to_intercept();
            self.intercept.next_event()
        }

        fn tcpcopy_hears(&mut self) -> Result<Option<TcpcopyEvent<'_>>, Error> {
            let bytes = core::mem::take(&mut self.to_tcpcopy);
            self.tcpcopy.space()[..bytes.len()].copy_from_slice(&bytes);
            self.tcpcopy.filled(self.now, bytes.len());
            self.tcpcopy.next_event(&mut self.to_intercept)
        }

        /// Up to the answer to the subscription.
        fn greeted() -> Self {
            let mut pair = Self::new();
            assert_eq!(pair.tcpcopy_hears(), Ok(None));
            assert!(matches!(
                pair.intercept_hears(),
                Ok(Some(InterceptEvent::Subscribe(_)))
            ));
            pair
        }
    }

    #[test]
    fn a_connection_comes_to_run() {
        let mut pair = Pair::greeted();
        encode::subscribed(&mut pair.to_tcpcopy);
        assert_eq!(pair.tcpcopy_hears(), Ok(Some(TcpcopyEvent::Subscribed)));
        pair.now += Duration::from_millis(1001);
        let Pair {
            tcpcopy,
            to_intercept,
            now,
            ..
        } = &mut pair;
        assert_eq!(tcpcopy.on_time(*now, to_intercept), Ok(Some(0)));
        assert_eq!(tcpcopy.on_time(*now, to_intercept), Ok(None));
        assert_eq!(
            pair.intercept_hears(),
            Ok(Some(InterceptEvent::Ping { nonce: 0 }))
        );
        encode::pong(&mut pair.to_tcpcopy, 0, 17);
        assert_eq!(
            pair.tcpcopy_hears(),
            Ok(Some(TcpcopyEvent::Pong {
                nonce: 0,
                stamp_ns: 17
            }))
        );
        encode::lost(&mut pair.to_tcpcopy, 3);
        assert_eq!(
            pair.tcpcopy_hears(),
            Ok(Some(TcpcopyEvent::Lost { count: 3 }))
        );
        let flow = FlowKey {
            client: Endpoint::new(Addr::v4([203, 0, 113, 1]), 40_000),
            server: Endpoint::new(Addr::v4([10, 0, 0, 2]), 80),
        };
        encode::taken(&mut pair.to_tcpcopy, [flow]);
        let Ok(Some(TcpcopyEvent::Taken(flows))) = pair.tcpcopy_hears() else {
            panic!("it is not heard");
        };
        assert_eq!(flows.iter().collect::<Vec<_>>(), [flow]);
    }

    #[test]
    fn a_refusal_is_an_error_with_its_reason() {
        let mut pair = Pair::greeted();
        encode::refused(&mut pair.to_tcpcopy, Refusal::TooManyConnections);
        assert_eq!(
            pair.tcpcopy_hears(),
            Err(Error::Refused(Refusal::TooManyConnections))
        );
    }

    #[test]
    fn a_version_mismatch_is_an_error_on_both_sides_that_names_both() {
        let mut pair = Pair::new();
        // The one before and the next.
        pair.to_intercept[9] = 2;
        pair.to_tcpcopy[9] = 4;
        assert_eq!(pair.intercept_hears(), Err(Error::Version { theirs: 2 }));
        let error = pair.tcpcopy_hears().unwrap_err();
        assert_eq!(error, Error::Version { theirs: 4 });
        assert!(
            error.to_string().contains("version 4") && error.to_string().contains("version 3"),
            "{error}"
        );
    }

    #[test]
    fn two_of_a_kind_do_not_talk() {
        let mut pair = Pair::new();
        pair.to_intercept.clone_from(&pair.to_tcpcopy);
        assert_eq!(
            pair.intercept_hears(),
            Err(Error::Role {
                theirs: Role::Intercept
            })
        );
    }

    #[test]
    fn what_comes_out_of_turn_is_named() {
        let mut pair = Pair::new();
        encode::subscribe(
            &mut pair.to_intercept,
            &[Endpoint::new(Addr::v4([1; 4]), 1)],
            0,
        );
        encode::subscribe(
            &mut pair.to_intercept,
            &[Endpoint::new(Addr::v4([1; 4]), 1)],
            0,
        );
        assert!(matches!(
            pair.intercept_hears(),
            Ok(Some(InterceptEvent::Subscribe(_)))
        ));
        let again = Error::OutOfTurn {
            kind: "Subscribe",
            when: "after the subscription",
        };
        assert_eq!(pair.intercept.next_event(), Err(again));
        encode::lost(&mut pair.to_tcpcopy, 1);
        let early = Error::OutOfTurn {
            kind: "Lost",
            when: "before the subscription",
        };
        assert_eq!(pair.tcpcopy_hears(), Err(early));
    }

    #[test]
    fn silence_is_death() {
        let mut pair = Pair::new();
        let later = pair.now + SILENCE_MAX;
        assert_eq!(
            pair.intercept.on_time(later),
            Err(Error::Silent(SILENCE_MAX))
        );
        assert_eq!(
            pair.tcpcopy.on_time(later, &mut Vec::new()),
            Err(Error::Silent(SILENCE_MAX))
        );
        pair.now = later;
        encode::ping(&mut pair.to_intercept, 1);
        pair.deliver_to_intercept();
        assert_eq!(
            pair.intercept.on_time(later),
            Err(Error::Unsubscribed(SILENCE_MAX))
        );
        encode::subscribe(
            &mut pair.to_intercept,
            &[Endpoint::new(Addr::v4([1; 4]), 1)],
            0,
        );
        pair.deliver_to_intercept();
        while pair.intercept.next_event().expect("all is well").is_some() {}
        assert_eq!(pair.intercept.on_time(later), Ok(()));
    }
}
