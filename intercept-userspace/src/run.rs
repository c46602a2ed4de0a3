//! One run: everything is checked and made, then the threads work until a signal comes.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::RecvTimeoutError;
use exporter::Phase;
use host::netns::Outside;
use host::{AddressWatcher, Interface, Netlink, address, capability, interface, kernel};
use key_file::Watch;
use process::limits::{Limit, need};
use process::{Printer, rights, signals};
use sd_notify::NotifyState;
use signal_hook::iterator::Signals;
use wire::flow::Endpoint;

use crate::args::Options;
use crate::error::{Failed, Unusable};
use crate::forwarding;
use crate::intake::Intake;
use crate::metrics::{Metrics, Sources};
use crate::router::Router;
use crate::server::{Departures, Server};
use crate::sink::{OwnAddresses, Sink};
use crate::stop::{self, Stop, Stopped};
use crate::summary::{self, Queue};
use crate::team::{self, Team};
use crate::witness::Witness;
use crate::xdp_mode::XdpMode;

/// How long what is on its way to us when the run ends is still taken: it would go to real clients, or be answered.
const LINGER: Duration = Duration::from_millis(50);

/// Descriptors of a run: programs, maps, netlink, a port per queue, those who read metrics, and a connection for each tcpcopy.
const DESCRIPTORS: u64 = 512;

/// How often metrics are read.
const SECOND: Duration = Duration::from_secs(1);

/// Everything that a run needs, made and checked; the program is attached.
pub(crate) struct Prepared {
    interface: Interface,
    sink: Sink,
    own: OwnAddresses,
    addresses: AddressWatcher,
    intake: Intake,
    router: Arc<Router>,
    server: Server,
    signals: Signals,
    stop: Stop,
    stopped: Stopped,
    metrics: Option<Metrics>,
    outside: Outside,
}

/// Checks the environment and makes what is needed; changes nothing where something is missing. The calling thread is in the network
/// namespace that is worked in, and what listens is `outside`.
pub(crate) fn prepare(options: &Options, outside: &Outside) -> Result<Prepared, Unusable> {
    let no_start = |what| move |cause| Unusable::Start { what, cause };
    let no_thread = no_start("a thread");
    need(Limit::Descriptors, DESCRIPTORS)?;
    capability::require()?;
    kernel::require_af_xdp()?;
    let start_metrics = || {
        let access = options.access.access()?;
        let metrics = options.metrics.as_ref();
        let metrics = metrics.map(|place| Metrics::start(place, access));
        metrics.transpose().map_err(Unusable::from)
    };
    let mut metrics = outside.run(start_metrics).map_err(no_thread)??;
    let netlink = Netlink::open()?;
    let interface = interface::by_name(&netlink, &options.interface)?;
    interface.require_usable()?;
    // Followed first and asked for then, so that no change falls between the two.
    let addresses = AddressWatcher::start()?;
    let listed = address::list(&netlink)?;
    let current: BTreeSet<IpAddr> = listed.into_iter().map(|own| own.address).collect();
    let mut targets = options.targets.iter();
    if let Some(ours) = targets.find(|target| current.contains(&target.ip())) {
        return Err(Unusable::TargetIsOurs(*ours));
    }
    let router = Arc::new(Router::new(
        options.targets.iter().map(|target| Endpoint::from(*target)),
    ));
    let keys = options.key_file.as_deref().map(Watch::start).transpose()?;
    let bind = || Server::bind(options.listen, Arc::clone(&router), keys);
    let server = outside.run(bind).map_err(no_thread)??;
    let signals = signals::listen().map_err(no_start("the handling of signals"))?;
    let (stop, stopped) = stop::new().map_err(no_start("a pipe"))?;
    let mut sink = Sink::load(&options.targets)?;
    router.tell(sink.take_payload_wanted()?);
    let counters = sink.shared_counters().map_err(|cause| Unusable::Map {
        map: abi::maps::COUNTERS,
        cause,
    })?;
    server.call(Witness::start(interface.name.clone(), counters)?);
    let mut own = sink.take_own_addresses()?;
    own.set(&current).map_err(|cause| Unusable::Map {
        map: abi::maps::OWN_ADDRESSES,
        cause,
    })?;
    let intake = Intake::open(&interface, options.xdp_mode, &mut sink)?;
    if let Some(metrics) = &mut metrics {
        metrics.watch(sink.program_id());
    }
    Ok(Prepared {
        interface,
        sink,
        own,
        addresses,
        intake,
        router,
        server,
        signals,
        stop,
        stopped,
        metrics,
        outside: outside.clone(),
    })
}

impl Prepared {
    /// Works until a signal ends it, or until something fails; then ends cleanly and prints the closing table.
    pub(crate) fn run(self, options: &Options, printer: &Printer) -> Result<(), Failed> {
        announce(options, &self.interface, &self.intake);
        let Self {
            interface,
            mut sink,
            own,
            addresses,
            intake,
            router,
            server,
            signals,
            stop,
            stopped,
            mut metrics,
            outside,
        } = self;
        // Connections end after the workers, so that the last reports still reach them.
        let (server_stop, server_stopped) = stop::new().map_err(Failed::Thread)?;
        let (team, ended) = Team::new(interface.name);
        let start = || team.start_workers(intake.ports, &router, &stopped);
        let workers = outside.run(start).map_err(Failed::Thread)??;
        let follower = team.start_follower(addresses.changes().clone(), own)?;
        let tally = server.tally();
        let start = || team.start("accept", move || server.run(&server_stopped));
        let accepting = outside.run(start).map_err(Failed::Thread)??;
        team.watch(signals)?;
        rights::keep_only(rights::of_run(metrics.is_some(), outside.is_elsewhere()));
        let counts: Vec<_> = workers.iter().map(team::Running::counts).collect();
        enter(metrics.as_ref(), Phase::Ready);
        notify(&outside, NotifyState::Ready);
        tracing::info!("ready: replies are consumed, tcpcopy can connect");

        let outcome = loop {
            if let Some(metrics) = &mut metrics {
                metrics.second(&Sources {
                    sink: &sink,
                    workers: &counts,
                    router: &router,
                    tally: &tally,
                });
            }
            match ended.recv_timeout(SECOND) {
                Ok(outcome) => break outcome,
                Err(RecvTimeoutError::Disconnected) => break Ok(()),
                Err(RecvTimeoutError::Timeout) => {}
            }
        };
        enter(metrics.as_ref(), Phase::Draining);
        notify(&outside, NotifyState::Stopping);
        std::thread::sleep(LINGER);
        if let Err(error) = sink.detach() {
            tracing::warn!(
                finding = "left-behind",
                "cannot detach from `{}`: {error}",
                team.interface
            );
        }
        drop((stop, addresses));
        let queues: Vec<_> = workers.into_iter().map(team::Running::finish).collect();
        drop(follower.join());
        drop(server_stop);
        let departures = accepting.join().unwrap_or_default();
        let table = closing_table(&sink, &queues, &departures);
        printer.print_surely(table.into_bytes());
        outcome
    }
}

/// Tells systemd, whose socket may have a name that only its own network namespace knows.
fn notify(outside: &Outside, state: NotifyState<'_>) {
    // Fails only where that socket is gone, which is systemd's own trouble.
    let _ = outside.run(|| sd_notify::notify(&[state]));
}

fn enter(metrics: Option<&Metrics>, phase: Phase) {
    if let Some(metrics) = metrics {
        metrics.enter(phase);
    }
}

/// Says what is about to happen.
fn announce(options: &Options, interface: &Interface, intake: &Intake) {
    if let Some(place) = &options.netns {
        tracing::info!(
            "in the network namespace of --netns {place}: `{}` and its addresses are those inside; tcpcopy is waited for outside",
            interface.name
        );
    }
    for target in &options.targets {
        tracing::info!(
            "replies of {target} to others than this host are consumed on `{}`",
            interface.name
        );
    }
    for (mode, reason) in &intake.rejected {
        tracing::info!("XDP mode {} does not work here: {reason}", mode.name());
    }
    tracing::info!(
        "XDP mode {}, {} rx queue(s), one worker each",
        intake.mode.name(),
        intake.ports.len()
    );
    if intake.mode == XdpMode::Generic {
        tracing::warn!(
            finding = "generic-xdp",
            "generic XDP is the slowest mode and costs this host the most"
        );
    }
    tracing::info!("waiting for tcpcopy on {}", options.listen);
    if let Some(file) = &options.key_file {
        tracing::info!("only to who has a key of {}", file.display());
    } else if !options.listen.ip().to_canonical().is_loopback() {
        tracing::warn!(
            finding = "insecure",
            "--insecure: whoever reaches {} can read the headers of the targets' replies, and the first bytes of their payload",
            options.listen
        );
    }
    let forwarding = forwarding::enabled(&interface.name);
    if !forwarding.is_empty() {
        tracing::warn!(
            finding = "assistant-forwards",
            "DANGER: this host forwards packets ({}). Whenever intercept does not run, the targets' replies go on to the \
             real clients and break their connections. Switch it off (sysctl -w {}=0), or set a blackhole route for the \
             replies' prefix (ip route add blackhole PREFIX)",
            forwarding.join(", "),
            forwarding.join("=0 ")
        );
    }
}

fn closing_table(sink: &Sink, queues: &[team::Finished], departures: &Departures) -> String {
    let kernel = sink.counters().unwrap_or_else(|error| {
        tracing::warn!(
            finding = "counters-unread",
            "cannot read what `sink` counted: {error}"
        );
        Vec::new()
    });
    let queues: Vec<Queue<'_>> = queues
        .iter()
        .map(|finished| Queue {
            queue: finished.queue,
            counts: &finished.counts,
            port: finished.port,
        })
        .collect();
    summary::table(&kernel, &queues, departures)
}
