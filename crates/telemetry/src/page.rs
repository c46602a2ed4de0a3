//! The live page: one document that reads `/summary.json` from where it came, once a second, and asks nobody else.

use std::sync::LazyLock;

use crate::document;

/// What is served at `/`: the document, and the headers that belong to it.
#[derive(Clone, Debug)]
pub struct Page {
    /// HTML, UTF-8.
    pub html: String,
    /// Value of `Content-Security-Policy`: the inlined scripts and style by their hashes, requests to the same origin,
    /// nothing else, and in no frame.
    pub policy: String,
}

static PAGE: LazyLock<Page> = LazyLock::new(|| {
    let html = document::inline(include_str!("../assets/page.html"));
    let policy = document::policy(&html, "; connect-src 'self'; frame-ancestors 'none'");
    Page { html, policy }
});

/// The page; it is the same for every run.
#[must_use]
pub fn page() -> &'static Page {
    &PAGE
}

#[cfg(test)]
mod tests {
    use super::page;

    #[test]
    fn the_page_is_whole_and_names_no_other_place() {
        let page = page();
        assert!(!page.html.contains("{{"), "a place was not filled");
        // The name space of SVG is a name, not an address.
        let others = page.html.replace("http://www.w3.org/2000/svg", "");
        assert!(!others.contains("http://") && !others.contains("https://"));
        assert_eq!(page.policy.matches("sha256-").count(), 5);
        assert!(!page.policy.contains("unsafe"), "{}", page.policy);
        assert!(page.policy.is_ascii() && !page.policy.contains('\n'));
    }
}
