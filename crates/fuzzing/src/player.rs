//! Packets of a file that say anything, as a replay plays them: each is handed on at most once, as it was, and never later than the
//! file's time asks for.

use std::time::Duration;

use capture::{Packet, Sum};
use replay::{Cue, Player, Schedule, Side, Speed};
use wire::ethernet;
use wire::flow::{Addr, Endpoint};
use wire::segment::Segment;
use wire::tcp::{Flags, Header, Options};

/// The service that is asked for; another one is not.
const SERVICE: u16 = 80;
/// Packets of one input. Each has its number in the window, which nothing of a replay looks at.
const PACKETS_MAX: usize = 6_000;
/// What the replay says of packets that wait, with the one that makes too many of them.
const WAITING_MAX: u64 = 4096 + 1;
/// Bytes of one step.
const STEP: usize = 8;

/// How often each packet came out, and what was promised of those.
struct Played {
    given: Vec<Given>,
    clients: u64,
    online: u64,
    /// The latest that anything may be due.
    due_max: u64,
}

/// A packet of the file.
struct Given {
    side: Side,
    payload_len: u16,
    times: u32,
}

/// Plays one input.
///
/// # Panics
///
/// Where a packet comes out twice, otherwise than it went in, later than it may, or not at all.
pub fn run(data: &[u8]) {
    let [options, pace, steps @ ..] = data else {
        return;
    };
    let speed = match pace {
        0 => Speed::Max,
        pace => Speed::Times(f64::from(*pace) / 10.0),
    };
    let gap_max = match options >> 6 {
        0 => Duration::from_nanos(u64::MAX),
        1 => Duration::from_millis(1),
        _ => Duration::from_secs(60),
    };
    let start = u64::from(options >> 1 & 1) * 1_000_000_000;
    let end = [u64::MAX, start + 60_000_000_000][usize::from(options >> 2 & 1)];
    let mut clock = Schedule::new(speed, gap_max);
    let services = vec![Endpoint::new(Addr::UNSPECIFIED, SERVICE)];
    let mut player = Player::new(services, clock.clone(), start..end);
    if options & 1 == 1 {
        player.has_one_side();
    }
    let mut played = Played {
        given: Vec::new(),
        clients: 0,
        online: 0,
        due_max: 0,
    };
    let (mut at_ns, mut seqs) = (1_700_000_000_000_000_000_u64, [[0_u32; 2]; 16]);
    for step in steps.chunks_exact(STEP) {
        let [who, what, time, seq, ack, len, doubt, burst] = *step else {
            continue;
        };
        // A step is a packet, or many like it behind each other.
        let packets = [1, 1 + usize::from(burst) * 16][usize::from(burst > 0xfc)];
        for _ in 0..packets.min(PACKETS_MAX.saturating_sub(played.given.len())) {
            at_ns = moved(at_ns, time);
            let own_ns = clock.own_time(at_ns);
            let now_ns = own_ns / 2;
            let due = clock.due(own_ns.saturating_sub(start)).unwrap_or(now_ns);
            played.due_max = played.due_max.max(due);
            let side = [Side::Client, Side::Online][usize::from(who & 1)];
            let flow = usize::from(who >> 1 & 15);
            let numbers = numbers(&mut seqs[flow], side, (seq, ack), len);
            let bytes = packet((who, what, len), numbers, played.given.len());
            let segment = Segment::parse(&bytes[..], 0).expect("a segment");
            played.given.push(Given {
                side,
                payload_len: segment.payload_len,
                times: 0,
            });
            let packet = Packet {
                at_ns,
                network: u32::from(who >> 6),
                interface: 0,
                missing: u32::from(doubt >> 4) * 100,
                sum: [Sum::Good, Sum::Bad][usize::from(doubt & 15 == 1)],
                bytes: &bytes,
            };
            player.play(&packet, now_ns, &mut |cue| played.take(&cue));
            played.check(&player);
        }
    }
    let now_ns = played.due_max;
    player.end(now_ns, &mut |cue| played.take(&cue));
    assert_eq!(played.waiting(&player), 0, "something was forgotten");
}

/// Stamps go on by some microseconds, a second, or hours; or back.
fn moved(at_ns: u64, by: u8) -> u64 {
    let step = u64::from(by & 31);
    match by >> 5 {
        0..=3 => at_ns.saturating_add(step * 1_000),
        4 => at_ns.saturating_add(step * 1_000_000_000),
        5 => at_ns.saturating_add(step * 3_600_000_000_000),
        6 => at_ns.saturating_sub(step * 100_000_000),
        _ => [0, u64::MAX, at_ns][usize::from(by & 3).min(2)],
    }
}

/// What a packet of this side says of the sequence; what follows goes on behind it.
fn numbers(seqs: &mut [u32; 2], side: Side, (seq, ack): (u8, u8), len: u8) -> (u32, u32) {
    let strayed = |number: u32, by: u8| match by >> 6 {
        0 | 1 => number,
        2 => number.wrapping_sub(u32::from(by & 63)),
        _ => number.wrapping_add(u32::from(by & 63) << (by & 31)),
    };
    let [own, others] = [side as usize, 1 - side as usize];
    let at = strayed(seqs[own], seq);
    seqs[own] = at.wrapping_add(u32::from(len));
    (at, strayed(seqs[others], ack))
}

/// A packet with its number in the window.
fn packet((who, what, len): (u8, u8, u8), (seq, ack): (u32, u32), number: usize) -> Vec<u8> {
    let service = [SERVICE, 81][usize::from(who & 63 == 63)];
    let client = Endpoint::new(Addr::v4([10, 0, 0, 9]), 40_000 + u16::from(who >> 1 & 15));
    let server = Endpoint::new(Addr::v4([10, 0, 0, 1]), service);
    let (source, destination) = match who & 1 {
        0 => (client, server),
        _ => (server, client),
    };
    let flags = [
        Flags::ACK,
        Flags::ACK,
        Flags::ACK.with(Flags::PSH),
        Flags::SYN,
        Flags::SYN.with(Flags::ACK),
        Flags::FIN.with(Flags::ACK),
        Flags::RST,
        Flags::PSH,
    ][usize::from(what & 7)];
    let header = Header {
        source,
        destination,
        seq,
        ack,
        flags,
        window: number as u16,
        urgent: 0,
        options: Options::default(),
    };
    let mut frame = vec![0; header.payload_offset()];
    frame.extend((0..len).map(|at| at ^ number as u8));
    assert!(header.emit(&mut frame));
    frame.split_off(ethernet::HEADER_LEN)
}

impl Played {
    fn take(&mut self, cue: &Cue<'_>) {
        assert!(cue.due_ns <= self.due_max, "{cue:?} is late");
        assert!(cue.flows_open as usize <= self.given.len());
        let segment = Segment::parse(cue.packet, 0).expect("a segment");
        let ends = match cue.side {
            Side::Client => [segment.source, segment.destination],
            Side::Online => [segment.destination, segment.source],
        };
        assert_eq!(ends, [cue.flow.client, cue.flow.server]);
        if cue.side == Side::Online {
            self.online += 1;
            return;
        }
        self.clients += 1;
        let given = self.given.get_mut(usize::from(segment.window));
        let given = given.expect("it was given");
        given.times += 1;
        assert_eq!((given.side, given.times), (Side::Client, 1), "{cue:?}");
        assert_eq!(given.payload_len, segment.payload_len);
        let payload = &cue.packet[usize::from(segment.payload_offset)..];
        let number = segment.window as u8;
        assert!(
            (0..=u8::MAX)
                .zip(payload)
                .all(|(at, byte)| *byte == at ^ number)
        );
    }

    /// Packets that were taken and did not come to an end.
    fn waiting(&self, player: &Player) -> u64 {
        let counts = player.counts();
        let ended = self.clients + counts.pure_acks + counts.doubtful_dropped;
        let ended = ended + self.online - counts.made;
        (counts.clients + counts.online)
            .checked_sub(ended)
            .expect("no more than there were")
    }

    fn check(&self, player: &Player) {
        assert!(self.waiting(player) <= WAITING_MAX);
        let counts = player.counts();
        let sorted = counts.clients + counts.online + counts.unmatched + counts.unaliased;
        let sorted = sorted + counts.malformed + counts.copies + counts.outside + counts.again;
        assert_eq!(sorted, self.given.len() as u64);
    }
}
