//! How turns end, and what becomes of a session whose connection is over.

use wire::tcp::Flags;

use super::outcome::{Cause, Progress, ending, unserved};
use super::{After, Life, Session};
use crate::context::Context;
use crate::event::{Compared, Event, Outcome, Response, TurnEnded};
use crate::flow::Flow;
use crate::flow::stream::{End, EndOfStream};
use crate::limits::JOINS_REFUSED_MAX;

impl Session {
    /// Leaves the connection with one last segment, where there is one that the target knows of.
    pub(crate) fn part(&mut self, with: Flags, then: After, ctx: &mut Context<'_>) {
        match self.life {
            // It leaves already, to come back: what it becomes instead is decided now.
            Life::Leaving(After::Detached { .. }) => self.life = Life::Leaving(then),
            Life::Leaving(_) => {}
            _ if self.connection.leave(with) => self.life = Life::Leaving(then),
            _ => self.settle(then, ctx),
        }
    }

    /// The same without that segment, which may not be sent.
    pub(crate) fn leave_unsent(&mut self, ctx: &mut Context<'_>) {
        if let Life::Leaving(then) = self.life {
            self.settle(then, ctx);
        }
    }

    /// Forgets the connection, and becomes what comes after it.
    pub(crate) fn settle(&mut self, then: After, ctx: &mut Context<'_>) {
        self.disconnect(ctx);
        self.life = then.into();
    }

    /// Ends every turn that waits, and those to come, as `outcome`, and the connection with a RST.
    pub(crate) fn give_up(&mut self, outcome: Outcome, ctx: &mut Context<'_>) {
        if outcome == Outcome::Unreplayable
            && self.playing(ctx.flow).len() > 1
            && self.playing(ctx.flow).current().is_some()
        {
            // What was said before in plain words has its answer.
            if self.progress(ctx.flow) != Progress::NotAnswered {
                self.end(Cause::Over, ctx);
            }
        }
        if self.turns.is_told() {
            self.end_answered(ctx);
        }
        self.given_up.get_or_insert(outcome);
        self.doom_waiting(outcome, ctx);
        self.part(Flags::RST, After::Dead(outcome), ctx);
    }

    /// Ends all turns but the last (which may still be growing) as `outcome`, and dooms the last.
    pub(crate) fn doom_waiting(&mut self, outcome: Outcome, ctx: &mut Context<'_>) {
        while self.playing(ctx.flow).len() > 1 {
            self.end(Cause::Lost(outcome), ctx);
        }
        self.playing_mut(ctx.flow).doom(outcome);
    }

    /// What the target has done with the front turn until now.
    pub(super) fn progress(&self, flow: &Flow) -> Progress {
        match self.playing(flow).outcome(self.connection.una()) {
            Outcome::Answered => Progress::Answered,
            Outcome::Delivered => Progress::Delivered,
            _ => Progress::NotAnswered,
        }
    }

    /// Ends the front turn in the ledger, by the table in [`super::outcome`].
    pub(super) fn end(&mut self, cause: Cause, ctx: &mut Context<'_>) {
        let progress = self.progress(ctx.flow);
        self.end_after(cause, progress, ctx);
    }

    /// The same after what the target has done with it.
    pub(super) fn end_after(&mut self, cause: Cause, progress: Progress, ctx: &mut Context<'_>) {
        let cause = self.turns.fate().map_or(cause, Cause::Lost);
        let mut outcome = ending(cause, progress);
        let patience = ctx.rule.tuning.response_timeout;
        if outcome == Outcome::Delivered && self.playing(ctx.flow).is_mute(patience, ctx.now) {
            outcome = Outcome::TimedOut;
        }
        let last = self.playing(ctx.flow).len() == 1;
        let at_gap = ctx.flow.ended().is_some_and(|end| end.end == End::Gap);
        let is_served = ctx.flow.stream().is_served();
        if last && !at_gap && !is_served && !self.is_message_served(ctx.flow) {
            // Only the online server's word makes a turn part of what was served.
            outcome = unserved(outcome);
        }
        if last && self.turns.is_told() {
            self.tear_message(ctx.flow);
        }
        if let Some(mut ended) = self.end_front(outcome, ctx) {
            ended.round_trip = self.connection.round_trip();
            if last && self.turns.torn().is_none() {
                ctx.flow.seal_latest();
            }
            if ended.outcome == Outcome::Answered {
                (self.reconnects, self.refusals) = (0, 0);
                self.answered = true;
                if ctx.flow.is_joined() && ctx.rule.joins_unanswered < JOINS_REFUSED_MAX {
                    ctx.rule.joins_unanswered = 0;
                }
            }
            ctx.shared.events.push_back(Event::TurnEnded(ended));
        }
    }

    /// Whether the online server has taken the front message although not all of the stream: it has answered it, and what its client has said
    /// behind it, and is no message yet or is not copied, may still be on its way.
    #[cold]
    fn is_message_served(&self, flow: &Flow) -> bool {
        let front = self.playing(flow).front();
        self.turns.is_told() && front.is_some_and(|turn| turn.online.bytes > 0)
    }

    /// The latest message ends for this session: what its client still adds to it is a part of it, and no message.
    #[cold]
    fn tear_message(&mut self, flow: &Flow) {
        let grows = flow.captured().messages().is_some_and(|it| it.grows);
        if grows && self.turns.torn().is_none() {
            self.playing_mut(flow).tear_last();
        }
    }

    /// A message has ended: whether both answers are whole, and known to be, and what they are.
    #[cold]
    fn judge_message(&mut self, ended: &mut TurnEnded, ctx: &mut Context<'_>) {
        let messages = ctx.flow.captured().messages();
        let is_heard = messages.is_some_and(|it| it.heard >= self.turns.number());
        ended.paired = is_heard && self.turns.has_answered_front();
        if let Some(compared) = self.compare(ended, ctx.flow) {
            let event = Event::Compared(Box::new(compared));
            ctx.shared.events.push_back(event);
        }
    }

    /// What both servers have answered to the turn that has ended, where that is to be compared.
    fn compare(&mut self, ended: &TurnEnded, flow: &Flow) -> Option<Compared> {
        let (number, target) = self.turns.take_digest()?;
        let (asked, online) = flow.captured().messages()?.answered(number)?;
        let is_missing = matches!(
            ended.outcome,
            Outcome::Reset | Outcome::Refused | Outcome::TimedOut | Outcome::TargetClosed
        );
        if target.is_none() && !is_missing {
            // An answer that was not read to its end says nothing, where it is not the target's fault.
            return None;
        }
        // A target that was kept from sending has times of our making.
        let has_times = ended.paired && !ended.paced;
        let time = |response: Option<Response>| response.filter(|_| has_times).map(|it| it.last);
        let path = self.connection.round_trip().unwrap_or_default();
        Some(Compared {
            rule: self.rule,
            asked,
            online,
            target,
            online_time: time(ended.online),
            target_time: time(ended.target).map(|time| time.saturating_sub(path)),
        })
    }

    /// The last turn has a hole, or stands before one.
    pub(super) fn end_at_gap(&mut self, end: EndOfStream, ctx: &mut Context<'_>) {
        let is_whole = self.progress(ctx.flow) == Progress::Answered;
        let is_there = self.playing(ctx.flow).front().is_some();
        if is_there {
            self.end(Cause::Gap, ctx);
        }
        if is_whole || !is_there {
            self.count_gap(end, ctx);
        }
        self.part(Flags::RST, After::Closed, ctx);
    }

    /// A turn of which no byte was captured is a turn all the same.
    pub(super) fn count_gap(&mut self, end: EndOfStream, ctx: &mut Context<'_>) {
        if end.end == End::Gap {
            self.unseen = true;
            ctx.shared
                .events
                .push_back(Event::TurnEnded(TurnEnded::unseen(self.rule, Outcome::Gap)));
        }
    }

    /// So many turns are lost of which no byte can be sent.
    pub(crate) fn count_unseen(&mut self, turns: u64, ctx: &mut Context<'_>) {
        for _ in 0..turns {
            self.unseen = true;
            let turn = TurnEnded::unseen(self.rule, Outcome::Gap);
            ctx.shared.events.push_back(Event::TurnEnded(turn));
        }
    }

    /// Ends the front turn, and adds what its responses begin with.
    #[inline(always)]
    fn end_front(&mut self, outcome: Outcome, ctx: &mut Context<'_>) -> Option<TurnEnded> {
        let turn = self.playing(ctx.flow).front()?.start;
        let una = self.connection.una();
        let mut ended = self
            .turns
            .of_mut(ctx.flow.captured())
            .end_front(outcome, una, self.rule)?;
        if self.turns.is_told() {
            self.judge_message(&mut ended, ctx);
        }
        // Where turns do not wait, what the target has said of this one may have been taken for another.
        ended.paired &= outcome != Outcome::Delivered || ended.online.is_none();
        if let Some(samples) = ctx.shared.samples.as_deref_mut() {
            ended.samples = samples.take(self.id, turn, &ended);
        }
        Some(ended)
    }
}
