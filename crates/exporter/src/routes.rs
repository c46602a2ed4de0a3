//! Which path gives what.
//!
//! A page is a function that gives a [`Reply`]. It runs in the server's only thread, so it must not wait for anything;
//! what is costly to make is best made once per snapshot (see [`Routes::from_board`]).

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use bytes::Bytes;
use hyper::StatusCode;

use crate::board::{Board, Phase};

/// `Content-Type` of the Prometheus text format.
pub const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";
/// `Content-Type` of JSON.
pub const JSON: &str = "application/json";
/// `Content-Type` of a page.
pub const HTML: &str = "text/html; charset=utf-8";
/// `Content-Type` of anything else.
pub const TEXT: &str = "text/plain; charset=utf-8";

/// A page that says nothing of it runs no script, asks nobody, and is shown in no frame of another's.
const NOTHING_ALLOWED: &str =
    "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

/// What a page answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) content_type: &'static str,
    pub(crate) body: Bytes,
    /// What the `Content-Security-Policy` of a page is; only HTML has one.
    pub(crate) policy: &'static str,
}

impl Reply {
    /// 200 with this body.
    #[must_use]
    pub fn ok(content_type: &'static str, body: impl Into<Bytes>) -> Self {
        Self {
            status: StatusCode::OK,
            content_type,
            body: body.into(),
            policy: NOTHING_ALLOWED,
        }
    }

    /// Another status, and why in a line of text.
    pub(crate) fn refusal(status: StatusCode, why: &str) -> Self {
        Self {
            status,
            content_type: TEXT,
            body: format!("{why}\n").into(),
            policy: NOTHING_ALLOWED,
        }
    }

    /// 503, and why in a line of text.
    #[must_use]
    pub fn unavailable(why: &str) -> Self {
        Self::refusal(StatusCode::SERVICE_UNAVAILABLE, why)
    }
}

type Page = Box<dyn Fn() -> Reply + Send>;

/// Pages by their paths.
#[derive(Default)]
pub struct Routes {
    pages: BTreeMap<&'static str, Page>,
}

impl std::fmt::Debug for Routes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.pages.keys()).finish()
    }
}

impl Routes {
    /// `/health`, which answers as long as the server's thread lives, and `/ready`, which is 503 unless the process does
    /// its work.
    #[must_use]
    pub fn new<T: Send + Sync + 'static>(board: &Arc<Board<T>>) -> Self {
        let phase = Arc::clone(board);
        Self::default()
            .page("/health", || Reply::ok(TEXT, "healthy\n"))
            .page("/ready", move || match phase.read().0 {
                Phase::Ready => Reply::ok(TEXT, "ready\n"),
                other => Reply::unavailable(other.name()),
            })
    }

    /// Adds a page. `path` begins with a slash; a page of before at the same path is replaced.
    #[must_use]
    pub fn page(mut self, path: &'static str, page: impl Fn() -> Reply + Send + 'static) -> Self {
        self.pages.insert(path, Box::new(page));
        self
    }

    /// Adds a page that never changes.
    #[must_use]
    pub fn fixed(self, path: &'static str, content_type: &'static str, body: &'static str) -> Self {
        self.page(path, move || Reply::ok(content_type, body))
    }

    /// Adds a page of HTML that never changes, with its `Content-Security-Policy`.
    #[must_use]
    pub fn document(self, path: &'static str, html: &'static str, policy: &'static str) -> Self {
        self.page(path, move || Reply {
            policy,
            ..Reply::ok(HTML, html)
        })
    }

    /// Adds a page that is made of the latest snapshot, once for each snapshot however often it is asked for; 503 while
    /// there is none.
    #[must_use]
    pub fn from_board<T: Send + Sync + 'static>(
        self,
        path: &'static str,
        content_type: &'static str,
        board: &Arc<Board<T>>,
        make: impl Fn(Phase, &T) -> Vec<u8> + Send + 'static,
    ) -> Self {
        let board = Arc::clone(board);
        // The snapshot is not kept alive by the page that was made of it.
        let made: RefCell<Option<(Phase, Weak<T>, Bytes)>> = RefCell::new(None);
        self.page(path, move || {
            let (phase, Some(snapshot)) = board.read() else {
                return Reply::unavailable("nothing was published yet: the process starts");
            };
            let mut made = made.borrow_mut();
            let latest = Arc::downgrade(&snapshot);
            match &*made {
                Some((of, from, body)) if *of == phase && from.ptr_eq(&latest) => {
                    Reply::ok(content_type, body.clone())
                }
                _ => {
                    let body = Bytes::from(make(phase, &snapshot));
                    *made = Some((phase, latest, body.clone()));
                    Reply::ok(content_type, body)
                }
            }
        })
    }

    /// Whether there is a page for people.
    pub(crate) fn has_front_page(&self) -> bool {
        self.pages.contains_key("/")
    }

    /// The answer to a request for `path`.
    pub(crate) fn answer(&self, path: &str) -> Reply {
        match self.pages.get(path) {
            Some(page) => page(),
            None => {
                let known: Vec<&str> = self.pages.keys().copied().collect();
                let why = format!("there is no such page; there are {}", known.join(" "));
                Reply::refusal(StatusCode::NOT_FOUND, &why)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use hyper::StatusCode;

    use super::{Routes, TEXT};
    use crate::board::{Board, Phase};

    #[test]
    fn ready_only_while_the_process_works() {
        let board = Board::<u8>::new();
        let routes = Routes::new(&board);
        for (phase, status) in [
            (Phase::Starting, 503),
            (Phase::Ready, 200),
            (Phase::Impaired, 503),
            (Phase::Draining, 503),
        ] {
            board.enter(phase);
            let reply = routes.answer("/ready");
            assert_eq!(reply.status.as_u16(), status);
            assert_eq!(reply.body, format!("{}\n", phase.name()));
            assert_eq!(routes.answer("/health").status, StatusCode::OK);
        }
        assert_eq!(routes.answer("/rea").status, StatusCode::NOT_FOUND);
    }

    #[test]
    fn a_page_is_made_once_per_snapshot() {
        let (board, made) = (Board::new(), Arc::new(AtomicU32::new(0)));
        let counted = Arc::clone(&made);
        let routes = Routes::new(&board).from_board("/n", TEXT, &board, move |_, n: &u32| {
            counted.fetch_add(1, Ordering::Relaxed);
            n.to_string().into()
        });
        assert_eq!(routes.answer("/n").status, StatusCode::SERVICE_UNAVAILABLE);
        for n in 1..=3 {
            board.publish(n);
            for _ in 0..10 {
                assert_eq!(routes.answer("/n").body, n.to_string());
            }
        }
        assert_eq!(made.load(Ordering::Relaxed), 3);
        board.enter(Phase::Draining);
        let _ = routes.answer("/n");
        assert_eq!(
            made.load(Ordering::Relaxed),
            4,
            "another phase, another page"
        );
    }
}
