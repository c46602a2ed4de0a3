//! What is sent, sent again, and acknowledged.

use super::*;

#[test]
fn lost_segments_are_sent_again() {
    let mut s = Script::new();
    s.handshake();
    s.client(PSH, 1, 1, b"abc")
        .expect(&[sent(PSH, 1, 1, b"abc")]);
    s.wait(Duration::from_millis(250))
        .expect(&[sent(PSH, 1, 1, b"abc")]);
    s.wait(Duration::from_millis(450))
        .expect(&[sent(PSH, 1, 1, b"abc")]);
    s.target(ACK, 1, 4, 0)
        .wait(Duration::from_secs(2))
        .expect(&[]);
}

#[test]
fn a_large_request_is_cut_to_the_targets_segments() {
    let mut s = Script::new();
    s.handshake();
    s.client(PSH, 1, 1, &[7; 4000]);
    let lens: Vec<_> = s
        .frames()
        .iter()
        .map(|frame| (frame.flags, frame.payload.len()))
        .collect();
    assert_eq!(lens, [(ACK, 1460), (ACK, 1460), (PSH, 1080)]);
}

#[test]
fn timestamps_are_ours_and_echo_the_targets() {
    let mut s = Script::new();
    let header = |source, destination, seq, ack, flags, value, echo| {
        let timestamps = Some(Timestamps { value, echo });
        let options = Options {
            mss: Some(1460),
            timestamps,
            ..Options::default()
        };
        let header = Header {
            source,
            destination,
            seq,
            ack,
            flags,
            window: 500,
            urgent: 0,
            options,
        };
        let mut frame = vec![0; header.payload_offset()];
        assert!(header.emit(&mut frame));
        frame.split_off(14)
    };
    let syn = header(s.client, s.online, CLIENT_ISN, 0, SYN, 123, 0);
    s.engine.on_client_packet(s.now, s.now, &syn);
    s.online(SYN.with(ACK), 0, 1, 0)
        .expect(&[sent(SYN, 0, 0, b"")]);
    let reply = header(
        s.target,
        s.local,
        TARGET_ISN,
        s.iss + 1,
        SYN.with(ACK),
        4711,
        1,
    );
    s.engine.on_target_packet(s.now, s.now, &reply);
    let mut frame = [0; 1514];
    let len = s
        .engine
        .poll_transmit(s.now, &mut frame)
        .expect("an acknowledgement");
    let packet = &frame[14..len];
    let timestamps = Segment::parse(packet, 0)
        .expect("whole")
        .options(packet)
        .timestamps
        .expect("there");
    assert_eq!(timestamps.echo, 4711);
    assert_eq!(timestamps.value, (1_800_000_000_000u64 % (1 << 32)) as u32);

    // The next connection agrees on its own options.
    s.client(PSH, 1, 1, b"a").frames();
    s.target(RST, 1, 1, 0).expect(&[sent(SYN, 0, 0, b"")]);
    s.target(SYN.with(ACK), 0, 1, 0);
    let len = s
        .engine
        .poll_transmit(s.now, &mut frame)
        .expect("the request");
    let packet = &frame[14..len];
    let segment = Segment::parse(packet, 0).expect("whole");
    assert_eq!(segment.payload(packet), Some(&b"a"[..]));
    assert_eq!(segment.options(packet).timestamps, None);
}

#[test]
fn what_stands_outside_the_window_is_only_acknowledged() {
    let mut s = Script::new();
    s.handshake();
    s.client(PSH, 1, 1, b"a").frames();
    // The session offered a scale of 7.
    s.target(PSH, 1 + (65_535 << 7), 2, 100);
    s.expect(&[sent(ACK, 2, 1, b"")]);
    assert_eq!(s.engine.counters().reply_unacceptable, 1);
    s.target(FIN, 2000, 2, 0).expect(&[sent(ACK, 2, 1, b"")]);
    s.target(PSH, 1, 2, 100).expect(&[sent(ACK, 2, 101, b"")]);
}

#[test]
fn a_path_may_swallow_segments_that_are_not_of_full_size() {
    let mut s = Script::new();
    s.handshake();
    s.client(PSH, 1, 1, &[7; 777]).online(PSH, 1, 778, 10);
    s.frames();
    for wait in [200, 400, 800] {
        s.wait(Duration::from_millis(wait)).frames();
    }
    let frames = s.wait(Duration::from_millis(1600)).frames();
    assert!(frames.iter().all(|frame| frame.payload.len() <= 536));
    s.target(ACK, 1, 537, 0)
        .expect(&[sent(PSH, 537, 1, &[7; 241])]);
}

#[test]
fn a_path_that_swallows_large_segments_gets_smaller_ones() {
    let mut s = Script::new();
    s.handshake();
    s.client(PSH, 1, 1, &[7; 1400])
        .client(PSH, 1401, 1, &[8; 1000]);
    assert_eq!(s.frames().len(), 2);
    s.online(ACK, 1, 2401, 0);
    let mut largest = vec![];
    for _ in 0..3 {
        s.wait(Duration::from_millis(420));
        let frames = s.frames();
        largest.push(frames.iter().map(|sent| sent.payload.len()).max());
    }
    assert_eq!(
        largest[0],
        Some(1460),
        "the first time it may be congestion"
    );
    assert_eq!(largest[1], Some(1240), "an MTU of 1280 bytes");
    assert_eq!(s.engine.counters().black_holes, 1);
    s.target(ACK, 1, 1241, 0);
    assert_eq!(s.frames()[0].payload.len(), 1160);
}

#[test]
fn what_the_target_holds_is_not_sent_again() {
    let mut s = Script::new();
    s.handshake();
    s.client(PSH, 1, 1, &[7; 4000]);
    assert_eq!(s.frames().len(), 3);
    let mut options = Options::default();
    options
        .sack
        .push(s.iss.wrapping_add(1461), s.iss.wrapping_add(4001));
    let header = Header {
        source: s.target,
        destination: s.local,
        seq: TARGET_ISN + 1,
        ack: s.iss.wrapping_add(1),
        flags: ACK,
        window: 65_535,
        urgent: 0,
        options,
    };
    let mut frame = vec![0; header.payload_offset()];
    assert!(header.emit(&mut frame));
    s.engine.on_target_packet(s.now, s.now, &frame[14..]);
    s.expect(&[sent(ACK, 1, 1, &[7; 1460])]);
}

#[test]
fn urgent_data_is_sent_as_ordinary_data() {
    let mut s = Script::new();
    s.handshake();
    s.client(PSH.with(Flags::URG), 1, 1, b"!")
        .expect(&[sent(PSH, 1, 1, b"!")]);
    assert_eq!(s.engine.counters().client_urgent, 1);
}
