//! What an engine tells its worker, as data.

use core::time::Duration;
use std::sync::Arc;

use protocol::{Asked, Digest};
use wire::flow::{Addr, Endpoint, FlowKey};

use crate::config::RuleId;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A session is about to send its SYN: in assistant mode, announce its flow.
    SessionOpened {
        /// The rule it belongs to.
        rule: RuleId,
        /// From the session's source to the target.
        flow: FlowKey,
    },
    /// A session is gone, its source free again.
    SessionClosed {
        /// The rule it belonged to.
        rule: RuleId,
        /// From the session's source to the target.
        flow: FlowKey,
        /// Whether it carried no turn at all (a health check, say).
        without_turn: bool,
    },
    /// A turn ended; every turn ends exactly once.
    TurnEnded(TurnEnded),
    /// Both servers' answers to a message, where they are to be compared ([`crate::Config::digests`]), a protocol module has read them, and
    /// the target has either answered completely or failed to. Its turn ends with the next event.
    Compared(Box<Compared>),
    /// Further bytes of a turn that ended as [`Outcome::Missed`] when its first ones came.
    MissedBytes {
        /// The rule it belonged to.
        rule: RuleId,
        /// How many.
        bytes: u64,
    },
    /// The online server has sent something to a session's client: told where [`crate::Engine::tell_of_online`] was called.
    OnlineSent {
        /// From the session's source to the target.
        flow: FlowKey,
    },
    /// A session's own login at its target has failed (`--login`); why is said without secrets.
    LoginFailed {
        /// The rule it belongs to.
        rule: RuleId,
        /// Why.
        words: String,
    },
    /// Sessions from this client's network have to wait, because nothing comes back to them; told once until it does.
    PathUnproven {
        /// The target.
        target: Endpoint,
        /// A client of the network.
        client: Addr,
        /// Whether connections are accepted and then nothing arrives at the target, as behind a firewall that sees one
        /// direction. Otherwise nothing comes back at all.
        accepts: bool,
    },
}

/// How a turn ended, and what was measured of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TurnEnded {
    /// The rule it belonged to.
    pub rule: RuleId,
    /// How it ended.
    pub outcome: Outcome,
    /// The client's bytes in it.
    pub bytes: u64,
    /// The client's bytes in it that the target acknowledged.
    pub bytes_acknowledged: u64,
    /// Whether online and target answered the same turn: `false` for sessions out of step, whose latencies would
    /// compare different things.
    pub paired: bool,
    /// How the online server answered, if it did.
    pub online: Option<Response>,
    /// How the target answered, if it did.
    pub target: Option<Response>,
    /// How long the turn's first byte left after its capture.
    pub lag: Duration,
    /// Whether the online server reset the connection after it.
    pub online_reset: bool,
    /// Whether the target was kept from sending its response as fast as it would have, because the online server had not sent
    /// as much or a budget was spent: its times say nothing.
    pub paced: bool,
    /// The shortest round trip to the target that the session has seen: what the path adds to the target's times.
    pub round_trip: Option<Duration>,
    /// What both responses begin with, where that is asked for ([`crate::Engine::sample_responses`]) and the session is in
    /// step.
    pub samples: Option<Box<Samples>>,
}

impl TurnEnded {
    /// A turn of which nothing was measured: no byte of it was captured, or it had no session.
    #[must_use]
    pub fn unseen(rule: RuleId, outcome: Outcome) -> Self {
        Self {
            rule,
            outcome,
            bytes: 0,
            bytes_acknowledged: 0,
            paired: false,
            online: None,
            target: None,
            lag: Duration::ZERO,
            online_reset: false,
            paced: false,
            round_trip: None,
            samples: None,
        }
    }
}

/// Both servers' complete answers to one message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compared {
    /// The rule it belonged to.
    pub rule: RuleId,
    /// What the message asks for.
    pub asked: Arc<Asked<'static>>,
    /// The online server's answer.
    pub online: Arc<Digest>,
    /// The target's; `None` where it has failed to answer.
    pub target: Option<Box<Digest>>,
    /// How long the online server took, from the message's last byte to its answer's, where that can be compared.
    pub online_time: Option<Duration>,
    /// How long the target took, without the way there and back.
    pub target_time: Option<Duration>,
}

/// What a response begins with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prefix {
    /// Its bytes from the first one on, as far as none is missing.
    pub bytes: Vec<u8>,
    /// Whether these are all that were asked for, or all that the response has.
    pub whole: bool,
}

/// What both responses to a turn begin with; empty and whole where there was none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Samples {
    /// The online server's.
    pub online: Prefix,
    /// The target's.
    pub target: Prefix,
}

/// A response to a turn, measured from the turn's last byte (its arrival at the online server; its first
/// transmission to the target).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Response {
    /// Time to the first byte of the response.
    pub first: Duration,
    /// Time to the last byte of the response seen.
    pub last: Duration,
    /// Length of the response, in bytes.
    pub bytes: u64,
}

macro_rules! outcomes {
    ($($(#[doc = $doc:literal])+ $name:ident = $text:literal;)+) => {
        /// How a turn ended.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Outcome {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Outcome {
            /// Every outcome, in the order of the ledger.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// The name that it has in summaries and metrics.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => $text,)+ }
            }
        }
    };
}

outcomes! {
    /// All bytes acknowledged by the target and at least one response byte attributed to the turn.
    Answered = "answered";
    /// All bytes acknowledged, and the online server sent nothing either.
    Delivered = "delivered";
    /// The target reset the session before the response was complete.
    Reset = "reset";
    /// The target refused the connection.
    Refused = "refused";
    /// No response within the response timeout although the online server gave one.
    TimedOut = "timed_out";
    /// The target closed after it had acknowledged part of the turn.
    TargetClosed = "target_closed";
    /// Bytes were lost on the way to us inside the turn.
    Gap = "gap";
    /// A budget or a guard ended it.
    Shed = "shed";
    /// No free address and port in the pool; or, with the clients' own addresses, an earlier session had this one for too long.
    Collision = "collision";
    /// TLS or SSH: cannot be replayed.
    Unreplayable = "unreplayable";
    /// The client reset the connection before its bytes were complete.
    Aborted = "aborted";
    /// A protocol module left it out: `--only`, `--except` or `--read-only`.
    Filtered = "filtered";
    /// Captured, but the online server never acknowledged it.
    Unserved = "unserved";
    /// It belonged to no session although it should have: the session before it ended at a gap or after the idle timeout and it
    /// could not begin another, or the other side of its handshake was not seen.
    Missed = "missed";
    /// The run ended while it waited.
    Pending = "pending";
}

macro_rules! counters {
    ($($(#[doc = $doc:literal])+ $name:ident;)+) => {
        /// What an engine counts, apart from turns. All are totals since its start.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Counters {
            $($(#[doc = $doc])+ pub $name: u64,)+
        }

        impl Counters {
            /// Every counter with its name.
            pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($name), self.$name),)+].into_iter()
            }

            /// Adds the counters of another worker.
            pub fn add(&mut self, other: &Self) {
                $(self.$name += other.$name;)+
            }
        }
    };
}

counters! {
    /// Client packets that parsed.
    client_packets;
    /// Client packets that did not.
    client_malformed;
    /// Client packets whose TCP checksum was wrong.
    client_corrupt;
    /// Client packets with urgent data, which is sent as ordinary data.
    client_urgent;
    /// Online headers that parsed.
    online_packets;
    /// Online headers that did not.
    online_malformed;
    /// Target replies that parsed.
    reply_packets;
    /// Target replies that did not.
    reply_malformed;
    /// Target replies that a protocol module was to read and whose TCP checksum was wrong.
    reply_corrupt;
    /// Segments of targets outside the window, or older than their timestamps allow.
    reply_unacceptable;
    /// Target replies that belong to no session.
    reply_unknown;
    /// ICMP too-big messages that were believed.
    too_big_believed;
    /// ICMP too-big messages that were not.
    too_big_ignored;
    /// Sessions that have begun, connected or not.
    sessions_begun;
    /// Connections that targets have accepted: one per session, and more where a target closes early.
    sessions_opened;
    /// Sessions that joined their flow mid-stream.
    sessions_joined;
    /// Flows that could not be watched to be joined, because too many others were ([`crate::limits::TRIALS_MAX`]); one that goes on may count
    /// again.
    joins_given_up;
    /// Sessions that have ended.
    sessions_closed;
    /// Sessions closed that carried no turn.
    sessions_without_turn;
    /// Turns that found no session because of `sessions_max`, the memory, the rate limit or a pause, once per copy.
    sessions_shed;
    /// Sessions not opened because the pool had no free port.
    sessions_collided;
    /// Sessions not opened because client and target are of different address families, and the client's own address was
    /// to be used.
    sessions_foreign;
    /// Flows left out because their client is a target, or an address and port of the reply pool. One that is silent for
    /// longer than the nursery remembers counts again.
    flows_from_target;
    /// Connections not tried because the target had refused all those before.
    sessions_withheld;
    /// Connections that were opened because the target had ended the one before.
    sessions_reconnected;
    /// Sessions whose target ended the connection and whose next turn makes no sense without the beginning of the flow: the
    /// rest of the flow ends as the turn before.
    flows_without_beginning;
    /// Sessions that became streaming.
    sessions_streaming;
    /// Messages that protocol modules have read from clients, those that were filtered out included.
    module_messages;
    /// Flows that have left their module because both sides agreed upon another protocol.
    module_left_upgraded;
    /// Flows whose first bytes look like no protocol that there is a module for.
    module_left_unknown;
    /// Flows that have left their module because it could not read what their clients said.
    module_left_unread;
    /// Flows of which a module could not read on what the online server said: bytes were missing, or made no sense.
    module_online_lost;
    /// Connections on which a module could not read on what the target said.
    module_target_lost;
    /// Responses of online servers that were not compared, because the memory was full.
    module_uncompared;
    /// Sessions that have logged in at their targets by themselves.
    module_logins;
    /// Sessions whose targets have not let them in.
    module_logins_failed;
    /// Cancellations of PostgreSQL that were sent to targets.
    module_cancels;
    /// Cancellations that were not: it is not known of which session, or it is that of a further copy.
    module_cancels_unknown;
    /// Sessions whose statements cannot be cancelled any more because too many others came ([`protocol::cancels::CANCELS_MAX`]).
    module_cancels_forgotten;
    /// SYNs sent again after an unacceptable acknowledgement of one.
    syn_recovered;
    /// Segments sent to targets.
    segments_sent;
    /// ... of which retransmissions.
    segments_retransmitted;
    /// Retransmission timeouts.
    retransmission_timeouts;
    /// Tail loss probes.
    tail_probes;
    /// Times a session went on with smaller segments because the path seemed to swallow large ones.
    black_holes;
    /// Payload bytes sent for the first time.
    bytes_sent;
    /// Client bytes skipped: before a mid-stream join, or after a target had closed in the middle of their turn.
    bytes_skipped;
    /// Response bytes of targets.
    reply_bytes;
    /// ... which they were let send although they had sent more than the online server, and the slack.
    reply_bytes_excess;
    /// Turns whose target was kept from sending more than the online server had sent.
    turns_paced;
    /// Times a window stayed closed because the budget of response bytes was spent.
    replies_over_budget;
    /// Turns whose target answered and then closed or reset the connection where the online server went on.
    target_closes;
    /// Flows that were open before the start and were not joined; each is counted once.
    left_out_open_before_flows;
    /// Client bytes of flows that were open before the start, until they were joined, once per session that they would have had.
    left_out_open_before_bytes;
    /// ... of flows that are encrypted, and have no session whose turns could end as `unreplayable`.
    left_out_unreplayable_bytes;
    /// ... of flows that found no session because of `sessions_max`, the memory, the rate limit or a pause.
    left_out_shed_bytes;
    /// Client bytes of flows that no rule's sample has (`-r`), as they were sent, retransmissions included: those that the programs
    /// recorded for the sake of others. What they do not record they count as sampled out.
    left_out_sample_bytes;
    /// Client bytes of flows whose client and target are of different address families.
    left_out_foreign_bytes;
    /// ... of flows whose client is a target, or of the reply pool.
    left_out_from_target_bytes;
    /// Connections that are further paths of others (Multipath TCP), once per session that they would have had.
    left_out_subflows;
    /// Client bytes of such connections.
    left_out_subflow_bytes;
    /// Client bytes that came after the target had ended their turn in the middle.
    left_out_cut_off_bytes;
    /// Client bytes that never came in order: they stood behind a hole, or came after the end of their stream. Where a protocol module reads
    /// a flow, those as well of a message whose beginning was not complete when the flow ended.
    left_out_unordered_bytes;
    /// Turns that were released unpaired.
    turns_unpaired;
    /// Entries of the nursery overwritten by newer ones.
    nursery_overwritten;
    /// Out-of-order client bytes dropped because the store was full.
    reassembly_dropped;
    /// Times a target stopped answering, or answering the clients of one network, and was probed with one session at a time.
    targets_suspended;
    /// Targets, or with the clients' own addresses networks of clients at a target, that answered for the first time what was
    /// sent after a handshake.
    paths_proven;
    /// Probes of a suspended target or an unproven network that were not answered.
    probes_failed;
    /// Networks of clients that were forgotten because others came; they are proven anew.
    prefixes_forgotten;
    /// Sessions that ended because too many waited already for their target, or for their network's proof.
    sessions_held_out;
    /// Connections that come from another address of the pool than their client's others, which were to have one: it had no port left.
    sessions_astray;
}
