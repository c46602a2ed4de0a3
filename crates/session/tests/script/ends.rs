//! Ends of responses that are shorter than the online server's: learned from silence, and unlearned from what comes late.

use super::*;

/// A flow whose client asks again as soon as it has its response, and whose target answers in its own way.
struct Asking {
    s: Script,
    asked: u32,
    seen: u32,
    said: u32,
}

impl Asking {
    fn new() -> Self {
        let mut s = Script::new();
        s.handshake();
        Self {
            s,
            asked: 0,
            seen: 0,
            said: 0,
        }
    }

    /// The client asks, and the online server answers with `online` bytes at once.
    fn ask(&mut self, online: usize) -> &mut Self {
        let (seq, ack) = (1 + self.asked, 1 + self.seen);
        self.s.client(PSH, seq, ack, b"a");
        self.asked += 1;
        self.s.online(PSH, 1 + self.seen, 1 + self.asked, online);
        self.seen += online as u32;
        self
    }

    /// The target sends `len` bytes that acknowledge the first `turns` turns.
    fn say(&mut self, turns: u32, len: usize) -> &mut Self {
        self.s.target(PSH, 1 + self.said, 1 + turns, len);
        self.said += len as u32;
        self
    }

    /// How many turns leave now.
    fn leave(&mut self) -> usize {
        let frames = self.s.frames();
        frames
            .iter()
            .filter(|sent| !sent.payload.is_empty())
            .count()
    }

    /// How long the turn behind the current one waits after the target has answered that with `len` bytes.
    fn waits(&mut self, len: usize) -> Duration {
        assert_eq!(self.leave(), 0, "the next turn left without an answer");
        self.say(self.asked - 1, len);
        self.leaves_after(Duration::from_secs(5))
    }

    fn leaves_after(&mut self, longest: Duration) -> Duration {
        let from = self.s.now;
        while self.leave() == 0 {
            assert!(self.s.now.since(from) < longest, "the next turn never left");
            self.s.wait(Duration::from_millis(1));
        }
        self.s.now.since(from)
    }

    fn ended(&mut self) -> Vec<session::TurnEnded> {
        core::iter::from_fn(|| self.s.engine.poll_event())
            .filter_map(|event| match event {
                Event::TurnEnded(turn) => Some(turn),
                _ => None,
            })
            .collect()
    }
}

/// `turns` turns whose online responses have `online(turn)` bytes, and the target's `target(turn)`: how long each waited.
fn waits(
    flow: &mut Asking,
    turns: u32,
    online: impl Fn(u32) -> usize,
    target: impl Fn(u32) -> usize,
) -> Vec<Duration> {
    if flow.asked == 0 {
        flow.ask(online(0));
        assert_eq!(flow.leave(), 1);
    }
    (1..=turns)
        .map(|turn| {
            flow.ask(online(turn));
            flow.waits(target(turn - 1))
        })
        .collect()
}

/// How long the first ten of these waited together, the last ten, and how many of the last ten turns were compared.
fn learned(online: impl Fn(u32) -> usize, target: impl Fn(u32) -> usize) -> (Duration, Duration) {
    let mut flow = Asking::new();
    let waits = waits(&mut flow, 200, online, target);
    let ended = flow.ended();
    assert!(ended.iter().all(|turn| turn.outcome == Outcome::Answered));
    let last = &ended[ended.len() - 100..];
    let unpaired: Vec<_> = ended
        .iter()
        .enumerate()
        .filter(|turn| !turn.1.paired)
        .map(|turn| turn.0)
        .collect();
    assert!(
        last.iter().all(|turn| turn.paired),
        "they are compared {unpaired:?} {waits:?}"
    );
    (waits.iter().sum(), waits[100..].iter().sum())
}

#[test]
fn a_target_that_is_always_one_byte_shorter_sets_no_pace() {
    let (all, last) = learned(|_| 600, |_| 599);
    assert_eq!(last, Duration::ZERO);
    assert!(all < Duration::from_secs(1), "{all:?}");
}

#[test]
fn nor_does_one_whose_responses_vary_as_the_online_servers_do() {
    let (all, last) = learned(
        |turn| 600 + turn as usize % 97,
        |turn| 599 + turn as usize % 97,
    );
    assert_eq!(last, Duration::ZERO);
    assert!(all < Duration::from_secs(1), "{all:?}");
}

#[test]
fn nor_one_that_always_says_the_same() {
    let (all, last) = learned(|turn| 1000 + 31 * (turn as usize % 13), |_| 5);
    assert_eq!(last, Duration::ZERO);
    assert!(all < Duration::from_secs(1), "{all:?}");
}

#[test]
fn nor_one_whose_responses_are_shorter_at_random() {
    let (all, last) = learned(|_| 600, |turn| 60 + (turn as usize * 7919) % 540);
    assert_eq!(last, Duration::ZERO);
    assert!(all < Duration::from_secs(3), "{all:?}");
}

/// However a target's responses end, its silences soon take no longer than its own pauses, and never longer than the longest.
#[test]
fn nor_one_whose_responses_end_in_no_way_that_could_be_learned() {
    let mut flow = Asking::new();
    flow.ask(30_000);
    assert_eq!(flow.leave(), 1);
    let mut waits = vec![];
    for turn in 0..60_u32 {
        flow.ask(30_000);
        // In pieces that all look like the last one.
        for piece in 0..turn * 7919 % 5 {
            flow.say(flow.asked - 1, 60 + (turn + piece) as usize * 7919 % 540);
        }
        waits.push(flow.waits(60 + turn as usize * 7919 % 540));
    }
    let longest = waits.iter().max().expect("some");
    assert!(*longest <= Duration::from_millis(201), "{waits:?}");
    let all: Duration = waits.iter().sum();
    assert!(all < Duration::from_millis(1500), "{all:?} {waits:?}");
}

/// A silence behind an answer that is shorter is as good as it was where the next one is longer: had something come late, it would
/// rarely be by another amount than was missing.
#[test]
fn silences_become_shorter_where_each_second_answer_is_longer() {
    let mut flow = Asking::new();
    flow.ask(600);
    assert_eq!(flow.leave(), 1);
    let mut waits = vec![];
    for turn in 0..16 {
        flow.ask(600);
        flow.say(flow.asked - 1, 100);
        let rest = if turn % 2 == 0 { 200 } else { 540 };
        waits.push(flow.waits(rest + turn));
    }
    let last: Duration = waits[8..].iter().sum();
    assert!(last < Duration::from_millis(300), "{waits:?}");
}

/// An online server that waits for room, for an acknowledgement or for a lost segment does not pause of its own will: its target is
/// not given more time for that.
#[test]
fn a_pause_of_the_online_servers_connection_is_none_of_its_answer() {
    let long = Duration::from_millis(300);
    let mut held_up = Asking::new();
    held_up.ask(0);
    held_up.s.online(ACK, 1, 2, 1400).wait(long);
    held_up.s.online(PSH, 1401, 2, 600);
    let mut lossy = Asking::new();
    lossy.ask(0);
    lossy.s.online(PSH, 1, 2, 1400).wait(long);
    lossy.s.online(PSH, 1, 2, 1400).online(PSH, 1401, 2, 600);
    for mut flow in [held_up, lossy] {
        flow.seen += 2000;
        flow.ask(0);
        assert_eq!(flow.leave(), 1);
        let waited = flow.waits(700);
        assert!(waited <= Duration::from_millis(201), "{waited:?}");
    }
    let mut pauses = Asking::new();
    pauses.ask(1400).s.wait(long).online(PSH, 1401, 2, 600);
    pauses.seen += 600;
    pauses.ask(0);
    assert_eq!(pauses.leave(), 1);
    assert!(pauses.waits(700) >= 3 * long);
}

/// What was learned on one connection holds for the others of the rule.
#[test]
fn an_end_is_learned_by_all_connections_of_a_rule() {
    let mut flow = Asking::new();
    waits(&mut flow, 20, |_| 600, |_| 599);
    flow.s.client = Endpoint::new(Addr::v4([10, 0, 1, 2]), 40_001);
    flow.s.handshake();
    (flow.asked, flow.seen, flow.said) = (0, 0, 0);
    let waits = waits(&mut flow, 5, |_| 600, |_| 599);
    assert_eq!(waits.iter().sum::<Duration>(), Duration::ZERO);
}

#[test]
fn what_comes_after_such_an_end_takes_the_belief_away() {
    let mut flow = Asking::new();
    waits(&mut flow, 100, |_| 600, |_| 599);
    flow.ask(600);
    // The target has had this turn for a while when it sends what belongs to the turn before.
    flow.say(flow.asked - 2, 1);
    assert_eq!(flow.leave(), 0);
    flow.say(flow.asked - 1, 599);
    assert!(flow.leaves_after(Duration::from_secs(1)) > Duration::ZERO);
    // It comes back, after more silences than at first.
    let mut silences = 0;
    for _ in 0..40 {
        flow.ask(600);
        silences += u32::from(flow.waits(599) > Duration::ZERO);
    }
    assert!((5..=15).contains(&silences), "{silences}");
}

/// Head and body come apart, and online do not: the first may be cut, which is compared with nothing, and then they are waited for.
#[test]
fn the_second_part_of_a_response_is_waited_for_once_it_is_known() {
    for pause in [10, 15, 30, 60, 90, 150, 190] {
        let mut flow = Asking::new();
        waits(&mut flow, 1, |_| 600, |_| 600);
        flow.ended();
        let mut server = Server::new(flow, 100);
        server.run(40, Duration::from_millis(pause));
        let ended = server.flow.ended();
        let bytes = |it: Option<session::Response>| it.map(|it| it.bytes);
        let wrong = ended
            .iter()
            .filter(|turn| turn.paired && bytes(turn.online) != bytes(turn.target));
        assert_eq!(wrong.count(), 0, "{pause} ms: {ended:?}");
        let last = &ended[ended.len() - 10..];
        assert!(last.iter().all(|turn| turn.paired), "{pause} ms: {last:?}");
    }
}

/// The same where the rule has learned before that its target answers at once: the first may be cut, and it is in step again
/// soon, with nothing compared to what it is not an answer to.
#[test]
fn a_second_part_that_comes_as_a_surprise_is_compared_with_nothing() {
    for head in [100, 400] {
        let mut flow = Asking::new();
        waits(&mut flow, 60, |_| 600, |_| 600);
        waits(
            &mut flow,
            60,
            |_| 600,
            |turn| 300 + (turn as usize * 7919) % 300,
        );
        flow.ended();
        let mut server = Server::new(flow, head);
        server.run(40, Duration::from_millis(70));
        let ended = server.flow.ended();
        let wrong = ended
            .iter()
            .filter(|turn| turn.paired && turn.target.is_some_and(|target| target.bytes != 1000));
        assert!(wrong.count() <= 2, "{head}: {ended:?}");
        let last = &ended[ended.len() - 10..];
        assert!(
            last.iter()
                .all(|turn| turn.paired && turn.outcome == Outcome::Answered)
        );
    }
}

/// A target that sends the head of 1000 bytes at once and the rest after a pause, one turn after the other.
struct Server {
    flow: Asking,
    /// Turns that have reached it.
    has: u32,
    /// Turns that it has answered.
    answered: u32,
    body_at: Option<Instant>,
    head: usize,
}

impl Server {
    fn new(flow: Asking, head: usize) -> Self {
        let has = flow.asked;
        Self {
            flow,
            has,
            answered: has,
            body_at: None,
            head,
        }
    }

    fn run(&mut self, turns: u32, pause: Duration) {
        let mut left = turns;
        // The last turn of before is still unanswered.
        self.flow.say(self.has, 600);
        while left > 0 || self.answered < self.has {
            if left > 0 && self.flow.asked < self.has + 2 {
                self.flow.ask(1000);
                left -= 1;
            }
            self.has += self.flow.leave() as u32;
            if self.body_at.is_none() && self.answered < self.has {
                self.flow.say(self.has, self.head);
                self.body_at = Some(self.flow.s.now + pause);
            }
            self.flow.s.wait(Duration::from_millis(1));
            if self.body_at.is_some_and(|at| at <= self.flow.s.now) {
                self.body_at = None;
                self.answered += 1;
                self.flow.say(self.has, 1000 - self.head);
            }
        }
    }
}

/// The window of a SYN cannot say as much as the ones after it: that the session tells the target more at once does not mean that
/// the first response ended for want of room.
#[test]
fn the_first_response_of_a_connection_is_no_different() {
    let mut s = Script::new();
    s.client(SYN, 0, 0, b"").online(SYN.with(ACK), 0, 1, 0);
    s.expect(&[sent(SYN, 0, 0, b"")]);
    s.client(PSH, 1, 1, b"a").online(PSH, 1, 2, 600);
    s.target(SYN.with(ACK), 0, 1, 0)
        .client(PSH, 2, 601, b"b")
        .frames();
    s.target(PSH, 1, 2, 599).wait(Duration::from_millis(250));
    assert!(s.frames().iter().any(|sent| sent.payload == b"b"));
}

/// What comes before the target has all of a request is no part of its response: that it says nothing meanwhile is its client's pause.
#[test]
fn a_target_that_waits_for_the_rest_of_a_request_does_not_pause() {
    let mut s = Script::new();
    s.handshake();
    s.client(PSH, 1, 1, b"a").online(PSH, 1, 2, 100).frames();
    s.client(ACK, 2, 101, b"b").target(PSH, 1, 2, 60);
    s.wait(Duration::from_millis(30)).frames();
    // The rest of the answer before.
    s.target(PSH, 61, 3, 40).wait(Duration::from_secs(1));
    s.client(PSH, 3, 101, b"c")
        .online(PSH, 101, 4, 100)
        .frames();
    s.target(PSH, 101, 4, 100).client(PSH, 4, 201, b"d");
    s.expect(&[sent(PSH, 4, 201, b"d")]);
    s.online(PSH, 201, 5, 100).client(PSH, 5, 301, b"e");
    s.target(PSH, 201, 5, 55).wait(Duration::from_millis(100));
    let left = s.frames();
    assert!(left.iter().any(|sent| sent.payload == b"e"), "{left:?}");
}
