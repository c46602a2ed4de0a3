//! Events against each other, and against what clients and targets did.

use std::collections::HashSet;

use session::{Event, Outcome, Prefix, Response, TurnEnded};
use wire::flow::FlowKey;

/// Payload bytes of each response that are asked for.
pub(super) const SAMPLE_LEN: usize = 16;

/// A beginning is no longer than was asked for or than its response, and whole only where it is as long.
fn check_sample(prefix: &Prefix, response: Option<Response>) {
    let bytes = response.map_or(0, |response| response.bytes);
    let wanted = SAMPLE_LEN.min(bytes as usize);
    let len = prefix.bytes.len();
    assert!(
        len <= wanted && prefix.whole == (len == wanted),
        "{prefix:?} of {bytes}"
    );
}

/// What the events so far add up to.
#[derive(Default)]
pub(super) struct Ledger {
    /// Connections that were opened and not closed.
    pub(super) open: HashSet<FlowKey>,
    /// Those that were closed since this was last cleared.
    pub(super) closed: Vec<FlowKey>,
    /// Turns that ended and had bytes.
    pub(super) ended: u64,
    /// Turns that were missed and had bytes.
    pub(super) missed: u64,
    /// The client's bytes in them.
    pub(super) bytes: u64,
    /// ... of which the target acknowledged.
    pub(super) bytes_acknowledged: u64,
    /// Bytes of responses that were attributed to turns in step. Out of step two turns may lay claim to the same byte.
    pub(super) bytes_answered: u64,
}

impl Ledger {
    /// Takes one event.
    pub(super) fn take(&mut self, event: Event) {
        match event {
            Event::SessionOpened { flow, .. } => {
                assert!(self.open.insert(flow), "{flow:?} is open already");
            }
            Event::SessionClosed { flow, .. } => {
                assert!(self.open.remove(&flow), "{flow:?} is not open");
                self.closed.push(flow);
            }
            Event::TurnEnded(turn) => self.take_turn(&turn),
            Event::MissedBytes { bytes, .. } => assert!(bytes > 0),
            Event::PathUnproven { .. }
            | Event::OnlineSent { .. }
            | Event::Compared(_)
            | Event::LoginFailed { .. } => {}
        }
    }

    fn take_turn(&mut self, turn: &TurnEnded) {
        assert!(turn.bytes_acknowledged <= turn.bytes, "{turn:?}");
        if turn.bytes == 0 {
            // Known of although no byte of it was captured, or is copied.
            let unseen = matches!(
                turn.outcome,
                Outcome::Gap | Outcome::Missed | Outcome::Filtered
            );
            assert!(unseen && !turn.paired, "{turn:?}");
            return;
        }
        if turn.outcome == Outcome::Missed {
            assert!(!turn.paired, "{turn:?}");
            // It had no session, or one that was given up.
            self.missed += 1;
            return;
        }
        let complete = turn.bytes_acknowledged == turn.bytes;
        match turn.outcome {
            Outcome::Answered => assert!(complete && turn.target.is_some(), "{turn:?}"),
            // Where turns do not wait, what the target has said of this one may have been taken for another.
            Outcome::Delivered => {
                assert!(
                    complete && (turn.online.is_none() || !turn.paired) && turn.samples.is_none(),
                    "{turn:?}"
                );
            }
            _ => {}
        }
        if let Some(samples) = &turn.samples {
            assert!(turn.paired, "{turn:?}");
            check_sample(&samples.online, turn.online);
            check_sample(&samples.target, turn.target);
        }
        self.ended += 1;
        self.bytes += turn.bytes;
        self.bytes_acknowledged += turn.bytes_acknowledged;
        let answer = turn.target.filter(|_| turn.paired);
        self.bytes_answered += answer.map_or(0, |response| response.bytes);
    }
}
