//! What `tcpcopy doctor` asks an `intercept` about its host, and the answer.
//!
//! ```text
//! Inspect     addresses, 16 bytes each
//! Inspected   forwards (1) | matched (8) | subscribers (4) | one byte per address of the question, in its order
//! ```

use wire::flow::Addr;

use crate::layout::{INSPECT, INSPECTED, frame};

/// Most addresses in one question.
pub const ADDRESSES_MAX: usize = 64;
/// Length of an address.
const ADDRESS_LEN: usize = 16;
/// Bytes of the answer before those of the addresses.
const ANSWER_LEN: usize = 1 + 8 + 4;

/// Addresses that sessions come from, that is: that replies are addressed to. 1 to [`ADDRESSES_MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addresses<'a>(&'a [[u8; ADDRESS_LEN]]);

impl<'a> Addresses<'a> {
    pub(crate) fn parse(body: &'a [u8]) -> Option<Self> {
        match body.as_chunks() {
            (addresses, []) if (1..=ADDRESSES_MAX).contains(&addresses.len()) => {
                Some(Self(addresses))
            }
            _ => None,
        }
    }

    /// Each of them.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Addr> {
        self.0.iter().map(|bytes| Addr::v6(*bytes))
    }
}

/// What the assistant's kernel would do with a packet to an address if `intercept` did not take it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Fate {
    /// Drop it: there is no route, or one that says so.
    Dropped = 0,
    /// Send it on, where the host forwards at all.
    SentOn = 1,
    /// Take it: the address is the assistant's own.
    Own = 2,
}

impl Fate {
    const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            0 => Some(Self::Dropped),
            1 => Some(Self::SentOn),
            2 => Some(Self::Own),
            _ => None,
        }
    }
}

/// What becomes of replies to each address of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fates<'a>(&'a [u8]);

impl Fates<'_> {
    /// Each of them, in the order of the question.
    pub fn iter(&self) -> impl Iterator<Item = Fate> {
        // All are ones: checked by `Inspection::parse`.
        self.0.iter().filter_map(|byte| Fate::from_byte(*byte))
    }
}

/// What an assistant is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inspection<'a> {
    /// Whether its kernel forwards packets.
    pub forwards: bool,
    /// Replies of all targets that it has taken since it started.
    pub matched: u64,
    /// How many `tcpcopy` are subscribed.
    pub subscribers: u32,
    /// What would become of replies if it did not take them.
    pub fates: Fates<'a>,
}

impl<'a> Inspection<'a> {
    pub(crate) fn parse(body: &'a [u8]) -> Option<Self> {
        let (fixed, fates) = body.split_first_chunk::<ANSWER_LEN>()?;
        let are_fates = fates.iter().all(|byte| Fate::from_byte(*byte).is_some());
        if fates.len() > ADDRESSES_MAX || !are_fates {
            return None;
        }
        let [forwards, m @ .., s0, s1, s2, s3] = fixed;
        Some(Self {
            forwards: *forwards != 0,
            matched: u64::from_be_bytes(*m),
            subscribers: u32::from_be_bytes([*s0, *s1, *s2, *s3]),
            fates: Fates(fates),
        })
    }
}

/// [`Inspection`] as its sender has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspected {
    /// See [`Inspection::forwards`].
    pub forwards: bool,
    /// See [`Inspection::matched`].
    pub matched: u64,
    /// See [`Inspection::subscribers`].
    pub subscribers: u32,
    /// See [`Inspection::fates`].
    pub fates: Vec<Fate>,
}

impl From<Inspection<'_>> for Inspected {
    fn from(inspection: Inspection<'_>) -> Self {
        Self {
            forwards: inspection.forwards,
            matched: inspection.matched,
            subscribers: inspection.subscribers,
            fates: inspection.fates.iter().collect(),
        }
    }
}

/// [`crate::ToIntercept::Inspect`]; addresses beyond [`ADDRESSES_MAX`] are left out.
pub fn inspect(out: &mut Vec<u8>, addresses: &[Addr]) {
    frame(out, INSPECT, |out| {
        for address in addresses.iter().take(ADDRESSES_MAX) {
            out.extend_from_slice(address.octets());
        }
    });
}

/// [`crate::ToTcpcopy::Inspected`].
pub fn inspected(out: &mut Vec<u8>, inspection: &Inspected) {
    frame(out, INSPECTED, |out| {
        out.push(u8::from(inspection.forwards));
        out.extend_from_slice(&inspection.matched.to_be_bytes());
        out.extend_from_slice(&inspection.subscribers.to_be_bytes());
        let fates = inspection.fates.iter().take(ADDRESSES_MAX);
        out.extend(fates.map(|fate| *fate as u8));
    });
}

#[cfg(test)]
mod tests {
    use wire::flow::Addr;

    use super::{Addresses, Fate, Inspected, Inspection, inspect, inspected};
    use crate::Decoder;
    use crate::message::{ToIntercept, ToTcpcopy};

    #[test]
    fn question_and_answer_are_read_as_they_were_written() {
        let addresses = [Addr::v4([10, 0, 0, 1]), Addr::v6([7; 16])];
        let answer = Inspected {
            forwards: true,
            matched: 77,
            subscribers: 3,
            fates: vec![Fate::SentOn, Fate::Own, Fate::Dropped],
        };
        let mut bytes = Vec::new();
        inspect(&mut bytes, &addresses);
        let mut decoder = Decoder::new();
        decoder.push(&bytes).unwrap();
        let frame = decoder.next_frame().unwrap().unwrap();
        let Ok(ToIntercept::Inspect(read)) = ToIntercept::parse(frame) else {
            panic!("not the question");
        };
        assert_eq!(read.iter().collect::<Vec<_>>(), addresses);
        bytes.clear();
        inspected(&mut bytes, &answer);
        decoder.push(&bytes).unwrap();
        let frame = decoder.next_frame().unwrap().unwrap();
        let Ok(ToTcpcopy::Inspected(read)) = ToTcpcopy::parse(frame) else {
            panic!("not the answer");
        };
        assert_eq!(Inspected::from(read), answer);
    }

    #[test]
    fn what_makes_no_sense_is_none() {
        assert_eq!(Addresses::parse(&[]), None);
        assert_eq!(Addresses::parse(&[1; 17]), None);
        assert_eq!(Addresses::parse(&[1; 16 * 65]), None);
        assert_eq!(Inspection::parse(&[0; 12]), None);
        assert!(Inspection::parse(&[0; 13]).is_some());
        assert_eq!(Inspection::parse(&[9; 14]), None);
    }
}
