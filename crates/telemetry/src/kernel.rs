//! The programs' counters, and whether they add up: hook by hook, and with what the workers say they received
//! and sent. A residue other than 0 is printed as such; it is a bug or a loss that nobody counted.

use abi::counter::{COUNTERS_LEN, Counter};
use session::Counters;

use crate::figures::Figures;

/// The sum over all processors of each counter of the programs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelCounters([u64; COUNTERS_LEN as usize]);

impl Default for KernelCounters {
    fn default() -> Self {
        Self([0; COUNTERS_LEN as usize])
    }
}

impl KernelCounters {
    /// Sets one counter.
    pub fn set(&mut self, counter: Counter, value: u64) {
        self.0[counter as usize] = value;
    }

    /// The value of one counter.
    #[must_use]
    pub const fn get(&self, counter: Counter) -> u64 {
        self.0[counter as usize]
    }

    /// Packets of clients that a program wanted to hand to a worker and could not: its ring was full, say.
    #[must_use]
    pub fn clients_lost(&self) -> u64 {
        [
            Counter::CaptureRingFull,
            Counter::CaptureCloneFailed,
            Counter::CaptureCloneTooBig,
            Counter::CaptureBigTcp,
            Counter::SteerDropped,
        ]
        .map(|counter| self.get(counter))
        .iter()
        .sum()
    }
}

/// What the workers received and sent, apart from what their engines count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WorkerTotals {
    /// Ring entries that were shorter than they said or of an unknown kind.
    pub records_broken: u64,
    /// Records of clients' packets that another device had shown already.
    pub duplicate_clients: u64,
    /// Records of the online server's segments that another device had shown already.
    pub duplicate_online: u64,
    /// Packets of clients that came from capture files.
    pub replayed_clients: u64,
    /// The same of online servers.
    pub replayed_online: u64,
    /// Reports that came over the channel.
    pub reports: u64,
    /// Payload bytes of the online server's responses that a protocol module was given.
    pub online_payload_seen: u64,
    /// ... and that it was not, although their packets came.
    pub online_payload_missing: u64,
    /// The same of the targets'.
    pub target_payload_seen: u64,
    /// The same of the targets'.
    pub target_payload_missing: u64,
    /// Packets of a target that is made up, of a dry run.
    pub made_up_replies: u64,
    /// Frames of sessions that it took.
    pub made_up_frames: u64,
    /// Frames handed to AF_XDP tx rings; in a dry run those that would be.
    pub frames_sent: u64,
    /// ... of which the kernel has not taken yet.
    pub frames_waiting: u64,
    /// ... of which the private device refused or the kernel rejected.
    pub frames_dropped: u64,
    /// Clones that reached a worker's socket and were lost there: its rx ring was full, say.
    pub frames_lost: u64,
}

impl WorkerTotals {
    /// Adds those of another worker.
    pub const fn add(&mut self, other: &Self) {
        self.records_broken += other.records_broken;
        self.duplicate_clients += other.duplicate_clients;
        self.duplicate_online += other.duplicate_online;
        self.replayed_clients += other.replayed_clients;
        self.replayed_online += other.replayed_online;
        self.reports += other.reports;
        self.online_payload_seen += other.online_payload_seen;
        self.online_payload_missing += other.online_payload_missing;
        self.target_payload_seen += other.target_payload_seen;
        self.target_payload_missing += other.target_payload_missing;
        self.made_up_replies += other.made_up_replies;
        self.made_up_frames += other.made_up_frames;
        self.frames_sent += other.frames_sent;
        self.frames_waiting += other.frames_waiting;
        self.frames_dropped += other.frames_dropped;
        self.frames_lost += other.frames_lost;
    }
}

/// Each hook's equation: what it matched, and what became of that.
const HOOKS: &[(Counter, &[Counter])] = &[
    (
        Counter::CaptureMatched,
        &[
            Counter::CaptureSampledOut,
            Counter::CapturePaused,
            Counter::CaptureRecorded,
            Counter::CaptureRingFull,
            Counter::CaptureCloned,
            Counter::CaptureCloneFailed,
            Counter::CaptureCloneTooBig,
        ],
    ),
    (
        Counter::ReplyMatched,
        &[Counter::ReplyRecorded, Counter::ReplyRingFull],
    ),
    (
        Counter::ObserveMatched,
        &[
            Counter::ObserveSampledOut,
            Counter::ObservePaused,
            Counter::ObserveRecorded,
            Counter::ObserveRingFull,
        ],
    ),
    (
        Counter::InjectFrames,
        &[
            Counter::InjectInjected,
            Counter::InjectLocal,
            Counter::InjectNoEgress,
            Counter::InjectTooBig,
            Counter::InjectAbandoned,
        ],
    ),
    (
        Counter::AbsorbMatched,
        &[Counter::AbsorbRecorded, Counter::AbsorbRingFull],
    ),
    (
        Counter::SteerFrames,
        &[
            Counter::DeliverFrames,
            Counter::DeliverNoSocket,
            Counter::SteerDropped,
        ],
    ),
];

/// Every equation of the run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reconciliation {
    rows: Figures<Figures<i64>>,
}

impl Reconciliation {
    /// Sets the programs' counters against each other and against the workers'.
    #[must_use]
    pub fn new(kernel: &KernelCounters, engine: &Counters, workers: &WorkerTotals) -> Self {
        let mut rows = Self::default();
        for (whole, parts) in HOOKS {
            // A program that is not attached has no row.
            let attached = *whole != Counter::SteerFrames
                || kernel.get(Counter::SteerFrames) + kernel.get(Counter::DeliverFrames) > 0;
            if attached {
                rows.hook(kernel, *whole, parts);
            }
        }
        rows.records(kernel, engine, workers);
        rows
    }

    /// What the programs recorded, against what came of it in the workers; and what these sent, against what arrived.
    fn records(&mut self, kernel: &KernelCounters, engine: &Counters, workers: &WorkerTotals) {
        let k = |counter| kernel.get(counter);
        let came = [
            ("recorded", k(Counter::CaptureRecorded)),
            ("delivered", k(Counter::DeliverFrames)),
            ("replayed", workers.replayed_clients),
        ];
        let became = [
            ("parsed", engine.client_packets),
            ("malformed", engine.client_malformed),
            ("duplicates", workers.duplicate_clients),
            ("rx_lost", workers.frames_lost),
        ];
        self.row("clients", &came, &became);
        let came = [
            ("recorded", k(Counter::ObserveRecorded)),
            ("replayed", workers.replayed_online),
        ];
        let became = [
            ("parsed", engine.online_packets),
            ("malformed", engine.online_malformed),
            ("duplicates", workers.duplicate_online),
        ];
        self.row("online", &came, &became);
        let came = [
            ("recorded", k(Counter::ReplyRecorded)),
            ("absorbed", k(Counter::AbsorbRecorded)),
            ("reports", workers.reports),
            ("made_up", workers.made_up_replies),
        ];
        let became = [
            ("parsed", engine.reply_packets),
            ("malformed", engine.reply_malformed),
        ];
        self.row("replies", &came, &became);
        let came = [("recorded", k(Counter::ReplyTooBig))];
        let became = [
            ("believed", engine.too_big_believed),
            ("ignored", engine.too_big_ignored),
        ];
        self.row("too_big", &came, &became);
        let became = [
            ("waiting", workers.frames_waiting),
            ("dropped", workers.frames_dropped),
            ("inject", k(Counter::InjectFrames)),
            ("made_up", workers.made_up_frames),
        ];
        self.row("frames", &[("sent", workers.frames_sent)], &became);
        self.row("records", &[("broken", workers.records_broken)], &[]);
    }

    /// The rows by name: each holds its terms and its `residue`.
    #[must_use]
    pub const fn rows(&self) -> &Figures<Figures<i64>> {
        &self.rows
    }

    /// Names of the rows that do not add up, with their residues.
    pub fn residues(&self) -> impl Iterator<Item = (&str, i64)> {
        self.rows
            .iter()
            .filter_map(|(name, row)| match row.get("residue") {
                Some(&residue) if residue != 0 => Some((name, residue)),
                _ => None,
            })
    }

    /// A hook's row: every counter of the hook; the residue is `whole` less `parts`.
    fn hook(&mut self, kernel: &KernelCounters, whole: Counter, parts: &[Counter]) {
        let hooks = [
            whole.hook(),
            if whole.hook() == "steer" {
                "deliver"
            } else {
                whole.hook()
            },
        ];
        let mut row: Figures<i64> = Counter::ALL
            .iter()
            .filter(|counter| hooks.contains(&counter.hook()))
            .map(|&counter| (counter.verdict(), signed(kernel.get(counter))))
            .collect();
        let accounted: u64 = parts.iter().map(|&part| kernel.get(part)).sum();
        row.push("residue", signed(kernel.get(whole)) - signed(accounted));
        self.rows.push(whole.hook(), row);
    }

    /// A row of its own: what came in, what became of it, and the difference.
    fn row(&mut self, name: &str, came: &[(&str, u64)], became: &[(&str, u64)]) {
        let mut row: Figures<i64> = came
            .iter()
            .chain(became)
            .map(|&(name, n)| (name, signed(n)))
            .collect();
        let sum = |terms: &[(&str, u64)]| signed(terms.iter().map(|&(_, n)| n).sum());
        row.push("residue", sum(came) - sum(became));
        self.rows.push(name, row);
    }
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use abi::counter::Counter;
    use session::Counters;

    use super::{KernelCounters, Reconciliation, WorkerTotals};

    /// Fifteen client packets, of which one was sampled out, three came during a pause, one was lost and one was shown twice; ten
    /// frames sent.
    fn sound() -> (KernelCounters, Counters, WorkerTotals) {
        let mut kernel = KernelCounters::default();
        kernel.set(Counter::CaptureMatched, 15);
        kernel.set(Counter::CapturePaused, 3);
        kernel.set(Counter::CaptureSampledOut, 1);
        kernel.set(Counter::CaptureRecorded, 10);
        kernel.set(Counter::CaptureRingFull, 1);
        kernel.set(Counter::CapturePureAck, 99);
        kernel.set(Counter::InjectFrames, 8);
        kernel.set(Counter::InjectInjected, 8);
        let engine = Counters {
            client_packets: 8,
            client_malformed: 1,
            reply_packets: 3,
            ..Counters::default()
        };
        let workers = WorkerTotals {
            reports: 3,
            duplicate_clients: 1,
            frames_sent: 10,
            frames_waiting: 2,
            ..WorkerTotals::default()
        };
        (kernel, engine, workers)
    }

    #[test]
    fn what_adds_up_leaves_no_residue() {
        let (kernel, engine, workers) = sound();
        let reconciled = Reconciliation::new(&kernel, &engine, &workers);
        assert_eq!(reconciled.residues().collect::<Vec<_>>(), []);
        let capture = reconciled.rows().get("capture").expect("a row per hook");
        assert_eq!(capture.get("pure_ack"), Some(&99));
    }

    #[test]
    fn what_does_not_is_named() {
        let (mut kernel, mut engine, mut workers) = sound();
        kernel.set(Counter::CaptureRingFull, 0);
        engine.client_packets -= 2;
        workers.frames_sent -= 1;
        let reconciled = Reconciliation::new(&kernel, &engine, &workers);
        assert_eq!(
            reconciled.residues().collect::<Vec<_>>(),
            [("capture", 1), ("clients", 2), ("frames", -1)]
        );
    }

    #[test]
    fn a_clone_that_the_private_device_dropped_is_accounted_for() {
        let (mut kernel, engine, workers) = sound();
        kernel.set(Counter::SteerFrames, 5);
        kernel.set(Counter::DeliverFrames, 3);
        let residue = |kernel: &KernelCounters| {
            let found = Reconciliation::new(kernel, &engine, &workers);
            found
                .residues()
                .find(|(name, _)| *name == "steer")
                .map(|(_, residue)| residue)
        };
        assert_eq!(residue(&kernel), Some(2));
        kernel.set(Counter::SteerDropped, 2);
        assert_eq!(residue(&kernel), None);
    }
}
