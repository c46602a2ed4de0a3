//! Traffic by chance through the module of HTTP/1: requests of all kinds, cut anywhere, with loss on the way to the target and back. What the
//! target gets must be each request that is to be copied, once and whole, however the packets came; each answer must be its request's.
//!
//! A seed makes one world; a failure prints it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::*;
use protocol::digest::{Headers, Key};
use protocol::{Digests, Module};

/// A small generator (xorshift64*): the same worlds on every machine.
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % most.max(1)
    }

    fn percent(&mut self, share: usize) -> bool {
        self.below(100) < share
    }
}

struct Asked {
    bytes: Vec<u8>,
    is_head: bool,
    is_safe: bool,
}

fn asked(dice: &mut Dice, id: usize) -> Asked {
    let line = |method: &str, fields: &str| {
        format!("{method} /{id} HTTP/1.1\r\nHost: a\r\n{fields}\r\n").into_bytes()
    };
    let body = vec![b'b'; dice.below(3000)];
    match dice.below(5) {
        0 => Asked {
            bytes: line("HEAD", ""),
            is_head: true,
            is_safe: true,
        },
        1 => Asked {
            bytes: [
                line("POST", &format!("Content-Length: {}\r\n", body.len())),
                body,
            ]
            .concat(),
            is_head: false,
            is_safe: false,
        },
        2 => {
            let chunk = format!("{:x}\r\n", body.len() + 1).into_bytes();
            let head = line("PUT", "Transfer-Encoding: chunked\r\n");
            Asked {
                bytes: [head, chunk, body, b"x\r\n0\r\n\r\n".to_vec()].concat(),
                is_head: false,
                is_safe: false,
            }
        }
        _ => Asked {
            bytes: line("GET", ""),
            is_head: false,
            is_safe: true,
        },
    }
}

fn answer(dice: &mut Dice, is_head: bool) -> Vec<u8> {
    let len = dice.below(4000);
    if dice.percent(30) {
        let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
        if is_head {
            return head;
        }
        let chunk = format!("{:x}\r\n", len + 1).into_bytes();
        let body = vec![b'c'; len + 1];
        return [head, chunk, body, b"\r\n0\r\n\r\n".to_vec()].concat();
    }
    let mut said = format!("HTTP/1.1 200 OK\r\nContent-Length: {len}\r\n\r\n").into_bytes();
    if !is_head {
        said.resize(said.len() + len, b'r');
    }
    said
}

/// The target: a TCP that takes what is in order, acknowledges it, and sends again what is not acknowledged in time.
#[derive(Default)]
struct Peer {
    iss: u32,
    got: BTreeMap<u32, Vec<u8>>,
    stream: Vec<u8>,
    /// Up to where its requests were read, and how many.
    read: usize,
    requests: usize,
    said: Vec<u8>,
    acknowledged: usize,
    sent_at: Option<Instant>,
    sent: usize,
    fin_at: Option<u32>,
}

struct World {
    s: Script,
    dice: Dice,
    loss: usize,
    peers: BTreeMap<u16, Peer>,
    /// What is under way to the engine, and when it comes.
    coming: VecDeque<(Instant, Vec<u8>)>,
    /// Lengths of the target's answers, by connection.
    answers: BTreeMap<u16, Vec<u64>>,
}

/// The end of the first request in `bytes`, and whether it is a HEAD.
fn request_end(bytes: &[u8]) -> Option<(usize, bool)> {
    let head = bytes.windows(4).position(|it| it == b"\r\n\r\n")? + 4;
    let text = std::str::from_utf8(&bytes[..head]).expect("a head");
    assert!(text.contains(" HTTP/1.1\r\n"), "{text:?}");
    let is_head = text.starts_with("HEAD");
    let end = if text.contains("chunked") {
        let line = bytes[head..].windows(2).position(|it| it == b"\r\n")?;
        let len = std::str::from_utf8(&bytes[head..head + line]).expect("a length");
        head + line + 2 + usize::from_str_radix(len, 16).expect("a length") + 7
    } else {
        let len = text.split("Content-Length: ").nth(1).map_or(0, |it| {
            it.split('\r')
                .next()
                .expect("a line")
                .parse()
                .expect("a length")
        });
        head + len
    };
    (bytes.len() >= end).then_some((end, is_head))
}

impl World {
    /// Takes the frames that the engine sends, of which some are lost.
    fn transmit(&mut self) {
        let mut frame = [0; 1514];
        while let Some(len) = self.s.engine.poll_transmit(self.s.now, &mut frame) {
            let packet = &frame[14..len];
            let segment = Segment::parse(packet, 0).expect("a segment");
            // A target that five SYNs do not reach is refused, and another story.
            if !segment.flags.contains(SYN) && self.dice.percent(self.loss) {
                continue;
            }
            let port = segment.source.port;
            let payload = segment.payload(packet).expect("whole").to_vec();
            if segment.flags.contains(Flags::SYN) {
                let fresh = Peer {
                    iss: segment.seq,
                    ..Peer::default()
                };
                let peer = self.peers.entry(port).or_default();
                if peer.iss != segment.seq {
                    *peer = fresh;
                }
                self.reply(port, SYN.with(ACK), 0, b"");
                continue;
            }
            let Some(peer) = self.peers.get_mut(&port) else {
                continue;
            };
            if segment.flags.contains(Flags::ACK) {
                let upto = segment.ack.wrapping_sub(TARGET_ISN + 1) as usize;
                if upto <= peer.said.len() + 1 && upto > peer.acknowledged {
                    peer.acknowledged = upto.min(peer.said.len());
                    peer.sent_at = Some(self.s.now);
                }
            }
            if segment.flags.contains(Flags::FIN) {
                peer.fin_at = Some(segment.seq.wrapping_sub(peer.iss + 1) + payload.len() as u32);
            }
            if !payload.is_empty() {
                peer.got
                    .insert(segment.seq.wrapping_sub(peer.iss + 1), payload);
            }
            self.take(port);
        }
    }

    /// What is in order now is read, and answered.
    fn take(&mut self, port: u16) {
        let peer = self.peers.get_mut(&port).expect("it is there");
        while let Some((at, bytes)) = peer.got.pop_first() {
            let at = at as usize;
            if at > peer.stream.len() {
                peer.got.insert(at as u32, bytes);
                break;
            }
            let known = peer.stream.len() - at;
            if let Some(new) = bytes.get(known..) {
                peer.stream.extend_from_slice(new);
            }
        }
        while let Some((len, is_head)) = request_end(&peer.stream[peer.read..]) {
            peer.read += len;
            peer.requests += 1;
            let said = answer(&mut self.dice, is_head);
            self.answers
                .entry(port)
                .or_default()
                .push(said.len() as u64);
            peer.said.extend_from_slice(&said);
        }
        self.speak(port);
        self.reply(port, ACK, 0, b"");
    }

    /// Sends what was not sent yet, in pieces of any length.
    fn speak(&mut self, port: u16) {
        loop {
            let peer = self.peers.get_mut(&port).expect("it is there");
            let left = peer.said.len() - peer.sent;
            if left == 0 || peer.sent - peer.acknowledged > 20_000 {
                return;
            }
            let len = 1 + self.dice.below(left.min(1448));
            let at = peer.sent;
            peer.sent += len;
            peer.sent_at = Some(self.s.now);
            let bytes = peer.said[at..at + len].to_vec();
            self.reply(port, PSH, 1 + at as u32, &bytes);
        }
    }

    fn reply(&mut self, port: u16, flags: Flags, seq: u32, payload: &[u8]) {
        let peer = &self.peers[&port];
        let whole = peer.fin_at == Some(peer.stream.len() as u32);
        let ack = peer.iss + 1 + peer.stream.len() as u32 + u32::from(whole);
        let seq = match seq {
            0 if !flags.contains(Flags::SYN) => TARGET_ISN + 1 + peer.sent as u32,
            seq => TARGET_ISN + seq,
        };
        let to = Endpoint::new(Addr::v4([10, 0, 2, 1]), port);
        let packet = Script::packet(self.s.target, to, seq, ack, flags, 60_000, payload);
        if flags.contains(SYN) || !self.dice.percent(self.loss) {
            let at = self.s.now + Duration::from_micros(self.dice.below(4000) as u64);
            self.coming.push_back((at, packet));
        }
    }

    /// Time goes on by so much.
    fn run(&mut self, time: Duration) {
        let until = self.s.now + time;
        while self.s.now < until {
            self.s.now += Duration::from_millis(1);
            let now = self.s.now;
            while let Some(at) = self.coming.iter().position(|(at, _)| *at <= now) {
                let (_, packet) = self.coming.remove(at).expect("it is there");
                self.s.engine.on_target_packet(now, now, &packet);
                self.transmit();
            }
            if self.s.engine.next_timeout().is_some_and(|at| at <= now) {
                self.s.engine.on_timeout(now);
            }
            self.transmit();
            let ports: Vec<u16> = self.peers.keys().copied().collect();
            for port in ports {
                let peer = self.peers.get_mut(&port).expect("it is there");
                let is_late = peer
                    .sent_at
                    .is_some_and(|at| now.since(at) > Duration::from_millis(250));
                if is_late && peer.acknowledged < peer.sent {
                    peer.sent = peer.acknowledged;
                }
                self.speak(port);
            }
        }
    }
}

/// One connection: its client, and what has been said on it.
struct Talk {
    client: Endpoint,
    seq: u32,
    online: u32,
    seen: u32,
    expected: Vec<u8>,
    copied: usize,
    filtered: usize,
    online_lens: Vec<u64>,
}

fn play(seed: u64, read_only: bool, loss: usize) {
    // Several sessions may play one flow, each at its own pace.
    let copies = 1 + (seed % 2) as usize;
    let s = Script::with(|config| {
        config.copies = copies as u16;
        config.rules[0].module = Some(Arc::new(Module {
            read_only,
            ..Module::default()
        }));
        let key = Key { k0: seed, k1: 1 };
        config.digests = Some(Arc::new(Digests::new(key, Headers::default())));
    });
    let mut world = World {
        s,
        dice: Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1),
        loss,
        peers: BTreeMap::new(),
        coming: VecDeque::new(),
        answers: BTreeMap::new(),
    };
    let talks = 1 + world.dice.below(3);
    let mut all: Vec<Talk> = (0..talks)
        .map(|number| talk(&mut world, number as u16))
        .collect();
    // A few of them go on for longer than anything is kept.
    let is_long = seed % 50 == 7 && loss == 0;
    for turn in 0..1 + world.dice.below(8) + if is_long { 300 } else { 0 } {
        for talk in &mut all {
            exchange(&mut world, talk, turn, read_only);
        }
    }
    for talk in &all {
        // It closes, having seen everything.
        let (seq, ack) = (CLIENT_ISN + talk.seq, ONLINE_ISN.wrapping_add(talk.online));
        let fin = Script::packet(talk.client, world.s.online, seq, ack, FIN, 500, b"");
        let now = world.s.now;
        world.s.engine.on_client_packet(now, now, &fin);
    }
    world.run(Duration::from_secs(if loss > 0 { 40 } else { 5 }));
    check(seed, &mut world, &all, copies);
}

fn talk(world: &mut World, number: u16) -> Talk {
    let client = Endpoint::new(Addr::v4([10, 0, 1, 2]), 40_000 + number);
    let (now, online) = (world.s.now, world.s.online);
    let syn = Script::packet(client, online, CLIENT_ISN, 0, SYN, 500, b"");
    world.s.engine.on_client_packet(now, now, &syn);
    let answer = Script::packet(
        online,
        client,
        ONLINE_ISN,
        CLIENT_ISN + 1,
        SYN.with(ACK),
        500,
        b"",
    );
    world.s.engine.on_online_packet(now, now, &answer);
    world.transmit();
    Talk {
        client,
        seq: 1,
        online: 1,
        seen: 1,
        expected: Vec::new(),
        copied: 0,
        filtered: 0,
        online_lens: Vec::new(),
    }
}

/// The client sends some requests at once, and the online server answers all of them; how much of that the client has seen when it goes
/// on is left to chance.
fn exchange(world: &mut World, talk: &mut Talk, turn: usize, read_only: bool) {
    let count = if world.dice.percent(40) {
        1 + world.dice.below(5)
    } else {
        1
    };
    let (mut asks, mut says) = (Vec::new(), Vec::new());
    for place in 0..count {
        let request = asked(&mut world.dice, turn * 100 + place);
        let said = answer(&mut world.dice, request.is_head);
        asks.extend_from_slice(&request.bytes);
        if read_only && !request.is_safe {
            talk.filtered += 1;
        } else {
            talk.expected.extend_from_slice(&request.bytes);
            talk.copied += 1;
            talk.online_lens.push(said.len() as u64);
        }
        says.extend_from_slice(&said);
    }
    let mut at = 0;
    while at < asks.len() {
        let len = 1 + world.dice.below((asks.len() - at).min(1400));
        let (seq, ack) = (CLIENT_ISN + talk.seq, ONLINE_ISN.wrapping_add(talk.seen));
        let packet = Script::packet(
            talk.client,
            world.s.online,
            seq,
            ack,
            PSH,
            500,
            &asks[at..at + len],
        );
        let now = world.s.now;
        world.s.engine.on_client_packet(now, now, &packet);
        world.transmit();
        talk.seq += len as u32;
        at += len;
    }
    let mut at = 0;
    while at < says.len() {
        let len = 1 + world.dice.below((says.len() - at).min(1448));
        let (seq, ack) = (ONLINE_ISN.wrapping_add(talk.online), CLIENT_ISN + talk.seq);
        let packet = Script::packet(
            world.s.online,
            talk.client,
            seq,
            ack,
            PSH,
            500,
            &says[at..at + len],
        );
        let now = world.s.now;
        world.s.engine.on_online_packet(now, now, &packet);
        world.transmit();
        talk.online += len as u32;
        at += len;
        if world.dice.percent(70) {
            talk.seen = talk.online;
        }
    }
    let pause = world.dice.below(8) as u64;
    world.run(Duration::from_millis(pause));
}

fn check(seed: u64, world: &mut World, talks: &[Talk], copies: usize) {
    let mut streams: Vec<&[u8]> = world.peers.values().map(|it| &it.stream[..]).collect();
    let often = || talks.iter().flat_map(|it| std::iter::repeat_n(it, copies));
    let mut expected: Vec<&[u8]> = often().map(|it| &it.expected[..]).collect();
    streams.retain(|it| !it.is_empty());
    expected.retain(|it| !it.is_empty());
    streams.sort_unstable();
    expected.sort_unstable();
    let lens = |all: &[&[u8]]| all.iter().map(|it| it.len()).collect::<Vec<_>>();
    let context = format!("seed {seed}: {:?}, {:?}", lens(&streams), lens(&expected));
    assert!(streams == expected, "{context}");
    let (mut online, mut target, mut filtered) = (Vec::new(), Vec::new(), 0);
    let mut compared = 0;
    while let Some(event) = world.s.engine.poll_event() {
        compared += usize::from(matches!(&event, Event::Compared(it) if it.target.is_some()));
        if let Event::TurnEnded(turn) = event {
            match turn.outcome {
                Outcome::Filtered => filtered += 1,
                outcome => {
                    assert_eq!(outcome, Outcome::Answered, "{context}");
                    assert!(turn.paired, "{context}");
                    online.push(turn.online.expect("an answer").bytes);
                    target.push(turn.target.expect("an answer").bytes);
                }
            }
        }
    }
    let mut known: Vec<u64> = often().flat_map(|it| it.online_lens.clone()).collect();
    let mut said: Vec<u64> = world.answers.values().flatten().copied().collect();
    for all in [&mut online, &mut target, &mut known, &mut said] {
        all.sort_unstable();
    }
    assert_eq!(online, known, "{context}");
    assert_eq!(target, said, "{context}");
    assert_eq!(compared, said.len(), "{context}");
    assert_eq!(
        filtered,
        often().map(|it| it.filtered).sum::<usize>(),
        "{context}"
    );
    let counters = world.s.engine.counters();
    let lost =
        counters.module_online_lost + counters.module_target_lost + counters.module_left_unread;
    assert_eq!(lost, 0, "{context}");
}

/// How many worlds are played: more with `TCPCOPY_SEEDS`.
fn seeds() -> u64 {
    let wanted = std::env::var("TCPCOPY_SEEDS").ok();
    wanted.and_then(|it| it.parse().ok()).unwrap_or(150)
}

#[test]
fn each_request_once_and_its_own_answer() {
    for seed in 0..seeds() {
        play(seed, seed % 3 == 0, 0);
    }
}

#[test]
fn the_same_with_loss() {
    for seed in 0..seeds() / 5 {
        play(seed, seed % 3 == 0, 8);
    }
}
