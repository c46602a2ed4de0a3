//! Everything that a run changes in the kernel: the private device, the maps and the attached programs. Dropping it
//! undoes all of it.
//!
//! The order matters at both ends: nothing is captured before all else stands, and `capture`, which keeps replies from
//! the local stack, is detached last.
//!
//! | module | holds |
//! |---|---|
//! | [`maps`] | what stands in the maps, and how |
//! | [`hooks`] | how programs are attached: by tcx links or as clsact filters, and what keeps the latter from outliving the run |
//! | [`services`] | which online services are captured, as addresses of this host come and go |
//! | [`ways`] | where the frames to each target leave |
//! | [`error`] | what can go wrong, and what to do |

mod error;
pub(crate) mod hooks;
mod maps;
mod services;
mod ways;

use std::net::IpAddr;
use std::os::fd::AsRawFd;
use std::sync::Arc;

use abi::counter::Counter;
use abi::maps::{
    DEADLINE, Egress, GLOBAL_CLONE_IFINDEX, GLOBAL_CLONE_MTU, GLOBAL_DEADLINE_KEPT,
    GLOBAL_OWNER_KEY, GLOBAL_PORTS_FILLED, GLOBAL_SAMPLE_LEN, GLOBAL_SAMPLE_SEED,
    GLOBAL_SAMPLE_THRESHOLD, GLOBAL_WORKERS, LEASE_WORDS, LEASES, PAUSED, WORKERS_MAX, XSKS,
};
use aya::maps::{Array, MapData, RingBuf, XskMap};
use aya::programs::xdp::{XdpLink, XdpMode};
use aya::programs::{SchedClassifier, Xdp};
use aya::{Ebpf, EbpfLoader};
use host::PrivateDevice;
use host::clsact::Direction;
use nix::net::if_::if_nametoindex;
use port::Port;
use programs::name;
use telemetry::KernelCounters;
use tracing::warn;
use wire::ethernet;
use wire::hash::EndpointHash;

use crate::args::Capture;
use crate::plan::{Hook, Plan};
use crate::worker::leases::Leases;
use crate::worker::pausing::Switch;
pub(crate) use error::Error;
use hooks::{Hooks, Link};
use services::Services;
use ways::Ways;
use words::Words;

/// Every program that a run may have.
const PROGRAMS: [&str; 10] = [
    name::CAPTURE,
    name::OBSERVE,
    name::CAPTURE_OUT,
    name::OBSERVE_IN,
    name::OVERHEAR,
    name::REPLIES,
    name::INJECT,
    name::ABSORB,
    name::STEER,
    name::DELIVER,
];

/// What one worker gets.
pub(crate) struct WorkerParts {
    pub(crate) ring: RingBuf<MapData>,
    pub(crate) sleeping: Array<MapData, u32>,
    pub(crate) port: Port,
    /// Which ports its sessions have leased.
    pub(crate) leases: Leases,
    /// Whether the programs record anything for it.
    pub(crate) switch: Switch,
}

/// The set-up kernel.
pub(crate) struct Loaded {
    // In the order in which they are to go.
    online: Vec<(u32, Link)>,
    private: Vec<Link>,
    deliver: Option<XdpLink>,
    capture: Vec<(u32, Link)>,
    /// Where some device shows packets another way than those of this host: the others that clients are captured on. By what is
    /// not among them copies leave, and what clients send this host's own addresses there is not what was asked for; with NAT
    /// it would be the same request once more.
    clients_on: Option<Vec<String>>,
    hooks: Hooks,
    /// Whether client packets come as clones, by the private device.
    clones: bool,
    ebpf: Ebpf,
    services: Services,
    ways: Ways,
    paused: Arc<Words>,
    device: PrivateDevice,
    frame_len_max: usize,
}

impl Loaded {
    /// Makes the private device, loads the programs and opens the ports; attaches nothing to an online interface.
    ///
    /// # Errors
    ///
    /// Says which step failed; everything is undone then.
    pub(crate) fn new(plan: &Plan) -> Result<(Self, Vec<WorkerParts>), Error> {
        let object = programs::tcpcopy()?;
        let clones = plan.capture == Capture::AfXdp;
        let mtu = plan.device_mtu;
        let device = PrivateDevice::create(host::device::Config {
            queues: plan.workers,
            mtu,
            fifos: clones,
        })?;
        if device.filters_left() > 0 {
            warn!(
                "a tcpcopy that was killed had left {} clsact filters on this host, and nobody to remove them: they are removed now",
                device.filters_left()
            );
        }
        for (prefix, prefix_len) in &plan.reply_routes {
            device.add_reply_route(*prefix, *prefix_len)?;
        }
        if plan.loopback_target {
            device.allow_loopback_targets()?;
        }
        let mut ebpf = load(
            object,
            plan,
            if clones { device.outer().index } else { 0 },
            mtu,
        )?;
        maps::fill(&mut ebpf, plan)?;
        let mut services = Services::default();
        // What there is no room for is said when the addresses are first looked at again, which is at once.
        services.set(&mut ebpf, &plan.rules, &plan.own_addresses)?;
        let targets = plan.egress.iter().map(|(target, _)| *target).collect();
        let mut ways = Ways::new(&ebpf, targets)?;
        for (target, egress) in &plan.egress {
            ways.set(&mut ebpf, *target, egress)?;
        }
        let paused = Arc::new(maps::words(&ebpf, PAUSED, WORKERS_MAX)?);
        let deadline = maps::words(&ebpf, DEADLINE, 1)?;
        let hooks = Hooks::new(plan.hook, deadline, device.outer().index)?;
        let leased = Arc::new(maps::words(&ebpf, LEASES, lease_words(plan))?);
        let filter = Arc::new(plan.filter.clone());
        let ports = open_ports(plan)?;
        if clones {
            let mut sockets =
                XskMap::try_from(maps::map_mut(&mut ebpf, XSKS)?).map_err(maps::in_map(XSKS))?;
            for (queue, port) in (0..).zip(&ports) {
                sockets
                    .set(queue, port.fd().as_raw_fd(), 0)
                    .map_err(maps::in_map(XSKS))?;
            }
        }
        let mut parts = Vec::new();
        for (worker, port) in (0..).zip(ports) {
            let (ring, sleeping) = (
                maps::ring(&mut ebpf, worker, plan.fixed.ring_len)?,
                maps::sleeping(&ebpf)?,
            );
            parts.push(WorkerParts {
                ring,
                sleeping,
                port,
                leases: Leases::new(Arc::clone(&filter), Arc::clone(&leased)),
                switch: Switch::new(Arc::clone(&paused), worker),
            });
        }
        if let Some(parts) = parts.first_mut() {
            plan.filter
                .leased
                .iter()
                .for_each(|flow| parts.leases.open(flow));
        }
        let mut loaded = Self {
            online: Vec::new(),
            private: Vec::new(),
            deliver: None,
            capture: Vec::new(),
            clients_on: None,
            hooks,
            clones,
            ebpf,
            services,
            ways,
            paused,
            device,
            frame_len_max: mtu as usize + ethernet::HEADER_LEN,
        };
        loaded.attach_private(clones)?;
        Ok((loaded, parts))
    }

    /// Attaches `capture` and then `observe` to the online interfaces, and to those where packets pass another way the
    /// programs that know: from here on packets are recorded.
    pub(crate) fn attach(&mut self, plan: &Plan) -> Result<(), Error> {
        self.attach_apart(plan, None)?;
        if !plan.hooks_apart().is_empty() {
            self.clients_on = Some(plan.online_on.clone());
        }
        for interface in &plan.capture_on {
            self.capture_on(interface)?;
        }
        for interface in &plan.observe_on {
            self.observe_on(interface)?;
        }
        Ok(())
    }

    /// Attaches to an interface of the plan that was made anew what the plan wants there.
    pub(crate) fn attach_again(&mut self, plan: &Plan, interface: &str) -> Result<(), Error> {
        self.attach_apart(plan, Some(interface))?;
        if plan.capture_on.iter().any(|name| name == interface) {
            self.capture_on(interface)?;
        }
        if plan.observe_on.iter().any(|name| name == interface) {
            self.observe_on(interface)?;
        }
        Ok(())
    }

    /// Attaches the programs that know another way, to one interface or to all that have such.
    fn attach_apart(&mut self, plan: &Plan, only: Option<&str>) -> Result<(), Error> {
        for (interface, program, direction) in plan.hooks_apart() {
            if only.is_some_and(|only| only != interface) {
                continue;
            }
            let index = index_of(interface)?;
            let link = self.hook(program, interface, direction)?;
            self.online.push((index, link));
        }
        Ok(())
    }

    /// The interface of this index is gone, and the programs with it: another one may get the index.
    pub(crate) fn forget(&mut self, index: u32) {
        self.online.retain(|(known, _)| *known != index);
        self.capture.retain(|(known, _)| *known != index);
    }

    /// Attaches `capture` to one more interface, if it is not there yet, or the part of it that takes replies where those are
    /// all that is wanted there. An interface that was removed and made anew is another one: its programs went with it.
    pub(crate) fn capture_on(&mut self, interface: &str) -> Result<(), Error> {
        let index = index_of(interface)?;
        if self.capture.iter().all(|(known, _)| *known != index) {
            let everything = match &self.clients_on {
                Some(online) => online.iter().any(|online| online == interface),
                None => true,
            };
            let program = if everything {
                name::CAPTURE
            } else {
                name::REPLIES
            };
            let link = self.hook(program, interface, Direction::Ingress)?;
            self.capture.push((index, link));
        }
        Ok(())
    }

    /// Attaches `observe` to one more interface; returns whether it was not there yet.
    pub(crate) fn observe_on(&mut self, interface: &str) -> Result<bool, Error> {
        let index = index_of(interface)?;
        let is_new = self.online.iter().all(|(known, _)| *known != index);
        if is_new {
            let link = self.hook(name::OBSERVE, interface, Direction::Egress)?;
            self.online.push((index, link));
        }
        Ok(is_new)
    }

    /// Whether some program records what an online service sends through this interface.
    pub(crate) fn is_observed(&self, interface: &str) -> bool {
        let index = index_of(interface).ok();
        let mut observed = self.online.iter();
        observed.any(|(known, _)| Some(*known) == index)
    }

    /// Detaches everything, `capture` last. Counters can still be read.
    pub(crate) fn detach(&mut self) {
        self.online.clear();
        self.private.clear();
        self.deliver = None;
        self.capture.clear();
    }

    /// Removes what dropping would remove as well, and says so where that fails.
    ///
    /// # Errors
    ///
    /// Where the kernel keeps the private device; the next start takes it over.
    pub(crate) fn remove(self) -> Result<(), Error> {
        let Self {
            mut hooks,
            ebpf,
            device,
            ..
        } = self;
        drop(ebpf);
        device.remove()?;
        hooks.end();
        Ok(())
    }

    /// The way to a target is another one now.
    pub(crate) fn set_egress(&mut self, target: IpAddr, egress: &Egress) -> Result<(), Error> {
        self.ways.set(&mut self.ebpf, target, egress)
    }

    /// These are the addresses of this host now. Returns how many online services the programs' table has no room for.
    pub(crate) fn set_own_addresses(
        &mut self,
        plan: &Plan,
        own: &[IpAddr],
    ) -> Result<usize, Error> {
        self.services.set(&mut self.ebpf, &plan.rules, own)
    }

    /// The switches of all workers: whether the programs record anything for them.
    pub(crate) fn paused(&self) -> Arc<Words> {
        Arc::clone(&self.paused)
    }

    /// The programs' counters, summed over all processors.
    pub(crate) fn counters(&self) -> Result<KernelCounters, Error> {
        let mut counters = maps::counters(&self.ebpf)?;
        if self.clones {
            counters.set(Counter::SteerDropped, self.device.dropped()?);
        }
        Ok(counters)
    }

    /// Each program by its name, and the kernel's number for it.
    pub(crate) fn program_ids(&self) -> Vec<(&'static str, u32)> {
        let id = |program| {
            let info = self.ebpf.program(program)?.info().ok()?;
            Some((program, info.id()))
        };
        PROGRAMS.into_iter().filter_map(id).collect()
    }

    /// How often this process stood still so long that the programs let everything pass, and for how many seconds altogether;
    /// nothing where they go with the process (tcx).
    pub(crate) fn missed(&self) -> Option<(u64, u64)> {
        self.hooks.missed()
    }

    /// Longest frame that the private device carries, Ethernet header included, in bytes.
    pub(crate) const fn frame_len_max(&self) -> usize {
        self.frame_len_max
    }

    fn attach_private(&mut self, clones: bool) -> Result<(), Error> {
        let device = PrivateDevice::OUTER;
        let inject = self.hook(name::INJECT, device, Direction::Ingress)?;
        let absorb = self.hook(name::ABSORB, device, Direction::Egress)?;
        self.private.extend([inject, absorb]);
        if clones {
            let steer = self.hook(name::STEER, device, Direction::Egress)?;
            self.private.push(steer);
            self.deliver = Some(self.xdp(name::DELIVER, PrivateDevice::INNER)?);
        }
        Ok(())
    }

    fn hook(
        &mut self,
        program: &'static str,
        interface: &str,
        direction: Direction,
    ) -> Result<Link, Error> {
        self.hooks
            .attach(&mut self.ebpf, program, interface, direction)
    }

    fn xdp(&mut self, program: &'static str, interface: &str) -> Result<XdpLink, Error> {
        let xdp: &mut Xdp = self
            .ebpf
            .program_mut(program)
            .ok_or(Error::Absent(program))?
            .try_into()
            .map_err(|source| Error::Program { program, source })?;
        // Generic XDP sees nothing of a clone.
        xdp.attach(interface, XdpMode::Driver)
            .and_then(|id| xdp.take_link(id))
            .map_err(|source| Error::Attach {
                program,
                interface: interface.to_owned(),
                source,
            })
    }
}

/// Whether a run has a place for a program: the verifier takes its time, and memory is the online server's.
fn is_needed(plan: &Plan, program: &str) -> bool {
    match program {
        name::CAPTURE_OUT | name::OBSERVE_IN => !plan.host_sides.is_empty(),
        name::OVERHEAR => !plan.mirrors.is_empty(),
        name::REPLIES => !plan.hooks_apart().is_empty(),
        _ => true,
    }
}

fn index_of(interface: &str) -> Result<u32, Error> {
    if_nametoindex(interface).map_err(|errno| Error::Gone {
        interface: interface.to_owned(),
        cause: errno.into(),
    })
}

/// Bytes of all rings of a plan, and of all frames, which count as locked memory.
pub(crate) fn memory_of(plan: &Plan) -> (u64, u64) {
    let fixed = plan.fixed;
    let frames = u64::from(fixed.tx_frames + fixed.rx_frames) * u64::from(plan.frame_len);
    let workers = u64::from(plan.workers);
    (u64::from(fixed.ring_len) * workers, frames * workers)
}

/// Words of the leases of all targets; no map can be empty.
fn lease_words(plan: &Plan) -> u32 {
    plan.filter.slots.max(1) * LEASE_WORDS
}

fn load(object: &[u8], plan: &Plan, clone_ifindex: u32, mtu: u32) -> Result<Ebpf, Error> {
    let sample_len = u32::from(plan.sample_bytes);
    let seed = (plan.seed ^ (plan.seed >> 32)) as u32;
    let owners = EndpointHash::new(plan.hash_seed);
    let deadline_kept = u32::from(plan.hook == Hook::Clsact);
    let mut loader = EbpfLoader::new();
    loader
        .override_global(GLOBAL_WORKERS, &plan.workers, true)
        .override_global(GLOBAL_OWNER_KEY, owners.key(), true)
        .override_global(GLOBAL_PORTS_FILLED, &1u32, true)
        .override_global(GLOBAL_SAMPLE_THRESHOLD, &plan.sample_threshold, true)
        .override_global(GLOBAL_SAMPLE_SEED, &seed, true)
        .override_global(GLOBAL_SAMPLE_LEN, &sample_len, true)
        .override_global(GLOBAL_CLONE_IFINDEX, &clone_ifindex, true)
        .override_global(GLOBAL_CLONE_MTU, &mtu, true)
        .override_global(GLOBAL_DEADLINE_KEPT, &deadline_kept, true)
        .map_max_entries(LEASES, lease_words(plan));
    let mut ebpf = loader.load(object).map_err(|source| Error::Load {
        release: host::kernel::release(),
        source: source.into(),
    })?;
    let classifiers = PROGRAMS
        .into_iter()
        .filter(|name| *name != name::DELIVER && is_needed(plan, name));
    for program in classifiers {
        let loaded: Result<&mut SchedClassifier, _> = ebpf
            .program_mut(program)
            .ok_or(Error::Absent(program))?
            .try_into();
        loaded
            .and_then(SchedClassifier::load)
            .map_err(|source| Error::of_load(program, source))?;
    }
    let program = name::DELIVER;
    let loaded: Result<&mut Xdp, _> = ebpf
        .program_mut(program)
        .ok_or(Error::Absent(program))?
        .try_into();
    loaded
        .and_then(Xdp::load)
        .map_err(|source| Error::of_load(program, source))?;
    Ok(ebpf)
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
