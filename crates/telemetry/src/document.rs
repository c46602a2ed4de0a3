//! Documents that need nothing but themselves: style, scripts and data stand in one file, and a Content-Security-Policy
//! allows these and nothing else.
//!
//! What is inlined was written by us (`assets/`), but for the data, which is escaped so that it cannot end the element that it
//! stands in.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use comparison::{Kind, Says};
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::outcomes;

const STYLE: &str = include_str!("../assets/style.css");
const CHARTS: &str = include_str!("../assets/charts.js");
const COMPARISON: &str = include_str!("../assets/comparison.js");
const VERDICT: &str = include_str!("../assets/verdict.js");

/// A template with style and scripts in their places.
pub(crate) fn inline(template: &str) -> String {
    let charts = CHARTS.replace("{{outcomes}}", &outcomes::json());
    let comparison = COMPARISON
        .replace(
            "{{kinds}}",
            &words(Kind::ALL.map(|kind| (kind, kind.words()))),
        )
        .replace(
            "{{says}}",
            &words(Says::ALL.map(|says| (says, says.words()))),
        );
    template
        .replace("{{style}}", STYLE)
        .replace("{{charts}}", &charts)
        .replace("{{comparison}}", &comparison)
        .replace("{{verdict}}", VERDICT)
}

/// Words by the name that something has in JSON.
fn words<T: Serialize, const N: usize>(list: [(T, &str); N]) -> String {
    let words: serde_json::Map<String, Value> = list
        .into_iter()
        .filter_map(|(it, words)| {
            // Each of them is a name.
            let name = serde_json::to_value(it).ok()?.as_str()?.to_owned();
            Some((name, words.into()))
        })
        .collect();
    Value::Object(words).to_string()
}

/// Everything is forbidden but the inlined style and scripts of `html`, the icon, and what `more` allows.
pub(crate) fn policy(html: &str, more: &str) -> String {
    let hashes = |element: &str| -> String {
        let open = format!("<{element}>");
        let close = format!("</{element}>");
        let bodies = html.split(&open).skip(1);
        bodies
            .filter_map(|rest| rest.split(&close).next())
            .map(|body| format!(" 'sha256-{}'", STANDARD.encode(Sha256::digest(body))))
            .collect()
    };
    format!(
        "default-src 'none'; script-src{}; style-src{}; img-src data:; base-uri 'none'; form-action 'none'{more}",
        hashes("script"),
        hashes("style"),
    )
}

/// JSON that may stand in a `<script>` element whatever its strings hold: no `<` that could end the element or begin a
/// comment, no line separator that older JavaScript ends a line at.
pub(crate) fn escape_json(json: &str) -> String {
    let mut escaped = String::with_capacity(json.len());
    for character in json.chars() {
        match character {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                escaped.push_str(&format!("\\u{:04x}", u32::from(character)));
            }
            _ => escaped.push(character),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::{escape_json, policy};

    #[test]
    fn nothing_ends_the_element_and_json_stays_the_same() {
        let value = serde_json::json!({"</script><script>alert(1)</script>": "<!-- & \u{2028}"});
        let escaped = escape_json(&value.to_string());
        assert!(!escaped.contains(['<', '>', '&', '\u{2028}']), "{escaped}");
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&escaped).unwrap(),
            value
        );
    }

    #[test]
    fn each_script_has_its_hash_and_data_has_none() {
        let html = "<style>a</style><script type=\"application/json\">{}</script><script>b</script><script>c</script>";
        let policy = policy(html, "; connect-src 'self'");
        // printf b | openssl dgst -sha256 -binary | base64
        assert!(
            policy.contains("'sha256-PiPoFgA5WUoziU9lZOGxNIu9egCI1CxKy3PurtWcAJ0='"),
            "{policy}"
        );
        assert_eq!(policy.matches("sha256-").count(), 3);
        assert!(policy.ends_with("; connect-src 'self'"));
    }
}
