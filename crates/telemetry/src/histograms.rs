//! Histogram files that the plotters of HdrHistogram read: a log of one interval after another while a run goes on, and
//! percentiles of the whole run at its end.
//!
//! Files are written by a thread of their own: a slow disk holds up nobody. What it could not take in time becomes part
//! of a later interval.
//!
//! The log stays small however long a run is: an interval is a second, and from an hour on the 3,600th part of the run so far,
//! so that a day has three times as many lines as an hour, and a month seven times.

use std::fs;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use hdrhistogram::Histogram;
use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, Tag};
use process::rights;

use crate::file::{FileError, Folder};
use crate::latency::{Latency, Series};
use crate::writer::END_MAX;

/// Name of the log.
const LOG: &str = "tcpcopy.hlog";
/// Microseconds in a millisecond, the unit of the files' readable columns.
const SCALE: f64 = 1000.0;
/// Intervals that wait for the disk; with more, they grow longer.
const WAITING_MAX: usize = 4;
/// Into at least so many intervals a run is cut.
const INTERVALS_MIN: u32 = 3600;
/// Lines for each halving of the distance to 100 %.
const TICKS_PER_HALF: u32 = 5;
/// How often the end looks whether the thread has room for it.
const ROOM_EVERY: Duration = Duration::from_millis(10);

/// The folder of a run's histograms.
#[derive(Debug)]
pub struct Histograms {
    folder: PathBuf,
    sender: SyncSender<Message>,
    /// What came of the writing: once.
    outcome: Receiver<Result<(), FileError>>,
    /// What the log has already.
    logged: Latency,
    logged_until: Duration,
    is_complained: bool,
}

#[derive(Debug)]
enum Message {
    Interval(Interval),
    /// The last interval, and everything since the start.
    End(Interval, Box<Latency>),
}

/// What was measured between two moments of a run.
#[derive(Debug)]
struct Interval {
    from: Duration,
    length: Duration,
    measured: Vec<(Series, Histogram<u64>)>,
}

/// A histogram file could not be written.
#[derive(Debug, thiserror::Error)]
pub enum HistogramsError {
    /// There is no such folder, and none can be made; or the kernel gives no thread.
    #[error("cannot write histograms to {folder}: {source}; name a folder that can be written to, or a new one in a folder that there is", folder = folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// A file in it.
    #[error("histograms are missing: {0}")]
    File(#[from] FileError),
}

impl Histograms {
    /// Makes the folder where there is none, but none above it, and begins the log.
    ///
    /// # Errors
    ///
    /// Where the folder or the log in it cannot be written, or the kernel gives no thread.
    pub fn create(folder: &Path) -> Result<Self, HistogramsError> {
        let failed = |source| HistogramsError::Folder {
            folder: folder.to_owned(),
            source,
        };
        match fs::create_dir(folder) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => made.map_err(failed)?,
        }
        let opened = Folder::open(folder).map_err(failed)?;
        for series in Series::ALL {
            opened.place(file_name(series))?;
        }
        let log = opened.place(LOG)?.create()?;
        let (sender, messages) = sync_channel(WAITING_MAX);
        let (tell, outcome) = sync_channel(1);
        let log_path = folder.join(LOG);
        thread::Builder::new()
            .name("histograms".to_owned())
            .spawn(move || {
                rights::keep_only(rights::FILES);
                let written = write_log(&log, &messages).map_err(|cause| FileError::Write {
                    path: log_path,
                    cause,
                });
                let _ = tell.send(written.and_then(|latency| write_tables(&opened, latency)));
            })
            .map_err(failed)?;
        Ok(Self {
            folder: folder.to_owned(),
            sender,
            outcome,
            logged: Latency::new(),
            logged_until: Duration::ZERO,
            is_complained: false,
        })
    }

    /// Logs what was measured since the last time, where an interval is over; `latency` is everything since the start, `now` the
    /// time since then. Never waits.
    pub fn log(&mut self, latency: &Latency, now: Duration) {
        if !is_due(self.logged_until, now) {
            return;
        }
        let interval = self.interval(latency, now);
        if self.sender.try_send(Message::Interval(interval)).is_ok() {
            self.logged.clone_from(latency);
            self.logged_until = now;
        }
    }

    /// Why there are no more histograms, said once.
    pub fn complaint(&mut self) -> Option<HistogramsError> {
        if self.is_complained {
            return None;
        }
        let failure = self.outcome.try_recv().ok()?.err()?;
        self.is_complained = true;
        Some(failure.into())
    }

    /// Ends the log, and has the percentiles of the whole run written, a file for each series that has any. Waits for that, but
    /// no longer than [`END_MAX`]. A thread that hangs ends with the process.
    ///
    /// # Errors
    ///
    /// Where a file could not be written, the log included.
    pub fn finish(self, latency: &Latency, now: Duration) -> Result<(), HistogramsError> {
        let until = Instant::now() + END_MAX;
        let interval = self.interval(latency, now);
        let mut end = Message::End(interval, Box::new(latency.clone()));
        while let Err(TrySendError::Full(back)) = self.sender.try_send(end)
            && Instant::now() < until
        {
            end = back;
            thread::sleep(ROOM_EVERY);
        }
        let left = until.saturating_duration_since(Instant::now());
        let log = || self.folder.join(LOG);
        let outcome = match self.outcome.recv_timeout(left) {
            Ok(outcome) => outcome,
            Err(RecvTimeoutError::Timeout) => Err(FileError::Hangs {
                path: log(),
                waited: END_MAX,
            }),
            // It failed before, and said so then; or it panicked.
            Err(RecvTimeoutError::Disconnected) => Err(FileError::Write {
                path: log(),
                cause: io::Error::other("the thread that writes it ended before"),
            }),
        };
        Ok(outcome?)
    }

    fn interval(&self, latency: &Latency, now: Duration) -> Interval {
        let mut measured = Vec::new();
        for series in Series::ALL {
            let mut since = latency.series(series).clone();
            // Totals only grow, so what was logged can always be taken off.
            if since.subtract(self.logged.series(series)).is_ok() && !since.is_empty() {
                measured.push((series, since));
            }
        }
        Interval {
            from: self.logged_until,
            length: now.saturating_sub(self.logged_until),
            measured,
        }
    }
}

/// Whether an interval is over.
fn is_due(logged_until: Duration, now: Duration) -> bool {
    now.saturating_sub(logged_until) >= now / INTERVALS_MIN
}

/// The file of a series' percentiles.
fn file_name(series: Series) -> String {
    format!("{}.hgrm", series.name())
}

/// One line per interval and series, as they come; gives everything that was measured, once that comes.
fn write_log(
    mut file: impl Write,
    messages: &Receiver<Message>,
) -> io::Result<Option<Box<Latency>>> {
    let mut serializer = V2DeflateSerializer::new();
    let began = SystemTime::now();
    let mut writer = IntervalLogWriterBuilder::new()
        .add_comment(concat!(
            "tcpcopy ",
            env!("CARGO_PKG_VERSION"),
            ", microseconds; maxima in milliseconds"
        ))
        .with_start_time(began)
        .with_base_time(began)
        .with_max_value_divisor(SCALE)
        .begin_log_with(&mut file, &mut serializer)?;
    for message in messages {
        let (interval, all) = match message {
            Message::Interval(interval) => (interval, None),
            Message::End(interval, latency) => (interval, Some(latency)),
        };
        for (series, histogram) in interval.measured {
            let tag = Tag::new(series.name());
            writer
                .write_histogram(&histogram, interval.from, interval.length, tag)
                .map_err(|error| io::Error::other(format!("{error:?}")))?;
        }
        if all.is_some() {
            return Ok(all);
        }
    }
    Ok(None)
}

/// The percentiles of each series that has any.
fn write_tables(folder: &Folder, latency: Option<Box<Latency>>) -> Result<(), FileError> {
    let Some(latency) = latency else {
        return Ok(());
    };
    for series in Series::ALL {
        let histogram = latency.series(series);
        if !histogram.is_empty() {
            let mut table = Vec::new();
            // A vector takes everything.
            let _ = write_percentiles(histogram, &mut BufWriter::new(&mut table));
            let place = folder.place(file_name(series))?;
            place.sweep();
            place.write(&table, true)?;
        }
    }
    Ok(())
}

/// The percentile table of HdrHistogram, in milliseconds.
fn write_percentiles(histogram: &Histogram<u64>, out: &mut impl Write) -> io::Result<()> {
    let millis = |micros: f64| micros / SCALE;
    writeln!(
        out,
        "{:>12} {:>14} {:>10} {:>14}\n",
        "Value", "Percentile", "TotalCount", "1/(1-Percentile)"
    )?;
    let mut count = 0;
    for point in histogram.iter_quantiles(TICKS_PER_HALF) {
        count += point.count_since_last_iteration();
        let (value, quantile) = (point.value_iterated_to(), point.quantile_iterated_to());
        write!(
            out,
            "{:>12.3} {quantile:>14.12} {count:>10}",
            millis(value as f64)
        )?;
        if quantile < 1.0 {
            write!(out, " {:>14.2}", 1.0 / (1.0 - quantile))?;
        }
        writeln!(out)?;
    }
    writeln!(
        out,
        "#[Mean    = {:>12.3}, StdDeviation   = {:>12.3}]",
        millis(histogram.mean()),
        millis(histogram.stdev())
    )?;
    writeln!(
        out,
        "#[Max     = {:>12.3}, Total count    = {:>12}]",
        millis(histogram.max() as f64),
        histogram.len()
    )?;
    writeln!(
        out,
        "#[Buckets = {:>12}, SubBuckets     = {:>12}]",
        histogram.buckets(),
        2048
    )?;
    out.flush()
}

#[cfg(test)]
mod tests {
    use core::time::Duration;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use base64::Engine as _;
    use hdrhistogram::Histogram;
    use hdrhistogram::serialization::Deserializer;
    use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};

    use super::{Histograms, LOG, is_due, write_percentiles};
    use crate::latency::{Latency, Series};

    #[test]
    fn the_log_adds_up_to_what_was_measured() {
        let folder = std::env::temp_dir().join(format!("tcpcopy-hlog-{}", std::process::id()));
        let mut histograms = Histograms::create(&folder).unwrap();
        let mut latency = Latency::new();
        for second in 1..=3u64 {
            for micros in 0..second * 100 {
                latency.add_time(Series::Reaction, Duration::from_micros(micros));
            }
            histograms.log(&latency, Duration::from_secs(second));
        }
        histograms.finish(&latency, Duration::from_secs(4)).unwrap();
        for name in [LOG, "reaction.hgrm"] {
            let mode = fs::metadata(folder.join(name))
                .unwrap()
                .permissions()
                .mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
        let log = fs::read(folder.join(LOG)).unwrap();
        let mut total = Histogram::<u64>::new(3).unwrap();
        for entry in IntervalLogIterator::new(&log) {
            if let LogEntry::Interval(interval) = entry.unwrap() {
                assert_eq!(interval.tag().unwrap().as_str(), "reaction");
                let bytes = base64::prelude::BASE64_STANDARD
                    .decode(interval.encoded_histogram())
                    .unwrap();
                let part: Histogram<u64> = Deserializer::new()
                    .deserialize(&mut bytes.as_slice())
                    .unwrap();
                total.add(part).unwrap();
            }
        }
        assert_eq!(total.len(), 600);
        let table = fs::read_to_string(folder.join("reaction.hgrm")).unwrap();
        assert!(table.contains("Total count    =          600"), "{table}");
        assert!(
            !folder.join("lag.hgrm").exists(),
            "nothing was measured of it"
        );
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn the_log_of_a_long_run_stays_small() {
        let (mut intervals, mut logged) = (0, Duration::ZERO);
        for now in (1..=30 * 86_400).map(Duration::from_secs) {
            if is_due(logged, now) {
                (intervals, logged) = (intervals + 1, now);
            }
            let expected = match now.as_secs() {
                3600 => 3600..=3600,
                86_400 => 13_000..=16_000,
                2_592_000 => 23_000..=29_000,
                _ => continue,
            };
            assert!(expected.contains(&intervals), "{intervals} in {now:?}");
        }
    }

    #[test]
    fn what_stands_where_a_table_would_is_left_alone() {
        let folder = std::env::temp_dir().join(format!("tcpcopy-hlink-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        for name in [LOG, "lag.hgrm"] {
            symlink("/etc/hostname", folder.join(name)).unwrap();
            let error = Histograms::create(&folder).unwrap_err().to_string();
            assert!(error.contains("symbolic link"), "{error}");
            fs::remove_file(folder.join(name)).unwrap();
        }
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn only_the_last_folder_of_a_name_is_made() {
        let above = std::env::temp_dir().join(format!("hgrm-above-{}", std::process::id()));
        let error = Histograms::create(&above.join("below")).unwrap_err();
        assert!(
            error.to_string().contains("in a folder that there is"),
            "{error}"
        );
        assert!(!above.exists());
        drop(Histograms::create(&above).unwrap());
        assert!(above.is_dir());
        fs::remove_dir_all(above).unwrap();
    }

    #[test]
    fn percentiles_read_like_those_of_the_original() {
        let mut latency = Latency::new();
        for micros in 1..=1000 {
            latency.add_time(Series::Reaction, Duration::from_micros(micros));
        }
        let mut table = Vec::new();
        write_percentiles(latency.series(Series::Reaction), &mut table).unwrap();
        let table = String::from_utf8(table).unwrap();
        let mut lines = table.lines();
        let head = lines.next().unwrap();
        assert_eq!(
            head,
            "       Value     Percentile TotalCount 1/(1-Percentile)"
        );
        let median = lines
            .find(|line| line.contains(" 0.500000000000 "))
            .unwrap();
        assert_eq!(
            median,
            "       0.500 0.500000000000        500           2.00"
        );
        let last = table.lines().rfind(|line| !line.starts_with('#')).unwrap();
        assert_eq!(last, "       1.000 1.000000000000       1000");
    }
}
