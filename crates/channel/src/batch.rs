//! Reports that travel together.

use crate::FRAME_LEN_MAX;
use crate::layout::{LENGTH_LEN, REPORTS, finish_frame};
use crate::report::{REPORT_LEN_MAX, Report};

/// A [`crate::ToTcpcopy::Reports`] frame that grows. `intercept` sends it; `tcpcopy` hands its workers what it has sorted in
/// the same form.
#[derive(Debug)]
pub struct Batch {
    bytes: Vec<u8>,
    count: u32,
}

/// Bytes of a batch before its first report.
const BATCH_HEADER_LEN: usize = LENGTH_LEN + 1;

impl Default for Batch {
    fn default() -> Self {
        Self::new()
    }
}

impl Batch {
    /// An empty batch; allocates with the first report.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            bytes: Vec::new(),
            count: 0,
        }
    }

    /// Reports in it.
    #[must_use]
    pub const fn len(&self) -> u32 {
        self.count
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Length of the frame so far, in bytes.
    #[must_use]
    pub const fn bytes_len(&self) -> usize {
        self.bytes.len()
    }

    /// Adds a report, or gives `false` where the frame has no space for it; an empty batch has. Of headers longer than
    /// [`crate::HEADERS_LEN_MAX`] and of payload longer than [`crate::WHOLE_PAYLOAD_LEN_MAX`] the first bytes are taken; there must be headers.
    pub fn push(&mut self, report: &Report<'_>) -> bool {
        if self.bytes.is_empty() {
            self.bytes.extend_from_slice(&[0, 0, 0, 0, REPORTS]);
        }
        let put = report.put(&mut self.bytes, LENGTH_LEN + FRAME_LEN_MAX);
        self.count += u32::from(put);
        put
    }

    /// Stamp and segment of each report: headers and payload in one piece, as a program would have recorded them.
    pub fn segments(&self) -> impl Iterator<Item = (u64, &[u8])> {
        let mut rest = self.bytes.get(BATCH_HEADER_LEN..).unwrap_or_default();
        core::iter::from_fn(move || {
            let (report, segment, tail) = Report::split(rest)?;
            rest = tail;
            Some((report.stamp_ns, segment))
        })
    }

    /// The whole frame, and an empty batch in its place. An empty batch gives no bytes at all.
    #[must_use]
    pub fn take(&mut self) -> Vec<u8> {
        let mut bytes = core::mem::take(&mut self.bytes);
        if self.count == 0 {
            bytes.clear();
        }
        self.count = 0;
        finish_frame(&mut bytes, 0);
        bytes
    }

    /// Begins the next batch in memory that was used before.
    pub fn reuse(&mut self, mut memory: Vec<u8>) {
        if self.bytes.capacity() == 0 {
            memory.clear();
            self.bytes = memory;
        }
    }
}

const _: () = assert!(BATCH_HEADER_LEN + REPORT_LEN_MAX <= LENGTH_LEN + FRAME_LEN_MAX);

#[cfg(test)]
mod tests {
    use super::Batch;
    use crate::report::Report;
    use crate::{FRAME_LEN_MAX, HEADERS_LEN_MAX, WHOLE_PAYLOAD_LEN_MAX};

    #[test]
    fn a_batch_gives_back_what_it_took_and_says_what_it_did_not_take() {
        let report = |stamp_ns, headers, payload| Report {
            stamp_ns,
            packet_len: 40,
            headers,
            payload,
        };
        let mut batch = Batch::new();
        assert_eq!(batch.segments().count(), 0);
        assert!(batch.push(&report(7, b"one", b"")));
        assert!(batch.push(&report(9, b"thr", b"ee")));
        assert!(!batch.push(&report(10, b"", b"no headers")));
        assert!(batch.push(&report(11, &[1; 52], &[2; 1448])));
        let whole = [&[1; 52][..], &[2; 1448]].concat();
        let expected = [(7, &b"one"[..]), (9, b"three"), (11, &whole)];
        assert_eq!(batch.segments().collect::<Vec<_>>(), expected);
        assert_eq!(batch.len(), 3);
        // The longest there is wants a frame of its own. More than that is cut off, and not dropped.
        let more = [[2; WHOLE_PAYLOAD_LEN_MAX], [2; WHOLE_PAYLOAD_LEN_MAX]].concat();
        let longest = report(11, &[1; 300], &more);
        assert!(!batch.push(&longest));
        let mut alone = Batch::new();
        assert!(alone.push(&longest));
        let kept = [&[1; HEADERS_LEN_MAX][..], &more[..WHOLE_PAYLOAD_LEN_MAX]].concat();
        assert!(alone.segments().eq([(11, &kept[..])]));
        while batch.push(&report(12, &[1; 120], &[])) {}
        assert!(batch.bytes_len() > FRAME_LEN_MAX - 200);
        let len = batch.len();
        assert_eq!(batch.segments().count(), len as usize);
        assert!(batch.take().len() > FRAME_LEN_MAX - 200);
        assert!(batch.is_empty() && batch.push(&report(13, b"again", b"")));
    }
}
