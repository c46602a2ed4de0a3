//! The files of a replay in the course of a run: opened before anything is changed, read from `ready` on, and what the user should hear
//! of them.

use std::time::Duration;

use capture::UnwrapCounts;
use crossbeam_channel::Receiver;
use telemetry::{Figures, Replay};
use tracing::{error, info, warn};

use super::ending::Unusable;
use crate::args::Args;
use crate::dials::Dials;
use crate::plan::Plan;
use crate::playback::{self, Playback, Position, Source};
use crate::worker::cues::Batch;
use crate::worker::handle::WorkerHandle;

/// How often the position is told.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// The files of a replay.
pub(super) struct Replaying {
    playback: Playback,
    /// Which files, and how fast.
    words: String,
    told: Told,
}

/// What was told so far.
#[derive(Debug, Default)]
struct Told {
    at: Duration,
    one_sided: bool,
    gaps: bool,
    leaps_back: bool,
    cut: bool,
    notes: usize,
}

impl Replaying {
    /// Opens the files, of a run that has some.
    pub(super) fn open(args: &Args) -> Result<Option<Self>, Unusable> {
        let Some(files) = &args.replay else {
            return Ok(None);
        };
        let source = Source::open(files);
        let source = source.map_err(|error| Unusable::new(error, "file-unreadable"))?;
        let playback = Playback::new(source);
        playback.sample(Dials::new(args).tuning(1, 0).threshold());
        Ok(Some(Self {
            playback,
            words: playback::of_files(files),
            told: Told::default(),
        }))
    }

    /// Where each of the workers gets its packets from.
    pub(super) fn queues(&mut self, workers: u32) -> Vec<Receiver<Batch>> {
        self.playback.queues(workers)
    }

    /// Flows below this place are played from now on, and no others.
    pub(super) fn sample(&self, threshold: u32) {
        self.playback.sample(threshold);
    }

    /// Whether packets are due at times of their own.
    pub(super) fn are_timed(&self) -> bool {
        self.playback.is_timed()
    }

    /// The thread that reads, for a run that takes the packets itself.
    pub(super) const fn playback(&mut self) -> &mut Playback {
        &mut self.playback
    }

    /// Begins to read.
    pub(super) fn start(&mut self, args: &Args, plan: &Plan, workers: &[WorkerHandle]) {
        if let Err(error) = self.playback.start(args, plan, workers) {
            // The workers see that nobody hands them anything, and the run ends.
            error!(
                finding = "limit-short",
                "cannot start the thread that reads the files: {error}"
            );
        }
    }

    /// Whether everything was read.
    pub(super) fn are_read(&self) -> bool {
        self.playback.is_over()
    }

    /// Nothing more is to be read; says why it ended where the files could not be read to their end.
    pub(super) fn end(&mut self) -> Option<String> {
        let unread = self.playback.end();
        self.told.notice(&self.playback.position());
        unread
    }

    /// That no packet belongs to a rule, and what there is instead.
    pub(super) fn nothing_matched(&self) -> Option<String> {
        self.playback.nothing_matched()
    }

    /// Says how far it is, now and then, and once of each kind what the files have; `elapsed` since the run was ready.
    pub(super) fn look(&mut self, elapsed: Duration) {
        let position = self.playback.position();
        self.told.notice(&position);
        if elapsed.saturating_sub(self.told.at) >= TELL_EVERY && !self.playback.is_over() {
            self.told.at = elapsed;
            info!("replayed   {}", self.progress(elapsed));
        }
    }

    /// How far it is; `elapsed` since the run was ready.
    pub(super) fn progress(&self, elapsed: Duration) -> Replay {
        let position = self.playback.position();
        let counts = &position.counts;
        let replay = Replay {
            words: self.words.clone(),
            file: position.file.0 as u64,
            files: position.file.1 as u64,
            round: position.round.0.into(),
            rounds: position.round.1.into(),
            bytes: position.bytes,
            bytes_total: position.bytes_total,
            share: position.share,
            file_seconds: position.file_time.as_secs_f64(),
            packets: counts.clients + counts.online,
            left_seconds: None,
        };
        replay.expect_end(elapsed)
    }

    /// What became of the files' packets, for the summary.
    pub(super) fn notes(&self, notes: &mut Figures) {
        let position = self.playback.position();
        let counts = &position.counts;
        for (name, count) in [
            ("replay_client_packets", counts.clients),
            ("replay_online_packets", counts.online),
            ("replay_unmatched_packets", counts.unmatched),
            ("replay_malformed_packets", counts.malformed),
            ("replay_copies_left_out", counts.copies),
            ("replay_outside_packets", counts.outside),
            ("replay_sampled_out_packets", position.sampled_out),
            ("replay_bad_sums", counts.doubtful),
            ("replay_bad_sums_dropped", counts.doubtful_dropped),
            ("replay_early_packets", counts.early),
            ("replay_late_packets", counts.late),
            ("replay_cut_packets", counts.cut),
            ("replay_cut_bytes", counts.cut_bytes),
            ("replay_renamed_flows", counts.aliased),
            ("replay_unnamed_packets", counts.unaliased),
            ("replay_seen_twice_packets", counts.again),
            ("replay_made_packets", counts.made),
            ("replay_gaps_shortened", position.gaps.0),
            ("replay_leaps_back", position.leaps_back),
            ("replay_no_tcp_frames", no_tcp(&position.unwrapped)),
            ("replay_damaged_packets", damaged(&position.unwrapped)),
            ("replay_fragments_left", position.unwrapped.fragments_left),
        ] {
            notes.push(name, count);
        }
    }
}

impl Told {
    fn notice(&mut self, position: &Position) {
        for note in position.notes.iter().skip(self.notes) {
            warn!(finding = "file-damaged", "{note}");
        }
        self.notes = self.notes.max(position.notes.len());
        let counts = &position.counts;
        if once(&mut self.one_sided, position.is_one_sided) {
            warn!(
                finding = "one-side-of-a-file",
                "the files have what clients said and nothing of what they were answered: requests leave when their clients had acknowledged \
                 the response before, and nothing is compared"
            );
        }
        if once(&mut self.gaps, position.gaps.0 > 0) {
            warn!(
                finding = "gap-shortened",
                "the files have a silence that is longer than --gap-max: it was made so short, as all such are (replay_gaps_shortened)"
            );
        }
        if once(&mut self.leaps_back, position.leaps_back > 0) {
            warn!(
                finding = "stamps-go-back",
                "the files' stamps go back by more than a second: what follows is replayed at once, in the order of the files"
            );
        }
        if once(&mut self.cut, counts.cut > 0) {
            warn!(
                finding = "packets-cut",
                "packets of clients are not whole in the files, and what is missing is not sent: their requests end as `gap`. Capture \
                 whole packets: tcpdump -s 0, dumpcap -s 262144"
            );
        }
    }
}

/// Frames that carry something else than TCP.
const fn no_tcp(counts: &UnwrapCounts) -> u64 {
    counts.not_ip + counts.udp + counts.icmp + counts.other_protocol
}

/// Packets of which too little is in the files, or whose headers contradict themselves.
const fn damaged(counts: &UnwrapCounts) -> u64 {
    counts.malformed + counts.header_cut + counts.too_deep
}

/// Whether something is so for the first time.
const fn once(told: &mut bool, is_so: bool) -> bool {
    let is_new = is_so && !*told;
    *told |= is_so;
    is_new
}
