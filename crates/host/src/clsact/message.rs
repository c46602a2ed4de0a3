//! The bytes of netlink messages about filters and qdiscs (rtnetlink(7), tc-bpf(8), `linux/rtnetlink.h`).
//!
//! Nothing here fails: what is too short, or means something else, is no filter.

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd};

use nix::errno::Errno;
use rtnetlink::packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, NLM_F_REQUEST, NlasIterator,
};

use super::{Direction, Filter};

/// The kind of a filter that is a program.
pub(super) const BPF: &str = "bpf";
/// `ETH_P_ALL`.
pub(super) const ALL_PROTOCOLS: u16 = 3;

const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const RTM_NEWQDISC: u16 = 36;
const RTM_DELQDISC: u16 = 37;
const RTM_GETQDISC: u16 = 38;
const RTM_NEWTFILTER: u16 = 44;
const RTM_DELTFILTER: u16 = 45;
const RTM_GETTFILTER: u16 = 46;
/// `struct nlmsghdr`.
const HEADER_LEN: usize = 16;
/// `struct tcmsg`: family and padding, index of the interface, handle, parent, info.
const TC_LEN: usize = 20;
/// `TC_H_CLSACT`, which is `TC_H_INGRESS` too: the place of the qdisc with the hooks.
const HOOKS_PARENT: u32 = 0xffff_fff1;
const HOOKS_HANDLE: u32 = 0xffff_0000;
/// `TC_H_MIN_INGRESS` and `TC_H_MIN_EGRESS` of that.
const INGRESS_PARENT: u32 = 0xffff_fff2;
const EGRESS_PARENT: u32 = 0xffff_fff3;
const TCA_KIND: u16 = 1;
const TCA_OPTIONS: u16 = 2;
const TCA_CHAIN: u16 = 11;
const TCA_BPF_FD: u16 = 6;
const TCA_BPF_NAME: u16 = 7;
const TCA_BPF_FLAGS: u16 = 8;
const TCA_BPF_FLAGS_GEN: u16 = 9;
const TCA_BPF_ID: u16 = 11;
/// `TCA_BPF_FLAG_ACT_DIRECT`: what the program returns is the verdict.
const DIRECT_ACTION: u32 = 1;
/// `TCA_CLS_FLAGS_SKIP_HW`: no NIC is to run the program, which would not see our maps.
const SKIP_HARDWARE: u32 = 1;
const NLMSGERR_ATTR_MSG: u16 = 1;
/// The upper bits of an attribute's type are flags.
const TYPE_MASK: u16 = 0x3fff;

/// One message of the kernel's.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    kind: u16,
    body: Vec<u8>,
}

impl Answer {
    /// What the kernel refused the request with.
    pub(super) fn failure(&self) -> Option<Failure> {
        // The end of a dump has a number too.
        if self.kind != NLMSG_ERROR && self.kind != NLMSG_DONE {
            return None;
        }
        let code = i32::from_ne_bytes(*self.body.first_chunk()?);
        (code < 0).then(|| Failure {
            cause: io::Error::from_raw_os_error(code.saturating_neg()),
            words: self.words(),
        })
    }

    /// Whether nothing more comes.
    pub(super) fn is_end(&self) -> bool {
        self.kind == NLMSG_DONE || self.kind == NLMSG_ERROR
    }

    /// What the kernel says of a refusal, besides its number.
    fn words(&self) -> Option<String> {
        // The header of the request that it is about, and nothing of its body: `NETLINK_CAP_ACK`.
        let attributes = self.body.get(4 + HEADER_LEN..)?;
        attribute(attributes, NLMSGERR_ATTR_MSG).map(text)
    }

    fn number(&self, at: usize) -> Option<u32> {
        Some(u32::from_ne_bytes(*self.body.get(at..)?.first_chunk()?))
    }

    fn attributes(&self) -> &[u8] {
        self.body.get(TC_LEN..).unwrap_or_default()
    }
}

/// Why a request came to nothing.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) cause: io::Error,
    /// What the kernel said besides its number.
    pub(super) words: Option<String>,
}

impl From<io::Error> for Failure {
    fn from(cause: io::Error) -> Self {
        Self { cause, words: None }
    }
}

impl Failure {
    /// Whether it is one of these.
    pub(super) fn is(&self, errnos: &[Errno]) -> bool {
        let code = self.cause.raw_os_error();
        code.is_some_and(|code| errnos.contains(&Errno::from_raw(code)))
    }
}

/// The messages in what was received.
pub(super) fn split(mut bytes: &[u8]) -> Vec<Answer> {
    let mut answers = Vec::new();
    while let Some((len, kind)) = header(bytes) {
        let Some(body) = bytes.get(HEADER_LEN..len) else {
            break;
        };
        answers.push(Answer {
            kind,
            body: body.to_vec(),
        });
        bytes = bytes.get(len.next_multiple_of(4)..).unwrap_or_default();
    }
    answers
}

fn header(bytes: &[u8]) -> Option<(usize, u16)> {
    let len = u32::from_ne_bytes(*bytes.first_chunk()?) as usize;
    let kind = u16::from_ne_bytes(*bytes.get(4..)?.first_chunk()?);
    (len >= HEADER_LEN).then_some((len, kind))
}

/// The filter that a message tells of.
pub(super) fn filter(
    answer: &Answer,
    interface_index: u32,
    direction: Direction,
) -> Option<Filter> {
    if answer.kind != RTM_NEWTFILTER {
        return None;
    }
    let (handle, info) = (answer.number(8)?, answer.number(16)?);
    let attributes = answer.attributes();
    let kind = text(attribute(attributes, TCA_KIND)?);
    // A message without a handle and options tells of a preference, whose filters follow.
    let options = attribute(attributes, TCA_OPTIONS)?;
    let program = |wanted| {
        if kind == BPF {
            attribute(options, wanted)
        } else {
            None
        }
    };
    Some(Filter {
        interface_index,
        direction,
        preference: (info >> 16) as u16,
        protocol: u16::from_be(info as u16),
        handle,
        chain: attribute(attributes, TCA_CHAIN)
            .and_then(number)
            .unwrap_or_default(),
        name: program(TCA_BPF_NAME).map(text),
        program_id: program(TCA_BPF_ID).and_then(number),
        kind,
    })
}

/// The kind of qdisc in the place of the hooks, where the message tells of that place on this interface.
pub(super) fn hook_qdisc(answer: &Answer, interface_index: u32) -> Option<String> {
    let is_it = answer.kind == RTM_NEWQDISC
        && answer.number(4)? == interface_index
        && answer.number(12)? == HOOKS_PARENT;
    is_it.then(|| attribute(answer.attributes(), TCA_KIND).map(text))?
}

pub(super) fn list_filters(interface_index: u32, direction: Direction) -> Vec<u8> {
    Message::new(RTM_GETTFILTER, NLM_F_DUMP)
        .tc(interface_index, 0, parent(direction), 0)
        .finish()
}

pub(super) fn list_qdiscs() -> Vec<u8> {
    Message::new(RTM_GETQDISC, NLM_F_DUMP)
        .tc(0, 0, 0, 0)
        .finish()
}

pub(super) fn add_qdisc(interface_index: u32) -> Vec<u8> {
    Message::new(RTM_NEWQDISC, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL)
        .tc(interface_index, HOOKS_HANDLE, HOOKS_PARENT, 0)
        .text(TCA_KIND, "clsact")
        .finish()
}

pub(super) fn remove_qdisc(interface_index: u32) -> Vec<u8> {
    Message::new(RTM_DELQDISC, NLM_F_ACK)
        .tc(interface_index, HOOKS_HANDLE, HOOKS_PARENT, 0)
        .finish()
}

pub(super) fn add_filter(filter: &Filter, program: BorrowedFd<'_>) -> Vec<u8> {
    let name = filter.name.as_deref().unwrap_or_default();
    let options = Message::attributes()
        .number(TCA_BPF_FD, program.as_raw_fd().cast_unsigned())
        .text(TCA_BPF_NAME, name)
        .number(TCA_BPF_FLAGS, DIRECT_ACTION)
        .number(TCA_BPF_FLAGS_GEN, SKIP_HARDWARE);
    about(
        filter,
        Message::new(RTM_NEWTFILTER, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL),
    )
    .text(TCA_KIND, BPF)
    .attribute(TCA_OPTIONS, &options.0)
    .finish()
}

pub(super) fn remove_filter(filter: &Filter) -> Vec<u8> {
    about(filter, Message::new(RTM_DELTFILTER, NLM_F_ACK))
        .text(TCA_KIND, BPF)
        .finish()
}

fn about(filter: &Filter, message: Message) -> Message {
    let info = u32::from(filter.preference) << 16 | u32::from(filter.protocol.to_be());
    message.tc(
        filter.interface_index,
        filter.handle,
        parent(filter.direction),
        info,
    )
}

const fn parent(direction: Direction) -> u32 {
    match direction {
        Direction::Ingress => INGRESS_PARENT,
        Direction::Egress => EGRESS_PARENT,
    }
}

/// The value of the first attribute of a type.
fn attribute(attributes: &[u8], wanted: u16) -> Option<&[u8]> {
    NlasIterator::new(attributes)
        .filter_map(Result::ok)
        .find(|found| found.kind() & TYPE_MASK == wanted)
        .and_then(|found| {
            // The iterator lends for itself; the bytes are the caller's, with all that follows.
            let len = usize::from(found.length());
            found.into_inner().get(4..len)
        })
}

fn number(value: &[u8]) -> Option<u32> {
    Some(u32::from_ne_bytes(*value.first_chunk()?))
}

/// Text up to its first NUL, in which nothing can hide that a terminal would obey.
fn text(value: &[u8]) -> String {
    let bytes = value.split(|byte| *byte == 0).next().unwrap_or_default();
    let text = String::from_utf8_lossy(bytes);
    text.chars()
        .filter(|character| !character.is_control())
        .collect()
}

/// A message that is being written.
struct Message(Vec<u8>);

impl Message {
    fn new(kind: u16, flags: u16) -> Self {
        let mut bytes = vec![0; HEADER_LEN];
        bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
        bytes[6..8].copy_from_slice(&(flags | NLM_F_REQUEST).to_ne_bytes());
        Self(bytes)
    }

    /// Attributes without a message around them.
    const fn attributes() -> Self {
        Self(Vec::new())
    }

    fn tc(mut self, interface_index: u32, handle: u32, parent: u32, info: u32) -> Self {
        for word in [0, interface_index, handle, parent, info] {
            self.0.extend(word.to_ne_bytes());
        }
        self
    }

    fn number(self, kind: u16, value: u32) -> Self {
        self.attribute(kind, &value.to_ne_bytes())
    }

    fn text(self, kind: u16, value: &str) -> Self {
        self.attribute(kind, &[value.as_bytes(), &[0]].concat())
    }

    fn attribute(mut self, kind: u16, value: &[u8]) -> Self {
        // Names of ours are short: no attribute comes near 64 KiB.
        let len = u16::try_from(4 + value.len()).unwrap_or(u16::MAX);
        self.0.extend(len.to_ne_bytes());
        self.0.extend(kind.to_ne_bytes());
        self.0.extend(value);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        self
    }

    fn finish(mut self) -> Vec<u8> {
        let len = u32::try_from(self.0.len()).unwrap_or(u32::MAX);
        self.0[..4].copy_from_slice(&len.to_ne_bytes());
        self.0
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd as _;

    use super::super::{Direction, Program};
    use super::*;

    #[test]
    fn a_filter_is_read_as_it_was_written() {
        let file = std::fs::File::open("/dev/null").unwrap();
        let program = Program {
            fd: file.as_fd(),
            name: "capture",
            id: 7,
            number: 2,
        };
        let written = program.filter(3, Direction::Egress, true);
        let mut bytes = add_filter(&written, program.fd);
        let answers = split(&bytes);
        let read = filter(&answers[0], 3, Direction::Egress).unwrap();
        // The kernel tells the program's number, and is told a descriptor.
        let mut expected = written.clone();
        expected.program_id = None;
        assert_eq!(read, expected);
        assert!(read.is_ours() && read.came_with_qdisc());
        // Cut short anywhere, it is no filter, or one without what was cut off.
        while bytes.pop().is_some() {
            let len = u32::try_from(bytes.len()).unwrap();
            if let Some(header) = bytes.get_mut(..4) {
                header.copy_from_slice(&len.to_ne_bytes());
            }
            for answer in split(&bytes) {
                let _ = filter(&answer, 3, Direction::Egress);
            }
        }
    }

    #[test]
    fn lengths_that_lie_end_the_answer() {
        for bytes in [
            &[][..],
            &[16, 0, 0, 0, 3],
            &[255, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        ] {
            assert!(split(bytes).is_empty());
        }
        assert_eq!(text(b"a\x1b[31mb\0c"), "a[31mb");
    }
}
