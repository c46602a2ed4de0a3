//! Why there is nothing to judge: one reason for table, page, report, exit status and early warning.

use abi::counter::Counter;

use crate::totals::RunTotals;

/// Why a run has nothing that could be judged; `None` where it has something.
#[must_use]
pub fn why(run: &RunTotals) -> Option<&'static str> {
    if run.fidelity().is_some() {
        return None;
    }
    Some(if run.ready.is_none() {
        "the run was never ready, so nothing was copied"
    } else if run.ledger.total().captured() + run.turns_open > 0 {
        "the online server served nothing of what was captured"
    } else {
        why_nothing_was_captured(run)
    })
}

/// Why nothing was captured, as far as the counters tell.
#[must_use]
pub fn why_nothing_was_captured(run: &RunTotals) -> &'static str {
    let seen = |counter| run.kernel.get(counter) > 0;
    if run.engine.left_out_open_before_flows > 0 {
        "nothing was captured: all connections that were seen were open before the start, and are left out (see --join)"
    } else if run.engine.left_out_unreplayable_bytes > 0 {
        "nothing was captured: what was seen is encrypted (TLS or SSH); copy behind its terminator"
    } else if run.engine.left_out_from_target_bytes > 0 {
        "nothing was captured: what was seen comes from a target, whose requests are not copied"
    } else if run.about.speed.is_some() {
        in_files(run)
    } else if seen(Counter::CaptureSampledOut) && !seen(Counter::CaptureRecorded) {
        "nothing was captured: -r left out every connection that was seen; a larger share takes more"
    } else if seen(Counter::CaptureMatched) || seen(Counter::CapturePureAck) {
        "nothing was captured: packets of clients were seen, and no request among them"
    } else if seen(Counter::ObserveMatched) {
        "nothing was captured: only answers of the online server were seen; check that -i has the interface on which clients' packets \
         arrive"
    } else {
        "nothing was captured: no packet of any rule was seen; if clients were active, check that -x has their port and -i the interface \
         on which they arrive"
    }
}

/// The same of a replay, whose packets come by no interface.
const fn in_files(run: &RunTotals) -> &'static str {
    if run.workers.replayed_clients > 0 {
        "nothing was captured: the files have packets of clients, and no request among them that could be copied"
    } else if run.workers.replayed_online > 0 {
        "nothing was captured: the files have what the online server answered, and nothing of what clients asked; a capture needs both \
         directions, or the clients' alone"
    } else {
        "nothing was captured: no packet of the files was taken; -x may name another port, and -r or --start and --end leave out what they \
         are told to (`tcpcopy inspect FILE` shows what is there)"
    }
}

#[cfg(test)]
mod tests {
    use abi::counter::Counter;

    use super::why;
    use crate::KernelCounters;
    use crate::metrics::tests::totals;

    fn counted(counters: &[(Counter, u64)]) -> KernelCounters {
        let mut kernel = KernelCounters::default();
        for &(counter, count) in counters {
            kernel.set(counter, count);
        }
        kernel
    }

    #[test]
    fn the_reason_depends_on_what_was_seen() {
        let mut run = totals();
        let said = |run: &crate::RunTotals| why(run).unwrap_or_default();
        assert!(said(&run).contains("check that -x has their port"));
        run.kernel = counted(&[(Counter::ObserveMatched, 5)]);
        assert!(said(&run).contains("only answers"));
        run.kernel = counted(&[(Counter::CaptureMatched, 5), (Counter::CaptureRecorded, 5)]);
        assert!(said(&run).contains("no request among them"));
        run.kernel = counted(&[
            (Counter::CaptureMatched, 5),
            (Counter::CaptureSampledOut, 5),
        ]);
        assert!(said(&run).contains("-r left out every connection"));
        run.about.speed = Some("max".to_owned());
        assert!(said(&run).contains("inspect FILE"));
        run.workers.replayed_online = 1;
        assert!(said(&run).contains("both directions"));
        run.workers.replayed_clients = 1;
        assert!(said(&run).contains("no request among them"));
        run.engine.left_out_from_target_bytes = 1;
        assert!(said(&run).contains("comes from a target"));
        run.engine.left_out_unreplayable_bytes = 1;
        assert!(said(&run).contains("is encrypted"));
        run.engine.left_out_open_before_flows = 1;
        assert!(said(&run).contains("open before the start"));
        run.turns_open = 1;
        assert!(said(&run).contains("served nothing"));
        run.ready = None;
        assert!(said(&run).contains("never ready"));
    }
}
