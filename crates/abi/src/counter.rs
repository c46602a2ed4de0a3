//! Counters of the programs: one per hook and verdict, in a per-CPU array.
//!
//! They are made to add up. For `capture` and `observe`: matched = sampled out + paused + recorded + ring full (+ cloned +
//! clone failures + too big with `--capture af-xdp`). For `inject`: frames = injected + local + no egress + too big +
//! abandoned. For `sink`: matched = delivered + no socket.

macro_rules! counters {
    ($($(#[doc = $doc:literal])+ $name:ident = $index:literal, $hook:literal, $verdict:literal;)+) => {
        /// A counter's place in the array.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u32)]
        pub enum Counter {
            $($(#[doc = $doc])+ $name = $index,)+
        }

        impl Counter {
            /// Every counter, in the order of the array.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// The hook that counts: `capture`, `observe`, `inject`, ...
            #[must_use]
            pub const fn hook(self) -> &'static str {
                match self { $(Self::$name => $hook,)+ }
            }

            /// What it counts, as it stands in the summary.
            #[must_use]
            pub const fn verdict(self) -> &'static str {
                match self { $(Self::$name => $verdict,)+ }
            }
        }
    };
}

counters! {
    /// Client packets to an online service that carry payload, SYN, FIN or RST.
    CaptureMatched = 0, "capture", "matched";
    /// ... of which the flow is not in the sample.
    CaptureSampledOut = 1, "capture", "sampled_out";
    /// ... put into a ring.
    CaptureRecorded = 2, "capture", "recorded";
    /// ... lost because the ring was full.
    CaptureRingFull = 3, "capture", "ring_full";
    /// ... cloned into the private device (`--capture af-xdp`).
    CaptureCloned = 4, "capture", "cloned";
    /// ... whose clone the kernel refused.
    CaptureCloneFailed = 5, "capture", "clone_failed";
    /// ... too big for the private device.
    CaptureCloneTooBig = 6, "capture", "clone_too_big";
    /// Bare acknowledgements of clients: not recorded.
    CapturePureAck = 7, "capture", "pure_ack";
    /// Copies made by another copier: not recorded.
    CaptureMarked = 8, "capture", "marked";
    /// Packets with a VLAN tag in their metadata: the VLAN's own device is the online interface.
    CaptureVlan = 9, "capture", "vlan";
    /// IP fragments to or from anybody.
    CaptureFragment = 10, "capture", "fragment";
    /// BIG TCP super-packets.
    CaptureBigTcp = 11, "capture", "big_tcp";
    /// Packets whose headers contradict each other.
    CaptureMalformed = 12, "capture", "malformed";

    /// Replies of a target to the pool.
    ReplyMatched = 13, "reply", "matched";
    /// ... put into a ring.
    ReplyRecorded = 14, "reply", "recorded";
    /// ... lost because the ring was full.
    ReplyRingFull = 15, "reply", "ring_full";
    /// ICMP too-big messages about our segments, put into a ring.
    ReplyTooBig = 16, "reply", "icmp_too_big";

    /// Segments of an online service to its clients.
    ObserveMatched = 17, "observe", "matched";
    /// ... of which the flow is not in the sample.
    ObserveSampledOut = 18, "observe", "sampled_out";
    /// ... put into a ring.
    ObserveRecorded = 19, "observe", "recorded";
    /// ... lost because the ring was full.
    ObserveRingFull = 20, "observe", "ring_full";
    /// Packets with a VLAN tag in their metadata.
    ObserveVlan = 21, "observe", "vlan";
    /// IP fragments.
    ObserveFragment = 22, "observe", "fragment";
    /// BIG TCP super-packets.
    ObserveBigTcp = 23, "observe", "big_tcp";
    /// Packets whose headers contradict each other.
    ObserveMalformed = 24, "observe", "malformed";

    /// Frames that the engine sent.
    InjectFrames = 25, "inject", "frames";
    /// ... sent out of the egress device.
    InjectInjected = 26, "inject", "injected";
    /// ... passed up to this very host.
    InjectLocal = 27, "inject", "local";
    /// ... dropped: there is no route to the target.
    InjectNoEgress = 28, "inject", "no_egress";
    /// ... dropped: larger than the route's MTU.
    InjectTooBig = 29, "inject", "too_big";
    /// Frames of others on the private device: passed on.
    InjectForeign = 30, "inject", "foreign";

    /// Replies of a target on this very host, consumed on the private device.
    AbsorbMatched = 31, "absorb", "matched";
    /// ... put into a ring.
    AbsorbRecorded = 32, "absorb", "recorded";
    /// ... lost because the ring was full.
    AbsorbRingFull = 33, "absorb", "ring_full";
    /// Other packets that left through the private device.
    AbsorbForeign = 34, "absorb", "foreign";

    /// Clones seen by `steer` on their way into the private device.
    SteerFrames = 35, "steer", "frames";
    /// Frames that `deliver` handed to a worker's socket.
    DeliverFrames = 36, "deliver", "delivered";
    /// Frames that found no socket.
    DeliverNoSocket = 37, "deliver", "no_socket";

    /// Packets of a target that were not addressed to the assistant itself.
    SinkMatched = 38, "sink", "matched";
    /// ... given to the AF_XDP socket of their queue.
    SinkDelivered = 39, "sink", "delivered";
    /// ... dropped because no socket took them.
    SinkNoSocket = 40, "sink", "no_socket";
    /// Fragments of a target: dropped.
    SinkFragment = 41, "sink", "fragment";
    /// Everything else: passed to the assistant's own stack.
    SinkPassed = 42, "sink", "passed";

    /// Client packets that were not recorded because nothing could be copied at that time.
    CapturePaused = 43, "capture", "paused";
    /// Segments of an online service that were not recorded because nothing could be copied at that time.
    ObservePaused = 44, "observe", "paused";
    /// Packets to an online service or to the pool in frames for another Ethernet address, which only a promiscuous device
    /// shows us: passed, and not recorded.
    CaptureOtherHost = 45, "capture", "other_host";
    /// Packets of a target to a port of the pool that no session had leased: this host's own, passed.
    ReplyUnleased = 46, "reply", "unleased";
    /// Packets of a target to a leased port where a socket of this host has that very connection: passed.
    ReplyForeign = 47, "reply", "foreign";
    /// Packets that passed at once because the run did not renew its deadline: it was stopped, or is gone (clsact only).
    CaptureAbandoned = 48, "capture", "abandoned";
    /// The same on the way out.
    ObserveAbandoned = 49, "observe", "abandoned";
    /// ... passed up to this host because the run did not renew its deadline (clsact only).
    InjectAbandoned = 50, "inject", "abandoned";
    /// Packets that passed at once because the run did not renew its deadline (clsact only).
    AbsorbAbandoned = 51, "absorb", "abandoned";
    /// Clones that the private device dropped because its queue was full: before Linux 6.16 no one waits for it. No program
    /// counts these; user space asks the device.
    SteerDropped = 52, "steer", "dropped";
}

/// Number of counters: entries of the array.
pub const COUNTERS_LEN: u32 = Counter::ALL.len() as u32;

#[cfg(test)]
mod tests {
    use super::Counter;

    #[test]
    fn every_counter_stands_in_its_place() {
        for (index, counter) in Counter::ALL.iter().enumerate() {
            assert_eq!(*counter as usize, index);
        }
    }
}
