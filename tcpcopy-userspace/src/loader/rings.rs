//! The workers' rings. Each starts small, and is replaced by a larger one once its worker has found much in it at a time.
//!
//! The kernel takes all memory of a ring when it is made and maps it twice, so a large one that nobody fills is the greatest
//! part of what a run holds. A ring cannot grow; a program looks its ring up for each record, so another one can take its place.

use std::os::fd::AsFd as _;

use abi::maps::RINGS;
use aya::Ebpf;
use aya::maps::{ArrayOfMaps, Map, MapData, MapError, RingBuf};

use super::Error;
use super::maps::in_map;
use crate::plan::Plan;

/// Bytes of a ring at the start, at most: all that it gets. Smaller ones saved 120 MB of an idle run, and lost records: with 4 MiB the
/// first burst of uploads found the ring full before the larger one was there, and turns had gaps while it was replaced.
const LEN_FIRST: u32 = 64 << 20;

/// The array of rings, and how long they are.
pub(crate) struct Rings {
    array: ArrayOfMaps<MapData, MapData>,
    first: u32,
    last: u32,
}

impl Rings {
    /// Takes the array out of the object: nobody else touches it.
    pub(super) fn take(ebpf: &mut Ebpf, plan: &Plan) -> Result<Self, Error> {
        let array = ebpf.take_map(RINGS).ok_or(Error::Absent(RINGS))?;
        let last = plan.fixed.ring_len;
        Ok(Self {
            array: array.try_into().map_err(in_map(RINGS))?,
            first: last.min(LEN_FIRST),
            last,
        })
    }

    /// A worker's first ring, in its place.
    pub(super) fn first(&mut self, worker: u32) -> Result<RingBuf<MapData>, Error> {
        let (ring, twin) = make(self.first)?;
        self.place(worker, &twin)?;
        Ok(ring)
    }

    /// A worker's larger ring, and a handle to put it into its place.
    pub(crate) fn larger(&self) -> Result<(RingBuf<MapData>, MapData), Error> {
        make(self.last)
    }

    /// Puts a ring into its place. Returns when no program is left that found the one before it: the kernel waits for them
    /// (`maybe_wait_bpf_programs`, since Linux 4.20).
    pub(crate) fn place(&mut self, worker: u32, ring: &MapData) -> Result<(), Error> {
        self.array.set(worker, ring, 0).map_err(in_map(RINGS))
    }

    /// Bytes that a worker finds in its first ring at a time before it asks for the larger one; `None` where there is none.
    pub(crate) fn asks_from(&self) -> Option<usize> {
        /// A burst that fills what is left of the ring meanwhile would be lost, so this is little.
        const SHARE: u32 = 64;
        (self.first < self.last).then_some((self.first / SHARE) as usize)
    }
}

/// A ring of `len` bytes, and another handle to it.
fn make(len: u32) -> Result<(RingBuf<MapData>, MapData), Error> {
    let kind = aya_obj::generated::bpf_map_type::BPF_MAP_TYPE_RINGBUF as u32;
    let parameters = aya_obj::Map::new_from_params(kind, 0, 0, len, 0);
    let data = MapData::create(parameters, "tcpcopy_ring", None).map_err(in_map(RINGS))?;
    let twin = data.fd().as_fd().try_clone_to_owned();
    let twin = twin.map_err(MapError::IoError).map_err(in_map(RINGS))?;
    let twin = MapData::from_fd(twin).map_err(in_map(RINGS))?;
    let ring = Map::RingBuf(data).try_into().map_err(in_map(RINGS))?;
    Ok((ring, twin))
}
