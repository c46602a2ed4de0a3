//! An array of words that the programs see too: a map of the kernel in this process's memory.
//!
//! Both sides read and write whole words, so neither ever sees half of one. What is said here costs no system call.
//!
//! **Architecture invariant:** nobody gets at the memory but by atomic operations on words; all unsafe code for that is here.

use std::num::NonZero;
use std::os::fd::AsFd;
use std::ptr::NonNull;
use std::sync::atomic::AtomicU64;

use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};
use nix::unistd::ftruncate;

/// The words. They stay where they are, in the kernel, for as long as this lives, whatever becomes of the programs.
#[derive(Debug)]
pub struct Words {
    first: NonNull<AtomicU64>,
    len: usize,
}

// SAFETY: the memory belongs to no thread, and all of it is read and written by atomic operations.
unsafe impl Send for Words {}
// SAFETY: as above.
unsafe impl Sync for Words {}

impl Words {
    /// Maps an array of `len` words that was made with `BPF_F_MMAPABLE`.
    ///
    /// # Errors
    ///
    /// Where the kernel does not map it: the array is shorter, say.
    pub fn map(array: impl AsFd, len: usize) -> nix::Result<Self> {
        let bytes = NonZero::new(len * size_of::<u64>()).ok_or(nix::errno::Errno::EINVAL)?;
        let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a new mapping at an address of the kernel's choice, which nothing else in this process refers to.
        let first = unsafe { mmap(None, bytes, access, MapFlags::MAP_SHARED, array, 0) }?;
        Ok(Self {
            first: first.cast(),
            len,
        })
    }

    /// One word, if there are so many.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<&AtomicU64> {
        if index >= self.len {
            return None;
        }
        // SAFETY: the index lies in the mapping.
        let word = unsafe { self.first.add(index) };
        // SAFETY: the mapping is aligned to a page, lives as long as `self`, and nobody accesses it but by atomic operations.
        Some(unsafe { word.as_ref() })
    }

    /// Words that no program sees, for tests.
    ///
    /// # Errors
    ///
    /// Where the kernel has no memory for them.
    pub fn private(len: usize) -> nix::Result<Self> {
        let memory = memfd_create(c"words", MFdFlags::MFD_CLOEXEC)?;
        let bytes = i64::try_from(len * size_of::<u64>()).unwrap_or(i64::MAX);
        ftruncate(&memory, bytes)?;
        Self::map(memory, len)
    }
}

impl Drop for Words {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, and every reference into it has ended with `self`.
        let unmapped = unsafe { munmap(self.first.cast(), self.len * size_of::<u64>()) };
        debug_assert!(unmapped.is_ok());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::Words;

    #[test]
    fn words_hold_what_is_stored_and_end_where_they_end() {
        let words = Words::private(3).unwrap();
        words.get(2).unwrap().store(7, Ordering::Relaxed);
        assert_eq!(words.get(2).unwrap().load(Ordering::Relaxed), 7);
        assert_eq!(words.get(0).unwrap().load(Ordering::Relaxed), 0);
        assert!(words.get(3).is_none());
    }
}
