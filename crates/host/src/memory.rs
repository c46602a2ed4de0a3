//! How much memory this process may take.

use std::fs;
use std::path::{Path, PathBuf};

/// A version of control groups: where it is mounted, and what its files are called.
struct Version {
    root: &'static str,
    limits: &'static [&'static str],
    taken: &'static str,
    /// In `memory.stat`: pages of files that the kernel gives away where somebody wants memory.
    cache: &'static str,
}

const V2: Version = Version {
    root: "/sys/fs/cgroup",
    limits: &["memory.max", "memory.high"],
    taken: "memory.current",
    cache: "inactive_file",
};
const V1: Version = Version {
    root: "/sys/fs/cgroup/memory",
    limits: &["memory.limit_in_bytes"],
    taken: "memory.usage_in_bytes",
    cache: "total_inactive_file",
};

/// Bytes that can be taken without swapping (`MemAvailable` of proc(5)), or that the control groups of this process
/// leave of it; `None` where the kernel does not say.
#[must_use]
pub fn available() -> Option<u64> {
    let free = mem_available(&fs::read_to_string("/proc/meminfo").ok()?)?;
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let left = [(&V2, group_of(&groups)), (&V1, group_of_v1(&groups))]
        .into_iter()
        .filter_map(|(version, group)| left_in(version, Path::new(version.root), group?));
    Some(left.fold(free, u64::min))
}

fn mem_available(meminfo: &str) -> Option<u64> {
    let line = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kibibytes: u64 = line.split_ascii_whitespace().next()?.parse().ok()?;
    kibibytes.checked_mul(1024)
}

/// The group of version 2: the line of hierarchy 0.
fn group_of(groups: &str) -> Option<&str> {
    groups.lines().find_map(|line| line.strip_prefix("0::/"))
}

/// The group of version 1 that limits memory.
fn group_of_v1(groups: &str) -> Option<&str> {
    groups.lines().find_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        let (controllers, group) = (fields.next()?, fields.next()?);
        let limits_memory = controllers.split(',').any(|name| name == "memory");
        limits_memory.then(|| group.trim_start_matches('/'))
    })
}

/// What the tightest limit of a group and those around it leaves, in bytes.
fn left_in(version: &Version, root: &Path, group: &str) -> Option<u64> {
    let mut folder: PathBuf = root.join(group);
    let mut least = None;
    while folder.starts_with(root) {
        // The outermost group has no limit, and one without any says "max".
        let figure = |file: &str| -> Option<u64> {
            let text = fs::read_to_string(folder.join(file)).ok()?;
            text.trim().parse().ok()
        };
        let max = version.limits.iter().filter_map(|file| figure(file)).min();
        if let (Some(max), Some(taken)) = (max, figure(version.taken)) {
            let statistics = fs::read_to_string(folder.join("memory.stat")).unwrap_or_default();
            let taken = taken.saturating_sub(cached(&statistics, version.cache));
            let left = max.saturating_sub(taken);
            least = Some(least.map_or(left, |least: u64| least.min(left)));
        }
        if !folder.pop() {
            break;
        }
    }
    least
}

/// A figure of `memory.stat`; 0 where it is not there.
fn cached(statistics: &str, name: &str) -> u64 {
    let value = |line: &str| {
        let (found, value) = line.split_once(' ')?;
        (found == name).then(|| value.trim().parse().ok())?
    };
    statistics.lines().find_map(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{V1, V2, available, group_of, group_of_v1, left_in, mem_available};

    #[test]
    fn meminfo_is_read_in_bytes() {
        let text = "MemTotal:  8 kB\nMemAvailable:      4096 kB\n";
        assert_eq!(mem_available(text), Some(4096 * 1024));
        assert_eq!(mem_available("MemTotal: 8 kB\n"), None);
        assert!(available().is_some_and(|bytes| bytes > 1 << 20));
    }

    #[test]
    fn the_tightest_group_counts() {
        assert_eq!(group_of("1:name=systemd:/x\n0::/a/b\n"), Some("a/b"));
        assert_eq!(group_of("1:memory:/x\n"), None);
        let both = "12:cpu,cpuacct:/y\n4:memory:/a/b\n0::/\n";
        assert_eq!(group_of_v1(both), Some("a/b"));
        assert_eq!(group_of_v1("0::/a/b\n"), None);
        let root = std::env::temp_dir().join(format!("tcpcopy-cgroup-{}", std::process::id()));
        let inner = root.join("a/b");
        fs::create_dir_all(&inner).expect("a folder");
        for (folder, max, current) in [(root.join("a"), "1000", "300"), (inner, "max", "100")] {
            fs::write(folder.join("memory.max"), max).expect("a file");
            fs::write(folder.join("memory.current"), current).expect("a file");
        }
        assert_eq!(left_in(&V2, &root, "a/b"), Some(700));
        assert_eq!(left_in(&V2, &root, "c"), None);
        assert_eq!(left_in(&V1, &root, "a/b"), None);
        // Pages of files make room for others, and a group is slowed down at its `high`.
        let stat = "anon 10\ninactive_file 200\nactive_file 90\n";
        fs::write(root.join("a/memory.stat"), stat).expect("a file");
        assert_eq!(left_in(&V2, &root, "a/b"), Some(900));
        fs::write(root.join("a/memory.high"), "600").expect("a file");
        assert_eq!(left_in(&V2, &root, "a/b"), Some(500));
        fs::remove_dir_all(&root).expect("a folder");
    }
}
