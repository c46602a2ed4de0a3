//! What is said of the files of a replay.

use std::time::Duration;

use replay::Speed;

use super::position::Position;
use crate::args::FileArgs;

/// Which files, and how fast.
pub(crate) fn of_files(args: &FileArgs) -> String {
    let names: Vec<String> = args
        .files
        .iter()
        .map(|file| file.display().to_string())
        .collect();
    let names = match &names[..] {
        [first, .., last] => format!("{first} to {last}, {} files", names.len()),
        _ => names.join(""),
    };
    let speed = match args.speed {
        Speed::Max => "as fast as the target answers".to_owned(),
        Speed::Times(1.0) => "as fast as it was captured".to_owned(),
        Speed::Times(times) => format!("{times} times as fast as it was captured"),
    };
    let times = match args.times {
        1 => String::new(),
        times => format!(", {times} times"),
    };
    let part = match (args.start, args.end) {
        (Duration::ZERO, None) => String::new(),
        (start, None) => format!(", from {} on", humantime::format_duration(start)),
        (start, Some(end)) => format!(
            ", from {} to {}",
            humantime::format_duration(start),
            humantime::format_duration(end)
        ),
    };
    format!("{names}{part}, {speed}{times}")
}

/// That no packet of the files belongs to a rule, and what there is instead; `None` where some do.
pub(super) fn nothing_matched(position: &Position) -> Option<String> {
    let counts = &position.counts;
    if counts.clients + counts.online > 0 {
        return None;
    }
    if counts.outside > 0 {
        return Some(format!(
            "all {} packets lie outside of what --start and --end ask for",
            counts.outside
        ));
    }
    if position.ports.is_empty() {
        return Some(
            "the files have no TCP packets; `tcpcopy inspect FILE` shows what they have".to_owned(),
        );
    }
    let ports: Vec<String> = position
        .ports
        .iter()
        .map(|(port, packets)| format!("{port} ({packets} packets)"))
        .collect();
    let [(busiest, _), ..] = position.ports[..] else {
        return None;
    };
    Some(format!(
        "no packet of the files belongs to a rule of -x; their busiest server ports are {}: -x {busiest}-TARGET_IP:TARGET_PORT copies \
         what was said to the first of them",
        ports.join(", ")
    ))
}
