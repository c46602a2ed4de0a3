//! Several files as one stream of records, in the order given.
//!
//! Each is opened and its head read before the first record is handed out, so that what cannot be read is refused before
//! anything is sent; a file that can be opened again is closed until its turn, so that a capture may have any number of parts.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::counts::{Counts, Note, NoteKind, Progress};
use crate::error::Error;
use crate::input::Input;
use crate::link::LinkType;
use crate::opened::{Compression, Opened, is_standard_input};
use crate::record::{Located, Record};

/// What is said of a file that was being followed.
const SHRUNK: &str = "it became shorter while it was followed; name the file that goes on";

/// Where a record stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Which file, from 0 on; [`Files::path`] has its name.
    pub file: usize,
    /// Number of the packet in this file, from 1 on.
    pub number: u64,
    /// Offset of its record in the uncompressed file, in bytes.
    pub offset: u64,
}

/// One captured packet as the file has it.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// When it was captured, in nanoseconds since the epoch.
    pub at_ns: u64,
    /// What its bytes begin with.
    pub link: LinkType,
    /// Number of the interface that it was captured on, in its section of a pcapng file; 0 in a pcap file.
    pub interface: u32,
    /// Its bytes, from the link layer on: perhaps not all.
    pub bytes: &'a [u8],
    /// How many bytes it had on the wire, by the record's word: at least those of `bytes`.
    pub wire_len: u32,
    /// Where it stands.
    pub place: Place,
}

/// One of the files.
struct Part {
    path: PathBuf,
    /// Length as it is stored, where it can be read twice.
    stored_len: Option<u64>,
    /// What cannot be opened a second time stays open from the beginning on.
    held: Option<Input>,
}

/// Several files as one stream of records.
pub struct Files {
    parts: Vec<Part>,
    follow: bool,
    /// Which file is being read.
    at: usize,
    current: Option<Input>,
    /// Bytes of the files before, as they are stored.
    stored_before: u64,
    counts: Counts,
}

impl Files {
    /// Opens each file and reads its head. `-` is standard input. With `follow` the last file may still grow.
    ///
    /// # Errors
    ///
    /// An [`Error`] for what cannot be read as a capture.
    pub fn open(paths: &[PathBuf], follow: bool) -> Result<Self, Error> {
        let mut parts: Vec<Part> = Vec::with_capacity(paths.len());
        for (at, path) in paths.iter().enumerate() {
            if is_standard_input(path) && paths[..at].contains(path) {
                return Err(Error::Once {
                    path: path.clone(),
                    what: "twice",
                    why: "it is standard input",
                });
            }
            parts.push(Part::open(path, follow && at + 1 == paths.len())?);
        }
        Ok(Self::of(parts, follow))
    }

    /// What a reader gives, under a name that errors and notes have.
    ///
    /// # Errors
    ///
    /// An [`Error`] for what cannot be read as a capture.
    pub fn of_reader(name: &Path, reader: Box<dyn Read + Send>) -> Result<Self, Error> {
        let part = Part {
            path: name.to_owned(),
            stored_len: None,
            held: Some(Input::open(Opened::of(name, reader, false)?)?),
        };
        Ok(Self::of(vec![part], false))
    }

    fn of(parts: Vec<Part>, follow: bool) -> Self {
        Self {
            parts,
            follow,
            at: 0,
            current: None,
            stored_before: 0,
            counts: Counts::default(),
        }
    }

    /// The next record; `None` at the end, and with `follow` where nothing more is there yet.
    ///
    /// A file that ends in the middle of a record, or is damaged so that the next record cannot be found, is noted in
    /// [`Files::counts`], and the next file goes on.
    ///
    /// # Errors
    ///
    /// An [`Error`] where the system cannot read the file. It names the packet and the offset.
    #[expect(
        clippy::should_implement_trait,
        reason = "an iterator cannot lend out what the next call overwrites"
    )]
    pub fn next(&mut self) -> Result<Option<Frame<'_>>, Error> {
        let Some(record) = self.advance()? else {
            return Ok(None);
        };
        let Some(Input { opened, .. }) = &self.current else {
            return Ok(None);
        };
        let bytes = &opened.buffer.taken(record.taken)[..record.len];
        Ok(Some(Frame {
            at_ns: record.at_ns,
            link: record.link,
            interface: record.interface,
            bytes,
            wire_len: record.wire_len,
            place: Place {
                file: self.at,
                number: opened.number,
                offset: opened.buffer.offset() - record.record_len as u64,
            },
        }))
    }

    /// Whether nothing more will come: with `follow`, [`Files::next`] alone does not say so.
    #[must_use]
    pub fn ended(&self) -> bool {
        self.at >= self.parts.len()
    }

    /// Name of a file, as it was given.
    #[must_use]
    pub fn path(&self, file: usize) -> Option<&Path> {
        self.parts.get(file).map(|part| part.path.as_path())
    }

    /// How far the files are read.
    #[must_use]
    pub fn progress(&self) -> Progress {
        let current = self
            .current
            .as_ref()
            .map(|input| input.opened.stored_read());
        let lengths = self.parts.iter().map(|part| part.stored_len);
        Progress {
            read: self.stored_before + current.unwrap_or(0),
            total: lengths.sum(),
            file: (self.at + 1).min(self.parts.len()),
            files: self.parts.len(),
        }
    }

    /// What was read, and what could not be.
    #[must_use]
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Whether [`Files::rewind`] will be possible.
    ///
    /// # Errors
    ///
    /// [`Error::Once`] where one of the files can be read only once: standard input or another pipe.
    pub fn can_be_read_again(&self) -> Result<(), Error> {
        if let Some(part) = self.parts.iter().find(|part| part.stored_len.is_none()) {
            return Err(Error::Once {
                path: part.path.clone(),
                what: "a second time",
                why: "it is a pipe; name a file",
            });
        }
        Ok(())
    }

    /// Begins again with the first file. Counts go on.
    ///
    /// # Errors
    ///
    /// Those of [`Files::can_be_read_again`].
    pub fn rewind(&mut self) -> Result<(), Error> {
        self.can_be_read_again()?;
        self.at = 0;
        self.current = None;
        self.stored_before = 0;
        Ok(())
    }

    /// Finds the next record, in this file or one behind it.
    #[inline]
    fn advance(&mut self) -> Result<Option<Record>, Error> {
        loop {
            let Some(input) = &mut self.current else {
                let Some(part) = self.parts.get_mut(self.at) else {
                    return Ok(None);
                };
                self.current = Some(match part.held.take() {
                    Some(held) => held,
                    None => Input::open(Opened::open(&part.path)?)?,
                });
                continue;
            };
            let offset = input.opened.buffer.offset();
            match input.locate()? {
                Located::Record(record) => {
                    input.opened.number += 1;
                    self.counts.frames += 1;
                    self.counts.bytes += record.len as u64;
                    self.counts.cut += u64::from(record.wire_len as usize > record.len);
                    return Ok(Some(record));
                }
                Located::End if self.follow => {
                    if self.waits(offset)? {
                        return Ok(None);
                    }
                }
                other => self.other(other, offset),
            }
        }
    }

    /// Whether more may come behind the end of the file that is read; leaves it where not.
    fn waits(&mut self, offset: u64) -> Result<bool, Error> {
        let is_last = self.at + 1 == self.parts.len();
        let grown = match (self.parts.get_mut(self.at), &self.current) {
            (Some(part), Some(input)) if is_last && part.stored_len.is_some() => {
                let len = stored_len(&part.path)?;
                part.stored_len = Some(len);
                len >= input.opened.stored_read()
            }
            _ => {
                self.other(Located::End, offset);
                return Ok(false);
            }
        };
        if !grown {
            self.other(Located::Damaged(SHRUNK), offset);
        }
        Ok(grown)
    }

    /// Counts what is no record, at an offset of the file, and leaves a file that ends.
    fn other(&mut self, located: Located, offset: u64) {
        let Some(input) = &mut self.current else {
            return;
        };
        let note = |kind, number| Note {
            path: input.opened.path.clone(),
            number,
            offset,
            kind,
        };
        let number = input.opened.number;
        match located {
            Located::Record(_) | Located::Other => return,
            Located::OtherLink(link) => {
                if self.counts.other_link == 0 {
                    self.counts.note(note(NoteKind::OtherLink(link), number));
                }
                self.counts.other_link += 1;
                return;
            }
            Located::Lost(packets) => {
                self.counts.lost = self.counts.lost.saturating_add(packets);
                return;
            }
            Located::Blemish(why) => {
                self.counts.note(note(NoteKind::Damaged(why), number + 1));
                input.opened.number += 1;
                return;
            }
            Located::Damaged(why) => self.counts.note(note(NoteKind::Damaged(why), number + 1)),
            Located::End if input.opened.is_torn() => {
                self.counts.note(note(NoteKind::Torn, number + 1));
            }
            Located::End => {}
        }
        self.stored_before += input.opened.stored_read();
        self.current = None;
        self.at += 1;
    }
}

impl Part {
    fn open(path: &Path, grows: bool) -> Result<Self, Error> {
        let input = Input::open(Opened::open(path)?)?;
        if grows && input.opened.compression != Compression::None {
            return Err(Error::Once {
                path: path.to_owned(),
                what: "while it grows",
                why: "it is compressed; pipe it through a decompressor, or follow the uncompressed file",
            });
        }
        let stored_len = if input.opened.is_regular {
            Some(stored_len(path)?)
        } else {
            None
        };
        Ok(Self {
            path: path.to_owned(),
            held: stored_len.is_none().then_some(input),
            stored_len,
        })
    }
}

fn stored_len(path: &Path) -> Result<u64, Error> {
    let metadata = fs::metadata(path).map_err(|source| Error::Open {
        path: path.to_owned(),
        source,
    })?;
    Ok(metadata.len())
}
