//! Capture files of each form, made byte by byte, and what comes out of them.

mod blocks;
mod layers;
mod made;
mod packets;
mod storage;

use capture::{LinkType, Sum};
use made::{Form, classic, ethernet, segment, segment_v6, take};

/// Ten requests on one connection, a millisecond apart, in Ethernet.
fn ten() -> Vec<(u64, Vec<u8>)> {
    let at = |at: u32| u64::from(at) * 1_000_000 + 1_700_000_000_000_000_000;
    let frame = |at: u32| match at % 2 {
        0 => ethernet(0x0800, &segment(at * 3, b"abc")),
        _ => ethernet(0x86dd, &segment_v6(at * 3, b"abc")),
    };
    (0..10).map(|n| (at(n), frame(n))).collect()
}

fn records(frames: &[(u64, Vec<u8>)]) -> Vec<(u64, &[u8], u32)> {
    let record = |(at, frame): &'_ (u64, Vec<u8>)| (*at, frame.len() as u32);
    let lengths = frames.iter().map(record);
    frames
        .iter()
        .zip(lengths)
        .map(|((_, frame), (at, len))| (at, frame.as_slice(), len))
        .collect()
}

#[test]
fn each_form_of_pcap_gives_the_same_packets() {
    let frames = ten();
    for form in [Form::MICROSECONDS, Form::NANOSECONDS, Form::MODIFIED] {
        for form in [form, form.big_endian()] {
            let file = classic(form, LinkType::ETHERNET, &records(&frames));
            let (taken, counts, unwrapped) = take(&file);
            assert_eq!(
                (taken.len(), counts.frames, unwrapped.packets),
                (10, 10, 10)
            );
            for (packet, (at, frame)) in taken.iter().zip(&frames) {
                assert_eq!(packet.bytes, frame[14..], "{form:?}");
                assert_eq!(packet.at_ns, *at, "{form:?}");
                let rest = (packet.network, packet.interface, packet.missing, packet.sum);
                assert_eq!(rest, (0, 0, 0, Sum::Good));
            }
        }
    }
}
