//! The workers' rings, each in its place.
//!
//! The kernel takes all memory of a ring when it is made, and a ring cannot grow. One that began small and was replaced by a larger one
//! under load lost records: the larger one takes the kernel some ten milliseconds, in which clients fill the first.

use std::os::fd::AsFd as _;

use abi::maps::RINGS;
use abi::record::SIZE_CLASSES;
use aya::Ebpf;
use aya::maps::{ArrayOfMaps, MapData, MapError};
use ring::Entries;

use super::Error;
use super::maps::in_map;

/// The array of rings, and how long each is.
pub(super) struct Rings {
    array: ArrayOfMaps<MapData, MapData>,
    len: u32,
}

impl Rings {
    /// Takes the array out of the object: nobody else touches it.
    pub(super) fn take(ebpf: &mut Ebpf, len: u32) -> Result<Self, Error> {
        let array = ebpf.take_map(RINGS).ok_or(Error::Absent(RINGS))?;
        let array = array.try_into().map_err(in_map(RINGS))?;
        Ok(Self { array, len })
    }

    /// Makes a worker's ring, and puts it into its place.
    pub(super) fn make(&mut self, worker: u32) -> Result<Entries, Error> {
        let longest = SIZE_CLASSES.into_iter().max().unwrap_or_default();
        let kind = aya_obj::generated::bpf_map_type::BPF_MAP_TYPE_RINGBUF as u32;
        let parameters = aya_obj::Map::new_from_params(kind, 0, 0, self.len, 0);
        let ring = MapData::create(parameters, "tcpcopy_ring", None).map_err(in_map(RINGS))?;
        let entries = Entries::map(ring.fd().as_fd(), self.len as usize, longest as usize);
        let entries = entries.map_err(|errno| MapError::IoError(errno.into()));
        let entries = entries.map_err(in_map(RINGS))?;
        self.array.set(worker, &ring, 0).map_err(in_map(RINGS))?;
        Ok(entries)
    }
}
