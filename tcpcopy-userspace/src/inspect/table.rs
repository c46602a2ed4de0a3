//! What `tcpcopy inspect` found, for a reader's eye: a line for each port, and below a line for each thing that a replay would leave
//! out, with what to do about it.

use std::fmt::{self, Display, Formatter};

use telemetry::figures::grouped;

use super::document::{Document, Port, Range};

/// Ports that have a line.
const PORTS_MAX: usize = 20;
/// Addresses that are shown of a port.
const SERVERS_SHOWN: usize = 2;
/// Where words begin that stand behind a label.
const LABEL: usize = 14;
/// A pause or leap of the clock that is worth a line, in seconds.
const GAP_SECONDS: f64 = 60.0;

/// A document as a table.
pub(super) struct Table<'a>(pub(super) &'a Document);

impl Display for Table<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self(it) = self;
        writeln!(f, "{}", it.files.join(", "))?;
        writeln!(
            f,
            "{} packets, {} of them TCP, {}",
            grouped(it.packets),
            grouped(it.tcp_packets),
            size(it.bytes)
        )?;
        if let Some(time) = &it.time {
            writeln!(
                f,
                "{} to {} ({})",
                time.first,
                time.last,
                span(time.seconds)
            )?;
        }
        ports(f, &it.services)?;
        let findings = findings(it);
        if !findings.is_empty() {
            writeln!(f)?;
        }
        for (label, words) in findings {
            writeln!(f, "{label:LABEL$}{words}")?;
        }
        rule(f, &it.services)
    }
}

fn ports(f: &mut Formatter<'_>, services: &[Port]) -> fmt::Result {
    if services.is_empty() {
        return Ok(());
    }
    let mut rows = vec![
        [
            "PORT",
            "CONNECTIONS",
            "WHOLE",
            "NO SYN",
            "ONE WAY",
            "REQUESTS",
            "ASKED",
            "ANSWERED",
            "SERVER",
        ]
        .map(str::to_owned),
    ];
    rows.extend(services.iter().take(PORTS_MAX).map(|it| {
        [
            it.port.to_string(),
            grouped(it.connections),
            grouped(it.whole),
            grouped(it.without_beginning),
            grouped(it.requests_only + it.responses_only),
            grouped(it.requests),
            size(it.request_bytes),
            size(it.response_bytes),
            servers(it),
        ]
    }));
    writeln!(f)?;
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..8).map(width).collect();
    for row in &rows {
        for (cell, width) in row.iter().zip(&widths) {
            write!(f, "{cell:>width$}  ")?;
        }
        writeln!(f, "{}", row[8])?;
    }
    if services.len() > PORTS_MAX {
        writeln!(
            f,
            "and {} other ports (--json has them)",
            grouped((services.len() - PORTS_MAX) as u64)
        )?;
    }
    Ok(())
}

/// The servers of a port, and what keeps its connections from being copied.
fn servers(port: &Port) -> String {
    let shown = port.servers.iter().take(SERVERS_SHOWN);
    let mut text = shown.map(String::as_str).collect::<Vec<_>>().join(", ");
    let more = port.servers.len().saturating_sub(SERVERS_SHOWN);
    if port.has_more_servers {
        text.push_str(" and more");
    } else if more > 0 {
        text.push_str(&format!(" and {more} more"));
    }
    if port.encrypted == port.connections {
        text.push_str("  (encrypted: cannot be copied)");
    } else if port.encrypted > 0 {
        text.push_str(&format!("  ({} encrypted)", grouped(port.encrypted)));
    }
    text
}

/// What is worth a line: a label, and words.
fn findings(it: &Document) -> Vec<(&'static str, String)> {
    let mut findings = Vec::new();
    cut(it, &mut findings);
    connections(it, &mut findings);
    unusable(it, &mut findings);
    if let Some(time) = &it.time {
        clock(time, &mut findings);
    }
    findings.extend(it.notes.iter().map(|note| ("FILE", note.clone())));
    findings
}

fn cut(it: &Document, findings: &mut Vec<(&'static str, String)>) {
    let cut = it.cut;
    if cut.packets > 0 {
        let advice = if cut.by_a_mirror * 2 > cut.packets {
            "their records say they are whole, so a mirror cut them: raise its packet length"
        } else {
            "capture whole packets: `tcpdump -s 0`, or no `-s` at all"
        };
        let words = format!(
            "{} of {} TCP packets without their end, {} missing: a request with such a hole is not copied; {advice}",
            grouped(cut.packets),
            grouped(it.tcp_packets),
            size(cut.missing_bytes)
        );
        findings.push(("CUT", words));
    }
    for (label, count, noun, words) in [
        (
            "CUT",
            cut.headers,
            "packet",
            "without a whole header: not used",
        ),
        (
            "CHECKSUMS",
            it.checksums.bad,
            "packet",
            "with a wrong one: used where no other copy of the same bytes comes",
        ),
        (
            "CHECKSUMS",
            it.checksums.offloaded,
            "packet",
            "whose sender left it to the network card: usual where a host captures what it sends",
        ),
    ] {
        find(findings, label, count, noun, words);
    }
}

/// A finding of so many things, where there are any.
fn find(
    findings: &mut Vec<(&'static str, String)>,
    label: &'static str,
    count: u64,
    noun: &str,
    words: &str,
) {
    if count > 0 {
        let plural = if count == 1 { "" } else { "s" };
        findings.push((label, format!("{} {noun}{plural} {words}", grouped(count))));
    }
}

fn connections(it: &Document, findings: &mut Vec<(&'static str, String)>) {
    let sum = |of: fn(&Port) -> u64| it.services.iter().map(of).sum::<u64>();
    for (label, count, words) in [
        (
            "NO SYN",
            sum(|port| port.without_beginning),
            "open before the file begins: copied from a later request on where requests stand alone",
        ),
        (
            "ONE WAY",
            sum(|port| port.requests_only),
            "without responses: copied as the client's acknowledgements say, and not compared",
        ),
        (
            "ONE WAY",
            sum(|port| port.responses_only),
            "without requests: nothing to copy",
        ),
        (
            "ENCRYPTED",
            sum(|port| port.encrypted),
            "that cannot be copied: capture behind what ends TLS",
        ),
        (
            "TOO MANY",
            it.connections_counted_early,
            "counted before the end, because too many were open at once: some count twice",
        ),
    ] {
        find(findings, label, count, "connection", words);
    }
    let words =
        "(VLAN, VXLAN, GENEVE or key of GRE): equal addresses in two of them are two connections";
    find(findings, "NETWORKS", it.networks as u64, "network", words);
}

fn unusable(it: &Document, findings: &mut Vec<(&'static str, String)>) {
    let others = [
        (it.others.udp, "UDP"),
        (it.others.icmp, "ICMP"),
        (it.others.other_ip, "other protocols in IP"),
        (it.others.not_ip, "without IP (ARP and others)"),
    ];
    let others: Vec<String> = others
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, name)| format!("{} {name}", grouped(*count)))
        .collect();
    if !others.is_empty() {
        findings.push(("NOT TCP", others.join(", ")));
    }
    let unusable = it.unusable;
    for (label, count, noun, words) in [
        (
            "UNUSABLE",
            unusable.malformed,
            "packet",
            "whose headers contradict themselves",
        ),
        (
            "UNUSABLE",
            unusable.too_many_tunnels,
            "packet",
            "in more than two tunnels",
        ),
        (
            "UNUSABLE",
            unusable.fragments_without_the_others,
            "fragment",
            "of a packet whose other fragments are missing",
        ),
        (
            "UNUSABLE",
            unusable.other_link_types,
            "packet",
            "of an interface whose link type is not known",
        ),
        (
            "LOST",
            unusable.lost_while_capturing,
            "packet",
            "while capturing, as the file says: take a larger buffer (`tcpdump -B`, `dumpcap -B`), or capture less",
        ),
    ] {
        find(findings, label, count, noun, words);
    }
}

fn clock(time: &Range, findings: &mut Vec<(&'static str, String)>) {
    let words = "with an earlier time than the one before";
    find(findings, "CLOCK", time.stamps_back, "packet", words);
    if time.longest_gap_seconds >= GAP_SECONDS {
        let words = format!(
            "nothing for {} at the longest",
            span(time.longest_gap_seconds)
        );
        findings.push(("CLOCK", words));
    }
}

/// What to say to a replay.
fn rule(f: &mut Formatter<'_>, services: &[Port]) -> fmt::Result {
    let Some(port) = services.iter().find(|port| port.can_be_copied()) else {
        return Ok(());
    };
    writeln!(f, "\n{:LABEL$}{}", "TO REPLAY", port.rule)?;
    if let (Some(first), true) = (port.servers.first(), port.servers.len() > 1) {
        let host = if first.contains(':') {
            format!("[{first}]")
        } else {
            first.clone()
        };
        let (of_one, port) = (
            format!("-x {host}:{0}-TARGET_IP:{0}", port.port),
            "of one server alone",
        );
        writeln!(f, "{:LABEL$}{of_one}    {port}", "")?;
    }
    Ok(())
}

/// Bytes as people read them, in powers of 1000.
fn size(bytes: u64) -> String {
    let mut rest = bytes as f64;
    for unit in ["B", "kB", "MB", "GB"] {
        if rest < 999.5 {
            return if unit == "B" {
                format!("{bytes} B")
            } else {
                format!("{rest:.1} {unit}")
            };
        }
        rest /= 1000.0;
    }
    format!("{rest:.1} TB")
}

/// Seconds as people read them.
fn span(seconds: f64) -> String {
    if seconds < 10.0 {
        return format!("{seconds:.3} s");
    }
    humantime::format_duration(std::time::Duration::from_secs_f64(seconds.round())).to_string()
}
