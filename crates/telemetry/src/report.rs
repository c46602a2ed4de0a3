//! The report: one file to send to a colleague, made of one summary or of several, which it then compares.

mod older;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::document;
use crate::file::{self, Contents, FileError, Place};
use crate::latency::Series;
use crate::summary::FORMAT;
use crate::verdict::{Findings, Intervals};

/// Largest summary that is read, in bytes; ours have some ten thousand.
const SUMMARY_LEN_MAX: u64 = 16 << 20;

/// No report could be made.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// No summary was named.
    #[error("name at least one summary, as --summary of a run wrote it")]
    Nothing,
    /// A summary could not be read.
    #[error("cannot read {path}: {source}; name a file that --summary of a run wrote", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is larger than a summary can be.
    #[error("{path} is no summary: it has {len} bytes, a summary at most {SUMMARY_LEN_MAX}", path = path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
        /// Its length in bytes.
        len: u64,
    },
    /// A file is not JSON.
    #[error("{path} is not JSON: {source}; a summary that is cut off cannot be used", path = path.display())]
    NotJson {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: serde_json::Error,
    },
    /// JSON of something else.
    #[error("{path} is JSON, but no summary of tcpcopy: it has no `{missing}`", path = path.display())]
    NotOurs {
        /// The file.
        path: PathBuf,
        /// What every summary has.
        missing: &'static str,
    },
    /// A summary of a version before there were reports.
    #[error("{path} was written by an older tcpcopy ({version}), whose summaries have no curves and no verdict; run it again with this version", path = path.display())]
    Older {
        /// The file.
        path: PathBuf,
        /// Who wrote it.
        version: String,
    },
    /// A summary of a later version.
    #[error("{path} was written by a later tcpcopy ({version}, format {format}; this one knows {FORMAT}); use that one for the report", path = path.display())]
    Later {
        /// The file.
        path: PathBuf,
        /// Who wrote it.
        version: String,
        /// Its form.
        format: u64,
    },
    /// The report would take the place of what it is made of.
    #[error("--out names the summary {path} itself; name another file", path = path.display())]
    OverSummary {
        /// The file.
        path: PathBuf,
    },
    /// A file is no regular one, and reading it might never come to an end.
    #[error("{path} is {kind} and no summary; name a file that --summary of a run wrote", path = path.display())]
    NotRegular {
        /// The file.
        path: PathBuf,
        /// What it is.
        kind: &'static str,
    },
    /// The report could not be written.
    #[error("cannot write the report: {0}")]
    Write(#[from] FileError),
}

/// A summary and the name of its file.
#[derive(Clone, Debug, Serialize)]
struct Run {
    name: String,
    summary: Value,
}

/// What a run is beside the first one.
#[derive(Clone, Copy, Debug, Serialize)]
struct Comparison {
    /// Its place in the list of runs.
    run: usize,
    /// The online server's times; they tell whether load or machine were the same.
    online: Ends,
    /// The target's times, net.
    target: Ends,
}

#[derive(Clone, Copy, Debug, Serialize)]
struct Ends {
    first_byte: Findings,
    last_byte: Findings,
}

#[derive(Serialize)]
struct Data<'a> {
    runs: &'a [Run],
    comparisons: Vec<Comparison>,
}

/// Reads summaries and writes the report of them. What responses begin with is in it only `with_payload`: a report is made to be
/// sent.
///
/// # Errors
///
/// [`ReportError`], each with the file and what to do. A report of before is left as it was where a summary is unusable.
pub fn write(summaries: &[PathBuf], out: &Path, with_payload: bool) -> Result<(), ReportError> {
    let mut runs = summaries
        .iter()
        .map(|path| read(path))
        .collect::<Result<Vec<_>, _>>()?;
    if runs.is_empty() {
        return Err(ReportError::Nothing);
    }
    let same = |path: &&PathBuf| {
        let canonical = fs::canonicalize(path).ok();
        canonical.is_some() && canonical == fs::canonicalize(out).ok()
    };
    if let Some(path) = summaries.iter().find(same) {
        let path = path.clone();
        return Err(ReportError::OverSummary { path });
    }
    if !with_payload {
        for run in &mut runs {
            leave_payload_out(&mut run.summary);
        }
    }
    let place = Place::open(out)?;
    place.sweep();
    Ok(place.write(html(&runs).as_bytes(), true)?)
}

fn read(path: &Path) -> Result<Run, ReportError> {
    let unreadable = |source| ReportError::Read {
        path: path.to_owned(),
        source,
    };
    let owned = || path.to_owned();
    let bytes = match file::read(path, SUMMARY_LEN_MAX).map_err(unreadable)? {
        Contents::Whole(bytes) => bytes,
        Contents::TooLong(len) => return Err(ReportError::TooLong { path: owned(), len }),
        Contents::NotRegular(kind) => {
            return Err(ReportError::NotRegular {
                path: owned(),
                kind,
            });
        }
    };
    let mut summary = serde_json::from_slice(&bytes).map_err(|source| ReportError::NotJson {
        path: path.to_owned(),
        source,
    })?;
    if check(path, &summary)? == 1 {
        older::from_1(&mut summary);
    }
    let name = path.file_name().unwrap_or(path.as_os_str());
    Ok(Run {
        name: name.to_string_lossy().into_owned(),
        summary,
    })
}

/// The format of a summary that the report can show. Single keys may be missing: it says so where they would stand.
fn check(path: &Path, summary: &Value) -> Result<u64, ReportError> {
    for missing in ["version", "ledger", "fidelity"] {
        if summary.get(missing).is_none() {
            let path = path.to_owned();
            return Err(ReportError::NotOurs { path, missing });
        }
    }
    let (path, version) = (path.to_owned(), summary["version"].to_string());
    match summary.get("format").and_then(Value::as_u64) {
        Some(format @ 1..=FORMAT) => Ok(format),
        Some(format) if format > FORMAT => Err(ReportError::Later {
            path,
            version,
            format,
        }),
        _ => Err(ReportError::Older { path, version }),
    }
}

/// As [`crate::Summary::without_payload`].
fn leave_payload_out(summary: &mut Value) {
    let Some(samples) = summary.get_mut("samples").and_then(Value::as_object_mut) else {
        return;
    };
    let listed = samples.remove("differing");
    let listed = listed
        .as_ref()
        .and_then(Value::as_array)
        .map_or(0, Vec::len);
    let unlisted = samples.get("differing_unlisted").and_then(Value::as_u64);
    let all = unlisted.unwrap_or_default() + listed as u64;
    samples.insert("differing".to_owned(), Value::Array(Vec::new()));
    samples.insert("differing_unlisted".to_owned(), all.into());
}

fn html(runs: &[Run]) -> String {
    let comparisons = match runs {
        [first, others @ ..] => (1..)
            .zip(others)
            .map(|(run, other)| compare(run, &first.summary, &other.summary))
            .collect(),
        [] => Vec::new(),
    };
    let data = serde_json::to_string(&Data { runs, comparisons });
    // Strings and numbers that were read from JSON can be written as JSON.
    let data = document::escape_json(&data.unwrap_or_else(|_| "{\"runs\":[]}".to_owned()));
    // The data last: what stands in it must not be taken for a place to fill.
    let html = document::inline(include_str!("../assets/report.html"));
    let policy = document::policy(&html, "");
    html.replace("{{policy}}", &policy)
        .replace("{{data}}", &data)
}

fn compare(run: usize, first: &Value, other: &Value) -> Comparison {
    let side = |[to_first, to_last]: [Series; 2]| Ends {
        first_byte: Findings::new(&intervals(first, to_first), &intervals(other, to_first)),
        last_byte: Findings::new(&intervals(first, to_last), &intervals(other, to_last)),
    };
    Comparison {
        run,
        online: side([Series::OnlineFirst, Series::OnlineLast]),
        target: side([Series::TargetFirstNet, Series::TargetLastNet]),
    }
}

/// What a summary knows of a series; where it knows nothing, nothing can be told.
fn intervals(summary: &Value, series: Series) -> Intervals {
    let (side, end) = series.path();
    let known = &summary["verdict"]["intervals_us"][side][end.unwrap_or_default()];
    Intervals::deserialize(known).unwrap_or_default()
}

#[cfg(test)]
mod tests;
