//! The thread that listens to one tcpcopy.

use std::collections::HashSet;
use std::io::{ErrorKind, Read};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use channel::message::Flows;
use channel::{InterceptEnd, InterceptEvent, PING_INTERVAL, encode, inspection};
use host::clock;
use wire::flow::{Endpoint, FlowKey};

use crate::connection::{Connection, Outgoing};
use crate::limit::Limit;
use crate::router::{ConnectionId, Opened, Router};
use crate::witness::Witness;

/// How long a peer may take to hear our last word and close.
pub(crate) const FAREWELL_MAX: Duration = Duration::from_secs(1);

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Ended {
    /// The peer closed it.
    #[error("closed by the peer")]
    ByPeer,
    /// We did: it was too slow, or `intercept` ends.
    #[error("closed here")]
    Here,
    /// What the peer sent makes no sense, or it sent nothing.
    #[error("{0}")]
    Channel(#[from] channel::Error),
    /// It asked for what it cannot have.
    #[error("refused: {0}")]
    Refused(channel::Refusal),
    /// The network's word.
    #[error("cannot read from it: {0}")]
    Socket(std::io::Error),
}

/// Serves the connection until it ends, and says why it did.
pub(crate) fn run(
    connection: &Arc<Connection>,
    router: &Router,
    witness: Option<&Witness>,
    log: &Limit,
) -> Ended {
    let mut reader = Reader {
        connection,
        router,
        witness,
        log,
        subscription: None,
    };
    let ended = match reader.serve() {
        Err(ended) => ended,
        Ok(never) => match never {},
    };
    if let Some((id, _)) = reader.subscription.take() {
        router.unsubscribe(id);
    }
    // Our last word may be the refusal, or the hello by which the peer learns of a version that is not its own.
    let is_heard = !matches!(ended, Ended::Channel(channel::Error::Silent(_)));
    if is_heard && matches!(ended, Ended::Refused(_) | Ended::Channel(_)) {
        connection.leave();
        linger(connection);
    }
    connection.close();
    ended
}

struct Reader<'a> {
    connection: &'a Arc<Connection>,
    router: &'a Router,
    witness: Option<&'a Witness>,
    log: &'a Limit,
    subscription: Option<(ConnectionId, HashSet<Endpoint>)>,
}

impl Reader<'_> {
    fn serve(&mut self) -> Result<std::convert::Infallible, Ended> {
        let mut hello = Vec::new();
        let mut end = InterceptEnd::new(Instant::now(), &mut hello);
        self.connection.control(Outgoing::Control(hello));
        let timeout = Some(PING_INTERVAL);
        self.connection
            .stream
            .set_read_timeout(timeout)
            .map_err(Ended::Socket)?;
        loop {
            let read = (&self.connection.stream).read(end.space());
            let now = Instant::now();
            if self.connection.is_closed() {
                return Err(Ended::Here);
            }
            match read {
                Ok(0) if self.connection.is_leaving() => return Err(Ended::Here),
                Ok(0) => return Err(Ended::ByPeer),
                Ok(len) => end.filled(now, len),
                Err(error) if is_timeout(error.kind()) => {}
                Err(error) => return Err(Ended::Socket(error)),
            }
            while let Some(event) = end.next_event()? {
                self.on_event(&event)?;
            }
            end.on_time(now)?;
        }
    }

    fn on_event(&mut self, event: &InterceptEvent<'_>) -> Result<(), Ended> {
        let mut out = Vec::new();
        match event {
            InterceptEvent::Subscribe(wanted) => {
                let targets: HashSet<Endpoint> = wanted.targets.iter().collect();
                let payload_max = wanted.payload_max;
                let granted = || {
                    let mut out = Vec::new();
                    encode::subscribed(&mut out);
                    self.connection.control(Outgoing::Control(out));
                };
                let subscribed =
                    self.router
                        .subscribe(targets.clone(), payload_max, self.connection, granted);
                match subscribed {
                    Ok(id) => {
                        // Whoever subscribes and leaves in a loop must not fill the log.
                        if payload_max > 0 && self.log.allow(Instant::now()).is_some() {
                            let peer = self.connection.peer;
                            tracing::info!(
                                "{peer} asks for the first {payload_max} payload bytes of each reply: they go to it over the \
                                 channel"
                            );
                        }
                        self.subscription = Some((id, targets));
                        let subscribed = &self.connection.totals.subscribed;
                        subscribed.store(true, Ordering::Relaxed);
                    }
                    Err(why) => {
                        encode::refused(&mut out, why);
                        self.connection.control(Outgoing::Control(out));
                        return Err(Ended::Refused(why));
                    }
                }
            }
            InterceptEvent::Open(flows) => self.announce(flows, &mut out),
            InterceptEvent::Close(flows) => {
                let Some((id, _)) = &self.subscription else {
                    return Ok(());
                };
                flows.iter().for_each(|flow| self.router.close(&flow, *id));
            }
            InterceptEvent::Ping { nonce } => encode::pong(&mut out, *nonce, clock::now_ns()),
            InterceptEvent::Inspect(addresses) => {
                if let Some(witness) = self.witness {
                    let subscribers = self.router.subscribers().len();
                    if let Some(answer) = witness.inspect(addresses.iter(), subscribers) {
                        inspection::inspected(&mut out, &answer);
                    }
                }
            }
        }
        if !out.is_empty() {
            self.connection.control(Outgoing::Control(out));
        }
        Ok(())
    }

    /// Takes sessions that are about to open; appends which of them are another connection's.
    fn announce(&self, flows: &Flows<'_>, out: &mut Vec<u8>) {
        let Some((id, targets)) = &self.subscription else {
            return;
        };
        let totals = &self.connection.totals;
        let mut taken = Vec::new();
        for flow in flows.iter() {
            totals.flows.fetch_add(1, Ordering::Relaxed);
            let is_wanted = targets.contains(&flow.server);
            let opened = is_wanted.then(|| self.router.open(flow, *id));
            if opened != Some(Opened::Ours) {
                totals.flows_refused.fetch_add(1, Ordering::Relaxed);
            }
            if opened == Some(Opened::Taken) {
                taken.push(flow);
            }
        }
        self.say_taken(&taken);
        encode::taken(out, taken);
    }

    /// Says which sessions are another connection's, unless too much was said already.
    fn say_taken(&self, taken: &[FlowKey]) {
        let Some(flow) = taken.first() else {
            return;
        };
        if self.log.allow(Instant::now()).is_some() {
            let peer = self.connection.peer;
            tracing::warn!(
                finding = "sources-shared",
                "{peer} announces {} session(s) that another tcpcopy has, as from {} to {}: they are refused, and the other goes \
                 on; give each tcpcopy a pool (-c) of its own",
                taken.len(),
                flow.client,
                flow.server
            );
        }
    }
}

/// Waits for the peer to close: closing with its bytes unread would reset the connection and could take our last word
/// with it.
fn linger(connection: &Connection) {
    let deadline = Instant::now() + FAREWELL_MAX;
    let mut rest = [0; 4096];
    while Instant::now() < deadline && !connection.is_closed() {
        match (&connection.stream).read(&mut rest) {
            Ok(1..) => {}
            Ok(0) | Err(_) => return,
        }
    }
}

pub(crate) fn is_timeout(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
    )
}
