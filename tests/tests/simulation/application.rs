//! The applications: what clients ask, and how either server answers.

use crate::random::Random;
use crate::stack::{MICROSECOND, MILLISECOND, SECOND};

/// Length of what a request begins with: a magic number, its connection, its place in it, and its length.
pub(crate) const HEADER_LEN: usize = 8;
/// The magic number, which neither looks like TLS nor like SSH.
const MAGIC: [u8; 2] = *b"Rq";
/// What a connection begins with that looks like TLS: a handshake record with a ClientHello (RFC 8446 section 5.1).
pub(crate) const TLS: [u8; 6] = [0x16, 3, 1, 2, 0, 1];

/// Longest response, in bytes.
pub(crate) const RESPONSE_LEN_MAX: usize = 20_000;
/// Length of the interim response to the first part of a request in two parts ("HTTP/1.1 100 Continue").
const INTERIM_LEN: usize = 25;

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
    /// Encrypted: it cannot be copied.
    Tls,
}

impl Application {
    pub(crate) const ALL: [Self; 8] = [
        Self::Requests,
        Self::Pipelined,
        Self::OneWay,
        Self::Chunked,
        Self::Continue,
        Self::LongPoll,
        Self::Duplex,
        Self::Tls,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Pipelined => "pipelined",
            Self::OneWay => "one-way",
            Self::Chunked => "chunked",
            Self::Continue => "two-part requests",
            Self::LongPoll => "long-poll",
            Self::Duplex => "full-duplex",
            Self::Tls => "TLS",
        }
    }
}

/// One request, and how either server answers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) len: usize,
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
    pub(crate) start: u64,
    pub(crate) batches: Vec<Batch>,
    /// What either server says unprompted, counted from its first request: online, target.
    pub(crate) pushes: (Vec<Push>, Vec<Push>),
    pub(crate) ending: Ending,
}

impl Connection {
    pub(crate) fn requests(&self) -> impl Iterator<Item = &Request> {
        self.batches.iter().flat_map(|batch| &batch.requests)
    }

    /// All that the client sends.
    pub(crate) fn stream(&self, connection: usize) -> Vec<u8> {
        let requests = self.requests().enumerate();
        let requests =
            requests.flat_map(|(index, request)| content(connection, index, request.len));
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
        self.batches
            .iter()
            .any(|batch| batch.unprompted || !alone(batch) || batch.requests.iter().any(unanswered))
            || !self.pushes.0.is_empty()
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
fn content(connection: usize, index: usize, len: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(len);
    bytes.extend_from_slice(&MAGIC);
    for word in [connection, index, len] {
        bytes.extend_from_slice(&(word as u16).to_be_bytes());
    }
    let mut random = Random::new((connection << 16 | index) as u64);
    while bytes.len() < len {
        bytes.extend_from_slice(&random.next().to_be_bytes());
    }
    bytes.truncate(len);
    bytes
}

/// Connection, index and length of a request, or `None` where this is not the beginning of one.
pub(crate) fn parse_header(bytes: &[u8; HEADER_LEN]) -> Option<(usize, usize, usize)> {
    let [m, n, a, b, c, d, e, f] = *bytes;
    let word = |high, low| usize::from(u16::from_be_bytes([high, low]));
    ([m, n] == MAGIC).then(|| (word(a, b), word(c, d), word(e, f)))
}

/// What the connections of one simulation have in common.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    /// Whether responses of online and target are of the same size.
    pub(crate) equal: bool,
    /// How many requests only the target leaves unanswered, in percent.
    pub(crate) mute: u64,
    /// The application, or `None` for any.
    application: Option<Application>,
    pub(crate) batches_max: u64,
    requests_max: u64,
    request_len_max: u64,
    response_len_max: u64,
    think_max: u64,
    online_delay_max: u64,
    target_delay_max: u64,
}

impl Shape {
    pub(crate) fn random(random: &mut Random, equal: bool, mute: u64) -> Self {
        let application = if random.percent(40) {
            Some(Application::Requests)
        } else if random.percent(80) {
            Some(random.pick(&Application::ALL))
        } else {
            None
        };
        Self {
            equal,
            mute,
            application,
            batches_max: random.pick(&[1, 3, 10]),
            requests_max: random.pick(&[2, 5]),
            request_len_max: random.pick(&[100, 100, 1000, 1000, 1000, 5000, 5000, 5000, 40_000]),
            response_len_max: random.pick(&[50, 1400, 5000, RESPONSE_LEN_MAX as u64]),
            think_max: random.pick(&[0, 1, 50, 2000]) * MILLISECOND,
            online_delay_max: random.pick(&[0, 1, 100]) * MILLISECOND,
            target_delay_max: random.pick(&[0, 1, 100, 3000]) * MILLISECOND,
        }
    }

    /// About how many requests a connection has.
    pub(crate) fn weight(&self) -> u64 {
        match self.application {
            Some(Application::Requests) => self.batches_max,
            _ => self.batches_max + self.requests_max,
        }
    }

    pub(crate) fn connection(self, random: &mut Random) -> Connection {
        let application = self
            .application
            .unwrap_or_else(|| random.pick(&Application::ALL));
        let mut ending = random.pick(&[
            Ending::Close,
            Ending::Close,
            Ending::HalfClose,
            Ending::Abort,
            Ending::Server,
        ]);
        if application == Application::Duplex && ending == Ending::Server {
            ending = Ending::Close;
        }
        let batches = random.range(1, self.batches_max);
        let batches = if application == Application::LongPoll {
            batches.min(3)
        } else {
            batches
        };
        let mut batches: Vec<Batch> = (0..batches)
            .flat_map(|_| self.batches(application, random))
            .collect();
        if ending == Ending::Server
            && let Some(last) = batches
                .last_mut()
                .and_then(|batch| batch.requests.last_mut())
        {
            (last.online.closes, last.target.closes) = (true, true);
        }
        let pushes = if application == Application::Duplex {
            let online = pushes(random);
            let target = if self.equal {
                online.clone()
            } else {
                pushes(random)
            };
            (online, target)
        } else {
            (vec![], vec![])
        };
        Connection {
            application,
            start: random.range(0, 2 * SECOND) / random.pick(&[1, 100]),
            batches,
            pushes,
            ending,
        }
    }

    /// One batch; two where a request has two parts.
    fn batches(self, application: Application, random: &mut Random) -> Vec<Batch> {
        let requests = match application {
            Application::Pipelined => random.range(1, self.requests_max),
            Application::Continue => 2,
            _ => 1,
        };
        let think = random.range(0, self.think_max);
        let requests: Vec<Request> = (0..requests)
            .map(|part| self.request(application, part, random))
            .collect();
        let batch = |think, requests| Batch {
            think,
            unprompted: application == Application::Duplex,
            requests,
        };
        if application == Application::Continue {
            let parts = requests.into_iter().map(|request| vec![request]);
            return parts
                .zip([think, 0])
                .map(|(r, think)| batch(think, r))
                .collect();
        }
        vec![batch(think, requests)]
    }

    fn request(self, application: Application, part: u64, random: &mut Random) -> Request {
        let one_way = match application {
            Application::OneWay => random.pick(&[100, 100, 50]),
            Application::Pipelined | Application::Duplex => 20,
            _ => 0,
        };
        let interim = application == Application::Continue && part == 0;
        let answered = !random.percent(one_way);
        let len = |random: &mut Random| random.range(1, self.response_len_max) as usize;
        let online = match (answered, interim) {
            (false, _) => 0,
            (true, true) => INTERIM_LEN,
            (true, false) => len(random),
        };
        let target = if self.equal {
            online
        } else if answered {
            let mute = if interim { 20 } else { self.mute };
            match (random.percent(mute), interim) {
                (true, _) => 0,
                (false, true) => INTERIM_LEN,
                (false, false) => len(random),
            }
        } else if random.percent(20) {
            // Only the target says something.
            len(random)
        } else {
            0
        };
        let mut online = Answer::new(online, random.range(0, self.online_delay_max));
        let mut target = Answer::new(target, random.range(0, self.target_delay_max));
        match application {
            Application::Chunked => {
                for answer in [&mut online, &mut target] {
                    answer.pieces = random.range(1, 6) as usize;
                    answer.pause = random.pick(&[
                        200 * MICROSECOND,
                        5 * MILLISECOND,
                        100 * MILLISECOND,
                        SECOND,
                    ]);
                }
            }
            Application::LongPoll => {
                online.delay = random.range(1, 40) * SECOND;
                target.delay = random.pick(&[target.delay, online.delay, 2 * online.delay]);
            }
            _ => {}
        }
        Request {
            len: random.range(HEADER_LEN as u64, self.request_len_max) as usize,
            online,
            target,
        }
    }
}

fn pushes(random: &mut Random) -> Vec<Push> {
    let most = random.pick(&[0, 3, 10]);
    (0..random.range(0, most))
        .map(|_| {
            let pause = random.pick(&[MILLISECOND, 100 * MILLISECOND, 2 * SECOND]);
            (random.range(0, pause), random.range(1, 3000) as usize)
        })
        .collect()
}
