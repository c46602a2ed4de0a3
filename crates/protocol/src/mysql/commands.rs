//! What a command is answered with, and whether it may be copied.

use crate::expect::MysqlAnswer;
use crate::parts::Why;
use crate::sql::{self, Dialect};

pub(super) const QUIT: u8 = 0x01;
pub(super) const INIT_DB: u8 = 0x02;
pub(super) const QUERY: u8 = 0x03;
const FIELD_LIST: u8 = 0x04;
const SHUTDOWN: u8 = 0x08;
const STATISTICS: u8 = 0x09;
const PROCESS_INFO: u8 = 0x0a;
const PROCESS_KILL: u8 = 0x0c;
const PING: u8 = 0x0e;
pub(super) const CHANGE_USER: u8 = 0x11;
pub(super) const PREPARE: u8 = 0x16;
pub(super) const EXECUTE: u8 = 0x17;
const SEND_LONG_DATA: u8 = 0x18;
const CLOSE: u8 = 0x19;
const RESET: u8 = 0x1a;
const SET_OPTION: u8 = 0x1b;
const FETCH: u8 = 0x1c;
const RESET_CONNECTION: u8 = 0x1f;
pub(super) const BULK_EXECUTE: u8 = 0xfa;

/// What a command is answered with. Nothing: it has no response. An error: there is none that ends.
pub(super) fn answer(command: u8) -> Result<Option<MysqlAnswer>, Why> {
    Ok(Some(match command {
        QUIT | SEND_LONG_DATA | CLOSE => return Ok(None),
        QUERY | PROCESS_INFO | EXECUTE | BULK_EXECUTE => MysqlAnswer::Results,
        FIELD_LIST => MysqlAnswer::Fields,
        STATISTICS => MysqlAnswer::Text,
        PREPARE => MysqlAnswer::Prepared,
        FETCH => MysqlAnswer::Rows,
        CHANGE_USER => MysqlAnswer::User,
        // Dumps of binary logs and tables, a replica that registers, a clone.
        0x12 | 0x13 | 0x14 | 0x15 | 0x1e | 0x20 => return Err(Why::Replication),
        INIT_DB | 0x05..=0x08 | 0x0b..=0x10 | RESET | SET_OPTION | 0x1d | RESET_CONNECTION => {
            MysqlAnswer::Ok
        }
        _ => return Err(Why::Malformed),
    }))
}

/// Whether a command names a statement by its number, in the four bytes behind the first.
pub(super) fn names_statement(command: u8) -> bool {
    matches!(
        command,
        EXECUTE | SEND_LONG_DATA | CLOSE | RESET | FETCH | BULK_EXECUTE
    )
}

/// Whether a command may be copied at all. What names a connection of the online server means another one, or none, at the target.
pub(super) fn may_be_copied(command: u8) -> bool {
    !matches!(command, SHUTDOWN | PROCESS_KILL | CHANGE_USER)
}

/// Whether a query may be copied at all.
pub(super) fn query_may_be_copied(text: &[u8]) -> bool {
    !sql::begins_with(text, Dialect::Mysql, &["KILL", "SHUTDOWN"])
}

/// Whether a command may be copied with `--read-only`; those with a text are judged by it, and those that name a statement by what it was
/// prepared from.
pub(super) fn reads(command: u8) -> bool {
    matches!(
        command,
        QUIT | INIT_DB | FIELD_LIST | STATISTICS | PROCESS_INFO | PING | SET_OPTION
    ) || names_statement(command)
}

/// Whether a text may be copied with `--read-only`.
pub(super) fn text_reads(text: &[u8]) -> bool {
    sql::reads(text, Dialect::Mysql)
}
