//! How far a replay has read its files, for everybody who is told of a run. A file that may still grow, or a pipe, has no end that
//! anybody knows, and none is made up.

use std::fmt;
use std::time::Duration;

use exposition::Families;
use serde::Serialize;

/// How far a replay is.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Replay {
    /// Which files, which part of them, and how fast, in words.
    pub words: String,
    /// Which file is being read, from 1 on.
    pub file: u64,
    /// How many there are.
    pub files: u64,
    /// Which time they are read (`--loop`), from 1 on.
    pub round: u64,
    /// How many times they are to be.
    pub rounds: u64,
    /// Bytes that were read in this round, as they are stored.
    pub bytes: u64,
    /// Bytes of all files; `null` where one is a pipe, or may still grow.
    pub bytes_total: Option<u64>,
    /// How much of the replay is read, 0 to 1; `null` as well.
    pub share: Option<f64>,
    /// Seconds from the first packet of the files to the one that was read last, without what `--gap-max` left out.
    pub file_seconds: f64,
    /// Packets that belong to a rule.
    pub packets: u64,
    /// About how many seconds reading will still take; `null` where nobody knows.
    pub left_seconds: Option<f64>,
}

impl Replay {
    /// With what is still to come, by how long it took until now; the end is not known of what has no total, or hardly began.
    #[must_use]
    pub fn expect_end(mut self, elapsed: Duration) -> Self {
        let share = self.share.filter(|share| *share > 0.0);
        self.left_seconds = share
            .filter(|share| *share >= 1.0 || elapsed >= Duration::from_secs(1))
            .map(|share| elapsed.as_secs_f64() * (1.0 - share).max(0.0) / share);
        self
    }

    /// What is still to come, where that is known.
    pub(crate) fn left(&self) -> Option<Duration> {
        let seconds = self.left_seconds?;
        Duration::try_from_secs_f64(seconds.round()).ok()
    }

    /// As metrics.
    pub(crate) fn add(&self, families: &mut Families) {
        families
            .gauge(
                "tcpcopy_replay_read_bytes",
                "Bytes of the files that were read, as they are stored; each round begins anew.",
            )
            .count(&[], self.bytes);
        let mut size = families.gauge(
            "tcpcopy_replay_size_bytes",
            "Bytes of all files of a replay; no sample where one is a pipe or may still grow.",
        );
        if let Some(total) = self.bytes_total {
            size.count(&[], total);
        }
        families
            .gauge(
                "tcpcopy_replay_file_seconds",
                "Time of the files that was reached, from their first packet on.",
            )
            .sample(&[], self.file_seconds);
        families
            .counter(
                "tcpcopy_replay_packets_total",
                "Packets of the files that belong to a rule.",
            )
            .count(&[], self.packets);
        let mut left = families.gauge(
            "tcpcopy_replay_left_seconds",
            "About how long reading will still take; no sample where nobody knows.",
        );
        if let Some(seconds) = self.left_seconds {
            left.sample(&[], seconds);
        }
    }
}

/// How far it is, in a line.
impl fmt::Display for Replay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        match self.bytes_total {
            Some(total) => write!(
                f,
                "{:.0} % of {:.1} MiB",
                (100.0 * mib(self.bytes) / mib(total.max(1))).floor(),
                mib(total)
            )?,
            None => write!(f, "{:.1} MiB, of an unknown size", mib(self.bytes))?,
        }
        if self.files > 1 {
            write!(f, ", file {} of {}", self.file, self.files)?;
        }
        if self.rounds > 1 {
            write!(f, ", round {} of {}", self.round, self.rounds)?;
        }
        write!(
            f,
            "; {} packets, {:.1} s of the capture",
            self.packets, self.file_seconds
        )?;
        match self.left() {
            Some(left) => write!(f, "; about {} s left", left.as_secs()),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::time::Duration;

    use super::Replay;

    /// A replay that is in the middle of its files.
    pub(crate) fn replay() -> Replay {
        Replay {
            words: "a.pcap to c.pcap, 3 files, as fast as it was captured".to_owned(),
            file: 2,
            files: 3,
            round: 1,
            rounds: 1,
            bytes: 3 << 20,
            bytes_total: Some(12 << 20),
            share: Some(0.25),
            file_seconds: 12.5,
            packets: 4000,
            left_seconds: None,
        }
    }

    #[test]
    fn the_end_follows_from_what_was_read() {
        let told = replay().expect_end(Duration::from_secs(20));
        assert_eq!(told.left_seconds, Some(60.0));
        assert_eq!(
            told.to_string(),
            "25 % of 12.0 MiB, file 2 of 3; 4000 packets, 12.5 s of the capture; about 60 s left"
        );
        assert_eq!(replay().expect_end(Duration::ZERO).left_seconds, None);
        let all = Replay {
            share: Some(1.0),
            ..replay()
        };
        assert_eq!(all.expect_end(Duration::ZERO).left_seconds, Some(0.0));
    }

    #[test]
    fn what_has_no_total_has_no_end() {
        let replay = Replay {
            bytes_total: None,
            share: None,
            ..replay()
        };
        let told = replay.expect_end(Duration::from_secs(20));
        assert_eq!(told.left_seconds, None);
        assert_eq!(
            told.to_string(),
            "3.0 MiB, of an unknown size, file 2 of 3; 4000 packets, 12.5 s of the capture"
        );
    }
}
