//! What can be told of a statement by its words: whether it reads.
//!
//! It is no parser. It is told apart what is a word and what is a comment or a string, and a statement reads if it begins with a word that
//! is known to begin one that reads and has none that is known to lead out of a read-only transaction, or to work beside it. What is
//! left is what the target's read-only transaction forbids. Whether a backslash in a string escapes depends on the server's settings: a
//! text has to read both ways.

mod lexer;

use lexer::{Lexer, Token};

/// Whose language a statement is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// PostgreSQL's.
    Postgres,
    /// That of MySQL and MariaDB.
    Mysql,
}

/// Words that begin a statement which reads, in `PostgreSQL`.
const READS_POSTGRES: &[&str] = &[
    "ABORT",
    "BEGIN",
    "CLOSE",
    "COMMIT",
    "DEALLOCATE",
    "DECLARE",
    "DISCARD",
    "END",
    "EXPLAIN",
    "FETCH",
    "MOVE",
    "RELEASE",
    "RESET",
    "ROLLBACK",
    "SAVEPOINT",
    "SELECT",
    "SET",
    "SHOW",
    "START",
    "TABLE",
    "VALUES",
    "WITH",
];
/// Words that lead out of a read-only transaction, or do something that is undone by none.
const WRITES_POSTGRES: &[&str] = &[
    "DEFAULT_TRANSACTION_READ_ONLY",
    "INTO",
    "PG_CANCEL_BACKEND",
    "PG_FILE_WRITE",
    "PG_NOTIFY",
    "PG_PROMOTE",
    "PG_RELOAD_CONF",
    "PG_ROTATE_LOGFILE",
    "PG_SWITCH_WAL",
    "PG_TERMINATE_BACKEND",
    "SET_CONFIG",
    "TRANSACTION_READ_ONLY",
    "WRITE",
];
/// The same, as beginnings of words.
const WRITES_POSTGRES_FIRST: &[&str] = &[
    "DBLINK",
    "LO_",
    "PG_CREATE_",
    "PG_DROP_",
    "PG_LOGICAL_",
    "PG_REPLICATION_",
];

/// Words that begin a statement which reads, in MySQL.
const READS_MYSQL: &[&str] = &[
    "BEGIN",
    "COMMIT",
    "DESC",
    "DESCRIBE",
    "EXPLAIN",
    "RELEASE",
    "ROLLBACK",
    "SAVEPOINT",
    "SELECT",
    "SET",
    "SHOW",
    "START",
    "TABLE",
    "USE",
    "VALUES",
    "WITH",
];
/// Words that lead out of a read-only transaction, or do something that is undone by none.
const WRITES_MYSQL: &[&str] = &["ATOMIC", "INTO", "NEXTVAL", "SETVAL", "WRITE"];
/// The same behind SET.
const SETS_MYSQL: &[&str] = &[
    "GLOBAL",
    "PASSWORD",
    "PERSIST",
    "PERSIST_ONLY",
    "STATEMENT",
    "TRANSACTION",
    "TRANSACTION_READ_ONLY",
    "TX_READ_ONLY",
];

/// Whether a text begins with one of these words.
pub(crate) fn begins_with(text: &[u8], dialect: Dialect, words: &[&str]) -> bool {
    match Lexer::new(text, dialect, true).find(|token| *token != Token::Open) {
        Some(Token::Word(word)) => is_in(&word.to_ascii_uppercase(), words),
        _ => false,
    }
}

/// Whether all statements of a text are known to read.
pub(crate) fn reads(text: &[u8], dialect: Dialect) -> bool {
    [true, false]
        .iter()
        .all(|escapes| reads_so(text, dialect, *escapes))
}

fn reads_so(text: &[u8], dialect: Dialect, escapes: bool) -> bool {
    let mut first: Option<Vec<u8>> = None;
    for token in Lexer::new(text, dialect, escapes) {
        match token {
            Token::Word(word) => {
                let word = word.to_ascii_uppercase();
                if first.is_none() {
                    if !begins(&word, dialect) {
                        return false;
                    }
                    first = Some(word);
                } else if leads_out(&word, first.as_deref().unwrap_or_default(), dialect) {
                    return false;
                }
            }
            Token::Name(name) => {
                let first = first.as_deref().unwrap_or_default();
                if first.is_empty() || leads_out(&name.to_ascii_uppercase(), first, dialect) {
                    return false;
                }
            }
            Token::Semicolon => first = None,
            Token::Open => {}
            Token::Other if first.is_none() => return false,
            Token::Other => {}
            Token::Unsafe => return false,
        }
    }
    true
}

fn begins(word: &[u8], dialect: Dialect) -> bool {
    match dialect {
        Dialect::Postgres => is_in(word, READS_POSTGRES),
        Dialect::Mysql => is_in(word, READS_MYSQL),
    }
}

fn leads_out(word: &[u8], first: &[u8], dialect: Dialect) -> bool {
    match dialect {
        Dialect::Postgres => {
            is_in(word, WRITES_POSTGRES)
                || WRITES_POSTGRES_FIRST
                    .iter()
                    .any(|first| word.starts_with(first.as_bytes()))
        }
        Dialect::Mysql => is_in(word, WRITES_MYSQL) || first == b"SET" && is_in(word, SETS_MYSQL),
    }
}

fn is_in(word: &[u8], words: &[&str]) -> bool {
    words.iter().any(|known| known.as_bytes() == word)
}

#[cfg(test)]
mod tests;
