//! What a response consists of, payload by payload.

use super::super::fields::Fields;
use super::super::packets::HEAD_LEN;
use super::Lost;
use crate::expect::{AwaitedMysql, MysqlAnswer};
use crate::said::Verdict;

/// A result follows this one (`SERVER_MORE_RESULTS_EXISTS`).
const MORE_RESULTS: u16 = 0x0008;
/// Rows are fetched by a command of their own (`SERVER_STATUS_CURSOR_EXISTS`).
const CURSOR: u16 = 0x0040;
/// A payload that begins like a word that all is well, and is as long as this, is a row (its first column has 16 MiB and more).
const WORD_LEN_MAX: u64 = 0xff_ffff;
/// The number of an error that is none: how far a long statement has got (MariaDB).
const PROGRESS: u16 = 0xffff;

/// How far a response has got.
#[derive(Debug, Default)]
pub(super) struct Answers {
    at: At,
    statement: Option<u32>,
}

/// What stands next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum At {
    /// The first payload of a response, or of a further result.
    #[default]
    First,
    /// Descriptions, so many; then what the second says.
    Descriptions(u64, Then),
    /// The word between descriptions and what follows.
    Separator(Then),
    Rows,
    /// The word between descriptions and what follows, or that already: which, is not known of the connection.
    Perhaps(Then),
    /// A word on a file that was asked for.
    AfterFile,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    Rows,
    /// Descriptions of so many columns of a statement, behind those of its parameters.
    Columns(u64),
}

/// What a payload has led to.
pub(super) enum Progress {
    GoesOn,
    /// The server asks for a file.
    AsksForFile,
    /// The response is complete; whether another user was to be let in.
    Ends(Verdict, bool),
}

impl Answers {
    /// Takes a payload, of which the first bytes are there; `behind` are the server's bytes behind it, as far as they have come.
    pub(super) fn take(
        &mut self,
        awaited: AwaitedMysql,
        payload: &[u8],
        len: u64,
        behind: &[u8],
    ) -> Result<Progress, Lost> {
        if let [0xff, low, high, ..] = payload
            && !matches!(awaited.answer, MysqlAnswer::Text)
        {
            let code = u16::from_le_bytes([*low, *high]);
            if code == PROGRESS {
                return Ok(Progress::GoesOn);
            }
            return Ok(self.end(awaited, Some(code)));
        }
        match self.at {
            At::First => self.first(awaited, payload, len),
            At::AfterFile => match payload.first() {
                Some(0x00) => self.all_is_well(awaited, payload),
                _ => Err(Lost),
            },
            At::Descriptions(left, then) => {
                self.at = if left > 1 {
                    At::Descriptions(left - 1, then)
                } else if awaited.format.is_unseen
                    && behind.len() <= HEAD_LEN
                    && then != Then::Columns(0)
                {
                    At::Perhaps(then)
                } else if awaited.format.deprecates_eof
                    || awaited.format.is_unseen && !begins_with_end(behind)
                {
                    return Ok(self.behind_descriptions(awaited, then));
                } else {
                    At::Separator(then)
                };
                Ok(Progress::GoesOn)
            }
            At::Perhaps(then) => {
                self.at = At::Separator(then);
                if !is_end(payload, len) {
                    self.behind_descriptions(awaited, then);
                }
                self.take(awaited, payload, len, behind)
            }
            At::Separator(then) => {
                if !is_end(payload, len) {
                    return Err(Lost);
                }
                let status = status_of_end(payload).ok_or(Lost)?;
                if then == Then::Rows && status & CURSOR != 0 {
                    return Ok(self.result_ends(awaited, status));
                }
                Ok(self.behind_descriptions(awaited, then))
            }
            At::Rows => self.row(awaited, payload, len),
        }
    }

    fn first(&mut self, awaited: AwaitedMysql, payload: &[u8], len: u64) -> Result<Progress, Lost> {
        let first = *payload.first().ok_or(Lost)?;
        match awaited.answer {
            MysqlAnswer::Text => Ok(self.end(awaited, None)),
            // A server of old says so as it ends rows.
            MysqlAnswer::Ok if first == 0 || is_end(payload, len) => Ok(self.end(awaited, None)),
            MysqlAnswer::User if first == 0 => Ok(self.end(awaited, None)),
            MysqlAnswer::User if matches!(first, 0x01 | 0xfe) => Ok(Progress::GoesOn),
            MysqlAnswer::Fields if first == 0xfe && len < WORD_LEN_MAX => {
                Ok(self.end(awaited, None))
            }
            MysqlAnswer::Fields => Ok(Progress::GoesOn),
            MysqlAnswer::Results => self.result(awaited, payload),
            MysqlAnswer::Prepared if first == 0 => self.prepared(awaited, payload),
            MysqlAnswer::Rows => {
                self.at = At::Rows;
                self.row(awaited, payload, len)
            }
            MysqlAnswer::Ok | MysqlAnswer::User | MysqlAnswer::Prepared => Err(Lost),
        }
    }

    fn result(&mut self, awaited: AwaitedMysql, payload: &[u8]) -> Result<Progress, Lost> {
        match payload[0] {
            0x00 => return self.all_is_well(awaited, payload),
            0xfb => {
                self.at = At::AfterFile;
                return Ok(Progress::AsksForFile);
            }
            0xfe | 0xff => return Err(Lost),
            _ => {}
        }
        let mut fields = Fields(payload);
        let columns = fields.number().ok_or(Lost)?;
        let may_be_left_out = awaited.format.leaves_out
            || awaited.format.caches
            || awaited.format.is_unseen && !fields.0.is_empty();
        let has_descriptions = !may_be_left_out || fields.u8().ok_or(Lost)? != 0;
        self.at = match (has_descriptions, awaited.format.deprecates_eof) {
            (true, _) => At::Descriptions(columns, Then::Rows),
            (false, true) => At::Rows,
            (false, false) => At::Separator(Then::Rows),
        };
        Ok(Progress::GoesOn)
    }

    fn prepared(&mut self, awaited: AwaitedMysql, payload: &[u8]) -> Result<Progress, Lost> {
        let mut fields = Fields(&payload[1..]);
        self.statement = Some(fields.u32().ok_or(Lost)?);
        let columns = u64::from(fields.u16().ok_or(Lost)?);
        let parameters = u64::from(fields.u16().ok_or(Lost)?);
        fields.take(3).ok_or(Lost)?;
        let may_be_left_out = awaited.format.leaves_out || awaited.format.is_unseen;
        if may_be_left_out && fields.u8() == Some(0) {
            return Ok(self.end(awaited, None));
        }
        if parameters > 0 {
            self.at = At::Descriptions(parameters, Then::Columns(columns));
            return Ok(Progress::GoesOn);
        }
        Ok(self.behind_descriptions(awaited, Then::Columns(columns)))
    }

    fn behind_descriptions(&mut self, awaited: AwaitedMysql, then: Then) -> Progress {
        self.at = match then {
            Then::Rows => At::Rows,
            Then::Columns(0) => return self.end(awaited, None),
            Then::Columns(columns) => At::Descriptions(columns, Then::Columns(0)),
        };
        Progress::GoesOn
    }

    fn row(&mut self, awaited: AwaitedMysql, payload: &[u8], len: u64) -> Result<Progress, Lost> {
        if is_end(payload, len) {
            let status = status_of_end(payload).ok_or(Lost)?;
            return Ok(self.result_ends(awaited, status));
        }
        let may_be_well = awaited.format.deprecates_eof || awaited.format.is_unseen;
        if may_be_well && payload.first() == Some(&0xfe) && len < WORD_LEN_MAX {
            return self.all_is_well(awaited, payload);
        }
        Ok(Progress::GoesOn)
    }

    /// A word that all is well ends a result.
    fn all_is_well(&mut self, awaited: AwaitedMysql, payload: &[u8]) -> Result<Progress, Lost> {
        let mut fields = Fields(&payload[1..]);
        // Rows that were changed, and the last number that was given out.
        fields.number().ok_or(Lost)?;
        fields.number().ok_or(Lost)?;
        let status = fields.u16().ok_or(Lost)?;
        Ok(self.result_ends(awaited, status))
    }

    fn result_ends(&mut self, awaited: AwaitedMysql, status: u16) -> Progress {
        if awaited.answer == MysqlAnswer::Results && status & MORE_RESULTS != 0 {
            self.at = At::First;
            return Progress::GoesOn;
        }
        self.end(awaited, None)
    }

    fn end(&mut self, awaited: AwaitedMysql, error: Option<u16>) -> Progress {
        let verdict = Verdict {
            code: error.map_or(0, u32::from),
            is_error: error.is_some(),
            statement: self.statement.take().filter(|_| error.is_none()),
        };
        Progress::Ends(verdict, awaited.answer == MysqlAnswer::User)
    }
}

/// Whether it is the word that ends rows and descriptions, as it was before it was deprecated.
fn is_end(payload: &[u8], len: u64) -> bool {
    len == 5 && payload.first() == Some(&0xfe)
}

/// Whether bytes begin with a packet that is such a word.
fn begins_with_end(bytes: &[u8]) -> bool {
    matches!(bytes, [5, 0, 0, _, 0xfe, ..])
}

/// The server's status in such a word.
fn status_of_end(payload: &[u8]) -> Option<u16> {
    let mut fields = Fields(payload.get(3..)?);
    fields.u16()
}
