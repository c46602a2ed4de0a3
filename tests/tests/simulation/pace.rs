//! Whether turns departed when they could: as soon as they were captured and the target had answered what came before, whatever
//! the length of its answers, and whatever the online server's was.

use crate::application::{Application, Connection};
use crate::demands::Demand;
use crate::flow::Flow;
use crate::link::Impairment;
use crate::oracle::Life;
use crate::plan::Plan;
use crate::setting::RESPONSE_TIMEOUT_PIPELINED;
use crate::stack::{MILLISECOND, SECOND};
use crate::watch::origin;
use crate::world::World;

/// Longest that a turn may wait beyond what it has to, where nothing is wrong: what a quiet time that is learned comes to.
const WAIT_USUAL: u64 = 20 * MILLISECOND;
/// So many turns of a rule, and of each connection, may wait longer, until it has been learned how responses end, and one in so many
/// later on.
const LEARNING: usize = 12;
const LEARNING_EACH: usize = 4;
const ONE_IN: usize = 50;
/// No turn may wait for longer than this.
const WAIT_MAX: u64 = SECOND;
/// The same where either side speaks unasked: longest pause of a plan's servers, and what it takes to find that out.
const DUPLEX_WAIT_MAX: u64 = 3 * SECOND;
/// The response timeout of such plans.
const TIMEOUT: u64 = RESPONSE_TIMEOUT_PIPELINED.as_nanos() as u64;
/// Where a client says something in the middle of an answer, and the target's answers have other lengths, nothing tells whether what
/// the target has said before it was the answer to it as well: so many turns of a connection may wait for the response timeout.
const UNKNOWABLE: usize = 3;

/// Whether nothing keeps the engine from sending what it has at once, so that waits can be judged.
fn is_calm(plan: &Plan) -> bool {
    let network = &plan.network;
    let paths = [&network.to_target, &network.to_engine];
    let ring = &plan.ring;
    paths.iter().all(|path| !path.is_faulty())
        && network.report.is_none_or(|report| !report.is_faulty())
        && network.narrow.is_none()
        && ring.capture_lost + ring.observe_lost + ring.reply_lost == 0
        && plan.happenings.is_empty()
        && plan.faults.slow.is_none()
        && !plan.target_breaks_off()
        && !plan.is_scarce()
        && !plan.sheds()
        && plan.setting.waits
        && !plan.setting.prove_path
        && !plan.setting.confirmed
        && plan.setting.reply_slack == session::limits::REPLY_SLACK
}

/// What records take, and may be late by, and two round trips: a target that is silent for less may have been held up.
fn tolerance(plan: &Plan) -> u64 {
    let network = &plan.network;
    let paths = [
        Some(network.to_target),
        Some(network.to_engine),
        network.report,
    ];
    let takes = |path: Impairment| path.delay + path.jitter;
    let round_trip: u64 = paths.into_iter().flatten().map(takes).sum();
    plan.ring.delay + plan.ring.observe_delay.unwrap_or(0) + 2 * round_trip
}

/// Where the turns of a client's stream begin on a connection, behind its first one.
fn later_turns(flow: &Flow, start: usize) -> impl Iterator<Item = usize> {
    flow.turns().into_iter().filter(move |turn| *turn > start)
}

/// How many bytes the target has to say before it has answered all that its connection carries up to `end`.
fn owed(plan: &Plan, connection: &Connection, start: usize, end: usize) -> usize {
    let mut at = connection.prefix_len();
    let mut owed = plan.greeting.1;
    for request in connection.requests() {
        let from = at;
        at += request.len;
        if from >= start && at <= end {
            owed += request.target.len;
        }
    }
    owed
}

/// How long the turn at `turn` waited beyond what it had to, if that is known.
fn wait(world: &World, number: usize, life: &Life, (start, turn): (usize, usize)) -> Option<u64> {
    let connection = &world.plan.connections[number];
    let flow = world.oracle.flow(&world.clients[number])?;
    let before = u32::try_from(turn - start).ok()?;
    let departed = life.departed_at(before)?;
    let captured = flow.captured_at(turn)?;
    if connection.application == Application::Duplex {
        return Some(departed.saturating_sub(captured + connection.target_takes()));
    }
    let owed = owed(&world.plan, connection, start, turn);
    let answered = life.heard_at(u32::try_from(owed).ok()?)?;
    let acknowledged = life.acknowledged_at(before)?;
    let due = captured.max(answered).max(acknowledged);
    Some(departed.saturating_sub(due + tolerance(&world.plan)))
}

/// Whether its client says something in the middle of answers that have other lengths at the target.
fn speaks_between(connection: &Connection) -> bool {
    let mut requests = connection.requests();
    connection.application == Application::Streams
        && requests.any(|request| request.online.len != request.target.len)
}

/// No turn waited for long, and few did for what can be noticed.
pub(crate) fn is_kept(world: &World) {
    let plan = &world.plan;
    if !is_calm(plan) {
        return;
    }
    let (mut turns, mut late) = (0, vec![]);
    for accepted in 0..world.target.accepted.len() {
        let (Some((number, start)), Some(life)) = (origin(world, accepted), world.lives[accepted])
        else {
            continue;
        };
        let connection = &plan.connections[number];
        if plan.is_unreplayable(number) || connection.is_mute() {
            continue;
        }
        let Some(flow) = world.oracle.flow(&world.clients[number]) else {
            continue;
        };
        let is_duplex = matches!(
            connection.application,
            Application::Duplex | Application::Streams
        );
        let (demand, most) = if is_duplex {
            (Demand::DuplexInStep, DUPLEX_WAIT_MAX)
        } else {
            (Demand::InStep, WAIT_MAX)
        };
        if !demand.is_held() {
            continue;
        }
        let life = &world.oracle.lives[life];
        let mut unknowable = if speaks_between(connection) {
            UNKNOWABLE
        } else {
            0
        };
        for turn in later_turns(flow, start) {
            let Some(wait) = wait(world, number, life, (start, turn)) else {
                continue;
            };
            if wait > most && wait <= TIMEOUT && unknowable > 0 {
                unknowable -= 1;
                continue;
            }
            assert!(
                wait <= most,
                "client {number}: the turn at {turn} waited {} ms for nothing",
                wait / MILLISECOND
            );
            if !is_duplex {
                turns += 1;
                late.extend((wait > WAIT_USUAL).then_some((number, turn, wait / MILLISECOND)));
            }
        }
    }
    let learning = LEARNING + LEARNING_EACH * world.target.accepted.len();
    assert!(
        late.len() <= learning + turns / ONE_IN,
        "{} of {turns} turns waited for nothing: client, turn, ms {late:?}",
        late.len()
    );
}
