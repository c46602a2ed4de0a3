//! How both ends prove that they have the same key: Noise, pattern NNpsk0, by the `snow` crate.
//!
//! Two messages. The first, `tcpcopy`'s, can only be made by somebody who has the key, and the second, `intercept`'s, only by somebody
//! who has the key and heard the first. Both depend on what both said before in the clear (the prologue): a hello that was changed on
//! its way ends the connection here. The keys that come out are new for each connection, so what was recorded on one means nothing
//! on another, nor can be read by whoever learns the key later.

use snow::{Builder, HandshakeState};

use crate::error::Error;
use crate::key::{Key, Keys};
use crate::seal::{Opener, Sealer};

/// The handshake and its ciphers, as Noise names them.
const PROTOCOL: &str = "Noise_NNpsk0_25519_ChaChaPoly_BLAKE2s";

/// Length of each of the two messages, in bytes: an ephemeral key, and the tag of nothing.
pub(crate) const MESSAGE_LEN: usize = 32 + 16;

/// What stands before the hellos in the prologue.
const LABEL: &[u8] = b"tcpcopy channel";

/// What both ends said in the clear: the hello of `tcpcopy`, then that of `intercept`.
pub(crate) fn prologue(of_tcpcopy: &[u8], of_intercept: &[u8]) -> Vec<u8> {
    // Each hello says its length itself.
    [LABEL, of_tcpcopy, of_intercept].concat()
}

/// What a handshake comes to: what we say is sealed, what we hear is opened.
pub(crate) type Sealed = (Sealer, Opener);

/// `tcpcopy`'s part, which has said its message and waits for the answer.
pub(crate) struct Initiator(Box<HandshakeState>);

impl Initiator {
    /// Begins, and gives the first message.
    pub(crate) fn new(key: &Key, prologue: &[u8]) -> Result<(Self, [u8; MESSAGE_LEN]), Error> {
        let state = builder(key, prologue).and_then(Builder::build_initiator);
        let mut state = state.map_err(|_| Error::Handshake)?;
        let message = write(&mut state)?;
        Ok((Self(Box::new(state)), message))
    }

    /// Hears the answer.
    pub(crate) fn finish(mut self, answer: &[u8]) -> Result<Sealed, Error> {
        self.0
            .read_message(answer, &mut [])
            .map_err(|_| Error::NotOurKey)?;
        let (ours, theirs) = self.0.dangerously_get_raw_split();
        Ok((Sealer::new(&ours), Opener::new(&theirs)))
    }
}

/// `intercept`'s part: hears the first message, and gives its answer and which of the keys it was.
pub(crate) fn respond(
    keys: &Keys,
    prologue: &[u8],
    message: &[u8],
) -> Result<(Sealed, Key, [u8; MESSAGE_LEN]), Error> {
    for key in keys.iter() {
        let state = builder(key, prologue).and_then(Builder::build_responder);
        let mut state = state.map_err(|_| Error::Handshake)?;
        if state.read_message(message, &mut []).is_err() {
            continue;
        }
        let answer = write(&mut state)?;
        let (theirs, ours) = state.dangerously_get_raw_split();
        let sealed = (Sealer::new(&ours), Opener::new(&theirs));
        return Ok((sealed, key.clone(), answer));
    }
    Err(Error::NotOurKey)
}

fn builder<'a>(key: &'a Key, prologue: &'a [u8]) -> Result<Builder<'a>, snow::Error> {
    Builder::new(PROTOCOL.parse()?)
        .prologue(prologue)?
        .psk(0, key.bytes())
}

fn write(state: &mut HandshakeState) -> Result<[u8; MESSAGE_LEN], Error> {
    let mut message = [0; MESSAGE_LEN];
    match state.write_message(&[], &mut message) {
        Ok(MESSAGE_LEN) => Ok(message),
        _ => Err(Error::Handshake),
    }
}

impl core::fmt::Debug for Initiator {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Initiator(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::{Initiator, respond};
    use crate::error::Error;
    use crate::key::{Key, Keys};

    fn key() -> Key {
        Key::generate().expect("randomness")
    }

    #[test]
    fn those_who_have_the_key_understand_each_other() {
        let (new, old) = (key(), key());
        let both = Keys::parse(&format!("{}\n{}", new.text(), old.text())).unwrap();
        for key in [new, old] {
            let (initiator, message) = Initiator::new(&key, b"words").unwrap();
            let ((mut theirs, _), which, answer) = respond(&both, b"words", &message).unwrap();
            assert_eq!(which, key);
            let (_, mut opener) = initiator.finish(&answer).unwrap();
            let mut out = Vec::new();
            theirs.seal(b"a report", &mut out);
            let mut plain = [0; 64];
            let len = opener.open(&out[2..], &mut plain).unwrap();
            assert_eq!(&plain[..len], b"a report");
        }
    }

    #[test]
    fn another_key_other_words_and_changed_messages_are_refused() {
        let ours = key();
        let keys = Keys::one(ours.clone());
        let (_, message) = Initiator::new(&key(), b"words").unwrap();
        assert_eq!(
            respond(&keys, b"words", &message).err(),
            Some(Error::NotOurKey)
        );
        let (_, message) = Initiator::new(&ours, b"other").unwrap();
        assert_eq!(
            respond(&keys, b"words", &message).err(),
            Some(Error::NotOurKey)
        );
        for bit in (0..message.len() * 8).step_by(11).chain([255, 383]) {
            let (initiator, mut message) = Initiator::new(&ours, b"words").unwrap();
            let (_, _, mut answer) = respond(&keys, b"words", &message).unwrap();
            answer[bit / 8] ^= 1 << (bit % 8);
            message[bit / 8] ^= 1 << (bit % 8);
            // X25519 has a bit that means nothing to the curve, and is in the hash all the same.
            assert_eq!(
                respond(&keys, b"words", &message).err(),
                Some(Error::NotOurKey),
                "{bit}"
            );
            assert_eq!(
                initiator.finish(&answer).err(),
                Some(Error::NotOurKey),
                "{bit}"
            );
        }
        let (_, message) = Initiator::new(&ours, b"words").unwrap();
        for len in 0..message.len() {
            assert!(respond(&keys, b"words", &message[..len]).is_err());
        }
    }

    #[test]
    fn an_answer_belongs_to_its_question() {
        let ours = key();
        let keys = Keys::one(ours.clone());
        let (first, message) = Initiator::new(&ours, b"words").unwrap();
        let (_, _, answer) = respond(&keys, b"words", &message).unwrap();
        // Who repeats a first message is answered, and cannot go on: the answer's keys are not those of before.
        let (_, _, again) = respond(&keys, b"words", &message).unwrap();
        assert_ne!(answer, again);
        let (second, _) = Initiator::new(&ours, b"words").unwrap();
        assert!(first.finish(&answer).is_ok());
        assert_eq!(second.finish(&again).err(), Some(Error::NotOurKey));
    }
}
