//! PostgreSQL: each way of being asked for a password, with what `--login` may have of it, and what psql and pgbench say.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use lab::net::{ONLINE, TARGET};
use lab::postgres::Postgres;
use lab::{Host, Lab, Spec, Topology};
use protocol::expect::AwaitedPostgres;
use protocol::postgres::sqlstate;
use protocol::{Credentials, Expect, Head, Opening, Protocol, Said};
use tests::stand;

use super::player::{Player, log_in};
use super::reading::{Message, Session, cut, module, read};
use super::relay::{Noted, Relay};

const PORT: u16 = 5432;
const WAYS: [(&str, &str); 3] = [
    ("plain", "password"),
    ("five", "md5"),
    ("scram", "scram-sha-256"),
];

struct Servers {
    lab: Lab,
    online: Postgres,
    target: Postgres,
}

fn servers() -> Option<Servers> {
    let lab = stand::lab(Topology::Direct, &["psql", "pgbench", "setpriv"])?;
    if Postgres::programs().is_none() {
        return stand::skip("postgresql not installed; `cargo xtask setup` does it");
    }
    let start = |host, name, address: std::net::Ipv4Addr| {
        Postgres::start(&lab, host, name, (address, PORT).into(), &WAYS).expect("PostgreSQL")
    };
    let online = start(Host::Online, "postgres-online", ONLINE);
    let target = start(Host::Target, "postgres-target", TARGET);
    let roles = "CREATE ROLE anybody LOGIN SUPERUSER; CREATE ROLE plain LOGIN PASSWORD 'secret'; \
        SET password_encryption = md5; CREATE ROLE five LOGIN PASSWORD 'secret'; \
        SET password_encryption = 'scram-sha-256'; CREATE ROLE scram LOGIN PASSWORD 'se cret\u{e9}';";
    online.ask(&lab, roles).expect("roles");
    target.ask(&lab, roles).expect("roles");
    Some(Servers {
        lab,
        online,
        target,
    })
}

impl Servers {
    /// A user's session at the online server, as psql has it.
    fn session(&self, user: &str, password: &str, statements: &str) -> Noted {
        self.run(
            "psql",
            &["-X", "-U", user, "-d", "postgres", "-c", statements],
            password,
        )
        .remove(0)
    }

    fn run(&self, program: &str, arguments: &[&str], password: &str) -> Vec<Noted> {
        let relay = Relay::start(&self.lab, (ONLINE, PORT).into());
        let (address, port) = (
            relay.address.ip().to_string(),
            relay.address.port().to_string(),
        );
        let spec = Spec::new(program, program)
            .args(["-h", &address, "-p", &port])
            .args(arguments)
            .env("PGPASSWORD", password)
            .env("PGSSLMODE", "prefer");
        let mut process = self.lab.spawn(Host::Client, &spec).expect("a client");
        process
            .wait_success(Duration::from_secs(60))
            .expect("it ends");
        relay.noted()
    }
}

const AT_TARGET: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(TARGET), PORT);

fn opening_of(session: &Session) -> &Opening {
    session.openings.first().expect("an opening")
}

fn credentials(text: &str) -> Credentials {
    Credentials::parse(text).expect("credentials")
}

#[test]
fn postgres_logins() {
    let Some(servers) = servers() else { return };
    let hash = |server: &Postgres, user: &str| {
        let asked = format!("SELECT rolpassword FROM pg_authid WHERE rolname = '{user}'");
        server.ask(&servers.lab, &asked).expect("a verifier")
    };
    let session = |user: &str, password: &str| {
        read(
            &module(Protocol::Postgres),
            &servers.session(user, password, "SELECT 1"),
        )
    };
    let tries = |user: &str, session: &Session, text: &str| {
        log_in(
            &servers.lab,
            AT_TARGET,
            opening_of(session),
            &credentials(text),
            false,
        )
        .map(|(stream, opened)| {
            assert!(opened.cancel_key.is_some(), "{user}");
            Player::new(Protocol::Postgres, stream, &opened).play_all(session);
            opened
        })
    };
    let anybody = session("anybody", "");
    tries("anybody", &anybody, "").expect("trust");
    let plain = session("plain", "secret");
    tries("plain", &plain, "plain secret").expect("a password");
    let five = session("five", "secret");
    tries("five", &five, "five secret").expect("a password");
    tries(
        "five",
        &five,
        &format!("five {}", hash(&servers.target, "five")),
    )
    .expect("a hash");
    let scram = session("scram", "se cret\u{e9}");
    let opened = tries("scram", &scram, "scram \"se cret\u{e9}\"").expect("a password");
    // The next one needs no password.
    let mut learned = credentials("");
    learned.learn("scram", opened.keys.expect("keys"));
    log_in(&servers.lab, AT_TARGET, opening_of(&scram), &learned, false).expect("what was learned");
    for (user, session, text) in [
        ("five", &five, ""),
        ("scram", &scram, ""),
        ("scram", &scram, "scram other"),
        ("five", &five, "five other"),
    ] {
        let why = tries(user, session, text).expect_err("no way in");
        assert!(why.contains(user) && !why.contains("other"), "{why}");
    }
    // The verifiers differ, since each server has made its own salt; then they are the same.
    let verifier = hash(&servers.online, "scram");
    let why = tries("scram", &scram, &format!("scram {verifier}")).expect_err("another verifier");
    assert!(why.contains("pg_authid"), "{why}");
    let taken = format!("ALTER ROLE scram PASSWORD '{verifier}'");
    servers
        .target
        .ask(&servers.lab, &taken)
        .expect("it takes a verifier");
    let opened = tries("scram", &scram, &format!("scram {verifier}")).expect("a verifier alone");
    assert!(opened.keys.is_some());
}

#[test]
fn postgres_sessions_of_psql() {
    let Some(servers) = servers() else { return };
    let statements = "CREATE TABLE t (a int, b text);\n\
        INSERT INTO t SELECT n, repeat('x', 1000) FROM generate_series(1, 3000) n;\n\
        SELECT * FROM t;\nSELECT nonsense;\nBEGIN;\nSELECT 1/0;\nROLLBACK;\n\
        COPY t FROM STDIN;\n1\tone\n2\ttwo\n\\.\n\
        COPY t (a) FROM STDIN;\nnone\n\\.\n\
        COPY t TO STDOUT;\n\
        SELECT 1\\; SELECT 2\\; SELECT 'copy';\n\
        DO $$ BEGIN RAISE NOTICE 'told'; END $$;\nLISTEN a;\nNOTIFY a;\nSELECT count(*) FROM t;\n";
    let file = servers.lab.folder().join("statements.sql");
    std::fs::write(&file, statements).expect("a file");
    let file = file.display().to_string();
    let noted = servers
        .run(
            "psql",
            &["-X", "-q", "-U", "anybody", "-d", "postgres", "-f", &file],
            "",
        )
        .remove(0);
    let session = read(&module(Protocol::Postgres), &noted);
    for len in [1, 7, 1000] {
        read(&module(Protocol::Postgres), &cut(&noted, len)).check_same(&session);
    }
    let codes: Vec<String> = session
        .messages
        .iter()
        .filter_map(|message| message.verdict.as_ref().filter(|verdict| verdict.is_error))
        .map(|verdict| String::from_utf8_lossy(&sqlstate(verdict.code)).into_owned())
        .collect();
    assert_eq!(codes, ["42703", "22012", "22P02"]);
    assert_eq!(
        session
            .messages
            .iter()
            .filter(|message| message.pieces.len() == 2)
            .count(),
        2,
        "two of them copy in"
    );
    assert!(
        matches!(&session.opened[..], [Said::Opened(Some(_))]),
        "{:?}",
        session.opened
    );
    let (stream, opened) = log_in(
        &servers.lab,
        AT_TARGET,
        opening_of(&session),
        &credentials(""),
        false,
    )
    .expect("trust");
    Player::new(Protocol::Postgres, stream, &opened).play_all(&session);
    let count = |server: &Postgres| {
        server
            .ask(&servers.lab, "SELECT count(*), min(b), max(b) FROM t")
            .expect("rows")
    };
    assert_eq!(count(&servers.online), count(&servers.target));
}

#[test]
fn postgres_sessions_of_pgbench() {
    let Some(servers) = servers() else { return };
    let base = ["-U", "anybody", "-i", "-q", "postgres"];
    let made = servers.run("pgbench", &base, "");
    for noted in &made {
        let session = read(&module(Protocol::Postgres), noted);
        let (stream, opened) = log_in(
            &servers.lab,
            AT_TARGET,
            opening_of(&session),
            &credentials(""),
            false,
        )
        .expect("trust");
        Player::new(Protocol::Postgres, stream, &opened).play_all(&session);
    }
    for mode in ["simple", "extended", "prepared"] {
        let arguments = [
            "-U", "anybody", "-n", "-M", mode, "-t", "50", "-c", "2", "postgres",
        ];
        for noted in servers.run("pgbench", &arguments, "") {
            let session = read(&module(Protocol::Postgres), &noted);
            read(&module(Protocol::Postgres), &cut(&noted, 11)).check_same(&session);
            let (stream, opened) = log_in(
                &servers.lab,
                AT_TARGET,
                opening_of(&session),
                &credentials(""),
                false,
            )
            .expect("trust");
            Player::new(Protocol::Postgres, stream, &opened).play_all(&session);
        }
    }
    let sum = |server: &Postgres| {
        server
            .ask(
                &servers.lab,
                "SELECT count(*), sum(abalance) FROM pgbench_accounts",
            )
            .expect("rows")
    };
    assert_eq!(sum(&servers.online), sum(&servers.target));
}

/// A message of the protocol.
fn frame(kind: u8, body: &[u8]) -> Vec<u8> {
    let len = u32::try_from(4 + body.len()).expect("short");
    [&[kind][..], &len.to_be_bytes(), body].concat()
}

fn query(text: &str) -> Vec<u8> {
    frame(b'Q', format!("{text}\0").as_bytes())
}

/// COPY by the extended protocol, as libpq sends it, with two Syncs, of which the server answers one where it takes the data and both
/// where it does not.
#[test]
fn postgres_copies_in_a_batch() {
    let Some(servers) = servers() else { return };
    servers
        .target
        .ask(&servers.lab, "CREATE TABLE there (a int)")
        .expect("a table");
    let session = read(
        &module(Protocol::Postgres),
        &servers.session("anybody", "", "SELECT 1"),
    );
    let (stream, opened) = log_in(
        &servers.lab,
        AT_TARGET,
        opening_of(&session),
        &credentials(""),
        false,
    )
    .expect("trust");
    let mut player = Player::new(Protocol::Postgres, stream, &opened);
    let batch = |table: &str| {
        let parse = frame(b'P', format!("\0COPY {table} FROM STDIN\0\0\0").as_bytes());
        [
            parse,
            frame(b'B', &[0; 8]),
            frame(b'E', &[0; 5]),
            frame(b'S', b""),
        ]
        .concat()
    };
    let data = [frame(b'd', b"1\n"), frame(b'c', b""), frame(b'S', b"")].concat();
    let expect = Expect::Postgres(AwaitedPostgres { bare: false });
    let message = Message {
        head: Head {
            copied: true,
            expect,
            patch: None,
        },
        pieces: vec![batch("there"), data.clone()],
        verdict: None,
    };
    assert_eq!(
        player.play(&message).map(|verdict| verdict.is_error),
        Some(false)
    );
    let all = [
        batch("nowhere"),
        data,
        query("SELECT a FROM there"),
        query("SELECT nonsense"),
    ]
    .concat();
    let states: Vec<[u8; 5]> = player
        .play_at_once(&[expect; 3], &all)
        .iter()
        .map(|verdict| sqlstate(verdict.code))
        .collect();
    assert_eq!(states, [*b"42P01", *b"00000", *b"42703"]);
    assert_eq!(
        servers
            .target
            .ask(&servers.lab, "SELECT count(*) FROM there")
            .expect("rows"),
        "1"
    );
}

#[test]
fn postgres_read_only() {
    let Some(servers) = servers() else { return };
    let session = read(
        &module(Protocol::Postgres),
        &servers.session("anybody", "", "SELECT 1"),
    );
    let (stream, opened) = log_in(
        &servers.lab,
        AT_TARGET,
        opening_of(&session),
        &credentials(""),
        true,
    )
    .expect("trust");
    let mut player = Player::new(Protocol::Postgres, stream, &opened);
    let expect = Expect::Postgres(AwaitedPostgres { bare: false });
    let said = player.play_at_once(
        &[expect; 2],
        &[query("CREATE TABLE x ()"), query("SELECT 1")].concat(),
    );
    assert_eq!(
        sqlstate(said[0].code),
        *b"25006",
        "read_only_sql_transaction"
    );
    assert!(!said[1].is_error);
}

/// What a connection that cancels says at the online server is looked up, and said at the target with its own key.
#[test]
fn postgres_cancels() {
    let Some(servers) = servers() else { return };
    let session = read(
        &module(Protocol::Postgres),
        &servers.session("anybody", "", "SELECT 1"),
    );
    let (stream, opened) = log_in(
        &servers.lab,
        AT_TARGET,
        opening_of(&session),
        &credentials(""),
        false,
    )
    .expect("trust");
    let key = opened.cancel_key.clone().expect("a key");
    let mut player = Player::new(Protocol::Postgres, stream, &opened);
    let canceller = servers.lab.namespace(Host::Online).enter(move || {
        std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(500));
            let mut stream = TcpStream::connect(AT_TARGET).expect("the target");
            stream.write_all(&key.request()).expect("it is sent");
        })
    });
    let expect = Expect::Postgres(AwaitedPostgres { bare: false });
    let said = player.play_at_once(&[expect], &query("SELECT pg_sleep(30)"));
    assert_eq!(sqlstate(said[0].code), *b"57014", "query_canceled");
    canceller.expect("the namespace").join().expect("no panic");
}
