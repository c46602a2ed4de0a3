//! Segments and messages that others send in the name of a client, of the target, or of a router. None of them would be
//! believed by a TCP that follows RFC 5961, so none of them may change what is copied.

use smoltcp::wire::TcpControl;
use wire::segment::Segment;

use crate::address::Host;
use crate::packet::{forge, too_big, turned};
use crate::random::Random;

/// Farther than any stream of a simulation goes, in bytes, and than any window reaches.
const FAR: (u64, u64) = (1 << 25, 1 << 29);
/// Payload of forged segments.
const PAYLOAD: [u8; 100] = [0x66; 100];

/// A segment in the name of the client that sent `packet`, whose stream begins after `isn` and ends before `end`, as far as
/// it was sent.
pub(crate) fn of_client(packet: &[u8], (isn, end): (u32, u32), random: &mut Random) -> Vec<u8> {
    let ack = Segment::parse(packet, 0).map(|segment| segment.ack).ok();
    let far = end.wrapping_add(random.range(FAR.0, FAR.1) as u32);
    let near = end.wrapping_add(random.range(2, 1000) as u32);
    let old = isn.wrapping_sub(random.range(200, 1000) as u32);
    let (control, seq, payload): (_, _, &[u8]) = match random.range(0, 6) {
        0 => (TcpControl::Rst, far, &[]),
        1 => (TcpControl::Rst, near, &[]),
        2 => (TcpControl::Rst, old, &[]),
        3 => (TcpControl::Syn, random.next() as u32, &[]),
        4 => (TcpControl::Psh, far, &PAYLOAD),
        5 => (TcpControl::Fin, far, &PAYLOAD),
        _ => (TcpControl::Psh, old, &PAYLOAD),
    };
    let ack = ack.filter(|_| control != TcpControl::Syn);
    forge(packet, control, (seq, ack), payload)
}

/// What the engine may get about a segment that it sent.
#[derive(Clone, Debug)]
pub(crate) enum Forged {
    Reply(Vec<u8>),
    TooBig(Vec<u8>),
}

/// A reply to `packet`, or a message about it, that the target and the routers did not send.
pub(crate) fn about(packet: &[u8], router: Host, random: &mut Random) -> Option<Forged> {
    let segment = Segment::parse(packet, 0).ok()?;
    let (seq, ack) = (segment.ack, segment.seq);
    let by = random.range(FAR.0, FAR.1) as u32;
    let back = random.range(1, 1000) as u32;
    let (far, old) = (seq.wrapping_add(by), seq.wrapping_sub(back));
    let reply = |control, seq, ack, payload: &[u8]| {
        Some(Forged::Reply(forge(
            &turned(packet),
            control,
            (seq, Some(ack)),
            payload,
        )))
    };
    match random.range(0, 6) {
        0 => reply(TcpControl::Rst, far, ack, &[]),
        1 => reply(TcpControl::Rst, old, ack, &[]),
        2 => reply(TcpControl::Psh, seq, ack.wrapping_add(by), &PAYLOAD),
        3 => reply(TcpControl::Syn, far, ack, &[]),
        4 => reply(TcpControl::Psh, far, ack, &PAYLOAD),
        5 => {
            let other = forge(packet, TcpControl::Psh, (ack.wrapping_add(by), None), &[]);
            Some(Forged::TooBig(too_big(&other, router, 600)))
        }
        _ => Some(Forged::TooBig(too_big(packet, router, 100))),
    }
}
