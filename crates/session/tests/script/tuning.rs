//! What may change while an engine runs: shares, copies, rates and patience; who has begun goes on.

use session::{RuleTuning, Sample, Tuning};
use wire::flow::{FlowKey, SAMPLE_ALL, sample_place};

use super::*;

const SEED: u32 = 7;
const HALF: Sample = Sample {
    from: 0,
    to: SAMPLE_ALL / 2,
};
const NONE: Sample = Sample { from: 0, to: 0 };

impl Script {
    /// The same of every rule.
    fn tune(&mut self, sample: Sample, copies: u16, rules: usize) {
        let rule = RuleTuning {
            copies,
            sample,
            response_timeout: Duration::from_secs(30),
        };
        self.engine.tune(&Tuning {
            rules: vec![rule; rules],
            sample_seed: SEED,
            sessions_per_second_max: None,
        });
    }

    /// With the clients' own addresses, of which there are enough.
    fn of_clients(change: impl FnOnce(&mut Config)) -> Self {
        Self::with(|config| {
            config.source = Source::Clients;
            config.sessions_max = 100_000;
            config.payload_bytes_max = 64 << 20;
            change(config);
        })
    }

    fn open_from(&mut self, port: u16) {
        self.client.port = port;
        self.client(SYN, 0, 0, b"").online(SYN.with(ACK), 0, 1, 0);
    }

    fn place(&self) -> u32 {
        let flow = FlowKey {
            client: self.client,
            server: self.online,
        };
        sample_place(&flow, SEED)
    }

    /// A port of a client whose flow lies in the sample, or not.
    fn port(&mut self, sample: Sample, lies: bool) -> u16 {
        let mut ports = 20_000..60_000;
        let found = ports.find(|port| {
            self.client.port = *port;
            (sample.from..sample.to).contains(&self.place()) == lies
        });
        found.expect("half of them do")
    }
}

#[test]
fn a_session_goes_on_where_its_flow_is_sampled_no_more() {
    let mut s = Script::new();
    s.tune(Sample::ALL, 1, 1);
    s.client.port = s.port(HALF, false);
    s.handshake();
    s.client(PSH, 1, 1, b"abcd").online(PSH, 1, 5, 10).frames();
    s.target(PSH, 1, 5, 10);
    s.tune(HALF, 1, 1);
    assert_eq!(s.engine.flows_outside_sample(), 1);
    s.client(PSH, 5, 11, b"efgh")
        .online(PSH, 11, 9, 10)
        .frames();
    s.target(PSH, 11, 9, 10);
    // Another one like it is not begun, and its bytes are counted.
    let first = s.client;
    s.client.port = 1 + s.port(HALF, false);
    while s.place() < HALF.to || s.client == first {
        s.client.port += 1;
    }
    s.client(SYN, 0, 0, b"").online(SYN.with(ACK), 0, 1, 0);
    s.client(PSH, 1, 1, b"not copied").online(PSH, 1, 11, 5);
    let counters = s.engine.counters();
    assert_eq!(
        (counters.sessions_begun, counters.left_out_sample_bytes),
        (1, 10)
    );
    s.client = first;
    s.client(FIN.with(ACK), 9, 21, b"")
        .online(FIN, 21, 10, 0)
        .frames();
    s.target(FIN, 21, 10, 0)
        .wait(Duration::from_secs(5))
        .frames();
    s.expect_outcomes(&[Outcome::Answered; 2]);
    assert_eq!(s.engine.flows_outside_sample(), 0);
}

#[test]
fn copies_change_with_the_next_flow() {
    let mut s = Script::with(|config| config.copies = 2);
    s.open_from(30_000);
    assert_eq!(s.frames().len(), 2);
    s.tune(Sample::ALL, 3, 1);
    s.open_from(30_001);
    assert_eq!(s.frames().len(), 3);
    s.tune(Sample::ALL, 1, 1);
    s.open_from(30_002);
    assert_eq!(s.frames().len(), 1);
}

/// A flow that begins before a share is raised was seen by nobody then: it is no hole.
#[test]
fn what_began_before_the_share_was_raised_is_not_missed() {
    let mut s = Script::new();
    s.open_from(30_000);
    s.tune(NONE, 1, 1);
    s.wait(Duration::from_secs(5));
    s.client.port = 30_001;
    s.client(SYN, 0, 0, b"");
    s.tune(Sample::ALL, 1, 1);
    s.online(SYN.with(ACK), 0, 1, 0);
    s.client(PSH, 1, 1, b"binary").online(PSH, 1, 7, 10);
    let counters = s.engine.counters();
    assert_eq!(counters.left_out_sample_bytes, 0);
    assert!(s.outcomes().is_empty(), "nothing is missed");
}

#[test]
fn shares_of_two_targets_split_the_flows() {
    let mut s = Script::of_clients(|config| {
        let mut other = config.rules[0].clone();
        other.target.addr = Addr::v4([10, 0, 2, 3]);
        config.rules.push(other);
    });
    let rule = |from, to| RuleTuning {
        copies: 1,
        sample: Sample { from, to },
        response_timeout: Duration::from_secs(30),
    };
    let (third, two) = (SAMPLE_ALL / 3, SAMPLE_ALL / 3 * 2);
    let tuning = Tuning {
        rules: vec![rule(0, third), rule(third, two)],
        sample_seed: SEED,
        sessions_per_second_max: None,
    };
    assert_eq!(tuning.threshold(), two);
    s.engine.tune(&tuning);
    for port in 10_000..10_999 {
        s.open_from(port);
        let sent = match s.place() {
            place if place < two => 1,
            _ => 0,
        };
        assert_eq!(s.frames().len(), sent, "each to one target, or to none");
    }
}

/// Half a percent: 50 of 10,000; and the same flows at another host, whose engine has another key.
#[test]
fn a_share_is_met_over_10_000_flows_and_by_the_same_ones_everywhere() {
    for percent in [1u32, 10, 50, 90] {
        let mut taken: Vec<Vec<u16>> = Vec::new();
        for hash_seed in [1, 99] {
            let mut s = Script::of_clients(|config| config.hash_seed = hash_seed);
            s.tune(
                Sample {
                    from: 0,
                    to: SAMPLE_ALL / 100 * percent,
                },
                1,
                1,
            );
            let mut ports = Vec::new();
            for port in 20_000..30_000 {
                let before = s.engine.counters().sessions_begun;
                s.open_from(port);
                // A client that says nothing is not believed to be one beyond the first thousand.
                s.client(PSH, 1, 1, b"x");
                if s.engine.counters().sessions_begun > before {
                    ports.push(port);
                }
            }
            assert!(
                (ports.len() as u32).abs_diff(percent * 100) <= 50,
                "{} of 10,000 at {percent} %",
                ports.len()
            );
            taken.push(ports);
        }
        assert_eq!(taken[0], taken[1]);
    }
}

#[test]
fn a_rate_holds_from_the_next_second_and_can_be_lifted() {
    let mut s = Script::of_clients(|_| ());
    let rule = RuleTuning {
        copies: 1,
        sample: Sample::ALL,
        response_timeout: Duration::from_secs(30),
    };
    let mut tuning = Tuning {
        rules: vec![rule],
        sample_seed: 0,
        sessions_per_second_max: Some(2),
    };
    s.engine.tune(&tuning);
    (1..6).for_each(|port| s.open_from(port));
    assert_eq!(s.engine.counters().sessions_begun, 2);
    tuning.sessions_per_second_max = None;
    s.engine.tune(&tuning);
    (11..16).for_each(|port| s.open_from(port));
    assert_eq!(s.engine.counters().sessions_begun, 7);
}
