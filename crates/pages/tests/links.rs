//! Every link of every page leads somewhere: to a file of this repository, and to a heading that is there.

use std::path::{Component, Path, PathBuf};

use pages::page::{Link, Page};

/// A path without `.` and `..`.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                plain.pop();
            }
            Component::CurDir => {}
            other => plain.push(other),
        }
    }
    plain
}

/// What is wrong with a link.
fn fault(pages: &[Page], page: &Page, link: &Link) -> Option<String> {
    if ["http://", "https://", "mailto:"]
        .iter()
        .any(|scheme| link.target.starts_with(scheme))
    {
        return None;
    }
    let (path, anchor) = match link.target.split_once('#') {
        Some((path, anchor)) => (path, Some(anchor)),
        None => (&*link.target, None),
    };
    let file = match path {
        "" => page.path().to_owned(),
        path => plain(&page.path().with_file_name("").join(path)),
    };
    if !path.is_empty() && !pages::root().join(&file).exists() {
        return Some(format!("there is no {}", file.display()));
    }
    let anchor = anchor?;
    let Some(there) = pages.iter().find(|page| page.path() == file) else {
        return Some(format!("{} is no page and has no anchors", file.display()));
    };
    let anchors = there.anchors();
    (!anchors.contains(anchor))
        .then(|| format!("{} has no #{anchor}, but {anchors:?}", file.display()))
}

fn faults(pages: &[Page]) -> Vec<String> {
    let mut faults = Vec::new();
    for page in pages {
        for link in page.links() {
            if let Some(fault) = fault(pages, page, &link) {
                let (file, line) = (page.path().display(), link.line);
                faults.push(format!("{file}:{line}: {}: {fault}", link.target));
            }
        }
    }
    faults
}

#[test]
fn every_link_leads_somewhere() {
    let pages = pages::all();
    let count: usize = pages.iter().map(|page| page.links().len()).sum();
    assert!(count > 100, "only {count} links were found");
    let faults = faults(&pages);
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn a_link_that_leads_nowhere_is_found() {
    let mut pages = pages::all();
    let text = "[a](no/such.md) [b](../README.md#nothing) [c](#not) [d](images/none.png) [e](../README.md) [f](#here)\n\n# Here\n";
    pages.push(Page::new("docs/a-new-page.md".into(), text.to_owned()));
    let ours = |fault: &&String| fault.starts_with("docs/a-new-page.md:1: ");
    let found = faults(&pages);
    let found: Vec<&String> = found.iter().filter(ours).collect();
    assert_eq!(found.len(), 4, "{found:#?}");
}

/// Each alert says which section of the runbook is about it, and each section there is about an alert.
#[test]
fn every_alert_has_its_section() {
    let rules = pages::root().join("deploy/prometheus/tcpcopy.rules.yml");
    let rules = std::fs::read_to_string(rules).expect("the rules");
    let of = |key: &str| -> Vec<String> {
        let lines = rules.lines().map(str::trim);
        let values = lines.filter_map(|line| line.strip_prefix(key));
        values.map(str::to_owned).collect()
    };
    let alerts = of("- alert: ");
    assert!(alerts.len() > 10, "{alerts:?}");
    let wanted: Vec<String> = alerts.iter().map(|alert| alert.to_lowercase()).collect();
    let named = of("runbook: docs/runbook.md#");
    assert_eq!(named, wanted, "the annotations beside the alerts");
    let runbook = pages::all();
    let runbook = runbook
        .iter()
        .find(|page| page.path().ends_with("runbook.md"));
    let sections = runbook.expect("the runbook").anchors();
    let missing: Vec<&String> = wanted.iter().filter(|it| !sections.contains(*it)).collect();
    assert!(missing.is_empty(), "no section for {missing:?}");
    let idle = |it: &&String| it.starts_with("tcpcopy") || it.starts_with("intercept");
    let idle: Vec<&String> = sections.iter().filter(idle).collect();
    assert_eq!(idle.len(), wanted.len(), "sections of no alert: {idle:?}");
}
