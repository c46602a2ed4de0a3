//! What a worker measures, until it hands it over.
//!
//! Most responses are one segment, whose first byte comes with its last: those are counted once and belong to both series.

use core::time::Duration;

use session::TurnEnded;

use super::cells::{Cell, Cells, Nanos};
use super::{Latency, Series};

/// The times that a worker has measured since it handed them over.
#[derive(Clone, Debug, Default)]
pub struct Recorder {
    online: Responses,
    target: Responses,
    target_net: Responses,
    target_intended: Responses,
    lag: Cells,
    reaction: Cells,
    round: Cells,
    has_no_pace: bool,
}

/// The times of one server's responses.
#[derive(Clone, Debug, Default)]
struct Responses {
    first: Cells,
    last: Cells,
    /// Responses whose first byte came with the last.
    both: Cells,
}

impl Recorder {
    /// Nothing was measured yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Turns are due at no time of their own: a file that is replayed as fast as the target answers. None of them is late.
    pub const fn has_no_pace(&mut self) {
        self.has_no_pace = true;
    }

    /// Adds what was measured of a turn.
    pub fn record(&mut self, turn: &TurnEnded) {
        let lag = Nanos::of(turn.lag);
        if !self.has_no_pace {
            self.lag.add(Cell::of(lag));
        }
        // A target that was kept from sending has times of our making.
        let comparable = turn.paired && !turn.paced;
        if let (true, Some(online), Some(target)) = (comparable, turn.online, turn.target) {
            let path = Nanos::of(turn.round_trip.unwrap_or_default());
            self.online
                .add(Nanos::of(online.first), Nanos::of(online.last));
            let (first, last) = (Nanos::of(target.first), Nanos::of(target.last));
            self.target.add(first, last);
            self.target_net.add(first.less(path), last.less(path));
            if !self.has_no_pace {
                self.target_intended.add(first.and(lag), last.and(lag));
            }
        }
    }

    /// Adds how long it took from a reply until the frames that it let go were handed to the kernel.
    pub fn record_reaction(&mut self, time: Duration) {
        self.reaction.add(Cell::of(Nanos::of(time)));
    }

    /// Adds how long a round of the worker's loop took that found work.
    pub fn record_round(&mut self, time: Duration) {
        self.round.add(Cell::of(Nanos::of(time)));
    }

    /// Moves everything measured so far into `into` and starts afresh.
    pub fn drain_into(&mut self, into: &mut Latency) {
        use Series::{
            Lag, OnlineFirst, OnlineLast, Reaction, Round, TargetFirst, TargetFirstIntended,
            TargetFirstNet, TargetLast, TargetLastIntended, TargetLastNet,
        };
        let sides = [
            (&mut self.online, OnlineFirst, OnlineLast),
            (&mut self.target, TargetFirst, TargetLast),
            (&mut self.target_net, TargetFirstNet, TargetLastNet),
            (
                &mut self.target_intended,
                TargetFirstIntended,
                TargetLastIntended,
            ),
        ];
        for (responses, first, last) in sides {
            let Responses {
                first: firsts,
                last: lasts,
                both,
            } = responses;
            firsts.drain(|micros, count| into.add_micros(first, micros, count));
            lasts.drain(|micros, count| into.add_micros(last, micros, count));
            both.drain(|micros, count| {
                into.add_micros(first, micros, count);
                into.add_micros(last, micros, count);
            });
        }
        for (cells, series) in [
            (&mut self.lag, Lag),
            (&mut self.reaction, Reaction),
            (&mut self.round, Round),
        ] {
            cells.drain(|micros, count| into.add_micros(series, micros, count));
        }
    }
}

impl Responses {
    /// Adds both times of a response.
    #[inline]
    fn add(&mut self, first: Nanos, last: Nanos) {
        if first == last {
            self.both.add(Cell::of(last));
        } else {
            self.first.add(Cell::of(first));
            self.last.add(Cell::of(last));
        }
    }
}
