//! Statements that read, and statements that do not.

use super::{Dialect, reads};

fn check(dialect: Dialect, read: &[&str], other: &[&str]) {
    for text in read {
        assert!(reads(text.as_bytes(), dialect), "{text}");
    }
    for text in other {
        assert!(!reads(text.as_bytes(), dialect), "{text}");
    }
}

#[test]
fn postgres_reads() {
    check(
        Dialect::Postgres,
        &[
            "",
            " ; ; ",
            "select 1",
            "SELECT * FROM t WHERE a = 'drop table x; it''s'",
            "-- delete\nSELECT 1",
            "/* a /* nested */ DELETE */ SELECT 1",
            "(SELECT 1) UNION (SELECT 2);",
            "select $$ ; delete from t $$, $a$ $$ ; drop $a$, $1",
            "select E'it\\'s; delete'",
            "BEGIN; SELECT 1; COMMIT",
            "begin isolation level serializable, read only",
            "with a as (select 1) select * from a",
            "SHOW search_path",
            "set search_path to x",
            "select 'unfinished ; drop",
            "explain analyze select 1",
        ],
        &[],
    );
}

#[test]
fn postgres_does_not_read() {
    check(
        Dialect::Postgres,
        &[],
        &[
            "insert into t values (1)",
            "SELECT 1; DELETE FROM t",
            "/* SELECT */ UPDATE t SET a = 1",
            "/* a /* b */ */ delete from t",
            "begin read write",
            "SET default_transaction_read_only = off",
            "SET \"default_transaction_read_only\" = off",
            "set session characteristics as transaction read write",
            "select set_config('transaction_read_only', 'off', false)",
            "select \"set_config\"('a', 'b', false)",
            "select U&\"set\\005fconfig\"('a', 'b', false)",
            "select * into x from t",
            "copy t from stdin",
            "call f()",
            "do $$ begin end $$",
            "select 'a\\'; delete from t; --'",
            "select 'a\\''; delete from t; --'",
            "nonsense",
            "1; select 1",
            "select 1; \u{0} delete",
            "select dblink_exec('delete')",
            "select pg_terminate_backend(1)",
            "execute x",
        ],
    );
}
