//! Recorded beside the online server, replayed, and recorded beside the target: clients have said the same to both, connection by connection.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use capture::{Files, Unwrapper};
use lab::{Host, Topology};
use tests::copying::{check_clients, check_nothing_left};
use tests::{Clients, PORT, Stand};
use wire::flow::Endpoint;
use wire::segment::Segment;
use wire::tcp::Flags;

use super::bodies::Service;
use super::record::{end, number, recorder};
use super::replay::replay;
use super::spoken::{connect, skip};

/// Connections on which several requests leave at once, and how many on each.
const PIPELINED: (usize, u64) = (8, 12);
/// Ids of their requests: no load has them.
const FIRST_ID: u64 = 0x7000_0000_0000_0000;

/// What the client of one connection said: its bytes, by how far they stand from the first one.
#[derive(Debug, Default)]
struct Said {
    first_seq: u32,
    pieces: BTreeMap<u32, Vec<u8>>,
    has_ended: bool,
}

impl Said {
    fn take(&mut self, segment: &Segment, payload: &[u8]) {
        self.has_ended |= segment.flags.intersects(Flags::FIN.with(Flags::RST));
        let at = segment.seq.wrapping_sub(self.first_seq);
        let piece = self.pieces.entry(at).or_default();
        // What is sent again is the same, and maybe longer.
        let known = piece.len().min(payload.len());
        assert_eq!(piece[..known], payload[..known], "other bytes at {at}");
        if payload.len() > known {
            *piece = payload.to_vec();
        }
    }

    /// All bytes in their order; nothing may be missing between them.
    fn whole(&self) -> Vec<u8> {
        let mut whole: Vec<u8> = Vec::new();
        for (at, piece) in self.pieces.iter().filter(|(_, piece)| !piece.is_empty()) {
            let at = *at as usize;
            assert!(at <= whole.len(), "a hole before {at}");
            let known = (whole.len() - at).min(piece.len());
            assert_eq!(whole[at..at + known], piece[..known], "other bytes");
            whole.extend(&piece[known..]);
        }
        whole
    }
}

/// What the client of each connection of a file said, sorted.
fn streams(file: &Path) -> Vec<Vec<u8>> {
    let mut files = Files::open(&[file.to_path_buf()], false).expect("a capture");
    let (mut unwrapper, mut flows) = (Unwrapper::new(), Vec::<Said>::new());
    let mut newest: BTreeMap<Endpoint, usize> = BTreeMap::new();
    while let Some(frame) = files.next().expect("it is whole") {
        unwrapper.unwrap(&frame, &mut |packet| {
            let segment = Segment::parse(packet.bytes, 0).expect("a segment");
            if segment.destination.port != PORT {
                return;
            }
            assert!(!segment.is_copy(), "a mark in the file");
            assert_ne!(packet.sum, capture::Sum::Bad, "{segment:?}");
            if segment.flags.contains(Flags::SYN) {
                let first_seq = segment.seq.wrapping_add(1);
                let known = newest
                    .get(&segment.source)
                    .map(|flow| flows[*flow].first_seq);
                if known != Some(first_seq) {
                    newest.insert(segment.source, flows.len());
                    flows.push(Said {
                        first_seq,
                        ..Said::default()
                    });
                }
                return;
            }
            let flow = newest.get(&segment.source).expect("its SYN is in the file");
            let payload = &packet.bytes[usize::from(segment.payload_offset)..];
            flows[*flow].take(&segment, payload);
        });
    }
    assert!(flows.iter().all(|flow| flow.has_ended), "one has no end");
    let mut streams: Vec<Vec<u8>> = flows.iter().map(Said::whole).collect();
    streams.sort();
    streams
}

/// Connections on which requests leave before the response to the one before has come.
fn pipelined(stand: &Stand) {
    let (connections, requests) = PIPELINED;
    for connection in 0..connections as u64 {
        let mut stream = connect(stand);
        let requests: String = (0..requests)
            .map(|n| FIRST_ID + connection * requests + n)
            .map(|id| format!("GET /?id={id:016x} HTTP/1.1\r\nHost: pipelined\r\n\r\n"))
            .collect();
        stream.write_all(requests.as_bytes()).expect("it is open");
        // Something of an answer; the service gives each of them before the connection ends.
        skip(&mut stream, 100).expect("an answer");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Keep-alive, uploads, short connections, and several requests at once.
fn ask(stand: &Stand) {
    let uploads = Clients::keep_alive(6, 40, 1).and(&["--body", "100000"]);
    for load in [
        Clients::keep_alive(20, 1000, 1),
        uploads,
        Clients::short(300, 1),
    ] {
        check_clients(&load.run(stand));
    }
    pipelined(stand);
}

#[test]
fn clients_say_to_the_target_what_they_said() {
    let Some(stand) = super::stand_with(Topology::Direct, &[]) else {
        return;
    };
    let [online, target]: [PathBuf; 2] =
        ["online.pcapng", "target.pcapng"].map(|name| stand.lab.folder().join(name));
    let service = Service::start(&stand, Host::Online);
    let process = recorder(&stand, Host::Online, &online, &[]);
    ask(&stand);
    let told = end(process);
    assert_eq!(number(&told, "lost_packets"), 0, "{told}");
    service.finish();
    let said = streams(&online);
    assert!(said.len() > 300 + PIPELINED.0, "{} connections", said.len());
    assert!(said.iter().any(|stream| stream.len() > 100_000));

    // A recorder leaves copies out where nobody asks for them, and says how many.
    let without = stand.lab.folder().join("without.pcapng");
    let service = Service::start(&stand, Host::Target);
    let leaves_out = recorder(&stand, Host::Target, &without, &[]);
    let process = recorder(&stand, Host::Target, &target, &["--copies"]);
    let (_, summary) = replay(&stand, &[&online], &["--speed", "max"]);
    let told = end(process);
    assert_eq!(number(&told, "lost_packets"), 0, "{told}");
    let (mut leaves_out, copies) = (leaves_out, number(&told, "client_packets"));
    let ended = leaves_out.stop(nix::sys::signal::Signal::SIGINT, Duration::from_secs(10));
    ended.expect("it ends");
    let told: serde_json::Value = serde_json::from_str(&leaves_out.output()).expect("JSON");
    assert_eq!(number(&told, "client_packets"), 0, "{told}");
    assert_eq!(told["left_out_packets"]["copies"], copies, "{told}");
    service.finish();
    assert_eq!(
        summary.captured(),
        summary.answered(),
        "{}",
        summary.ledger()
    );

    let heard = streams(&target);
    assert_eq!(said.len(), heard.len(), "connections");
    let differs = said
        .iter()
        .zip(&heard)
        .position(|(said, heard)| said != heard);
    assert_eq!(differs, None, "{} connections", said.len());
    check_nothing_left(&stand);
}
