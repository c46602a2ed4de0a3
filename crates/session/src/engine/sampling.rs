//! What an engine keeps of responses, where a user asked for it: see [`crate::sample`].

use wire::segment::Segment;

use super::{Engine, Shared};
use crate::id::SessionId;
use crate::sample::Sampler;

impl Engine {
    /// Keeps the first `len` payload bytes of every response, at most [`SAMPLE_LEN_MAX`](crate::sample::SAMPLE_LEN_MAX); 0 keeps none, as does an engine
    /// that was told nothing. To be called before the first packet.
    pub fn sample_responses(&mut self, len: usize) {
        self.shared.samples = (len > 0).then(|| Box::new(Sampler::new(len)));
    }
}

impl Shared {
    /// A response's packet is about to be handled: what of its payload was recorded with it is at hand.
    #[inline]
    pub(crate) fn hold_sample(&mut self, segment: &Segment, record: &[u8]) {
        if let Some(samples) = &mut self.samples {
            samples.hold(segment, record);
        }
    }

    /// A session is gone, and its number may become another's.
    pub(crate) fn forget_samples(&mut self, id: SessionId) {
        if let Some(samples) = &mut self.samples {
            samples.forget(id);
        }
    }
}
