//! The table of connections that netfilter tracks.

use crate::sysctl;

/// How many connections are tracked in this network namespace, and how many can be; `None` where nothing is tracked.
#[must_use]
pub fn room() -> Option<(u64, u64)> {
    let number = |path| sysctl::read(path).ok()?.parse().ok();
    let count = number("netfilter/nf_conntrack_count")?;
    let max: u64 = number("netfilter/nf_conntrack_max")?;
    Some((count, max))
}

#[cfg(test)]
mod tests {
    #[test]
    fn where_connections_are_tracked_their_number_is_bounded() {
        if let Some((count, max)) = super::room() {
            assert!(max > 0 && count <= max, "{count} of {max}");
        }
    }
}
