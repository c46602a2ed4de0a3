//! A refused plan as a finding: in the very words of the run, with the command that helps.

use std::path::Path;

use host::Error;

use super::finding::Finding;
use crate::plan::Refusal;
use crate::plan::refusal::RESERVE;

/// The finding, and what is to be done about it.
pub(crate) fn finding(refusal: &Refusal) -> Finding {
    let words = refusal.to_string();
    let fail = |finding| Finding::fail("arguments", finding, words.clone());
    match refusal {
        Refusal::Host(Error::Down { name }) => {
            fail("interface-down").fix_here(format!("ip link set {name} up"))
        }
        Refusal::Host(Error::NoInterface { .. }) => {
            fail("no-interface").look_here("ip -brief link")
        }
        Refusal::Host(Error::NotEthernet { .. }) | Refusal::EgressNotEthernet { .. } => {
            fail("not-ethernet").look_here("ip -brief link")
        }
        Refusal::Host(_) => fail("host"),
        Refusal::NoRoute { target, .. } => fail("no-route")
            .fix_here(format!("ip route add {target} via GATEWAY"))
            .look_here(format!("ip route get {target}")),
        Refusal::NoOnlineInterface { .. } => {
            fail("no-online-interface").look_here("ip -brief address")
        }
        Refusal::NoMemory { .. } => fail("no-memory").look_here("free -m"),
        Refusal::NoSourceAddress { .. } => fail("no-source-address").look_here("ip -brief address"),
        Refusal::UnknownIntercept { address, .. } => {
            let name = address
                .rsplit_once(':')
                .map_or(&**address, |(name, _)| name);
            fail("intercept-unknown").look_here(format!("getent hosts {name}"))
        }
        Refusal::NoTcx { .. } => fail("no-tcx"),
        Refusal::Insecure { .. } => fail("insecure"),
        Refusal::DuplicateRule { .. }
        | Refusal::TooManyRules { .. }
        | Refusal::Loop { .. }
        | Refusal::LinkLocalTarget { .. }
        | Refusal::LoopbackClients { .. }
        | Refusal::LoopbackVantage { .. }
        | Refusal::TwoVantages { .. }
        | Refusal::TargetMoved { .. }
        | Refusal::LocalTargetWithAssistant { .. } => fail("rule-unusable"),
        Refusal::PoolPortInUse { .. }
        | Refusal::PoolEphemeral { .. }
        | Refusal::PoolPortTaken { .. }
        | Refusal::NoDefaultPool { .. }
        | Refusal::PoolNotRouted { .. }
        | Refusal::PoolTooSmall { .. }
        | Refusal::PoolIsLocal { .. }
        | Refusal::PoolHoldsTarget { .. }
        | Refusal::TooManyLeases { .. }
        | Refusal::NoPoolOfFamily { .. }
        | Refusal::TwoPools { .. }
        | Refusal::MixedSources { .. }
        | Refusal::CopiesWithoutPool { .. } => of_pool(refusal),
    }
}

/// The same of a reply pool.
fn of_pool(refusal: &Refusal) -> Finding {
    let fail = |finding| Finding::fail("arguments", finding, refusal.to_string());
    match refusal {
        Refusal::PoolPortInUse { port, .. } => {
            fail("pool-port-in-use").look_here(format!("ss -tlnp 'sport = :{port}'"))
        }
        Refusal::PoolEphemeral { pool, .. } => fail("pool-ephemeral").fix_here(format!(
            "sysctl -w net.ipv4.ip_local_reserved_ports={}-{}",
            pool.range.port_first, pool.range.port_last
        )),
        Refusal::PoolPortTaken { port, .. } => {
            fail("pool-port-taken").look_here(format!("ss -tanp 'sport = :{port}'"))
        }
        Refusal::NoDefaultPool { .. } => fail("no-default-pool").fix_here(format!(
            "sysctl -w net.ipv4.ip_local_reserved_ports={RESERVE}"
        )),
        Refusal::PoolNotRouted {
            pool,
            address,
            target,
        } => fail("pool-not-routed")
            .look_here(format!("ip route get {address}"))
            .look(
                target.addr,
                format!("ip route show match {}", pool.network()),
            ),
        Refusal::PoolTooSmall { .. } => fail("pool-too-small"),
        _ => fail("pool-unusable"),
    }
}

/// A file that could not be written at the end of a run.
pub(crate) fn of_file(path: &Path, cause: &std::io::Error) -> Finding {
    let folder = path.parent().unwrap_or(Path::new("."));
    Finding::fail("arguments", "summary-folder", cause.to_string())
        .fix_here(format!("mkdir -p {}", folder.display()))
}
