//! Who takes the packets of files: the workers of a run, or a dry run, which has a time of its own.

use replay::Cue;

/// Takes packets in the order in which they are due.
pub(crate) trait Sink {
    /// The files' time begins, for the first time or anew.
    fn begin(&mut self);

    /// Nanoseconds since it did.
    fn now_ns(&self) -> u64;

    /// Takes a packet, when its time has come or is near.
    fn take(&mut self, cue: &Cue<'_>);

    /// The files have the clients' side alone: what the online server answered is made up.
    fn has_one_side(&mut self);

    /// Hands on what has gathered.
    fn flush(&mut self);

    /// Whether a time was waited for since this was asked last.
    fn has_waited(&mut self) -> bool;

    /// Whether somebody still takes packets, and nobody wants the end.
    fn goes_on(&mut self) -> bool;

    /// Brings what was taken to its end, before the files begin anew. Returns whether somebody takes them then.
    fn come_to_an_end(&mut self) -> bool;
}
