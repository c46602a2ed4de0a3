//! What is in the file of `--tap` or `--dry-run`.

use serde::Serialize;

/// The file of what was sent to targets and received from them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tap {
    /// Its name.
    pub file: String,
    /// Packets in it that were sent.
    pub sent_packets: u64,
    /// Packets in it that were received.
    pub received_packets: u64,
    /// Bytes of both, without what was not kept of them.
    pub packet_bytes: u64,
    /// Bytes of the file.
    pub file_bytes: u64,
    /// Packets that are missing in it, and nowhere else.
    pub dropped_packets: u64,
}
