//! The gate: with the clients' own addresses, whose copies may leave, network by network.

use super::*;
use session::limits::{PROBE_INTERVAL, PROVE_BACKOFF_MIN};

/// A client of another network, at the same online server.
const STRANGER: Endpoint = Endpoint::new(Addr::v4([10, 9, 9, 9]), 40_000);

fn proving() -> Script {
    Script::with(|config| {
        config.source = Source::Clients;
        config.prove_path = true;
    })
}

impl Script {
    /// Goes on as another client.
    fn as_client(&mut self, client: Endpoint) -> &mut Self {
        self.client = client;
        self
    }

    fn opens(&mut self) -> &mut Self {
        self.client(SYN, 0, 0, b"").online(SYN.with(ACK), 0, 1, 0)
    }

    /// What was told of networks whose replies do not come back.
    fn told(&mut self) -> Vec<(Addr, bool)> {
        core::iter::from_fn(|| self.engine.poll_event())
            .filter_map(|event| match event {
                Event::PathUnproven {
                    client, accepts, ..
                } => Some((client, accepts)),
                _ => None,
            })
            .collect()
    }

    /// The frames of the next time, as it passes, a millisecond at a time.
    fn frames_within(&mut self, time: Duration) -> Vec<Sent> {
        let (until, mut frames) = (self.now + time, vec![]);
        while self.now < until {
            self.wait(Duration::from_millis(1));
            frames.extend(self.frames());
        }
        frames
    }
}

const KNOCK: Sent = Sent {
    flags: ACK,
    seq: 0,
    ack: 1,
    payload: vec![],
};

#[test]
fn a_proof_holds_for_the_network_that_it_came_from() {
    let mut s = proving();
    let client = s.client;
    s.opens().expect(&[sent(SYN, 0, 0, b"")]);
    s.target(SYN.with(ACK), 0, 1, 0)
        .expect(&[sent(ACK, 1, 1, b""), KNOCK]);
    s.target(ACK, 1, 1, 0);
    assert_eq!(s.engine.counters().paths_proven, 1);
    // Another network's first session is a probe; its second waits, and others of the first network do not.
    s.as_client(STRANGER)
        .opens()
        .expect(&[sent(SYN, 0, 0, b"")]);
    let second = Endpoint::new(STRANGER.addr, 40_001);
    s.as_client(second).opens().expect(&[]);
    let neighbour = Endpoint::new(client.addr, 40_002);
    s.as_client(neighbour)
        .opens()
        .expect(&[sent(SYN, 0, 0, b"")]);
    s.target(SYN.with(ACK), 0, 1, 0)
        .expect(&[sent(ACK, 1, 1, b"")]);
}

/// `intercept` gives replies that it knows no session for to everybody who asked for the target's.
#[test]
fn replies_to_somebody_elses_sessions_prove_nothing() {
    let mut s = proving();
    s.local = Endpoint::new(STRANGER.addr, 50_000);
    s.target(SYN.with(ACK), 0, 1, 0).target(PSH, 1, 1, 10);
    assert_eq!(s.engine.counters().reply_unknown, 2);
    assert_eq!(s.engine.counters().paths_proven, 0);
    s.opens().expect(&[sent(SYN, 0, 0, b"")]);
    let other = Endpoint::new(s.client.addr, 40_001);
    s.as_client(other).opens().expect(&[]);
}

#[test]
fn a_probe_that_is_not_answered_is_taken_back_before_the_target_says_it_again() {
    let mut s = proving();
    s.opens().client(PSH, 1, 1, b"a").online(PSH, 1, 2, 10);
    s.expect(&[sent(SYN, 0, 0, b"")]);
    let frames = s.frames_within(PROBE_INTERVAL + Duration::from_millis(10));
    assert_eq!(frames, [sent(Flags::RST, 1, 0, b"")]);
    // The next try, by the same session, with numbers of its own.
    let before = s.iss;
    let frames = s.frames_within(PROVE_BACKOFF_MIN);
    assert_eq!(frames, [sent(SYN, 0, 0, b"")]);
    assert!(s.iss.wrapping_sub(before) > 1);
    // It is answered, and goes on with what its client has said meanwhile.
    s.target(SYN.with(ACK), 0, 1, 0)
        .expect(&[sent(PSH, 1, 1, b"a"), KNOCK]);
    s.target(PSH, 1, 2, 10);
    s.engine.finish(s.now);
    s.expect_outcomes(&[Outcome::Answered]);
}

/// What it would have gone on with is encrypted, as turns out while its reset waits for a route.
#[test]
fn a_probe_that_was_taken_back_is_not_made_anew_for_what_is_encrypted() {
    let mut s = proving();
    let target = s.target.addr;
    s.opens().expect(&[sent(SYN, 0, 0, b"")]);
    s.engine.on_route(s.now, target, None);
    s.wait(PROBE_INTERVAL + Duration::from_millis(10))
        .expect(&[]);
    s.client(PSH, 1, 1, &[0x16, 3, 1, 2, 0, 1, 0, 1]);
    s.online(PSH, 1, 9, 10).client(PSH, 9, 11, b"b");
    s.online(PSH, 11, 10, 10).client(PSH, 10, 21, b"c");
    s.online(PSH, 21, 11, 10);
    s.engine.on_route(s.now, target, Some(1500));
    let frames = s.frames_within(Duration::from_secs(5));
    assert_eq!(frames, [sent(Flags::RST, 1, 0, b"")]);
    s.engine.finish(s.now);
    s.expect_outcomes(&[Outcome::Unreplayable; 3]);
}

#[test]
fn a_network_whose_replies_do_not_come_back_is_told_once() {
    let mut s = proving();
    s.opens().client(PSH, 1, 1, b"a").online(PSH, 1, 2, 10);
    let mut syns = 0;
    for _ in 0..60 {
        let frames = s.frames_within(Duration::from_secs(1));
        syns += frames.iter().filter(|sent| sent.flags == SYN).count();
    }
    assert!((4..=7).contains(&syns), "{syns} in a minute");
    let client = s.client.addr;
    assert_eq!(s.told(), [(client, false)]);
}

/// SYN and SYN-ACK pass, nothing after them does.
#[test]
fn a_firewall_that_sees_one_direction_proves_nothing() {
    let mut s = proving();
    s.opens().client(PSH, 1, 1, b"a").online(PSH, 1, 2, 10);
    let mut accepted = 0;
    for _ in 0..100 {
        s.wait(Duration::from_millis(100));
        if s.frames().iter().any(|sent| sent.flags == SYN) {
            accepted += 1;
            s.target(SYN.with(ACK), 0, 1, 0);
        }
    }
    // Others of the same network wait.
    let client = Endpoint::new(s.client.addr, 40_001);
    s.as_client(client).opens();
    s.client(PSH, 1, 1, b"b").online(PSH, 1, 2, 10);
    assert_eq!((s.engine.counters().paths_proven, accepted), (0, 1));
    let network = s.client.addr;
    assert_eq!(s.told(), [(network, true)]);
}

#[test]
fn with_a_pool_a_firewall_that_sees_one_direction_shuts_the_gate() {
    let mut s = Script::new();
    let mut accepted = 0;
    for port in 0..10 {
        let client = Endpoint::new(s.client.addr, 41_000 + port);
        s.as_client(client).opens();
        s.client(PSH, 1, 1, b"a").online(PSH, 1, 2, 10);
        for _ in 0..5 {
            if s.frames().iter().any(|sent| sent.flags == SYN) {
                accepted += 1;
                s.target(SYN.with(ACK), 0, 1, 0);
            }
            s.wait(Duration::from_millis(60));
        }
    }
    assert_eq!(s.engine.counters().targets_suspended, 1);
    assert!((8..10).contains(&accepted), "{accepted}");
    let network = s.client.addr;
    assert_eq!(s.told(), [(network, true)]);
}

#[test]
fn sessions_that_are_gone_do_not_wait_at_the_gate() {
    let mut s = proving();
    s.engine.on_channel(s.now, false);
    for port in 0..50 {
        let client = Endpoint::new(s.client.addr, 41_000 + port);
        s.as_client(client).opens().client(RST, 1, 1, b"");
        s.expect(&[]);
    }
    assert_eq!(s.engine.sessions(), 0);
    // One that comes later has one of their numbers, and is let in once.
    s.opens().client(PSH, 1, 1, b"a").expect(&[]);
    s.engine.on_channel(s.now, true);
    s.wait(Duration::from_millis(1))
        .expect(&[sent(SYN, 0, 0, b"")]);
    s.expect(&[]);
}

/// The gate shuts when the run has ended and sessions take leave: nobody waits for it any more.
#[test]
fn at_the_end_nobody_waits_at_the_gate() {
    let mut s = Script::new();
    for port in 0..10 {
        let client = Endpoint::new(s.client.addr, 41_000 + port);
        s.as_client(client).opens().frames();
        s.target(SYN.with(ACK), 0, 1, 0).frames();
        if port < 8 {
            // A hole ends it.
            s.client(PSH, 1, 1, b"a").client(PSH, 3, 1, b"c").frames();
            s.online(ACK, 1, 4, 0)
                .wait(Duration::from_millis(25))
                .frames();
        }
    }
    s.wait(Duration::from_millis(1500)).frames();
    assert_eq!(s.engine.counters().targets_suspended, 0);
    s.engine.finish(s.now);
    s.frames();
    assert_eq!(s.engine.counters().targets_suspended, 1);
    assert_eq!((s.engine.sessions(), s.engine.turns_open()), (0, 0));
}
