//! What must be true of messages that a protocol module reads, besides what is true of any turn: each leaves when its client had seen as many
//! answers, at once, and what is told of its answers is what both servers have said.

use std::collections::BTreeMap;

use session::limits::CONTINUE_WAIT;
use session::{Outcome, TurnEnded};

use crate::application::{Ending, Request};
use crate::flow::Flow;
use crate::http::{self, Method};
use crate::oracle::Life;
use crate::reasons::Reasons;
use crate::stack::MILLISECOND;
use crate::world::World;

/// Longest that a message may wait beyond what it has to, where nothing is wrong: nothing is guessed.
const WAIT_MAX: u64 = 2 * MILLISECOND;

/// What is known of a connection of the target that carries messages of a client, from `first` of its stream on.
struct Carried<'a> {
    world: &'a World,
    number: usize,
    first: usize,
    flow: &'a Flow,
    life: &'a Life,
}

impl<'a> Carried<'a> {
    fn new(world: &'a World, accepted: usize, number: usize, start: usize) -> Option<Self> {
        Some(Self {
            world,
            number,
            first: world.place_in_stream(number, start),
            flow: world.oracle.flow(&world.clients[number])?,
            life: &world.oracle.lives[world.lives[accepted]?],
        })
    }

    /// How many bytes the target has to say until it has answered what the client had seen answered when it sent the byte at `sent`, of what
    /// stands before `at` in its stream.
    fn needs(&self, at: usize, sent: usize) -> Option<u32> {
        let seen = self.flow.seen(sent)? as usize;
        let (mut online, mut needs) = (0, 0);
        for (range, request) in self.world.plan.connections[self.number].messages() {
            online += request.online.len;
            if online > seen || range.start >= at {
                break;
            }
            if range.start >= self.first && self.world.is_copied(self.number, range.start) {
                needs += request.target.len;
            }
        }
        u32::try_from(needs).ok()
    }

    /// How long each message waited beyond what it had to, with its place in the stream, as far as that is known.
    fn waits(&self) -> Vec<(usize, u64)> {
        let messages = self.world.plan.connections[self.number].messages();
        let own = messages.filter(|(range, _)| {
            range.start > self.first && self.world.is_copied(self.number, range.start)
        });
        let waits = own.filter_map(|(range, request)| {
            let copied = |at| self.world.copied_len(self.number, at);
            let place = u32::try_from(copied(range.start) - copied(self.first)).ok()?;
            let departed = self.life.departed_at(place)?;
            // What is not a body is known once it is whole.
            let captured = self.flow.captured_at(range.end - 1)?;
            let answered = self
                .life
                .heard_at(self.needs(range.start, range.end - 1)?)?;
            let acknowledged = self.life.acknowledged_at(place)?;
            let due = captured.max(answered).max(acknowledged);
            let patience = match request.method {
                Method::Body => CONTINUE_WAIT.as_nanos() as u64,
                _ => 0,
            };
            Some((range.start, departed.saturating_sub(due + patience)))
        });
        waits.collect()
    }
}

/// The target's application has read a client's bytes from `start` to `end`: it had answered as many messages as the client had seen
/// answered when it sent the last of them, however long those answers are.
pub(crate) fn wait_for_their_cause(
    world: &World,
    accepted: usize,
    number: usize,
    (start, end): (usize, usize),
) {
    let is_out_of_step = world.engine.counters().module_target_lost > 0
        || world.ended.iter().any(|it| it.outcome == Outcome::TimedOut);
    if !world.plan.setting.waits || is_out_of_step {
        return;
    }
    let Some(carried) = Carried::new(world, accepted, number, start) else {
        return;
    };
    let last = world.place_in_stream(number, end - 1);
    let mut messages = world.plan.connections[number].messages();
    let Some((latest, request)) = messages.find(|(range, _)| range.contains(&last)) else {
        return;
    };
    // What a client has waited with follows in the end, whatever the target says.
    if request.method == Method::Body {
        return;
    }
    let needs = carried.needs(latest.start, latest.start).unwrap_or(0);
    let sent = carried.life.sent_before;
    assert!(
        sent >= needs,
        "client {number}: the message at {} waits for {needs} bytes, and the target had sent {sent}",
        latest.start
    );
}

/// Where nothing is wrong, no message of a connection waited for anything else; `tolerance` is what records take.
pub(crate) fn leave_at_once(
    world: &World,
    accepted: usize,
    (number, start): (usize, usize),
    tolerance: u64,
) {
    if world.plan.ring.observe_delay.is_some() {
        // What the client had seen is known only later.
        return;
    }
    let Some(carried) = Carried::new(world, accepted, number, start) else {
        return;
    };
    for (at, wait) in carried.waits() {
        assert!(
            wait <= WAIT_MAX + tolerance,
            "client {number}: the message at {at} waited {} ms for nothing",
            wait / MILLISECOND
        );
    }
}

/// Whether what is told of each turn can be judged: all flows are read to their end, and nothing of either server is missed.
fn are_told(world: &World, reasons: &[Reasons]) -> bool {
    let counters = world.engine.counters();
    let plan = &world.plan;
    let reads = |number| world.is_read(number) && !reasons[number].torn;
    plan.setting.module.is_some()
        && plan.setting.waits
        && (0..world.clients.len()).all(reads)
        && reasons.iter().all(|it| !it.unseen && !it.broken_off)
        && counters.module_online_lost == 0
        && counters.module_target_lost == 0
        && !world.leaves_out()
        && !plan.is_scarce()
}

/// What is told of turns is what was said: each turn that ended as answered is a message, whole, with the whole answers of both servers; and
/// exactly what a filter has left out is told as that.
pub(crate) fn are_told_as_they_were(world: &World, reasons: &[Reasons]) {
    // Every target speaks as it should: what is lost or corrupt on its way comes again.
    assert_eq!(
        world.engine.counters().module_target_lost,
        0,
        "a target could not be read"
    );
    if !are_told(world, reasons) {
        return;
    }
    let copies = usize::from(world.plan.setting.copies);
    let filtered = |it: &&TurnEnded| it.outcome == Outcome::Filtered;
    let left_out: usize = (0..world.clients.len()).map(|it| world.left_out(it)).sum();
    assert_eq!(
        world.ended.iter().filter(filtered).count(),
        copies * left_out,
        "messages that were filtered out"
    );
    let mut said: BTreeMap<(u64, u64, u64), usize> = BTreeMap::new();
    for number in 0..world.clients.len() {
        let messages = world.plan.connections[number].messages();
        let copied = messages.filter(|(range, _)| world.is_copied(number, range.start));
        for (_, request) in copied {
            *said.entry(words(request)).or_default() += copies;
        }
    }
    // An interim response that comes too late counts with the answer to the body.
    for number in 0..world.clients.len() {
        let bodies = world.plan.connections[number].requests();
        for request in bodies.filter(|it| it.method == Method::Body) {
            let (len, online, target) = words(request);
            let late = target + http::interim_len() as u64;
            *said.entry((len, online, late)).or_default() += copies;
        }
    }
    let aborts = world
        .plan
        .connections
        .iter()
        .any(|it| it.ending == Ending::Abort);
    for ended in world
        .ended
        .iter()
        .filter(|it| it.paired && it.outcome == Outcome::Answered)
    {
        let of = |it: Option<session::Response>| it.map_or(0, |it| it.bytes);
        let told = (ended.bytes, of(ended.online), of(ended.target));
        // Of a client that has reset its connection nobody waits for the rest of the online server's answer.
        let is_it = |known: &(u64, u64, u64)| {
            *known == told || aborts && (known.0, known.2) == (told.0, told.2) && told.1 < known.1
        };
        let known = said.iter_mut().find(|(it, times)| **times > 0 && is_it(it));
        let Some((_, times)) = known else {
            panic!("nobody has said this: {ended:?}");
        };
        *times -= 1;
    }
}

/// Lengths of a request and of both answers to it.
fn words(request: &Request) -> (u64, u64, u64) {
    let len = |len: usize| len as u64;
    (
        len(request.len),
        len(request.online.len),
        len(request.target.len),
    )
}
