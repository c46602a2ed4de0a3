//! What was tapped is read as others read it.

use std::path::{Path, PathBuf};

use capture::{Files, Unwrapper};
use pcap_parser::traits::PcapReaderIterator as _;
use pcap_parser::{Block, OptionCode, PcapBlockOwned, PcapError, PcapNGReader};

use super::{HELD_MAX, HOLD_BACK_NS, Tap};
use crate::blocks::Direction::{self, Received, Sent};
use crate::names::Names;

/// A file of a test's own, which goes with it.
struct TestFile(PathBuf);

impl TestFile {
    fn new(name: &str) -> Self {
        let name = format!("tap-{}-{name}", std::process::id());
        Self(std::env::temp_dir().join(name))
    }

    fn tap(&self) -> Tap {
        let names = Names::new(&self.0, false).expect("a name");
        Tap::open(&names, false, 1_000).expect("it opens")
    }
}

impl Drop for TestFile {
    fn drop(&mut self) {
        std::fs::remove_file(&self.0).expect("it is ours");
    }
}

fn packet(payload: &[u8], kept: usize) -> Vec<u8> {
    let len = u16::try_from(40 + payload.len()).expect("short");
    let mut packet = vec![0x45, 0];
    packet.extend(len.to_be_bytes());
    packet.extend([0, 1, 0, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    packet.extend([0x9c, 0x40, 0, 80, 0, 0, 0, 9]);
    packet.extend([0, 0, 0, 1, 0x50, 0x10, 1, 0, 0, 0, 0, 0]);
    packet.extend(payload);
    packet.truncate(40 + kept);
    packet
}

/// When the packets were made, as the file has them.
fn stamps(path: &Path) -> Vec<u64> {
    let mut files = Files::open(&[path.to_owned()], false).expect("a capture");
    let (mut unwrapper, mut stamps) = (Unwrapper::new(), Vec::new());
    while let Some(frame) = files.next().expect("it is whole") {
        unwrapper.unwrap(&frame, &mut |packet| stamps.push(packet.at_ns));
    }
    stamps
}

/// Of each packet the device, the direction's flags, how much was kept and how much there was; of each device its name; and what its
/// statistics say was lost.
type Blocks = (Vec<(u32, Vec<u8>, u32, u32)>, Vec<String>, Vec<Vec<u8>>);

fn blocks(path: &Path) -> Blocks {
    let file = std::fs::File::open(path).expect("the file");
    let mut reader = PcapNGReader::new(1 << 20, file).expect("pcapng");
    let (mut packets, mut devices, mut lost) = (Vec::new(), Vec::new(), Vec::new());
    loop {
        let offset = match reader.next() {
            Ok((offset, PcapBlockOwned::NG(block))) => {
                let value = |options: &[pcap_parser::PcapNGOption<'_>], code| {
                    let found = options.iter().find(|option| option.code == code);
                    found.map_or_else(Vec::new, |option| option.value.to_vec())
                };
                match block {
                    Block::EnhancedPacket(it) => {
                        let flags = value(&it.options, OptionCode(2));
                        packets.push((it.if_id, flags, it.caplen, it.origlen));
                    }
                    Block::InterfaceDescription(it) => {
                        let name = value(&it.options, OptionCode::IfName);
                        devices.push(String::from_utf8(name).expect("text"));
                    }
                    Block::InterfaceStatistics(it) => {
                        lost.push(value(&it.options, OptionCode::IsbIfDrop));
                    }
                    _ => {}
                }
                offset
            }
            Ok((offset, _)) => offset,
            Err(PcapError::Incomplete(_)) => {
                reader.refill().expect("it is whole");
                continue;
            }
            Err(PcapError::Eof) => return (packets, devices, lost),
            Err(error) => panic!("{error:?}"),
        };
        reader.consume(offset);
    }
}

#[test]
fn packets_stand_in_their_order_with_device_direction_and_length() {
    let file = TestFile::new("order.pcapng");
    let mut tap = file.tap();
    let (eth0, eth1) = (tap.device("eth0"), tap.device("eth1"));
    assert_eq!(tap.device("eth0"), eth0);
    let question = packet(b"GET / HTTP/1.1\r\n\r\n", 18);
    let answer = packet(&[b'x'; 900], 0);
    // As a worker comes by them: what came meanwhile is taken after what it sent.
    let made: [(u32, Direction, u64, &[u8]); 4] = [
        (eth0, Sent, 10, &question),
        (eth0, Sent, 30, &question),
        (eth0, Received, 20, &answer),
        (eth1, Sent, 25, &question),
    ];
    for (device, direction, stamp_ns, packet) in made {
        tap.take(device, direction, stamp_ns, packet);
        tap.flush().expect("it is written");
    }
    assert_eq!((tap.so_far().packets(), tap.unwritten()), (0, 4));
    tap.dropped(eth1, 7);
    tap.finish().expect("it is written");
    let tapped = tap.so_far();
    assert_eq!((tapped.sent, tapped.received, tap.unwritten()), (3, 1, 0));
    assert_eq!(tapped.packet_bytes, 3 * 58 + 40);
    let len = std::fs::metadata(&file.0).expect("it is there").len();
    assert_eq!(tapped.file_bytes, len);
    assert_eq!(stamps(&file.0), [1_010, 1_020, 1_025, 1_030]);
    let (packets, devices, lost) = blocks(&file.0);
    let (out, back) = (2u32.to_le_bytes().to_vec(), 1u32.to_le_bytes().to_vec());
    let expected = [
        (eth0, out.clone(), 72, 72),
        (eth0, back, 54, 954),
        (eth1, out.clone(), 72, 72),
        (eth0, out, 72, 72),
    ];
    assert_eq!(packets, expected);
    assert_eq!(devices, ["eth0", "eth1"]);
    let number = |n: u64| n.to_le_bytes().to_vec();
    assert_eq!(lost, [number(0), number(7)]);
}

#[test]
fn what_is_held_is_bounded_in_time_and_in_bytes() {
    let file = TestFile::new("bounded.pcapng.zst");
    let mut tap = file.tap();
    let device = tap.device("eth0");
    let small = packet(b"", 0);
    tap.take(device, Sent, 1, &small);
    tap.take(device, Sent, 2 + HOLD_BACK_NS, &small);
    tap.flush().expect("it is written");
    assert_eq!((tap.so_far().sent, tap.unwritten()), (1, 1));
    let large = packet(&[0; 60_000], 60_000);
    let count = HELD_MAX / large.len() + 1;
    for n in 0..count as u64 {
        tap.take(device, Received, 3 + HOLD_BACK_NS + n, &large);
    }
    assert!(tap.is_full());
    tap.flush().expect("it is written");
    assert!(tap.so_far().packets() as usize > count / 2);
    assert!(!tap.is_full());
    // What is late is written all the same.
    tap.take(device, Sent, 2, &small);
    tap.finish().expect("it is written");
    assert_eq!(stamps(&file.0).len(), count + 3);
}
