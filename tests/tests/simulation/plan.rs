//! What happens in a simulation: everything that a seed decides before the first packet.

use crate::link::Impairment;
use crate::random::Random;
use crate::stack::{MICROSECOND, MILLISECOND, SECOND, SocketOptions};

/// Length of what a request begins with: a magic number, its connection, its place in it, and its length.
pub(crate) const HEADER_LEN: usize = 8;
/// The magic number, which neither looks like TLS nor like SSH.
const MAGIC: [u8; 2] = *b"Rq";

/// Longest response, in bytes.
const RESPONSE_LEN_MAX: usize = 20_000;

/// One request, and how either server answers it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request {
    pub(crate) len: usize,
    pub(crate) online: Answer,
    pub(crate) target: Answer,
}

/// How a server answers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answer {
    /// Length of the response, in bytes; 0 for none.
    pub(crate) len: usize,
    /// How long it takes.
    pub(crate) delay: u64,
    /// Whether the server closes the connection after it.
    pub(crate) closes: bool,
}

/// Requests that the client sends in one go.
#[derive(Clone, Debug)]
pub(crate) struct Batch {
    /// How long after the response before.
    pub(crate) think: u64,
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

/// One connection of a client.
#[derive(Clone, Debug)]
pub(crate) struct Connection {
    pub(crate) start: u64,
    pub(crate) batches: Vec<Batch>,
    pub(crate) ending: Ending,
}

impl Connection {
    pub(crate) fn requests(&self) -> impl Iterator<Item = &Request> {
        self.batches.iter().flat_map(|batch| &batch.requests)
    }

    /// All that the client sends.
    pub(crate) fn stream(&self, connection: usize) -> Vec<u8> {
        let requests = self.requests().enumerate();
        requests
            .flat_map(|(index, request)| content(connection, index, request.len))
            .collect()
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

/// How a run is cut short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// Capture stops, and the turns that were captured are drained.
    Stop,
    /// Everything ends at once.
    Finish,
}

/// The faults and the shape of a simulation.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) connections: Vec<Connection>,
    /// What either server says first, in bytes: online, target.
    pub(crate) greeting: (usize, usize),
    /// Whether responses of online and target are of the same size.
    pub(crate) equal: bool,
    /// Whether sessions use the clients' own addresses.
    pub(crate) keep_addresses: bool,
    pub(crate) client_mtu: u16,
    pub(crate) target_mtu: u16,
    pub(crate) client_path: Impairment,
    pub(crate) target_path: Impairment,
    pub(crate) reply_path: Impairment,
    /// Records of clients, of the online server and of replies that a full ring loses, in percent.
    pub(crate) records_lost: u64,
    /// How long a record waits in the ring at most.
    pub(crate) record_delay: u64,
    pub(crate) client_options: SocketOptions,
    pub(crate) online_options: SocketOptions,
    pub(crate) target_options: SocketOptions,
    /// The target reads at most this many bytes at a time, and as often.
    pub(crate) slow_target: Option<(usize, u64)>,
    /// The target closes each connection after so many responses.
    pub(crate) target_closes_after: Option<usize>,
    /// The target resets each connection after so many responses.
    pub(crate) target_resets_after: Option<usize>,
    /// How many requests the target leaves unanswered, in percent.
    pub(crate) mute: u64,
    /// Capture begins this long after the first connection.
    pub(crate) capture_from: u64,
    /// The run is cut short this long after the first connection.
    pub(crate) cut: Option<(u64, Cut)>,
    /// Sessions per flow.
    pub(crate) copies: u16,
    /// Ports of the reply pool.
    pub(crate) pool_ports: u16,
    /// Whether turns wait for responses.
    pub(crate) waits: bool,
    /// Whether every second connection uses the client's port of the one before.
    pub(crate) reuses_ports: bool,
    /// Whether the engine has to see a reply before it sends at will.
    pub(crate) prove_path: bool,
    /// From when to when reports cannot arrive, and the engine knows.
    pub(crate) channel_down: Option<(u64, u64)>,
}

impl Plan {
    pub(crate) fn random(random: &mut Random) -> Self {
        let mute = if random.percent(7) { 20 } else { 0 };
        let equal = mute == 0 && random.percent(60);
        let keep_addresses = random.percent(30);
        let greeting = if random.percent(20) {
            let online = random.range(1, 300) as usize;
            (
                online,
                if equal {
                    online
                } else {
                    random.range(1, 300) as usize
                },
            )
        } else {
            (0, 0)
        };
        let shape = Shape::random(random, equal, mute);
        // Few long connections or many short ones: a seed is to be quick.
        let connections_max = 30 / (shape.batches_max + shape.requests_max);
        let connections = (0..random.range(1, connections_max.max(2)))
            .map(|_| shape.connection(random))
            .collect();
        let path = |random: &mut Random, faulty: u64| {
            if random.percent(faulty) {
                Impairment::faulty(random, 20)
            } else {
                Impairment::clean(random)
            }
        };
        let mut client_path = path(random, 40);
        if random.percent(20) {
            client_path.corruption = 3;
        }
        Self {
            connections,
            greeting,
            equal,
            keep_addresses,
            client_mtu: random.pick(&[576, 1400, 1500]),
            target_mtu: random.pick(&[576, 1400, 1500]),
            client_path,
            target_path: path(random, 30),
            reply_path: path(random, 30),
            records_lost: if random.percent(20) {
                random.range(1, 10)
            } else {
                0
            },
            record_delay: random.pick(&[0, 5, 100, 2000]) * MICROSECOND,
            client_options: SocketOptions::random(random),
            online_options: SocketOptions::random(random),
            target_options: SocketOptions::random(random),
            slow_target: random
                .percent(15)
                .then(|| (random.range(200, 3000) as usize, MILLISECOND)),
            target_closes_after: random.percent(10).then(|| random.range(1, 5) as usize),
            target_resets_after: random.percent(7).then(|| random.range(1, 5) as usize),
            mute,
            cut: random.percent(10).then(|| {
                let at = random.range(1, 3000) * MILLISECOND;
                (at, random.pick(&[Cut::Stop, Cut::Finish]))
            }),
            copies: if keep_addresses {
                1
            } else {
                random.pick(&[1, 1, 1, 2, 3])
            },
            pool_ports: if random.percent(10) { 3 } else { 1000 },
            waits: !random.percent(7),
            reuses_ports: random.percent(25),
            prove_path: random.percent(15),
            channel_down: random.percent(10).then(|| {
                let from = random.range(0, 2000) * MILLISECOND;
                (from, from + random.range(1, 3000) * MILLISECOND)
            }),
            capture_from: if random.percent(10) {
                random.range(1, 100) * MILLISECOND
            } else {
                0
            },
        }
    }

    /// Whether the target ends connections that the online server keeps.
    pub(crate) fn target_breaks_off(&self) -> bool {
        self.target_closes_after.is_some() || self.target_resets_after.is_some()
    }

    /// Whether there may be no source for a session.
    pub(crate) fn is_scarce(&self) -> bool {
        !self.keep_addresses && self.pool_ports < 1000
    }

    /// Whether a turn may have to wait for the response timeout.
    pub(crate) fn times_out(&self) -> bool {
        !self.waits || self.mute > 0 || self.is_pipelined()
    }

    /// Whether everything that a client sends is seen by the engine.
    pub(crate) fn sees_everything(&self) -> bool {
        self.records_lost == 0 && self.capture_from == 0 && self.cut.is_none()
    }

    /// Whether a client's reset may overtake what it sent before, so that it is open what of it still counts.
    pub(crate) fn is_torn(&self, connection: usize) -> bool {
        let path = &self.client_path;
        let faulty = path.loss + path.reordering + path.corruption + path.duplication > 0;
        faulty && self.connections[connection].ending == Ending::Abort
    }

    /// Whether the target's response to a turn comes without a pause that looks like its end: silence after a PSH lets the
    /// next turn go, by design, because nothing says that it is a pause and not a shorter response.
    pub(crate) fn responses_are_unbroken(&self) -> bool {
        let options = &self.target_options;
        let in_one_go = options.send_buffer >= RESPONSE_LEN_MAX && !options.nagle;
        // On a new connection a greeting comes again, and looks like the response.
        let greets_again = self.greeting.1 > 0 && self.target_breaks_off();
        let up = self.channel_down.is_none();
        self.waits
            && up
            && in_one_go
            && self.slow_target.is_none()
            && !self.is_pipelined()
            && !greets_again
    }

    /// Whether a client sends a request before it has the response to the one before. Then it may see a response, or part
    /// of one, in the middle of its own sending; what it had seen is another turn's response for the target, and by design
    /// such turns may have to wait for the response timeout.
    pub(crate) fn is_pipelined(&self) -> bool {
        let batches = || {
            self.connections
                .iter()
                .flat_map(|connection| &connection.batches)
        };
        let unanswered = |request: &Request| request.online.len == 0;
        batches().any(|batch| batch.requests.len() > 1 || batch.requests.iter().any(unanswered))
    }
}

/// What the connections of one simulation have in common.
#[derive(Clone, Copy, Debug)]
struct Shape {
    equal: bool,
    batches_max: u64,
    requests_max: u64,
    request_len_max: u64,
    response_len_max: u64,
    /// How many requests get no answer at all, in percent.
    one_way: u64,
    mute: u64,
    think_max: u64,
    online_delay_max: u64,
    target_delay_max: u64,
}

impl Shape {
    fn random(random: &mut Random, equal: bool, mute: u64) -> Self {
        Self {
            equal,
            mute,
            batches_max: random.pick(&[1, 3, 10]),
            requests_max: random.pick(&[1, 1, 1, 5]),
            request_len_max: random.pick(&[100, 1000, 5000]),
            response_len_max: random.pick(&[50, 1400, 5000, RESPONSE_LEN_MAX as u64]),
            one_way: random.pick(&[0, 0, 0, 20, 100]),
            think_max: random.pick(&[0, 1, 50, 2000]) * MILLISECOND,
            online_delay_max: random.pick(&[0, 1, 100]) * MILLISECOND,
            target_delay_max: random.pick(&[0, 1, 100, 3000]) * MILLISECOND,
        }
    }

    fn connection(self, random: &mut Random) -> Connection {
        let ending = random.pick(&[
            Ending::Close,
            Ending::Close,
            Ending::HalfClose,
            Ending::Abort,
            Ending::Server,
        ]);
        let mut batches: Vec<Batch> = (0..random.range(1, self.batches_max))
            .map(|_| Batch {
                think: random.range(0, self.think_max),
                requests: (0..random.range(1, self.requests_max))
                    .map(|_| self.request(random))
                    .collect(),
            })
            .collect();
        if ending == Ending::Server
            && let Some(last) = batches
                .last_mut()
                .and_then(|batch| batch.requests.last_mut())
        {
            (last.online.closes, last.target.closes) = (true, true);
        }
        Connection {
            start: random.range(0, 2 * SECOND) / random.pick(&[1, 100]),
            batches,
            ending,
        }
    }

    fn request(self, random: &mut Random) -> Request {
        let answered = !random.percent(self.one_way);
        let len = |random: &mut Random| {
            if answered {
                random.range(1, self.response_len_max) as usize
            } else {
                0
            }
        };
        let online = len(random);
        let target = if self.equal {
            online
        } else if random.percent(self.mute) {
            0
        } else {
            len(random)
        };
        Request {
            len: random.range(HEADER_LEN as u64, self.request_len_max) as usize,
            online: Answer {
                len: online,
                delay: random.range(0, self.online_delay_max),
                closes: false,
            },
            target: Answer {
                len: target,
                delay: random.range(0, self.target_delay_max),
                closes: false,
            },
        }
    }
}
