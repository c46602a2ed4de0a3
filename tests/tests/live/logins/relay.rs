//! A relay between a client and a server, which notes what both say, in its order.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use lab::{Host, Lab};

/// Who has said something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Client,
    Server,
}

/// What was said on one connection. No bytes: the side has closed.
pub(super) type Noted = Vec<(Side, Vec<u8>)>;

/// A relay, until it is dropped.
pub(super) struct Relay {
    pub(super) address: SocketAddr,
    noted: Arc<Mutex<Vec<Noted>>>,
}

impl Relay {
    /// On the client's host, to this server.
    pub(super) fn start(lab: &Lab, server: SocketAddr) -> Self {
        let noted = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&noted);
        let address = lab.namespace(Host::Client).enter(move || {
            let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
            let address = listener.local_addr().expect("an address");
            // The thread is in the namespace where it was started.
            std::thread::spawn(move || {
                for client in listener.incoming().flatten() {
                    let server = TcpStream::connect(server).expect("the server");
                    serve(&client, &server, &kept);
                }
            });
            address
        });
        Self {
            address: address.expect("the namespace"),
            noted,
        }
    }

    /// All connections so far; those that are over.
    pub(super) fn noted(&self) -> Vec<Noted> {
        // What is closed last is noted shortly after the client has ended.
        for _ in 0..200 {
            let noted = self.noted.lock().expect("no panic");
            let is_over = |noted: &Noted| noted.iter().any(|(_, bytes)| bytes.is_empty());
            if !noted.is_empty() && noted.iter().all(is_over) {
                return noted.clone();
            }
            drop(noted);
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        panic!("a connection is open still");
    }
}

fn serve(client: &TcpStream, server: &TcpStream, noted: &Arc<Mutex<Vec<Noted>>>) {
    let number = {
        let mut noted = noted.lock().expect("no panic");
        noted.push(Vec::new());
        noted.len() - 1
    };
    for (side, from, to) in [
        (Side::Client, client, server),
        (Side::Server, server, client),
    ] {
        let (from, to) = (
            from.try_clone().expect("a socket"),
            to.try_clone().expect("a socket"),
        );
        let noted = Arc::clone(noted);
        std::thread::spawn(move || carry(side, from, to, number, &noted));
    }
}

fn carry(
    side: Side,
    mut from: TcpStream,
    mut to: TcpStream,
    number: usize,
    noted: &Mutex<Vec<Noted>>,
) {
    let _ = to.set_nodelay(true);
    let mut bytes = vec![0; 16 << 10];
    loop {
        let len = from.read(&mut bytes).unwrap_or(0);
        // Noted before it is sent on: nobody can have answered yet.
        noted.lock().expect("no panic")[number].push((side, bytes[..len].to_vec()));
        if len == 0 || to.write_all(&bytes[..len]).is_err() {
            let _ = to.shutdown(Shutdown::Write);
            return;
        }
    }
}
