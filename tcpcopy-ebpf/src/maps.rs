//! The maps and globals, by the names of [`abi::maps`].

use abi::counter::COUNTERS_LEN;
use abi::maps::{
    GATEWAYS_MAX, LEASE_WORDS, POOL_ADDRESSES_MAX, PORTS_LEN, RING_TEMPLATE_LEN, Replies,
    SERVICES_MAX, TARGETS_MAX, WORKERS_MAX,
};
use aya_ebpf::Global;
use aya_ebpf::bindings::BPF_F_MMAPABLE;
use aya_ebpf::btf_maps::{Array, ArrayOfMaps, HashMap, PerCpuArray, RingBuf, XskMap};
use aya_ebpf::macros::btf_map;
use wire::flow::{Addr, Endpoint};
use wire::hash::{ENDPOINT_KEY_LEN, EndpointHash};

/// User space maps the array into its memory and writes words of it without a system call.
const MAPPED: usize = BPF_F_MMAPABLE as usize;

/// A worker's ring.
pub type Ring = RingBuf<(), { RING_TEMPLATE_LEN as usize }>;

#[btf_map]
pub static PORTS: Array<u32, { PORTS_LEN as usize }> = Array::new();
#[btf_map]
pub static SERVICES: HashMap<Endpoint, u32, { SERVICES_MAX as usize }> = HashMap::new();
#[btf_map]
pub static REPLIES: HashMap<Endpoint, Replies, { TARGETS_MAX as usize }> = HashMap::new();
#[btf_map]
pub static POOL_ADDRESSES: HashMap<Addr, u32, { POOL_ADDRESSES_MAX as usize }> = HashMap::new();
// One slot here; user space makes as many as the run needs.
#[btf_map]
pub static LEASES: Array<u64, { LEASE_WORDS as usize }, MAPPED> = Array::new();
#[btf_map]
pub static PAUSED: Array<u64, { WORKERS_MAX as usize }, MAPPED> = Array::new();
#[btf_map]
pub static LEFT_OUT: Array<u64, 1, MAPPED> = Array::new();
#[btf_map]
pub static DEADLINE: Array<u64, 1, MAPPED> = Array::new();
#[btf_map]
pub static EGRESS_SLOTS: HashMap<Addr, u32, { TARGETS_MAX as usize }> = HashMap::new();
#[btf_map]
pub static EGRESS: Array<u64, { TARGETS_MAX as usize }, MAPPED> = Array::new();
#[btf_map]
pub static GATEWAYS: Array<[u8; 16], { GATEWAYS_MAX as usize }> = Array::new();
#[btf_map]
pub static RINGS: ArrayOfMaps<Ring, { WORKERS_MAX as usize }> = ArrayOfMaps::new();
#[btf_map]
pub static COUNTERS: PerCpuArray<u64, { COUNTERS_LEN as usize }> = PerCpuArray::new();
#[btf_map]
pub static SLEEPING: Array<u64, { WORKERS_MAX as usize }, MAPPED> = Array::new();
#[btf_map]
pub static XSKS: XskMap<{ WORKERS_MAX as usize }> = XskMap::new();

#[unsafe(no_mangle)]
pub static WORKERS: Global<u32> = Global::new(1);
#[unsafe(no_mangle)]
pub static OWNER_KEY: Global<[u64; ENDPOINT_KEY_LEN]> = Global::new(*EndpointHash::new(0).key());
#[unsafe(no_mangle)]
pub static SAMPLE_SEED: Global<u32> = Global::new(0);
#[unsafe(no_mangle)]
pub static CLONE_IFINDEX: Global<u32> = Global::new(0);
#[unsafe(no_mangle)]
pub static CLONE_MTU: Global<u32> = Global::new(1500);
#[unsafe(no_mangle)]
pub static SAMPLE_LEN: Global<u32> = Global::new(0);
#[unsafe(no_mangle)]
pub static WHOLE_RESPONSES: Global<u32> = Global::new(0);
#[unsafe(no_mangle)]
pub static TAKES_COPIES: Global<u32> = Global::new(0);
#[unsafe(no_mangle)]
pub static PORTS_FILLED: Global<u32> = Global::new(0);
#[unsafe(no_mangle)]
pub static DEADLINE_KEPT: Global<u32> = Global::new(0);
