//! Comparing what two servers have seen, request by request.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::Path;

use crate::error::{Result, Tried};

/// One request of an access log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Its id.
    pub id: String,
    /// Status of the response.
    pub status: u16,
    /// Length of the request's body, in bytes.
    pub body_len: u64,
    /// Length of the response's body, in bytes.
    pub sent_len: u64,
    /// Port of the client: tells connections of one client apart.
    pub client_port: u16,
}

/// The format of the logs, as nginx wants it; see [`read`].
pub const FORMAT: &str = "$arg_id $status $content_length $body_bytes_sent $remote_port";

/// Reads an access log in [`FORMAT`]. Requests without an id are left out; a line that was cut off is too.
///
/// # Errors
///
/// Where the file cannot be read.
pub fn read(file: &Path) -> Result<Vec<Request>> {
    let text = std::fs::read_to_string(file).tried(|| format!("read {}", file.display()))?;
    Ok(text.lines().filter_map(parse).collect())
}

fn parse(line: &str) -> Option<Request> {
    let words: Vec<&str> = line.split(' ').collect();
    let [id, status, body_len, sent_len, client_port] = words[..] else {
        return None;
    };
    if id == "-" {
        return None;
    }
    Some(Request {
        id: id.to_owned(),
        status: status.parse().ok()?,
        // nginx writes `-` for a request without a body.
        body_len: body_len.parse().unwrap_or(0),
        sent_len: sent_len.parse().ok()?,
        client_port: client_port.parse().ok()?,
    })
}

/// How the requests that the target has seen differ from those that the online server has seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Comparison {
    /// Requests that the online server has seen.
    pub online: usize,
    /// Requests that the target has seen, counting doubles.
    pub target: usize,
    /// Requests that both have seen.
    pub copied: usize,
    /// Ids that only the online server has seen.
    pub missing: Vec<String>,
    /// Ids that the target has seen more often than the online server.
    pub doubled: Vec<String>,
    /// Ids that only the target has seen.
    pub extra: Vec<String>,
    /// Statuses that the target answered with.
    pub statuses: BTreeMap<u16, usize>,
}

impl Comparison {
    /// Compares two logs.
    #[must_use]
    pub fn of(online: &[Request], target: &[Request]) -> Self {
        let ids = |requests: &[Request]| {
            let mut counts: HashMap<String, (usize, usize)> =
                HashMap::with_capacity(requests.len());
            for request in requests {
                counts.entry(request.id.clone()).or_default().0 += 1;
            }
            counts
        };
        let mut counts = ids(online);
        for request in target {
            counts.entry(request.id.clone()).or_default().1 += 1;
        }
        let mut comparison = Self {
            online: online.len(),
            target: target.len(),
            ..Self::default()
        };
        for (id, (at_online, at_target)) in counts {
            match (at_online, at_target) {
                (_, 0) => comparison.missing.push(id),
                (0, _) => comparison.extra.push(id),
                (online, target) => {
                    comparison.copied += 1;
                    if target > online {
                        comparison.doubled.push(id);
                    }
                }
            }
        }
        for list in [
            &mut comparison.missing,
            &mut comparison.doubled,
            &mut comparison.extra,
        ] {
            list.sort();
        }
        for request in target {
            *comparison.statuses.entry(request.status).or_default() += 1;
        }
        comparison
    }

    /// Whether the target has seen each request of the online server exactly once, and no other.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        self.missing.is_empty() && self.doubled.is_empty() && self.extra.is_empty()
    }

    /// Share of the online server's requests that the target has seen, 0 to 1; 1 where there was none.
    #[must_use]
    pub fn fidelity(&self) -> f64 {
        let all = self.copied + self.missing.len();
        if all == 0 {
            1.0
        } else {
            self.copied as f64 / all as f64
        }
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "online {}, target {}, copied {}",
            self.online, self.target, self.copied
        )?;
        for (what, list) in [
            ("missing", &self.missing),
            ("doubled", &self.doubled),
            ("extra", &self.extra),
        ] {
            if let (Some(first), Some(last)) = (list.first(), list.last()) {
                write!(f, ", {} {what} ({first} to {last})", list.len())?;
            }
        }
        write!(f, ", statuses {:?}", self.statuses)
    }
}

#[cfg(test)]
mod tests {
    use super::{Comparison, Request, parse};

    fn log(ids: &[&str]) -> Vec<Request> {
        ids.iter()
            .map(|id| parse(&format!("{id} 200 - 600 40000")).unwrap())
            .collect()
    }

    #[test]
    fn missing_double_and_strange_requests_are_told_apart() {
        let comparison = Comparison::of(&log(&["a", "b", "c"]), &log(&["b", "b", "c", "x"]));
        assert_eq!(comparison.missing, ["a"]);
        assert_eq!(comparison.doubled, ["b"]);
        assert_eq!(comparison.extra, ["x"]);
        assert_eq!(
            (comparison.online, comparison.target, comparison.copied),
            (3, 4, 2)
        );
        assert!(!comparison.is_exact());
        assert!(Comparison::of(&log(&["a"]), &log(&["a"])).is_exact());
    }

    #[test]
    fn lines_without_an_id_or_cut_off_are_left_out() {
        assert_eq!(parse("- 200 - 600 40000"), None);
        assert_eq!(parse("0001 200 - 600"), None);
        assert_eq!(
            parse("1f 200 8000 600 40000").map(|request| request.body_len),
            Some(8000)
        );
    }
}
