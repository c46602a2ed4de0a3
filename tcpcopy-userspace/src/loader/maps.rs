//! The maps of the programs: filled, made, read, in the bytes that the programs see.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::os::fd::AsFd;

use abi::counter::Counter;
use abi::maps::{
    COUNTERS, EGRESS, Egress, PORT_SERVICE, PORT_SERVICE_ANY, PORT_TARGET, PORTS, REPLIES, RINGS,
    SERVICES, SLEEPING, Service,
};
use aya::Ebpf;
use aya::maps::{Array, ArrayOfMaps, HashMap, Map, MapData, MapError, PerCpuArray, RingBuf};
use telemetry::KernelCounters;
use wire::flow::{Addr, Endpoint, PoolRange};

use super::Error;
use crate::plan::Plan;

/// Writes down what is captured, which replies are consumed, and where copies leave.
pub(super) fn fill(ebpf: &mut Ebpf, plan: &Plan) -> Result<(), Error> {
    let mut services: HashMap<_, [u8; 18], u32> = map_mut(ebpf, SERVICES)?
        .try_into()
        .map_err(in_map(SERVICES))?;
    for (index, rule) in (0..).zip(&plan.rules) {
        let Service { rule: index } = Service { rule: index };
        services
            .insert(endpoint_bytes(&rule.online), index, 0)
            .map_err(in_map(SERVICES))?;
    }
    let mut replies: HashMap<_, [u8; 18], [u8; 36]> = map_mut(ebpf, REPLIES)?
        .try_into()
        .map_err(in_map(REPLIES))?;
    for (target, range) in &plan.replies {
        replies
            .insert(endpoint_bytes(target), pool_bytes(range), 0)
            .map_err(in_map(REPLIES))?;
    }
    let mut ways: HashMap<_, [u8; 16], [u8; 32]> =
        map_mut(ebpf, EGRESS)?.try_into().map_err(in_map(EGRESS))?;
    for (target, egress) in &plan.egress {
        ways.insert(Addr::from(*target).octets(), egress_bytes(egress), 0)
            .map_err(in_map(EGRESS))?;
    }
    fill_ports(ebpf, plan)
}

/// Which ports the programs have to look at at all: most packets of a busy host are neither from nor to one of them.
fn fill_ports(ebpf: &mut Ebpf, plan: &Plan) -> Result<(), Error> {
    let services = plan.rules.iter().map(|rule| {
        let any = rule.online.addr == Addr::UNSPECIFIED;
        let bit = if any { PORT_SERVICE_ANY } else { PORT_SERVICE };
        (rule.online.port, bit)
    });
    let targets = plan
        .replies
        .iter()
        .map(|(target, _)| (target.port, PORT_TARGET));
    let mut bits: BTreeMap<u16, u32> = BTreeMap::new();
    for (port, bit) in services.chain(targets) {
        *bits.entry(port).or_default() |= bit;
    }
    let mut ports: Array<_, u32> = map_mut(ebpf, PORTS)?.try_into().map_err(in_map(PORTS))?;
    for (port, bits) in bits {
        ports.set(u32::from(port), bits, 0).map_err(in_map(PORTS))?;
    }
    Ok(())
}

/// The way to a target is another one now.
pub(super) fn set_egress(ebpf: &mut Ebpf, target: IpAddr, egress: &Egress) -> Result<(), Error> {
    let mut map: HashMap<_, [u8; 16], [u8; 32]> =
        map_mut(ebpf, EGRESS)?.try_into().map_err(in_map(EGRESS))?;
    map.insert(Addr::from(target).octets(), egress_bytes(egress), 0)
        .map_err(in_map(EGRESS))
}

/// The programs' counters, summed over all processors.
pub(super) fn counters(ebpf: &Ebpf) -> Result<KernelCounters, Error> {
    let map: PerCpuArray<_, u64> = ebpf
        .map(COUNTERS)
        .ok_or(Error::Absent(COUNTERS))?
        .try_into()
        .map_err(in_map(COUNTERS))?;
    let mut counters = KernelCounters::default();
    for &counter in Counter::ALL {
        let values = map.get(&(counter as u32), 0).map_err(in_map(COUNTERS))?;
        counters.set(counter, values.iter().sum());
    }
    Ok(counters)
}

/// Makes a worker's ring of `len` bytes and puts it into its place.
pub(super) fn ring(ebpf: &mut Ebpf, worker: u32, len: u32) -> Result<RingBuf<MapData>, Error> {
    let ring = aya_obj::generated::bpf_map_type::BPF_MAP_TYPE_RINGBUF as u32;
    let parameters = aya_obj::Map::new_from_params(ring, 0, 0, len, 0);
    let data = MapData::create(parameters, "tcpcopy_ring", None).map_err(in_map(RINGS))?;
    let ring: RingBuf<MapData> = Map::RingBuf(data).try_into().map_err(in_map(RINGS))?;
    let mut rings: ArrayOfMaps<_, RingBuf<MapData>> =
        map_mut(ebpf, RINGS)?.try_into().map_err(in_map(RINGS))?;
    rings.set(worker, &ring, 0).map_err(in_map(RINGS))?;
    Ok(ring)
}

/// A handle of its own to the map that tells the programs who sleeps.
pub(super) fn sleeping(ebpf: &Ebpf) -> Result<Array<MapData, u32>, Error> {
    let Some(Map::Array(data)) = ebpf.map(SLEEPING) else {
        return Err(Error::Absent(SLEEPING));
    };
    let fd = data
        .fd()
        .as_fd()
        .try_clone_to_owned()
        .map_err(MapError::IoError)
        .map_err(in_map(SLEEPING))?;
    let data = MapData::from_fd(fd).map_err(in_map(SLEEPING))?;
    Map::Array(data).try_into().map_err(in_map(SLEEPING))
}

pub(super) fn map_mut<'a>(ebpf: &'a mut Ebpf, map: &'static str) -> Result<&'a mut Map, Error> {
    ebpf.map_mut(map).ok_or(Error::Absent(map))
}

pub(super) fn in_map(map: &'static str) -> impl Fn(MapError) -> Error {
    move |source| Error::Map { map, source }
}

/// The bytes of a value as the programs see it (`repr(C)`, no padding): asserted in [`abi::maps`].
fn endpoint_bytes(endpoint: &Endpoint) -> [u8; 18] {
    let mut bytes = [0; 18];
    bytes[..16].copy_from_slice(endpoint.addr.octets());
    bytes[16..].copy_from_slice(&endpoint.port.to_ne_bytes());
    bytes
}

fn pool_bytes(range: &PoolRange) -> [u8; 36] {
    let mut bytes = [0; 36];
    bytes[..16].copy_from_slice(range.prefix.octets());
    bytes[16..32].copy_from_slice(range.mask.octets());
    bytes[32..34].copy_from_slice(&range.port_first.to_ne_bytes());
    bytes[34..].copy_from_slice(&range.port_last.to_ne_bytes());
    bytes
}

fn egress_bytes(egress: &Egress) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes[..4].copy_from_slice(&egress.kind.to_ne_bytes());
    bytes[4..8].copy_from_slice(&egress.ifindex.to_ne_bytes());
    bytes[8..12].copy_from_slice(&egress.mtu.to_ne_bytes());
    bytes[12..16].copy_from_slice(&egress.gateway_family.to_ne_bytes());
    bytes[16..].copy_from_slice(&egress.gateway);
    bytes
}
