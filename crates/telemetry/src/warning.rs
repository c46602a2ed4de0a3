//! What a user should hear of while a run goes on: said once, kept with its time, and ended when it is over.
//!
//! Standard error, the summary, the metrics, the live page and the report all show this one list.

use std::time::SystemTime;

use serde::{Serialize, Serializer};

use crate::figures::Figures;
use crate::moment::rfc3339;

/// Most warnings about rules, devices and targets that are listed, besides one of each kind about the run as a whole. Of more
/// the oldest that are over go, and are counted.
pub const WARNINGS_MAX: usize = 64;

macro_rules! kinds {
    ($($(#[doc = $doc:literal])+ $name:ident = $text:literal;)+) => {
        /// What a warning is about. The names are a contract: alerts stand on them.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Kind {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Kind {
            /// Every kind.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// The name that it has in summaries and metrics.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => $text,)+ }
            }
        }
    };
}

kinds! {
    /// No packet of any rule was seen since the run was ready.
    NothingSeen = "nothing_seen";
    /// Packets of clients were seen, and no request was captured.
    NothingCaptured = "nothing_captured";
    /// Clients' packets to a rule's service are seen, and no answer of it.
    NoAnswers = "no_answers";
    /// Answers of a rule's service are seen, and no packet of its clients.
    NoRequests = "no_requests";
    /// A device that clients come in by is gone.
    DeviceMissing = "device_missing";
    /// Most packets came in frames for another Ethernet address.
    OtherHost = "other_host";
    /// A service is listened to where no device of the run hears it.
    Unheard = "unheard";
    /// TLS or SSH.
    Unreplayable = "unreplayable";
    /// Connections that were open before the start and are not joined.
    OpenBefore = "open_before";
    /// Turns that belonged to no session although they should have.
    Missed = "missed";
    /// A rule has stopped joining connections that were open before.
    JoiningStopped = "joining_stopped";
    /// No port of the reply pool was free.
    Collision = "collision";
    /// A target has not let a session in that logs in by itself.
    LoginFailed = "login_failed";
    /// A protocol module could not read all of what clients and servers said.
    ModuleLost = "module_lost";
    /// The reply pool will be too small under load.
    PoolSmall = "pool_small";
    /// Ports of the reply pool are scarce.
    PoolScarce = "pool_scarce";
    /// This host has more services than the programs' table has room for.
    ServicesLeftOut = "services_left_out";
    /// Clients that are targets.
    FlowsFromTarget = "flows_from_target";
    /// Nothing comes back from a target to clients of one network.
    PathUnproven = "path_unproven";
    /// A target accepts connections and takes nothing that is sent on them.
    PathOneSided = "path_one_sided";
    /// The way to a target is not fit.
    WayUnfit = "way_unfit";
    /// Packets of clients that were lost on the way to a worker.
    RecordsLost = "records_lost";
    /// Packets that were sent or received are missing in the file of `--tap`.
    TapDropped = "tap_dropped";
    /// The file of `--tap` cannot be written any more.
    TapEnded = "tap_ended";
    /// Nothing is recorded for now.
    RecordingPaused = "recording_paused";
}

impl Serialize for Kind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// One warning.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Warning {
    /// What it is about.
    pub kind: Kind,
    /// The rule, as the start printed it, where it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// The device, target or network that it is about, where it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub about: Option<String>,
    /// What a user reads.
    pub text: String,
    /// Since when it holds.
    #[serde(serialize_with = "moment")]
    pub since: SystemTime,
    /// When it was over; `null` where it still holds, or nobody can know.
    #[serde(serialize_with = "maybe_moment")]
    pub over: Option<SystemTime>,
}

fn moment<S: Serializer>(at: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&rfc3339(*at))
}

#[expect(
    clippy::ref_option,
    reason = "the signature that serde asks of a serializer"
)]
fn maybe_moment<S: Serializer>(at: &Option<SystemTime>, serializer: S) -> Result<S::Ok, S::Error> {
    at.map(rfc3339).serialize(serializer)
}

impl Warning {
    /// A warning about the run as a whole.
    #[must_use]
    pub fn new(kind: Kind, text: impl Into<String>, since: SystemTime) -> Self {
        Self {
            kind,
            rule: None,
            about: None,
            text: text.into(),
            since,
            over: None,
        }
    }

    /// ... about a rule.
    #[must_use]
    pub fn of_rule(mut self, rule: &str) -> Self {
        self.rule = Some(rule.to_owned());
        self
    }

    /// ... about a device, a target or a network.
    #[must_use]
    pub fn about(mut self, about: impl Into<String>) -> Self {
        self.about = Some(about.into());
        self
    }

    /// Whether it still holds.
    #[must_use]
    pub const fn holds(&self) -> bool {
        self.over.is_none()
    }

    /// Whether it is about the run as a whole.
    const fn is_of_run(&self) -> bool {
        self.rule.is_none() && self.about.is_none()
    }

    /// What tells it from others: a kind is said of a rule or a device once at a time.
    fn is_like(&self, other: &Self) -> bool {
        self.kind == other.kind && self.rule == other.rule && self.about == other.about
    }
}

/// All warnings of a run, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Warnings {
    list: Vec<Warning>,
    unlisted: u64,
}

impl Warnings {
    /// Adds one. Returns how many of its like there were before, or `None` where one still holds, which has been said, or
    /// where the list is full of those that hold.
    pub fn raise(&mut self, warning: Warning) -> Option<usize> {
        let like = self.list.iter().filter(|known| known.is_like(&warning));
        let (mut before, mut holds) = (0, false);
        for known in like {
            before += 1;
            holds |= known.holds();
        }
        if holds {
            return None;
        }
        if !warning.is_of_run() && self.list.len() >= WARNINGS_MAX {
            self.unlisted += 1;
            let over = self
                .list
                .iter()
                .position(|known| !known.holds() && !known.is_of_run())?;
            self.list.remove(over);
        }
        self.list.push(warning);
        Some(before)
    }

    /// Those of a kind, about the same rule or device, are over. Returns the last of them that held.
    pub fn end(
        &mut self,
        kind: Kind,
        rule: Option<&str>,
        about: Option<&str>,
        at: SystemTime,
    ) -> Option<&Warning> {
        let mut ended = None;
        for warning in self.list.iter_mut().filter(|known| known.holds()) {
            let is_meant = warning.kind == kind
                && warning.rule.as_deref() == rule
                && warning.about.as_deref() == about;
            if is_meant {
                warning.over = Some(at);
                ended = Some(&*warning);
            }
        }
        ended
    }

    /// Every warning that is listed, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Warning> {
        self.list.iter()
    }

    /// How many hold of each kind.
    #[must_use]
    pub fn holding(&self) -> Figures {
        let of = |kind: Kind| {
            let like = self.list.iter();
            like.filter(|known| known.kind == kind && known.holds())
                .count() as u64
        };
        Kind::ALL
            .iter()
            .map(|&kind| (kind.name(), of(kind)))
            .collect()
    }

    /// Whether any of a kind holds.
    #[must_use]
    pub fn holds(&self, kind: Kind) -> bool {
        self.list
            .iter()
            .any(|known| known.kind == kind && known.holds())
    }

    /// How many there was no room for.
    #[must_use]
    pub const fn unlisted(&self) -> u64 {
        self.unlisted
    }

    /// The list, to be kept.
    #[must_use]
    pub fn list(&self) -> Vec<Warning> {
        self.list.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::{Kind, WARNINGS_MAX, Warning, Warnings};

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn what_holds_is_said_once_and_again_after_it_was_over() {
        let mut all = Warnings::default();
        let of =
            |rule: &str, second| Warning::new(Kind::NoAnswers, "words", at(second)).of_rule(rule);
        assert_eq!(all.raise(of("a", 1)), Some(0));
        assert_eq!(all.raise(of("a", 2)), None);
        assert_eq!(all.raise(of("b", 2)), Some(0), "another rule");
        assert!(all.end(Kind::NoAnswers, None, None, at(3)).is_none());
        assert!(all.end(Kind::NoAnswers, Some("a"), None, at(3)).is_some());
        assert!(all.end(Kind::NoAnswers, Some("a"), None, at(4)).is_none());
        assert_eq!(all.holding().get("no_answers"), Some(&1));
        assert_eq!(all.raise(of("a", 5)), Some(1));
        assert!(all.holds(Kind::NoAnswers) && !all.holds(Kind::NothingSeen));
        let json = serde_json::to_value(all.list()).unwrap();
        assert_eq!(
            json[0],
            serde_json::json!({"kind": "no_answers", "rule": "a", "text": "words",
                "since": "1970-01-01T00:00:01Z", "over": "1970-01-01T00:00:03Z"})
        );
        assert_eq!(json[2]["over"], serde_json::Value::Null);
    }

    #[test]
    fn the_list_is_bounded_and_what_holds_stays() {
        let mut all = Warnings::default();
        all.raise(Warning::new(Kind::NothingSeen, "", at(0)));
        for n in 0..2 * WARNINGS_MAX as u64 {
            let device = Warning::new(Kind::DeviceMissing, "", at(n)).about("eth0");
            assert!(all.raise(device).is_some());
            all.end(Kind::DeviceMissing, None, Some("eth0"), at(n));
        }
        assert_eq!(all.iter().count(), WARNINGS_MAX);
        assert_eq!(all.unlisted(), WARNINGS_MAX as u64 + 1);
        assert!(all.holds(Kind::NothingSeen));
        for n in 0..WARNINGS_MAX as u64 {
            all.raise(Warning::new(Kind::PathUnproven, "", at(n)).about(n.to_string()));
        }
        let more = Warning::new(Kind::PathUnproven, "", at(0)).about("more");
        assert_eq!(all.raise(more), None);
        assert_eq!(all.iter().count(), WARNINGS_MAX);
        let run = Warning::new(Kind::Collision, "", at(0));
        assert_eq!(all.raise(run), Some(0), "these few always have a place");
    }
}
