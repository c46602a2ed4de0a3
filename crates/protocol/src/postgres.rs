//! PostgreSQL: version 3 of the frontend/backend protocol (PostgreSQL's documentation, chapter 55).
//!
//! | module | holds |
//! |---|---|
//! | `frames` | where a message of the protocol begins and ends |
//! | `startup` | the first packets of a connection |
//! | `requests` | the client's side |
//! | `responses` | a server's side |
//! | `joining` | where a connection may be joined whose beginning was not seen |
//! | `login` | a session's own login |
//!
//! A *message*, as an engine counts them, is what gets one `ReadyForQuery`: a simple query; all messages of the extended protocol
//! up to their Sync; a function call. COPY data belongs to the message that asked for it. Other than a Sync, a Flush ends nothing: what the server
//! says of it is a part of the response, and what follows it does not wait for that, since the server goes through a message in order anyway.

mod frames;
mod joining;
mod login;
mod requests;
mod responses;
mod startup;

pub(crate) use joining::Watch;
pub(crate) use login::Login;
pub use requests::{HELD_LEN_MAX, Requests, STATEMENTS_MAX};
pub use responses::{AWAITED_MAX, Responses};
pub use startup::STARTUP_LEN_MAX;
pub(crate) use startup::looks_like;

/// The five characters of an error's SQLSTATE, out of [`crate::Verdict::code`]; its class is the first two.
#[must_use]
pub fn sqlstate(code: u32) -> [u8; 5] {
    let mut left = code;
    let mut state = [b'0'; 5];
    for place in state.iter_mut().rev() {
        *place =
            char::from_digit(left % 36, 36).map_or(b'0', |digit| digit.to_ascii_uppercase() as u8);
        left /= 36;
    }
    state
}

/// An SQLSTATE as a number: its characters are digits of base 36. Nothing where it is none.
fn code_of(state: &[u8]) -> Option<u32> {
    if state.len() != 5 {
        return None;
    }
    state.iter().try_fold(0, |code, character| {
        Some(code * 36 + char::from(*character).to_digit(36)?)
    })
}

#[cfg(test)]
mod tests {
    use super::{code_of, sqlstate};

    #[test]
    fn an_sqlstate_is_a_number_and_back() {
        for state in ["00000", "42P01", "ZZZZZ", "57014", "0A000"] {
            let code = code_of(state.as_bytes()).expect("an SQLSTATE");
            assert_eq!(sqlstate(code), state.as_bytes());
        }
        assert_eq!(code_of(b"42P0"), None);
        assert_eq!(code_of(b"42-01"), None);
        assert_eq!(sqlstate(u32::MAX).len(), 5);
    }
}
