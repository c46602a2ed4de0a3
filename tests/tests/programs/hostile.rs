//! Hostile packets: every one is counted as what it is, never recorded as what it is not, and never hurts.
//!
//! The judge is [`crate::oracle`]: the program in the kernel and the parser in user space must agree on every frame.

use abi::maps;
use abi::record::SAMPLE_LEN_MAX;
use programs::name;
use wire::flow::{Addr, Endpoint};
use wire::ip::{self, PROTOCOL_ICMP, PROTOCOL_TCP};
use wire::tcp::Flags;

use crate::kernel::{Kernel, Settings, endpoint_bytes, skipped};
use crate::oracle::{self, Outcome};
use crate::packet::{CLIENT, ONLINE, POOL, POOL_RANGE, TARGET, bare, data, v6};

/// The least that `BPF_PROG_TEST_RUN` accepts as a frame: an Ethernet header and one byte.
const FRAME_LEN_MIN: usize = 15;

/// Whether `BPF_PROG_TEST_RUN` makes a socket buffer of the frame: it wants the IP header that the EtherType
/// promises.
fn makes_a_socket_buffer(frame: &[u8]) -> bool {
    let least = match (frame[12], frame[13]) {
        (8, 0) => 14 + 20,
        (0x86, 0xdd) => 14 + 40,
        _ => FRAME_LEN_MIN,
    };
    frame.len() >= least
}

struct Bench {
    tcpcopy: Kernel,
    intercept: Kernel,
}

impl Bench {
    fn new() -> Self {
        Self::with(true)
    }

    /// With or without the array of ports; always with a sample of payload, which is one more length that a packet may lie
    /// about, and of the service's IPv4 address with all of it.
    fn with(ports: bool) -> Self {
        let mut tcpcopy = Kernel::tcpcopy(&Settings {
            ports,
            globals: vec![
                (maps::GLOBAL_SAMPLE_LEN, SAMPLE_LEN_MAX),
                (maps::GLOBAL_WHOLE_RESPONSES, maps::WHOLE_ASKED),
            ],
            ..Settings::default()
        });
        tcpcopy.whole_service(ONLINE);
        tcpcopy.service(v6(ONLINE));
        tcpcopy.replies(TARGET, &POOL_RANGE);
        let mut intercept = Kernel::intercept();
        intercept.want_payload(SAMPLE_LEN_MAX);
        intercept.insert(maps::TARGETS, endpoint_bytes(&TARGET), [0; 4]);
        intercept.insert(
            maps::TARGETS,
            endpoint_bytes(&Endpoint::new(TARGET.addr, 0)),
            [0; 4],
        );
        Self { tcpcopy, intercept }
    }

    /// Runs the programs on a frame and compares with what they should do.
    fn check(&mut self, frame: &[u8]) {
        if makes_a_socket_buffer(frame) {
            self.check_tc(frame);
        }
        let verdict = self.intercept.xdp(programs::name::SINK, frame);
        let sunk: Outcome = (verdict, self.intercept.counted());
        assert_eq!(sunk, oracle::sink(frame), "sink {frame:02x?}");
    }

    fn check_tc(&mut self, frame: &[u8]) {
        for (program, expected) in [
            (name::CAPTURE, oracle::capture(frame)),
            (name::OBSERVE, oracle::observe(frame)),
            (name::CAPTURE_OUT, oracle::overhear(frame, false)),
            (name::OBSERVE_IN, oracle::observe(frame)),
            (name::OVERHEAR, oracle::overhear(frame, true)),
            (name::REPLIES, oracle::replies(frame)),
        ] {
            let verdict = self.tcpcopy.tc(program, frame);
            let outcome: Outcome = (verdict, self.tcpcopy.counted());
            assert_eq!(outcome, expected, "{program} {frame:02x?}");
        }
        for (header, packet) in self.tcpcopy.records(0) {
            assert!(14 + packet.len() <= frame.len(), "{header:?}");
            assert_eq!(packet, frame[14..14 + packet.len()]);
        }
    }
}

/// One of each kind that the programs know.
fn valid_frames() -> Vec<Vec<u8>> {
    let mut too_big = vec![0; 14 + 56];
    too_big[12] = 8;
    ip::emit(
        &mut too_big[14..],
        &Addr::v4([10, 0, 0, 9]),
        &POOL.addr,
        PROTOCOL_ICMP,
        36,
    );
    too_big[34..42].copy_from_slice(&[3, 4, 0, 0, 0, 0, 5, 0x78]);
    ip::emit(
        &mut too_big[42..],
        &POOL.addr,
        &TARGET.addr,
        PROTOCOL_TCP,
        1400,
    );
    too_big[62..64].copy_from_slice(&POOL.port.to_be_bytes());
    too_big[64..66].copy_from_slice(&TARGET.port.to_be_bytes());
    vec![
        data(CLIENT, ONLINE, 40),
        data(v6(CLIENT), v6(ONLINE), 40),
        bare(CLIENT, ONLINE, Flags::ACK),
        data(TARGET, POOL, 40),
        data(ONLINE, CLIENT, 40),
        data(v6(ONLINE), v6(CLIENT), 40),
        too_big,
    ]
}

#[test]
fn every_truncation_is_counted_and_passes() {
    if skipped() {
        return;
    }
    let mut bench = Bench::new();
    for frame in valid_frames() {
        for len in FRAME_LEN_MIN..=frame.len() {
            bench.check(&frame[..len]);
        }
    }
}

#[test]
fn lengths_fragments_tags_and_super_packets_are_counted_as_what_they_are() {
    if skipped() {
        return;
    }
    let mut bench = Bench::new();
    for frame in valid_frames() {
        // Every value of every byte that lengths, versions and fragmentation stand in.
        for at in [12, 13, 14, 16, 17, 18, 19, 20, 21, 23, 34, 35, 46, 66] {
            if at >= frame.len() {
                continue;
            }
            for value in [
                0, 1, 2, 4, 8, 0x0f, 0x11, 0x20, 0x40, 0x44, 0x4f, 0x50, 0x5f, 0x60, 0x81, 0xf0,
                0xff,
            ] {
                let mut frame = frame.clone();
                frame[at] = value;
                bench.check(&frame);
            }
        }
        for tag in [[0x81, 0x00, 0, 7], [0x88, 0xa8, 0, 7]] {
            let mut frame = frame.clone();
            frame.splice(12..12, tag);
            bench.check(&frame);
        }
        let mut big = frame.clone();
        let length = if big[14] >> 4 == 4 { 16 } else { 18 };
        big[length..length + 2].fill(0);
        bench.check(&big);
    }
}

#[test]
fn options_that_lie_change_nothing() {
    if skipped() {
        return;
    }
    let mut bench = Bench::new();
    for mut frame in [
        data(CLIENT, ONLINE, 40),
        data(ONLINE, CLIENT, 40),
        data(TARGET, POOL, 40),
    ] {
        // Kind and length of the first option, and the length of the whole header.
        for (kind, len, offset) in [
            (8, 0, 8),
            (8, 1, 8),
            (8, 255, 8),
            (5, 60, 15),
            (2, 3, 15),
            (0, 0, 5),
            (255, 2, 6),
        ] {
            frame[54] = kind;
            frame[55] = len;
            frame[46] = offset << 4;
            bench.check(&frame);
        }
    }
}

#[test]
fn program_and_parser_agree_on_damaged_packets() {
    if skipped() {
        return;
    }
    const SEED: u64 = 0x7463_7063_6f70_7921;
    const ROUNDS: usize = 4_000;
    let mut benches = [Bench::with(true), Bench::with(false)];
    let frames = valid_frames();
    let mut random = SEED;
    let mut next = move |below: usize| {
        // xorshift64
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        usize::try_from(random % below as u64).unwrap_or(0)
    };
    for round in 0..ROUNDS {
        let mut frame = frames[next(frames.len())].clone();
        for _ in 0..=next(3) {
            let at = next(frame.len().min(80));
            frame[at] = u8::try_from(next(256)).unwrap_or(0);
        }
        if next(4) == 0 {
            frame.truncate(FRAME_LEN_MIN + next(frame.len() - FRAME_LEN_MIN));
        }
        benches[round % 2].check(&frame);
    }
}
