//! Every limit of the engine that is not the user's to choose, with its unit and what happens there.

use core::time::Duration;

/// Consecutive connections of one flow that the target closed or reset without answering a turn, before the flow is
/// met with back-off.
pub const RECONNECTS_MAX: u8 = 3;
/// First wait before a flow tries a target again that refused it; doubles up to [`BACKOFF_MAX`].
pub const BACKOFF_MIN: Duration = Duration::from_millis(100);
/// Longest such wait.
pub const BACKOFF_MAX: Duration = Duration::from_secs(1);
/// SYNs sent again because of silence; with the initial 1 s and doubling the last wait ends after 31 s.
pub const SYN_RETRIES_MAX: u8 = 4;
/// SYNs sent again at once because of an unacceptable acknowledgement.
pub const SYN_RECOVERIES_MAX: u8 = 3;

/// Connections that a target refuses in a row, whosever, before it is taken to refuse the next ones as well: they end
/// without a SYN, but for those that come right after each wait.
pub const REFUSALS_MAX: u32 = 16;

/// Initial retransmission timeout (RFC 6298 section 2.1).
pub const RTO_INITIAL: Duration = Duration::from_secs(1);
/// Smallest retransmission timeout: what Linux targets expect of their peers.
pub const RTO_MIN: Duration = Duration::from_millis(200);
/// Largest retransmission timeout (RFC 6298 section 2.5 allows no less).
pub const RTO_MAX: Duration = Duration::from_secs(60);
/// The retransmission timeout after a SYN was lost (RFC 6298 section 5.7).
pub const RTO_AFTER_SYN_LOSS: Duration = Duration::from_secs(3);
/// Shortest wait before the tail of a flight is probed: Linux delays an acknowledgement by 40 ms, and a probe before it would
/// be wasted.
pub const TAIL_PROBE_MIN: Duration = Duration::from_millis(50);
/// How long a target may delay the acknowledgement of a single segment (RFC 8985 section 7.2, WCDelAckT).
pub const TARGET_DELAYED_ACK_MAX: Duration = Duration::from_millis(200);
/// Most separate ranges of what a target reports to hold that a session remembers.
pub const SACKED_RANGES_MAX: usize = 64;
/// Initial window, in segments (RFC 6928).
pub const INITIAL_WINDOW_SEGMENTS: u32 = 10;
/// Duplicate acknowledgements that mean a loss (RFC 5681 section 3.2).
pub const DUPLICATE_ACKS: u8 = 3;
/// Largest congestion window, in bytes.
pub const CONGESTION_WINDOW_MAX: u32 = 8 << 20;

/// How long the acknowledgement of a complete response may wait for the next turn to ride on.
pub const DELAYED_ACK: Duration = Duration::from_millis(20);
/// How long a session that closed first stays to acknowledge a FIN that is sent again.
pub const TIME_WAIT: Duration = Duration::from_secs(1);
/// How long a session whose client closed waits for the target to close as well, once the target is silent.
pub const FIN_WAIT: Duration = Duration::from_secs(5);
/// How long it waits at most for one that is not silent.
pub const CLOSING_MAX: Duration = Duration::from_secs(600);

/// Most bytes of one flow that wait behind a hole; more are dropped and counted.
pub const REASSEMBLY_BYTES_MAX: usize = 4 << 20;
/// Most segments of one flow that wait behind a hole.
pub const REASSEMBLY_SEGMENTS_MAX: usize = 4096;
/// Farthest that a client's segment may lie ahead of what we have, in bytes: the largest window of RFC 7323. Where the online
/// server has advertised less, it is less.
pub const CLIENT_WINDOW_MAX: u32 = 1 << 30;
/// The same where the online server's window is not known: what TCP stacks advertise without being asked for more.
pub const CLIENT_WINDOW_UNKNOWN: u32 = 4 << 20;
/// How much farther than twice the online server's largest window a client's segment is believed, in bytes.
pub const CLIENT_WINDOW_SLACK: u32 = 64 << 10;
/// What a segment that waits behind a hole costs besides its bytes and what is said of it, in bytes: two allocations.
pub const ALLOCATION_COST: usize = 32;
/// Most ranges of bytes that are remembered as missing of a flow without a session, so that what fills them is counted.
pub const HOLES_MAX: usize = 64;
/// Farthest that a number of the online server may stand from what was seen of this connection, in bytes: beyond it, it is
/// about another connection of the same client's port.
pub const CONNECTION_DISTANCE_MAX: u32 = 1 << 24;
/// Farthest that the online server's reset may stand ahead of what was seen of its bytes, in bytes: what `observe` may have lost of
/// them before it. Beyond it, the reset is about another connection of the same client's port.
pub const RESET_AHEAD_MAX: u32 = 256 << 10;
/// Most ranges of out-of-order response bytes that a session remembers; the target sends others again.
pub const RESPONSE_RANGES_MAX: usize = 32;

/// Smallest quiet time after which a shorter response counts as complete.
pub const QUIET_MIN: Duration = Duration::from_millis(1);
/// Largest such quiet time.
pub const QUIET_MAX: Duration = Duration::from_millis(200);
/// The quiet time of a rule whose target has not been seen to pause inside its responses, and what silences that were long enough bring
/// that of another back to.
pub const QUIET_LEARNED: Duration = Duration::from_millis(10);
/// How long a silence is waited for, at most, where a target has said nothing and need not, and at least in a streaming session.
pub const QUIET_SETTLED: Duration = Duration::from_millis(20);
/// How long a target must be silent at the end of a run before a response counts as complete that is not as long as the online
/// server's. Nobody waits behind it, and what is cut off there is not known to have been served.
pub const DRAIN_SILENCE: Duration = Duration::from_secs(1);
/// Silence behind an answer, longer than two round trips, that speaks for its being complete.
pub const WHOLE_SILENCE: Duration = Duration::from_millis(1);
/// Longest that a target is waited for inside a response because the online server has paused there.
pub const PATIENCE_MAX: Duration = Duration::from_secs(1);
/// Turns after a time-out that wait for what may still come of the response that never came.
pub const RESYNC_CHECKS: u8 = 4;
/// Silence after which a response that is shorter than the online server's and visibly cut off counts as complete: a target
/// whose segment was lost needs a retransmission timeout, perhaps two, of 1 s and 2 s where it knows no round trip.
pub const CUT_OFF: Duration = Duration::from_secs(4);
/// What a turn that is released by the response timeout counts, one that is answered taking one away ...
pub const TIMEOUT: u8 = 6;
/// ... and from where on a session departs by time only: three in a row, or between which five turns were answered at most, and later
/// on where more than one turn in seven is waited for in vain.
pub const TIMEOUTS_UNTIL_STREAMING: u8 = 13;
/// After so many in a row without a word in between the target is taken to answer nothing at all.
pub const MUTE_TIMEOUTS: u32 = 3;

/// A pause inside what the online server sends after a turn, from which on it counts as speaking unprompted: then the first
/// release by the response timeout is enough. It is not enough by itself, since a slow response looks the same.
pub const UNPROMPTED_PAUSE: Duration = Duration::from_secs(1);

/// A pause inside a turn, or inside what the online server sends after one, from which on that side seems to speak without having
/// been asked. A slow response looks the same, so that it takes several such turns.
pub const UNASKED_PAUSE: Duration = Duration::from_millis(20);
/// How long a turn of a flow may wait in which either side speaks unasked, before the flow departs by time only.
pub const UNASKED_STALL: Duration = Duration::from_millis(500);
/// So many bytes of a flow's first request are looked at for the wish to go on as a WebSocket.
pub const HEADER_MAX: usize = 4096;
/// How long a turn is waited for whose answer may have come before it.
pub const OVERTAKEN_STALL: Duration = Duration::from_secs(1);
/// The same where several requests are under way and the target has said less than the client had seen: it may be slow.
pub const SLOW_STALL: Duration = Duration::from_secs(2);
/// So many turns that wait are looked at for one at which the online server had said as much as the target has by now.
pub const WAITING_LOOKED_AT: usize = 32;
/// Longest that a turn of a streaming session waits after its capture for what its client had seen before it.
pub const STREAMING_WAIT_MAX: Duration = Duration::from_millis(500);

/// Most responses whose first bytes are kept at a time (`--sample-bytes`): with 128 bytes each some 54 MB. Others are left
/// without a sample.
pub const SAMPLED_RESPONSES_MAX: usize = 1 << 18;

/// Most ends of captured segments that a session remembers of bytes that wait; behind them it cuts by the MSS alone.
pub const BOUNDARIES_MAX: usize = 256;

/// How long after a client has closed, and all sides are silent, the online server's acknowledgement of its last turn is
/// waited for, where that turn has ended already: without it the turn counts as never served. A client whose segment was lost sends it
/// again after a retransmission timeout or two, of 1 s and 2 s (RFC 6298 section 2), as with [`CUT_OFF`].
pub const SERVICE_WAIT: Duration = Duration::from_secs(4);

/// How long a session must have been silent on all sides before it is put to rest, which takes half the memory and costs
/// as much as a turn.
pub const REST_AFTER: Duration = Duration::from_secs(2);

/// What is compared of a turn to tell whether it begins like another, in bytes; less where its first line ends before.
pub const ECHO_BYTES_MAX: usize = 48;
/// How long a turn's beginning is remembered, so that another that begins alike is its echo: longer than a target takes that
/// calls back, and than any hold.
pub const ECHO_MEMORY: Duration = Duration::from_secs(8);
/// Most beginnings that are remembered; a newer one takes the place of an older one.
pub const ECHO_PRINTS: usize = 2048;
/// Where nobody watches, turns are looked at in one of so many milliseconds.
pub const ECHO_SAMPLING: u32 = 4;
/// Most client addresses whose echoes are counted; those that send most of them stay.
pub const ECHO_SUSPECTS: usize = 256;

/// Slots of the nursery: flows whose handshake or first turn boundary is being watched; 4 MB of a worker.
pub const NURSERY_SLOTS: usize = 16_384;
/// Most payload of a SYN that is kept, in bytes: what one of Ethernet's can carry (RFC 7413). With two SYNs of a flow, a newer one that
/// nobody has answered yet and the one before it, a flood of them holds at most 48 MB of a worker.
pub const SYN_PAYLOAD_MAX: usize = 1460;
/// How long a handshake in the nursery means anything.
pub const NURSERY_AGE: Duration = Duration::from_secs(30);
/// How long a running flow without a session is remembered after its last packet: a client that asks once in so long is joined
/// at its second request. It costs nothing but its slot, which a newer flow may take.
pub const FLOW_MEMORY: Duration = Duration::from_secs(3600);
/// How long after the first packet a connection of whose handshake one side was seen counts as one that was open before: its
/// other half came before the programs were attached.
pub const START_GRACE: Duration = Duration::from_secs(1);
/// Joined flows that a target has closed or reset where the online server went on, after which its rule joins no more flows
/// anywhere, only those that stand alone: their connections have state.
pub const JOINS_REFUSED_MAX: u32 = 3;
/// Most flows of a worker that are on trial whether they may be joined, where sessions log in by themselves.
pub const TRIALS_MAX: usize = 4096;
/// Most bytes that are held of one of them, in bytes: what both sides say until the first response is complete. One that says more is
/// joined behind it.
pub const TRIAL_HELD_MAX: usize = 256 << 10;
/// The same of all of them.
pub const TRIALS_HELD_MAX: usize = 16 << 20;
/// How long a flow on trial may be silent before another one takes its place, where there are [`TRIALS_MAX`].
pub const TRIAL_AGE: Duration = Duration::from_secs(60);
/// Longest head of a request that is read to find its end, in bytes; a flow with a longer one is joined later.
pub const REQUEST_HEAD_MAX: u32 = 64 << 10;
/// Lengths that an interim response of HTTP/1 has whose server says no more than it must, in bytes (`HTTP/1.1 100 \r\n\r\n` to
/// `HTTP/1.1 100 Continue\r\n\r\n`; RFC 9110 section 15.2): behind one of these, a body may follow that looks like a request.
pub const INTERIM_BYTES: core::ops::RangeInclusive<u64> = 17..=25;
/// Sessions that no byte of either side has confirmed yet: above it a session opens at its first payload and not at
/// the SYN-ACK, so that a SYN flood stays on this side.
pub const UNCONFIRMED_MAX: u32 = 1024;

/// Most networks of clients (IPv4 /24, IPv6 /64) that a worker remembers per target whether replies to them come back; about 3 MB.
/// Beyond it the one that was silent the longest is forgotten, counted (`prefixes_forgotten`), and proven anew when a client of
/// it comes again.
pub const PREFIXES_MAX: usize = 1 << 14;
/// Most sessions of one network, or with a reply pool of one target, that wait for it to answer; others end as
/// `shed`, and are counted (`sessions_held_out`).
pub const HELD_MAX: usize = 1 << 16;
/// Most probes of one target that are under way at a time once one network is proven; before that, one.
pub const PROBES_MAX: u32 = 16;
/// Most frames that a session sends as a probe: a handshake, a knock and a first request.
pub const PROBE_FRAMES_MAX: u8 = 32;
/// How long a network that did not prove itself is left in peace before its next client's session is tried; doubles up to
/// [`PROVE_BACKOFF_MAX`]. If its route is missing, each try is one SYN-ACK to a real client: 13 in the first hour and 4 in each
/// later one, per worker.
pub const PROVE_BACKOFF_MIN: Duration = Duration::from_secs(1);
/// Longest such wait.
pub const PROVE_BACKOFF_MAX: Duration = Duration::from_secs(900);
/// Longest wait between two probes of a target no network of which is proven, whosever: it doubles from
/// [`PROBE_INTERVAL`] with each that fails.
pub const STRIKE_PAUSE_MAX: Duration = Duration::from_secs(60);
/// Probes of a network that fail in a row before the user is told: after some four seconds.
pub const FAILURES_UNTIL_TOLD: u32 = 3;
/// Connections that a target accepts, and frames that it then leaves unanswered, without a word in between and for longer than
/// [`SILENCE`]: what is sent after the handshake does not arrive there.
pub const MUTE_CONNECTIONS_MAX: u32 = 8;

/// Frames to a target without a reply before only probes are sent.
pub const UNANSWERED_MAX: u32 = 1024;
/// The same where a reply that nobody consumes would reach a real client.
pub const UNANSWERED_UNPROVEN_MAX: u32 = 64;
/// How long a target must have been silent, with [`UNANSWERED_MAX`] frames unanswered, to be suspended.
pub const SILENCE: Duration = Duration::from_secs(1);
/// The same with [`UNANSWERED_UNPROVEN_MAX`]: a target's TCP acknowledges at once even where its service is slow.
pub const SILENCE_UNPROVEN: Duration = Duration::from_millis(200);
/// How long a probe is waited for, and the time between probes of a suspended target. Less than the second after which a
/// target sends its SYN-ACK again (RFC 6298 section 2.1): a probe that failed is reset before that.
pub const PROBE_INTERVAL: Duration = Duration::from_millis(500);

/// Window scale that a session offers where its client's SYN was not seen, and the largest that it offers: 65,535 bytes
/// times 128 are 8 MiB.
pub const WINDOW_SCALE: u8 = 7;
/// Smallest MSS that a session offers, in bytes (RFC 9293 section 3.7.1 takes it for granted): a client that asks for
/// smaller segments would have the target answer in as many more packets.
pub const OFFERED_MSS_MIN: u16 = 536;
/// Smallest MSS of a target that is believed, in bytes, as in Linux.
pub const TARGET_MSS_MIN: u16 = 48;

/// How many more bytes a target may send in a turn than the online server has sent, unless configured otherwise: what a
/// target that is faster, or says a little more, is ahead by. Beyond it the window is closed.
pub const REPLY_SLACK: u32 = 256 << 10;
/// How long an online server must have been silent, with nothing that looks like a closed window of its client, before
/// its response counts as complete although its client has not gone on. A response that pauses for longer is rare, and
/// a target that is let go on meanwhile is bounded by [`EXCESS_BYTES_PER_SECOND`].
pub const ONLINE_SILENCE: Duration = Duration::from_secs(5);
/// How fast targets may send what their responses are longer than those of the online server and the slack, once those
/// are complete: in bytes per second, of all sessions of an engine together.
pub const EXCESS_BYTES_PER_SECOND: u64 = 64 << 20;
/// How often a target is told that its window is open before it sends, the first time included; each time after twice the wait,
/// which begins with [`RTO_MIN`].
pub const WINDOW_TOLD_MAX: u8 = 6;
/// With so many bytes of its window left a target is not held back: it is more than any segment.
pub const OPEN_WINDOW_MIN: u32 = 16 << 10;
/// How long a window that may not be opened now stays closed before it is looked at again.
pub const WINDOW_RETRY: Duration = Duration::from_millis(10);
/// Smallest MTU that an ICMP too-big message is believed with, in bytes (RFC 1191's plateau below Ethernet's).
pub const MTU_MIN: u16 = 552;
/// What a path is taken to carry that swallows larger packets without a word, in bytes, largest first: what IPv6 asks of
/// every link, and what IPv4 asks of every host.
pub const MTU_PLATEAUS: [u16; 2] = [1280, 576];
/// How long a smaller MTU is believed than the route's.
pub const PATH_MTU_AGE: Duration = Duration::from_secs(600);
/// Retransmission timeouts in a row after which a connection is given up (RFC 9293 section 3.8.3, R2): with the
/// smallest timeout about 51 s.
pub const TIMEOUTS_MAX: u8 = 8;

/// Most addresses of a pool that are tried for a client whose own one has no port left, before its session finds none.
pub const STICKY_TRIES_MAX: u32 = 8;
/// Endpoints of a pool that wait for their ports to be free of others on this host.
pub const ASIDE_MAX: usize = 65_536;

/// Most bytes of a server's stream that wait behind a hole, where a protocol module reads it, in bytes of one connection.
pub const RESPONSE_HELD_MAX: usize = 1 << 20;
/// Most segments in which they may have come.
pub const RESPONSE_PIECES_MAX: usize = 1024;
/// Most messages of one flow whose responses are awaited from the online server, where a protocol module reads it.
pub const MESSAGES_AWAITED_MAX: usize = 4096;
/// Most users that a flow has changed to (`COM_CHANGE_USER`) while one of its sessions is still with messages of one before.
pub const OPENINGS_MAX: usize = 64;
/// Where the streams of flows begin whose sessions log in: before that there is room for what the login says, in bytes.
pub const LOGIN_ROOM: u64 = 1 << 20;
/// Most bytes of a target that are kept until its client has said how it logs in.
pub const GREETING_MAX: usize = 64 << 10;
/// Most prepared statements of a flow that are known by their numbers; those beyond are unknown at the target.
pub const STATEMENTS_MAX: usize = 4096;
/// How long what follows of a message waits for a target that does not ask for it although the online server has
/// (`Expect: 100-continue`, RFC 9110 section 10.1.1): as long as clients wait.
pub const CONTINUE_WAIT: Duration = Duration::from_secs(1);
/// Most bytes that are kept of a path by which responses are grouped.
pub const ASKED_LEN_MAX: usize = 1024;
/// How long a target's end is waited for that has said it (`Connection: close`); one that does not come is no end.
pub const CLOSE_WAIT: Duration = Duration::from_millis(500);
