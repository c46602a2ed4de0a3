//! The channel between `intercept` and `tcpcopy`: its codec and the state machines of both ends.
//!
//! One TCP connection, opened by `tcpcopy`. Each end first sends a [`hello`]; after that everything is a frame: four
//! bytes of length, one byte of kind, a body. All integers are in network order.
//!
//! | module | holds |
//! |---|---|
//! | [`hello`] | magic, version, role, whether there is a key: what each end says first |
//! | [`key`] | the key that both have, as it stands in a file |
//! | `handshake`, [`seal`] | how they prove it to each other, and what they say from then on |
//! | [`role`] | the two parts that an end can play |
//! | `layout` | lengths, kinds and shared parts of frames, for those who read and those who write them |
//! | [`message`] | what the frames of each direction mean, as views that borrow from the decoder |
//! | [`refusal`] | why `intercept` does not take a subscription |
//! | [`inspection`] | what the doctor asks about an assistant, and the answer |
//! | [`report`], [`batch`] | a target segment as it is told; those that travel together |
//! | [`encode`] | the other way round: messages appended to a `Vec<u8>` |
//! | [`decoder`] | a bounded buffer that is filled from a socket and gives whole frames |
//! | `inbox` | the way from the socket to the frames, through records where there is a key |
//! | [`end`] | the two ends: [`TcpcopyEnd`] and [`InterceptEnd`] |
//!
//! How a connection goes:
//!
//! ```text
//! tcpcopy                          intercept
//! hello        ───────────────────────>
//!              <─────────────────────── hello
//! proof        ───────────────────────>            (where both have a key; from here on everything is sealed)
//!              <─────────────────────── proof
//! Subscribe    ───────────────────────>            (all targets of the run, how much payload is wanted, and whose is wanted whole)
//!              <─────────────────────── Subscribed or Refused
//! Open, Close  ───────────────────────>            (sessions come and go)
//!              <─────────────────────── Reports, Lost, Taken
//! Ping         ───────────────────────>            (once a second)
//!              <─────────────────────── Pong
//! Inspect      ───────────────────────>            (only the doctor)
//!              <─────────────────────── Inspected
//! ```
//!
//! **Architecture invariant:** no socket, no clock, no thread in here: bytes, time and nonces are arguments. Whatever
//! the peer sends, the answer is a message or a named [`Error`], never a panic, and memory stays within
//! [`decoder::BUFFER_LEN`].
#![forbid(unsafe_code)]

pub mod batch;
pub mod decoder;
pub mod encode;
pub mod end;
pub mod error;
mod handshake;
pub mod hello;
mod inbox;
pub mod inspection;
pub mod key;
mod layout;
pub mod message;
pub mod refusal;
pub mod report;
pub mod role;
pub mod seal;

pub use batch::Batch;
pub use decoder::Decoder;
pub use end::{InterceptEnd, InterceptEvent, TcpcopyEnd, TcpcopyEvent};
pub use error::Error;
pub use hello::Hello;
pub use key::{Key, Keys};
pub use message::{ToIntercept, ToTcpcopy};
pub use refusal::Refusal;
pub use report::Report;
pub use role::Role;
pub use seal::Sealer;

use core::time::Duration;

/// The version of the channel that this build speaks. There is no negotiation: both ends are one release.
///
/// 2: the subscription says how much payload reports carry, and a report says how much it carries.
///
/// 3: a session that another connection has is not announced a second time: [`ToTcpcopy::Taken`].
///
/// 4: a key ([`key`]); `intercept` says its hello only to who said one. The subscription says where sessions come from.
///
/// 5: the subscription says of which targets whole replies are wanted, and a report may carry all of one.
pub const VERSION: u16 = 5;

/// The port that `intercept` listens on unless told otherwise.
pub const PORT_DEFAULT: u16 = 36_524;

/// Longest frame: its kind and body, without the four bytes of length.
pub const FRAME_LEN_MAX: usize = 65_536;

/// Most targets that one `tcpcopy` subscribes to; as many as the programs' maps hold.
pub const TARGETS_MAX: usize = abi::maps::TARGETS_MAX as usize;

/// Most ranges that one `tcpcopy` says its sessions come from.
pub const SOURCES_MAX: usize = 64;

/// Most bytes of headers in a report.
pub const HEADERS_LEN_MAX: usize = abi::record::HEADERS_LEN_MAX as usize;

/// Most bytes of payload that a subscription can ask for in each report of a target that is not wanted whole.
pub const PAYLOAD_LEN_MAX: u8 = abi::record::SAMPLE_LEN_MAX as u8;

/// Most bytes of payload in a report: a frame holds one such with the longest headers. What is longer is cut off.
pub const WHOLE_PAYLOAD_LEN_MAX: usize = 65_280;

const _: () = assert!(abi::record::SAMPLE_LEN_MAX <= u8::MAX as u32);

/// How often `tcpcopy` sends a ping.
pub const PING_INTERVAL: Duration = Duration::from_secs(1);

/// How long either end waits for the other's next bytes before it takes it for dead: five pings.
pub const SILENCE_MAX: Duration = Duration::from_secs(5);
