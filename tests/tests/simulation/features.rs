//! Names of all that may be in a plan, and whether it is, to see that nothing never happens.

use session::limits::REPLY_SLACK;

use crate::plan::{Happening, Joining, Network, PAYLOAD_PLENTY, PLENTY, Plan};
use crate::shape::Likeness;

impl Plan {
    /// Names of all that may be in a plan, and whether it is, to see that nothing never happens.
    pub(crate) fn features(&self) -> Vec<(bool, &'static str)> {
        let mut features = self.circumstances();
        features.extend(self.settings());
        features
    }

    /// What happens to the engine.
    fn circumstances(&self) -> Vec<(bool, &'static str)> {
        let Network {
            report,
            narrow,
            offload,
            ..
        } = &self.network;
        let [client, online, target, engine] = self.oddities.wraps;
        let unordered = self.ring.observe_delay.is_some();
        let narrow = |told| narrow.is_some_and(|(_, tells)| tells == told);
        [
            (self.greeting.0 > 0, "the server speaks first"),
            (self.reuses_ports, "client ports are reused"),
            (self.network.is_v6, "IPv6"),
            (report.is_some(), "assistant mode"),
            (narrow(true), "a narrow path, said"),
            (narrow(false), "a narrow path, unsaid"),
            (offload.is_some(), "offload"),
            (self.ring.capture_lost > 0, "capture records are lost"),
            (self.ring.observe_lost > 0, "observe records are lost"),
            (self.ring.reply_lost > 0, "reply records are lost"),
            (unordered, "no total order"),
            (self.oddities.syn_data, "SYN with data"),
            (client, "client numbers wrap"),
            (online, "online numbers wrap"),
            (target, "target numbers wrap"),
            (engine, "session numbers wrap"),
            (self.faults.slow.is_some(), "the target reads slowly"),
            (
                self.faults.closes_after.is_some(),
                "the target closes early",
            ),
            (
                self.faults.resets_after.is_some(),
                "the target resets early",
            ),
            (
                self.happens(|it| it == Happening::Crash),
                "the target crashes",
            ),
            (
                self.happens(|it| it == Happening::Refuse(true)),
                "the target refuses",
            ),
            (
                self.happens(|it| it == Happening::Deaf(true)),
                "the target does not accept",
            ),
            (
                self.happens(|it| it == Happening::Channel(false)),
                "the channel goes down",
            ),
            (
                self.happens(|it| it == Happening::Route(None)),
                "the route goes away",
            ),
            (
                self.happens(|it| matches!(it, Happening::Route(Some(_)))),
                "the route changes",
            ),
            (
                self.happens(|it| it == Happening::Admit(false)),
                "new flows are not admitted",
            ),
            (self.capture_from > 0, "capture begins late"),
            (self.cut.is_some(), "the run is cut short"),
            (self.calm.is_some(), "a calm phase"),
        ]
        .into()
    }

    /// How the engine is set.
    fn settings(&self) -> Vec<(bool, &'static str)> {
        let setting = &self.setting;
        [
            (setting.keep_addresses, "clients' own addresses"),
            (setting.module.is_some(), "a protocol module"),
            (self.is_filtered(), "a filter"),
            (setting.copies > 1, "several copies"),
            (self.is_scarce(), "few ports"),
            (!setting.waits, "no waiting"),
            (setting.prove_path, "the path is proven"),
            (
                setting.prove_path && setting.two_networks,
                "two paths are proven",
            ),
            (setting.astray_until > 0, "a network's replies go astray"),
            (setting.sessions_max < u32::from(PLENTY), "few sessions"),
            (setting.sessions_per_second_max.is_some(), "a session rate"),
            (setting.payload_bytes_max < PAYLOAD_PLENTY, "little payload"),
            (setting.workers > 1, "several workers"),
            (setting.joining == Joining::Never, "no flow is joined"),
            (setting.joining == Joining::Always, "every flow is joined"),
            (
                matches!(self.likeness, Likeness::Shorter(_)),
                "shorter responses",
            ),
            (
                matches!(self.likeness, Likeness::Longer(_)),
                "longer responses",
            ),
            (
                matches!(self.likeness, Likeness::Scaled(..)),
                "responses of another scale",
            ),
            (self.likeness == Likeness::Random, "responses of any length"),
            (setting.idle_timeout.is_some(), "an idle timeout"),
            (setting.reply_slack < REPLY_SLACK, "little slack"),
            (setting.confirmed, "confirmed bytes only"),
            (setting.sample_len > 0, "samples of responses"),
        ]
        .into()
    }
}
