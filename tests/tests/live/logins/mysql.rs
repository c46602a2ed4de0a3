//! MariaDB: native passwords, none, and a target that lets everybody in; what its own client says, and commands by hand.

use std::net::SocketAddr;
use std::time::Duration;

use lab::mariadb::Mariadb;
use lab::net::{ONLINE, TARGET};
use lab::{Host, Lab, Spec, Topology};
use protocol::expect::{AwaitedMysql, MysqlAnswer, MysqlFormat};
use protocol::{Credentials, Expect, Opening, Protocol, Verdict};
use tests::stand;

use super::player::{Player, log_in, log_in_from};
use super::reading::{Session, cut, module, read};
use super::relay::{Noted, Relay};

const PORT: u16 = 3306;
const AT_TARGET: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(TARGET), PORT);

struct Servers {
    lab: Lab,
    online: Mariadb,
    target: Mariadb,
}

/// Two servers with the same users; `options` are those of the target.
fn servers(options: &[&str]) -> Option<Servers> {
    let lab = stand::lab(Topology::Direct, &Mariadb::PROGRAMS)?;
    let start = |host, name, address: std::net::Ipv4Addr, options: &[&str]| {
        Mariadb::start(&lab, host, name, (address, PORT).into(), options).expect("MariaDB")
    };
    let online = start(Host::Online, "mariadb-online", ONLINE, &[]);
    let target = start(Host::Target, "mariadb-target", TARGET, options);
    let made = "CREATE DATABASE shop; CREATE USER native IDENTIFIED BY 'se cret'; CREATE USER nobody; \
        GRANT ALL ON shop.* TO native; GRANT ALL ON shop.* TO nobody";
    online.ask(&lab, made).expect("users");
    if !options.contains(&"--skip-grant-tables") {
        target.ask(&lab, made).expect("users");
    } else {
        target
            .ask(&lab, "CREATE DATABASE shop")
            .expect("a database");
    }
    Some(Servers {
        lab,
        online,
        target,
    })
}

impl Servers {
    /// A user's session at the online server, as the client of MariaDB has it.
    fn session(&self, user: &str, password: &str, statements: &str) -> Noted {
        let relay = Relay::start(&self.lab, (ONLINE, PORT).into());
        let spec = Spec::new("mariadb", "mariadb")
            .args([
                "--no-defaults",
                "--protocol=tcp",
                "-h",
                "127.0.0.1",
                "-P",
                &relay.address.port().to_string(),
            ])
            .args([
                "-u",
                user,
                "--skip-ssl",
                "--local-infile=1",
                "--force",
                "--max-allowed-packet=64M",
                "-D",
                "shop",
                "-e",
                statements,
            ])
            .env("MYSQL_PWD", password);
        let mut process = self.lab.spawn(Host::Client, &spec).expect("a client");
        process.wait(Duration::from_secs(60)).expect("it ends");
        relay.noted().remove(0)
    }

    fn log_in(&self, session: &Session, text: &str, read_only: bool) -> Result<Player, String> {
        let credentials = Credentials::parse(text).expect("credentials");
        let opening = session.openings.first().expect("an opening");
        log_in(&self.lab, AT_TARGET, opening, &credentials, read_only)
            .map(|(stream, opened)| Player::new(Protocol::Mysql, stream, &opened))
    }
}

fn read_mysql(noted: &Noted) -> Session {
    read(&module(Protocol::Mysql), noted)
}

#[test]
fn mysql_logins() {
    let Some(servers) = servers(&[]) else { return };
    let native = read_mysql(&servers.session("native", "se cret", "SELECT 1"));
    let Some(Opening::Mysql(opening)) = native.openings.first() else {
        panic!("{:?}", native.openings)
    };
    assert_eq!(
        (opening.user().as_str(), opening.database().as_deref()),
        ("native", Some("shop"))
    );
    servers
        .log_in(&native, "native \"se cret\"", false)
        .expect("a password")
        .play_all(&native);
    let nobody = read_mysql(&servers.session("nobody", "", "SELECT 1"));
    servers
        .log_in(&nobody, "", false)
        .expect("no password")
        .play_all(&nobody);
    for text in [
        "",
        "native other",
        "native md50123456789abcdef0123456789abcdef",
    ] {
        let why = servers
            .log_in(&native, text, false)
            .err()
            .expect("no way in");
        assert!(why.contains("native") && !why.contains("other"), "{why}");
    }
    let mut player = servers
        .log_in(&native, "native \"se cret\"", true)
        .expect("a password");
    let written = read_mysql(&servers.session(
        "native",
        "se cret",
        "CREATE TABLE w (a int); INSERT INTO w VALUES (1)",
    ));
    let codes: Vec<u32> = written
        .messages
        .iter()
        .filter_map(|message| player.play(message))
        .map(|verdict| verdict.code)
        .collect();
    assert_eq!(
        codes.iter().filter(|code| **code == 1792).count(),
        2,
        "ER_CANT_EXECUTE_IN_READ_ONLY_TRANSACTION: {codes:?}"
    );
}

#[test]
fn mysql_target_that_lets_everybody_in() {
    let Some(servers) = servers(&["--skip-grant-tables"]) else {
        return;
    };
    let native = read_mysql(&servers.session("native", "se cret", "SELECT 1"));
    servers
        .log_in(&native, "", false)
        .expect("anybody")
        .play_all(&native);
}

#[test]
fn mysql_sessions_of_its_client() {
    let Some(servers) = servers(&[]) else { return };
    let file = servers.lab.folder().join("rows.txt");
    std::fs::write(&file, "1\tone\n".repeat(20_000)).expect("a file");
    let statements = format!(
        "CREATE TABLE t (a int, b text);\nINSERT INTO t SELECT seq, repeat('x', 1000) FROM seq_1_to_3000;\nSELECT * FROM t;\n\
         SELECT nonsense;\nLOAD DATA LOCAL INFILE '{}' INTO TABLE t;\nLOAD DATA LOCAL INFILE '/nowhere' INTO TABLE t;\n\
         SELECT 'local';\nPREPARE p FROM 'SELECT ?';\nEXECUTE p USING 1;\nSELECT NULL, '' FROM t LIMIT 3;\n\
         SELECT repeat('y', 17000000);\nSHOW TABLES;\nUSE shop;\nSELECT count(*) FROM t;\n",
        file.display()
    );
    let source = servers.lab.folder().join("statements.sql");
    std::fs::write(&source, statements).expect("a file");
    // Behind an error the client goes on with what it reads, and not with what stands in its arguments.
    let noted = servers.session("native", "se cret", &format!("source {}", source.display()));
    let session = read_mysql(&noted);
    for len in [1, 7, 1000] {
        read_mysql(&cut(&noted, len)).check_same(&session);
    }
    let codes: Vec<u32> = session
        .messages
        .iter()
        .filter_map(|message| message.verdict.as_ref())
        .map(|verdict| verdict.code)
        .filter(|code| *code != 0)
        .collect();
    assert!(codes.contains(&1054), "{codes:?}");
    assert!(
        session
            .messages
            .iter()
            .any(|message| message.pieces.len() == 2),
        "one of them sends a file: {codes:?}"
    );
    servers
        .log_in(&session, "native \"se cret\"", false)
        .expect("a password")
        .play_all(&session);
    let count = |server: &Mariadb| {
        server
            .ask(&servers.lab, "SELECT count(*), min(b), max(b) FROM shop.t")
            .expect("rows")
    };
    assert_eq!(count(&servers.online), count(&servers.target));
}

/// A session by hand, at the online server: statements of the binary protocol, and how it is written.
fn prepared(servers: &Servers) -> (Session, MysqlFormat) {
    let session = read_mysql(&servers.session("native", "se cret", "SELECT 1"));
    let relay = Relay::start(&servers.lab, (ONLINE, PORT).into());
    let credentials = Credentials::parse("native \"se cret\"").expect("credentials");
    let opening = session.openings.first().expect("an opening");
    let (host, at) = (Host::Client, relay.address);
    let (stream, opened) =
        log_in_from(&servers.lab, host, at, opening, &credentials, false).expect("a password");
    let mut player = Player::new(Protocol::Mysql, stream, &opened);
    let commands: [(&[u8], MysqlAnswer); 8] = [
        (b"\x16SELECT ?, seq FROM seq_1_to_5", MysqlAnswer::Prepared),
        (b"\x16SELECT 1", MysqlAnswer::Prepared),
        (b"\x17\x02\0\0\0\0\x01\0\0\0", MysqlAnswer::Results),
        // One number, and rows that are fetched.
        (
            b"\x17\x01\0\0\0\x01\x01\0\0\0\0\x01\x03\0\x07\0\0\0",
            MysqlAnswer::Results,
        ),
        (b"\x1c\x01\0\0\0\x02\0\0\0", MysqlAnswer::Rows),
        (b"\x1a\x01\0\0\0", MysqlAnswer::Ok),
        (b"\x16SELECT nonsense", MysqlAnswer::Prepared),
        (b"\x17\x63\0\0\0\0\x01\0\0\0", MysqlAnswer::Results),
    ];
    let format = opened.format;
    for (payload, answer) in commands {
        let len = u8::try_from(payload.len()).expect("short");
        let expect = Expect::Mysql(AwaitedMysql { answer, format });
        player.play_at_once(&[expect], &[&[len, 0, 0, 0], payload].concat());
    }
    drop(player);
    let noted = relay.noted().remove(0);
    let session = read_mysql(&noted);
    read_mysql(&cut(&noted, 1)).check_same(&session);
    (session, format)
}

/// Prepared statements by the binary protocol: the numbers of the online server's statements are others at the target.
#[test]
fn mysql_prepared_statements() {
    let Some(servers) = servers(&[]) else { return };
    let (session, format) = prepared(&servers);
    let patched = session
        .messages
        .iter()
        .filter(|message| message.head.patch.is_some());
    assert_eq!(patched.count(), 5);
    let mut player = servers
        .log_in(&session, "native \"se cret\"", false)
        .expect("a password");
    // A statement of nobody else's, so that the numbers differ.
    let answer = MysqlAnswer::Prepared;
    let expect = Expect::Mysql(AwaitedMysql { answer, format });
    player.play_at_once(&[expect], b"\x09\0\0\0\x16SELECT 2");
    let (last, known) = session.messages.split_last().expect("messages");
    let code = |verdict: &Verdict| verdict.code;
    for message in known {
        let verdict = player.play(message);
        assert_eq!(
            verdict.as_ref().map(code),
            message.verdict.as_ref().map(code),
            "{message:?}"
        );
    }
    let unknown = last.verdict.as_ref().map(code);
    assert_eq!(
        unknown,
        Some(1243),
        "ER_UNKNOWN_STMT_HANDLER at the online server as well"
    );
}
