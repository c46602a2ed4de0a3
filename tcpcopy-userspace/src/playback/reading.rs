//! The thread that reads: frames of the files to packets, packets to cues, cues to the workers that own their flows.

use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use capture::{Files, Packet, Sum, Unwrapper};
use replay::{Player, Schedule, Speed};

use session::Instant;

use super::Source;
use super::position::{Extent, Position};
use super::sorting::{LOOK_AGAIN, Sorter, Way};
use crate::args::Args;
use crate::clock;
use crate::plan::Plan;

/// The first packet is due so long after the start, so that it has time to reach its worker.
const LEAD: Duration = Duration::from_millis(20);
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
pub(super) struct Reading {
    files: Files,
    unwrapper: Unwrapper,
    player: Player,
    sorter: Sorter,
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

impl Reading {
    pub(super) fn new(
        source: Source,
        (args, plan): (&Args, &Plan),
        ways: Vec<Way>,
        is_to_end: Arc<AtomicBool>,
        position: Arc<Mutex<Position>>,
    ) -> Self {
        let Source { files, args: file } = source;
        let schedule = Schedule::new(file.speed, file.gap_max);
        let ns = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let part = ns(file.start)..file.end.map_or(u64::MAX, ns);
        let mut sorter = Sorter::new(plan, ways, is_to_end);
        // Whoever writes to a pipe may be silent for hours in the middle of it.
        let is_pipe = |file: &PathBuf| !std::fs::metadata(file).is_ok_and(|it| it.is_file());
        sorter.is_read_slowly = file.follow || file.files.iter().any(is_pipe);
        let services = args.rules.iter().map(|rule| rule.online).collect();
        Self {
            files,
            unwrapper: Unwrapper::default(),
            player: Player::new(services, schedule, part.clone()),
            sorter,
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
    pub(super) fn run(mut self) -> Result<(), String> {
        let read = self.read_all();
        self.sorter.flush();
        self.tell();
        read
    }

    fn read_all(&mut self) -> Result<(), String> {
        let ahead = self.preview()?;
        self.sorter.start = clock::now() + LEAD;
        let mut goes_on = true;
        for packet in ahead {
            goes_on &= self.play(&packet.as_packet());
        }
        for round in 1..=self.extent.rounds {
            self.round = round;
            while goes_on && self.sorter.goes_on() {
                goes_on = self.read_on()?;
            }
            let (player, sorter) = (&mut self.player, &mut self.sorter);
            player.end(sorter.now_ns(), &mut |cue| sorter.take(&cue));
            if round == self.extent.rounds || !self.sorter.come_to_an_end() {
                break;
            }
            self.files.rewind().map_err(|error| error.to_string())?;
            self.unwrapper = Unwrapper::default();
            self.player.rewind();
            self.sorter.start = clock::now() + LEAD;
            goes_on = true;
        }
        Ok(())
    }

    /// One frame, or a moment's wait for one. Returns whether there is more to read.
    fn read_on(&mut self) -> Result<bool, String> {
        let Self {
            files,
            unwrapper,
            player,
            sorter,
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
        let now_ns = match self.speed {
            Speed::Max => sorter.now_ns(),
            Speed::Times(_) => 0,
        };
        let mut goes_on = true;
        unwrapper.unwrap(&frame, &mut |packet| {
            goes_on &= player.play(&packet, now_ns, &mut |cue| sorter.take(&cue));
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
        let (player, sorter) = (&mut self.player, &mut self.sorter);
        player.play(packet, sorter.now_ns(), &mut |cue| sorter.take(&cue))
    }

    /// Looks at the beginning of the files, to see whether they have both sides of the rules' flows. Of what is still being written
    /// nobody knows: it is taken to have both.
    fn preview(&mut self) -> Result<Vec<Ahead>, String> {
        let (mut ahead, mut bytes, mut sides) = (Vec::new(), 0, [0_usize; 2]);
        if self.sorter.is_read_slowly {
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
            self.sorter.is_one_sided = true;
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
            sampled_out: self.sorter.sampled_out,
            // Of all ports, and asked for where nothing else is there.
            ports: if counts.clients + counts.online == 0 {
                self.player.census().busiest(PORTS_TOLD)
            } else {
                Vec::new()
            },
            gaps: schedule.gaps(),
            leaps_back: schedule.leaps_back(),
            is_one_sided: self.sorter.is_one_sided,
            unwrapped: *self.unwrapper.counts(),
            notes: { self.files.counts().notes().iter() }
                .map(ToString::to_string)
                .collect(),
        };
        *self.position.lock().unwrap_or_else(PoisonError::into_inner) = position;
    }
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
