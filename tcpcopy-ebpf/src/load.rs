//! Loads from a packet, word by word.
//!
//! The kernel allows a program loads of any alignment from a packet, but the compiler does not know that and would
//! fetch every byte for itself. So the words are fetched here, by instructions of our own.

use core::arch::asm;

/// The `N` bytes at `at`.
///
/// # Safety
///
/// `at` must be the address of `N` bytes of packet, checked against the packet's end where the verifier saw it.
#[inline(always)]
pub unsafe fn bytes<const N: usize>(at: usize) -> [u8; N] {
    let mut bytes = [0; N];
    let mut done = 0;
    // Constant bounds: all of this is unrolled.
    while done + 4 <= N {
        // SAFETY: the caller's promise.
        let word = unsafe { word(at + done) };
        bytes[done..done + 4].copy_from_slice(&word.to_ne_bytes());
        done += 4;
    }
    while done < N {
        // SAFETY: the caller's promise.
        bytes[done] = unsafe { ((at + done) as *const u8).read() };
        done += 1;
    }
    bytes
}

#[inline(always)]
unsafe fn word(at: usize) -> u32 {
    let word: u64;
    // SAFETY: the caller's promise; the kernel allows any alignment.
    unsafe {
        asm!("{word} = *(u32 *)({at} + 0)", at = in(reg) at, word = lateout(reg) word,
            options(pure, readonly, nostack, preserves_flags));
    }
    word as u32
}
