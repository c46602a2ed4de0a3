//! Whole dry runs of files that are made by chance: what clients said stands in the file that comes out, connection by connection, each byte
//! once and in order; and the made-up target has said as many bytes as the online server.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use capture::{Files, Unwrapper};
use host::netns::Outside;
use oorandom::Rand32;
use session::Outcome;
use wire::flow::{Addr, Endpoint};
use wire::segment::Segment;
use wire::tcp::{Flags, Header, Options};

use super::shared::Shared;
use super::{DEVICE, Figures, begin};
use crate::args::{Args, CommandLine, Task};
use crate::run::dry_run::stage::Stage;
use crate::run::preparation::prepare_dry_run;
use crate::run::replaying::Replaying;

const SERVICE: u16 = 80;
const CONNECTIONS: u16 = 30;
/// The clients' ports, which the pool does not have.
const FIRST_PORT: u16 = 40_000;

/// A connection as it is made: its packets in their order, what the client said, and how many bytes it was answered.
struct Made {
    packets: Vec<Vec<u8>>,
    said: Vec<u8>,
    answered: u64,
    requests: u64,
}

fn packet(
    (source, destination): (Endpoint, Endpoint),
    (seq, ack): (u32, u32),
    flags: Flags,
    payload: &[u8],
) -> Vec<u8> {
    let header = Header {
        source,
        destination,
        seq,
        ack,
        flags,
        window: 60_000,
        urgent: 0,
        options: Options {
            mss: flags.contains(Flags::SYN).then_some(1460),
            ..Options::default()
        },
    };
    let at = header.payload_offset();
    let mut frame = vec![0; at + payload.len()];
    frame[at..].copy_from_slice(payload);
    assert!(header.emit(&mut frame));
    frame[12..14].copy_from_slice(&[8, 0]);
    frame
}

fn made(random: &mut Rand32, port: u16) -> Made {
    let client = Endpoint::new(Addr::v4([10, 0, 0, 2]), port);
    let server = Endpoint::new(Addr::v4([10, 0, 1, 1]), SERVICE);
    let (to, back) = ((client, server), (server, client));
    let (mut seq, mut ack) = (random.rand_u32(), random.rand_u32());
    let mut made = Made {
        packets: vec![
            packet(to, (seq, 0), Flags::SYN, b""),
            packet(
                back,
                (ack, seq.wrapping_add(1)),
                Flags::SYN.with(Flags::ACK),
                b"",
            ),
        ],
        said: Vec::new(),
        answered: 0,
        requests: u64::from(random.rand_range(1..8)),
    };
    (seq, ack) = (seq.wrapping_add(1), ack.wrapping_add(1));
    for request in 0..made.requests {
        let padding = "x".repeat(random.rand_range(0..5000) as usize);
        let asked = format!("GET /{port}/{request}?{padding} HTTP/1.1\r\n\r\n");
        for part in asked.as_bytes().chunks(1460) {
            let sent = packet(to, (seq, ack), Flags::ACK, part);
            // Sent again, perhaps: whole, or the second half of it.
            let again = match random.rand_range(0..10) {
                0 => Some(0),
                1 => Some(part.len() / 2),
                _ => None,
            };
            made.packets.push(sent);
            if let Some(from) = again {
                let at = seq.wrapping_add(from as u32);
                let again = packet(to, (at, ack), Flags::ACK, &part[from..]);
                made.packets.push(again);
            }
            seq = seq.wrapping_add(part.len() as u32);
        }
        made.said.extend_from_slice(asked.as_bytes());
        let answer = vec![b'y'; random.rand_range(1..9000) as usize];
        for part in answer.chunks(1460) {
            made.packets
                .push(packet(back, (ack, seq), Flags::ACK, part));
            ack = ack.wrapping_add(part.len() as u32);
        }
        made.answered += answer.len() as u64;
    }
    let fin = Flags::FIN.with(Flags::ACK);
    made.packets.push(packet(to, (seq, ack), fin, b""));
    made.packets
        .push(packet(back, (ack, seq.wrapping_add(1)), fin, b""));
    made.packets.push(packet(
        to,
        (seq.wrapping_add(1), ack.wrapping_add(1)),
        Flags::ACK,
        b"",
    ));
    made
}

/// All connections in one file, by chance one after the other.
fn write(path: &Path, random: &mut Rand32, all: &[Made]) {
    let mut file = vec![
        0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 1, 0, 0, 0,
    ];
    let mut left: Vec<_> = all.iter().map(|made| made.packets.iter()).collect();
    let mut micros = 0u32;
    while !left.is_empty() {
        let which = random.rand_range(0..left.len() as u32) as usize;
        let Some(packet) = left[which].next() else {
            drop(left.swap_remove(which));
            continue;
        };
        micros += random.rand_range(1..3000);
        for number in [
            micros / 1_000_000,
            micros % 1_000_000,
            packet.len() as u32,
            packet.len() as u32,
        ] {
            file.extend(number.to_le_bytes());
        }
        file.extend(packet);
    }
    std::fs::write(path, file).expect("a file");
}

fn args(line: &str) -> Args {
    let words = line.split(' ').map(OsString::from);
    match CommandLine::read(words) {
        Ok(Task::Run(args)) => Args {
            workers: Some(1),
            ..args
        },
        other => panic!("{line}: {other:?}"),
    }
}

/// The dry run of a file; gives its figures.
fn dry_run(from: &Path, into: &Path, options: &str) -> Figures {
    let args = args(&format!(
        "tcpcopy replay --pcap {} -x {SERVICE}-192.0.2.9:80 --seed 5 --dry-run {} --force{options}",
        from.display(),
        into.display()
    ));
    let plan = prepare_dry_run(&args, &Outside::default()).expect("a plan");
    let mut replaying = Replaying::open(&args).expect("files").expect("a replay");
    let stage = Stage::new(
        &plan,
        (begin(&args, into).expect("a file").0, DEVICE),
        (replaying.are_timed(), false),
        replaying.playback().is_to_end(),
    );
    let stage = Shared::new(stage);
    replaying
        .playback()
        .start_into(&args, &plan, stage.clone(), |stage| stage.end())
        .expect("a thread");
    while !replaying.are_read() {
        thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(replaying.end(), None);
    stage.figures()
}

/// What sessions have said, by their ports, and how many bytes they were answered.
fn said(file: &Path) -> (BTreeMap<u16, Vec<u8>>, u64) {
    let mut files = Files::open(&[PathBuf::from(file)], false).expect("it is one");
    let mut unwrapper = Unwrapper::default();
    let (mut sessions, mut answered) = (BTreeMap::<u16, Vec<u8>>::new(), 0);
    while let Some(frame) = files.next().expect("it can be read") {
        unwrapper.unwrap(&frame, &mut |packet| {
            let segment = Segment::parse(packet.bytes, 0).expect("a segment");
            if segment.destination.port == 80 {
                assert!(segment.is_copy(), "everything that is sent has the mark");
                let payload = segment.payload(packet.bytes).expect("it is whole");
                let session = sessions.entry(segment.source.port).or_default();
                session.extend_from_slice(payload);
            } else {
                answered += u64::from(packet.missing);
            }
        });
    }
    (sessions, answered)
}

#[test]
fn each_client_s_bytes_are_there_once() {
    let folder = std::env::temp_dir().join(format!("dry-run-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let (from, into) = (folder.join("made.pcap"), folder.join("would-be.pcapng"));
    for seed in 0..12 {
        let random = &mut Rand32::new(seed);
        let all: Vec<Made> = (0..CONNECTIONS)
            .map(|it| made(random, FIRST_PORT + it))
            .collect();
        write(&from, random, &all);
        let requests: u64 = all.iter().map(|made| made.requests).sum();
        let answers: u64 = all.iter().map(|made| made.answered).sum();
        for (options, times) in [
            ("", 1),
            (" --speed 50", 1),
            (" --speed max", 1),
            (" --speed max -n 3", 3),
            (" --speed max --max-bandwidth 10M", 1),
            (" --speed max --max-new-sessions 7", 1),
            // Nobody is asked whether that is an address.
            (" --speed max -s nobody.invalid", 1),
        ] {
            let context = format!("seed {seed}{options}");
            let figures = dry_run(&from, &into, options);
            let total = figures.ledger.total();
            assert_eq!(
                (total.captured(), total.turns(Outcome::Answered)),
                (requests * times, requests * times),
                "{context}: {total:?}"
            );
            let mut expected: Vec<Vec<u8>> = all
                .iter()
                .flat_map(|made| (0..times).map(|_| made.said.clone()))
                .collect();
            expected.sort();
            let (sessions, answered) = said(&into);
            let are_clients = sessions.keys().all(|port| *port >= FIRST_PORT);
            assert_eq!(are_clients, options.contains(" -s "), "{context}");
            let mut said: Vec<Vec<u8>> = sessions.into_values().collect();
            said.sort();
            assert!(said == expected, "{context}");
            assert_eq!(answered, answers * times, "{context}");
        }
    }
    std::fs::remove_dir_all(&folder).expect("it goes");
}

/// A port rests for a second after its session; as fast as can be, thirty connections one after the other need more than there are.
#[test]
fn a_port_that_rests_is_waited_for() {
    let folder = std::env::temp_dir().join(format!("dry-run-ports-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let (from, into) = (folder.join("made.pcap"), folder.join("would-be.pcapng"));
    let random = &mut Rand32::new(7);
    let all: Vec<Made> = (0..CONNECTIONS)
        .map(|it| made(random, FIRST_PORT + it))
        .collect();
    let one_after_the_other = Made {
        packets: all.iter().flat_map(|made| made.packets.clone()).collect(),
        said: Vec::new(),
        answered: 0,
        requests: all.iter().map(|made| made.requests).sum(),
    };
    write(&from, random, std::slice::from_ref(&one_after_the_other));
    let pool = " --speed max -c 203.0.113.7:1024-1026 --pool-is-routed";
    let total = dry_run(&from, &into, pool).ledger.total();
    assert_eq!(
        (total.turns(Outcome::Answered), total.captured()),
        (one_after_the_other.requests, one_after_the_other.requests),
        "{total:?}"
    );
    // In the file's own time nobody waits, and who finds no port is told.
    let fast = dry_run(&from, &into, &pool.replace("max", "100000"))
        .ledger
        .total();
    assert!(fast.turns(Outcome::Collision) > 0, "{fast:?}");
    std::fs::remove_dir_all(&folder).expect("it goes");
}
