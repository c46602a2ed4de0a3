//! The thread that reads: frames of the files to packets, packets to cues, cues to the workers that own their flows.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use capture::{Files, Packet, Sum, Unwrapper};
use replay::{Cue, Player, Schedule, Speed};
use session::Instant;
use wire::flow::sampled;

use super::Source;
use super::position::{Extent, Position};
use super::sink::Sink;
use super::sorting::LOOK_AGAIN;
use crate::args::{Args, FileArgs, RuleArg};
use crate::clock;

/// How many frames are read between two words on how far the files are read.
const TELL_EVERY: u32 = 1024;
/// How often that is told where the thread waits for a time to come.
const TELL_WAITING: Duration = Duration::from_millis(200);
/// Most packets of the rules that are looked at to see whether the files have both sides of their flows ...
const PREVIEW_PACKETS: usize = 1024;
/// ... and most bytes, of which most may belong to no rule.
const PREVIEW_BYTES: usize = 16 << 20;
/// Fewer packets of clients, without any of the online server, say nothing.
const ONE_SIDED_MIN: usize = 3;
/// Ports that are named where no rule speaks of them.
const PORTS_TOLD: usize = 5;

/// Everything that the thread owns.
pub(super) struct Reading<S> {
    files: Files,
    unwrapper: Unwrapper,
    player: Player,
    sorter: S,
    /// Whether the thread may wait in the middle of a file for what is written to it.
    is_read_slowly: bool,
    is_one_sided: bool,
    /// Which flows are taken (-r), and packets of others.
    /// The seed and the threshold of [`wire::flow::sampled`].
    sample: (u32, Arc<AtomicU32>),
    sampled_out: u64,
    speed: Speed,
    extent: Extent,
    /// Which time the files are read, from 1 on.
    round: u32,
    position: Arc<Mutex<Position>>,
    /// Frames that were read since the position was told, and when that was.
    untold: u32,
    told: Instant,
}

/// A packet that was looked at before its time.
struct Ahead {
    at_ns: u64,
    network: u32,
    interface: u32,
    missing: u32,
    sum: Sum,
    bytes: Vec<u8>,
}

impl<S: Sink> Reading<S> {
    pub(super) fn new(
        source: Source,
        (args, sample): (&Args, (u32, Arc<AtomicU32>)),
        sorter: S,
        position: Arc<Mutex<Position>>,
    ) -> Self {
        let Source { files, args: file } = source;
        let schedule = Schedule::new(file.speed, file.gap_max);
        let ns = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let part = ns(file.start)..file.end.map_or(u64::MAX, ns);
        let services = args.rules.iter().map(|rule| rule.online).collect();
        let has_module = |rule: &&RuleArg| args.module_of(rule).is_some();
        let with_module = args.rules.iter().filter(has_module);
        let whole = with_module.map(|rule| rule.online).collect();
        Self {
            files,
            unwrapper: Unwrapper::default(),
            player: Player::new(services, schedule, part.clone()).with_whole_answers_of(whole),
            sorter,
            is_read_slowly: is_read_slowly(&file),
            is_one_sided: false,
            sample,
            sampled_out: 0,
            speed: file.speed,
            extent: Extent {
                part,
                rounds: file.times,
                follow: file.follow,
                before: 0,
            },
            round: 1,
            position,
            untold: 0,
            told: Instant::default(),
        }
    }

    /// Reads to the end, or until nobody takes packets any more.
    ///
    /// # Errors
    ///
    /// Where a file cannot be read, in words.
    pub(super) fn run(mut self) -> (S, Result<(), String>) {
        let read = self.read_all();
        self.sorter.flush();
        self.tell();
        (self.sorter, read)
    }

    fn read_all(&mut self) -> Result<(), String> {
        let ahead = self.preview()?;
        self.sorter.begin();
        let mut goes_on = true;
        for packet in ahead {
            goes_on &= self.play(&packet.as_packet());
        }
        for round in 1..=self.extent.rounds {
            self.round = round;
            while goes_on && self.sorter.goes_on() {
                goes_on = self.read_on()?;
            }
            self.release_rest();
            if round == self.extent.rounds || !self.sorter.come_to_an_end() {
                break;
            }
            self.files.rewind().map_err(|error| error.to_string())?;
            self.unwrapper = Unwrapper::default();
            self.player.rewind();
            self.sorter.begin();
            goes_on = true;
        }
        Ok(())
    }

    /// One frame, or a moment's wait for one. Returns whether there is more to read.
    fn read_on(&mut self) -> Result<bool, String> {
        let now_ns = match self.speed {
            Speed::Max => self.sorter.now_ns(),
            Speed::Times(_) => 0,
        };
        let Self {
            files,
            unwrapper,
            player,
            sorter,
            sample,
            sampled_out,
            ..
        } = self;
        let Some(frame) = files.next().map_err(|error| error.to_string())? else {
            if self.extent.follow {
                self.sorter.flush();
                self.tell();
                thread::sleep(LOOK_AGAIN);
            }
            return Ok(self.extent.follow);
        };
        let mut goes_on = true;
        let mut take = |cue: Cue<'_>| hand_on(&cue, sample, sampled_out, sorter);
        unwrapper.unwrap(&frame, &mut |packet| {
            goes_on &= player.play(&packet, now_ns, &mut take);
        });
        self.untold += 1;
        if self.untold >= TELL_EVERY {
            self.sorter.flush();
            self.tell();
        } else if self.sorter.has_waited() && clock::now().since(self.told) >= TELL_WAITING {
            // A silence of the file, in which nobody reads: how far it is must not be that of long ago.
            self.tell();
        }
        Ok(goes_on)
    }

    fn play(&mut self, packet: &Packet<'_>) -> bool {
        let now_ns = self.sorter.now_ns();
        let (player, mut take) = self.taking();
        player.play(packet, now_ns, &mut take)
    }

    /// What waits for more of the files.
    fn release_rest(&mut self) {
        let now_ns = self.sorter.now_ns();
        let (player, mut take) = self.taking();
        player.end(now_ns, &mut take);
    }

    /// Who plays packets, and what takes them.
    fn taking(&mut self) -> (&mut Player, impl FnMut(Cue<'_>)) {
        let Self {
            player,
            sorter,
            sample,
            sampled_out,
            ..
        } = self;
        let take = |cue: Cue<'_>| hand_on(&cue, sample, sampled_out, sorter);
        (player, take)
    }

    /// Looks at the beginning of the files, to see whether they have both sides of the rules' flows. Of what is still being written
    /// nobody knows: it is taken to have both.
    fn preview(&mut self) -> Result<Vec<Ahead>, String> {
        let (mut ahead, mut bytes, mut sides) = (Vec::new(), 0, [0_usize; 2]);
        if self.is_read_slowly {
            return Ok(ahead);
        }
        while sides.iter().sum::<usize>() < PREVIEW_PACKETS && bytes < PREVIEW_BYTES {
            let Some(frame) = self.files.next().map_err(|error| error.to_string())? else {
                break;
            };
            let player = &self.player;
            self.unwrapper.unwrap(&frame, &mut |packet| {
                if let Some(side) = player.side_of(&packet) {
                    sides[side as usize] += 1;
                }
                bytes += packet.bytes.len();
                ahead.push(Ahead::of(&packet));
            });
        }
        let [clients, online] = sides;
        if clients >= ONE_SIDED_MIN && online == 0 {
            self.is_one_sided = true;
            self.sorter.has_one_side();
            self.player.has_one_side();
        }
        Ok(ahead)
    }

    /// Leaves word of how far it is.
    fn tell(&mut self) {
        self.untold = 0;
        self.told = clock::now();
        let progress = self.files.progress();
        let (schedule, counts) = (self.player.schedule(), self.player.counts());
        if schedule.reached_ns() < self.extent.part.start {
            self.extent.before = progress.read;
        }
        let position = Position {
            file: (progress.file, progress.files),
            round: (self.round, self.extent.rounds),
            bytes: progress.read,
            bytes_total: self.extent.total(&progress),
            file_time: Duration::from_nanos(schedule.reached_ns()),
            share: self
                .extent
                .share(&progress, self.round, schedule.reached_ns()),
            counts: *counts,
            sampled_out: self.sampled_out,
            // Of all ports, and asked for where nothing else is there.
            ports: if counts.clients + counts.online == 0 {
                self.player.census().busiest(PORTS_TOLD)
            } else {
                Vec::new()
            },
            gaps: schedule.gaps(),
            leaps_back: schedule.leaps_back(),
            is_one_sided: self.is_one_sided,
            unwrapped: *self.unwrapper.counts(),
            notes: { self.files.counts().notes().iter() }
                .map(ToString::to_string)
                .collect(),
        };
        *self.position.lock().unwrap_or_else(PoisonError::into_inner) = position;
    }
}

/// A packet of a flow in the sample goes on.
fn hand_on(
    cue: &Cue<'_>,
    (seed, threshold): &(u32, Arc<AtomicU32>),
    sampled_out: &mut u64,
    sink: &mut impl Sink,
) {
    if sampled(&cue.flow, *seed, threshold.load(Ordering::Relaxed)) {
        sink.take(cue);
    } else {
        *sampled_out += 1;
    }
}

/// Whoever writes to a pipe may be silent for hours in the middle of it.
pub(super) fn is_read_slowly(file: &FileArgs) -> bool {
    let is_pipe = |file: &PathBuf| !std::fs::metadata(file).is_ok_and(|it| it.is_file());
    file.follow || file.files.iter().any(is_pipe)
}

impl Ahead {
    fn of(packet: &Packet<'_>) -> Self {
        Self {
            at_ns: packet.at_ns,
            network: packet.network,
            interface: packet.interface,
            missing: packet.missing,
            sum: packet.sum,
            bytes: packet.bytes.to_vec(),
        }
    }

    fn as_packet(&self) -> Packet<'_> {
        Packet {
            at_ns: self.at_ns,
            network: self.network,
            interface: self.interface,
            missing: self.missing,
            sum: self.sum,
            bytes: &self.bytes,
        }
    }
}
