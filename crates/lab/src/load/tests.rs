//! The load against the service, over loopback.

use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use super::{Closer, Options, run};

/// The service in a thread of this process; it ends with the tests.
fn serve(delay_ms: u64) -> SocketAddr {
    let free = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    std::thread::spawn(move || {
        crate::service::serve(&crate::service::Options {
            listen: free,
            size: 600,
            delay: Duration::from_millis(delay_ms),
            reset_every: 0,
            silent_every: 0,
            size_spread: 0,
            truncate_every: 0,
            fail_every: 0,
            write_bytes: 0,
            every_ms: 1000,
            record: None,
        })
        .unwrap();
    });
    for _ in 0..100 {
        if std::net::TcpStream::connect(free).is_ok() {
            return free;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("the service does not listen");
}

fn options(to: SocketAddr) -> Options {
    Options {
        to,
        connections: 8,
        rate: 500.0,
        seconds: 5.0,
        requests: Some(200),
        short: None,
        path: "/".to_owned(),
        body: 0,
        timeout_ms: 2000,
        expect_length: Some(600),
        first_id: None,
        quiet: true,
    }
}

#[test]
fn every_request_is_answered_in_each_way_of_asking() {
    let to = serve(0);
    let cases = [
        options(to),
        Options {
            rate: 0.0,
            ..options(to)
        },
        Options {
            short: Some(Closer::Client),
            ..options(to)
        },
        Options {
            short: Some(Closer::Server),
            ..options(to)
        },
        Options {
            body: 8_000,
            ..options(to)
        },
        Options {
            body: 300_000,
            requests: Some(20),
            ..options(to)
        },
        Options {
            path: "/200000".to_owned(),
            expect_length: Some(200_000),
            requests: Some(20),
            ..options(to)
        },
        Options {
            path: "/?delay=5".to_owned(),
            requests: Some(50),
            ..options(to)
        },
    ];
    for case in cases {
        let report = run(&case).unwrap();
        assert_eq!(
            Some(report.completed),
            case.requests,
            "{case:?}: {report:?}"
        );
        assert_eq!(
            (report.failed(), report.sent),
            (0, report.completed),
            "{case:?}: {report:?}"
        );
    }
}

#[test]
fn what_goes_wrong_is_counted_by_its_reason() {
    let to = serve(0);
    let report = run(&Options {
        expect_length: Some(5),
        requests: Some(10),
        ..options(to)
    })
    .unwrap();
    assert_eq!(report.errors.get("wrong length"), Some(&10), "{report:?}");

    let slow = Options {
        path: "/?delay=1500".to_owned(),
        timeout_ms: 200,
        requests: Some(3),
        ..options(to)
    };
    assert_eq!(run(&slow).unwrap().errors.get("timed out"), Some(&3));

    let closed = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let report = run(&Options {
        requests: Some(10),
        ..options(closed)
    })
    .unwrap();
    assert_eq!((report.completed, report.sent), (0, 10), "{report:?}");
}
