//! What the target's segments do to a session (RFC 9293 section 3.10.7), and what its timers do.

use wire::segment::Segment;
use wire::seq::{LocalSeq, TargetSeq};
use wire::tcp::{Flags, Options};

use crate::context::Context;
use crate::event::{Event, Outcome, TurnEnded};
use crate::limits::{
    DELAYED_ACK, MTU_PLATEAUS, SYN_RECOVERIES_MAX, SYN_RETRIES_MAX, TARGET_MSS_MIN, TIMEOUTS_MAX,
};
use crate::receive::ReceiveHalf;
use crate::send::{Ack, Acked, Fired, SendHalf};
use crate::session::{After, Session, State};
use crate::stream::End;
use crate::time::Instant;
use crate::transmit::headers_len;

impl Session {
    /// A segment of the target, by its headers.
    pub(crate) fn on_target(
        &mut self,
        segment: &Segment,
        options: &Options,
        stamp: Instant,
        ctx: &mut Context<'_>,
    ) {
        self.active_at = ctx.now;
        match self.state {
            State::SynSent { .. } => self.on_syn_reply(segment, options, stamp, ctx),
            State::Established | State::Closing { .. } => {
                self.on_segment(segment, options, stamp, ctx);
            }
            _ => {}
        }
    }

    fn on_syn_reply(
        &mut self,
        segment: &Segment,
        options: &Options,
        stamp: Instant,
        ctx: &mut Context<'_>,
    ) {
        let flags = segment.flags;
        let acceptable =
            flags.contains(Flags::ACK) && LocalSeq::new(segment.ack) == self.send.iss() + 1;
        if flags.contains(Flags::RST) {
            if acceptable {
                self.on_refused(ctx);
            }
            return;
        }
        if flags.contains(Flags::ACK) && !acceptable {
            // The target still has a connection that a run before us left behind: reset it there, and begin again. It says so
            // without payload (RFC 5961 section 4); what it sends again by itself is no answer to our SYN.
            if segment.payload_len == 0 {
                self.recover_syn(LocalSeq::new(segment.ack), ctx);
            }
            return;
        }
        if !flags.contains(Flags::SYN) || !acceptable {
            return;
        }
        self.send.on_syn_acked(stamp);
        self.receive = ReceiveHalf::new(TargetSeq::new(segment.seq) + 1, self.syn_window(ctx));
        let largest = self.segment_max(ctx);
        self.send
            .set_mss(options.mss.unwrap_or(536).clamp(TARGET_MSS_MIN, largest));
        if let (Some(theirs), Some(ours)) = (options.window_scale, self.offer.window_scale) {
            self.send.window_shift = theirs;
            self.receive.scale_window(ours);
        }
        self.sack = self.offer.sack && options.sack_permitted;
        let timestamps = options.timestamps.filter(|_| self.offer.timestamps);
        // The connection before may have had them.
        self.timestamps = timestamps.is_some();
        self.receive.timestamp = timestamps.map_or(0, |timestamps| timestamps.value);
        self.send.set_window(segment.window, false);
        self.state = State::Established;
        ctx.target.gate.on_accept();
        ctx.counters.sessions_opened += 1;
        ctx.counters.sessions_reconnected += u64::from(self.accepted);
        // From here on a greeting is waited for.
        self.turns.on_acknowledged(self.send.una(), stamp);
        (self.recoveries, self.ack_due) = (0, true);
        self.advance(ctx);
    }

    fn recover_syn(&mut self, seq: LocalSeq, ctx: &mut Context<'_>) {
        if self.recoveries >= SYN_RECOVERIES_MAX {
            return;
        }
        self.recoveries += 1;
        ctx.counters.syn_recovered += 1;
        self.recover_reset = Some(seq);
        if self.send.iss() <= seq {
            // The new ISN exceeds what the leftover connection expects. One that does already stays: this may be the
            // same answer once more, and the SYN be on its way.
            self.send = SendHalf::new(seq + 1, self.send.una(), self.send.mss());
        }
        self.state = State::SynSent { due: true };
    }

    fn on_segment(
        &mut self,
        segment: &Segment,
        options: &Options,
        stamp: Instant,
        ctx: &mut Context<'_>,
    ) {
        let flags = segment.flags;
        let seq = TargetSeq::new(segment.seq);
        if flags.contains(Flags::RST) && self.ends() == (true, true) {
            // TIME-WAIT: both sides have ended in order (RFC 1337 section 3).
            return;
        }
        if flags.contains(Flags::RST) {
            // RFC 5961 section 3.2: exactly the next byte, or in the window our word first, or nothing.
            let ahead = seq >= self.receive.nxt() && self.receive.is_in_window(seq, 0);
            // What it acknowledges has arrived: the turn must not be sent again.
            if flags.contains(Flags::ACK) && ahead {
                self.on_acknowledgement(segment, options, stamp, ctx);
            }
            if seq == self.receive.nxt() {
                self.on_lost(Outcome::Reset, ctx);
            } else if ahead {
                self.ack_due = true;
                self.advance(ctx);
            }
            return;
        }
        if flags.contains(Flags::SYN) {
            // RFC 5961 section 4: a challenge; also the answer to a SYN-ACK whose acknowledgement was lost.
            self.ack_due = true;
            return;
        }
        let stale = self.timestamps
            && options
                .timestamps
                .is_some_and(|timestamps| !self.receive.on_timestamp(seq, timestamps.value));
        let len = u32::from(segment.payload_len) + u32::from(flags.contains(Flags::FIN));
        if stale || !self.receive.is_in_window(seq, len) {
            ctx.counters.reply_unacceptable += 1;
            self.ack_due = true;
            return;
        }
        let ends = self.ends();
        if flags.contains(Flags::ACK) && !self.on_acknowledgement(segment, options, stamp, ctx) {
            return;
        }
        self.on_payload(segment, stamp, ctx);
        let went_on = self.ends() != ends;
        if let State::Closing { since } = &mut self.state
            && went_on
        {
            // Each step of the closing is waited for anew; the last one's wait is TIME-WAIT.
            *since = ctx.now;
        }
        self.advance(ctx);
        self.check_closed(ctx);
        self.open_window(ctx);
    }

    /// Returns whether the segment is acceptable.
    fn on_acknowledgement(
        &mut self,
        segment: &Segment,
        options: &Options,
        stamp: Instant,
        ctx: &mut Context<'_>,
    ) -> bool {
        let control = segment.flags.intersects(Flags::FIN.with(Flags::SYN));
        let plain = segment.payload_len == 0 && !control && self.send.is_window(segment.window);
        let ack = Ack {
            number: LocalSeq::new(segment.ack),
            plain,
            sack: self.sack.then_some(options.sack.as_slice()),
            limit: self.send_limit(),
        };
        match self.send.on_ack(&ack, stamp) {
            Acked::Unacceptable => {
                self.ack_due = true;
                return false;
            }
            Acked::Nothing => {}
            Acked::Advanced(_) => {
                let una = self.send.una();
                let end = una.min(self.stream_end);
                ctx.arena
                    .drop_front(&mut self.data, end.saturating_sub(self.data_start) as usize);
                self.data_start = self.data_start.max(end);
                self.turns.on_acknowledged(una, stamp);
                if self.send.is_shunning_over() {
                    // What is smaller arrives, what is larger did not: no need for the other sessions to find out.
                    let mtu = self.send.mss() + headers_len(self);
                    ctx.target.path.narrow(mtu, ctx.now);
                }
            }
        }
        self.send.set_window(segment.window, true);
        true
    }

    fn on_payload(&mut self, segment: &Segment, stamp: Instant, ctx: &mut Context<'_>) {
        let fin = segment.flags.contains(Flags::FIN);
        let len = u32::from(segment.payload_len);
        if len == 0 && !fin {
            // A keep-alive probe stands one before what we expect (RFC 9293 section 3.8.4) and wants an answer.
            self.ack_due |= TargetSeq::new(segment.seq) < self.receive.nxt();
            return;
        }
        let (seq, end) = (
            TargetSeq::new(segment.seq),
            TargetSeq::new(segment.seq) + len,
        );
        if end > self.receive.nxt() {
            self.turns.on_heard(stamp);
            // A segment behind a hole may be the one that ends the response. One that fills our window
            // may be short for that, and so may be one that asks for a closed window.
            let looks_last =
                segment.flags.contains(Flags::PSH) || len < u32::from(self.receive_mss);
            let was_closed = self.pacing.was_closed(end, self.segment_max(ctx));
            if looks_last && !was_closed && !self.is_cut_by_window(end, ctx) {
                self.tail = Some(self.tail.map_or(end, |tail| tail.max(end)));
            }
        }
        self.pacing.on_used();
        let before = self.receive.nxt();
        let unanswered = self.turns.answer_bytes() == 0;
        let arrived = self.receive.on_segment(seq, len, fin);
        // The FIN takes a position and is no byte of a response: who only closes has not answered.
        let bytes = arrived.in_order - u32::from(arrived.fin);
        if bytes > 0 {
            ctx.counters.reply_bytes += u64::from(bytes);
            self.turns.charge(bytes);
            ctx.inflow.take(bytes);
            let acknowledged = self
                .send
                .offset_of(LocalSeq::new(segment.ack))
                .unwrap_or_default();
            let tail = arrived.fin || self.tail == Some(self.receive.nxt());
            if segment.payload_len <= self.segment_max(ctx) {
                // Longer ones are several that receive offload has merged.
                self.receive_mss = self.receive_mss.max(segment.payload_len);
            }
            // What waited behind the hole that this segment fills came with acknowledgements of its own.
            let own = end.ahead_of(before).min(bytes);
            for (bytes, acknowledged) in [(own, acknowledged), (bytes - own, self.send.una())] {
                if bytes > 0
                    && let Some(gap) = self.turns.on_target_bytes(acknowledged, bytes, tail, stamp)
                {
                    ctx.quiet.learn(gap);
                }
            }
        }
        // A response begins with the first byte that was taken for it; until there is one, with the next to come.
        let answered = self.turns.answer_bytes() as u32;
        let begins = unanswered.then(|| before + bytes.saturating_sub(answered));
        ctx.sample_target(self.id, seq, begins);
        if !arrived.ack_now && self.turns.looks_answered() {
            // A complete response: its acknowledgement may ride on the next turn.
            self.ack_at.get_or_insert(ctx.now + DELAYED_ACK);
        } else {
            self.ack_due = true;
        }
        self.note_pace(ctx);
        if arrived.fin {
            self.follow_target_close(ctx);
        }
    }

    /// What stands behind a hole that can never be filled is lost with it.
    pub(crate) fn end_input_at_gap(&mut self, ctx: &mut Context<'_>) {
        for _ in 0..self.input.turns_behind_hole(self.turns.last_cause()) {
            self.turns.count += 1;
            let turn = TurnEnded::unseen(self.rule, Outcome::Gap);
            ctx.events.push_back(Event::TurnEnded(turn));
        }
        self.input.finish(End::Gap, None, ctx.now, ctx.arena);
    }

    /// Does what is due at `ctx.now`.
    pub(crate) fn on_deadline(&mut self, ctx: &mut Context<'_>) {
        let now = ctx.now;
        let due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        if due(self.ack_at) {
            (self.ack_due, self.ack_at) = (true, None);
        }
        if due(self.gap_at) {
            self.gap_at = None;
            if self.input.has_acknowledged_hole() {
                self.end_input_at_gap(ctx);
            }
            self.advance(ctx);
        }
        if due(self.release_at) {
            self.advance(ctx);
        }
        if due(self.send.timer_at()) {
            self.on_send_timer(ctx);
        }
        if due(self.pacing.due()) {
            self.on_window_timer(ctx);
        }
        self.check_closed(ctx);
        if now.since(self.active_at) >= ctx.config.idle_timeout && self.state != State::Closed {
            self.expire(ctx);
        }
    }

    fn on_send_timer(&mut self, ctx: &mut Context<'_>) {
        if ctx.target.gate.is_closed() {
            // Nothing could have been answered: this is no time-out of the target's.
            self.send.arm_retransmission(ctx.now);
            return;
        }
        match self.state {
            State::SynSent { .. } if self.send.timeouts >= SYN_RETRIES_MAX => self.on_refused(ctx),
            State::SynSent { .. } => {
                ctx.counters.retransmission_timeouts += 1;
                self.send.on_timer(0, ctx.now);
                self.state = State::SynSent { due: true };
            }
            State::Established | State::Closing { .. } if self.send.timeouts >= TIMEOUTS_MAX => {
                self.on_lost(Outcome::TimedOut, ctx);
            }
            State::Established | State::Closing { .. } => {
                match self.send.on_timer(self.send_limit(), ctx.now) {
                    Fired::Probe => ctx.counters.tail_probes += 1,
                    Fired::Timeout => {
                        ctx.counters.retransmission_timeouts += 1;
                        self.shun_black_hole(ctx);
                    }
                }
            }
            _ => self.send.disarm(),
        }
    }

    /// Two timeouts in a row: perhaps the path swallows large segments without a word (RFC 4821). What it carries may be less
    /// than what was lost, which need not be of full size.
    fn shun_black_hole(&mut self, ctx: &mut Context<'_>) {
        let Some(lost) = self.send.lost_twice() else {
            return;
        };
        let headers = headers_len(self);
        let mtu = lost.saturating_add(headers);
        let Some(smaller) = MTU_PLATEAUS.into_iter().find(|plateau| *plateau < mtu) else {
            return;
        };
        ctx.counters.black_holes += 1;
        self.send.shun(smaller - headers);
    }

    /// Neither side has said anything for longer than the user wants to remember.
    fn expire(&mut self, ctx: &mut Context<'_>) {
        while let Some(turn) = self.turns.front() {
            let outcome = turn
                .fate
                .unwrap_or_else(|| match self.turns.outcome(self.send.una()) {
                    Outcome::Pending => Outcome::TimedOut,
                    outcome => outcome,
                });
            self.end_turn(outcome, ctx);
        }
        self.input.finish(End::Replaced, None, ctx.now, ctx.arena);
        if matches!(self.state, State::Parting { .. }) {
            // Its last segment has waited at the gate for as long.
            self.settle(After::Closed, ctx);
            return;
        }
        self.active_at = ctx.now;
        self.part(Flags::RST, After::Closed, ctx);
    }
}
