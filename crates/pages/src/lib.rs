//! The pages of this repository, read by tests: a link that leads nowhere, or a command that does not parse, is a defect.
//!
//! | module | holds |
//! |---|---|
//! | [`page`] | a page of Markdown: links, anchors, code |
//! | [`shell`] | the commands that a piece of code shows |
//!
//! It is used by tests alone. The programs' own tests parse the commands that [`commands_of`] finds, each with its real parser.
#![forbid(unsafe_code)]

pub mod page;
pub mod shell;

use std::path::{Path, PathBuf};
use std::process::Command;

use page::Page;

/// A command that a page or an example shows.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Shown {
    /// File and line, to be found again.
    pub place: String,
    /// The program and its arguments.
    pub words: Vec<String>,
}

/// The folder of this repository.
///
/// # Panics
///
/// Where this crate lies somewhere else.
#[must_use]
pub fn root() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2);
    root.expect("crates/pages lies two folders deep").to_owned()
}

/// Files that git tracks, or would, and that match one of the patterns.
///
/// # Panics
///
/// Without git, or outside of a checkout.
#[must_use]
pub fn files(patterns: &[&str]) -> Vec<PathBuf> {
    let mut list = Command::new("git");
    list.current_dir(root())
        .args(["ls-files", "--cached", "--others", "--exclude-standard"]);
    let listed = list.args(patterns).output().expect("git runs");
    assert!(listed.status.success(), "this is no checkout: {listed:?}");
    let listed = String::from_utf8(listed.stdout).expect("names in UTF-8");
    let files = listed.lines().map(PathBuf::from);
    files.filter(|file| root().join(file).is_file()).collect()
}

/// Every page.
///
/// # Panics
///
/// Where one cannot be read.
#[must_use]
pub fn all() -> Vec<Page> {
    let read = |file: PathBuf| {
        let text = std::fs::read_to_string(root().join(&file)).expect("a page is text");
        Page::new(file, text)
    };
    files(&["*.md"]).into_iter().map(read).collect()
}

/// What pages and examples show of a program: `tcpcopy`, `intercept` or `cargo xtask`.
///
/// # Panics
///
/// Where a file cannot be read.
#[must_use]
pub fn commands_of(program: &str) -> Vec<Shown> {
    let mut found = Vec::new();
    for page in all() {
        let file = page.path().display();
        for code in page.code() {
            let commands = shell::commands(code.text, program);
            // In a sentence a command's name alone is a name; with what it copies it is a command.
            let commands = commands
                .into_iter()
                .filter(|it| code.is_block || is_whole(&it.words));
            found.extend(commands.map(|it| Shown {
                place: format!("{file}:{}", code.line + it.line),
                words: it.words,
            }));
        }
    }
    // A manifest of Kubernetes has a word a line: arguments_of_manifest.
    let patterns = [
        "examples/*",
        "deploy/*.yaml",
        "deploy/*.yml",
        ":(exclude)deploy/kubernetes",
    ];
    for file in files(&patterns) {
        let text = std::fs::read_to_string(root().join(&file)).expect("an example is text");
        if file.extension().is_none_or(|end| end != "md") {
            let commands = shell::commands(&text, program).into_iter();
            found.extend(commands.map(|it| Shown {
                place: format!("{}:{}", file.display(), it.line + 1),
                words: it.words,
            }));
        }
    }
    found
}

/// A program with the arguments that its manifest for Kubernetes gives it, as a line.
///
/// # Panics
///
/// Where `deploy/kubernetes` has no manifest of this name, or that no arguments.
#[must_use]
pub fn arguments_of_manifest(program: &str) -> String {
    let file = root().join(format!("deploy/kubernetes/{program}.yaml"));
    let text = std::fs::read_to_string(file).expect("a manifest");
    let lines = text.lines().map(str::trim);
    let of_args = lines.skip_while(|line| *line != "args:").skip(1);
    let items = of_args
        .filter(|line| !line.starts_with('#'))
        .map_while(|line| line.strip_prefix("- "));
    let words: Vec<&str> = [program].into_iter().chain(items).collect();
    assert!(words.len() > 1, "{program} has no arguments");
    words.join(" ")
}

/// Whether a command in a sentence says all that it takes.
fn is_whole(words: &[String]) -> bool {
    match words {
        [program, rest @ ..] if program == "cargo xtask" => !rest.is_empty(),
        [words @ .., _] => words.iter().any(|word| word == "-x" || word == "--copy"),
        [] => false,
    }
}
