//! The program `sink`: loaded, told what to take, and attached.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd as _, AsRawFd};
use std::sync::atomic::Ordering;

use abi::counter::Counter;
use abi::{bytes, maps};
use aya::maps::{HashMap, Map, MapData, MapError, PerCpuArray, XskMap};
use aya::programs::xdp::XdpLinkId;
use aya::programs::{ProgramError, Xdp, XdpMode};
use aya::{Ebpf, EbpfLoader};
use wire::flow::{Addr, Endpoint};
use words::Words;

use crate::error::Unusable;

/// The loaded program and its maps. Dropping it detaches.
#[derive(Debug)]
pub(crate) struct Sink {
    ebpf: Ebpf,
    link: Option<XdpLinkId>,
}

/// The map of addresses that `sink` lets through.
#[derive(Debug)]
pub(crate) struct OwnAddresses {
    map: HashMap<MapData, [u8; 16], u32>,
    /// What the map holds.
    held: BTreeSet<IpAddr>,
}

/// How much payload `sink` leaves behind the headers of each target's replies.
#[derive(Debug)]
pub(crate) struct PayloadWanted(Words);

impl Sink {
    /// Loads the program and tells it the targets. Nothing is attached.
    pub(crate) fn load(targets: &[SocketAddr]) -> Result<Self, Unusable> {
        let object = programs::intercept()?;
        let mut ebpf = EbpfLoader::new()
            .load(object)
            .map_err(|cause| Unusable::Load {
                cause: Box::new(cause),
            })?;
        sink(&mut ebpf)?.load().map_err(|cause| Unusable::Load {
            cause: Box::new(cause.into()),
        })?;
        let mut map: HashMap<_, [u8; 18], u32> = ebpf
            .map_mut(maps::TARGETS)
            .ok_or(Unusable::NotOurs(maps::TARGETS))?
            .try_into()
            .map_err(|cause| Unusable::Map {
                map: maps::TARGETS,
                cause,
            })?;
        for (place, target) in (0u32..).zip(targets) {
            let endpoint = Endpoint::from(*target);
            // Port 0 stands for all fragments of the target: their ports are unknown.
            for key in [endpoint, Endpoint::new(endpoint.addr, 0)] {
                map.insert(bytes::endpoint(&key), place, 0)
                    .map_err(|cause| Unusable::Map {
                        map: maps::TARGETS,
                        cause,
                    })?;
            }
        }
        Ok(Self { ebpf, link: None })
    }

    /// Takes out the map of own addresses; it can be taken once.
    pub(crate) fn take_own_addresses(&mut self) -> Result<OwnAddresses, Unusable> {
        let map = self
            .ebpf
            .take_map(maps::OWN_ADDRESSES)
            .ok_or(Unusable::NotOurs(maps::OWN_ADDRESSES))?;
        map.try_into()
            .map(|map| OwnAddresses {
                map,
                held: BTreeSet::new(),
            })
            .map_err(|cause| Unusable::Map {
                map: maps::OWN_ADDRESSES,
                cause,
            })
    }

    /// Takes out the map of wanted payload; it can be taken once.
    pub(crate) fn take_payload_wanted(&mut self) -> Result<PayloadWanted, Unusable> {
        let map = self
            .ebpf
            .take_map(maps::PAYLOAD_WANTED)
            .ok_or(Unusable::NotOurs(maps::PAYLOAD_WANTED))?;
        let Map::Array(data) = map else {
            return Err(Unusable::NotOurs(maps::PAYLOAD_WANTED));
        };
        let words =
            Words::map(data.fd(), maps::TARGETS_MAX as usize).map_err(|errno| Unusable::Map {
                map: maps::PAYLOAD_WANTED,
                cause: MapError::IoError(errno.into()),
            })?;
        Ok(PayloadWanted(words))
    }

    /// Gives what arrives on a queue to this socket.
    pub(crate) fn register(&mut self, queue: u32, socket: &impl AsRawFd) -> Result<(), MapError> {
        self.sockets()?.set(queue, socket.as_raw_fd(), 0)
    }

    /// Takes a queue's socket out again; one that is not there is no error.
    pub(crate) fn unregister(&mut self, queue: u32) {
        if let Ok(mut sockets) = self.sockets() {
            let _ = sockets.unset(queue);
        }
    }

    /// Attaches to an interface; from now on targets' packets are taken.
    pub(crate) fn attach(&mut self, ifindex: u32, mode: XdpMode) -> Result<(), ProgramError> {
        let program: &mut Xdp = self
            .ebpf
            .program_mut(programs::name::SINK)
            .ok_or(ProgramError::NotLoaded)?
            .try_into()?;
        self.link = Some(program.attach_to_if_index(ifindex, mode)?);
        Ok(())
    }

    /// Detaches; the counters can still be read.
    pub(crate) fn detach(&mut self) -> Result<(), ProgramError> {
        let Some(link) = self.link.take() else {
            return Ok(());
        };
        let program: &mut Xdp = self
            .ebpf
            .program_mut(programs::name::SINK)
            .ok_or(ProgramError::NotLoaded)?
            .try_into()?;
        program.detach(link)
    }

    /// The program by its name, and the kernel's number for it.
    pub(crate) fn program_id(&self) -> Option<(&'static str, u32)> {
        let info = self.ebpf.program(programs::name::SINK)?.info().ok()?;
        Some((programs::name::SINK, info.id()))
    }

    /// What `sink` counted, over all CPUs.
    pub(crate) fn counters(&self) -> Result<Vec<(Counter, u64)>, MapError> {
        let missing = || MapError::InvalidName {
            name: maps::COUNTERS.into(),
        };
        let map: PerCpuArray<_, u64> = self
            .ebpf
            .map(maps::COUNTERS)
            .ok_or_else(missing)?
            .try_into()?;
        Counter::ALL
            .iter()
            .filter(|counter| counter.hook() == "sink")
            .map(|counter| {
                let total = programs::counters::total(&map, *counter)?;
                Ok((*counter, total))
            })
            .collect()
    }

    /// Somebody else's eyes on the counters.
    pub(crate) fn shared_counters(&self) -> Result<PerCpuArray<MapData, u64>, MapError> {
        let Some(Map::PerCpuArray(data)) = self.ebpf.map(maps::COUNTERS) else {
            return Err(MapError::InvalidName {
                name: maps::COUNTERS.into(),
            });
        };
        let fd = data.fd().as_fd().try_clone_to_owned()?;
        Map::PerCpuArray(MapData::from_fd(fd)?).try_into()
    }

    fn sockets(&mut self) -> Result<XskMap<&mut MapData>, MapError> {
        let missing = || MapError::InvalidName {
            name: maps::XSKS.into(),
        };
        self.ebpf
            .map_mut(maps::XSKS)
            .ok_or_else(missing)?
            .try_into()
    }
}

fn sink(ebpf: &mut Ebpf) -> Result<&mut Xdp, Unusable> {
    ebpf.program_mut(programs::name::SINK)
        .and_then(|program| program.try_into().ok())
        .ok_or(Unusable::NotOurs("program of that name"))
}

impl PayloadWanted {
    /// Tells `sink` how many bytes are wanted of the target in this place ([`maps::WHOLE_REPLIES`] for all), by a word that both
    /// see: those who subscribe may make no system call for it.
    pub(crate) fn set(&self, place: usize, payload_max: u64) {
        if let Some(word) = self.0.get(place) {
            word.store(payload_max, Ordering::Relaxed);
        }
    }
}

impl OwnAddresses {
    /// Makes the map hold these addresses and no others; gives whether that changed anything. Additions come first: at no
    /// time is an address missing that stays.
    pub(crate) fn set(&mut self, addresses: &BTreeSet<IpAddr>) -> Result<bool, MapError> {
        if *addresses == self.held {
            return Ok(false);
        }
        for address in addresses.difference(&self.held) {
            self.map.insert(Addr::from(*address).octets(), 1, 0)?;
        }
        for address in self.held.difference(addresses) {
            match self.map.remove(Addr::from(*address).octets()) {
                Ok(()) | Err(MapError::KeyNotFound) => {}
                Err(error) => return Err(error),
            }
        }
        self.held.clone_from(addresses);
        Ok(true)
    }
}
