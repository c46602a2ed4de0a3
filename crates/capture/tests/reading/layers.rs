//! Link layers, tags and tunnels.

use capture::{LinkType, UnwrapCounts};

use crate::made::{Form, Taken, classic, ethernet, segment, segment_v6, take};

const IPV4: u16 = 0x0800;

fn of(link: LinkType, frames: &[Vec<u8>]) -> (Vec<Taken>, UnwrapCounts) {
    let records: Vec<(u64, &[u8], u32)> = frames
        .iter()
        .map(|frame| (5, frame.as_slice(), frame.len() as u32))
        .collect();
    let (taken, _, counts) = take(&classic(Form::NANOSECONDS, link, &records));
    (taken, counts)
}

/// One packet of one frame, its bytes and its network.
fn one(link: LinkType, frame: &[u8]) -> (Vec<u8>, u32) {
    let (taken, counts) = of(link, &[frame.to_vec()]);
    assert_eq!(taken.len(), 1, "{counts:?}");
    (taken[0].bytes.clone(), taken[0].network)
}

fn inner() -> Vec<u8> {
    segment(1, b"abc")
}

/// Bytes before bytes.
fn behind(head: &[u8], rest: &[u8]) -> Vec<u8> {
    [head, rest].concat()
}

/// An IPv4 packet of a tunnel's end.
fn outer(protocol: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![
        0x45, 0, 0, 0, 0, 1, 0, 0, 64, protocol, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2,
    ];
    let len = (packet.len() + payload.len()) as u16;
    packet[2..4].copy_from_slice(&len.to_be_bytes());
    packet.extend(payload);
    packet
}

fn datagram(port: u16, payload: &[u8]) -> Vec<u8> {
    let mut udp = [0x30, 0x39].to_vec();
    udp.extend(port.to_be_bytes());
    udp.extend((payload.len() as u16 + 8).to_be_bytes());
    udp.extend([0, 0]);
    outer(17, &behind(&udp, payload))
}

fn vxlan(network: u8, frame: &[u8]) -> Vec<u8> {
    datagram(4789, &behind(&[8, 0, 0, 0, 0, 0, network, 0], frame))
}

#[test]
fn each_link_type_is_taken_off() {
    let (four, six) = (inner(), segment_v6(1, b"abc"));
    for (link, head, packet) in [
        (LinkType::RAW, &[][..], &four),
        (LinkType::RAW_12, &[], &six),
        (LinkType::RAW_14, &[], &four),
        (LinkType::IPV4, &[], &four),
        (LinkType::IPV6, &[], &six),
        (LinkType::NULL, &[2, 0, 0, 0], &four),
        (LinkType::NULL, &[0, 0, 0, 2], &four),
        (LinkType::NULL, &[30, 0, 0, 0], &six),
        (LinkType::NULL, &[0, 0, 0, 24], &six),
        (LinkType::LOOP, &[0, 0, 0, 2], &four),
        (
            LinkType::LINUX_SLL,
            &[0, 0, 0, 1, 0, 6, 1, 2, 3, 4, 5, 6, 0, 0, 8, 0],
            &four,
        ),
        (
            LinkType::LINUX_SLL,
            &[0, 4, 3, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x86, 0xdd],
            &six,
        ),
        (
            LinkType::LINUX_SLL2,
            &[8, 0, 0, 0, 0, 0, 0, 9, 0, 1, 4, 6, 1, 2, 3, 4, 5, 6, 0, 0],
            &four,
        ),
    ] {
        let (taken, network) = one(link, &behind(head, packet));
        assert_eq!((&taken, network), (packet, 0), "{link}");
    }
    let sll2 = behind(
        &[8, 0, 0, 0, 0, 0, 0, 9, 0, 1, 4, 6, 1, 2, 3, 4, 5, 6, 0, 0],
        &four,
    );
    assert_eq!(of(LinkType::LINUX_SLL2, &[sll2]).0[0].interface, 9);
}

#[test]
fn vlans_are_networks_and_priorities_are_none() {
    let tagged = |tags: &[(u16, u16)]| {
        let mut rest = Vec::new();
        let kinds: Vec<u16> = tags.iter().map(|(kind, _)| *kind).chain([IPV4]).collect();
        for ((_, tag), kind) in tags.iter().zip(&kinds[1..]) {
            rest.extend(tag.to_be_bytes());
            rest.extend(kind.to_be_bytes());
        }
        one(
            LinkType::ETHERNET,
            &ethernet(kinds[0], &behind(&rest, &inner())),
        )
    };
    let networks: Vec<u32> = [
        &[][..],
        &[(0x8100, 100)],
        &[(0x8100, 200)],
        &[(0x88a8, 100), (0x8100, 200)],
        &[(0x88a8, 200), (0x8100, 100)],
    ]
    .into_iter()
    .map(|tags| {
        let (bytes, network) = tagged(tags);
        assert_eq!(bytes, inner());
        network
    })
    .collect();
    for (at, network) in networks.iter().enumerate() {
        assert!(!networks[..at].contains(network), "{networks:?}");
    }
    assert_eq!(networks[0], 0);
    // Priority tags, and the priority beside a VLAN, say nothing of the network.
    assert_eq!(tagged(&[(0x8100, 0xe000)]).1, 0);
    assert_eq!(tagged(&[(0x8100, 0xa000 | 100)]).1, networks[1]);
    assert_eq!(tagged(&[(0x9100, 100), (0x8100, 0)]).1, networks[1]);
}

/// As `-i any` has a packet on a host with VLAN devices: with its tag, and once more without.
#[test]
fn a_vlan_of_a_cooked_capture_is_no_network() {
    let sll = |kind: u16, rest: &[u8]| {
        let head = [0, 0, 0, 1, 0, 6, 1, 2, 3, 4, 5, 6, 0, 0];
        [&head[..], &kind.to_be_bytes(), rest].concat()
    };
    let tagged = |packet: &[u8]| behind(&[0, 100, 8, 0], packet);
    let frames = [sll(0x8100, &tagged(&inner())), sll(IPV4, &inner())];
    let (taken, _) = of(LinkType::LINUX_SLL, &frames);
    assert_eq!((taken.len(), &taken[0]), (2, &taken[1]));
    // What stands in a tunnel is another matter.
    let within = vxlan(7, &ethernet(0x8100, &tagged(&inner())));
    let networks = [within, vxlan(7, &ethernet(IPV4, &inner()))]
        .map(|packet| one(LinkType::LINUX_SLL, &sll(IPV4, &packet)).1);
    assert_ne!(networks[0], networks[1]);
}

#[test]
fn labels_are_no_networks() {
    // Two labels, the second one the last.
    let labels = [0, 0x01, 0x00, 64, 0, 0x02, 0x11, 64];
    let (bytes, network) = one(
        LinkType::ETHERNET,
        &ethernet(0x8847, &behind(&labels, &inner())),
    );
    assert_eq!((bytes, network), (inner(), 0));
    let wire = behind(&[0, 0x02, 0x11, 64, 0, 0, 0, 0], &ethernet(IPV4, &inner()));
    assert_eq!(one(LinkType::ETHERNET, &ethernet(0x8847, &wire)).0, inner());
    let session = behind(&[0x11, 0, 0, 9, 0, 45, 0, 0x21], &inner());
    assert_eq!(
        one(LinkType::ETHERNET, &ethernet(0x8864, &session)).0,
        inner()
    );
}

#[test]
fn tunnels_are_taken_off() {
    let frame = ethernet(IPV4, &inner());
    let gre = |flags: u16, kind: u16, rest: &[u8]| {
        outer(
            47,
            &[&flags.to_be_bytes()[..], &kind.to_be_bytes(), rest].concat(),
        )
    };
    let geneve = |kind: u16, rest: &[u8]| {
        let head = [&[2, 0][..], &kind.to_be_bytes(), &[0, 0, 7, 0], &[9; 8]].concat();
        datagram(6081, &behind(&head, rest))
    };
    for (name, packet, is_network) in [
        ("IPIP", outer(4, &inner()), false),
        ("GRE", gre(0, IPV4, &inner()), false),
        (
            "GRE with all fields",
            gre(0xb000, IPV4, &behind(&[1; 12], &inner())),
            true,
        ),
        ("GRE with Ethernet", gre(0, 0x6558, &frame), false),
        ("ERSPAN I", gre(0, 0x88be, &frame), false),
        (
            "ERSPAN II",
            gre(0x1000, 0x88be, &behind(&[0; 4 + 8], &frame)),
            false,
        ),
        (
            "ERSPAN III",
            gre(0x1000, 0x22eb, &behind(&[0; 4 + 12], &frame)),
            false,
        ),
        (
            "ERSPAN III with more",
            gre(
                0x1000,
                0x22eb,
                &behind(
                    &[
                        0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 7, 7, 7, 7, 7, 7, 7, 7,
                    ],
                    &frame,
                ),
            ),
            false,
        ),
        ("VXLAN", vxlan(7, &frame), true),
        ("GENEVE with Ethernet", geneve(0x6558, &frame), true),
        ("GENEVE", geneve(IPV4, &inner()), true),
    ] {
        let (taken, counts) = of(LinkType::ETHERNET, &[ethernet(IPV4, &packet)]);
        assert_eq!(taken.len(), 1, "{name}: {counts:?}");
        assert_eq!(taken[0].bytes, inner(), "{name}");
        assert_eq!(taken[0].network != 0, is_network, "{name}");
        assert_eq!(counts.tunnelled, 1, "{name}");
    }
    let networks = [vxlan(7, &frame), vxlan(8, &frame)].map(|packet| one(LinkType::RAW, &packet).1);
    assert_ne!(networks[0], networks[1]);
}

#[test]
fn two_tunnels_are_taken_off_and_not_three() {
    let two = vxlan(7, &ethernet(IPV4, &outer(4, &inner())));
    assert_eq!(one(LinkType::RAW, &two).0, inner());
    let (taken, counts) = of(LinkType::RAW, &[outer(4, &two)]);
    assert_eq!((taken.len(), counts.too_deep), (0, 1));
}

#[test]
fn what_is_no_tcp_is_counted_by_what_it_is() {
    let six = |next| behind(&[0x60, 0, 0, 0, 0, 8, next, 64], &[1; 40]);
    let (taken, counts) = of(
        LinkType::ETHERNET,
        &[
            ethernet(0x0806, &[0; 28]),
            ethernet(0x88cc, &[0; 28]),
            ethernet(IPV4, &datagram(53, b"abc")),
            ethernet(IPV4, &datagram(4789, b"\0 is no tunnel")),
            ethernet(IPV4, &outer(1, &[8, 0, 0, 0])),
            ethernet(0x86dd, &six(58)),
            ethernet(IPV4, &outer(132, &[0; 12])),
            ethernet(IPV4, &[0x45]),
            ethernet(IPV4, &[0x15; 40]),
            vec![1, 2, 3],
        ],
    );
    assert!(taken.is_empty());
    let expected = UnwrapCounts {
        frames: 10,
        not_ip: 2,
        udp: 2,
        icmp: 2,
        other_protocol: 1,
        header_cut: 2,
        malformed: 1,
        ..UnwrapCounts::default()
    };
    assert_eq!(counts, expected);
}

#[test]
fn extensions_of_ipv6_are_taken_off() {
    let plain = segment_v6(1, b"abc");
    let mut extended = plain[..40].to_vec();
    extended[6] = 0;
    // Hop-by-hop, destination, routing, and a fragment that is the whole packet.
    extended.extend([60, 0, 1, 4, 0, 0, 0, 0]);
    extended.extend([43, 1, 1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    extended.extend([44, 0, 0, 0, 0, 0, 0, 0]);
    extended.extend([6, 0, 0, 0, 1, 2, 3, 4]);
    extended.extend(&plain[40..]);
    let len = (extended.len() - 40) as u16;
    extended[4..6].copy_from_slice(&len.to_be_bytes());
    assert_eq!(one(LinkType::RAW, &extended).0, plain);
}
