//! Which ports a pool has, and which of them others have.

use session::Source;

use super::{facts, plan_on};
use crate::plan::Plan;

fn pool_of(plan: &Plan) -> (std::ops::RangeInclusive<u16>, Vec<u16>) {
    let Source::Pool {
        ranges,
        excluded_ports,
    } = &plan.source
    else {
        panic!("a pool")
    };
    (
        ranges[0].port_first..=ranges[0].port_last,
        excluded_ports.clone(),
    )
}

#[test]
fn an_ephemeral_range_that_leaves_no_ports_is_named() {
    let mut facts = facts();
    facts.ephemeral = 1024..=65_535;
    let refusal = plan_on("-x 80-10.1.0.9:80", &facts).unwrap_err();
    for words in [
        "1024-65535 leaves too few",
        "ip_local_reserved_ports=20000-29999",
    ] {
        assert!(refusal.to_string().contains(words), "{refusal}");
    }
    facts.ephemeral = 9_000..=20_000;
    let plan = plan_on("-x 80-10.1.0.9:80", &facts).unwrap();
    assert_eq!(pool_of(&plan).0, 20_001..=32_767);
}

/// Where nothing else is left, ports that are reserved for anybody are taken, but those that somebody has.
#[test]
fn reserved_ports_are_taken_where_nothing_else_is_left() {
    let mut facts = facts();
    facts.ephemeral = 1024..=65_535;
    facts.reserved = vec![20_000..=20_099, 20_200..=20_299];
    facts.listening = vec!["0.0.0.0:20005".parse().unwrap()];
    facts.connections = vec![(
        "10.1.0.1:20010".parse().unwrap(),
        "10.1.0.9:80".parse().unwrap(),
    )];
    let plan = plan_on("-x 20020-10.1.0.9:80", &facts).unwrap();
    let (range, excluded) = pool_of(&plan);
    assert_eq!(range, 20_000..=20_299);
    let expected: Vec<u16> = [20_005, 20_010, 20_020]
        .into_iter()
        .chain(20_100..20_200)
        .collect();
    assert_eq!(excluded, expected);
    // Elsewhere they are an application's own.
    facts.ephemeral = 32_768..=60_999;
    let (range, excluded) = pool_of(&plan_on("-x 80-10.1.0.9:80", &facts).unwrap());
    assert_eq!((range, excluded.len()), (10_000..=32_767, 200));
}

#[test]
fn what_others_have_is_left_out_of_a_named_pool() {
    let mut facts = facts();
    facts.connections = vec![(
        "10.1.0.1:11300".parse().unwrap(),
        "10.1.0.9:80".parse().unwrap(),
    )];
    let line = "-x 80-10.1.0.9:80,11400-10.1.0.9:81 -c 10.1.0.1:11000-12000";
    let plan = plan_on(line, &facts).unwrap();
    assert_eq!(pool_of(&plan).1, [11_211, 11_300, 11_400]);
    // Of a pool that nobody on this host can have anything to do with, nothing is.
    let plan = plan_on("-x 80-10.1.0.9:80 -c 10.7.0.0/24 --pool-is-routed", &facts).unwrap();
    assert_eq!(pool_of(&plan).1, [0; 0]);
    assert_eq!(plan.filter.slots, 0);
}

#[test]
fn reserved_ports_may_be_ephemeral() {
    let mut facts = facts();
    facts.reserved = vec![30_000..=40_000];
    let plan = plan_on("-x 80-10.1.0.9:80 -c 10.1.0.1:30000-40000", &facts).unwrap();
    assert_eq!(pool_of(&plan).1, [0; 0]);
    facts.reserved = vec![33_000..=33_099];
    let plan = plan_on("-x 80-10.1.0.9:80 -c 10.1.0.1:32000-40000", &facts).unwrap();
    let (_, excluded) = pool_of(&plan);
    assert_eq!(excluded.len(), 40_001 - 32_768 - 100);
    let note = plan.notes.last().expect("a note");
    assert!(note.contains("7133 ports of the reply pool"), "{note}");
}

/// Whoever forgets -s would have everybody's addresses open connections.
#[test]
fn a_pool_of_others_is_refused_in_direct_mode() {
    let facts = facts();
    for pool in [
        "62.135.200.x",
        "10.0.0.0/24",
        "10.1.0.2",
        "62.135.200.1:1000-1159",
    ] {
        let line = format!("-x 80-10.1.0.9:80 -c {pool}");
        let refusal = plan_on(&line, &facts).unwrap_err();
        assert_eq!(refusal.finding(), "pool-not-routed", "{line}: {refusal}");
        assert!(refusal.to_string().contains("did you forget -s INTERCEPT?"));
        for meant in [" --pool-is-routed", " -s 10.0.0.9:36524 --insecure"] {
            plan_on(&format!("{line}{meant}"), &facts).expect(&line);
        }
    }
    for own in ["10.1.0.1", "10.0.0.1:10000-19999", "198.18.0.0/16"] {
        let target = if own.starts_with("198") {
            "10.0.0.1:81"
        } else {
            "10.1.0.9:80"
        };
        plan_on(&format!("-x 80-{target} -c {own}"), &facts).expect(own);
    }
}

/// TCPCopy's form, `-c IP,IP`.
#[test]
fn several_addresses_are_a_pool() {
    let facts = facts();
    let ranges = |line: &str| {
        let plan = plan_on(line, &facts).expect(line);
        let Source::Pool { ranges, .. } = &plan.source else {
            panic!("a pool")
        };
        let addresses: Vec<String> = ranges
            .iter()
            .map(|range| range.prefix.to_string())
            .collect();
        (addresses, plan)
    };
    let (addresses, plan) =
        ranges("-x 80-10.1.0.9:80 -s 10.0.0.9:36524 --insecure -c 62.135.200.7,62.135.201.x");
    assert_eq!(addresses, ["62.135.200.7", "62.135.201.0"]);
    assert_eq!(
        plan.source_words,
        [format!(
            "from 62.135.200.7 ports 1024-65535 and 62.135.201.0/24 ports 1024-65535 ({} free)",
            257 * 64_512
        )]
    );
    assert!(plan.filter.replies.is_empty());
    let room = plan.room.expect("room");
    assert_eq!(room.flows, 257 * 64_512);
    // One of this host, and one that is routed here.
    let line = "-x 80-10.1.0.9:80 -c 10.1.0.1:10000-10999,10.7.0.1:10000-10999";
    let refusal = plan_on(line, &facts).unwrap_err();
    assert_eq!(refusal.finding(), "pool-not-routed");
    let (addresses, plan) = ranges(&format!("{line} --pool-is-routed"));
    assert_eq!(addresses, ["10.1.0.1", "10.7.0.1"]);
    assert_eq!((plan.filter.slots, plan.filter.addresses.len()), (2, 2));
    // The path is proven from each.
    let sources: Vec<String> = plan
        .probes
        .iter()
        .map(|(source, _)| source.to_string())
        .collect();
    assert_eq!(sources, ["10.1.0.1:10999", "10.7.0.1:10999"]);
    for line in [
        "-x 80-10.1.0.9:80 -c 10.1.0.1,10.1.0.1",
        "-x 80-10.1.0.9:80 -c 10.1.0.1:1000-2000,10.1.0.1:1500-3000",
    ] {
        let refusal = plan_on(line, &facts).unwrap_err();
        assert!(
            refusal
                .to_string()
                .contains("the same addresses and ports twice"),
            "{refusal}"
        );
    }
}
