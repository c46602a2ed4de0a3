//! What must be true, whatever the seed.

use std::collections::BTreeMap;

use session::Outcome;

use crate::oracle::Flow;
use crate::plan::HEADER_LEN;
use crate::server::Read;
use crate::world::World;

/// Frames per input that an engine may send, and how many on top: SYNs, acknowledgements, retransmissions.
const FRAMES_PER_INPUT: u64 = 3;
const FRAMES_BASE: u64 = 200;

/// Whose bytes a connection to the target carries: the client's number, and where in its stream they begin.
fn origin(world: &World, accepted: usize) -> Option<(usize, usize)> {
    if world.origins[accepted].is_some() {
        return world.origins[accepted];
    }
    let connection = &world.target.accepted[accepted];
    let first = &connection.read[..connection.read.len().min(64)];
    if first.len() < HEADER_LEN {
        return None;
    }
    let mine = |port| !world.plan.keep_addresses || port == connection.port;
    let clients = world.clients.iter().enumerate();
    let mut candidates = clients.filter(|(_, client)| mine(client.port));
    candidates.find_map(|(number, client)| {
        let stream = &client.stream;
        let at = if stream.starts_with(first) {
            Some(0)
        } else {
            stream
                .windows(first.len())
                .position(|window| window == first)
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
    let known = world.origins[read.accepted].is_some();
    world.origins[read.accepted] = origin(world, read.accepted);
    let Some((number, start)) = world.origins[read.accepted] else {
        panic!("connection {} got bytes that no client sent", read.accepted);
    };
    let client = &world.clients[number];
    let (end, from) = (start + len, if known { len - read.bytes } else { 0 });
    let got = &world.target.accepted[read.accepted].read[from..];
    assert!(
        client.stream.get(start + from..end) == Some(got),
        "connection {} got other bytes than client {number} sent at {start}..{end}",
        read.accepted
    );
    if !world.plan.equal || !world.plan.responses_are_unbroken() || !world.plan.sees_everything() {
        return;
    }
    let (Some(flow), Some(life)) = (world.oracle.flow(client), world.lives[read.accepted]) else {
        return;
    };
    let sent = world.oracle.lives[life].sent_before;
    let base = flow.seen(start).unwrap_or(0);
    let base = if start == 0 { 0 } else { base };
    let needed = flow.seen(end - 1).unwrap_or(0).saturating_sub(base);
    assert!(
        sent >= needed,
        "client {number}: the byte at {} had seen {needed} bytes, but the target had sent {sent}",
        end - 1
    );
}

/// After the drain, before the engine is told to end everything.
pub(crate) fn before_the_end(world: &World, waiting: u64) {
    if world.plan.copies == 1 {
        no_byte_twice(world);
    }
    let copies = u64::from(world.plan.copies);
    let limit = (FRAMES_BASE + FRAMES_PER_INPUT * world.inputs) * copies;
    assert!(
        world.frames <= limit,
        "a storm: {} frames for {} inputs",
        world.frames,
        world.inputs
    );
    if world.stuck || !world.plan.sees_everything() || world.plan.target_breaks_off() {
        return;
    }
    // A turn that the target never answers is waited for as long as its client may go on.
    let unanswered = world.plan.mute > 0 && !world.every_end_is_seen();
    assert!(
        waiting == 0 || unanswered,
        "{waiting} turns wait for the target after the drain"
    );
    if !world.plan.is_scarce() {
        assert_eq!(
            world.target.nonsense, 0,
            "the target got requests that make no sense"
        );
        complete(world);
    }
    if world.every_end_is_seen() {
        assert_eq!(
            world.engine.sessions(),
            0,
            "sessions are left although every client has ended"
        );
    }
}

/// What each connection of the target carried, in the order that the engine opened them: whose bytes, from where to
/// where, and how many of them the engine knows to have arrived.
fn carried(world: &World) -> Vec<(usize, usize, usize, usize)> {
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

/// Everything was seen, so everything was copied.
fn complete(world: &World) {
    let mut got: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (number, start, end, _) in carried(world) {
        assert_eq!(start, 0, "client {number}: a session begins late");
        got.entry(number).or_default().push(end);
    }
    for (number, client) in world.clients.iter().enumerate() {
        if world.plan.is_torn(number) {
            continue;
        }
        // A client that resets its connection may never have sent all of its stream.
        let sent = world.oracle.flow(client).map_or(0, Flow::len);
        if sent > 0 {
            let all = vec![sent; usize::from(world.plan.copies)];
            let got = got.remove(&number).unwrap_or_default();
            assert_eq!(got, all, "client {number}: what the target got");
        }
    }
}

/// No byte is sent again after the target acknowledged it. (A flow with a hole goes on as a new session while the old one
/// still waits for its target, so sessions of one client may overlap in time.)
fn no_byte_twice(world: &World) {
    let mut known: Vec<(usize, usize, usize)> = vec![];
    for (number, start, end, acknowledged) in carried(world) {
        for &(other, from, to) in &known {
            assert!(
                number != other || end <= from || start >= to,
                "client {number}: {start}..{end} is sent although {from}..{to} had been acknowledged"
            );
        }
        known.push((number, start, start + acknowledged));
    }
}

/// After the end: nothing is left, and the ledger adds up.
pub(crate) fn after_the_end(world: &World) {
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
    if world.stuck || !world.plan.sees_everything() {
        return;
    }
    let (mut turns, mut bytes, mut unserved) = (0, 0, 0);
    for client in &world.clients {
        if let Some(flow) = world.oracle.flow(client) {
            turns += flow.turns().len();
            bytes += flow.len() as u64;
            unserved += u64::from(!flow.is_served());
        }
    }
    let copies = u64::from(world.plan.copies);
    (turns, bytes, unserved) = (turns * copies as usize, bytes * copies, unserved * copies);
    let outcomes: Vec<_> = world.ended.iter().map(|ended| ended.outcome).collect();
    // A target that closes in the middle of a pipelined batch cuts it in two.
    let cut = world.plan.target_breaks_off() && world.plan.is_pipelined();
    let torn = (0..world.clients.len()).any(|number| world.plan.is_torn(number));
    assert!(
        torn || world.ended.len() == turns || cut && world.ended.len() > turns,
        "{turns} turns captured, {} ended: {outcomes:?}",
        world.ended.len()
    );
    let ended: u64 = world.ended.iter().map(|ended| ended.bytes).sum();
    let skipped = if world.plan.target_breaks_off() {
        world.engine.counters().bytes_skipped
    } else {
        0
    };
    assert!(
        torn || (ended..=ended + skipped).contains(&bytes),
        "{bytes} bytes captured, {ended} in turns that ended, {skipped} skipped"
    );
    if !world.plan.target_breaks_off() {
        for ended in &world.ended {
            if ended.outcome == Outcome::Unserved && unserved > 0 {
                // The client's reset overtook the online server's acknowledgement.
                unserved -= 1;
                continue;
            }
            let good = match ended.outcome {
                Outcome::Answered | Outcome::Delivered => true,
                Outcome::Aborted | Outcome::Unserved => torn,
                Outcome::Collision | Outcome::Reset => world.plan.is_scarce(),
                Outcome::Pending => world.plan.mute > 0 && !world.every_end_is_seen(),
                Outcome::TimedOut => world.plan.times_out(),
                Outcome::TargetClosed => world.plan.times_out(),
                _ => false,
            };
            assert!(good, "{ended:?}");
            let all = ended.bytes == ended.bytes_acknowledged;
            assert!(all || ended.outcome == Outcome::Collision, "{ended:?}");
        }
    }
}
