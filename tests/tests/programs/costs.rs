//! What a run of each program costs on each kind of packet, as a ratio to a program that does nothing. Printed, not judged.
//!
//! Every round measures everything once, so that the machine's moods fall on all alike, and a ratio is one of the same round; what
//! is printed are medians. `cargo xtask bench programs` runs this; its `--against` has the programs of another object run in the
//! same rounds.

use std::path::Path;
use std::time::Duration;

use abi::maps::{
    EGRESS_DEVICE, Egress, GLOBAL_DEADLINE_KEPT, GLOBAL_WHOLE_RESPONSES, POOL_ALONE, WHOLE_ASKED,
};
use programs::name::{
    ABSORB, CAPTURE, CAPTURE_OUT, DELIVER, INJECT, OBSERVE, OBSERVE_IN, OVERHEAR, REPLIES, SINK,
    STEER,
};
use wire::flow::{Addr, Endpoint, PoolRange, SAMPLE_ALL};
use wire::tcp::{COPY_MARK, Flags};

use crate::kernel::{Kernel, Settings, skipped};
use crate::noop::{Kind, Noop};
use crate::packet::{CLIENT, ONLINE, POOL, POOL_RANGE, TARGET, bare, data, frame_of, header, v6};

/// Rounds, unless said otherwise: enough to see that everything runs.
const ROUNDS: usize = 3;
const ROUNDS_ENV: &str = "TCPCOPY_COST_ROUNDS";
/// What a program, a space and a packet must hold to be measured.
const ONLY_ENV: &str = "TCPCOPY_COST_ONLY";
/// The object of `tcpcopy` to compare with.
const AGAINST_ENV: &str = "TCPCOPY_COST_AGAINST";
/// The same of `intercept`.
const AGAINST_INTERCEPT_ENV: &str = "TCPCOPY_COST_AGAINST_INTERCEPT";
/// Measurements of one thing in a round; see [`of_a_round`].
const MEASUREMENTS: usize = 12;
/// Runs per measurement; their records fit into the ring.
const REPEAT: u32 = 500;

/// A port that no rule has, of an address that is nobody's.
const ELSEWHERE: Endpoint = Endpoint::new(Addr::v4([10, 9, 8, 7]), 443);

/// A program and a packet for it.
struct Case {
    program: &'static str,
    packet: &'static str,
    frame: Vec<u8>,
}

/// What was measured of one case: ns of a run, in the order of the rounds.
#[derive(Default)]
struct Figures {
    /// Of the program that does nothing.
    nothing_ns: Vec<f64>,
    ns: Vec<f64>,
    /// Of the object that is compared with.
    before_ns: Vec<f64>,
}

#[test]
fn costs() {
    if skipped() {
        return;
    }
    let object = std::env::var_os(AGAINST_ENV).map(read);
    for (name, globals, threshold, cases) in [
        ("tcx", vec![], SAMPLE_ALL, tcx()),
        (
            "clsact",
            vec![(GLOBAL_DEADLINE_KEPT, 1)],
            SAMPLE_ALL,
            clsact(),
        ),
        ("-r: not in the sample", vec![], 0, sampled_out()),
    ] {
        let settings = Settings {
            ring_len: 16 << 20,
            globals,
            ..Settings::default()
        };
        let mut new = Kernel::tcpcopy(&settings);
        let mut old = object
            .as_ref()
            .map(|object| Kernel::tcpcopy_of(&settings, object));
        fill(&mut new);
        new.sample(threshold);
        // One of before samples could be changed while they run knows no such map.
        old = old.filter(|it| threshold == SAMPLE_ALL || it.can_sample());
        if let Some(old) = &mut old {
            if threshold != SAMPLE_ALL {
                old.sample(threshold);
            }
            fill(old);
            // What a record costs depends on where in the memory a ring lies.
            old.write_into_rings_of(&new);
        }
        compare(name, &mut new, old.as_mut(), &cases);
    }
    with_modules();
    let object = std::env::var_os(AGAINST_INTERCEPT_ENV).map(read);
    let mut old = object.as_ref().map(|object| Kernel::intercept_of(object));
    let mut new = Kernel::intercept();
    for kernel in [Some(&mut new), old.as_mut()].into_iter().flatten() {
        kernel.swallowed(TARGET);
    }
    compare("intercept", &mut new, old.as_mut(), &intercept());
}

/// Responses of rules that have a protocol module; what is compared with knows none.
fn with_modules() {
    let mut kernel = Kernel::tcpcopy(&Settings {
        ring_len: 16 << 20,
        globals: vec![(GLOBAL_WHOLE_RESPONSES, WHOLE_ASKED)],
        ..Settings::default()
    });
    fill(&mut kernel);
    kernel.whole_service(ONLINE);
    let alone = PoolRange {
        prefix: POOL.addr,
        ..POOL_RANGE
    };
    kernel.whole_replies(TARGET, &alone);
    compare("with a protocol module", &mut kernel, None, &whole());
}

fn read(path: impl AsRef<Path>) -> Vec<u8> {
    let path = path.as_ref();
    std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A run's rules: a service and a target, over IPv4 and IPv6.
fn fill(kernel: &mut Kernel) {
    kernel.deadline(u64::MAX);
    kernel.service(ONLINE);
    kernel.service(v6(ONLINE));
    kernel.replies(TARGET, &POOL_RANGE);
    let alone = PoolRange {
        prefix: v6(POOL).addr,
        ..POOL_RANGE
    };
    kernel.replies_to(v6(TARGET), &alone, POOL_ALONE, 0);
    kernel.lease(0, unleased().port, false);
    let egress = Egress {
        kind: EGRESS_DEVICE,
        ifindex: 1,
        mtu: 1500,
        gateway_family: 0,
        gateway: [0; 16],
    };
    kernel.egress(TARGET.addr, &egress);
}

/// A port of the pool that no session has leased.
fn unleased() -> Endpoint {
    Endpoint::new(POOL.addr, 10_008)
}

fn tcx() -> Vec<Case> {
    let mut cases = capture();
    cases.extend(others());
    cases
}

fn capture() -> Vec<Case> {
    let mut arp = vec![0; 60];
    arp[12..14].copy_from_slice(&[8, 6]);
    let mut udp = data(CLIENT, ONLINE, 100);
    udp[14 + 9] = 17;
    let mut udp6 = data(v6(CLIENT), v6(ONLINE), 100);
    udp6[14 + 6] = 17;
    vec![
        case(CAPTURE, "request, 50 B", data(CLIENT, ONLINE, 50)),
        case(CAPTURE, "request, 200 B", data(CLIENT, ONLINE, 200)),
        case(CAPTURE, "request, 1448 B", data(CLIENT, ONLINE, 1448)),
        case(
            CAPTURE,
            "request, 200 B, IPv6",
            data(v6(CLIENT), v6(ONLINE), 200),
        ),
        case(
            CAPTURE,
            "client's bare ACK",
            bare(CLIENT, ONLINE, Flags::ACK),
        ),
        case(
            CAPTURE,
            "client's bare ACK, IPv6",
            bare(v6(CLIENT), v6(ONLINE), Flags::ACK),
        ),
        case(CAPTURE, "reply", data(TARGET, POOL, 600)),
        case(CAPTURE, "reply, bare ACK", bare(TARGET, POOL, Flags::ACK)),
        case(
            CAPTURE,
            "reply, IPv6, pool alone",
            data(v6(TARGET), v6(POOL), 600),
        ),
        case(
            CAPTURE,
            "target, port not leased",
            data(TARGET, unleased(), 600),
        ),
        case(CAPTURE, "another port", data(CLIENT, ELSEWHERE, 100)),
        case(
            CAPTURE,
            "another port, IPv6",
            data(v6(CLIENT), v6(ELSEWHERE), 100),
        ),
        case(
            CAPTURE,
            "the port, another address",
            data(CLIENT, Endpoint::new(ELSEWHERE.addr, ONLINE.port), 100),
        ),
        case(CAPTURE, "UDP", udp),
        case(CAPTURE, "UDP, IPv6", udp6),
        case(CAPTURE, "ARP", arp),
    ]
}

fn others() -> Vec<Case> {
    let mut copy = header(POOL, TARGET, Flags::ACK);
    copy.urgent = COPY_MARK;
    let copy = frame_of(&copy, 100);
    let request = data(CLIENT, ONLINE, 200);
    let response = data(ONLINE, CLIENT, 600);
    let other = data(CLIENT, ELSEWHERE, 100);
    vec![
        case(OBSERVE, "response", response.clone()),
        case(
            OBSERVE,
            "online server's bare ACK",
            bare(ONLINE, CLIENT, Flags::ACK),
        ),
        case(OBSERVE, "response, IPv6", data(v6(ONLINE), v6(CLIENT), 600)),
        case(OBSERVE, "another port", other.clone()),
        case(
            OBSERVE,
            "another port, IPv6",
            data(v6(CLIENT), v6(ELSEWHERE), 100),
        ),
        case(CAPTURE_OUT, "request, 200 B", request.clone()),
        case(OBSERVE_IN, "response", response.clone()),
        case(OVERHEAR, "request, 200 B", request.clone()),
        case(OVERHEAR, "response", response),
        case(OVERHEAR, "another port", other.clone()),
        case(REPLIES, "reply", data(TARGET, POOL, 600)),
        case(REPLIES, "another port", other.clone()),
        case(INJECT, "copy", copy),
        case(ABSORB, "reply", data(TARGET, POOL, 600)),
        case(ABSORB, "another port", other),
        case(STEER, "request, 200 B", request.clone()),
        case(DELIVER, "request, no socket", request),
    ]
}

fn clsact() -> Vec<Case> {
    vec![
        case(CAPTURE, "request, 200 B", data(CLIENT, ONLINE, 200)),
        case(
            CAPTURE,
            "client's bare ACK",
            bare(CLIENT, ONLINE, Flags::ACK),
        ),
        case(CAPTURE, "another port", data(CLIENT, ELSEWHERE, 100)),
        case(OBSERVE, "response", data(ONLINE, CLIENT, 600)),
    ]
}

fn sampled_out() -> Vec<Case> {
    vec![
        case(CAPTURE, "request, 200 B", data(CLIENT, ONLINE, 200)),
        case(OBSERVE, "response", data(ONLINE, CLIENT, 600)),
    ]
}

fn whole() -> Vec<Case> {
    let responses = [
        ("50 B", 50),
        ("600 B", 600),
        ("1448 B", 1448),
        ("3000 B", 3000),
    ];
    let mut cases = Vec::new();
    for (len, payload) in responses {
        cases.push(case(OBSERVE, len, data(ONLINE, CLIENT, payload)));
        cases.push(case(CAPTURE, len, data(TARGET, POOL, payload)));
        cases.push(case(ABSORB, len, data(TARGET, POOL, payload)));
    }
    let of_another = data(v6(ONLINE), v6(CLIENT), 600);
    cases.push(case(OBSERVE, "600 B, a rule without", of_another));
    cases
}

fn intercept() -> Vec<Case> {
    vec![
        case(SINK, "reply, no socket", data(TARGET, POOL, 600)),
        case(SINK, "another port", data(CLIENT, ELSEWHERE, 100)),
    ]
}

fn case(program: &'static str, packet: &'static str, frame: Vec<u8>) -> Case {
    Case {
        program,
        packet,
        frame,
    }
}

/// Measures all cases that are asked for round after round, and prints their medians.
fn compare(name: &str, new: &mut Kernel, mut old: Option<&mut Kernel>, cases: &[Case]) {
    let rounds =
        std::env::var(ROUNDS_ENV).map_or(ROUNDS, |rounds| rounds.parse().expect(ROUNDS_ENV));
    let only = std::env::var(ONLY_ENV).unwrap_or_default();
    let is_wanted = |case: &&Case| format!("{} {}", case.program, case.packet).contains(&only);
    let cases: Vec<&Case> = cases.iter().filter(is_wanted).collect();
    let noops = [Noop::load(Kind::Tc), Noop::load(Kind::Xdp)];
    let mut all: Vec<Figures> = cases.iter().map(|_| Figures::default()).collect();
    for round in 0..=rounds {
        if round == 1 {
            // The first round met rings that nobody had written into yet.
            all.fill_with(Figures::default);
        }
        for (case, figures) in cases.iter().zip(&mut all) {
            let noop = &noops[usize::from(!new.is_tc(case.program))];
            let nothing = of_a_round(|| noop.run(&case.frame, REPEAT));
            figures.nothing_ns.push(nothing);
            // By turns, for who comes second finds less of what he needs in the caches.
            if round % 2 == 0 {
                figures.ns.push(time(new, None, case));
            }
            if let Some(old) = &mut old {
                figures.before_ns.push(time(new, Some(old), case));
            }
            if round % 2 == 1 {
                figures.ns.push(time(new, None, case));
            }
        }
    }
    if !cases.is_empty() {
        print(name, new, old, &cases, &all);
    }
}

fn print(
    name: &str,
    new: &mut Kernel,
    mut old: Option<&mut Kernel>,
    cases: &[&Case],
    all: &[Figures],
) {
    let before = ["", "   before: instructions, ns, ratio; now to before"];
    eprintln!(
        "{name}\n{:<12} {:<26} {:>12} {:>9} {:>8} {:>7} {:>8}{}",
        "program",
        "packet",
        "instructions",
        "verified",
        "nothing",
        "ns",
        "ratio",
        before[usize::from(old.is_some())],
    );
    for (case, figures) in cases.iter().zip(all) {
        let (instructions, verified) = new.instructions(case.program);
        let mut line = format!(
            "{:<12} {:<26} {instructions:>12} {verified:>9} {:>8.1} {:>7.1} {:>8.2}",
            case.program,
            case.packet,
            median(&figures.nothing_ns),
            median(&figures.ns),
            median(&ratios(&figures.ns, &figures.nothing_ns))
        );
        if let Some(old) = &mut old {
            line += &format!(
                "   {:>5} {:>7.1} {:>8.2} {:>6.2}",
                old.instructions(case.program).0,
                median(&figures.before_ns),
                median(&ratios(&figures.before_ns, &figures.nothing_ns)),
                median(&ratios(&figures.ns, &figures.before_ns))
            );
        }
        eprintln!("{line}");
    }
}

/// ns of one run, of the programs whose rings they are or of others that write into them.
fn time(kernel: &mut Kernel, mut other: Option<&mut Kernel>, case: &Case) -> f64 {
    of_a_round(|| {
        let measured = other.as_deref_mut().unwrap_or(kernel);
        let duration = measured.measure(case.program, &case.frame, REPEAT).duration;
        kernel.drain();
        duration
    })
}

/// What one run takes in this round, in ns. The kernel gives whole ns, cut off; so the mean is taken, of the middle half: the other
/// measurements shared the processor with somebody.
fn of_a_round(mut run: impl FnMut() -> Duration) -> f64 {
    let mut ns: Vec<f64> = (0..=MEASUREMENTS)
        .map(|_| run().as_nanos() as f64 + 0.5)
        .skip(1)
        .collect();
    ns.sort_by(f64::total_cmp);
    let middle = &ns[MEASUREMENTS / 4..MEASUREMENTS - MEASUREMENTS / 4];
    middle.iter().sum::<f64>() / middle.len() as f64
}

fn ratios(these: &[f64], those: &[f64]) -> Vec<f64> {
    these
        .iter()
        .zip(those)
        .map(|(this, that)| this / that)
        .collect()
}

fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}
