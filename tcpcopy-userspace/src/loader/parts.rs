//! What each worker gets of the kernel: its ring, its port, its words.

use std::os::fd::AsRawFd;
use std::sync::Arc;

use abi::maps::{LEASES, SLEEPING, WORKERS_MAX, XSKS};
use aya::Ebpf;
use aya::maps::XskMap;
use host::PrivateDevice;
use port::Port;
use ring::Entries;
use wire::ethernet;
use words::Words;

use super::object::lease_words;
use super::rings::Rings;
use super::{Error, maps};
use crate::args::Capture;
use crate::plan::Plan;
use crate::worker::leases::Leases;
use crate::worker::pausing::Switch;

/// What all workers get.
pub(crate) struct Parts {
    pub(crate) workers: Vec<WorkerParts>,
    /// Longest frame that the private device carries, Ethernet header included, in bytes.
    pub(crate) frame_len_max: usize,
}

/// What one worker gets.
pub(crate) struct WorkerParts {
    pub(crate) ring: Entries,
    /// Where all workers tell the programs whether they sleep.
    pub(crate) sleeping: Arc<Words>,
    pub(crate) port: Port,
    /// Which ports its sessions have leased.
    pub(crate) leases: Leases,
    /// Whether the programs record anything for it.
    pub(crate) switch: Switch,
}

/// Opens the ports, makes the rings, and says which leases stand from the start.
pub(super) fn make(ebpf: &mut Ebpf, plan: &Plan, paused: &Arc<Words>) -> Result<Parts, Error> {
    let mut rings = Rings::take(ebpf, plan.fixed.ring_len)?;
    let leased = Arc::new(maps::words(ebpf, LEASES, lease_words(plan))?);
    let sleeping = Arc::new(maps::words(ebpf, SLEEPING, WORKERS_MAX)?);
    let filter = Arc::new(plan.filter.clone());
    let ports = open_ports(plan)?;
    if plan.capture == Capture::AfXdp {
        let mut sockets =
            XskMap::try_from(maps::map_mut(ebpf, XSKS)?).map_err(maps::in_map(XSKS))?;
        for (queue, port) in (0..).zip(&ports) {
            sockets
                .set(queue, port.fd().as_raw_fd(), 0)
                .map_err(maps::in_map(XSKS))?;
        }
    }
    let mut workers = Vec::new();
    for (worker, port) in (0..).zip(ports) {
        workers.push(WorkerParts {
            ring: rings.make(worker)?,
            sleeping: Arc::clone(&sleeping),
            port,
            leases: Leases::new(Arc::clone(&filter), Arc::clone(&leased)),
            switch: Switch::new(Arc::clone(paused), worker),
        });
    }
    if let Some(first) = workers.first_mut() {
        plan.filter
            .leased
            .iter()
            .for_each(|flow| first.leases.open(flow));
    }
    Ok(Parts {
        workers,
        frame_len_max: plan.device_mtu as usize + ethernet::HEADER_LEN,
    })
}

/// Bytes of all rings of a plan, and of all frames, which count as locked memory.
pub(crate) fn memory_of(plan: &Plan) -> (u64, u64) {
    let fixed = plan.fixed;
    let frames = u64::from(fixed.tx_frames + fixed.rx_frames) * u64::from(plan.frame_len);
    let workers = u64::from(plan.workers);
    (u64::from(fixed.ring_len) * workers, frames * workers)
}

fn open_ports(plan: &Plan) -> Result<Vec<Port>, Error> {
    let ports = (0..plan.workers).map(|queue| {
        Port::open(&port::Config {
            interface: PrivateDevice::INNER.to_owned(),
            queue,
            tx_frames: plan.fixed.tx_frames,
            rx_frames: plan.fixed.rx_frames,
            frame_len: plan.frame_len,
            mode: port::Mode::Copy,
        })
    });
    Ok(ports.collect::<Result<_, _>>()?)
}
