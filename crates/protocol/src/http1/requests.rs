//! A client's side: requests. A head is held until it is complete, a body passes by.

use crate::asked::Asked;
use crate::expect::Expect;
use crate::http1::Awaited;
use crate::http1::body::{Body, Taken};
use crate::http1::head::{Collector, Of, RequestHead, space};
use crate::http1::judge::is_copied;
use crate::http1::rewritten::rewritten;
use crate::module::Module;
use crate::parts::{Head, Part, Why};

/// Reads requests.
#[derive(Debug)]
pub struct Requests {
    at: At,
    /// What is behind a fault, until it is told.
    behind: Vec<u8>,
    /// Whether what cannot be judged is not to be copied.
    judges: bool,
    /// Whether the latest request that may lead to another protocol was copied; `None` before the first.
    upgrade_copied: Option<bool>,
}

#[derive(Debug)]
enum At {
    /// Between two requests, or in a head.
    Head(Collector),
    Body(Following),
}

/// The rest of a request.
#[derive(Debug)]
struct Following {
    body: Body,
    copied: bool,
    /// Its client may wait for the server before it sends the body, and nothing of that has come.
    may_wait: bool,
}

impl Requests {
    /// A reader, and whether what cannot be judged is not to be copied.
    pub(crate) fn new(judges: bool) -> Self {
        Self {
            at: At::Head(Collector::new(Of::Requests)),
            behind: Vec::new(),
            judges,
            upgrade_copied: None,
        }
    }

    pub(crate) fn push(
        &mut self,
        module: &Module,
        bytes: &[u8],
        went_on: bool,
        tell: &mut dyn FnMut(Part<'_>),
    ) -> Option<Why> {
        let (mut bytes, mut went_on) = (bytes, went_on);
        while !bytes.is_empty() {
            let step = match &mut self.at {
                At::Head(_) => self.head(module, bytes, tell),
                At::Body(following) => following.push(bytes, went_on, tell),
            };
            match step {
                Step::Goes(rest) => bytes = rest,
                Step::Ends(rest) => {
                    self.at = At::Head(Collector::new(Of::Requests));
                    bytes = rest;
                }
                Step::Fault(rest, why) => {
                    self.behind.extend_from_slice(rest);
                    return Some(why);
                }
            }
            went_on = false;
        }
        None
    }

    fn head<'a>(
        &mut self,
        module: &Module,
        bytes: &'a [u8],
        tell: &mut dyn FnMut(Part<'_>),
    ) -> Step<'a> {
        let At::Head(collector) = &mut self.at else {
            return Step::Goes(bytes);
        };
        let bytes = collector.skip_empty_lines(bytes);
        if bytes.is_empty() {
            return Step::Goes(bytes);
        }
        let (head, rest) = match collector.push(bytes) {
            Ok(None) => return Step::Goes(&[]),
            Ok(Some(whole)) => whole,
            // It is all held.
            Err(why) => return Step::Fault(&[], why),
        };
        match self.begin(module, &head, tell) {
            Ok(following) if following.body.is_whole() => {
                tell(Part::End);
                Step::Ends(rest)
            }
            Ok(following) => {
                self.at = At::Body(following);
                Step::Goes(rest)
            }
            Err(why) => {
                self.behind = head.into_owned();
                Step::Fault(rest, why)
            }
        }
    }

    fn begin(
        &mut self,
        module: &Module,
        bytes: &[u8],
        tell: &mut dyn FnMut(Part<'_>),
    ) -> Result<Following, Why> {
        let mut space = space();
        let head = RequestHead::read(bytes, &mut space)?;
        let body = head.body()?;
        let following = Following {
            copied: is_copied(module, &head, &body),
            body,
            may_wait: head.expects_continue(),
        };
        if head.may_upgrade() {
            self.upgrade_copied = Some(following.copied);
        }
        tell(Part::Begin(Head {
            copied: following.copied,
            expect: Expect::Http1(Awaited {
                without_body: head.method == "HEAD",
                tunnels: head.is_connect(),
            }),
            patch: None,
        }));
        if following.copied {
            let method = head.method.as_bytes();
            tell(Part::Asks(Asked::path(
                method,
                head.target().path.as_bytes(),
            )));
            let changed = rewritten(&module.rewriting, bytes, &head);
            tell(Part::Bytes(changed.as_deref().unwrap_or(bytes)));
        }
        Ok(following)
    }

    /// Whether what follows passes as bytes once the flow has left for this.
    pub(crate) fn lets_pass(&self, why: Why) -> bool {
        match (why, self.upgrade_copied) {
            (Why::Upgraded, Some(copied)) => copied,
            _ => !self.judges,
        }
    }

    pub(crate) fn into_held(self) -> Vec<u8> {
        let Self { at, behind, .. } = self;
        match at {
            At::Head(mut collector) if behind.is_empty() => collector.take_held(),
            At::Head(_) | At::Body(_) => behind,
        }
    }

    /// How many bytes of its client it holds.
    #[must_use]
    pub fn held_len(&self) -> usize {
        match &self.at {
            At::Head(collector) => collector.held().len(),
            At::Body(_) => self.behind.len(),
        }
    }

    pub(crate) fn is_between(&self) -> bool {
        matches!(&self.at, At::Head(collector) if collector.held().is_empty())
    }
}

/// What the next bytes were.
enum Step<'a> {
    /// The request goes on behind them.
    Goes(&'a [u8]),
    /// It ends before these.
    Ends(&'a [u8]),
    /// These cannot be read.
    Fault(&'a [u8], Why),
}

impl Following {
    fn push<'a>(
        &mut self,
        bytes: &'a [u8],
        went_on: bool,
        tell: &mut dyn FnMut(Part<'_>),
    ) -> Step<'a> {
        if core::mem::take(&mut self.may_wait) && went_on && self.copied {
            tell(Part::Pause);
        }
        let taken = self.body.push(bytes, &mut |_| {});
        let len = match taken {
            Taken::All => bytes.len(),
            Taken::Whole(len) | Taken::Fault(len, _) => len,
        };
        let (bytes, rest) = bytes.split_at(len);
        if self.copied && !bytes.is_empty() {
            tell(Part::Bytes(bytes));
        }
        match taken {
            Taken::All => Step::Goes(rest),
            Taken::Whole(_) => {
                tell(Part::End);
                Step::Ends(rest)
            }
            Taken::Fault(_, why) => Step::Fault(rest, why),
        }
    }
}
