//! The client's side of one flow, kept as naively as can be: every byte with the cause of its first copy, when it was captured, and
//! what became of its records.

use std::ops::Range;

use session::limits::SERVICE_WAIT;
use wire::segment::Segment;
use wire::tcp::Flags;

/// The client's side of one flow, as the online server's host saw it.
#[derive(Debug, Default)]
pub(crate) struct Flow {
    pub(crate) isn: Option<u32>,
    online_isn: Option<u32>,
    /// The cause of each byte of the stream.
    causes: Vec<Option<u32>>,
    /// When the stream was first captured up to where, in the order of time: offsets and times grow.
    captured: Vec<(usize, u64)>,
    /// Where turns begin in what was captured, and the cause of the latest.
    turns: Vec<usize>,
    last_cause: Option<u32>,
    /// Where something was missing when what is behind it came.
    overtaken: Vec<usize>,
    /// When either side last said something, and how long both were silent at most.
    said_at: Option<u64>,
    silence_max: u64,
    /// Whether a record of either of its sides was lost.
    pub(crate) lost_record: bool,
    /// Which of its bytes an engine was given.
    recorded: Vec<bool>,
    /// Where the client's FIN stands: a keep-alive probe after it looks like one byte more.
    fin: Option<usize>,
    /// When that was captured, and when the online server had first acknowledged all since.
    closed_at: Option<u64>,
    served_at: Option<u64>,
    /// Whether an engine was given that.
    fin_recorded: bool,
    /// Whether an engine was given such a probe and not the FIN: to it that is one byte more.
    pub(crate) probed_as_byte: bool,
    /// Bytes that somebody has said in its client's name, and those when its client had closed or reset it.
    forged: u64,
    forged_behind: u64,
    /// Whether its client has reset it.
    is_reset: bool,
    online_acknowledged: usize,
    /// Whether its client has reset the connection before what the online server had acknowledged, as one does that has not heard of
    /// that: the online server does not believe it (RFC 5961 section 3.2), and its connection stays.
    pub(crate) resets_in_vain: bool,
    /// Bytes that the online server has sent.
    online_sent: u32,
    /// How many it had sent when: both grow.
    online_steps: Vec<(u32, u64)>,
}

impl Flow {
    /// Whether a sequence number is one of this client's connection.
    pub(crate) fn is_near(&self, seq: u32) -> bool {
        self.isn.is_some_and(|isn| seq.wrapping_sub(isn) < 1 << 24)
    }

    /// Longest time in which neither side said anything.
    pub(crate) fn silence_max(&self) -> u64 {
        self.silence_max
    }

    /// Either side has said something new.
    fn on_word(&mut self, now: u64) {
        if let Some(before) = self.said_at.replace(now) {
            self.silence_max = self.silence_max.max(now - before);
        }
    }

    pub(crate) fn on_client(&mut self, now: u64, segment: &Segment) {
        if segment.flags.contains(Flags::SYN) {
            self.isn = Some(segment.seq);
            self.said_at.get_or_insert(now);
            return;
        }
        let Some(isn) = self.isn else {
            return;
        };
        let start = segment.seq.wrapping_sub(isn.wrapping_add(1));
        if start > 1 << 30 {
            return;
        }
        let (start, len) = (start as usize, usize::from(segment.payload_len));
        if segment.flags.contains(Flags::RST) {
            self.resets_in_vain |= start < self.online_acknowledged;
            self.is_reset = true;
        }
        if segment.flags.contains(Flags::FIN) {
            self.fin = Some(start + len);
            self.closed_at.get_or_insert(now);
        }
        // A mere acknowledgement that has overtaken the FIN stands behind that: there is no byte where the FIN is.
        if len == 0 || self.fin.is_some_and(|fin| start >= fin) {
            return;
        }
        let from = self.captured.last().map_or(0, |(end, _)| *end);
        if len > 0 && start > from && self.overtaken.last() != Some(&from) {
            self.overtaken.push(from);
        }
        if self.causes.len() < start + len {
            self.causes.resize(start + len, None);
        }
        // An acknowledgement ahead of bytes that were lost is no word.
        if self.causes[start..start + len].contains(&None) {
            self.on_word(now);
        }
        for cause in &mut self.causes[start..start + len] {
            cause.get_or_insert(segment.ack);
        }
        let new = self.causes[from..].iter();
        let new = new.take_while(|cause| cause.is_some()).count();
        if new > 0 {
            self.captured.push((from + new, now));
            self.find_turns(from..from + new);
        }
    }

    /// Somebody speaks in its client's name.
    pub(crate) fn on_forged(&mut self, segment: &Segment) {
        let bytes = u64::from(segment.payload_len);
        self.forged += bytes;
        if self.is_reset || self.closed_at.is_some() {
            self.forged_behind += bytes;
        }
    }

    /// Bytes that nothing tells from its client's: a record of it was lost, or it was over.
    pub(crate) fn forged_unseen(&self) -> u64 {
        if self.lost_record {
            self.forged
        } else {
            self.forged_behind
        }
    }

    /// Where turns begin in what has just come to be in order.
    fn find_turns(&mut self, range: Range<usize>) {
        for offset in range {
            let cause = self.causes[offset];
            let grows =
                |before: u32| cause.is_some_and(|it| it.wrapping_sub(before).cast_signed() > 0);
            if self.last_cause.is_none_or(grows) {
                self.turns.push(offset);
                self.last_cause = cause;
            }
        }
    }

    /// An engine was given a segment of the client's; what nobody sent is nobody's byte.
    pub(crate) fn on_recorded(&mut self, segment: &Segment) {
        let Some(isn) = self.isn else {
            return;
        };
        let start = segment.seq.wrapping_sub(isn.wrapping_add(1)) as usize;
        let end = start + usize::from(segment.payload_len);
        self.fin_recorded |= segment.flags.contains(Flags::FIN);
        self.probed_as_byte |= !self.fin_recorded && end > start && self.fin == Some(start);
        if start < self.causes.len() && !segment.flags.contains(Flags::SYN) {
            self.recorded.resize(self.causes.len(), false);
            self.recorded[start..end.min(self.causes.len())].fill(true);
        }
    }

    /// When the byte at `offset`, and all before it, had been captured.
    pub(crate) fn captured_at(&self, offset: usize) -> Option<u64> {
        let index = self.captured.partition_point(|(end, _)| *end <= offset);
        self.captured.get(index).map(|(_, at)| *at)
    }

    /// Whether nothing of these bytes came behind what follows it.
    pub(crate) fn is_in_order(&self, range: &Range<usize>) -> bool {
        !self.overtaken.iter().any(|at| range.contains(at))
    }

    /// Whether its client was silent for `time` in the middle of these bytes.
    pub(crate) fn pauses_in(&self, range: &Range<usize>, time: u64) -> bool {
        let first = self
            .captured
            .partition_point(|(end, _)| *end <= range.start);
        let mut steps = self.captured[first..].windows(2);
        steps.any(|step| step[0].0 < range.end && step[1].1 - step[0].1 >= time)
    }

    /// Whether the first that came of what begins at `offset` was its beginning, in a piece of `len` bytes at least.
    pub(crate) fn begins_in_order(&self, offset: usize, len: usize) -> bool {
        let index = self.captured.partition_point(|(end, _)| *end <= offset);
        let piece = self.captured.get(index).map_or(0, |(end, _)| end - offset);
        piece >= len && !self.overtaken.contains(&offset)
    }

    pub(crate) fn on_online(&mut self, now: u64, segment: &Segment) {
        if segment.flags.contains(Flags::SYN) {
            self.online_isn = Some(segment.seq);
            return;
        }
        let Some(isn) = self.isn else {
            return;
        };
        if let Some(online_isn) = self.online_isn
            && !segment.flags.contains(Flags::RST)
        {
            let end = segment.seq.wrapping_add(segment.sequence_len());
            let sent = end.wrapping_sub(online_isn.wrapping_add(1));
            if sent < 1 << 30 {
                if sent > self.online_sent {
                    self.on_word(now);
                    self.online_steps.push((sent, now));
                }
                self.online_sent = self.online_sent.max(sent);
            }
        }
        let acknowledged = segment.ack.wrapping_sub(isn.wrapping_add(1)) as usize;
        if acknowledged < 1 << 30 {
            self.online_acknowledged = self.online_acknowledged.max(acknowledged);
        }
        if self.closed_at.is_some() && self.is_served() {
            self.served_at.get_or_insert(now);
        }
    }

    /// How much of the online server's stream the client had seen when it sent the byte at `offset`.
    pub(crate) fn seen(&self, offset: usize) -> Option<u32> {
        let cause = (*self.causes.get(offset)?)?;
        Some(cause.wrapping_sub(self.online_isn?.wrapping_add(1)))
    }

    /// How many bytes of the online server the client had got more at `turn` than when the turn at `before` began.
    pub(crate) fn answered_between(&self, before: Option<usize>, turn: usize) -> Option<u64> {
        let (before, now) = (self.seen(before?)?, self.seen(turn)?);
        Some(now.wrapping_sub(before).into())
    }

    /// The longest pause of the online server in what the client got between the turns at `before` and `turn`.
    pub(crate) fn online_pause(&self, before: usize, turn: usize) -> u64 {
        let range = self.seen(before).zip(self.seen(turn));
        range.map_or(0, |(from, to)| pause(&self.online_steps, from..to))
    }

    /// Where the turns of the stream begin.
    pub(crate) fn turns(&self) -> Vec<usize> {
        self.turns.clone()
    }

    /// Bytes of the client, as far as they are in order.
    pub(crate) fn len(&self) -> usize {
        self.captured.last().map_or(0, |(end, _)| *end)
    }

    /// Where its bytes end, in order or not.
    pub(crate) fn extent(&self) -> usize {
        self.causes.len()
    }

    /// Whether an engine was given all of these bytes.
    pub(crate) fn is_recorded(&self, range: Range<usize>) -> bool {
        let recorded = self.recorded.get(range);
        recorded.is_some_and(|bytes| bytes.iter().all(|recorded| *recorded))
    }

    /// How many different bytes of it engines were given.
    pub(crate) fn recorded(&self) -> u64 {
        self.recorded.iter().filter(|recorded| **recorded).count() as u64
    }

    /// Bytes that the online server has sent.
    pub(crate) const fn online_sent(&self) -> u32 {
        self.online_sent
    }

    /// Whether its last turn may seem never to have been served: the online server has acknowledged it long after its client had closed,
    /// or not at all.
    pub(crate) fn seems_unserved(&self) -> bool {
        let times = self.closed_at.zip(self.served_at);
        let is_late =
            times.is_some_and(|(closed, served)| served - closed >= SERVICE_WAIT.as_nanos() as u64);
        is_late || !self.is_served()
    }

    /// Whether the online server has acknowledged everything that the client sent.
    pub(crate) fn is_served(&self) -> bool {
        self.online_acknowledged >= self.len()
    }
}

/// The longest time between two steps of something that grows, as far as both lie in this range.
pub(crate) fn pause(steps: &[(u32, u64)], range: Range<u32>) -> u64 {
    let first = steps.partition_point(|(end, _)| *end <= range.start);
    let last = steps.partition_point(|(end, _)| *end <= range.end);
    let within = steps.get(first..last).unwrap_or_default().windows(2);
    within.map(|step| step[1].1 - step[0].1).max().unwrap_or(0)
}
