//! What happened to each single flow that may have kept it from being copied as it was: a rule of the verdict is excused for one
//! flow, and for one reason, never for all of them.

use session::limits::NURSERY_AGE;

use crate::application::{Ending, Request};
use crate::flow::Flow;
use crate::plan::{Happening, Plan};
use crate::setting::RESPONSE_TIMEOUT_PIPELINED;
use crate::stack::SECOND;
use crate::world::World;

/// Where the response timeout is short, a target that takes this long may come too late.
const PATIENCE: u64 = RESPONSE_TIMEOUT_PIPELINED.as_nanos() as u64 - SECOND;

/// What is known of one flow.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Reasons {
    /// Turns that its client began.
    pub(crate) turns: usize,
    /// Something of it was not recorded, or came in no order that tells what it is, or it was silent for so long that it may have
    /// been forgotten.
    pub(crate) unseen: bool,
    /// The target ended its connection where the online server went on, or was not there.
    pub(crate) broken_off: bool,
    /// A turn of it may have to wait for the response timeout.
    pub(crate) times_out: bool,
    /// Its client's reset may have overtaken what was sent before.
    pub(crate) torn: bool,
    /// The online server has not acknowledged all of it, or only long after its client had closed.
    pub(crate) unserved: bool,
    /// Its client goes on before it has the response.
    pub(crate) pipelined: bool,
    /// It is encrypted.
    pub(crate) unreplayable: bool,
    /// It has its client's own address and port, which the connection before may have for longer than a silent flow is remembered, or
    /// its own session from before something of it was lost.
    pub(crate) waits_for_source: bool,
}

impl Reasons {
    /// Whether all of it was there to be copied, and the target there to take it.
    pub(crate) fn is_intact(&self) -> bool {
        !self.unseen && !self.broken_off
    }
}

/// Whether the target is away for a while, for whoever comes.
fn target_is_away(plan: &Plan) -> bool {
    let away = |happening: &Happening| {
        matches!(
            happening,
            Happening::Refuse(_) | Happening::Deaf(_) | Happening::Crash
        )
    };
    plan.happenings.iter().any(|(_, it)| away(it))
}

impl World {
    /// Whether everything of a client's flow was recorded so far, and could be understood.
    pub(crate) fn sees_flow(&self, number: usize) -> bool {
        let plan = &self.plan;
        let Some(flow) = self.oracle.flow(&self.clients[number]) else {
            return true;
        };
        let silence = plan.setting.idle_timeout;
        // Where replies are lost, the target may be silent for as long, between two retransmissions.
        let forgotten = silence
            .is_some_and(|silence| flow.silence_max() >= silence || plan.replies_may_be_lost());
        // Where `observe` comes late, the first request may overtake the SYN-ACK. On a used port it looks like nothing that the
        // connection before could send; and what overtakes the first request itself is not known to be the client's.
        let late = plan.ring.observe_delay.is_some();
        let late = late && (plan.reuses_ports || plan.network.to_online.is_faulty());
        // One that got no session with its handshake is to get one with its first byte, for as long as that is remembered.
        let remembered = NURSERY_AGE.as_nanos() as u64;
        let outgrown = plan.sheds_sessions() && flow.silence_max() >= remembered;
        !flow.lost_record && !forgotten && !late && !outgrown
    }

    /// What happened to the flow of a client.
    pub(crate) fn reasons(&self, number: usize) -> Reasons {
        let plan = &self.plan;
        let connection = &plan.connections[number];
        let faults = &plan.faults;
        let requests = connection.requests().count();
        let ended = |after: Option<usize>| after.is_some_and(|after| requests >= after);
        let away = target_is_away(plan);
        // Where it decides for one flow, it is short for all of them.
        let slow = |request: &Request| request.target.delay >= PATIENCE;
        let slow = plan.replies_may_be_lost() || connection.requests().any(slow);
        let slow = plan.times_out() && slow;
        let reset = ended(faults.resets_after) || plan.happens(|it| it == Happening::Crash);
        let flow = self.oracle.flow(&self.clients[number]);
        Reasons {
            turns: self.turns(number).len(),
            unseen: !self.sees_flow(number),
            // One that resets connections resets those as well that it would have closed.
            broken_off: away
                || faults.resets_after.is_some() && connection.ending == Ending::Server
                || ended(faults.closes_after)
                || ended(faults.resets_after),
            // A reset comes once, and where it is lost and nothing is to be sent, nothing tells.
            times_out: slow
                || !plan.setting.waits
                || !self.is_read(number) && (connection.is_mute() || connection.is_pipelined())
                || reset,
            torn: plan.is_torn(number),
            unserved: flow.is_some_and(Flow::seems_unserved),
            pipelined: connection.is_pipelined(),
            unreplayable: plan.is_unreplayable(number),
            waits_for_source: plan.setting.keep_addresses
                && plan.setting.idle_timeout.is_some()
                && (plan.reuses_ports && number % 2 == 1
                    || flow.is_some_and(|flow| flow.lost_record)),
        }
    }

    /// The same of all clients.
    pub(crate) fn all_reasons(&self) -> Vec<Reasons> {
        (0..self.clients.len())
            .map(|number| self.reasons(number))
            .collect()
    }

    /// Whether the whole run is such that any flow may be left out or cut off.
    pub(crate) fn leaves_out(&self) -> bool {
        self.stuck || self.plan.cut.is_some() || self.plan.sheds()
    }
}
