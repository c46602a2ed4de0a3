//! Maps and globals: their names, their keys and values, and their sizes.

use wire::flow::PoolRange;

/// Array of `u32`, one per port: what a packet from or to it can be (the `PORT_` bits).
///
/// Nearly all traffic of a host is told by its port not to be ours, and a service on any address is told by its port
/// alone; a look into a hash map costs every packet as much as all the rest of a program.
pub const PORTS: &str = "PORTS";
/// Entries of [`PORTS`].
pub const PORTS_LEN: u32 = 65_536;
/// The port belongs to an online service on some address: see [`SERVICES`].
pub const PORT_SERVICE: u32 = 1;
/// The port belongs to an online service on any address.
pub const PORT_SERVICE_ANY: u32 = 2;
/// The port belongs to a target: see [`REPLIES`].
pub const PORT_TARGET: u32 = 4;
/// Hash map [`wire::flow::Endpoint`] (online server; address `::` for "any") -> [`Service`]: what is captured.
pub const SERVICES: &str = "SERVICES";
/// Hash map [`wire::flow::Endpoint`] (target server) -> [`PoolRange`]: which replies are consumed.
pub const REPLIES: &str = "REPLIES";
/// Hash map [`wire::flow::Addr`] (target server) -> [`Egress`]: where the frames to it leave.
pub const EGRESS: &str = "EGRESS";
/// Array of ring buffers, one per worker.
pub const RINGS: &str = "RINGS";
/// Per-CPU array of `u64`, indexed by [`crate::counter::Counter`].
pub const COUNTERS: &str = "COUNTERS";
/// Array of `u32`, one per worker: [`AWAKE`], or what the sleeping worker wants to be woken by.
///
/// The worker writes it, then looks at its ring once more, then polls the ring's descriptor. The program that wakes it
/// up writes [`AWAKE`], so one sleep costs one wake-up.
pub const SLEEPING: &str = "SLEEPING";
/// The worker looks at its ring by itself.
pub const AWAKE: u32 = 0;
/// Any record wakes the worker up.
pub const ASLEEP: u32 = 1;
/// Only a target's reply wakes the worker up: what clients and the online server say can wait for its next look.
pub const ASLEEP_UNTIL_REPLY: u32 = 2;
/// `XSKMAP` of the private device (`deliver`) or of the assistant's interface (`sink`), by queue.
pub const XSKS: &str = "XSKS";
/// Hash map [`wire::flow::Endpoint`] (target server) -> `u32`: what `sink` swallows. Each target stands in it twice:
/// with its port, and with port 0 for its fragments, which carry none.
pub const TARGETS: &str = "TARGETS";
/// Hash map [`wire::flow::Addr`] -> `u32`: addresses of the assistant itself, which `sink` lets through.
pub const OWN_ADDRESSES: &str = "OWN_ADDRESSES";

/// Array of one `u32`: payload bytes that `sink` leaves behind the headers of a reply, at most
/// [`crate::record::SAMPLE_LEN_MAX`]. 0 as long as nobody who subscribed asks for any.
pub const PAYLOAD_WANTED: &str = "PAYLOAD_WANTED";

/// Ring size that the programs declare, in bytes, as the template of the rings in [`RINGS`].
///
/// The kernel compares an inner map with its template by type, key and value size and flags, not by `max_entries`
/// (`bpf_map_meta_equal`), so user space makes each worker's ring as large as it wants: a power of two that is a
/// multiple of the page size, at least twice the largest of [`crate::record::SIZE_CLASSES`].
pub const RING_TEMPLATE_LEN: u32 = 4096;
/// Size of each worker's ring unless said otherwise, in bytes.
pub const RING_LEN_DEFAULT: u32 = 16 << 20;

/// Most workers that a run can have: slots of [`RINGS`], [`SLEEPING`] and [`XSKS`].
pub const WORKERS_MAX: u32 = 64;
/// Most online endpoints: entries of [`SERVICES`].
pub const SERVICES_MAX: u32 = 1024;
/// Most targets: entries of [`REPLIES`], [`EGRESS`] and [`TARGETS`].
pub const TARGETS_MAX: u32 = 1024;
/// Most addresses of the assistant: entries of [`OWN_ADDRESSES`].
pub const OWN_ADDRESSES_MAX: u32 = 1024;

/// Global `u32`: number of workers, 1 to [`WORKERS_MAX`].
pub const GLOBAL_WORKERS: &str = "WORKERS";
/// Global `u32`: see [`wire::flow::sampled`].
pub const GLOBAL_SAMPLE_THRESHOLD: &str = "SAMPLE_THRESHOLD";
/// Global `u32`: the seed of the sample.
pub const GLOBAL_SAMPLE_SEED: &str = "SAMPLE_SEED";
/// Global `u32`: ifindex of `tcpcopy0` where client packets are cloned into it (`--capture af-xdp`), else 0.
pub const GLOBAL_CLONE_IFINDEX: &str = "CLONE_IFINDEX";
/// Global `u32`: the longest frame that the private device carries from a clone, in bytes after Ethernet.
pub const GLOBAL_CLONE_MTU: &str = "CLONE_MTU";
/// Global `u32`: payload bytes of a response, the online server's or the target's, that go into its record after the headers,
/// 0 to [`crate::record::SAMPLE_LEN_MAX`].
pub const GLOBAL_SAMPLE_LEN: &str = "SAMPLE_LEN";
/// Global `u32`: not 0 where user space fills [`PORTS`]; otherwise the programs look into the hash maps every time.
pub const GLOBAL_PORTS_FILLED: &str = "PORTS_FILLED";

/// What a program knows about an online service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Service {
    /// Index of the rule (`-x` entry) in the order of the command line.
    pub rule: u32,
}

/// Where frames to one target leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Egress {
    /// One of [`EGRESS_NONE`], [`EGRESS_DEVICE`], [`EGRESS_LOCAL`].
    pub kind: u32,
    /// The device, for [`EGRESS_DEVICE`].
    pub ifindex: u32,
    /// MTU of the route, in bytes.
    pub mtu: u32,
    /// 0 where the target is on the link, 4 or 6 where `gateway` is its next hop of that family.
    pub gateway_family: u32,
    /// The next hop, if any: 16 bytes as in [`wire::flow::Addr`].
    pub gateway: [u8; 16],
}

/// There is no route: drop and count.
pub const EGRESS_NONE: u32 = 0;
/// Leave through a device.
pub const EGRESS_DEVICE: u32 = 1;
/// The target is this very host: pass the frame up.
pub const EGRESS_LOCAL: u32 = 2;

const _: () = assert!(size_of::<Service>() == 4);
const _: () = assert!(size_of::<Egress>() == 32);
const _: () = assert!(size_of::<PoolRange>() == 36);
