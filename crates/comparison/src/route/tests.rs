//! What becomes of paths.

use std::collections::BTreeSet;

use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

use super::{NODES_MAX, RouteId, Routes, SPLIT_MAX, path_of};

fn routes() -> Routes {
    Routes::new(Vec::new())
}

fn shown(routes: &mut Routes, target: &str) -> String {
    let route = routes.of(target.as_bytes(), true);
    routes.text(routes.now(route))
}

/// A word that looks like no identifier.
fn word(number: usize) -> String {
    let letter = |n: usize| char::from(b'g' + u8::try_from(n % 17).unwrap());
    (0..5)
        .map(|digit| letter(number / 17_usize.pow(digit)))
        .collect()
}

#[test]
fn identifiers_are_stars_at_once() {
    let mut routes = routes();
    for (target, route) in [
        ("/users/123", "/users/*"),
        ("/users/123/orders?page=2", "/users/*/orders"),
        ("/users/3f2504e0-4f89-11d3-9a0c-0305e82c3301/", "/users/*"),
        ("/", "/"),
        ("", "/"),
        ("*", "/?"),
        ("//a///b", "/a/b"),
        ("http://example.com/a/b?c", "/a/b"),
        ("http://example.com", "/"),
        ("/login;jsessionid=abc/x#y", "/login/x"),
        ("/search/caf%C3%A9", "/search/*"),
        ("/a/b/c/d/e/f/g/h/i/j", "/a/b/c/d/e/f/g/**"),
    ] {
        assert_eq!(shown(&mut routes, target), route, "{target}");
    }
    assert_eq!(path_of(b"/a?u=http://b/c"), b"/a");
    assert_eq!(path_of(b"/a/http://b/c"), b"/a/http://b/c");
}

#[test]
fn templates_come_first() {
    let given = ["/shop/{name}/items/**", "/shop/*"].map(|text| text.parse().unwrap());
    let mut routes = Routes::new(given.to_vec());
    assert_eq!(shown(&mut routes, "/shop/a/items"), "/shop/*/items/**");
    assert_eq!(shown(&mut routes, "/shop/a/items/b/c"), "/shop/*/items/**");
    assert_eq!(shown(&mut routes, "/shop/a?b"), "/shop/*");
    assert_eq!(shown(&mut routes, "/shop"), "/shop");
    let given = routes.of(b"/shop/a", false);
    assert!(routes.is_given(given));
    let learned = routes.of(b"/shop", false);
    assert!(!routes.is_given(learned) && !routes.is_given(RouteId::OTHER));
}

#[test]
fn nothing_is_learned_from_what_was_refused() {
    let mut routes = routes();
    assert_eq!(routes.of(b"/admin", false), RouteId::UNKNOWN);
    let users = routes.of(b"/users/7", true);
    assert_eq!(routes.of(b"/users/8", false), users);
    for number in 0..10 * SPLIT_MAX {
        routes.of(format!("/{}", word(number)).as_bytes(), false);
    }
    assert_eq!(shown(&mut routes, "/users/9"), "/users/*");
    assert_eq!(routes.text(RouteId::UNKNOWN), "(paths that were refused)");
}

#[test]
fn a_place_with_many_segments_is_folded_as_a_whole() {
    let mut routes = routes();
    let first = routes.of(b"/users/alice/orders", true);
    for number in 0..SPLIT_MAX {
        routes.of(format!("/users/{}/orders", word(number)).as_bytes(), true);
    }
    assert_eq!(routes.folds(), 1);
    assert_eq!(routes.text(routes.now(first)), "/users/*/orders");
    assert_eq!(shown(&mut routes, "/users/zora"), "/users/*");
    let folded: Vec<Box<str>> = routes.folded().into_iter().collect();
    assert_eq!(folded, ["/users".into()]);
}

#[test]
fn what_there_is_no_room_for_has_a_route_in_common() {
    let mut routes = routes();
    for one in 0..SPLIT_MAX {
        for other in 0..SPLIT_MAX {
            routes.of(format!("/{}/{}", word(one), word(other)).as_bytes(), true);
        }
    }
    assert!(routes.nodes.len() <= NODES_MAX);
    assert_eq!(routes.of(b"/new/paths", true), RouteId::OTHER);
    assert_eq!(shown(&mut routes, "/new/paths"), "(further paths)");
    assert_ne!(shown(&mut routes, "/gggggg"), "");
}

proptest! {
    #[test]
    fn the_order_of_requests_does_not_matter(seed in any::<u64>(), users in 2_usize..300) {
        let mut targets: Vec<String> = (0..users)
            .flat_map(|user| {
                let user = word(user);
                [format!("/users/{user}"), format!("/users/{user}/orders/{user}"), format!("/{}/x", &user[..1])]
            })
            .collect();
        let learn = |targets: &[String]| {
            let mut routes = routes();
            let ids: Vec<RouteId> = targets.iter().map(|target| routes.of(target.as_bytes(), true)).collect();
            let shown: BTreeSet<String> = ids.into_iter().map(|id| routes.text(routes.now(id))).collect();
            (shown, routes.folded())
        };
        let in_order = learn(&targets);
        let mut random = oorandom::Rand64::new(seed.into());
        for last in (1..targets.len()).rev() {
            targets.swap(last, random.rand_range(0..last as u64 + 1) as usize);
        }
        prop_assert_eq!(in_order, learn(&targets));
    }

    #[test]
    fn any_target_has_a_route(target in proptest::collection::vec(any::<u8>(), 0..200)) {
        let mut routes = routes();
        let route = routes.of(&target, true);
        let text = routes.text(route);
        prop_assert!(text.starts_with('/') && text.bytes().all(|byte| byte.is_ascii_graphic()));
        prop_assert_eq!(routes.of(&target, false), route);
    }
}
