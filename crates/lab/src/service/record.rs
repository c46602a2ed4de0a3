//! The record of a service: every request that it has answered, as lines of text.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use crate::error::{Error, Result, Tried};

/// One request as the service saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Entry {
    /// Its id.
    pub id: u64,
    /// Length of its body, in bytes.
    pub body_len: u64,
    /// Digest of its body.
    pub digest: u64,
}

/// Reads what [`super::Options::record`] named.
///
/// # Errors
///
/// Where it cannot be read or is no such file.
pub fn read_record(file: &Path) -> Result<Vec<Entry>> {
    let text = std::fs::read_to_string(file).tried(|| format!("read {}", file.display()))?;
    let wrong = |line: &str| Error::Parse {
        what: file.display().to_string(),
        why: format!("the line `{line}`"),
    };
    text.lines()
        .map(|line| {
            let mut words = line.split(' ');
            let mut number = |radix| {
                words
                    .next()
                    .and_then(|word| u64::from_str_radix(word, radix).ok())
            };
            match (number(16), number(10), number(16)) {
                (Some(id), Some(body_len), Some(digest)) => Ok(Entry {
                    id,
                    body_len,
                    digest,
                }),
                _ => Err(wrong(line)),
            }
        })
        .collect()
}

/// Writes it.
pub(super) fn write_record(file: &Path, entries: &[Entry]) -> Result<()> {
    let write = || {
        let mut output = BufWriter::new(File::create(file)?);
        for entry in entries {
            writeln!(
                output,
                "{:016x} {} {:016x}",
                entry.id, entry.body_len, entry.digest
            )?;
        }
        output.flush()
    };
    write().tried(|| format!("write {}", file.display()))
}
