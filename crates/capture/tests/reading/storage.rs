//! How files are stored: compressed, in parts, torn, growing, or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use capture::{Error, Files, LinkType, NoteKind};
use flate2::write::GzEncoder;

use crate::made::{Form, Taken, classic, ethernet, segment, take, take_all};

/// A folder of one test's own, which goes with it.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("capture-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).expect("a folder");
        Self(path)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, bytes).expect("a file");
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A file of packets with these sequence numbers.
fn file(seqs: std::ops::Range<u32>) -> Vec<u8> {
    let frames: Vec<Vec<u8>> = seqs
        .map(|seq| ethernet(0x0800, &segment(seq, b"abc")))
        .collect();
    let records: Vec<(u64, &[u8], u32)> = frames
        .iter()
        .map(|frame| (5, frame.as_slice(), frame.len() as u32))
        .collect();
    classic(Form::NANOSECONDS, LinkType::ETHERNET, &records)
}

fn seqs(taken: &[Taken]) -> Vec<u32> {
    let seq = |it: &Taken| {
        it.bytes[24..28]
            .iter()
            .fold(0, |seq, byte| seq << 8 | u32::from(*byte))
    };
    taken.iter().map(seq).collect()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut to = GzEncoder::new(Vec::new(), flate2::Compression::fast());
    to.write_all(bytes).expect("memory");
    to.finish().expect("memory")
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).expect("memory")
}

#[test]
fn several_files_are_one_stream_and_can_be_read_again() {
    let folder = Folder::new("several");
    let parts = [
        folder.write("a", &file(0..10)),
        folder.write(
            "b.gz",
            &[gzip(&file(10..20)[..100]), gzip(&file(10..20)[100..])].concat(),
        ),
        folder.write(
            "c.zst",
            &[zstd(&file(20..30)[..100]), zstd(&file(20..30)[100..])].concat(),
        ),
    ];
    let stored: u64 = parts
        .iter()
        .map(|part| fs::metadata(part).expect("a file").len())
        .sum();
    let mut files = Files::open(&parts, false).expect("capture files");
    assert_eq!(
        (files.progress().read, files.progress().total),
        (0, Some(stored))
    );
    for _ in 0..2 {
        let (taken, counts, _) = take_all(&mut files);
        assert_eq!(seqs(&taken), (0..30).collect::<Vec<u32>>());
        assert_eq!((counts.torn, counts.damaged), (0, 0));
        assert_eq!(files.progress().read, stored);
        assert!(files.ended());
        files.rewind().expect("files");
    }
    assert_eq!(files.counts().frames, 60);
}

#[test]
fn places_count_from_the_beginning_of_each_file() {
    let folder = Folder::new("places");
    let parts = [
        folder.write("a", &file(0..2)),
        folder.write("b", &file(2..4)),
    ];
    let mut files = Files::open(&parts, false).expect("capture files");
    let mut places = Vec::new();
    while let Some(frame) = files.next().expect("files") {
        places.push((frame.place.file, frame.place.number, frame.place.offset));
    }
    // The header of the file has 24 bytes, that of a record 16.
    let record = 16 + 14 + 40 + 3;
    assert_eq!(
        places,
        [
            (0, 1, 24),
            (0, 2, 24 + record),
            (1, 1, 24),
            (1, 2, 24 + record)
        ]
    );
    assert_eq!(files.path(1), Some(parts[1].as_path()));
}

#[test]
fn a_torn_end_costs_what_is_torn_and_the_next_file_goes_on() {
    let folder = Folder::new("torn");
    let whole = file(0..10);
    let torn = &whole[..whole.len() - 37];
    let parts = [
        folder.write("a", torn),
        folder.write("b.gz", &gzip(torn)),
        folder.write("c.zst", &zstd(torn)),
        folder.write("d", &file(20..21)),
    ];
    let (taken, counts, _) = take_all(&mut Files::open(&parts, false).expect("capture files"));
    assert_eq!(taken.len(), 3 * 9 + 1);
    assert_eq!((counts.torn, counts.damaged), (3, 0));
    let said = counts.notes()[0].to_string();
    assert!(
        said.contains("in the middle of packet 10, at byte 681"),
        "{said}"
    );
}

#[test]
fn compressed_data_that_is_torn_or_damaged_ends_its_file() {
    // Payload that does not pack.
    let mut whole = file(0..40_000);
    let mut number = 1u32;
    for byte in whole[24..]
        .chunks_mut(73)
        .filter_map(|record| record.last_mut())
    {
        number = number.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        *byte = (number >> 24) as u8;
    }
    for stored in [gzip(&whole), zstd(&whole)] {
        let (taken, counts, _) = take(&stored[..stored.len() - 37]);
        assert!((1..40_000).contains(&taken.len()), "{}", taken.len());
        assert_eq!(
            (counts.torn, counts.damaged),
            (1, 0),
            "{:?}",
            counts.notes()
        );
        let mut damaged = stored;
        let middle = damaged.len() / 2;
        damaged[middle..middle + 8].fill(0x55);
        let (_, counts, _) = take(&damaged);
        assert_eq!((counts.torn, counts.damaged), (0, 1));
        assert!(matches!(counts.notes()[0].kind, NoteKind::Damaged(_)));
    }
}

#[test]
fn a_record_longer_than_any_packet_ends_the_file() {
    let mut damaged = file(0..3);
    let record = (damaged.len() - 24) / 3;
    let second = 24 + record;
    damaged[second + 8..second + 12].copy_from_slice(&u32::MAX.to_le_bytes());
    let (taken, counts, _) = take(&damaged);
    assert_eq!((seqs(&taken), counts.damaged), (vec![0], 1));
    assert_eq!(
        (counts.notes()[0].number, counts.notes()[0].offset),
        (2, second as u64)
    );
}

#[test]
fn a_file_that_grows_is_followed() {
    let folder = Folder::new("grows");
    let whole = file(0..3);
    let path = folder.write("a", &whole[..200]);
    let mut files = Files::open(&[folder.write("before", &file(7..9)), path.clone()], true)
        .expect("capture files");
    let count = |files: &mut Files| take_all(files).0.len();
    assert_eq!(
        (count(&mut files), count(&mut files), files.ended()),
        (4, 0, false)
    );
    let mut grown = OpenOptions::new().append(true).open(&path).expect("a file");
    grown.write_all(&whole[200..220]).expect("a file");
    assert_eq!(count(&mut files), 0);
    grown.write_all(&whole[220..]).expect("a file");
    assert_eq!((count(&mut files), files.counts().torn), (1, 0));
    assert_eq!(Some(files.progress().read), files.progress().total);
    grown.set_len(100).expect("a file");
    assert_eq!((count(&mut files), files.ended()), (0, true));
    assert!(
        files.counts().notes()[0]
            .to_string()
            .contains("became shorter")
    );
}

fn refused(paths: &[PathBuf], follow: bool) -> String {
    let refused = Files::open(paths, follow).err().expect("it cannot be read");
    let words = refused.to_string();
    assert!(!words.contains('\n'), "{words}");
    words
}

#[test]
fn what_cannot_be_read_is_refused_in_a_line() {
    let folder = Folder::new("refused");
    let wrong = |link| classic(Form::MICROSECONDS, LinkType(link), &[]);
    for (path, words) in [
        (
            PathBuf::from("/nonexistent/a.pcap"),
            "there is no such file",
        ),
        (folder.0.clone(), "it is a directory"),
        (folder.write("empty", b""), "it is empty"),
        (
            folder.write("short", b"\xd4\xc3\xb2"),
            "less than four bytes",
        ),
        (
            folder.write("head", &file(0..1)[..20]),
            "it ends before its header does",
        ),
        (
            folder.write("text", b"GET / HTTP/1.1"),
            "begins with 47 45 54 20, which is text",
        ),
        (folder.write("xz", b"\xfd7zXZ..."), "which is xz"),
        (
            folder.write("elf", b"\x7fELF\x01\x02"),
            "begins with 7f 45 4c 46, which is no capture file",
        ),
        (
            folder.write("text.gz", &gzip(b"GET / HTTP/1.1")),
            "begins with 47 45 54 20",
        ),
        // A frame with a window of 256 MB, and a last block of nothing.
        (
            folder.write("long.zst", b"\x28\xb5\x2f\xfd\x00\x90\x01\x00\x00"),
            "a window of more than 128 MB",
        ),
        (
            folder.write("wifi", &wrong(105)),
            "link type 105 (IEEE802_11)",
        ),
        (
            folder.write("none", &wrong(999)),
            "link type 999 (no name known)",
        ),
    ] {
        let said = refused(std::slice::from_ref(&path), false);
        assert!(said.contains(words), "{said}");
        assert!(said.contains(&path.display().to_string()), "{said}");
    }
}

/// Root may read everything, so the words are looked at alone.
#[test]
fn a_file_that_may_not_be_read_is_told_what_helps() {
    let error = Error::Open {
        path: PathBuf::from("a.pcap"),
        source: std::io::ErrorKind::PermissionDenied.into(),
    };
    let words = "cannot open a.pcap: permission denied; run as a user who may read it";
    assert!(error.to_string().starts_with(words), "{error}");
}

/// With a good file before it: nothing of that may be handed out.
#[test]
fn each_file_is_looked_at_before_the_first_packet() {
    let folder = Folder::new("before");
    let good = folder.write("a", &file(0..2));
    let said = refused(&[good, folder.0.join("b")], false);
    assert!(said.contains("there is no such file"), "{said}");
}

#[test]
fn a_compressed_file_cannot_be_followed_and_a_pipe_not_read_again() {
    let folder = Folder::new("once");
    let said = refused(&[folder.write("a.gz", &gzip(&file(0..2)))], true);
    assert!(said.contains("while it grows: it is compressed"), "{said}");
    let reader = Box::new(File::open(folder.write("b", &file(0..2))).expect("a file"));
    let mut files = Files::of_reader(Path::new("-"), reader).expect("a capture file");
    assert_eq!(take_all(&mut files).0.len(), 2);
    assert!(matches!(files.rewind(), Err(Error::Once { .. })));
    assert_eq!(files.progress().total, None);
}
