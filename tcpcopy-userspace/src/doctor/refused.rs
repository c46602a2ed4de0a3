//! A refused plan as a finding: in the very words of the run, with the command that helps.

use std::path::Path;

use host::Error;

use super::finding::Finding;
use crate::plan::Refusal;
use crate::plan::refusal::RESERVE;

/// The finding, and what is to be done about it.
pub(crate) fn finding(refusal: &Refusal) -> Finding {
    let fail = Finding::fail("arguments", refusal.finding(), refusal.to_string());
    match refusal {
        Refusal::Host(Error::Down { name }) => fail.fix_here(format!("ip link set {name} up")),
        Refusal::Host(Error::NoInterface { .. } | Error::NotEthernet { .. })
        | Refusal::EgressNotEthernet { .. } => fail.look_here("ip -brief link"),
        Refusal::NoRoute { target, .. } => fail
            .fix_here(format!("ip route add {target} via GATEWAY"))
            .look_here(format!("ip route get {target}")),
        Refusal::NoOnlineInterface { .. } | Refusal::NoSourceAddress { .. } => {
            fail.look_here("ip -brief address")
        }
        Refusal::PoolPortInUse { port, .. } => {
            fail.look_here(format!("ss -tlnp 'sport = :{port}'"))
        }
        Refusal::PoolEphemeral { pool, .. } => fail.fix_here(format!(
            "sysctl -w net.ipv4.ip_local_reserved_ports={}-{}",
            pool.range.port_first, pool.range.port_last
        )),
        Refusal::PoolPortTaken { port, .. } => {
            fail.look_here(format!("ss -tanp 'sport = :{port}'"))
        }
        Refusal::NoDefaultPool { .. } => fail.fix_here(format!(
            "sysctl -w net.ipv4.ip_local_reserved_ports={RESERVE}"
        )),
        Refusal::PoolNotRouted {
            pool,
            address,
            target,
        } => fail.look_here(format!("ip route get {address}")).look(
            target.addr,
            format!("ip route show match {}", pool.network()),
        ),
        Refusal::NoMemory { .. } => fail.look_here("free -m"),
        Refusal::UnknownIntercept { address, .. } => {
            let name = address
                .rsplit_once(':')
                .map_or(&**address, |(name, _)| name);
            fail.look_here(format!("getent hosts {name}"))
        }
        _ => fail,
    }
}

/// A file that could not be written at the end of a run.
pub(crate) fn of_file(path: &Path, cause: &std::io::Error) -> Finding {
    let folder = path.parent().unwrap_or(Path::new("."));
    Finding::fail("arguments", "summary-folder", cause.to_string())
        .fix_here(format!("mkdir -p {}", folder.display()))
}
