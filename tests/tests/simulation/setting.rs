//! Where a simulation takes place: addresses, the engine's configuration, and what the programs in the kernel do.

use std::time::Duration;

use session::{Config, Rule, Source};
use wire::flow::{Addr, Endpoint, PoolRange};
use wire::segment::Segment;
use wire::tcp::Flags;

use crate::plan::Plan;
use crate::server::{PORT, Server};
use crate::stack::Stack;

/// Addresses of the hosts, and of the reply pool.
pub(crate) const CLIENT: [u8; 4] = [10, 0, 0, 1];
pub(crate) const ONLINE: [u8; 4] = [10, 0, 0, 2];
const POOL: [u8; 4] = [10, 0, 0, 3];
pub(crate) const TARGET: [u8; 4] = [10, 0, 0, 4];
/// Port of the first client.
pub(crate) const CLIENT_PORT: u16 = 20_000;

/// Longer than any target of a plan takes.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(200);
/// Where clients do not wait for responses it decides: see [`Plan::is_pipelined`].
const RESPONSE_TIMEOUT_PIPELINED: Duration = Duration::from_secs(5);

/// The engine's configuration.
pub(crate) fn config(plan: &Plan, seed: u64) -> Config {
    let endpoint = |address| Endpoint::new(Addr::v4(address), PORT);
    Config {
        rules: vec![Rule {
            online: endpoint(ONLINE),
            target: endpoint(TARGET),
            mtu: plan.target_mtu,
            full_sessions_only: false,
        }],
        source: if plan.keep_addresses {
            Source::Clients
        } else {
            Source::Pool {
                ranges: vec![PoolRange {
                    prefix: Addr::v4(POOL),
                    mask: Addr::v6([255; 16]),
                    port_first: 10_000,
                    port_last: 9_999 + plan.pool_ports,
                }],
                excluded_ports: vec![],
            }
        },
        worker: 0,
        workers: 1,
        copies: plan.copies,
        wait_for_responses: plan.waits,
        response_timeout: if plan.times_out() {
            RESPONSE_TIMEOUT_PIPELINED
        } else {
            RESPONSE_TIMEOUT
        },
        idle_timeout: Duration::from_secs(3600),
        sessions_max: 1000,
        payload_bytes_max: 64 << 20,
        sessions_per_second_max: None,
        in_order: true,
        gap_grace: Duration::from_millis(20),
        prove_path: plan.prove_path,
        unix_nanos: 1_800_000_000_000_000_000 + seed * 1_000_003,
    }
}

/// Whether a server's TCP may have a packet: see [`Server::lets_in`].
pub(crate) fn is_let_in(packet: &[u8], server: &mut Server, stack: &mut Stack) -> bool {
    match Segment::parse(packet, 0) {
        Ok(segment) if segment.flags.contains(Flags::SYN) => {
            server.lets_in(segment.source.port, stack)
        }
        _ => true,
    }
}

/// IP and TCP headers of a packet.
pub(crate) fn headers(packet: &[u8]) -> &[u8] {
    match Segment::parse(packet, 0) {
        Ok(segment) => &packet[..usize::from(segment.payload_offset)],
        Err(_) => packet,
    }
}

/// The earlier of an application's and a stack's wish, but after `now`: both have just been run.
pub(crate) fn earlier(application: Option<u64>, stack: Option<u64>, now: u64) -> Option<u64> {
    let at = [application, stack].into_iter().flatten().min()?;
    Some(at.max(now + 1000))
}
