//! Which turns are compared: those of which it is certain that both servers have answered the same.

use super::*;

impl Script {
    /// Whether each turn that ended is compared.
    fn compared(&mut self) -> Vec<bool> {
        core::iter::from_fn(|| self.engine.poll_event())
            .filter_map(|event| match event {
                Event::TurnEnded(turn) => Some(turn.paired),
                _ => None,
            })
            .collect()
    }
}

/// The target has closed before the first request, whose connection is another one: its greeting is waited for as the first one's.
#[test]
fn a_second_connection_waits_for_the_greeting_as_well() {
    let mut s = Script::new();
    s.handshake();
    s.online(PSH, 1, 1, 40);
    s.target(RST, 1, 1, 0).wait(Duration::from_secs(1)).frames();
    s.client(PSH, 1, 41, b"a").expect(&[sent(SYN, 0, 0, b"")]);
    s.target(SYN.with(ACK), 0, 1, 0)
        .expect(&[sent(ACK, 1, 1, b"")]);
    s.target(PSH, 1, 1, 40).expect(&[sent(PSH, 1, 41, b"a")]);
    s.online(PSH, 41, 2, 100).target(PSH, 41, 2, 100);
    s.client(PSH, 2, 141, b"b").wait(Duration::from_secs(1));
    assert_eq!(s.compared(), [true]);
}

/// The target has refused the connection of the first turn: that of the second begins with a greeting, which is not waited for.
#[test]
fn what_begins_with_the_greeting_of_a_refused_first_turn_is_not_compared() {
    for (said, is_compared) in [(100, true), (140, false)] {
        let mut s = Script::new();
        s.client(SYN, 0, 0, b"").online(SYN.with(ACK), 0, 1, 0);
        s.online(PSH, 1, 1, 40).client(PSH, 1, 41, b"a").frames();
        s.target(RST, 0, 1, 0).online(PSH, 41, 2, 100);
        s.wait(Duration::from_secs(1)).frames();
        s.client(PSH, 2, 141, b"b").expect(&[sent(SYN, 0, 0, b"")]);
        s.target(SYN.with(ACK), 0, 1, 0)
            .expect(&[sent(PSH, 1, 1, b"b")]);
        s.online(PSH, 141, 3, 100).target(PSH, 1, 2, said);
        s.client(PSH, 3, 241, b"c").wait(Duration::from_secs(1));
        assert_eq!(s.compared().last(), Some(&is_compared));
    }
}

/// The SYN-ACK was not seen, and whether the server has greeted its client before the first request is not known: of what the target
/// says a part may be a greeting.
#[test]
fn what_may_begin_with_a_greeting_is_not_compared() {
    for (said, is_compared) in [(100, true), (130, false)] {
        let mut s = Script::with(|config| config.in_order = false);
        s.client(SYN, 0, 0, b"").client(PSH, 1, 41, b"a");
        s.expect(&[sent(SYN, 0, 0, b"")]);
        s.target(SYN.with(ACK), 0, 1, 0)
            .expect(&[sent(PSH, 1, 1, b"a")]);
        s.online(PSH, 41, 2, 100).target(PSH, 1, 2, said);
        s.client(PSH, 2, 141, b"b").wait(Duration::from_secs(1));
        assert_eq!(s.compared(), [is_compared]);
    }
}

/// A target that answers in three parts where the online server's answer is as long as the first, and where the parts come a round
/// trip late: nobody knows which turn they answer, and not only of the first that gets one of them.
#[test]
fn behind_an_answer_that_may_go_on_none_is_compared_until_one_is_known() {
    let mut s = Script::new();
    s.handshake();
    let (mut seen, mut said) = (0, 0);
    let mut turn = |s: &mut Script, asked: u32, online: u32, target: &[u32]| {
        s.client(PSH, asked, 1 + seen, b"a").frames();
        s.online(PSH, 1 + seen, 1 + asked, online as usize);
        seen += online;
        for len in target {
            s.target(PSH, 1 + said, 1 + asked, *len as usize);
            said += len;
        }
    };
    turn(&mut s, 1, 100, &[130]);
    // What is left of the first answer, and the second.
    turn(&mut s, 2, 70, &[90]);
    turn(&mut s, 3, 60, &[80]);
    turn(&mut s, 4, 50, &[50]);
    turn(&mut s, 5, 50, &[50]);
    turn(&mut s, 6, 50, &[50]);
    turn(&mut s, 7, 50, &[50]);
    assert_eq!(s.compared(), [true, false, false, false, false, true]);
}

/// The same where each second answer is cut in two, and what is left of it comes with the next: as many bytes more each second time are
/// no row, since what comes in between only happens to be as much.
#[test]
fn answers_that_are_longer_by_as_much_every_other_time_are_no_row() {
    let mut s = Script::new();
    s.handshake();
    let (mut seen, mut said) = (0u32, 0u32);
    for asked in 1..12 {
        let (online, target) = if asked % 2 == 1 { (25, 13) } else { (90, 102) };
        s.client(PSH, asked, 1 + seen, b"a");
        s.wait(Duration::from_secs(2)).frames();
        s.online(PSH, 1 + seen, 1 + asked, online);
        s.target(PSH, 1 + said, 1 + asked, target);
        seen += online as u32;
        said += target as u32;
    }
    let compared = s.compared();
    assert!(compared[1..].iter().all(|it| !*it), "{compared:?}");
}

/// All answers are 3,000 bytes longer, and their ends look alike. One that is longer by less may have been cut: its rest comes with
/// the next turn, whose answer looks like any other.
#[test]
fn behind_an_answer_that_is_longer_by_another_amount_none_is_compared() {
    let mut s = Script::new();
    s.handshake();
    let (mut seen, mut said) = (0u32, 0u32);
    let mut turn = |s: &mut Script, asked: u32, online: u32, target: u32| {
        s.client(PSH, asked, 1 + seen, b"a").frames();
        s.online(PSH, 1 + seen, 1 + asked, online as usize);
        seen += online;
        let mut left = target;
        while left > 0 {
            let len = left.min(1460);
            left -= len;
            let flags = if left == 0 { PSH } else { ACK };
            s.target(flags, 1 + said, 1 + asked, len as usize).frames();
            said += len;
        }
        s.wait(Duration::from_millis(300)).frames();
    };
    for asked in 1..30 {
        turn(&mut s, asked, 400 + asked, 3400 + asked);
    }
    turn(&mut s, 30, 1288, 4096);
    turn(&mut s, 31, 1096, 192 + 3904);
    turn(&mut s, 32, 400, 3400 + 192);
    let compared = s.compared();
    assert_eq!(compared[20..], [&[true; 10][..], &[false; 1]].concat());
}

/// The target pauses in the middle of an answer that is unsure, behind a segment that does not look like its end: that it said nothing
/// more for a while does not make it known.
#[test]
fn an_unsure_answer_without_an_end_is_not_compared() {
    let mut s = Script::new();
    s.handshake();
    let (mut asked, mut seen, mut said) = (1u32, 1u32, 1u32);
    let mut turn = |s: &mut Script, online: u32, flags: Flags, target: u32| {
        s.client(PSH, asked, seen, b"a");
        s.wait(Duration::from_millis(100)).frames();
        asked += 1;
        s.online(PSH, seen, asked, online as usize);
        s.target(flags, said, asked, target as usize).frames();
        (seen, said) = (seen + online, said + target);
    };
    // Silences are known to be short.
    for number in 0..16 {
        turn(&mut s, 300 + 7 * number, PSH, 100 + 5 * number);
        s.wait(Duration::from_millis(300)).frames();
    }
    turn(&mut s, 1444, PSH, 482);
    turn(&mut s, 3431, ACK, 1460);
    s.client(PSH, asked, seen, b"c")
        .wait(Duration::from_secs(9));
    let compared = s.compared();
    assert_eq!(compared.last(), Some(&false), "{compared:?}");
}

/// Answers three times as long as the online server's, of many lengths, on connections that come and go: after a hundred or so their
/// ends are known, and all are compared.
#[test]
fn longer_answers_are_compared_once_their_ends_are_known() {
    let mut s = Script::new();
    s.handshake();
    let (mut seen, mut said, mut asked) = (0u32, 0u32, 1u32);
    for turn in 0..400u32 {
        if turn % 30 == 29 {
            s.client(FIN, asked, 1 + seen, b"");
            s.online(FIN, 1 + seen, asked + 1, 0).frames();
            s.target(FIN, 1 + said, asked + 1, 0).frames();
            s.client.port += 1;
            s.handshake();
            (seen, said, asked) = (0, 0, 1);
        }
        s.client(PSH, asked, 1 + seen, b"a").frames();
        asked += 1;
        let online = 238 + (turn.wrapping_mul(2_654_435_761) >> 16) % 7 * 211;
        s.online(PSH, 1 + seen, asked, online as usize);
        seen += online;
        // As the kernel hands over what it has received in a row.
        s.target(PSH, 1 + said, asked, 3 * online as usize).frames();
        said += 3 * online;
        let pause = 1 + u64::from(turn * 104_729 % 50);
        s.wait(Duration::from_millis(pause)).frames();
    }
    let compared = s.compared();
    assert!(compared[200..].iter().all(|it| *it), "{compared:?}");
}

/// Answers in two to four pieces, each of which looks like the last, and always as long in all: that more comes behind the first of
/// them says nothing against the whole.
#[test]
fn answers_in_pieces_are_compared_once_their_length_is_known() {
    let mut s = Script::new();
    s.handshake();
    let (mut seen, mut said) = (0u32, 0u32);
    for turn in 0..200u32 {
        let random = turn.wrapping_mul(2_654_435_761) >> 16;
        s.client(PSH, 1 + turn, 1 + seen, b"a").frames();
        let online = 238 + random % 7 * 111;
        s.online(PSH, 1 + seen, 2 + turn, online as usize);
        seen += online;
        let pieces = 2 + random % 3;
        for _ in 0..pieces {
            s.target(PSH, 1 + said, 2 + turn, 6000 / pieces as usize)
                .frames();
            said += 6000 / pieces;
        }
        s.wait(Duration::from_millis(20)).frames();
    }
    let compared = s.compared();
    assert!(compared[100..].iter().all(|it| *it), "{compared:?}");
}

/// An answer that is longer than the online server's is acknowledged at once: a target whose congestion window is full waits for that
/// with the rest, which would come with the answer to the next turn.
#[test]
fn a_longer_answer_is_acknowledged_at_once() {
    for (said, acknowledged) in [(100, false), (130, true)] {
        let mut s = Script::new();
        s.handshake();
        s.client(PSH, 1, 1, b"a").expect(&[sent(PSH, 1, 1, b"a")]);
        s.online(PSH, 1, 2, 100).target(PSH, 1, 2, said);
        match acknowledged {
            true => s.expect(&[sent(ACK, 2, 131, b"")]),
            false => s.expect(&[]),
        };
    }
}

/// Answers of random lengths, whose ends are known by how they look: one that is too short by just as much as the one before was too
/// long is taken for as long as the online server's, but makes those behind it no less known.
#[test]
fn a_sum_that_happens_to_be_right_does_not_end_the_comparison() {
    let mut s = Script::new();
    s.handshake();
    let (mut seen, mut said) = (0u32, 0u32);
    for turn in 0..200u32 {
        s.client(PSH, 1 + turn, 1 + seen, b"a").frames();
        let target = match turn % 50 {
            40 => 650,
            41 => 550,
            _ => 500 + (turn.wrapping_mul(2_654_435_761) >> 16) % 199,
        };
        s.online(PSH, 1 + seen, 2 + turn, 600);
        seen += 600;
        s.target(PSH, 1 + said, 2 + turn, target as usize).frames();
        said += target;
        // Longer than any silence that a turn waits for.
        s.wait(Duration::from_millis(250)).frames();
    }
    let compared = s.compared();
    let others = (100..)
        .zip(&compared[100..])
        .filter(|(turn, _)| turn % 50 != 41);
    assert!(others.map(|(_, it)| it).all(|it| *it), "{compared:?}");
}

/// Answers that are longer by one of few amounts, numbers of some digits say: three in a row that are longer by as much happen by chance,
/// and the next one, which is not, is no odd one.
#[test]
fn three_answers_that_happen_to_be_alike_make_the_next_one_no_less_known() {
    let mut s = Script::new();
    s.handshake();
    let (mut seen, mut said) = (0u32, 0u32);
    for turn in 0..400u32 {
        let random = turn.wrapping_mul(2_654_435_761) >> 16;
        s.client(PSH, 1 + turn, 1 + seen, b"a").frames();
        let online = 120;
        s.online(PSH, 1 + seen, 2 + turn, online as usize);
        seen += online;
        let target = online + [0, 0, 4, 5, 5][random as usize % 5];
        s.target(PSH, 1 + said, 2 + turn, target as usize).frames();
        said += target;
        s.wait(Duration::from_millis(250)).frames();
    }
    let compared = s.compared();
    let known = compared[100..].iter().filter(|it| **it).count();
    assert!(known >= 290, "{known} of 300: {compared:?}");
}
