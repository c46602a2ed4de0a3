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
    blocks: VecDeque<u32>,
    /// Where the first byte stands in the first block.
    start: usize,
    len: usize,
}

impl Chain {
    /// Whether there are no bytes in the queue.
    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes in the queue.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.len
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
        self.used = self.used.saturating_sub(bytes as u64);
    }

    /// Appends all of `bytes`, or nothing where the budget is spent.
    pub(crate) fn append(&mut self, chain: &mut Chain, mut bytes: &[u8]) -> Result<(), OverBudget> {
        let room = chain.blocks.len() * BLOCK - chain.start - chain.len;
        let blocks = bytes.len().saturating_sub(room).div_ceil(BLOCK);
        if self.used + (blocks * BLOCK) as u64 > self.used_max {
            return Err(OverBudget);
        }
        while !bytes.is_empty() {
            let end = chain.start + chain.len;
            if end == chain.blocks.len() * BLOCK {
                let block = self.take();
                chain.blocks.push_back(block);
            }
            let offset = end % BLOCK;
            let take = bytes.len().min(BLOCK - offset);
            let (head, rest) = bytes.split_at(take);
            if let Some(&block) = chain.blocks.back() {
                self.block_mut(block)[offset..offset + take].copy_from_slice(head);
            }
            chain.len += take;
            bytes = rest;
        }
        Ok(())
    }

    /// Copies bytes that start at `offset` of the queue into all of `into`; what the queue does not have is left as it is.
    pub(crate) fn copy_out(&self, chain: &Chain, offset: usize, into: &mut [u8]) {
        let mut at = chain.start + offset;
        let mut rest = into;
        while !rest.is_empty() {
            let Some(&block) = chain.blocks.get(at / BLOCK) else {
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
        let count = count.min(chain.len);
        chain.start += count;
        chain.len -= count;
        if chain.len == 0 {
            self.clear(chain);
            return;
        }
        while chain.start >= BLOCK {
            chain.start -= BLOCK;
            if let Some(block) = chain.blocks.pop_front() {
                self.give(block);
            }
        }
    }

    /// Gives all blocks of a chain back.
    pub(crate) fn clear(&mut self, chain: &mut Chain) {
        while let Some(block) = chain.blocks.pop_front() {
            self.give(block);
        }
        // An idle session must not keep the index of its largest upload.
        if chain.blocks.capacity() > 16 {
            chain.blocks = VecDeque::new();
        }
        chain.start = 0;
        chain.len = 0;
    }

    fn take(&mut self) -> u32 {
        if self.free.is_empty() {
            let first = self.slabs.len() * SLAB_BLOCKS;
            self.slabs
                .push(vec![0; SLAB_BLOCKS * BLOCK].into_boxed_slice());
            self.free
                .extend((first..first + SLAB_BLOCKS).rev().map(|block| block as u32));
        }
        self.used += BLOCK as u64;
        self.free.pop().unwrap_or_default()
    }

    fn give(&mut self, block: u32) {
        self.used -= BLOCK as u64;
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
    use std::collections::VecDeque;

    #[test]
    fn a_chain_is_a_byte_queue() {
        let mut arena = Arena::new(1 << 20);
        let mut chain = Chain::default();
        let mut oracle = VecDeque::new();
        let mut state = 1u32;
        for round in 0..4000u32 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let n = (state >> 16) as usize % 3000;
            if state & 1 == 0 && oracle.len() < 100_000 {
                let bytes: Vec<u8> = (0..n).map(|i| (i as u32 ^ round) as u8).collect();
                arena.append(&mut chain, &bytes).expect("within the budget");
                oracle.extend(bytes);
            } else {
                arena.drop_front(&mut chain, n);
                oracle.drain(..n.min(oracle.len()));
            }
            assert_eq!(chain.len(), oracle.len());
            let offset = if oracle.is_empty() {
                0
            } else {
                n % oracle.len()
            };
            let mut out = vec![0; (oracle.len() - offset).min(1500)];
            arena.copy_out(&chain, offset, &mut out);
            assert!(out.iter().eq(oracle.range(offset..offset + out.len())));
        }
        arena.clear(&mut chain);
        assert_eq!(arena.used(), 0);
    }

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
