//! The configuration of a run, and the addresses in it. Everything is small: budgets, pools and limits must be reached.

use core::time::Duration;
use std::sync::Arc;

use protocol::Module;
use session::limits::REPLY_SLACK;
use session::{Config, Join, Rule, Source};
use wire::flow::{Addr, Endpoint, PoolRange};

use super::talk::Talk;

/// Bytes of an input that are its configuration.
pub(super) const LEN: usize = 8;
/// How many flows there are.
pub(super) const FLOWS: usize = 4;

const ONLINE: Addr = Addr::v4([10, 0, 1, 1]);
const ONLINE_V6: Addr = Addr::v6([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);

/// The ends of flow `number`: client, online server.
pub(super) fn flow(number: usize) -> (Endpoint, Endpoint) {
    match number {
        3 => {
            let client = Addr::v6([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 9]);
            (Endpoint::new(client, 40_000), Endpoint::new(ONLINE_V6, 80))
        }
        2 => {
            let online = Endpoint::new(Addr::v4([10, 0, 1, 7]), 80);
            (Endpoint::new(Addr::v4([10, 0, 3, 3]), 40_000), online)
        }
        _ => {
            let client = Endpoint::new(Addr::v4([10, 0, 3, 2]), 40_000 + number as u16);
            (client, Endpoint::new(ONLINE, 80))
        }
    }
}

/// What a run begins with.
pub(super) struct Plan {
    pub(super) config: Config,
    /// What is said, where a protocol module reads the flows.
    pub(super) talk: Option<&'static Talk>,
    /// What the last call before the end is: see `World::end`.
    pub(super) ending: u8,
}

impl Plan {
    /// The plan that these bytes stand for; every value stands for one.
    pub(super) fn new(bytes: &[u8; LEN]) -> Self {
        let [shape, source, mtu, budget, times, limits, order, ending] = *bytes;
        let pooled = source & 1 != 0;
        let (talk, module) = Talk::choose(ending >> 3).unzip();
        let config = Config {
            rules: rules(shape, MTUS[usize::from(mtu) % MTUS.len()], module.as_ref()),
            source: if pooled {
                pool(source)
            } else {
                Source::Clients
            },
            worker: u32::from(shape >> 6 == 3),
            workers: 1 + u32::from(shape >> 6 >= 2),
            copies: if pooled {
                1 + u16::from(source >> 1) % 3
            } else {
                1
            },
            wait_for_responses: order & 3 != 3,
            response_timeout: Duration::from_millis([100, 2_000, 30_000][usize::from(times) % 3]),
            idle_timeout: Duration::from_secs([1, 20, 600][usize::from(times >> 2) % 3]),
            sessions_max: [1, 2, 5, 1000][usize::from(limits & 3)],
            payload_bytes_max: [1 << 20, 8 << 10, 64 << 10, 700][usize::from(budget & 3)],
            sessions_per_second_max: [None, None, Some(1), Some(10)][usize::from(limits >> 2 & 3)],
            in_order: order & 4 == 0,
            credentials: None,
            digests: None,
            hash_seed: u64::from(order) << 8 | u64::from(shape),
            gap_grace: Duration::from_millis([0, 20][usize::from(order >> 3 & 1)]),
            prove_path: order & 16 != 0,
            confirmed: order & 32 != 0,
            reply_slack: [REPLY_SLACK, 600, 4096, 65_536][usize::from(budget >> 2 & 3)],
            reply_bytes_per_second_max: [None, None, Some(1000), Some(1 << 20)]
                [usize::from(budget >> 4 & 3)],
            unix_nanos: 1_800_000_000_000_000_000,
        };
        Self {
            config,
            talk,
            ending,
        }
    }
}

const MTUS: [u16; 6] = [1500, 552, 1280, 576, 9000, 100];

fn rules(shape: u8, mtu: u16, module: Option<&Arc<Module>>) -> Vec<Rule> {
    let rule = |online: Endpoint, target: Endpoint, bit: u8| Rule {
        online,
        target,
        mtu,
        join: match (shape & bit != 0, shape & 64 != 0) {
            (true, _) => Join::Never,
            (false, true) => Join::Standalone,
            (false, false) => Join::Always,
        },
        resume_anywhere: shape & 32 == 0,
        module: module.cloned(),
    };
    let target = Endpoint::new(Addr::v4([10, 0, 2, 2]), 80);
    let target_v6 = Endpoint::new(
        Addr::v6([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 2]),
        80,
    );
    let mut rules = vec![rule(Endpoint::new(ONLINE, 80), target, 1)];
    if shape & 2 != 0 {
        // The same service to a second target.
        let second = Endpoint::new(Addr::v4([10, 0, 2, 3]), 81);
        rules.push(rule(Endpoint::new(ONLINE, 80), second, 4));
    }
    if shape & 8 != 0 {
        rules.push(rule(Endpoint::new(ONLINE_V6, 80), target_v6, 4));
    }
    if shape & 16 != 0 {
        // Whatever else comes in at port 80, to a target of either family.
        let any = Endpoint::new(Addr::UNSPECIFIED, 80);
        rules.push(rule(
            any,
            if shape & 32 != 0 { target_v6 } else { target },
            1,
        ));
    }
    rules
}

fn pool(source: u8) -> Source {
    let ports = [1, 2, 8, 40][usize::from(source >> 3 & 3)];
    let mask = if source & 32 != 0 { 0xfe } else { 0xff };
    let range = |prefix: Addr| {
        let mut bits = [0xff; 16];
        bits[15] = mask;
        PoolRange {
            prefix,
            mask: Addr::v6(bits),
            port_first: 10_000,
            port_last: 10_000 + ports - 1,
        }
    };
    Source::Pool {
        ranges: vec![
            range(Addr::v4([10, 0, 4, 2])),
            range(Addr::v6([
                0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 2,
            ])),
        ],
        excluded_ports: if source & 64 != 0 {
            vec![10_001, 9]
        } else {
            vec![]
        },
    }
}
