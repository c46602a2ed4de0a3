//! The programs, loaded by aya and run by the kernel on packets of ours.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

pub(crate) use abi::bytes::endpoint as endpoint_bytes;
use abi::counter::Counter;
use abi::maps;
use abi::record::RecordHeader;
use aya::maps::{Array, ArrayOfMaps, HashMap, Map, MapData, PerCpuArray, RingBuf};
use aya::programs::{SchedClassifier, TestRun, TestRunOptions, TestRunResult, Xdp};
use aya::{Ebpf, EbpfLoader, Pod};
use wire::flow::{Addr, Endpoint, PoolRange};
use wire::hash::EndpointHash;

/// What tc programs return for "ask the next program".
pub(crate) const NEXT: u32 = u32::MAX;
/// What tc programs return for "pass".
pub(crate) const PASS: u32 = 0;
/// What tc programs return for "drop".
pub(crate) const DROP: u32 = 2;
/// What tc programs return for "redirected".
pub(crate) const REDIRECT: u32 = 7;

/// What XDP programs return for "drop".
pub(crate) const XDP_DROP: u32 = 1;
/// What XDP programs return for "pass".
pub(crate) const XDP_PASS: u32 = 2;

/// Where `priority` stands in `struct __sk_buff`.
const PRIORITY: usize = 32;

const TC_PROGRAMS: [&str; 9] = [
    programs::name::CAPTURE,
    programs::name::OBSERVE,
    programs::name::CAPTURE_OUT,
    programs::name::OBSERVE_IN,
    programs::name::OVERHEAR,
    programs::name::REPLIES,
    programs::name::INJECT,
    programs::name::ABSORB,
    programs::name::STEER,
];

/// Read by every test that may have to skip itself: where it is set, skipping is a failure.
const NO_SKIP: &str = "TCPCOPY_NO_SKIP";

/// Whether program tests cannot run here, said loudly.
pub(crate) fn skipped() -> bool {
    let why = if !nix::unistd::Uid::effective().is_root() {
        "program tests need root".to_owned()
    } else if let Err(missing) = programs::tcpcopy().and(programs::intercept()) {
        missing.to_string()
    } else {
        return false;
    };
    assert!(std::env::var_os(NO_SKIP).is_none(), "{why}");
    // Not eprintln: the test harness would swallow it.
    let _ = writeln!(std::io::stderr(), "SKIP: {why}");
    true
}

/// Settings of a load.
pub(crate) struct Settings {
    pub(crate) workers: u32,
    pub(crate) ring_len: u32,
    /// Whether the programs may rely on `PORTS`.
    pub(crate) ports: bool,
    /// Slots of leases: one for each target and own address of its pool.
    pub(crate) lease_slots: u32,
    pub(crate) globals: Vec<(&'static str, u32)>,
    /// The key by which flows have owners.
    pub(crate) hash_seed: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            workers: 1,
            ring_len: 1 << 20,
            ports: true,
            lease_slots: 1,
            globals: Vec::new(),
            hash_seed: 0,
        }
    }
}

/// The loaded programs of one object with their rings.
pub(crate) struct Kernel {
    ebpf: Ebpf,
    rings: Vec<RingBuf<MapData>>,
    seen: BTreeMap<Counter, u64>,
}

impl Kernel {
    /// The programs of `tcpcopy`.
    pub(crate) fn tcpcopy(settings: &Settings) -> Self {
        Self::tcpcopy_of(settings, programs::tcpcopy().expect("objects"))
    }

    /// The same of another object.
    pub(crate) fn tcpcopy_of(settings: &Settings, object: &[u8]) -> Self {
        let ports = u32::from(settings.ports);
        let mut loader = EbpfLoader::new();
        loader.override_global(maps::GLOBAL_WORKERS, &settings.workers, true);
        loader.override_global(maps::GLOBAL_PORTS_FILLED, &ports, true);
        let owners = EndpointHash::new(settings.hash_seed);
        loader.override_global(maps::GLOBAL_OWNER_KEY, owners.key(), true);
        loader.map_max_entries(maps::LEASES, settings.lease_slots * maps::LEASE_WORDS);
        for (name, value) in &settings.globals {
            loader.override_global(name, value, true);
        }
        let mut ebpf = loader.load(object).expect("tcpcopy.o loads");
        for name in TC_PROGRAMS {
            tc(&mut ebpf, name)
                .load()
                .unwrap_or_else(|error| panic!("{name}: {error}"));
        }
        xdp(&mut ebpf, programs::name::DELIVER)
            .load()
            .expect("deliver");
        let rings = (0..settings.workers)
            .map(|worker| set_ring(&mut ebpf, worker, settings.ring_len))
            .collect();
        Self {
            ebpf,
            rings,
            seen: BTreeMap::new(),
        }
    }

    /// The program of `intercept`.
    pub(crate) fn intercept() -> Self {
        Self::intercept_of(programs::intercept().expect("objects"))
    }

    /// The same of another object.
    pub(crate) fn intercept_of(object: &[u8]) -> Self {
        let mut ebpf = Ebpf::load(object).expect("intercept.o loads");
        xdp(&mut ebpf, programs::name::SINK).load().expect("sink");
        Self {
            ebpf,
            rings: Vec::new(),
            seen: BTreeMap::new(),
        }
    }

    /// Puts an entry into a hash map; the bytes are those of the `repr(C)` types of `abi` and `wire`.
    pub(crate) fn insert<const K: usize, const V: usize>(
        &mut self,
        map: &str,
        key: [u8; K],
        value: [u8; V],
    ) where
        [u8; K]: Pod,
        [u8; V]: Pod,
    {
        let map = self.ebpf.map_mut(map).expect("map");
        let mut map = HashMap::<_, [u8; K], [u8; V]>::try_from(map).expect("key and value sizes");
        map.insert(key, value, 0).expect("room");
    }

    /// An online service.
    pub(crate) fn service(&mut self, endpoint: Endpoint) {
        self.mark_port(endpoint.port, maps::PORT_SERVICE);
        self.insert(maps::SERVICES, endpoint_bytes(&endpoint), [0; 4]);
    }

    /// An online service whose responses are wanted whole.
    pub(crate) fn whole_service(&mut self, endpoint: Endpoint) {
        self.mark_port(endpoint.port, maps::PORT_SERVICE | maps::PORT_SERVICE_WHOLE);
        self.insert(
            maps::SERVICES,
            endpoint_bytes(&endpoint),
            maps::SERVICE_WHOLE.to_ne_bytes(),
        );
    }

    /// A target whose responses are wanted whole, with a pool of addresses that nobody else has.
    pub(crate) fn whole_replies(&mut self, target: Endpoint, pool: &PoolRange) {
        self.mark_port(target.port, maps::PORT_TARGET | maps::PORT_TARGET_WHOLE);
        let value = maps::Replies {
            pool: *pool,
            kind: maps::POOL_ALONE,
            slot: 0,
            whole: 1,
        };
        self.insert_replies(target, &value);
    }

    /// A target with the pool that its replies go to: an address of this host, all of whose ports are leased.
    pub(crate) fn replies(&mut self, target: Endpoint, pool: &PoolRange) {
        self.replies_to(target, pool, maps::POOL_OWN, 0);
        for port in pool.port_first..=pool.port_last {
            self.lease(0, port, true);
        }
    }

    /// A target with a pool of this kind, and its first slot of leases.
    pub(crate) fn replies_to(&mut self, target: Endpoint, pool: &PoolRange, kind: u32, slot: u32) {
        self.mark_port(target.port, maps::PORT_TARGET);
        let value = maps::Replies {
            pool: *pool,
            kind,
            slot,
            whole: 0,
        };
        self.insert_replies(target, &value);
    }

    fn insert_replies(&mut self, target: Endpoint, value: &maps::Replies) {
        let value = abi::bytes::replies(value);
        let key = endpoint_bytes(&target);
        // An object of before responses could be wanted whole, which costs are compared with, has a shorter value.
        let map = self.ebpf.map_mut(maps::REPLIES).expect("map");
        match HashMap::<_, [u8; 18], [u8; 44]>::try_from(map) {
            Ok(mut map) => {
                let (before, _) = value.split_at(44);
                let before: [u8; 44] = before.try_into().expect("44 bytes");
                map.insert(key, before, 0).expect("room");
            }
            Err(_) => self.insert(maps::REPLIES, key, value),
        }
    }

    /// An address of this host in a pool, and its slot after the first one.
    pub(crate) fn pool_address(&mut self, addr: Addr, offset: u32) {
        self.insert(maps::POOL_ADDRESSES, *addr.octets(), offset.to_ne_bytes());
    }

    /// Says whether a session has leased a port.
    pub(crate) fn lease(&mut self, slot: u32, port: u16, leased: bool) {
        let bit = 1 << (port % 64);
        let (mut words, index) = self.lease_word(slot, port);
        let word: u64 = words.get(&index, 0).expect("slot");
        let word = if leased { word | bit } else { word & !bit };
        words.set(index, word, 0).expect("slot");
    }

    /// Whether a port is leased.
    pub(crate) fn is_leased(&mut self, slot: u32, port: u16) -> bool {
        let (words, index) = self.lease_word(slot, port);
        words.get(&index, 0).expect("slot") & 1 << (port % 64) != 0
    }

    fn lease_word(&mut self, slot: u32, port: u16) -> (Array<&mut MapData, u64>, u32) {
        let map = self.ebpf.map_mut(maps::LEASES).expect("map");
        let index = slot * maps::LEASE_WORDS + u32::from(port) / 64;
        (Array::try_from(map).expect("u64"), index)
    }

    /// Says why a worker's records would be of no use.
    pub(crate) fn pause(&mut self, worker: u32, reasons: u64) {
        let map = self.ebpf.map_mut(maps::PAUSED).expect("map");
        let mut words = Array::<_, u64>::try_from(map).expect("u64");
        words.set(worker, reasons, 0).expect("slot");
    }

    /// Whether the object knows of samples that change while it runs.
    pub(crate) fn can_sample(&self) -> bool {
        self.ebpf.map(maps::LEFT_OUT).is_some()
    }

    /// Leaves flows out of the sample, all but those below the threshold.
    pub(crate) fn sample(&mut self, threshold: u32) {
        let map = self.ebpf.map_mut(maps::LEFT_OUT).expect("map");
        let mut words = Array::<_, u64>::try_from(map).expect("u64");
        let left_out = wire::flow::SAMPLE_ALL - threshold;
        words.set(0, u64::from(left_out), 0).expect("slot");
    }

    /// A rule without an address, on a host with devices that show packets of others.
    pub(crate) fn service_anywhere(&mut self, port: u16) {
        self.mark_port(port, maps::PORT_ANYWHERE);
    }

    /// The same of a rule that wants responses whole.
    pub(crate) fn whole_service_anywhere(&mut self, port: u16) {
        self.mark_port(
            port,
            maps::PORT_ANYWHERE | maps::PORT_ANYWHERE_WHOLE | maps::PORT_SERVICE_WHOLE,
        );
    }

    /// A target that copies leave to, in whichever mode.
    pub(crate) fn copied_to(&mut self, target: Endpoint) {
        self.mark_port(target.port, maps::PORT_OF_TARGET);
        self.insert(
            maps::EGRESS_SLOTS,
            *target.addr.octets(),
            0u32.to_ne_bytes(),
        );
    }

    /// Until when the programs may do anything, in ns of `CLOCK_MONOTONIC`.
    pub(crate) fn deadline(&mut self, until: u64) {
        let map = self.ebpf.map_mut(maps::DEADLINE).expect("map");
        let mut words = Array::<_, u64>::try_from(map).expect("u64");
        words.set(0, until, 0).expect("slot");
    }

    fn mark_port(&mut self, port: u16, bit: u32) {
        let map = self.ebpf.map_mut(maps::PORTS).expect("map");
        let mut ports = Array::<_, u32>::try_from(map).expect("u32");
        let port = u32::from(port);
        let bits = ports.get(&port, 0).expect("slot");
        ports.set(port, bits | bit, 0).expect("slot");
    }

    /// How a target is reached.
    pub(crate) fn egress(&mut self, target: Addr, egress: &maps::Egress) {
        const GATEWAY: u32 = 5;
        let map = self.ebpf.map_mut(maps::GATEWAYS).expect("map");
        let mut gateways = Array::<_, [u8; 16]>::try_from(map).expect("16 bytes");
        gateways.set(GATEWAY, egress.gateway, 0).expect("slot");
        let map = self.ebpf.map_mut(maps::EGRESS).expect("map");
        let mut words = Array::<_, u64>::try_from(map).expect("u64");
        words.set(0, egress.word(GATEWAY), 0).expect("slot");
        self.insert(maps::EGRESS_SLOTS, *target.octets(), 0u32.to_ne_bytes());
    }

    /// Runs a tc program on a frame.
    pub(crate) fn tc(&mut self, name: &str, frame: &[u8]) -> u32 {
        self.tc_gso(name, frame, 0).0
    }

    /// Runs a tc program on a frame that is a super-packet of segments of `gso_size` bytes; also returns the frame
    /// as the program left it.
    pub(crate) fn tc_gso(&mut self, name: &str, frame: &[u8], gso_size: u32) -> (u32, Vec<u8>) {
        let (verdict, out, _) = self.tc_context(name, frame, gso_size);
        (verdict, out)
    }

    /// Runs a tc program on a frame and returns the priority that it left the packet with.
    pub(crate) fn tc_priority(&mut self, name: &str, frame: &[u8]) -> (u32, u32) {
        let (verdict, _, context) = self.tc_context(name, frame, 0);
        let priority = context[PRIORITY..].first_chunk().expect("a context");
        (verdict, u32::from_ne_bytes(*priority))
    }

    fn tc_context(&mut self, name: &str, frame: &[u8], gso_size: u32) -> (u32, Vec<u8>, [u8; 192]) {
        let context = context(gso_size);
        let mut context_out = [0; 192];
        let mut out = vec![0; frame.len() + 64];
        let options = TestRunOptions {
            data_in: Some(frame),
            data_out: Some(&mut out),
            ctx_in: Some(&context),
            ctx_out: Some(&mut context_out),
            ..TestRunOptions::new()
        };
        let result = tc(&mut self.ebpf, name)
            .test_run(options)
            .expect("test run");
        out.truncate(result.data_size_out as usize);
        (result.return_value, out, context_out)
    }

    /// Runs an XDP program on a frame.
    pub(crate) fn xdp(&mut self, name: &str, frame: &[u8]) -> u32 {
        self.xdp_out(name, frame).0
    }

    /// Runs an XDP program on a frame; also returns the frame as the program left it.
    pub(crate) fn xdp_out(&mut self, name: &str, frame: &[u8]) -> (u32, Vec<u8>) {
        let mut out = vec![0; frame.len() + 64];
        let options = TestRunOptions {
            data_in: Some(frame),
            data_out: Some(&mut out),
            ..TestRunOptions::new()
        };
        let result = xdp(&mut self.ebpf, name)
            .test_run(options)
            .expect("test run");
        out.truncate(result.data_size_out as usize);
        (result.return_value, out)
    }

    /// Tells `sink` how much payload somebody asks for, of the target in the first place.
    pub(crate) fn want_payload(&mut self, len: u32) {
        self.want_payload_of(0, len.into());
    }

    /// The same of the target in this place.
    pub(crate) fn want_payload_of(&mut self, place: u32, len: u64) {
        let map = self.ebpf.map_mut(maps::PAYLOAD_WANTED).expect("map");
        Array::<_, u64>::try_from(map)
            .expect("u64")
            .set(place, len, 0)
            .expect("slot");
    }

    /// A target whose replies `sink` swallows.
    pub(crate) fn swallowed(&mut self, target: Endpoint) {
        self.insert(maps::TARGETS, endpoint_bytes(&target), [0; 4]);
    }

    /// Whether this is a tc program.
    pub(crate) fn is_tc(&self, name: &str) -> bool {
        TC_PROGRAMS.contains(&name)
    }

    /// Runs a program many times on one frame and returns what the kernel measured for one.
    pub(crate) fn measure(&mut self, name: &str, frame: &[u8], repeat: u32) -> TestRunResult {
        let options = TestRunOptions {
            data_in: Some(frame),
            repeat,
            ..TestRunOptions::new()
        };
        if TC_PROGRAMS.contains(&name) {
            tc(&mut self.ebpf, name)
                .test_run(options)
                .expect("test run")
        } else {
            xdp(&mut self.ebpf, name)
                .test_run(options)
                .expect("test run")
        }
    }

    /// Instructions of a program as loaded, and those that the verifier looked at.
    pub(crate) fn instructions(&mut self, name: &str) -> (u32, u32) {
        let info = if TC_PROGRAMS.contains(&name) {
            tc(&mut self.ebpf, name).info().expect("info")
        } else {
            xdp(&mut self.ebpf, name).info().expect("info")
        };
        (
            info.size_translated().unwrap_or(0) / 8,
            info.verified_instruction_count().unwrap_or(0),
        )
    }

    /// The tc program itself, for attaching.
    pub(crate) fn program(&mut self, name: &str) -> &mut SchedClassifier {
        tc(&mut self.ebpf, name)
    }

    /// The counters that moved since this was asked last.
    pub(crate) fn counted(&mut self) -> BTreeMap<Counter, u64> {
        let map = self.ebpf.map(maps::COUNTERS).expect("counters");
        let map = PerCpuArray::<_, u64>::try_from(map).expect("counters");
        let mut moved = BTreeMap::new();
        for &counter in Counter::ALL {
            let total = programs::counters::total(&map, counter).expect("slot");
            let before = self.seen.insert(counter, total).unwrap_or(0);
            if total != before {
                moved.insert(counter, total - before);
            }
        }
        moved
    }

    /// All records of a worker's ring.
    pub(crate) fn records(&mut self, worker: usize) -> Vec<(RecordHeader, Vec<u8>)> {
        let mut records = Vec::new();
        while let Some(entry) = self.rings[worker].next() {
            let (header, packet) = RecordHeader::split(&entry).expect("a whole record");
            records.push((header, packet.to_vec()));
        }
        records
    }

    /// From here on the records go to the rings of others.
    pub(crate) fn write_into_rings_of(&mut self, others: &Self) {
        let rings = self.ebpf.map_mut(maps::RINGS).expect("rings");
        let mut rings = ArrayOfMaps::<_, RingBuf<MapData>>::try_from(rings).expect("rings");
        for (worker, ring) in others.rings.iter().enumerate() {
            rings.set(worker as u32, ring, 0).expect("slot");
        }
        self.rings.clear();
    }

    /// Empties all rings.
    pub(crate) fn drain(&mut self) {
        for ring in &mut self.rings {
            while ring.next().is_some() {}
        }
    }

    /// A descriptor that becomes readable when the worker's ring wakes its reader up.
    pub(crate) fn ring_fd(&self, worker: usize) -> OwnedFd {
        // SAFETY: the ring outlives the borrow.
        let fd = unsafe { BorrowedFd::borrow_raw(self.rings[worker].as_raw_fd()) };
        fd.try_clone_to_owned().expect("a descriptor")
    }

    /// Says that a worker sleeps, and reads back whether the programs still think so.
    pub(crate) fn set_sleeping(&mut self, worker: u32, value: u64) {
        let map = self.ebpf.map_mut(maps::SLEEPING).expect("map");
        Array::<_, u64>::try_from(map)
            .expect("u64")
            .set(worker, value, 0)
            .expect("slot");
    }

    /// What stands in a worker's slot of `SLEEPING`.
    pub(crate) fn sleeping(&self, worker: u32) -> u64 {
        let map = self.ebpf.map(maps::SLEEPING).expect("map");
        Array::<_, u64>::try_from(map)
            .expect("u64")
            .get(&worker, 0)
            .expect("slot")
    }
}

fn tc<'a>(ebpf: &'a mut Ebpf, name: &str) -> &'a mut SchedClassifier {
    ebpf.program_mut(name)
        .expect("program")
        .try_into()
        .expect("a tc program")
}

fn xdp<'a>(ebpf: &'a mut Ebpf, name: &str) -> &'a mut Xdp {
    ebpf.program_mut(name)
        .expect("program")
        .try_into()
        .expect("an XDP program")
}

/// Makes a worker's ring and puts it into its slot: user space chooses the size.
fn set_ring(ebpf: &mut Ebpf, worker: u32, len: u32) -> RingBuf<MapData> {
    let params = aya_obj::Map::new_from_params(
        aya_obj::generated::bpf_map_type::BPF_MAP_TYPE_RINGBUF as u32,
        0,
        0,
        len,
        0,
    );
    let data = MapData::create(params, "ring", None).expect("a ring");
    let ring = RingBuf::try_from(Map::RingBuf(data)).expect("a ring");
    let rings = ebpf.map_mut(maps::RINGS).expect("rings");
    let mut rings = ArrayOfMaps::<_, RingBuf<MapData>>::try_from(rings).expect("rings");
    rings.set(worker, &ring, 0).expect("slot");
    ring
}

/// A `struct __sk_buff` with this `gso_size`.
fn context(gso_size: u32) -> [u8; 192] {
    let mut context = [0; 192];
    context[176..180].copy_from_slice(&gso_size.to_ne_bytes());
    context
}

/// These counters, once each.
pub(crate) fn only(counters: &[Counter]) -> BTreeMap<Counter, u64> {
    counters.iter().map(|&counter| (counter, 1)).collect()
}
