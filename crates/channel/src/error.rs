//! Why a connection ends.

use core::time::Duration;

use crate::refusal::Refusal;
use crate::role::Role;
use crate::{FRAME_LEN_MAX, VERSION};

/// Every reason to close a connection that the peer gave us. After one, nothing more is read from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The first bytes are not the channel's magic.
    #[error(
        "the peer does not speak tcpcopy's channel (it begins with {0:02x?}): check address and port, and that no \
         other service listens there"
    )]
    NotTheChannel([u8; 8]),
    /// The peer speaks another version of the channel.
    #[error(
        "the peer speaks version {theirs} of the channel, this build speaks version {VERSION}: install the same release of \
         tcpcopy and intercept on both machines"
    )]
    Version {
        /// What the peer's hello says; ours is [`VERSION`].
        theirs: u16,
    },
    /// The peer plays the part that we play.
    #[error(
        "the peer says it is {theirs}, but so are we or it is no part of the channel: connect tcpcopy (-s) to intercept"
    )]
    Role {
        /// What the peer says it is.
        theirs: Role,
    },
    /// The hello's role byte means nothing.
    #[error("the peer's hello names the unknown role {0}")]
    UnknownRole(u8),
    /// The peer wants to be convinced in a way that this build has not.
    #[error(
        "the peer asks for authentication scheme {0}, which this build does not have: install the same release on both \
         machines"
    )]
    Authentication(u8),
    /// The peer has a key, and we have none.
    #[error(
        "the peer has a key and this end has none: give it --key-file with a copy of the peer's file"
    )]
    KeyWanted,
    /// We have a key, and the peer has none.
    #[error(
        "the peer has no key and this end has one: give the peer --key-file with a copy of this file"
    )]
    KeyMissing,
    /// The peer has another key, or somebody changed what both said.
    #[error(
        "the peer does not have this end's key, or somebody between changes what is said: copy the file of --key-file from the one \
         to the other"
    )]
    NotOurKey,
    /// A record that the peer cannot have sent, or not now.
    #[error(
        "a record cannot be opened: somebody between changed, repeated or left out what the peer said"
    )]
    Seal,
    /// Our part of the proof cannot be made.
    #[error("this end cannot prove its key: the kernel gives no random numbers")]
    Handshake,
    /// The hello is shorter or longer than one can be.
    #[error("the peer's hello says it has {0} bytes after its version, which cannot be")]
    HelloLength(u16),
    /// A frame is longer than allowed.
    #[error("the peer announced a frame of {0} bytes, more than the {FRAME_LEN_MAX} allowed")]
    FrameTooLong(u32),
    /// A frame without kind.
    #[error("the peer sent a frame without a kind")]
    FrameEmpty,
    /// A frame whose kind does not exist in this direction.
    #[error("the peer sent a frame of kind {0:#04x}, which does not exist in this direction")]
    UnknownKind(u8),
    /// A frame whose body is not what its kind needs.
    #[error("the peer sent a {kind} frame whose body of {len} bytes makes no sense")]
    Malformed {
        /// Name of the kind.
        kind: &'static str,
        /// Length of the body, in bytes.
        len: usize,
    },
    /// A frame that does not belong where it stands.
    #[error("the peer sent {kind} {when}")]
    OutOfTurn {
        /// Name of the kind.
        kind: &'static str,
        /// When it came.
        when: &'static str,
    },
    /// `intercept` refuses the subscription.
    #[error("intercept refuses: {0}")]
    Refused(Refusal),
    /// The peer did not say anything for too long.
    #[error("nothing heard from the peer for {:.1} s: it is dead, hung, or the network between lost it", .0.as_secs_f32())]
    Silent(Duration),
    /// The peer talks, but a subscription did not come about in time.
    #[error("no subscription came about in {:.1} s: the peer is no tcpcopy or intercept, or hangs", .0.as_secs_f32())]
    Unsubscribed(Duration),
    /// More was pushed into the decoder than it holds: a bug of the caller, who must drain it first.
    #[error("the channel's decoder was not drained before more was pushed into it")]
    NotDrained,
}
