//! Packets to run programs on.

use wire::flow::{Addr, Endpoint, PoolRange};
use wire::tcp::{Flags, Header, Options, Timestamps};

/// The client of all packets.
pub(crate) const CLIENT: Endpoint = Endpoint::new(Addr::v4([192, 0, 2, 7]), 40_000);
/// The online service.
pub(crate) const ONLINE: Endpoint = Endpoint::new(Addr::v4([198, 51, 100, 1]), 80);
/// The target.
pub(crate) const TARGET: Endpoint = Endpoint::new(Addr::v4([203, 0, 113, 5]), 8080);
/// An endpoint in the pool.
pub(crate) const POOL: Endpoint = Endpoint::new(Addr::v4([198, 51, 100, 1]), 10_007);

/// The pool: the online address, ports 10000 to 19999.
pub(crate) const POOL_RANGE: PoolRange = PoolRange {
    prefix: Addr::v4([198, 51, 100, 1]),
    mask: Addr::v6([0xff; 16]),
    port_first: 10_000,
    port_last: 19_999,
};

/// The same endpoint with an IPv6 address.
pub(crate) fn v6(endpoint: Endpoint) -> Endpoint {
    let mut octets = [0; 16];
    octets[0] = 0xfd;
    octets[12..].copy_from_slice(&endpoint.addr.v4_octets());
    Endpoint::new(Addr::v6(octets), endpoint.port)
}

/// A segment to be sent, with timestamps.
pub(crate) fn header(source: Endpoint, destination: Endpoint, flags: Flags) -> Header {
    Header {
        source,
        destination,
        seq: 1000,
        ack: 2000,
        flags,
        window: 512,
        urgent: 0,
        options: Options {
            timestamps: Some(Timestamps { value: 1, echo: 2 }),
            ..Options::default()
        },
    }
}

/// The frame of a segment with `payload` bytes of payload.
pub(crate) fn frame_of(header: &Header, payload: usize) -> Vec<u8> {
    let at = header.payload_offset();
    let mut frame = vec![0; at + payload];
    for (index, byte) in frame[at..].iter_mut().enumerate() {
        *byte = (index % 251) as u8;
    }
    assert!(header.emit(&mut frame));
    frame
}

/// The frame of a segment with ACK, PSH and `payload` bytes of payload.
pub(crate) fn data(source: Endpoint, destination: Endpoint, payload: usize) -> Vec<u8> {
    frame_of(
        &header(source, destination, Flags::ACK.with(Flags::PSH)),
        payload,
    )
}

/// The frame of a segment without payload.
pub(crate) fn bare(source: Endpoint, destination: Endpoint, flags: Flags) -> Vec<u8> {
    frame_of(&header(source, destination, flags), 0)
}
