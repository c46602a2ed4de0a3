//! One file that is open: its bytes, with their compression taken off.

use std::fs::{self, File};
use std::io::{self, Chain, Cursor, ErrorKind, IsTerminal, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::read::MultiGzDecoder;

use crate::buffer::Buffer;
use crate::error::Error;
use crate::link::LinkType;

/// The largest window that a zstd frame may ask for, as a power of two: what the tool takes without being asked for more. It
/// bounds what unpacking needs to 128 MB.
const ZSTD_WINDOW_LOG_MAX: u32 = 27;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compression {
    None,
    Gzip,
    Zstd,
}

/// Counts the bytes that come through, as they are stored.
struct Counting<R> {
    from: R,
    read: Arc<AtomicU64>,
}

impl<R: Read> Read for Counting<R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let read = self.from.read(to)?;
        self.read.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

/// A file that is open, and what is read of it.
pub(crate) struct Opened {
    pub(crate) path: PathBuf,
    pub(crate) buffer: Buffer,
    pub(crate) compression: Compression,
    /// Packets that were handed out.
    pub(crate) number: u64,
    /// Whether it can be opened a second time and gives the same.
    pub(crate) is_regular: bool,
    /// Whether its compressed data ends in the middle.
    pub(crate) is_cut_off: bool,
    /// Why nothing more can be unpacked.
    pub(crate) broken: Option<&'static str>,
    read: Arc<AtomicU64>,
    from: Box<dyn Read + Send>,
}

impl Opened {
    /// Opens a file, or standard input where the path is `-`.
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        let (file, is_regular) = source(path)?;
        Self::of(path, file, is_regular)
    }

    /// What a reader gives, under a name.
    pub(crate) fn of(
        path: &Path,
        file: Box<dyn Read + Send>,
        is_regular: bool,
    ) -> Result<Self, Error> {
        let read = Arc::new(AtomicU64::new(0));
        let mut file = Counting {
            from: file,
            read: Arc::clone(&read),
        };
        let head = first_bytes(&mut file).map_err(|source| Error::Read {
            path: path.to_owned(),
            number: 0,
            offset: 0,
            source,
        })?;
        let compression = match head[..] {
            [0x1f, 0x8b, ..] => Compression::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd] => Compression::Zstd,
            _ => Compression::None,
        };
        let from = unpacking(compression, Cursor::new(head).chain(file)).map_err(|source| {
            Error::Open {
                path: path.to_owned(),
                source,
            }
        })?;
        Ok(Self {
            path: path.to_owned(),
            buffer: Buffer::default(),
            compression,
            number: 0,
            is_regular,
            is_cut_off: false,
            broken: None,
            read,
            from,
        })
    }

    /// Bytes that were read, as they are stored.
    pub(crate) fn stored_read(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }

    /// Reads until `len` bytes stand in the buffer, and says whether they do.
    #[inline]
    pub(crate) fn want(&mut self, len: usize) -> Result<bool, Error> {
        match self.buffer.want(&mut *self.from, len) {
            Ok(whole) => Ok(whole),
            Err(error) => self.stopped(error),
        }
    }

    /// What a failed read means: compressed data that ends early or is damaged is the file's doing, not the system's.
    fn stopped(&mut self, source: io::Error) -> Result<bool, Error> {
        if self.compression != Compression::None {
            match source.kind() {
                ErrorKind::UnexpectedEof => {
                    self.is_cut_off = true;
                    return Ok(false);
                }
                // What the system says of a file has a number.
                _ if source.raw_os_error().is_none() => {
                    self.broken = Some(damage(&source));
                    return Ok(false);
                }
                _ => {}
            }
        }
        Err(Error::Read {
            path: self.path.clone(),
            number: self.number,
            offset: self.buffer.offset(),
            source,
        })
    }

    /// Whether it ends in the middle of something.
    pub(crate) fn is_torn(&self) -> bool {
        self.buffer.is_torn() || self.is_cut_off
    }

    /// Why its head cannot be read.
    pub(crate) fn head(&self, why: &'static str) -> Error {
        Error::Head {
            path: self.path.clone(),
            offset: self.buffer.offset(),
            why: match self.broken {
                Some(broken) => broken,
                None if self.is_cut_off => "its compressed data ends in the middle",
                None => why,
            },
        }
    }

    /// That its link type is not known.
    pub(crate) fn link(&self, link: LinkType) -> Error {
        Error::Link {
            path: self.path.clone(),
            link,
        }
    }
}

/// Why something cannot be unpacked. libzstd's words are those of its `error_private.c`.
fn damage(error: &io::Error) -> &'static str {
    if error.to_string().contains("requires too much memory") {
        "it was packed with a window of more than 128 MB (`zstd --long`): unpack it first"
    } else {
        "its compressed data is damaged from here on"
    }
}

/// The bytes of a file as they are stored, and whether it can be read twice.
fn source(path: &Path) -> Result<(Box<dyn Read + Send>, bool), Error> {
    if is_standard_input(path) {
        if io::stdin().is_terminal() {
            return Err(Error::Terminal);
        }
        return Ok((Box::new(io::stdin()), false));
    }
    let open = |source| Error::Open {
        path: path.to_owned(),
        source,
    };
    let kind = fs::metadata(path).map_err(open)?;
    if kind.is_dir() {
        return Err(Error::Directory(path.to_owned()));
    }
    let file = File::open(path).map_err(open)?;
    Ok((Box::new(file), kind.is_file()))
}

/// Whether a path means standard input.
pub(crate) fn is_standard_input(path: &Path) -> bool {
    path == Path::new("-")
}

/// Up to four bytes, fewer only at the end of the file.
fn first_bytes(file: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut head = Vec::with_capacity(4);
    file.take(4).read_to_end(&mut head)?;
    Ok(head)
}

fn unpacking<R: Read + Send + 'static>(
    compression: Compression,
    stored: Chain<Cursor<Vec<u8>>, R>,
) -> io::Result<Box<dyn Read + Send>> {
    Ok(match compression {
        Compression::None => Box::new(stored),
        // A file may have several members: `cat a.gz b.gz` makes one.
        Compression::Gzip => Box::new(MultiGzDecoder::new(stored)),
        Compression::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::new(stored)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
            Box::new(decoder)
        }
    })
}
