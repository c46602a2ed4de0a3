//! The kernel's part is played by a file in memory. Its halves are two, so what goes on at the beginning is written behind the end.

use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering;

use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::uio::pwrite;
use nix::unistd::ftruncate;

use super::{BUSY, DISCARDED, Entries, GIVE_BACK_EVERY, HEADER_LEN, PIECE_LEN};

const LEN: usize = 2 * PIECE_LEN;
const LONGEST: usize = 100_000;

struct Kernel {
    file: OwnedFd,
    page_len: usize,
    written: usize,
}

impl Kernel {
    fn new() -> (Self, Entries) {
        let file = memfd_create(c"ring", MFdFlags::MFD_CLOEXEC).unwrap();
        ftruncate(&file, 8 << 20).unwrap();
        let entries = Entries::map(&file, LEN, LONGEST).unwrap();
        let page_len = entries.page_len;
        let kernel = Self {
            file,
            page_len,
            written: 0,
        };
        (kernel, entries)
    }

    fn put(&self, at: usize, bytes: &[u8]) {
        let written = pwrite(&self.file, bytes, i64::try_from(at).unwrap()).unwrap();
        assert_eq!(written, bytes.len());
    }

    /// An entry of `body` with these marks; returns where its header stands.
    fn write(&mut self, marks: u32, body: &[u8]) -> usize {
        let at = 2 * self.page_len + self.written % LEN;
        self.put(at + HEADER_LEN, body);
        self.put(at, &(body.len() as u32 | marks).to_ne_bytes());
        self.written += (HEADER_LEN + body.len()).next_multiple_of(HEADER_LEN);
        self.put(self.page_len, &self.written.to_ne_bytes());
        at
    }
}

fn read(entries: &mut Entries) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    entries
        .read(|entry| {
            all.push(entry.to_vec());
            true
        })
        .unwrap();
    all
}

#[test]
fn entries_are_read_in_order_and_discarded_ones_are_not() {
    let (mut kernel, mut entries) = Kernel::new();
    assert!(entries.is_empty().unwrap());
    kernel.write(0, b"one");
    kernel.write(DISCARDED, b"nothing");
    kernel.write(0, b"another");
    assert!(!entries.is_empty().unwrap());
    assert_eq!(read(&mut entries), [b"one".to_vec(), b"another".to_vec()]);
    assert!(entries.is_empty().unwrap());
    kernel.write(DISCARDED, b"nothing");
    assert!(entries.is_empty().unwrap());
    assert_eq!(
        entries.given_back, kernel.written,
        "poll would find something"
    );
}

#[test]
fn what_is_being_written_holds_up_what_is_behind_it() {
    let (mut kernel, mut entries) = Kernel::new();
    let first = kernel.write(BUSY, b"slow");
    kernel.write(0, b"fast");
    assert!(entries.is_empty().unwrap());
    assert!(read(&mut entries).is_empty());
    kernel.put(first, &4u32.to_ne_bytes());
    assert_eq!(read(&mut entries), [b"slow", b"fast"]);
}

#[test]
fn a_reader_stops_after_any_entry() {
    let (mut kernel, mut entries) = Kernel::new();
    kernel.write(0, b"one");
    kernel.write(0, b"two");
    let mut shown = 0;
    for left in [false, true] {
        entries
            .read(|_| {
                shown += 1;
                false
            })
            .unwrap();
        assert_eq!(entries.is_empty().unwrap(), left);
    }
    assert_eq!(shown, 2);
}

#[test]
fn a_ring_is_mapped_as_it_is_gone_through_and_entries_go_on_at_its_beginning() {
    let (mut kernel, mut entries) = Kernel::new();
    assert_eq!(entries.mapped, 0);
    let mut body = vec![0; 65_000];
    for round in 0..100u8 {
        body.fill(round);
        kernel.write(0, &body);
        assert_eq!(read(&mut entries), [body.clone()]);
        let expected = (kernel.written + LONGEST).min(LEN + PIECE_LEN);
        assert!(entries.mapped < expected + PIECE_LEN, "more than was used");
    }
    assert_eq!(entries.mapped, LEN + PIECE_LEN);
}

#[test]
fn room_is_given_back_now_and_then_and_at_the_end() {
    let (mut kernel, mut entries) = Kernel::new();
    let body = vec![0; GIVE_BACK_EVERY / 2];
    (0..5).for_each(|_| {
        kernel.write(0, &body);
    });
    let word = Entries::map(&kernel.file, LEN, LONGEST).unwrap();
    let mut given_back = Vec::new();
    entries
        .read(|_| {
            given_back.push(word.read.word().load(Ordering::Acquire) / body.len());
            true
        })
        .unwrap();
    assert_eq!(given_back, [0, 0, 2, 2, 4]);
    assert_eq!(entries.given_back, kernel.written);
}

#[test]
fn what_is_longer_than_any_can_be_is_cut_off() {
    let (mut kernel, mut entries) = Kernel::new();
    kernel.write(0, &vec![7; 3 * LONGEST]);
    kernel.write(0, b"next");
    let lens: Vec<usize> = read(&mut entries).iter().map(Vec::len).collect();
    assert_eq!(lens, [LONGEST, 4]);
}

#[test]
fn senseless_numbers_are_refused() {
    let (kernel, _) = Kernel::new();
    for (len, longest) in [(LEN + 1, 100), (4096, 100), (LEN, PIECE_LEN)] {
        Entries::map(&kernel.file, len, longest).unwrap_err();
    }
}
