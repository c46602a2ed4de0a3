//! What was read, and what could not be.

use std::fmt;
use std::path::PathBuf;

/// How many notes are kept. What comes later is counted only.
const NOTES_MAX: usize = 64;

/// What files had in them.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    /// Records that were handed out.
    pub frames: u64,
    /// Their bytes, as the files have them.
    pub bytes: u64,
    /// Records that were longer on the wire than in the file, by the record's own word.
    pub cut: u64,
    /// Packets of interfaces whose link type is not known.
    pub other_link: u64,
    /// Files that end in the middle of a record.
    pub torn: u64,
    /// Records that contradict themselves.
    pub damaged: u64,
    /// Packets that whoever captured says it has lost.
    pub lost: u64,
    /// Notes that are not kept, because there were too many.
    pub notes_left_out: u64,
    notes: Vec<Note>,
}

impl Counts {
    /// What is worth a line: the first ones of each run.
    #[must_use]
    pub fn notes(&self) -> &[Note] {
        &self.notes
    }

    pub(crate) fn note(&mut self, note: Note) {
        match note.kind {
            NoteKind::Torn => self.torn += 1,
            NoteKind::Damaged(_) => self.damaged += 1,
            NoteKind::OtherLink(_) => {}
        }
        if self.notes.len() < NOTES_MAX {
            self.notes.push(note);
        } else {
            self.notes_left_out += 1;
        }
    }
}

/// Something about a file that its user should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// The file.
    pub path: PathBuf,
    /// Number of the packet in this file, from 1 on, that it is about, or before which it stands.
    pub number: u64,
    /// Offset in the uncompressed file, in bytes.
    pub offset: u64,
    /// What it is.
    pub kind: NoteKind,
}

/// What a [`Note`] is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoteKind {
    /// The file ends in the middle of a record; all whole ones were read.
    Torn,
    /// A record contradicts itself, and says this.
    Damaged(&'static str),
    /// An interface's link type is not known, and its packets are passed over.
    OtherLink(crate::LinkType),
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (path, number, offset) = (self.path.display(), self.number, self.offset);
        match self.kind {
            NoteKind::Torn => write!(
                f,
                "{path} ends in the middle of packet {number}, at byte {offset}: what stands before it was read"
            ),
            NoteKind::Damaged(why) => {
                write!(
                    f,
                    "{path} is damaged at packet {number}, byte {offset}: {why}"
                )
            }
            NoteKind::OtherLink(link) => write!(
                f,
                "{path} has an interface of link type {link} at byte {offset}, behind packet {number}: its packets are passed over"
            ),
        }
    }
}

/// How far files are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Bytes that were read, as they are stored: compressed where a file is.
    pub read: u64,
    /// Bytes in all, where each file says how long it is: a pipe does not.
    pub total: Option<u64>,
    /// Which file is being read, from 1 on; at the end the last one.
    pub file: usize,
    /// How many files there are.
    pub files: usize,
}
