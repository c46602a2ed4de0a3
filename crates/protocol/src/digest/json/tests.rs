//! What documents have in common and where they differ, and that JSON is what another reader takes for it.

use proptest::prelude::{Just, Strategy, any, prop_assert_eq, prop_oneof, proptest};
use serde_json::{Map, Value};

use super::{DEPTH_MAX, FIELDS_MAX, Fault, Field, Json};
use crate::digest::hash::Key;
use crate::digest::paths::{PathId, Paths};

const KEY: Key = Key { k0: 3, k1: 4 };

/// The fields of a document that comes in pieces of so many bytes.
fn read(paths: &mut Paths, document: &[u8], piece: usize) -> Result<Box<[Field]>, Fault> {
    let mut json = Json::new(KEY);
    for part in document.chunks(piece.max(1)) {
        json.push(paths, part);
    }
    json.end()
}

/// Where two documents differ: in a value (`=`), in order alone (`~`), or in that one has the path.
fn differing(a: &str, b: &str) -> Vec<String> {
    let mut paths = Paths::new(KEY);
    let a = read(&mut paths, a.as_bytes(), 7).unwrap();
    let b = read(&mut paths, b.as_bytes(), 3).unwrap();
    let find = |list: &[Field], path| list.iter().find(|field| field.path == path).copied();
    let mut all: Vec<PathId> = a.iter().chain(&b).map(|field| field.path).collect();
    all.sort();
    all.dedup();
    all.into_iter()
        .filter_map(|path| {
            let sign = match (find(&a, path), find(&b, path)) {
                (Some(a), Some(b)) if a == b => return None,
                (Some(a), Some(b)) if a.any_order == b.any_order => "~",
                (Some(_), Some(_)) => "=",
                (Some(_), None) => "-",
                _ => "+",
            };
            Some(format!("{sign}{}", paths.text(path)))
        })
        .collect()
}

#[test]
fn the_path_of_what_differs_is_told() {
    for (a, b, expected) in [
        (
            r#"{"a":1,"b":[{"c":2}]}"#,
            r#"{ "b":[{"c":2}], "a":1 }"#,
            &[][..],
        ),
        (r#"{"a":1}"#, r#"{"a":"1"}"#, &["=.a"]),
        (r#"{"a":1}"#, r#"{"a":1.0}"#, &["=.a"]),
        (r#"{"a":{}}"#, r#"{"a":{"b":0}}"#, &["-.a", "+.a.b"]),
        (r#"{"a":[1,2,3]}"#, r#"{"a":[3,1,2]}"#, &["~.a[]"]),
        (
            r#"{"a":[1,2]}"#,
            r#"{"a":[1,2,2]}"#,
            &["=.a[]", "=.a|length"],
        ),
        (r#"{"a":[]}"#, r#"{"a":[null]}"#, &["=.a|length", "+.a[]"]),
        (r#"[[1],[2]]"#, r#"[[2],[1]]"#, &["~.[][]"]),
        ("7", " 8 ", &["=."]),
        (r#""\u0041\/\ud83d\ude00\n""#, "\"A/😀\\n\"", &[]),
        (r#"{"\u0061":true}"#, r#"{"a":false}"#, &["=.a"]),
        (r#"{"17":{"n":1}}"#, r#"{"18":{"n":2}}"#, &["=.*.n"]),
        (r#"["\ud83d"]"#, r#"["\ud83e"]"#, &["=.[]"]),
    ] {
        let mut found = differing(a, b);
        found.sort();
        let mut expected = expected.to_vec();
        expected.sort_unstable();
        assert_eq!(found, expected, "{a} beside {b}");
    }
}

#[test]
fn what_is_no_json_has_no_fields() {
    let mut paths = Paths::new(KEY);
    for document in [
        "",
        " ",
        "{",
        "[1",
        "[1,]",
        "{\"a\"}",
        "{\"a\":1,}",
        "{,}",
        "]",
        "1 2",
        "01",
        "1.",
        "-",
        "1e",
        "+1",
        ".5",
        "tru",
        "nulll",
        "\"a",
        "\"\\x\"",
        "\"\\u12g4\"",
        "\"\n\"",
        "{1:2}",
        "[1}",
        "{\"a\":1]",
        "[] []",
        "'a'",
        "\u{feff}[]",
        "[0 1]",
        "1.5.5",
        "1e5e5",
        "--1",
    ] {
        for piece in [1, 100] {
            let read = read(&mut paths, document.as_bytes(), piece);
            assert_eq!(read, Err(Fault::Malformed), "{document}");
        }
    }
    let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    assert!(read(&mut paths, nested(DEPTH_MAX).as_bytes(), 9).is_ok());
    let too_deep = read(&mut paths, nested(DEPTH_MAX + 1).as_bytes(), 9);
    assert_eq!(too_deep, Err(Fault::TooDeep));
}

#[test]
fn further_fields_share_a_place() {
    let mut paths = Paths::new(KEY);
    let mut document = |last: &str| {
        let word = |n: usize| [n / 20, n % 20].map(|n| char::from(b'g' + n as u8));
        let key = |n| word(n).into_iter().collect::<String>();
        let fields: Vec<String> = (0..399).map(|n| format!("\"{}\":{n}", key(n))).collect();
        let document = format!("{{{},\"zz\":{last}}}", fields.join(","));
        read(&mut paths, document.as_bytes(), 50).unwrap()
    };
    let (a, b) = (document("1"), document("2"));
    assert_eq!((a.len(), b.len()), (FIELDS_MAX, FIELDS_MAX));
    let differing: Vec<PathId> = a
        .iter()
        .zip(&*b)
        .filter_map(|(a, b)| (a != b).then_some(a.path))
        .collect();
    assert_eq!(differing, [PathId::REST]);
}

fn values() -> impl Strategy<Value = Value> {
    let scalar = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        any::<f32>().prop_map(|float| Value::from(f64::from(float))),
        ".{0,9}".prop_map(Value::from),
    ];
    scalar.prop_recursive(5, 40, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            proptest::collection::vec(("[a-c \"é]{0,3}", inner), 0..6)
                .prop_map(|pairs| Value::Object(pairs.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

proptest! {
    #[test]
    fn spaces_and_pieces_change_nothing(value in values(), piece in 1_usize..20) {
        let mut paths = Paths::new(KEY);
        let plain = read(&mut paths, value.to_string().as_bytes(), 1000);
        assert!(plain.is_ok());
        let pretty = serde_json::to_string_pretty(&value).unwrap();
        prop_assert_eq!(plain, read(&mut paths, pretty.as_bytes(), piece));
    }

    #[test]
    fn json_is_what_another_reader_takes_for_it(
        value in values(),
        at in any::<proptest::sample::Index>(),
        byte in proptest::sample::select(b"[]{}:,\"\\0x1-+.eE tn ".to_vec()),
        is_cut in any::<bool>(),
    ) {
        let mut document = value.to_string().into_bytes();
        let at = at.index(document.len());
        if is_cut {
            document.truncate(at);
        } else {
            document[at] = byte;
        }
        // Lone surrogates and bytes that are no UTF-8 are taken here, and numbers of any size.
        let theirs = serde_json::from_slice::<Value>(&document);
        let ours = read(&mut Paths::new(KEY), &document, 5);
        if let Err(error) = &theirs {
            let words = error.to_string();
            let is_lenient = ["surrogate", "unicode", "out of range", "hex escape"];
            proptest::prop_assume!(!is_lenient.iter().any(|word| words.contains(word)));
        }
        prop_assert_eq!(ours.is_ok(), theirs.is_ok(), "{}", String::from_utf8_lossy(&document));
    }

    #[test]
    fn bytes_that_nobody_chose_are_read_the_same_in_pieces(bytes in proptest::collection::vec(any::<u8>(), 0..300), piece in 1_usize..9) {
        let mut paths = Paths::new(KEY);
        prop_assert_eq!(read(&mut paths, &bytes, 300), read(&mut paths, &bytes, piece));
    }
}
