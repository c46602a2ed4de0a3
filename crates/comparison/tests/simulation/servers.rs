//! Servers that answer with clocks, identifiers, and lists in any order.

use core::time::Duration;
use std::io::Write as _;
use std::sync::Arc;

use flate2::Compression;
use flate2::write::GzEncoder;
use oorandom::Rand64;
use protocol::digest::{Digest, Digester, Digests};

/// Values that stand in responses, and must nowhere stand else.
pub(crate) const SECRETS: [&str; 5] = ["hunter2", "Alice", "tok-", "4711", "max-age"];

/// What a server runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Build {
    /// What the online server runs.
    Old,
    /// One response of `/users/*` in a hundred has another price.
    PriceOfOneInAHundred,
    /// The items have no title.
    FieldIsMissing,
    /// An order has a colour.
    FieldIsNew,
    /// `/health` answers 503.
    Fails,
    /// A page may be kept for longer.
    OtherHeader,
    /// A page has a line more.
    OtherPage,
    /// What was sorted is sorted the other way round.
    OtherOrder,
}

/// A request.
pub(crate) struct Asked {
    pub(crate) method: &'static str,
    pub(crate) target: String,
    /// What the response is about.
    number: u64,
}

impl Asked {
    pub(crate) fn new(random: &mut Rand64) -> Self {
        let number = random.rand_range(0..5000);
        let (method, target) = match random.rand_range(0..10) {
            0..=3 => ("GET", format!("/users/{number}")),
            4 | 5 => ("GET", format!("/items?page={number}")),
            6 => ("POST", "/orders".to_owned()),
            7 => ("GET", "/pages/about".to_owned()),
            8 => ("GET", "/sorted".to_owned()),
            _ => ("GET", "/health".to_owned()),
        };
        Self {
            method,
            target,
            number,
        }
    }
}

/// A server with a clock and dice of its own.
pub(crate) struct Server {
    build: Build,
    random: Rand64,
    /// By how much its clock is ahead.
    skew: Duration,
}

impl Server {
    pub(crate) fn new(build: Build, seed: u64) -> Self {
        let mut random = Rand64::new(seed.into());
        let skew = Duration::from_millis(random.rand_range(0..40));
        Self {
            build,
            random,
            skew,
        }
    }

    pub(crate) fn answer(&mut self, digests: &Arc<Digests>, asked: &Asked, at: Duration) -> Digest {
        let now = at + self.skew + Duration::from_millis(self.random.rand_range(0..10));
        let is = |build| self.build == build;
        let (mut status, mut cache) = (200, "max-age=60");
        let is_page = asked.target.starts_with("/pages");
        let body = match asked.target.split(['/', '?']).nth(1) {
            Some("users") => self.user(asked.number, now),
            Some("items") => self.items(asked.number),
            Some("orders") => self.order(now),
            Some("pages") => {
                if is(Build::OtherHeader) {
                    cache = "max-age=600";
                }
                let more = if is(Build::OtherPage) { "<p>more" } else { "" };
                format!("<title>About</title>{more}")
            }
            Some("sorted") => {
                let names = ["Alice", "Bob", "Carol"];
                let order = if is(Build::OtherOrder) {
                    [2, 1, 0]
                } else {
                    [0, 1, 2]
                };
                format!("{{\"names\":{:?}}}", order.map(|place: usize| names[place]))
            }
            _ => {
                if is(Build::Fails) {
                    status = 503;
                }
                let seconds = now.as_secs();
                format!("{{\"status\":\"ok\",\"uptime\":{seconds}}}")
            }
        };
        let kind = if is_page {
            "text/html"
        } else {
            "application/json"
        };
        let mut headers = vec![
            ("content-type", kind),
            ("cache-control", cache),
            ("date", "now"),
        ];
        let mut body = body.into_bytes();
        if asked.target.starts_with("/items") {
            headers.push(("content-encoding", "gzip"));
            let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(&body).expect("memory");
            body = encoder.finish().expect("memory");
        }
        let mut digester = Digester::new(digests);
        let headers = headers.iter();
        digester.on_head(
            status,
            headers.map(|(name, value)| (name.as_bytes(), value.as_bytes())),
        );
        digester.on_body(&body);
        digester.end()
    }

    /// A name that nobody guesses.
    fn token(&mut self) -> String {
        format!("tok-{:016x}", self.random.rand_u64())
    }

    fn user(&mut self, number: u64, now: Duration) -> String {
        let is_changed =
            self.build == Build::PriceOfOneInAHundred && self.random.rand_float() < 0.01;
        let price = if is_changed { 4711 } else { number % 97 };
        let (second, millis, token) = (now.as_secs(), now.as_millis(), self.token());
        // A cache that is warm most of the time, on either server.
        let is_cached = self.random.rand_float() < 0.97;
        let trace = self.random.rand_range(0..2);
        format!(
            "{{\"id\":{number},\"name\":\"Alice {number}\",\"password\":\"hunter2\",\"account\":{{\"price\":{price},\"currency\":\"EUR\"}},\
             \"request_id\":\"{token}\",\"second\":{second},\"millis\":{millis},\"cached\":{is_cached},\"shard\":{trace}}}"
        )
    }

    fn items(&mut self, number: u64) -> String {
        let mut items: Vec<String> = (0..6)
            .map(|item| {
                let title = if self.build == Build::FieldIsMissing {
                    String::new()
                } else {
                    format!(",\"title\":\"Item {}\"", number % 13 + item)
                };
                format!("{{\"id\":{}{title},\"tags\":[\"a\",\"b\"]}}", number + item)
            })
            .collect();
        for last in (1..items.len()).rev() {
            let other = self.random.rand_range(0..last as u64 + 1) as usize;
            items.swap(last, other);
        }
        let took = self.random.rand_range(1..6);
        format!(
            "{{\"total\":{number},\"took_ms\":{took},\"items\":[{}]}}",
            items.join(",")
        )
    }

    fn order(&mut self, now: Duration) -> String {
        let (id, key, created) = (self.token(), self.random.rand_u64(), now.as_millis());
        let colour = if self.build == Build::FieldIsNew {
            ",\"colour\":\"red\""
        } else {
            ""
        };
        // An object whose keys are identifiers.
        format!(
            "{{\"order\":{{\"id\":\"{id}\",\"created\":{created}{colour}}},\"by_id\":{{\"{key:016x}\":{{\"state\":\"new\"}}}}}}"
        )
    }
}
