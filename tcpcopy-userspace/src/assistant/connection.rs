//! The thread of one connection to an `intercept`.
//!
//! When the connection is lost it tries again with growing pauses, and announces every running session anew.

use std::collections::HashSet;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use channel::{Refusal, TcpcopyEnd};
use crossbeam_channel::{Receiver, Sender};
use key_file::Watch;
use process::Waker;
use tracing::{info, warn};
use wire::flow::{Endpoint, FlowKey, PoolRange};

use super::Channels;
use super::names::Names;
use super::probe::Probes;
use super::talk::{self, Broken, Talk};
use crate::worker::announcer::Announcement;

/// How long a connection may take to come about.
const CONNECT_MAX: Duration = Duration::from_secs(2);
/// First and longest pause between two attempts.
const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(5);

/// Everything that the thread owns.
pub(crate) struct Connection {
    /// Its number among the `-s` entries.
    pub(crate) index: usize,
    /// `host:port`.
    pub(crate) address: String,
    /// Who looks it up.
    pub(crate) names: Names,
    /// Whether another host may be talked to although the channel has no key (`--insecure`).
    pub(crate) is_insecure: bool,
    /// The keys of the channel (`--key-file`).
    pub(crate) keys: Option<Watch>,
    pub(crate) targets: Vec<Endpoint>,
    /// Those of them whose replies are wanted whole: their rules have a protocol module.
    pub(crate) whole: Vec<Endpoint>,
    /// Those of the targets that it does not have, and another intercept does.
    pub(crate) refused: HashSet<Endpoint>,
    /// Where all sessions come from; none stands for the clients' own addresses.
    pub(crate) sources: Vec<PoolRange>,
    /// How many payload bytes of each reply are asked for (`--sample-bytes`).
    pub(crate) payload_max: u8,
    pub(crate) announcements: Receiver<Announcement>,
    pub(crate) waker: Arc<Waker>,
    pub(crate) channels: Arc<Channels>,
    pub(crate) probes: Arc<Probes>,
    /// Hears how the first attempt went.
    pub(crate) first: Sender<Result<(), Failure>>,
    /// Sessions that run, to be announced anew.
    pub(crate) flows: HashSet<FlowKey>,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// Nobody there (yet).
    #[error(
        "cannot connect to intercept at {address}: {cause}; start it there, or check -s and the firewall"
    )]
    Connect { address: String, cause: io::Error },
    /// Its name means another host now.
    #[error(
        "the intercept at {address} is on another host ({ip}) and the channel has no key: whoever reaches it could feed us \
         replies; give both ends --key-file (`tcpcopy keygen` makes it), or say --insecure if that network is yours alone"
    )]
    Insecure { address: String, ip: IpAddr },
    /// It was there.
    #[error("lost the connection to intercept at {address}: {cause}")]
    Lost { address: String, cause: io::Error },
    /// It is not the intercept that is wanted.
    #[error("intercept at {address} cannot be used: {cause}")]
    Channel {
        address: String,
        cause: channel::Error,
    },
}

impl Failure {
    /// Its name in docs/doctor.md.
    pub(crate) const fn finding(&self) -> &'static str {
        match self {
            Self::Connect { .. } | Self::Lost { .. } => "intercept-absent",
            Self::Insecure { .. } => "insecure",
            Self::Channel { cause, .. } => match cause {
                channel::Error::Version { .. } => "intercept-other-version",
                channel::Error::Refused(channel::Refusal::UnknownTarget(_)) => {
                    "intercept-other-target"
                }
                channel::Error::KeyWanted
                | channel::Error::KeyMissing
                | channel::Error::NotOurKey => "intercept-other-key",
                _ => "intercept-unusable",
            },
        }
    }

    /// Whether trying again cannot help: another version, another program, another key, a target that it does not serve.
    pub(crate) const fn is_permanent(&self) -> bool {
        matches!(
            self,
            Self::Channel {
                cause: channel::Error::NotTheChannel(_)
                    | channel::Error::Version { .. }
                    | channel::Error::Role { .. }
                    | channel::Error::Authentication(_)
                    | channel::Error::KeyWanted
                    | channel::Error::KeyMissing
                    | channel::Error::NotOurKey
                    | channel::Error::Refused(channel::Refusal::UnknownTarget(_)),
                ..
            }
        )
    }
}

impl Failure {
    /// Whether another key may help.
    const fn is_of_key(&self) -> bool {
        matches!(
            self,
            Self::Channel {
                cause: channel::Error::NotOurKey,
                ..
            }
        )
    }
}

impl Connection {
    /// Connects and reconnects until the run ends.
    pub(crate) fn run(mut self) {
        let mut pause = RETRY_FIRST;
        let (mut said, mut attempts) = (None, 0);
        while !self.channels.stop.load(Ordering::Relaxed) {
            let began = Instant::now();
            let failure = match self.connect() {
                Ok(stream) => self.talk(stream, attempts),
                Err(failure) => Some(failure),
            };
            self.channels.set_up(self.index, false);
            let Some(failure) = failure else { break };
            // The file of the other may not have the new key yet.
            if self.goes_on_without(&failure) {
                continue;
            }
            if failure.is_of_key() {
                attempts += 1;
                if attempts % self.key_count() != 0 {
                    continue;
                }
            }
            // The same complaint is made once, not once per attempt.
            let words = failure.to_string();
            self.channels.complain(self.index, &words);
            if said.as_ref() != Some(&words) {
                warn!(
                    finding = failure.finding(),
                    "{words}; {}, trying again",
                    self.channels.what_then()
                );
                said = Some(words);
            }
            let _ = self.first.try_send(Err(failure));
            if began.elapsed() > RETRY_MAX {
                (pause, said) = (RETRY_FIRST, None);
            }
            self.wait(pause);
            pause = (pause * 2).min(RETRY_MAX);
        }
    }

    /// Whether it does not have a target that another may have: then it is asked for the others.
    fn goes_on_without(&mut self, failure: &Failure) -> bool {
        let Failure::Channel { cause, .. } = failure else {
            // What comes in its place may be another one.
            self.channels.forget(self.index);
            self.refused.clear();
            return false;
        };
        let channel::Error::Refused(Refusal::UnknownTarget(target)) = cause else {
            return false;
        };
        if !self.channels.refuse(self.index, *target) || !self.targets.contains(target) {
            return false;
        }
        self.refused.insert(*target);
        if self.refused.len() == self.targets.len() {
            return false;
        }
        info!(
            "intercept at {} does not consume what {target} answers: another one has to",
            self.address
        );
        true
    }

    /// Targets whose replies are asked for.
    fn wanted(&self) -> Vec<Endpoint> {
        let is_wanted = |target: &&Endpoint| !self.refused.contains(*target);
        self.targets.iter().filter(is_wanted).copied().collect()
    }

    /// How many keys there are to try, at least one.
    fn key_count(&self) -> usize {
        self.keys
            .as_ref()
            .map_or(1, |keys| keys.current().iter().len())
    }

    fn connect(&self) -> Result<TcpStream, Failure> {
        let failed = |cause| Failure::Connect {
            address: self.address.clone(),
            cause,
        };
        // Looked up each time: an assistant that was replaced may have another address.
        let addresses = self.names.addresses(&self.address).map_err(failed)?;
        let mut last = io::Error::new(ErrorKind::NotFound, "the name has no address");
        for address in addresses {
            // Here and not only at the start: the address that is judged is the one that is connected to.
            let ip = address.ip().to_canonical();
            if !self.is_insecure && self.keys.is_none() && !ip.is_loopback() {
                let address = self.address.clone();
                return Err(Failure::Insecure { address, ip });
            }
            match TcpStream::connect_timeout(&address, CONNECT_MAX) {
                Ok(stream) => {
                    stream
                        .set_nodelay(true)
                        .and_then(|()| stream.set_nonblocking(true))
                        .map_err(failed)?;
                    return Ok(stream);
                }
                Err(cause) => last = cause,
            }
        }
        Err(failed(last))
    }

    /// Drives one connection to its end; `None` where the run ends.
    fn talk(&mut self, stream: TcpStream, attempts: usize) -> Option<Failure> {
        let key = self.keys.as_ref();
        let key = key.map(|keys| keys.current().of_attempt(attempts));
        let targets = self.wanted();
        let (mut out, now) = (Vec::new(), Instant::now());
        let end = TcpcopyEnd::new(targets, self.payload_max, key, now, &mut out)
            .with_whole(&self.whole)
            .with_sources(self.sources.clone());
        let mut talk = Talk::new(stream, end, out, self.index);
        let address = || self.address.clone();
        let end = loop {
            if self.channels.stop.load(Ordering::Relaxed) {
                break None;
            }
            let begins = match talk.turn(
                &self.waker,
                &self.announcements,
                &self.channels,
                &self.probes,
            ) {
                Ok(begins) => begins,
                Err(Broken::Socket(cause)) => {
                    break Some(Failure::Lost {
                        address: address(),
                        cause,
                    });
                }
                Err(Broken::Channel(cause)) => {
                    break Some(Failure::Channel {
                        address: address(),
                        cause,
                    });
                }
            };
            if begins {
                info!(
                    "connected to intercept at {}, {} sessions announced",
                    self.address,
                    self.flows.len()
                );
                let is_wanted = |flow: &&FlowKey| !self.refused.contains(&flow.server);
                talk.open(self.flows.iter().filter(is_wanted).copied());
                // Nobody may be listening any more.
                let _ = self.first.try_send(Ok(()));
                self.channels.set_up(self.index, true);
            }
            talk.announce(&self.announcements, &mut self.flows, &self.refused);
        };
        if talk.is_subscribed() && end.is_some() {
            self.channels.lost.fetch_add(1, Ordering::Relaxed);
        }
        end
    }

    /// Lets time pass, taking announcements meanwhile.
    fn wait(&mut self, time: Duration) {
        let until = Instant::now() + time;
        while Instant::now() < until && !self.channels.stop.load(Ordering::Relaxed) {
            talk::take(&self.announcements, &mut self.flows, None, &self.refused);
            thread::sleep(Duration::from_millis(20));
        }
    }
}

#[cfg(test)]
mod tests;
