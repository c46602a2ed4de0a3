//! What both benches run: an engine with established sessions, and the client, the online server and the target of each
//! of them, played packet by packet in virtual time.
//!
//! The engine's part of each turn is called through [`stage`], one function per input or output, so that a profile
//! tells them apart. All that is played here costs next to nothing: packets are written once and only renumbered.

mod packet;
pub(crate) mod stage;

use core::time::Duration;
use std::sync::Arc;

use protocol::Module;
use session::{Config, Engine, Instant, Rule, Source};
use wire::flow::{Addr, Endpoint, PoolRange};
use wire::segment::Segment;
use wire::tcp::Flags;

use packet::Packet;

/// Payload of a request, in bytes: a small GET with its header.
pub(crate) const REQUEST_LEN: u32 = 200;
/// Payload of a response, in bytes; it is in a record only where it is read.
pub(crate) const RESPONSE_LEN: u32 = 1000;
/// How long the target takes.
const SERVICE: Duration = Duration::from_micros(100);
/// How long after one turn of a session its next one begins, where the client thinks: longer than an acknowledgement
/// may wait for it, so that each response is acknowledged by a segment of its own.
pub(crate) const THINKING: Duration = Duration::from_millis(50);
/// The same where it does not: the acknowledgement rides on the next request.
pub(crate) const AT_ONCE: Duration = Duration::from_millis(1);
/// Beyond what a session that has closed waits for.
pub(crate) const CLOSED: Duration = Duration::from_secs(2);

const CLIENT_ISN: u32 = 1000;
const ONLINE_ISN: u32 = u32::MAX - 50;
const TARGET_ISN: u32 = 77_000;
const SYN_ACK: Flags = Flags::SYN.with(Flags::ACK);
const PSH_ACK: Flags = Flags::PSH.with(Flags::ACK);
const FIN_ACK: Flags = Flags::FIN.with(Flags::ACK);

/// The rest of the world of one session. Sequence numbers are the next ones of each side.
#[derive(Clone, Copy)]
pub(crate) struct Peer {
    client: Endpoint,
    /// What the session sends from.
    local: Endpoint,
    client_seq: u32,
    online_seq: u32,
    local_seq: u32,
    target_seq: u32,
}

/// The engine and the world around it.
pub(crate) struct Load {
    pub(crate) engine: Engine,
    pub(crate) now: Instant,
    step: Duration,
    online: Endpoint,
    target: Endpoint,
    from_client: Packet,
    from_online: Packet,
    from_target: Packet,
    /// The frame that the engine sent last.
    pub(crate) frame: Box<[u8]>,
    next_timeout: Option<Instant>,
    pub(crate) answered: u64,
}

impl Load {
    /// A world in which `sessions` take turns, each of them one every `pace`.
    pub(crate) fn new(sessions: u32, pace: Duration) -> Self {
        let request: Vec<u8> = (0..REQUEST_LEN).map(|byte| byte as u8).collect();
        Self::with(sessions, pace, None, (&request, b""))
    }

    /// The same where a protocol module reads requests and responses, if there is one: what each of them says, as far as it is recorded.
    pub(crate) fn with(
        sessions: u32,
        pace: Duration,
        module: Option<Arc<Module>>,
        (request, response): (&[u8], &[u8]),
    ) -> Self {
        let online = Endpoint::new(Addr::v4([10, 0, 1, 1]), 80);
        let target = Endpoint::new(Addr::v4([10, 0, 2, 2]), 80);
        let mut mask = [255; 16];
        mask[14..].fill(0);
        let pool = PoolRange {
            prefix: Addr::v4([198, 18, 0, 0]),
            mask: Addr::v6(mask),
            port_first: 10_000,
            port_last: 32_767,
        };
        let rule = Rule {
            online,
            target,
            mtu: 1500,
            join: session::Join::Always,
            resume_anywhere: true,
            module,
        };
        let config = Config {
            rules: vec![rule],
            source: Source::Pool {
                ranges: vec![pool],
                excluded_ports: vec![],
            },
            worker: 0,
            workers: 1,
            copies: 1,
            wait_for_responses: true,
            response_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(600),
            sessions_max: u32::MAX,
            payload_bytes_max: 8 << 30,
            sessions_per_second_max: None,
            in_order: true,
            gap_grace: Duration::ZERO,
            credentials: None,
            digests: None,
            hash_seed: 1,
            prove_path: false,
            confirmed: false,
            reply_slack: session::limits::REPLY_SLACK,
            reply_bytes_per_second_max: None,
            unix_nanos: 1_800_000_000_000_000_000,
        };
        let now = Instant::from_nanos(5_000_000_000);
        Self {
            engine: Engine::new(config, now),
            now,
            step: pace / sessions,
            online,
            target,
            from_client: Packet::new(request),
            from_online: Packet::new(response),
            from_target: Packet::new(response),
            frame: vec![0; 1514].into(),
            next_timeout: None,
            answered: 0,
        }
    }

    /// Opens the session of client `number`.
    pub(crate) fn open(&mut self, number: u32) -> Peer {
        let [_, a, b, c] = (number / 1000).to_be_bytes();
        let mut peer = Peer {
            client: Endpoint::new(
                Addr::v4([100, 64 | a, b, c]),
                40_000 + (number % 1000) as u16,
            ),
            local: self.target,
            client_seq: CLIENT_ISN,
            online_seq: ONLINE_ISN,
            local_seq: 0,
            target_seq: TARGET_ISN,
        };
        self.client(&mut peer, Flags::SYN, 0);
        self.online(&mut peer, SYN_ACK, 0);
        let len = stage::transmit(&mut self.engine, self.now, &mut self.frame);
        let frame = &self.frame[14..len.expect("a SYN")];
        let syn = Segment::parse(frame, 0).expect("a segment");
        (peer.local, peer.local_seq) = (syn.source, syn.seq.wrapping_add(1));
        self.target(&mut peer, SYN_ACK, 0);
        self.drain(1);
        peer
    }

    /// Opens sessions and takes each through its first turn: while many have had none, the engine opens no more.
    pub(crate) fn establish(&mut self, sessions: u32) -> Vec<Peer> {
        let established = (0..sessions).map(|number| {
            let mut peer = self.open(number);
            self.turn(&mut peer);
            peer
        });
        established.collect()
    }

    /// One turn: the request and its copy, the responses of both servers, and the acknowledgement of the target's.
    pub(crate) fn turn(&mut self, peer: &mut Peer) {
        self.request(peer);
        self.online(peer, PSH_ACK, RESPONSE_LEN);
        self.target(peer, PSH_ACK, RESPONSE_LEN);
        self.drain(0);
        self.pass(self.step);
        self.events();
    }

    /// The first half of a turn: the target has the request and has said nothing yet.
    pub(crate) fn request(&mut self, peer: &mut Peer) {
        self.client(peer, PSH_ACK, REQUEST_LEN);
        self.drain(1);
        peer.local_seq = peer.local_seq.wrapping_add(REQUEST_LEN);
        self.now += SERVICE.min(self.step);
    }

    /// A connection with one turn, from its SYN until nothing of it is left.
    pub(crate) fn connection(&mut self, number: u32) {
        let mut peer = self.open(number);
        self.turn(&mut peer);
        self.client(&mut peer, FIN_ACK, 0);
        self.online(&mut peer, FIN_ACK, 0);
        self.drain(1);
        peer.local_seq = peer.local_seq.wrapping_add(1);
        self.target(&mut peer, FIN_ACK, 0);
        self.drain(1);
        self.events();
    }

    /// Time passes, with all timers that it brings.
    pub(crate) fn settle(&mut self, time: Duration) {
        self.drain(0);
        self.pass(time);
        self.events();
    }

    fn client(&mut self, peer: &mut Peer, flags: Flags, len: u32) {
        let (source, destination) = (peer.client, self.online);
        let packet = self.from_client.with(
            source,
            destination,
            peer.client_seq,
            peer.online_seq,
            flags,
            len,
        );
        stage::client_segment(&mut self.engine, self.now, packet);
        peer.client_seq = after(peer.client_seq, flags, len);
    }

    fn online(&mut self, peer: &mut Peer, flags: Flags, len: u32) {
        let (source, destination) = (self.online, peer.client);
        let packet = self.from_online.with(
            source,
            destination,
            peer.online_seq,
            peer.client_seq,
            flags,
            len,
        );
        stage::online_record(&mut self.engine, self.now, packet);
        peer.online_seq = after(peer.online_seq, flags, len);
    }

    fn target(&mut self, peer: &mut Peer, flags: Flags, len: u32) {
        let (source, destination) = (self.target, peer.local);
        let packet = self.from_target.with(
            source,
            destination,
            peer.target_seq,
            peer.local_seq,
            flags,
            len,
        );
        stage::target_reply(&mut self.engine, self.now, packet);
        peer.target_seq = after(peer.target_seq, flags, len);
    }

    /// Takes what the engine sends, at least `expected` frames.
    fn drain(&mut self, expected: u32) {
        let mut frames = 0;
        while stage::transmit(&mut self.engine, self.now, &mut self.frame).is_some() {
            frames += 1;
        }
        assert!(frames >= expected, "{frames} frames, not {expected}");
        self.next_timeout = stage::next_timeout(&self.engine);
    }

    /// Lets `time` pass, with all timers that it brings.
    fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(due) = self.next_timeout.filter(|due| *due <= until) {
            self.now = self.now.max(due);
            stage::timers(&mut self.engine, self.now);
            self.drain(0);
        }
        self.now = until;
    }

    fn events(&mut self) {
        self.answered += stage::events(&mut self.engine);
    }
}

fn after(seq: u32, flags: Flags, len: u32) -> u32 {
    let control = u32::from(flags.intersects(Flags::SYN.with(Flags::FIN)));
    seq.wrapping_add(len + control)
}
