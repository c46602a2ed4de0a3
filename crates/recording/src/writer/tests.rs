//! What was written is read as a replay reads it.

use std::path::PathBuf;
use std::time::Duration;

use abi::record::{KIND_CLIENT, KIND_ONLINE, RecordHeader};
use capture::{Files, Unwrapper};

use super::{Options, Writer};
use crate::names::Names;

/// A folder of a test's own, which goes with it.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("recording-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a folder");
        Self(path)
    }

    fn options(
        &self,
        name: &str,
        rotate_bytes: Option<u64>,
        rotate_every: Option<Duration>,
    ) -> Options {
        let rotates = rotate_bytes.is_some() || rotate_every.is_some();
        Options {
            names: Names::new(&self.0.join(name), rotates).expect("a name"),
            replaces: false,
            rotate_bytes,
            rotate_every,
            masks: true,
            description: "for a test".to_owned(),
            wall_offset_ns: 1_000,
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).expect("it is ours");
    }
}

fn packet(seq: u32, payload: &[u8]) -> Vec<u8> {
    let len = u16::try_from(40 + payload.len()).expect("short");
    let mut packet = vec![0x45, 0];
    packet.extend(len.to_be_bytes());
    packet.extend([0, 1, 0, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    packet.extend([0x9c, 0x40, 0, 80]);
    packet.extend(seq.to_be_bytes());
    packet.extend([0, 0, 0, 1, 0x50, 0x10, 1, 0, 0, 0, 0, 0]);
    packet.extend(payload);
    packet
}

fn header(kind: u32, stamp_ns: u64, packet: &[u8], ifindex: u32) -> RecordHeader {
    RecordHeader {
        stamp_ns,
        kind,
        captured_len: u32::try_from(packet.len()).expect("short"),
        ifindex,
        gso_size: 0,
    }
}

/// Of each packet: when, by which interface, its payload, and how much of it is missing.
fn read(files: &[PathBuf]) -> Vec<(u64, u32, Vec<u8>, u32)> {
    let mut files = Files::open(files, false).expect("they are captures");
    let (mut unwrapper, mut packets) = (Unwrapper::new(), Vec::new());
    while let Some(frame) = files.next().expect("they are whole") {
        unwrapper.unwrap(&frame, &mut |packet| {
            packets.push((
                packet.at_ns,
                packet.interface,
                packet.bytes[40..].to_vec(),
                packet.missing,
            ));
        });
    }
    packets
}

#[test]
fn both_directions_come_back_with_their_lengths_and_times() {
    let folder = Folder::new("both");
    for name in ["a.pcapng", "a.pcapng.zst"] {
        let mut writer = Writer::open(folder.options(name, None, None)).expect("it opens");
        writer.name(3, "eth0".to_owned());
        let request = packet(1, b"GET / HTTP/1.1\r\nCookie: abc\r\n\r\n");
        let answer = packet(1, &[b'x'; 900]);
        writer.take(&header(KIND_CLIENT, 5, &request, 3), &request);
        writer.take(
            &header(KIND_ONLINE, 7_000_000_009, &answer[..40], 4),
            &answer[..40],
        );
        let written = writer.finish(12).expect("it is written");
        assert_eq!((written.clients, written.online, written.masked), (1, 1, 1));
        let packets = read(&written.files);
        let [(first_ns, 0, first, 0), (second_ns, 1, _, 900)] = &packets[..] else {
            panic!("{packets:?}");
        };
        assert_eq!((*first_ns, *second_ns), (1_005, 7_000_001_009));
        assert_eq!(first, b"GET / HTTP/1.1\r\nCookie: ***\r\n\r\n");
        let len = std::fs::metadata(&written.files[0])
            .expect("it is there")
            .len();
        assert_eq!(written.file_bytes, len);
        // What exists is not replaced.
        assert!(Writer::open(folder.options(name, None, None)).is_err());
    }
}

#[test]
fn a_recording_goes_on_in_the_next_file() {
    let folder = Folder::new("rotation");
    let by_size = folder.options("s.pcapng", Some(1000), None);
    let by_time = folder.options("t.pcapng.zst", None, Some(Duration::from_nanos(10)));
    for options in [by_size, by_time] {
        let names = options.names.clone();
        assert_eq!(names.in_the_way().expect("a folder"), None);
        let mut writer = Writer::open(options).expect("it opens");
        for n in 0..30u32 {
            let request = packet(n * 100, &[b'a'; 100]);
            writer.take(&header(KIND_CLIENT, n.into(), &request, 3), &request);
            writer.flush(0).expect("it is written");
        }
        let written = writer.finish(0).expect("it is written");
        assert!((3..=8).contains(&written.files_written), "{written:?}");
        assert_eq!(written.files[1], names.file(2));
        assert_eq!(read(&written.files).len(), 30);
        assert!(names.in_the_way().expect("a folder").is_some());
    }
}

#[test]
fn a_link_is_no_file_of_ours() {
    let folder = Folder::new("link");
    let place = folder.0.join("a.pcapng");
    std::os::unix::fs::symlink("/dev/full", place).expect("a link");
    let options = folder.options("a.pcapng", None, None);
    for replaces in [false, true] {
        let options = Options {
            replaces,
            ..options.clone()
        };
        assert!(Writer::open(options).is_err());
    }
}
