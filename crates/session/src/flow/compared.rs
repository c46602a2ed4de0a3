//! Where responses are compared: what each message asks for, and what the online server has answered.

use std::collections::VecDeque;
use std::sync::Arc;

use protocol::{Asked, Digest, Digests, Expect};

use super::messages::Message;
use crate::arena::Arena;
use crate::limits::ASKED_LEN_MAX;

/// The messages of a flow, as far as their responses are compared. They are those of [`super::messages::Messages`], in the same order.
#[derive(Debug)]
pub(super) struct Comparing {
    pub(super) digests: Arc<Digests>,
    /// What the message asks for that has begun and is no turn yet.
    asked: Option<Arc<Asked<'static>>>,
    kept: VecDeque<Kept>,
}

/// What is known of one message.
#[derive(Debug)]
struct Kept {
    asked: Option<Arc<Asked<'static>>>,
    online: Option<Arc<Digest>>,
}

impl Comparing {
    pub(super) fn new(digests: &Arc<Digests>) -> Self {
        Self {
            digests: Arc::clone(digests),
            asked: None,
            kept: VecDeque::new(),
        }
    }

    /// The message that has begun asks for this.
    pub(super) fn ask(&mut self, asked: &Asked<'_>) {
        self.asked = Some(Arc::new(asked.kept(ASKED_LEN_MAX)));
    }

    /// The message becomes a turn, or what follows of it becomes another one.
    pub(super) fn push(&mut self, message: &Message) {
        let name = |expect: Expect| Arc::new(Asked::name(expect.protocol().name()));
        let asked = match message.expect {
            Some(expect) => Some(self.asked.take().unwrap_or_else(|| name(expect))),
            None => self.kept.back().and_then(|before| before.asked.clone()),
        };
        self.kept.push_back(Kept {
            asked,
            online: None,
        });
    }

    /// The online server has answered the message at `index`. Returns whether that is kept: there may be no room for it.
    pub(super) fn answer(&mut self, index: usize, digest: Digest, arena: &mut Arena) -> bool {
        let Some(kept) = self.kept.get_mut(index) else {
            // Its sessions have ended it already.
            return true;
        };
        if arena.is_full() {
            return false;
        }
        arena.charge(digest.size());
        if let Some(before) = kept.online.replace(Arc::new(digest)) {
            arena.discharge(before.size());
        }
        true
    }

    /// Nobody needs the first `count` messages any more.
    pub(super) fn forget_first(&mut self, count: usize, arena: &mut Arena) {
        for kept in self.kept.drain(..count.min(self.kept.len())) {
            arena.discharge(kept.online.map_or(0, |it| it.size()));
        }
    }

    /// What the message at `index` asks for, and the online server's answer, once it is complete.
    pub(super) fn get(&self, index: usize) -> Option<(Arc<Asked<'static>>, Arc<Digest>)> {
        let kept = self.kept.get(index)?;
        Some((kept.asked.clone()?, kept.online.clone()?))
    }
}
