//! How much memory this process may take.

use std::fs;
use std::path::{Path, PathBuf};

/// Where version 2 of control groups is mounted.
const CGROUPS: &str = "/sys/fs/cgroup";

/// Bytes that can be taken without swapping (`MemAvailable` of proc(5)), or that the control groups of this process
/// leave of it; `None` where the kernel does not say.
#[must_use]
pub fn available() -> Option<u64> {
    let free = mem_available(&fs::read_to_string("/proc/meminfo").ok()?)?;
    let group = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let left = group_of(&group).and_then(|group| left_in(Path::new(CGROUPS), group));
    Some(left.map_or(free, |left| left.min(free)))
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

/// What the tightest limit of a group and those around it leaves, in bytes.
fn left_in(root: &Path, group: &str) -> Option<u64> {
    let mut folder: PathBuf = root.join(group);
    let mut least = None;
    while folder.starts_with(root) {
        // The outermost group has no limit, and one without any says "max".
        let figure = |file: &str| -> Option<u64> {
            let text = fs::read_to_string(folder.join(file)).ok()?;
            text.trim().parse().ok()
        };
        if let (Some(max), Some(current)) = (figure("memory.max"), figure("memory.current")) {
            let left = max.saturating_sub(current);
            least = Some(least.map_or(left, |least: u64| least.min(left)));
        }
        if !folder.pop() {
            break;
        }
    }
    least
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{available, group_of, left_in, mem_available};

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
        let root = std::env::temp_dir().join(format!("tcpcopy-cgroup-{}", std::process::id()));
        let inner = root.join("a/b");
        fs::create_dir_all(&inner).expect("a folder");
        for (folder, max, current) in [(root.join("a"), "1000", "300"), (inner, "max", "100")] {
            fs::write(folder.join("memory.max"), max).expect("a file");
            fs::write(folder.join("memory.current"), current).expect("a file");
        }
        assert_eq!(left_in(&root, "a/b"), Some(700));
        assert_eq!(left_in(&root, "c"), None);
        fs::remove_dir_all(&root).expect("a folder");
    }
}
