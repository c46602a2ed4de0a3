//! How many sessions a pool has room for, and whether that is what was asked for.

use super::{Sources, several};
use crate::args::Args;
use crate::dials::Dials;
use crate::plan::Refusal;

/// A pool with room for fewer flows is worth a warning where each flow takes several ports: about what a busy server has
/// open at a time.
const FLOWS_FEW: u64 = 1000;

/// What the smallest pool has room for.
#[derive(Clone, Debug)]
pub(crate) struct Room {
    /// Clients' connections at a time.
    pub(crate) flows: u64,
    /// Addresses times ports, and what that makes of new connections per second.
    pub(crate) fits: String,
    /// All of it, in words.
    pub(crate) words: String,
}

/// How many sessions the smallest pool has room for, in words, and a warning where that is little for `-n`; `None` with
/// the clients' own addresses.
///
/// A pool without room for what was asked is refused. Others may still turn out too small: what finds no port then ends
/// as `collision`.
pub(in crate::plan) fn room(
    args: &Args,
    dials: &Dials,
    sources: &Sources,
    workers: u32,
) -> Result<(Option<Room>, Option<String>), Refusal> {
    let copies = dials.copies_max();
    // All ranges of a family together.
    let families = [true, false].map(|is_v4| {
        let available = sources.of(is_v4).map(super::Chosen::available).sum();
        Some((is_v4, available, sources.of(is_v4).next()?))
    });
    let smallest = families.into_iter().flatten().min_by_key(|family| family.1);
    let Some((is_v4, available, smallest)): Option<(bool, u64, _)> = smallest else {
        return Ok((None, None));
    };
    let small = |what: String, needed: u64| Refusal::PoolTooSmall {
        pool: smallest.pool,
        what,
        needed,
        addresses: smallest.pool.addresses(),
        ports: u64::from(smallest.pool.range.port_last - smallest.pool.range.port_first) + 1,
        excluded: smallest.excluded.len() as u64,
        available,
    };
    // Each worker must be able to hold one flow with all its copies.
    let least = u64::from(copies) * u64::from(workers);
    if available < least {
        return Err(small(format!("-n {copies} with {workers} workers"), least));
    }
    // A port rests for a second after its session.
    if let Some(rate) = args
        .max_new_sessions
        .filter(|&rate| u64::from(rate) > available)
    {
        return Err(small(
            format!("--max-new-sessions {rate} (each rests 1 s after its session)"),
            rate.into(),
        ));
    }
    if let Some(sessions) = args.max_sessions.filter(|&s| u64::from(s) > available) {
        return Err(small(format!("--max-sessions {sessions}"), sessions.into()));
    }
    let flows = available / u64::from(copies);
    let fits = arithmetic(sources.of(is_v4), available, u64::from(copies));
    let words = format!(
        "the reply pool {} has {available} addresses and ports per target, about {} per worker: with {} session(s) per flow \
         that is {flows} flows at a time",
        several::words(sources.of(is_v4)).unwrap_or_default(),
        available / u64::from(workers),
        copies,
    );
    let warning = (copies > 1 && flows < FLOWS_FEW).then(|| {
        format!(
            "{words}; turns of further flows will end as `collision`: widen it with -c, or lower -n"
        )
    });
    Ok((Some(Room { flows, fits, words }), warning))
}

/// What fits into a pool, reckoned before the reader's eyes: addresses times ports, and new connections per second by how long each is held.
fn arithmetic<'a>(
    chosen: impl Iterator<Item = &'a super::Chosen>,
    available: u64,
    copies: u64,
) -> String {
    let parts = chosen.map(|it| {
        let (range, addresses) = (&it.pool.range, it.pool.addresses());
        let ports = u64::from(range.port_last - range.port_first) + 1 - it.excluded.len() as u64;
        let plural = if addresses == 1 {
            "address"
        } else {
            "addresses"
        };
        format!("{addresses} {plural} x {ports} ports")
    });
    let parts: Vec<String> = parts.collect();
    let flows = available / copies;
    // A port rests after its session.
    let rest = session::limits::TIME_WAIT.as_secs();
    let rate = |seconds: u64| flows / (seconds + rest);
    let copies = match copies {
        1 => String::new(),
        copies => format!(", {copies} for each connection"),
    };
    format!(
        "{} = {available}{copies}; with {rest} s of rest after each that is {} new connections per second if they last 1 s, {} if 10 s, {} if \
         60 s",
        parts.join(" + "),
        rate(1),
        rate(10),
        rate(60)
    )
}
