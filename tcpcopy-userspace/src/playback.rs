//! A replay's source of traffic: a thread that reads capture files and hands each worker the packets of its flows, ahead of their time.
//!
//! | module | holds |
//! |---|---|
//! | [`reading`] | the thread |
//! | [`position`] | how far it is |
//! | [`sink`] | who takes the packets |
//! | [`sorting`] | from one stream to the workers' queues |
//! | [`words`] | what is said of the files |
//!
//! The files are opened before anything is changed on this host, so that what cannot be read is refused like any other argument. The
//! thread reads no further ahead than its queues are long.

mod position;
mod reading;
pub(crate) mod sink;
mod sorting;
mod words;

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};
use replay::Speed;
use wire::flow::SAMPLE_ALL;

use crate::args::{Args, FileArgs};
use crate::plan::Plan;
use crate::worker::cues::Batch;
use crate::worker::handle::WorkerHandle;
pub(crate) use position::Position;
use reading::{Reading, is_read_slowly};
use sink::Sink;
use sorting::{Sorter, Way};
pub(crate) use words::of_files;

const _: () = assert!(replay::player::SAMPLE_LEN_MAX >= abi::record::SAMPLE_LEN_MAX as usize);

/// How long the thread may take to see that it is to end.
const END_MAX: Duration = Duration::from_millis(500);
/// Most batches that wait for one worker.
const BATCHES_MAX: usize = 64;

/// The files of a replay, opened.
pub(crate) struct Source {
    files: capture::Files,
    args: FileArgs,
}

impl Source {
    /// Opens them and reads their heads.
    ///
    /// # Errors
    ///
    /// What cannot be read, and why.
    pub(crate) fn open(args: &FileArgs) -> Result<Self, capture::Error> {
        let files = capture::Files::open(&args.files, args.follow)?;
        if args.times > 1 {
            files.can_be_read_again()?;
        }
        Ok(Self {
            files,
            args: args.clone(),
        })
    }
}

/// The thread that plays the files, before and while it runs.
pub(crate) struct Playback {
    source: Option<Source>,
    senders: Vec<Sender<Batch>>,
    thread: Option<JoinHandle<Result<(), String>>>,
    is_to_end: Arc<AtomicBool>,
    /// See [`Playback::sample`].
    threshold: Arc<AtomicU32>,
    position: Arc<Mutex<Position>>,
}

impl Playback {
    /// No thread yet.
    pub(crate) fn new(source: Source) -> Self {
        Self {
            source: Some(source),
            senders: Vec::new(),
            thread: None,
            is_to_end: Arc::default(),
            threshold: Arc::new(AtomicU32::new(SAMPLE_ALL)),
            position: Arc::default(),
        }
    }

    /// Where each of so many workers gets its packets from.
    pub(crate) fn queues(&mut self, workers: u32) -> Vec<Receiver<Batch>> {
        let (senders, receivers) = (0..workers).map(|_| bounded(BATCHES_MAX)).unzip();
        self.senders = senders;
        receivers
    }

    /// Whether packets are due at times of their own; known until it is read.
    pub(crate) fn is_timed(&self) -> bool {
        let source = self.source.as_ref();
        source.is_some_and(|source| source.args.speed != Speed::Max)
    }

    /// Begins to read.
    ///
    /// # Errors
    ///
    /// Where the kernel gives no thread.
    pub(crate) fn start(
        &mut self,
        args: &Args,
        plan: &Plan,
        workers: &[WorkerHandle],
    ) -> io::Result<()> {
        let ways = std::mem::take(&mut self.senders)
            .into_iter()
            .zip(workers)
            .map(|(batches, worker)| Way::new(batches, Arc::clone(&worker.shared)))
            .collect();
        let is_slow = args.replay.as_ref().is_some_and(is_read_slowly);
        let sorter = Sorter::new(plan, ways, is_slow, self.is_to_end());
        self.start_into(args, plan, sorter, |_| Ok(()))
    }

    /// Begins to read for this sink, and gives it to `finish` at the end.
    ///
    /// # Errors
    ///
    /// Where the kernel gives no thread.
    pub(crate) fn start_into<S: Sink + Send + 'static>(
        &mut self,
        args: &Args,
        plan: &Plan,
        sink: S,
        finish: impl FnOnce(S) -> Result<(), String> + Send + 'static,
    ) -> io::Result<()> {
        let Some(source) = self.source.take() else {
            return Ok(());
        };
        let position = Arc::clone(&self.position);
        let sample = (plan.sample_seed(), Arc::clone(&self.threshold));
        let reading = Reading::new(source, (args, sample), sink, position);
        let thread = thread::Builder::new().name("playback".to_owned());
        self.thread = Some(thread.spawn(move || {
            process::rights::keep_only(process::rights::FILES);
            let (sink, read) = reading.run();
            let finished = finish(sink);
            read.and(finished)
        })?);
        Ok(())
    }

    /// Flows below this place are handed on from now on ([`wire::flow::sampled`]), and no others. Packets that wait in a queue already
    /// stay there.
    pub(crate) fn sample(&self, threshold: u32) {
        self.threshold.store(threshold, Ordering::Relaxed);
    }

    /// Set once nothing more is to be read.
    pub(crate) fn is_to_end(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.is_to_end)
    }

    /// Nothing more is to be read; what was is still brought to its end.
    pub(crate) fn stop(&self) {
        self.is_to_end.store(true, Ordering::Relaxed);
    }

    /// How far it is.
    pub(crate) fn position(&self) -> Position {
        let position = self.position.lock().unwrap_or_else(PoisonError::into_inner);
        position.clone()
    }

    /// That no packet of the files belongs to a rule, and what there is instead; `None` where some do.
    pub(crate) fn nothing_matched(&self) -> Option<String> {
        words::nothing_matched(&self.position())
    }

    /// Whether everything was read and handed to the workers' queues.
    pub(crate) fn is_over(&self) -> bool {
        self.thread.as_ref().is_some_and(JoinHandle::is_finished)
    }

    /// Nothing more is to be read. Says why it ended where the files could not be read to their end.
    pub(crate) fn end(&mut self) -> Option<String> {
        self.stop();
        let thread = self.thread.take()?;
        let until = Instant::now() + END_MAX;
        while !thread.is_finished() && Instant::now() < until {
            thread::sleep(Duration::from_millis(1));
        }
        // Whoever writes to a pipe may be silent for hours: the thread waits for it, and goes with the process.
        if !thread.is_finished() {
            return None;
        }
        match thread.join() {
            Ok(Ok(())) => None,
            Ok(Err(words)) => Some(words),
            Err(_) => Some(
                "the thread that reads the files panicked: a bug, please report what it printed"
                    .to_owned(),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};
    use std::process::Command;

    use super::Source;
    use crate::args::{CommandLine, FileArgs, Task};

    /// What a command line says of its files.
    fn file_args(line: &str) -> FileArgs {
        let words = line.split(' ').map(Into::into);
        match CommandLine::read(words) {
            Ok(Task::Run(args)) => args.replay.expect("a replay"),
            other => panic!("{line}: {other:?}"),
        }
    }

    fn refusal(file: &Path, options: &str) -> String {
        let line = format!(
            "tcpcopy replay -x 80-10.0.0.2:80 --pcap {}{options}",
            file.display()
        );
        match Source::open(&file_args(&line)) {
            Ok(_) => panic!("{line} was taken"),
            Err(error) => error.to_string(),
        }
    }

    fn written(folder: &Path, name: &str, bytes: &[u8]) -> PathBuf {
        let path = folder.join(name);
        fs::write(&path, bytes).expect("a file");
        path
    }

    /// The head of a pcap file of Ethernet.
    const HEAD: [u8; 24] = [
        0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 1, 0, 0, 0,
    ];

    #[test]
    fn what_cannot_be_read_is_told_in_a_line_before_the_run() {
        let folder = std::env::temp_dir().join(format!("playback-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        let mut wifi = HEAD;
        wifi[20] = 105;
        let pipe = folder.join("pipe");
        let made = Command::new("mkfifo").arg(&pipe).status();
        assert!(made.expect("mkfifo").success());
        let whole = written(&folder, "whole.pcap", &HEAD);
        for (file, options, words) in [
            (folder.join("nosuch.pcap"), "", "there is no such file"),
            (folder.clone(), "", "it is a directory"),
            (written(&folder, "empty.pcap", b""), "", "it is empty"),
            (
                written(&folder, "notes.txt", b"GET / HTTP/1.1"),
                "",
                "begins with 47 45 54 20, which is text",
            ),
            (
                written(&folder, "short.pcap", &HEAD[..20]),
                "",
                "head is damaged",
            ),
            (
                written(&folder, "wifi.pcap", &wifi),
                "",
                "link type 105 (IEEE802_11)",
            ),
            (
                written(&folder, "packed.pcap.gz", &[0x1f, 0x8b, 8, 0, 0]),
                "",
                "compressed data",
            ),
        ] {
            let said = refusal(&file, options);
            assert!(said.contains(words), "{}: {said}", file.display());
            assert!(!said.contains('\n'), "more than a line: {said}");
            assert!(said.contains(&file.display().to_string()), "{said}");
        }
        // A pipe can be read once, which is told before it has been.
        let writer = std::thread::spawn({
            let pipe = pipe.clone();
            move || fs::write(pipe, HEAD)
        });
        let said = refusal(&pipe, " --loop 2");
        assert!(said.contains("a second time: it is a pipe"), "{said}");
        writer.join().expect("a writer").expect("it is read");
        let taken = format!(
            "tcpcopy replay -x 80-10.0.0.2:80 --loop 2 --pcap {}",
            whole.display()
        );
        assert!(Source::open(&file_args(&taken)).is_ok());
        fs::remove_dir_all(&folder).expect("it goes");
    }
}
