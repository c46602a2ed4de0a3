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

#[test]
fn mysql_reads() {
    check(
        Dialect::Mysql,
        &[
            "select 1 -- delete\n",
            "# delete\nselect 1",
            "select 1--1",
            "select `delete`, \"it\\\"s\" from t",
            "/* a */ select /*+ hint */ 1",
            "START TRANSACTION WITH CONSISTENT SNAPSHOT",
            "set names utf8mb4",
            "set @a = 1",
            "show variables like 'a%'",
        ],
        &[
            "/*!40000 delete from t */",
            "select 1 /*! ; delete from t */",
            "select 1 /*M!100000 ; delete */",
            "select 1 into outfile '/tmp/x'",
            "set session transaction read write",
            "set @@session.transaction_read_only = 0",
            "set statement max_statement_time=1 for delete from t",
            "set global a = 1",
            "begin not atomic delete from t; end",
            "start transaction read write",
            "select 'a\\'; delete from t; --'",
            "select `a\\`; delete from t",
            "select 1--1; delete from t",
            "load data local infile 'x' into table t",
            "replace into t values (1)",
            "kill 7",
            "do sleep(1)",
        ],
    );
}

#[test]
fn a_first_word_is_found() {
    for text in ["KILL 7", " /* a */ kill query 7", "# x\nkill 7"] {
        assert!(
            super::begins_with(text.as_bytes(), Dialect::Mysql, &["KILL"]),
            "{text}"
        );
    }
    for text in ["select 'kill'", "", "killer", "/*! kill */"] {
        assert!(
            !super::begins_with(text.as_bytes(), Dialect::Mysql, &["KILL"]),
            "{text}"
        );
    }
}
