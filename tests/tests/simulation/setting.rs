//! Where a simulation takes place: addresses, the engine's configuration, and what the programs in the kernel do.

use std::sync::Arc;
use std::time::Duration;

use protocol::{Choice, Module, Protocol};
use session::{Config, Engine, Instant, Join, Rule, Source};
use smoltcp::wire::TcpSeqNumber;
use wire::flow::{Addr, Endpoint, PoolRange};
use wire::segment::Segment;
use wire::tcp::{Flags, Header, Options};

use crate::packet;
use crate::plan::{self, Joining, Plan};
use crate::server::{PORT, Server, Syn};
use crate::stack::{SECOND, Stack};

/// Addresses of the hosts, and of the reply pool.
pub(crate) const CLIENT: [u8; 4] = [10, 0, 0, 1];
/// Another network's client.
pub(crate) const STRANGER: [u8; 4] = [10, 0, 9, 1];
pub(crate) const ONLINE: [u8; 4] = [10, 0, 0, 2];
const POOL: [u8; 4] = [10, 0, 0, 3];
pub(crate) const TARGET: [u8; 4] = [10, 0, 0, 4];
/// When a simulation begins.
pub(crate) const START: u64 = 5 * SECOND;
/// Port of the first client.
pub(crate) const CLIENT_PORT: u16 = 20_000;

/// Longer than any target of a plan takes.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(200);
/// Where clients do not wait for responses it decides: see [`Plan::times_out`].
pub(crate) const RESPONSE_TIMEOUT_PIPELINED: Duration = Duration::from_secs(5);

/// How long a hole is waited for that the online server has acknowledged.
pub(crate) const GAP_GRACE: Duration = Duration::from_millis(20);

/// Longer than any simulation.
const FOR_EVER: Duration = Duration::from_secs(3600);
/// How far before the wrap a session's numbers begin, where they are to wrap.
const WRAP_DISTANCE: u32 = 2000;
/// What a session's first number advances by, in nanoseconds (RFC 6528's clock).
const ISN_TICK: u64 = 4000;

/// The configuration of a worker's engine.
pub(crate) fn config(plan: &Plan, seed: u64, worker: u32) -> Config {
    let mut config = plain(plan, worker);
    config.unix_nanos += seed * 1_000_003;
    config.hash_seed = seed;
    if plan.oddities.wraps[3] && worker == 0 {
        let before_wrap = 0u32.wrapping_sub(WRAP_DISTANCE);
        if let Some(isn) = isn_of_the_first(plan, &config) {
            config.unix_nanos += u64::from(before_wrap.wrapping_sub(isn)) * ISN_TICK;
        }
    }
    config
}

fn module(module: plan::Module) -> Module {
    Module {
        choice: if module.auto {
            Choice::Auto
        } else {
            Choice::Is(Protocol::Http1)
        },
        read_only: module.read_only,
        ..Module::default()
    }
}

fn endpoint(plan: &Plan, numbers: [u8; 4]) -> Endpoint {
    Endpoint::new(plan.host(numbers).addr(), PORT)
}

fn plain(plan: &Plan, worker: u32) -> Config {
    let setting = &plan.setting;
    Config {
        rules: vec![Rule {
            online: endpoint(plan, ONLINE),
            target: endpoint(plan, TARGET),
            mtu: plan.network.target_mtu,
            join: match setting.joining {
                Joining::Never => Join::Never,
                Joining::Standalone => Join::Standalone,
                Joining::Always => Join::Always,
            },
            resume_anywhere: setting.joining == Joining::Always,
            module: setting.module.map(|it| Arc::new(module(it))),
        }],
        source: if setting.keep_addresses {
            Source::Clients
        } else {
            Source::Pool {
                ranges: vec![PoolRange {
                    prefix: plan.host(POOL).addr(),
                    mask: Addr::v6([255; 16]),
                    port_first: 10_000,
                    port_last: 9_999 + setting.pool_ports,
                }],
                excluded_ports: vec![],
            }
        },
        worker,
        workers: setting.workers,
        copies: setting.copies,
        wait_for_responses: setting.waits,
        response_timeout: if plan.times_out() {
            RESPONSE_TIMEOUT_PIPELINED
        } else {
            RESPONSE_TIMEOUT
        },
        idle_timeout: setting.idle_timeout.map_or(FOR_EVER, Duration::from_nanos),
        sessions_max: setting.sessions_max,
        payload_bytes_max: setting.payload_bytes_max,
        sessions_per_second_max: setting.sessions_per_second_max,
        in_order: plan.ring.observe_delay.is_none(),
        gap_grace: GAP_GRACE,
        credentials: None,
        digests: None,
        hash_seed: 0,
        prove_path: setting.prove_path,
        confirmed: setting.confirmed,
        reply_slack: setting.reply_slack,
        reply_bytes_per_second_max: None,
        unix_nanos: 1_800_000_000_000_000_000,
    }
}

/// The number that the first session of an engine begins with.
fn isn_of_the_first(plan: &Plan, config: &Config) -> Option<u32> {
    let starts = || plan.connections.iter().map(|connection| connection.start);
    let start = if plan.setting.keep_addresses {
        starts().next()
    } else {
        starts().min()
    };
    let handshake = plan.network.to_online.delay + plan.ring.delay;
    let at = Instant::from_nanos(START + start? + handshake);
    let mut engine = Engine::new(config.clone(), at);
    let header = |flags, source, destination, ack| Header {
        source,
        destination,
        seq: 1,
        ack,
        flags,
        window: 1000,
        urgent: 0,
        options: Options::default(),
    };
    let client = Endpoint::new(plan.host(CLIENT).addr(), CLIENT_PORT);
    let mut frame = [0; 1514];
    let mut emit = |header: Header| {
        let len = header.payload_offset();
        header
            .emit(&mut frame[..len])
            .then(|| frame[14..len].to_vec())
    };
    let syn = emit(header(Flags::SYN, client, endpoint(plan, ONLINE), 0))?;
    let accepted = Flags::SYN.with(Flags::ACK);
    let syn_ack = emit(header(accepted, endpoint(plan, ONLINE), client, 2))?;
    engine.on_client_packet(at, at, &syn);
    engine.on_online_packet(at, at, &syn_ack);
    let len = engine.poll_transmit(at, &mut frame)?;
    Segment::parse(&frame[14..len], 0)
        .map(|segment| segment.seq)
        .ok()
}

/// How far outside every window a segment stands that is to be answered with an ACK.
const OUTSIDE: i32 = 1 << 30;

/// What a server's TCP gets of a packet: see [`Server::receive_syn`].
pub(crate) fn let_in(mut packet: Vec<u8>, server: &mut Server, stack: &mut Stack) -> Vec<Vec<u8>> {
    let Some(segment) = packet::valid(&packet) else {
        return vec![packet];
    };
    if !segment.flags.contains(Flags::SYN) {
        if segment.flags.contains(Flags::ACK) && !segment.flags.contains(Flags::RST) {
            let ack = server.receive_ack(segment.source.port, segment.ack);
            packet::edit(&mut packet, |tcp| {
                tcp.set_ack_number(TcpSeqNumber(ack.cast_signed()));
            });
        }
        return vec![packet];
    }
    match server.receive_syn(segment.source.port, stack) {
        Syn::Accepted => vec![packet],
        Syn::Dropped => vec![],
        Syn::Challenged => {
            // One of the two acknowledges what was never sent, and is answered; the other is ignored.
            let seq = segment.seq.cast_signed().wrapping_add(OUTSIDE);
            let challenging = [seq, seq.wrapping_add(i32::MIN)].map(|ack| {
                let mut packet = packet.clone();
                packet::edit(&mut packet, |tcp| {
                    tcp.set_seq_number(TcpSeqNumber(seq));
                    tcp.set_ack_number(TcpSeqNumber(ack));
                    tcp.set_syn(false);
                    tcp.set_ack(true);
                });
                packet
            });
            challenging.into()
        }
    }
}

/// The earlier of an application's and a stack's wish, but after `now`: both have just been run.
pub(crate) fn earlier(application: Option<u64>, stack: Option<u64>, now: u64) -> Option<u64> {
    let at = [application, stack].into_iter().flatten().min()?;
    Some(at.max(now + 1000))
}
