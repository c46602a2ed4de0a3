//! Ctrl-C: a flag that every wait of the lab looks at, so that the stack unwinds and everything is removed.

use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::error::{Error, Result, Tried};

static INTERRUPTED: OnceLock<Arc<AtomicBool>> = OnceLock::new();

/// From now on SIGINT, SIGTERM and SIGHUP make the waits of the lab return [`Error::Interrupted`]; a second signal
/// ends the process at once.
///
/// # Errors
///
/// Where the handlers cannot be installed.
pub fn install() -> Result<()> {
    let flag = INTERRUPTED.get_or_init(|| Arc::new(AtomicBool::new(false)));
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        // The order matters: the first signal sets the flag only, the second finds it set.
        signal_hook::flag::register_conditional_shutdown(signal, 130, Arc::clone(flag))
            .and_then(|_| signal_hook::flag::register(signal, Arc::clone(flag)))
            .tried(|| format!("handle signal {signal}"))?;
    }
    Ok(())
}

/// Whether a signal arrived.
#[must_use]
pub fn interrupted() -> bool {
    INTERRUPTED
        .get()
        .is_some_and(|flag| flag.load(Ordering::Relaxed))
}

/// Fails where a signal arrived.
///
/// # Errors
///
/// [`Error::Interrupted`].
pub fn check() -> Result<()> {
    if interrupted() {
        Err(Error::Interrupted)
    } else {
        Ok(())
    }
}

/// Sleeps, unless a signal arrives.
///
/// # Errors
///
/// [`Error::Interrupted`].
pub fn sleep(duration: Duration) -> Result<()> {
    let end = Instant::now() + duration;
    loop {
        check()?;
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        std::thread::sleep(left.min(Duration::from_millis(50)));
    }
}

/// How many times longer than it says every limit of a wait is: `TCPCOPY_PATIENCE`, 1 to 20, or 1.
///
/// A machine whose processors are emulated needs several times longer for everything. What a test asserts of durations that
/// it has measured itself stays as it is.
#[must_use]
pub fn patience() -> u32 {
    static PATIENCE: OnceLock<u32> = OnceLock::new();
    *PATIENCE.get_or_init(|| factor(std::env::var("TCPCOPY_PATIENCE").ok().as_deref()))
}

/// The factor that a text names; 1 where it names none.
fn factor(text: Option<&str>) -> u32 {
    text.and_then(|text| text.trim().parse().ok())
        .map_or(1, |factor: u32| factor.clamp(1, 20))
}

/// Waits until `done` says so.
///
/// # Errors
///
/// [`Error::Timeout`] after `limit` (times [`patience`]), [`Error::Interrupted`], or what `done` returned.
pub fn wait_until(
    what: &str,
    limit: Duration,
    mut done: impl FnMut() -> Result<bool>,
) -> Result<()> {
    let limit = limit * patience();
    let end = Instant::now() + limit;
    loop {
        check()?;
        if done()? {
            return Ok(());
        }
        if Instant::now() >= end {
            return Err(Error::Timeout {
                what: what.to_owned(),
                seconds: limit.as_secs(),
            });
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[cfg(test)]
mod tests {
    use super::factor;

    #[test]
    fn patience_is_bounded_and_never_less_than_one() {
        assert_eq!(factor(None), 1);
        assert_eq!(factor(Some("4")), 4);
        for (text, patience) in [("0", 1), ("", 1), ("-3", 1), ("long", 1), ("9999", 20)] {
            assert_eq!(factor(Some(text)), patience, "{text}");
        }
    }
}
