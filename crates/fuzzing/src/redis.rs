//! The module of Redis against anything. The first byte chooses what the rule asks for, the second how the stream is cut; the stream is taken
//! for a client's and for a server's.

use protocol::Step;
use protocol::expect::{AwaitedRedis, Subscription};
use protocol::redis::commands;
use protocol::redis::login::Login;
use protocol::{Account, Choice, Expect, Module, Protocol};

use crate::modules::{answer, copied, parts};

/// In the first byte: only what is known to be safe is copied.
const READ_ONLY: u8 = 0x01;
/// In the first byte: there is a filter of keys.
const KEYS: u8 = 0x02;
/// In the first byte: there is a filter of commands.
const COMMANDS: u8 = 0x04;
/// In the first byte: a rule's account takes the place of the client's.
const LOGIN: u8 = 0x08;
/// In the first byte: what the flow speaks is found by its first bytes.
const FOUND: u8 = 0x10;
/// The password that may not be said again.
const PASSWORD: &str = "S3CRET-PASSWORD";

/// Feeds one input to both readers.
///
/// # Panics
///
/// Where a reader panics, tells something else of other pieces, holds too much, or lets pass what may write.
pub fn run(data: &[u8]) {
    let [shape, cut, stream @ ..] = data else {
        return;
    };
    let piece = usize::from(*cut) + 1;
    let module = module(*shape);
    let told = parts(&module, stream, piece);
    if module.read_only {
        assert_safe(&copied(&told));
    }
    let expected: Vec<Expect> = (0..cut % 16)
        .map(|number| {
            Expect::Redis(match (shape >> (number % 8)) & 3 {
                0 | 1 => AwaitedRedis::Reply,
                2 if number % 2 == 0 => AwaitedRedis::Confirmations(u32::from(number)),
                2 => AwaitedRedis::UntilNone(Subscription::Channels),
                _ => AwaitedRedis::Reset,
            })
        })
        .collect();
    answer(Protocol::Redis, &expected, stream, piece);
    log_in(stream, piece);
}

fn account() -> Account {
    Account::new(Some("user".to_owned()), PASSWORD.to_owned(), 3)
}

fn module(shape: u8) -> Module {
    let mut module = Module {
        read_only: shape & READ_ONLY != 0,
        ..Module::default()
    };
    if shape & FOUND == 0 {
        module.choice = Choice::Is(Protocol::Redis);
    }
    if shape & KEYS != 0 {
        module.only = vec!["key=user:*,a*".parse().expect("a filter")];
    }
    if shape & COMMANDS != 0 {
        module.except = vec!["command=config,set,client|kill".parse().expect("a filter")];
    }
    if shape & LOGIN != 0 {
        module.redis_login = Some(account());
    }
    module
}

/// A target that says this to a login.
fn log_in(stream: &[u8], piece: usize) {
    let mut login = Login::new(account());
    login.start();
    for bytes in stream.chunks(piece) {
        match login.push(bytes) {
            Step::Failed(words) => {
                assert!(!words.contains(PASSWORD) && words.len() < 200, "{words}");
                return;
            }
            Step::Done(_) => return,
            Step::Wait | Step::Send(_) => {}
        }
    }
}

/// Reads what was copied in another way than the module does: a stream that is whole, whose last command may be incomplete.
fn assert_safe(mut stream: &[u8]) {
    while !stream.is_empty() {
        let words;
        (words, stream) = if stream[0] == b'*' {
            array(stream)
        } else {
            let end = stream.iter().position(|byte| *byte == b'\n');
            let (line, rest) = stream.split_at(end.expect("a line is copied whole") + 1);
            let line = String::from_utf8_lossy(line).into_owned();
            (line.split_whitespace().map(str::to_owned).collect(), rest)
        };
        let name = words
            .first()
            .expect("a name is copied whole")
            .to_ascii_lowercase();
        let second = words.get(1).map(|word| word.to_ascii_lowercase());
        let is_safe = commands::find(&name).is_safe
            || second.is_some_and(|second| commands::find(&format!("{name}|{second}")).is_safe);
        assert!(is_safe, "{words:?}");
    }
}

/// The words of an array as far as they are there, and what is behind it.
fn array(stream: &[u8]) -> (Vec<String>, &[u8]) {
    let (mut words, mut left) = (Vec::new(), None);
    let mut rest = stream;
    while left != Some(0) {
        let Some((number, behind)) = number(rest) else {
            return (words, &[]);
        };
        rest = behind;
        let Some(left) = &mut left else {
            left = Some(number);
            continue;
        };
        let Some(word) = behind.get(..number) else {
            return (words, &[]);
        };
        words.push(String::from_utf8_lossy(word).into_owned());
        rest = behind.get(number + 2..).unwrap_or_default();
        *left -= 1;
    }
    (words, rest)
}

/// The number behind a sign, and what is behind its line.
fn number(stream: &[u8]) -> Option<(usize, &[u8])> {
    let end = stream.iter().position(|byte| *byte == b'\r')?;
    let digits = core::str::from_utf8(stream.get(1..end)?).ok()?;
    Some((digits.parse().ok()?, stream.get(end + 2..)?))
}
