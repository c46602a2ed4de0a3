//! What a target may answer: in order, out of order, too early, too late, or not at all as it should.

use wire::tcp::{Flags, Options, SackBlocks, Timestamps};

use super::packet::Fields;
use super::target::Connection;

/// The kinds of answers, by the number that a step gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// What a TCP says that has nothing to send: a SYN-ACK, or an acknowledgement of everything.
    Acknowledge,
    /// A response that ends here.
    Respond,
    /// A full segment of a response that goes on.
    RespondFull,
    /// An acknowledgement of a part of what arrived.
    Partly,
    /// The acknowledgement that was sent before, with SACK blocks.
    Duplicate,
    /// The end, perhaps with a last response.
    Finish,
    Reset,
    ResetElsewhere,
    /// A SYN-ACK whatever came before.
    SynAck,
    /// A part of the response that overtakes another.
    Overtake,
    /// The latest part of the response once more.
    Again,
    /// Everything is acknowledged, and the window nearly or wholly closed.
    Close,
    /// Acknowledges what was never sent.
    TooMuch,
    /// Acknowledges less than before.
    Old,
    /// A keep-alive probe.
    Probe,
    /// With timestamps that were not agreed on, without those that were, or with old ones.
    OddTimestamps,
}

impl Kind {
    const ALL: [Self; 16] = [
        Self::Acknowledge,
        Self::Respond,
        Self::RespondFull,
        Self::Partly,
        Self::Duplicate,
        Self::Finish,
        Self::Reset,
        Self::ResetElsewhere,
        Self::SynAck,
        Self::Overtake,
        Self::Again,
        Self::Close,
        Self::TooMuch,
        Self::Old,
        Self::Probe,
        Self::OddTimestamps,
    ];

    pub(super) fn new(number: u8) -> Self {
        Self::ALL[usize::from(number) % Self::ALL.len()]
    }
}

impl Connection {
    /// The headers of an answer; `size` is a length or a distance, as the kind has it, and `clock` our TSval.
    pub(super) fn reply(&mut self, kind: Kind, size: u16, clock: u32) -> Vec<u8> {
        if kind == Kind::SynAck || !self.answered && !matches!(kind, Kind::Reset | Kind::TooMuch) {
            return self.syn_ack(size, clock);
        }
        let received = self.received();
        let (before, outstanding) = (
            self.acknowledged,
            received.saturating_sub(self.acknowledged),
        );
        let mut ack = received;
        let mut flags = Flags::ACK;
        let (mut seq, mut len, mut window) = (self.next, 0, u16::MAX);
        let mut options = self.usual_options(clock);
        match kind {
            Kind::Acknowledge | Kind::SynAck => {}
            Kind::Respond => (len, flags) = (size, flags.with(Flags::PSH)),
            Kind::RespondFull => len = 1460,
            Kind::Partly => ack = before + u32::from(size).min(outstanding),
            Kind::Duplicate => {
                ack = before;
                options.sack = blocks(self.iss, before, outstanding, size);
            }
            Kind::Finish => {
                len = size;
                flags = flags.with(Flags::FIN);
            }
            Kind::Reset => flags = flags.with(Flags::RST),
            Kind::ResetElsewhere => {
                flags = if size & 1 == 0 {
                    Flags::RST
                } else {
                    flags.with(Flags::RST)
                };
                seq = seq.wrapping_add(u32::from(size)).wrapping_sub(20);
            }
            Kind::Overtake => (seq, len) = (seq.wrapping_add(u32::from(size)), size),
            Kind::Again => {
                let len_again = self.next.min(u32::from(size));
                (seq, len) = (seq - len_again, len_again as u16);
            }
            Kind::Close => window = size >> 3,
            Kind::TooMuch => ack = ack.wrapping_add(u32::from(size)),
            Kind::Old => ack = before.saturating_sub(u32::from(size)),
            Kind::Probe => seq = seq.wrapping_sub(1),
            Kind::OddTimestamps => {
                let odd = Timestamps {
                    value: clock.wrapping_sub(u32::from(size)),
                    echo: 0,
                };
                options.timestamps = options.timestamps.is_none().then_some(odd);
                if size & 1 == 0 {
                    options.timestamps = Some(odd);
                }
            }
        }
        if matches!(kind, Kind::Respond | Kind::RespondFull | Kind::Finish) {
            self.next = seq + u32::from(len) + u32::from(flags.contains(Flags::FIN));
        }
        self.fields(seq, ack, flags, window, options)
            .said(len, seq, self.talk)
    }

    fn syn_ack(&self, size: u16, clock: u32) -> Vec<u8> {
        let options = Options {
            mss: [Some(1460), Some(536), Some(1), None][usize::from(size >> 1 & 3)],
            window_scale: self
                .offered
                .window_scale
                .and([Some(7), None, Some(14), Some(0)][usize::from(size >> 3 & 3)]),
            sack_permitted: size & 32 == 0,
            timestamps: self
                .offered
                .timestamps
                .filter(|_| size & 64 == 0)
                .map(|_| self.stamp(clock)),
            ..Options::default()
        };
        // Once in a while the target has a connection left over, and says where that stands.
        let leftover = u32::from(size & 128 != 0) * (u32::from(size) << 4);
        let flags = if size & 256 == 0 {
            Flags::SYN.with(Flags::ACK)
        } else {
            Flags::ACK
        };
        let seq = 0u32.wrapping_sub(1);
        self.fields(seq, leftover, flags, u16::MAX, options)
            .headers(0)
    }

    fn usual_options(&self, clock: u32) -> Options {
        Options {
            timestamps: self.timestamps.then(|| self.stamp(clock)),
            ..Options::default()
        }
    }

    fn stamp(&self, clock: u32) -> Timestamps {
        Timestamps {
            value: clock,
            echo: self.timestamp,
        }
    }

    /// A segment at these positions: after our own SYN, and after the engine's.
    fn fields(&self, seq: u32, ack: u32, flags: Flags, window: u16, options: Options) -> Fields {
        Fields {
            source: self.local.server,
            destination: self.local.client,
            seq: self.isn.wrapping_add(1).wrapping_add(seq),
            ack: self.iss.wrapping_add(1).wrapping_add(ack),
            flags,
            window,
            options,
        }
    }
}

/// One or two blocks of what stands behind a hole, the one below the other; some of them nonsense.
fn blocks(iss: u32, acknowledged: u32, outstanding: u32, size: u16) -> SackBlocks {
    let mut blocks = SackBlocks::default();
    let position = |at: u32| {
        iss.wrapping_add(1)
            .wrapping_add(acknowledged)
            .wrapping_add(at)
    };
    let part = 1 + u32::from(size) % 8;
    let (from, to) = (outstanding * (part - 1) / 8, outstanding * part / 8);
    match size >> 3 & 7 {
        0 => {}
        1 => blocks.push(position(to), position(from)),
        2 => blocks.push(position(from), position(outstanding + u32::from(size))),
        3 => {
            blocks.push(position(to), position(outstanding));
            blocks.push(position(from / 2), position(from));
        }
        _ => blocks.push(position(from), position(to)),
    }
    blocks
}
