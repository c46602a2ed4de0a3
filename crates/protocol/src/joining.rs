//! Where a connection may be joined whose beginning was not seen: between two messages of its client, and outside of a transaction.
//!
//! Nothing of that stands in the packets alone. So a [`Trial`] takes what both sides say from a segment of the client on, as if a message
//! began there: whether one did, and whether a transaction was open, the online server's response tells. Only where both sides can be read
//! to the end of the response is the connection joined, from the trial's first byte on, or behind it.
//!
//! It never guesses. What it cannot know is what a client had made of its connection before: its database, its settings, what it had
//! prepared. The session's login is another one ([`crate::Module::joins`]); a message that names a statement which was prepared before is not copied.

use crate::expect::Expect;
use crate::module::{Choice, Module};
use crate::opening::Opening;
use crate::parts::Part;
use crate::place::Place;
use crate::requests::Requests;
use crate::responses::Responses;
use crate::said::Said;
use crate::{mysql, postgres, redis};

/// Most bytes that are kept of what a client says first, to know what it is about.
const SAID_LEN_MAX: usize = 256;

/// What was found out.
#[derive(Debug, PartialEq, Eq)]
pub enum Finding {
    /// Nothing yet.
    Waits,
    /// The connection may be joined at the trial's first byte, by sessions that log in so.
    Joins(Box<Opening>),
    /// It may be joined at its client's next byte, where the online server says nothing before it.
    Next(Box<Opening>),
    /// It may not be joined at the trial's first byte; the trial may go on with the client's next.
    Inside,
    /// It was no message that began there, or it cannot be read.
    Fails,
}

/// Both sides of a connection, from a segment of its client on.
#[derive(Debug)]
pub struct Trial {
    opening: Opening,
    module: Module,
    requests: Requests,
    responses: Responses,
    watch: Watch,
    /// What the client has said first since the trial began, or went on.
    said: Vec<u8>,
    /// Messages that are not answered.
    outstanding: u32,
    /// Whether a message has begun.
    has_begun: bool,
    has_failed: bool,
    /// Whether the latest response says that no transaction is open.
    is_outside: bool,
}

#[derive(Debug)]
enum Watch {
    Postgres(postgres::Watch),
    Mysql(mysql::Watch),
    Redis(redis::Watch),
}

impl Trial {
    /// A trial of a connection whose sessions would log in so.
    #[must_use]
    pub fn new(opening: &Opening) -> Self {
        let protocol = opening.protocol();
        let module = Module {
            choice: Choice::Is(protocol),
            ..Module::default()
        };
        Self {
            requests: Requests::unseen(&module, opening),
            responses: Responses::unseen(protocol),
            watch: match opening {
                Opening::Postgres(_) | Opening::Cancel(_) => Watch::Postgres(<_>::default()),
                Opening::Mysql(_) => Watch::Mysql(<_>::default()),
                Opening::Redis(_) => Watch::Redis(<_>::default()),
            },
            opening: opening.clone(),
            module,
            said: Vec::new(),
            outstanding: 0,
            has_begun: false,
            has_failed: false,
            is_outside: false,
        }
    }

    /// The client's next bytes.
    pub fn client(&mut self, bytes: &[u8]) -> Finding {
        let room = SAID_LEN_MAX - self.said.len();
        self.said.extend_from_slice(&bytes[..bytes.len().min(room)]);
        let (mut begun, mut left) = (Vec::new(), false);
        self.requests
            .push(&self.module, bytes, true, &mut |part| match part {
                Part::Begin(head) => begun.push(head.expect),
                Part::Leave(_) => left = true,
                _ => {}
            });
        for expect in begun {
            self.expect(expect);
        }
        // What is between two messages without one having begun was none.
        let is_none = !self.has_begun && self.requests.is_between();
        self.has_failed |= left || is_none;
        self.waits()
    }

    fn expect(&mut self, expect: Expect) {
        self.has_begun = true;
        self.outstanding += u32::from(expect.is_answered());
        self.responses.expect(expect);
    }

    /// The online server's next bytes.
    pub fn server(&mut self, bytes: &[u8]) -> Finding {
        let mut said = Vec::new();
        self.responses.push(bytes, &mut |it| said.push(it));
        let watched = match &mut self.watch {
            Watch::Postgres(watch) => watch.push(bytes),
            Watch::Mysql(watch) => watch.push(bytes),
            Watch::Redis(watch) => {
                watch.push(bytes);
                Ok(())
            }
        };
        self.has_failed |= watched.is_err();
        let mut ended = false;
        for said in said {
            match &said {
                Said::End(_) => {
                    self.outstanding = self.outstanding.saturating_sub(1);
                    ended |= self.outstanding == 0;
                }
                Said::Lost | Said::Left => self.has_failed = true,
                // Only PostgreSQL says something that nobody has asked for.
                Said::Unasked(_) if !matches!(self.watch, Watch::Postgres(_)) => {
                    self.has_failed = true;
                }
                _ => {}
            }
            let mut left = false;
            self.requests
                .hear(&said, &mut |part| left |= matches!(part, Part::Leave(_)));
            self.has_failed |= left;
        }
        // Something was under way when the trial began.
        let is_unasked = !ended && self.outstanding == 0;
        self.has_failed |=
            is_unasked && matches!(&self.watch, Watch::Postgres(watch) if watch.has_ended());
        let is_over = ended && self.outstanding == 0 && self.requests.is_between();
        if self.has_failed || !is_over {
            return self.waits();
        }
        let said = core::mem::take(&mut self.said);
        self.has_begun = false;
        let (was, now) = match (&mut self.watch, &mut self.opening) {
            (Watch::Postgres(watch), _) => watch.take(),
            (Watch::Mysql(watch), Opening::Mysql(opening)) => watch.take(&said, opening),
            (Watch::Redis(watch), _) => watch.take(&said),
            (Watch::Mysql(_), _) => (Place::Unknown, Place::Unknown),
        };
        self.is_outside = now == Place::Outside;
        let opening = || Box::new(self.opening.clone());
        match (was, now) {
            (Place::Outside, _) => Finding::Joins(opening()),
            (_, Place::Outside) => Finding::Next(opening()),
            _ => Finding::Inside,
        }
    }

    /// Whether the connection was in no transaction when its latest response was complete.
    #[must_use]
    pub fn is_outside(&self) -> bool {
        self.is_outside
    }

    fn waits(&self) -> Finding {
        if self.has_failed {
            Finding::Fails
        } else {
            Finding::Waits
        }
    }
}

#[cfg(test)]
mod tests;
