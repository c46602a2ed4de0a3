//! Reports of `intercept` on their way from a connection's thread to the worker that owns their sessions.

use session::Instant;

/// Most batches of reports that wait for one worker.
pub(crate) const BATCHES_MAX: usize = 256;

/// Reports for one worker that arrived together.
#[derive(Debug, Default)]
pub(crate) struct ReportBatch {
    /// Per report its stamp (8 bytes), its length (1 byte) and its bytes, payload right behind the headers.
    bytes: Vec<u8>,
    count: u64,
}

impl ReportBatch {
    /// Adds a report; the channel's own limit keeps them below 256 bytes.
    pub(crate) fn push(&mut self, stamp: Instant, headers: &[u8], payload: &[u8]) {
        if let Ok(len) = u8::try_from(headers.len() + payload.len()) {
            self.bytes
                .extend_from_slice(&stamp.as_nanos().to_ne_bytes());
            self.bytes.push(len);
            self.bytes.extend_from_slice(headers);
            self.bytes.extend_from_slice(payload);
            self.count += 1;
        }
    }

    /// Reports in it.
    pub(crate) const fn count(&self) -> u64 {
        self.count
    }

    /// Each report with its stamp.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Instant, &[u8])> {
        let mut rest = self.bytes.as_slice();
        std::iter::from_fn(move || {
            let (stamp, tail) = rest.split_first_chunk::<8>()?;
            let (&len, tail) = tail.split_first()?;
            let (report, tail) = tail.split_at_checked(usize::from(len))?;
            rest = tail;
            Some((Instant::from_nanos(u64::from_ne_bytes(*stamp)), report))
        })
    }
}

#[cfg(test)]
mod tests {
    use session::Instant;

    use super::ReportBatch;

    #[test]
    fn a_batch_gives_back_what_it_took() {
        let mut batch = ReportBatch::default();
        assert_eq!(batch.iter().count(), 0);
        let stamp = Instant::from_nanos;
        batch.push(stamp(7), b"one", b"");
        batch.push(stamp(9), b"thr", b"ee");
        batch.push(stamp(11), &[0; 300], b"");
        let expected = [(stamp(7), &b"one"[..]), (stamp(9), b"three")];
        assert_eq!(batch.iter().collect::<Vec<_>>(), expected);
    }
}
