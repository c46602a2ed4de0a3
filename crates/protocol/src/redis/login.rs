//! Logging in at the target: AUTH and SELECT for a connection that begins in the middle of a flow, and AUTH with the rule's account where the
//! client has sent its own.

use crate::account::Account;
use crate::redis::array;
use crate::step::{Opened, Step};

/// Longest reply to a login, in bytes.
const REPLY_MAX: usize = 4096;

/// The same command with this account in the place of the client's; `None` where the command has none.
pub(super) fn instead_of(command: &[u8], account: &Account) -> Option<Vec<u8>> {
    let mut words = words(command)?;
    let is = |at: usize, name: &str, words: &[&[u8]]| {
        words
            .get(at)
            .is_some_and(|word| word.eq_ignore_ascii_case(name.as_bytes()))
    };
    if is(0, "AUTH", &words) {
        return matches!(words.len(), 2 | 3).then(|| array(account.auth()));
    }
    // HELLO version [AUTH user password] [SETNAME name]
    let mut at = 2;
    while at < words.len() {
        if is(at, "AUTH", &words) && at + 2 < words.len() {
            words[at + 1] = account.user().as_bytes();
            words[at + 2] = account.password();
            return Some(array(words));
        }
        at += if is(at, "SETNAME", &words) { 2 } else { 1 };
    }
    None
}

/// Whether a command may carry a password.
pub(super) fn is_login(name: Option<&str>) -> bool {
    matches!(name, Some("auth" | "hello"))
}

/// The words of a complete command.
fn words(command: &[u8]) -> Option<Vec<&[u8]>> {
    if !command.starts_with(b"*") {
        return words_of_line(command);
    }
    let line = |bytes: &[u8]| bytes.iter().position(|byte| *byte == b'\r');
    let mut rest = &command[line(command)? + 2..];
    let mut words = Vec::new();
    while !rest.is_empty() {
        let end = line(rest)?;
        let len: usize = core::str::from_utf8(rest.get(1..end)?).ok()?.parse().ok()?;
        words.push(rest.get(end + 2..end + 2 + len)?);
        rest = rest.get(end + 2 + len + 2..)?;
    }
    Some(words)
}

/// The words of a command in a line of its own; `None` where some are in quotes.
pub(super) fn words_of_line(line: &[u8]) -> Option<Vec<&[u8]>> {
    if line.iter().any(|byte| matches!(byte, b'"' | b'\'' | b'\\')) {
        return None;
    }
    let words = line.split(u8::is_ascii_whitespace);
    Some(words.filter(|word| !word.is_empty()).collect())
}

/// A login under way.
#[derive(Debug)]
pub struct Login {
    account: Account,
    at: At,
    reply: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Start,
    Auth,
    Authenticated,
    Select,
    Over,
}

impl Login {
    /// A login of this account.
    #[must_use]
    pub fn new(account: Account) -> Self {
        Self {
            account,
            at: At::Start,
            reply: Vec::new(),
        }
    }

    /// What goes to the target first. Without a password the target lets everybody in.
    pub fn start(&mut self) -> Vec<u8> {
        if self.account.password().is_empty() {
            return self.select();
        }
        self.at = At::Auth;
        array(self.account.auth())
    }

    fn select(&mut self) -> Vec<u8> {
        self.at = At::Select;
        let database = self.account.database().to_string();
        array([b"SELECT".as_slice(), database.as_bytes()])
    }

    /// The target has said this.
    pub fn push(&mut self, bytes: &[u8]) -> Step {
        self.reply.extend_from_slice(bytes);
        match self.at {
            At::Start | At::Over => Step::Wait,
            At::Auth | At::Select => self.hear(),
            At::Authenticated => Step::Send(self.select()),
        }
    }

    fn hear(&mut self) -> Step {
        let Some(end) = self.reply.windows(2).position(|two| two == b"\r\n") else {
            if self.reply.len() <= REPLY_MAX {
                return Step::Wait;
            }
            return self.fail("its reply has no end");
        };
        let rest = self.reply.split_off(end + 2);
        let reply = core::mem::replace(&mut self.reply, rest);
        if reply != b"+OK\r\n" {
            return self.fail(&code(&reply));
        }
        if self.at == At::Auth && self.account.database() != 0 {
            self.at = At::Authenticated;
            return self.push(b"");
        }
        self.at = At::Over;
        Step::Done(Box::new(Opened {
            rest: core::mem::take(&mut self.reply),
            ..Opened::default()
        }))
    }

    fn fail(&mut self, why: &str) -> Step {
        let tried = match self.at {
            At::Select => format!("SELECT {}", self.account.database()),
            _ => format!("AUTH as {}", self.account.user()),
        };
        self.at = At::Over;
        Step::Failed(format!("the target has refused {tried}: {why}"))
    }
}

/// The word that an error begins with. What is behind it may repeat what it was given, a password included.
fn code(reply: &[u8]) -> String {
    let word = reply.strip_prefix(b"-").unwrap_or_default();
    let word: Vec<u8> = word
        .iter()
        .copied()
        .take_while(u8::is_ascii_uppercase)
        .take(32)
        .collect();
    match String::from_utf8(word) {
        Ok(word) if !word.is_empty() => word,
        _ => "it does not speak Redis".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::{Account, Login, REPLY_MAX, Step, instead_of};

    fn account(user: Option<&str>, database: u32) -> Account {
        Account::new(user.map(str::to_owned), "s3cret".to_owned(), database)
    }

    const AUTH: &[u8] = b"*3\r\n$4\r\nAUTH\r\n$5\r\nalice\r\n$6\r\ns3cret\r\n";

    #[test]
    fn a_login() {
        let mut login = Login::new(account(Some("alice"), 5));
        assert_eq!(login.start(), AUTH);
        assert!(matches!(login.push(b"+O"), Step::Wait));
        let select = b"*2\r\n$6\r\nSELECT\r\n$1\r\n5\r\n".to_vec();
        assert!(matches!(login.push(b"K\r\n"), Step::Send(said) if said == select));
        assert!(matches!(login.push(b""), Step::Wait));
        let end = login.push(b"+OK\r\n>0\r\n");
        assert!(matches!(end, Step::Done(opened) if opened.rest == b">0\r\n"));
        let mut login = Login::new(account(None, 0));
        assert_eq!(login.start(), b"*2\r\n$4\r\nAUTH\r\n$6\r\ns3cret\r\n");
        let end = login.push(b"+OK\r\n");
        assert!(matches!(end, Step::Done(opened) if opened.rest.is_empty()));
    }

    #[test]
    fn what_fails_is_said_without_secrets() {
        for (reply, words) in [
            ("-WRONGPASS invalid\r\n", "AUTH as alice: WRONGPASS"),
            (
                "-ERR unknown command 'AUTH', with args 's3cret'\r\n",
                "AUTH as alice: ERR",
            ),
            ("-s3cret\r\n", "does not speak Redis"),
            ("HTTP/1.1 400 s3cret\r\n", "does not speak Redis"),
        ] {
            let mut login = Login::new(account(Some("alice"), 5));
            login.start();
            let Step::Failed(said) = login.push(reply.as_bytes()) else {
                panic!("{reply}");
            };
            assert!(said.contains(words) && !said.contains("s3cret"), "{said}");
        }
        let mut login = Login::new(account(None, 5));
        login.start();
        login.push(b"+OK\r\n");
        let Step::Failed(said) = login.push(b"-ERR DB index is out of range\r\n") else {
            panic!("it is refused");
        };
        assert_eq!(said, "the target has refused SELECT 5: ERR");
        let mut login = Login::new(account(None, 5));
        login.start();
        assert!(matches!(
            login.push(&[b'a'; REPLY_MAX + 1]),
            Step::Failed(_)
        ));
        assert!(!format!("{:?}", account(Some("alice"), 1)).contains("s3cret"));
    }

    #[test]
    fn the_account_takes_the_place_of_the_clients() {
        let changed = |command: &str| {
            let changed = instead_of(command.as_bytes(), &account(Some("alice"), 0))?;
            Some(String::from_utf8(changed).expect("text"))
        };
        let auth = String::from_utf8(AUTH.to_vec()).expect("text");
        assert_eq!(
            changed("*2\r\n$4\r\nauth\r\n$1\r\nx\r\n"),
            Some(auth.clone())
        );
        assert_eq!(changed("AUTH bob x\r\n"), Some(auth.clone()));
        assert_eq!(changed("AUTH a b c\r\n"), None);
        assert_eq!(changed("HELLO 3\r\n"), None);
        let hello = changed("HELLO 3 SETNAME auth auth bob x\r\n").expect("it has an account");
        assert!(
            hello.ends_with("$4\r\nauth\r\n$5\r\nalice\r\n$6\r\ns3cret\r\n"),
            "{hello:?}"
        );
        assert!(
            hello.starts_with("*7\r\n$5\r\nHELLO\r\n$1\r\n3\r\n$7\r\nSETNAME\r\n$4\r\nauth\r\n")
        );
        assert_eq!(changed("HELLO 3 SETNAME auth a b\r\n"), None);
    }
}
