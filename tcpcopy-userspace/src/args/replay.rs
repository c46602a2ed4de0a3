//! `tcpcopy replay`: what is said of the file.

use std::path::PathBuf;
use std::time::Duration;

use clap::ArgMatches;
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use replay::Speed;

use super::{Args, heading, quantity};

/// What to replay, and how.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct ReplayArgs {
    #[command(flatten)]
    pub(crate) file: FileArgs,
    #[command(flatten)]
    pub(crate) run: Args,
}

/// The files, and how they are replayed.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct FileArgs {
    /// Capture files, in this order: pcap or pcapng, plain, gzip or zstd; - is standard input
    ///
    /// The parts of a capture that was split follow one another: connections go on from one file to the next.
    #[arg(help_heading = heading::THE_FILE, long = "pcap", value_name = "FILE", required = true, num_args = 1..)]
    pub(crate) files: Vec<PathBuf>,

    /// How fast: 1 as it was captured, 2.5 so many times as fast, max as fast as the target answers
    ///
    /// At max a request waits for the response before it on its connection, for room in the target's window, and for --max-bandwidth,
    /// and for nothing else. Connections above --max-new-sessions are left out and counted, at any speed.
    #[arg(help_heading = heading::THE_FILE, long, value_name = "SPEED", default_value = "1", value_parser = speed)]
    pub(crate) speed: Speed,

    /// Replay it so many times, each time with connections of its own
    #[arg(help_heading = heading::THE_FILE, long = "loop", value_name = "N", default_value_t = 1, value_parser = quantity::within::<u32>(1, 1_000_000))]
    pub(crate) times: u32,

    /// Leave out what lies before this time of the file, counted from its first packet
    #[arg(help_heading = heading::THE_FILE, long, value_name = "TIME", default_value = "0s", value_parser = quantity::duration)]
    pub(crate) start: Duration,

    /// Leave out what lies behind this time of the file
    #[arg(help_heading = heading::THE_FILE, long, value_name = "TIME", value_parser = quantity::time)]
    pub(crate) end: Option<Duration>,

    /// Longest silence of the file that is waited for; longer ones are made so short, and told
    #[arg(help_heading = heading::THE_FILE, long, value_name = "TIME", default_value = "1m", value_parser = quantity::time)]
    pub(crate) gap_max: Duration,

    /// Go on with what is still being written to the (last) file, until Ctrl-C
    #[arg(help_heading = heading::THE_FILE, long, conflicts_with = "times")]
    pub(crate) follow: bool,
}

/// Options of a run that say nothing of a replay: a file has no interface.
const OF_LIVE_TRAFFIC: [(&str, &str); 4] = [
    ("interfaces", "-i (--interface)"),
    ("capture", "--capture"),
    ("confirmed", "--confirmed"),
    ("max_cpu", "--max-cpu"),
];

/// Refuses what is said of live traffic.
///
/// # Errors
///
/// Where an option of it was given.
pub(super) fn refuse_live(matches: &ArgMatches) -> Result<(), clap::Error> {
    let was_given = |id: &str| matches.value_source(id) == Some(ValueSource::CommandLine);
    let given = OF_LIVE_TRAFFIC.iter().find(|(id, _)| was_given(id));
    let Some((id, name)) = given else {
        return Ok(());
    };
    let hint = if *id == "interfaces" {
        "; files stand behind --pcap"
    } else {
        ""
    };
    let words = format!("a replay takes its packets from files, so leave out {name}{hint}\n");
    Err(clap::Error::raw(ErrorKind::ArgumentConflict, words))
}

/// The ids of those options.
pub(super) fn of_live_traffic() -> impl Iterator<Item = &'static str> {
    OF_LIVE_TRAFFIC.into_iter().map(|(id, _)| id)
}

impl FileArgs {
    /// The speed as it is written.
    pub(crate) fn speed_word(&self) -> String {
        match self.speed {
            Speed::Max => "max".to_owned(),
            Speed::Times(times) => times.to_string(),
        }
    }
}

impl ReplayArgs {
    /// A run whose traffic comes from files.
    ///
    /// # Errors
    ///
    /// Where nothing of them is asked for.
    pub(super) fn into_run(self) -> Result<Args, clap::Error> {
        if let Some(end) = self.file.end.filter(|end| *end <= self.file.start) {
            let words = format!(
                "--end ({}) is not behind --start ({}): both count from the first packet of the files, and nothing lies between\n",
                humantime::format_duration(end),
                humantime::format_duration(self.file.start)
            );
            return Err(clap::Error::raw(ErrorKind::ValueValidation, words));
        }
        Ok(Args {
            replay: Some(self.file),
            ..self.run
        })
    }
}

/// The slowest and the fastest that can be meant.
const SPEEDS: std::ops::RangeInclusive<f64> = 0.001..=100_000.0;

fn speed(text: &str) -> Result<Speed, String> {
    if text == "max" {
        return Ok(Speed::Max);
    }
    match text.strip_suffix(['x', 'X']).unwrap_or(text).parse() {
        Ok(times) if SPEEDS.contains(&times) => Ok(Speed::Times(times)),
        _ => Err(format!(
            "write how many times as fast as it was captured, {} to {}, or max",
            SPEEDS.start(),
            SPEEDS.end()
        )),
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use replay::Speed;

    use super::speed;
    use crate::args::CommandLine;

    #[test]
    fn speeds_are_read() {
        for (text, expected) in [
            ("1", Speed::Times(1.0)),
            ("2.5", Speed::Times(2.5)),
            ("10x", Speed::Times(10.0)),
            ("max", Speed::Max),
        ] {
            assert_eq!(speed(text), Ok(expected), "{text}");
        }
        for text in ["0", "-1", "NaN", "inf", "fast", "", "1e9"] {
            assert!(speed(text).is_err(), "{text} was taken");
        }
    }

    #[test]
    fn what_a_replay_cannot_do_is_refused() {
        for (options, words) in [
            ("", "--pcap"),
            ("--pcap", "--pcap"),
            ("--pcap a.pcap -i eth0", "files stand behind --pcap"),
            ("--pcap a.pcap --max-cpu 50", "leave out --max-cpu"),
            ("--pcap a.pcap --confirmed always", "leave out --confirmed"),
            ("--pcap a.pcap --follow --loop 2", "--loop"),
            ("--pcap a.pcap --speed 0", "0.001 to 100000, or max"),
            ("--pcap a.pcap --speed fast", "0.001 to 100000, or max"),
            ("--pcap a.pcap --loop 0", "--loop"),
            ("--pcap a.pcap --gap-max 0s", "--gap-max"),
            ("--pcap a.pcap --start soon", "--start"),
            ("--pcap a.pcap --end 0s", "--end"),
            ("--pcap a.pcap --start 5s --end 5s", "--end"),
            ("--pcap a.pcap -a 2", "write --speed 2"),
        ] {
            let line = format!("tcpcopy replay -x 80-10.0.0.2:80 {options}");
            let refused =
                CommandLine::read(line.split_whitespace().map(OsString::from)).expect_err(&line);
            assert_eq!(refused.exit_code(), 2, "{line}");
            assert!(refused.to_string().contains(words), "{line}: {refused}");
        }
    }
}
