//! Maps and globals: their names, their keys and values, and their sizes.

use wire::flow::PoolRange;

/// Array of `u32`, one per port: what a packet from or to it can be (the `PORT_` bits).
///
/// Nearly all traffic of a host is told by its port not to be ours; a look into a hash map costs every packet as much as
/// all the rest of a program.
pub const PORTS: &str = "PORTS";
/// Entries of [`PORTS`].
pub const PORTS_LEN: u32 = 65_536;
/// The port belongs to an online service on some address: see [`SERVICES`].
pub const PORT_SERVICE: u32 = 1;
/// The port belongs to a rule without an address, and some device shows packets of other hosts: there it means any address.
pub const PORT_ANYWHERE: u32 = 2;
/// The port belongs to a target: see [`REPLIES`].
pub const PORT_TARGET: u32 = 4;
/// The port belongs to a target, in whichever mode: [`PORT_ANYWHERE`] does not mean it at an address of [`EGRESS_SLOTS`].
pub const PORT_OF_TARGET: u32 = 8;
/// Some online service on this port, with an address or without, is to have its responses recorded whole: see [`SERVICE_WHOLE`].
pub const PORT_SERVICE_WHOLE: u32 = 16;
/// The service without an address on this port ([`PORT_ANYWHERE`]) is to have its responses recorded whole.
pub const PORT_ANYWHERE_WHOLE: u32 = 32;
/// Some target on this port is to have its responses recorded whole: see [`Replies::whole`].
pub const PORT_TARGET_WHOLE: u32 = 64;
/// Hash map [`wire::flow::Endpoint`] (online server) -> `u32`: what is captured, and the `SERVICE_` bits.
///
/// A rule without an address means the addresses of this host. Each of them has an entry of its own, and user space follows
/// them while the run goes on: what this host merely forwards is never captured.
pub const SERVICES: &str = "SERVICES";
/// The responses of this online service are recorded whole: a rule of it has a protocol module.
pub const SERVICE_WHOLE: u32 = 1;
/// Hash map [`wire::flow::Endpoint`] (target server) -> [`Replies`]: which replies are consumed. It is filled before the
/// programs are attached and never changes after that, so what a program reads of a value stands for as long as it runs.
pub const REPLIES: &str = "REPLIES";
/// Hash map [`wire::flow::Addr`] (address of a pool) -> `u32`: how many slots after [`Replies::slot`] the slot of that
/// address in [`LEASES`] is. It never changes after the start either.
pub const POOL_ADDRESSES: &str = "POOL_ADDRESSES";
/// Array of `u64` that workers write with atomic operations and programs read: one bit for each port that a session has
/// leased, [`LEASE_WORDS`] words for each slot, the lowest bit of the first word for port 0.
///
/// A worker sets the bit before the session's first frame leaves, and clears it some time after the last one. A program
/// clears it where it finds that a socket of this host has the very same connection.
pub const LEASES: &str = "LEASES";
/// Words of a slot of [`LEASES`].
pub const LEASE_WORDS: u32 = 1024;
/// Most slots of [`LEASES`]: one for each target and each address of this host that the pool towards it contains. A slot
/// takes 8 KiB of kernel memory, so this is 32 MiB.
pub const LEASE_SLOTS_MAX: u32 = 4096;
/// Most addresses of this host in a reply pool: entries of [`POOL_ADDRESSES`].
pub const POOL_ADDRESSES_MAX: u32 = 64;
/// Array of `u64`, one per worker, that user space writes and programs read: not 0 while nothing can be copied by that
/// worker (the `PAUSED_` bits say why), so that clients and the online server need not pay for records of nobody's use.
pub const PAUSED: &str = "PAUSED";
/// No target of the worker can be reached.
pub const PAUSED_UNREACHABLE: u64 = 1;
/// The machine is busier than `--max-cpu`, and the worker has no session left.
pub const PAUSED_BUSY: u64 = 2;
/// The worker's ring was full again and again.
pub const PAUSED_RING_FULL: u64 = 4;
/// Array of one `u64` that user space writes and programs read: what is left out of the sample, [`wire::flow::SAMPLE_ALL`] less the
/// threshold of [`wire::flow::sampled`]. 0, as the kernel makes it, leaves out nothing.
pub const LEFT_OUT: &str = "LEFT_OUT";
/// Array of one `u64`: until when the programs may do anything, in ns of `CLOCK_MONOTONIC`. The run renews it as long as it lives
/// (see [`GLOBAL_DEADLINE_KEPT`]); past it every program passes every packet at once, records nothing and drops nothing.
pub const DEADLINE: &str = "DEADLINE";
/// Hash map [`wire::flow::Addr`] (target server) -> `u32`: the target's place in [`EGRESS`]. It never changes after the start.
pub const EGRESS_SLOTS: &str = "EGRESS_SLOTS";
/// Array of `u64`: where the frames to each target leave, as [`Egress::word`] says it. User space replaces a word by one
/// atomic store, so that a program sees the old way or the new one and never half of each.
pub const EGRESS: &str = "EGRESS";
/// Array of 16 bytes: next hops, as in [`wire::flow::Addr`]. An entry is written before the first word of [`EGRESS`] names
/// it, and never changes after that.
pub const GATEWAYS: &str = "GATEWAYS";
/// Most next hops in the course of a run: entries of [`GATEWAYS`].
pub const GATEWAYS_MAX: u32 = 4096;
/// Array of ring buffers, one per worker.
pub const RINGS: &str = "RINGS";
/// Per-CPU array of `u64`, indexed by [`crate::counter::Counter`].
pub const COUNTERS: &str = "COUNTERS";
/// Array of `u64`, one per worker: [`AWAKE`], or what the sleeping worker wants to be woken by.
///
/// The worker writes it without a system call, then looks at its ring once more, then polls the ring's descriptor. The program that wakes it
/// up writes [`AWAKE`], so one sleep costs one wake-up.
pub const SLEEPING: &str = "SLEEPING";
/// The worker looks at its ring by itself.
pub const AWAKE: u64 = 0;
/// Any record wakes the worker up.
pub const ASLEEP: u64 = 1;
/// Only a target's reply wakes the worker up: what clients and the online server say can wait for its next look.
pub const ASLEEP_UNTIL_REPLY: u64 = 2;
/// `XSKMAP` of the private device (`deliver`) or of the assistant's interface (`sink`), by queue.
pub const XSKS: &str = "XSKS";
/// Hash map [`wire::flow::Endpoint`] (target server) -> `u32`: what `sink` swallows, and the target's place in [`PAYLOAD_WANTED`].
/// Each target stands in it twice: with its port, and with port 0 for its fragments, which carry none.
pub const TARGETS: &str = "TARGETS";
/// Hash map [`wire::flow::Addr`] -> `u32`: addresses of the assistant itself, which `sink` lets through.
pub const OWN_ADDRESSES: &str = "OWN_ADDRESSES";

/// Array of `u64`, one per target, mapped by `intercept`: payload bytes that `sink` leaves behind the headers of a reply, at most
/// [`crate::record::SAMPLE_LEN_MAX`] or [`WHOLE_REPLIES`]. 0 as long as nobody who subscribed asks for any.
pub const PAYLOAD_WANTED: &str = "PAYLOAD_WANTED";
/// In [`PAYLOAD_WANTED`]: all of it, where the frame is not longer than [`crate::record::WHOLE_FRAME_LEN_MAX`].
pub const WHOLE_REPLIES: u64 = 0xffff;

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
/// Most rules (`-x` entries) of a run.
pub const RULES_MAX: u32 = 1024;
/// Most online endpoints: entries of [`SERVICES`]. A rule without an address has one for each address of this host.
pub const SERVICES_MAX: u32 = 8192;
/// Most targets: entries of [`REPLIES`], [`EGRESS_SLOTS`], [`EGRESS`] and [`TARGETS`].
pub const TARGETS_MAX: u32 = 1024;
/// Most addresses of the assistant: entries of [`OWN_ADDRESSES`].
pub const OWN_ADDRESSES_MAX: u32 = 1024;

/// Global `u32`: number of workers, 1 to [`WORKERS_MAX`].
pub const GLOBAL_WORKERS: &str = "WORKERS";
/// Global array of `u64`: the key of [`wire::hash::EndpointHash`], by which flows have owners.
pub const GLOBAL_OWNER_KEY: &str = "OWNER_KEY";
/// Global `u32`: the seed of the sample.
pub const GLOBAL_SAMPLE_SEED: &str = "SAMPLE_SEED";
/// Global `u32`: ifindex of `tcpcopy0` where client packets are cloned into it (`--capture af-xdp`), else 0.
pub const GLOBAL_CLONE_IFINDEX: &str = "CLONE_IFINDEX";
/// Global `u32`: the longest frame that the private device carries from a clone, in bytes after Ethernet.
pub const GLOBAL_CLONE_MTU: &str = "CLONE_MTU";
/// Global `u32`: payload bytes of a response, the online server's or the target's, that go into its record after the headers,
/// 0 to [`crate::record::SAMPLE_LEN_MAX`].
pub const GLOBAL_SAMPLE_LEN: &str = "SAMPLE_LEN";
/// Global `u32`: whose responses are recorded whole, one of [`WHOLE_NONE`], [`WHOLE_ONLINE`], [`WHOLE_ASKED`]. The sample length means
/// nothing to those. The verifier knows the value, so a run without modules has not an instruction of the rest.
pub const GLOBAL_WHOLE_RESPONSES: &str = "WHOLE_RESPONSES";
/// Nobody's: records of responses end with their headers and a sample.
pub const WHOLE_NONE: u32 = 0;
/// All of the online server's, as a recorder may want them.
pub const WHOLE_ONLINE: u32 = 1;
/// Those of online services with [`SERVICE_WHOLE`] or [`PORT_ANYWHERE_WHOLE`], and of targets with [`Replies::whole`].
pub const WHOLE_ASKED: u32 = 2;
/// Global `u32`: not 0 where what a copier sent is recorded like any client's packet, as a recorder beside a target may want it. A run never
/// sets it: two copiers would feed on each other.
pub const GLOBAL_TAKES_COPIES: &str = "TAKES_COPIES";
/// Global `u32`: not 0 where user space fills [`PORTS`]; otherwise the programs look into the hash maps every time.
pub const GLOBAL_PORTS_FILLED: &str = "PORTS_FILLED";

/// Global `u32`: not 0 where the programs are attached so that they outlive a killed process (clsact), and [`DEADLINE`] is kept.
pub const GLOBAL_DEADLINE_KEPT: &str = "DEADLINE_KEPT";

/// What a program knows about the replies of one target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Replies {
    /// Addresses and ports that replies come to.
    pub pool: PoolRange,
    /// Whose these are: one of the `POOL_` constants.
    pub kind: u32,
    /// The first slot in [`LEASES`] of the sessions towards this target.
    pub slot: u32,
    /// Not 0 where the target's responses are recorded whole: a rule towards it has a protocol module.
    pub whole: u32,
}

/// The addresses belong to the pool alone: whatever the target sends to them is a reply.
pub const POOL_ALONE: u32 = 0;
/// The pool is one address, and it is this host's own: a reply is what goes to a port that is leased.
pub const POOL_OWN: u32 = 1;
/// Some addresses of the pool are this host's own; those stand in [`POOL_ADDRESSES`] and have leases. The others belong to the
/// pool alone.
pub const POOL_MIXED: u32 = 2;
/// Replies go to leased ports of addresses that stand in [`POOL_ADDRESSES`], and to no other: the doctor's probes.
pub const POOL_LISTED: u32 = 3;

/// Where frames to one target leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

impl Egress {
    /// All of it in one word, with `gateway` for the next hop's place in [`GATEWAYS`]: from the lowest bit on 32 bits of
    /// device, 16 of MTU (longer packets do not exist), 12 of gateway, 2 of its family and 2 of kind.
    #[inline(always)]
    #[must_use]
    pub const fn word(&self, gateway: u32) -> u64 {
        let mtu = if self.mtu > 0xffff { 0xffff } else { self.mtu };
        let family = match self.gateway_family {
            4 => 1,
            6 => 2,
            _ => 0,
        };
        let low = (mtu | (gateway % GATEWAYS_MAX) << 16 | family << 28 | self.kind << 30) as u64;
        low << 32 | self.ifindex as u64
    }

    /// The way that a word says, without the next hop's address, and the next hop's place in [`GATEWAYS`].
    #[inline(always)]
    #[must_use]
    pub const fn from_word(word: u64) -> (Self, u32) {
        let low = (word >> 32) as u32;
        let egress = Self {
            kind: low >> 30,
            ifindex: word as u32,
            mtu: low & 0xffff,
            gateway_family: match low >> 28 & 3 {
                1 => 4,
                2 => 6,
                _ => 0,
            },
            gateway: [0; 16],
        };
        (egress, low >> 16 & (GATEWAYS_MAX - 1))
    }
}

const _: () = assert!(size_of::<PoolRange>() == 36);
const _: () = assert!(size_of::<Replies>() == 48);
const _: () = assert!(LEASE_WORDS * 64 == PORTS_LEN);
const _: () = assert!(GATEWAYS_MAX == 1 << 12);

#[cfg(test)]
mod tests {
    use super::{EGRESS_DEVICE, EGRESS_LOCAL, EGRESS_NONE, Egress, GATEWAYS_MAX};

    #[test]
    fn a_way_comes_out_of_its_word_as_it_went_in() {
        for kind in [EGRESS_NONE, EGRESS_DEVICE, EGRESS_LOCAL] {
            for (ifindex, mtu, gateway_family, gateway) in [
                (0, 0, 0, 0),
                (1, 1500, 4, 7),
                (u32::MAX, 65_535, 6, GATEWAYS_MAX - 1),
            ] {
                let way = Egress {
                    kind,
                    ifindex,
                    mtu,
                    gateway_family,
                    gateway: [0; 16],
                };
                assert_eq!(Egress::from_word(way.word(gateway)), (way, gateway));
            }
        }
        let long = Egress {
            kind: EGRESS_DEVICE,
            ifindex: 3,
            mtu: 70_000,
            gateway_family: 0,
            gateway: [0; 16],
        };
        assert_eq!(Egress::from_word(long.word(0)).0.mtu, 65_535);
    }
}
