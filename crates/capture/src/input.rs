//! One file: its container, and the records in it.

use crate::blocks::Section;
use crate::classic::Classic;
use crate::error::Error;
use crate::opened::Opened;
use crate::record::Located;

/// A file that is open, with its container known and its head read.
pub(crate) struct Input {
    pub(crate) opened: Opened,
    container: Container,
}

enum Container {
    Classic(Classic),
    Blocks(Section),
}

impl Input {
    /// Reads the head of a file.
    pub(crate) fn open(mut opened: Opened) -> Result<Self, Error> {
        if !opened.want(4)? {
            return Err(if opened.is_torn() || opened.broken.is_some() {
                opened.head("it has less than four bytes")
            } else {
                Error::Empty(opened.path)
            });
        }
        let magic = opened.buffer.unread().first_chunk().copied();
        let container = match magic {
            Some(magic) if Classic::begins(magic) => {
                Container::Classic(Classic::open(&mut opened)?)
            }
            Some(magic) if Section::begins(magic) => Container::Blocks(Section::open(&mut opened)?),
            magic => {
                return Err(Error::Magic {
                    path: opened.path,
                    magic: magic.unwrap_or_default(),
                });
            }
        };
        Ok(Self { opened, container })
    }

    /// Finds the next record.
    #[inline]
    pub(crate) fn locate(&mut self) -> Result<Located, Error> {
        let located = match &mut self.container {
            Container::Classic(classic) => classic.locate(&mut self.opened)?,
            Container::Blocks(section) => section.locate(&mut self.opened)?,
        };
        Ok(match (located, self.opened.broken) {
            (Located::End, Some(why)) => Located::Damaged(why),
            (located, _) => located,
        })
    }
}
