//! What was recorded, as a table of a few lines and as JSON.

use std::fmt;
use std::io::{self, Write as _};
use std::time::Duration;

use abi::counter::Counter;
use recording::Written;
use serde_json::{Value, json};
use telemetry::KernelCounters;

/// Files that the table names.
const FILES_NAMED: usize = 3;

/// What the programs saw of the services and did not record, by the names of the JSON.
const LEFT_OUT: [(&str, &[Counter]); 5] = [
    ("vlan_tagged", &[Counter::CaptureVlan, Counter::ObserveVlan]),
    ("other_host", &[Counter::CaptureOtherHost]),
    (
        "fragments",
        &[Counter::CaptureFragment, Counter::ObserveFragment],
    ),
    ("big_tcp", &[Counter::CaptureBigTcp, Counter::ObserveBigTcp]),
    ("copies", &[Counter::CaptureMarked]),
];

/// Packets of which none is recorded, and what to do about it.
const INSTEAD: [(&[Counter], &str); 6] = [
    (
        &[Counter::CaptureMarked],
        "were sent by a tcpcopy; --copies records them",
    ),
    (
        &[Counter::CaptureVlan, Counter::ObserveVlan],
        "had a VLAN tag: -i with the VLAN's own device (eth0.100, say), not with the one below it",
    ),
    (
        &[Counter::CaptureOtherHost],
        "were for another host: -i IFACE:mirror where the device shows the traffic of others",
    ),
    (
        &[Counter::CapturePureAck],
        "were bare acknowledgements of clients, who asked nothing meanwhile",
    ),
    (
        &[Counter::CaptureFragment, Counter::ObserveFragment],
        "were fragments, which are not put together",
    ),
    (
        &[Counter::CaptureBigTcp, Counter::ObserveBigTcp],
        "were longer than 64 KiB: `ip link set dev IFACE gro_ipv4_max_size 65536 gro_max_size 65536`",
    ),
];
/// Where the programs have seen nothing at all.
const NOTHING: &str = "no packet of any service passed here; `tcpcopy doctor` says where they do, with this -i and the -x of a run";

/// All of it.
#[derive(Debug)]
pub(super) struct Account {
    pub(super) written: Written,
    /// Packets that found the ring full.
    pub(super) lost: u64,
    pub(super) lasted: Duration,
    /// How far the wall clock has moved against the one that stamps.
    pub(super) clock_moved_ns: i64,
    pub(super) counters: Option<KernelCounters>,
    /// Packets that a second device showed.
    pub(super) duplicates: u64,
}

impl Account {
    /// Packets in the files.
    pub(super) const fn packets(&self) -> u64 {
        self.written.clients + self.written.online
    }

    /// Why there are none, as far as the programs have seen something of the services.
    pub(super) fn why_nothing(&self) -> String {
        let counters = self.counters.as_ref();
        let count = |of: &[Counter]| -> u64 {
            let known = counters.map(|known| of.iter().map(|it| known.get(*it)).sum());
            known.unwrap_or_default()
        };
        let Some((seen, words)) = INSTEAD
            .iter()
            .map(|(counters, words)| (count(counters), words))
            .max_by_key(|(seen, _)| *seen)
            .filter(|(seen, _)| *seen > 0)
        else {
            return NOTHING.to_owned();
        };
        format!("{seen} packet(s) {words}")
    }

    /// Prints it on standard output.
    pub(super) fn tell(&self, as_json: bool) {
        let text = if as_json {
            format!("{}\n", self.json())
        } else {
            self.to_string()
        };
        // Whoever closed it has read enough; the files are there all the same.
        let _ = io::stdout().write_all(text.as_bytes());
    }

    fn json(&self) -> Value {
        let left_out = LEFT_OUT.map(|(name, counters)| {
            let of = |counters: &KernelCounters, counter: &Counter| counters.get(*counter);
            let known = self.counters.as_ref();
            let count = known.map(|known| counters.iter().map(|it| of(known, it)).sum::<u64>());
            (name.to_owned(), count.into())
        });
        let files = self
            .written
            .files
            .iter()
            .map(|file| file.display().to_string());
        json!({
            "client_packets": self.written.clients,
            "online_packets": self.written.online,
            "packet_bytes": self.written.packet_bytes,
            "lost_packets": self.lost,
            "duplicate_packets": self.duplicates,
            "left_out_packets": serde_json::Map::from_iter(left_out),
            "masked_values": self.written.masked,
            "files": files.collect::<Vec<_>>(),
            "files_written": self.written.files_written,
            "file_bytes": self.written.file_bytes,
            "seconds": self.lasted.as_secs_f64(),
            "clock_moved_ns": self.clock_moved_ns,
        })
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let written = &self.written;
        writeln!(
            f,
            "RECORDED   {} packets of clients, {} of the online server, in {:.1} s",
            written.clients,
            written.online,
            self.lasted.as_secs_f64()
        )?;
        writeln!(f, "LOST       {} packets", self.lost)?;
        if written.masked > 0 {
            writeln!(f, "MASKED     {} values", written.masked)?;
        }
        let counters = self.counters.as_ref();
        let copies = counters.map_or(0, |counters| counters.get(Counter::CaptureMarked));
        if copies > 0 {
            writeln!(
                f,
                "LEFT OUT   {copies} packets that a tcpcopy sent here; --copies records them"
            )?;
        }
        let mut names = written.files.iter().map(|file| file.display().to_string());
        let named: Vec<String> = names.by_ref().take(FILES_NAMED).collect();
        let more = (written.files_written as usize).saturating_sub(named.len());
        let more = if more > 0 {
            format!(", and {more} more")
        } else {
            String::new()
        };
        writeln!(
            f,
            "FILES      {}{more}: {:.1} MB",
            named.join(", "),
            written.file_bytes as f64 / 1e6
        )
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::time::Duration;

    use abi::counter::Counter;
    use recording::Written;
    use telemetry::KernelCounters;

    use super::Account;

    #[test]
    fn the_table_and_the_json_have_the_same_figures() {
        let mut counters = KernelCounters::default();
        counters.set(Counter::CaptureMarked, 6);
        let account = Account {
            written: Written {
                clients: 7,
                online: 5,
                packet_bytes: 900,
                file_bytes: 1_500_000,
                masked: 2,
                files: (1..=4).map(|n| PathBuf::from(format!("f{n}"))).collect(),
                files_written: 4,
            },
            lost: 3,
            lasted: Duration::from_secs(2),
            clock_moved_ns: -5,
            counters: Some(counters.clone()),
            duplicates: 1,
        };
        assert_eq!(
            account.to_string(),
            "RECORDED   7 packets of clients, 5 of the online server, in 2.0 s\n\
             LOST       3 packets\n\
             MASKED     2 values\n\
             LEFT OUT   6 packets that a tcpcopy sent here; --copies records them\n\
             FILES      f1, f2, f3, and 1 more: 1.5 MB\n"
        );
        assert_eq!(
            account.why_nothing(),
            "6 packet(s) were sent by a tcpcopy; --copies records them"
        );
        let nothing = Account {
            counters: Some(KernelCounters::default()),
            written: account.written.clone(),
            ..account
        };
        let why = nothing.why_nothing();
        assert!(why.contains("no packet of any service passed"), "{why}");
        let account = Account {
            counters: Some(counters),
            ..nothing
        };
        let json = account.json();
        assert_eq!(
            (&json["client_packets"], &json["lost_packets"]),
            (&7.into(), &3.into())
        );
        assert_eq!(json["left_out_packets"]["vlan_tagged"], 0);
        assert_eq!(json["left_out_packets"]["copies"], 6);
        assert_eq!(json["files"][3], "f4");
    }
}
