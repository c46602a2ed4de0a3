//! The UMEM: turns the right to a frame into its bytes.

use std::io;
use std::num::NonZeroU32;

use xsk_rs::config::{FrameSize, QueueSize, UmemConfig};
use xsk_rs::{FrameDesc, Umem};

use crate::config::Sizes;
use crate::frame::Frame;
use crate::{Config, Error};

/// A frame that a ring named, as far as its number and its bounds go.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Named {
    /// The number of the frame.
    pub(crate) number: usize,
    descriptor: FrameDesc,
}

/// The frames of one port.
#[derive(Debug)]
pub(crate) struct Memory {
    umem: Umem,
    /// The descriptor of each frame as the UMEM made it, by frame number.
    descriptors: Box<[FrameDesc]>,
    frame_len: usize,
    huge_pages: bool,
}

impl Memory {
    /// A huge page on x86-64 and, with pages of 4 KiB, on arm64. Only a memory that is a multiple of it may ask for
    /// huge pages: the kernel rounds up when it maps and refuses to unmap what is not aligned.
    const HUGE_PAGE: u64 = 2 << 20;

    /// Maps and registers the memory of a port, on huge pages if there are any.
    pub(crate) fn new(config: &Config, sizes: Sizes) -> Result<Self, Error> {
        let failed = |cause| Error::Memory {
            frames: sizes.frames,
            frame_len: config.frame_len,
            cause,
        };
        let umem_config = umem_config(config, sizes).map_err(failed)?;
        let count = NonZeroU32::new(sizes.frames)
            .ok_or_else(|| failed(io::ErrorKind::InvalidInput.into()))?;
        let bytes = u64::from(sizes.frames) * u64::from(config.frame_len);
        let huge = if bytes.is_multiple_of(Self::HUGE_PAGE) {
            Umem::new(umem_config, count, true).ok()
        } else {
            None
        };
        let huge_pages = huge.is_some();
        let (umem, descriptors) = match huge {
            Some(made) => made,
            None => {
                Umem::new(umem_config, count, false).map_err(|error| failed(cause_of(error)))?
            }
        };
        let frame_len = config.frame_len as usize;
        Ok(Self {
            umem,
            descriptors: descriptors.into_boxed_slice(),
            frame_len,
            huge_pages,
        })
    }

    /// Whether the frames are on huge pages.
    pub(crate) fn huge_pages(&self) -> bool {
        self.huge_pages
    }

    /// The UMEM, to make a socket over it.
    pub(crate) fn umem(&self) -> &Umem {
        &self.umem
    }

    /// The descriptor of a frame as the UMEM made it, with the length that was [written](Self::write) last.
    pub(crate) fn descriptor(&self, number: usize) -> &FrameDesc {
        &self.descriptors[number]
    }

    /// Which frame a ring named.
    pub(crate) fn named(&self, descriptor: FrameDesc) -> Named {
        Named {
            number: descriptor.addr() / self.frame_len,
            descriptor,
        }
    }

    /// Lets `fill` write a packet into a frame, from its Ethernet header on. Returns whether it did.
    pub(crate) fn write(
        &mut self,
        frame: &mut Frame,
        fill: impl FnOnce(&mut [u8]) -> Option<usize>,
    ) -> bool {
        let descriptor = &mut self.descriptors[frame.number()];
        // SAFETY: the descriptor is one of this UMEM. The ledger made `frame` the only right to its bytes, so neither
        // the kernel nor another reference touches them while it is borrowed.
        let mut data = unsafe { self.umem.data_mut(descriptor) };
        let mut cursor = data.cursor();
        let capacity = cursor.buf_len();
        // The slice that a packet is written to is the contents of the segment: make it the whole of it for a while.
        cursor.set_pos(capacity);
        let len = fill(data.contents_mut());
        if let Some(len) = len {
            assert!(
                (1..=capacity).contains(&len),
                "a packet of {len} bytes in a frame for {capacity}"
            );
            data.cursor().set_pos(len);
        }
        len.is_some()
    }

    /// The packet that the rx ring said is in `frame`. `None` if it does not lie inside it.
    pub(crate) fn packet<'frame>(
        &'frame self,
        frame: &'frame Frame,
        named: &Named,
    ) -> Option<&'frame [u8]> {
        let offset = named
            .descriptor
            .addr()
            .checked_sub(frame.number() * self.frame_len)?;
        let end = offset.checked_add(named.descriptor.lengths().data())?;
        if end > self.frame_len {
            return None;
        }
        // SAFETY: the bytes lie inside `frame` by the check above. The ledger made `frame` the only right to them, and
        // the returned slice borrows it.
        Some(unsafe { self.umem.data(&named.descriptor) }.contents())
    }
}

fn umem_config(config: &Config, sizes: Sizes) -> io::Result<UmemConfig> {
    UmemConfig::builder()
        .frame_size(FrameSize::new(config.frame_len).map_err(io::Error::other)?)
        .fill_queue_size(QueueSize::new(sizes.receive).map_err(io::Error::other)?)
        .comp_queue_size(QueueSize::new(sizes.transmit).map_err(io::Error::other)?)
        .build()
        .map_err(io::Error::other)
}

/// The kernel's error behind one of xsk-rs, which says only what failed.
pub(crate) fn cause_of(error: impl std::error::Error + Send + Sync + 'static) -> io::Error {
    let errno = error
        .source()
        .and_then(|source| source.downcast_ref::<io::Error>())
        .and_then(io::Error::raw_os_error);
    errno.map_or_else(|| io::Error::other(error), io::Error::from_raw_os_error)
}
