//! What one step does.

use core::time::Duration;

use wire::segment::Segment;
use wire::tcp::Flags;

use super::packet::{Input, mend, too_big};
use super::plan::FLOWS;
use super::reply::Kind;
use super::target::Connection;
use super::world::World;
use super::{STEP_LEN, client::Client};

/// The longest payload that a client sends in one packet: what GRO makes of many.
const CLIENT_LEN_MAX: usize = 65_000;
/// Longest time that passes at once.
const TIME_MAX: Duration = Duration::from_secs(900);

/// A step: what, who, how, how much.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    what: u8,
    who: u8,
    how: u8,
    much: u8,
}

impl Step {
    pub(super) fn new([what, who, how, much]: [u8; STEP_LEN]) -> Self {
        Self {
            what,
            who,
            how,
            much,
        }
    }

    /// A length: short ones are the more likely.
    fn len(self) -> usize {
        match usize::from(self.much) {
            code @ 0..160 => code / 2,
            code @ 160..224 => (code - 159) * 100,
            code => ((code - 223) * 2030).min(CLIENT_LEN_MAX),
        }
    }

    /// A duration: from a microsecond to minutes.
    fn time(self) -> Duration {
        let amount = 1 + u64::from(self.much & 31);
        match self.much >> 5 {
            0 => Duration::from_micros(amount),
            1 => Duration::from_micros(amount * 60),
            2 => Duration::from_millis(amount),
            3 => Duration::from_millis(amount * 10),
            4 | 5 => Duration::from_millis(amount * 100),
            6 => Duration::from_secs(amount),
            _ => Duration::from_secs(amount * 30).min(TIME_MAX),
        }
    }

    /// How long before now a packet was seen.
    fn earlier(self) -> Duration {
        Duration::from_micros(u64::from(self.who >> 6) * 40)
    }
}

impl World {
    /// Does one step.
    pub(super) fn step(&mut self, step: Step) {
        // No two things happen at once, and a clock of 4 us tells them apart.
        self.pass(Duration::from_micros(5));
        match step.what % 24 {
            0 | 1 => self.begin(step),
            2..=4 => self.say(step),
            5 | 6 => self.answer(step),
            7..=9 => self.reply(step),
            10 => self.transmit(step),
            11 => {
                self.pass(step.time());
                self.fire();
            }
            12 => self.fire_next(TIME_MAX),
            // A worker that is late.
            13 => self.pass(step.time()),
            14 | 15 => self.exchange(step),
            16 | 17 => self.serve(step),
            18 => self.part(step),
            19 => self.remember(step),
            20 => self.mangle(step),
            21 => self.complain(step),
            22 => self.reroute_or_disconnect(step),
            _ => self.nonsense(step),
        }
    }

    fn client(&mut self, step: Step) -> &mut Client {
        &mut self.clients[usize::from(step.who) % FLOWS]
    }

    /// A handshake, or a part of one.
    fn begin(&mut self, step: Step) {
        let (earlier, how) = (step.earlier(), step.how);
        if how & 3 != 3 {
            let syn = self.client(step).syn(how & 4 != 0, step.much);
            self.give(Input::Client, syn, earlier);
        }
        if how & 3 != 2 {
            let off = u32::from(how & 16 != 0) * u32::from(step.much);
            let syn_ack = self.client(step).syn_ack(off);
            self.give(Input::Online, syn_ack, earlier);
        }
        if how & 8 != 0 {
            self.serve(step);
        }
    }

    /// A client sends something.
    fn say(&mut self, step: Step) {
        let (earlier, len, how) = (step.earlier(), step.len(), step.how);
        let client = self.client(step);
        if how & 8 == 0 {
            client.seen = client.online_next;
        }
        let seq = match how & 7 {
            0..=3 => client.next,
            // Once more, perhaps with other boundaries.
            4 => client.next.wrapping_sub(len as u32),
            5 => client.next.wrapping_sub((len / 2) as u32),
            // Behind a hole that the next but one may fill.
            6 => client.next.wrapping_add(len as u32),
            _ => client.next.wrapping_sub(client.sent.min(3 * len as u32)),
        };
        let flags = match how >> 4 {
            0..=8 => Flags::PSH.with(Flags::ACK),
            9 => Flags::ACK,
            10 | 11 => Flags::FIN.with(Flags::ACK),
            12 => Flags::RST,
            13 => Flags::RST.with(Flags::ACK),
            14 => Flags::URG.with(Flags::ACK),
            _ => Flags::PSH,
        };
        let control = flags.intersects(Flags::RST);
        let len = if control { 0 } else { len };
        let packet = client.data(seq, len, client.seen, flags);
        // Bit 5 of `who`: it never came by.
        if step.who & 32 == 0 {
            self.give(Input::Client, packet, earlier);
        }
    }

    /// An online server sends something.
    fn answer(&mut self, step: Step) {
        let (earlier, len, how) = (step.earlier(), step.len() as u16, step.how);
        let client = self.client(step);
        let packet = match how & 15 {
            0..=5 => client.answer(len, 0, Flags::ACK.with(Flags::PSH)),
            6 | 7 => client.answer(0, 0, Flags::ACK),
            8 => client.answer(len, u32::from(how), Flags::ACK),
            9 => client.answer(0, 0u32.wrapping_sub(u32::from(how)), Flags::ACK),
            10 | 11 => client.answer(len, 0, Flags::ACK.with(Flags::FIN)),
            12 => client.answer(0, 0, Flags::RST),
            13 => client.answer(0, 0, Flags::ACK.with(Flags::RST)),
            _ => client.answer_again(len),
        };
        self.give(Input::Online, packet, earlier);
    }

    fn connection(&mut self, step: Step) -> Option<&mut Connection> {
        // The latest first: older ones are rarely of interest.
        let connections = &mut self.targets.connections;
        let back = usize::from(step.who & 31) % connections.len().max(1);
        let at = connections.len().checked_sub(1 + back)?;
        connections.get_mut(at)
    }

    /// A target sends something.
    fn reply(&mut self, step: Step) {
        let clock = (self.now.as_nanos() / 1_000_000) as u32;
        let kind = Kind::new(step.how);
        let size = match kind {
            Kind::SynAck => u16::from(step.much) | u16::from(step.how & 16) << 4,
            _ => step.len() as u16,
        };
        let Some(connection) = self.connection(step) else {
            return;
        };
        let packet = connection.reply(kind, size, clock);
        self.give(Input::Target, packet, step.earlier());
    }

    /// The worker sends what there is, or some of it.
    fn transmit(&mut self, step: Step) {
        let usual = self.frame_len();
        let len = match step.how {
            0..200 => usual,
            200..216 => 9_014,
            // Too short by contract: frames may be lost, and nothing else.
            216..240 => usize::from(step.much),
            _ => usize::from(step.much) * 6,
        };
        self.poll(len, 1 + u32::from(step.who));
    }

    /// A request, its response, and the sight of it: as in nearly all traffic.
    fn exchange(&mut self, step: Step) {
        let (earlier, len) = (step.earlier(), step.len().max(1));
        let client = self.client(step);
        client.seen = client.online_next;
        let flags = Flags::PSH.with(Flags::ACK);
        let request = client.data(client.next, len, client.seen, flags);
        self.give(Input::Client, request, earlier);
        if step.how & 1 == 0 {
            let response =
                self.client(step)
                    .answer(u16::from(step.how) * 16, 0, Flags::ACK.with(Flags::PSH));
            self.give(Input::Online, response, earlier);
        }
        if step.how & 2 != 0 {
            self.serve(step);
        }
    }

    /// Frames leave, and each target answers what it got; `who` rounds of it.
    fn serve(&mut self, step: Step) {
        let clock = (self.now.as_nanos() / 1_000_000) as u32;
        for _ in 0..1 + (step.who >> 2 & 7) {
            self.poll(self.frame_len(), 1000);
            for at in 0..self.targets.connections.len() {
                let connection = &mut self.targets.connections[at];
                let fresh = connection.received() > connection.acknowledged;
                if connection.answered && !fresh {
                    continue;
                }
                let kind = if step.how & 4 == 0 && connection.answered {
                    Kind::Respond
                } else {
                    Kind::Acknowledge
                };
                let size = if kind == Kind::Respond {
                    u16::from(step.how) * 16
                } else {
                    0
                };
                let packet = connection.reply(kind, size, clock);
                self.give(Input::Target, packet, Duration::ZERO);
            }
        }
    }

    /// Both sides of a flow close.
    fn part(&mut self, step: Step) {
        let client = self.client(step);
        client.seen = client.online_next;
        let fin = Flags::FIN.with(Flags::ACK);
        let (first, second) = if step.how & 1 == 0 {
            let packet = client.data(client.next, 0, client.seen, fin);
            (
                (Input::Client, packet),
                (Input::Online, client.answer(0, 0, fin)),
            )
        } else {
            let packet = client.answer(0, 0, fin);
            client.seen = client.online_next;
            let last = client.data(client.next, 0, client.seen, fin);
            ((Input::Online, packet), (Input::Client, last))
        };
        self.give(first.0, first.1, step.earlier());
        if step.how & 2 == 0 {
            self.give(second.0, second.1, step.earlier());
        }
    }

    /// A packet comes once more.
    fn remember(&mut self, step: Step) {
        let back = usize::from(step.who & 15) + 1;
        if let Some(at) = self.remembered.len().checked_sub(back) {
            let (input, packet) = self.remembered[at].clone();
            self.give(input, packet, step.earlier());
        }
    }

    /// A packet comes once more, changed.
    fn mangle(&mut self, step: Step) {
        let back = usize::from(step.who & 7) + 1;
        let Some(at) = self.remembered.len().checked_sub(back) else {
            return;
        };
        let (input, mut packet) = self.remembered[at].clone();
        let place = usize::from(step.how) % 80;
        if let Some(byte) = packet.get_mut(place) {
            *byte = step.much;
        }
        if step.who & 8 != 0 {
            mend(&mut packet, step.who & 16 != 0);
        }
        if step.who & 32 != 0 {
            packet.truncate(usize::from(step.how));
        }
        self.give(input, packet, step.earlier());
    }

    /// A router complains about the last frame of a connection.
    fn complain(&mut self, step: Step) {
        let Some(connection) = self.connection(step) else {
            return;
        };
        let (local, (seq, len)) = (connection.local, connection.last);
        let quoted = super::packet::Fields {
            source: local.client,
            destination: local.server,
            seq: seq.wrapping_add(u32::from(step.how & 1) * 77),
            ack: 0,
            flags: Flags::ACK,
            window: 0,
            options: wire::tcp::Options::default(),
        }
        .headers(len);
        let v4 = local.server.addr.is_v4();
        let keep =
            Segment::parse(&quoted[..], 0).map_or(0, |quoted| usize::from(quoted.tcp_offset)) + 8;
        let mtu = 500 + u16::from(step.much) * 4;
        self.give(
            Input::TooBig,
            too_big(v4, &quoted[..keep], mtu),
            Duration::ZERO,
        );
    }

    /// What the worker hears from elsewhere.
    fn reroute_or_disconnect(&mut self, step: Step) {
        let now = self.now;
        match step.how % 8 {
            0 | 1 => self.reroute(usize::from(step.who), None),
            2 | 3 => self.reroute(usize::from(step.who), Some(400 + u16::from(step.much) * 8)),
            4 | 5 => {
                self.channel = step.how % 8 == 4;
                let connected = self.channel;
                self.call(false, |engine| engine.on_channel(now, connected));
            }
            6 => self.call(false, |engine| engine.admit(step.much & 1 == 0)),
            _ if step.much == 255 => self.call(false, |engine| engine.stop_capture(now)),
            _ => {
                self.channel = true;
                self.call(false, |engine| engine.on_channel(now, true));
            }
        }
    }

    /// Bytes that mean nothing, to any input.
    fn nonsense(&mut self, step: Step) {
        let bytes = [step.how, step.much, step.who, step.what];
        let packet: Vec<u8> = bytes
            .iter()
            .copied()
            .cycle()
            .take(usize::from(step.much))
            .collect();
        let input =
            [Input::Client, Input::Online, Input::Target, Input::TooBig][usize::from(step.who & 3)];
        self.give(input, packet, step.earlier());
    }
}
