//! A session's own login.

use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::fields::Fields;
use super::handshake::{self, Greeting};
use super::packets::packet;
use super::passwords::{self, CACHING, NATIVE, SHA256};
use super::rsa::PublicKey;
use crate::credentials::{Credentials, Secret};
use crate::opening::MysqlOpening;
use crate::step::{HELD_LEN_MAX, Opened, Step, told};

/// What a session of ours says first where nothing may be written.
const READ_ONLY: &[u8] = b"\x03SET SESSION TRANSACTION READ ONLY";

/// The same where the client's connection was joined, and commits nothing by itself.
const NO_AUTOCOMMIT: &[u8] = b"\x03SET autocommit=0";

/// A login under way.
#[derive(Debug)]
pub(crate) struct Login {
    opening: MysqlOpening,
    user: String,
    secret: Option<Secret>,
    seed: [u8; 20],
    read_only: bool,
    state: State,
    /// What the target's proof is made for, and how.
    nonce: Vec<u8>,
    plugin: Vec<u8>,
    agreed: u64,
    held: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The target speaks first.
    Greeting,
    /// The target judges what we have said.
    Proving,
    /// The target sends its public key.
    Key,
    /// We have asked for what the session is to be like.
    Asking,
    Over,
}

impl Login {
    pub(crate) fn new(
        opening: &MysqlOpening,
        credentials: &Credentials,
        seed: &[u8; 32],
        read_only: bool,
    ) -> Self {
        let user = opening.user();
        let mut random = [0; 20];
        random.copy_from_slice(&Sha256::digest([&seed[..], b"mysql"].concat())[..20]);
        Self {
            opening: opening.clone(),
            secret: credentials.of(&user).cloned(),
            user,
            seed: random,
            read_only,
            state: State::Greeting,
            nonce: Vec::new(),
            plugin: Vec::new(),
            agreed: 0,
            held: Vec::new(),
        }
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) -> Step {
        if self.held.len() + bytes.len() > HELD_LEN_MAX {
            return self.fail("it says more than a login needs");
        }
        self.held.extend_from_slice(bytes);
        loop {
            let Some((number, payload)) = payload(&self.held) else {
                return Step::Wait;
            };
            let payload = payload.to_vec();
            self.held.drain(..4 + payload.len());
            match self.heard(&payload) {
                Ok(Next::Wait) => {}
                Ok(Next::Say(said)) => return Step::Send(packet(number.wrapping_add(1), &said)),
                Ok(Next::Command(said)) => return Step::Send(packet(0, said)),
                Ok(Next::Done) => {
                    return Step::Done(Box::new(Opened {
                        format: handshake::format(self.agreed),
                        rest: core::mem::take(&mut self.held),
                        ..Opened::default()
                    }));
                }
                Err(why) => return self.fail(&why),
            }
        }
    }

    fn fail(&mut self, why: &str) -> Step {
        self.state = State::Over;
        self.held.clear();
        Step::Failed(format!("login of {:?} at the target: {why}", self.user))
    }

    fn heard(&mut self, payload: &[u8]) -> Result<Next, String> {
        match (self.state, payload.first()) {
            (State::Over, _) => Err("it is over".to_owned()),
            (_, Some(0xff)) => Err(refusal(payload)),
            (State::Greeting, _) => self.greeted(payload),
            (State::Proving | State::Asking, Some(0x00)) => Ok(self.let_in()),
            (State::Proving, Some(0xfe)) => self.switched(&payload[1..]),
            (State::Proving, Some(0x01)) => self.more(&payload[1..]),
            (State::Key, Some(0x01)) => self.encrypted(&payload[1..]),
            _ => Err("it does not follow MySQL's protocol".to_owned()),
        }
    }

    /// The target has let us in, or has done what we have asked for.
    fn let_in(&mut self) -> Next {
        self.state = State::Asking;
        if core::mem::take(&mut self.read_only) {
            return Next::Command(READ_ONLY);
        }
        if self.opening.commits.take() == Some(false) {
            return Next::Command(NO_AUTOCOMMIT);
        }
        self.state = State::Over;
        Next::Done
    }

    fn greeted(&mut self, payload: &[u8]) -> Result<Next, String> {
        let greeting =
            Greeting::parse(payload).ok_or("it does not greet as a MySQL of protocol 10 does")?;
        let has_database = self.opening.database.is_some();
        let client = self.opening.capabilities;
        let client = match self.opening.commits {
            Some(_) => handshake::unseen(client, greeting.capabilities),
            None => client,
        };
        self.agreed =
            handshake::agree(client, greeting.capabilities, has_database).map_err(|what| {
                format!("it cannot what the client has agreed upon with the online server: {what}")
            })?;
        self.nonce = greeting.nonce;
        // Of a way that is not spoken here the target is told another one, and says then what the user really needs.
        self.plugin = if is_spoken(&greeting.plugin) {
            greeting.plugin
        } else {
            NATIVE.to_vec()
        };
        let proof = self.proof()?;
        self.state = State::Proving;
        Ok(Next::Say(Zeroizing::new(handshake::write(
            &self.opening,
            self.agreed,
            &proof,
            &self.plugin,
        ))))
    }

    /// The target wants the password proven in another way.
    fn switched(&mut self, asked: &[u8]) -> Result<Next, String> {
        let mut fields = Fields(asked);
        let plugin = fields
            .string()
            .ok_or("it wants the way of before version 4.1, which is no proof")?;
        if !is_spoken(plugin) {
            return Err(format!(
                "it wants the password proven by {}, which cannot be done here; mysql_native_password and caching_sha2_password can",
                told(plugin)
            ));
        }
        self.plugin = plugin.to_vec();
        self.nonce = fields.0.strip_suffix(b"\0").unwrap_or(fields.0).to_vec();
        if self.plugin == SHA256 && !self.password()?.is_empty() {
            self.state = State::Key;
            return Ok(Next::Say(Zeroizing::new(vec![1])));
        }
        if self.plugin == SHA256 {
            return Ok(Next::Say(Zeroizing::new(vec![0])));
        }
        Ok(Next::Say(self.proof()?))
    }

    /// The target says how it goes on with `caching_sha2_password`.
    fn more(&mut self, said: &[u8]) -> Result<Next, String> {
        match (self.plugin.as_slice(), said) {
            // It has the password's hash at hand, and the proof was right.
            (CACHING, [3]) => Ok(Next::Wait),
            // It has not, and wants the password itself: without TLS, encrypted by its key.
            (CACHING, [4]) => {
                self.state = State::Key;
                Ok(Next::Say(Zeroizing::new(vec![2])))
            }
            _ => Err("it asks for something unexpected".to_owned()),
        }
    }

    fn encrypted(&mut self, pem: &[u8]) -> Result<Next, String> {
        let key = PublicKey::parse(pem).ok_or("its public key cannot be read")?;
        let disguised = passwords::disguised(self.password()?.as_bytes(), &self.nonce);
        let encrypted = key
            .encrypt(&disguised, &self.seed)
            .ok_or("its public key is too short for the password")?;
        self.state = State::Proving;
        Ok(Next::Say(Zeroizing::new(encrypted)))
    }

    fn proof(&self) -> Result<Zeroizing<Vec<u8>>, String> {
        Ok(passwords::proof(
            &self.plugin,
            self.password()?.as_bytes(),
            &self.nonce,
        ))
    }

    /// The user's password. Without one it is empty: a server that lets everybody in needs none.
    fn password(&self) -> Result<&str, String> {
        match &self.secret {
            None => Ok(""),
            Some(Secret::Password(password)) => Ok(password),
            Some(_) => {
                Err("--login has a verifier of PostgreSQL in the place of the password".to_owned())
            }
        }
    }
}

/// What we do upon something.
enum Next {
    Wait,
    Say(Zeroizing<Vec<u8>>),
    Command(&'static [u8]),
    Done,
}

fn is_spoken(plugin: &[u8]) -> bool {
    matches!(plugin, NATIVE | CACHING | SHA256)
}

/// The first payload, if it is whole: the number of its packet, and it.
fn payload(held: &[u8]) -> Option<(u8, &[u8])> {
    let ([a, b, c, number], rest) = held.split_first_chunk::<4>()?;
    let len = usize::try_from(u32::from_le_bytes([*a, *b, *c, 0])).ok()?;
    rest.get(..len).map(|payload| (*number, payload))
}

/// What an error says: its number, and its words.
fn refusal(payload: &[u8]) -> String {
    let mut fields = Fields(&payload[1..]);
    let number = fields.u16().unwrap_or(0);
    let words = match fields.0 {
        [b'#', _, _, _, _, _, words @ ..] => words,
        words => words,
    };
    format!("refused, {number} {}", told(words))
}

#[cfg(test)]
mod tests;
