//! What `tcpcopy inspect` found, as figures: the form of its JSON, and what the table is made from.

use std::time::{Duration, SystemTime};

use capture::{Counts, UnwrapCounts};
use serde::Serialize;
use wire::flow::Addr;

use super::survey::{Service, Survey};

/// The form of the JSON; it is counted up where a key changes its meaning or goes.
const FORMAT: u32 = 1;

/// What is in capture files.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Document {
    pub(super) format: u32,
    pub(super) files: Vec<String>,
    /// Packets of any kind, and their bytes as the files have them.
    pub(super) packets: u64,
    pub(super) bytes: u64,
    pub(super) time: Option<Range>,
    pub(super) tcp_packets: u64,
    /// The busiest first.
    pub(super) services: Vec<Port>,
    /// VLANs, virtual networks and keys of tunnels that connections stand in; 0 where there are none.
    pub(super) networks: usize,
    pub(super) cut: Cut,
    pub(super) checksums: Checksums,
    pub(super) others: Others,
    pub(super) unusable: Unusable,
    /// Connections that were counted before they ended, because too many were open at once.
    pub(super) connections_counted_early: u64,
    /// What should be known of the files, a line each.
    pub(super) notes: Vec<String>,
}

/// When packets were captured.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Range {
    pub(super) first: String,
    pub(super) last: String,
    pub(super) seconds: f64,
    /// The longest time without a packet, in seconds.
    pub(super) longest_gap_seconds: f64,
    /// Packets that are earlier than the one before them.
    pub(super) stamps_back: u64,
}

/// What was seen at one port of servers.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Port {
    pub(super) port: u16,
    /// The busiest first.
    pub(super) servers: Vec<String>,
    pub(super) has_more_servers: bool,
    pub(super) connections: u64,
    /// From their SYN on, in both directions.
    pub(super) whole: u64,
    /// In both directions, and open before the file begins.
    pub(super) without_beginning: u64,
    pub(super) requests_only: u64,
    pub(super) responses_only: u64,
    pub(super) encrypted: u64,
    pub(super) requests: u64,
    pub(super) request_bytes: u64,
    pub(super) response_bytes: u64,
    pub(super) cut_packets: u64,
    pub(super) bad_checksums: u64,
    /// The rule that copies it, but for the target.
    pub(super) rule: String,
}

/// Packets whose end is not in the file.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Cut {
    pub(super) packets: u64,
    /// Those of them whose record says that it is whole: a mirror cut them.
    pub(super) by_a_mirror: u64,
    pub(super) missing_bytes: u64,
    /// Packets without a whole header, which are not used at all.
    pub(super) headers: u64,
}

/// Checksums of TCP that were not right.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Checksums {
    pub(super) offloaded: u64,
    pub(super) bad: u64,
}

/// Packets that are not TCP.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Others {
    pub(super) udp: u64,
    pub(super) icmp: u64,
    pub(super) other_ip: u64,
    pub(super) not_ip: u64,
}

/// What is in the files and cannot be used.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Unusable {
    pub(super) malformed: u64,
    pub(super) too_many_tunnels: u64,
    pub(super) fragments_without_the_others: u64,
    pub(super) other_link_types: u64,
    pub(super) damaged_records: u64,
    pub(super) torn_files: u64,
    /// What whoever captured says it has lost.
    pub(super) lost_while_capturing: u64,
}

impl Document {
    pub(super) fn new(
        files: Vec<String>,
        survey: &Survey,
        counts: &Counts,
        unwrapped: &UnwrapCounts,
    ) -> Self {
        let mut services: Vec<Port> = survey
            .services
            .iter()
            .map(|(port, service)| Port::of(*port, service))
            .collect();
        services.sort_by_key(|it| {
            let bytes = it.request_bytes + it.response_bytes;
            std::cmp::Reverse((it.requests, bytes, it.connections, it.port))
        });
        Self {
            format: FORMAT,
            files,
            packets: counts.frames,
            bytes: counts.bytes,
            time: Range::of(survey),
            tcp_packets: unwrapped.packets,
            services,
            networks: survey
                .networks
                .iter()
                .filter(|network| **network != 0)
                .count(),
            cut: Cut {
                packets: unwrapped.cut,
                by_a_mirror: unwrapped.cut_before,
                missing_bytes: unwrapped.cut_bytes,
                headers: unwrapped.header_cut,
            },
            checksums: Checksums {
                offloaded: unwrapped.offloaded,
                bad: unwrapped.bad,
            },
            others: Others {
                udp: unwrapped.udp,
                icmp: unwrapped.icmp,
                other_ip: unwrapped.other_protocol,
                not_ip: unwrapped.not_ip,
            },
            unusable: Unusable {
                malformed: unwrapped.malformed,
                too_many_tunnels: unwrapped.too_deep,
                fragments_without_the_others: unwrapped.fragments_left,
                other_link_types: counts.other_link,
                damaged_records: counts.damaged,
                torn_files: counts.torn,
                lost_while_capturing: counts.lost,
            },
            connections_counted_early: survey.counted_early,
            notes: counts.notes().iter().map(ToString::to_string).collect(),
        }
    }
}

impl Range {
    fn of(survey: &Survey) -> Option<Self> {
        let (first, last) = survey.time.range?;
        let moment = |ns| SystemTime::UNIX_EPOCH + Duration::from_nanos(ns);
        let shown = |ns| humantime::format_rfc3339_micros(moment(ns)).to_string();
        Some(Self {
            first: shown(first),
            last: shown(last),
            seconds: Duration::from_nanos(last - first).as_secs_f64(),
            longest_gap_seconds: Duration::from_nanos(survey.time.gap_ns).as_secs_f64(),
            stamps_back: survey.time.back,
        })
    }
}

impl Port {
    fn of(port: u16, service: &Service) -> Self {
        let mut servers: Vec<(&Addr, &u64)> = service.servers.iter().collect();
        servers.sort_by_key(|(_, connections)| std::cmp::Reverse(**connections));
        Self {
            port,
            servers: servers.iter().map(|(addr, _)| addr.to_string()).collect(),
            has_more_servers: service.has_more_servers,
            connections: service.connections,
            whole: service.whole,
            without_beginning: service.without_beginning,
            requests_only: service.requests_only,
            responses_only: service.responses_only,
            encrypted: service.encrypted,
            requests: service.requests,
            request_bytes: service.request_bytes,
            response_bytes: service.response_bytes,
            cut_packets: service.cut,
            bad_checksums: service.bad,
            rule: format!("-x {port}-TARGET_IP:{port}"),
        }
    }

    /// Whether any of its connections can be copied: not those that are encrypted, nor where no request is in the file.
    pub(super) fn can_be_copied(&self) -> bool {
        self.requests > 0
            && self.encrypted < self.connections
            && self.responses_only < self.connections
    }
}
