//! A host of the simulation: smoltcp over a wire that is a pair of queues.

use std::cell::Cell;
use std::collections::VecDeque;

use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::socket::tcp;
use smoltcp::time::{Duration, Instant};
use smoltcp::wire::{HardwareAddress, IpAddress, IpCidr};

use crate::address::Host;
use crate::random::Random;
use crate::wrap::Wrap;

pub(crate) const MICROSECOND: u64 = 1_000;
pub(crate) const MILLISECOND: u64 = 1_000_000;
pub(crate) const SECOND: u64 = 1_000_000_000;

thread_local! {
    /// smoltcp asks a plain function for its timestamps.
    static CLOCK_MS: Cell<u32> = const { Cell::new(0) };
    /// What a timestamp is when a simulation begins.
    static TIMESTAMP_BASE: Cell<u32> = const { Cell::new(0) };
}

fn timestamp() -> u32 {
    CLOCK_MS.get().wrapping_add(TIMESTAMP_BASE.get())
}

/// Lets timestamps begin at a value.
pub(crate) fn set_timestamp_base(base: u32) {
    TIMESTAMP_BASE.set(base);
}

/// The queues of a host: whole IP packets.
#[derive(Debug)]
struct Wire {
    arrived: VecDeque<Vec<u8>>,
    leaving: VecDeque<Vec<u8>>,
    mtu: usize,
}

struct Arrived(Vec<u8>);
struct Leaving<'a>(&'a mut VecDeque<Vec<u8>>);

impl RxToken for Arrived {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(&self.0)
    }
}

impl TxToken for Leaving<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let mut packet = vec![0; len];
        let result = f(&mut packet);
        self.0.push_back(packet);
        result
    }
}

impl Device for Wire {
    type RxToken<'a> = Arrived;
    type TxToken<'a> = Leaving<'a>;

    fn receive(&mut self, _: Instant) -> Option<(Arrived, Leaving<'_>)> {
        let packet = self.arrived.pop_front()?;
        Some((Arrived(packet), Leaving(&mut self.leaving)))
    }

    fn transmit(&mut self, _: Instant) -> Option<Leaving<'_>> {
        Some(Leaving(&mut self.leaving))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ip;
        capabilities.max_transmission_unit = self.mtu;
        capabilities
    }
}

/// How the sockets of a host are set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SocketOptions {
    pub(crate) receive_buffer: usize,
    pub(crate) send_buffer: usize,
    pub(crate) nagle: bool,
    pub(crate) ack_delay_ms: u64,
    pub(crate) timestamps: bool,
    pub(crate) keep_alive_ms: Option<u64>,
}

impl SocketOptions {
    pub(crate) fn random(random: &mut Random) -> Self {
        Self {
            receive_buffer: random.pick(&[3000, 8192, 32_768, 65_535, 200_000]),
            send_buffer: random.pick(&[4096, 16_384, 65_536]),
            nagle: random.percent(30),
            ack_delay_ms: random.pick(&[0, 0, 10, 40]),
            timestamps: random.percent(50),
            keep_alive_ms: random.percent(10).then_some(300),
        }
    }

    pub(crate) fn socket(&self) -> tcp::Socket<'static> {
        let mut socket = tcp::Socket::new(
            tcp::SocketBuffer::new(vec![0; self.receive_buffer]),
            tcp::SocketBuffer::new(vec![0; self.send_buffer]),
        );
        socket.set_nagle_enabled(self.nagle);
        socket.set_ack_delay(
            (self.ack_delay_ms > 0).then(|| Duration::from_millis(self.ack_delay_ms)),
        );
        socket.set_tsval_generator(self.timestamps.then_some(timestamp));
        socket.set_keep_alive(self.keep_alive_ms.map(Duration::from_millis));
        socket
    }
}

/// One host.
pub(crate) struct Stack {
    interface: Interface,
    wire: Wire,
    wrap: Option<Wrap>,
    pub(crate) sockets: SocketSet<'static>,
}

fn micros(now: u64) -> Instant {
    CLOCK_MS.set((now / MILLISECOND) as u32);
    Instant::from_micros(i64::try_from(now / MICROSECOND).expect("a simulation is short"))
}

impl Stack {
    /// A host whose sequence numbers begin near the wrap if it `wraps`.
    pub(crate) fn new(host: Host, mtu: u16, wraps: bool, now: u64, random: &mut Random) -> Self {
        let mut wire = Wire {
            arrived: VecDeque::new(),
            leaving: VecDeque::new(),
            mtu: usize::from(mtu),
        };
        let mut config = Config::new(HardwareAddress::Ip);
        config.random_seed = random.next();
        let mut interface = Interface::new(config, &mut wire, micros(now));
        let routes = interface.routes_mut();
        match host.router().ip() {
            IpAddress::Ipv4(router) => routes.add_default_ipv4_route(router),
            IpAddress::Ipv6(router) => routes.add_default_ipv6_route(router),
        }
        .expect("room for one route");
        let mut stack = Self {
            interface,
            wire,
            wrap: wraps.then(|| Wrap::new(random)),
            sockets: SocketSet::new(vec![]),
        };
        stack.add_address(host);
        stack
    }

    /// Gives the host one more address.
    pub(crate) fn add_address(&mut self, host: Host) {
        self.interface.update_ip_addrs(|addresses| {
            addresses
                .push(IpCidr::new(host.ip(), host.prefix_len()))
                .expect("room for two addresses");
        });
    }

    pub(crate) fn add(&mut self, socket: tcp::Socket<'static>) -> SocketHandle {
        self.sockets.add(socket)
    }

    pub(crate) fn socket(&mut self, handle: SocketHandle) -> &mut tcp::Socket<'static> {
        self.sockets.get_mut(handle)
    }

    pub(crate) fn connect(&mut self, handle: SocketHandle, to: (Host, u16), from: (Host, u16)) {
        let socket = self.sockets.get_mut::<tcp::Socket<'_>>(handle);
        socket
            .connect(
                self.interface.context(),
                (to.0.ip(), to.1),
                (from.0.ip(), from.1),
            )
            .expect("a fresh socket connects");
    }

    /// Takes in what has arrived, sends what is to be sent.
    pub(crate) fn poll(&mut self, now: u64) {
        let _ = self
            .interface
            .poll(micros(now), &mut self.wire, &mut self.sockets);
    }

    pub(crate) fn push(&mut self, mut packet: Vec<u8>) {
        if let Some(wrap) = &self.wrap {
            wrap.on_arrived(&mut packet);
        }
        self.wire.arrived.push_back(packet);
    }

    pub(crate) fn pop(&mut self) -> Option<Vec<u8>> {
        let mut packet = self.wire.leaving.pop_front()?;
        if let Some(wrap) = &mut self.wrap {
            wrap.on_leaving(&mut packet);
        }
        Some(packet)
    }

    /// When it wants to be polled next; never now, because it has just been.
    pub(crate) fn due(&mut self, now: u64) -> Option<u64> {
        let at = self.interface.poll_at(micros(now), &self.sockets)?;
        let at = u64::try_from(at.total_micros()).unwrap_or(0) * MICROSECOND;
        Some(at.max(now + 10 * MICROSECOND))
    }
}
