//! A noted session, through the reader of the client's side and that of the online server.

use protocol::{Choice, Head, Module, Opening, Part, Protocol, Requests, Responses, Said, Verdict};

use super::relay::{Noted, Side};

/// A message, and what the online server has answered.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) head: Head,
    /// Its bytes; where it was held back until the server asked, in pieces.
    pub(super) pieces: Vec<Vec<u8>>,
    pub(super) verdict: Option<Verdict>,
}

/// A session as both readers have it.
#[derive(Debug, Default)]
pub(super) struct Session {
    pub(super) openings: Vec<Opening>,
    pub(super) messages: Vec<Message>,
    pub(super) opened: Vec<Said>,
    /// Messages whose answer is complete.
    answered: usize,
    /// Bytes of the server, answers and others.
    pub(super) answers: u64,
    pub(super) unasked: u64,
}

/// Reads a session, and fails where anything is left over.
pub(super) fn read(module: &Module, noted: &Noted) -> Session {
    let Choice::Is(protocol) = module.choice else {
        panic!("a protocol")
    };
    let (mut requests, mut responses) = (Requests::new(module), Responses::new(protocol));
    let mut session = Session::default();
    let mut sent = 0;
    for (side, bytes) in noted {
        if bytes.is_empty() {
            continue;
        }
        match side {
            Side::Client => {
                requests.push(module, bytes, false, &mut |part| {
                    session.take(part, &mut responses);
                });
            }
            Side::Server => {
                sent += bytes.len() as u64;
                let mut all = Vec::new();
                responses.push(bytes, &mut |said| all.push(said));
                for said in all {
                    session.hear(&said);
                    requests.hear(&said, &mut |part| session.take(part, &mut responses));
                }
            }
        }
    }
    assert!(
        requests.is_between(),
        "{protocol:?}: the client's side ends in a message"
    );
    assert_eq!(
        session.answers + session.unasked,
        sent,
        "all of the server's bytes are told"
    );
    for message in &session.messages {
        assert_eq!(
            message.verdict.is_none(),
            !message.head.expect.is_answered(),
            "{message:?}"
        );
    }
    session
}

impl Session {
    fn take(&mut self, part: Part<'_>, responses: &mut Responses) {
        match part {
            Part::Opening(opening) => self.openings.push(*opening),
            Part::Begin(head) => {
                responses.expect(head.expect);
                self.messages.push(Message {
                    head,
                    pieces: vec![Vec::new()],
                    verdict: None,
                });
            }
            Part::Bytes(bytes) => self
                .last()
                .pieces
                .last_mut()
                .expect("a piece")
                .extend_from_slice(bytes),
            Part::Pause => self.last().pieces.push(Vec::new()),
            Part::Asks(_) | Part::End => {}
            Part::Leave(why) => panic!("{why:?}"),
        }
    }

    fn last(&mut self) -> &mut Message {
        self.messages.last_mut().expect("a message")
    }

    fn hear(&mut self, said: &Said) {
        match said {
            Said::Bytes(len) => self.answers += u64::from(*len),
            Said::Unasked(len) => self.unasked += u64::from(*len),
            Said::End(verdict) => {
                let asks = |message: &Message| message.head.expect.is_answered();
                let left = &mut self.messages[self.answered..];
                let at = left
                    .iter()
                    .position(asks)
                    .expect("a message without an answer");
                left[at].verdict = Some(verdict.clone());
                self.answered += at + 1;
            }
            Said::Opened(_) => self.opened.push(said.clone()),
            Said::Asked(_) | Said::Closes | Said::Digested(_) | Said::Ready => {}
            Said::Left | Said::Lost => panic!("{said:?}"),
        }
    }

    /// What is cut anywhere is told the same.
    pub(super) fn check_same(&self, other: &Self) {
        let bytes = |session: &Self| -> Vec<Vec<Vec<u8>>> {
            session
                .messages
                .iter()
                .map(|message| message.pieces.clone())
                .collect()
        };
        let verdicts = |session: &Self| -> Vec<Option<Verdict>> {
            session
                .messages
                .iter()
                .map(|message| message.verdict.clone())
                .collect()
        };
        assert_eq!(verdicts(self), verdicts(other));
        assert!(bytes(self) == bytes(other));
    }
}

/// The same session, each piece of it cut into so many bytes.
pub(super) fn cut(noted: &Noted, len: usize) -> Noted {
    let cut = |(side, bytes): &(Side, Vec<u8>)| -> Noted {
        bytes
            .chunks(len)
            .map(|part| (*side, part.to_vec()))
            .collect()
    };
    noted.iter().flat_map(cut).collect()
}

/// What a rule asks for that names its protocol.
pub(super) fn module(protocol: Protocol) -> Module {
    Module {
        choice: Choice::Is(protocol),
        ..Module::default()
    }
}
