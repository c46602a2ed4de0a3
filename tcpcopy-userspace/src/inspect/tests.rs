//! Captures made byte by byte, and what is said of them.

use std::io::Cursor;
use std::path::Path;

use capture::{Files, LinkType};
use serde_json::Value;
use wire::flow::{Addr, Endpoint};
use wire::tcp::{Flags, Header, Options};

use super::document::Document;
use super::look;
use super::table::Table;
use crate::inspect::connections::CONNECTIONS_MAX;

#[path = "../../../crates/capture/tests/reading/made.rs"]
#[expect(dead_code, reason = "the tests of the crate need more of it")]
mod made;

const SYN: Flags = Flags::SYN;
const ACK: Flags = Flags::ACK;
const FIN: Flags = Flags(0x11);
const HELLO: [u8; 16] = [0x16, 3, 1, 0, 80, 1, 0, 0, 76, 3, 3, 7, 7, 7, 7, 7];

/// Both ends of one connection.
#[derive(Clone, Copy)]
struct Ends {
    client: Endpoint,
    server: Endpoint,
}

impl Ends {
    fn new(client_port: u16, server: u8, server_port: u16) -> Self {
        Self {
            client: Endpoint::new(Addr::v4([10, 0, 0, 2]), client_port),
            server: Endpoint::new(Addr::v4([10, 0, 1, server]), server_port),
        }
    }

    fn packet(self, is_client: bool, seq: u32, ack: u32, flags: Flags, payload: &[u8]) -> Vec<u8> {
        let (source, destination) = if is_client {
            (self.client, self.server)
        } else {
            (self.server, self.client)
        };
        let header = Header {
            source,
            destination,
            seq,
            ack,
            flags,
            window: 500,
            urgent: 0,
            options: Options::default(),
        };
        let at = header.payload_offset();
        let mut frame = vec![0; at + payload.len()];
        frame[at..].copy_from_slice(payload);
        assert!(header.emit(&mut frame));
        frame[12..14].copy_from_slice(&[8, 0]);
        frame
    }

    fn asks(self, seq: u32, ack: u32, payload: &[u8]) -> Vec<u8> {
        self.packet(true, seq, ack, ACK, payload)
    }

    fn answers(self, seq: u32, ack: u32, payload: &[u8]) -> Vec<u8> {
        self.packet(false, seq, ack, ACK, payload)
    }

    /// A connection with two requests, the second of them in two packets.
    fn whole(self) -> Vec<Vec<u8>> {
        vec![
            self.packet(true, 99, 0, SYN, b""),
            self.packet(false, 199, 100, SYN.with(ACK), b""),
            self.asks(100, 200, b"first"),
            self.answers(200, 105, b"ok"),
            self.asks(105, 202, b"sec"),
            self.asks(108, 202, b"ond"),
            self.answers(202, 111, b"fine"),
            self.packet(true, 111, 206, FIN, b""),
            self.packet(false, 206, 112, FIN, b""),
        ]
    }
}

fn look_at(frames: &[Vec<u8>]) -> Document {
    look_at_cut(frames, usize::MAX)
}

/// With a snap length.
fn look_at_cut(frames: &[Vec<u8>], snap_len: usize) -> Document {
    let records: Vec<(u64, &[u8], u32)> = (0u64..)
        .zip(frames)
        .map(|(at, frame)| {
            (
                at * 1_000_000,
                &frame[..frame.len().min(snap_len)],
                frame.len() as u32,
            )
        })
        .collect();
    let file = made::classic(made::Form::NANOSECONDS, LinkType::ETHERNET, &records);
    let mut files = Files::of_reader(Path::new("-"), Box::new(Cursor::new(file))).unwrap();
    look(&mut files, vec!["made".to_owned()]).unwrap()
}

#[test]
fn services_stand_by_port_the_busiest_first() {
    let frames = [
        Ends::new(40_000, 1, 80).whole(),
        Ends::new(40_001, 1, 8080).whole(),
        Ends::new(40_002, 9, 8080).whole(),
    ]
    .concat();
    let found = look_at(&frames);
    let ports: Vec<u16> = found.services.iter().map(|it| it.port).collect();
    assert_eq!(ports, [8080, 80]);
    let it = &found.services[0];
    assert_eq!((it.connections, it.whole, it.requests), (2, 2, 4));
    assert_eq!((it.request_bytes, it.response_bytes), (22, 12));
    assert_eq!(it.servers, ["10.0.1.1", "10.0.1.9"]);
    assert_eq!(it.rule, "-x 8080-TARGET_IP:8080");
    assert_eq!(
        (
            found.packets,
            found.tcp_packets,
            found.connections_counted_early
        ),
        (27, 27, 0)
    );
    let table = Table(&found).to_string();
    assert!(
        table.contains("TO REPLAY     -x 8080-TARGET_IP:8080"),
        "{table}"
    );
    assert!(
        table.contains("-x 10.0.1.1:8080-TARGET_IP:8080    of one server alone"),
        "{table}"
    );
}

/// As at `-i any`, and with segments that come again.
#[test]
fn a_packet_that_comes_again_says_nothing_new() {
    let whole = Ends::new(40_000, 1, 80).whole();
    let twice: Vec<Vec<u8>> = whole
        .iter()
        .flat_map(|frame| [frame.clone(), frame.clone()])
        .collect();
    let mut again = whole.clone();
    again.splice(8..8, [whole[2].clone(), whole[5].clone()]);
    for frames in [twice, again] {
        let found = look_at(&frames);
        let it = &found.services[0];
        assert_eq!((it.connections, it.whole, it.requests), (1, 1, 2));
        assert_eq!((it.request_bytes, it.response_bytes), (11, 6));
    }
}

#[test]
fn shapes_of_connections_are_told_apart() {
    let of = |port| Ends::new(port, 1, 80);
    let requests_only: Vec<Vec<u8>> = of(40_003)
        .whole()
        .into_iter()
        .filter(|frame| frame[36..38] == [0, 80])
        .collect();
    let responses_only: Vec<Vec<u8>> = of(40_004)
        .whole()
        .into_iter()
        .filter(|frame| frame[34..36] == [0, 80])
        .collect();
    let frames = [
        of(40_001).whole(),
        of(40_002).whole()[3..].to_vec(),
        requests_only,
        responses_only,
        vec![
            of(40_005).packet(true, 99, 0, SYN, b""),
            of(40_005).asks(100, 200, &HELLO),
        ],
    ]
    .concat();
    let found = look_at(&frames);
    let it = &found.services[0];
    assert_eq!(found.services.len(), 1);
    assert_eq!((it.whole, it.without_beginning), (1, 1));
    assert_eq!(
        (it.requests_only, it.responses_only, it.encrypted),
        (2, 1, 1)
    );
    // Two each of the first and of the one without responses; the second one's later request; a handshake.
    assert_eq!(it.requests, 2 + 1 + 2 + 1);
}

#[test]
fn a_port_that_is_used_again_is_another_connection() {
    let ends = Ends::new(40_000, 1, 80);
    let again: Vec<Vec<u8>> = vec![
        ends.packet(true, 5000, 0, SYN, b""),
        ends.packet(false, 9000, 5001, SYN.with(ACK), b""),
        ends.asks(5001, 9001, b"third"),
    ];
    let found = look_at(&[ends.whole(), again].concat());
    let it = &found.services[0];
    assert_eq!((it.connections, it.requests, it.request_bytes), (2, 3, 16));
}

#[test]
fn who_serves_is_known_from_others() {
    // Open before, and the server has the higher port.
    let open = Ends::new(5000, 1, 6000);
    let begun = Ends::new(5001, 1, 6000);
    let found = look_at(&[open.whole()[3..].to_vec(), begun.whole()].concat());
    let ports: Vec<(u16, u64)> = found
        .services
        .iter()
        .map(|it| (it.port, it.connections))
        .collect();
    assert_eq!(ports, [(6000, 2)]);
}

#[test]
fn equal_addresses_in_two_vlans_are_two_connections() {
    let tagged = |vlan: u8| {
        let tag = move |frame: Vec<u8>| [&frame[..12], &[0x81, 0, 0, vlan], &frame[12..]].concat();
        Ends::new(40_000, 1, 80).whole().into_iter().map(tag)
    };
    let frames: Vec<Vec<u8>> = tagged(100)
        .zip(tagged(200))
        .flat_map(|(a, b)| [a, b])
        .collect();
    let found = look_at(&frames);
    assert_eq!(
        (
            found.services[0].connections,
            found.services[0].requests,
            found.networks
        ),
        (2, 4, 2)
    );
    assert!(
        Table(&found)
            .to_string()
            .contains("NETWORKS      2 networks")
    );
}

#[test]
fn what_is_cut_is_told_with_what_to_do() {
    let ends = Ends::new(40_000, 1, 80);
    let mut frames = ends.whole();
    frames[2] = ends.asks(100, 200, &[7; 1000]);
    let found = look_at_cut(&frames, 154);
    assert_eq!(
        (
            found.cut.packets,
            found.cut.missing_bytes,
            found.cut.by_a_mirror
        ),
        (1, 900, 0)
    );
    assert_eq!(
        (
            found.services[0].cut_packets,
            found.services[0].request_bytes
        ),
        (1, 1000)
    );
    let table = Table(&found).to_string();
    assert!(
        table.contains("CUT           1 of 9 TCP packets without their end, 900 B missing:"),
        "{table}"
    );
    assert!(table.contains("tcpdump -s 0"), "{table}");
}

#[test]
fn what_is_no_tcp_is_told() {
    let arp = [&[2; 12][..], &[8, 6], &[0; 28]].concat();
    let found = look_at(&[arp]);
    assert_eq!((found.tcp_packets, found.others.not_ip), (0, 1));
    let table = Table(&found).to_string();
    assert!(
        table.contains("NOT TCP       1 without IP (ARP and others)"),
        "{table}"
    );
    assert!(!table.contains("TO REPLAY"), "{table}");
}

#[test]
fn an_encrypted_service_is_not_offered() {
    let ends = Ends::new(40_000, 1, 443);
    let frames = [
        ends.packet(true, 99, 0, SYN, b""),
        ends.packet(false, 199, 100, SYN.with(ACK), b""),
        ends.asks(100, 200, &HELLO),
        ends.answers(200, 116, &[0x16, 3, 3, 0, 9, 2]),
    ];
    let table = Table(&look_at(&frames)).to_string();
    assert!(table.contains("(encrypted: cannot be copied)"), "{table}");
    assert!(!table.contains("TO REPLAY"), "{table}");
}

#[test]
fn the_clock_is_watched() {
    let ends = Ends::new(40_000, 1, 80);
    let frames = ends.whole();
    let at = |seconds: u64| seconds * 1_000_000_000;
    let records: Vec<(u64, &[u8], u32)> = [at(10), at(11), at(9), at(7300)]
        .into_iter()
        .zip(&frames)
        .map(|(at, frame)| (at, frame.as_slice(), frame.len() as u32))
        .collect();
    let file = made::classic(made::Form::NANOSECONDS, LinkType::ETHERNET, &records);
    let mut files = Files::of_reader(Path::new("-"), Box::new(Cursor::new(file))).unwrap();
    let found = look(&mut files, vec!["made".to_owned()]).unwrap();
    let time = found.time.as_ref().unwrap();
    assert_eq!(
        (time.first.as_str(), time.stamps_back),
        ("1970-01-01T00:00:09.000000Z", 1)
    );
    let table = Table(&found).to_string();
    assert!(
        table.contains("nothing for 2h 1m 29s at the longest"),
        "{table}"
    );
}

/// The keys of a document, in their order and with those within them.
fn keys(value: &Value) -> Vec<String> {
    match value {
        Value::Object(map) => {
            let inner = |(key, value): (&String, &Value)| {
                let below = keys(value)
                    .into_iter()
                    .map(move |below| format!("{key}.{below}"));
                [key.clone()]
                    .into_iter()
                    .chain(below)
                    .collect::<Vec<String>>()
            };
            map.iter().flat_map(inner).collect()
        }
        Value::Array(values) => values.first().map(keys).unwrap_or_default(),
        _ => Vec::new(),
    }
}

#[test]
fn the_page_shows_the_keys_that_there_are() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/captures.md");
    let page = std::fs::read_to_string(page).expect("docs/captures.md");
    let (_, behind) = page.split_once("```json\n").expect("an example");
    let (example, _) = behind.split_once("```").expect("its end");
    let example: Value = serde_json::from_str(example).expect("JSON");
    let found = look_at(&Ends::new(40_000, 1, 80).whole());
    let found = serde_json::to_value(&found).expect("JSON");
    assert_eq!(keys(&example), keys(&found));
    assert!(keys(&found).contains(&"services.requests".to_owned()));
}

/// More connections at once than are followed: all are counted, and those that were still open are told.
#[test]
fn memory_is_bounded_and_what_that_costs_is_told() {
    let many = CONNECTIONS_MAX as u32 + 1000;
    let frames: Vec<Vec<u8>> = (0..many)
        .map(|number| {
            let [_, a, b, c] = number.to_be_bytes();
            let ends = Ends {
                client: Endpoint::new(Addr::v4([10, a, b, c]), 40_000),
                server: Endpoint::new(Addr::v4([10, 200, 1, 1]), 80),
            };
            ends.packet(true, 99, 0, SYN, b"")
        })
        .collect();
    let found = look_at(&frames);
    assert_eq!(found.services[0].connections, u64::from(many));
    let early = found.connections_counted_early;
    assert!((1000..=CONNECTIONS_MAX as u64).contains(&early), "{early}");
}
