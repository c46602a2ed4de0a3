//! A page of Markdown: where its links lead, which anchors it has, what it shows as code.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::{Path, PathBuf};

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

/// Languages of code blocks that show no commands.
const NO_SHELL: [&str; 4] = ["text", "mermaid", "json", "rust"];

/// A page.
#[derive(Debug)]
pub struct Page {
    path: PathBuf,
    text: String,
}

/// A link or a picture.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Link {
    /// Line of the page, from 1.
    pub line: usize,
    /// As it was written: an address, a path, an anchor.
    pub target: String,
}

/// A piece of code.
#[derive(Clone, Copy, Debug)]
pub struct Code<'a> {
    /// Line of the page, from 1, of its first line.
    pub line: usize,
    /// What it says.
    pub text: &'a str,
    /// Whether it is a block, or stands in a sentence.
    pub is_block: bool,
}

impl Page {
    /// A page that lies there and says this.
    #[must_use]
    pub fn new(path: PathBuf, text: String) -> Self {
        Self { path, text }
    }

    /// Where it lies, from the root of the repository.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn events(&self) -> impl Iterator<Item = (Event<'_>, Range<usize>)> {
        Parser::new_ext(&self.text, Options::ENABLE_TABLES).into_offset_iter()
    }

    fn line(&self, offset: usize) -> usize {
        self.text[..offset].matches('\n').count() + 1
    }

    /// Links and pictures, those in HTML included.
    #[must_use]
    pub fn links(&self) -> Vec<Link> {
        let mut links = Vec::new();
        for (event, range) in self.events() {
            let mut link = |target: &str| {
                links.push(Link {
                    line: self.line(range.start),
                    target: target.to_owned(),
                });
            };
            match event {
                Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                    link(&dest_url);
                }
                Event::Html(html) | Event::InlineHtml(html) => {
                    for name in ["src", "href"] {
                        attributes(&html, name).for_each(&mut link);
                    }
                }
                _ => {}
            }
        }
        links
    }

    /// What `#...` may lead to: headings, by the name that GitHub gives them, and ids of HTML.
    #[must_use]
    pub fn anchors(&self) -> BTreeSet<String> {
        let (mut anchors, mut seen) = (BTreeSet::new(), BTreeMap::<String, usize>::new());
        let mut heading: Option<String> = None;
        for (event, _) in self.events() {
            match event {
                Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
                Event::End(TagEnd::Heading(_)) => {
                    let slug = slug(&heading.take().unwrap_or_default());
                    let times = seen.entry(slug.clone()).or_default();
                    anchors.insert(match times {
                        0 => slug,
                        _ => format!("{slug}-{times}"),
                    });
                    *times += 1;
                }
                Event::Text(text) | Event::Code(text) => {
                    if let Some(heading) = &mut heading {
                        heading.push_str(&text);
                    }
                }
                Event::Html(html) | Event::InlineHtml(html) => {
                    anchors.extend(attributes(&html, "id").map(str::to_owned));
                }
                _ => {}
            }
        }
        anchors
    }

    /// Code that may show commands.
    #[must_use]
    pub fn code(&self) -> Vec<Code<'_>> {
        let (mut code, mut block) = (Vec::new(), None::<Range<usize>>);
        let mut is_shell = false;
        for (event, range) in self.events() {
            let piece = |range: Range<usize>, is_block| Code {
                line: self.line(range.start),
                text: &self.text[range],
                is_block,
            };
            match event {
                Event::Start(Tag::CodeBlock(kind)) => {
                    is_shell = match kind {
                        CodeBlockKind::Fenced(language) => !NO_SHELL.contains(&&*language),
                        CodeBlockKind::Indented => true,
                    };
                }
                Event::End(TagEnd::CodeBlock) => {
                    code.extend(block.take().map(|block| piece(block, true)));
                    is_shell = false;
                }
                // Each line of a block comes by itself.
                Event::Text(_) if is_shell => {
                    block = Some(block.map_or(range.start, |block| block.start)..range.end);
                }
                Event::Code(_) => code.push(piece(range.start + 1..range.end - 1, false)),
                _ => {}
            }
        }
        code
    }
}

/// The values of an attribute in a piece of HTML.
fn attributes<'a>(html: &'a str, name: &str) -> impl Iterator<Item = &'a str> {
    let begin = format!(" {name}=\"");
    let (mut values, mut rest) = (Vec::new(), html);
    while let Some((_, after)) = rest.split_once(&begin) {
        let (value, behind) = after.split_once('"').unwrap_or((after, ""));
        values.push(value);
        rest = behind;
    }
    values.into_iter()
}

/// The name that GitHub gives a heading: small letters, without punctuation, with `-` for each space.
fn slug(heading: &str) -> String {
    let kept = heading.chars().filter_map(|letter| match letter {
        ' ' => Some('-'),
        '-' | '_' => Some(letter),
        _ => letter.is_alphanumeric().then_some(letter),
    });
    kept.collect::<String>().to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::{Page, slug};

    fn page(text: &str) -> Page {
        Page::new("page.md".into(), text.to_owned())
    }

    #[test]
    fn headings_have_githubs_names() {
        for (heading, name) in [
            ("In short", "in-short"),
            ("What is `records_lost`?", "what-is-records_lost"),
            ("Fidelity is 98 %. And?", "fidelity-is-98--and"),
        ] {
            assert_eq!(slug(heading), name);
        }
        let anchors = page("# One\n\n## `Two`, too\n\n# One\n\n<a id=\"here\"></a>\n").anchors();
        let anchors: Vec<&str> = anchors.iter().map(String::as_str).collect();
        assert_eq!(anchors, ["here", "one", "one-1", "two-too"]);
    }

    #[test]
    fn links_are_found_where_they_stand() {
        let page = page(
            "See [a](a.md#b).\n\n| x |\n|---|\n| ![p](p.png) |\n\n<img src=\"q.png\" alt=\"\">\n\n`[no](link)`\n",
        );
        let found = page
            .links()
            .into_iter()
            .map(|link| (link.line, link.target));
        let found: Vec<(usize, String)> = found.collect();
        let wanted = [(1, "a.md#b"), (5, "p.png"), (7, "q.png")].map(|(l, t)| (l, t.to_owned()));
        assert_eq!(found, wanted);
    }

    #[test]
    fn code_is_found_but_what_is_no_shell() {
        let page = page("```\nls\n\nrm\n```\n\nand `cat x`\n\n```text\nno\n```\n\n    indented\n");
        let code = page.code();
        let found: Vec<_> = code
            .iter()
            .map(|it| (it.line, it.text, it.is_block))
            .collect();
        assert_eq!(
            found,
            [
                (2, "ls\n\nrm\n", true),
                (7, "cat x", false),
                (13, "indented\n", true)
            ]
        );
    }
}
