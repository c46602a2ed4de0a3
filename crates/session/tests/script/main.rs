//! Packet scripts: what a session does, told segment by segment.
//!
//! A [`Script`] plays the client, the online server and the target, and reads like a packet trace: what goes in, then
//! what must come out. Numbers are relative to each side's initial sequence number.

mod absence;
mod amid;
mod copies;
mod drain;
mod endings;
mod ends;
mod gate;
mod holds;
mod joining;
mod losses;
mod messages;
mod multipath;
mod openings;
mod pairing;
mod release;
mod resting;
mod samples;
mod sending;
mod step;
mod told;
mod traffic;
mod truth;
mod tuning;
mod unseen;
mod window;

use core::time::Duration;

use session::{Config, Engine, Event, Instant, Outcome, Rule, RuleId, Source};
use wire::flow::{Addr, Endpoint, PoolRange};
use wire::segment::Segment;
use wire::tcp::{Flags, Header, Options, Timestamps};

const CLIENT_ISN: u32 = 1000;
const ONLINE_ISN: u32 = u32::MAX - 50;
const TARGET_ISN: u32 = 77_000;

const SYN: Flags = Flags::SYN;
const ACK: Flags = Flags::ACK;
const PSH: Flags = Flags(0x18);
const FIN: Flags = Flags(0x11);
const RST: Flags = Flags(0x14);

/// A segment that the engine sent, with its sequence number relative to the ISN of its connection.
#[derive(Debug, PartialEq, Eq)]
struct Sent {
    flags: Flags,
    seq: u32,
    ack: u32,
    payload: Vec<u8>,
}

fn sent(flags: Flags, seq: u32, ack: u32, payload: &[u8]) -> Sent {
    Sent {
        flags,
        seq,
        ack,
        payload: payload.to_vec(),
    }
}

struct Script {
    engine: Engine,
    now: Instant,
    client: Endpoint,
    online: Endpoint,
    target: Endpoint,
    /// Where the session sends from, and its ISN, as the last SYN said.
    local: Endpoint,
    iss: u32,
    window: u16,
    /// Options of the last SYN, and the right edge of the window that the session has told the target last.
    syn: Options,
    edge: u32,
}

impl Script {
    fn new() -> Self {
        Self::with(|_| ())
    }

    fn with(change: impl FnOnce(&mut Config)) -> Self {
        let online = Endpoint::new(Addr::v4([10, 0, 1, 1]), 80);
        let target = Endpoint::new(Addr::v4([10, 0, 2, 2]), 80);
        let mut config = Config {
            rules: vec![Rule {
                online,
                target,
                mtu: 1500,
                join: session::Join::Always,
                resume_anywhere: true,
                module: None,
            }],
            source: Source::Pool {
                ranges: vec![PoolRange {
                    prefix: Addr::v4([10, 0, 2, 1]),
                    mask: Addr::v6([255; 16]),
                    port_first: 10_000,
                    port_last: 10_009,
                }],
                excluded_ports: vec![],
            },
            worker: 0,
            workers: 1,
            copies: 1,
            wait_for_responses: true,
            response_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(600),
            sessions_max: 100,
            payload_bytes_max: 1 << 20,
            sessions_per_second_max: None,
            in_order: true,
            gap_grace: Duration::from_millis(20),
            credentials: None,
            digests: None,
            hash_seed: 1,
            prove_path: false,
            confirmed: false,
            reply_slack: session::limits::REPLY_SLACK,
            reply_bytes_per_second_max: None,
            unix_nanos: 1_800_000_000_000_000_000,
        };
        change(&mut config);
        let now = Instant::from_nanos(5_000_000_000);
        Self {
            engine: Engine::new(config, now),
            now,
            client: Endpoint::new(Addr::v4([10, 0, 1, 2]), 40_000),
            online,
            target,
            local: Endpoint::new(Addr::UNSPECIFIED, 0),
            iss: 0,
            window: 65_535,
            syn: Options::default(),
            edge: 0,
        }
    }

    fn packet(
        source: Endpoint,
        destination: Endpoint,
        seq: u32,
        ack: u32,
        flags: Flags,
        window: u16,
        payload: &[u8],
    ) -> Vec<u8> {
        let syn = flags.contains(SYN);
        let options = Options {
            mss: syn.then_some(1460),
            window_scale: syn.then_some(7),
            sack_permitted: syn,
            timestamps: None,
            ..Options::default()
        };
        let header = Header {
            source,
            destination,
            seq,
            ack,
            flags,
            window,
            urgent: 0,
            options,
        };
        let at = header.payload_offset();
        let mut frame = vec![0; at + payload.len()];
        frame[at..].copy_from_slice(payload);
        assert!(header.emit(&mut frame));
        frame.split_off(14)
    }

    fn wait(&mut self, time: Duration) -> &mut Self {
        let until = self.now + time;
        while let Some(next) = self.engine.next_timeout().filter(|next| *next <= until) {
            self.now = self.now.max(next);
            self.engine.on_timeout(self.now);
        }
        self.now = until;
        self
    }

    fn client(&mut self, flags: Flags, seq: u32, ack: u32, payload: &[u8]) -> &mut Self {
        self.client_at(self.now, flags, seq, ack, payload)
    }

    /// A packet that was seen at `stamp` and is taken now.
    fn client_at(
        &mut self,
        stamp: Instant,
        flags: Flags,
        seq: u32,
        ack: u32,
        payload: &[u8],
    ) -> &mut Self {
        let (seq, ack) = (CLIENT_ISN.wrapping_add(seq), ONLINE_ISN.wrapping_add(ack));
        let packet = Self::packet(self.client, self.online, seq, ack, flags, 500, payload);
        self.engine.on_client_packet(self.now, stamp, &packet);
        self
    }

    fn online(&mut self, flags: Flags, seq: u32, ack: u32, len: usize) -> &mut Self {
        let (seq, ack) = (ONLINE_ISN.wrapping_add(seq), CLIENT_ISN.wrapping_add(ack));
        let packet = Self::packet(
            self.online,
            self.client,
            seq,
            ack,
            flags,
            500,
            &vec![0; len],
        );
        self.engine
            .on_online_packet(self.now, self.now, &packet[..packet.len() - len]);
        self
    }

    fn target(&mut self, flags: Flags, seq: u32, ack: u32, len: usize) -> &mut Self {
        self.target_at(self.now, flags, seq, ack, len)
    }

    /// The same of a packet that was seen at `stamp`.
    fn target_at(
        &mut self,
        stamp: Instant,
        flags: Flags,
        seq: u32,
        ack: u32,
        len: usize,
    ) -> &mut Self {
        let (seq, ack) = (TARGET_ISN.wrapping_add(seq), self.iss.wrapping_add(ack));
        let packet = Self::packet(
            self.target,
            self.local,
            seq,
            ack,
            flags,
            self.window,
            &vec![0; len],
        );
        self.engine
            .on_target_packet(self.now, stamp, &packet[..packet.len() - len]);
        self
    }

    /// The online server's packet as a whole.
    fn online_packet(&mut self, flags: Flags, seq: u32, ack: u32, payload: &[u8]) -> &mut Self {
        let (seq, ack) = (ONLINE_ISN.wrapping_add(seq), CLIENT_ISN.wrapping_add(ack));
        let packet = Self::packet(self.online, self.client, seq, ack, flags, 500, payload);
        self.engine.on_online_packet(self.now, self.now, &packet);
        self
    }

    /// The target's packet as a whole.
    fn target_packet(&mut self, flags: Flags, seq: u32, ack: u32, payload: &[u8]) -> &mut Self {
        let (seq, ack) = (TARGET_ISN.wrapping_add(seq), self.iss.wrapping_add(ack));
        let (from, to) = (self.target, self.local);
        let packet = Self::packet(from, to, seq, ack, flags, self.window, payload);
        self.engine.on_target_packet(self.now, self.now, &packet);
        self
    }

    fn frames(&mut self) -> Vec<Sent> {
        let mut frames = Vec::new();
        let mut frame = [0; 1514];
        while let Some(len) = self.engine.poll_transmit(self.now, &mut frame) {
            let packet = &frame[14..len];
            let segment = Segment::parse(packet, 0).expect("a whole segment");
            assert!(segment.is_copy(), "every copy is marked");
            if segment.flags.contains(SYN) {
                (self.local, self.iss) = (segment.source, segment.seq);
                self.syn = segment.options(packet);
            } else if segment.flags.contains(ACK) {
                let shift = self.syn.window_scale.unwrap_or(0);
                let ack = segment.ack.wrapping_sub(TARGET_ISN);
                self.edge = ack + (u32::from(segment.window) << shift);
            }
            frames.push(Sent {
                flags: segment.flags,
                seq: segment.seq.wrapping_sub(self.iss),
                ack: if segment.flags.contains(ACK) && segment.ack != 0 {
                    segment.ack.wrapping_sub(TARGET_ISN)
                } else {
                    0
                },
                payload: segment.payload(packet).expect("whole").to_vec(),
            });
        }
        frames
    }

    #[track_caller]
    fn expect(&mut self, expected: &[Sent]) -> &mut Self {
        assert_eq!(self.frames(), expected);
        self
    }

    fn outcomes(&mut self) -> Vec<Outcome> {
        core::iter::from_fn(|| self.engine.poll_event())
            .filter_map(|event| match event {
                Event::TurnEnded(turn) => Some(turn.outcome),
                _ => None,
            })
            .collect()
    }

    #[track_caller]
    fn expect_outcomes(&mut self, expected: &[Outcome]) -> &mut Self {
        assert_eq!(self.outcomes(), expected);
        self
    }

    /// The client's handshake with the online server, and the session's with the target.
    fn handshake(&mut self) -> &mut Self {
        self.client(SYN, 0, 0, b"").expect(&[]);
        self.online(SYN.with(ACK), 0, 1, 0)
            .expect(&[sent(SYN, 0, 0, b"")]);
        self.target(SYN.with(ACK), 0, 1, 0)
            .expect(&[sent(ACK, 1, 1, b"")])
    }
}
