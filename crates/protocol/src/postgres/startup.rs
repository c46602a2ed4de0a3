//! The first packets of a connection: they have a length and no kind.

use crate::opening::{CancelKey, PostgresOpening};

/// Longest startup packet that a server takes, in bytes (`MAX_STARTUP_PACKET_LENGTH`).
pub const STARTUP_LEN_MAX: usize = 10_000;
const CANCEL: u32 = CancelKey::CODE;
const SSL: u32 = 80_877_103;
const GSS: u32 = 80_877_104;
/// The major version of the protocol, in the upper half of the code.
const VERSION: u32 = 3;

/// A packet without a kind.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Packet {
    /// It asks for encryption; another packet follows where that is refused.
    Encryption,
    Cancel(CancelKey),
    Startup(PostgresOpening),
    /// It asks for replication.
    Replication,
}

/// How long the packet is that begins like this, in bytes; nothing where too little is there. An error where it is none.
pub(super) fn packet_len(bytes: &[u8]) -> Result<Option<usize>, ()> {
    let Some(length) = bytes.first_chunk::<4>() else {
        return Ok(None);
    };
    let len = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| ())?;
    if (8..=STARTUP_LEN_MAX).contains(&len) {
        Ok(Some(len))
    } else {
        Err(())
    }
}

/// Reads a whole packet, of the length that it says.
pub(super) fn parse(packet: &[u8]) -> Option<Packet> {
    let code = u32::from_be_bytes(*packet.get(4..)?.first_chunk::<4>()?);
    let body = &packet[8..];
    match code {
        SSL | GSS => body.is_empty().then_some(Packet::Encryption),
        CANCEL => CancelKey::parse(body).map(Packet::Cancel),
        _ if code >> 16 == VERSION => parse_startup(code, body),
        _ => None,
    }
}

fn parse_startup(version: u32, body: &[u8]) -> Option<Packet> {
    let (mut left, mut user, mut parameters) = (body, None, Vec::new());
    loop {
        let name = string(&mut left)?;
        if name.is_empty() {
            break;
        }
        let value = string(&mut left)?;
        match name {
            b"user" => user = Some(value.to_vec()),
            // The server's own words for no: everything else asks for it.
            b"replication" if !is_no(value) => return Some(Packet::Replication),
            b"replication" => {}
            _ => parameters.push((name.to_vec(), value.to_vec())),
        }
    }
    let user = user.filter(|user| !user.is_empty())?;
    left.is_empty().then_some(Packet::Startup(PostgresOpening {
        version,
        parameters,
        user,
        exchange: None,
    }))
}

fn is_no(value: &[u8]) -> bool {
    [&b"false"[..], b"off", b"no", b"0", b"f", b"n"]
        .iter()
        .any(|no| value.eq_ignore_ascii_case(no))
}

/// Takes a string off that ends with a zero, which is left out.
pub(super) fn string<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let end = bytes.iter().position(|byte| *byte == 0)?;
    let (string, rest) = bytes.split_at(end);
    *bytes = &rest[1..];
    Some(string)
}

/// Whether a flow that begins with `bytes` speaks PostgreSQL; `None` where too little is there to tell.
pub(crate) fn looks_like(bytes: &[u8]) -> Option<bool> {
    // Its length is below 10,000: two zeros, which no text begins with.
    if !b"\0\0".starts_with(&bytes[..bytes.len().min(2)]) {
        return Some(false);
    }
    let code = bytes.get(4..)?.first_chunk::<4>()?;
    let code = u32::from_be_bytes(*code);
    let is_known = matches!(code, CANCEL | SSL | GSS) || code >> 16 == VERSION;
    Some(is_known && packet_len(bytes).is_ok())
}

#[cfg(test)]
mod tests {
    use super::{Packet, looks_like, packet_len, parse};
    use crate::opening::CancelKey;

    fn startup(parameters: &[u8]) -> Vec<u8> {
        let len = u32::try_from(8 + parameters.len()).expect("short");
        [&len.to_be_bytes()[..], &[0, 3, 0, 0], parameters].concat()
    }

    #[test]
    fn a_startup_is_read() {
        let packet = startup(b"user\0ann\0database\0shop\0options\0-c x=1\0\0");
        assert_eq!(packet_len(&packet), Ok(Some(packet.len())));
        let Some(Packet::Startup(opening)) = parse(&packet) else {
            panic!("a startup");
        };
        assert_eq!(
            (opening.user(), opening.database()),
            ("ann".into(), "shop".into())
        );
        assert_eq!(opening.parameter(b"options"), Some(&b"-c x=1"[..]));
        let Some(Packet::Startup(opening)) = parse(&startup(b"user\0ann\0\0")) else {
            panic!("a startup");
        };
        assert_eq!(opening.database(), "ann");
    }

    #[test]
    fn what_is_none_is_refused() {
        for parameters in [
            &b""[..],
            b"\0",
            b"user\0\0\0",
            b"user\0a\0",
            b"user\0a\0\0more",
            b"user",
        ] {
            assert_eq!(parse(&startup(parameters)), None, "{parameters:?}");
        }
        assert_eq!(packet_len(&[0, 0, 0x40, 0]), Err(()));
        assert_eq!(packet_len(&[0, 0, 0, 7]), Err(()));
        assert_eq!(packet_len(&[0, 0, 0]), Ok(None));
        assert_eq!(parse(&[0, 0, 0, 8, 0, 2, 0, 0]), None);
    }

    #[test]
    fn replication_is_known() {
        let asks = startup(b"user\0a\0replication\0database\0\0");
        assert_eq!(parse(&asks), Some(Packet::Replication));
        let not = startup(b"user\0a\0replication\0off\0\0");
        assert!(matches!(parse(&not), Some(Packet::Startup(_))));
    }

    #[test]
    fn a_cancellation_is_what_is_sent() {
        let key = CancelKey::parse(&[0, 0, 0, 7, 1, 2, 3, 4]).expect("a key");
        assert_eq!(parse(&key.request()), Some(Packet::Cancel(key)));
    }

    #[test]
    fn first_bytes_tell() {
        assert_eq!(looks_like(b""), None);
        assert_eq!(looks_like(&startup(b"user\0a\0\0")), Some(true));
        assert_eq!(looks_like(&[0, 0, 0, 8, 4, 0xd2, 0x16, 0x2f]), Some(true));
        assert_eq!(looks_like(&[0, 0, 0, 8, 4, 0xd2]), None);
        assert_eq!(looks_like(b"GET / HTTP/1.1"), Some(false));
        assert_eq!(looks_like(&[0, 0, 0, 9, 9, 9, 9, 9]), Some(false));
        assert_eq!(looks_like(&[0x16, 3, 1]), Some(false));
    }
}
