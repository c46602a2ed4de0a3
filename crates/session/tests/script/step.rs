//! Whether a session is in step with its target: which answer belongs to which turn, and flows in which either side speaks
//! unasked.

use super::*;

/// What a target does with a turn: after so long, so many bytes; the next part after that.
type Parts = Vec<(u64, usize)>;

/// A client that sends a turn, of one byte unless said otherwise, at each of its times, whatever the target does, and a target that takes one turn after
/// the other.
struct Play {
    s: Script,
    line: &'static [u8],
    asked: u32,
    /// Bytes of the client before its turns.
    before: u32,
    seen: u32,
    said: u32,
    /// Bytes of its turns that have reached the target.
    got: usize,
    /// Turns that have reached the target, and when each did.
    reached: Vec<Instant>,
    sent_at: Vec<Instant>,
    answered: usize,
    parts: Parts,
    part_at: Instant,
    ended: Vec<session::TurnEnded>,
}

impl Play {
    fn new(change: impl FnOnce(&mut Config)) -> Self {
        let mut s = Script::with(change);
        s.handshake();
        let part_at = s.now;
        Self {
            s,
            line: b"x",
            got: 0,
            asked: 0,
            before: 0,
            seen: 0,
            said: 0,
            reached: vec![],
            sent_at: vec![],
            answered: 0,
            parts: vec![],
            part_at,
            ended: vec![],
        }
    }

    /// The client sends a turn.
    fn ask(&mut self) {
        let (seq, ack) = (1 + self.asked, 1 + self.seen);
        self.s.client(PSH, seq, ack, self.line);
        self.asked += self.line.len() as u32;
        self.sent_at.push(self.s.now);
    }

    /// The online server sends `len` bytes, having seen all that its client sent.
    fn online(&mut self, len: usize) {
        self.s.online(PSH, 1 + self.seen, 1 + self.asked, len);
        self.seen += len as u32;
    }

    fn say(&mut self, len: usize) {
        let has = self.before + self.got as u32;
        self.s.target(PSH, 1 + self.said, 1 + has, len);
        self.said += len as u32;
    }

    /// A millisecond passes, in which the target works.
    fn pass(&mut self, target: &dyn Fn(usize) -> Parts) {
        self.take();
        loop {
            if self.parts.is_empty() && self.answered < self.reached.len() {
                self.parts = target(self.answered);
                self.part_at = self.s.now;
                self.answered += 1;
            }
            let Some((after, len)) = self.parts.first().copied() else {
                if self.answered < self.reached.len() {
                    continue;
                }
                break;
            };
            if self.s.now < self.part_at + Duration::from_millis(after) {
                break;
            }
            self.parts.remove(0);
            self.part_at = self.s.now;
            self.say(len);
            self.take();
        }
        self.s.wait(Duration::from_millis(1));
        self.take();
        while let Some(event) = self.s.engine.poll_event() {
            if let Event::TurnEnded(turn) = event {
                self.ended.push(turn);
            }
        }
    }

    fn take(&mut self) {
        let mut bytes = 0;
        for sent in self.s.frames() {
            bytes += sent.payload.len();
        }
        self.got += bytes;
        self.reached.resize(self.got / self.line.len(), self.s.now);
        if bytes > 0 {
            let has = self.before + self.got as u32;
            self.s.target(ACK, 1 + self.said, 1 + has, 0);
        }
    }

    fn pass_for(&mut self, millis: u64, target: &dyn Fn(usize) -> Parts) {
        for _ in 0..millis {
            self.pass(target);
        }
    }

    /// The longest time between a turn's capture and its departure.
    fn lag(&self) -> Duration {
        assert_eq!(self.reached.len(), self.sent_at.len(), "all left");
        let lags = self.reached.iter().zip(&self.sent_at);
        lags.map(|(left, sent)| left.since(*sent))
            .max()
            .unwrap_or_default()
    }

    fn wrong(&self) -> Vec<(usize, u64, u64)> {
        let compared = self.ended.iter().enumerate().filter(|turn| turn.1.paired);
        compared
            .filter_map(|(index, turn)| Some((index, turn.online?.bytes, turn.target?.bytes)))
            .filter(|(_, online, target)| online != target)
            .collect()
    }
}

/// Forty numbered requests, of which the target answers one late: each answer has its own length.
#[test]
fn a_late_answer_is_not_compared_with_the_next_turn() {
    for every in [20, 200, 1000] {
        let mut p = Play::new(|config| config.response_timeout = Duration::from_secs(3));
        let len = |turn: usize| 100 + turn * 3 % 50;
        let target = |turn: usize| vec![(if turn == 3 { 5000 } else { 1 }, len(turn))];
        for turn in 0..40 {
            p.ask();
            p.online(len(turn));
            p.pass_for(every, &target);
        }
        p.pass_for(8000, &target);
        for turn in 40..60 {
            p.ask();
            p.online(len(turn));
            p.pass_for(100, &target);
        }
        assert_eq!(p.wrong(), []);
        assert!(
            p.ended[50..].iter().all(|turn| turn.paired),
            "in step again"
        );
    }
}

/// The target has said in sum what the online server had, and says nothing of one turn: it has said that with another. So it is when
/// turns leave later than the response timeout allows, and teach what is to be thought of those behind them.
#[test]
fn a_turn_whose_answer_came_with_another_is_delivered_however_late_it_is() {
    let mut p = Play::new(|config| config.response_timeout = Duration::from_secs(3));
    let target = |turn: usize| match turn {
        0 => vec![(2000, 160)],
        1 => vec![(2000, 100)],
        2 => vec![],
        _ => vec![(1, 100)],
    };
    for len in [100, 100, 60, 100] {
        p.ask();
        p.online(len);
    }
    p.pass_for(10_000, &target);
    p.s.engine.finish(p.s.now);
    p.pass(&target);
    let outcomes: Vec<Outcome> = p.ended.iter().map(|turn| turn.outcome).collect();
    let answered = Outcome::Answered;
    assert_eq!(outcomes, [answered, answered, Outcome::Delivered, answered]);
}

/// The same where all answers have the same length.
#[test]
fn a_late_answer_is_not_taken_for_the_next_because_it_is_as_long() {
    let mut p = Play::new(|config| config.response_timeout = Duration::from_secs(3));
    let target = |turn: usize| vec![(if turn == 3 { 5000 } else { 30 }, 100)];
    for _ in 0..60 {
        p.ask();
        p.online(100);
        p.pass_for(100, &target);
    }
    p.pass_for(8000, &target);
    let early = p.ended.iter().filter(|turn| {
        let first = turn.target.map(|target| target.first);
        turn.paired && first.is_some_and(|first| first < Duration::from_millis(29))
    });
    assert_eq!(early.count(), 0);
}

/// The client acknowledges the first part of each response, which nobody answers; the target sends both parts at once.
#[test]
fn a_turn_that_asks_nothing_is_not_waited_for() {
    let mut p = Play::new(|_| ());
    let target = |turn: usize| match turn % 2 {
        0 => vec![(0, 200)],
        _ => vec![],
    };
    for _ in 0..4 {
        p.ask();
        p.pass_for(1, &target);
        p.online(100);
        p.pass_for(1, &target);
        p.ask();
        p.pass_for(50, &target);
        p.online(100);
        p.pass_for(1, &target);
    }
    p.pass_for(2000, &target);
    assert!(p.lag() < Duration::from_secs(1), "{:?}", p.lag());
    assert!(p.ended.iter().all(|turn| turn.outcome != Outcome::TimedOut));
}

/// The same in reverse: the target sends both parts when it has the acknowledgement.
#[test]
fn nor_is_one_whose_answer_came_late() {
    let mut p = Play::new(|_| ());
    let target = |turn: usize| match turn % 2 {
        0 => vec![(0, 100), (30, 100)],
        _ => vec![],
    };
    for _ in 0..20 {
        p.ask();
        p.online(200);
        p.pass_for(60, &target);
        p.ask();
        p.pass_for(5, &target);
    }
    p.pass_for(2000, &target);
    assert!(p.lag() < Duration::from_secs(1), "{:?}", p.lag());
    assert!(p.ended.iter().all(|turn| turn.outcome != Outcome::TimedOut));
}

/// Both sides send whenever they like; the target less often, or less, than the online server.
#[test]
fn a_flow_in_which_the_server_speaks_unasked_is_soon_found() {
    for (tick, slower, len) in [
        (200, 25, 20),
        (50, 20, 20),
        (200, 1, 5),
        (300, 4, 200),
        (70, 3, 20),
    ] {
        let mut p = Play::new(|_| ());
        let mut lags = vec![];
        for at in 0..20_000_u64 {
            if at % 130 == 5 {
                p.ask();
            }
            if at % tick == tick - 1 {
                p.online(20);
            }
            if at % (tick * slower) == tick - 1 {
                p.say(len);
            }
            p.pass(&|_| vec![]);
            lags.push(p.sent_at.len() - p.reached.len());
        }
        p.pass_for(1000, &|_| vec![]);
        assert!(
            p.lag() < Duration::from_secs(2),
            "{tick} {slower}: {:?}",
            p.lag()
        );
        assert!(p.ended.iter().all(|turn| turn.outcome != Outcome::TimedOut));
        let is_found = p.s.engine.counters().sessions_streaming == 1;
        assert!(
            is_found || p.lag() < session::limits::UNASKED_STALL,
            "{tick} {slower}: {:?}",
            p.lag()
        );
    }
}

/// As a client of HTTP/2 does with several streams at a time: a request for each answer, while others are on their way.
#[test]
fn a_client_that_goes_on_while_answers_are_on_their_way_is_not_held_up() {
    for (shorter, preface, longest) in [
        (0, true, 600),
        (30, true, 600),
        (0, false, 3000),
        (1, false, 3000),
        (30, false, 3000),
    ] {
        let mut p = Play::new(|_| ());
        if preface {
            request(&mut p, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
            p.online(10);
            let has = p.asked;
            p.before = has;
            assert_eq!(p.s.frames().len(), 1);
            p.s.target(PSH, 1, 1 + has, 10);
            p.said = 10;
        }
        // The answers of the target are in another order, and may be shorter.
        let target =
            move |turn: usize| vec![(u64::from(turn.is_multiple_of(3)), 100 - shorter + turn % 7)];
        let (mut sent, mut owed) = (0, 0);
        for at in 0..3000_usize {
            while owed < 10 && at % 2 == 0 && sent < 2000 {
                p.ask();
                (sent, owed) = (sent + 1, owed + 1);
            }
            if owed > 0 && at % 5 != 0 {
                p.online(100 + at % 7);
                owed -= 1;
            }
            p.pass(&target);
        }
        p.pass_for(2000, &target);
        let lag = p.lag();
        assert!(
            lag < Duration::from_millis(longest),
            "{lag:?} {shorter} {preface}"
        );
        assert!(p.ended.iter().all(|turn| turn.outcome != Outcome::TimedOut));
    }
}

/// The same with a target that takes four times as long, in step or streaming: it never has more requests under way than its online server had.
#[test]
fn a_target_with_several_streams_is_not_run_over() {
    const STREAMS: usize = 10;
    let mut p = Play::new(|_| ());
    request(&mut p, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    p.online(10);
    p.before = p.asked;
    assert_eq!(p.s.frames().len(), 1);
    p.s.target(PSH, 1, 1 + p.before, 10);
    p.said = 10;
    // Answers come in another order.
    let target = |turn: usize| vec![(20, 100 + (turn ^ 1) * 30 % 70)];
    let (mut answers, mut most) = (0, 0);
    for _ in 0..STREAMS {
        p.ask();
    }
    for at in 0..1500 {
        if at % 5 == 4 && answers < p.sent_at.len() {
            let seen = p.seen;
            p.online(100 + answers * 30 % 70);
            if answers > 0 && p.sent_at.len() < 40 {
                // The client has this answer and not yet the one that has just left.
                let all = core::mem::replace(&mut p.seen, seen);
                p.ask();
                p.seen = all;
            }
            answers += 1;
        }
        p.pass(&target);
        let begun = usize::from(!p.parts.is_empty());
        most = most.max(p.reached.len() + begun - p.answered);
    }
    // Answers of other lengths come first: the sum of their bytes is not to the answer.
    assert!(most <= STREAMS + 1, "{most} at a time");
    assert!(p.lag() < Duration::from_millis(600), "{:?}", p.lag());
}

fn request(p: &mut Play, line: &[u8]) {
    let (seq, ack) = (1 + p.asked, 1 + p.seen);
    p.s.client(PSH, seq, ack, line);
    p.asked += line.len() as u32;
}

/// A slow response is no server that speaks unasked, nor is one that pauses, nor a client that pipelines or waits for 100.
#[test]
fn a_slow_http_server_is_waited_for() {
    let mut p = Play::new(|_| ());
    let get = b"GET / HTTP/1.1\r\n\r\n";
    // Pauses, and a client that goes on while the response is on its way.
    for _ in 0..5 {
        request(&mut p, get);
        p.online(100);
        p.s.wait(Duration::from_millis(300));
        p.online(100);
        request(&mut p, get);
        p.online(50);
        p.s.wait(Duration::from_millis(300));
        p.online(50);
    }
    request(&mut p, get);
    let mut payload = 0;
    for _ in 0..8 {
        payload +=
            p.s.frames()
                .iter()
                .map(|sent| sent.payload.len())
                .sum::<usize>();
        p.s.target(ACK, 1, 1 + payload as u32, 0);
        p.s.wait(Duration::from_secs(1));
    }
    assert_eq!(payload, get.len(), "the first is still unanswered");
    assert_eq!(p.s.engine.counters().sessions_streaming, 0);
}

/// Nor is a slow server of any other protocol whose client waits for it.
#[test]
fn a_slow_server_whose_client_waits_is_waited_for() {
    let mut p = Play::new(|_| ());
    let target = |_: usize| vec![(2000, 100)];
    for _ in 0..5 {
        p.ask();
        p.pass_for(20, &target);
        p.online(100);
        p.pass_for(20, &target);
    }
    assert_eq!(p.reached.len(), 1);
    p.pass_for(12_000, &target);
    assert_eq!(p.s.engine.counters().sessions_streaming, 0);
    assert_eq!(p.wrong(), []);
    assert!(p.ended.iter().all(|turn| turn.paired));
}

/// Mail: the client greets before the banner, and its server answers in two pieces of which the client waits for the first only.
#[test]
fn early_and_split_answers_are_not_told_as_different() {
    let mut p = Play::new(|_| ());
    let target = |turn: usize| match turn {
        0 => vec![(0, 30), (1, 60), (1, 40)],
        _ => vec![(1, 20), (1, 20)],
    };
    p.ask();
    p.pass_for(1, &target);
    p.s.online(PSH, 1, 1, 30);
    p.seen += 30;
    p.online(60);
    for _ in 0..50 {
        p.ask();
        p.pass_for(1, &target);
        // The rest of the answer to the turn before left when this was on its way.
        p.s.online(PSH, 1 + p.seen, p.asked, 40);
        p.seen += 40;
        p.online(20);
        p.pass_for(4, &target);
    }
    p.pass_for(1000, &target);
    assert_eq!(p.wrong(), []);
}

/// Where turns do not wait, what answers which of them is not known; but a target that says nothing has answered none.
#[test]
fn a_silent_target_of_a_flow_that_streams_has_answered_nothing() {
    let mut p = Play::new(|config| config.response_timeout = Duration::from_secs(5));
    request(&mut p, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    p.online(10);
    p.before = p.asked;
    assert_eq!(p.s.frames().len(), 1);
    p.s.target(PSH, 1, 1 + p.before, 10);
    p.said = 10;
    let silent = |_: usize| vec![(3_600_000, 1)];
    for at in 0..20_000 {
        if at % 50 == 0 {
            p.ask();
        }
        if at % 50 == 5 {
            p.online(100);
        }
        p.pass(&silent);
    }
    let told = |outcome| {
        p.ended
            .iter()
            .filter(|turn| turn.outcome == outcome)
            .count()
    };
    let well = told(Outcome::Answered) + told(Outcome::Delivered);
    assert!(p.ended.len() > 200, "{} turns", p.ended.len());
    // Those that ended before it was known that nothing comes.
    assert!(
        well * 3 < p.ended.len(),
        "{well} of {} ended well",
        p.ended.len()
    );
}

/// A client that asks every so many milliseconds, and a target that leaves these turns without an answer.
fn left_without_an_answer(line: &'static [u8], every: u64, silent: &'static [usize]) -> Play {
    let mut p = Play::new(|config| config.response_timeout = Duration::from_secs(2));
    p.line = line;
    let target = |turn: usize| match silent.contains(&turn) {
        true => vec![],
        false => vec![(4, 700)],
    };
    for _ in 0..60 {
        p.ask();
        p.pass_for(4, &target);
        p.online(700);
        p.pass_for(every - 4, &target);
    }
    p.pass_for(30_000, &target);
    assert_eq!(p.ended.len(), 59, "the last is open");
    p
}

/// The target has said nothing at all for so long: whatever it owed before, it has not answered this one either.
#[test]
fn a_turn_without_a_word_is_compared_whatever_is_in_doubt() {
    let p = left_without_an_answer(b"get a\r\n", 100, &[5, 7, 30]);
    let silent = |turn: &&session::TurnEnded| turn.paired && turn.target.is_none();
    assert_eq!(p.ended.iter().filter(silent).count(), 3);
    assert_eq!(p.wrong(), []);
}

/// The target answers what stands behind such turns, and each answer belongs to its request.
#[test]
fn a_few_turns_without_an_answer_do_not_make_a_session_stream() {
    for silent in [&[5, 9, 13, 17, 21, 25], &[5, 7, 9, 10, 12, 13]] {
        let p = left_without_an_answer(b"get a\r\n", 100, silent);
        assert_eq!(p.s.engine.counters().sessions_streaming, 0);
        let timed_out = |turn: &&session::TurnEnded| turn.outcome == Outcome::TimedOut;
        assert_eq!(p.ended.iter().filter(timed_out).count(), 6);
    }
}

/// Those that waited meanwhile leave all at once, and the target has had no time for them yet.
#[test]
fn turns_that_were_just_sent_have_not_timed_out() {
    let p = left_without_an_answer(b"x", 1000, &[5, 7, 9]);
    assert_eq!(p.s.engine.counters().sessions_streaming, 1);
    let timed_out = |turn: &&session::TurnEnded| turn.outcome == Outcome::TimedOut;
    assert_eq!(p.ended.iter().filter(timed_out).count(), 3);
}
