//! What a gate lets pass, told in steps.

use core::time::Duration;
use std::collections::VecDeque;

use wire::flow::{Addr, Endpoint};
use wire::hash::FlowHash;

use super::{Due, Gate, Held, Need, News, Pass, Reply};
use crate::event::{Counters, Event};
use crate::limits::{
    HELD_MAX, MUTE_CONNECTIONS_MAX, PREFIXES_MAX, PROBE_INTERVAL, SILENCE, SILENCE_UNPROVEN,
    UNANSWERED_MAX, UNANSWERED_UNPROVEN_MAX,
};
use crate::time::Instant;

/// Clients of two networks.
const HERE: Addr = Addr::v4([10, 0, 1, 2]);
const THERE: Addr = Addr::v4([10, 9, 9, 9]);

struct Script {
    gate: Gate,
    now: Instant,
    counters: Counters,
    events: VecDeque<Event>,
}

impl Script {
    fn new(prove: bool) -> Self {
        let target = Endpoint::new(Addr::v4([10, 0, 2, 2]), 80);
        Self {
            gate: Gate::new(target, prove, FlowHash::new(1)),
            now: Instant::from_nanos(1),
            counters: Counters::default(),
            events: VecDeque::new(),
        }
    }

    /// Whether a frame that wants an answer passes.
    fn ask(&mut self, client: Addr, id: u32) -> bool {
        self.send(client, id, Need::Answer)
    }

    fn send(&mut self, client: Addr, id: u32, need: Need) -> bool {
        let mut news = News {
            counters: &mut self.counters,
            events: &mut self.events,
        };
        let asks = Held { id, ticket: id };
        let passes = self.gate.pass(&client, asks, need, self.now, &mut news) == Pass::Yes;
        if passes && need == Need::Answer {
            self.gate.on_asked(&client, false, self.now);
        }
        passes
    }

    fn hear(&mut self, client: Addr, reply: Reply) -> bool {
        let mut news = News {
            counters: &mut self.counters,
            events: &mut self.events,
        };
        self.gate.on_reply(&client, reply, self.now, &mut news)
    }

    fn due(&mut self) -> Option<Due> {
        let mut news = News {
            counters: &mut self.counters,
            events: &mut self.events,
        };
        self.gate.expire(self.now, &mut news)
    }

    fn wait(&mut self, time: Duration) {
        self.now += time;
    }

    /// Has somebody from `client` wait and be tried whenever it is time, for so long. Returns how often.
    fn probes_within(&mut self, client: Addr, time: Duration) -> u32 {
        let until = self.now + time;
        let mut probes = u32::from(self.ask(client, 1));
        while let Some(at) = self.gate.next_due().filter(|at| *at <= until) {
            self.now = self.now.max(at);
            match self.due() {
                Some(Due::Try(_)) => probes += u32::from(self.ask(client, 1)),
                Some(Due::Failed(id)) => assert!(!self.ask(client, id), "at once again"),
                None => {}
            }
        }
        self.now = until;
        probes
    }
}

#[test]
fn a_silent_target_is_suspended_and_probed() {
    let mut s = Script::new(false);
    for id in 0..UNANSWERED_MAX {
        assert!(s.ask(HERE, id));
    }
    s.wait(SILENCE);
    assert!(!s.ask(HERE, 1));
    assert_eq!(s.counters.targets_suspended, 1);
    s.wait(PROBE_INTERVAL);
    assert!(s.ask(HERE, 2));
    assert!(!s.ask(HERE, 3), "one at a time");
    assert!(s.ask(HERE, 2), "with all that it has to say");
    assert!(s.hear(THERE, Reply::Word), "one lane for all");
    assert!(s.ask(HERE, 3));
}

#[test]
fn where_replies_could_reach_clients_silence_is_noticed_sooner() {
    let mut s = Script::new(true);
    assert!(s.ask(HERE, 0) && s.hear(HERE, Reply::Word));
    for id in 0..UNANSWERED_UNPROVEN_MAX {
        assert!(s.ask(HERE, id));
    }
    s.wait(SILENCE_UNPROVEN);
    assert!(!s.ask(HERE, 1));
    s.wait(PROBE_INTERVAL);
    assert!(s.ask(HERE, 1) && s.hear(HERE, Reply::Word));
    for id in 0..UNANSWERED_MAX {
        assert!(s.ask(HERE, id));
    }
    assert!(!s.ask(HERE, 1), "however fast they left");
}

#[test]
fn a_proof_holds_for_its_own_network() {
    let mut s = Script::new(true);
    assert!(s.ask(HERE, 1));
    assert!(
        !s.ask(THERE, 2),
        "nothing is proven yet: one at a time in all"
    );
    assert!(!s.hear(HERE, Reply::Accepts), "a SYN-ACK is no proof");
    assert!(s.hear(HERE, Reply::Word));
    assert!(s.ask(Addr::v4([10, 0, 1, 200]), 3), "its neighbour");
    assert!(s.ask(THERE, 2), "the other's first is a probe");
    assert!(!s.ask(THERE, 4));
    s.wait(PROBE_INTERVAL);
    assert_eq!(s.due(), Some(Due::Failed(2)));
    assert!(!s.ask(THERE, 4) && s.ask(HERE, 3));
    assert!(s.send(THERE, 2, Need::Reset), "nobody answers it");
    assert_eq!((s.counters.paths_proven, s.counters.probes_failed), (1, 1));
    // It stops answering one of them, and loses that one's proof.
    s.hear(HERE, Reply::Word);
    s.wait(Duration::from_secs(5));
    assert!(s.ask(THERE, 4) && s.hear(THERE, Reply::Word));
    for id in 0..UNANSWERED_UNPROVEN_MAX {
        assert!(s.ask(HERE, id));
    }
    s.wait(SILENCE_UNPROVEN);
    assert!(!s.ask(HERE, 1) && s.ask(THERE, 4));
}

#[test]
fn clients_of_a_network_without_a_route_see_a_handful_of_probes_an_hour() {
    let mut s = Script::new(true);
    assert!(s.ask(HERE, 9) && s.hear(HERE, Reply::Word));
    let hour = Duration::from_secs(3600);
    assert_eq!(s.probes_within(THERE, hour), 13);
    assert_eq!(s.probes_within(THERE, hour), 4);
    // Nor does a channel that comes and goes ask more.
    for _ in 0..100 {
        s.gate.set_channel(false, s.now);
        assert!(!s.ask(HERE, 9) && !s.ask(THERE, 1));
        s.gate.set_channel(true, s.now);
        assert!(s.ask(HERE, 9), "it was proven: one may try");
        assert!(s.hear(HERE, Reply::Word));
    }
    assert!(s.probes_within(THERE, hour) <= 5);
    let told = s.events.len();
    assert_eq!(told, 1, "{:?}", s.events);
}

#[test]
fn a_target_that_proves_nothing_is_asked_less_and_less_whoever_its_clients_are() {
    let mut s = Script::new(true);
    let mut probes = 0;
    for network in 0..250 {
        let client = Addr::v4([10, 1, network, 1]);
        probes += u32::from(s.ask(client, u32::from(network)));
        s.wait(PROBE_INTERVAL);
        while let Some(due) = s.due() {
            if let Due::Try(lane) = due {
                let held = s.gate.take_held(lane).expect("somebody waits");
                let client = Addr::v4([10, 1, held.id as u8, 1]);
                probes += u32::from(s.ask(client, held.id));
            }
        }
    }
    assert!((5..12).contains(&probes), "{probes} in 125 s");
}

#[test]
fn a_path_that_must_be_proven_is_proven_anew_when_the_channel_is_back() {
    let mut s = Script::new(true);
    assert!(s.ask(HERE, 1) && !s.ask(HERE, 2) && s.hear(HERE, Reply::Word));
    assert!(s.ask(HERE, 2));
    s.gate.set_channel(false, s.now);
    s.wait(SILENCE);
    assert!(!s.ask(HERE, 2));
    assert_eq!(s.gate.next_due(), None);
    s.gate.set_channel(true, s.now);
    assert!(s.ask(HERE, 2) && !s.ask(HERE, 3));
}

#[test]
fn acknowledgements_are_not_answered() {
    let mut s = Script::new(false);
    for id in 0..2 * UNANSWERED_MAX {
        assert!(s.send(HERE, id, Need::Nothing));
    }
    s.wait(SILENCE);
    assert!(s.ask(HERE, 1));
}

#[test]
fn a_firewall_that_sees_one_direction_is_noticed() {
    let mut s = Script::new(false);
    let mut sent = 0;
    for id in 0..100 {
        if s.ask(HERE, id) {
            s.hear(HERE, Reply::Accepts);
            sent += 1;
        }
        s.hear(HERE, Reply::AcceptsAgain);
        s.wait(Duration::from_millis(200));
    }
    // One more whenever a probe is due.
    assert!(sent < MUTE_CONNECTIONS_MAX + 45, "{sent} of 100");
    assert!(s.counters.targets_suspended == 1);
    let told = Event::PathUnproven {
        target: Endpoint::new(Addr::v4([10, 0, 2, 2]), 80),
        client: HERE,
        accepts: true,
    };
    assert_eq!(s.events, [told]);
    s.wait(PROBE_INTERVAL);
    s.due();
    assert!(s.hear(HERE, Reply::Word) && s.ask(HERE, 1));
}

#[test]
fn who_waits_is_bounded_and_who_is_gone_is_forgotten() {
    let mut s = Script::new(false);
    s.gate.set_route(false, s.now);
    for id in 0..1000 {
        assert!(!s.ask(HERE, id));
        // All but every tenth go away at once.
        let stays = |id: u32| id.is_multiple_of(10);
        if !stays(id) {
            s.gate.on_left_waiting(&HERE, s.now, |held| stays(held.id));
        }
    }
    assert!(s.gate.waiting() <= 201, "{}", s.gate.waiting());
}

#[test]
fn beyond_the_limit_nobody_waits() {
    let mut s = Script::new(false);
    s.gate.set_route(false, s.now);
    for id in 0..HELD_MAX as u32 + 3 {
        assert!(!s.ask(HERE, id));
    }
    assert_eq!(
        (s.gate.waiting(), s.counters.sessions_held_out),
        (HELD_MAX, 3)
    );
}

#[test]
fn the_table_of_networks_does_not_grow_for_ever() {
    let mut s = Script::new(true);
    assert!(s.ask(HERE, 1) && s.hear(HERE, Reply::Word));
    for network in 0..2 * PREFIXES_MAX as u32 {
        let [_, a, b, c] = network.to_be_bytes();
        s.wait(Duration::from_millis(1));
        s.hear(Addr::v4([a, b, c, 1]), Reply::Word);
    }
    assert!(s.gate.lanes.ids().count() <= PREFIXES_MAX);
    assert!(s.counters.prefixes_forgotten as usize >= PREFIXES_MAX);
    assert!(s.gate.is_open(&Addr::v4([0, 127, 255, 1])), "the latest");
    assert!(!s.gate.is_open(&HERE), "the oldest");
}
