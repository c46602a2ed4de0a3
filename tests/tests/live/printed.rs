//! The report on paper: what a manager gets. Headline, gates and tables are on it in full, and nothing is cut at an edge.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use tests::browser::Browser;

use super::page::screenshots;

/// Programs that it needs.
pub(super) const NEEDS: [&str; 4] = ["chromium", "chromedriver", "pdftotext", "pdftoppm"];

/// What nothing may reach into, in points: the margin that a browser leaves.
const MARGIN: f64 = 25.0;

/// How wide the printed part of a sheet is, in CSS pixels.
const PAPER: u32 = 719;

/// A word on paper, and where it ends.
struct Word {
    text: String,
    left: f64,
    right: f64,
    page_width: f64,
}

fn run(program: &str, arguments: &[&str], file: &Path, out: &str) -> String {
    let output = Command::new(program)
        .args(arguments)
        .arg(file)
        .arg(out)
        .output()
        .unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(output.status.success(), "{program}: {output:?}");
    String::from_utf8(output.stdout).expect("text")
}

/// An attribute of a line of `pdftotext -bbox`.
fn number(line: &str, name: &str) -> f64 {
    let (_, rest) = line.split_once(&format!("{name}=\"")).unwrap_or_default();
    let (number, _) = rest.split_once('"').unwrap_or_default();
    number
        .parse()
        .unwrap_or_else(|_| panic!("{name} in {line}"))
}

fn words(file: &Path) -> (usize, Vec<Word>) {
    let (mut pages, mut page_width, mut words) = (0, 0.0, Vec::new());
    for line in run("pdftotext", &["-bbox"], file, "-").lines() {
        let line = line.trim();
        if line.starts_with("<page ") {
            pages += 1;
            page_width = number(line, "width");
        } else if line.starts_with("<word ") {
            let text = line.split(['>', '<']).nth(2).unwrap_or_default();
            let text = [
                ("&lt;", "<"),
                ("&gt;", ">"),
                ("&quot;", "\""),
                ("&apos;", "'"),
                ("&amp;", "&"),
            ]
            .iter()
            .fold(text.to_owned(), |text, (code, sign)| {
                text.replace(code, sign)
            });
            words.push(Word {
                text,
                left: number(line, "xMin"),
                right: number(line, "xMax"),
                page_width,
            });
        }
    }
    (pages, words)
}

fn counted<'a>(words: impl Iterator<Item = &'a str>) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for word in words {
        *counts.entry(word.to_owned()).or_default() += 1;
    }
    counts
}

/// Prints the report that the browser shows, and holds the paper to the page. With pictures asked for, makes one of its first page.
pub(super) fn check(browser: &Browser, folder: &Path) {
    browser.show_as_printed();
    browser.resize(PAPER, 900);
    // A table's head that is not shown has a caption for each cell in its place.
    let shown = browser.run(
        "const isShown = (node) => node.getClientRects().length > 0 && !node.closest('.visually-hidden') && getComputedStyle(node.closest('thead') ?? node).position !== 'absolute';
         return ['.headline', '[data-gate]', 'th, td'].map((what) => [...document.querySelectorAll(what)].filter(isShown)
            .map((node) => node.innerText).join(' '))",
    );
    let shown: Vec<&str> = shown
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|text| text.as_str())
        .collect();
    assert!(
        shown.len() == 3 && shown.iter().all(|text| !text.is_empty()),
        "{shown:?}"
    );
    let file = folder.join("report.pdf");
    browser.print(&file);
    let (pages, words) = words(&file);
    for word in &words {
        assert!(
            word.left >= MARGIN && word.right <= word.page_width - MARGIN,
            "`{}` from {} to {} is cut on paper that is {} wide",
            word.text,
            word.left,
            word.right,
            word.page_width
        );
    }
    let on_paper = counted(words.iter().map(|word| word.text.as_str()));
    for (word, count) in counted(shown.iter().flat_map(|text| text.split_whitespace())) {
        let found = on_paper.get(&word).copied().unwrap_or_default();
        assert!(
            found >= count,
            "`{word}` stands {count} times in the report, {found} times on paper"
        );
    }
    eprintln!("{pages} pages with {} words", words.len());
    if let Some(pictures) = screenshots() {
        let to = pictures.join("report-pdf").display().to_string();
        run("pdftoppm", &["-png", "-r", "96", "-singlefile"], &file, &to);
    }
    browser.resize(1180, 900);
    browser.prefer("light");
}
