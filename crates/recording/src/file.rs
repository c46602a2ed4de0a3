//! One file. What was written whole stays readable: a write that fails is taken back, and a compressed file is complete as far as
//! it was flushed.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use thiserror::Error;
use zstd::stream::write::Encoder;

use crate::names::Form;

/// How hard zstd tries: its fastest usual level, so that one thread keeps up with a network card.
const LEVEL: i32 = 1;

/// What cannot be written.
#[derive(Debug, Error)]
#[error("cannot write {}: {cause}", path.display())]
pub struct Error {
    /// The file.
    pub path: PathBuf,
    /// Why not.
    pub cause: io::Error,
}

/// A file that grows.
pub(crate) struct Growing {
    path: PathBuf,
    out: Out,
    /// Bytes that are whole, on the disk.
    whole_len: u64,
}

enum Out {
    Plain(File),
    Zstd(Box<Encoder<'static, File>>),
}

impl Out {
    fn create(path: &Path, form: Form, replaces: bool) -> io::Result<Self> {
        if form == Form::Nowhere {
            return Ok(Self::Plain(OpenOptions::new().write(true).open(path)?));
        }
        if replaces && path.symlink_metadata().is_ok_and(|it| !it.is_file()) {
            return Err(io::Error::other("it exists, and is no regular file"));
        }
        let mut options = OpenOptions::new();
        options.write(true).mode(0o600);
        if replaces {
            options.create(true).truncate(true);
        } else {
            options.create_new(true);
        }
        let file = options.open(path)?;
        Ok(match form {
            Form::Plain | Form::Nowhere => Self::Plain(file),
            Form::Zstd => Self::Zstd(Box::new(Encoder::new(file, LEVEL)?)),
        })
    }
}

impl Growing {
    /// Makes a file that only its owner may read: it holds what clients have sent. With `replaces` one that exists is emptied.
    pub(crate) fn create(path: &Path, form: Form, replaces: bool) -> Result<Self, Error> {
        let out = Out::create(path, form, replaces).map_err(|cause| Error {
            path: path.to_owned(),
            cause,
        })?;
        Ok(Self {
            path: path.to_owned(),
            out,
            whole_len: 0,
        })
    }

    /// Bytes on the disk.
    pub(crate) const fn len(&self) -> u64 {
        self.whole_len
    }

    /// Writes whole blocks.
    pub(crate) fn write(&mut self, blocks: &[u8]) -> Result<(), Error> {
        let written = match &mut self.out {
            Out::Plain(file) => file.write_all(blocks),
            Out::Zstd(encoder) => encoder.write_all(blocks).and_then(|()| encoder.flush()),
        };
        self.settle(written)
    }

    /// Nothing follows.
    pub(crate) fn finish(mut self) -> Result<u64, Error> {
        self.end()?;
        Ok(self.whole_len)
    }

    /// The same where the length is asked for later.
    pub(crate) fn end(&mut self) -> Result<(), Error> {
        match &mut self.out {
            Out::Plain(_) => Ok(()),
            Out::Zstd(encoder) => {
                let ended = encoder.do_finish();
                self.settle(ended)
            }
        }
    }

    /// Remembers how long the file is, or makes it as long as it was.
    fn settle(&mut self, written: io::Result<()>) -> Result<(), Error> {
        let file = match &mut self.out {
            Out::Plain(file) => file,
            Out::Zstd(encoder) => encoder.get_mut(),
        };
        match written.and_then(|()| file.stream_position()) {
            Ok(len) => {
                self.whole_len = len;
                Ok(())
            }
            Err(cause) => {
                // What cannot be cut off is a torn block at the end, which readers know.
                let _ = file.set_len(self.whole_len);
                // What is written all the same must not leave a gap before it.
                let _ = file.seek(SeekFrom::Start(self.whole_len));
                let path = self.path.clone();
                Err(Error { path, cause })
            }
        }
    }
}
