//! What is asked of a run, and what it answers: each is one line of JSON.

use serde::{Deserialize, Serialize};

use crate::args::COPIES_MAX;

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum Request {
    /// How it stands.
    Status {},
    /// Another share of the connections, 0 to 100.
    SetPercent {
        percent: f64,
        /// The number of the rule, from 1 on; all of them where nothing is said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rule: Option<usize>,
    },
    /// Other sessions for each connection.
    SetCopies {
        copies: u16,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rule: Option<usize>,
    },
    /// Another limit of new sessions per second; none where nothing is said.
    SetRate {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rate: Option<u32>,
    },
    /// Nothing new is copied.
    Pause {},
    /// It is copied again.
    Resume {},
    /// The file of `--config` is read again.
    Reload {},
    /// The run ends, as by a signal.
    Stop {},
}

impl Request {
    /// Reads one line; says what is wrong with it.
    pub(crate) fn read(line: &[u8]) -> Result<Self, String> {
        let request: Self = serde_json::from_slice(line).map_err(|error| {
            format!(
                "this is no request of tcpcopy {}: {error}",
                env!("CARGO_PKG_VERSION")
            )
        })?;
        request.check()?;
        Ok(request)
    }

    fn check(self) -> Result<(), String> {
        match self {
            Self::SetPercent { percent, .. } if !(0.0..=100.0).contains(&percent) => {
                Err("write a share in percent, from 0 to 100".to_owned())
            }
            Self::SetCopies { copies, .. } if !(1..=COPIES_MAX).contains(&copies) => {
                Err(format!("write 1 to {COPIES_MAX}"))
            }
            Self::SetRate { rate: Some(0) } => Err(
                "a rate of 0 would copy nothing: that is what `tcpcopy ctl pause` does".to_owned(),
            ),
            _ => Ok(()),
        }
    }
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "kebab-case")]
pub(crate) enum Answer {
    /// It was done: what, in words.
    Done { words: String },
    /// It was not done: why, and what to do.
    Refused { words: String },
    /// How it stands.
    Status(Box<Status>),
}

/// How a run stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Status {
    pub(crate) version: String,
    pub(crate) pid: u32,
    /// `starting` or `copying`, as in the summary.
    pub(crate) state: String,
    pub(crate) paused: bool,
    /// Since it was ready, in seconds.
    pub(crate) seconds: f64,
    pub(crate) rules: Vec<RuleStatus>,
    /// New sessions per second at most.
    pub(crate) rate: Option<u32>,
    pub(crate) sessions_open: u64,
    /// Requests so far, times copies.
    pub(crate) captured: u64,
    pub(crate) answered: u64,
    /// 0 to 1; nothing where there is nothing to judge.
    pub(crate) fidelity: Option<f64>,
    /// Connections that go on although the share does not have them any more: until they end, the programs record what the larger
    /// share has.
    pub(crate) outside_share: u64,
    /// How often something was changed.
    pub(crate) changes: u64,
    /// The seed that decides which connections are copied.
    pub(crate) seed: String,
}

/// How one rule stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct RuleStatus {
    pub(crate) rule: String,
    pub(crate) percent: f64,
    pub(crate) copies: u16,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) weight: Option<u32>,
}

#[cfg(test)]
mod tests {
    use super::{Answer, Request};

    #[test]
    fn requests_are_read_as_they_are_written() {
        for (line, request) in [
            (r#"{"do":"status"}"#, Request::Status {}),
            (
                r#"{"do":"set-percent","percent":12.5,"rule":2}"#,
                Request::SetPercent {
                    percent: 12.5,
                    rule: Some(2),
                },
            ),
            (
                r#"{"do":"set-copies","copies":3}"#,
                Request::SetCopies {
                    copies: 3,
                    rule: None,
                },
            ),
            (r#"{"do":"set-rate"}"#, Request::SetRate { rate: None }),
            (r#"{"do":"stop"}"#, Request::Stop {}),
        ] {
            assert_eq!(Request::read(line.as_bytes()), Ok(request), "{line}");
            assert_eq!(serde_json::to_string(&request).unwrap(), line);
        }
    }

    #[test]
    fn whatever_comes_is_answered_in_words() {
        for (line, words) in [
            ("", "no request"),
            ("status", "no request"),
            (r#"{"do":"explode"}"#, "unknown variant"),
            (r#"{"do":"stop","at":5}"#, "unknown field"),
            (r#"{"do":"set-percent"}"#, "missing field"),
            (r#"{"do":"set-percent","percent":-1}"#, "from 0 to 100"),
            (r#"{"do":"set-percent","percent":1e999}"#, "no request"),
            (r#"{"do":"set-copies","copies":0}"#, "write 1 to 1000"),
            (r#"{"do":"set-rate","rate":0}"#, "ctl pause"),
        ] {
            let said = Request::read(line.as_bytes()).expect_err(line);
            assert!(said.contains(words), "{line}: {said}");
        }
    }

    #[test]
    fn answers_have_a_name() {
        let answer = Answer::Refused {
            words: "no".to_owned(),
        };
        let line = serde_json::to_string(&answer).unwrap();
        assert_eq!(line, r#"{"answer":"refused","words":"no"}"#);
        assert_eq!(serde_json::from_str::<Answer>(&line).unwrap(), answer);
    }
}
