//! What cargo builds for us it builds from the lock file: otherwise the newest of some hundred crates would be compiled and run, unseen.

use std::path::Path;

/// Commands of cargo that would write the lock file anew.
const BUILDING: [&str; 5] = ["build", "clippy", "fetch", "install", "test"];
/// How many lines before the arguments say whose they are, and how many lines the arguments are.
const BEFORE: usize = 6;
const BEHIND: usize = 4;

/// Calls of cargo in a source of xtask that do not say `--locked`.
pub(super) fn findings(file: &Path, text: &str) -> Vec<String> {
    if !file.starts_with("xtask/src") {
        return Vec::new();
    }
    let lines: Vec<&str> = text.lines().collect();
    let is_call = |line: &str| {
        BUILDING
            .iter()
            .any(|word| line.contains(&format!("args([\"{word}\"")))
    };
    let is_of_cargo = |number: usize| {
        lines[number.saturating_sub(BEFORE)..=number]
            .iter()
            .any(|line| line.to_lowercase().contains("cargo"))
    };
    let is_locked = |number: usize| {
        let end = lines.len().min(number + BEHIND);
        lines[number..end]
            .iter()
            .any(|line| line.contains("--locked"))
    };
    (0..lines.len())
        .filter(|&number| is_call(lines[number]) && is_of_cargo(number) && !is_locked(number))
        .map(|number| {
            format!(
                "{}:{}: cargo is called without `--locked`",
                file.display(),
                number + 1
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::findings;
    use std::path::Path;

    #[test]
    fn a_call_without_the_lock_file_is_found() {
        let call = |arguments: &str| format!("let mut cargo = cargo();\ncargo.{arguments};\n");
        let check = |file: &str, text: &str| findings(Path::new(file), text).len();
        let loose = call("args([\"install\", \"x\"])");
        assert_eq!(check("xtask/src/a.rs", &loose), 1);
        assert_eq!(check("crates/lab/src/a.rs", &loose), 0);
        let tight = call("args([\"install\", \"x\", \"--locked\"])");
        assert_eq!(check("xtask/src/a.rs", &tight), 0);
        let of_others = "podman.args([\"build\", \"--quiet\"]);\n";
        assert_eq!(check("xtask/src/a.rs", of_others), 0);
    }
}
