//! Looks up names for the threads of the channel, which may open no file and so cannot read what says where to ask.
//!
//! The thread `names` hears only them. For each name it starts one that is confined to what the C library reads for that as it
//! is now: a list of name servers that was replaced is another file. Whoever asks waits, as it would have waited for the library.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::thread;

use crossbeam_channel::{Receiver, Sender, bounded};
use process::confinement::{self, Trade};
use process::rights;

/// Questions that wait at most; each connection asks one at a time.
const WAITING_MAX: usize = 64;

type Answer = io::Result<Vec<SocketAddr>>;

/// How to ask. The thread ends with the last of these.
#[derive(Clone, Debug)]
pub(crate) struct Names(Sender<(String, Sender<Answer>)>);

impl Names {
    /// Starts the thread.
    ///
    /// # Errors
    ///
    /// Where the kernel gives none.
    pub(crate) fn start() -> io::Result<Self> {
        let (ask, questions) = bounded(WAITING_MAX);
        thread::Builder::new().name("names".into()).spawn(move || {
            rights::keep_only(rights::NOTHING);
            serve(&questions);
        })?;
        Ok(Self(ask))
    }

    /// The addresses of `HOST:PORT`; of numbers without asking anybody.
    ///
    /// # Errors
    ///
    /// Where the name means nothing, or the kernel gives no thread to look.
    pub(crate) fn addresses(&self, of: &str) -> Answer {
        if let Ok(address) = of.parse() {
            return Ok(vec![address]);
        }
        let (answer, answered) = bounded(1);
        let gone = || io::Error::other("no thread looks names up");
        self.0.send((of.to_owned(), answer)).map_err(|_| gone())?;
        answered.recv().unwrap_or_else(|_| Err(gone()))
    }
}

fn serve(questions: &Receiver<(String, Sender<Answer>)>) {
    for (name, answer) in questions {
        let failed = answer.clone();
        let look = move || {
            confinement::confine(Trade::Resolves);
            // Nobody may wait any more.
            let _ = answer.send(name.to_socket_addrs().map(Iterator::collect));
        };
        if let Err(error) = thread::Builder::new().name("name".into()).spawn(look) {
            let _ = failed.send(Err(error));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Names;

    #[test]
    fn names_and_numbers_have_addresses() {
        let names = Names::start().unwrap();
        let of = |name: &str| names.addresses(name).unwrap();
        assert_eq!(of("192.0.2.1:80"), ["192.0.2.1:80".parse().unwrap()]);
        assert_eq!(
            of("[2001:db8::1]:80"),
            ["[2001:db8::1]:80".parse().unwrap()]
        );
        let found = of("localhost:80");
        assert!(!found.is_empty());
        assert!(found.iter().all(|address| address.ip().is_loopback()));
        assert!(names.addresses("no.such.host.invalid:80").is_err());
        assert!(names.addresses("localhost").is_err());
    }
}
