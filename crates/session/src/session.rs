//! One session: a TCP client of the target whose application is a captured flow.
//!
//! This file holds the session itself and its inputs from the online side. [`crate::target`] is what the target's
//! segments do to it, [`crate::advance`] decides what may depart and when it is over, [`crate::transmit`] writes its
//! segments.
//!
//! ```text
//!              connect              SYN-ACK                  client's end released
//!  Detached ------------> SynSent ------------> Established ----------------------> Closing ---> Closed
//!     ^                      | refused, silent       | closed or reset by the target    (FIN both ways)
//!     +----------------------+-----------------------+
//! ```
//!
//! Established covers CLOSE-WAIT (see [`ReceiveHalf::is_finished`]); Closing covers FIN-WAIT-1, FIN-WAIT-2, CLOSING,
//! LAST-ACK and TIME-WAIT, told apart by the two halves.

use wire::flow::FlowKey;
use wire::seq::{ClientSeq, LocalSeq, OnlineSeq, TargetSeq};
use wire::tcp::Flags;

use crate::arena::Chain;
use crate::boundaries::Boundaries;
use crate::config::RuleId;
use crate::context::{Context, SessionId};
use crate::event::{Event, Outcome};
use crate::gate::Ticket;
use crate::limits::{OFFERED_MSS_MIN, WINDOW_SCALE};
use crate::nursery::Handshake;
use crate::receive::ReceiveHalf;
use crate::send::SendHalf;
use crate::stream::{ClientStream, End, Piece};
use crate::taker::Taker;
use crate::time::Instant;
use crate::turns::Turns;
use crate::wheel::Armed;
use crate::window::Pacing;

/// Where the connection to the target stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// There is none. The next turn opens one, unless it comes before `retry_at`: then it ends as `outcome`.
    Detached { retry_at: Instant, outcome: Outcome },
    /// The clients' own addresses: an older session still uses this one's.
    Parked,
    /// A SYN is, or is about to be, on its way.
    SynSent { due: bool },
    /// The handshake is done.
    Established,
    /// Our FIN may leave once everything before it has.
    Closing { since: Instant },
    /// Nothing is copied: every turn ends as this.
    Dead(Outcome),
    /// One last segment, a FIN or a RST, is to be sent; the connection is not waited for.
    Parting { with: Flags, then: After },
    /// To be removed.
    Closed,
}

/// What a session is after its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum After {
    /// The next turn opens another connection: see [`State::Detached`].
    Detached { retry_at: Instant, outcome: Outcome },
    /// Every turn ends as this.
    Dead(Outcome),
    /// Nothing.
    Closed,
}

/// What the client's SYN offered, or what a session offers in its place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Offer {
    pub(crate) mss: u16,
    pub(crate) window_scale: Option<u8>,
    pub(crate) sack: bool,
    pub(crate) timestamps: bool,
}

/// What a flow begins with.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Beginning {
    /// Its handshake was seen.
    Handshake(Handshake, OnlineSeq),
    /// It was joined at this byte, when the client had seen the online server's bytes up to the second.
    Joined(ClientSeq, OnlineSeq, bool),
}

/// One session.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) id: SessionId,
    pub(crate) rule: RuleId,
    /// The captured flow.
    pub(crate) flow: FlowKey,
    /// From our source to the target; the source means something only while there is a connection.
    pub(crate) local: FlowKey,
    /// The next session of the same flow: another copy, another rule.
    pub(crate) sibling: Option<SessionId>,
    pub(crate) state: State,
    /// The client's ISN, where its SYN was seen.
    pub(crate) client_isn: Option<ClientSeq>,
    /// Whether either side has confirmed that the client's handshake was completed.
    pub(crate) confirmed: bool,
    pub(crate) offer: Offer,

    pub(crate) input: ClientStream,
    /// Stream offset of `input.next()`.
    pub(crate) stream_end: u64,
    /// Whether the online server has closed.
    pub(crate) online_closed: bool,
    /// Whether bytes wait for the online server's acknowledgement before they leave.
    pub(crate) confirmed_only: bool,
    pub(crate) turns: Turns,
    /// The bytes of the stream that are not acknowledged yet ...
    pub(crate) data: Chain,
    /// ... and the offset of the first of them.
    pub(crate) data_start: u64,

    pub(crate) boundaries: Boundaries,
    pub(crate) send: SendHalf,
    pub(crate) receive: ReceiveHalf,
    pub(crate) sack: bool,
    pub(crate) timestamps: bool,
    pub(crate) ack_due: bool,
    pub(crate) ack_at: Option<Instant>,

    /// When the release of the next turn is to be decided anew.
    pub(crate) release_at: Option<Instant>,
    /// When a hole counts as lost.
    pub(crate) gap_at: Option<Instant>,
    pub(crate) pacing: Pacing,
    pub(crate) active_at: Instant,
    /// Whether it has had a connection.
    pub(crate) opened: bool,
    /// Whether the target has accepted one.
    pub(crate) accepted: bool,
    pub(crate) reconnects: u8,
    pub(crate) refusals: u8,
    pub(crate) recoveries: u8,
    /// A RST for a connection that a run before left behind, to be sent before the next SYN.
    pub(crate) recover_reset: Option<LocalSeq>,
    /// The longest payload that the target has sent, in bytes: a shorter one ends a response.
    pub(crate) receive_mss: u16,
    /// Where the latest segment ended that looked like the end of a response.
    pub(crate) tail: Option<TargetSeq>,

    pub(crate) armed: Armed,
    /// Whether it stands in the engine's queue of sessions that may have something to send.
    pub(crate) queued: bool,
    /// Its ticket, where it waits at the gate.
    pub(crate) held: Option<Ticket>,
    /// Whether a keep-alive probe is to ask for a word of the target.
    pub(crate) knocks: bool,
}

impl Session {
    /// A session of `flow` without a connection yet; see [`Session::connect`].
    pub(crate) fn new(
        id: SessionId,
        rule: RuleId,
        flow: FlowKey,
        beginning: Beginning,
        ctx: &Context<'_>,
    ) -> Self {
        let (first, cause, client_isn, offer) = match beginning {
            Beginning::Handshake(syn, online_isn) => {
                let offer = Offer {
                    mss: syn.mss.unwrap_or(OFFERED_MSS_MIN).max(OFFERED_MSS_MIN),
                    window_scale: syn.window_scale.map(|shift| shift.min(WINDOW_SCALE)),
                    sack: syn.sack_permitted,
                    timestamps: syn.timestamps,
                };
                (syn.isn + 1, online_isn + 1, Some(syn.isn), offer)
            }
            Beginning::Joined(first, cause, timestamps) => {
                let offer = Offer {
                    mss: u16::MAX,
                    window_scale: Some(WINDOW_SCALE),
                    sack: true,
                    timestamps,
                };
                (first, cause, None, offer)
            }
        };
        let server = ctx.target.endpoint;
        Self {
            id,
            rule,
            flow,
            local: FlowKey {
                client: flow.client,
                server,
            },
            sibling: None,
            state: State::Detached {
                retry_at: ctx.now,
                outcome: Outcome::Refused,
            },
            client_isn,
            confirmed: client_isn.is_none(),
            offer,
            input: ClientStream::new(first),
            stream_end: 0,
            online_closed: false,
            confirmed_only: ctx.config.confirmed,
            turns: Turns::new(cause, !ctx.config.wait_for_responses),
            data: Chain::default(),
            data_start: 0,
            boundaries: Boundaries::default(),
            send: SendHalf::new(LocalSeq::new(0), 0, 536),
            receive: ReceiveHalf::new(TargetSeq::new(0), 0),
            sack: false,
            timestamps: false,
            ack_due: false,
            ack_at: None,
            release_at: None,
            gap_at: None,
            pacing: Pacing::new(ctx.now),
            active_at: ctx.now,
            opened: false,
            accepted: false,
            reconnects: 0,
            refusals: 0,
            recoveries: 0,
            recover_reset: None,
            receive_mss: 0,
            tail: None,
            armed: Armed::default(),
            queued: false,
            held: None,
            knocks: false,
        }
    }

    /// Opens a connection that begins with the front turn (or with the stream's next byte).
    pub(crate) fn connect(&mut self, ctx: &mut Context<'_>) {
        let last = self.opened.then(|| self.send.seq_sent() + 1);
        self.connect_after(last, ctx);
    }

    /// The same where the source last sent `last`. A pool remembers that itself; nobody does for the clients' own
    /// addresses, but what has just been sent from them must not be sent again with another meaning.
    pub(crate) fn connect_after(&mut self, last: Option<LocalSeq>, ctx: &mut Context<'_>) {
        if let Some(retry_at) = ctx.target.gate.refuses_until(ctx.now) {
            ctx.counters.sessions_withheld += 1;
            self.doom_waiting(Outcome::Refused, ctx);
            let outcome = Outcome::Refused;
            self.state = State::Detached { retry_at, outcome };
            return;
        }
        let Some(lease) = ctx.lease(self.flow.client) else {
            if ctx.target.pool.is_none() {
                self.state = State::Parked;
            } else {
                ctx.counters.sessions_collided += 1;
                self.doom_waiting(Outcome::Collision, ctx);
                self.state = State::Detached {
                    retry_at: ctx.now,
                    outcome: Outcome::Collision,
                };
            }
            return;
        };
        self.local.client = lease.endpoint;
        let base = self
            .turns
            .front()
            .map_or(self.stream_end, |turn| turn.start);
        ctx.arena.drop_front(
            &mut self.data,
            base.saturating_sub(self.data_start) as usize,
        );
        self.data_start = base;
        let last = lease.last_seq.or(last);
        let iss = ctx.clock.isn(ctx.now, &self.local, last);
        self.send = SendHalf::new(iss, base, self.segment_max(ctx));
        self.receive = ReceiveHalf::new(TargetSeq::new(0), 0);
        ctx.restart_sample(self.id);
        (self.ack_due, self.ack_at, self.release_at) = (false, None, None);
        (self.tail, self.knocks) = (None, false);
        if self.opened || base > 0 {
            self.turns.begin_anew();
        }
        self.opened = true;
        self.state = State::SynSent { due: true };
        ctx.by_local.insert(&self.local, self.id);
        ctx.events.push_back(Event::SessionOpened {
            rule: self.rule,
            flow: self.local,
        });
    }

    /// Whether there is a connection, and with it a source that is in use.
    pub(crate) fn is_connected(&self) -> bool {
        matches!(
            self.state,
            State::SynSent { .. }
                | State::Established
                | State::Closing { .. }
                | State::Parting { .. }
        )
    }

    /// Forgets the connection and gives its source back.
    pub(crate) fn disconnect(&mut self, ctx: &mut Context<'_>) {
        if self.is_connected() {
            ctx.release(self.id, self.local, self.send.seq_sent() + 1);
            ctx.events.push_back(Event::SessionClosed {
                rule: self.rule,
                flow: self.local,
                without_turn: self.turns.count == 0,
            });
        }
        self.send.disarm();
        self.ack_at = None;
        // What was sent and not acknowledged of turns that have ended will not be sent again.
        let kept = self
            .turns
            .front()
            .map_or(self.stream_end, |turn| turn.start);
        let ended = kept.saturating_sub(self.data_start) as usize;
        ctx.arena.drop_front(&mut self.data, ended);
        self.data_start = self.data_start.max(kept);
    }

    /// A segment of the client, its checksum verified.
    pub(crate) fn on_client(
        &mut self,
        seq: ClientSeq,
        flags: Flags,
        piece: Piece<'_>,
        ctx: &mut Context<'_>,
    ) {
        self.active_at = ctx.now;
        self.confirmed = true;
        if flags.contains(Flags::RST) {
            // A RST without ACK answers a segment that came after the client's socket was closed: what the client had
            // seen before is not in it.
            let cause = flags.contains(Flags::ACK).then_some(piece.cause);
            if self.input.is_reset_behind_hole(seq) {
                self.end_input_at_gap(ctx);
            } else {
                self.input.on_reset(seq, cause, piece.stamp, ctx.arena);
            }
        } else {
            let mut taker = Taker {
                turns: &mut self.turns,
                data: &mut self.data,
                data_start: &mut self.data_start,
                boundaries: &mut self.boundaries,
                stream_end: &mut self.stream_end,
                state: self.state,
                now: ctx.now,
                over_budget: false,
                unreplayable: false,
                skipped: 0,
                at_start: self.client_isn.is_some(),
                began: None,
            };
            let fin = flags.contains(Flags::FIN);
            self.input.on_segment(
                seq,
                fin,
                piece,
                ctx.arena,
                ctx.counters,
                &mut |arena, piece| {
                    taker.take(arena, piece);
                },
            );
            let (over_budget, unreplayable) = (taker.over_budget, taker.unreplayable);
            let began = taker.began;
            ctx.counters.bytes_skipped += taker.skipped;
            if !piece.bytes.is_empty() {
                self.turns.on_client(flags.contains(Flags::PSH));
            }
            if let Some(start) = began {
                self.on_turn_began(start, piece, ctx);
            }
            if over_budget {
                self.give_up(Outcome::Shed, ctx);
            } else if unreplayable {
                self.give_up(Outcome::Unreplayable, ctx);
            }
        }
        self.watch_holes(ctx);
        self.advance(ctx);
        self.open_window(ctx);
    }

    /// A turn begins at `start` of the stream, with this segment as nearly always.
    fn on_turn_began(&mut self, start: u64, piece: Piece<'_>, ctx: &mut Context<'_>) {
        if self.sibling.is_none() {
            // One of a flow's sessions looks at its turns for all.
            let client = &self.flow.client.addr;
            ctx.echoes
                .on_turn(client, self.rule, piece.bytes, piece.stamp);
        }
        if start == 0 {
            self.turns.on_beginning(piece.bytes);
        }
        if ctx.echoes.hold_end().is_some() && ctx.held_until().is_some() {
            self.turns.put_ceiling(start);
        }
    }

    pub(crate) fn watch_holes(&mut self, ctx: &Context<'_>) {
        if !self.input.has_acknowledged_hole() {
            self.gap_at = None;
        } else if self.gap_at.is_none() {
            self.gap_at = Some(ctx.now + ctx.config.gap_grace);
        }
    }

    /// Ends every turn that waits, and those to come, as `outcome`, and the connection with a RST.
    pub(crate) fn give_up(&mut self, outcome: Outcome, ctx: &mut Context<'_>) {
        self.doom_waiting(outcome, ctx);
        if outcome == Outcome::Shed {
            // For want of room. Otherwise what waits behind a hole is still to be counted in its turns.
            ctx.counters.reassembly_dropped += self.input.waiting_bytes() as u64;
            self.input.clear(ctx.arena);
        }
        self.part(Flags::RST, After::Dead(outcome), ctx);
    }

    /// Leaves the connection with one last segment, where there is one that the target knows of.
    pub(crate) fn part(&mut self, with: Flags, then: After, ctx: &mut Context<'_>) {
        let synchronized = matches!(self.state, State::Established | State::Closing { .. });
        let offered = matches!(self.state, State::SynSent { due: false });
        if synchronized || offered {
            self.send.disarm();
            self.ack_at = None;
            // Before the SYN-ACK there is nothing to acknowledge, and a RST that does so all the same is ignored.
            let with = if offered { with } else { with.with(Flags::ACK) };
            self.state = State::Parting { with, then };
        } else if !matches!(self.state, State::Parting { .. }) {
            self.settle(then, ctx);
        }
    }

    /// Forgets the connection, and becomes what comes after it.
    pub(crate) fn settle(&mut self, then: After, ctx: &mut Context<'_>) {
        self.disconnect(ctx);
        self.state = match then {
            After::Detached { retry_at, outcome } => State::Detached { retry_at, outcome },
            After::Dead(outcome) => State::Dead(outcome),
            After::Closed => State::Closed,
        };
    }

    /// Ends all turns but the last (which may still be growing) as `outcome`, and dooms the last.
    pub(crate) fn doom_waiting(&mut self, outcome: Outcome, ctx: &mut Context<'_>) {
        while self.turns.len() > 1
            && let Some(turn) = self.turns.front()
        {
            self.end_turn(turn.fate.unwrap_or(outcome), ctx);
        }
        self.turns.doom_last(outcome);
        ctx.arena.clear(&mut self.data);
    }

    /// Ends the front turn in the ledger.
    pub(crate) fn end_turn(&mut self, outcome: Outcome, ctx: &mut Context<'_>) {
        let last = self.turns.len() == 1;
        let outcome = match outcome {
            // Only the online server's word makes a turn part of what was served.
            _ if last
                && !self.input.is_served()
                && self.input.end().is_none_or(|end| end.end != End::Gap) =>
            {
                match outcome {
                    Outcome::Aborted | Outcome::Gap => outcome,
                    _ => Outcome::Unserved,
                }
            }
            outcome => outcome,
        };
        if let Some(mut ended) = self.end_front(outcome, ctx) {
            ended.round_trip = self.send.trip().shortest();
            ctx.arena.discharge(Turns::TURN_BYTES);
            if ended.outcome == Outcome::Answered {
                (self.reconnects, self.refusals) = (0, 0);
            }
            ctx.events.push_back(Event::TurnEnded(ended));
        }
    }
}
