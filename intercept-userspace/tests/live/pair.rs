//! Two network namespaces with a veth between them: the assistant, in which the test itself runs, and the target.
//! Both go with the threads that made them.

use std::io::{self, Write as _};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::process::Command;
use std::sync::mpsc::{Receiver, Sender, channel, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, unshare};
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrIn, bind, connect, sendto,
    setsockopt, socket, sockopt,
};
use nix::unistd::gettid;
use wire::flow::Endpoint;
use wire::tcp::{Flags, Header, Options};

pub(crate) const ASSISTANT: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 9);
pub(crate) const TARGET: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 20);
/// An address of the prefix that the target routes through the assistant.
pub(crate) const CLIENT: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 7);

type Errand = Box<dyn FnOnce() + Send>;

/// The target's namespace: a thread that lives in it.
pub(crate) struct Target {
    errands: Sender<Errand>,
    tid: i32,
}

/// Runs `test` in the assistant's namespace, whose end of the veth is `a0`; or says why not.
pub(crate) fn with_pair(test: impl FnOnce(&Target) + Send + 'static) {
    if programs::intercept().is_err() {
        return skip("built without programs: cargo xtask build-ebpf");
    }
    let thread = thread::spawn(move || {
        if let Err(errno) = unshare(CloneFlags::CLONE_NEWNET) {
            return skip(&format!(
                "cannot make a network namespace ({errno}); run as root"
            ));
        }
        let target = Target::start();
        ip("link set lo up");
        target.join(1);
        test(&target);
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

/// Where skipping is not wanted (`cargo xtask test --no-skip`), this fails. Not through `println!`, which is not shown
/// for a test that passes.
fn skip(why: &str) {
    assert!(std::env::var_os("TCPCOPY_NO_SKIP").is_none(), "{why}");
    let _ = writeln!(io::stderr(), "SKIP: {why}");
}

/// No neighbour or router is looked for, so that only the test's own frames are seen.
fn quiet(interface: &str) {
    let _ = std::fs::write(
        format!("/proc/sys/net/ipv6/conf/{interface}/disable_ipv6"),
        "1",
    );
}

/// Runs the `ip` command.
pub(crate) fn ip(arguments: &str) {
    let status = Command::new("ip")
        .args(arguments.split_whitespace())
        .status();
    assert!(
        status.is_ok_and(|status| status.success()),
        "ip {arguments}"
    );
}

impl Target {
    fn start() -> Self {
        let (errands, inbox) = channel::<Errand>();
        let (ready, started) = sync_channel(1);
        thread::spawn(move || {
            unshare(CloneFlags::CLONE_NEWNET).expect("the assistant has one too");
            ready.send(gettid().as_raw()).expect("it waits");
            inbox.iter().for_each(|errand| errand());
        });
        Self {
            errands,
            tid: started.recv().expect("it starts"),
        }
    }

    /// Joins both namespaces by a veth of so many queues.
    pub(crate) fn join(&self, queues: u32) {
        let many = format!("numtxqueues {queues} numrxqueues {queues}");
        let tid = self.tid;
        ip(&format!(
            "link add a0 {many} type veth peer name t0 {many} netns {tid}"
        ));
        quiet("a0");
        ip(&format!("addr add {ASSISTANT}/24 dev a0"));
        ip("link set a0 up");
        self.run(|| {
            ip("link set lo up");
            quiet("t0");
            ip(&format!("addr add {TARGET}/24 dev t0"));
            ip("link set t0 up");
            ip(&format!("route add 203.0.113.0/24 via {ASSISTANT}"));
        });
    }

    /// Does something in the target's namespace and waits for it.
    pub(crate) fn run<T: Send + 'static>(&self, errand: impl FnOnce() -> T + Send + 'static) -> T {
        let (done, result) = sync_channel(1);
        self.errands
            .send(Box::new(move || drop(done.send(errand()))))
            .expect("the target lives");
        result.recv().expect("the target lives")
    }

    /// The target's own kernel sends a SYN from this port of it; nobody will answer.
    pub(crate) fn send_syn(&self, port: u16, to: SocketAddrV4) -> Syn {
        self.run(move || {
            let socket = socket(
                AddressFamily::Inet,
                SockType::Stream,
                SockFlag::SOCK_NONBLOCK,
                None,
            )
            .expect("a TCP socket");
            setsockopt(&socket, sockopt::ReuseAddr, &true).expect("an option");
            bind(
                socket.as_raw_fd(),
                &SockaddrIn::from(SocketAddrV4::new(TARGET, port)),
            )
            .expect("a free port");
            let _ = connect(socket.as_raw_fd(), &SockaddrIn::from(to));
            Syn { _socket: socket }
        })
    }

    /// Sends `count` segments with `payload` bytes each, made by hand.
    pub(crate) fn send_segments(&self, from: Endpoint, to: Endpoint, payload: usize, count: usize) {
        self.run(move || {
            let packet = segment(from, to, payload);
            let socket = socket(
                AddressFamily::Inet,
                SockType::Raw,
                SockFlag::empty(),
                SockProtocol::Raw,
            )
            .expect("a raw socket");
            let next_hop = SockaddrIn::from(SocketAddrV4::new(to.addr.v4_octets().into(), 0));
            for _ in 0..count {
                sendto(socket.as_raw_fd(), &packet, &next_hop, MsgFlags::empty())
                    .expect("it is sent");
            }
        });
    }
}

impl Target {
    /// Sends segments to these by turns, `rate` per second for `time` in a thread of its own; how many it was arrives
    /// in the end.
    pub(crate) fn start_flood(
        &self,
        from: Endpoint,
        to: Vec<Endpoint>,
        rate: u64,
        time: Duration,
    ) -> Receiver<u64> {
        let (done, result) = sync_channel(1);
        self.run(move || {
            // A thread lives in the namespace of the one that starts it.
            thread::spawn(move || done.send(flood(from, &to, rate, time)))
        });
        result
    }
}

fn flood(from: Endpoint, to: &[Endpoint], rate: u64, time: Duration) -> u64 {
    let socket = socket(
        AddressFamily::Inet,
        SockType::Raw,
        SockFlag::empty(),
        SockProtocol::Raw,
    )
    .expect("a raw socket");
    let packets: Vec<_> = to.iter().map(|to| segment(from, *to, 600)).collect();
    let next_hop = SockaddrIn::from(SocketAddrV4::new(CLIENT, 0));
    let (start, mut sent) = (Instant::now(), 0);
    while start.elapsed() < time {
        let due = u128::from(rate) * start.elapsed().as_nanos() / 1_000_000_000;
        let due = u64::try_from(due).unwrap_or(u64::MAX);
        if sent >= due {
            thread::sleep(Duration::from_micros(50));
            continue;
        }
        for packet in packets
            .iter()
            .cycle()
            .skip(sent as usize % packets.len())
            .take((due - sent).min(64) as usize)
        {
            let result = sendto(socket.as_raw_fd(), packet, &next_hop, MsgFlags::empty());
            sent += u64::from(result.is_ok());
        }
    }
    sent
}

/// A connection attempt of the target; it ends when this is dropped.
pub(crate) struct Syn {
    _socket: OwnedFd,
}

/// What made segments carry, again and again.
pub(crate) const SECRET: &[u8] = b"secret";

/// A segment from its IP header on.
pub(crate) fn segment(from: Endpoint, to: Endpoint, payload: usize) -> Vec<u8> {
    let header = Header {
        source: from,
        destination: to,
        seq: 1,
        ack: 2,
        flags: Flags::ACK.with(Flags::PSH),
        window: 3,
        urgent: 0,
        options: Options::default(),
    };
    let mut frame = vec![0; header.payload_offset()];
    frame.extend(SECRET.iter().cycle().take(payload));
    assert!(header.emit(&mut frame));
    frame.split_off(14)
}
