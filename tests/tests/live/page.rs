//! The live page in a real browser beside a real run: its figures are those of the summary and follow it, it asks nobody
//! else, and it can be read on a phone and in the dark.
//!
//! With `TCPCOPY_SCREENSHOTS=FOLDER` the pictures of the documentation are made on the way (`cargo xtask test --live page:: --screenshots`).

use std::path::PathBuf;
use std::time::{Duration, Instant};

use lab::net::ONLINE;
use lab::{Host, Topology};
use serde_json::Value;
use tests::browser::{Browser, NEEDS};
use tests::copying::{check_clients, finish};
use tests::{Clients, check_clean};

use super::bodies::Service;
use super::options::with;
use super::places::start;

/// Where the pictures of the documentation go, if they are asked for.
pub(super) fn screenshots() -> Option<PathBuf> {
    std::env::var_os("TCPCOPY_SCREENSHOTS").map(PathBuf::from)
}

pub(super) fn picture(browser: &Browser, name: &str, height: u32) {
    if let Some(folder) = screenshots() {
        browser.screenshot(&folder.join(name), height);
    }
}

/// Every figure that the document names, by its key; keys of the summary are paths.
const FIGURES: &str = "return {
    duration: document.getElementById('page').dataset.duration,
    figures: [...document.querySelectorAll('[data-figure]')].map((node) => [node.dataset.figure, node.dataset.value, node.textContent]),
}";

/// Reads page and summary until both are of the same second, and checks that they agree. Gives how many figures did.
fn check_figures(browser: &Browser) -> usize {
    let until = Instant::now() + Duration::from_secs(15);
    loop {
        let shown = browser.run(FIGURES);
        let summary = browser.run(
            "const request = new XMLHttpRequest();
             request.open('GET', '/summary.json', false); request.send();
             return JSON.parse(request.responseText)",
        );
        let of = |value: &Value| value.as_f64().or_else(|| value.as_str()?.parse().ok());
        let seconds = |key: &str| of(&summary[key]).unwrap_or_default();
        let ready_for = seconds("capture_seconds") + seconds("drain_seconds");
        if !of(&shown["duration"])
            .zip(Some(ready_for))
            .is_some_and(|(a, b)| (a - b).abs() < 1e-6)
        {
            assert!(Instant::now() < until, "page and summary never met");
            continue;
        }
        let figures = shown["figures"].as_array().expect("figures");
        let mut agreed = 0;
        for figure in figures {
            let (key, value) = (figure[0].as_str().expect("a key"), of(&figure[1]));
            if key.starts_with("rate.") || key.starts_with("group.") {
                continue;
            }
            let path = format!("/{}", key.replace('.', "/"));
            let expected = summary.pointer(&path).and_then(of);
            // The last digit is the parser's.
            let same = |(a, b): (f64, f64)| (a - b).abs() <= b.abs() * 1e-12;
            assert!(
                value.zip(expected).is_some_and(same),
                "{key}: {figure}, in the summary {expected:?}"
            );
            let text = figure[2].as_str().expect("text");
            if key.starts_with("ledger.") {
                let digits: String = text
                    .split('·')
                    .next()
                    .expect("a count")
                    .chars()
                    .filter(char::is_ascii_digit)
                    .collect();
                assert_eq!(digits.parse().ok(), value, "{key} reads {text}");
            }
            agreed += 1;
        }
        return agreed;
    }
}

/// Nothing is wider than the window, but for what scrolls by itself.
pub(super) fn check_width(browser: &Browser, width: u32) {
    let wider = browser.run(
        "const wide = [...document.querySelectorAll('body *')].filter((node) =>
            !node.closest('.scroll > *, .visually-hidden, thead') && node.getClientRects().length > 0
            && node.getBoundingClientRect().right > innerWidth + 0.5);
         return [document.documentElement.scrollWidth, wide.slice(0, 5).map((node) => node.outerHTML.slice(0, 120))]",
    );
    assert_eq!(wider, serde_json::json!([width, []]), "wider than {width}");
}

/// Text has the contrast that WCAG 2.2 asks for (AA, 4.5 to 1), in the theme that is on. Gives the ground's colour.
pub(super) fn check_contrast(browser: &Browser) -> Value {
    let [worst, ground] = ["worst", "ground"];
    let found = browser.run(
        "const channels = (colour) => colour.match(/[\\d.]+/g).map(Number);
         const light = ([r, g, b]) => [r, g, b].map((c) => c / 255).map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
             .reduce((sum, c, index) => sum + c * [0.2126, 0.7152, 0.0722][index], 0);
         const ground = (node) => { for (; node; node = node.parentElement) {
             const colour = channels(getComputedStyle(node).backgroundColor);
             if (colour.length === 3 || colour[3] > 0.99) return colour; }
             return [255, 255, 255]; };
         let worst = [99, ''];
         for (const node of document.querySelectorAll('body *')) {
             const own = [...node.childNodes].some((child) => child.nodeType === 3 && child.textContent.trim() !== '');
             if (!own || node.closest('script, noscript, .visually-hidden') || node.getClientRects().length === 0) continue;
             const style = getComputedStyle(node);
             const [a, b] = [light(channels(node.namespaceURI.endsWith('svg') ? style.fill : style.color)), light(ground(node))];
             const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
             if (contrast < worst[0]) worst = [contrast, node.outerHTML.slice(0, 200)];
         }
         return {worst, ground: getComputedStyle(document.body).backgroundColor}",
    );
    let contrast = found[worst][0].as_f64().expect("a contrast");
    assert!(
        contrast >= 4.5,
        "contrast {contrast:.2}: {}",
        found[worst][1]
    );
    found[ground].clone()
}

/// No complaint on the console, and no request but to these.
pub(super) fn check_quiet(browser: &Browser, allowed: &[&str]) {
    let console = browser.console();
    assert!(console.is_empty(), "{console:?}");
    for url in browser.requests() {
        assert!(
            url.starts_with("data:") || allowed.contains(&url.as_str()),
            "the page asked for {url}"
        );
    }
}

/// Both themes, on a desk and on a phone.
fn check_looks(browser: &Browser) {
    let light = check_contrast(browser);
    picture(browser, "page-light.png", 1230);
    browser.prefer("dark");
    let dark = check_contrast(browser);
    assert_ne!(light, dark, "both themes look alike");
    picture(browser, "page-dark.png", 1230);
    browser.resize(360, 740);
    browser.wait(
        "document.querySelector('#flow svg').getBoundingClientRect().width < 340",
        Duration::from_secs(5),
    );
    check_width(browser, 360);
    picture(browser, "page-phone-dark.png", 1500);
    browser.prefer("light");
    check_width(browser, 360);
    picture(browser, "page-phone.png", 1500);
    let _ = browser
        .run("for (const input of document.querySelectorAll('.segments input')) input.click()");
    check_width(browser, 360);
}

#[test]
fn the_page_shows_the_run_as_it_goes_on() {
    let Some(stand) = super::stand_with(Topology::Direct, &NEEDS) else {
        return;
    };
    let _online = Service::start_with(&stand, Host::Online, &["--delay-ms", "2"]);
    let faults = [
        "--delay-ms",
        "4",
        "--reset-every",
        "100",
        "--truncate-every",
        "150",
    ];
    let _target = Service::start_with(&stand, Host::Target, &faults);
    let metrics = format!("{ONLINE}:9900");
    let origin = format!("http://{metrics}/");
    let mut copier = start(&stand, &with(stand.options(), &["--listen", &metrics]));
    let browser = Browser::start(&stand, Host::Client);
    browser.resize(1180, 900);
    browser.prefer("light");
    browser.open(&origin);
    browser.wait(
        "document.querySelector('[data-state=copying]')",
        Duration::from_secs(10),
    );
    assert_eq!(
        browser.run("return document.querySelector('#rules li').textContent"),
        "10.0.1.1:8080 -> 10.0.2.2:8080"
    );

    let seconds = if screenshots().is_some() { 70 } else { 20 };
    let clients = Clients::keep_alive(40, 500, seconds).start(&stand);
    let captured =
        "Number(document.querySelector('[data-figure=\"ledger.captured\"]')?.dataset.value ?? 0)";
    browser.wait(&format!("{captured} > 500"), Duration::from_secs(15));
    let before = browser
        .run(&format!("return {captured}"))
        .as_f64()
        .expect("a number");
    browser.wait(
        &format!("{captured} > {before} + 500"),
        Duration::from_secs(15),
    );
    let rate = "Number(document.querySelector('[data-figure=\"rate.turns\"]').dataset.value)";
    browser.wait(
        &format!("{rate} > 250 && {rate} < 1000"),
        Duration::from_secs(15),
    );
    let agreed = check_figures(&browser);
    assert!(agreed >= 40, "only {agreed} figures to compare");
    browser.wait(
        "document.querySelectorAll('[data-line]').length === 2",
        Duration::from_secs(5),
    );

    if screenshots().is_some() {
        browser.wait("document.querySelectorAll('#rates path.area')[0].getAttribute('d').split('L').length > 58", Duration::from_secs(70));
    }
    check_looks(&browser);

    check_clients(&clients.stop());
    check_figures(&browser);
    check_quiet(&browser, &[&origin, &format!("{origin}summary.json")]);
    finish(&mut copier);
    browser.wait(
        "document.querySelector('[data-state=lost]')",
        Duration::from_secs(10),
    );
    assert!(
        browser.run(&format!("return {captured}")).as_f64() > Some(before),
        "the last figures stay"
    );
    drop(browser);
    check_clean(&stand);
}
