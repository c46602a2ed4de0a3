//! Any stream in any pieces.

use proptest::collection::vec;
use proptest::prelude::{
    Just, ProptestConfig, Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest,
};
use proptest::sample::Index;

use super::{Told, module, parts, said};
use crate::http1::{Awaited, HEAD_MAX};
use crate::module::Module;
use crate::requests::Requests;

/// Pieces of messages, right and wrong, in any order.
fn scraps() -> impl Strategy<Value = Vec<u8>> {
    let scrap = prop_oneof![
        8 => prop_oneof![
            Just("GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
            Just("HEAD /b?c HTTP/1.0\r\n\r\n"),
            Just("POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello"),
            Just("PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n0\r\nX: y\r\n\r\n"),
            Just("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"),
            Just("HTTP/1.1 100 Continue\r\n\r\n"),
            Just("HTTP/1.1 103 Hints\r\n\r\n"),
            Just("HTTP/1.1 404 No\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"),
            Just("HTTP/1.1 304 No\r\n\r\n"),
            Just("\r\n"),
        ].prop_map(|scrap| scrap.as_bytes().to_vec()),
        1 => prop_oneof![
            Just("\n"),
            Just("\r"),
            Just("0\r\n"),
            Just("GET /"),
            Just(" HTTP/1.1\r\n"),
            Just("HTTP/1.1 101 Switching\r\n\r\n"),
            Just("Content-Length: 3\r\n"),
            Just("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"),
            Just("HTTP/1.1 200 OK\r\n\r\n"),
        ].prop_map(|scrap| scrap.as_bytes().to_vec()),
        1 => vec(any::<u8>(), 0..20),
    ];
    vec(scrap, 0..12).prop_map(|scraps| scraps.concat())
}

/// A stream cut at these places.
fn cut<'a>(stream: &'a [u8], cuts: &[Index]) -> Vec<&'a [u8]> {
    let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
    at.push(stream.len());
    at.sort_unstable();
    let mut from = 0;
    at.into_iter()
        .map(|to| &stream[core::mem::replace(&mut from, to)..to])
        .collect()
}

fn awaited() -> impl Strategy<Value = Vec<Awaited>> {
    vec(any::<(bool, bool)>(), 0..12).prop_map(|all| {
        let awaited = |(without_body, tunnels)| Awaited {
            without_body,
            tunnels,
        };
        all.into_iter().map(awaited).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn pieces_of_requests_do_not_matter(stream in scraps(), cuts in vec(any::<Index>(), 0..20)) {
        // When a head is found to be wrong depends on them, unless something comes that can be in none.
        let stream = [stream, vec![b'\n'; 40]].concat();
        for module in [module(), Module::default()] {
            let whole = parts(&module, [&stream[..]]);
            prop_assert_eq!(&parts(&module, cut(&stream, &cuts)), &whole);
            prop_assert_eq!(&parts(&module, stream.chunks(1)), &whole);
        }
    }

    #[test]
    fn no_byte_of_a_request_is_changed_or_lost(stream in scraps()) {
        let told = parts(&module(), [&stream[..]]);
        let bytes: Vec<u8> = told
            .iter()
            .flat_map(|told| match told {
                Told::Bytes(bytes) => bytes.as_slice(),
                _ => &[],
            })
            .copied()
            .collect();
        // Empty lines are skipped, and a head at the end may be incomplete.
        let ink = |bytes: &[u8]| -> Vec<u8> {
            let is_ink = |byte: &u8| !matches!(byte, b'\r' | b'\n');
            bytes.iter().copied().filter(is_ink).collect()
        };
        prop_assert!(ink(&stream).starts_with(&ink(&bytes)));
    }

    #[test]
    fn parts_come_in_order(stream in scraps()) {
        let mut within = false;
        for told in parts(&module(), stream.chunks(3)) {
            match told {
                Told::Begin { .. } => prop_assert!(!core::mem::replace(&mut within, true)),
                Told::Bytes(bytes) => prop_assert!(within && !bytes.is_empty()),
                Told::Pause => prop_assert!(within),
                Told::End => prop_assert!(core::mem::replace(&mut within, false)),
                Told::Leave(_) => break,
            }
        }
    }

    #[test]
    fn pieces_of_responses_do_not_matter(
        stream in scraps(),
        awaited in awaited(),
        cuts in vec(any::<Index>(), 0..20),
    ) {
        let whole = said(&awaited, [&stream[..]]);
        prop_assert_eq!(&said(&awaited, cut(&stream, &cuts)), &whole);
        prop_assert_eq!(&said(&awaited, stream.chunks(1)), &whole);
    }

    #[test]
    fn anything_at_all_is_held_within_limits(
        start in scraps(),
        stream in vec(any::<u8>(), 0..200),
        times in 1..2000_usize,
    ) {
        let module = module();
        let mut requests = Requests::new(&module);
        requests.push(&module, &start, false, &mut |_| {});
        for _ in 0..times {
            requests.push(&module, &stream, false, &mut |_| {});
            if let Requests::Http1(requests) = &requests {
                prop_assert!(requests.held_len() <= HEAD_MAX);
            }
        }
    }
}
