//! What a confined thread cannot do, and that it goes on doing what it is there for.

use std::fs::File;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{TcpListener, TcpStream, ToSocketAddrs as _, UdpSocket};
use std::process::Command;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use caps::CapSet;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

use super::{Trade, confined};

/// Does something in a thread that was confined for good.
fn in_trade<T: Send + 'static>(trade: Trade, work: impl FnOnce() -> T + Send + 'static) -> T {
    let confined = move || {
        crate::rights::never_more();
        let walls = confined(trade);
        assert!(walls.filter || trade == Trade::Works, "{walls:?}");
        let permitted = caps::read(None, CapSet::Permitted).unwrap_or_default();
        assert!(permitted.is_empty(), "{permitted:?}");
        work()
    };
    thread::spawn(confined).join().unwrap()
}

/// Whether `openat`, `execve` and a socket of netlink are refused.
fn tries() -> [bool; 3] {
    let refused = |kind| kind == ErrorKind::PermissionDenied;
    let opened = File::open("/etc/shadow").map(drop);
    let started = Command::new("/bin/true").status().map(drop);
    let netlink = socket(
        AddressFamily::Netlink,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC,
        None,
    );
    let netlink = netlink.map(drop).map_err(std::io::Error::from);
    [opened, started, netlink].map(|tried| tried.is_err_and(|error| refused(error.kind())))
}

#[test]
fn who_hears_strangers_gets_no_further() {
    for trade in [
        Trade::Serves,
        Trade::Hires,
        Trade::Connects,
        Trade::Resolves,
    ] {
        assert_eq!(in_trade(trade, tries), [true; 3], "{trade:?}");
    }
    // Nothing of it is this thread's.
    assert!(File::open("/etc/passwd").is_ok());
}

#[test]
fn a_worker_opens_no_file_where_there_is_landlock() {
    let (has_landlock, opened) = thread::spawn(|| {
        let walls = confined(Trade::Works);
        (walls.landlock, File::open("/etc/passwd").is_ok())
    })
    .join()
    .unwrap();
    assert_eq!(opened, !has_landlock);
}

#[test]
fn memory_does_not_become_code_and_others_are_left_alone() {
    use nix::sys::signal::kill;
    use nix::unistd::Pid;
    let parent = nix::unistd::getppid();
    for trade in [Trade::Serves, Trade::Connects] {
        let killed = in_trade(trade, move || kill(Pid::from_raw(parent.as_raw()), None));
        assert_eq!(killed, Err(nix::errno::Errno::EPERM));
        let listens = in_trade(trade, || TcpListener::bind("127.0.0.1:0").is_ok());
        assert!(!listens, "{trade:?}");
    }
    assert!(in_trade(Trade::Serves, || TcpStream::connect(
        "127.0.0.1:1"
    )
    .is_err_and(|error| error.kind() == ErrorKind::PermissionDenied)));
}

/// What such threads live by goes on: memory, locks, time, random numbers, sockets, other threads' words, a panic.
#[test]
fn its_own_trade_goes_on() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (hired, told) = mpsc::channel();
    let serving = thread::spawn(move || {
        in_trade(Trade::Hires, move || {
            for stream in listener.incoming().take(4) {
                let (mut stream, hired) = (stream.unwrap(), hired.clone());
                let serve = move || {
                    super::confine(Trade::Serves);
                    let mut word = [0; 4];
                    stream.set_nodelay(true).unwrap();
                    stream.read_exact(&mut word).unwrap();
                    stream.write_all(&word).unwrap();
                    hired.send(tries()).unwrap();
                };
                thread::Builder::new()
                    .name("hired".into())
                    .spawn(serve)
                    .unwrap();
            }
        });
    });
    for _ in 0..4 {
        let echoed = in_trade(Trade::Connects, move || {
            let mut stream = TcpStream::connect(address).unwrap();
            stream
                .set_read_timeout(Some(Duration::from_secs(5)))
                .unwrap();
            stream.write_all(b"word").unwrap();
            let mut word = [0; 4];
            stream.read_exact(&mut word).unwrap();
            word
        });
        assert_eq!(&echoed, b"word");
        assert_eq!(told.recv().unwrap(), [true; 3]);
    }
    serving.join().unwrap();
    in_trade(Trade::Serves, || {
        let until = Instant::now() + Duration::from_millis(200);
        let mut kept = Vec::new();
        while Instant::now() < until {
            // Large and small, so that the C library asks the kernel for some and gives others back.
            kept.push(vec![1_u8; 300 << 10]);
            if kept.len() > 64 {
                kept.clear();
            }
            let random = std::collections::HashMap::from([(kept.len(), 1)]);
            assert_eq!(random.len(), 1);
            thread::yield_now();
        }
        thread::sleep(Duration::from_millis(1));
        let panicked = std::panic::catch_unwind(|| {
            std::panic::resume_unwind(Box::new("as a bug would"));
        });
        assert!(panicked.is_err());
    });
}

#[test]
fn names_are_looked_up_and_shadow_is_not_read() {
    let (found, shadow) = in_trade(Trade::Resolves, || {
        let found = "localhost:80".to_socket_addrs().map(Iterator::count);
        (
            found.is_ok_and(|count| count > 0),
            File::open("/etc/shadow"),
        )
    });
    assert!(found);
    assert!(shadow.is_err());
    // A name server is asked from a port of no number.
    assert!(in_trade(Trade::Resolves, || UdpSocket::bind("127.0.0.1:0").is_ok()));
}
