//! Changes while the engine runs ([`Tuning`]), and which flows are in the sample of a rule.

use wire::flow::{FlowKey, sample_place};
use wire::segment::Segment;

use super::Engine;
use crate::config::RuleId;
use crate::id::FlowId;
use crate::time::Instant;
use crate::tuning::{Sample, Tuning};

/// Which flows are copied at all, as the latest tuning says.
#[derive(Debug)]
pub(crate) struct Sampling {
    seed: u32,
    /// Whether some rule does not take every flow.
    is_partial: bool,
    /// See [`Tuning::threshold`].
    threshold: u32,
    /// Flows with sessions that lie beyond the threshold: they began before it was lowered.
    outside: u64,
}

impl Sampling {
    pub(crate) fn new(tuning: &Tuning) -> Self {
        Self {
            seed: tuning.sample_seed,
            is_partial: tuning.rules.iter().any(|it| it.sample != Sample::ALL),
            threshold: tuning.threshold(),
            outside: 0,
        }
    }

    fn is_outside(&self, flow: &FlowKey) -> bool {
        self.is_partial && sample_place(flow, self.seed) >= self.threshold
    }

    /// A flow has no session any more.
    pub(crate) fn leave(&mut self, flow: &FlowKey) {
        if self.outside > 0 && self.is_outside(flow) {
            self.outside -= 1;
        }
    }
}

impl Engine {
    /// From now on flows begin as `tuning` says. Sessions that have begun go on. It takes time with the number of flows, about a
    /// millisecond for 100,000.
    ///
    /// The start of a flow that lay beyond the sample until now was seen by nobody, as at the start of a run: for a second
    /// ([`crate::limits::START_GRACE`]) such flows count as open before, and not as missed.
    pub fn tune(&mut self, tuning: &Tuning) {
        for (rule, tuning) in self.known.rules.iter_mut().zip(&tuning.rules) {
            rule.habits.expect_copies(tuning.copies);
            rule.tuning = *tuning;
        }
        self.shared.config.sessions_per_second_max = tuning.sessions_per_second_max;
        self.sampling = Sampling::new(tuning);
        let outside = self.flows.keys().filter(|it| self.sampling.is_outside(it));
        self.sampling.outside = outside.count() as u64;
        self.first_packet_at = None;
    }

    /// Flows with sessions that the sample does not take any more: as long as there are some, their packets are needed.
    #[must_use]
    pub const fn flows_outside_sample(&self) -> u64 {
        self.sampling.outside
    }

    /// Sessions by a rule for each flow.
    pub(crate) fn copies_of(&self, rule: RuleId) -> u16 {
        self.known.rules[usize::from(rule.0)].tuning.copies
    }

    /// Whether a rule takes a flow that is known to be to its service.
    pub(crate) fn is_sampled(&self, flow: &FlowKey) -> impl Fn(&RuleId) -> bool + '_ {
        let is_partial = self.sampling.is_partial;
        let place = if is_partial {
            sample_place(flow, self.sampling.seed)
        } else {
            0
        };
        move |rule| {
            !is_partial || { self.known.rules[usize::from(rule.0)].tuning.sample }.contains(place)
        }
    }

    /// Opens the sessions of a flow that has none, if some rule's sample has it, and this segment is where they may begin.
    pub(crate) fn begin_if_sampled(
        &mut self,
        (now, stamp): (Instant, Instant),
        flow: FlowKey,
        segment: &Segment,
        packet: &[u8],
    ) -> Option<FlowId> {
        let payload = segment.payload(packet)?;
        if !payload.is_empty() && self.is_left_out_by_sample(&flow, segment.payload_len) {
            return None;
        }
        self.begin((now, stamp), flow, (segment, packet), payload)
    }

    /// A client's segment of a flow without a session: whether it is left out because no rule's sample has the flow, which is counted.
    pub(crate) fn is_left_out_by_sample(&mut self, flow: &FlowKey, payload_len: u16) -> bool {
        if !self.sampling.is_partial
            || self.rules_of(flow).next().is_some()
            || self.rules_for(flow).next().is_none()
        {
            return false;
        }
        self.shared.counters.left_out_sample_bytes += u64::from(payload_len);
        true
    }
}
