//! The applications: what clients ask, and how either server answers.

use crate::http::{self, Method};
use crate::random::Random;

/// Length of what a request begins with: a mark of its protocol, its connection, its place in it, and its length.
pub(crate) const HEADER_LEN: usize = MARK_LEN + 6;
/// Length of a protocol's mark: so much of a request tells what it is.
pub(crate) const MARK_LEN: usize = 5;
/// Shortest request: its end can be seen.
pub(crate) const REQUEST_LEN_MIN: usize = HEADER_LEN + LINES_END.len();
/// What a line and an empty one end with.
const LINES_END: [u8; 2] = *b"\n\n";
/// How many bits of a header's numbers each byte has: the eighth is set in all, so that none looks like the end of a line.
const BITS: usize = 7;
/// How many bits an index and a length have.
const INDEX_BITS: usize = 14;
const LEN_BITS: usize = 16;
/// What a connection begins with that looks like TLS: a handshake record with a ClientHello (RFC 8446 section 5.1).
pub(crate) const TLS: [u8; 6] = [0x16, 3, 1, 2, 0, 1];

/// Longest response, in bytes.
pub(crate) const RESPONSE_LEN_MAX: usize = 20_000;
/// What requests look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// Requests of HTTP/1 as far as it takes to see where each ends: a first line, and where there is room for it a body of a
    /// length that is told. Each stands alone.
    Lines,
    /// Binary frames, which make sense only on a connection that has begun with the first of them.
    Frames,
    /// HTTP/1 as a protocol module understands it.
    Http,
}

impl Protocol {
    /// Neither looks like TLS or SSH.
    const fn mark(self) -> [u8; MARK_LEN] {
        match self {
            Self::Lines | Self::Http => *b"GET /",
            Self::Frames => *b"\0\x02Frm",
        }
    }
}

/// What kind of conversation a connection has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Application {
    /// A request, its response, the next request.
    Requests,
    /// Several requests at once, of which some have no response.
    Pipelined,
    /// The online server says nothing.
    OneWay,
    /// Responses come in pieces with pauses.
    Chunked,
    /// Requests in two parts, the second after an interim response.
    Continue,
    /// The response comes late.
    LongPoll,
    /// Both sides speak when they like.
    Duplex,
    /// Binary frames of which some ask nothing (an acknowledgement of settings in HTTP/2): the client sends them when it has
    /// seen the first part of a response.
    Streams,
    /// Encrypted: it cannot be copied.
    Tls,
}

impl Application {
    pub(crate) const ALL: [Self; 9] = [
        Self::Requests,
        Self::Pipelined,
        Self::OneWay,
        Self::Chunked,
        Self::Continue,
        Self::LongPoll,
        Self::Duplex,
        Self::Streams,
        Self::Tls,
    ];

    /// Whether it asks and is answered, as HTTP/1 does.
    pub(crate) const fn may_be_http(self) -> bool {
        matches!(
            self,
            Self::Requests | Self::Pipelined | Self::Chunked | Self::Continue | Self::LongPoll
        )
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Pipelined => "pipelined",
            Self::OneWay => "one-way",
            Self::Chunked => "chunked",
            Self::Continue => "two-part requests",
            Self::LongPoll => "long-poll",
            Self::Duplex => "full-duplex",
            Self::Streams => "frames that ask nothing",
            Self::Tls => "TLS",
        }
    }
}

/// One request, and how either server answers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) len: usize,
    /// What it is, where that is HTTP/1.
    pub(crate) method: Method,
    pub(crate) online: Answer,
    pub(crate) target: Answer,
}

/// How a server answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    /// Length of the response, in bytes; 0 for none.
    pub(crate) len: usize,
    /// How long it takes.
    pub(crate) delay: u64,
    /// In how many pieces it comes, and how long it pauses between them.
    pub(crate) pieces: usize,
    pub(crate) pause: u64,
    /// Whether the server closes the connection after it.
    pub(crate) closes: bool,
}

impl Answer {
    pub(crate) fn new(len: usize, delay: u64) -> Self {
        Self {
            len,
            delay,
            pieces: 1,
            pause: 0,
            closes: false,
        }
    }
}

/// Requests that the client sends in one go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Batch {
    /// How long after the response before.
    pub(crate) think: u64,
    /// Whether it does not wait for the response before.
    pub(crate) unprompted: bool,
    /// How many bytes of the response before it does not wait for.
    pub(crate) early: usize,
    pub(crate) requests: Vec<Request>,
}

/// How a client ends its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// It closes once it has all responses.
    Close,
    /// It closes right after its last request, and waits for the responses.
    HalfClose,
    /// It resets the connection once it has all responses.
    Abort,
    /// The server closes; the client follows.
    Server,
}

/// What a server says unprompted: how long after what it said before, and how many bytes.
pub(crate) type Push = (u64, usize);

/// One connection of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Connection {
    pub(crate) application: Application,
    pub(crate) protocol: Protocol,
    pub(crate) start: u64,
    pub(crate) batches: Vec<Batch>,
    /// The batch that its client sends only once all faults are over; 0 where it does not even connect before.
    pub(crate) rests_at: Option<usize>,
    /// What either server says unprompted, counted from its first request: online, target.
    pub(crate) pushes: (Vec<Push>, Vec<Push>),
    pub(crate) ending: Ending,
}

impl Connection {
    pub(crate) fn requests(&self) -> impl Iterator<Item = &Request> {
        self.batches.iter().flat_map(|batch| &batch.requests)
    }

    /// Where a request stands in the stream.
    pub(crate) fn starts_at(&self, request: usize) -> usize {
        let before = self.requests().take(request);
        self.prefix_len() + before.map(|it| it.len).sum::<usize>()
    }

    /// Where a batch begins in the stream.
    pub(crate) fn batch_starts_at(&self, batch: usize) -> usize {
        let before = self.batches.iter().take(batch);
        self.starts_at(before.map(|batch| batch.requests.len()).sum())
    }

    /// All that the client sends.
    pub(crate) fn stream(&self, connection: usize) -> Vec<u8> {
        let requests = self.requests().enumerate();
        let requests = requests
            .flat_map(|(index, request)| content(self.protocol, (connection, index), request));
        let prefix = TLS.iter().copied().take(self.prefix_len());
        prefix.chain(requests).collect()
    }

    /// What stands before the first request, in bytes.
    pub(crate) fn prefix_len(&self) -> usize {
        if self.application == Application::Tls {
            TLS.len()
        } else {
            0
        }
    }

    /// Whether a client sends a request before it has the response to the one before. Then it may see a response, or
    /// part of one, in the middle of its own sending; what it had seen is another turn's response for the target, and by
    /// design such turns may have to wait for the response timeout.
    pub(crate) fn is_pipelined(&self) -> bool {
        let unanswered = |request: &Request| request.online.len == 0;
        let alone = |batch: &Batch| batch.requests.len() == 1;
        self.batches.iter().any(|batch| {
            batch.unprompted
                || batch.early > 0
                || !alone(batch)
                || batch.requests.iter().any(unanswered)
        }) || !self.pushes.0.is_empty()
    }

    /// Whether the target leaves a request unanswered that the online server answers.
    pub(crate) fn is_mute(&self) -> bool {
        self.requests()
            .any(|request| request.target.len == 0 && request.online.len > 0)
    }

    /// How long the target takes at most to say all that it says.
    pub(crate) fn target_takes(&self) -> u64 {
        let pauses = |answer: &Answer| answer.pieces as u64 * answer.pause;
        let answers = self
            .requests()
            .map(|request| request.target.delay + pauses(&request.target));
        let pushes = self.pushes.1.iter().map(|(pause, _)| *pause);
        answers.sum::<u64>() + pushes.sum::<u64>()
    }

    /// Whether the target's responses pause, or come unprompted.
    pub(crate) fn is_broken_up(&self) -> bool {
        let pauses = |request: &Request| request.target.pieces > 1;
        self.requests().any(pauses) || !self.pushes.1.is_empty()
    }
}

/// The bytes of a request.
fn content(protocol: Protocol, (connection, index): (usize, usize), request: &Request) -> Vec<u8> {
    let len = request.len;
    if protocol == Protocol::Http {
        return http::request(request.method, (connection, index), len);
    }
    let mut bytes = Vec::with_capacity(len);
    bytes.extend_from_slice(&protocol.mark());
    let numbers = (connection << INDEX_BITS | index) << LEN_BITS | len;
    let byte = |place: usize| 0x80 | (numbers >> (BITS * place)) as u8;
    bytes.extend((0..HEADER_LEN - MARK_LEN).map(byte));
    let told = |body: usize| format!("\r\nContent-Length: {body:05}\r\n\r\n");
    let body = len.checked_sub(HEADER_LEN + told(0).len());
    let ends = protocol == Protocol::Lines && body.is_none();
    if let Some(body) = body.filter(|_| protocol == Protocol::Lines) {
        bytes.extend_from_slice(told(body).as_bytes());
    }
    let mut random = Random::new((connection << 16 | index) as u64);
    while bytes.len() < len {
        bytes.extend_from_slice(&random.next().to_be_bytes());
    }
    bytes.truncate(len);
    if ends {
        let line = &mut bytes[HEADER_LEN..];
        line.iter_mut().for_each(|byte| *byte |= 0x80);
        if let Some(end) = line.last_chunk_mut() {
            *end = LINES_END;
        }
    }
    bytes
}

/// Connection, index and length of a request, or `None` where this is not the beginning of one.
pub(crate) fn parse_header(bytes: &[u8; HEADER_LEN]) -> Option<(usize, usize, usize)> {
    let (mark, rest) = bytes.split_first_chunk::<MARK_LEN>()?;
    let known = [Protocol::Lines, Protocol::Frames].map(Protocol::mark);
    let places = rest.iter().rev();
    let numbers = places.fold(0, |it, byte| it << BITS | usize::from(byte & 0x7f));
    let low = |number: usize, bits: usize| number & ((1 << bits) - 1);
    let index = low(numbers >> LEN_BITS, INDEX_BITS);
    let connection = numbers >> (LEN_BITS + INDEX_BITS);
    known
        .contains(mark)
        .then(|| (connection, index, low(numbers, LEN_BITS)))
}
