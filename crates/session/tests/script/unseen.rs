//! Flows of PostgreSQL that were open before: joined outside of a transaction, by sessions that log in by themselves.

use std::sync::Arc;

use protocol::opening::PostgresOpening;
use protocol::{Choice, Module, Opening, Protocol};

use super::*;
use session::Join;

/// A message of the protocol.
fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let len = u32::try_from(body.len() + 4).expect("short");
    [&[kind][..], &len.to_be_bytes(), body].concat()
}

fn query(text: &str) -> Vec<u8> {
    message(b'Q', format!("{text}\0").as_bytes())
}

/// What a server says to a query: that this was done, and its status.
fn done(tag: &str, status: u8) -> Vec<u8> {
    let tag = message(b'C', format!("{tag}\0").as_bytes());
    [tag, message(b'Z', &[status])].concat()
}

fn postgres(join: Join) -> Script {
    let opening = PostgresOpening::unseen("ann", Some("shop"));
    Script::with(|config| {
        config.rules[0].join = join;
        config.rules[0].module = Some(Arc::new(Module {
            choice: Choice::Is(Protocol::Postgres),
            joins: Some(Opening::Postgres(opening)),
            ..Module::default()
        }));
    })
}

/// Both sides of a flow whose beginning was not seen.
struct Talk {
    script: Script,
    /// The next bytes of both.
    asked: u32,
    said: u32,
}

impl Talk {
    fn new(join: Join) -> Self {
        Self {
            script: postgres(join),
            asked: 500,
            said: 900,
        }
    }

    fn ask(&mut self, bytes: &[u8]) -> &mut Script {
        self.script.client(PSH, self.asked, self.said, bytes);
        self.asked += bytes.len() as u32;
        &mut self.script
    }

    fn answer(&mut self, bytes: &[u8]) -> &mut Script {
        self.script.online_packet(PSH, self.said, self.asked, bytes);
        self.said += bytes.len() as u32;
        &mut self.script
    }

    /// Whether a session has begun since it was asked last.
    fn begins(&mut self) -> bool {
        self.script.frames().iter().any(|sent| sent.flags == SYN)
    }

    /// Lets the session in. Returns what it sends behind its login.
    fn let_in(&mut self) -> Vec<u8> {
        let s = &mut self.script;
        s.target(SYN.with(ACK), 0, 1, 0);
        let startup = s.payloads();
        assert!(
            startup.ends_with(b"user\0ann\0database\0shop\0\0"),
            "{startup:?}"
        );
        let end = 1 + startup.len() as u32;
        let welcome = [message(b'R', &[0; 4]), message(b'Z', b"I")].concat();
        s.target_packet(PSH, 1, end, &welcome);
        s.payloads()
    }

    fn left_out(&self) -> u64 {
        self.script.engine.counters().left_out_open_before_bytes
    }
}

/// A statement outside of a transaction is copied although it was said before anything was known of the flow.
#[test]
fn a_silent_connection_is_copied_from_its_first_word_on() {
    for (text, tag, status) in [
        ("insert into t values (1)", "INSERT 0 1", b'I'),
        ("begin", "BEGIN", b'T'),
    ] {
        let mut it = Talk::new(Join::Standalone);
        let first = query(text);
        it.ask(&first);
        assert!(!it.begins());
        it.answer(&done(tag, status));
        assert!(it.begins());
        assert_eq!((it.let_in(), it.left_out()), (first, 0), "{text}");
    }
}

/// What is said in a transaction whose beginning was not seen is left out.
#[test]
fn a_transaction_under_way_is_left_out() {
    let mut it = Talk::new(Join::Standalone);
    let (update, commit, next) = (query("update t"), query("commit"), query("update u"));
    for (text, tag, status) in [(&update, "UPDATE 1", b'T'), (&commit, "COMMIT", b'I')] {
        it.ask(text);
        it.answer(&done(tag, status));
        assert!(!it.begins());
    }
    // Now it is known, and the next statement need not be answered for it.
    it.ask(&next);
    assert!(it.begins());
    assert_eq!(it.let_in(), next);
    assert_eq!(it.left_out(), (update.len() + commit.len()) as u64);
}

#[test]
fn what_is_held_is_counted_where_it_is_not_copied() {
    // Never joined; not answered in the end; no message; an answer to something else; more than is held.
    let long = message(b'D', &vec![b'x'; 1000]);
    for (join, said, answers) in [
        (Join::Never, query("x"), vec![done("BEGIN", b'T')]),
        (Join::Standalone, query("x"), vec![]),
        (Join::Standalone, b"something".to_vec(), vec![]),
        (Join::Standalone, query("x"), vec![b"HTTP/1.1".to_vec()]),
        (Join::Standalone, query("x"), vec![long; 300]),
    ] {
        let mut it = Talk::new(join);
        it.ask(&said);
        for answer in &answers {
            it.answer(answer);
        }
        assert!(!it.begins());
        let now = it.script.now;
        it.script.engine.finish(now);
        assert_eq!(it.left_out(), said.len() as u64, "{join:?} {said:?}");
    }
}

/// A long answer is not held, and the flow is joined behind it.
#[test]
fn a_flow_is_joined_behind_a_long_answer() {
    let mut it = Talk::new(Join::Standalone);
    let first = query("select everything");
    it.ask(&first);
    for _ in 0..300 {
        it.answer(&message(b'D', &vec![b'x'; 1000]));
    }
    it.answer(&done("SELECT 300", b'I'));
    assert!(!it.begins());
    let next = query("select 1");
    it.ask(&next);
    assert!(it.begins());
    assert_eq!((it.let_in(), it.left_out()), (next, first.len() as u64));
}

/// A statement that was prepared before is unknown at the target.
#[test]
fn what_was_prepared_before_is_filtered_out() {
    let batch = |name: &str, prepares: bool| {
        let parse = message(b'P', format!("{name}\0select 1\0\0\0").as_bytes());
        let bind = message(b'B', format!("\0{name}\0\0\0\0\0\0\0").as_bytes());
        let run = [message(b'E', b"\0\0\0\0\0"), message(b'S', b"")].concat();
        [if prepares { parse } else { Vec::new() }, bind, run].concat()
    };
    let mut it = Talk::new(Join::Standalone);
    let answered = [message(b'2', b""), done("SELECT 1", b'I')].concat();
    it.ask(&batch("s1", false));
    it.answer(&answered);
    assert!(it.begins());
    assert_eq!(it.let_in(), b"");
    let known = batch("s2", true);
    it.ask(&known);
    assert_eq!(it.script.payloads(), known);
    assert_eq!(
        it.script.ended().first().map(|it| it.0),
        Some(Outcome::Filtered)
    );
}

/// A statement is cancelled at the target by the key that the target has given the copy; its client has that of the online server.
#[test]
fn a_cancellation_has_the_targets_key() {
    let key = |process: u32| [process.to_be_bytes(), *b"abcd"].concat();
    let request = |process: u32| [&b"\0\0\0\x10\x04\xd2\x16\x2e"[..], &key(process)].concat();
    for (asked, expected) in [(7, request(1007)), (8, vec![])] {
        let mut s = postgres(Join::Standalone);
        s.handshake();
        let startup = b"\0\0\0\x12\0\x03\0\0user\0ann\0\0".to_vec();
        let welcome = |process| {
            let proven = message(b'R', &[0; 4]);
            [proven, message(b'K', &key(process)), message(b'Z', b"I")].concat()
        };
        s.client(PSH, 1, 1, &startup);
        s.online_packet(PSH, 1, 1 + startup.len() as u32, &welcome(7));
        let said = s.payloads();
        assert_eq!(said, startup);
        s.target_packet(PSH, 1, 1 + said.len() as u32, &welcome(1007));
        s.frames();
        s.client.port += 1;
        s.handshake();
        s.client(PSH, 1, 1, &request(asked));
        s.client(FIN, 17, 1, b"");
        assert_eq!(s.payloads(), expected, "{asked}");
        let len = expected.len() as u32;
        s.target(ACK, 1, 1 + len, 0);
        let closes = s.frames().iter().any(|sent| sent.flags == FIN);
        assert_eq!(closes, asked == 7);
        let counters = s.engine.counters();
        let counted = (counters.module_cancels, counters.module_cancels_unknown);
        assert_eq!(counted, (u64::from(asked == 7), u64::from(asked == 8)));
    }
}
