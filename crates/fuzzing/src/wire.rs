//! The parsers of packets against anything, and against themselves: what they accept must be what is there.

use wire::checksum::{Sum, Verdict, judge};
use wire::flow::{Addr, Endpoint, PoolRange};
use wire::hash::EndpointHash;
use wire::icmp::TooBig;
use wire::ip::{self, PROTOCOL_TCP};
use wire::segment::Segment;
use wire::tcp::{Header, Options};

/// Feeds one input to every parser.
///
/// # Panics
///
/// Where a parser panics or two of them disagree.
pub fn run(data: &[u8]) {
    headers(data);
    options(data);
    sums(data);
    let _ = TooBig::parse(data, 0);
    // A cursor that starts in the middle, or beyond the end.
    for offset in [1, 14, data.len(), usize::from(u16::MAX)] {
        let _ = Segment::parse(data, offset);
        let _ = TooBig::parse(data, offset);
        let _ = ip::addresses(data, offset);
    }
}

fn headers(data: &[u8]) {
    let Ok(header) = ip::Header::parse(data, 0) else {
        assert!(Segment::parse(data, 0).is_err());
        return;
    };
    assert_eq!(
        ip::addresses(data, 0),
        Some((header.source, header.destination))
    );
    let Ok(segment) = Segment::parse(data, 0) else {
        return;
    };
    assert_eq!(header.protocol, PROTOCOL_TCP);
    assert_eq!(segment.source.addr, header.source);
    assert!(segment.tcp_offset + 20 <= segment.payload_offset);
    let tcp_len = segment.payload_offset - segment.tcp_offset + segment.payload_len;
    assert_eq!(tcp_len, header.payload_len);
    let (tcp, payload) = (segment.tcp(data), segment.payload(data));
    assert_eq!(tcp.is_some(), payload.is_some());
    if let (Some(tcp), Some(payload)) = (tcp, payload) {
        assert!(tcp.ends_with(payload));
        again(&segment, data, payload);
    }
    let range = PoolRange {
        prefix: segment.source.addr,
        mask: Addr::v6([255; 16]),
        port_first: segment.source.port,
        port_last: segment.source.port,
    };
    assert!(range.contains(&segment.source));
    assert_eq!(
        range.contains(&segment.destination),
        segment.source == segment.destination
    );
    assert!(EndpointHash::new(7).owner(&segment.source, 7) < 7);
}

/// What was read is written, and reads the same.
fn again(segment: &Segment, data: &[u8], payload: &[u8]) {
    let header = Header {
        source: segment.source,
        destination: segment.destination,
        seq: segment.seq,
        ack: segment.ack,
        flags: segment.flags,
        window: segment.window,
        urgent: segment.urgent,
        options: Options {
            // Read only: what is emitted has no further paths.
            multipath: None,
            ..segment.options(data)
        },
    };
    // A mapped address in an IPv6 header has no IPv6 form here; the engine has no such target.
    let mixed = segment.source.addr.is_v4() != segment.destination.addr.is_v4();
    if mixed || header.options.emitted_len() > wire::tcp::OPTIONS_LEN_MAX {
        return;
    }
    let at = header.payload_offset();
    let mut frame = vec![0xaa; at + payload.len()];
    frame[at..].copy_from_slice(payload);
    if !header.emit(&mut frame) {
        assert!(payload.len() > 65_000, "only what is too long for IP");
        return;
    }
    let packet = &frame[wire::ethernet::HEADER_LEN..];
    let read = Segment::parse(packet, 0).expect("what was emitted");
    assert_eq!(
        (read.source, read.destination, read.seq, read.ack),
        (header.source, header.destination, header.seq, header.ack)
    );
    assert_eq!(
        (read.flags, read.window, read.urgent),
        (header.flags, header.window, header.urgent)
    );
    assert_eq!(read.options(packet), header.options);
    assert_eq!(read.payload(packet), Some(payload));
    let tcp = read.tcp(packet).expect("whole");
    let verdict = judge(&read.source.addr, &read.destination.addr, PROTOCOL_TCP, tcp);
    // The pseudo-header's sum alone can be the right sum as well.
    assert_ne!(verdict, Verdict::Corrupt);
}

fn options(data: &[u8]) {
    let options = Options::parse(&data[..data.len().min(40)]);
    assert!(options.window_scale.is_none_or(|shift| shift <= 14));
    assert!(options.emitted_len().is_multiple_of(4));
    for len in 0..data.len().min(12) {
        let _ = Options::parse(&data[..len]);
    }
}

/// Against the loop of RFC 1071, word by word.
fn sums(data: &[u8]) {
    let mut sum: u32 = 0;
    for pair in data.chunks(2) {
        sum += u32::from(pair[0]) << 8 | u32::from(pair.get(1).copied().unwrap_or(0));
        sum = (sum & 0xffff) + (sum >> 16);
    }
    let ours = Sum::default().bytes(data).fold();
    assert_eq!(u32::from(ours), sum, "sum of {} bytes", data.len());
    let end = Endpoint::new(Addr::v4([10, 0, 0, 1]), 1);
    let _ = judge(&end.addr, &end.addr, PROTOCOL_TCP, data);
}
