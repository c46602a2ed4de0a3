//! Which flows are joined whose beginning was not copied, and what is told of the others.

use session::Join;

use super::*;

const GET: &[u8] = b"GET / HTTP/1.1\r\n\r\n";
const LEN: u32 = GET.len() as u32;

fn standalone() -> Script {
    Script::with(|config| {
        config.rules[0].join = Join::Standalone;
        config.rules[0].resume_anywhere = false;
    })
}

/// A flow that was open before asks `requests`, each of which is answered online with 100 bytes. Returns what the target got
/// of each: whether a SYN left.
fn ask(s: &mut Script, requests: &[&[u8]]) -> Vec<bool> {
    let (mut seq, mut ack) = (500, 900);
    let mut syns = vec![];
    for request in requests {
        s.client(PSH, seq, ack, request);
        seq += request.len() as u32;
        s.online(PSH, ack, seq, 100);
        ack += 100;
        syns.push(s.frames().iter().any(|sent| sent.flags == SYN));
    }
    syns
}

fn left_out(s: &Script) -> (u64, u64) {
    let counters = s.engine.counters();
    (
        counters.left_out_open_before_flows,
        counters.left_out_open_before_bytes,
    )
}

#[test]
fn a_flow_is_joined_at_the_second_request_of_http_and_memcached() {
    for request in [GET, b"get key\r\n", b"set key 0 0 2\r\nab\r\n"] {
        let mut s = standalone();
        assert_eq!(ask(&mut s, &[request; 2]), [false, true]);
        assert_eq!(left_out(&s), (0, request.len() as u64));
        s.target(SYN.with(ACK), 0, 1, 0)
            .expect(&[sent(PSH, 1, 1, request)]);
    }
}

/// Nothing that the online server would not believe, or that is another connection's, changes what is known of a flow.
#[test]
fn what_is_forged_does_not_keep_a_flow_from_being_joined() {
    let far = 500 + (1 << 25);
    for (flags, seq, payload) in [
        (PSH, far, &b"forged"[..]),
        (PSH, 0u32.wrapping_sub(far), b"forged"),
        (FIN, far, b"forged"),
        (FIN, far, b""),
        (RST, far, b""),
        (RST, 500 + LEN + 10, b""),
        (FIN, 500 + LEN + 10, b""),
    ] {
        let mut s = standalone();
        assert_eq!(ask(&mut s, &[GET]), [false]);
        s.client(flags, seq, 1000, payload);
        s.client(PSH, 500 + LEN, 1000, GET)
            .expect(&[sent(SYN, 0, 0, b"")]);
        assert_eq!(left_out(&s), (0, LEN.into()));
        let unordered = s.engine.counters().left_out_unordered_bytes;
        assert_eq!(unordered, payload.len() as u64);
    }
}

#[test]
fn what_has_state_is_not_joined_and_is_told_once() {
    for request in [
        &b"*1\r\n$4\r\nPING\r\n"[..],
        b"Q\0\0\0\x0dselect 1\0",
        b"\0\0\x04\x01\x05\0\0\0\x01\x82\x86\x84\x41",
        b"\x30\x10\0\x05topicpayload",
        b"PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\n",
        b"MAIL FROM:<a@example.com>\r\n",
    ] {
        let mut s = standalone();
        assert_eq!(ask(&mut s, &[request; 5]), [false; 5]);
        assert_eq!(left_out(&s), (1, 5 * request.len() as u64));
        s.expect_outcomes(&[]);
    }
}

#[test]
fn records_of_tls_are_told_as_such() {
    let mut s = standalone();
    let record: &[u8] = &[0x17, 3, 3, 0, 4, 1, 2, 3, 4];
    assert_eq!(ask(&mut s, &[record; 3]), [false; 3]);
    let counters = s.engine.counters();
    assert_eq!(counters.left_out_unreplayable_bytes, 27);
    assert_eq!(left_out(&s), (1, 0));
}

/// A client writes a body that looks like a request, and waits before it for the server's word.
#[test]
fn a_body_that_was_asked_for_is_not_a_request() {
    let head = b"POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 18\r\n\r\n";
    let mut s = standalone();
    assert_eq!(
        ask(&mut s, &[head, GET, GET, GET]),
        [false, false, true, false]
    );
    // Its head was before the start, or in a hole.
    let mut s = standalone();
    s.online(PSH, 900, 500, 25);
    s.client(PSH, 500, 925, GET).online(PSH, 925, 500 + LEN, 10);
    s.expect(&[]);
    s.client(PSH, 500 + LEN, 935, GET)
        .expect(&[sent(SYN, 0, 0, b"")]);
}

#[test]
fn never_tells_a_flow_at_once() {
    let mut s = Script::with(|config| config.rules[0].join = Join::Never);
    assert_eq!(ask(&mut s, &[GET; 3]), [false; 3]);
    assert_eq!(left_out(&s), (1, 3 * u64::from(LEN)));
}

/// A poller that was there before the start.
#[test]
fn a_client_that_asks_rarely_is_joined_at_its_second_request() {
    let mut s = standalone();
    s.client(PSH, 500, 900, GET)
        .online(PSH, 900, 500 + LEN, 100);
    s.wait(Duration::from_secs(40)).expect(&[]);
    s.client(PSH, 500 + LEN, 1000, GET)
        .expect(&[sent(SYN, 0, 0, b"")]);
}

/// A flow that is copied from its beginning and then lost to a hole.
fn holed(request: &[u8]) -> Script {
    let len = request.len() as u32;
    let mut s = standalone();
    s.handshake();
    s.client(PSH, 1, 1, request).online(PSH, 1, 1 + len, 100);
    s.frames();
    s.target(PSH, 1, 1 + len, 100);
    // A request that nobody captured.
    s.online(PSH, 101, 1 + 2 * len, 100);
    s.wait(Duration::from_secs(1)).frames();
    s.expect_outcomes(&[Outcome::Answered, Outcome::Gap]);
    s
}

#[test]
fn after_a_hole_a_flow_is_joined_behind_a_whole_request_and_what_comes_before_is_missed() {
    let mut s = holed(GET);
    s.client(PSH, 1 + 2 * LEN, 201, GET)
        .online(PSH, 201, 1 + 3 * LEN, 100)
        .expect(&[])
        .expect_outcomes(&[Outcome::Missed]);
    s.client(PSH, 1 + 3 * LEN, 301, GET)
        .expect(&[sent(SYN, 0, 0, b"")])
        .expect_outcomes(&[]);
    let ping = b"*1\r\n$4\r\nPING\r\n";
    let (mut s, len) = (holed(ping), ping.len() as u32);
    for turn in 2..5 {
        s.client(PSH, 1 + turn * len, 1 + 100 * turn, ping);
        s.online(PSH, 1 + 100 * turn, 1 + (turn + 1) * len, 100);
        s.expect(&[]).expect_outcomes(&[Outcome::Missed]);
    }
}

/// A turn of a flow that is copied; `from` is its number.
fn turn(s: &mut Script, number: u32, request: &[u8]) {
    let len = request.len() as u32;
    s.client(PSH, 1 + number * len, 1 + 100 * number, request);
    s.online(PSH, 1 + 100 * number, 1 + (number + 1) * len, 100);
}

#[test]
fn a_flow_that_comes_back_after_the_idle_timeout_is_taken_up_again() {
    let mut s = Script::with(|config| {
        config.rules[0].join = Join::Standalone;
        config.idle_timeout = Duration::from_secs(2);
    });
    s.handshake();
    for number in 0..20 {
        turn(&mut s, number, GET);
        if number > 0 {
            s.expect(&[sent(SYN, 0, 0, b"")]);
            s.target(SYN.with(ACK), 0, 1, 0);
        }
        s.expect(&[sent(PSH, 1, 1, GET)]);
        s.target(PSH, 1, 1 + LEN, 100).wait(Duration::from_secs(3));
        assert_eq!(s.frames().last().map(|sent| sent.flags), Some(RST));
        s.expect_outcomes(&[Outcome::Answered]);
    }
    assert_eq!(s.engine.counters().bytes_skipped, 0);
}

#[test]
fn a_flow_that_comes_back_and_cannot_stand_alone_is_missed() {
    let mut s = Script::with(|config| {
        config.rules[0].join = Join::Standalone;
        config.idle_timeout = Duration::from_secs(2);
    });
    s.handshake();
    let statement = b"Q\0\0\0\x0dselect 1\0";
    turn(&mut s, 0, statement);
    s.frames();
    s.target(PSH, 1, 15, 100).wait(Duration::from_secs(3));
    s.frames();
    s.expect_outcomes(&[Outcome::Answered]);
    for number in 1..4 {
        turn(&mut s, number, statement);
        s.expect(&[]).expect_outcomes(&[Outcome::Missed]);
    }
}

#[test]
fn all_copies_of_a_flow_that_comes_back_begin_anew() {
    let mut s = Script::with(|config| {
        config.rules[0].join = Join::Standalone;
        config.idle_timeout = Duration::from_secs(2);
        config.copies = 2;
    });
    s.client(SYN, 0, 0, b"").online(SYN.with(ACK), 0, 1, 0);
    s.frames();
    s.target(SYN.with(ACK), 0, 1, 0).frames();
    turn(&mut s, 0, GET);
    s.frames();
    // One of the targets goes on talking.
    s.target(PSH, 1, 1 + LEN, 100);
    s.wait(Duration::from_secs(1)).target(PSH, 101, 1 + LEN, 1);
    s.wait(Duration::from_millis(1500)).frames();
    turn(&mut s, 1, GET);
    let syns = s.frames().iter().filter(|sent| sent.flags == SYN).count();
    assert_eq!(syns, 2);
}

#[test]
fn an_encrypted_flow_that_comes_back_is_still_encrypted() {
    let mut s = Script::with(|config| config.idle_timeout = Duration::from_secs(2));
    s.handshake();
    s.client(PSH, 1, 1, &[0x16, 3, 1, 2, 0, 1, 0, 1]);
    s.online(PSH, 1, 9, 100).wait(Duration::from_secs(3));
    s.frames();
    s.expect_outcomes(&[Outcome::Unreplayable]);
    s.client(PSH, 9, 101, b"more").expect(&[]);
    s.online(PSH, 101, 13, 100).client(PSH, 13, 201, b"more");
    s.expect(&[]).expect_outcomes(&[]);
    assert_eq!(s.engine.counters().left_out_unreplayable_bytes, 8);
}

/// A target that answers a flow that was joined with a refusal, and closes.
#[test]
fn a_rule_whose_joined_flows_are_ended_by_the_target_stops_joining() {
    let mut s = Script::with(|config| {
        config.rules[0].join = Join::Always;
        config.rules[0].resume_anywhere = false;
    });
    let first = s.client;
    let mut joined = 0;
    for number in 0..10 {
        s.client = Endpoint::new(first.addr, first.port + number);
        s.client(PSH, 500, 900, b"frame").online(PSH, 900, 505, 10);
        s.client(PSH, 505, 910, b"frame").online(PSH, 910, 510, 10);
        if !s.frames().iter().any(|sent| sent.flags == SYN) {
            continue;
        }
        joined += 1;
        s.target(SYN.with(ACK), 0, 1, 0).frames();
        s.target(FIN.with(PSH), 1, 6, 30).frames();
        s.client(PSH, 510, 920, b"frame").online(PSH, 920, 515, 10);
        assert_eq!(s.frames().iter().filter(|it| it.flags == SYN).count(), 0);
    }
    assert_eq!(joined, 3);
    let sight = s.engine.sights()[0];
    assert_eq!((sight.joins_refused, sight.joining_stopped), (3, 1));
    assert_eq!(s.engine.counters().target_closes, 3);
    // What stands alone still is.
    s.client = Endpoint::new(first.addr, first.port + 50);
    assert_eq!(ask(&mut s, &[GET, GET]), [false, true]);
}

/// The same where each request stands alone, and the target resets the connection at the first one: it wants a line of the PROXY
/// protocol, which came before the start.
#[test]
fn a_rule_whose_joined_flows_are_never_answered_stops_joining() {
    let mut s = Script::with(|config| {
        config.rules[0].join = Join::Always;
        config.rules[0].resume_anywhere = false;
    });
    let mut connections = 0;
    for number in 0..20 {
        let (seq, ack) = (500 + number * LEN, 900 + 100 * number);
        s.client(PSH, seq, ack, GET);
        if s.frames().iter().any(|sent| sent.flags == SYN) {
            connections += 1;
            s.target(SYN.with(ACK), 0, 1, 0).frames();
            s.target(ACK, 1, 1 + LEN, 0).target(RST, 1, 1 + LEN, 0);
            s.frames();
        }
        s.online(PSH, ack, seq + LEN, 100);
    }
    assert_eq!(connections, 3);
    assert_eq!(s.engine.sights()[0].joining_stopped, 1);
    // Nor is another flow joined.
    s.client.port += 1;
    assert_eq!(ask(&mut s, &[GET, GET, GET]), [false; 3]);
}

/// A client that connects, is silent for longer than the idle timeout, and then speaks for the first time.
#[test]
fn a_flow_that_was_idle_before_its_first_request_begins_with_it() {
    for request in [GET, b"Q\0\0\0\x0dselect 1\0"] {
        let mut s = Script::with(|config| {
            config.rules[0].join = Join::Standalone;
            config.rules[0].resume_anywhere = false;
            config.idle_timeout = Duration::from_secs(2);
        });
        s.handshake();
        s.wait(Duration::from_secs(60)).frames();
        s.client(PSH, 1, 1, request).expect(&[sent(SYN, 0, 0, b"")]);
        s.target(SYN.with(ACK), 0, 1, 0)
            .expect(&[sent(PSH, 1, 1, request)]);
        assert_eq!(s.engine.counters().bytes_skipped, 0);
    }
}

/// What follows a greeting has state, whatever it looks like.
#[test]
fn a_greeted_flow_is_not_taken_up_again() {
    let get = b"get key\r\n";
    let mut s = Script::with(|config| {
        config.rules[0].join = Join::Standalone;
        config.rules[0].resume_anywhere = false;
        config.idle_timeout = Duration::from_secs(2);
    });
    s.handshake();
    s.online(PSH, 1, 1, 20).target(PSH, 1, 1, 20).frames();
    s.client(PSH, 1, 21, get).online(PSH, 21, 10, 6).frames();
    s.target(PSH, 21, 10, 6).wait(Duration::from_secs(3));
    s.frames();
    s.expect_outcomes(&[Outcome::Answered]);
    s.client(PSH, 10, 27, get).expect(&[]);
    s.online(PSH, 27, 19, 6)
        .client(PSH, 19, 33, get)
        .expect(&[]);
    s.expect_outcomes(&[Outcome::Missed; 2]);
}

/// The pool has no port for a session, so that its first turn ends; its second means nothing without the first.
#[test]
fn a_session_that_never_connected_does_not_begin_in_the_middle() {
    let mut s = Script::with(|config| {
        config.rules[0].resume_anywhere = false;
        let Source::Pool { ranges, .. } = &mut config.source else {
            return;
        };
        ranges[0].port_last = ranges[0].port_first;
    });
    s.handshake();
    let first = s.client;
    s.client = Endpoint::new(first.addr, first.port + 1);
    s.client(SYN, 0, 0, b"").online(SYN.with(ACK), 0, 1, 0);
    s.client(PSH, 1, 1, b"login").online(PSH, 1, 6, 10);
    s.client(PSH, 6, 11, b"query").expect(&[]);
    let second = core::mem::replace(&mut s.client, first);
    s.client(RST, 1, 1, b"").frames();
    s.wait(Duration::from_secs(2)).frames();
    s.client = second;
    s.online(PSH, 11, 11, 10).client(PSH, 11, 21, b"query");
    s.online(PSH, 21, 16, 10).client(PSH, 16, 31, b"query");
    s.expect(&[]);
    assert!(s.outcomes().iter().all(|it| *it == Outcome::Collision));
}

/// A flow is forgotten while a part of its client's bytes is missing: what comes behind them is the middle of what is lost, be it the
/// first turn or a later one.
#[test]
fn a_flow_that_was_forgotten_with_a_hole_does_not_go_on_behind_it() {
    let get = b"get key\r\n";
    for begun in [false, true] {
        let mut s = Script::with(|config| {
            config.rules[0].join = Join::Standalone;
            config.rules[0].resume_anywhere = false;
            config.idle_timeout = Duration::from_secs(2);
        });
        s.handshake();
        let (mut at, mut seen) = (1, 1);
        if begun {
            s.client(PSH, at, seen, get).online(PSH, seen, at + 9, 60);
            s.frames();
            s.target(PSH, seen, at + 9, 60);
            (at, seen) = (at + 9, seen + 60);
        }
        s.client(ACK, at + 4, seen, b"efgh");
        s.wait(Duration::from_secs(3)).frames();
        s.client(ACK, at, seen, b"abcd")
            .online(ACK, seen, at + 8, 0);
        s.client(PSH, at + 8, seen, get).expect(&[]);
    }
}

/// The target has closed, and the next turn comes in pieces, of which the first does not tell yet that it stands alone.
#[test]
fn a_turn_whose_beginning_does_not_tell_is_waited_for() {
    let cases: [(&[u8], &[u8], bool); 3] = [
        (b"ge", b"t key\r\n", true),
        (b"GET ", b"/ HTTP/1.1\r\n\r\n", true),
        (b"ge", b"neral\r\n", false),
    ];
    for (first, rest, joins) in cases {
        let mut s = Script::with(|config| config.rules[0].resume_anywhere = false);
        s.handshake();
        s.client(PSH, 1, 1, b"get key\r\n").online(PSH, 1, 10, 60);
        s.frames();
        s.target(FIN.with(PSH), 1, 10, 60).frames();
        s.client(ACK, 10, 61, first).target(ACK, 62, 11, 0);
        assert!(s.frames().iter().all(|it| it.flags != SYN));
        s.client(PSH, 10 + first.len() as u32, 61, rest);
        assert_eq!(s.frames().iter().any(|it| it.flags == SYN), joins);
        s.expect_outcomes(&[Outcome::Answered]);
        assert_eq!(
            s.engine.counters().flows_without_beginning,
            u64::from(!joins)
        );
    }
}
