//! A BPF ring buffer as its one reader sees it: entries in the order in which programs reserved them, read where they stand.
//!
//! The kernel takes a ring's memory when it is made, and puts every page of it into the process's page tables as soon as it is
//! mapped, twice where both halves are. So the reader maps it piece by piece, as it gets there for the first time: a ring that little
//! has gone through is as good as nothing in the process, and one that was gone through is there once.
//!
//! Room is given back after [`GIVE_BACK_EVERY`] bytes, and when nothing is left: programs on other processors read the position at each
//! entry, and would find it changed each time.
//!
//! **Architecture invariant:** all unsafe code for rings is here. What it rests on: the kernel writes an entry before it takes off the
//! mark that the entry is busy, and nothing into an entry that it has not been given back.

use std::num::NonZero;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use nix::errno::Errno;
use nix::sys::mman::{MapFlags, ProtFlags, mmap, mmap_anonymous, munmap};
use nix::unistd::{SysconfVar, sysconf};

/// Bytes that are mapped at a time: a multiple of every page size, and some ten microseconds.
const PIECE_LEN: usize = 1 << 20;
/// Bytes that are read before the programs are told of it: a small part of the shortest ring.
pub const GIVE_BACK_EVERY: usize = 64 << 10;
/// Bytes of an entry's header (`BPF_RINGBUF_HDR_SZ`), of which the first four are its length and two marks.
const HEADER_LEN: usize = 8;
/// The entry is still being written (`BPF_RINGBUF_BUSY_BIT`).
const BUSY: u32 = 1 << 31;
/// The entry is to be skipped (`BPF_RINGBUF_DISCARD_BIT`).
const DISCARDED: u32 = 1 << 30;

/// A ring's entries.
#[derive(Debug)]
pub struct Entries {
    fd: OwnedFd,
    /// The page with the position that the reader gives.
    read: Mapping,
    /// The page with the position that the kernel gives.
    written: Mapping,
    data: Mapping,
    /// Bytes of the ring: a power of two.
    len: usize,
    /// Bytes of the longest entry, header included.
    longest: usize,
    page_len: usize,
    /// Bytes from the beginning that are mapped, at most the length and a piece: an entry that goes on at the beginning is in one
    /// piece there.
    mapped: usize,
    /// Everything before was read.
    position: usize,
    /// Everything before was given back.
    given_back: usize,
    /// The position that the kernel gave last.
    known: usize,
}

/// The foremost entry.
enum Foremost {
    /// None, or one that is still being written.
    Nothing,
    /// One of so many bytes.
    Entry(usize),
}

impl Entries {
    /// The entries of a ring of `len` bytes none of which is longer than `longest`.
    ///
    /// # Errors
    ///
    /// Where the kernel does not map it: it is shorter, say.
    pub fn map(ring: impl AsFd, len: usize, longest: usize) -> nix::Result<Self> {
        let longest = (HEADER_LEN + longest).next_multiple_of(HEADER_LEN);
        if !len.is_power_of_two() || len < PIECE_LEN || longest > PIECE_LEN {
            return Err(Errno::EINVAL);
        }
        let fd = ring.as_fd().try_clone_to_owned();
        let fd = fd.map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(0)))?;
        let page_len = sysconf(SysconfVar::PAGE_SIZE)?
            .and_then(|len| usize::try_from(len).ok())
            .ok_or(Errno::EINVAL)?;
        let read_write = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        let mut entries = Self {
            read: Mapping::of(&fd, 0, page_len, read_write)?,
            written: Mapping::of(&fd, page_len, page_len, ProtFlags::PROT_READ)?,
            data: Mapping::reserved(len + PIECE_LEN)?,
            fd,
            len,
            longest,
            page_len,
            mapped: 0,
            position: 0,
            given_back: 0,
            known: 0,
        };
        entries.position = entries.read.word().load(Ordering::Acquire);
        entries.given_back = entries.position;
        entries.known = entries.position;
        Ok(entries)
    }

    /// Shows `each` the entries, oldest first, until it returns false or none is left.
    ///
    /// # Errors
    ///
    /// Where the kernel does not map the next piece: it has no memory left for page tables.
    pub fn read(&mut self, mut each: impl FnMut(&[u8]) -> bool) -> nix::Result<()> {
        let mut goes_on = true;
        while goes_on && let Foremost::Entry(len) = self.foremost()? {
            let at = self.position & (self.len - 1);
            // What is longer than any can be is shown as far as it may be looked at, and is no record then.
            let shown = len.min(self.longest - HEADER_LEN);
            // SAFETY: `foremost` has mapped the longest entry from here on, and the entry is written and was not given back.
            goes_on = each(unsafe { self.data.bytes(at + HEADER_LEN, shown) });
            self.pass(len);
        }
        self.give_back();
        Ok(())
    }

    /// Whether nothing can be read; looks at what the kernel says now.
    ///
    /// # Errors
    ///
    /// As [`Entries::read`].
    pub fn is_empty(&mut self) -> nix::Result<bool> {
        let foremost = self.foremost()?;
        // What was skipped would look like something to `poll`.
        self.give_back();
        Ok(matches!(foremost, Foremost::Nothing))
    }

    /// The foremost entry, those before it that were discarded skipped.
    #[inline]
    fn foremost(&mut self) -> nix::Result<Foremost> {
        loop {
            if self.position == self.known {
                self.known = self.written.word().load(Ordering::Acquire);
                if self.position == self.known {
                    return Ok(Foremost::Nothing);
                }
            }
            let at = self.position & (self.len - 1);
            if at + self.longest > self.mapped {
                self.map_until(at + self.longest)?;
            }
            // SAFETY: the line above has mapped it, and entries are aligned to their header's length.
            let header = unsafe { self.data.header(at) }.load(Ordering::Acquire);
            if header & BUSY != 0 {
                return Ok(Foremost::Nothing);
            }
            let len = (header & !DISCARDED) as usize;
            if header & DISCARDED == 0 {
                return Ok(Foremost::Entry(len));
            }
            self.pass(len);
        }
    }

    /// The foremost entry, of so many bytes, was read.
    #[inline]
    fn pass(&mut self, len: usize) {
        let whole = (HEADER_LEN + len).next_multiple_of(HEADER_LEN);
        self.position = self.position.wrapping_add(whole);
        if self.position.wrapping_sub(self.given_back) >= GIVE_BACK_EVERY {
            self.give_back();
        }
    }

    #[inline]
    fn give_back(&mut self) {
        if self.given_back != self.position {
            self.given_back = self.position;
            self.read.word().store(self.position, Ordering::Release);
        }
    }

    #[cold]
    fn map_until(&mut self, end: usize) -> nix::Result<()> {
        while self.mapped < end {
            let offset = 2 * self.page_len + self.mapped;
            self.data
                .map_piece(&self.fd, offset, self.mapped, PIECE_LEN)?;
            self.mapped += PIECE_LEN;
        }
        Ok(())
    }
}

/// Becomes readable where a program says so, and stays so while entries are left.
impl AsFd for Entries {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// A part of this process's addresses.
#[derive(Debug)]
struct Mapping {
    first: NonNull<u8>,
    len: usize,
}

// SAFETY: the memory belongs to no thread.
unsafe impl Send for Mapping {}

impl Mapping {
    /// `len` bytes of a ring from `offset` on.
    fn of(ring: &OwnedFd, offset: usize, len: usize, access: ProtFlags) -> nix::Result<Self> {
        let bytes = NonZero::new(len).ok_or(Errno::EINVAL)?;
        let offset = i64::try_from(offset).map_err(|_| Errno::EOVERFLOW)?;
        // SAFETY: a new mapping at an address of the kernel's choice, which nothing else in this process refers to.
        let first = unsafe { mmap(None, bytes, access, MapFlags::MAP_SHARED, ring, offset) }?;
        Ok(Self {
            first: first.cast(),
            len,
        })
    }

    /// Addresses with nothing behind them.
    fn reserved(len: usize) -> nix::Result<Self> {
        let bytes = NonZero::new(len).ok_or(Errno::EINVAL)?;
        let flags = MapFlags::MAP_PRIVATE | MapFlags::MAP_NORESERVE;
        // SAFETY: a new mapping at an address of the kernel's choice, which nothing else in this process refers to.
        let first = unsafe { mmap_anonymous(None, bytes, ProtFlags::PROT_NONE, flags) }?;
        Ok(Self {
            first: first.cast(),
            len,
        })
    }

    /// Puts `len` bytes of a ring from `offset` on behind the addresses from `at` on.
    fn map_piece(&self, ring: &OwnedFd, offset: usize, at: usize, len: usize) -> nix::Result<()> {
        if at + len > self.len {
            return Err(Errno::EINVAL);
        }
        let bytes = NonZero::new(len).ok_or(Errno::EINVAL)?;
        let offset = i64::try_from(offset).map_err(|_| Errno::EOVERFLOW)?;
        let flags = MapFlags::MAP_SHARED | MapFlags::MAP_FIXED;
        let address = NonZero::new(self.first.addr().get() + at).ok_or(Errno::EINVAL)?;
        // SAFETY: the addresses are this mapping's own, and nothing refers to them: nobody looks at what is not mapped yet.
        unsafe {
            mmap(
                Some(address),
                bytes,
                ProtFlags::PROT_READ,
                flags,
                ring,
                offset,
            )
        }?;
        Ok(())
    }

    /// The word at the beginning.
    fn word(&self) -> &AtomicUsize {
        // SAFETY: a page is longer than a word and aligned to it, and nobody accesses this one but by atomic operations.
        unsafe { self.first.cast().as_ref() }
    }

    /// The first word of an entry's header.
    ///
    /// # Safety
    ///
    /// It must be mapped, and aligned.
    unsafe fn header(&self, at: usize) -> &AtomicU32 {
        // SAFETY: it is mapped.
        let header = unsafe { self.first.add(at) };
        // SAFETY: it is aligned, and nobody accesses it but by atomic operations while it may change.
        unsafe { header.cast().as_ref() }
    }

    /// `len` bytes.
    ///
    /// # Safety
    ///
    /// They must be mapped, and nobody may write there as long as the result lives.
    unsafe fn bytes(&self, at: usize, len: usize) -> &[u8] {
        // SAFETY: it is mapped.
        let first = unsafe { self.first.add(at) };
        // SAFETY: they are mapped, and nobody writes there.
        unsafe { std::slice::from_raw_parts(first.as_ptr(), len) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the addresses are ours, and every reference to them has ended with `self`.
        let unmapped = unsafe { munmap(self.first.cast(), self.len) };
        debug_assert!(unmapped.is_ok());
    }
}

#[cfg(test)]
mod tests;
