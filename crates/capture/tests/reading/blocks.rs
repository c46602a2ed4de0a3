//! pcapng files: sections, interfaces, and blocks without packets.

use capture::{LinkType, NoteKind};

use crate::made::{Blocks, ethernet, segment, take};

const SECOND: u64 = 1_000_000_000;

fn frame(seq: u32) -> Vec<u8> {
    ethernet(0x0800, &segment(seq, b"abc"))
}

/// Sequence number and time of what comes out.
fn seen(file: &[u8]) -> Vec<(u32, u64)> {
    let seq = |bytes: &[u8]| u32::from_be_bytes([bytes[24], bytes[25], bytes[26], bytes[27]]);
    take(file)
        .0
        .iter()
        .map(|packet| (seq(&packet.bytes), packet.at_ns))
        .collect()
}

#[test]
fn sections_of_two_byte_orders_with_interfaces_of_their_own() {
    let mut file = Vec::new();
    for is_big_endian in [false, true] {
        file.extend(
            Blocks::new(is_big_endian)
                .interface(LinkType::ETHERNET, None, None)
                .interface(LinkType::RAW, Some(9), Some(-5))
                .interface(LinkType::ETHERNET, Some(0x8a), Some(100))
                .interface(LinkType::ETHERNET, Some(9), None)
                .packet(0, 7_000_000, &frame(1), None)
                .packet(1, 7_000_000_000, &segment(2, b"abc"), None)
                .packet(2, 1536, &frame(3), None)
                .done(),
        );
    }
    let once = [
        (1, 7 * SECOND),
        (2, 2 * SECOND),
        (3, 101 * SECOND + SECOND / 2),
    ];
    assert_eq!(seen(&file), [once, once].concat());
    let interfaces: Vec<u32> = take(&file)
        .0
        .iter()
        .map(|packet| packet.interface)
        .collect();
    assert_eq!(interfaces, [0, 1, 2, 0, 1, 2]);
}

#[test]
fn blocks_without_packets_are_passed_over_however_long_they_are() {
    let file = Blocks::new(false)
        .block(0x0a, &[7; 300_000])
        .interface(LinkType::ETHERNET, Some(9), None)
        .block(4, &[1; 64])
        .packet(0, 5, &frame(1), None)
        .block(0x4000_0bad, &vec![9; 3_000_000])
        .statistics(0, 11)
        .statistics(0, 17)
        .packet(0, 6, &frame(2), None)
        .done();
    assert_eq!(seen(&file), [(1, 5), (2, 6)]);
    let counts = take(&file).1;
    assert_eq!((counts.lost, counts.torn, counts.damaged), (17, 0, 0));
}

#[test]
fn packets_of_other_blocks_are_read_too() {
    let file = Blocks::new(false)
        .interface(LinkType::ETHERNET, Some(9), None)
        .old(0, 5, &frame(1))
        .simple(&frame(2), None)
        .simple(&frame(3)[..50], Some(1400))
        .done();
    assert_eq!(seen(&file)[..2], [(1, 5), (2, 5)]);
    assert_eq!(take(&file).1.cut, 1);
}

#[test]
fn comments_behind_a_packet_are_no_part_of_it() {
    let file = Blocks::new(true)
        .interface(LinkType::ETHERNET, Some(9), None)
        .packet(0, 5, &frame(1), Some("what happened here"))
        .done();
    assert_eq!(take(&file).0[0].bytes, frame(1)[14..]);
}

#[test]
fn an_interface_of_an_unknown_link_type_is_noted_once_and_the_others_are_read() {
    let file = Blocks::new(false)
        .interface(LinkType::ETHERNET, Some(9), None)
        .interface(LinkType(105), Some(9), None)
        .packet(0, 5, &frame(1), None)
        .packet(1, 6, &[1, 2, 3], None)
        .packet(1, 7, &[1, 2, 3], None)
        .packet(0, 8, &frame(2), None)
        .done();
    assert_eq!(seen(&file), [(1, 5), (2, 8)]);
    let counts = take(&file).1;
    assert_eq!(counts.other_link, 2);
    let said: Vec<String> = counts.notes().iter().map(ToString::to_string).collect();
    assert_eq!(said.len(), 1);
    assert!(said[0].contains("105 (IEEE802_11)"), "{said:?}");
}

#[test]
fn a_block_that_contradicts_itself_is_left_out_alone() {
    let mut whole = Blocks::new(false)
        .interface(LinkType::ETHERNET, Some(9), None)
        .packet(0, 5, &frame(1), None)
        .done();
    let start = whole.len();
    whole.extend(
        Blocks::bare(false)
            .packet(0, 6, &frame(2), None)
            .packet(9, 7, &frame(3), None)
            .done(),
    );
    whole.extend(Blocks::bare(false).packet(0, 8, &frame(4), None).done());
    // The captured length: longer than the block.
    whole[start + 20..start + 24].copy_from_slice(&5000u32.to_le_bytes());
    assert_eq!(seen(&whole), [(1, 5), (4, 8)]);
    let counts = take(&whole).1;
    let places: Vec<u64> = counts.notes().iter().map(|note| note.number).collect();
    assert_eq!((counts.damaged, &places[..]), (2, &[2, 3][..]));
}

#[test]
fn lengths_that_lead_nowhere_end_the_file() {
    for (field, value) in [(4, 8u32), (4, u32::MAX), (4, 60), (0, 100)] {
        let mut file = Blocks::new(false)
            .interface(LinkType::ETHERNET, Some(9), None)
            .packet(0, 5, &frame(1), None)
            .done();
        let start = file.len();
        file.extend(Blocks::bare(false).packet(0, 6, &frame(2), None).done());
        if field == 4 {
            file[start + 4..start + 8].copy_from_slice(&value.to_le_bytes());
        } else {
            let end = file.len();
            file[end - 4..].copy_from_slice(&value.to_le_bytes());
        }
        assert_eq!(seen(&file), [(1, 5)], "{field} {value}");
        let counts = take(&file).1;
        assert_eq!(counts.damaged, 1, "{:?}", counts.notes());
        let note = &counts.notes()[0];
        assert!(matches!(note.kind, NoteKind::Damaged(_)));
        assert_eq!((note.number, note.offset), (2, start as u64));
    }
}
