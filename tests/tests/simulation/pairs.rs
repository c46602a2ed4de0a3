//! Whether what is compared of a turn answers the same request on both servers.
//!
//! Each byte of a response says which request it answers, so that one byte tells it, whatever came before.

use session::TurnEnded;

use crate::application::{Connection, Request};
use crate::demands::Demand;
use crate::http;
use crate::plan::Plan;
use crate::server::{Tag, UNASKED};
use crate::world::World;

/// Requests that are told from each other; beyond them a tag may be that of any of several requests, and is believed.
const TOLD_APART: usize = 255;

impl Plan {
    /// What each byte of the answer to a request says.
    pub(crate) fn tag(&self, connection: usize, request: usize) -> Tag {
        let before = self.connections.iter().take(connection);
        let number = request + before.map(|it| it.requests().count()).sum::<usize>();
        UNASKED + 1 + (number % TOLD_APART) as Tag
    }

    /// The requests that a tag may be of, each with its connection.
    fn tagged(&self, tag: Tag) -> impl Iterator<Item = (usize, usize)> {
        let requests = (0..self.connections.len()).flat_map(|connection| {
            let requests = 0..self.connections[connection].requests().count();
            requests.map(move |request| (connection, request))
        });
        let told = requests.enumerate().filter(move |(number, _)| {
            usize::from(tag).checked_sub(usize::from(UNASKED) + 1) == Some(number % TOLD_APART)
        });
        told.map(|(_, request)| request)
    }
}

/// The turns that are compared and of which samples were kept, each with the bytes that say which requests were answered.
fn sampled(world: &World) -> impl Iterator<Item = (&TurnEnded, Tag, Tag)> {
    world
        .ended
        .iter()
        .filter(|ended| ended.paired)
        .filter_map(|ended| {
            let samples = ended.samples.as_deref()?;
            let [online, target] = [&samples.online, &samples.target].map(|it| tag_of(&it.bytes));
            Some((ended, online?, target?))
        })
}

/// Which request the beginning of a response says that it answers.
fn tag_of(response: &[u8]) -> Option<Tag> {
    if http::is_response(response) {
        return http::tag_of(response);
    }
    response.first().copied()
}

/// How many turns are compared of which samples were kept, and in how many of them the servers have answered different requests.
pub(crate) fn mispaired(world: &World) -> (u64, u64) {
    sampled(world).fold((0, 0), |(all, wrong), (_, online, target)| {
        let is_wrong = !may_answer_the_same(world, online, target);
        (all + 1, wrong + u64::from(is_wrong))
    })
}

/// Where samples of a turn in step were kept, both begin with an answer to the same request.
pub(crate) fn answer_the_same(world: &World) {
    // Where a module reads all flows, nothing is inferred.
    let is_told = (0..world.clients.len()).all(|it| world.is_read(it));
    let loses = world.engine.counters().module_target_lost > 0;
    if !Demand::Paired.is_held() && (!is_told || loses || !world.plan.setting.waits) {
        return;
    }
    for (ended, online, target) in sampled(world) {
        let asked = |tag: Tag| world.plan.tagged(tag).collect::<Vec<_>>();
        let told = |(connection, request): &(usize, usize)| {
            let application = world.plan.connections[*connection].application.name();
            format!("request {request} of connection {connection} ({application})")
        };
        let told = |tag: Tag| asked(tag).iter().map(told).collect::<Vec<_>>().join(" or ");
        assert!(
            may_answer_the_same(world, online, target),
            "the answer to {:?} is compared with that to {:?}: {ended:?}",
            told(online),
            told(target)
        );
    }
}

/// Whether two bytes may be of answers to one turn. Of a turn with several requests, one server may answer the first and the other
/// not; and where a server speaks unasked, nothing tells what it says from an answer.
fn may_answer_the_same(world: &World, online: Tag, target: Tag) -> bool {
    let pushes = |(connection, _): (usize, usize)| {
        let Connection { pushes, .. } = &world.plan.connections[connection];
        !pushes.0.is_empty() || !pushes.1.is_empty()
    };
    // Nobody has looked at the checksum of what is only kept as a sample.
    let may_be_flipped = world.plan.network.to_engine.corruption > 0;
    if online == target || may_be_flipped && (online ^ target).is_power_of_two() {
        return true;
    }
    if online == UNASKED || target == UNASKED {
        return world.plan.tagged(online.max(target)).any(pushes);
    }
    world.plan.tagged(online).any(|online| {
        let mut targets = world.plan.tagged(target);
        targets.any(|target| {
            are_of_one_turn(world, online, target) || looks_whole_too_soon(world, online, target)
        })
    })
}

/// Whether the target's answer to this request, or to one before, is longer than the online server's, and its first pieces are to the
/// byte as long as that: then nothing says that more will come, and what comes is compared with the answer to a later request.
fn looks_whole_too_soon(world: &World, online: (usize, usize), target: (usize, usize)) -> bool {
    let is_soon = |request: &Request| {
        let (wanted, answer) = (request.online.len, request.target);
        let piece = answer.len.div_ceil(answer.pieces).max(1);
        answer.len > wanted && wanted > 0 && wanted.is_multiple_of(piece)
    };
    let mut requests = world.plan.connections[target.0]
        .requests()
        .take(target.1 + 1);
    target.0 == online.0 && target.1 < online.1 && requests.any(is_soon)
}

/// Whether two requests are of one turn.
fn are_of_one_turn(world: &World, one: (usize, usize), other: (usize, usize)) -> bool {
    let number = one.0;
    let Some(flow) = world.oracle.flow(&world.clients[number]) else {
        return false;
    };
    let at = |request: usize| world.plan.connections[number].starts_at(request);
    let (first, last) = (at(one.1.min(other.1)), at(one.1.max(other.1)));
    let mut turns = flow.turns().into_iter();
    number == other.0 && !turns.any(|turn| turn > first && turn <= last)
}
