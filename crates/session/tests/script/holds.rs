//! Never a loop: whose flows are left out, and what departs while departures are held.

use session::{Tally, Watch};

use super::*;

const TENTH: Duration = Duration::from_millis(100);

impl Script {
    /// Holds departures from now on for a tenth of a second.
    fn hold(&mut self) -> &mut Self {
        let watch = Watch {
            number: 1,
            begin: self.now,
            guard: TENTH / 2,
            window: TENTH / 2,
            held: 0,
        };
        self.engine.watch(self.now, watch);
        self
    }

    /// A client that asks once, by a flow of its own.
    fn visit(&mut self, client: Endpoint) -> &mut Self {
        self.client = client;
        self.client(SYN, 0, 0, b"").online(SYN.with(ACK), 0, 1, 0);
        self.client(PSH, 1, 1, b"a").online(PSH, 1, 2, 10)
    }
}

#[test]
fn a_flow_of_a_target_is_left_out() {
    let mut s = Script::new();
    let proxy = Endpoint::new(s.target.addr, 40_000);
    s.visit(proxy).expect(&[]);
    s.client(PSH, 2, 11, b"b").online(PSH, 11, 3, 10);
    s.client(PSH, 3, 21, b"c").expect(&[]);
    assert_eq!(s.engine.sessions(), 0);
    assert_eq!(s.engine.counters().flows_from_target, 1, "it counts once");
    assert_eq!(s.engine.counters().bytes_skipped, 3);
}

#[test]
fn a_flow_of_a_target_is_not_joined_either() {
    let mut s = Script::new();
    s.client = Endpoint::new(s.target.addr, 40_000);
    for n in 0..5 {
        s.client(PSH, 500 + n, 900 + 10 * n, b"?").expect(&[]);
        s.online(PSH, 900 + 10 * n, 501 + n, 10);
        s.wait(Duration::from_secs(20));
    }
    assert_eq!(s.engine.sessions(), 0);
    assert_eq!(s.engine.counters().flows_from_target, 1);
}

#[test]
fn what_comes_from_our_own_sources_is_left_out() {
    let mut s = Script::new();
    let source = Addr::v4([10, 0, 2, 1]);
    s.visit(Endpoint::new(source, 10_003)).expect(&[]);
    assert_eq!(s.engine.counters().flows_from_target, 1);
    // Beside the pool's ports it is somebody else.
    s.visit(Endpoint::new(source, 10_010))
        .expect(&[sent(SYN, 0, 0, b"")]);
}

/// Where clients, online server and target share one address, it says nothing.
#[test]
fn a_host_that_talks_to_itself_is_copied() {
    let here = Endpoint::new(Addr::v4([127, 0, 0, 1]), 80);
    let mut s = Script::with(|config| {
        config.rules[0].online = here;
        config.rules[0].target = Endpoint::new(here.addr, 81);
    });
    (s.online, s.target) = (here, Endpoint::new(here.addr, 81));
    s.visit(Endpoint::new(here.addr, 40_000))
        .expect(&[sent(SYN, 0, 0, b"")]);
}

#[test]
fn a_turn_waits_for_the_end_of_a_hold() {
    let mut s = Script::new();
    s.handshake();
    s.client(PSH, 1, 1, b"a").expect(&[sent(PSH, 1, 1, b"a")]);
    s.hold();
    // What is under way goes on: the rest of a turn, acknowledgements.
    s.client(PSH, 2, 1, b"b").expect(&[sent(PSH, 2, 1, b"b")]);
    s.online(PSH, 1, 3, 10).target(PSH, 1, 3, 10);
    s.client(PSH, 3, 11, b"next").wait(TENTH / 4);
    s.expect(&[sent(ACK, 3, 11, b"")]);
    s.wait(TENTH / 2).expect(&[]);
    s.wait(TENTH / 4).expect(&[sent(PSH, 3, 11, b"next")]);
}

#[test]
fn a_retransmission_does_not_wait() {
    let mut s = Script::new();
    s.handshake();
    s.client(PSH, 1, 1, b"a").expect(&[sent(PSH, 1, 1, b"a")]);
    let long = Watch {
        number: 1,
        begin: s.now,
        guard: Duration::ZERO,
        window: Duration::from_secs(3),
        held: 0,
    };
    s.engine.watch(s.now, long);
    s.wait(Duration::from_secs(2));
    let again = s.frames();
    assert!(again.contains(&sent(PSH, 1, 1, b"a")), "{again:?}");
}

#[test]
fn a_connection_waits_for_the_end_of_a_hold() {
    let mut s = Script::new();
    s.hold();
    s.visit(s.client).wait(TENTH / 2).expect(&[]);
    s.wait(TENTH / 2).expect(&[sent(SYN, 0, 0, b"")]);
    s.target(SYN.with(ACK), 0, 1, 0)
        .expect(&[sent(PSH, 1, 1, b"a")]);
}

#[test]
fn without_waiting_for_responses_holds_hold_all_the_same() {
    let mut s = Script::with(|config| config.wait_for_responses = false);
    s.handshake();
    s.client(PSH, 1, 1, b"a").expect(&[sent(PSH, 1, 1, b"a")]);
    s.online(PSH, 1, 2, 10).hold();
    s.client(PSH, 2, 11, b"b").expect(&[]);
    s.online(PSH, 11, 3, 10).client(PSH, 3, 21, b"c");
    s.wait(TENTH / 2).expect(&[]);
    s.wait(TENTH / 2)
        .expect(&[sent(ACK, 2, 1, b"b"), sent(PSH, 3, 1, b"c")]);
}

#[test]
fn a_hold_that_is_called_off_lets_everything_go() {
    let mut s = Script::new();
    s.handshake().hold();
    s.client(PSH, 1, 1, b"a").expect(&[]);
    let first = s.client;
    s.visit(Endpoint::new(first.addr, 40_001)).expect(&[]);
    s.engine.end_hold(s.now);
    let frames = s.frames();
    assert!(frames.iter().any(|sent| sent.flags == SYN), "{frames:?}");
    assert!(frames.iter().any(|sent| sent.payload == b"a"), "{frames:?}");
    s.wait(TENTH).expect(&[]);
}

#[test]
fn the_end_of_a_run_does_not_wait() {
    let mut s = Script::new();
    s.handshake().hold();
    s.client(PSH, 1, 1, b"a").online(PSH, 1, 2, 10).expect(&[]);
    s.engine.finish(s.now);
    s.expect(&[sent(RST, 1, 1, b"")])
        .expect_outcomes(&[Outcome::Pending]);
    assert_eq!(s.engine.sessions(), 0);
}

#[test]
fn echoes_are_counted_by_address_once_for_all_copies() {
    let mut s = Script::with(|config| config.copies = 3);
    let (first, proxy) = (s.client, Endpoint::new(Addr::v4([10, 0, 9, 9]), 5));
    s.hold();
    s.visit(first).wait(TENTH / 2 + TENTH / 10);
    s.visit(proxy);
    let mut tally = Tally::default();
    s.engine.tally(s.now, &mut tally);
    assert_eq!((tally.watch, tally.late), (1, false));
    let [suspect] = tally.suspects[..] else {
        panic!("{tally:?}")
    };
    assert_eq!((suspect.client, suspect.echoes), (proxy.addr, 1));
    assert_eq!(suspect.spans, [1, 0, 0, 0]);
}

/// Few connections are opened while a loop is looked for; the others wait, and the latest goes first: a loop goes round although many
/// wait.
#[test]
fn connections_are_opened_at_a_trickle_and_none_is_lost() {
    let mut s = Script::new();
    let first = s.client;
    let opened = |s: &mut Script| -> usize {
        let frames = s.frames();
        frames.iter().filter(|sent| sent.flags == SYN).count()
    };
    s.engine.throttle(s.now, Some(TENTH));
    for n in 0..4 {
        s.visit(Endpoint::new(first.addr, 40_000 + n));
    }
    assert_eq!(opened(&mut s), 1, "one at once");
    s.wait(TENTH / 2);
    assert_eq!(opened(&mut s), 0);
    s.wait(TENTH / 2);
    assert_eq!(opened(&mut s), 1);
    // It was the latest that went second: the target's answer to it is awaited, and its payload goes out then.
    s.client = Endpoint::new(first.addr, 40_003);
    s.target(SYN.with(ACK), 0, 1, 0)
        .expect(&[sent(PSH, 1, 1, b"a")]);
    s.engine.throttle(s.now, None);
    assert_eq!(opened(&mut s), 2, "the others");
    assert_eq!(s.engine.counters().sessions_shed, 0);
    s.visit(Endpoint::new(first.addr, 50_000));
    assert_eq!(opened(&mut s), 1);
    assert_eq!(s.engine.sessions(), 5);
}

#[test]
fn a_trickle_stands_still_in_a_hold() {
    let mut s = Script::new();
    let first = s.client;
    s.engine.throttle(s.now, Some(TENTH / 10));
    s.hold();
    for n in 0..2 {
        s.visit(Endpoint::new(first.addr, 40_000 + n));
    }
    s.wait(TENTH / 2).expect(&[]);
    s.wait(TENTH / 2);
    assert_eq!(s.frames().len(), 1, "one at the end of the hold");
    s.wait(TENTH / 10);
    assert_eq!(s.frames().len(), 1, "and then the other");
    s.wait(TENTH).expect(&[]);
}

/// The end of a run does not wait for it.
#[test]
fn a_trickle_does_not_hold_up_the_end() {
    let mut s = Script::new();
    s.engine.throttle(s.now, Some(Duration::from_secs(60)));
    s.visit(s.client).frames();
    s.visit(Endpoint::new(s.client.addr, 40_001)).expect(&[]);
    s.engine.finish(s.now);
    s.frames();
    assert_eq!(s.engine.sessions(), 0);
}

/// What is still under way when counting begins in a hold, and what of it comes back in it, is told.
#[test]
fn copies_that_come_back_in_a_hold_are_counted() {
    let mut s = Script::new();
    s.handshake();
    s.client(PSH, 1, 1, b"a").online(PSH, 1, 2, 10);
    s.frames();
    s.hold();
    let told = |s: &mut Script| {
        let mut tally = Tally::default();
        s.engine.tally(s.now, &mut tally);
        (tally.under_way, tally.came_back)
    };
    assert_eq!(told(&mut s), (None, None));
    s.wait(TENTH / 2);
    assert_eq!(told(&mut s), (Some(1), None));
    s.target(PSH, 1, 2, 10).wait(TENTH / 2);
    assert_eq!(told(&mut s), (Some(1), Some(1)));
}
