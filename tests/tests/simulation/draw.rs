//! The plan of a seed.

use session::limits::REPLY_SLACK;

use crate::application::Connection;
use crate::link::Impairment;
use crate::plan::{
    Cut, Faults, Happening, Joining, Module, Network, Oddities, PAYLOAD_PLENTY, PLENTY, Plan, Ring,
    Setting,
};
use crate::random::Random;
use crate::shape::{Likeness, Shape};
use crate::stack::{MICROSECOND, MILLISECOND, SECOND, SocketOptions};

/// How many plans are without faults on the engine's side, in percent.
const CALM: u64 = 25;
/// In how many of those some 500 requests per second follow each other on each connection, in percent. Where replies are lost, a
/// hundred requests may take longer than the response timeout.
const FAST: u64 = 30;
/// What every link carries that carries IPv6, in bytes (RFC 8200 section 5).
const V6_MTU_MIN: u16 = 1280;
/// In how many plans a protocol module reads the flows, in percent, and how many of the connections speak HTTP/1 there, of those that can.
const READ: u64 = 20;
const SPEAKS_HTTP: u64 = 90;
/// Most packets that a path loses, in percent.
const LOSS_MAX: u64 = 20;

impl Plan {
    pub(crate) fn random(random: &mut Random) -> Self {
        let mute = if random.percent(7) { 20 } else { 0 };
        let likeness = if mute == 0 {
            Likeness::random(random)
        } else {
            Likeness::Random
        };
        let equal = likeness == Likeness::Equal;
        let is_calm = random.percent(CALM);
        let mut shape = Shape::random(random, likeness, mute);
        if is_calm && random.percent(FAST) {
            shape = shape.fast(random);
        }
        let reuses_ports = random.percent(25);
        let setting = setting(random);
        shape.silence = setting.idle_timeout.unwrap_or(0);
        shape.calms = !reuses_ports && random.percent(30);
        let mut connections: Vec<Connection> = (0..shape.connections(random))
            .map(|_| shape.connection(random))
            .collect();
        if shape.calms {
            connections.extend((0..random.range(1, 3)).map(|_| shape.calm_connection(random)));
        }
        let (mut network, ring) = (network(random), ring(random));
        // A handshake gets through one lossy stage, not through three.
        let reports_lost = network.report.is_some_and(|report| report.loss > 0);
        if reports_lost || ring.reply_lost > 0 {
            (network.to_engine.loss, network.to_engine.corruption) = (0, 0);
        }
        let happenings = happenings(random, &network);
        let plan = Self {
            connections,
            greeting: greeting(random, equal),
            likeness,
            reuses_ports,
            ring,
            oddities: oddities(random),
            client_options: SocketOptions::random(random),
            online_options: SocketOptions::random(random),
            target_options: SocketOptions::random(random),
            faults: faults(random),
            // A connection whose SYN was not answered tries again after up to 16 s, and then gives up with all that waits.
            calm: shape.calms.then(|| {
                let is_deaf = happenings
                    .iter()
                    .any(|(_, it)| *it == Happening::Deaf(true));
                let rest = random.pick(&[1, 10, 40]);
                if is_deaf { 40 * SECOND } else { rest * SECOND }
            }),
            happenings,
            cut: (!shape.calms && random.percent(14)).then(|| {
                let at = random.range(1, 3000) * MILLISECOND;
                (at, random.pick(&[Cut::Stop, Cut::Finish]))
            }),
            capture_from: if random.percent(10) {
                random.range(1, 100) * MILLISECOND
            } else {
                0
            },
            network,
            setting,
        };
        let plan = if is_calm { plan.calm() } else { plan };
        if random.percent(READ) {
            plan.read(random)
        } else {
            plan
        }
    }

    /// The same plan where a protocol module reads the flows, most of which speak HTTP/1 then.
    fn read(mut self, random: &mut Random) -> Self {
        self.setting.module = Some(Module {
            auto: random.percent(50),
            read_only: random.percent(40),
        });
        self.greeting = (0, 0);
        for connection in &mut self.connections {
            if random.percent(SPEAKS_HTTP) {
                connection.speak_http(random);
            }
        }
        self
    }

    /// The same plan where nothing keeps the engine from sending what it has: there every wait can be judged.
    fn calm(mut self) -> Self {
        let network = &mut self.network;
        for path in [&mut network.to_target, &mut network.to_engine] {
            *path = Impairment {
                delay: path.delay.min(MILLISECOND),
                jitter: path.jitter.min(100 * MICROSECOND),
                ..Impairment::default()
            };
        }
        if let Some(report) = &mut network.report {
            report.loss = 0;
        }
        network.narrow = None;
        let ring = &mut self.ring;
        (ring.capture_lost, ring.observe_lost, ring.reply_lost) = (0, 0, 0);
        self.happenings.clear();
        (self.capture_from, self.cut) = (0, None);
        self.faults = Faults::default();
        self.setting = Setting {
            pool_ports: PLENTY,
            waits: true,
            prove_path: false,
            astray_until: 0,
            sessions_max: PLENTY.into(),
            sessions_per_second_max: None,
            payload_bytes_max: PAYLOAD_PLENTY,
            reply_slack: REPLY_SLACK,
            confirmed: false,
            ..self.setting
        };
        self
    }
}

fn faults(random: &mut Random) -> Faults {
    Faults {
        slow: random
            .percent(15)
            .then(|| (random.range(200, 3000) as usize, MILLISECOND)),
        closes_after: random
            .percent(10)
            .then(|| random.pick(&[1_usize, 1, 2, 3, 5])),
        resets_after: random.percent(7).then(|| random.range(1, 5) as usize),
    }
}

fn greeting(random: &mut Random, equal: bool) -> (usize, usize) {
    if !random.percent(20) {
        return (0, 0);
    }
    let online = random.range(1, 300) as usize;
    let target = random.range(1, 300) as usize;
    (online, if equal { online } else { target })
}

fn network(random: &mut Random) -> Network {
    let path = |random: &mut Random, faulty: u64| {
        if random.percent(faulty) {
            Impairment::faulty(random, LOSS_MAX)
        } else {
            Impairment::clean(random)
        }
    };
    let mut to_online = path(random, 40);
    if random.percent(20) {
        to_online.splitting = random.pick(&[10, 100]);
    }
    let to_client = Impairment {
        splitting: 0,
        ..if random.percent(50) {
            to_online
        } else {
            path(random, 40)
        }
    };
    let target_mtu = random.pick(&[576, 1400, 1500]);
    let is_v6 = random.percent(20);
    let target_mtu = if is_v6 {
        target_mtu.max(V6_MTU_MIN)
    } else {
        target_mtu
    };
    let least = if is_v6 { V6_MTU_MIN } else { 576 };
    Network {
        is_v6,
        to_online,
        to_client,
        to_target: path(random, 30),
        to_engine: path(random, 30),
        report: random.percent(30).then(|| Impairment {
            loss: random.pick(&[0, 0, 1, LOSS_MAX]),
            delay: random.pick(&[50 * MICROSECOND, MILLISECOND, 30 * MILLISECOND]),
            jitter: random.pick(&[0, MILLISECOND, 10 * MILLISECOND]),
            ..Impairment::default()
        }),
        client_mtu: random.pick(&[576, 1400, 1500]).max(least),
        target_mtu,
        narrow: (target_mtu > 1000 && random.percent(15)).then(|| {
            (
                random.range(u64::from(least), 1390) as u16,
                random.percent(50),
            )
        }),
        offload: random
            .percent(40)
            .then(|| random.pick(&[0, 20, 200]) * MICROSECOND),
    }
}

fn ring(random: &mut Random) -> Ring {
    let lossy = random.percent(20);
    let mut lost = || {
        if lossy && random.percent(60) {
            random.range(1, 10)
        } else {
            0
        }
    };
    Ring {
        capture_lost: lost(),
        observe_lost: lost(),
        reply_lost: if random.percent(10) {
            random.range(1, LOSS_MAX)
        } else {
            0
        },
        delay: random.pick(&[0, 5, 100, 2000]) * MICROSECOND,
        observe_delay: random
            .percent(15)
            .then(|| random.pick(&[0, 5, 100, 2000, 10_000]) * MICROSECOND),
    }
}

fn oddities(random: &mut Random) -> Oddities {
    let mut rarely = |percent: u64, value: u64| {
        if random.percent(percent) { value } else { 0 }
    };
    Oddities {
        syn_data: rarely(10, 1) > 0,
        urgent: rarely(10, 20),
        forged_clients: rarely(15, 10),
        forged_replies: rarely(15, 10),
        wraps: [(); 4].map(|()| rarely(25, 1) > 0),
    }
}

fn setting(random: &mut Random) -> Setting {
    let keep_addresses = random.percent(30);
    let workers = if random.percent(20) { 2 } else { 1 };
    let prove_path = random.percent(15);
    let two_networks = random.percent(40);
    let idle_timeout = random.percent(6).then(|| random.pick(&[8, 20]) * SECOND);
    let goes_astray = keep_addresses && prove_path && two_networks && random.percent(50);
    Setting {
        module: None,
        keep_addresses,
        sample_len: random.pick(&[0, 0, 0, 1, 16]),
        copies: if keep_addresses {
            1
        } else {
            random.pick(&[1, 1, 1, 2, 3])
        },
        pool_ports: if random.percent(10) { 3 } else { PLENTY },
        waits: !random.percent(7),
        prove_path,
        two_networks,
        astray_until: if goes_astray {
            random.range(100, 4000) * MILLISECOND
        } else {
            0
        },
        sessions_max: if random.percent(5) {
            random.range(1, 4) as u32
        } else {
            u32::from(PLENTY)
        },
        sessions_per_second_max: random.percent(4).then(|| random.range(1, 5) as u32),
        payload_bytes_max: if random.percent(6) {
            random.range(1000, 30_000)
        } else {
            PAYLOAD_PLENTY
        },
        workers,
        joining: random.pick(&[
            Joining::Standalone,
            Joining::Standalone,
            Joining::Standalone,
            Joining::Standalone,
            Joining::Always,
            Joining::Never,
        ]),
        idle_timeout,
        // A turn may wait for longer than the idle timeout where its target may have been kept from sending.
        reply_slack: match idle_timeout {
            Some(_) => REPLY_SLACK,
            None => random.pick(&[u64::from(REPLY_SLACK), 30_000, 8000, 2000]) as u32,
        },
        confirmed: random.percent(10),
    }
}

fn happenings(random: &mut Random, network: &Network) -> Vec<(u64, Happening)> {
    let mut happenings = vec![];
    let mut between = |random: &mut Random, percent, most_ms, first, last| {
        if random.percent(percent) {
            let from = random.range(0, 3000) * MILLISECOND;
            let until = from + random.range(1, most_ms) * MILLISECOND;
            happenings.extend([(from, first), (until, last)]);
        }
    };
    if network.report.is_some() {
        let (down, up) = (Happening::Channel(false), Happening::Channel(true));
        between(random, 20, 3000, down, up);
    }
    let mtu = random.pick(&[560, 576, 1400, 1500]);
    let mtu = if network.is_v6 {
        mtu.max(V6_MTU_MIN)
    } else {
        mtu
    };
    let (gone, back) = (Happening::Route(None), Happening::Route(Some(mtu)));
    between(random, 6, 3000, gone, back);
    let (narrow, wide) = (
        Happening::Route(Some(mtu)),
        Happening::Route(Some(network.target_mtu)),
    );
    between(random, 6, 3000, narrow, wide);
    let (no, yes) = (Happening::Admit(false), Happening::Admit(true));
    between(random, 4, 3000, no, yes);
    let (off, on) = (Happening::Refuse(true), Happening::Refuse(false));
    between(random, 6, 3000, off, on);
    let most_ms = random.pick(&[500, 5000, 60_000]);
    let (deaf, open) = (Happening::Deaf(true), Happening::Deaf(false));
    between(random, 6, most_ms, deaf, open);
    if random.percent(5) {
        let at = random.range(0, 5 * SECOND);
        happenings.push((at, Happening::Crash));
    }
    happenings.sort_by_key(|(at, _)| *at);
    happenings
}
