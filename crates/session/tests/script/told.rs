//! Flows that a protocol module reads, where not all goes well: records come late, messages stay unfinished, targets close early, and flows
//! are silent for long.

use std::sync::Arc;

use super::messages::{CONTINUE, LEN, ONE, TWO, UPLOAD, http, response};
use super::*;
use protocol::{Choice, Module};

/// The online server has taken what it has answered, although the beginning of the next message is not acknowledged yet.
#[test]
fn an_answered_message_was_served() {
    let mut s = http(Choice::Auto);
    s.client(PSH, 1, 1, ONE);
    s.payloads();
    s.online_packet(PSH, 1, 1 + LEN, &response(10));
    s.client(PSH, 1 + LEN, 1 + response(10).len() as u32, &TWO[..20]);
    assert_eq!(s.payloads(), b"", "its head is not whole");
    s.target_packet(PSH, 1, 1 + LEN, &response(12));
    let len = |body| response(body).len() as u64;
    assert_eq!(s.ended(), [(Outcome::Answered, true, len(10), len(12))]);
}

/// What a module holds of a message that never becomes whole is counted as left out.
#[test]
fn an_unfinished_message_is_counted() {
    let mut s = http(Choice::Auto);
    s.client(PSH, 1, 1, &[ONE, &TWO[..20]].concat());
    assert_eq!(s.payloads(), ONE);
    s.engine.finish(s.now);
    s.frames();
    assert_eq!(s.engine.sessions(), 0);
    assert_eq!(s.engine.counters().left_out_unordered_bytes, 20);
}

/// A target that has answered a pipeline and closes, or resets, before the online server has answered it: what was answered was.
#[test]
fn a_target_may_close_behind_a_pipeline() {
    for ends in [FIN, RST] {
        let mut s = http(Choice::Auto);
        s.client(PSH, 1, 1, &[ONE, TWO].concat());
        assert_eq!(s.payloads(), [ONE, TWO].concat());
        s.online_packet(ACK, 1, 1 + 2 * LEN, b"");
        let said = [response(5), response(6)].concat();
        s.target_packet(PSH, 1, 1 + 2 * LEN, &said);
        s.target_packet(ends, 1 + said.len() as u32, 1 + 2 * LEN, b"");
        let online = [response(7), response(8)].concat();
        s.online_packet(PSH, 1, 1 + 2 * LEN, &online);
        let ended = s.ended();
        let outcomes: Vec<Outcome> = ended.iter().map(|it| it.0).collect();
        assert_eq!(outcomes, [Outcome::Answered; 2], "{ends:?}: {ended:?}");
        // Of a connection that was reset nothing is kept until the online server has answered.
        assert!(ended.iter().all(|it| it.1 == (ends == FIN)), "{ended:?}");
        assert!(
            s.frames().iter().all(|it| it.flags != SYN),
            "nothing is sent again"
        );
    }
}

/// The online server's answer that is recorded a little later than its client's next word was not lost.
#[test]
fn the_online_server_may_be_recorded_late() {
    let mut s = Script::with(|config| {
        config.gap_grace = Duration::from_millis(20);
        config.rules[0].module = Some(Arc::new(Module::default()));
    });
    s.handshake();
    s.client(PSH, 1, 1, ONE);
    assert_eq!(s.payloads(), ONE);
    s.client(PSH, 1 + LEN, 1 + response(10).len() as u32, TWO);
    s.online_packet(PSH, 1, 1 + LEN, &response(10));
    assert_eq!(s.payloads(), b"");
    s.target_packet(PSH, 1, 1 + LEN, &response(12));
    assert_eq!(s.payloads(), TWO);
    let len = |body| response(body).len() as u64;
    assert_eq!(s.ended(), [(Outcome::Answered, true, len(10), len(12))]);
    assert_eq!(s.engine.counters().module_online_lost, 0);
}

/// A client that resets its connection has seen an answer of which no record came: all that it has asked for is waited for.
#[test]
fn a_reset_waits_for_what_its_client_has_seen() {
    let mut s = http(Choice::Auto);
    s.client(PSH, 1, 1, ONE);
    assert_eq!(s.payloads(), ONE);
    let seen = 1 + response(10).len() as u32;
    s.client(RST, 1 + LEN, seen, b"");
    assert_eq!(s.ended(), []);
    s.online_packet(PSH, 1, 1 + LEN, &response(10));
    s.target_packet(PSH, 1, 1 + LEN, &response(12));
    let ended = s.ended();
    assert_eq!(ended.len(), 1);
    assert_eq!(
        (ended[0].0, ended[0].1),
        (Outcome::Answered, false),
        "{ended:?}"
    );
}

/// A flow that was silent for long is taken up again behind a message that was left out.
#[test]
fn a_flow_is_taken_up_again_behind_what_was_filtered_out() {
    let mut s = Script::with(|config| {
        config.idle_timeout = Duration::from_secs(60);
        config.rules[0].join = session::Join::Standalone;
        config.rules[0].module = Some(Arc::new(Module {
            read_only: true,
            ..Module::default()
        }));
    });
    s.handshake();
    let post = b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc";
    let (len, by) = (post.len() as u32, response(10).len() as u32);
    let (mut at, mut seen) = (1, 1);
    for _ in 0..3 {
        s.client(PSH, at, seen, post);
        (at, seen) = (at + len, seen + by);
        s.online_packet(PSH, seen - by, at, &response(10));
        s.wait(Duration::from_secs(70));
        s.frames();
    }
    s.client(PSH, at, seen, ONE);
    let syns = s.frames();
    assert_eq!(syns.last().map(|it| it.flags), Some(SYN), "{syns:?}");
    let missed = s
        .ended()
        .iter()
        .filter(|it| it.0 == Outcome::Missed)
        .count();
    assert_eq!(missed, 0);
}

/// A response that begins in the middle of a segment has no sample: what the next segment brings is not its beginning.
#[test]
fn a_response_that_begins_amid_a_segment_has_no_sample() {
    let mut s = http(Choice::Auto);
    s.engine.sample_responses(8);
    s.client(PSH, 1, 1, &[ONE, TWO].concat());
    s.payloads();
    let online = [response(7), response(50)].concat();
    let cut = response(7).len() + 30;
    s.online_packet(PSH, 1, 1 + 2 * LEN, &online[..cut]);
    s.online_packet(PSH, 1 + cut as u32, 1 + 2 * LEN, &online[cut..]);
    s.target_packet(PSH, 1, 1 + 2 * LEN, &[response(5), response(6)].concat());
    let mut samples = Vec::new();
    while let Some(event) = s.engine.poll_event() {
        if let Event::TurnEnded(turn) = event {
            samples.push(turn.samples.map(|it| it.online));
        }
    }
    assert_eq!(samples.len(), 2);
    let second = samples[1].as_ref();
    assert!(
        second.is_none_or(|it| !it.whole || it.bytes == b"HTTP/1.1"),
        "{second:?}"
    );
}

/// A client's body may be recorded before the word that it has waited for.
#[test]
fn the_word_that_asks_for_a_body_may_be_recorded_late() {
    let mut s = Script::with(|config| {
        config.gap_grace = Duration::from_millis(20);
        config.rules[0].module = Some(Arc::new(Module::default()));
    });
    s.handshake();
    let len = UPLOAD.len() as u32;
    s.client(PSH, 1, 1, UPLOAD);
    assert_eq!(s.payloads(), UPLOAD);
    s.client(PSH, 1 + len, 26, b"body");
    s.online_packet(PSH, 1, 1 + len, CONTINUE);
    s.online_packet(PSH, 26, 5 + len, &response(9));
    s.target_packet(PSH, 1, 1 + len, CONTINUE);
    assert_eq!(s.payloads(), b"body");
    s.target_packet(PSH, 26, 5 + len, &response(8));
    let bytes = |body| response(body).len() as u64;
    let head = (Outcome::Answered, true, 25, 25);
    assert_eq!(
        s.ended(),
        [head, (Outcome::Answered, true, bytes(9), bytes(8))]
    );
}
