//! What happens in a simulation: everything that a seed decides before the first packet.

use crate::address::Host;
use crate::application::{Application, Connection, Ending, RESPONSE_LEN_MAX};
use crate::link::Impairment;
use crate::shape::Likeness;
use crate::stack::SocketOptions;

/// Ports of a reply pool, and sessions, that are enough for every plan.
pub(crate) const PLENTY: u16 = 1000;
/// Payload that is enough for every plan, in bytes.
pub(crate) const PAYLOAD_PLENTY: u64 = 64 << 20;

/// How a run is cut short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// Capture stops, and the turns that were captured are drained.
    Stop,
    /// Everything ends at once.
    Finish,
}

/// Something that happens at a time of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Happening {
    /// The channel of assistant mode goes down or comes up, and the engine is told.
    Channel(bool),
    /// The route to the target changes: its MTU, or `None` where there is none.
    Route(Option<u16>),
    /// Whether new flows may get sessions.
    Admit(bool),
    /// The target's service is not running, or runs again.
    Refuse(bool),
    /// The target accepts nobody, or does again.
    Deaf(bool),
    /// The target forgets its connections.
    Crash,
}

/// The paths between the hosts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Network {
    pub(crate) to_online: Impairment,
    pub(crate) to_client: Impairment,
    pub(crate) to_target: Impairment,
    /// From the target to the place of the program that takes its replies.
    pub(crate) to_engine: Impairment,
    /// Assistant mode: the path of the reports, and how many are lost, in percent.
    pub(crate) report: Option<Impairment>,
    /// Whether all hosts speak IPv6.
    pub(crate) is_v6: bool,
    pub(crate) client_mtu: u16,
    /// MTU of the route to the target, and of the target.
    pub(crate) target_mtu: u16,
    /// The path to the target is narrower than that, and whether a router says so.
    pub(crate) narrow: Option<(u16, bool)>,
    /// Receive and send offload: packets are merged that come within this time.
    pub(crate) offload: Option<u64>,
}

/// The rings of records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ring {
    /// Records of clients, of the online server and of replies that a full ring loses, in percent.
    pub(crate) capture_lost: u64,
    pub(crate) observe_lost: u64,
    pub(crate) reply_lost: u64,
    /// How long a record waits at most.
    pub(crate) delay: u64,
    /// The same for what `observe` records, where that is in no order with the rest.
    pub(crate) observe_delay: Option<u64>,
}

/// What clients send that is not everyday's, and what others send in their name, in percent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Oddities {
    /// Whether SYNs carry data.
    pub(crate) syn_data: bool,
    /// Segments with the urgent flag.
    pub(crate) urgent: u64,
    /// Forged segments in the name of a client.
    pub(crate) forged_clients: u64,
    /// Forged segments and messages in the name of the target and of routers.
    pub(crate) forged_replies: u64,
    /// Sequence numbers begin near the wrap: client, online server, target, engine.
    pub(crate) wraps: [bool; 4],
}

/// What is wrong with the target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Faults {
    /// It reads at most this many bytes at a time, and as often.
    pub(crate) slow: Option<(usize, u64)>,
    /// It closes each connection after so many responses.
    pub(crate) closes_after: Option<usize>,
    /// It resets each connection after so many responses.
    pub(crate) resets_after: Option<usize>,
}

/// Which flows are taken up in the middle (`--join`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Joining {
    /// Those whose next turn stands alone.
    Standalone,
    Always,
    Never,
}

/// A protocol module that reads the flows (`--protocol`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Module {
    /// Whether it finds out what they speak, and is not told.
    pub(crate) auto: bool,
    /// Whether only what is safe is copied (`--read-only`).
    pub(crate) read_only: bool,
}

/// How the engine is set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Setting {
    pub(crate) module: Option<Module>,
    /// Whether sessions use the clients' own addresses.
    pub(crate) keep_addresses: bool,
    /// How many bytes of each response are kept.
    pub(crate) sample_len: usize,
    /// Sessions per flow.
    pub(crate) copies: u16,
    /// Ports of the reply pool.
    pub(crate) pool_ports: u16,
    /// Whether turns wait for responses.
    pub(crate) waits: bool,
    /// Whether the engine has to see a reply before it sends at will.
    pub(crate) prove_path: bool,
    /// Whether every second port's clients are of another network.
    pub(crate) two_networks: bool,
    /// Until when replies to the second network's clients are lost, because the target does not route them to the assistant.
    pub(crate) astray_until: u64,
    pub(crate) sessions_max: u32,
    pub(crate) sessions_per_second_max: Option<u32>,
    pub(crate) payload_bytes_max: u64,
    pub(crate) workers: u32,
    /// Which flows that were open before are joined.
    pub(crate) joining: Joining,
    /// How long a silent session is remembered, where that is not for ever.
    pub(crate) idle_timeout: Option<u64>,
    /// How many bytes a target may be ahead of the online server.
    pub(crate) reply_slack: u32,
    /// Whether bytes wait for the online server's acknowledgement.
    pub(crate) confirmed: bool,
}

/// The faults and the shape of a simulation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) connections: Vec<Connection>,
    /// What either server says first, in bytes: online, target.
    pub(crate) greeting: (usize, usize),
    /// How the target's responses differ in length.
    pub(crate) likeness: Likeness,
    /// Whether every second connection uses the client's port of the one before.
    pub(crate) reuses_ports: bool,
    pub(crate) network: Network,
    pub(crate) ring: Ring,
    pub(crate) oddities: Oddities,
    pub(crate) client_options: SocketOptions,
    pub(crate) online_options: SocketOptions,
    pub(crate) target_options: SocketOptions,
    pub(crate) faults: Faults,
    pub(crate) setting: Setting,
    /// What happens when, after the start; in order.
    pub(crate) happenings: Vec<(u64, Happening)>,
    /// Capture begins this long after the first connection.
    pub(crate) capture_from: u64,
    /// All faults end once the clients have said what they say before, and this much later they go on.
    pub(crate) calm: Option<u64>,
    /// The run is cut short this long after the first connection.
    pub(crate) cut: Option<(u64, Cut)>,
}

impl Plan {
    /// Whether the module lets only some messages pass.
    pub(crate) fn is_filtered(&self) -> bool {
        self.setting.module.is_some_and(|module| module.read_only)
    }

    /// How many bytes of a server's payload are recorded.
    pub(crate) fn recorded_len(&self) -> usize {
        match self.setting.module {
            Some(_) => usize::from(u16::MAX),
            None => self.setting.sample_len,
        }
    }

    /// A host with these numbers.
    pub(crate) const fn host(&self, numbers: [u8; 4]) -> Host {
        Host {
            numbers,
            is_v6: self.network.is_v6,
        }
    }

    pub(crate) fn happens(&self, is: impl Fn(Happening) -> bool) -> bool {
        self.happenings.iter().any(|(_, happening)| is(*happening))
    }

    /// Whether the target refuses connections for a while, or lets them wait.
    pub(crate) fn target_refuses(&self) -> bool {
        self.happens(|happening| matches!(happening, Happening::Refuse(_) | Happening::Deaf(_)))
    }

    /// Whether the target resets connections that the online server keeps.
    pub(crate) fn target_resets(&self) -> bool {
        self.faults.resets_after.is_some()
            || self.happens(|happening| happening == Happening::Crash)
    }

    /// Whether the target ends connections that the online server keeps, or refuses them.
    pub(crate) fn target_breaks_off(&self) -> bool {
        self.faults.closes_after.is_some() || self.target_resets() || self.target_refuses()
    }

    /// Whether there may be no source for a session.
    pub(crate) fn is_scarce(&self) -> bool {
        !self.setting.keep_addresses && self.setting.pool_ports < PLENTY
    }

    /// Whether every SYN of a session may be lost: all that waited for a proof leave at one time, and again whenever their timers
    /// fire, into a lossy path with a queue.
    pub(crate) fn loses_every_syn(&self) -> bool {
        let path = &self.network.to_target;
        self.setting.prove_path && path.is_faulty() && path.pipe.is_some()
    }

    /// Whether there may be no room for a session or its payload.
    pub(crate) fn sheds(&self) -> bool {
        self.sheds_sessions() || self.setting.payload_bytes_max < PAYLOAD_PLENTY
    }

    /// Whether a flow may get no session.
    pub(crate) fn sheds_sessions(&self) -> bool {
        self.setting.sessions_max < u32::from(PLENTY)
            || self.setting.sessions_per_second_max.is_some()
            || self.happens(|happening| matches!(happening, Happening::Admit(_)))
    }

    /// Whether the target leaves a request unanswered that the online server answers.
    pub(crate) fn is_mute(&self) -> bool {
        self.connections.iter().any(Connection::is_mute)
    }

    /// Whether a turn may have to wait for the response timeout.
    pub(crate) fn times_out(&self) -> bool {
        // A reset comes once, and where it is lost and nothing is to be sent, nothing tells.
        !self.setting.waits || self.is_mute() || self.is_pipelined() || self.target_resets()
    }

    /// Whether reports cannot arrive for a while, or frames cannot leave.
    pub(crate) fn is_interrupted(&self) -> bool {
        self.happens(|happening| matches!(happening, Happening::Channel(_) | Happening::Route(_)))
    }

    /// Whether the target's word may not reach the engine, or what the target answers.
    pub(crate) fn replies_may_be_lost(&self) -> bool {
        let network = &self.network;
        let report = network.report.is_some_and(|report| report.loses());
        network.to_target.loses()
            || network.to_engine.loses()
            || report
            || self.ring.reply_lost > 0
            || self.is_interrupted()
    }

    /// Whether a record of the online side may be missing, or what came of it be forgotten.
    pub(crate) fn loses_records(&self) -> bool {
        // Where `observe` comes late, the first request may overtake the SYN-ACK. On a used port it looks like nothing that the
        // connection before could send; and what overtakes the first request itself is not known to be the client's.
        let late = self.ring.observe_delay.is_some();
        // A session that was forgotten is joined again, in the middle.
        self.setting.idle_timeout.is_some()
            || late && (self.reuses_ports || self.network.to_online.is_faulty())
            || self.ring.capture_lost + self.ring.observe_lost > 0
            || self.capture_from > 0
    }

    /// Whether copies of one flow are answered at the same time through a narrow pipe: what one of them is answered may never pass it,
    /// since smoltcp sends all of it again each time.
    pub(crate) fn is_crowded(&self) -> bool {
        self.network.to_engine.pipe.is_some() && self.setting.copies > 1
    }

    /// Whether everything that a client sends is seen by the engine, and has room in it.
    pub(crate) fn sees_everything(&self) -> bool {
        !self.loses_records() && self.cut.is_none() && !self.sheds()
    }

    /// Whether a client's reset may overtake what it sent before, so that it is open what of it still counts.
    pub(crate) fn is_torn(&self, connection: usize) -> bool {
        let aborts = self.connections[connection].ending == Ending::Abort;
        aborts && self.network.to_online.is_faulty()
    }

    /// Whether a connection cannot be copied.
    pub(crate) fn is_unreplayable(&self, connection: usize) -> bool {
        self.connections[connection].application == Application::Tls
    }

    /// Whether a flow that cannot be copied may be joined, after its end, by the byte of a keep-alive probe.
    pub(crate) fn is_probed(&self) -> bool {
        let mut connections = 0..self.connections.len();
        let unreplayable = connections.any(|number| self.is_unreplayable(number));
        unreplayable && self.client_options.keep_alive_ms.is_some()
    }

    /// Whether no byte may reach the target before its cause: responses are of the same size, and come without a pause that
    /// looks like their end. Silence after a PSH lets the
    /// next turn go, by design, because nothing says that it is a pause and not a shorter response.
    pub(crate) fn is_causal(&self) -> bool {
        let options = &self.target_options;
        let in_one_go = options.send_buffer >= RESPONSE_LEN_MAX && !options.nagle;
        // On a new connection, and on one that begins with a later turn, a greeting comes again and looks like the response.
        let greets_again = self.greeting.1 > 0 && (self.target_breaks_off() || self.is_scarce());
        // A first request that overtakes the SYN-ACK hides how much the client had seen before it.
        let hides_greeting = self.greeting.0 > 0 && self.ring.observe_delay.is_some();
        self.likeness == Likeness::Equal
            && !self.is_interrupted()
            && in_one_go
            && self.faults.slow.is_none()
            && !self.connections.iter().any(Connection::is_broken_up)
            && !self.times_out()
            && !greets_again
            && !hides_greeting
    }

    /// Whether a client sends a request before it has the response to the one before.
    pub(crate) fn is_pipelined(&self) -> bool {
        self.connections.iter().any(Connection::is_pipelined)
    }
}
