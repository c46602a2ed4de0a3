//! Headless Chromium on a host of the lab, driven by chromedriver (W3C WebDriver, and the DevTools protocol for what that
//! lacks).
//!
//! Each call opens a connection of its own inside the host's network namespace. Whatever goes wrong panics: this is for
//! tests.

use std::path::Path;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lab::{Host, Namespace, Process, Spec};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::Stand;

/// Programs that a test with a browser needs.
pub const NEEDS: [&str; 2] = ["chromium", "chromedriver"];
/// Where chromedriver listens, on loopback in its namespace.
const PORT: u16 = 9515;
/// How long chromedriver and browser may take to start.
const START_MAX: Duration = Duration::from_secs(30);
/// How long one command may take.
const COMMAND_MAX: Duration = Duration::from_secs(60);

/// A browser with one window.
#[derive(Debug)]
pub struct Browser {
    driver: Process,
    namespace: Namespace,
    session: String,
}

impl Browser {
    /// Starts one on a host.
    ///
    /// # Panics
    ///
    /// Where it does not start within 30 s.
    #[must_use]
    pub fn start(stand: &Stand, host: Host) -> Self {
        let profile = stand.lab.folder().join("chromium");
        let port = format!("--port={PORT}");
        let spec = Spec::new("chromedriver", "chromedriver").args([port.as_str()]);
        // Caches and crash reports go where the test's other files go.
        let home = stand.lab.folder().display().to_string();
        let driver = stand.lab.spawn(host, &spec.env("HOME", &home));
        let mut browser = Self {
            driver: driver.expect("chromedriver"),
            namespace: stand.lab.namespace(host),
            session: String::new(),
        };
        let profile = format!("--user-data-dir={}", profile.display());
        let capabilities = json!({"capabilities": {"alwaysMatch": {
            "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
            "goog:chromeOptions": {"args": [
                "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
                "--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
                profile,
            ]},
        }}});
        let until = Instant::now() + START_MAX;
        let created = loop {
            match browser.ask("POST", "/session", Some(&capabilities)) {
                Ok(created) => break created,
                Err(error) if Instant::now() > until => panic!("no browser: {error}"),
                Err(_) => std::thread::sleep(Duration::from_millis(200)),
            }
        };
        browser.session = created["sessionId"].as_str().expect("a session").to_owned();
        // What the browser shows of itself in a new window is no page of ours.
        browser.open("about:blank");
        let _ = (browser.requests(), browser.console());
        browser
    }

    /// Opens an address, and waits until it is loaded.
    pub fn open(&self, address: &str) {
        self.command("url", &json!({"url": address}));
        // The driver may answer while the page is still another process's blank one.
        let there = format!(
            "document.readyState === 'complete' && location.href.startsWith({}) && (location.protocol === 'about:' || document.body?.childElementCount > 0)",
            json!(address)
        );
        self.wait(&there, COMMAND_MAX);
    }

    /// Runs a function's body in the page, and gives what it returns.
    #[must_use]
    pub fn run(&self, body: &str) -> Value {
        self.command("execute/sync", &json!({"script": body, "args": []}))
    }

    /// Waits until an expression is true in the page.
    ///
    /// # Panics
    ///
    /// Where it does not become true in time.
    pub fn wait(&self, expression: &str, limit: Duration) {
        let until = Instant::now() + limit;
        while self.run(&format!("return Boolean({expression})")) != json!(true) {
            assert!(Instant::now() < until, "not within {limit:?}: {expression}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// A command of the DevTools protocol.
    pub fn devtools(&self, command: &str, parameters: &Value) -> Value {
        self.command(
            "goog/cdp/execute",
            &json!({"cmd": command, "params": parameters}),
        )
    }

    /// Makes the window as large as a screen of so many CSS pixels; below 600 it is a phone.
    pub fn resize(&self, width: u32, height: u32) {
        let phone = width < 600;
        self.devtools(
            "Emulation.setDeviceMetricsOverride",
            &json!({"width": width, "height": height, "deviceScaleFactor": if phone { 2 } else { 1 }, "mobile": phone}),
        );
    }

    /// What the reader prefers: `light` or `dark`.
    pub fn prefer(&self, scheme: &str) {
        self.emulate("screen", scheme);
    }

    /// The page as it is laid out for paper, until a preference is set again.
    pub fn show_as_printed(&self) {
        self.emulate("print", "light");
    }

    fn emulate(&self, media: &str, scheme: &str) {
        let feature = json!({"name": "prefers-color-scheme", "value": scheme});
        self.devtools(
            "Emulation.setEmulatedMedia",
            &json!({"media": media, "features": [feature]}),
        );
    }

    /// Writes the top of the page into a PNG file: as wide as the window, so many CSS pixels high.
    ///
    /// # Panics
    ///
    /// Where the file cannot be written.
    pub fn screenshot(&self, file: &Path, height: u32) {
        let width = self.run("return innerWidth");
        let shot = self.devtools(
            "Page.captureScreenshot",
            &json!({"format": "png", "captureBeyondViewport": true,
                "clip": {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}}),
        );
        let png = STANDARD.decode(shot["data"].as_str().expect("a picture"));
        std::fs::write(file, png.expect("base64")).expect("a file");
    }

    /// Prints the page into a PDF file on A4, as a reader's print dialogue does: no backgrounds.
    ///
    /// # Panics
    ///
    /// Where the file cannot be written.
    pub fn print(&self, file: &Path) {
        let printed = self.devtools(
            "Page.printToPDF",
            &json!({"paperWidth": 8.27, "paperHeight": 11.69}),
        );
        let pdf = STANDARD.decode(printed["data"].as_str().expect("a document"));
        std::fs::write(file, pdf.expect("base64")).expect("a file");
    }

    /// What the page wrote to its console since the last time, errors of the browser included.
    #[must_use]
    pub fn console(&self) -> Vec<String> {
        self.log("browser")
            .iter()
            .map(|entry| format!("{}: {}", entry["level"], entry["message"]))
            .collect()
    }

    /// Addresses that the page asked for since the last time, whether they were let through or not.
    #[must_use]
    pub fn requests(&self) -> Vec<String> {
        let entries = self.log("performance");
        let messages = entries
            .iter()
            .filter_map(|entry| serde_json::from_str::<Value>(entry["message"].as_str()?).ok());
        messages
            .filter(|message| message["message"]["method"] == "Network.requestWillBeSent")
            .filter_map(|message| {
                let url = &message["message"]["params"]["request"]["url"];
                url.as_str().map(str::to_owned)
            })
            .collect()
    }

    fn log(&self, kind: &str) -> Vec<Value> {
        let entries = self.command("se/log", &json!({"type": kind}));
        entries.as_array().cloned().unwrap_or_default()
    }

    fn command(&self, command: &str, body: &Value) -> Value {
        let path = format!("/session/{}/{command}", self.session);
        self.ask("POST", &path, Some(body))
            .unwrap_or_else(|error| panic!("{command} {body}: {error}"))
    }

    fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value, String> {
        let address = format!("http://127.0.0.1:{PORT}{path}");
        let ask = || -> Result<Value, ureq::Error> {
            let agent: ureq::Agent = ureq::Agent::config_builder()
                .http_status_as_error(false)
                .timeout_global(Some(COMMAND_MAX))
                .build()
                .into();
            let mut answer = match body {
                Some(body) => agent.post(&address).send_json(body)?,
                None => agent.delete(&address).call()?,
            };
            // Pictures are larger than what is read by default.
            answer.body_mut().with_config().limit(64 << 20).read_json()
        };
        let answer = self
            .namespace
            .enter(ask)
            .map_err(|error| error.to_string())?;
        let answer = answer.map_err(|error| format!("{method} {path}: {error}"))?;
        match answer["value"].get("error") {
            Some(error) => Err(format!("{error}: {}", answer["value"]["message"])),
            None => Ok(answer["value"].clone()),
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The browser goes with its session; without it, it would outlive chromedriver.
        if !self.session.is_empty() {
            let path = format!("/session/{}", self.session);
            let _ = self.ask("DELETE", &path, None);
        }
        let _ = self.driver.stop(Signal::SIGTERM, Duration::from_secs(5));
    }
}
