//! What a worker's steady state takes from the allocator: nothing for a packet or a turn, three times for a connection; and what a
//! capture file takes: nothing for a packet.
//!
//! The world around the engine is that of its benches, which allocates nothing itself. What is counted is what this thread
//! allocates or makes larger; to give something back is as good as to have taken it.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::io::Cursor;
use std::path::Path;
use std::time::{Duration, SystemTime};

use capture::{Files, LinkType, Unwrapper};
use telemetry::{Differences, Ledger, Recorder};

#[path = "../../crates/session/benches/load/mod.rs"]
mod load;
#[path = "../../crates/capture/tests/reading/made.rs"]
#[expect(dead_code, reason = "the tests of the crate need more of it")]
mod made;
#[path = "../../crates/telemetry/examples/record/turn.rs"]
mod turn;

use made::{Blocks, ethernet, segment};

use load::{AT_ONCE, CLOSED, Load, THINKING};

/// The system's allocator, and how often this thread asked it for memory.
struct Counting;

thread_local! {
    static TAKEN: Cell<u64> = const { Cell::new(0) };
}

fn count() {
    // A thread that ends has no counter any more, and is none that is measured.
    let _ = TAKEN.try_with(|taken| taken.set(taken.get() + 1));
}

// SAFETY: everything is left to the system's allocator; what is done besides allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller keeps the promises of this method, which are those of the system's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, len: usize) -> *mut u8 {
        count();
        // SAFETY: as above.
        unsafe { System.realloc(memory, layout, len) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// How often `work` asks for memory.
fn taken_by(work: impl FnOnce()) -> u64 {
    let before = TAKEN.get();
    work();
    TAKEN.get() - before
}

const SESSIONS: u32 = 50;
/// Turns until everything has its size.
const WARM: u32 = 5_000;
/// Turns that are counted.
const TURNS: u32 = 20_000;
/// Slots of the timer wheel that are found too small in so many turns: each of some hundreds grows to its size when it is used,
/// the coarse ones once in minutes. They become fewer the longer the engine runs; 56 and 44 were seen.
const SLOTS_GROWN_MAX: u64 = 100;
/// For each connection: the flow, the session, and the list of the targets that get one.
const PER_CONNECTION: u64 = 3;

fn turns_of_sessions_that_stand(pace: Duration) {
    let mut load = Load::new(SESSIONS, pace);
    let mut peers = load.establish(SESSIONS);
    let mut turns = |count: u32| {
        for turn in 0..count {
            load.turn(&mut peers[(turn % SESSIONS) as usize]);
        }
    };
    turns(WARM);
    let taken = taken_by(|| turns(TURNS));
    assert!(
        taken <= SLOTS_GROWN_MAX,
        "{taken} allocations in {TURNS} turns"
    );
}

#[test]
fn turns_that_are_acknowledged_by_a_segment_of_their_own_allocate_nothing() {
    turns_of_sessions_that_stand(THINKING);
}

#[test]
fn turns_that_are_acknowledged_by_the_next_request_allocate_nothing() {
    turns_of_sessions_that_stand(AT_ONCE);
}

#[test]
fn connections_allocate_what_they_consist_of() {
    let mut load = Load::new(10, THINKING);
    let mut connections = |numbers: std::ops::Range<u32>| {
        for number in numbers {
            load.connection(number);
            load.settle(CLOSED / 1000);
        }
    };
    connections(0..WARM);
    let taken = taken_by(|| connections(WARM..WARM + TURNS));
    assert!(
        taken <= PER_CONNECTION * u64::from(TURNS) + SLOTS_GROWN_MAX,
        "{taken} allocations in {TURNS} connections"
    );
}

#[test]
fn what_is_written_down_of_a_turn_allocates_nothing() {
    let (mut ledger, mut recorder) = (Ledger::new(1), Recorder::new());
    let mut differences = Differences::sampling(0, &protocol::Mask::default());
    let mut record = |count: u32| {
        for number in 0..count {
            let time = Duration::from_micros(u64::from(number % 5000));
            let ended = turn::turn(time, [1000, 1200]);
            ledger.record(&ended);
            recorder.record(&ended);
            recorder.record_round(ended.lag);
            differences.record(&ended, SystemTime::now);
        }
    };
    record(WARM);
    assert_eq!(
        taken_by(|| record(TURNS)),
        0,
        "allocations in {TURNS} turns"
    );
}

/// Packets as they are, packets that are written anew because their checksum was left to a network card, and packets in two
/// fragments; each with a comment, as some tools write them.
#[test]
fn packets_of_a_capture_file_allocate_nothing() {
    let whole = ethernet(0x0800, &segment(1, &[7; 1000]));
    let mut offloaded = whole.clone();
    offloaded[14 + 36..14 + 38].fill(0);
    let mut blocks = Blocks::new(false).interface(LinkType::ETHERNET, Some(9), None);
    for id in 0..WARM + TURNS {
        let [first, last] = halves(&whole, id as u16);
        for frame in [&whole, &offloaded, &first, &last] {
            blocks = blocks.packet(0, u64::from(id), frame, Some("seen"));
        }
    }
    let reader = Box::new(Cursor::new(blocks.done()));
    let mut files = Files::of_reader(Path::new("made"), reader).expect("a capture file");
    let (mut unwrapper, mut packets) = (Unwrapper::new(), 0);
    let mut take = |frames: u32| {
        for _ in 0..frames {
            let frame = files
                .next()
                .expect("memory can be read")
                .expect("one more frame");
            unwrapper.unwrap(&frame, &mut |_| packets += 1);
        }
    };
    take(4 * WARM);
    let taken = taken_by(|| take(4 * TURNS));
    assert_eq!(packets, 3 * (WARM + TURNS));
    assert_eq!(taken, 0, "allocations in {TURNS} packets of each kind");
}

/// An IPv4 packet in Ethernet as two fragments.
fn halves(whole: &[u8], id: u16) -> [Vec<u8>; 2] {
    let (header, payload) = whole.split_at(14 + 20);
    [(0, &payload[..512], 0x2000), (512, &payload[512..], 0)].map(|(at, part, more)| {
        let mut fragment = [header, part].concat();
        let len = 20 + part.len() as u16;
        for (field, value) in [(2, len), (4, id), (6, (at / 8) | more)] {
            fragment[14 + field..14 + field + 2].copy_from_slice(&u16::to_be_bytes(value));
        }
        fragment
    })
}
