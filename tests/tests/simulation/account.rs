//! Whether every byte of the clients that an engine was given is accounted for, and whether flows that were silent are taken up
//! again.

use session::limits::{INTERIM_BYTES, JOINS_REFUSED_MAX};
use session::{Counters, Outcome, TurnEnded};

use crate::application::{Application, HEADER_LEN, MARK_LEN};
use crate::demands::Demand;
use crate::flow::Flow;
use crate::plan::{Joining, Plan};
use crate::verdict::carried;
use crate::world::World;

/// Client bytes that an engine was given and that are in no turn, as it counts them.
fn left_out(counters: &Counters) -> u64 {
    let left_out =
        |(name, _): &(&str, u64)| name.starts_with("left_out_") && name.ends_with("_bytes");
    counters
        .iter()
        .filter(left_out)
        .map(|(_, bytes)| bytes)
        .sum()
}

/// Bytes recorded are bytes of turns that ended, and bytes that were left out, once for each copy.
pub(crate) fn every_byte(world: &World) {
    let plan = &world.plan;
    if !Demand::EveryByte.is_held() {
        return;
    }
    if plan.reuses_ports && plan.ring.observe_delay.is_some() {
        // The first bytes of a connection may come before the answer to its SYN, while the port still belongs to the one before:
        // they are taken for bytes of that which come again.
        return;
    }
    let filtered: u64 = (0..world.clients.len())
        .filter_map(|number| {
            let flow = world.oracle.flow(&world.clients[number])?;
            if plan.is_filtered() && !world.sees_flow(number) {
                // Nor is what cannot be judged because its beginning is not known.
                return Some(flow.recorded());
            }
            Some(world.bytes_left_out(number, flow))
        })
        .sum();
    let recorded = (world.oracle.recorded() - filtered) * u64::from(plan.setting.copies);
    let ended: u64 = world.ended.iter().map(|ended| ended.bytes).sum::<u64>() + world.missed_bytes;
    let left_out = left_out(&world.engine.counters());
    assert!(
        ended + left_out >= recorded,
        "{recorded} bytes recorded, only {ended} in turns and {left_out} left out"
    );
    let path = &plan.network.to_online;
    // What comes from nobody may be left out as well. A stream that has more holes than are remembered is counted roughly.
    let is_exact = path.splitting == 0
        && !plan.is_filtered()
        && plan.oddities.forged_clients == 0
        && !plan.oddities.syn_data
        && plan.client_options.keep_alive_ms.is_none();
    // What comes again when its flow is over, and forgotten, is taken for one that was open before, encrypted or not; where its
    // port is another's by then, nobody knows whose it is.
    let comes_once = !path.is_faulty() && !plan.network.to_client.is_faulty();
    let again = if comes_once {
        0
    } else {
        let counters = world.engine.counters();
        let of_others = if plan.reuses_ports {
            counters.left_out_unordered_bytes
        } else {
            0
        };
        counters.left_out_open_before_bytes + counters.left_out_unreplayable_bytes + of_others
    };
    assert!(
        !is_exact || (recorded..=recorded + again).contains(&(ended + left_out)),
        "{recorded} bytes recorded, but {ended} in turns and {left_out} left out, {again} of them perhaps again"
    );
}

/// Whether all that a client sends comes to the engine, and nothing but silence keeps it from being copied.
fn only_silence(plan: &Plan) -> bool {
    let without = Plan {
        setting: crate::plan::Setting {
            idle_timeout: None,
            ..plan.setting.clone()
        },
        ..plan.clone()
    };
    without.sees_everything()
        && !plan.target_breaks_off()
        && !plan.is_scarce()
        && !plan.is_interrupted()
        && !plan.loses_every_syn()
        && plan.setting.joining != Joining::Never
}

/// Whether a turn of so many bytes may have been forgotten before it could be sent: its client's own port was in use by the connection
/// before, or the target's answers were lost, for longer than a silent flow is remembered.
fn is_forgotten_first(world: &World, number: usize, bytes: usize) -> bool {
    let (waits, loses) = (
        world.reasons(number).waits_for_source,
        world.plan.replies_may_be_lost(),
    );
    let is_it = |ended: &TurnEnded| {
        let why = match ended.outcome {
            Outcome::Collision => waits,
            Outcome::TimedOut => loses && ended.bytes_acknowledged == 0,
            _ => false,
        };
        why && ended.bytes == bytes as u64
    };
    world.ended.iter().any(is_it)
}

/// A flow that was silent for longer than the idle timeout goes on with its next turn: every byte was copied.
pub(crate) fn taken_up_again(world: &World) {
    let plan = &world.plan;
    let Some(timeout) = plan.setting.idle_timeout else {
        return;
    };
    if !Demand::TakenUpAgain.is_held() || world.stuck || !only_silence(plan) {
        return;
    }
    let carried = carried(world);
    for (number, client) in world.clients.iter().enumerate() {
        let connection = &plan.connections[number];
        // What follows a greeting has state, whatever it looks like.
        let alone = client.stands_alone() && plan.greeting.0 == 0;
        let always = plan.setting.joining == Joining::Always;
        // Where the target has ended several that made no sense to it, no flow is joined any more.
        let stops = always && world.target.nonsense >= u64::from(JOINS_REFUSED_MAX);
        let joins = (alone || always) && !stops;
        if connection.application != Application::Requests || !joins || plan.is_torn(number) {
            continue;
        }
        let Some(flow) = world.oracle.flow(client).filter(|flow| flow.is_served()) else {
            continue;
        };
        let turns = flow.turns();
        let ends = turns.iter().skip(1).copied().chain([flow.len()]);
        // Whether what was seen before is known to its end.
        let (mut before, mut is_read) = (None, true);
        for (&turn, end) in turns.iter().zip(ends) {
            let answered = flow.answered_between(before.replace(turn), turn);
            // The response before may have been an interim one, behind which a body may follow that looks like a request.
            let interim = answered.is_some_and(|bytes| INTERIM_BYTES.contains(&bytes));
            let told = flow.begins_in_order(turn, MARK_LEN);
            if !told || !always && (!is_read || interim) {
                // It is not copied, but is read.
                is_read = (told || is_read) && flow.is_in_order(&(turn..end));
                continue;
            }
            // One that was forgotten in the middle of a request is known no further.
            is_read = !flow.pauses_in(&(turn..end), timeout);
            // What the target got of it until then may be too short to tell whose it is.
            if !world.is_copied(number, turn) {
                continue;
            }
            let is_anonymous = !is_read && !flow.begins_in_order(turn, HEADER_LEN);
            if is_anonymous || is_forgotten_first(world, number, end - turn) {
                continue;
            }
            let place = world.copied_len(number, turn);
            let holds = |(of, start, end, _): &&(usize, usize, usize, usize)| {
                *of == number && (*start..*end).contains(&place)
            };
            let times = carried.iter().filter(holds).count();
            let wanted = usize::from(plan.setting.copies);
            assert!(
                times >= wanted,
                "client {number}: the turn at {turn} of {} was copied {times} times, not {wanted}",
                Flow::len(flow)
            );
        }
    }
}
