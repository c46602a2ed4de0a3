//! Whether turns departed when they could: as soon as they were captured and the target had answered what came before, whatever
//! the length of its answers, and whatever the online server's was.

use session::limits::{self, PATIENCE_MAX, RESYNC_CHECKS};

use crate::application::{Application, Connection};
use crate::demands::Demand;
use crate::flow::Flow;
use crate::link::Impairment;
use crate::messages;
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
/// Nothing tells that a target does not answer what it need not answer, where the online server has said something behind it all the
/// same: the rest of an answer, or something unasked. Such turns of a connection are waited for by the response timeout until it is known
/// to be out of step: from so much on, each of them counting this, and one that was answered taking one away.
const UNKNOWABLE: usize = limits::TIMEOUT as usize;
const OUT_OF_STEP: usize = limits::TIMEOUTS_UNTIL_STREAMING as usize;
/// Behind such a turn, so many wait until the target is quiet, each for so long at most: what was never said may still come.
const AFTER_UNKNOWABLE: u64 = RESYNC_CHECKS as u64 * PATIENCE_MAX.as_nanos() as u64;
/// The engine's timers go off in steps of so many nanoseconds.
const TIMER_STEP: u64 = 1 << 19;
/// A target is silent for so many times as long as the online server has paused in that answer, or as it has itself before, until its
/// answer counts as complete.
const ONLINE_PAUSES: u64 = 4;
const PAUSES: u64 = 2;

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

/// A client's stream on a connection to the target.
struct Copy<'a> {
    plan: &'a Plan,
    number: usize,
    connection: &'a Connection,
    flow: &'a Flow,
    life: &'a Life,
    /// Where in the stream the connection begins.
    start: usize,
}

impl Copy<'_> {
    /// A place in the stream as one on the connection.
    fn place(&self, at: usize) -> Option<u32> {
        u32::try_from(at - self.start).ok()
    }

    /// The turns behind the first one: where the one before each begins, and where it does itself.
    fn later_turns(&self) -> Vec<(usize, usize)> {
        let mut turns = self.flow.turns();
        turns.retain(|turn| *turn > self.start);
        let before = [self.start].into_iter().chain(turns.iter().copied());
        before.zip(turns.iter().copied()).collect()
    }

    /// How many bytes the target has to say before it has answered all that its connection carries up to `end`.
    fn owed(&self, end: usize) -> Option<u32> {
        let mut at = self.connection.prefix_len();
        let mut owed = self.plan.greeting.1;
        for request in self.connection.requests() {
            let from = at;
            at += request.len;
            if from >= self.start && at <= end {
                owed += request.target.len;
            }
        }
        u32::try_from(owed).ok()
    }

    fn is_duplex(&self) -> bool {
        let application = self.connection.application;
        matches!(application, Application::Duplex | Application::Streams)
    }

    /// How long the turn at `turn` waited beyond what it had to, if that is known; `since` says when the first one left, and `excused`
    /// for how long those before it were waited for with reason.
    fn wait(&self, turn: usize, since: u64, excused: u64) -> Option<u64> {
        let before = self.place(turn)?;
        let departed = self.life.departed_at(before)?;
        let captured = self.flow.captured_at(turn)?;
        if self.connection.application == Application::Duplex {
            let due = captured.max(since) + self.connection.target_takes() + excused;
            return Some(departed.saturating_sub(due));
        }
        let answered = self.life.heard_at(self.owed(turn)?)?;
        let acknowledged = self.life.acknowledged_at(before)?;
        let due = captured.max(answered).max(acknowledged);
        Some(departed.saturating_sub(due + tolerance(self.plan)))
    }

    /// Whether nothing tells that the target does not answer the turn before this one: it carries the end of no request that is
    /// answered, what the two servers say on this connection has other lengths, or the target was not asked all that the online server
    /// was, and the target has said nothing since it had that turn.
    fn is_unknowable(&self, before: usize, turn: usize) -> bool {
        let mut at = self.connection.prefix_len();
        let mut requests = self.connection.requests();
        let asks = requests.any(|request| {
            at += request.len;
            request.target.len > 0 && before < at && at <= turn
        });
        let (online, target) = &self.connection.pushes;
        let mut requests = self.connection.requests();
        let differs = requests.any(|it| it.online.len != it.target.len) || online != target;
        let differs = differs || self.start > 0;
        let place = self.place(turn);
        let since = place.and_then(|place| self.life.acknowledged_at(place));
        let until = place.and_then(|place| self.life.departed_at(place));
        let times = since.zip(until).zip(self.place(before));
        let is_silent =
            times.is_some_and(|((since, until), before)| self.life.is_silent(since..until, before));
        !asks && differs && is_silent
    }

    /// How long the turn at `turn` waited in all: the response timeout counts from when the target has the one before.
    fn waited(&self, turn: usize) -> Option<u64> {
        let place = self.place(turn)?;
        let acknowledged = self.life.acknowledged_at(place);
        let since = acknowledged.max(self.flow.captured_at(turn))?;
        Some(self.life.departed_at(place)?.saturating_sub(since))
    }

    /// The longest pause of the target inside its answer to the turn at `before`.
    fn pause(&self, before: usize, turn: usize) -> u64 {
        let range = self.owed(before).zip(self.owed(turn));
        range.map_or(0, |(from, to)| self.life.pause(from..to))
    }
}

/// Whether each turn of a connection waited for no longer than it may. Returns how many there are, and those that waited for what can
/// be noticed.
fn are_in_time(copy: &Copy<'_>) -> (usize, Vec<(usize, usize, u64)>) {
    let most = if copy.is_duplex() {
        DUPLEX_WAIT_MAX
    } else {
        WAIT_MAX
    };
    let (mut turns, mut late) = (0, vec![]);
    let (mut unknowable, mut paused) = (0, 0);
    // It may have waited for its client's port: from then on the target takes its time.
    let since = copy.life.departed_at(0).unwrap_or(0);
    // Where turns follow each other whatever they are answered, what one has waited is behind all that come later.
    let mut excused = 0;
    let tolerance = tolerance(copy.plan);
    for (before, turn) in copy.later_turns() {
        let Some(wait) = copy.wait(turn, since, excused) else {
            continue;
        };
        let waited = copy.waited(turn).unwrap_or(u64::MAX);
        let has_timed_out = waited + tolerance >= TIMEOUT;
        if waited <= TIMEOUT + TIMER_STEP + tolerance
            && (wait > most || has_timed_out)
            && unknowable < OUT_OF_STEP
            && copy.is_unknowable(before, turn)
        {
            unknowable += UNKNOWABLE;
            excused += waited + AFTER_UNKNOWABLE;
            continue;
        }
        let number = copy.number;
        assert!(
            wait <= most,
            "client {number}: the turn at {turn} waited {} ms for nothing",
            wait / MILLISECOND
        );
        turns += 1;
        if unknowable < OUT_OF_STEP {
            unknowable = unknowable.saturating_sub(1);
        }
        paused = copy.pause(before, turn).max(paused);
        let online = ONLINE_PAUSES * copy.flow.online_pause(before, turn);
        if wait > WAIT_USUAL.max(PAUSES * paused + TIMER_STEP).max(online) {
            late.push((number, turn, wait / MILLISECOND));
        }
    }
    (turns, late)
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
        if world.is_read(number) {
            messages::leave_at_once(world, accepted, (number, start), tolerance(plan));
            continue;
        }
        if plan.is_unreplayable(number) || connection.is_mute() {
            continue;
        }
        let Some(flow) = world.oracle.flow(&world.clients[number]) else {
            continue;
        };
        let copy = Copy {
            plan,
            number,
            connection,
            flow,
            life: &world.oracle.lives[life],
            start,
        };
        let demand = if copy.is_duplex() {
            Demand::DuplexInStep
        } else {
            Demand::InStep
        };
        if !demand.is_held() {
            continue;
        }
        let (of_copy, late_of_copy) = are_in_time(&copy);
        if !copy.is_duplex() {
            turns += of_copy;
            late.extend(late_of_copy);
        }
    }
    let learning = LEARNING + LEARNING_EACH * world.target.accepted.len();
    assert!(
        late.len() <= learning + turns / ONE_IN,
        "{} of {turns} turns waited for nothing: client, turn, ms {late:?}",
        late.len()
    );
}
