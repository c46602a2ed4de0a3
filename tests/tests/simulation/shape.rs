//! What the connections of one simulation have in common, and how a seed draws them.

use crate::application::{
    Answer, Application, Batch, Connection, Ending, HEADER_LEN, Protocol, Push, REQUEST_LEN_MIN,
    RESPONSE_LEN_MAX, Request,
};
use crate::http::{self, Method};
use crate::random::Random;
use crate::stack::{MICROSECOND, MILLISECOND, SECOND};

/// How many requests are preceded by a silence that is longer than the idle timeout, in percent.
const SILENT: u64 = 20;
/// Requests of a connection once all faults are over.
const CALM_BATCHES: u64 = 3;
/// Length of the interim response to the first part of a request in two parts ("HTTP/1.1 100 Continue").
const INTERIM_LEN: usize = 25;

/// How the target's responses differ from those of the online server in length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Likeness {
    Equal,
    /// By so many bytes: another `Server:` line.
    Shorter(usize),
    Longer(usize),
    /// Divided and multiplied by: an error page instead of a document, a page in a longer language.
    Scaled(usize, usize),
    /// Each is what it is.
    Random,
}

impl Likeness {
    pub(crate) fn random(random: &mut Random) -> Self {
        match random.range(0, 99) {
            0..30 => Self::Equal,
            30..50 => Self::Shorter(random.pick(&[1, 1, 7, 540])),
            50..65 => Self::Longer(random.pick(&[1, 1, 7, 540, 3000])),
            65..75 => Self::Scaled(random.pick(&[2, 10, 100]), 1),
            75..80 => Self::Scaled(1, random.pick(&[2, 10])),
            _ => Self::Random,
        }
    }

    /// The length of the target's response where the online server's is `len`, which is not 0.
    fn of(self, len: usize, other: usize) -> usize {
        let wanted = match self {
            Self::Equal => len,
            Self::Shorter(by) => len.saturating_sub(by),
            Self::Longer(by) => len + by,
            Self::Scaled(by, times) => len / by * times,
            Self::Random => other,
        };
        wanted.clamp(1, RESPONSE_LEN_MAX)
    }
}

/// What the connections of one simulation have in common.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) likeness: Likeness,
    /// Longer than this some clients are silent; 0 where they are not.
    pub(crate) silence: u64,
    /// Whether connections go on after the faults.
    pub(crate) calms: bool,
    /// Whether many requests follow each other at once.
    fast: bool,
    /// What requests look like, or `None` for either.
    protocol: Option<Protocol>,
    /// In how many pieces the target writes a response that the online server writes in one.
    target_pieces: usize,
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
    pub(crate) fn random(random: &mut Random, likeness: Likeness, mute: u64) -> Self {
        let application = if random.percent(40) {
            Some(Application::Requests)
        } else if random.percent(80) {
            Some(random.pick(&Application::ALL))
        } else {
            None
        };
        Self {
            likeness,
            silence: 0,
            calms: false,
            fast: false,
            protocol: random.pick(&[Some(Protocol::Lines), Some(Protocol::Frames), None]),
            target_pieces: random.pick(&[1, 1, 1, 2, 3]),
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

    /// Connections on which some 500 requests per second follow each other.
    pub(crate) fn fast(self, random: &mut Random) -> Self {
        Self {
            fast: true,
            silence: 0,
            application: Some(Application::Requests),
            batches_max: random.pick(&[30, 60, 100]),
            request_len_max: 100,
            response_len_max: random.pick(&[50, 600, 1400, 5000]),
            think_max: random.pick(&[0, 1, 2]) * MILLISECOND,
            online_delay_max: random.pick(&[0, 0, 1]) * MILLISECOND,
            target_delay_max: 0,
            ..self
        }
    }

    /// How many connections there are: few long ones or many short ones, because a seed is to be quick.
    pub(crate) fn connections(&self, random: &mut Random) -> u64 {
        if self.fast {
            return random.range(1, 4);
        }
        let weight = match self.application {
            Some(Application::Requests) => self.batches_max,
            _ => self.batches_max + self.requests_max,
        };
        random.range(1, (30 / weight).max(2))
    }

    pub(crate) fn connection(self, random: &mut Random) -> Connection {
        let application = self
            .application
            .unwrap_or_else(|| random.pick(&Application::ALL));
        let protocol = self
            .protocol
            .unwrap_or_else(|| random.pick(&[Protocol::Lines, Protocol::Frames]));
        let protocol = if application == Application::Streams {
            Protocol::Frames
        } else {
            protocol
        };
        let mut ending = random.pick(&[
            Ending::Close,
            Ending::Close,
            Ending::HalfClose,
            Ending::Abort,
            Ending::Server,
        ]);
        if matches!(application, Application::Duplex | Application::Streams)
            && ending == Ending::Server
        {
            ending = Ending::Close;
        }
        let least = if self.fast { self.batches_max } else { 1 };
        let batches = random.range(least, self.batches_max);
        let batches = if application == Application::LongPoll {
            batches.min(3)
        } else {
            batches
        };
        let mut batches: Vec<Batch> = (0..batches)
            .flat_map(|_| self.batches(application, random))
            .collect();
        let mut rests_at = None;
        if self.calms && application == Application::Requests {
            rests_at = Some(batches.len());
            let calm = (0..CALM_BATCHES).flat_map(|_| self.quick().batches(application, random));
            batches.extend(calm);
        }
        if ending == Ending::Server
            && let Some(last) = batches
                .last_mut()
                .and_then(|batch| batch.requests.last_mut())
        {
            (last.online.closes, last.target.closes) = (true, true);
        }
        let pushes = if application == Application::Duplex {
            let online = pushes(random);
            let target = if self.likeness == Likeness::Equal {
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
            protocol,
            start: random.range(0, 2 * SECOND) / random.pick(&[1, 100]),
            batches,
            rests_at,
            pushes,
            ending,
        }
    }

    /// A connection that begins once all faults are over.
    pub(crate) fn calm_connection(self, random: &mut Random) -> Connection {
        let shape = Self {
            application: Some(Application::Requests),
            batches_max: CALM_BATCHES,
            calms: false,
            fast: false,
            ..self.quick()
        };
        Connection {
            rests_at: Some(0),
            ..shape.connection(random)
        }
    }

    /// The same with answers that nobody has to wait for.
    fn quick(self) -> Self {
        Self {
            mute: 0,
            think_max: self.think_max.min(50 * MILLISECOND),
            online_delay_max: self.online_delay_max.min(MILLISECOND),
            target_delay_max: self.target_delay_max.min(MILLISECOND),
            ..self
        }
    }

    /// One batch; two where a request has two parts.
    fn batches(self, application: Application, random: &mut Random) -> Vec<Batch> {
        let requests = match application {
            Application::Pipelined => random.range(1, self.requests_max),
            Application::Continue => 2,
            _ => 1,
        };
        let think = if self.silence > 0 && random.percent(SILENT) {
            self.silence + random.range(SECOND, 5 * SECOND)
        } else {
            random.range(0, self.think_max)
        };
        let requests: Vec<Request> = (0..requests)
            .map(|part| self.request(application, part, random))
            .collect();
        let batch = |think, requests| Batch {
            think,
            unprompted: application == Application::Duplex,
            early: 0,
            requests,
        };
        if application == Application::Streams {
            let [request] = requests[..] else {
                return vec![batch(think, requests)];
            };
            let asks_nothing = Request {
                len: random.range(HEADER_LEN as u64, 40) as usize,
                method: Method::Get,
                online: Answer::new(0, 0),
                target: Answer::new(0, 0),
            };
            // Seen when half of the response has come.
            let early = Batch {
                early: request.online.len / 2,
                ..batch(0, vec![asks_nothing])
            };
            return vec![batch(think, vec![request]), early];
        }
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
        let target = if self.likeness == Likeness::Equal {
            online
        } else if answered {
            let mute = if interim { 20 } else { self.mute };
            match (random.percent(mute), interim) {
                (true, _) => 0,
                (false, true) => INTERIM_LEN,
                (false, false) => self.likeness.of(online, len(random)),
            }
        } else if self.likeness == Likeness::Random && random.percent(20) {
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
            Application::Streams => {
                (online.pieces, online.pause) = (2, random.pick(&[1, 10, 50]) * MILLISECOND);
                target.pieces = random.pick(&[1, 2]);
                target.pause = online.pause;
            }
            _ => {
                // Segments that end elsewhere.
                target.pieces = self.target_pieces.min(target.len.max(1));
                target.pause = MICROSECOND;
            }
        }
        Request {
            len: REQUEST_LEN_MIN
                .max(random.range(HEADER_LEN as u64, self.request_len_max) as usize),
            method: Method::Get,
            online,
            target,
        }
    }
}

impl Connection {
    /// Makes its requests and their answers those of HTTP/1, where it asks and is answered.
    pub(crate) fn speak_http(&mut self, random: &mut Random) {
        if !self.application.may_be_http() {
            return;
        }
        self.protocol = Protocol::Http;
        if self.application == Application::Continue {
            for pair in self.batches.chunks_exact_mut(2) {
                let [head, body] = pair else { continue };
                let (head, body) = (&mut head.requests[0], &mut body.requests[0]);
                body.method = Method::Body;
                head.method = Method::Expecting(body.len);
                body.online.len = body.online.len.max(http::RESPONSE_LEN_MIN);
                body.target.len = body.target.len.max(http::RESPONSE_LEN_MIN);
                head.len = head.len.max(http::REQUEST_LEN_MIN);
                head.online.len = http::interim_len();
                head.target.len = head.target.len.min(http::interim_len());
            }
            return;
        }
        let requests = self.batches.iter_mut().flat_map(|it| &mut it.requests);
        for request in requests {
            request.method = random.pick(&Method::ALL);
            request.len = request.len.max(http::REQUEST_LEN_MIN);
            request.online.len = request.online.len.max(http::RESPONSE_LEN_MIN);
            request.target.len = request.target.len.max(http::RESPONSE_LEN_MIN);
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
