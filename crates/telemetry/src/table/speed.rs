//! The lines about the target's times.

use std::fmt::{self, Formatter};

use super::{below, millis, row, says, short};
use crate::summary::Summary;
use crate::verdict::{Finding, Says};

/// How fast the target is, as far as the run can tell.
pub(super) fn lines(f: &mut Formatter<'_>, summary: &Summary) -> fmt::Result {
    let (online, target) = (
        &summary.latency_us.online.last,
        &summary.latency_us.target_net.last,
    );
    if online.count == 0 {
        let why = if summary.dry_run {
            "-         nothing to measure: the target is made up"
        } else {
            "-         no response of both servers was measured"
        };
        return row(f, "SPEED", why, "?");
    }
    let last = &summary.verdict.last;
    for (name, what, online, target, finding) in [
        ("SPEED", "median", online.p50, target.p50, &last.p50),
        ("", "p99", online.p99, target.p99, &last.p99),
    ] {
        let text = format!(
            "{what:<9} online {:<9} target {:<9} {}",
            millis(online),
            millis(target),
            difference(finding)
        );
        row(f, name, &text, says(finding.says))?;
        if let Some(wanted) = &finding.would_tell {
            below(f, &wanted.to_string())?;
        }
    }
    Ok(())
}

/// A difference and its interval, where the verdict knows one.
fn difference(finding: &Finding) -> String {
    let signed = |micros: i64| {
        format!(
            "{}{}",
            if micros < 0 { "-" } else { "+" },
            short(micros.unsigned_abs())
        )
    };
    let measured = signed(finding.difference);
    match (finding.says, finding.low, finding.high) {
        (Says::CannotTell, ..) => String::new(),
        (_, Some(low), Some(high)) => format!("{measured} ({} to {})", signed(low), signed(high)),
        (Says::Slower, Some(low), None) => format!("{measured} (at least {})", signed(low)),
        (Says::Faster, None, Some(high)) => format!("{measured} (at least {})", signed(high)),
        _ => measured,
    }
}
