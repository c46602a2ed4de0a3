//! Multipath TCP (RFC 8684): a connection that is a further path of another, and data that takes another path.

use super::*;

const GET: &[u8] = b"GET / HTTP/1.1\r\n\r\n";
const LEN: u32 = GET.len() as u32;
/// Longer than a hole is waited for.
const GAP_GRACE: Duration = Duration::from_millis(21);

/// The same packet with another option in its header, which ends with it.
fn with_option(packet: &[u8], option: &[u8]) -> Vec<u8> {
    let segment = Segment::parse(packet, 0).expect("whole");
    let mut option = option.to_vec();
    option.resize(option.len().next_multiple_of(4), 1);
    let at = usize::from(segment.payload_offset);
    let mut packet = [&packet[..at], &option, &packet[at..]].concat();
    let len = u16::try_from(packet.len()).expect("short");
    packet[2..4].copy_from_slice(&len.to_be_bytes());
    packet[10..12].fill(0);
    let sum = |bytes: &[u8], start: u32| {
        let words = bytes
            .chunks(2)
            .map(|word| u32::from(u16::from_be_bytes([word[0], *word.get(1).unwrap_or(&0)])));
        let mut sum = words.sum::<u32>() + start;
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        !(sum as u16)
    };
    let header = sum(&packet[..20], 0);
    packet[10..12].copy_from_slice(&header.to_be_bytes());
    packet[32] += (option.len() as u8 / 4) << 4;
    packet[36..38].fill(0);
    let pseudo = !u32::from(sum(&packet[12..20], 6 + u32::from(len) - 20)) & 0xffff;
    let tcp = sum(&packet[20..], pseudo);
    packet[36..38].copy_from_slice(&tcp.to_be_bytes());
    packet
}

impl Script {
    fn client_with(&mut self, flags: Flags, (seq, ack): (u32, u32), option: &[u8], data: &[u8]) {
        let (seq, ack) = (CLIENT_ISN + seq, ONLINE_ISN.wrapping_add(ack));
        let packet = Self::packet(self.client, self.online, seq, ack, flags, 500, data);
        let packet = with_option(&packet, option);
        self.engine.on_client_packet(self.now, self.now, &packet);
        assert_eq!(self.engine.counters().client_corrupt, 0);
    }

    /// The online server's segment, which says up to where it has the data.
    fn online_with(&mut self, (seq, ack, len): (u32, u32, u32), data_ack: u32) -> &mut Self {
        let (seq, ack) = (ONLINE_ISN.wrapping_add(seq), CLIENT_ISN + ack);
        let payload = vec![b'r'; len as usize];
        let packet = Self::packet(self.online, self.client, seq, ack, PSH, 500, &payload);
        let mut option = vec![30, 8, 0x20, 1];
        option.extend(data_ack.to_be_bytes());
        let packet = with_option(&packet, &option);
        let headers = &packet[..packet.len() - len as usize];
        self.engine.on_online_packet(self.now, self.now, headers);
        self
    }

    /// A request at this place of the path, whose data stands so much further in the stream.
    fn data(&mut self, seq: u32, ack: u32, shift: u32, data: &[u8]) -> &mut Self {
        let mut option = vec![30, 16, 0x20, 4];
        option.extend((seq + shift).to_be_bytes());
        option.extend(seq.to_be_bytes());
        option.extend((data.len() as u16).to_be_bytes());
        option.extend([0; 2]);
        self.client_with(PSH, (seq, ack), &option, data);
        self
    }
}

#[test]
fn a_further_path_is_no_connection() {
    let mut s = Script::new();
    let join = [30, 12, 0x10, 1, 0, 0, 0, 7, 0, 0, 0, 9];
    s.client_with(SYN, (0, 0), &join, b"");
    s.online(SYN.with(ACK), 0, 1, 0).expect(&[]);
    s.client(PSH, 1, 1, GET).online(PSH, 1, 1 + LEN, 10);
    s.client(PSH, 1 + LEN, 11, GET).expect(&[]);
    let counters = s.engine.counters();
    assert_eq!(counters.left_out_subflows, 1);
    assert_eq!(counters.left_out_subflow_bytes, 2 * u64::from(LEN));
    s.expect_outcomes(&[]);
}

#[test]
fn a_connection_that_may_have_further_paths_and_has_none_is_copied() {
    let mut s = Script::new();
    s.client_with(SYN, (0, 0), &[30, 4, 0x01, 0x81], b"");
    s.online(SYN.with(ACK), 0, 1, 0)
        .expect(&[sent(SYN, 0, 0, b"")]);
    s.target(SYN.with(ACK), 0, 1, 0).frames();
    for turn in 0..3 {
        let (seq, ack) = (1 + turn * LEN, 1 + 10 * turn);
        s.data(seq, ack, 0x1234_5678, GET);
        s.expect(&[sent(PSH, seq, ack, GET)]);
        s.online(PSH, ack, seq + LEN, 10);
        s.target(PSH, ack, seq + LEN, 10);
    }
    // Sent again it says the same.
    s.data(1, 1, 0x1234_5678, GET).expect(&[]);
}

/// The head of an upload has reached the target; gives where its body begins.
fn upload() -> (Script, u32) {
    let mut s = Script::new();
    s.handshake();
    let head = b"PUT / HTTP/1.1\r\nContent-Length: 3000\r\n\r\n";
    let at = 1 + head.len() as u32;
    s.data(1, 1, 77, head)
        .expect(&[sent(PSH, 1, 1, head)])
        .target(ACK, 1, at, 0);
    (s, at)
}

#[test]
fn a_body_of_which_a_part_took_another_path_ends_as_a_gap() {
    let (mut s, at) = upload();
    // A thousand bytes took another path.
    s.data(at, 1, 1077, &[b'x'; 1000]);
    let end = at + 1000;
    s.online(PSH, 1, end, 10);
    let frames = s.frames();
    assert!(
        frames.iter().all(|sent| sent.payload.is_empty()),
        "{frames:?}"
    );
    assert!(frames.iter().any(|sent| sent.flags == RST), "{frames:?}");
    s.expect_outcomes(&[Outcome::Gap, Outcome::Missed]);
    // However often the path changes, it is one turn.
    s.data(end, 1, 5077, &[b'x'; 100]);
    s.data(end + 100, 1, 9077, &[b'x'; 100]);
    s.expect(&[]).expect_outcomes(&[]);
}

#[test]
fn an_end_of_a_body_that_took_another_path_is_a_gap_and_not_the_target_s_silence() {
    let (mut s, at) = upload();
    s.data(at, 1, 77, &[b'x'; 1000]).frames();
    s.target(ACK, 1, at + 1000, 0);
    // This path had no more, and the online server has 2,000 bytes more than it.
    s.online_with((1, at + 1000, 0), at + 1000 + 77 + 2000);
    s.online_with((1, at + 1000, 10), at + 1000 + 77 + 2000);
    s.wait(GAP_GRACE);
    s.expect_outcomes(&[Outcome::Gap]);
}

#[test]
fn data_that_came_by_this_path_and_ends_is_no_gap() {
    let mut s = Script::new();
    s.handshake();
    s.data(1, 1, 77, GET).expect(&[sent(PSH, 1, 1, GET)]);
    // The client says no more, which counts as a byte.
    s.online_with((1, 1 + LEN, 10), 1 + LEN + 77 + 1)
        .target(PSH, 1, 1 + LEN, 10);
    s.wait(GAP_GRACE);
    s.data(1 + LEN, 11, 77, GET);
    let frames = s.frames();
    assert!(frames.iter().any(|it| it.payload == GET), "{frames:?}");
    s.expect_outcomes(&[Outcome::Answered]);
}
