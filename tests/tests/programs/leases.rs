//! Whose replies `capture` takes: those to ports that a session has leased, and no other packet of a target.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd as _;
use std::thread;

use abi::counter::Counter;
use abi::maps::{POOL_ALONE, POOL_LISTED, POOL_MIXED, POOL_OWN};
use nix::sys::socket::{SockaddrStorage, bind, connect};
use programs::name::CAPTURE;
use wire::flow::{Addr, Endpoint, PoolRange};
use wire::tcp::Flags;

use crate::kernel::{DROP, Kernel, NEXT, Settings, only, skipped};
use crate::link::Link;
use crate::packet::{ONLINE, POOL, POOL_RANGE, TARGET, bare, data, v6};

const TAKEN: [Counter; 2] = [Counter::ReplyMatched, Counter::ReplyRecorded];

fn range(addr: Addr) -> PoolRange {
    PoolRange {
        prefix: addr,
        mask: Addr::v6([0xff; 16]),
        port_first: 1,
        port_last: u16::MAX,
    }
}

/// Of all 65,536 ports, those are dropped that are leased and lie in the pool.
#[test]
fn dropped_implies_leased() {
    if skipped() {
        return;
    }
    let mut kernel = Kernel::tcpcopy(&Settings {
        lease_slots: 2,
        ..Settings::default()
    });
    let other = Endpoint::new(TARGET.addr, TARGET.port + 1);
    kernel.replies_to(TARGET, &POOL_RANGE, POOL_OWN, 1);
    kernel.replies_to(other, &range(POOL.addr), POOL_OWN, 0);
    // Neighbours in a word, words at both ends, and ports outside the pool's range, where a bit must not matter.
    let leased = |port: u16| port.is_multiple_of(7) || (12_800..12_864).contains(&port);
    for port in (0..=u16::MAX).filter(|port| leased(*port)) {
        kernel.lease(1, port, true);
    }
    for port in 0..=u16::MAX {
        let to = Endpoint::new(POOL.addr, port);
        let expected =
            leased(port) && (POOL_RANGE.port_first..=POOL_RANGE.port_last).contains(&port);
        let verdict = kernel.tc(CAPTURE, &data(TARGET, to, 1));
        assert_eq!(verdict == DROP, expected, "port {port}");
        let verdict = kernel.tc(CAPTURE, &data(other, to, 1));
        assert_eq!(
            verdict, NEXT,
            "port {port} towards a target that no session talks to"
        );
        if port.is_multiple_of(512) {
            kernel.drain();
        }
    }
}

#[test]
fn what_is_not_leased_passes_and_is_counted() {
    if skipped() {
        return;
    }
    let mut kernel = Kernel::tcpcopy(&Settings::default());
    kernel.replies_to(TARGET, &POOL_RANGE, POOL_OWN, 0);
    for frame in [data(TARGET, POOL, 500), bare(TARGET, POOL, Flags::ACK)] {
        assert_eq!(kernel.tc(CAPTURE, &frame), NEXT);
        assert_eq!(kernel.counted(), only(&[Counter::ReplyUnleased]));
        kernel.lease(0, POOL.port, true);
        assert_eq!(kernel.tc(CAPTURE, &frame), DROP);
        assert_eq!(kernel.counted(), only(&TAKEN));
        kernel.lease(0, POOL.port, false);
    }
    assert_eq!(kernel.records(0).len(), 2);
}

#[test]
fn an_address_of_the_pool_alone_needs_no_lease() {
    if skipped() {
        return;
    }
    let mut kernel = Kernel::tcpcopy(&Settings::default());
    kernel.replies_to(TARGET, &POOL_RANGE, POOL_ALONE, 0);
    assert_eq!(kernel.tc(CAPTURE, &data(TARGET, POOL, 5)), DROP);
    assert_eq!(kernel.counted(), only(&TAKEN));
}

/// A pool of 256 addresses, two of which are this host's own.
#[test]
fn own_addresses_of_a_pool_have_leases_of_their_own() {
    if skipped() {
        return;
    }
    let mut kernel = Kernel::tcpcopy(&Settings {
        lease_slots: 3,
        ..Settings::default()
    });
    let at = |last| Endpoint::new(Addr::v4([198, 51, 100, last]), POOL.port);
    let mut mask = [0xff; 16];
    mask[15] = 0;
    let pool = PoolRange {
        prefix: at(0).addr,
        mask: Addr::v6(mask),
        ..POOL_RANGE
    };
    kernel.pool_address(at(1).addr, 0);
    kernel.pool_address(at(2).addr, 1);
    kernel.replies_to(TARGET, &pool, POOL_MIXED, 1);
    kernel.lease(2, POOL.port, true);
    for (to, verdict) in [(at(1), NEXT), (at(2), DROP), (at(3), DROP)] {
        assert_eq!(kernel.tc(CAPTURE, &data(TARGET, to, 5)), verdict, "{to}");
    }
    // The doctor's probes come from listed addresses only.
    kernel.replies_to(TARGET, &pool, POOL_LISTED, 1);
    for (to, verdict) in [(at(1), NEXT), (at(2), DROP), (at(3), NEXT)] {
        assert_eq!(kernel.tc(CAPTURE, &data(TARGET, to, 5)), verdict, "{to}");
    }
}

#[test]
fn frames_for_another_ethernet_address_are_left_alone() {
    if skipped() {
        return;
    }
    let mut kernel = Kernel::tcpcopy(&Settings::default());
    kernel.service(ONLINE);
    kernel.replies(TARGET, &POOL_RANGE);
    for mut frame in [
        data(Endpoint::new(TARGET.addr, 9), ONLINE, 5),
        data(TARGET, POOL, 5),
    ] {
        frame[..6].copy_from_slice(&[2, 0, 0, 0, 0, 9]);
        assert_eq!(kernel.tc(CAPTURE, &frame), NEXT);
        assert_eq!(kernel.counted(), only(&[Counter::CaptureOtherHost]));
    }
    assert_eq!(kernel.records(0).len(), 0);
}

/// Sockets of this host on ports that are leased: what is theirs passes, and the lease is over.
#[test]
fn a_socket_that_has_the_connection_keeps_it() {
    if skipped() {
        return;
    }
    let test = || {
        let link = Link::with_addresses();
        for (server, from) in [
            (
                SocketAddr::from((Ipv4Addr::LOCALHOST, 7001)),
                SocketAddr::from((Ipv4Addr::LOCALHOST, 7002)),
            ),
            (
                SocketAddr::from((Ipv6Addr::LOCALHOST, 7001)),
                SocketAddr::from((Ipv6Addr::LOCALHOST, 7002)),
            ),
        ] {
            let listener = TcpListener::bind(server).expect("a listener");
            let stream = connect_from(from, server);
            let _accepted = listener.accept().expect("accepted");
            check_socket(Endpoint::from(server), Endpoint::from(from));
            drop(stream);
        }
        drop(link);
    };
    thread::spawn(test).join().expect("the test");
}

fn check_socket(target: Endpoint, pool: Endpoint) {
    let mut kernel = Kernel::tcpcopy(&Settings::default());
    kernel.replies(target, &range(pool.addr));
    for flags in [Flags::ACK, Flags::SYN.with(Flags::ACK), Flags::RST] {
        kernel.lease(0, pool.port, true);
        assert_eq!(
            kernel.tc(CAPTURE, &bare(target, pool, flags)),
            NEXT,
            "{flags:?}"
        );
        assert_eq!(kernel.counted(), only(&[Counter::ReplyForeign]));
        assert!(!kernel.is_leased(0, pool.port), "the lease is over");
        assert_eq!(kernel.tc(CAPTURE, &data(target, pool, 100)), NEXT);
        assert_eq!(kernel.counted(), only(&[Counter::ReplyUnleased]));
    }
    // Nobody has this connection, and somebody who listens is not asked.
    for port in [pool.port + 1, target.port] {
        let free = Endpoint::new(pool.addr, port);
        assert_eq!(
            kernel.tc(CAPTURE, &bare(target, free, Flags::ACK)),
            DROP,
            "{free}"
        );
        assert_eq!(kernel.counted(), only(&TAKEN));
        assert!(kernel.is_leased(0, port));
    }
}

fn connect_from(from: SocketAddr, to: SocketAddr) -> TcpStream {
    use std::os::fd::{FromRawFd as _, IntoRawFd as _};
    let family = if from.is_ipv4() {
        nix::sys::socket::AddressFamily::Inet
    } else {
        nix::sys::socket::AddressFamily::Inet6
    };
    let socket = nix::sys::socket::socket(
        family,
        nix::sys::socket::SockType::Stream,
        nix::sys::socket::SockFlag::SOCK_CLOEXEC,
        None,
    )
    .expect("a socket");
    bind(socket.as_raw_fd(), &SockaddrStorage::from(from)).expect("bound");
    connect(socket.as_raw_fd(), &SockaddrStorage::from(to)).expect("connected");
    // SAFETY: the descriptor is open and given away.
    unsafe { TcpStream::from_raw_fd(socket.into_raw_fd()) }
}

#[test]
fn of_ipv6_only_what_is_leased_is_taken() {
    if skipped() {
        return;
    }
    let mut kernel = Kernel::tcpcopy(&Settings::default());
    let (target, pool) = (v6(TARGET), v6(POOL));
    kernel.replies_to(target, &range(pool.addr), POOL_OWN, 0);
    assert_eq!(kernel.tc(CAPTURE, &data(target, pool, 5)), NEXT);
    kernel.lease(0, pool.port, true);
    assert_eq!(kernel.tc(CAPTURE, &data(target, pool, 5)), DROP);
    assert_eq!(kernel.tc(CAPTURE, &bare(target, pool, Flags::ACK)), DROP);
}
