//! What a user is told where a file cannot be read: what was tried, why it failed and what to do.

use std::io;
use std::path::PathBuf;

use crate::link::LinkType;

/// Why files cannot be read. Each is one line, which names the file.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be opened.
    #[error("cannot open {}: {}", path.display(), opening(source))]
    Open {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is a directory.
    #[error("cannot read {}: it is a directory; name the capture files in it, in their order", .0.display())]
    Directory(PathBuf),
    /// There is nothing in it.
    #[error("cannot read {}: it is empty, not even the header of a capture file is in it; was the capture ended cleanly?", .0.display())]
    Empty(PathBuf),
    /// Standard input is a terminal.
    #[error(
        "cannot read a capture from standard input: it is a terminal; write `tcpdump -U -w - ... | tcpcopy ...`, or name a file"
    )]
    Terminal,
    /// It begins as no capture file does.
    #[error(
        "cannot read {}: it begins with {}{}; pcap and pcapng are read, also in gzip or zstd",
        path.display(), hex(*magic), guess(*magic)
    )]
    Magic {
        /// The file.
        path: PathBuf,
        /// Its first bytes.
        magic: [u8; 4],
    },
    /// Its head is not whole, or says what cannot be.
    #[error("cannot read {}: its head is damaged at byte {offset}: {why}; read it with `tcpdump -r` to see whether anything can", path.display())]
    Head {
        /// The file.
        path: PathBuf,
        /// Where in the uncompressed file.
        offset: u64,
        /// What is wrong.
        why: &'static str,
    },
    /// Its packets have a link layer that is not known.
    #[error(
        "cannot read {}: its packets have link type {link}; Ethernet, Linux cooked (v1 and v2), raw IP and BSD null/loop are read",
        path.display()
    )]
    Link {
        /// The file.
        path: PathBuf,
        /// The link type.
        link: LinkType,
    },
    /// The same input is named twice, or cannot be read a second time.
    #[error("cannot read {} {what}: {why}", path.display())]
    Once {
        /// The input.
        path: PathBuf,
        /// What was asked for.
        what: &'static str,
        /// Why it cannot be.
        why: &'static str,
    },
    /// Reading failed in the middle.
    #[error("cannot read {} behind packet {number}, at byte {offset}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Packets of this file that were read before.
        number: u64,
        /// Where in the uncompressed file.
        offset: u64,
        /// What the system said.
        source: io::Error,
    },
}

fn opening(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "there is no such file".into(),
        io::ErrorKind::PermissionDenied => {
            "permission denied; run as a user who may read it, or change its mode".into()
        }
        _ => error.to_string(),
    }
}

fn hex(magic: [u8; 4]) -> String {
    let [a, b, c, d] = magic;
    format!("{a:02x} {b:02x} {c:02x} {d:02x}")
}

/// What begins like this, where it is something that people have.
fn guess(magic: [u8; 4]) -> &'static str {
    match magic {
        [0xfd, b'7', b'z', b'X'] => ", which is xz: unpack it first",
        [b'B', b'Z', b'h', _] => ", which is bzip2: unpack it first",
        [0x04, 0x22, 0x4d, 0x18] => ", which is lz4: unpack it first",
        [b'P', b'K', ..] => ", which is a zip archive: unpack it first",
        [b's', b'n', b'o', b'o'] => ", which is snoop: convert it with `editcap -F pcapng IN OUT`",
        [b'G', b'M', b'B', b'U'] | [b'R', b'T', b'S', b'S'] => {
            ", which is Network Monitor's: convert it with `editcap -F pcapng IN OUT`"
        }
        _ if magic
            .iter()
            .all(|byte| byte.is_ascii_graphic() || byte.is_ascii_whitespace()) =>
        {
            ", which is text"
        }
        _ => ", which is no capture file that is known",
    }
}
