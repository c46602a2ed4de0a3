//! What others change on this host while a run goes on: its addresses, which a rule without an address means, and who has
//! ports of the reply pool; and where answers may leave, as routes come and go.

use std::sync::Arc;

use host::{AddressWatcher, ExitWatcher, PortWatcher, Taken};
use session::Ports;
use telemetry::Figures;
use telemetry::warning::Kind;
use tracing::{error, info, warn};

use super::crew::Crew;
use super::warnings::{Subject, Warnings};
use crate::loader::Loaded;
use crate::plan::Plan;
use crate::plan::exclusions::POOL_PORTS_MIN;
use crate::worker::Command;

/// Observes answers where they may leave now as well. What is observed already stays so: nothing passes there any more, at worst.
fn observe_on(exits: &[String], plan: &Plan, loaded: &mut Loaded) {
    let apart = |name: &String| plan.host_sides.contains(name) || plan.mirrors.contains(name);
    for exit in exits.iter().filter(|exit| !apart(exit)) {
        match loaded.observe_on(exit) {
            Ok(true) if !plan.observe_on.contains(exit) => {
                info!(
                    "routes leave by {exit} now: answers of the online server are observed there too"
                );
            }
            Ok(_) => {}
            Err(cause) => warn!(
                finding = "exit-unwatched",
                "{cause}; answers that leave by {exit} are not seen"
            ),
        }
    }
}

/// The watchers, and what was found last.
pub(super) struct Watch {
    /// Where some rule means every address of this host.
    addresses: Option<AddressWatcher>,
    /// Where answers leave by a device of this host.
    exits: Option<ExitWatcher>,
    /// Where the pool has addresses of this host.
    ports: Option<PortWatcher>,
    excluded: Arc<Ports>,
    address_changes: u64,
    /// Most at a time, of all.
    services_left_out_max: u64,
    exits_left_out_max: u64,
    ports_excluded_max: u64,
}

impl Watch {
    /// Starts to watch what the plan depends on.
    ///
    /// # Errors
    ///
    /// Where the kernel gives no thread or no netlink socket.
    pub(super) fn start(plan: &Plan) -> Result<Self, host::Error> {
        let addresses = plan.follows_addresses().then(AddressWatcher::start);
        let pools = plan.exclusions.pools.iter().map(|pool| &pool.pool.range);
        let first = pools.clone().map(|range| range.port_first).min();
        let last = pools.map(|range| range.port_last).max();
        let targets = plan.targets().into_iter().map(Into::into).collect();
        let ports = first
            .zip(last)
            .map(|(first, last)| PortWatcher::start(first..=last, targets));
        let exits = plan.follows_exits().then(ExitWatcher::start);
        Ok(Self {
            exits: exits.transpose()?,
            addresses: addresses.transpose()?,
            ports: ports.transpose()?,
            excluded: Arc::default(),
            address_changes: 0,
            services_left_out_max: 0,
            exits_left_out_max: 0,
            ports_excluded_max: 0,
        })
    }

    /// Does what follows from the changes since the last look.
    pub(super) fn look(
        &mut self,
        plan: &Plan,
        loaded: &mut Loaded,
        crew: &Crew,
        warnings: &mut Warnings,
    ) {
        self.look_at_services(plan, loaded, warnings);
        let answer = self
            .ports
            .as_ref()
            .and_then(|watcher| watcher.answers().try_recv().ok());
        if let Some(taken) = answer {
            self.exclude(plan, &taken, crew, warnings);
        }
    }

    /// The same as far as captured services are concerned.
    pub(super) fn look_at_services(
        &mut self,
        plan: &Plan,
        loaded: &mut Loaded,
        warnings: &mut Warnings,
    ) {
        let addresses = self.addresses.as_ref();
        if let Some(own) = addresses.and_then(|watcher| watcher.changes().try_recv().ok()) {
            self.address_changes += 1;
            match loaded.set_own_addresses(plan, &own) {
                Ok(left_out) => self.say_left_out(left_out, warnings),
                Err(cause) => error!(
                    finding = "addresses-unwatched",
                    "{cause}; new addresses of this host are not captured"
                ),
            }
        }
        let exits = self.exits.as_ref();
        if let Some(exits) = exits.and_then(|watcher| watcher.changes().try_recv().ok()) {
            observe_on(&exits.names, plan, loaded);
            self.say_exits_left_out(exits.left_out);
        }
    }

    /// Says how many devices are not looked at, where they are more than was said before.
    fn say_exits_left_out(&mut self, left_out: usize) {
        let before = self.exits_left_out_max;
        self.exits_left_out_max = before.max(left_out as u64);
        if self.exits_left_out_max > before {
            warn!(
                finding = "exit-unwatched",
                "routes of this host leave by so many devices that {left_out} of them are not looked at (the limit is {}): where \
                 answers of the online server leave by one of those, name it with -i",
                host::exits::EXITS_MAX
            );
        }
    }

    /// Says what there is no room for.
    fn say_left_out(&mut self, left_out: usize, warnings: &mut Warnings) {
        let before = self.services_left_out_max;
        self.services_left_out_max = before.max(left_out as u64);
        if left_out > 0 {
            let words = format!(
                "NOT EVERYTHING IS COPIED: this host has so many addresses that {left_out} of its services have no place in the \
                 programs' table of {}; name the addresses that matter in -x",
                abi::maps::SERVICES_MAX
            );
            warnings.raise(Kind::ServicesLeftOut, Subject::Run, &words);
        } else {
            let words = "every service of this host has a place in the programs' table again";
            warnings.end(Kind::ServicesLeftOut, Subject::Run, words);
        }
    }

    /// Takes ports that others have now out of leasing, and those that they have no more back in.
    fn exclude(&mut self, plan: &Plan, taken: &Taken, crew: &Crew, warnings: &mut Warnings) {
        let excluded = plan.exclusions.ports(taken);
        if excluded == *self.excluded {
            return;
        }
        self.excluded = Arc::new(excluded);
        crew.command(&|| Command::Exclude(Arc::clone(&self.excluded)));
        let pools = plan.exclusions.pools.iter();
        let count = pools.map(|guarded| self.excluded.count_in(&guarded.pool.range));
        self.ports_excluded_max = self.ports_excluded_max.max(count.sum::<usize>() as u64);
        let Some((pool, left)) = plan.exclusions.scarcest(&self.excluded) else {
            return;
        };
        if left < POOL_PORTS_MIN {
            let words = format!(
                "others on this host have taken all but {left} ports of the reply pool {pool}, or may get them from the kernel: \
                 what finds no port ends as `collision`; name another pool with -c, or reserve its ports \
                 (net.ipv4.ip_local_reserved_ports)"
            );
            warnings.raise(Kind::PoolScarce, Subject::Run, &words);
        } else {
            let words = format!("{left} ports of the reply pool {pool} are free again");
            warnings.end(Kind::PoolScarce, Subject::Run, &words);
        }
    }

    /// What was found, for the summary.
    pub(super) fn notes(&self, notes: &mut Figures) {
        if self.addresses.is_some() {
            // The first answer is how things were at the start.
            notes.push("address_changes", self.address_changes.saturating_sub(1));
            notes.push("services_left_out_max", self.services_left_out_max);
        }
        if self.exits.is_some() {
            notes.push("exits_left_out_max", self.exits_left_out_max);
        }
        if self.ports.is_some() {
            notes.push("pool_ports_excluded_max", self.ports_excluded_max);
        }
    }
}
