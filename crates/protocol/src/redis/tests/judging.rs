//! The write valve and filters.

use super::{REPLY, Told, command, copied, module, parts};
use crate::module::{Misfit, Module};
use crate::redis::array;

fn read_only() -> Module {
    Module {
        read_only: true,
        ..module()
    }
}

fn with(only: &[&str], except: &[&str]) -> Module {
    let all = |filters: &[&str]| {
        filters
            .iter()
            .map(|filter| filter.parse().expect(filter))
            .collect()
    };
    Module {
        only: all(only),
        except: all(except),
        ..module()
    }
}

fn is_copied(module: &Module, words: &str) -> bool {
    let (one, mark) = (command(words), command("GET user:mark"));
    let copied = copied(module, &[one.as_slice(), &mark].concat());
    let behind = copied.strip_suffix(mark.as_slice()).unwrap_or(&copied);
    assert!(behind.is_empty() || behind == one);
    !behind.is_empty()
}

#[test]
fn the_write_valve_lets_pass_what_is_known_to_read() {
    for safe in [
        "GET a",
        "get a",
        "MGET a b",
        "EVAL_RO return 0",
        "AUTH x",
        "HELLO 3",
        "SELECT 5",
        "MULTI",
        "EXEC",
        "WATCH",
        "CLIENT REPLY ON",
        "CLIENT SETINFO LIB-NAME x",
        "COMMAND",
        "COMMAND DOCS",
        "XINFO STREAM a",
        "SUBSCRIBE a",
        "PING",
    ] {
        assert!(is_copied(&read_only(), safe), "{safe}");
    }
    for other in [
        "SET a b",
        "EVAL x 0",
        "nosuch",
        "CONFIG SET a b",
        "CONFIG",
        "CLIENT",
        "CLIENT KILL a",
        "PUBLISH a b",
        "FLUSHALL",
        "XINFO",
        "GETDEL a",
        "SHUTDOWN",
        "DEBUG SLEEP 1",
        "XINFO NOSUCH a",
    ] {
        assert!(!is_copied(&read_only(), other), "{other}");
    }
    let get = command("GET a");
    for inline in [
        "SET a b\r\n",
        "\"GET\" a\r\n",
        "GET \"a\"\r\n",
        "nosuch\r\n",
    ] {
        let stream = [inline.as_bytes(), &get].concat();
        assert_eq!(copied(&read_only(), &stream), get, "{inline:?}");
    }
    assert_eq!(copied(&read_only(), b"GET a\r\n"), b"GET a\r\n");
    let long = array([vec![b'g'; 100_000].as_slice(), b"a"]);
    assert_eq!(copied(&read_only(), &long), b"");
    // Nothing behind a fault can be judged.
    let stream = [get.as_slice(), b"*1\r\n!", &get].concat();
    assert_eq!(copied(&read_only(), &stream), get);
    let stream = [get.as_slice(), &command("MONITOR"), &get].concat();
    assert_eq!(copied(&read_only(), &stream), get);
}

#[test]
fn what_is_not_copied_is_told_without_bytes() {
    let told = parts(&read_only(), [command("SET a b").as_slice()]);
    let begin = Told::Begin {
        copied: false,
        expect: REPLY,
    };
    assert_eq!(told, [begin, Told::End]);
}

#[test]
fn filters() {
    for (filter, words, is_like) in [
        ("command=GET", "get a", true),
        ("command=get,SET", "SET a b", true),
        ("command=GET", "SET a b", false),
        ("command=config", "CONFIG GET a", true),
        ("command=CONFIG|GET", "config get a", true),
        ("command=config|get", "CONFIG SET a b", false),
        ("key=user:*", "GET user:1", true),
        ("key=user:*", "GET other", false),
        ("key=user:*", "MGET user:1 other", true),
        ("key=user:*", "EVAL script 1 user:1", true),
        ("key=user:*", "OBJECT ENCODING user:1", true),
        ("key=user:*", "PING", false),
        ("key=user:*", "GET", false),
        ("command=SET key=user:*", "SET user:1 x", true),
        ("command=SET key=user:*", "GET user:1", false),
    ] {
        let (only, except) = (with(&[filter], &[]), with(&[], &[filter]));
        assert_eq!(is_copied(&only, words), is_like, "{filter} {words}");
        assert_eq!(is_copied(&except, words), !is_like, "{filter} {words}");
    }
}

#[test]
fn what_is_about_the_connection_is_copied_unless_it_is_named() {
    for words in [
        "AUTH x",
        "SELECT 1",
        "MULTI",
        "EXEC",
        "HELLO 3",
        "CLIENT REPLY ON",
    ] {
        assert!(is_copied(&with(&["command=GET"], &[]), words), "{words}");
        assert!(
            is_copied(&with(&["key=user:*"], &["key=a"]), words),
            "{words}"
        );
        let named = format!("command={}", words.split(' ').next().unwrap_or_default());
        assert!(!is_copied(&with(&[], &[&named]), words), "{words}");
    }
}

#[test]
fn a_key_that_is_not_known_is_not_let_pass() {
    for module in [with(&["key=*"], &[]), with(&[], &["key=secret:*"])] {
        for words in ["XREAD STREAMS secret:1 0", "nosuch secret:1"] {
            assert!(!is_copied(&module, words), "{words}");
        }
        let long = array([b"GET".as_slice(), &vec![b'k'; 5000]]);
        assert_eq!(copied(&module, &long), b"");
        let far = array([b"EVAL".as_slice(), &vec![b's'; 70_000], b"1", b"k"]);
        assert_eq!(copied(&module, &far), b"");
        let near = array([b"EVAL".as_slice(), &vec![b's'; 60_000], b"1", b"k"]);
        assert_eq!(copied(&module, &near), near);
    }
}

#[test]
fn a_module_says_what_is_blocked() {
    assert!(
        read_only()
            .blocked_words()
            .starts_with("redis: every command but")
    );
    let auto = Module::default().blocked_words();
    assert!(auto.contains("http1: every method but GET") && auto.contains("; redis: "));
}

#[test]
fn a_module_says_what_does_not_fit() {
    assert_eq!(with(&["command=GET"], &["key=a"]).check(), Ok(()));
    let misfit = with(&["path=/a"], &[]).check();
    let words = Misfit::Filter("path=/a".to_owned(), "http1", "redis");
    assert_eq!(misfit, Err(words));
    let mut module = module();
    module.rewriting.mark = "".parse().ok();
    assert_eq!(module.check(), Err(Misfit::Rewriting("redis")));
}
