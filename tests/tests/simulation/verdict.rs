//! What must be true at the end, whatever the seed.

use std::collections::BTreeMap;

use session::{Outcome, TurnEnded};

use crate::application::Connection;
use crate::flow::Flow;
use crate::messages;
use crate::oracle::CUT_OFF;
use crate::pairs;
use crate::reasons::Reasons;
use crate::setting::RESPONSE_TIMEOUT_PIPELINED;
use crate::stack::SECOND;
use crate::watch::origin;
use crate::world::World;

/// Frames per input that an engine may send, and how many on top: SYNs, acknowledgements, retransmissions.
const FRAMES_PER_INPUT: u64 = 3;
const FRAMES_BASE: u64 = 200;
/// What a connection takes to begin and to end, at most.
const CLOSING: u64 = 30 * SECOND;
/// Timers that were meant for what is no more.
const TIMERS_LEFT_MAX: u32 = 100_000;

/// After the drain, before the engine is told to end everything.
pub(crate) fn before_the_end(world: &World, waiting: u64) {
    no_byte_twice(world);
    let copies = u64::from(world.plan.setting.copies);
    let limit = (FRAMES_BASE + FRAMES_PER_INPUT * world.inputs) * copies;
    assert!(
        world.frames <= limit,
        "a storm: {} frames for {} inputs",
        world.frames,
        world.inputs
    );
    few_astray(world);
    if world.leaves_out() {
        return;
    }
    let reasons = world.all_reasons();
    complete(world, &reasons);
    turns_do_not_time_out(world, &reasons);
    let copies = usize::from(world.plan.setting.copies);
    let excused = reasons.iter().enumerate().filter(|(number, it)| {
        // A turn that the target never answers is waited for as long as its client may go on.
        let is_mute = world.plan.connections[*number].is_mute();
        !it.is_intact() || is_mute && !world.sees_end(*number)
    });
    let excused = copies * turns_of(excused.map(|(_, it)| it));
    assert!(
        waiting <= excused as u64,
        "{waiting} turns wait for the target after the drain, {excused} of them are excused"
    );
    if !reasons.iter().all(Reasons::is_intact) {
        return;
    }
    if !world.plan.is_scarce() && world.oracle.unanswered() == 0 {
        assert_eq!(
            world.target.nonsense, 0,
            "the target got requests that make no sense"
        );
        waits_are_bounded(world);
    }
    // What was never acknowledged is waited for as long as the target speaks, if only to keep the connection alive.
    let awaits = world.plan.setting.confirmed && reasons.iter().any(|it| it.unserved);
    let kept = world.plan.target_options.keep_alive_ms.is_some();
    let (sessions, endless) = (world.engine.sessions(), world.endless());
    assert!(
        sessions <= endless || awaits && kept,
        "{sessions} sessions are left although every client has ended, {endless} are excused"
    );
}

/// How many turns some flows have.
fn turns_of<'a>(reasons: impl Iterator<Item = &'a Reasons>) -> usize {
    reasons.map(|it| it.turns).sum()
}

/// Real clients of a network that the target does not route to the assistant have got the answers to a few probes, which are
/// sent one at a time and less and less often; a lost reset has the target say one of them again.
fn few_astray(world: &World) {
    let setting = &world.plan.setting;
    let path = &world.plan.network.to_target;
    let again = if path.is_faulty() { 4 } else { 1 };
    let limit = 4 * again * u64::from(setting.workers);
    assert!(
        world.astray <= limit,
        "{} SYN-ACKs for real clients",
        world.astray
    );
}

/// What each connection of the target carried, in the order that the engine opened them: whose bytes, from where to
/// where, and how many of them the engine knows to have arrived.
pub(crate) fn carried(world: &World) -> Vec<(usize, usize, usize, usize)> {
    let mut accepted: Vec<usize> = (0..world.target.accepted.len()).collect();
    accepted.sort_by_key(|&accepted| world.lives[accepted]);
    let carried = accepted.into_iter().filter_map(|accepted| {
        let (number, start) = origin(world, accepted)?;
        let read = world.target.accepted[accepted].read.len();
        let life = &world.oracle.lives[world.lives[accepted]?];
        Some((
            number,
            start,
            start + read,
            read.min(life.acknowledged as usize),
        ))
    });
    carried.collect()
}

/// Of each flow of which everything was seen, everything was copied, as often as there are copies.
fn complete(world: &World, reasons: &[Reasons]) {
    let plan = &world.plan;
    if plan.is_scarce() {
        return;
    }
    let mut got: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (number, start, end, _) in carried(world) {
        if reasons[number].is_intact() {
            assert_eq!(start, 0, "client {number}: a session begins late");
        }
        got.entry(number).or_default().push(end);
    }
    // A connection whose SYNs, or the answers to them, were lost each time has carried nothing; whose it was nothing tells.
    let mut unanswered = world.oracle.unanswered();
    for (number, client) in world.clients.iter().enumerate() {
        let reasons = &reasons[number];
        if !reasons.is_intact() || reasons.torn || reasons.unreplayable {
            continue;
        }
        // What the online server never acknowledged may stay here.
        if plan.setting.confirmed && reasons.unserved {
            continue;
        }
        let collided = |ended: &TurnEnded| ended.outcome == Outcome::Collision;
        if reasons.waits_for_source && world.ended.iter().any(collided) {
            continue;
        }
        // A client that resets its connection may never have sent all of its stream.
        let sent = world.oracle.flow(client).map_or(0, Flow::len);
        let sent = world.copied_len(number, sent);
        if sent > 0 {
            let mut got = got.remove(&number).unwrap_or_default();
            while got.len() < usize::from(plan.setting.copies) && unanswered > 0 {
                unanswered -= 1;
                got.push(sent);
            }
            let all = vec![sent; usize::from(plan.setting.copies)];
            assert_eq!(got, all, "client {number}: what the target got");
        }
    }
}

/// No turn ends by the response timeout but those of flows for which that has to decide.
fn turns_do_not_time_out(world: &World, reasons: &[Reasons]) {
    let plan = &world.plan;
    if plan.is_probed() || plan.is_scarce() || plan.is_crowded() || world.oracle.unanswered() > 0 {
        return;
    }
    let excused = |it: &&Reasons| it.times_out || !it.is_intact();
    // A batch that its target's end has cut in two has more turns.
    let excused = 2 * usize::from(plan.setting.copies) * turns_of(reasons.iter().filter(excused));
    let unpaired = world.engine.counters().turns_unpaired;
    let ended = world.ended.iter().map(|ended| ended.outcome);
    let timed_out = ended.filter(|it| *it == Outcome::TimedOut).count();
    assert!(
        timed_out <= excused && unpaired <= excused as u64,
        "{timed_out} turns timed out, {unpaired} are unpaired, and only {excused} may be"
    );
}

/// No byte is sent again after the target acknowledged it. (A flow with a hole goes on as a new session while the old one
/// still waits for its target, so sessions of one client may overlap in time.) With several copies, as many sessions may
/// have it acknowledged. Where everything is seen, each session begins with a turn.
fn no_byte_twice(world: &World) {
    let copies = usize::from(world.plan.setting.copies);
    let mut known: Vec<(usize, usize, usize)> = vec![];
    for (number, start, end, acknowledged) in carried(world) {
        let holds = |at: usize| {
            let same = known.iter().filter(|(other, ..)| *other == number);
            same.filter(|(_, from, to)| (*from..*to).contains(&at))
                .count()
        };
        let edges = known.iter().map(|(_, from, _)| *from);
        let mut places = edges.filter(|at| (start..end).contains(at)).chain([start]);
        assert!(
            places.all(|at| holds(at) < copies),
            "client {number}: {start}..{end} is sent although all {copies} copies of part of it had been acknowledged"
        );
        known.push((number, start, start + acknowledged));
        let reasons = world.reasons(number);
        // A target that closes in the middle of a pipelined batch cuts it in two.
        let cut = reasons.broken_off && reasons.pipelined;
        if !world.leaves_out() && !reasons.unseen && !cut && !reasons.torn {
            let turns = world.turns(number);
            assert!(
                turns.contains(&start),
                "client {number}: a session begins at {start}, turns at {turns:?}"
            );
        }
    }
}

/// No turn waits for longer than its target takes, a response that looks cut off, and the response timeout where that has to
/// decide.
fn waits_are_bounded(world: &World) {
    let plan = &world.plan;
    let patience = if plan.times_out() {
        RESPONSE_TIMEOUT_PIPELINED.as_nanos() as u64
    } else {
        CUT_OFF
    };
    let bound = |connection: &Connection| {
        // A turn may be cut in two, and its end waits as well.
        let waits = 2 * connection.requests().count() as u64 + 1;
        connection.target_takes() + waits * patience
    };
    let network = [&plan.network.to_target, &plan.network.to_engine];
    let clean = network.iter().all(|path| !path.is_faulty())
        && plan.network.report.is_none()
        && plan.ring.reply_lost == 0
        && plan.network.narrow.is_none()
        && !plan.is_probed()
        && !plan.is_interrupted()
        && plan.faults.slow.is_none();
    if clean {
        let bound = plan.connections.iter().map(bound).max().unwrap_or(0) + CLOSING;
        assert!(
            world.drained_in <= bound,
            "the drain took {} ns, and {bound} should do",
            world.drained_in
        );
    }
}

/// After the end nothing is left.
pub(crate) fn nothing_is_left(world: &World) {
    assert_eq!(
        world.engine.sessions(),
        0,
        "sessions are left after the end"
    );
    assert_eq!(world.engine.turns_open(), 0, "turns are open after the end");
    assert_eq!(
        world.engine.payload_bytes(),
        0,
        "payload is left after the end"
    );
}

/// What the clients sent, as it passed `capture`: turns, bytes, and turns that the online server has not acknowledged.
fn captured(world: &World) -> (usize, u64, u64) {
    let (mut turns, mut bytes, mut unserved) = (0, 0, 0);
    for (number, client) in world.clients.iter().enumerate() {
        if let Some(flow) = world.oracle.flow(client) {
            turns += world.turns(number).len() + world.left_out(number);
            bytes += world.copied_len(number, flow.len()) as u64;
            unserved += u64::from(flow.seems_unserved());
        }
    }
    let copies = u64::from(world.plan.setting.copies);
    (turns * copies as usize, bytes * copies, unserved * copies)
}

/// Bytes of keep-alive probes that an engine cannot tell from a client's.
fn probes(world: &World) -> u64 {
    let flows = world.clients.iter().filter_map(|it| world.oracle.flow(it));
    let probed = flows.filter(|flow| flow.probed_as_byte).count() as u64;
    probed * u64::from(world.plan.setting.copies)
}

/// Bytes that an engine cannot tell from a client's, because something of that was not recorded, or its flow was over.
fn forged(world: &World) -> u64 {
    let flows = world.clients.iter().filter_map(|it| world.oracle.flow(it));
    let forged: u64 = flows.map(Flow::forged_unseen).sum();
    forged * u64::from(world.plan.setting.copies)
}

/// Bytes that a filter would have left out, of flows that may not have been read: what is missed of them is no message.
fn unread(world: &World, reasons: &[Reasons]) -> u64 {
    let flows = (0..world.clients.len()).filter(|number| reasons[*number].unseen);
    let left_out = flows.filter_map(|number| {
        let len = world.oracle.flow(&world.clients[number])?.len();
        Some((len - world.copied_len(number, len)) as u64)
    });
    left_out.sum::<u64>() * u64::from(world.plan.setting.copies)
}

/// Turns and bytes that are told as missed.
fn missed(world: &World) -> (usize, u64) {
    let missed = world
        .ended
        .iter()
        .filter(|it| it.outcome == Outcome::Missed);
    missed.fold((0, 0), |(turns, bytes), it| (turns + 1, bytes + it.bytes))
}

/// Each turn ended for a reason that the plan gives, and turns and bytes are those of the clients.
pub(crate) fn ledgers_add_up(world: &World) {
    let reasons = world.all_reasons();
    for ended in &world.ended {
        assert!(
            ended.bytes_acknowledged <= ended.bytes && may(world, &reasons, ended),
            "{ended:?}"
        );
    }
    enough_ended_well(world, &reasons);
    pairs::answer_the_same(world);
    messages::are_told_as_they_were(world, &reasons);
    let plan = &world.plan;
    let (turns, bytes, unserved) = captured(world);
    let ended: u64 = world.ended.iter().map(|ended| ended.bytes).sum();
    let torn = reasons.iter().any(|it| it.torn);
    assert!(
        ended <= bytes + probes(world) + forged(world) + unread(world, &reasons) || torn,
        "{ended} bytes ended, {bytes} captured"
    );
    if world.leaves_out() || torn || reasons.iter().any(|it| it.unseen) {
        return;
    }
    // A target that closes in the middle of a pipelined batch cuts it in two.
    let cut = plan.target_breaks_off() && plan.is_pipelined();
    // Of what is seen as a whole only that is missed which somebody says in a client's name when its flow is over.
    let others = if forged(world) > 0 {
        missed(world)
    } else {
        (0, 0)
    };
    let (turns, bytes) = (turns + others.0, bytes + others.1);
    assert!(
        world.ended.len() == turns || cut && world.ended.len() > turns,
        "{turns} turns captured, {} ended: {:?}",
        world.ended.len(),
        world.ended.iter().map(|it| it.outcome).collect::<Vec<_>>()
    );
    // With few ports a session may begin in the middle of a pipelined request, and its target resets it.
    let skipped = if plan.target_breaks_off() || plan.is_scarce() {
        world.engine.counters().bytes_skipped
    } else {
        0
    };
    assert!(
        (ended..=ended + skipped).contains(&bytes),
        "{bytes} bytes captured, {ended} in turns that ended, {skipped} skipped"
    );
    if !plan.target_breaks_off() {
        all_was_acknowledged(world, &reasons, unserved, others.0 > 0);
    }
}

/// What was to be sent the target has acknowledged; `unserved` turns the online server has not, and some may be `forged`.
fn all_was_acknowledged(world: &World, reasons: &[Reasons], mut unserved: u64, forged: bool) {
    let plan = &world.plan;
    let tls = reasons.iter().any(|it| it.unreplayable);
    for ended in &world.ended {
        let certain = plan.ring.observe_delay.is_none() && !plan.times_out();
        if ended.outcome == Outcome::Unserved && certain {
            // The client's reset overtook the online server's acknowledgement.
            assert!(unserved > 0, "{ended:?}");
            unserved -= 1;
            continue;
        }
        let never_sent = match ended.outcome {
            Outcome::Collision | Outcome::Unreplayable => true,
            Outcome::Missed => forged,
            Outcome::Refused => world.oracle.unanswered() > 0,
            // A turn that was never to be sent may never have been served either.
            Outcome::Unserved => {
                // With confirmed bytes: only where a client left some that the online server never acknowledged.
                let unconfirmed = plan.setting.confirmed && captured(world).2 > 0;
                plan.is_scarce() || tls || unconfirmed
            }
            Outcome::Reset => plan.is_scarce(),
            _ => false,
        };
        assert!(
            never_sent || ended.bytes == ended.bytes_acknowledged,
            "{ended:?}"
        );
    }
}

/// At least the turns of flows to which nothing happened have ended well.
fn enough_ended_well(world: &World, reasons: &[Reasons]) {
    let plan = &world.plan;
    if world.leaves_out() || plan.is_scarce() || plan.is_probed() || plan.is_crowded() {
        return;
    }
    let well = |it: &&Reasons| {
        let excused = it.times_out || it.torn || it.unserved || it.unreplayable;
        it.is_intact() && !excused
    };
    let copies = usize::from(plan.setting.copies);
    let unanswered = world.oracle.unanswered();
    let most = reasons.iter().map(|it| it.turns).max().unwrap_or(0);
    let wanted = (copies * turns_of(reasons.iter().filter(well))).saturating_sub(unanswered * most);
    let well = [Outcome::Answered, Outcome::Delivered];
    let ended = world.ended.iter().map(|ended| ended.outcome);
    let ended = ended.filter(|outcome| well.contains(outcome)).count();
    // Where `observe` is late, the online server's acknowledgement may be.
    let late = plan.ring.observe_delay.is_some();
    assert!(
        late || ended >= wanted,
        "only {ended} turns ended well, {wanted} are of flows to which nothing happened"
    );
}

/// Whether a turn may end like this: there is a flow to which something happened that has turns end so.
fn may(world: &World, reasons: &[Reasons], ended: &TurnEnded) -> bool {
    let plan = &world.plan;
    let any = |is: fn(&Reasons) -> bool| reasons.iter().any(is);
    let unseen = any(|it| it.unseen);
    let broken_off = any(|it| it.broken_off);
    let times_out = any(|it| it.times_out);
    // A session that joins in the middle of a request makes no sense to the target, which resets it.
    let nonsense = world.target.nonsense > 0;
    match ended.outcome {
        Outcome::Answered | Outcome::Delivered => true,
        Outcome::Reset => plan.target_resets() || plan.is_scarce() || nonsense,
        // Each SYN of a connection was lost, or its answer; or the reset that ends what is left over at the target from before.
        Outcome::Refused => broken_off || nonsense || world.oracle.unanswered() > 0,
        Outcome::TimedOut => {
            let late = plan.is_probed() || plan.is_crowded();
            times_out || broken_off || unseen || nonsense || late
        }
        Outcome::TargetClosed => times_out || broken_off || unseen || nonsense,
        // A flow that got no session at first may get one where bytes of the turn had come before.
        Outcome::Gap => {
            let late = plan.network.to_online.is_faulty() || plan.ring.observe_delay.is_some();
            unseen || plan.sheds() && late
        }
        Outcome::Shed => plan.sheds(),
        // After a gap, or where the answer to a SYN was lost, and after the idle timeout.
        Outcome::Missed => {
            let is_forged = ended.bytes > 0 && ended.bytes <= forged(world);
            unseen || plan.setting.idle_timeout.is_some() || is_forged
        }
        Outcome::Collision => plan.is_scarce() || any(|it| it.waits_for_source),
        Outcome::Unreplayable => any(|it| it.unreplayable),
        // A target may have answered a pipelined turn early.
        Outcome::Aborted => {
            any(|it| it.torn || it.pipelined) || unseen || plan.sheds() || broken_off
        }
        Outcome::Filtered => plan.is_filtered(),
        // Where a time-out ends a turn, or `observe` is late, the online server's acknowledgement may be on its way.
        Outcome::Unserved => {
            let late = times_out || plan.ring.observe_delay.is_some();
            any(|it| it.torn || it.unserved) || unseen || plan.cut.is_some() || late
        }
        Outcome::Pending => {
            let waits = |number: usize| {
                let reasons = &reasons[number];
                plan.connections[number].is_mute() || !reasons.is_intact() || plan.sheds()
            };
            let mut unseen = (0..reasons.len()).filter(|number| !world.sees_end(*number));
            plan.cut.is_some() || world.stuck || unseen.any(waits)
        }
    }
}

/// After everything, nothing is due any more.
pub(crate) fn no_timer_is_left(world: &mut World) {
    let mut calls = 0;
    while let Some(at) = world.engine.next_timeout() {
        calls += 1;
        assert!(calls < TIMERS_LEFT_MAX, "timers are left after the end");
        world.engine.on_timeout(at);
        let frame = world.engine.poll_transmit(at, &mut [0; 1514]);
        assert!(frame.is_none(), "a frame leaves after the end");
        let event = world.engine.poll_event();
        assert!(event.is_none(), "an event after the end: {event:?}");
    }
}
