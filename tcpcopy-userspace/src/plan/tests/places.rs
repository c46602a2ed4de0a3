//! Devices: where the service listens, which way packets pass a device, where answers leave.

use host::clsact::Direction;
use host::exits::Exits;
use programs::name::{CAPTURE_OUT, OBSERVE_IN, OVERHEAR};

use super::{Framing, facts, interface, plan, plan_on};
use crate::plan::facts::Facts;

/// The port of the service is listened to on loopback alone.
fn on_loopback() -> Facts {
    let mut facts = facts();
    let listening = ["127.0.0.1:80", "[::1]:80", "[::ffff:127.0.0.1]:80"];
    facts.listening = listening.map(|socket| socket.parse().unwrap()).to_vec();
    facts
}

#[test]
fn lo_is_taken_as_well_where_the_service_listens_there_alone() {
    let facts = on_loopback();
    let taken = plan_on("-x 80-10.1.0.9:80", &facts).unwrap();
    assert_eq!(taken.observe_on, ["lo", "eth0", "eth1"]);
    assert_eq!(taken.capture_on, ["lo", "eth0", "eth1"]);
    assert_eq!(taken.unheard, [""; 0]);
    assert!(
        taken.heard_on_loopback[0].contains("on loopback alone"),
        "{:?}",
        taken.heard_on_loopback
    );
    let mut elsewhere_too = facts.clone();
    elsewhere_too.listening.push("10.0.0.1:80".parse().unwrap());
    let heard = plan_on("-x 80-10.1.0.9:80", &elsewhere_too).unwrap();
    assert_eq!((heard.observe_on.len(), heard.unheard.len()), (2, 0));
    let pooled = "-x 80-10.1.0.9:80 -s 127.0.0.1 -c 10.7.0.0/24";
    assert_eq!(plan_on(pooled, &facts).unwrap().capture_on[0], "lo");
}

#[test]
fn an_address_of_loopback_means_lo_and_nothing_else() {
    for online in ["127.0.0.1:80", "127.9.9.9:80", "[::1]:80"] {
        let alone = plan(&format!("-x {online}-10.1.0.9:80")).unwrap();
        assert_eq!(alone.observe_on, ["lo"], "{online}");
        assert_eq!(alone.capture_on, ["lo", "eth1"], "{online}: and replies");
        assert!(!alone.follows_exits() && alone.notes.is_empty());
    }
    // A host without a network serves itself.
    let mut facts = on_loopback();
    facts.addresses.truncate(1);
    (facts.default_device, facts.exits) = (None, Exits::default());
    let alone = plan_on("-x 80-127.0.0.1:81", &facts).unwrap();
    assert_eq!(alone.capture_on, ["lo"]);
}

#[test]
fn lo_that_is_not_named_is_asked_for_and_cannot_keep_its_clients_addresses() {
    let facts = on_loopback();
    let deaf = plan_on("-x 80-10.1.0.9:80 -i eth0", &facts).unwrap();
    assert!(deaf.unheard[0].contains("-i lo"), "{:?}", deaf.unheard);
    let heard = plan_on("-x 80-10.1.0.9:80 -i lo", &facts).unwrap();
    assert_eq!((heard.unheard.len(), heard.heard_on_loopback.len()), (0, 0));
    for line in [
        "-x 80-10.1.0.9:80 -s 127.0.0.1",
        "-x 80-10.1.0.9:80 -s 127.0.0.1 -i lo",
        "-x 127.0.0.1:80-10.1.0.9:80 -s 127.0.0.1",
    ] {
        let refusal = plan_on(line, &facts).unwrap_err().to_string();
        for words in ["name a reply pool", "passes lo and no other"] {
            assert!(refusal.contains(words), "{line}: {refusal}");
        }
    }
}

#[test]
fn a_suffix_chooses_the_programs() {
    let apart = plan("-x 80-10.0.0.9:80 -i eth1:host,eth0:mirror").unwrap();
    assert_eq!(
        apart.hooks_apart(),
        [
            ("eth1", CAPTURE_OUT, Direction::Egress),
            ("eth1", OBSERVE_IN, Direction::Ingress),
            ("eth0", OVERHEAR, Direction::Ingress),
        ]
    );
    // Answers come in there, and replies where copies leave.
    assert_eq!(apart.observe_on, [""; 0]);
    assert_eq!(apart.capture_on, ["eth0"]);
    assert!(!apart.follows_exits());
    let plain = plan("-x 10.0.0.1:80-10.0.0.9:80").unwrap();
    assert!(plain.hooks_apart().is_empty());
}

#[test]
fn answers_are_observed_wherever_routes_leave() {
    let mut facts = facts();
    facts
        .interfaces
        .push(interface(6, "eth9", Framing::Ethernet, true));
    facts.exits.names = vec!["eth9".to_owned(), "eth0".to_owned()];
    for line in [
        "-x 10.0.0.1:80-10.0.0.9:80",
        "-x 10.0.0.1:80-10.0.0.9:80 -i eth0",
    ] {
        let plan = plan_on(line, &facts).unwrap();
        assert_eq!(plan.observe_on, ["eth0", "eth9"], "{line}");
        assert_eq!(plan.capture_on, ["eth0"], "{line}");
        assert!(plan.follows_exits());
    }
    let mirrored = plan_on("-x 80-10.0.0.9:80 -i eth0,eth9:mirror", &facts).unwrap();
    assert_eq!(mirrored.observe_on, ["eth0"]);
    let both = plan_on("-x 80-10.0.0.9:80 -i eth0,eth9:host", &facts).unwrap();
    assert!(both.notes[0].contains("copied twice"), "{:?}", both.notes);
}

#[test]
fn a_device_that_cannot_be_in_that_place_is_refused() {
    for (line, words) in [
        ("-x 80-10.0.0.9:80 -i eth7:host", "there are: lo"),
        ("-x 80-10.0.0.9:80 -i eth7:mirror", "there are: lo"),
        ("-x 80-10.0.0.9:80 -i eth2:mirror", "down"),
        ("-x 80-10.0.0.9:80 -i tun0:host", "tun"),
        ("-x 80-10.0.0.9:80 -i lo:mirror", "-i lo"),
        ("-x 80-10.0.0.9:80 -i eth0,eth0:host", "twice"),
        ("-x 80-10.0.0.9:80 -i eth0:mirror,eth0:host", "twice"),
    ] {
        let refusal = plan(line).unwrap_err().to_string();
        assert!(refusal.contains(words), "{line}: {refusal}");
    }
    let plan = plan("-x 80-10.0.0.9:80 -i eth1:mirror").unwrap();
    assert!(plan.notes[0].contains("promisc on"), "{:?}", plan.notes);
}
