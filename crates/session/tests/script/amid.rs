//! A client that goes on in the middle of an answer, the rest of which its window has kept back: what the online server says next is
//! that rest, and answers nothing of what the client has just said.

use super::*;

/// The first 100 bytes of an answer have come, and the client's window has no room for more. The target has said `said` bytes.
fn blocked(said: usize) -> Script {
    let mut s = Script::new();
    s.handshake();
    s.client(PSH, 1, 1, b"a").frames();
    s.online(ACK, 1, 2, 100);
    s.target(PSH, 1, 2, said).frames();
    s
}

/// Whether `payload` leaves within this time.
fn leaves(s: &mut Script, payload: &[u8], time: Duration) -> bool {
    s.wait(time);
    s.frames().iter().any(|sent| sent.payload == payload)
}

#[test]
fn the_rest_of_an_answer_that_the_target_gave_at_once_is_not_waited_for() {
    let mut s = blocked(300);
    let mut seen = 100;
    for (seq, payload) in (2..).zip([b"b", b"c"]) {
        s.client(PSH, seq, 1 + seen, payload);
        assert!(leaves(&mut s, payload, Duration::ZERO));
        s.target(ACK, 301, seq + 1, 0);
        seen += 100;
        let flags = if seen == 300 { PSH } else { ACK };
        s.online(flags, seen - 99, seq + 1, 100);
    }
    s.client(PSH, 4, 301, b"d");
    assert!(leaves(&mut s, b"d", Duration::ZERO));
    // What comes behind the end of that answer is asked for by what the client said meanwhile.
    s.target(ACK, 301, 5, 0).online(PSH, 301, 5, 50);
    s.client(PSH, 5, 351, b"e");
    assert!(!leaves(&mut s, b"e", Duration::from_secs(20)));
    s.target(PSH, 301, 5, 50);
    assert!(leaves(&mut s, b"e", Duration::ZERO));
}

#[test]
fn a_longer_answer_does_not_answer_what_the_client_said_in_its_middle() {
    let mut s = blocked(1300);
    s.client(PSH, 2, 101, b"b").frames();
    s.target(ACK, 1301, 3, 0);
    // The rest, and an answer.
    s.online(PSH, 101, 3, 200).online(PSH, 301, 3, 50);
    s.client(PSH, 3, 351, b"c");
    assert!(!leaves(&mut s, b"c", Duration::from_millis(900)));
    s.target(PSH, 1301, 3, 60);
    assert!(leaves(&mut s, b"c", Duration::ZERO));
}

#[test]
fn the_rest_of_an_answer_that_is_shorter_is_not_waited_for_long() {
    let mut s = blocked(90);
    s.client(PSH, 2, 101, b"b");
    assert!(leaves(&mut s, b"b", Duration::from_millis(250)));
    s.target(ACK, 91, 3, 0).online(PSH, 101, 3, 200);
    s.client(PSH, 3, 301, b"c");
    assert!(!leaves(&mut s, b"c", Duration::from_millis(900)));
    assert!(leaves(&mut s, b"c", Duration::from_millis(200)));
}

/// Behind a greeting nothing is in the middle of anything.
#[test]
fn a_longer_greeting_does_not_answer_the_first_turn() {
    let mut s = Script::new();
    s.handshake();
    s.online(PSH, 1, 1, 30).target(PSH, 1, 1, 40).frames();
    s.client(PSH, 1, 31, b"a");
    assert!(leaves(&mut s, b"a", Duration::ZERO));
    s.target(ACK, 41, 2, 0).online(PSH, 31, 2, 20);
    s.client(PSH, 2, 51, b"b");
    assert!(!leaves(&mut s, b"b", Duration::from_secs(20)));
    s.target(PSH, 41, 2, 20);
    assert!(leaves(&mut s, b"b", Duration::ZERO));
}
