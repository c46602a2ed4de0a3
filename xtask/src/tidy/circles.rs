//! No import circle: inside a crate no module imports one that, perhaps by way of others, imports it.
//!
//! A module and its children are one room: what is asked about are the modules that stand in a crate's root. What the root
//! itself declares belongs to nobody and may be used by all. Tests may import what they like.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path};

/// Imports among the modules of one crate.
#[derive(Debug, Default)]
pub(super) struct Imports {
    modules: BTreeSet<String>,
    imports: BTreeMap<String, BTreeSet<String>>,
}

/// The crates of the tree by their folders.
#[derive(Debug, Default)]
pub(super) struct Crates(BTreeMap<String, Imports>);

impl Crates {
    /// Takes note of a source file.
    pub(super) fn read(&mut self, file: &Path, text: &str) {
        let Some((folder, module)) = place(file) else {
            return;
        };
        let imports = self.0.entry(folder).or_default();
        if let Some(module) = module {
            imports.read(&module, text);
        }
    }

    /// A finding for each circle.
    pub(super) fn findings(&self) -> Vec<String> {
        let mut findings = Vec::new();
        for (folder, imports) in &self.0 {
            let circles = imports.circles();
            findings.extend(circles.iter().map(|circle| {
                format!(
                    "{folder}: {} import each other in a circle: what they share belongs below them, in a module of its own",
                    circle.join(", ")
                )
            }));
        }
        findings
    }
}

impl Imports {
    fn read(&mut self, module: &str, text: &str) {
        self.modules.insert(module.to_owned());
        let imported = self.imports.entry(module.to_owned()).or_default();
        imported.extend(imported_modules(text).filter(|other| other != module));
    }

    /// Sets of modules of which each reaches every other.
    fn circles(&self) -> Vec<Vec<String>> {
        let reached: BTreeMap<&String, BTreeSet<&String>> = self
            .modules
            .iter()
            .map(|module| (module, self.reached_from(module)))
            .collect();
        let mut circles: BTreeSet<Vec<String>> = BTreeSet::new();
        for (module, others) in &reached {
            if !others.contains(module) {
                continue;
            }
            let circle = others
                .iter()
                .filter(|other| reached[*other].contains(module));
            circles.insert(circle.map(|module| (*module).clone()).collect());
        }
        circles.into_iter().collect()
    }

    fn reached_from(&self, module: &String) -> BTreeSet<&String> {
        let mut reached = BTreeSet::new();
        let mut next = vec![module];
        while let Some(module) = next.pop() {
            for other in self.imports.get(module).into_iter().flatten() {
                if let Some(other) = self.modules.get(other)
                    && reached.insert(other)
                {
                    next.push(other);
                }
            }
        }
        reached
    }
}

/// The folder of a file's crate, and the module of the crate's root that the file belongs to; `None` for the root itself.
/// Only what stands in `src` is part of a crate, and tests in files of their own are not looked at.
fn place(file: &Path) -> Option<(String, Option<String>)> {
    let parts: Vec<&str> = file
        .components()
        .filter_map(|part| match part {
            Component::Normal(part) => part.to_str(),
            _ => None,
        })
        .collect();
    let at = parts.iter().position(|part| *part == "src")?;
    let (folder, inside) = (parts[..at].join("/"), &parts[at + 1..]);
    if inside
        .iter()
        .any(|part| matches!(*part, "tests" | "tests.rs" | "bin"))
    {
        return None;
    }
    let module = inside.first()?.trim_end_matches(".rs");
    let is_root = matches!(module, "lib" | "main");
    Some((folder, (!is_root).then(|| module.to_owned())))
}

/// The modules of the crate's root that some code names, by `use crate::` or by a path: the first word after `crate::`, or the first
/// words of a list in braces.
fn imported_modules(text: &str) -> impl Iterator<Item = String> {
    let body = text.split("\n#[cfg(test)]\nmod tests {").next();
    let code: String = body
        .unwrap_or(text)
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .flat_map(|line| [line, "\n"])
        .collect();
    let mut modules = BTreeSet::new();
    for (at, root) in code.match_indices("crate::") {
        // `$crate::` is of a macro, which names other crates' modules as well.
        if code[..at]
            .ends_with(|before: char| before.is_alphanumeric() || matches!(before, '_' | '$'))
        {
            continue;
        }
        modules.extend(first_words(&code[at + root.len()..]));
    }
    modules.into_iter()
}

/// The first word of a path, or of each path of a list.
fn first_words(path: &str) -> Vec<String> {
    let word = |path: &str| -> String {
        let is_of_name = |c: &char| c.is_alphanumeric() || *c == '_';
        path.trim_start().chars().take_while(is_of_name).collect()
    };
    let Some(list) = path.strip_prefix('{') else {
        return vec![word(path)];
    };
    let (mut words, mut depth, mut begin) = (Vec::new(), 0u32, 0);
    for (at, c) in list.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => {
                words.push(word(&list[begin..at]));
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                words.push(word(&list[begin..at]));
                begin = at + 1;
            }
            _ => {}
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{Crates, first_words};

    fn findings(files: &[(&str, &str)]) -> Vec<String> {
        let mut crates = Crates::default();
        for (file, text) in files {
            crates.read(Path::new(file), text);
        }
        crates.findings()
    }

    #[test]
    fn a_circle_is_found_however_long_and_however_it_is_written() {
        let two = [
            ("crates/a/src/one.rs", "use crate::two::Two;\n"),
            ("crates/a/src/two.rs", "fn f() { crate::one::g() }\n"),
        ];
        let found = findings(&two);
        assert_eq!(found.len(), 1);
        assert!(found[0].contains("crates/a: one, two"), "{}", found[0]);
        let three = [
            (
                "crates/a/src/one.rs",
                "use crate::{\n    Root,\n    two::{self, x::Y},\n};\n",
            ),
            ("crates/a/src/two/child.rs", "use crate::three;\n"),
            ("crates/a/src/three.rs", "use crate::one::One;\n"),
            ("crates/a/src/four.rs", "use crate::one::One;\n"),
        ];
        let found = findings(&three);
        assert_eq!(found.len(), 1);
        assert!(found[0].contains("one, three, two"), "{}", found[0]);
    }

    #[test]
    fn parents_children_roots_tests_comments_and_other_crates_make_none() {
        let files = [
            ("crates/a/src/lib.rs", "use crate::one::One;\n"),
            (
                "crates/a/src/one.rs",
                "use crate::one::child::X;\nuse crate::Root;\n//! [`crate::two`]\n    /// crate::two\n",
            ),
            (
                "crates/a/src/one/child.rs",
                "use crate::one::One;\nuse super::y;\n",
            ),
            ("crates/a/src/one/tests.rs", "use crate::two::Two;\n"),
            (
                "crates/a/src/two.rs",
                "use crate::one::One;\n\n#[cfg(test)]\nmod tests {\n    use crate::three::Three;\n}\n",
            ),
            ("crates/a/src/three.rs", "use crate::two::Two;\n"),
            ("crates/b/src/two.rs", "use crate::one::One;\n"),
            ("crates/b/src/one.rs", "$crate::two!();\n"),
        ];
        assert_eq!(findings(&files), Vec::<String>::new());
    }

    #[test]
    fn words_of_lists() {
        assert_eq!(first_words("a::{b, c};"), ["a"]);
        assert_eq!(first_words("{a::{b, c}, d, e::f};"), ["a", "d", "e"]);
    }
}
