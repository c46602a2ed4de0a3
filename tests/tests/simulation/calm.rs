//! Whether every new turn is answered once all faults are over: of flows that begin then, and of those that have come through.

use std::ops::Range;

use session::Outcome;
use session::limits::{INTERIM_BYTES, JOINS_REFUSED_MAX};

use crate::application::Connection;
use crate::demands::Demand;
use crate::flow::Flow;
use crate::plan::{Happening, Joining, Plan};
use crate::server::Accepted;
use crate::setting::GAP_GRACE;
use crate::verdict::carried;
use crate::world::World;

/// Whether the engine is set so that it may have to leave out flows, or sends them at a rate of its own, for ever.
fn leaves_out(plan: &Plan) -> bool {
    if plan.setting.idle_timeout.is_some() && !Demand::TakenUpAgain.is_held() {
        return true;
    }
    let sheds = plan.setting.sessions_max < u32::from(crate::plan::PLENTY)
        || plan.setting.sessions_per_second_max.is_some()
        || plan.setting.payload_bytes_max < crate::plan::PAYLOAD_PLENTY;
    // Where `observe` is late the online server's acknowledgement may be missed.
    sheds || plan.is_scarce() || !plan.setting.waits || plan.ring.observe_delay.is_some()
}

/// Whether a flow that began before all faults were over may have to be joined at its next turn: its session may be gone, or it
/// had none.
fn is_joined(world: &World, number: usize) -> bool {
    let reasons = world.reasons(number);
    world.plan.sheds_sessions() || !reasons.is_intact()
}

/// Whether a flow may be forgotten after its client goes on, because nobody has said anything for so long.
fn is_forgotten(world: &World, flow: &Flow) -> bool {
    let timeout = world.plan.setting.idle_timeout;
    timeout.is_some_and(|timeout| flow.silence_max() >= timeout)
}

/// Whether it may be forgotten in the middle of these bytes of its client.
fn is_forgotten_within(world: &World, flow: &Flow, range: &Range<usize>) -> bool {
    let timeout = world.plan.setting.idle_timeout;
    timeout.is_some_and(|timeout| flow.pauses_in(range, timeout))
}

/// Whether the target's TCP may take longer than the response timeout to send again what was lost of what it had said before.
fn is_late(world: &World, number: usize) -> bool {
    let lives = world.origins.iter().zip(&world.lives);
    let mut own = lives.filter(|(origin, _)| origin.is_some_and(|(of, _)| of == number));
    own.any(|(_, life)| life.is_some_and(|life| world.oracle.lives[life].is_late))
}

/// How many connections of flows that were joined the target has ended for what was wrong with it: the engine cannot tell them from
/// those that made no sense to it.
fn joins_broken_off(world: &World) -> u64 {
    let accepted = world.target.accepted.iter().zip(&world.origins);
    let is_broken_off = |(accepted, origin): &(&Accepted, &Option<(usize, usize)>)| {
        let joined = origin.is_some_and(|(number, start)| {
            let flow = world.oracle.flow(&world.clients[number]);
            start > 0 || flow.is_some_and(|flow| flow.lost_record)
        });
        accepted.breaks_off && joined
    };
    accepted.filter(is_broken_off).count() as u64
}

/// How many of those it may have left without an answer, for all that the engine knows: one that closes comes to its answer first.
fn joins_unanswered(world: &World) -> u64 {
    let closed = world.plan.faults.resets_after.is_none()
        && !world.plan.happens(|it| it == Happening::Crash);
    if closed { 0 } else { joins_broken_off(world) }
}

/// Whether a flow may go on as a new connection.
fn may_be_joined(world: &World, number: usize) -> bool {
    let plan = &world.plan;
    // What follows a greeting has state, whatever it looks like.
    let stands_alone = world.clients[number].stands_alone() && plan.greeting.0 == 0;
    match plan.setting.joining {
        Joining::Standalone => stands_alone,
        // Where the target has ended several that made no sense to it, only those are joined any more that stand alone, and none where
        // it has not answered them either.
        Joining::Always => {
            let most = u64::from(JOINS_REFUSED_MAX);
            let nonsense = world.target.nonsense;
            nonsense + joins_broken_off(world) < most
                || nonsense + joins_unanswered(world) < most && stands_alone
        }
        Joining::Never => false,
    }
}

/// Whether the last turn before all faults were over was not recorded as a whole: if nothing that the online server said of it was, that
/// is known only by the next.
fn has_untold_hole(connection: &Connection, flow: &Flow, rests_at: usize) -> bool {
    let turn = rests_at.saturating_sub(1)..rests_at;
    let [start, end] = [turn.start, turn.end].map(|batch| connection.batch_starts_at(batch));
    !flow.is_recorded(start..end)
}

/// When a flow is given up then: what comes behind the hole is waited with for a moment, and is lost with it.
fn hole_told_at(connection: &Connection, flow: &Flow, rests_at: usize) -> Option<u64> {
    let first = flow.captured_at(connection.batch_starts_at(rests_at))?;
    Some(first + GAP_GRACE.as_nanos() as u64)
}

/// Which of a client's turns after all faults must have been copied, as offsets in its stream.
fn owed(world: &World, number: usize) -> Vec<usize> {
    let connection = &world.plan.connections[number];
    let client = &world.clients[number];
    let Some(rests_at) = connection.rests_at.filter(|_| client.has_opened()) else {
        return vec![];
    };
    let Some(flow) = world.oracle.flow(client) else {
        return vec![];
    };
    let joined = rests_at > 0 && is_joined(world, number);
    let forgotten = is_forgotten(world, flow);
    if (joined || forgotten) && !may_be_joined(world, number) {
        return vec![];
    }
    let always = world.plan.setting.joining == Joining::Always;
    if (joined || forgotten) && always && world.plan.is_filtered() {
        // It may have been joined in the middle of a message, and cannot be judged then.
        return vec![];
    }
    let untold = joined && has_untold_hole(connection, flow, rests_at);
    let told_at = hole_told_at(connection, flow, rests_at).filter(|_| untold);
    // A flow that is joined may be joined at its second turn. What is lost with a hole is not read, and behind it a request is read to its
    // end first.
    let is_read = |index: &usize| {
        flow.captured_at(connection.batch_starts_at(*index))
            .is_some_and(|at| Some(at) >= told_at)
    };
    let first = match untold {
        true => (rests_at..connection.batches.len())
            .find(is_read)
            .map_or(usize::MAX, |read| {
                read.max(rests_at + 1).saturating_add(usize::from(!always))
            }),
        false => rests_at + usize::from(joined),
    };
    let mut at = connection.prefix_len();
    let (mut before, mut owed) = (None, vec![]);
    for (index, batch) in connection.batches.iter().enumerate() {
        // Behind what may be an interim response a body may follow that looks like a request.
        let answered = flow.answered_between(before, at);
        let interim = answered.is_some_and(|bytes| INTERIM_BYTES.contains(&bytes));
        // And one that was forgotten in the middle of a request is not known to be at the beginning of the next.
        let is_lost = before.is_some_and(|before| is_forgotten_within(world, flow, &(before..at)));
        before = Some(at);
        let is_unread = forgotten && !always && (interim || is_lost);
        let is_told = flow.captured_at(at) >= told_at;
        let is_copied = world.is_copied(number, at);
        if index >= first && at < flow.len() && !is_unread && is_told && is_copied {
            owed.push(at);
        }
        at += batch
            .requests
            .iter()
            .map(|request| request.len)
            .sum::<usize>();
    }
    owed
}

/// Every new turn of every flow reaches the target and is answered.
pub(crate) fn every_new_turn_is_answered(world: &World) {
    let plan = &world.plan;
    let Some((since, open)) = world.calm else {
        return;
    };
    if !Demand::Calm.is_held() || leaves_out(plan) || world.stuck {
        return;
    }
    let carried = carried(world);
    let copies = usize::from(plan.setting.copies);
    let mut excused = open as usize;
    for number in 0..world.clients.len() {
        let owed = if plan.is_unreplayable(number) {
            vec![]
        } else {
            owed(world, number)
        };
        let connection = &plan.connections[number];
        let rests_at = connection.rests_at.unwrap_or(usize::MAX);
        let turns = connection.batches.len().saturating_sub(rests_at);
        excused += copies * (turns - owed.len());
        let flow = world.oracle.flow(&world.clients[number]);
        let began_before = (1..connection.batches.len()).contains(&rests_at);
        if began_before && flow.is_some_and(|flow| has_untold_hole(connection, flow, rests_at)) {
            // Where nothing was recorded of that turn, it is told with the next.
            excused += copies;
        }
        if open > 0 && connection.is_mute() || plan.times_out() && is_late(world, number) {
            // Its turns wait for the response timeout, one behind another, and then for all that the target is late with.
            excused += copies * owed.len();
        }
        for turn in owed {
            let place = world.copied_len(number, turn);
            let holds = |(of, start, end, _): &&(usize, usize, usize, usize)| {
                *of == number && (*start..*end).contains(&place)
            };
            let times = carried.iter().filter(holds).count();
            assert!(
                times >= copies,
                "client {number}: the turn at {turn} was copied {times} times, although all faults were over"
            );
        }
    }
    let times = world.ended_at.iter().zip(&world.ended);
    let bad: Vec<_> = times
        .filter(|(at, ended)| {
            let well = [
                Outcome::Answered,
                Outcome::Delivered,
                Outcome::Unreplayable,
                Outcome::Filtered,
            ];
            **at > since && !well.contains(&ended.outcome)
        })
        .map(|(at, ended)| (*at, ended.outcome))
        .collect();
    assert!(
        bad.len() <= excused,
        "all faults were over at {since}, {excused} turns are excused, and later ended {bad:?}"
    );
}
