//! Histogram files that the plotters of HdrHistogram read: a log of one interval after another while a run goes on, and
//! percentiles of the whole run at its end.
//!
//! Files are written by a thread of their own: a slow disk holds up nobody. What it could not take in time becomes part
//! of a later interval.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime};

use hdrhistogram::Histogram;
use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, Tag};

use crate::latency::{Latency, Series};

/// Name of the log.
const LOG: &str = "tcpcopy.hlog";
/// Microseconds in a millisecond, the unit of the files' readable columns.
const SCALE: f64 = 1000.0;
/// Intervals that wait for the disk; with more, they grow longer.
const WAITING_MAX: usize = 4;
/// Lines for each halving of the distance to 100 %.
const TICKS_PER_HALF: u32 = 5;

/// The folder of a run's histograms.
#[derive(Debug)]
pub struct Histograms {
    folder: PathBuf,
    sender: SyncSender<Interval>,
    writer: JoinHandle<io::Result<()>>,
    /// What the log has already.
    logged: Latency,
    logged_until: Duration,
}

/// What was measured between two moments of a run.
struct Interval {
    from: Duration,
    length: Duration,
    measured: Vec<(Series, Histogram<u64>)>,
}

/// A histogram file could not be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write histograms to {folder}: {source}; name a folder that can be written to", folder = folder.display())]
pub struct HistogramsError {
    folder: PathBuf,
    source: io::Error,
}

impl Histograms {
    /// Makes the folder where there is none, and begins the log.
    ///
    /// # Errors
    ///
    /// Where the folder or the log in it cannot be written, or the kernel gives no thread.
    pub fn create(folder: &Path) -> Result<Self, HistogramsError> {
        let failed = |source| HistogramsError {
            folder: folder.to_owned(),
            source,
        };
        fs::create_dir_all(folder).map_err(failed)?;
        let log = File::create(folder.join(LOG)).map_err(failed)?;
        let (sender, intervals) = sync_channel(WAITING_MAX);
        let writer = thread::Builder::new()
            .name("histograms".to_owned())
            .spawn(move || write_log(&log, &intervals))
            .map_err(failed)?;
        Ok(Self {
            folder: folder.to_owned(),
            sender,
            writer,
            logged: Latency::new(),
            logged_until: Duration::ZERO,
        })
    }

    /// Logs what was measured since the last time; `latency` is everything since the start, `now` the time since then.
    pub fn log(&mut self, latency: &Latency, now: Duration) {
        let mut measured = Vec::new();
        for series in Series::ALL {
            let mut since = latency.series(series).clone();
            // Totals only grow, so what was logged can always be taken off.
            if since.subtract(self.logged.series(series)).is_ok() && !since.is_empty() {
                measured.push((series, since));
            }
        }
        let interval = Interval {
            from: self.logged_until,
            length: now.saturating_sub(self.logged_until),
            measured,
        };
        if self.sender.try_send(interval).is_ok() {
            self.logged.clone_from(latency);
            self.logged_until = now;
        }
    }

    /// Ends the log, and writes the percentiles of the whole run, a file for each series that has any.
    ///
    /// # Errors
    ///
    /// Where a file could not be written, the log included.
    pub fn finish(mut self, latency: &Latency, now: Duration) -> Result<(), HistogramsError> {
        self.log(latency, now);
        let Self {
            folder,
            sender,
            writer,
            ..
        } = self;
        drop(sender);
        let gone = || Err(io::Error::other("the thread that writes them panicked"));
        let written = writer.join().unwrap_or_else(|_| gone()).and_then(|()| {
            for series in Series::ALL {
                let histogram = latency.series(series);
                if !histogram.is_empty() {
                    let file = File::create(folder.join(format!("{}.hgrm", series.name())))?;
                    write_percentiles(histogram, &mut BufWriter::new(file))?;
                }
            }
            Ok(())
        });
        written.map_err(|source| HistogramsError { folder, source })
    }
}

/// One line per interval and series, as they come.
fn write_log(log: &File, intervals: &Receiver<Interval>) -> io::Result<()> {
    let (mut file, mut serializer) = (log, V2DeflateSerializer::new());
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
    for Interval {
        from,
        length,
        measured,
    } in intervals
    {
        for (series, histogram) in measured {
            writer
                .write_histogram(&histogram, from, length, Tag::new(series.name()))
                .map_err(|error| io::Error::other(format!("{error:?}")))?;
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

    use base64::Engine as _;
    use hdrhistogram::Histogram;
    use hdrhistogram::serialization::Deserializer;
    use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};

    use super::{Histograms, LOG, write_percentiles};
    use crate::latency::{Latency, Series};

    #[test]
    fn the_log_adds_up_to_what_was_measured() {
        let folder = std::env::temp_dir().join(format!("tcpcopy-hlog-{}", std::process::id()));
        let mut histograms = Histograms::create(&folder).unwrap();
        let mut latency = Latency::new();
        for second in 1..=3u64 {
            for micros in 0..second * 100 {
                latency.record_reaction(Duration::from_micros(micros));
            }
            histograms.log(&latency, Duration::from_secs(second));
        }
        histograms.finish(&latency, Duration::from_secs(4)).unwrap();
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
    fn percentiles_read_like_those_of_the_original() {
        let mut latency = Latency::new();
        for micros in 1..=1000 {
            latency.record_reaction(Duration::from_micros(micros));
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
