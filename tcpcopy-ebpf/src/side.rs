//! One side of a segment: an endpoint in memory, where the helpers want their keys, aligned so that it is written and read by words.
//!
//! To the compiler an address is 16 bytes. Left alone it has each of them wander through a register of its own, from wherever the
//! packet was read to wherever the address is used.

use wire::flow::Endpoint;

use crate::load;

/// An endpoint in memory.
#[repr(C, align(8))]
pub struct Side(Endpoint);

impl Side {
    /// The same in memory.
    #[inline(always)]
    pub fn new(endpoint: Endpoint) -> Self {
        Self(endpoint)
    }

    /// The endpoint where it stands: a key of a map.
    #[inline(always)]
    pub fn key(&self) -> &Endpoint {
        &self.0
    }

    /// The endpoint, to calculate with.
    #[inline(always)]
    pub fn endpoint(&self) -> Endpoint {
        // SAFETY: it is aligned.
        Endpoint::new(unsafe { load::addr(&raw const self.0.addr) }, self.0.port)
    }

    /// The port.
    #[inline(always)]
    pub fn port(&self) -> u16 {
        self.0.port
    }

    /// Writes an endpoint by the words of its address, here and now.
    ///
    /// # Safety
    ///
    /// There must be room for one.
    #[inline(always)]
    pub unsafe fn write(to: *mut Self, address: [u32; 4], port: u16) {
        let words = to.cast::<u32>();
        for (index, word) in address.into_iter().enumerate() {
            // SAFETY: an endpoint begins with its address, and is aligned here.
            unsafe { words.add(index).write_volatile(word) };
        }
        // SAFETY: the caller's promise.
        unsafe { (&raw mut (*to).0.port).write_volatile(port) };
    }
}
