//! How long a file and a function may be: what is longer than a screen or two holds more than one noun.

use std::path::Path;

/// Longest file, tests at its foot not counted, in lines.
const FILE_LINES_MAX: usize = 400;
/// Longest function, in lines.
const FUNCTION_LINES_MAX: usize = 70;
/// The same for the files of [`STILL_LONG`].
const STILL_FILE_LINES_MAX: usize = 500;
const STILL_FUNCTION_LINES_MAX: usize = 90;

/// Files that are longer than they may be, or have a function that is. The list must only become shorter.
const STILL_LONG: [&str; 8] = [
    "crates/fuzzing/src/engine/world.rs",
    "crates/lab/src/load.rs",
    "crates/session/src/gate.rs",
    "tcpcopy-userspace/src/plan.rs",
    "tcpcopy-userspace/src/plan/tests.rs",
    "tests/tests/live/bodies.rs",
    "tests/tests/live/page.rs",
    "tests/tests/live/report.rs",
];

/// What is too long in a file, and whether it stands among [`STILL_LONG`] without need.
pub(super) fn findings(file: &Path, text: &str) -> Vec<String> {
    let shown = file.display();
    let is_still_long = STILL_LONG.iter().any(|long| Path::new(long) == file);
    let found = too_long(file, text, FILE_LINES_MAX, FUNCTION_LINES_MAX);
    if !is_still_long {
        return found;
    }
    if found.is_empty() {
        return vec![format!(
            "{shown}:1: is not too long any more: take it from the list in xtask/src/tidy/lengths.rs"
        )];
    }
    too_long(file, text, STILL_FILE_LINES_MAX, STILL_FUNCTION_LINES_MAX)
}

fn too_long(file: &Path, text: &str, lines_max: usize, function_max: usize) -> Vec<String> {
    let shown = file.display();
    let mut found = Vec::new();
    let body = text.split("\n#[cfg(test)]\nmod tests {").next();
    let lines = body.unwrap_or(text).lines().count();
    if lines > lines_max && !is_test(file) {
        found.push(format!(
            "{shown}:{lines}: {lines} lines without tests, at most {lines_max}: would two rooms be clearer?"
        ));
    }
    for (start, length) in functions(text) {
        if length > function_max {
            found.push(format!(
                "{shown}:{start}: a function of {length} lines, at most {function_max}"
            ));
        }
    }
    found
}

/// Whether a file holds tests, or what is only built for them.
fn is_test(file: &Path) -> bool {
    file.components().any(|part| {
        matches!(
            part.as_os_str().to_str(),
            Some("tests" | "tests.rs" | "benches" | "fuzz_targets")
        )
    })
}

/// First line and length of each function, told by its indentation, which rustfmt guarantees.
fn functions(text: &str) -> Vec<(usize, usize)> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    for (number, line) in lines.iter().enumerate() {
        let indent = line.len() - line.trim_start().len();
        let code = line.trim_start();
        let is_function =
            code.starts_with("fn ") || code.contains(" fn ") && code.starts_with("pub");
        if !is_function {
            continue;
        }
        let end = lines[number..].iter().position(|line| {
            line.len() - line.trim_start().len() == indent
                && matches!(line.trim_start(), "}" | "};")
        });
        if let Some(end) = end {
            found.push((number + 1, end + 1));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{STILL_LONG, findings, functions};

    #[test]
    fn what_is_too_long_is_found() {
        let found = |file: &str, lines: usize| {
            findings(
                Path::new(file),
                &format!("//! A ring.\n{}", "//\n".repeat(lines)),
            )
            .len()
        };
        assert_eq!(
            (found("src/ring.rs", 399), found("src/ring.rs", 400)),
            (0, 1)
        );
        assert_eq!(found("src/ring/tests.rs", 600), 0);
        let long = format!("//! A ring.\nfn long() {{\n{}}}\n", "    f();\n".repeat(69));
        assert_eq!(findings(Path::new("src/ring.rs"), &long).len(), 1);
    }

    #[test]
    fn the_list_of_long_files_only_shrinks() {
        let file = Path::new(STILL_LONG[0]);
        let of = |lines: usize| findings(file, &"//\n".repeat(lines));
        assert!(of(100)[0].contains("any more"));
        assert!(of(450).is_empty());
        assert_eq!(of(501).len(), 1);
    }

    #[test]
    fn functions_end_at_their_own_brace() {
        let text = "impl A {\n    fn f() {\n        if x {\n        }\n    }\n\n    pub(crate) fn g() {\n    }\n}\n";
        assert_eq!(functions(text), [(2, 4), (7, 2)]);
    }
}
