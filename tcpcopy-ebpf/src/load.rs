//! Loads by words, where the compiler would fetch every byte for itself.
//!
//! From a packet the kernel allows loads of any alignment, which the compiler does not know; there the words are fetched by
//! instructions of our own. Of an address it knows that it consists of bytes, and no more.

use core::arch::asm;

use wire::flow::Addr;

/// The linear part of a packet.
pub struct Linear {
    data: usize,
    end: usize,
}

/// `LEN` bytes of a packet that are there.
pub struct Words<const LEN: usize> {
    at: usize,
}

impl Linear {
    /// What lies between two pointers that the kernel gave us.
    ///
    /// # Safety
    ///
    /// They must be `data` and `data_end` of a context.
    #[inline(always)]
    pub unsafe fn new(data: usize, end: usize) -> Self {
        Self { data, end }
    }

    /// The `LEN` bytes at this offset, where they are in the linear part.
    #[inline(always)]
    pub fn words<const LEN: usize>(&self, offset: usize) -> Option<Words<LEN>> {
        let at = self.data + offset;
        if at + LEN > self.end {
            return None;
        }
        Some(Words { at })
    }
}

impl<const LEN: usize> Words<LEN> {
    /// The four bytes at `OFFSET`.
    #[inline(always)]
    pub fn bytes<const OFFSET: usize>(&self) -> [u8; 4] {
        self.word::<OFFSET>().to_ne_bytes()
    }

    /// The same as they stand in memory.
    #[inline(always)]
    pub fn word<const OFFSET: usize>(&self) -> u32 {
        const { assert!(OFFSET + 4 <= LEN) };
        let word: u64;
        // SAFETY: the bytes are there, as the verifier saw when `words` looked; the kernel allows any alignment.
        unsafe {
            asm!("{word} = *(u32 *)({at} + {offset})",
                at = in(reg) self.at, offset = const OFFSET, word = lateout(reg) word,
                options(pure, readonly, nostack, preserves_flags));
        }
        word as u32
    }
}

/// An address.
///
/// # Safety
///
/// It must stand at a multiple of four.
#[inline(always)]
pub unsafe fn addr(at: *const Addr) -> Addr {
    let words = at.cast::<u32>();
    let mut octets = [0; 16];
    for (index, octets) in octets.as_chunks_mut::<4>().0.iter_mut().enumerate() {
        // SAFETY: an address is four words, and the caller's promise.
        *octets = unsafe { words.add(index).read_volatile() }.to_ne_bytes();
    }
    Addr::v6(octets)
}
