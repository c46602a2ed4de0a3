//! Reduces the plan of a failing seed: fewer connections and requests, faults off one by one, smaller sizes, as long as the
//! same thing fails. What remains random (paths, stacks) stays that of the seed.

use std::time::{Duration, Instant};

use session::limits::REPLY_SLACK;

use crate::application::{Answer, Application, Connection, Protocol, REQUEST_LEN_MIN};
use crate::http;
use crate::link::Impairment;
use crate::plan::{Joining, PAYLOAD_PLENTY, PLENTY, Plan};
use crate::runner::run;
use crate::stack::{MICROSECOND, SECOND, SocketOptions};
use crate::trace::Trace;
use crate::world::plan_of;

/// Longest that a reduction may take.
const TIME_MAX: Duration = Duration::from_secs(30);

/// What makes a plan smaller.
type Change = Box<dyn Fn(&mut Plan)>;
/// The same with its name, for what there is one of, and for what is in a connection.
type Fault = (&'static str, fn(&mut Plan));
type Simplification = (&'static str, fn(&mut Connection));

/// The plans that are a step smaller than `plan`, with the names of the steps; always the same for the same plan.
pub(crate) fn candidates(plan: &Plan) -> Vec<(String, Plan)> {
    let mut changes: Vec<(String, Change)> = vec![];
    let mut add = |name: String, change: Change| changes.push((name, change));
    for number in 0..plan.connections.len() {
        add(
            format!("without connection {number}"),
            Box::new(move |plan| {
                if plan.connections.len() > 1 {
                    plan.connections.remove(number);
                }
            }),
        );
    }
    for (name, change) in faults().into_iter().chain(MODULE) {
        add(name.to_owned(), Box::new(change));
    }
    for number in 0..plan.happenings.len() {
        add(
            format!("without happening {number}"),
            Box::new(move |plan| {
                plan.happenings.remove(number);
            }),
        );
    }
    for (number, connection) in plan.connections.iter().enumerate() {
        for batch in 0..connection.batches.len() {
            add(
                format!("without batch {batch} of connection {number}"),
                Box::new(move |plan| {
                    let batches = &mut plan.connections[number].batches;
                    if batches.len() > 1 {
                        batches.remove(batch);
                        let rests_at = &mut plan.connections[number].rests_at;
                        *rests_at = rests_at.map(|at| if batch < at { at - 1 } else { at });
                    }
                }),
            );
        }
        for (name, change) in simplifications() {
            add(
                format!("{name} in connection {number}"),
                Box::new(move |plan| change(&mut plan.connections[number])),
            );
        }
    }
    let candidates = changes.into_iter().filter_map(|(name, change)| {
        let mut smaller = plan.clone();
        change(&mut smaller);
        (smaller != *plan).then_some((name, smaller))
    });
    candidates.collect()
}

/// Changes that turn a protocol module off, or its filter.
const MODULE: [Fault; 2] = [
    ("no module", |p| p.setting.module = None),
    ("no filter", |p| {
        if let Some(module) = &mut p.setting.module {
            module.read_only = false;
        }
    }),
];

/// Changes that turn one fault or setting off.
fn faults() -> Vec<Fault> {
    vec![
        ("client path clean", |p| clean(&mut p.network.to_online)),
        ("online path clean", |p| clean(&mut p.network.to_client)),
        ("target path clean", |p| clean(&mut p.network.to_target)),
        ("reply path clean", |p| clean(&mut p.network.to_engine)),
        ("no splitting", |p| p.network.to_online.splitting = 0),
        ("no assistant", |p| p.network.report = None),
        ("no narrow path", |p| p.network.narrow = None),
        ("IPv4", |p| p.network.is_v6 = false),
        ("no samples", |p| p.setting.sample_len = 0),
        ("no offload", |p| p.network.offload = None),
        ("wide client path", |p| p.network.client_mtu = 1500),
        ("wide target path", |p| p.network.target_mtu = 1500),
        ("no capture loss", |p| p.ring.capture_lost = 0),
        ("no observe loss", |p| p.ring.observe_lost = 0),
        ("no reply loss", |p| p.ring.reply_lost = 0),
        ("records at once", |p| p.ring.delay = 0),
        ("one total order", |p| p.ring.observe_delay = None),
        ("SYN without data", |p| p.oddities.syn_data = false),
        ("nothing urgent", |p| p.oddities.urgent = 0),
        ("no forged clients", |p| p.oddities.forged_clients = 0),
        ("no forged replies", |p| p.oddities.forged_replies = 0),
        ("no wrap", |p| p.oddities.wraps = [false; 4]),
        ("plain client", |p| plain(&mut p.client_options)),
        ("plain online server", |p| plain(&mut p.online_options)),
        ("plain target", |p| plain(&mut p.target_options)),
        ("fast target", |p| p.faults.slow = None),
        ("target does not close", |p| p.faults.closes_after = None),
        ("target does not reset", |p| p.faults.resets_after = None),
        ("no greeting", |p| p.greeting = (0, 0)),
        ("own client ports", |p| p.reuses_ports = false),
        ("capture from the start", |p| p.capture_from = 0),
        ("not cut short", |p| p.cut = None),
        ("no calm phase", |p| {
            p.calm = None;
            p.connections.retain(|it| it.rests_at != Some(0));
            for connection in &mut p.connections {
                if let Some(rests_at) = connection.rests_at.take() {
                    connection.batches.truncate(rests_at);
                }
            }
        }),
        ("a short rest", |p| p.calm = p.calm.map(|_| SECOND)),
        ("pool", |p| p.setting.keep_addresses = false),
        ("one copy", |p| p.setting.copies = 1),
        ("many ports", |p| p.setting.pool_ports = PLENTY),
        ("waits", |p| p.setting.waits = true),
        ("path not proven", |p| p.setting.prove_path = false),
        ("one network", |p| {
            (p.setting.two_networks, p.setting.astray_until) = (false, 0);
        }),
        ("nothing goes astray", |p| p.setting.astray_until = 0),
        ("many sessions", |p| p.setting.sessions_max = PLENTY.into()),
        ("no rate", |p| p.setting.sessions_per_second_max = None),
        ("much payload", |p| {
            p.setting.payload_bytes_max = PAYLOAD_PLENTY;
        }),
        ("one worker", |p| p.setting.workers = 1),
        ("no idle timeout", |p| p.setting.idle_timeout = None),
        ("much slack", |p| p.setting.reply_slack = REPLY_SLACK),
        ("unconfirmed", |p| p.setting.confirmed = false),
        ("joins", |p| p.setting.joining = Joining::Standalone),
    ]
}

fn clean(path: &mut Impairment) {
    *path = Impairment {
        delay: 100 * MICROSECOND,
        ..Impairment::default()
    };
}

fn plain(options: &mut SocketOptions) {
    *options = SocketOptions {
        receive_buffer: 65_535,
        send_buffer: 65_536,
        nagle: false,
        ack_delay_ms: 0,
        timestamps: false,
        keep_alive_ms: None,
    };
}

/// Changes that make a connection simpler.
fn simplifications() -> Vec<Simplification> {
    vec![
        ("start at once", |connection| connection.start = 0),
        ("one request per batch", |connection| {
            for batch in &mut connection.batches {
                batch.requests.truncate(1);
            }
        }),
        ("nothing unprompted", |connection| {
            connection.pushes = (vec![], vec![]);
        }),
        ("no think time", |connection| {
            connection.batches.iter_mut().for_each(|it| it.think = 0);
        }),
        ("short requests", |connection| {
            let least = match connection.protocol {
                Protocol::Http if connection.application == Application::Continue => return,
                Protocol::Http => http::REQUEST_LEN_MIN,
                Protocol::Lines | Protocol::Frames => REQUEST_LEN_MIN,
            };
            for request in connection
                .batches
                .iter_mut()
                .flat_map(|it| &mut it.requests)
            {
                request.len = request.len.min(least);
            }
        }),
        ("short responses", |connection| match connection.protocol {
            Protocol::Http => each_answer(connection, |answer| {
                answer.len = answer.len.min(http::RESPONSE_LEN_MIN);
            }),
            Protocol::Lines | Protocol::Frames => {
                each_answer(connection, |answer| answer.len = answer.len.min(10));
            }
        }),
        ("fast responses", |connection| {
            each_answer(connection, |answer| answer.delay = 0);
        }),
        ("responses in one piece", |connection| {
            each_answer(connection, |answer| answer.pieces = 1);
        }),
    ]
}

fn each_answer(connection: &mut Connection, change: fn(&mut Answer)) {
    for request in connection
        .batches
        .iter_mut()
        .flat_map(|it| &mut it.requests)
    {
        change(&mut request.online);
        change(&mut request.target);
    }
}

/// What failed, without the numbers in it.
fn kind(said: &str) -> String {
    said.chars()
        .filter(|letter| !letter.is_ascii_digit())
        .take(40)
        .collect()
}

/// Reduces the plan of a seed that failed with `said`, and prints what remains and how it ends.
pub(crate) fn tell(seed: u64, said: &str) {
    let replay = "cargo test -p tests --test simulation -- --nocapture";
    eprintln!("\nto replay: SIM_SEED={seed} SIM_TRACE=1 {replay}\n");
    let begin = Instant::now();
    let mut plan = plan_of(seed).1;
    let mut steps: Vec<String> = vec![];
    let mut from = 0;
    loop {
        let candidates = candidates(&plan);
        let count = candidates.len();
        // On from where the last step was, then once more from the start.
        let order = (from..count).chain(0..from.min(count));
        let smaller = order
            .take_while(|_| begin.elapsed() < TIME_MAX)
            .find(|&index| {
                let result = run(seed, &candidates[index].1, &Trace::Nothing);
                result.is_err_and(|other| kind(&other) == kind(said))
            });
        let Some(index) = smaller else { break };
        from = index;
        plan = candidates.into_iter().nth(index).expect("a candidate").1;
        steps.push(index.to_string());
    }
    let trace = Trace::kept();
    let result = run(seed, &plan, &trace);
    eprintln!(
        "the smallest plan that fails like this, after {} steps:",
        steps.len()
    );
    eprintln!("{plan:?}\n");
    for line in trace.lines() {
        eprintln!("{line}");
    }
    eprintln!("\nit says: {}", result.err().unwrap_or_default());
    let steps = steps.join(".");
    eprintln!("to replay: SIM_SEED={seed} SIM_REDUCE={steps} SIM_TRACE=1 {replay}\n");
}
