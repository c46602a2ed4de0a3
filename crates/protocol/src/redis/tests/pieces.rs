//! Any stream in any pieces.

use proptest::collection::vec;
use proptest::prelude::{
    Just, ProptestConfig, Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest,
};
use proptest::sample::Index;

use super::{REPLY, Told, command, copied, module, parts, said};
use crate::account::Account;
use crate::expect::{AwaitedRedis, Expect, Subscription};
use crate::module::Module;
use crate::redis::{HELD_MAX, array};
use crate::requests::Requests;

fn commands() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        6 => prop_oneof![
            Just("GET a"), Just("SET user:1 x"), Just("CLIENT REPLY OFF"), Just("CLIENT REPLY SKIP"), Just("CONFIG GET a"),
            Just("EVAL script 1 user:1"), Just("AUTH a b"), Just("HELLO 3 AUTH a b"), Just("MONITOR"), Just("XREAD STREAMS a 0"),
            Just("SUBSCRIBE a b"), Just("OBJECT HELP"),
        ].prop_map(command),
        1 => vec(vec(any::<u8>(), 0..8), 1..4)
            .prop_map(|words| array(words.iter().map(Vec::as_slice).collect::<Vec<_>>())),
        1 => prop_oneof![
            Just("PING\r\n"), Just("SET a b\n"), Just("\r\n"), Just("*0\r\n"), Just("*2\r\n$3\r\nGET\r\n"), Just("GET \"a\"\r\n"),
        ].prop_map(|text| text.as_bytes().to_vec()),
        1 => vec(any::<u8>(), 0..8),
    ]
}

fn values() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        8 => prop_oneof![
            Just("+OK\r\n"), Just("-ERR no\r\n"), Just("$3\r\nabc\r\n"), Just("*2\r\n:1\r\n*1\r\n_\r\n"),
            Just("*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n"), Just(">3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:2\r\n"),
            Just("*3\r\n$11\r\nunsubscribe\r\n$1\r\na\r\n:0\r\n"), Just("*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\nx\r\n"),
            Just("|1\r\n+a\r\n+b\r\n:1\r\n"), Just(">0\r\n"), Just("*0\r\n"), Just("%1\r\n+a\r\n*0\r\n"),
        ].prop_map(|text| text.as_bytes().to_vec()),
        1 => vec(any::<u8>(), 0..8),
    ]
}

fn awaited() -> impl Strategy<Value = Vec<Expect>> {
    let one = prop_oneof![
        4 => Just(REPLY),
        1 => (1..3_u32).prop_map(|channels| Expect::Redis(AwaitedRedis::Confirmations(channels))),
        1 => Just(Expect::Redis(AwaitedRedis::UntilNone(Subscription::Channels))),
        1 => Just(Expect::Redis(AwaitedRedis::Reset)),
    ];
    vec(one, 0..10)
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

fn modules() -> [Module; 5] {
    let filtered = |only: &str| Module {
        only: vec![only.parse().expect("a filter")],
        ..module()
    };
    [
        module(),
        Module {
            read_only: true,
            ..module()
        },
        filtered("key=user:*"),
        filtered("command=get,config"),
        Module {
            redis_login: Some(Account::new(None, "p".to_owned(), 0)),
            ..Module::default()
        },
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn pieces_of_commands_do_not_matter(
        stream in vec(commands(), 0..10).prop_map(|commands| commands.concat()),
        cuts in vec(any::<Index>(), 0..20),
    ) {
        for module in modules() {
            let whole = parts(&module, [&stream[..]]);
            prop_assert_eq!(&parts(&module, cut(&stream, &cuts)), &whole);
            prop_assert_eq!(&parts(&module, stream.chunks(1)), &whole);
        }
    }

    #[test]
    fn pieces_of_replies_do_not_matter(
        stream in vec(values(), 0..10).prop_map(|values| values.concat()),
        awaited in awaited(),
        cuts in vec(any::<Index>(), 0..20),
    ) {
        let whole = said(&awaited, [&stream[..]]);
        prop_assert_eq!(&said(&awaited, cut(&stream, &cuts)), &whole);
        prop_assert_eq!(&said(&awaited, stream.chunks(1)), &whole);
    }

    #[test]
    fn commands_pass_as_they_are(words in vec(vec(vec(any::<u8>(), 0..20), 1..5), 0..5)) {
        let stream: Vec<u8> = words
            .iter()
            .flat_map(|words| array(words.iter().map(Vec::as_slice).collect::<Vec<_>>()))
            .collect();
        prop_assert_eq!(&copied(&module(), &stream), &stream);
        let begun = |told: &&Told| matches!(told, Told::Begin { .. });
        prop_assert_eq!(parts(&module(), [&stream[..]]).iter().filter(begun).count(), words.len());
    }

    #[test]
    fn anything_at_all_is_held_within_limits(
        start in vec(commands(), 0..3).prop_map(|commands| commands.concat()),
        stream in vec(any::<u8>(), 0..200),
        times in 1..1000_usize,
    ) {
        for module in modules() {
            let mut requests = Requests::new(&module);
            requests.push(&module, &start, false, &mut |_| {});
            for _ in 0..times {
                requests.push(&module, &stream, false, &mut |_| {});
                if let Requests::Redis(requests) = &requests {
                    prop_assert!(requests.held_len() <= HELD_MAX + 64);
                }
            }
        }
    }
}
