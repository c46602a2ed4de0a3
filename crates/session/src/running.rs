//! A flow that runs without a session: what was seen of it, why it is not copied, and whether it may be joined here.

use wire::seq::{ClientSeq, OnlineSeq};

use crate::encrypted;
use crate::holes::Holes;
use crate::limits::{CLIENT_WINDOW_UNKNOWN, CONNECTION_DISTANCE_MAX, INTERIM_BYTES};
use crate::request::Reader;
use crate::standalone;

/// Why a flow's bytes are in no turn of the ledger, or only in turns that were missed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    /// Its beginning was before the start.
    OpenBefore,
    /// It should be copied: it was until now, or half of its handshake was seen.
    Missed,
    /// A budget, a rate or a pause kept its session from being opened.
    Shed,
    /// It was copied until it turned out to be encrypted.
    Encrypted,
    /// Client and target are of different address families.
    Foreign,
    /// Its client is a target, or of the reply pool.
    FromTarget,
    /// Multipath TCP: a further path of another connection.
    Subflow,
}

/// How the online server has answered a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LastAnswer {
    /// Not at all.
    None,
    /// With as many bytes as an interim response has.
    Interim,
    /// Otherwise.
    Whole,
}

impl LastAnswer {
    /// With so many bytes.
    pub(crate) fn of(bytes: u64) -> Self {
        match bytes {
            0 => Self::None,
            bytes if INTERIM_BYTES.contains(&bytes) => Self::Interim,
            _ => Self::Whole,
        }
    }
}

/// One flow.
#[derive(Clone, Debug)]
pub(crate) struct Running {
    pub(crate) why: Why,
    /// How many sessions it would have.
    pub(crate) weight: u32,
    /// The highest acknowledgement number of the client's segments with payload.
    cause: Option<OnlineSeq>,
    /// About what the online server had sent when it, or the client, last said something.
    seen: Option<OnlineSeq>,
    /// Where the client's bytes end, as far as seen.
    next: Option<ClientSeq>,
    /// What the online server had acknowledged when it last sent payload.
    answered: Option<ClientSeq>,
    requests: Reader,
    /// Whether the last response is as long as an interim one.
    interim: bool,
    /// By how much the data's sequence numbers are ahead of the connection's (Multipath TCP), where its segments say so.
    mapping: Option<u32>,
    /// Whether it was open before the start and looks like TLS.
    is_tls: bool,
    /// Whether it is counted among the flows that were left out.
    told: bool,
    /// Where its client has said nothing yet although its handshake was seen: what it had seen of the online server then.
    beginning: Option<OnlineSeq>,
    /// Whether the online server spoke before the client.
    greeted: bool,
    holes: Holes,
    /// Where its first segment began, before which nothing is known.
    first: Option<ClientSeq>,
}

/// What a segment of the client is to such a flow.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    /// How many of its bytes are new.
    pub(crate) bytes: u32,
    /// Whether they begin a turn, as far as can be told.
    pub(crate) begins_turn: bool,
    /// Whether a session may begin with them.
    pub(crate) boundary: bool,
    /// Whether they stand alone: behind a request that was seen to end, or at the flow's beginning.
    pub(crate) stands_alone: bool,
    /// Whether they are none of this connection's.
    pub(crate) elsewhere: bool,
    /// They are the flow's first: what its client had seen after the handshake.
    pub(crate) beginning: Option<OnlineSeq>,
}

impl Seen {
    /// So many bytes that are none of this connection's.
    const fn elsewhere(bytes: u32) -> Self {
        Self {
            bytes,
            begins_turn: false,
            boundary: false,
            stands_alone: false,
            elsewhere: true,
            beginning: None,
        }
    }
}

impl Running {
    /// A flow of which nothing is known.
    pub(crate) const fn new(why: Why, weight: u32) -> Self {
        Self {
            why,
            weight,
            cause: None,
            seen: None,
            next: None,
            answered: None,
            requests: Reader::lost(),
            interim: false,
            mapping: None,
            is_tls: false,
            told: false,
            beginning: None,
            greeted: false,
            holes: Holes::new(),
            first: None,
        }
    }

    /// The online server had sent payload, acknowledging the client up to `answered`.
    pub(crate) const fn answered(mut self, answered: Option<ClientSeq>) -> Self {
        self.answered = answered;
        self
    }

    /// The client's bytes up to `next` are accounted for.
    pub(crate) const fn seen_up_to(mut self, next: ClientSeq) -> Self {
        self.next = Some(next);
        self
    }

    /// It was copied whole up to here; `cause` is that of its last turn, to which the online server has given this answer.
    pub(crate) fn copied_up_to(
        mut self,
        next: ClientSeq,
        cause: OnlineSeq,
        answer: LastAnswer,
    ) -> Self {
        (self.next, self.cause) = (Some(next), Some(cause));
        if answer != LastAnswer::None {
            self.requests = Reader::at_end();
            self.interim = answer == LastAnswer::Interim;
        }
        self
    }

    /// Its handshake was copied, and its client had said nothing yet: `next` is its first byte, and `cause` what it had seen then.
    pub(crate) const fn unbegun(mut self, next: ClientSeq, cause: OnlineSeq) -> Self {
        (self.next, self.beginning) = (Some(next), Some(cause));
        self
    }

    /// Whether the online server spoke before the client: nothing in the middle of such a flow stands alone.
    pub(crate) const fn greeted(mut self, greeted: bool) -> Self {
        self.greeted = greeted;
        self
    }

    /// The online server's bytes go up to about here.
    pub(crate) const fn having_seen(mut self, seen: OnlineSeq) -> Self {
        self.seen = Some(seen);
        self
    }

    /// The online server speaks, from here on.
    pub(crate) const fn see(&mut self, seq: OnlineSeq) {
        self.seen = Some(seq);
    }

    /// What of its bytes has not come.
    pub(crate) fn with_holes(mut self, holes: Holes) -> Self {
        self.holes = holes;
        self
    }

    /// What of its bytes has not come.
    pub(crate) fn into_holes(self) -> Holes {
        self.holes
    }

    /// A segment says by how much its data's sequence numbers are ahead of the connection's: where that has changed, data is missing
    /// that took another path. Returns whether that is so.
    pub(crate) fn on_mapping(&mut self, shift: u32) -> bool {
        let known = self.mapping.replace(shift);
        let has_changed = known.is_some_and(|known| known != shift);
        if has_changed {
            self.requests.lose();
        }
        has_changed
    }

    /// A segment of the client with payload; `pushed` says whether it had PSH.
    pub(crate) fn on_client(
        &mut self,
        seq: ClientSeq,
        cause: OnlineSeq,
        pushed: bool,
        payload: &[u8],
    ) -> Seen {
        let len = u32::try_from(payload.len()).unwrap_or(u32::MAX);
        if self.is_elsewhere(seq) || self.is_of_another(seq, cause) {
            return Seen::elsewhere(len);
        }
        let end = seq + len;
        let is_newer = self.cause.is_none_or(|before| before < cause);
        // Only new bytes begin a turn: a retransmission, or the byte of a keep-alive probe, carries a newer acknowledgement number
        // in the middle of an old one.
        let goes_on = self.next == Some(seq) && self.cause.is_some() && is_newer;
        // Nor may bytes from there on have come before: they are gone, and joining would only find the hole.
        let fresh = self.next.is_none_or(|next| next <= seq);
        // A keep-alive probe may carry a byte of rubbish (RFC 9293 section 3.8.4); who writes one byte pushes it.
        let probe = payload.len() == 1 && !pushed;
        let beginning = self.beginning.filter(|_| self.next == Some(seq) && !probe);
        let boundary = !probe
            && !self.awaits_bytes()
            && (goes_on || beginning.is_some() || (fresh && self.answered == Some(seq)));
        let whole = self.next == Some(seq) && self.requests.is_at_end() && !self.greeted;
        let interim = core::mem::take(&mut self.interim) && standalone::is_http(payload);
        // What comes late, behind what has come already, is counted, and says nothing of where requests end.
        let late = self.fill_holes(seq, end);
        let start = self.next.map_or(seq, |next| next.max(seq));
        let new = payload
            .get(start.ahead_of(seq) as usize..)
            .unwrap_or_default();
        if !new.is_empty() {
            if self.next.is_some_and(|next| next < seq) {
                self.requests.lose();
            }
            self.requests.read(new);
            self.beginning = None;
            self.is_tls |= (self.next.is_none() || boundary) && encrypted::is_record(payload);
            self.first.get_or_insert(seq);
            (self.cause, self.next) = (Some(cause), Some(end));
        }
        Seen {
            bytes: u32::try_from(new.len())
                .unwrap_or(u32::MAX)
                .saturating_add(late),
            begins_turn: !new.is_empty() && is_newer,
            boundary,
            stands_alone: beginning.is_some()
                || whole && !interim && standalone::stands_alone(payload),
            elsewhere: false,
            beginning,
        }
    }

    /// Whether a message may begin at `seq`, as far as can be told: nothing before it is missing, or not answered.
    pub(crate) fn may_begin_at(&self, seq: ClientSeq) -> bool {
        !self.awaits_bytes()
            && self.next.is_none_or(|next| next == seq)
            && self.answered.is_none_or(|answered| answered == seq)
    }

    /// The client closes at `seq`, behind its bytes: its FIN has a number of its own, whose acknowledgement answers no further byte.
    pub(crate) fn on_client_end(&mut self, seq: ClientSeq) {
        if self.next == Some(seq) {
            self.next = Some(seq + 1);
        }
    }

    /// Whether a segment of the client at `seq` that ends something is believed, as the online server would (RFC 5961 section 3.2).
    pub(crate) fn may_end_at(&self, seq: ClientSeq) -> bool {
        self.next.is_none_or(|next| next == seq) || self.answered == Some(seq)
    }

    /// Whether a number of the client's cannot be this connection's. Such bytes are counted and change nothing: they may be forged, or
    /// those of another connection of the same 4-tuple whose handshake was not seen, which the online server's word tells.
    pub(crate) fn is_elsewhere(&self, seq: ClientSeq) -> bool {
        let far = |next: ClientSeq| (seq - next).unsigned_abs() > CONNECTION_DISTANCE_MAX;
        self.next.is_some_and(far)
    }

    /// Whether bytes of the client that look like older ones are another connection's: those have seen something of the online server
    /// that this one's cannot.
    pub(crate) fn is_of_another(&self, seq: ClientSeq, cause: OnlineSeq) -> bool {
        let is_old = self.next.is_some_and(|next| seq < next);
        let far = |known: OnlineSeq| (cause - known).unsigned_abs() > CONNECTION_DISTANCE_MAX;
        let mut known = [self.cause, self.seen].into_iter().flatten().peekable();
        is_old && known.peek().is_some() && known.all(far)
    }

    /// Whether bytes are missing that the online server has not acknowledged: they come again, and it answers them first.
    fn awaits_bytes(&self) -> bool {
        let known = match (self.answered, self.first) {
            (Some(answered), Some(first)) => Some(answered.max(first)),
            (answered, first) => answered.or(first),
        };
        known.is_some_and(|known| self.holes.reach_beyond(known))
    }

    /// The client's bytes from `seq` to `end` arrive: how many of them are in holes. What they leave behind them may be another.
    fn fill_holes(&mut self, seq: ClientSeq, end: ClientSeq) -> u32 {
        let late = self.holes.fill(seq, end);
        match self.next {
            // Whatever came before the first segment is nowhere yet.
            // Late ones are counted.
            None => self.holes.open(seq - CLIENT_WINDOW_UNKNOWN, seq),
            Some(next) if next < seq => self.holes.open(next, seq),
            Some(_) => {}
        }
        late
    }

    /// The online server sent payload, acknowledging the client's stream up to `ack`. Returns whether that answers a turn of which
    /// nothing was seen.
    pub(crate) fn on_online(&mut self, ack: ClientSeq) -> bool {
        if self.is_elsewhere(ack) {
            // The 4-tuple is another connection's, or what was taken for this one's was forged.
            let told = self.told;
            *self = Self::new(self.why, self.weight);
            self.told = told;
        }
        let another = self.answered.is_none_or(|answered| answered < ack);
        self.answered = Some(ack);
        let unseen = another && self.next.is_none_or(|next| next < ack);
        if unseen {
            self.requests.lose();
            match self.next {
                None => self.holes.open(ack - CLIENT_WINDOW_UNKNOWN, ack),
                Some(next) => self.holes.open(next, ack),
            }
            (self.next, self.beginning) = (Some(ack), None);
        }
        unseen
    }

    /// Whether this segment says that it is encrypted from end to end.
    pub(crate) const fn is_encrypted(&self) -> bool {
        self.is_tls || matches!(self.why, Why::Encrypted)
    }

    /// Whether it may be joined at all.
    pub(crate) const fn is_joinable(&self) -> bool {
        matches!(self.why, Why::OpenBefore | Why::Missed | Why::Shed)
    }

    /// Whether it is to be counted now among the flows that are left out because they were open before: `never` says that none
    /// is joined. Others may still be, where what was seen begins like a request.
    pub(crate) fn is_told_now(&mut self, never: bool, boundary: bool) -> bool {
        let is_request = self.requests.may_end();
        let told = self.why == Why::OpenBefore && (never || boundary || !is_request);
        told && !core::mem::replace(&mut self.told, true)
    }
}

#[cfg(test)]
mod tests {
    use wire::seq::{ClientSeq, OnlineSeq};

    use super::{LastAnswer, Running, Seen, Why};

    const GET: &[u8] = b"GET / HTTP/1.1\r\n\r\n";

    fn running() -> Running {
        Running::new(Why::OpenBefore, 1)
    }

    fn client(running: &mut Running, seq: u32, cause: u32, payload: &[u8]) -> Seen {
        running.on_client(ClientSeq::new(seq), OnlineSeq::new(cause), true, payload)
    }

    #[test]
    fn a_request_behind_a_whole_one_stands_alone() {
        let mut it = running();
        let first = client(&mut it, 100, 900, GET);
        assert!(!first.boundary && !first.stands_alone && first.begins_turn);
        it.on_online(ClientSeq::new(118));
        let second = client(&mut it, 118, 910, GET);
        assert!(second.boundary && second.stands_alone && second.begins_turn);
        assert!(!it.is_told_now(false, false));
    }

    #[test]
    fn a_body_that_was_asked_for_does_not() {
        let mut it = running();
        it.on_online(ClientSeq::new(100));
        let head = b"POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 18\r\n\r\n";
        assert!(!client(&mut it, 100, 900, head).stands_alone);
        let next = 100 + head.len() as u32;
        it.on_online(ClientSeq::new(next));
        let body = client(&mut it, next, 925, GET);
        assert!(body.boundary && !body.stands_alone);
        it.on_online(ClientSeq::new(next + 18));
        assert!(client(&mut it, next + 18, 1000, GET).stands_alone);
    }

    #[test]
    fn each_byte_is_new_once() {
        let mut it = running();
        let mut bytes = |seq, cause, payload: &[u8]| client(&mut it, seq, cause, payload).bytes;
        assert_eq!(bytes(100, 900, b"abcd"), 4);
        assert_eq!(bytes(100, 900, b"abcd"), 0);
        assert_eq!(bytes(102, 900, b"cdef"), 2);
        assert_eq!(bytes(110, 900, b"x"), 1);
    }

    #[test]
    fn after_an_interim_response_a_body_may_follow() {
        for (bytes, alone) in [(25, false), (200, true), (0, false)] {
            let (next, cause) = (ClientSeq::new(118), OnlineSeq::new(900));
            let mut it = running().copied_up_to(next, cause, LastAnswer::of(bytes));
            assert_eq!(client(&mut it, 118, 1000, GET).stands_alone, alone);
        }
        let (next, cause) = (ClientSeq::new(118), OnlineSeq::new(900));
        let mut it = running().copied_up_to(next, cause, LastAnswer::of(21));
        assert!(client(&mut it, 118, 1000, b"get a\r\n").stands_alone);
    }

    #[test]
    fn an_answer_to_what_was_not_seen_is_known() {
        let mut it = running();
        assert!(it.on_online(ClientSeq::new(100)));
        assert!(!it.on_online(ClientSeq::new(100)));
        client(&mut it, 100, 900, b"abcd");
        assert!(!it.on_online(ClientSeq::new(104)));
        assert!(it.on_online(ClientSeq::new(110)));
    }
}
