//! The listening socket, and the thread `metrics` that answers.
//!
//! One thread for all connections. It yields to the process's own work where processors are short, and what a
//! connection may take of it is bounded: its number, its request, its time.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::pin::pin;
use std::rc::Rc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{self, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use process::confinement::{self, Trade};
use tokio::sync::oneshot;
use tokio::task::{AbortHandle, LocalSet};
use tokio::time::{sleep, timeout};

use crate::pace::Pace;
use crate::routes::{HTML, Reply, Routes};

/// Name of the thread.
pub const THREAD: &str = "metrics";
/// Most connections at a time; one more ends the oldest. Who holds many connections open locks nobody out.
const CONNECTIONS_MAX: usize = 32;
/// How long a client may take for the head of a request, and be silent between two.
const HEAD_MAX: Duration = Duration::from_secs(5);
/// Most bytes of a request's head; a longer one is answered with 431.
const HEAD_LEN_MAX: usize = 16 << 10;
/// How long a connection may last; then the request under way is finished, and it ends ...
const CONNECTION_MAX: Duration = Duration::from_secs(60);
/// ... or does not get further than this: a client that does not read its answer.
const FAREWELL_MAX: Duration = Duration::from_secs(5);
/// How long accepting pauses where the process has no descriptor left.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(100);
/// How much more willing than others the thread is to wait for a processor, as in nice(2).
const NICE: i32 = 10;

/// The address cannot be listened at.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {addr} for --listen: {cause}; {}", advice(cause))]
pub struct BindError {
    addr: SocketAddr,
    cause: io::Error,
}

/// `ADDR:PORT`, both as numbers. A port alone, `:PORT` and `localhost:PORT` mean this host and nobody else: 127.0.0.1.
///
/// # Errors
///
/// Says how to write one.
pub fn parse_address(text: &str) -> Result<SocketAddr, String> {
    let short = text.strip_prefix("localhost").unwrap_or(text);
    let port = short.strip_prefix(':').unwrap_or(text).parse::<u16>();
    match (port, text.parse()) {
        (Ok(port), _) => Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, port))),
        (_, Ok(address)) => Ok(address),
        _ => Err("write an address of this host and a port, as in 127.0.0.1:9524 or [::1]:9524; a port alone is one of 127.0.0.1".to_owned()),
    }
}

fn advice(cause: &io::Error) -> &'static str {
    match cause.kind() {
        io::ErrorKind::AddrInUse => "somebody listens there already: choose another port",
        io::ErrorKind::AddrNotAvailable => "this host has no such address: choose one that it has",
        io::ErrorKind::PermissionDenied => "choose a port above 1023, or run as root",
        _ => "choose another address or port",
    }
}

/// A socket that listens, and nobody who answers yet.
#[derive(Debug)]
pub struct Bound {
    listener: TcpListener,
    addr: SocketAddr,
}

impl Bound {
    /// Listens on `addr`; the kernel chooses the port where it is 0.
    ///
    /// # Errors
    ///
    /// [`BindError`] with what to do: the port is in use, the address not this host's.
    pub fn bind(addr: SocketAddr) -> Result<Self, BindError> {
        let failed = |cause| BindError { addr, cause };
        let listener = TcpListener::bind(addr).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let addr = listener.local_addr().map_err(failed)?;
        Ok(Self { listener, addr })
    }

    /// Where it listens.
    #[must_use]
    pub const fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Whether other hosts can read what is shown.
    #[must_use]
    pub fn is_open(&self) -> bool {
        !self.addr.ip().to_canonical().is_loopback()
    }

    /// Starts the thread that answers, and says where; warns where others can read it as well.
    ///
    /// # Errors
    ///
    /// Where the kernel gives no thread or no epoll descriptor.
    pub fn serve(self, routes: Routes) -> Result<Server, BindError> {
        let (addr, is_open) = (self.addr, self.is_open());
        let has_page = routes.has_front_page();
        let server = self
            .start(routes)
            .map_err(|cause| BindError { addr, cause })?;
        if has_page {
            tracing::info!("page       http://{addr}/      metrics: /metrics");
        } else {
            tracing::info!("metrics at http://{addr}/metrics");
        }
        if is_open {
            tracing::warn!(
                finding = "metrics-open",
                "whoever reaches {addr} can read the metrics: there is no password and no TLS. Listen on 127.0.0.1, or have \
                 a firewall or a proxy before it"
            );
        }
        Ok(server)
    }

    fn start(self, routes: Routes) -> io::Result<Server> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build()?;
        let (stop, stopped) = oneshot::channel();
        let thread = thread::Builder::new()
            .name(THREAD.to_owned())
            .spawn(move || {
                if let Err(errno) = rustix::process::nice(NICE) {
                    tracing::debug!("the thread that shows metrics keeps its priority: {errno}");
                }
                confinement::confine(Trade::Serves);
                let local = LocalSet::new();
                let is_open = self.is_open();
                local.block_on(&runtime, async {
                    // Whatever is under way when the process ends is not waited for.
                    tokio::select! {
                        _ = stopped => {}
                        () = accept(self.listener, Rc::new(routes), is_open) => {}
                    }
                });
            })?;
        Ok(Server {
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

/// The running server; dropping it ends it.
#[derive(Debug)]
pub struct Server {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            // It may have ended by itself.
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn accept(listener: TcpListener, routes: Rc<Routes>, is_open: bool) {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::error!(
                finding = "metrics-address",
                "no metrics: cannot wait for connections: {error}"
            );
            return;
        }
    };
    let mut open: VecDeque<AbortHandle> = VecDeque::new();
    let (connections, requests) = (Pace::new(), Rc::new(Pace::new()));
    loop {
        connections.turn().await;
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(_) => {
                // No descriptor, no memory, or a peer that has gone: the next may fare better.
                sleep(EXHAUSTED_PAUSE).await;
                continue;
            }
        };
        open.retain(|connection| !connection.is_finished());
        if open.len() >= CONNECTIONS_MAX
            && let Some(oldest) = open.pop_front()
        {
            oldest.abort();
        }
        let (routes, pace) = (Rc::clone(&routes), Rc::clone(&requests));
        let connection = tokio::task::spawn_local(converse(stream, routes, pace, is_open));
        open.push_back(connection.abort_handle());
    }
}

/// One connection from its first request to its end.
async fn converse(
    stream: tokio::net::TcpStream,
    routes: Rc<Routes>,
    pace: Rc<Pace>,
    is_open: bool,
) {
    let service = service_fn(move |request| {
        let (routes, pace) = (Rc::clone(&routes), Rc::clone(&pace));
        async move {
            pace.turn().await;
            Ok::<_, Infallible>(respond(&routes, &request, is_open))
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_MAX)
        .max_buf_size(HEAD_LEN_MAX)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    // What a client does wrong is its own business.
    if timeout(CONNECTION_MAX, connection.as_mut()).await.is_err() {
        connection.as_mut().graceful_shutdown();
        let _ = timeout(FAREWELL_MAX, connection).await;
    }
}

fn respond(routes: &Routes, request: &Request<Incoming>, is_open: bool) -> Response<Full<Bytes>> {
    let mut allow = None;
    let reply = if !is_open && !is_meant(request) {
        let why = "this address is for this host alone: ask for it by its number or as localhost";
        Reply::refusal(StatusCode::MISDIRECTED_REQUEST, why)
    } else if ![Method::GET, Method::HEAD].contains(request.method()) {
        allow = Some(HeaderValue::from_static("GET, HEAD"));
        Reply::refusal(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD")
    } else {
        routes.answer(request.uri().path())
    };
    let mut response = Response::new(Full::new(reply.body));
    *response.status_mut() = reply.status;
    let headers = response.headers_mut();
    let mut set = |name, value| headers.insert(name, HeaderValue::from_static(value));
    set(header::CONTENT_TYPE, reply.content_type);
    set(header::CACHE_CONTROL, "no-store");
    set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    if reply.content_type == HTML {
        set(header::CONTENT_SECURITY_POLICY, reply.policy);
        set(header::REFERRER_POLICY, "no-referrer");
    }
    if let Some(methods) = allow {
        headers.insert(header::ALLOW, methods);
    }
    response
}

/// Whether a request to a loopback address was meant for it. A page from elsewhere can have its own host's name point
/// to 127.0.0.1, and the browser on this host would then let it read what is shown here (DNS rebinding); that name
/// stands in `Host`.
fn is_meant(request: &Request<Incoming>) -> bool {
    let Some(host) = request.headers().get(header::HOST) else {
        // No browser: HTTP/1.0.
        return true;
    };
    let Ok(host) = host.to_str() else {
        return false;
    };
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    };
    let name = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost") || name.parse::<std::net::IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpStream;
    use std::time::{Duration, Instant};

    use super::{Bound, CONNECTIONS_MAX, HEAD_LEN_MAX, HEAD_MAX, Server, parse_address};
    use crate::board::{Board, Phase};
    use crate::routes::{HTML, Routes, TEXT};

    #[test]
    fn short_addresses_mean_this_host_alone() {
        for (text, expected) in [
            ("9524", Some("127.0.0.1:9524")),
            (":9524", Some("127.0.0.1:9524")),
            ("localhost:9524", Some("127.0.0.1:9524")),
            ("[::1]:9524", Some("[::1]:9524")),
            ("0.0.0.0:9524", Some("0.0.0.0:9524")),
            ("localhost", None),
            ("localhost9524", None),
            ("web:9524", None),
            ("70000", None),
            ("::9524", None),
            ("", None),
        ] {
            let address = parse_address(text).ok().map(|address| address.to_string());
            assert_eq!(address.as_deref(), expected, "{text}");
        }
    }

    /// A server on loopback with a page of `len` bytes at `/big`, and how to reach it.
    fn server(len: usize) -> (Server, impl Fn() -> TcpStream) {
        let bound = Bound::bind(([127, 0, 0, 1], 0).into()).unwrap();
        assert!(!bound.is_open());
        let addr = bound.addr();
        let board = Board::new();
        board.publish(len);
        board.enter(Phase::Ready);
        let routes = Routes::new(&board)
            .fixed("/", HTML, "<p>")
            .from_board("/big", TEXT, &board, |_, len| vec![b'x'; *len])
            .page("/bug", || panic!("a page that fails"));
        let server = bound.serve(routes).unwrap();
        let connect = move || {
            let stream = TcpStream::connect(addr).unwrap();
            let patience = Some(HEAD_MAX + Duration::from_secs(5));
            stream.set_read_timeout(patience).unwrap();
            stream
        };
        (server, connect)
    }

    /// What comes back for `request` until the server closes.
    fn ask(mut stream: TcpStream, request: &[u8]) -> String {
        stream.write_all(request).unwrap();
        let mut answer = Vec::new();
        // A connection that the server gives up may end with a reset.
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    }

    fn get(stream: TcpStream, path: &str) -> String {
        ask(
            stream,
            format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                .as_bytes(),
        )
    }

    #[test]
    fn each_request_gets_the_answer_it_deserves() {
        let (_server, connect) = server(3);
        let with = |line: &str, host: &str| {
            let request = format!("{line}\r\nHost: {host}\r\nConnection: close\r\n\r\n");
            ask(connect(), request.as_bytes())
        };
        for (line, host, status, end) in [
            ("GET /health HTTP/1.1", "127.0.0.1:9", 200, "healthy\n"),
            ("GET /ready?x=y HTTP/1.1", "[::1]:9", 200, "ready\n"),
            ("GET /big HTTP/1.1", "LocalHost", 200, "xxx"),
            ("HEAD /big HTTP/1.1", "localhost", 200, "\r\n\r\n"),
            ("POST /big HTTP/1.1", "localhost", 405, "HEAD\n"),
            ("DELETE / HTTP/1.1", "localhost", 405, "HEAD\n"),
            ("GET /../etc/passwd HTTP/1.1", "localhost", 404, "/ready\n"),
            ("GET /big HTTP/1.1", "evil.example:9", 421, "localhost\n"),
            ("GET /big HTTP/1.0", "localhost", 200, "xxx"),
        ] {
            let answer = with(line, host);
            let first = answer.lines().next().unwrap_or_default();
            assert!(first.contains(&format!(" {status} ")), "{line}: {answer}");
            assert!(answer.ends_with(end), "{line}: {answer}");
        }
        let head = with("HEAD /big HTTP/1.1", "localhost");
        assert!(head.contains("content-length: 3"), "{head}");
        let page = with("GET / HTTP/1.1", "localhost");
        assert!(page.contains("content-security-policy: default-src 'none'"));
        assert!(with("PUT / HTTP/1.1", "localhost").contains("allow: GET, HEAD"));
    }

    #[test]
    fn nonsense_is_shown_out_and_the_next_is_served() {
        let (_server, connect) = server(3);
        let long = format!(
            "GET / HTTP/1.1\r\nX: {}\r\n\r\n",
            "y".repeat(2 * HEAD_LEN_MAX)
        );
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(1000));
        for nonsense in [
            &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
            &[0; 4096],
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            b"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
            b"GET /bug HTTP/1.1\r\nHost: localhost\r\n\r\n",
            long.as_bytes(),
            many.as_bytes(),
        ] {
            let answer = ask(connect(), nonsense);
            assert!(!answer.contains(" 200 "), "{answer}");
            assert!(get(connect(), "/health").contains(" 200 "));
        }
        // A body that never comes, after a question that can be answered without it.
        let body =
            "GET /health HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999\r\n\r\nx";
        assert!(ask(connect(), body.as_bytes()).contains(" 200 "));
    }

    #[test]
    fn who_holds_all_connections_keeps_nobody_out() {
        let (server, connect) = server(64 << 20);
        let mut held: Vec<TcpStream> = (0..CONNECTIONS_MAX).map(|_| connect()).collect();
        for stream in &mut held {
            // An answer that is not read, or a request that never ends.
            stream
                .write_all(b"GET /big HTTP/1.1\r\nHost: localhost\r\n\r\nGET /b")
                .unwrap();
        }
        let asked = Instant::now();
        assert!(get(connect(), "/health").contains(" 200 "));
        assert!(asked.elapsed() < HEAD_MAX);
        // Nor do they keep the process from ending.
        let ending = Instant::now();
        drop(server);
        assert!(ending.elapsed() < HEAD_MAX);
    }

    #[test]
    fn a_request_that_does_not_come_is_not_waited_for() {
        let (_server, connect) = server(3);
        let asked = Instant::now();
        let mut slow = connect();
        slow.write_all(b"GET /health HT").unwrap();
        let mut answer = Vec::new();
        let _ = slow.read_to_end(&mut answer);
        assert!(asked.elapsed() < HEAD_MAX + Duration::from_secs(3));
        assert!(!String::from_utf8_lossy(&answer).contains(" 200 "));
    }

    #[test]
    fn where_it_cannot_listen_it_says_what_to_do() {
        let bound = Bound::bind(([127, 0, 0, 1], 0).into()).unwrap();
        let words = Bound::bind(bound.addr()).unwrap_err().to_string();
        assert!(words.contains("choose another port"), "{words}");
        let words = Bound::bind(([192, 0, 2, 1], 0).into())
            .unwrap_err()
            .to_string();
        assert!(words.contains("no such address"), "{words}");
        assert!(Bound::bind(([0, 0, 0, 0], 0).into()).unwrap().is_open());
    }
}
