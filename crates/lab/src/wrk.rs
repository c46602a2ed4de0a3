//! What wrk prints.

use crate::error::{Error, Result};

/// The result of a run of `wrk --latency`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Wrk {
    /// Requests answered.
    pub requests: u64,
    /// Requests per second.
    pub rate: f64,
    /// Median latency, in microseconds.
    pub p50_us: f64,
    /// 99th percentile, in microseconds.
    pub p99_us: f64,
    /// Socket errors and responses that were not 2xx or 3xx.
    pub errors: u64,
}

/// Reads the output of `wrk --latency`.
///
/// # Errors
///
/// Where it holds no result.
pub fn parse(output: &str) -> Result<Wrk> {
    let mut result = Wrk::default();
    let mut complete = false;
    for line in output.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["50%", time] => result.p50_us = microseconds(time),
            ["99%", time] => result.p99_us = microseconds(time),
            [requests, "requests", "in", ..] => result.requests = requests.parse().unwrap_or(0),
            ["Requests/sec:", rate] => {
                result.rate = rate.parse().unwrap_or(0.0);
                complete = true;
            }
            ["Non-2xx", .., count] => result.errors += count.parse().unwrap_or(0),
            ["Socket", "errors:", ..] => {
                let numbers = words
                    .iter()
                    .filter_map(|word| word.trim_end_matches(',').parse::<u64>().ok());
                result.errors += numbers.sum::<u64>();
            }
            _ => {}
        }
    }
    if complete {
        Ok(result)
    } else {
        Err(Error::Parse {
            what: "the output of wrk".to_owned(),
            why: format!("it holds no result:\n{output}"),
        })
    }
}

fn microseconds(text: &str) -> f64 {
    let units = [("us", 1.0), ("ms", 1e3), ("s", 1e6)];
    let found = units
        .iter()
        .find_map(|(unit, factor)| Some(text.strip_suffix(unit)?.parse::<f64>().ok()? * factor));
    found.unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::{Wrk, parse};

    #[test]
    fn a_result_is_read() {
        let output = "  Latency Distribution
     50%  552.00us
     75%    0.91ms
     99%    3.51ms
  197642 requests in 3.00s, 140.97MB read
  Socket errors: connect 0, read 2, write 0, timeout 1
  Non-2xx or 3xx responses: 4
Requests/sec:  65834.90
Transfer/sec:     46.96MB
";
        let expected = Wrk {
            requests: 197_642,
            rate: 65_834.9,
            p50_us: 552.0,
            p99_us: 3510.0,
            errors: 7,
        };
        assert_eq!(parse(output).unwrap(), expected);
        assert!(parse("unable to connect").is_err());
    }
}
