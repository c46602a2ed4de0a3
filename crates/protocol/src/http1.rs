//! HTTP/1 (RFC 9112): requests and responses by their framing.

use crate::module::Module;
use crate::requests::{Part, Why};
use crate::responses::Said;

/// What a reader of responses must know of the request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Awaited {
    /// The response has no body, whatever its head says (HEAD).
    pub without_body: bool,
    /// A 2xx response opens a tunnel (CONNECT).
    pub tunnels: bool,
}

/// Whether a flow that begins with `bytes` speaks HTTP/1; `None` where too little is there to tell.
#[must_use]
pub fn looks_like(bytes: &[u8]) -> Option<bool> {
    let _ = bytes;
    None
}

/// Reads requests.
#[derive(Debug, Default)]
pub struct Requests {}

impl Requests {
    pub(crate) fn push(
        &mut self,
        _module: &Module,
        _bytes: &[u8],
        _went_on: bool,
        _tell: &mut dyn FnMut(Part<'_>),
    ) -> Option<Why> {
        None
    }

    pub(crate) fn into_held(self) -> Vec<u8> {
        Vec::new()
    }

    pub(crate) fn is_between(&self) -> bool {
        true
    }
}

/// Reads responses.
#[derive(Debug, Default)]
pub struct Responses {}

impl Responses {
    pub(crate) fn expect(&mut self, _awaited: Awaited) {}

    pub(crate) fn push(&mut self, _bytes: &[u8], _tell: &mut dyn FnMut(Said)) {}

    pub(crate) fn close(&mut self, _tell: &mut dyn FnMut(Said)) {}
}
