//! The thread that listens to one tcpcopy.

use std::collections::HashSet;
use std::io::{ErrorKind, Read};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use channel::message::Flows;
use channel::{InterceptEnd, InterceptEvent, PING_INTERVAL, encode, inspection};
use host::clock;
use key_file::Watch;
use wire::flow::{Endpoint, FlowKey, PoolRange};

use crate::connection::{Connection, Outgoing};
use crate::limit::Limit;
use crate::router::{ConnectionId, FLOWS_MAX, FLOWS_OF_CONNECTION_MAX, Opened, Router, Wanted};
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
    /// The file of keys was changed.
    #[error("its key is no longer in the file of --key-file")]
    KeyGone,
    /// The network's word.
    #[error("cannot read from it: {0}")]
    Socket(std::io::Error),
}

/// Serves the connection until it ends, and says why it did.
pub(crate) fn run(
    connection: &Arc<Connection>,
    router: &Router,
    witness: Option<&Witness>,
    keys: Option<&Watch>,
    log: &Limit,
) -> Ended {
    let mut reader = Reader {
        connection,
        router,
        witness,
        log,
        keys,
        subscription: None,
    };
    let ended = match reader.serve() {
        Err(ended) => ended,
        Ok(never) => match never {},
    };
    if let Some(subscription) = reader.subscription.take() {
        router.unsubscribe(subscription.id, &subscription.flows);
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
    keys: Option<&'a Watch>,
    subscription: Option<Subscription>,
}

/// What the peer wants, and what it has.
struct Subscription {
    id: ConnectionId,
    targets: HashSet<Endpoint>,
    /// Where it says that all its sessions come from; anywhere where there is none.
    sources: Vec<PoolRange>,
    /// Sessions that it announced and that are its own.
    flows: HashSet<FlowKey>,
}

impl Subscription {
    /// Whether the session is one of those that it subscribed for.
    fn may_announce(&self, flow: &FlowKey) -> bool {
        let is_source = |range: &PoolRange| range.contains(&flow.client);
        self.targets.contains(&flow.server)
            && (self.sources.is_empty() || self.sources.iter().any(is_source))
    }
}

impl Reader<'_> {
    fn serve(&mut self) -> Result<std::convert::Infallible, Ended> {
        let keys = self.keys.map(|keys| keys.current().as_ref().clone());
        let mut end = InterceptEnd::new(keys, Instant::now());
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
            self.hear(&mut end)?;
            end.on_time(now)?;
            self.check_key(&end)?;
        }
    }

    /// Takes what was read: a hello, a proof, then events.
    fn hear(&mut self, end: &mut InterceptEnd) -> Result<(), Ended> {
        let mut said = Vec::new();
        let greeted = end.greet(&mut said);
        if !said.is_empty() {
            let clear = Outgoing::Clear(said, end.take_sealer());
            self.connection.control(clear);
        }
        greeted?;
        while let Some(event) = end.next_event()? {
            self.on_event(&event)?;
        }
        Ok(())
    }

    /// Whether the key that the peer has proven is still one of ours.
    fn check_key(&self, end: &InterceptEnd) -> Result<(), Ended> {
        match (end.proven(), self.keys) {
            (Some(proven), Some(keys)) if !keys.current().contains(proven) => Err(Ended::KeyGone),
            _ => Ok(()),
        }
    }

    fn on_event(&mut self, event: &InterceptEvent<'_>) -> Result<(), Ended> {
        let mut out = Vec::new();
        match event {
            InterceptEvent::Subscribe(wanted) => {
                let targets: HashSet<Endpoint> = wanted.targets.iter().collect();
                let asked = Wanted {
                    targets: targets.clone(),
                    whole: wanted.whole.iter().collect(),
                    payload_max: wanted.payload_max,
                };
                let words = words_of(&asked);
                let granted = || {
                    let mut out = Vec::new();
                    encode::subscribed(&mut out);
                    self.connection.control(Outgoing::Control(out));
                };
                match self.router.subscribe(asked, self.connection, granted) {
                    Ok(id) => {
                        // Whoever subscribes and leaves in a loop must not fill the log.
                        if let Some(words) = words
                            && self.log.allow(Instant::now()).is_some()
                        {
                            let peer = self.connection.peer;
                            tracing::info!(
                                "{peer} asks for {words}: they go to it over the channel"
                            );
                        }
                        self.subscription = Some(Subscription {
                            id,
                            targets,
                            sources: wanted.sources.iter().collect(),
                            flows: HashSet::new(),
                        });
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
                let Some(subscription) = &mut self.subscription else {
                    return Ok(());
                };
                for flow in flows.iter() {
                    self.router.close(&flow, subscription.id);
                    subscription.flows.remove(&flow);
                }
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

    /// Takes sessions that are about to open; appends which of them are not taken: they are another connection's, or too many.
    fn announce(&mut self, flows: &Flows<'_>, out: &mut Vec<u8>) {
        let Some(subscription) = &mut self.subscription else {
            return;
        };
        let totals = &self.connection.totals;
        let (mut taken, mut too_many, mut beyond) = (Vec::new(), Vec::new(), Vec::new());
        for flow in flows.iter() {
            totals.flows.fetch_add(1, Ordering::Relaxed);
            let opened = if !subscription.may_announce(&flow) {
                Opened::NotIts
            } else if subscription.flows.len() >= FLOWS_OF_CONNECTION_MAX {
                Opened::NoSpace
            } else {
                self.router.open(flow, subscription.id)
            };
            match opened {
                Opened::Ours => {
                    subscription.flows.insert(flow);
                    continue;
                }
                Opened::Taken => taken.push(flow),
                Opened::NoSpace => too_many.push(flow),
                Opened::NotIts => beyond.push(flow),
            }
            totals.flows_refused.fetch_add(1, Ordering::Relaxed);
        }
        self.say_taken(&taken);
        self.say_too_many(too_many.len());
        self.say_beyond(&beyond);
        encode::taken(out, taken.into_iter().chain(too_many).chain(beyond));
    }

    /// Says that a peer announces what it did not subscribe to, unless too much was said already.
    fn say_beyond(&self, beyond: &[FlowKey]) {
        if let Some(flow) = beyond.first()
            && self.log.allow(Instant::now()).is_some()
        {
            tracing::warn!(
                finding = "sources-beyond",
                "{} announces {} session(s) that are none of the pool and targets that it subscribed for, as from {} to {}: they are \
                 refused",
                self.connection.peer,
                beyond.len(),
                flow.client,
                flow.server
            );
        }
    }

    /// Says that sessions are refused for want of room, unless too much was said already.
    fn say_too_many(&self, count: usize) {
        if count > 0 && self.log.allow(Instant::now()).is_some() {
            tracing::warn!(
                finding = "flows-full",
                "{} announces {count} session(s) more than there is room for ({FLOWS_OF_CONNECTION_MAX} of one tcpcopy, {FLOWS_MAX} in \
                 all): they are refused; use a second intercept for some of them",
                self.connection.peer
            );
        }
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

/// What a subscription asks for besides headers, in words.
fn words_of(wanted: &Wanted) -> Option<String> {
    let sample = (wanted.payload_max > 0).then(|| {
        let payload_max = wanted.payload_max;
        format!("the first {payload_max} payload bytes of each reply")
    });
    let mut whole: Vec<_> = wanted.whole.iter().map(ToString::to_string).collect();
    whole.sort_unstable();
    let whole =
        (!whole.is_empty()).then(|| format!("all payload of the replies of {}", whole.join(", ")));
    match (sample, whole) {
        (Some(sample), Some(whole)) => Some(format!("{whole}, and for {sample}")),
        (one, other) => one.or(other),
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
