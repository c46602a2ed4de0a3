//! How many small frames a second come out of an uncompressed file, down to their TCP packets, on one core.
//!
//! `cargo bench -p capture --bench frames`.

#[path = "../tests/reading/made.rs"]
#[expect(dead_code, reason = "the tests need more of it")]
mod made;

use std::path::PathBuf;
use std::{env, fs, process};

use capture::{Files, LinkType, Unwrapper};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use made::{Blocks, Form, classic, ethernet, segment};

/// Frames of one file.
const FRAMES: u32 = 500_000;

/// A file that goes when it has been read.
struct Stored(PathBuf);

impl Stored {
    fn new(name: &str, bytes: &[u8]) -> Self {
        let path = env::temp_dir().join(format!("frames-{}-{name}", process::id()));
        fs::write(&path, bytes).expect("a file");
        Self(path)
    }
}

impl Drop for Stored {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// Reads a file to its end; gives how many packets came out.
fn read(stored: &Stored, is_unwrapped: bool) -> u64 {
    let mut files = Files::open(std::slice::from_ref(&stored.0), false).expect("a capture file");
    let (mut unwrapper, mut bytes) = (Unwrapper::new(), 0);
    while let Some(frame) = files.next().expect("a file") {
        if is_unwrapped {
            unwrapper.unwrap(&frame, &mut |packet| bytes += packet.bytes.len());
        }
    }
    assert!(!is_unwrapped || bytes > 0);
    files.counts().frames
}

fn frames(criterion: &mut Criterion) {
    let frames: Vec<Vec<u8>> = (0..FRAMES)
        .map(|seq| ethernet(0x0800, &segment(seq, b"GET / HTTP/1.1\r\n\r\n")))
        .collect();
    let records: Vec<(u64, &[u8], u32)> = frames
        .iter()
        .map(|frame| (5, frame.as_slice(), frame.len() as u32))
        .collect();
    let pcap = classic(Form::MICROSECONDS, LinkType::ETHERNET, &records);
    let mut blocks = Blocks::new(false).interface(LinkType::ETHERNET, Some(9), None);
    for frame in &frames {
        blocks = blocks.packet(0, 5, frame, None);
    }
    let offloaded: Vec<Vec<u8>> = frames.iter().cloned().map(without_sum).collect();
    let records: Vec<(u64, &[u8], u32)> = offloaded
        .iter()
        .map(|frame| (5, frame.as_slice(), frame.len() as u32))
        .collect();
    let offloaded = classic(Form::MICROSECONDS, LinkType::ETHERNET, &records);
    let mut group = criterion.benchmark_group("frames");
    group.throughput(Throughput::Elements(u64::from(FRAMES)));
    group.sample_size(10);
    for (name, file, is_unwrapped) in [
        ("pcap, records alone", &pcap, false),
        ("pcap", &pcap, true),
        ("pcapng", &blocks.done(), true),
        ("pcap, checksums offloaded", &offloaded, true),
    ] {
        let stored = Stored::new("file", file);
        group.bench_function(name, |bencher| {
            bencher.iter(|| assert_eq!(read(&stored, is_unwrapped), u64::from(FRAMES)));
        });
    }
    group.finish();
}

/// A frame whose TCP checksum its sender left to the network card.
fn without_sum(mut frame: Vec<u8>) -> Vec<u8> {
    frame[14 + 20 + 16..14 + 20 + 18].fill(0);
    frame
}

criterion_group!(benches, frames);
criterion_main!(benches);
