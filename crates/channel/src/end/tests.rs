//! Both ends against each other, with what somebody between them may do.

use std::time::{Duration, Instant};

use wire::flow::{Addr, Endpoint, FlowKey};

use super::{InterceptEnd, InterceptEvent, TcpcopyEnd, TcpcopyEvent};
use crate::error::Error;
use crate::key::{Key, Keys};
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
        Self::with(None, None)
    }

    fn with(key: Option<Key>, keys: Option<Keys>) -> Self {
        let now = Instant::now();
        let (mut to_intercept, to_tcpcopy) = (Vec::new(), Vec::new());
        let targets = vec![Endpoint::new(Addr::v4([10, 0, 0, 2]), 80)];
        let tcpcopy = TcpcopyEnd::new(targets, 0, key, now, &mut to_intercept);
        let intercept = InterceptEnd::new(keys, now);
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
        self.intercept.greet(&mut self.to_tcpcopy)?;
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
        assert_eq!(pair.intercept_hears(), Ok(None));
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
    pair.to_intercept[9] = 4;
    assert_eq!(pair.intercept_hears(), Err(Error::Version { theirs: 4 }));
    pair.to_tcpcopy[9] = 6;
    let error = pair.tcpcopy_hears().unwrap_err();
    assert_eq!(error, Error::Version { theirs: 6 });
    assert!(
        error.to_string().contains("version 6") && error.to_string().contains("version 5"),
        "{error}"
    );
}

#[test]
fn two_of_a_kind_do_not_talk() {
    let mut pair = Pair::new();
    pair.to_intercept[12] = Role::Intercept as u8;
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
        &[],
        &[Endpoint::new(Addr::v4([1; 4]), 1)],
        0,
        &[],
    );
    encode::subscribe(
        &mut pair.to_intercept,
        &[],
        &[Endpoint::new(Addr::v4([1; 4]), 1)],
        0,
        &[],
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
        &[],
        &[Endpoint::new(Addr::v4([1; 4]), 1)],
        0,
        &[],
    );
    pair.deliver_to_intercept();
    pair.intercept.greet(&mut Vec::new()).expect("a hello");
    while pair.intercept.next_event().expect("all is well").is_some() {}
    assert_eq!(pair.intercept.on_time(later), Ok(()));
}

fn keys_of(texts: &[&Key]) -> Keys {
    let lines: Vec<String> = texts.iter().map(|key| key.text()).collect();
    Keys::parse(&lines.join("\n")).expect("keys")
}

fn key() -> Key {
    Key::generate().expect("randomness")
}

/// Up to the first error, or until neither has anything more to say; whether the subscription came.
fn converse(pair: &mut Pair) -> (Result<bool, Error>, Result<(), Error>) {
    let (mut subscribed, mut sealer) = (false, None);
    for _ in 0..4 {
        match pair.intercept_hears() {
            Ok(event) => subscribed |= matches!(event, Some(InterceptEvent::Subscribe(_))),
            Err(error) => return (Err(error), pair.tcpcopy_hears().map(|_| ())),
        }
        sealer = sealer.or(pair.intercept.take_sealer());
        if let Err(error) = pair.tcpcopy_hears() {
            return (Ok(subscribed), Err(error));
        }
    }
    (Ok(subscribed), Ok(()))
}

#[test]
fn with_a_key_nothing_is_in_the_clear_but_the_hellos() {
    let (new, old) = (key(), key());
    let both = keys_of(&[&new, &old]);
    for ours in [new, old] {
        let mut pair = Pair::with(Some(ours.clone()), Some(both.clone()));
        assert_eq!(pair.intercept_hears(), Ok(None));
        assert_eq!(pair.tcpcopy_hears(), Ok(None));
        assert_eq!(pair.intercept_hears(), Ok(None));
        assert_eq!(pair.intercept.proven(), Some(&ours));
        let mut sealer = pair.intercept.take_sealer().expect("it is proven");
        assert_eq!(pair.tcpcopy_hears(), Ok(None));
        let target = Endpoint::new(Addr::v4([10, 0, 0, 2]), 80);
        assert!(
            !pair
                .to_intercept
                .windows(16)
                .any(|it| it == target.addr.octets())
        );
        assert!(matches!(
            pair.intercept_hears(),
            Ok(Some(InterceptEvent::Subscribe(_)))
        ));
        let mut frames = Vec::new();
        encode::subscribed(&mut frames);
        encode::lost(&mut frames, 3);
        sealer.seal(&frames, &mut pair.to_tcpcopy);
        assert_eq!(pair.tcpcopy_hears(), Ok(Some(TcpcopyEvent::Subscribed)));
        assert_eq!(
            pair.tcpcopy_hears(),
            Ok(Some(TcpcopyEvent::Lost { count: 3 }))
        );
    }
}

#[test]
fn whoever_has_not_the_key_is_told_so_and_nothing_else() {
    let (ours, another) = (key(), key());
    let keys = || Some(keys_of(&[&ours]));
    let mut pair = Pair::with(Some(another), keys());
    assert_eq!(converse(&mut pair), (Err(Error::NotOurKey), Ok(())));
    assert_eq!(pair.tcpcopy.on_close(), Some(Error::NotOurKey));
    let mut pair = Pair::with(None, keys());
    assert_eq!(
        converse(&mut pair),
        (Err(Error::KeyMissing), Err(Error::KeyWanted))
    );
    let mut pair = Pair::with(Some(ours.clone()), None);
    assert_eq!(
        converse(&mut pair),
        (Err(Error::KeyWanted), Err(Error::KeyMissing))
    );
    let mut pair = Pair::with(Some(ours.clone()), keys());
    assert_eq!(converse(&mut pair), (Ok(true), Ok(())));
    // Somebody between who has no key: the peer's word that it has one is taken out of its hello, or put in.
    let mut pair = Pair::with(Some(ours.clone()), keys());
    pair.to_intercept[13] = 0;
    assert_eq!(converse(&mut pair).0, Err(Error::KeyMissing));
    // What nobody looks at is part of the proof as well.
    let mut pair = Pair::with(Some(ours.clone()), keys());
    pair.to_intercept[17] ^= 1;
    assert_eq!(converse(&mut pair).0, Err(Error::NotOurKey));
}

#[test]
fn a_stranger_is_told_nothing() {
    let mut intercept = InterceptEnd::new(None, Instant::now());
    let mut out = Vec::new();
    for part in [&b"tcpcop"[..], b"x"] {
        intercept.space()[..part.len()].copy_from_slice(part);
        intercept.filled(Instant::now(), part.len());
        let _ = intercept.greet(&mut out);
    }
    assert!(out.is_empty());
}

/// What somebody between does with what is under way, knowing what went before.
type Meddle = fn(&[u8], &mut Vec<u8>);

#[test]
fn a_record_that_is_changed_repeated_or_left_out_ends_the_connection() {
    let ours = key();
    let subscription = |pair: &mut Pair| {
        let _ = pair.intercept_hears();
        let _ = pair.tcpcopy_hears();
        let _ = pair.intercept_hears();
        let _ = pair.tcpcopy_hears();
        let subscription = pair.to_intercept.clone();
        pair.tcpcopy
            .say(&mut pair.to_intercept, |frames| encode::ping(frames, 1));
        subscription
    };
    let meddle: [Meddle; 3] = [
        |_, all| *all.last_mut().expect("bytes") ^= 1,
        |first, all| all.extend_from_slice(first),
        |first, all| drop(all.drain(..first.len())),
    ];
    for meddle in meddle {
        let mut pair = Pair::with(Some(ours.clone()), Some(keys_of(&[&ours])));
        let first = subscription(&mut pair);
        meddle(&first, &mut pair.to_intercept);
        let mut heard = pair.intercept_hears().map(|_| ());
        while heard.is_ok() {
            heard = match pair.intercept.next_event() {
                Ok(None) => break,
                other => other.map(|_| ()),
            };
        }
        assert_eq!(heard, Err(Error::Seal));
    }
}
