//! The maps of the programs: filled and read, in the bytes that the programs see.

use std::collections::BTreeMap;

use abi::bytes;
use abi::counter::Counter;
use abi::maps::{
    COUNTERS, EGRESS_SLOTS, GATEWAYS, POOL_ADDRESSES, PORT_ANYWHERE, PORT_ANYWHERE_WHOLE,
    PORT_OF_TARGET, PORT_SERVICE, PORT_SERVICE_WHOLE, PORT_TARGET, PORT_TARGET_WHOLE, PORTS,
    REPLIES, Replies, SERVICES,
};
use aya::Ebpf;
use aya::maps::{Array, HashMap, Map, MapError, PerCpuArray};
use telemetry::KernelCounters;
use wire::flow::{Addr, Endpoint};

use super::Error;
use crate::plan::Plan;
use words::Words;

/// Writes down which replies are consumed, and which target stands where in the array of ways.
pub(super) fn fill(ebpf: &mut Ebpf, plan: &Plan) -> Result<(), Error> {
    let mut replies: HashMap<_, [u8; 18], [u8; 48]> = map_mut(ebpf, REPLIES)?
        .try_into()
        .map_err(in_map(REPLIES))?;
    let whole = plan.whole_targets();
    for (target, value) in &plan.filter.replies {
        let value = Replies {
            whole: whole.contains(target).into(),
            ..*value
        };
        replies
            .insert(bytes::endpoint(target), bytes::replies(&value), 0)
            .map_err(in_map(REPLIES))?;
    }
    let mut addresses: HashMap<_, [u8; 16], u32> = map_mut(ebpf, POOL_ADDRESSES)?
        .try_into()
        .map_err(in_map(POOL_ADDRESSES))?;
    for (address, offset) in &plan.filter.addresses {
        addresses
            .insert(address.octets(), offset, 0)
            .map_err(in_map(POOL_ADDRESSES))?;
    }
    let mut slots: HashMap<_, [u8; 16], u32> = map_mut(ebpf, EGRESS_SLOTS)?
        .try_into()
        .map_err(in_map(EGRESS_SLOTS))?;
    for (slot, (target, _)) in (0..).zip(&plan.egress) {
        slots
            .insert(Addr::from(*target).octets(), slot, 0)
            .map_err(in_map(EGRESS_SLOTS))?;
    }
    fill_ports(ebpf, plan)
}

/// Which ports the programs have to look at at all: most packets of a busy host are neither from nor to one of them.
fn fill_ports(ebpf: &mut Ebpf, plan: &Plan) -> Result<(), Error> {
    let services = plan.live_rules_with_wishes().map(|(rule, is_whole)| {
        let wish = if is_whole { PORT_SERVICE_WHOLE } else { 0 };
        (rule.online.port, PORT_SERVICE | wish)
    });
    let whole = plan.whole_targets();
    let targets = plan.filter.replies.iter().map(|(target, _)| {
        let is_whole = whole.contains(target);
        let wish = if is_whole { PORT_TARGET_WHOLE } else { 0 };
        (target.port, PORT_TARGET | wish)
    });
    // Only where some device shows packets of other hosts: nobody else asks.
    let has_others = !plan.hooks_apart().is_empty();
    let anywhere = plan
        .live_rules_with_wishes()
        .filter_map(|(rule, is_whole)| {
            let any = has_others && rule.online.addr == Addr::UNSPECIFIED;
            let wish = if is_whole { PORT_ANYWHERE_WHOLE } else { 0 };
            any.then_some((rule.online.port, PORT_ANYWHERE | wish))
        });
    let copied_to = plan
        .live_rules()
        .iter()
        .filter(|_| plan.recorder.is_none())
        .map(|rule| (rule.target.port, PORT_OF_TARGET));
    let mut bits: BTreeMap<u16, u32> = BTreeMap::new();
    for (port, bit) in services.chain(targets).chain(anywhere).chain(copied_to) {
        *bits.entry(port).or_default() |= bit;
    }
    let mut ports: Array<_, u32> = map_mut(ebpf, PORTS)?.try_into().map_err(in_map(PORTS))?;
    for (port, bits) in bits {
        ports.set(u32::from(port), bits, 0).map_err(in_map(PORTS))?;
    }
    Ok(())
}

/// An online service is captured from now on; `wishes` are its `SERVICE_` bits.
pub(super) fn add_service(ebpf: &mut Ebpf, online: &Endpoint, wishes: u32) -> Result<(), Error> {
    let mut services: HashMap<_, [u8; 18], u32> = map_mut(ebpf, SERVICES)?
        .try_into()
        .map_err(in_map(SERVICES))?;
    services
        .insert(bytes::endpoint(online), wishes, 0)
        .map_err(in_map(SERVICES))
}

/// An online service is not captured any more.
pub(super) fn remove_service(ebpf: &mut Ebpf, online: &Endpoint) -> Result<(), Error> {
    let mut services: HashMap<_, [u8; 18], u32> = map_mut(ebpf, SERVICES)?
        .try_into()
        .map_err(in_map(SERVICES))?;
    match services.remove(&bytes::endpoint(online)) {
        Ok(()) | Err(MapError::KeyNotFound) => Ok(()),
        Err(error) => Err(in_map(SERVICES)(error)),
    }
}

/// A next hop that no way names yet.
pub(super) fn set_gateway(ebpf: &mut Ebpf, index: u32, gateway: [u8; 16]) -> Result<(), Error> {
    let mut gateways: Array<_, [u8; 16]> = map_mut(ebpf, GATEWAYS)?
        .try_into()
        .map_err(in_map(GATEWAYS))?;
    gateways.set(index, gateway, 0).map_err(in_map(GATEWAYS))
}

/// The words of an array, in this process's memory.
pub(super) fn words(ebpf: &Ebpf, map: &'static str, len: u32) -> Result<Words, Error> {
    let Some(Map::Array(data)) = ebpf.map(map) else {
        return Err(Error::Absent(map));
    };
    Words::map(data.fd(), len as usize)
        .map_err(|errno| MapError::IoError(errno.into()))
        .map_err(in_map(map))
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
        let total = programs::counters::total(&map, counter).map_err(in_map(COUNTERS))?;
        counters.set(counter, total);
    }
    Ok(counters)
}

pub(super) fn map_mut<'a>(ebpf: &'a mut Ebpf, map: &'static str) -> Result<&'a mut Map, Error> {
    ebpf.map_mut(map).ok_or(Error::Absent(map))
}

pub(super) fn in_map(map: &'static str) -> impl Fn(MapError) -> Error {
    move |source| Error::Map { map, source }
}
