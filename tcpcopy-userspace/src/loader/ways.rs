//! Where the frames to each target leave, as `inject` reads it.

use std::net::IpAddr;
use std::sync::atomic::Ordering;

use abi::maps::{EGRESS, EGRESS_NONE, Egress, GATEWAYS_MAX, TARGETS_MAX};
use aya::Ebpf;

use super::{Error, maps};
use words::Words;

/// The ways, one word for each target, and the next hops that they name.
#[derive(Debug)]
pub(super) struct Ways {
    words: Words,
    targets: Vec<IpAddr>,
    gateways: Vec<[u8; 16]>,
}

impl Ways {
    /// No way to any of the targets yet.
    pub(super) fn new(ebpf: &Ebpf, targets: Vec<IpAddr>) -> Result<Self, Error> {
        Ok(Self {
            words: maps::words(ebpf, EGRESS, TARGETS_MAX)?,
            targets,
            gateways: Vec::new(),
        })
    }

    /// The way to a target is this one from now on.
    pub(super) fn set(
        &mut self,
        ebpf: &mut Ebpf,
        target: IpAddr,
        egress: &Egress,
    ) -> Result<(), Error> {
        let word = match self.gateway(ebpf, egress)? {
            Some(gateway) => egress.word(gateway),
            // A word of zeros is no way.
            None => u64::from(EGRESS_NONE),
        };
        let slot = self.targets.iter().position(|known| *known == target);
        if let Some(way) = slot.and_then(|slot| self.words.get(slot)) {
            way.store(word, Ordering::Release);
        }
        if word == 0 && egress.kind != EGRESS_NONE {
            return Err(Error::Gateways {
                target,
                max: GATEWAYS_MAX,
            });
        }
        Ok(())
    }

    /// The place of the way's next hop; `None` where the run has had too many.
    fn gateway(&mut self, ebpf: &mut Ebpf, egress: &Egress) -> Result<Option<u32>, Error> {
        if egress.gateway_family == 0 {
            return Ok(Some(0));
        }
        if let Some(known) = self
            .gateways
            .iter()
            .position(|known| *known == egress.gateway)
        {
            return Ok(Some(known as u32));
        }
        let index = self.gateways.len() as u32;
        if index == GATEWAYS_MAX {
            return Ok(None);
        }
        maps::set_gateway(ebpf, index, egress.gateway)?;
        self.gateways.push(egress.gateway);
        Ok(Some(index))
    }
}
