//! Flows that a protocol module reads: turns are messages, and what the target says of each is told by its own words.

use std::sync::Arc;

use super::*;
use protocol::digest::{Headers, Key};
use protocol::{Asked, Choice, Digests, Module, Protocol};

pub(super) const ONE: &[u8] = b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\n";
pub(super) const TWO: &[u8] = b"GET /2 HTTP/1.1\r\nHost: a\r\n\r\n";
pub(super) const LEN: u32 = ONE.len() as u32;

pub(super) fn response(body: usize) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {body}\r\n\r\n");
    let mut response = head.into_bytes();
    response.resize(response.len() + body, b'x');
    response
}

pub(super) fn http(choice: Choice) -> Script {
    let mut s = Script::with(|config| {
        config.rules[0].module = Some(Arc::new(Module {
            choice,
            ..Module::default()
        }));
    });
    s.handshake();
    s
}

impl Script {
    /// How turns have ended: their outcomes, whether they are paired, and how long both answers were.
    pub(super) fn ended(&mut self) -> Vec<(Outcome, bool, u64, u64)> {
        let bytes = |response: Option<session::Response>| response.map_or(0, |it| it.bytes);
        core::iter::from_fn(|| self.engine.poll_event())
            .filter_map(|event| match event {
                Event::TurnEnded(it) => {
                    Some((it.outcome, it.paired, bytes(it.online), bytes(it.target)))
                }
                _ => None,
            })
            .collect()
    }

    pub(super) fn payloads(&mut self) -> Vec<u8> {
        self.frames()
            .into_iter()
            .flat_map(|it| it.payload)
            .collect()
    }
}

/// The target's answers are longer or shorter than the online server's, and no silence is waited for.
#[test]
fn an_answer_ends_where_it_ends() {
    for choice in [Choice::Auto, Choice::Is(Protocol::Http1)] {
        for size in [0, 10, 300] {
            let mut s = http(choice);
            let (online, target) = (response(100), response(size));
            let (mut asked, mut seen, mut said) = (1, 1, 1);
            for _ in 0..5 {
                s.client(PSH, asked, seen, ONE);
                asked += LEN;
                assert_eq!(s.payloads(), ONE, "at once");
                s.online_packet(PSH, seen, asked, &online);
                seen += online.len() as u32;
                // The next waits for the last byte of the answer, and for nothing else.
                s.client(PSH, asked, seen, TWO);
                let (last, first) = target.split_last().unwrap();
                s.target_packet(PSH, said, asked, first);
                assert_eq!(s.payloads(), b"");
                said += first.len() as u32;
                s.target_packet(PSH, said, asked, &[*last]);
                said += 1;
                asked += LEN;
                assert_eq!(s.payloads(), TWO);
                s.online_packet(PSH, seen, asked, &online);
                seen += online.len() as u32;
                s.target_packet(PSH, said, asked, &target);
                said += target.len() as u32;
            }
            s.wait(Duration::from_millis(100));
            let one = (
                Outcome::Answered,
                true,
                online.len() as u64,
                target.len() as u64,
            );
            assert_eq!(s.ended(), [one; 10], "{choice:?} {size}");
        }
    }
}

/// What was under way together is so at the target as well, and each request has its own answer.
#[test]
fn a_pipeline_stays_one() {
    let mut s = http(Choice::Auto);
    let batch = [ONE, TWO, ONE].concat();
    s.client(PSH, 1, 1, &batch);
    assert_eq!(s.payloads(), batch);
    let online = [response(10), response(20), response(30)].concat();
    s.online_packet(PSH, 1, 1 + 3 * LEN, &online[..60]);
    // It has seen the first answer only.
    let first = 1 + response(10).len() as u32;
    s.client(PSH, 1 + 3 * LEN, first, TWO);
    assert_eq!(s.payloads(), b"");
    let target = [response(11), response(22), response(33)].concat();
    s.target_packet(PSH, 1, 1 + 3 * LEN, &target[..response(11).len()]);
    assert_eq!(s.payloads(), TWO);
    s.online_packet(PSH, 61, 1 + 4 * LEN, &online[60..]);
    let at = 1 + response(11).len() as u32;
    s.target_packet(PSH, at, 1 + 4 * LEN, &target[response(11).len()..]);
    let len = |body| response(body).len() as u64;
    let ended = |online, target| (Outcome::Answered, true, len(online), len(target));
    assert_eq!(s.ended(), [ended(10, 11), ended(20, 22), ended(30, 33)]);
}

/// A target that is faster than the online server: what it said is kept until that has spoken as well.
#[test]
fn the_target_may_be_first() {
    let mut s = http(Choice::Auto);
    s.client(PSH, 1, 1, &[ONE, TWO].concat());
    assert_eq!(s.payloads(), [ONE, TWO].concat());
    s.target_packet(PSH, 1, 1 + 2 * LEN, &[response(5), response(6)].concat());
    assert_eq!(s.ended(), []);
    s.online_packet(PSH, 1, 1 + 2 * LEN, &[response(7), response(8)].concat());
    let len = |body| response(body).len() as u64;
    let ended = |online, target| (Outcome::Answered, true, len(online), len(target));
    assert_eq!(s.ended(), [ended(7, 5), ended(8, 6)]);
}

pub(super) const UPLOAD: &[u8] =
    b"PUT /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n";
pub(super) const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// A body that the online server has asked for waits for the target to ask for it, or for a second.
#[test]
fn a_body_is_asked_for() {
    for (asks, early) in [(true, false), (true, true), (false, false)] {
        let mut s = http(Choice::Auto);
        let len = UPLOAD.len() as u32;
        s.client(PSH, 1, 1, UPLOAD);
        assert_eq!(s.payloads(), UPLOAD);
        s.online_packet(PSH, 1, 1 + len, CONTINUE);
        if asks && early {
            s.target_packet(PSH, 1, 1 + len, CONTINUE);
        } else {
            s.target_packet(ACK, 1, 1 + len, b"");
        }
        s.client(PSH, 1 + len, 26, b"body");
        if asks && !early {
            assert_eq!(s.payloads(), b"");
            s.target_packet(PSH, 1, 1 + len, CONTINUE);
        } else if !asks {
            assert_eq!(s.payloads(), b"");
            s.wait(Duration::from_millis(1100));
        }
        assert_eq!(s.payloads(), b"body", "{asks} {early}");
        s.online_packet(PSH, 26, 5 + len, &response(9));
        let said = if asks { 26 } else { 1 };
        s.target_packet(PSH, said, 5 + len, &response(8));
        let last = (
            Outcome::Answered,
            true,
            response(9).len() as u64,
            response(8).len() as u64,
        );
        let ended = s.ended();
        assert_eq!(ended.len(), 2, "{asks} {early}: {ended:?}");
        assert_eq!(ended[1], last, "{asks} {early}");
        let outcome = if asks {
            Outcome::Answered
        } else {
            Outcome::Delivered
        };
        assert_eq!(ended[0].0, outcome, "{asks} {early}");
    }
}

/// Who does not wait for it sends one message.
#[test]
fn a_body_that_nobody_waits_for_is_a_part_of_its_message() {
    let mut s = http(Choice::Auto);
    let len = UPLOAD.len() as u32;
    s.client(PSH, 1, 1, UPLOAD);
    s.online_packet(PSH, 1, 1 + len, CONTINUE);
    s.client(PSH, 1 + len, 1, b"body");
    assert_eq!(s.payloads(), [UPLOAD, b"body"].concat());
    s.target_packet(PSH, 1, 5 + len, &[CONTINUE, &response(8)].concat());
    s.online_packet(PSH, 26, 5 + len, &response(9));
    let bytes = |body| (CONTINUE.len() + response(body).len()) as u64;
    assert_eq!(s.ended(), [(Outcome::Answered, true, bytes(9), bytes(8))]);
}

/// Behind a switch of protocols bytes pass as they are.
#[test]
fn an_upgrade_leaves() {
    let mut s = http(Choice::Auto);
    let ask = b"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    let switch = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n";
    let (len, by) = (ask.len() as u32, switch.len() as u32);
    s.client(PSH, 1, 1, ask);
    assert_eq!(s.payloads(), ask);
    s.online_packet(PSH, 1, 1 + len, switch);
    s.client(PSH, 1 + len, 1 + by, b"\x81\x01a");
    assert_eq!(s.payloads(), b"", "the target has not switched yet");
    s.target_packet(PSH, 1, 1 + len, switch);
    assert_eq!(s.payloads(), b"\x81\x01a");
    s.target_packet(ACK, 1 + by, 4 + len, b"");
    s.client(PSH, 4 + len, 1 + by, b"\x81\x01b");
    s.wait(Duration::from_secs(1));
    assert_eq!(s.payloads(), b"\x81\x01b");
    assert_eq!(s.engine.counters().module_left_upgraded, 1);
}

/// What no module knows is copied in turns, as without one.
#[test]
fn another_protocol_is_none_of_the_modules() {
    let mut s = http(Choice::Auto);
    s.client(PSH, 1, 1, b"EHLO me\r\n");
    assert_eq!(s.payloads(), b"EHLO me\r\n");
    s.online_packet(PSH, 1, 10, b"250 hello\r\n");
    s.client(PSH, 10, 12, b"QUIT\r\n");
    assert_eq!(s.payloads(), b"");
    s.target_packet(PSH, 1, 10, b"250 hello\r\n");
    assert_eq!(s.payloads(), b"QUIT\r\n");
    assert_eq!(s.ended(), [(Outcome::Answered, true, 11, 11)]);
    assert_eq!(s.engine.counters().module_left_unknown, 1);
}

/// A target that closes in the middle of its answer has not answered, whatever it had said.
#[test]
fn half_an_answer_is_none() {
    let mut s = http(Choice::Auto);
    s.client(PSH, 1, 1, ONE);
    s.payloads();
    s.online_packet(PSH, 1, 1 + LEN, &response(100));
    let half = &response(100)[..50];
    s.target_packet(FIN, 1, 1 + LEN, half);
    s.client(PSH, 1 + LEN, 1 + response(100).len() as u32, TWO);
    s.frames();
    assert_eq!(s.ended()[0].0, Outcome::TargetClosed);
}

/// A target that says nothing has as long as any.
#[test]
fn silence_times_out() {
    let mut s = http(Choice::Auto);
    s.client(PSH, 1, 1, ONE);
    s.payloads();
    s.online_packet(PSH, 1, 1 + LEN, &response(100));
    s.target_packet(ACK, 1, 1 + LEN, b"");
    s.client(PSH, 1 + LEN, 1 + response(100).len() as u32, TWO);
    s.wait(Duration::from_secs(29));
    assert_eq!(s.payloads(), b"");
    s.wait(Duration::from_secs(2));
    assert_eq!(s.payloads(), TWO);
    assert_eq!(s.ended()[0].0, Outcome::TimedOut);
    // Its answer comes late, and is not taken for the next one's.
    s.online_packet(
        PSH,
        1 + response(100).len() as u32,
        1 + 2 * LEN,
        &response(10),
    );
    s.target_packet(PSH, 1, 1 + 2 * LEN, &response(100));
    s.target_packet(
        PSH,
        1 + response(100).len() as u32,
        1 + 2 * LEN,
        &response(11),
    );
    let len = |body| response(body).len() as u64;
    assert_eq!(s.ended(), [(Outcome::Answered, true, len(10), len(11))]);
}

/// Where the payload of a response was not recorded, the flow goes on in turns.
#[test]
fn what_cannot_be_read_goes_on_in_turns() {
    let mut s = http(Choice::Auto);
    s.client(PSH, 1, 1, ONE);
    s.payloads();
    s.online_packet(PSH, 1, 1 + LEN, &response(100));
    let len = response(100).len();
    s.client(PSH, 1 + LEN, 1 + len as u32, TWO);
    s.target(PSH, 1, 1 + LEN, len);
    assert_eq!(s.engine.counters().module_target_lost, 1);
    s.wait(Duration::from_millis(600));
    assert_eq!(s.payloads(), TWO);
    assert_eq!(s.ended()[0].0, Outcome::Answered);
}

fn read_only(choice: Choice) -> Script {
    let mut s = Script::with(|config| {
        config.rules[0].module = Some(Arc::new(Module {
            choice,
            read_only: true,
            ..Module::default()
        }));
    });
    s.handshake();
    s
}

/// What is filtered out leaves no gap: its neighbours are copied, each when its client had seen as many answers.
#[test]
fn what_is_filtered_out_is_no_turn() {
    let mut s = read_only(Choice::Auto);
    let post = b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc";
    let len = post.len() as u32;
    s.client(PSH, 1, 1, ONE);
    assert_eq!(s.payloads(), ONE);
    s.online_packet(PSH, 1, 1 + LEN, &response(10));
    let seen = 1 + response(10).len() as u32;
    s.client(PSH, 1 + LEN, seen, post);
    assert_eq!(s.payloads(), b"");
    s.online_packet(PSH, seen, 1 + LEN + len, &response(20));
    let seen = seen + response(20).len() as u32;
    // A pipeline of three, of which the second is left out.
    s.client(PSH, 1 + LEN + len, seen, &[TWO, post, ONE].concat());
    assert_eq!(s.payloads(), b"", "the target has not answered the first");
    s.target_packet(PSH, 1, 1 + LEN, &response(11));
    assert_eq!(s.payloads(), [TWO, ONE].concat());
    s.online_packet(
        PSH,
        seen,
        1 + 3 * LEN + 2 * len,
        &[response(30), response(40), response(50)].concat(),
    );
    let said = 1 + response(11).len() as u32;
    s.target_packet(
        PSH,
        said,
        1 + 3 * LEN,
        &[response(31), response(51)].concat(),
    );
    let len = |body| response(body).len() as u64;
    let ended = |online, target| (Outcome::Answered, true, len(online), len(target));
    let filtered = (Outcome::Filtered, false, 0, 0);
    assert_eq!(
        s.ended(),
        [
            filtered,
            filtered,
            ended(10, 11),
            ended(30, 31),
            ended(50, 51)
        ]
    );
}

/// A flow that cannot be judged is left out as a whole.
#[test]
fn what_cannot_be_judged_is_left_out() {
    for first in [&b"EHLO me\r\n"[..], b"GET / HTTP/1.1\r\nbad header\r\n\r\n"] {
        let mut s = read_only(Choice::Auto);
        s.client(PSH, 1, 1, first);
        let len = first.len() as u32;
        s.online_packet(PSH, 1, 1 + len, b"250 hello\r\n");
        s.client(PSH, 1 + len, 12, b"DATA\r\n");
        s.wait(Duration::from_secs(1));
        assert_eq!(s.payloads(), b"");
        let filtered = (Outcome::Filtered, false, 0, 0);
        assert_eq!(s.ended(), [filtered, filtered], "{first:?}");
    }
}

/// The client's end, its reset and the end of the run.
#[test]
fn ends_of_all_kinds() {
    // A half-close behind the last request: its answer is waited for.
    let mut s = http(Choice::Auto);
    s.client(FIN, 1, 1, ONE);
    assert_eq!(s.payloads(), ONE);
    s.online_packet(FIN, 1, 2 + LEN, &response(10));
    s.target_packet(PSH, 1, 1 + LEN, &response(12));
    let len = |body| response(body).len() as u64;
    assert_eq!(s.ended(), [(Outcome::Answered, true, len(10), len(12))]);
    assert_eq!(s.frames().last().map(|it| it.flags), Some(FIN));

    // A reset that wants nothing of the answer.
    let mut s = http(Choice::Auto);
    s.client(PSH, 1, 1, ONE);
    s.payloads();
    s.online_packet(ACK, 1, 1 + LEN, b"");
    s.client(RST, 1 + LEN, 1, b"");
    s.target_packet(ACK, 1, 1 + LEN, b"");
    assert_eq!(s.frames().last().map(|it| it.flags), Some(RST));
    assert_eq!(s.ended(), [(Outcome::Aborted, false, 0, 0)]);

    // A request that its client does not finish is copied as far as it goes.
    let mut s = http(Choice::Auto);
    s.client(FIN, 1, 1, &ONE[..20]);
    assert_eq!(s.payloads(), &ONE[..20]);

    // A drain waits for what is under way, and for nothing else.
    let mut s = http(Choice::Auto);
    s.client(PSH, 1, 1, ONE);
    s.payloads();
    s.online_packet(PSH, 1, 1 + LEN, &response(10));
    s.engine.stop_capture(s.now);
    s.target_packet(PSH, 1, 1 + LEN, &response(100)[..60]);
    assert_eq!(s.engine.turns_waiting(s.now), 1);
    s.target_packet(PSH, 61, 1 + LEN, &response(100)[60..]);
    assert_eq!(s.engine.turns_waiting(s.now), 0);
    s.engine.finish(s.now);
    assert_eq!(s.ended(), [(Outcome::Answered, true, len(10), len(100))]);
}

/// What a target says of several messages at once is no sample of the first.
#[test]
fn samples_of_a_pipeline() {
    let mut s = http(Choice::Auto);
    s.engine.sample_responses(32);
    s.client(PSH, 1, 1, &[ONE, TWO].concat());
    s.payloads();
    let online = [response(7), response(8)].concat();
    s.online_packet(PSH, 1, 1 + 2 * LEN, &online);
    s.target_packet(PSH, 1, 1 + 2 * LEN, &[response(5), response(6)].concat());
    let next = 1 + online.len() as u32;
    s.client(PSH, 1 + 2 * LEN, next, ONE);
    s.payloads();
    s.online_packet(PSH, next, 1 + 3 * LEN, &response(7));
    let said = 1 + [response(5), response(6)].concat().len() as u32;
    s.target_packet(PSH, said, 1 + 3 * LEN, &response(9));
    let mut seen = Vec::new();
    while let Some(event) = s.engine.poll_event() {
        if let Event::TurnEnded(turn) = event {
            seen.push(turn.samples.filter(|it| it.target.whole && it.online.whole));
        }
    }
    let known: Vec<bool> = seen.iter().map(Option::is_some).collect();
    assert_eq!(known, [false, false, true]);
    let last = seen[2].as_ref().expect("it is known");
    assert_eq!(last.target.bytes, response(9)[..32]);
    assert_eq!(last.online.bytes, response(7)[..32]);
}

/// A target that is silent times out although the online server's answers cannot be read.
#[test]
fn a_deaf_flow_times_out() {
    let mut s = http(Choice::Auto);
    s.client(PSH, 1, 1, ONE);
    s.payloads();
    let len = response(100).len();
    s.online(PSH, 1, 1 + LEN, len);
    assert_eq!(s.engine.counters().module_online_lost, 1);
    s.target_packet(ACK, 1, 1 + LEN, b"");
    s.client(PSH, 1 + LEN, 1 + len as u32, TWO);
    s.wait(Duration::from_secs(31));
    assert_eq!(s.payloads(), TWO);
    assert_eq!(s.ended()[0].0, Outcome::TimedOut);
}

/// Both answers to each message are told with what was asked, however long the flow is.
#[test]
fn answers_are_compared() {
    let mut s = Script::with(|config| {
        config.rules[0].module = Some(Arc::new(Module::default()));
        config.digests = Some(Arc::new(Digests::new(
            Key { k0: 1, k1: 2 },
            Headers::default(),
        )));
    });
    s.handshake();
    let (online, target) = (response(100), response(30));
    let (mut asked, mut seen, mut said) = (1, 1, 1);
    let rounds = 20;
    for _ in 0..rounds {
        s.client(PSH, asked, seen, ONE);
        asked += LEN;
        s.payloads();
        s.online_packet(PSH, seen, asked, &online);
        seen += online.len() as u32;
        s.target_packet(PSH, said, asked, &target);
        said += target.len() as u32;
    }
    s.client(PSH, asked, seen, ONE);
    asked += LEN;
    s.payloads();
    s.online_packet(PSH, seen, asked, &online);
    s.target_packet(RST, said, asked, b"");
    let compared = core::iter::from_fn(|| s.engine.poll_event()).filter_map(|event| match event {
        Event::Compared(compared) => Some(compared),
        _ => None,
    });
    let compared: Vec<_> = compared.collect();
    assert_eq!(compared.len(), rounds + 1);
    for (number, compared) in compared.iter().enumerate() {
        assert_eq!(*compared.asked, Asked::path(b"GET", b"/1"));
        let target = compared.target.as_ref().map(|it| it.sent.len);
        assert_eq!(
            (compared.online.status, compared.online.sent.len),
            (200, 100)
        );
        assert_eq!(target, (number < rounds).then_some(30));
    }
}

/// The target may be first also where the online server's answers cannot be read: that it has taken the request is waited for.
#[test]
fn a_deaf_flow_waits_for_the_online_servers_word() {
    let mut s = http(Choice::Auto);
    s.client(PSH, 1, 1, ONE);
    s.payloads();
    let answer = response(100);
    let len = answer.len() as u32;
    s.online(PSH, 1, 1 + LEN, answer.len());
    assert_eq!(s.engine.counters().module_online_lost, 1);
    s.target_packet(PSH, 1, 1 + LEN, &answer);
    assert_eq!(s.ended()[0].0, Outcome::Answered);
    s.client(PSH, 1 + LEN, 1 + len, TWO);
    assert_eq!(s.payloads(), TWO);
    let asked = 1 + LEN + TWO.len() as u32;
    s.target_packet(PSH, 1 + len, asked, &answer);
    s.wait(Duration::from_millis(10));
    assert_eq!(s.ended(), []);
    s.online(PSH, 1 + len, asked, answer.len());
    assert_eq!(s.ended()[0].0, Outcome::Answered);
}

/// A flow that was open before is joined at its second request, and both servers' responses are read from there on.
#[test]
fn a_flow_that_is_joined_is_heard() {
    let mut s = Script::with(|config| {
        config.rules[0].join = session::Join::Standalone;
        config.rules[0].module = Some(Arc::new(Module {
            choice: Choice::Auto,
            ..Module::default()
        }));
    });
    let online = response(100);
    let (mut asked, mut seen) = (500, 900);
    for request in 0..4 {
        s.client(PSH, asked, seen, ONE);
        asked += LEN;
        s.online_packet(PSH, seen, asked, &online);
        seen += online.len() as u32;
        let syn = s.frames().iter().any(|sent| sent.flags == SYN);
        assert_eq!(syn, request == 1, "{request}");
    }
    assert_eq!(s.engine.counters().module_online_lost, 0);
}

/// A message that a hold keeps from departing is none that the target has closed on: it goes to the next connection.
#[test]
fn a_hold_holds_messages_and_a_close_in_it_loses_none() {
    let mut s = http(Choice::Auto);
    let answer = response(100);
    let len = answer.len() as u32;
    s.client(PSH, 1, 1, ONE);
    assert_eq!(s.payloads(), ONE);
    let begin = s.now;
    let (guard, window) = (Duration::ZERO, Duration::from_millis(100));
    let watch = session::Watch {
        number: 1,
        begin,
        guard,
        window,
        held: 0,
    };
    s.engine.watch(begin, watch);
    s.online_packet(PSH, 1, 1 + LEN, &answer);
    s.client(PSH, 1 + LEN, 1 + len, TWO);
    s.target_packet(PSH, 1, 1 + LEN, &answer);
    assert_eq!(s.payloads(), b"", "held");
    s.target_packet(FIN, 1 + len, 1 + LEN, b"");
    s.online_packet(PSH, 1 + len, 1 + LEN + TWO.len() as u32, &answer);
    s.client(PSH, 1 + LEN + TWO.len() as u32, 1 + 2 * len, ONE);
    assert_eq!(s.payloads(), b"", "still held");
    s.wait(Duration::from_millis(100));
    assert_eq!(s.ended(), [(Outcome::Answered, true, 140, 140)]);
    let frames = s.frames();
    let syns = frames.iter().filter(|sent| sent.flags == SYN).count();
    assert_eq!(syns, 1, "a new connection");
    assert_eq!(s.ended(), []);
}

/// A target that says that it closes takes nothing more: what follows goes to the next connection, and nothing is lost.
#[test]
fn a_target_that_says_that_it_closes_is_believed() {
    for closes in [true, false] {
        let mut s = http(Choice::Auto);
        let online = response(30);
        let target = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
        s.client(PSH, 1, 1, ONE);
        assert_eq!(s.payloads(), ONE);
        s.online_packet(PSH, 1, 1 + LEN, &online);
        let seen = 1 + online.len() as u32;
        s.client(PSH, 1 + LEN, seen, TWO);
        s.target_packet(PSH, 1, 1 + LEN, target);
        assert_eq!(s.payloads(), b"", "it would not be read");
        if closes {
            s.target_packet(FIN, 1 + target.len() as u32, 1 + LEN, b"");
            let frames = s.frames();
            assert!(frames.iter().any(|sent| sent.flags == SYN), "{frames:?}");
        } else {
            s.wait(session::limits::CLOSE_WAIT + Duration::from_millis(10));
            assert_eq!(s.payloads(), TWO, "it does not close");
        }
        s.online_packet(PSH, seen, 1 + LEN + TWO.len() as u32, &online);
        let ended: Vec<Outcome> = s.ended().into_iter().map(|it| it.0).collect();
        assert_eq!(ended, [Outcome::Answered]);
    }
}
