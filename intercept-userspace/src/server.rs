//! Accepts tcpcopy after tcpcopy; a reader and a writer thread for each.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use key_file::Watch;
use nix::sys::socket::{Backlog, listen as listen_with};
use process::confinement::{self, Trade};

use crate::admission::{self, Admission};
use crate::connection::Connection;
use crate::error::{Failed, Unusable};
use crate::limit::Limit;
use crate::reader::{self, Ended, FAREWELL_MAX};
use crate::router::Router;
use crate::stop::Stopped;
use crate::tally::Tally;
use crate::witness::Witness;
use crate::writer;

/// Connections that the kernel has made and nobody has accepted yet.
const BACKLOG: i32 = 1024;
/// How long accepting pauses where the process has no descriptor or memory for one more.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(100);
/// How often a connection that is to end is looked at.
const FAREWELL_STEP: Duration = Duration::from_millis(2);
/// Connections of the past that the closing table names; older ones are added up.
const DEPARTED_MAX: usize = 32;

/// A connection that ended.
#[derive(Debug)]
pub(crate) struct Departed {
    pub(crate) connection: Arc<Connection>,
    pub(crate) why: String,
}

/// Those that ended.
#[derive(Debug, Default)]
pub(crate) struct Departures {
    /// The latest, in their order.
    pub(crate) latest: Vec<Departed>,
    /// How many there were before these.
    pub(crate) earlier: u64,
    /// Those that never subscribed: refused, or no tcpcopy.
    pub(crate) strangers: u64,
}

/// The listening socket and what its connections share.
#[derive(Debug)]
pub(crate) struct Server {
    listener: TcpListener,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    router: Arc<Router>,
    /// What a peer has to prove one of.
    keys: Option<Watch>,
    witness: OnceLock<Witness>,
    departures: Mutex<Departures>,
    tally: Arc<Tally>,
    log: Limit,
}

impl Server {
    /// Binds the port.
    pub(crate) fn bind(
        addr: SocketAddr,
        router: Arc<Router>,
        keys: Option<Watch>,
    ) -> Result<Self, Unusable> {
        let listen =
            |addr| TcpListener::bind(addr).map_err(|cause| Unusable::Listen { addr, cause });
        let listener = match listen(addr) {
            // A kernel without IPv6 has no `::`, which stands for all addresses.
            Err(Unusable::Listen { cause, .. })
                if addr.ip().is_unspecified()
                    && cause.raw_os_error() == Some(nix::errno::Errno::EAFNOSUPPORT as i32) =>
            {
                listen(SocketAddr::from(([0, 0, 0, 0], addr.port())))?
            }
            result => result?,
        };
        let fails = |cause| Unusable::Listen { addr, cause };
        listener.set_nonblocking(true).map_err(fails)?;
        // Strangers who connect by the thousand must not fill it before we look again.
        let backlog = Backlog::new(BACKLOG).map_err(|errno| fails(errno.into()))?;
        listen_with(&listener, backlog).map_err(|errno| fails(errno.into()))?;
        Ok(Self {
            listener,
            shared: Arc::new(Shared {
                router,
                keys,
                witness: OnceLock::new(),
                departures: Mutex::default(),
                tally: Arc::default(),
                log: Limit::default(),
            }),
        })
    }

    /// Who answers the doctor's questions; the first one that is named does.
    pub(crate) fn call(&self, witness: Witness) {
        let _ = self.shared.witness.set(witness);
    }

    /// What all connections together do, for others to read.
    pub(crate) fn tally(&self) -> Arc<Tally> {
        Arc::clone(&self.shared.tally)
    }

    /// Accepts until told to stop; then lets the writers finish, and gives those that ever ended.
    pub(crate) fn run(self, stopped: &Stopped) -> Result<Departures, Failed> {
        confinement::confine(Trade::Hires);
        let mut served: Vec<(Arc<Connection>, JoinHandle<()>)> = Vec::new();
        let mut admission = Admission::default();
        while stopped.wait_readable(&self.listener) {
            match self.listener.accept() {
                Ok((stream, peer)) => {
                    if let Err(too_often) = admission.take(peer.ip(), Instant::now()) {
                        self.shared.tally.turn_away();
                        self.shared
                            .say(&format!("{peer} closed at once: {too_often}"));
                        continue;
                    }
                    served.retain(|(_, thread)| !thread.is_finished());
                    let connections = served.iter().map(|(connection, _)| &**connection);
                    if let Some(oldest) = admission::to_give_way(connections, peer.ip()) {
                        self.shared.tally.turn_away();
                        oldest.close();
                    }
                    served.extend(self.serve(stream, peer));
                }
                Err(error) if is_passing(&error) => {}
                Err(error) if is_exhausted(&error) => {
                    self.shared
                        .say(&format!("cannot accept a connection: {error}"));
                    std::thread::sleep(EXHAUSTED_PAUSE);
                }
                Err(error) => return Err(Failed::Accept(error)),
            }
        }
        served.iter().for_each(|(connection, _)| connection.leave());
        let deadline = Instant::now() + FAREWELL_MAX;
        for (connection, thread) in served {
            while !thread.is_finished() && Instant::now() < deadline {
                std::thread::sleep(FAREWELL_STEP);
            }
            connection.close();
            thread.join().map_err(|_| Failed::Panicked("reader"))?;
        }
        let mut departures = self
            .shared
            .departures
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        Ok(core::mem::take(&mut departures))
    }

    fn serve(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
    ) -> Option<(Arc<Connection>, JoinHandle<()>)> {
        let (connection, queue) = Connection::new(peer, stream);
        self.shared.tally.arrive(Arc::clone(&connection));
        let (shared, reading) = (Arc::clone(&self.shared), Arc::clone(&connection));
        let thread = Builder::new().name("reader".into()).spawn(move || {
            let writing = Arc::clone(&reading);
            let writer = Builder::new().name("writer".into()).spawn(move || {
                confinement::confine(Trade::Serves);
                writer::run(&writing, &queue);
            });
            confinement::confine(Trade::Serves);
            let ended = match &writer {
                Ok(_) => reader::run(
                    &reading,
                    &shared.router,
                    shared.witness.get(),
                    shared.keys.as_ref(),
                    &shared.log,
                ),
                Err(_) => Ended::Here,
            };
            if let Ok(writer) = writer {
                let _ = writer.join();
            }
            shared.departed(reading, &ended);
        });
        match thread {
            Ok(thread) => Some((connection, thread)),
            Err(error) => {
                self.shared.tally.depart(&connection);
                self.shared
                    .say(&format!("cannot serve {peer}: no thread for it: {error}"));
                None
            }
        }
    }
}

impl Shared {
    fn departed(&self, connection: Arc<Connection>, ended: &Ended) {
        self.say(&format!("{} left: {ended}", connection.peer));
        self.tally.depart(&connection);
        let mut departures = self
            .departures
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if !connection.totals.subscribed.load(Ordering::Relaxed) {
            departures.strangers += 1;
            return;
        }
        if departures.latest.len() >= DEPARTED_MAX {
            departures.latest.remove(0);
            departures.earlier += 1;
        }
        departures.latest.push(Departed {
            connection,
            why: ended.to_string(),
        });
    }

    /// A line about a peer, unless peers caused too many.
    fn say(&self, line: &str) {
        match self.log.allow(Instant::now()) {
            Some(0) => tracing::info!("tcpcopy {line}"),
            Some(more) => tracing::info!("tcpcopy {line} ({more} lines like this were left out)"),
            None => {}
        }
    }
}

/// The peer was gone before it was accepted, or nobody was there after all.
fn is_passing(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionAborted, Interrupted, WouldBlock};
    matches!(error.kind(), ConnectionAborted | Interrupted | WouldBlock)
}

/// Too many descriptors, or no memory: it may pass.
fn is_exhausted(error: &std::io::Error) -> bool {
    use nix::errno::Errno;
    let exhausted = [Errno::EMFILE, Errno::ENFILE, Errno::ENOBUFS, Errno::ENOMEM];
    error
        .raw_os_error()
        .is_some_and(|code| exhausted.contains(&Errno::from_raw(code)))
}
