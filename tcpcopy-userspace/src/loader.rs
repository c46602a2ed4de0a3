//! Everything that a run changes in the kernel: the private device, the maps and the attached programs. Dropping it
//! undoes all of it.
//!
//! The order matters at both ends: nothing is captured before all else stands, and `capture`, which keeps replies from
//! the local stack, is detached last.
//!
//! | module | holds |
//! |---|---|
//! | [`object`] | the programs: what is set in them, and which of them a run needs |
//! | [`parts`] | what each worker gets |
//! | [`rings`] | the workers' rings |
//! | [`maps`] | what stands in the maps, and how |
//! | [`hooks`] | how programs are attached: by tcx links or as clsact filters, and what keeps the latter from outliving the run |
//! | [`services`] | which online services are captured, as addresses of this host come and go |
//! | [`ways`] | where the frames to each target leave |
//! | [`error`] | what can go wrong, and what to do |

mod error;
pub(crate) mod hooks;
mod maps;
mod object;
mod parts;
mod rings;
mod services;
mod ways;

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use abi::counter::Counter;
use abi::maps::{DEADLINE, Egress, LEFT_OUT, PAUSED, WORKERS_MAX};
use aya::Ebpf;
use aya::programs::Xdp;
use aya::programs::xdp::{XdpLink, XdpMode};
use host::PrivateDevice;
use host::clsact::Direction;
use nix::net::if_::if_nametoindex;
use programs::name;
use telemetry::KernelCounters;
use tracing::warn;
use wire::flow::SAMPLE_ALL;

use crate::args::Capture;
use crate::plan::Plan;
pub(crate) use error::Error;
use hooks::{Hooks, Link};
use object::PROGRAMS;
pub(crate) use parts::{Parts, memory_of};
use ring::Entries;
use rings::Rings;
use services::Services;
use ways::Ways;
use words::Words;

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
    left_out: Words,
    /// A recorder has none: it sends nothing.
    device: Option<PrivateDevice>,
}

impl Loaded {
    /// Makes the private device, loads the programs and opens the ports; attaches nothing to an online interface.
    ///
    /// # Errors
    ///
    /// Says which step failed; everything is undone then.
    pub(crate) fn new(plan: &Plan) -> Result<(Self, Parts), Error> {
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
                finding = "filters-left",
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
        let mut ebpf = object::load(
            object,
            plan,
            if clones { device.outer().index } else { 0 },
            mtu,
        )?;
        maps::fill(&mut ebpf, plan)?;
        let mut services = Services::default();
        // What there is no room for is said when the addresses are first looked at again, which is at once.
        services.set(&mut ebpf, plan, &plan.own_addresses)?;
        let targets = plan.egress.iter().map(|(target, _)| *target).collect();
        let mut ways = Ways::new(&ebpf, targets)?;
        for (target, egress) in &plan.egress {
            ways.set(&mut ebpf, *target, egress)?;
        }
        let paused = Arc::new(maps::words(&ebpf, PAUSED, WORKERS_MAX)?);
        let left_out = maps::words(&ebpf, LEFT_OUT, 1)?;
        let deadline = maps::words(&ebpf, DEADLINE, 1)?;
        let hooks = Hooks::new(plan.hook, deadline, Some(device.outer().index))?;
        let parts = parts::make(&mut ebpf, plan, &paused)?;
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
            left_out,
            device: Some(device),
        };
        loaded.sample(plan.tuning().threshold());
        loaded.attach_private(clones)?;
        Ok((loaded, parts))
    }

    /// Loads the programs of a recorder and makes its ring; attaches nothing.
    ///
    /// # Errors
    ///
    /// Says which step failed; everything is undone then.
    pub(crate) fn of_recorder(plan: &Plan) -> Result<(Self, Entries), Error> {
        let mut ebpf = object::load(programs::tcpcopy()?, plan, 0, plan.device_mtu)?;
        maps::fill(&mut ebpf, plan)?;
        let mut services = Services::default();
        services.set(&mut ebpf, plan, &plan.own_addresses)?;
        let ways = Ways::new(&ebpf, Vec::new())?;
        let paused = Arc::new(maps::words(&ebpf, PAUSED, WORKERS_MAX)?);
        let left_out = maps::words(&ebpf, LEFT_OUT, 1)?;
        let deadline = maps::words(&ebpf, DEADLINE, 1)?;
        let hooks = Hooks::new(plan.hook, deadline, None)?;
        let ring = Rings::take(&mut ebpf, plan.fixed.ring_len)?.make(0)?;
        let loaded = Self {
            online: Vec::new(),
            private: Vec::new(),
            deliver: None,
            capture: Vec::new(),
            clients_on: None,
            hooks,
            clones: false,
            ebpf,
            services,
            ways,
            paused,
            left_out,
            device: None,
        };
        Ok((loaded, ring))
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
        if let Some(device) = device {
            device.remove()?;
        }
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
        self.services.set(&mut self.ebpf, plan, own)
    }

    /// The programs record flows below this place from now on ([`wire::flow::sampled`]), and no others.
    pub(crate) fn sample(&self, threshold: u32) {
        if let Some(word) = self.left_out.get(0) {
            let left_out = SAMPLE_ALL.saturating_sub(threshold);
            word.store(left_out.into(), Ordering::SeqCst);
        }
    }

    /// The switches of all workers: whether the programs record anything for them.
    pub(crate) fn paused(&self) -> Arc<Words> {
        Arc::clone(&self.paused)
    }

    /// The programs' counters, summed over all processors.
    pub(crate) fn counters(&self) -> Result<KernelCounters, Error> {
        let mut counters = maps::counters(&self.ebpf)?;
        if self.clones
            && let Some(device) = &self.device
        {
            counters.set(Counter::SteerDropped, device.dropped()?);
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

fn index_of(interface: &str) -> Result<u32, Error> {
    if_nametoindex(interface).map_err(|errno| Error::Gone {
        interface: interface.to_owned(),
        cause: errno.into(),
    })
}
