//! Times, sizes and shares as they are written on the command line.

use std::fmt::Display;
use std::str::FromStr;
use std::time::Duration;

/// The longest time: what is added to a moment has to fit into one.
const TIME_MAX: Duration = Duration::from_secs(3650 * 86_400);
/// The least `--memory`, in bytes.
const MEMORY_MIN: u64 = 1 << 20;
/// The least `--max-bandwidth`, in bits per second.
const BIT_RATE_MIN: u64 = 100_000;

/// A time, `0s` included: numbers and their units. A bare number other than 0 is refused: it would be guessed at.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let form = || "write a number and its unit, like 500ms, 30s, 10m, 1h or 1m30s".to_owned();
    let time = humantime::parse_duration(text).map_err(|_| form())?;
    if time > TIME_MAX {
        return Err("longer than any run: write at most 3650d".to_owned());
    }
    Ok(time)
}

/// A time that is some.
pub(super) fn time(text: &str) -> Result<Duration, String> {
    match duration(text) {
        Ok(time) if time.is_zero() => Err("no time at all: write more than 0s".to_owned()),
        time => time,
    }
}

/// A whole number of a range.
pub(super) fn within<T>(
    low: T,
    high: T,
) -> impl Fn(&str) -> Result<T, String> + Clone + Send + Sync + 'static
where
    T: FromStr + PartialOrd + Display + Copy + Send + Sync + 'static,
{
    move |text| match text.parse::<T>() {
        Ok(number) if (low..=high).contains(&number) => Ok(number),
        _ => Err(format!("write {low} to {high}")),
    }
}

/// A size in bytes: a number, and `K`, `M` or `G` for powers of 1024.
pub(super) fn size(text: &str) -> Result<u64, String> {
    let (number, unit) = split(text);
    let factor: u64 = match unit {
        "" => 1,
        "K" | "k" => 1 << 10,
        "M" => 1 << 20,
        "G" => 1 << 30,
        _ => return Err("write a number of bytes, or one with K, M or G, like 512M".to_owned()),
    };
    let number: u64 = number
        .parse()
        .map_err(|_| format!("{number:?} is no whole number"))?;
    number
        .checked_mul(factor)
        .ok_or_else(|| "more bytes than can be counted".to_owned())
}

/// Bits per second: a number, and `K`, `M` or `G` for powers of 1000, as networks count. A bare number is refused: it might be
/// meant in bytes.
pub(super) fn bit_rate(text: &str) -> Result<u64, String> {
    let (number, unit) = split(text);
    let factor: u64 = match unit {
        "K" | "k" => 1_000,
        "M" => 1_000_000,
        "G" => 1_000_000_000,
        _ => return Err("write bits per second with K, M or G, like 50M or 1G".to_owned()),
    };
    let number: u64 = number
        .parse()
        .map_err(|_| format!("{number:?} is no whole number"))?;
    let rate = number
        .checked_mul(factor)
        .ok_or_else(|| "more bits than can be counted".to_owned())?;
    if rate < BIT_RATE_MIN {
        return Err(
            "no more than a packet now and then would leave; write at least 100K".to_owned(),
        );
    }
    Ok(rate)
}

/// A budget of memory, which must hold more than a request or two.
pub(super) fn memory(text: &str) -> Result<u64, String> {
    let bytes = size(text)?;
    if bytes < MEMORY_MIN {
        return Err("no more than a few requests fit in there; write at least 1M".to_owned());
    }
    Ok(bytes)
}

/// A share in percent that is something.
pub(super) fn share(text: &str) -> Result<f64, String> {
    match percent(text) {
        Ok(percent) if percent > 0.0 => Ok(percent),
        _ => Err("write a share in percent, above 0 and up to 100".to_owned()),
    }
}

/// A share in percent: 0 to 100.
pub(super) fn percent(text: &str) -> Result<f64, String> {
    match text.trim_end_matches('%').parse::<f64>() {
        Ok(percent) if (0.0..=100.0).contains(&percent) => Ok(percent),
        _ => Err("write a share in percent, from 0 to 100".to_owned()),
    }
}

fn split(text: &str) -> (&str, &str) {
    text.split_at(
        text.find(|c: char| !c.is_ascii_digit())
            .unwrap_or(text.len()),
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{bit_rate, duration, memory, percent, share, size, time, within};

    #[test]
    fn times() {
        for (text, millis) in [
            ("500ms", Some(500)),
            ("30s", Some(30_000)),
            ("10m", Some(600_000)),
            ("10min", Some(600_000)),
            ("2h", Some(7_200_000)),
            ("1m30s", Some(90_000)),
            ("1.5h", Some(5_400_000)),
            ("1d", Some(86_400_000)),
            ("0s", Some(0)),
            ("0", Some(0)),
            ("", None),
            ("30", None),
            ("s", None),
            ("-1s", None),
            ("1x", None),
            ("20y", None),
            ("99999999999999999999s", None),
            ("18446744073709551615h", None),
        ] {
            let expected = millis.map(Duration::from_millis);
            assert_eq!(duration(text).ok(), expected, "{text}");
            let expected = expected.filter(|time| !time.is_zero());
            assert_eq!(time(text).ok(), expected, "{text}");
        }
        assert!(duration("10").unwrap_err().contains("1m30s"));
    }

    #[test]
    fn numbers() {
        let copies = within::<u16>(1, 1000);
        assert_eq!((copies("1"), copies("1000")), (Ok(1), Ok(1000)));
        for text in ["0", "1001", "70000", "-1", "x", ""] {
            assert_eq!(copies(text), Err("write 1 to 1000".to_owned()), "{text}");
        }
    }

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("512M", Some(512 << 20)),
            ("4k", Some(4096)),
            ("7", Some(7)),
            ("2G", Some(2 << 30)),
            ("M", None),
            ("1T", None),
            ("18446744073709551615K", None),
        ] {
            assert_eq!(size(text).ok(), bytes, "{text}");
        }
        assert_eq!(memory("1M"), Ok(1 << 20));
        assert!(memory("0").is_err() && memory("1023K").is_err());
    }

    #[test]
    fn bit_rates() {
        for (text, bits) in [
            ("50M", Some(50_000_000)),
            ("1G", Some(1_000_000_000)),
            ("100k", Some(100_000)),
            ("99K", None),
            ("1000000", None),
            ("1MB", None),
            ("0G", None),
            ("M", None),
            ("18446744073709551615K", None),
        ] {
            assert_eq!(bit_rate(text).ok(), bits, "{text}");
        }
    }

    #[test]
    fn shares() {
        assert_eq!(percent("99.9"), Ok(99.9));
        assert_eq!(percent("50%"), Ok(50.0));
        assert_eq!((percent("0"), share("0.1")), (Ok(0.0), Ok(0.1)));
        assert!(share("0").is_err() && share("101").is_err());
        assert!(percent("-1").is_err() && percent("100.1").is_err() && percent("inf").is_err());
    }
}
