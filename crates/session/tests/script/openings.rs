//! Where sessions begin, and from which source.

use std::sync::Arc;

use super::*;

#[test]
fn a_syn_alone_opens_nothing() {
    let mut s = Script::new();
    s.client(SYN, 0, 0, b"")
        .wait(Duration::from_secs(1))
        .expect(&[]);
    assert_eq!(s.engine.sessions(), 0);
}

#[test]
fn a_flow_is_joined_at_its_first_turn_boundary() {
    let mut s = Script::new();
    s.client(ACK, 500, 900, b"middle of a request").expect(&[]);
    s.client(PSH, 519, 900, b"its end")
        .online(PSH, 900, 526, 10)
        .expect(&[]);
    s.client(PSH, 526, 910, b"next")
        .expect(&[sent(SYN, 0, 0, b"")]);
    s.target(SYN.with(ACK), 0, 1, 0)
        .expect(&[sent(PSH, 1, 1, b"next")]);
    assert_eq!(s.engine.counters().bytes_skipped, 26);
    assert_eq!(s.engine.counters().sessions_joined, 1);
}

#[test]
fn a_flow_is_not_joined_at_a_keep_alive_probe() {
    let mut s = Script::new();
    s.online(PSH, 900, 526, 10);
    s.client(ACK, 526, 910, b"?").expect(&[]);
    s.client(PSH, 526, 910, b"next")
        .online(PSH, 910, 530, 10)
        .client(PSH, 530, 920, b"!")
        .expect(&[sent(SYN, 0, 0, b"")]);
}

#[test]
fn never_means_just_that() {
    let mut s = Script::with(|config| config.rules[0].join = session::Join::Never);
    s.client(PSH, 500, 900, b"a")
        .online(PSH, 900, 501, 10)
        .client(PSH, 501, 910, b"b")
        .expect(&[]);
    assert_eq!(s.engine.sessions(), 0);
}

#[test]
fn a_leftover_connection_of_a_killed_run_is_reset_first() {
    let mut s = Script::new();
    s.client(SYN, 0, 0, b"")
        .online(SYN.with(ACK), 0, 1, 0)
        .expect(&[sent(SYN, 0, 0, b"")]);
    let iss = s.iss;
    s.target(ACK, 500, 9000, 0);
    let frames = s.frames();
    assert_eq!((frames[0].flags, frames[0].seq), (Flags::RST, 9000));
    assert_eq!(frames[1].flags, SYN);
    assert!(
        s.iss.wrapping_sub(iss) > 9000,
        "the new ISN exceeds what the leftover expected"
    );
    s.target(SYN.with(ACK), 0, 1, 0)
        .expect(&[sent(ACK, 1, 1, b"")]);
}

#[test]
fn every_copy_has_a_session_of_its_own() {
    let mut s = Script::with(|config| config.copies = 3);
    s.client(SYN, 0, 0, b"").online(SYN.with(ACK), 0, 1, 0);
    assert_eq!(s.frames().len(), 3);
    assert_eq!(s.engine.sessions(), 3);
}

#[test]
fn an_empty_pool_is_a_collision() {
    let mut s = Script::with(|config| {
        config.source = Source::Pool {
            ranges: vec![],
            excluded_ports: vec![],
        }
    });
    s.client(SYN, 0, 0, b"")
        .online(SYN.with(ACK), 0, 1, 0)
        .client(PSH, 1, 1, b"a")
        .online(PSH, 1, 2, 10);
    s.client(FIN, 2, 11, b"")
        .expect(&[])
        .expect_outcomes(&[Outcome::Collision]);
    assert_eq!(s.engine.sessions(), 0);
    // A session counts once, however many turns it has.
    s.client.port += 1;
    s.client(SYN, 0, 0, b"").online(SYN.with(ACK), 0, 1, 0);
    for turn in 0..3 {
        s.client(PSH, 1 + turn, 1 + 10 * turn, b"a");
        s.online(PSH, 1 + 10 * turn, 2 + turn, 10);
    }
    assert_eq!(s.engine.counters().sessions_collided, 2);
}

#[test]
fn a_flow_is_not_joined_at_bytes_that_are_old() {
    let mut s = Script::new();
    s.client(PSH, 500, 900, b"request").expect(&[]);
    s.client(PSH, 500, 950, b"request").expect(&[]);
    // A keep-alive probe with a byte of garbage (RFC 9293 section 3.8.4).
    s.client(ACK, 506, 950, b"?").expect(&[]);
    assert_eq!(s.engine.sessions(), 0);
    s.client(PSH, 507, 950, b"next")
        .expect(&[sent(SYN, 0, 0, b"")]);
}

#[test]
fn a_flow_is_not_joined_where_later_bytes_were_missed() {
    let mut s = Script::new();
    s.online(PSH, 900, 500, 50);
    s.client(PSH, 510, 950, b"second half").expect(&[]);
    s.client(ACK, 500, 950, b"first half").expect(&[]);
    assert_eq!(s.engine.sessions(), 0);
    s.online(PSH, 950, 521, 50);
    s.client(PSH, 521, 1000, b"next")
        .expect(&[sent(SYN, 0, 0, b"")]);
}

#[test]
fn a_session_that_had_to_wait_for_its_source_still_waits_for_the_greeting() {
    let mut s = Script::with(|config| config.source = Source::Clients);
    s.handshake();
    s.client(FIN, 1, 1, b"").expect(&[sent(FIN, 1, 1, b"")]);
    // The client's port is used again while the target still holds the first connection.
    let old = s.iss;
    let (isn, online_isn) = (CLIENT_ISN + 50_000, ONLINE_ISN.wrapping_add(50_000));
    let (client, online, now) = (s.client, s.online, s.now);
    let from_client = |seq, ack, flags, payload: &[u8]| {
        Script::packet(client, online, seq, ack, flags, 500, payload)
    };
    s.engine
        .on_client_packet(now, now, &from_client(isn, 0, SYN, b""));
    let syn_ack = Script::packet(online, client, online_isn, isn + 1, SYN.with(ACK), 500, b"");
    s.engine.on_online_packet(now, now, &syn_ack);
    let hello = from_client(isn + 1, online_isn.wrapping_add(31), PSH, b"HELO");
    s.engine.on_client_packet(now, now, &hello);
    s.expect(&[]);
    s.target(FIN, 1, 2, 0).frames();
    s.wait(Duration::from_secs(2))
        .expect(&[sent(SYN, 0, 0, b"")]);
    assert!(s.iss != old);
    s.target(SYN.with(ACK), 0, 1, 0)
        .expect(&[sent(ACK, 1, 1, b"")]);
    s.target(PSH, 1, 1, 30).expect(&[sent(PSH, 1, 31, b"HELO")]);
}

/// Two tcpcopy with the same sources at one intercept: what we send from there on would be the other's to the target.
#[test]
fn a_session_that_another_tcpcopy_has_sends_nothing_more_and_is_a_collision() {
    let mut s = Script::with(|config| config.source = Source::Clients);
    s.client(SYN, 0, 0, b"")
        .online(SYN.with(ACK), 0, 1, 0)
        .expect(&[sent(SYN, 0, 0, b"")]);
    let taken = s.engine.flows().next().expect("a session");
    let now = s.now;
    s.engine.on_taken(now, &taken);
    s.client(PSH, 1, 1, b"a").online(PSH, 1, 2, 10).expect(&[]);
    s.client(PSH, 2, 11, b"b").online(PSH, 11, 3, 10);
    s.client(FIN, 3, 21, b"").expect(&[]);
    s.wait(Duration::from_secs(60))
        .expect(&[])
        .expect_outcomes(&[Outcome::Collision, Outcome::Collision]);
    assert_eq!(s.engine.counters().sessions_collided, 1);
    assert_eq!(s.engine.sessions(), 0);
    // What is not ours is nothing to us.
    let now = s.now;
    s.engine.on_taken(now, &taken);
}

#[test]
fn a_session_that_another_tcpcopy_has_is_tried_from_another_port_of_the_pool() {
    let mut s = Script::new();
    s.client(SYN, 0, 0, b"")
        .online(SYN.with(ACK), 0, 1, 0)
        .expect(&[sent(SYN, 0, 0, b"")]);
    let taken = s.engine.flows().next().expect("a session");
    let now = s.now;
    s.engine.on_taken(now, &taken);
    s.client(PSH, 1, 1, b"a")
        .online(PSH, 1, 2, 10)
        .expect(&[sent(SYN, 0, 0, b"")]);
    let other = s.engine.flows().next().expect("a session");
    assert_ne!(taken.client.port, other.client.port);
    s.target(SYN.with(ACK), 0, 1, 0)
        .expect(&[sent(PSH, 1, 1, b"a")]);
}

#[test]
fn a_turn_without_a_source_ends_although_its_client_has_already_closed() {
    let mut s = Script::with(|config| {
        config.source = Source::Pool {
            ranges: vec![],
            excluded_ports: vec![],
        }
    });
    s.client(SYN, 0, 0, b"").online(SYN.with(ACK), 0, 1, 0);
    s.online(ACK, 1, 3, 0).client(FIN, 1, 1, b"a");
    s.expect(&[]).expect_outcomes(&[Outcome::Collision]);
    assert_eq!(s.engine.sessions(), 0);
}

#[test]
fn a_session_that_gets_its_source_late_waits_for_no_response_that_was_never_asked_for() {
    let mut s = Script::with(|config| {
        let Source::Pool { ranges, .. } = &mut config.source else {
            return;
        };
        ranges[0].port_last = ranges[0].port_first;
    });
    let first = s.client;
    s.handshake();
    s.client = Endpoint::new(first.addr, first.port + 1);
    s.client(SYN, 0, 0, b"").online(SYN.with(ACK), 0, 1, 0);
    s.client(PSH, 1, 1, b"a").online(PSH, 1, 2, 100).expect(&[]);
    let second = core::mem::replace(&mut s.client, first);
    s.client(RST, 1, 1, b"").expect(&[sent(RST, 1, 1, b"")]);
    s.client = second;
    s.client(PSH, 2, 101, b"b").expect(&[sent(SYN, 0, 0, b"")]);
    s.target(SYN.with(ACK), 0, 1, 0)
        .expect(&[sent(PSH, 1, 1, b"b")])
        .expect_outcomes(&[Outcome::Collision]);
}

#[test]
fn the_same_answer_of_a_leftover_connection_does_not_change_the_isn_twice() {
    let mut s = Script::new();
    s.client(SYN, 0, 0, b"").online(SYN.with(ACK), 0, 1, 0);
    s.expect(&[sent(SYN, 0, 0, b"")]);
    let leftover = Script::packet(
        s.target,
        s.local,
        500,
        s.iss.wrapping_add(9000),
        ACK,
        500,
        b"",
    );
    s.engine.on_target_packet(s.now, s.now, &leftover);
    s.frames();
    let iss = s.iss;
    s.engine.on_target_packet(s.now, s.now, &leftover);
    s.frames();
    assert_eq!(s.iss, iss);
    s.target(SYN.with(ACK), 0, 1, 0)
        .expect(&[sent(ACK, 1, 1, b"")]);
}

#[test]
fn a_copy_that_ends_first_does_not_take_the_others_from_their_flow() {
    let mut s = Script::with(|config| {
        config.copies = 2;
        let Source::Pool { ranges, .. } = &mut config.source else {
            return;
        };
        ranges[0].port_last = ranges[0].port_first;
    });
    s.handshake();
    // The second copy has no source, and ends with its client.
    s.client(FIN, 1, 1, b"a").frames();
    s.online(ACK, 1, 3, 0);
    s.expect_outcomes(&[Outcome::Collision]);
    assert_eq!(s.engine.sessions(), 1);
    s.target(ACK, 1, 2, 0).frames();
    s.target(FIN.with(PSH), 1, 3, 10).frames();
    s.online(FIN.with(PSH), 1, 3, 10)
        .expect_outcomes(&[Outcome::Answered]);
}

#[test]
fn a_request_may_overtake_the_syn_ack_only_where_there_is_no_order() {
    let mut s = Script::new();
    s.client(SYN, 0, 0, b"").client(PSH, 1, 1, b"a").expect(&[]);
    let mut s = Script::with(|config| config.in_order = false);
    s.client(SYN, 0, 0, b"").client(PSH, 1, 1, b"a");
    s.expect(&[sent(SYN, 0, 0, b"")]);
    s.online(SYN.with(ACK), 0, 1, 0).expect(&[]);
    s.target(SYN.with(ACK), 0, 1, 0)
        .expect(&[sent(PSH, 1, 1, b"a")]);
    assert_eq!(s.engine.sessions(), 1);
}

#[test]
fn with_the_clients_own_addresses_both_families_must_be_the_same() {
    let mut s = Script::with(|config| {
        config.source = Source::Clients;
        config.rules[0].online.addr = Addr::UNSPECIFIED;
    });
    s.client.addr = Addr::v6([0xfd; 16]);
    s.online.addr = Addr::v6([0xfe; 16]);
    s.client(SYN, 0, 0, b"")
        .online(SYN.with(ACK), 0, 1, 0)
        .expect(&[]);
    assert_eq!(s.engine.counters().sessions_foreign, 1);
}

/// With the clients' own addresses a port that is used again waits until its target has done with the connection before. Where that
/// takes too long nothing was asked of the target, so that it has not timed out.
#[test]
fn a_source_that_never_comes_free_is_a_collision() {
    let mut s = Script::with(|config| {
        config.source = Source::Clients;
        config.idle_timeout = Duration::from_secs(8);
    });
    s.client(SYN, 0, 0, b"").online(SYN.with(ACK), 0, 1, 0);
    s.frames();
    s.target(SYN.with(ACK), 0, 1, 0);
    s.client(PSH, 1, 1, b"first")
        .online(FIN.with(PSH), 1, 6, 100)
        .client(FIN, 6, 102, b"")
        .frames();
    let (isn, online) = (3 << 28, 5 << 28);
    s.client(SYN, isn, 0, b"")
        .online(SYN.with(ACK), online, isn + 1, 0)
        .client(PSH, isn + 1, online + 1, b"second")
        .online(PSH, online + 1, isn + 7, 100);
    s.frames();
    // It is slow, and says something each second.
    for second in 0..9 {
        s.wait(Duration::from_secs(1));
        s.target(PSH, 1 + second, 6, 1).frames();
    }
    s.expect_outcomes(&[Outcome::Answered, Outcome::Collision]);
}

/// A SYN with data (RFC 7413), of which the online server takes `taken` bytes.
fn syn_with_data(taken: u32) -> Script {
    let mut s = Script::new();
    s.client(SYN, 0, 0, b"GET /1")
        .online(SYN.with(ACK), 0, 1 + taken, 0)
        .expect(&[sent(SYN, 0, 0, b"")]);
    s
}

#[test]
fn what_the_online_server_takes_of_a_syn_is_copied() {
    let mut s = syn_with_data(6);
    s.target(SYN.with(ACK), 0, 1, 0)
        .expect(&[sent(PSH, 1, 1, b"GET /1")]);
    s.client(PSH, 7, 101, b"GET /2").online(PSH, 1, 7, 100);
    s.target(PSH, 1, 7, 100)
        .expect(&[sent(PSH, 7, 101, b"GET /2")]);
    let mut s = syn_with_data(0);
    s.client(PSH, 1, 1, b"GET /1");
    s.target(SYN.with(ACK), 0, 1, 0)
        .expect(&[sent(PSH, 1, 1, b"GET /1")]);
}

/// A flood of SYNs with data takes a bounded memory.
#[test]
fn no_more_is_kept_of_a_syn_than_one_of_ethernet_carries() {
    for (len, is_copied) in [(1460, true), (1461, false)] {
        let mut s = Script::new();
        s.client(SYN, 0, 0, &vec![b'a'; len])
            .online(SYN.with(ACK), 0, 1 + len as u32, 0);
        assert_eq!(s.frames().len(), usize::from(is_copied));
    }
}

#[test]
fn an_answer_to_more_than_the_syn_carried_opens_nothing() {
    let mut s = Script::new();
    s.client(SYN, 0, 0, b"GET /1")
        .online(SYN.with(ACK), 0, 8, 0)
        .expect(&[]);
}

#[test]
fn a_clients_own_port_goes_on_beyond_what_was_sent_from_it() {
    let mut s = Script::with(|config| config.source = Source::Clients);
    s.handshake();
    let before = s.iss;
    s.client(PSH, 1, 1, &[7; 1000]).online(ACK, 1, 1001, 0);
    s.expect(&[sent(PSH, 1, 1, &[7; 1000])]);
    // It has acknowledged nothing: the turn goes on a new connection.
    s.target(RST, 1, 1, 0).expect(&[sent(SYN, 0, 0, b"")]);
    assert!(s.iss.wrapping_sub(before) > 1001, "{before} to {}", s.iss);
    s.target(SYN.with(ACK), 0, 1, 0)
        .expect(&[sent(PSH, 1, 1, &[7; 1000])]);
    // The client opens another connection from the same port; its session waits for the first to be over.
    let before = s.iss;
    s.client(SYN, 50_000, 0, b"")
        .online(SYN.with(ACK), 50_000, 50_001, 0)
        .expect(&[]);
    s.target(PSH, 1, 1001, 10);
    s.wait(Duration::from_millis(500));
    s.expect(&[sent(FIN, 1001, 11, b"")]);
    s.target(FIN, 11, 1002, 0)
        .expect(&[sent(ACK, 1002, 12, b"")])
        .wait(Duration::from_secs(2));
    s.expect(&[sent(SYN, 0, 0, b"")]);
    assert!(s.iss.wrapping_sub(before) > 1002, "{before} to {}", s.iss);
}

#[test]
fn sessions_wait_in_line_for_a_clients_own_port() {
    let mut s = Script::with(|config| config.source = Source::Clients);
    s.handshake();
    // Two more connections from the same port, each reset by its client, while the first session still has its target's.
    for isn in [50_000, 90_000] {
        s.client(SYN, isn, 0, b"")
            .online(SYN.with(ACK), isn, isn + 1, 0)
            .client(PSH, isn + 1, isn + 1, b"GET /")
            .online(ACK, isn + 1, isn + 6, 0)
            .client(RST, isn + 6, isn + 1, b"");
    }
    s.expect(&[sent(FIN, 1, 1, b"")]);
    s.target(FIN, 1, 2, 0)
        .expect(&[sent(ACK, 2, 2, b"")])
        .wait(Duration::from_secs(2));
    s.expect(&[sent(SYN, 0, 0, b"")]);
    for last in [false, true] {
        s.target(SYN.with(ACK), 0, 1, 0)
            .expect(&[sent(PSH, 1, 1, b"GET /")]);
        s.target(ACK, 1, 6, 0).wait(Duration::from_secs(1));
        let mut frames = vec![sent(RST, 6, 1, b"")];
        if !last {
            frames.push(sent(SYN, 0, 0, b""));
        }
        s.expect(&frames);
    }
}

#[test]
fn a_port_that_somebody_else_has_taken_is_not_used_again() {
    let mut s = Script::with(|config| {
        let Source::Pool { ranges, .. } = &mut config.source else {
            panic!("a pool")
        };
        ranges[0].port_last = 10_001;
    });
    let open = |s: &mut Script, client: u16| {
        s.client.port = client;
        s.client(SYN, 0, 0, b"")
            .online(SYN.with(ACK), 0, 1, 0)
            .expect(&[sent(SYN, 0, 0, b"")]);
        s.local.port
    };
    assert_eq!(open(&mut s, 40_000), 10_000);
    // The session that has the port keeps it.
    s.engine
        .exclude_ports(&Arc::new([10_000].into_iter().collect()));
    s.target(SYN.with(ACK), 0, 1, 0)
        .expect(&[sent(ACK, 1, 1, b"")]);
    s.client(RST, 1, 0, b"").frames();
    assert_eq!(open(&mut s, 40_001), 10_001);
    s.client(RST, 1, 0, b"").frames();
    assert_eq!(
        open(&mut s, 40_002),
        10_001,
        "the other port is still taken"
    );
    s.client(RST, 1, 0, b"").frames();
    s.engine.exclude_ports(&Arc::default());
    let next = [open(&mut s, 40_003), open(&mut s, 40_004)];
    assert!(next.contains(&10_000), "{next:?}");
}

#[test]
fn an_engine_without_a_way_to_any_target_says_so() {
    let mut s = Script::new();
    let target = s.target.addr;
    assert!(!s.engine.is_cut_off());
    s.engine.on_route(s.now, target, None);
    assert!(s.engine.is_cut_off());
    s.engine.on_route(s.now, target, Some(1500));
    assert!(!s.engine.is_cut_off());
    s.engine.on_channel(s.now, false);
    assert!(s.engine.is_cut_off());
}

/// A port is used again while the online server still resets the connection before, whose numbers are not far away.
#[test]
fn a_reset_of_the_connection_before_is_not_believed() {
    let before = [0u32.wrapping_sub(5000), 3_000_000];
    for seq in before {
        let mut s = Script::new();
        s.handshake().online(RST, seq, 1, 0);
        s.client(PSH, 1, 1, b"abcd")
            .expect(&[sent(PSH, 1, 1, b"abcd")]);
        s.online(PSH, 1, 5, 10).target(PSH, 1, 5, 10).frames();
        s.client(PSH, 5, 11, b"efgh").online(RST, seq, 9, 0);
        s.expect(&[sent(PSH, 5, 11, b"efgh")]);
        // Nor is one of what the client has passed already; one that the client believes ends the session.
        s.online(ACK, 11, 9, 0).online(RST, 1, 9, 0);
        s.target(PSH, 11, 9, 10).frames();
        assert!(s.frames().is_empty());
        s.online(RST, 11, 9, 0).wait(Duration::from_secs(1));
        assert_eq!(s.frames().last().map(|it| it.flags), Some(FIN));
        s.expect_outcomes(&[Outcome::Answered; 2]);
    }
}

/// The same where there is no session yet.
#[test]
fn a_reset_of_the_connection_before_does_not_end_a_handshake() {
    let mut s = Script::new();
    s.engine.admit(false);
    s.client(SYN, 0, 0, b"").online(SYN.with(ACK), 0, 1, 0);
    s.online(RST, 0u32.wrapping_sub(5000), 1, 0);
    s.engine.admit(true);
    s.client(PSH, 1, 1, b"abcd").expect(&[sent(SYN, 0, 0, b"")]);
}

/// The end of a connection was not recorded, and its port is used again: that it is lost is found out between the SYN and its answer.
#[test]
fn a_handshake_under_way_outlives_the_connection_before() {
    let mut s = Script::new();
    s.handshake();
    s.client(PSH, 1, 1, b"abcd").online(PSH, 1, 5, 10).frames();
    s.target(PSH, 1, 5, 10).online(FIN, 11, 6, 0).frames();
    s.client(SYN, 90_000, 0, b"");
    s.wait(Duration::from_millis(25));
    s.expect(&[sent(RST, 5, 11, b"")]);
    s.online(SYN.with(ACK), 80_000, 90_001, 0)
        .expect(&[sent(SYN, 0, 0, b"")]);
}

/// A file can wait until there is room for one more new session in a second; what is known goes on meanwhile.
#[test]
fn who_can_wait_is_told_when_another_session_may_begin() {
    let mut script = Script::with(|config| config.sessions_per_second_max = Some(2));
    let second = Instant::from_nanos(6_000_000_000);
    let asks = |script: &Script, client: Endpoint, flags, is_client| {
        let ends = [client, script.online];
        let [from, to] = if is_client { ends } else { [ends[1], ends[0]] };
        let packet = Script::packet(from, to, 7, 7, flags, 500, b"");
        script.engine.room_from(script.now, &packet, is_client)
    };
    let first = script.client;
    let other = |port| Endpoint::new(first.addr, port);
    assert_eq!(asks(&script, first, SYN, true), script.now);
    script.client(SYN, 0, 0, b"").online(SYN.with(ACK), 0, 1, 0);
    assert_eq!(asks(&script, other(1), SYN, true), script.now, "one more");
    script.client = other(1);
    script.client(SYN, 0, 0, b"").online(SYN.with(ACK), 0, 1, 0);
    for (flags, is_client) in [(SYN, true), (SYN.with(ACK), false), (ACK, true)] {
        assert_eq!(asks(&script, other(2), flags, is_client), second);
    }
    assert_eq!(asks(&script, other(1), ACK, true), script.now, "it is open");
    assert_eq!(
        asks(&script, other(1), SYN, true),
        second,
        "a new one there"
    );
    script.wait(Duration::from_secs(1));
    assert_eq!(asks(&script, other(2), SYN, true), script.now);
}

/// A connection needs room for all its copies; nobody waits for what can never be.
#[test]
fn more_copies_than_a_second_allows_are_not_waited_for() {
    let with = |max, copied_to| {
        let mut script = Script::with(|config| {
            config.sessions_per_second_max = Some(max);
            let mut rule = config.rules[0].clone();
            rule.online.port = 81;
            config.rules.extend(vec![rule; copied_to]);
        });
        script.client(SYN, 0, 0, b"").online(SYN.with(ACK), 0, 1, 0);
        let server = Endpoint::new(script.online.addr, 81);
        let packet = Script::packet(script.client, server, 7, 7, SYN, 500, b"");
        script.engine.room_from(script.now, &packet, true) > script.now
    };
    assert!(!with(3, 2), "one of three is spent, and two are wanted");
    assert!(with(2, 2), "one of two is spent");
    assert!(!with(1, 2), "two are more than there ever are");
}
