//! What each end says first: `tcpcopy` at once, `intercept` when it has heard that this is a `tcpcopy`.
//!
//! Magic, version and the length of the rest stand where they stand in every version, so that ends of different
//! versions can name each other's:
//!
//! ```text
//! 0        8         10       12     13     14         18
//! | magic  | version | length | role | auth | features | ... what a later release appends, ignored
//!                             |<------- length bytes ------->|
//! ```

use crate::VERSION;
use crate::error::Error;
use crate::role::Role;

/// The first eight bytes of each direction.
pub const MAGIC: [u8; 8] = *b"tcpcopy\n";

/// Bytes before the part that depends on the version.
pub const PREFIX_LEN: usize = 12;

/// Least length of the rest.
const BODY_LEN: usize = 6;
/// Most that a later release may append to it.
const BODY_LEN_MAX: usize = 512;
/// No authentication: what follows is in the clear.
const AUTH_NONE: u8 = 0;
/// A key that both have: see [`crate::handshake`].
const AUTH_KEY: u8 = 1;

/// Longest hello that is accepted, in bytes.
pub const HELLO_LEN_MAX: usize = PREFIX_LEN + BODY_LEN_MAX;

/// A hello of this version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hello {
    /// The part that the sender plays.
    pub role: Role,
    /// Whether the sender has a key, and speaks to nobody who does not prove it.
    pub has_key: bool,
    /// Optional abilities; both ends use those that both have. None exist yet.
    pub features: u32,
}

impl Hello {
    /// The hello of this build.
    #[must_use]
    pub const fn new(role: Role, has_key: bool) -> Self {
        Self {
            role,
            has_key,
            features: 0,
        }
    }

    /// Appends the hello to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&VERSION.to_be_bytes());
        out.extend_from_slice(&(BODY_LEN as u16).to_be_bytes());
        let auth = if self.has_key { AUTH_KEY } else { AUTH_NONE };
        out.extend_from_slice(&[self.role as u8, auth]);
        out.extend_from_slice(&self.features.to_be_bytes());
    }

    /// Reads the hello at the start of `bytes`; gives it and its length in bytes, or `None` while it is not
    /// complete. What is wrong is said as early as it shows.
    ///
    /// # Errors
    ///
    /// [`Error::NotTheChannel`], [`Error::Version`], [`Error::HelloLength`], [`Error::Authentication`] and
    /// [`Error::UnknownRole`].
    pub fn parse(bytes: &[u8]) -> Result<Option<(Self, usize)>, Error> {
        let seen = bytes.len().min(MAGIC.len());
        if bytes[..seen] != MAGIC[..seen] {
            let mut first = [0; 8];
            first[..seen].copy_from_slice(&bytes[..seen]);
            return Err(Error::NotTheChannel(first));
        }
        let Some(version) = bytes.get(8..10) else {
            return Ok(None);
        };
        let theirs = u16::from_be_bytes([version[0], version[1]]);
        if theirs != VERSION {
            return Err(Error::Version { theirs });
        }
        let Some(length) = bytes.get(10..PREFIX_LEN) else {
            return Ok(None);
        };
        let length = u16::from_be_bytes([length[0], length[1]]);
        if !(BODY_LEN..=BODY_LEN_MAX).contains(&usize::from(length)) {
            return Err(Error::HelloLength(length));
        }
        let end = PREFIX_LEN + usize::from(length);
        let Some([role, auth, f0, f1, f2, f3, ..]) = bytes.get(PREFIX_LEN..end) else {
            return Ok(None);
        };
        let role = match *role {
            1 => Role::Tcpcopy,
            2 => Role::Intercept,
            other => return Err(Error::UnknownRole(other)),
        };
        let has_key = match *auth {
            AUTH_NONE => false,
            AUTH_KEY => true,
            other => return Err(Error::Authentication(other)),
        };
        Ok(Some((
            Self {
                role,
                has_key,
                features: u32::from_be_bytes([*f0, *f1, *f2, *f3]),
            },
            end,
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::{Hello, MAGIC};
    use crate::VERSION;
    use crate::error::Error;
    use crate::role::Role;

    fn hello() -> Vec<u8> {
        let mut bytes = Vec::new();
        Hello::new(Role::Tcpcopy, false).encode(&mut bytes);
        bytes
    }

    #[test]
    fn a_hello_is_read_when_it_is_complete() {
        let bytes = hello();
        for end in 0..bytes.len() {
            assert_eq!(Hello::parse(&bytes[..end]), Ok(None));
        }
        assert_eq!(
            Hello::parse(&bytes),
            Ok(Some((Hello::new(Role::Tcpcopy, false), bytes.len())))
        );
    }

    #[test]
    fn what_a_later_release_appends_is_skipped() {
        let mut bytes = hello();
        bytes[11] += 3;
        bytes.extend_from_slice(b"xyz");
        assert_eq!(
            Hello::parse(&bytes),
            Ok(Some((Hello::new(Role::Tcpcopy, false), bytes.len())))
        );
    }

    #[test]
    fn what_is_wrong_is_named() {
        let changed = |at: usize, to: u8| {
            let mut bytes = hello();
            bytes[at] = to;
            Hello::parse(&bytes).map(|_| ())
        };
        let mut first = MAGIC;
        first[0] = b'G';
        assert_eq!(changed(0, b'G'), Err(Error::NotTheChannel(first)));
        assert_eq!(changed(9, 9), Err(Error::Version { theirs: 9 }));
        assert_eq!(changed(11, 5), Err(Error::HelloLength(5)));
        assert_eq!(changed(10, 0xff), Err(Error::HelloLength(0xff06)));
        assert_eq!(changed(12, 7), Err(Error::UnknownRole(7)));
        assert_eq!(changed(13, 1), Ok(()));
        assert_eq!(changed(13, 2), Err(Error::Authentication(2)));
        assert_eq!(
            Hello::parse(b"GET"),
            Err(Error::NotTheChannel(*b"GET\0\0\0\0\0"))
        );
        let text = Error::Version { theirs: 9 }.to_string();
        assert!(
            text.contains('9') && text.contains(&VERSION.to_string()),
            "{text}"
        );
    }
}
