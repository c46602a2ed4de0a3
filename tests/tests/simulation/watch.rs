//! What must be true whenever the target's application reads something: it gets a client's bytes, and none before its cause.

use session::limits::UNASKED_PAUSE;
use wire::segment::Segment;

use crate::application::HEADER_LEN;
use crate::demands::Demand;
use crate::flow::Flow;
use crate::messages;
use crate::plan::Joining;
use crate::server::Read;
use crate::shape::Likeness;
use crate::world::World;

/// How much of what a connection has read tells whose it is, in bytes.
const TELLING: usize = 64;

/// Whose bytes a connection to the target carries: the client's number, and where in its stream they begin.
pub(crate) fn origin(world: &World, accepted: usize) -> Option<(usize, usize)> {
    if world.origins[accepted].is_some() {
        return world.origins[accepted];
    }
    let connection = &world.target.accepted[accepted];
    let first = &connection.read[..connection.read.len().min(TELLING)];
    if first.len() < HEADER_LEN {
        return None;
    }
    let mine = |port| !world.plan.setting.keep_addresses || port == connection.port;
    let clients = world.clients.iter().enumerate();
    let mut candidates = clients.filter(|(_, client)| mine(client.port));
    candidates.find_map(|(number, client)| {
        let stream = &client.copied;
        let at = if stream.starts_with(first) {
            Some(0)
        } else {
            let mut windows = stream.windows(first.len());
            windows.position(|window| window == first)
        };
        at.map(|at| (number, at))
    })
}

/// The target's application has read something.
pub(crate) fn on_read(world: &mut World, read: &Read) {
    let len = world.target.accepted[read.accepted].read.len();
    if len < HEADER_LEN {
        return;
    }
    if len - read.bytes < TELLING {
        // So few bytes may be another client's as well.
        world.origins[read.accepted] = None;
    }
    let known = world.origins[read.accepted].is_some();
    world.origins[read.accepted] = origin(world, read.accepted);
    let Some((number, start)) = world.origins[read.accepted] else {
        panic!("connection {} got bytes that no client sent", read.accepted);
    };
    let client = &world.clients[number];
    let (end, from) = (start + len, if known { len - read.bytes } else { 0 });
    let got = &world.target.accepted[read.accepted].read[from..];
    assert!(
        client.copied.get(start + from..end) == Some(got),
        "connection {} got other bytes than client {number} sent at {start}..{end}",
        read.accepted
    );
    let joins = world.plan.setting.joining == Joining::Always;
    let stands_alone = start == 0 || client.stands_alone();
    assert!(
        joins || stands_alone || !Demand::Joining.is_held(),
        "client {number}: a connection begins at {start} of what makes no sense without its beginning"
    );
    // What it begins with tells, where the session begins with it and it comes in one piece.
    let told = world.sees_flow(number)
        && !world.leaves_out()
        && world.plan.network.to_online.splitting == 0;
    assert!(
        !told || !world.plan.is_unreplayable(number),
        "client {number}: what is encrypted was copied"
    );
    if world.sees_flow(number) && !world.leaves_out() {
        if world.is_read(number) {
            messages::wait_for_their_cause(world, read.accepted, number, (start, end));
        } else if world.plan.is_causal() {
            has_its_cause(world, read.accepted, number, (start, end));
        }
    }
}

/// Turns in which a client has paused, from which on it seems to speak without having been asked.
const UNASKED_TURNS: usize = 5;

/// Whether a client has paused so often in the middle of its turns until now that it seems to speak unasked: one that waits for room
/// looks the same.
fn seems_unasked(flow: &Flow) -> bool {
    let turns = flow.turns();
    let pause = UNASKED_PAUSE.as_nanos() as u64;
    // The one that it is at counts as well.
    let ends = turns.iter().skip(1).copied().chain([flow.len()]);
    let paused = turns
        .iter()
        .zip(ends)
        .filter(|(start, end)| flow.pauses_in(&(**start..*end), pause));
    paused.count() >= UNASKED_TURNS
}

/// The target had sent as much as the client had seen when it sent its bytes before `end`.
fn has_its_cause(world: &World, accepted: usize, number: usize, (start, end): (usize, usize)) {
    let client = &world.clients[number];
    let (Some(flow), Some(life)) = (world.oracle.flow(client), world.lives[accepted]) else {
        return;
    };
    if world.oracle.lives[life].is_cut_off(world.now) {
        return;
    }
    let sent = world.oracle.lives[life].sent_before;
    let base = flow.seen(start).unwrap_or(0);
    let base = if start == 0 { 0 } else { base };
    let needed = flow.seen(end - 1).unwrap_or(0).saturating_sub(base);
    assert!(
        sent >= needed || seems_unasked(flow),
        "client {number}: the byte at {} had seen {needed} bytes, but the target had sent {sent}",
        end - 1
    );
}

/// The target may send no more than the online server has sent, and the slack, where their responses are alike.
pub(crate) fn on_window(world: &World, segment: &Segment) {
    let plan = &world.plan;
    let setting = &plan.setting;
    // A turn that goes on before its client has seen the last gets a slack of its own.
    let alike = plan.likeness == Likeness::Equal
        && setting.waits
        && !plan.is_pipelined()
        && plan.sees_everything();
    if !alike || plan.target_breaks_off() || plan.times_out() || plan.is_scarce() {
        return;
    }
    let Some(allowed) = world.oracle.allowed(segment) else {
        return;
    };
    let excess = world.engine.counters().reply_bytes_excess as u32;
    // A FIN takes a position of its own.
    let most = world.oracle.online_sent_max() + 1 + setting.reply_slack + excess;
    assert!(
        allowed <= most,
        "the target may send {allowed} bytes, the online server has sent {} at most, the slack is {}, {excess} in excess",
        world.oracle.online_sent_max(),
        setting.reply_slack
    );
}
