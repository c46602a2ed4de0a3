//! A session's own login.

use md5::{Digest as _, Md5};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::startup::string;
use crate::credentials::{Credentials, Secret};
use crate::opening::{CancelKey, PostgresOpening};
use crate::scram::{self, Client, Exchange, Keys};
use crate::step::{HELD_LEN_MAX, Opened, Step, told};

/// What a session of ours has its transactions be, whatever its client has.
const READ_ONLY: (&[u8], &[u8]) = (b"default_transaction_read_only", b"on");

/// A login under way.
#[derive(Debug)]
pub(crate) struct Login {
    startup: Vec<u8>,
    user: String,
    secret: Option<Secret>,
    learned: Option<Keys>,
    exchange: Option<Exchange>,
    random: [u8; 18],
    state: State,
    held: Vec<u8>,
    opened: Opened,
}

#[derive(Debug)]
enum State {
    /// The target decides how the user is known.
    Asked,
    /// SCRAM has begun.
    First(Client),
    /// We have proven that we know the password; the target has not yet.
    Last(Client),
    /// What was asked for is proven.
    Proven,
    /// The user is let in.
    In,
    Over,
}

impl Login {
    pub(crate) fn new(
        opening: &PostgresOpening,
        credentials: &Credentials,
        seed: &[u8; 32],
        read_only: bool,
    ) -> Self {
        let user = opening.user();
        let mut random = [0; 18];
        let hashed = Sha256::digest([&seed[..], b"postgres"].concat());
        random.copy_from_slice(&hashed[..18]);
        Self {
            startup: startup(opening, read_only),
            secret: credentials.of(&user).cloned(),
            learned: credentials.learned(&user).cloned(),
            exchange: opening.exchange.clone(),
            user,
            random,
            state: State::Asked,
            held: Vec::new(),
            opened: Opened::default(),
        }
    }

    pub(crate) fn start(&mut self) -> Vec<u8> {
        core::mem::take(&mut self.startup)
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) -> Step {
        if self.held.len() + bytes.len() > HELD_LEN_MAX {
            return self.fail("it says more than a login needs");
        }
        self.held.extend_from_slice(bytes);
        loop {
            let (kind, body) = match message(&self.held) {
                Ok(Some(whole)) => whole,
                Ok(None) => return Step::Wait,
                Err(()) => return self.fail("it does not speak PostgreSQL's protocol"),
            };
            let body = body.to_vec();
            self.held.drain(..5 + body.len());
            match self.heard(kind, &body) {
                Ok(None) => {}
                Ok(Some(step)) => return step,
                Err(why) => return self.fail(&why),
            }
        }
    }

    fn fail(&mut self, why: &str) -> Step {
        self.state = State::Over;
        self.held.clear();
        Step::Failed(format!("login of {:?} at the target: {why}", self.user))
    }

    fn heard(&mut self, kind: u8, body: &[u8]) -> Result<Option<Step>, String> {
        match (kind, &self.state) {
            (_, State::Over) => Err("it is over".to_owned()),
            (b'R', _) => self.asked(body),
            (b'E', _) => Err(refusal(body)),
            (b'K', State::In) => {
                self.opened.cancel_key = CancelKey::parse(body);
                Ok(None)
            }
            (b'Z', State::In) => {
                self.state = State::Over;
                let mut opened = core::mem::take(&mut self.opened);
                opened.rest = core::mem::take(&mut self.held);
                Ok(Some(Step::Done(Box::new(opened))))
            }
            (b'N' | b'S' | b'v', _) => Ok(None),
            _ => Err("it does not follow PostgreSQL's protocol".to_owned()),
        }
    }

    /// The target asks for something, or needs nothing more.
    fn asked(&mut self, body: &[u8]) -> Result<Option<Step>, String> {
        let (code, data) = body
            .split_first_chunk::<4>()
            .ok_or("what it asks for cannot be read")?;
        let state = core::mem::replace(&mut self.state, State::Over);
        let (state, answer) = match (u32::from_be_bytes(*code), state) {
            (0, State::Asked | State::Proven) => (State::In, None),
            (3, State::Asked) => (State::Proven, Some(self.password()?)),
            (5, State::Asked) => (State::Proven, Some(self.md5(data)?)),
            (10, State::Asked) => {
                let client = Client::new(&self.random);
                let first = first_of(&client, data)?;
                (State::First(client), Some(first))
            }
            (11, State::First(mut client)) => {
                let last = self.last_of(&mut client, data)?;
                (State::Last(client), Some(last))
            }
            (12, State::Last(client)) => {
                if !client.is_proven(data) {
                    return Err("it does not know the password itself".to_owned());
                }
                self.opened.keys = client.into_keys();
                (State::Proven, None)
            }
            (code @ (2 | 7 | 9), State::Asked) => {
                return Err(format!(
                    "it asks for a login by way {code} of the protocol (Kerberos, GSSAPI, SSPI), which cannot be copied"
                ));
            }
            (code, _) => return Err(format!("it asks for something unexpected ({code})")),
        };
        self.state = state;
        Ok(answer.map(|body| Step::Send(answer_of(&body))))
    }

    fn password(&self) -> Result<Zeroizing<Vec<u8>>, String> {
        match &self.secret {
            Some(Secret::Password(password)) => {
                Ok(Zeroizing::new([password.as_bytes(), b"\0"].concat()))
            }
            Some(_) => Err(
                "it asks for the password itself, and --login has only what is kept of it"
                    .to_owned(),
            ),
            None => Err(nothing()),
        }
    }

    /// `md5`, and the hash of the hash of password and user, and of the target's salt.
    fn md5(&self, salt: &[u8]) -> Result<Zeroizing<Vec<u8>>, String> {
        let salt = salt
            .first_chunk::<4>()
            .ok_or("what it asks for by md5 cannot be read")?;
        let inner = match &self.secret {
            Some(Secret::Password(password)) => hex(&[password.as_bytes(), self.user.as_bytes()]),
            Some(Secret::Md5(hash)) => hash.clone(),
            Some(Secret::Verifier(_)) => {
                return Err(
                    "it asks for md5, and --login has a verifier of SCRAM-SHA-256".to_owned(),
                );
            }
            None => return Err(nothing()),
        };
        let outer = hex(&[inner.as_bytes(), salt]);
        Ok(Zeroizing::new([b"md5", outer.as_bytes(), b"\0"].concat()))
    }

    fn last_of(&self, client: &mut Client, data: &[u8]) -> Result<Zeroizing<Vec<u8>>, String> {
        let source = match &self.secret {
            Some(Secret::Password(password)) => scram::Source::Password(password),
            Some(Secret::Verifier(verifier)) => {
                scram::Source::Verifier(verifier, self.exchange.as_ref())
            }
            Some(Secret::Md5(_)) => {
                return Err("it asks for SCRAM-SHA-256, and --login has a hash of md5".to_owned());
            }
            None => scram::Source::Nothing,
        };
        let last = client.last(data, self.learned.as_ref(), &source)?;
        Ok(Zeroizing::new(last.into_bytes()))
    }
}

fn nothing() -> String {
    "it asks for a password, and --login has none of this user".to_owned()
}

/// The first message of SCRAM, where the target has the mechanism.
fn first_of(client: &Client, mechanisms: &[u8]) -> Result<Zeroizing<Vec<u8>>, String> {
    let mut left = mechanisms;
    let mut named = core::iter::from_fn(|| string(&mut left).filter(|name| !name.is_empty()));
    if !named.any(|name| name == scram::MECHANISM) {
        return Err("it asks for a mechanism of SASL other than SCRAM-SHA-256".to_owned());
    }
    let first = client.first();
    let len = u32::try_from(first.len()).unwrap_or(u32::MAX);
    Ok(Zeroizing::new(
        [
            scram::MECHANISM,
            b"\0",
            &len.to_be_bytes(),
            first.as_bytes(),
        ]
        .concat(),
    ))
}

/// A `p` of the protocol.
fn answer_of(body: &[u8]) -> Vec<u8> {
    let len = u32::try_from(4 + body.len()).unwrap_or(u32::MAX);
    [b"p", &len.to_be_bytes()[..], body].concat()
}

fn hex(parts: &[&[u8]]) -> Zeroizing<String> {
    let mut hash = Md5::new();
    for part in parts {
        hash.update(part);
    }
    let mut hex = Zeroizing::new(String::with_capacity(32));
    for byte in hash.finalize() {
        for digit in [byte >> 4, byte & 15] {
            hex.extend(char::from_digit(u32::from(digit), 16));
        }
    }
    hex
}

/// The client's startup packet, as it is for the target.
fn startup(opening: &PostgresOpening, read_only: bool) -> Vec<u8> {
    let user = (&b"user"[..], opening.user.as_slice());
    let theirs = opening
        .parameters
        .iter()
        .map(|(name, value)| (name.as_slice(), value.as_slice()));
    let theirs = theirs.filter(|(name, _)| !(read_only && name.eq_ignore_ascii_case(READ_ONLY.0)));
    // The last word counts, also against one in `options`.
    let ours = read_only.then_some(READ_ONLY);
    let mut body = opening.version.to_be_bytes().to_vec();
    for (name, value) in core::iter::once(user).chain(theirs).chain(ours) {
        for word in [name, value] {
            body.extend_from_slice(word);
            body.push(0);
        }
    }
    body.push(0);
    let len = u32::try_from(4 + body.len()).unwrap_or(u32::MAX);
    [&len.to_be_bytes()[..], &body].concat()
}

/// The first message, if it is whole: its kind and its body.
fn message(held: &[u8]) -> Result<Option<(u8, &[u8])>, ()> {
    let Some(([kind, length @ ..], rest)) = held.split_first_chunk::<5>() else {
        return Ok(None);
    };
    let len = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| ())?;
    if !(4..=HELD_LEN_MAX).contains(&len) {
        return Err(());
    }
    Ok(rest.get(..len - 4).map(|body| (*kind, body)))
}

/// What an `ErrorResponse` says: its SQLSTATE and its message.
fn refusal(body: &[u8]) -> String {
    let field = |wanted: u8| {
        let mut left = body;
        core::iter::from_fn(|| string(&mut left))
            .take_while(|field| !field.is_empty())
            .find_map(|field| field.split_first().filter(|(kind, _)| **kind == wanted))
            .map(|(_, text)| told(text))
            .unwrap_or_default()
    };
    format!("refused, {} {}", field(b'C'), field(b'M'))
}

#[cfg(test)]
mod tests;
