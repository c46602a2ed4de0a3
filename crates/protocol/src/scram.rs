//! SCRAM-SHA-256 (RFC 5802, RFC 7677), as PostgreSQL has it: without channel binding, since there is no TLS.
//!
//! A client needs two keys, which follow from its password and from the server's salt and count. The server keeps neither the password nor
//! the client's key, but a hash of that: its *verifier*. A client's proof is its key, disguised by what the verifier and the dialogue
//! make known. So whoever has the verifier and has seen a client log in knows the client's key, and can log in wherever the verifier is the same, as
//! pgbouncer does.

use core::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac as _};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

/// Longest message of a client that is held, in bytes.
pub const CLIENT_LEN_MAX: usize = 1024;
/// Longest message of a server that is held, in bytes.
pub const SERVER_LEN_MAX: usize = 1024;
/// Most rounds of the hash that a target may ask for; a password is not hashed for one that asks for more. PostgreSQL's own is 4096, and
/// each thousand takes a third of a millisecond.
pub const ITERATIONS_MAX: u32 = 200_000;

/// The name of the mechanism.
pub(crate) const MECHANISM: &[u8] = b"SCRAM-SHA-256";
/// `n,,` in base 64: no channel binding (RFC 5802, section 7).
const WITHOUT_BINDING: &str = "biws";
const HEADER: &str = "n,,";
/// A key, or what is made of one.
type Key = Zeroizing<[u8; 32]>;

/// What a server keeps of a password.
#[derive(Clone, PartialEq, Eq)]
pub struct Verifier {
    iterations: u32,
    salt: Vec<u8>,
    stored_key: [u8; 32],
    server_key: [u8; 32],
}

impl Verifier {
    /// Out of `pg_authid`: `SCRAM-SHA-256$4096:salt$StoredKey:ServerKey`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (count, keys) = text.strip_prefix("SCRAM-SHA-256$")?.split_once('$')?;
        let (iterations, salt) = count.split_once(':')?;
        let (stored_key, server_key) = keys.split_once(':')?;
        Some(Self {
            iterations: iterations
                .parse()
                .ok()
                .filter(|iterations| *iterations > 0)?,
            salt: STANDARD.decode(salt).ok().filter(|salt| !salt.is_empty())?,
            stored_key: STANDARD.decode(stored_key).ok()?.try_into().ok()?,
            server_key: STANDARD.decode(server_key).ok()?.try_into().ok()?,
        })
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier").finish_non_exhaustive()
    }
}

/// What logs in at a server that has the salt and count that belong to it.
#[derive(Clone, PartialEq, Eq)]
pub struct Keys {
    iterations: u32,
    salt: Vec<u8>,
    client_key: Key,
    server_key: Key,
}

impl Keys {
    /// From a password.
    fn of(password: &str, salt: &[u8], iterations: u32) -> Self {
        // What cannot be prepared is taken as it is (PostgreSQL, scram-common.c).
        let prepared =
            stringprep::saslprep(password).map(|prepared| Zeroizing::new(prepared.into_owned()));
        let password = prepared
            .as_ref()
            .map_or(password, |prepared| prepared.as_str());
        let mut salted = Zeroizing::new([0; 32]);
        // An HMAC takes a key of any length.
        let _ = pbkdf2::pbkdf2::<Hmac<Sha256>>(password.as_bytes(), salt, iterations, &mut *salted);
        Self {
            iterations,
            salt: salt.to_vec(),
            client_key: hmac(&*salted, b"Client Key"),
            server_key: hmac(&*salted, b"Server Key"),
        }
    }

    /// From what a server keeps, and what a client has shown it. Nothing where they do not belong together.
    #[must_use]
    pub fn learn(verifier: &Verifier, exchange: &Exchange) -> Option<Self> {
        let mut client_key = hmac(&verifier.stored_key, &exchange.auth_message());
        xor(&mut client_key, &exchange.proof);
        let stored_key: [u8; 32] = Sha256::digest(*client_key).into();
        bool::from(stored_key.ct_eq(&verifier.stored_key)).then(|| Self {
            iterations: verifier.iterations,
            salt: verifier.salt.clone(),
            client_key,
            server_key: Zeroizing::new(verifier.server_key),
        })
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").finish_non_exhaustive()
    }
}

/// What a client and its server have said to each other. It is worth nothing without the server's verifier.
#[derive(Clone, PartialEq, Eq)]
pub struct Exchange {
    client_first_bare: Vec<u8>,
    server_first: Vec<u8>,
    client_final_bare: Vec<u8>,
    proof: [u8; 32],
}

impl Exchange {
    fn auth_message(&self) -> Vec<u8> {
        [
            &self.client_first_bare[..],
            &self.server_first,
            &self.client_final_bare,
        ]
        .join(&b","[..])
    }
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange").finish_non_exhaustive()
    }
}

/// Watches a client and its server, which may speak something else.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    client_first_bare: Option<Vec<u8>>,
    server_first: Option<Vec<u8>>,
    exchange: Option<Exchange>,
}

impl Watch {
    /// The body of a message of the client that may be a part of the dialogue: it may be a password as well, of which nothing is kept.
    pub(crate) fn client_says(&mut self, body: &[u8]) {
        match (&self.client_first_bare, &self.server_first) {
            (None, _) => self.client_first_bare = client_first_bare(body).map(<[u8]>::to_vec),
            (Some(client_first_bare), Some(server_first)) if self.exchange.is_none() => {
                self.exchange = client_final(body).map(|(bare, proof)| Exchange {
                    client_first_bare: client_first_bare.clone(),
                    server_first: server_first.clone(),
                    client_final_bare: bare.to_vec(),
                    proof,
                });
            }
            _ => {}
        }
    }

    /// What the server asks for once the client has begun.
    pub(crate) fn server_says(&mut self, data: &[u8]) {
        if self.server_first.is_none() && data.len() <= SERVER_LEN_MAX {
            self.server_first = Some(data.to_vec());
        }
    }

    pub(crate) fn into_exchange(self) -> Option<Exchange> {
        self.exchange
    }
}

/// Out of a `SASLInitialResponse`: the mechanism, a length, and the client's first message, without its header of channel binding.
fn client_first_bare(body: &[u8]) -> Option<&[u8]> {
    let rest = body.strip_prefix(MECHANISM)?.strip_prefix(b"\0")?;
    let first = rest.get(4..)?;
    first
        .strip_prefix(b"n,,")
        .or_else(|| first.strip_prefix(b"y,,"))
}

/// The client's last message: what stands before its proof, and the proof.
fn client_final(body: &[u8]) -> Option<(&[u8], [u8; 32])> {
    let at = body.windows(3).rposition(|window| window == b",p=")?;
    let proof = STANDARD.decode(&body[at + 3..]).ok()?;
    Some((&body[..at], proof.try_into().ok()?))
}

/// A client's side of the dialogue.
#[derive(Debug)]
pub(crate) struct Client {
    nonce: String,
    keys: Option<Keys>,
    /// What the server has to prove at the end.
    signature: Option<Key>,
}

/// Where the keys of a login come from.
pub(crate) enum Source<'a> {
    Password(&'a str),
    Verifier(&'a Verifier, Option<&'a Exchange>),
    /// Only what was learned before.
    Nothing,
}

impl Client {
    /// With a nonce out of these bytes, which nobody may know beforehand.
    pub(crate) fn new(random: &[u8; 18]) -> Self {
        Self {
            nonce: STANDARD.encode(random),
            keys: None,
            signature: None,
        }
    }

    fn first_bare(&self) -> String {
        // The user is that of the startup packet: PostgreSQL does not read the one here, as its own clients leave it out.
        format!("n=,r={}", self.nonce)
    }

    /// The first message.
    pub(crate) fn first(&self) -> String {
        format!("{HEADER}{}", self.first_bare())
    }

    /// The last message, upon the server's first.
    pub(crate) fn last(
        &mut self,
        server_first: &[u8],
        learned: Option<&Keys>,
        source: &Source<'_>,
    ) -> Result<String, String> {
        let asked = Asked::parse(server_first, &self.nonce)
            .ok_or("what the target asks for by SCRAM-SHA-256 cannot be read")?;
        let is_for = |keys: &&Keys| keys.iterations == asked.iterations && keys.salt == asked.salt;
        let keys = match learned.filter(is_for) {
            Some(keys) => keys.clone(),
            None => asked.keys(source)?,
        };
        let bare = format!("c={WITHOUT_BINDING},r={}", asked.nonce);
        let message = [self.first_bare().as_bytes(), server_first, bare.as_bytes()].join(&b","[..]);
        let stored_key = Sha256::digest(*keys.client_key);
        let mut proof = hmac(&stored_key, &message);
        xor(&mut proof, &keys.client_key);
        self.signature = Some(hmac(&*keys.server_key, &message));
        self.keys = Some(keys);
        Ok(format!("{bare},p={}", STANDARD.encode(*proof)))
    }

    /// Whether the server has proven by its last message that it knows the password's verifier.
    pub(crate) fn is_proven(&self, server_final: &[u8]) -> bool {
        let signature = server_final
            .strip_prefix(b"v=")
            .and_then(|signature| STANDARD.decode(signature).ok());
        match (&self.signature, signature) {
            (Some(own), Some(theirs)) => bool::from(own[..].ct_eq(&theirs)),
            _ => false,
        }
    }

    /// What the next login of the user may use.
    pub(crate) fn into_keys(self) -> Option<Keys> {
        self.keys
    }
}

/// A server's first message.
struct Asked<'a> {
    nonce: &'a str,
    salt: Vec<u8>,
    iterations: u32,
}

impl<'a> Asked<'a> {
    fn parse(message: &'a [u8], own: &str) -> Option<Self> {
        let mut fields = core::str::from_utf8(message).ok()?.split(',');
        let nonce = fields.next()?.strip_prefix("r=")?;
        let salt = STANDARD.decode(fields.next()?.strip_prefix("s=")?).ok()?;
        let iterations = fields.next()?.strip_prefix("i=")?.parse().ok()?;
        let is_longer = nonce.len() > own.len() && nonce.starts_with(own);
        (is_longer && !salt.is_empty() && iterations > 0).then_some(Self {
            nonce,
            salt,
            iterations,
        })
    }

    fn keys(&self, source: &Source<'_>) -> Result<Keys, String> {
        match *source {
            Source::Password(_) if self.iterations > ITERATIONS_MAX => Err(format!(
                "the target asks for {} rounds of hashing of a password, and more than {ITERATIONS_MAX} are not done",
                self.iterations
            )),
            Source::Password(password) => Ok(Keys::of(password, &self.salt, self.iterations)),
            Source::Verifier(verifier, _) if verifier.salt != self.salt || verifier.iterations != self.iterations => {
                Err("the target keeps another verifier of the password than --login has: take that of pg_authid over to the target as it is".to_owned())
            }
            Source::Verifier(verifier, Some(exchange)) => Keys::learn(verifier, exchange).ok_or_else(|| {
                "what the client has shown the online server does not belong to the verifier of --login: it is that of another password".to_owned()
            }),
            Source::Verifier(_, None) => Err(
                "--login has a verifier of the password, and the client was not seen to log in by SCRAM-SHA-256 at the online server, from which its key would be known".to_owned(),
            ),
            Source::Nothing => Err("the target asks for a password, and --login has none of this user".to_owned()),
        }
    }
}

fn hmac(key: &[u8], message: &[u8]) -> Key {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else {
        unreachable!("an HMAC takes a key of any length");
    };
    mac.update(message);
    Zeroizing::new(mac.finalize().into_bytes().into())
}

fn xor(onto: &mut [u8; 32], what: &[u8; 32]) {
    for (onto, what) in onto.iter_mut().zip(what) {
        *onto ^= what;
    }
}

#[cfg(test)]
mod tests;
