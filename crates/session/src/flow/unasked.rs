//! Flows in which either side speaks without having been asked: HTTP/2, WebSocket, replication, anything that pushes.
//!
//! What the target says answers nothing there, and a turn that waits for an answer waits for nothing. They look like request
//! and response until one looks at more than one turn:
//!
//! - the online server goes on after a pause, though its client has not;
//! - the client goes on after a pause, though it has seen nothing new;
//! - the client goes on while a response is on its way, and the target has said all that the client had seen;
//! - turns wait because the target is silent with less than the client had seen, again and again.
//!
//! A slow response, an upload or a pipeline looks like one of these now and then, so the signs are weighed: each turn without
//! one makes them fade. They only matter where the target keeps a turn waiting, and never where that turn needs nothing that
//! came before ([`crate::standalone`]), since such protocols answer each request.

use core::time::Duration;

use crate::limits::{HEADER_MAX, UNASKED_PAUSE};

/// What a turn with a sign of it adds.
const SIGN: u8 = 6;
/// From here on a flow counts as one in which either side speaks unasked: after five such turns in a row, or where they are more
/// than one in six.
const ENOUGH: u8 = 26;
/// What a turn adds that silence releases late; each other takes one away.
const SILENCE: u8 = 8;
/// Ten late silences in a row are enough, or more than one in nine: ends of responses would have been learned by then.
const SILENCES: u8 = 80;
/// What a turn adds whose answer may have come before it: two are enough.
const OVERTAKEN: u8 = 48;
/// More than this takes too long to fade.
const MOST: u8 = 40;
const PAUSED: u8 = 1;
const CLIENT_PUSHED: u8 = 2;
const ONLINE_PUSHED: u8 = 4;
const ONLINE_AGAIN: u8 = 8;
/// No more than this is taken for a round trip between a client and the online server, in milliseconds.
const TRIP_MAX: u8 = 100;
/// It is known, and does not fade.
const KNOWN: u8 = u8::MAX;

/// How much speaks for a flow of this kind.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Signs {
    /// Of pauses.
    pauses: u8,
    /// Of a client that goes on while a response is on its way.
    overtakes: u8,
    /// Whether this turn has paused, and whether the latest segment of the client and of the online server looked like the end of
    /// something: a pause behind one that does not is a loss. And whether the online server has sent something again since it said
    /// something new.
    turn: u8,
    /// The shortest time from the end of an answer to the client's next word, in milliseconds, rounded up: no less than the round trip
    /// between the two. 0 where there was none yet.
    trip: u8,
}

impl Signs {
    /// A turn begins; `early` says whether its client had not seen yet what the online server had sent.
    pub(crate) fn on_turn(&mut self, early: bool) {
        self.turn &= !PAUSED;
        if self.pauses != KNOWN {
            self.pauses = self.pauses.saturating_sub(1);
        }
        if self.overtakes == KNOWN {
            return;
        }
        self.overtakes = self.overtakes.saturating_sub(1);
        if early {
            self.on_early();
        }
    }

    /// The client of this turn had not seen all of a response that was on its way, which may be seen to leave after the turn.
    pub(crate) fn on_early(&mut self) {
        if self.overtakes != KNOWN {
            self.overtakes = (self.overtakes + SIGN).min(MOST);
        }
    }

    /// A segment of the client with payload; `pushes` says whether it has PSH.
    pub(crate) fn on_client(&mut self, pushes: bool) {
        self.set(CLIENT_PUSHED, pushes);
    }

    /// The client goes on after `pause` without having seen anything new.
    pub(crate) fn on_client_pause(&mut self, pause: Duration) {
        self.on_pause(CLIENT_PUSHED, pause);
    }

    /// A segment of the online server with payload, after `pause` where it is not the first of this turn; `pushes` says whether
    /// it has PSH.
    pub(crate) fn on_online(&mut self, pause: Option<Duration>, pushes: bool) {
        // One that waits for room in a window, or in its own buffer, goes on after a round trip or two.
        let trips = Duration::from_millis(2 * u64::from(self.trip));
        if let Some(pause) = pause.filter(|pause| *pause > trips)
            && !self.is_recovering()
        {
            self.on_pause(ONLINE_PUSHED, pause);
        }
        self.set(ONLINE_AGAIN, false);
        self.on_online_end(pushes);
    }

    /// The latest segment of the online server with payload has PSH, or not.
    pub(crate) fn on_online_end(&mut self, pushes: bool) {
        self.set(ONLINE_PUSHED, pushes);
    }

    /// Whether the latest segment of the online server looked like the end of something.
    pub(crate) fn has_pushed(self) -> bool {
        self.turn & ONLINE_PUSHED != 0
    }

    /// The client goes on when it has the whole answer, so long after that was sent.
    pub(crate) fn on_answered(&mut self, after: Duration) {
        let after = (after.as_millis() + 1).min(TRIP_MAX.into()) as u8;
        self.trip = match self.trip {
            0 => after,
            trip => trip.min(after),
        };
    }

    /// The online server sends again what it has sent: the pause before what is new next is one of a loss.
    pub(crate) fn on_online_again(&mut self) {
        self.set(ONLINE_AGAIN, true);
    }

    /// Whether the online server makes up for a loss.
    pub(crate) fn is_recovering(self) -> bool {
        self.turn & ONLINE_AGAIN != 0
    }

    /// Whether a pause of the online server now is one of its own will: it has said something to its end, and nothing was lost.
    pub(crate) fn pauses_at_will(self) -> bool {
        self.turn & (ONLINE_PUSHED | ONLINE_AGAIN) == ONLINE_PUSHED
    }

    fn set(&mut self, flag: u8, value: bool) {
        self.turn = self.turn & !flag | if value { flag } else { 0 };
    }

    /// Several pauses of a turn count once.
    fn on_pause(&mut self, pushed: u8, pause: Duration) {
        let counts = self.turn & (PAUSED | pushed) == pushed && self.pauses != KNOWN;
        if counts && pause >= UNASKED_PAUSE {
            self.turn |= PAUSED;
            self.pauses = (self.pauses + SIGN).min(MOST);
        }
    }

    /// The client's stream begins: HTTP/2 says what it is (RFC 9113 section 3.4), and so does a request for a WebSocket (RFC 6455
    /// section 4.1). Where that is refused, the next request is one of HTTP/1 and shows it.
    pub(crate) fn on_beginning(&mut self, first: &[u8]) {
        if first.starts_with(b"PRI * HTTP/2") || asks_for_websocket(first) {
            self.pauses = KNOWN;
        }
        if begins_with_streams(first) {
            self.overtakes = KNOWN;
        }
    }

    /// Whether the protocol is known to be of this kind.
    pub(crate) fn are_known(self) -> bool {
        self.pauses == KNOWN
    }

    /// After a long silence only what is known is left of them.
    pub(crate) fn resumed(known: bool) -> Self {
        Self {
            pauses: if known { KNOWN } else { 0 },
            ..Self::default()
        }
    }

    /// The protocol is one that answers each request.
    pub(crate) fn forget(&mut self) {
        *self = Self::default();
    }

    /// Whether there is any doubt that this flow is request and response.
    pub(crate) fn are_there(self) -> bool {
        self.pauses >= ENOUGH || self.overtakes >= ENOUGH
    }

    /// Whether the protocol is known to be of this kind, and its client has had several requests under way of late.
    pub(crate) fn have_been_mixed(self) -> bool {
        self.are_known() && self.overtakes()
    }

    /// Whether the client has said from its beginning that it has several requests under way.
    pub(crate) fn has_streams(self) -> bool {
        self.overtakes == KNOWN
    }

    /// Whether the client has gone on of late while a response was on its way.
    pub(crate) fn overtakes(self) -> bool {
        self.overtakes > 0
    }

    /// Whether a side goes on after pauses, so that nothing that the target says, or leaves out, means anything.
    pub(crate) fn are_of_pauses(self) -> bool {
        self.pauses >= ENOUGH
    }
}

/// Whether a client of HTTP/2 has several requests in the first bytes that it sends: frames of the type HEADERS (RFC 9113 section 4.1).
fn begins_with_streams(first: &[u8]) -> bool {
    const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    const HEADERS: u8 = 1;
    let Some(mut frames) = first.strip_prefix(PREFACE) else {
        return false;
    };
    let mut requests = 0;
    while let Some((&[high, middle, low, kind, ..], _)) = frames.split_first_chunk::<9>() {
        requests += u32::from(kind == HEADERS);
        let len = u32::from_be_bytes([0, high, middle, low]) as usize;
        frames = frames.get(9 + len..).unwrap_or_default();
    }
    requests > 1
}

/// Whether the header of a request asks for a WebSocket.
fn asks_for_websocket(first: &[u8]) -> bool {
    const UPGRADE: &[u8] = b"\nupgrade: websocket";
    let header = &first[..first.len().min(HEADER_MAX)];
    header.starts_with(b"GET ")
        && header
            .windows(UPGRADE.len())
            .any(|line| line[0] == b'\n' && line.eq_ignore_ascii_case(UPGRADE))
}

/// Turns of one session that were released late, and by silence: its target had said all that it had to say.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Silences(u8);

impl Silences {
    /// A turn was over; `late` says that the next had waited for it, and for nothing but silence, `overtaken` that it got no answer, and
    /// the one before more than its own.
    pub(crate) fn on_over(&mut self, late: bool, overtaken: bool) {
        self.0 = match (late, overtaken) {
            (_, true) => self.0.saturating_add(OVERTAKEN),
            (true, _) => self.0.saturating_add(SILENCE),
            _ => self.0.saturating_sub(1),
        };
    }

    /// Whether there are enough to doubt that this flow is request and response.
    pub(crate) fn are_there(self) -> bool {
        self.0 >= SILENCES
    }
}
