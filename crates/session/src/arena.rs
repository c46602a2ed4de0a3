//! Payload that waits to be sent or acknowledged: one arena per worker, with a hard budget.
//!
//! Blocks of a fixed size are handed out to chains. A chain is a byte queue: bytes are appended at the end, read
//! anywhere (a retransmission reads at the front, new data near the end), and dropped at the front once the target
//! has acknowledged them. The budget also covers what a caller charges by hand, so that turns and segments that
//! wait behind a hole count as memory too.

use std::collections::VecDeque;

/// Size of a block, in bytes.
const BLOCK: usize = 1024;
/// Blocks that are allocated together.
const SLAB_BLOCKS: usize = 256;

/// The budget is spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OverBudget;

/// A queue of bytes in the arena. It must be given back by [`Arena::clear`].
#[derive(Debug, Default)]
pub(crate) struct Chain {
    /// Nearly always all there is.
    first: u32,
    /// Where the first byte stands in the first block.
    start: u32,
    /// Zero while no block is held at all.
    len: usize,
    /// The blocks after the first.
    #[expect(
        clippy::box_collection,
        reason = "8 bytes in each of a million sessions, not 32"
    )]
    rest: Option<Box<VecDeque<u32>>>,
}

impl Chain {
    /// Whether there are no bytes in the queue.
    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes in the queue.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Where the bytes end, counted from the first block's beginning.
    fn end(&self) -> usize {
        self.start as usize + self.len
    }

    /// How many blocks are held.
    fn blocks(&self) -> usize {
        let rest = self.rest.as_ref().map_or(0, |rest| rest.len());
        usize::from(self.len > 0) + rest
    }

    fn block(&self, index: usize) -> Option<u32> {
        match index.checked_sub(1) {
            None => (self.len > 0).then_some(self.first),
            Some(index) => self.rest.as_ref()?.get(index).copied(),
        }
    }

    fn last(&self) -> u32 {
        let last = self.rest.as_ref().and_then(|rest| rest.back());
        last.copied().unwrap_or(self.first)
    }

    fn push(&mut self, block: u32) {
        if self.len == 0 {
            self.first = block;
        } else {
            self.rest.get_or_insert_default().push_back(block);
        }
    }
}

/// All the blocks of a worker.
#[derive(Debug)]
pub(crate) struct Arena {
    slabs: Vec<Box<[u8]>>,
    free: Vec<u32>,
    used: u64,
    used_max: u64,
}

impl Arena {
    /// An arena that holds at most `used_max` bytes.
    pub(crate) fn new(used_max: u64) -> Self {
        Self {
            slabs: Vec::new(),
            free: Vec::new(),
            used: 0,
            used_max,
        }
    }

    /// Bytes taken, block by block, and charged.
    pub(crate) fn used(&self) -> u64 {
        self.used
    }

    /// Whether nothing more fits.
    pub(crate) fn is_full(&self) -> bool {
        self.used >= self.used_max
    }

    /// Charges bytes that are held elsewhere.
    pub(crate) fn charge(&mut self, bytes: usize) {
        self.used += bytes as u64;
    }

    /// Takes a charge back.
    pub(crate) fn discharge(&mut self, bytes: usize) {
        self.give_back(bytes as u64);
    }

    /// A charge that was never made must not wrap: everything would be refused from then on.
    fn give_back(&mut self, bytes: u64) {
        debug_assert!(bytes <= self.used, "{bytes} of {}", self.used);
        self.used = self.used.saturating_sub(bytes);
    }

    /// Appends all of `bytes`, or nothing where the budget is spent.
    #[inline(always)]
    pub(crate) fn append(&mut self, chain: &mut Chain, mut bytes: &[u8]) -> Result<(), OverBudget> {
        let room = chain.blocks() * BLOCK - chain.end();
        let blocks = bytes.len().saturating_sub(room).div_ceil(BLOCK);
        if self.used + (blocks * BLOCK) as u64 > self.used_max {
            return Err(OverBudget);
        }
        while !bytes.is_empty() {
            let end = chain.end();
            let block = if end == chain.blocks() * BLOCK {
                let block = self.take();
                chain.push(block);
                block
            } else {
                chain.last()
            };
            let offset = end % BLOCK;
            let take = bytes.len().min(BLOCK - offset);
            let (head, rest) = bytes.split_at(take);
            self.block_mut(block)[offset..offset + take].copy_from_slice(head);
            chain.len += take;
            bytes = rest;
        }
        Ok(())
    }

    /// Copies bytes that start at `offset` of the queue into all of `into`; what the queue does not have is left as it is.
    pub(crate) fn copy_out(&self, chain: &Chain, offset: usize, into: &mut [u8]) {
        let mut at = chain.start as usize + offset;
        let mut rest = into;
        while !rest.is_empty() {
            let Some(block) = chain.block(at / BLOCK) else {
                return;
            };
            let within = at % BLOCK;
            let take = rest.len().min(BLOCK - within);
            let (head, tail) = rest.split_at_mut(take);
            head.copy_from_slice(&self.block(block)[within..within + take]);
            at += take;
            rest = tail;
        }
    }

    /// Drops `count` bytes at the front (or all there are).
    pub(crate) fn drop_front(&mut self, chain: &mut Chain, count: usize) {
        if count >= chain.len {
            self.clear(chain);
            return;
        }
        let start = chain.start as usize + count;
        chain.len -= count;
        for _ in 0..start / BLOCK {
            self.give(chain.first);
            let next = chain.rest.as_deref_mut().and_then(VecDeque::pop_front);
            chain.first = next.unwrap_or_default();
        }
        chain.start = (start % BLOCK) as u32;
    }

    /// Gives all blocks of a chain back.
    pub(crate) fn clear(&mut self, chain: &mut Chain) {
        if chain.len > 0 {
            self.give(chain.first);
        }
        // An idle session keeps nothing of its largest upload.
        for block in chain.rest.take().into_iter().flat_map(|rest| *rest) {
            self.give(block);
        }
        (chain.start, chain.len) = (0, 0);
    }

    #[inline(always)]
    fn take(&mut self) -> u32 {
        if self.free.is_empty() {
            self.grow();
        }
        self.used += BLOCK as u64;
        self.free.pop().unwrap_or_default()
    }

    #[cold]
    fn grow(&mut self) {
        let first = self.slabs.len() * SLAB_BLOCKS;
        self.slabs
            .push(vec![0; SLAB_BLOCKS * BLOCK].into_boxed_slice());
        self.free
            .extend((first..first + SLAB_BLOCKS).rev().map(|block| block as u32));
    }

    fn give(&mut self, block: u32) {
        self.give_back(BLOCK as u64);
        self.free.push(block);
    }

    fn block(&self, block: u32) -> &[u8] {
        let (slab, at) = (
            block as usize / SLAB_BLOCKS,
            block as usize % SLAB_BLOCKS * BLOCK,
        );
        &self.slabs[slab][at..at + BLOCK]
    }

    fn block_mut(&mut self, block: u32) -> &mut [u8] {
        let (slab, at) = (
            block as usize / SLAB_BLOCKS,
            block as usize % SLAB_BLOCKS * BLOCK,
        );
        &mut self.slabs[slab][at..at + BLOCK]
    }
}

#[cfg(test)]
mod tests {
    use super::{Arena, BLOCK, Chain, OverBudget};

    #[test]
    fn the_budget_is_hard_and_nothing_is_half_appended() {
        let mut arena = Arena::new(4 * BLOCK as u64);
        let mut chain = Chain::default();
        arena.append(&mut chain, &[1; 3 * BLOCK]).expect("fits");
        assert_eq!(arena.append(&mut chain, &[2; 2 * BLOCK]), Err(OverBudget));
        assert_eq!(chain.len(), 3 * BLOCK);
        arena.append(&mut chain, &[2; BLOCK]).expect("fits");
        assert!(arena.is_full());
    }
}
