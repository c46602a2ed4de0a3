//! Two digests beside each other: the places where they differ.
//!
//! What follows from something else is not told: of responses with different status the status alone, of JSON the fields and neither
//! length nor bytes.

use protocol::digest::{Digest, Fields, PathId};

use crate::place::{Basis, Kind, Name, Place};

/// What was compared of two responses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Compared {
    /// The last basis that they have in common, each of which contains those before it.
    pub(crate) basis: Basis,
    /// Only one of the bodies could be read, so that they are not compared.
    pub(crate) is_hidden: bool,
}

/// Tells each place where `other`, the response of target or baseline, differs from the online server's, and where both have a value
/// there, the hashes of both.
pub(crate) fn contrast(
    online: &Digest,
    other: Option<&Digest>,
    mut tell: impl FnMut(Place<Name>, Option<[u64; 2]>),
) -> Compared {
    let mut whole = |kind| {
        let name = Name::Whole;
        tell(Place { kind, name }, None);
    };
    let compared = |basis| Compared {
        basis,
        is_hidden: false,
    };
    let Some(other) = other else {
        whole(Kind::NoResponse);
        return compared(Basis::All);
    };
    if online.status != other.status {
        whole(Kind::Status);
        return compared(Basis::All);
    }
    headers(online, other, |name, values| {
        let (kind, name) = (Kind::Header, Name::Header(name));
        tell(Place { kind, name }, values);
    });
    let mut tell = |kind, name, values| tell(Place { kind, name }, values);
    match (&online.fields, &other.fields) {
        (Fields::Known(ours), Fields::Known(theirs)) => {
            if online.body() == other.body() {
                return compared(Basis::Fields);
            }
            let mut is_other = false;
            fields(ours, theirs, |kind, path, values| {
                is_other = true;
                tell(kind, Name::Field(path), values);
            });
            if !is_other {
                tell(Kind::Form, Name::Whole, None);
            }
            compared(Basis::Fields)
        }
        _ if online.is_opaque() != other.is_opaque() => Compared {
            basis: Basis::SameStatus,
            is_hidden: true,
        },
        _ => {
            let (ours, theirs) = (online.body(), other.body());
            if ours.len != theirs.len {
                tell(Kind::Length, Name::Whole, None);
            } else if ours.hash != theirs.hash {
                tell(Kind::Body, Name::Whole, Some([ours.hash, theirs.hash]));
            }
            compared(Basis::Whole)
        }
    }
}

fn headers(online: &Digest, other: &Digest, mut tell: impl FnMut(u8, Option<[u64; 2]>)) {
    let find = |digest: &Digest, name| {
        let mut headers = digest.headers.iter();
        headers
            .find(|header| header.name == name)
            .map(|header| header.hash)
    };
    for header in &online.headers {
        match find(other, header.name) {
            Some(hash) if hash == header.hash => {}
            found => tell(header.name, found.map(|hash| [header.hash, hash])),
        }
    }
    for header in &other.headers {
        if find(online, header.name).is_none() {
            tell(header.name, None);
        }
    }
}

/// Both lists are sorted by path.
fn fields(
    ours: &[protocol::digest::Field],
    theirs: &[protocol::digest::Field],
    mut tell: impl FnMut(Kind, PathId, Option<[u64; 2]>),
) {
    let (mut ours, mut theirs) = (ours.iter().peekable(), theirs.iter().peekable());
    loop {
        let (one, other) = match (ours.peek(), theirs.peek()) {
            (None, None) => return,
            (Some(one), Some(other)) => (
                (one.path <= other.path).then_some(*one),
                (other.path <= one.path).then_some(*other),
            ),
            (one, other) => (one.copied(), other.copied()),
        };
        match (one, other) {
            (Some(one), Some(other)) => {
                if one.any_order != other.any_order {
                    tell(
                        Kind::Value,
                        one.path,
                        Some([one.any_order, other.any_order]),
                    );
                } else if one.in_order != other.in_order {
                    tell(Kind::Order, one.path, None);
                }
            }
            (Some(one), None) => tell(Kind::Missing, one.path, None),
            (None, Some(other)) => tell(Kind::Added, other.path, None),
            (None, None) => {}
        }
        if one.is_some() {
            ours.next();
        }
        if other.is_some() {
            theirs.next();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use protocol::digest::{Digest, Digester, Digests, Headers, Key};

    use super::contrast;
    use crate::place::{Basis, Kind, Name};

    type Response<'a> = (u32, &'a [(&'a str, &'a str)], &'a str);

    fn digest(shared: &Arc<Digests>, (status, headers, body): Response<'_>) -> Digest {
        let mut digester = Digester::new(shared);
        let headers = headers.iter();
        digester.on_head(
            status,
            headers.map(|(name, value)| (name.as_bytes(), value.as_bytes())),
        );
        digester.on_body(body.as_bytes());
        digester.end()
    }

    /// The places, as text, and the basis.
    fn places(online: Response<'_>, other: Option<Response<'_>>) -> (Vec<String>, Basis, bool) {
        let shared = Arc::new(Digests::new(Key { k0: 1, k1: 2 }, Headers::default()));
        let (online, other) = (
            digest(&shared, online),
            other.map(|other| digest(&shared, other)),
        );
        let mut places = Vec::new();
        let compared = contrast(&online, other.as_ref(), |place, _| {
            places.push(match place.name {
                Name::Whole => format!("{:?}", place.kind),
                Name::Header(name) => format!("{:?} {}", place.kind, shared.headers().name(name)),
                Name::Field(path) => format!("{:?} {}", place.kind, shared.paths().text(path)),
            });
        });
        places.sort();
        (places, compared.basis, compared.is_hidden)
    }

    const JSON: (&str, &str) = ("content-type", "application/json");

    #[test]
    fn what_follows_from_something_else_is_not_told() {
        let json = |body| (200, &[JSON][..], body);
        let text = |body| (200, &[("content-type", "text/plain")][..], body);
        for (online, other, expected, basis) in [
            (json("{}"), None, &["NoResponse"][..], Basis::All),
            (
                json("{}"),
                Some((500, &[][..], "")),
                &["Status"],
                Basis::All,
            ),
            (
                json("{\"a\":1}"),
                Some(json("{\"a\":1}")),
                &[],
                Basis::Fields,
            ),
            (
                json("{\"a\":1}"),
                Some(json("{\"a\":12}")),
                &["Value .a"],
                Basis::Fields,
            ),
            (
                json("{\"a\":1}"),
                Some(json("{ \"a\":1}")),
                &["Form"],
                Basis::Fields,
            ),
            (
                json("[1,2]"),
                Some(json("[2,1]")),
                &["Order .[]"],
                Basis::Fields,
            ),
            (
                json("{\"a\":1,\"c\":0}"),
                Some(json("{\"b\":1,\"c\":0}")),
                &["Added .b", "Missing .a"],
                Basis::Fields,
            ),
            (text("a"), Some(text("a")), &[], Basis::Whole),
            (text("a"), Some(text("b")), &["Body"], Basis::Whole),
            (text("a"), Some(text("bb")), &["Length"], Basis::Whole),
            (
                json("1"),
                Some(text("1")),
                &["Header content-type"],
                Basis::Whole,
            ),
            (json("1"), Some(json("x")), &["Body"], Basis::Whole),
            (
                text("a"),
                Some((200, &[][..], "a")),
                &["Header content-type"],
                Basis::Whole,
            ),
        ] {
            let found = places(online, other);
            assert_eq!(
                found,
                (
                    expected.iter().map(|s| (*s).to_owned()).collect(),
                    basis,
                    false
                ),
                "{online:?}, {other:?}"
            );
        }
    }

    #[test]
    fn a_hidden_body_is_compared_with_a_hidden_one_alone() {
        let coded = |body| (200, &[("content-encoding", "br")][..], body);
        let found = places(coded("a"), Some((200, &[], "b")));
        assert_eq!(
            found,
            (
                vec!["Header content-encoding".to_owned()],
                Basis::SameStatus,
                true
            )
        );
        assert_eq!(places(coded("a"), Some(coded("b"))).0, ["Body"]);
    }

    #[test]
    fn every_kind_has_its_basis() {
        for kind in Kind::ALL {
            assert_eq!(
                kind.is_of_values(),
                !matches!(
                    kind,
                    Kind::Missing | Kind::Added | Kind::Status | Kind::NoResponse
                )
            );
            let _ = kind.basis();
        }
    }
}
