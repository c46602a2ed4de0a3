//! A server's side: responses. Each ends by its own framing, or with the connection.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::digest::{Digester, Digests};
use crate::http1::body::{Body, Taken};
use crate::http1::head::{Collector, Of, ResponseHead};
use crate::http1::{AWAITED_MAX, Awaited};
use crate::said::{Said, Verdict};

/// Reads responses.
#[derive(Debug)]
pub struct Responses {
    at: At,
    awaited: VecDeque<Awaited>,
    /// More was awaited at once than may be.
    overflowed: bool,
    /// Where responses are compared.
    digester: Option<Digester>,
}

#[derive(Debug)]
enum At {
    /// Between two responses, or in a head.
    Head(Collector),
    /// In the body of a response; the verdict is missing where nothing had asked for it. Behind it the server closes, or not.
    Body(Body, Option<Verdict>, bool),
    /// Nothing more is told.
    Over,
}

impl Default for Responses {
    fn default() -> Self {
        Self {
            at: At::Head(Collector::new(Of::Responses)),
            awaited: VecDeque::new(),
            overflowed: false,
            digester: None,
        }
    }
}

impl Responses {
    /// Each response is told as a digest as well, when it ends.
    pub(crate) fn digest(&mut self, digests: &Arc<Digests>) {
        self.digester = Some(Digester::new(digests));
    }

    pub(crate) fn expect(&mut self, awaited: Awaited) {
        if self.awaited.len() < AWAITED_MAX {
            self.awaited.push_back(awaited);
        } else {
            self.overflowed = true;
        }
    }

    pub(crate) fn push(&mut self, bytes: &[u8], tell: &mut dyn FnMut(Said)) {
        let mut bytes = bytes;
        if self.overflowed {
            self.lose(tell);
        }
        while !bytes.is_empty() {
            bytes = match &mut self.at {
                At::Head(collector) => match collector.push(bytes) {
                    Ok(None) => return,
                    Ok(Some((head, rest))) => {
                        self.head(&head, tell);
                        rest
                    }
                    Err(_) => return self.lose(tell),
                },
                At::Body(body, verdict, _) => {
                    let digester = &mut self.digester;
                    let taken = body.push(bytes, &mut |data| {
                        if let Some(digester) = digester {
                            digester.on_body(data);
                        }
                    });
                    let len = match taken {
                        Taken::All => bytes.len(),
                        Taken::Whole(len) | Taken::Fault(len, _) => len,
                    };
                    tell_bytes(len, verdict.is_some(), tell);
                    match taken {
                        Taken::All => {}
                        Taken::Whole(_) => self.end(tell),
                        Taken::Fault(..) => return self.lose(tell),
                    }
                    &bytes[len..]
                }
                At::Over => return,
            };
        }
    }

    /// A head is complete.
    fn head(&mut self, bytes: &[u8], tell: &mut dyn FnMut(Said)) {
        let digester = &mut self.digester;
        let head = ResponseHead::read(bytes, |status, fields| {
            // An interim response begins the digest as well, and the final one anew.
            if let Some(digester) = digester {
                let fields = fields.iter();
                let fields = fields.map(|field| (field.name.as_bytes(), field.value));
                digester.on_head(status.into(), fields);
            }
        });
        let Ok(head) = head else {
            return self.lose(tell);
        };
        let is_asked = !self.awaited.is_empty();
        let awaited = self.awaited.front().copied().unwrap_or_default();
        let verdict = is_asked.then(|| Verdict {
            code: u32::from(head.status),
            is_error: head.status >= 400,
            statement: None,
        });
        match head.status {
            100 if is_asked => {
                tell_bytes(bytes.len(), true, tell);
                return tell(Said::Ready);
            }
            100..=199 => {
                tell_bytes(bytes.len(), is_asked, tell);
                if head.status == 101 {
                    self.leave(verdict, tell);
                }
                return;
            }
            200..=299 if awaited.tunnels => {
                tell_bytes(bytes.len(), is_asked, tell);
                return self.leave(verdict, tell);
            }
            _ => tell_bytes(bytes.len(), is_asked, tell),
        }
        let body = match head.status {
            204 | 304 => Body::Length(0),
            _ if awaited.without_body => Body::Length(0),
            _ => head.body(),
        };
        let is_whole = body.is_whole();
        self.at = At::Body(body, verdict, head.closes);
        if is_whole {
            self.end(tell);
        }
    }

    /// The body is complete.
    fn end(&mut self, tell: &mut dyn FnMut(Said)) {
        let before = core::mem::replace(&mut self.at, At::Head(Collector::new(Of::Responses)));
        if let At::Body(_, Some(verdict), closes) = before {
            self.awaited.pop_front();
            if closes {
                tell(Said::Closes);
            }
            self.tell_end(verdict, tell);
        }
    }

    fn tell_end(&mut self, verdict: Verdict, tell: &mut dyn FnMut(Said)) {
        if let Some(digester) = &mut self.digester {
            tell(Said::Digested(Box::new(digester.end())));
        }
        tell(Said::End(verdict));
    }

    fn leave(&mut self, verdict: Option<Verdict>, tell: &mut dyn FnMut(Said)) {
        self.at = At::Over;
        if let Some(verdict) = verdict {
            self.tell_end(verdict, tell);
        }
        tell(Said::Left);
    }

    fn lose(&mut self, tell: &mut dyn FnMut(Said)) {
        if !matches!(core::mem::replace(&mut self.at, At::Over), At::Over) {
            tell(Said::Lost);
        }
    }

    pub(crate) fn close(&mut self, tell: &mut dyn FnMut(Said)) {
        match &self.at {
            At::Body(Body::UntilClose, ..) => {
                self.end(tell);
                self.at = At::Over;
            }
            At::Head(collector) if collector.held().is_empty() => self.at = At::Over,
            At::Head(_) | At::Body(..) => self.lose(tell),
            At::Over => {}
        }
    }
}

fn tell_bytes(len: usize, is_asked: bool, tell: &mut dyn FnMut(Said)) {
    let mut left = len;
    while left > 0 {
        let part = u32::try_from(left).unwrap_or(u32::MAX);
        tell(if is_asked {
            Said::Bytes(part)
        } else {
            Said::Unasked(part)
        });
        left -= part as usize;
    }
}
