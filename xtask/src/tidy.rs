//! The rules of the house that no compiler knows: what a stranger would stumble over.
//!
//! It is a command and an ordinary test. Each finding names the file, the line and the rule.
//!
//! | module | holds |
//! |---|---|
//! | [`circles`] | no module imports one that imports it |
//! | [`locked`] | cargo is called with `--locked` |
//! | [`lengths`] | how long files and functions may be, and which still are longer |

mod circles;
mod lengths;
mod locked;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{step, workspace};
use circles::Crates;

/// Names of modules that say nothing.
const BANNED_MODULES: [&str; 5] = ["utils", "common", "helpers", "misc", "manager"];
/// Words that mean unfinished work.
const LEFTOVERS: [&str; 3] = ["TO\u{44}O", "FIX\u{4d}E", "XX\u{58}"];

/// Checks the whole tree.
///
/// # Errors
///
/// All findings, one a line.
pub(crate) fn run() -> Result<()> {
    let findings = check(&workspace::root())?;
    if findings.is_empty() {
        return Ok(());
    }
    bail!("{} finding(s):\n{}", findings.len(), findings.join("\n"));
}

fn check(root: &Path) -> Result<Vec<String>> {
    let (mut findings, mut crates) = (Vec::new(), Crates::default());
    for file in sources(root)? {
        let text = fs::read_to_string(root.join(&file))
            .with_context(|| format!("cannot read {}", file.display()))?;
        check_file(&file, &text, &mut findings);
        crates.read(&file, &text);
    }
    findings.extend(crates.findings());
    Ok(findings)
}

/// The Rust files that git tracks, or would: everything it does not ignore.
fn sources(root: &Path) -> Result<Vec<PathBuf>> {
    let mut list = Command::new("git");
    list.current_dir(root).args([
        "ls-files",
        "--cached",
        "--others",
        "--exclude-standard",
        "*.rs",
    ]);
    let listed = step::output(&mut list).context(
        "cannot list the tree with `git ls-files`: is this a checkout, and git installed?",
    )?;
    Ok(listed
        .lines()
        .map(PathBuf::from)
        .filter(|file| root.join(file).is_file())
        .collect())
}

fn check_file(file: &Path, text: &str, findings: &mut Vec<String>) {
    let shown = file.display();
    let mut find = |line: usize, what: String| findings.push(format!("{shown}:{line}: {what}"));
    if !text.trim_start().starts_with("//!") {
        find(
            1,
            "a module says in its first line what it is (`//!`)".to_owned(),
        );
    }
    let stem = file
        .file_stem()
        .and_then(|stem| stem.to_str())
        .unwrap_or_default();
    if BANNED_MODULES.contains(&stem) {
        find(
            1,
            format!("`{stem}` says nothing: name the module after what it holds"),
        );
    }
    for (number, line) in text.lines().enumerate() {
        if let Some(word) = LEFTOVERS.iter().find(|word| line.contains(**word)) {
            find(number + 1, format!("`{word}` is left over"));
        }
        if line.contains("#[ignor\u{65}") {
            find(number + 1, "an ignored test tests nothing".to_owned());
        }
    }
    findings.extend(lengths::findings(file, text));
    findings.extend(locked::findings(file, text));
}

#[cfg(test)]
mod tests {
    use super::{check_file, run};
    use std::path::Path;

    #[test]
    fn the_tree_is_tidy() {
        run().expect("tidy");
    }

    #[test]
    fn each_rule_finds_its_offender() {
        let check = |file: &str, text: &str| {
            let mut findings = Vec::new();
            check_file(Path::new(file), text, &mut findings);
            findings
        };
        assert!(check("src/ring.rs", "//! A ring.\n").is_empty());
        assert_eq!(check("src/ring.rs", "fn main() {}\n").len(), 1);
        assert_eq!(check("src/utils.rs", "//! Things.\n").len(), 1);
        assert_eq!(
            check(
                "src/ring.rs",
                &format!("//! A ring.\n// {}: more\n", super::LEFTOVERS[0])
            )
            .len(),
            1
        );
    }
}
