//! PostgreSQL to PostgreSQL by its module: sessions log in by themselves, and afterwards both servers hold the same.

use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use lab::copier::Summary;
use lab::net::{ONLINE, TARGET};
use lab::postgres::Postgres;
use lab::{Host, Spec, Topology};
use tests::copying::{check_books, finish, start_with};
use tests::{PORT, Stand, check_nothing_left};

use super::options::with;
use super::spoken::long;
use super::waiting::Waiting;

const WAYS: [(&str, &str); 3] = [
    ("plain", "password"),
    ("five", "md5"),
    ("scram", "scram-sha-256"),
];
const ROLES: &str = "CREATE ROLE anybody LOGIN SUPERUSER; \
    CREATE ROLE plain LOGIN SUPERUSER PASSWORD 'secret'; \
    SET password_encryption = md5; CREATE ROLE five LOGIN SUPERUSER PASSWORD 'secret'; \
    SET password_encryption = 'scram-sha-256'; CREATE ROLE scram LOGIN SUPERUSER PASSWORD 'secret';";
/// What pgbench has changed, whatever the order of its transactions was.
const STATE: &str = "SELECT (SELECT md5(string_agg(aid || ':' || abalance, ',' ORDER BY aid)) FROM pgbench_accounts WHERE abalance <> 0), \
    (SELECT md5(string_agg(bid || ':' || bbalance, ',' ORDER BY bid)) FROM pgbench_branches), \
    (SELECT md5(string_agg(tid || ':' || tbalance, ',' ORDER BY tid)) FROM pgbench_tellers), \
    (SELECT count(*) || ':' || sum(delta) FROM pgbench_history)";

struct Servers {
    stand: Stand,
    online: Postgres,
    target: Postgres,
}

fn servers(topology: Topology) -> Option<Servers> {
    let stand = super::stand_with(topology, &["psql", "pgbench", "setpriv"])?;
    if Postgres::programs().is_none() {
        return tests::stand::skip("postgresql not installed; `cargo xtask setup` does it");
    }
    let start = |host, name, address: std::net::Ipv4Addr| {
        let at = (address, PORT).into();
        Postgres::start(&stand.lab, host, name, at, &WAYS).expect("PostgreSQL")
    };
    let online = start(Host::Online, "postgres-online", ONLINE);
    let target = start(Host::Target, "postgres-target", TARGET);
    for server in [&online, &target] {
        server.ask(&stand.lab, ROLES).expect("roles");
    }
    Some(Servers {
        stand,
        online,
        target,
    })
}

impl Servers {
    /// Runs pgbench from a host.
    fn pgbench(&self, host: Host, server: std::net::Ipv4Addr, user: &str, arguments: &[&str]) {
        let (address, port) = (server.to_string(), PORT.to_string());
        let spec = Spec::new(&format!("pgbench-{user}"), "pgbench")
            .args(["-h", &address, "-p", &port, "-U", user])
            .args(arguments)
            .arg("postgres")
            .env("PGPASSWORD", "secret")
            .env("PGSSLMODE", "disable");
        let mut process = self.stand.lab.spawn(host, &spec).expect("pgbench");
        let ended = process.wait_success(Duration::from_secs(120));
        ended.unwrap_or_else(|error| panic!("{error}: {}", process.log()));
    }

    /// Both servers have the tables of pgbench.
    fn fill(&self) {
        for (host, address) in [(Host::Online, ONLINE), (Host::Target, TARGET)] {
            self.pgbench(host, address, "anybody", &["-i", "-q", "-s", "2"]);
        }
    }

    fn states(&self) -> [String; 2] {
        [&self.online, &self.target].map(|it| it.ask(&self.stand.lab, STATE).expect("a state"))
    }

    /// What `pg_authid` of the target keeps of a password.
    fn verifier(&self, user: &str) -> String {
        let asked = format!("SELECT rolpassword FROM pg_authid WHERE rolname = '{user}'");
        let answer = self.target.ask(&self.stand.lab, &asked);
        answer.expect("a verifier").trim().to_owned()
    }

    fn logins(&self, text: &str) -> String {
        let path = self.stand.lab.folder().join("logins");
        std::fs::write(&path, text).expect("a file");
        let mode = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(&path, mode).expect("its mode");
        path.display().to_string()
    }
}

fn check(summary: &Summary, servers: &Servers) {
    check_books(summary);
    let value = summary.value();
    let context = format!("{} {}", summary.ledger(), value["warnings"]);
    assert!(summary.captured() > 0, "{context}");
    assert_eq!(summary.fidelity(), 1.0, "{context}");
    assert_eq!(summary.count("/differences/unpaired"), 0, "{context}");
    let [online, target] = servers.states();
    assert_eq!(online, target, "{context}");
    check_nothing_left(&servers.stand);
}

/// Users of every way to log in, with what the file has of each, and every way to say a statement.
fn transactions(topology: Topology) {
    let Some(servers) = servers(topology) else {
        return;
    };
    servers.fill();
    let logins = servers.logins(&format!(
        "# what pg_authid has, and a password\nfive {}\nscram secret\nplain secret\n",
        servers.verifier("five")
    ));
    let options = ["--protocol", "postgres", "--login", &logins];
    let options = with(servers.stand.options(), &options);
    let mut copier = start_with(&servers.stand, &options);
    let count = if long() { "1000" } else { "50" };
    for (user, way) in [
        ("anybody", "simple"),
        ("plain", "extended"),
        ("five", "prepared"),
        ("scram", "simple"),
    ] {
        servers.pgbench(
            Host::Client,
            ONLINE,
            user,
            &["-n", "-c", "4", "-t", count, "-M", way],
        );
    }
    let summary = finish(&mut copier);
    eprintln!(
        "{}; lag {}",
        summary.ledger(),
        summary.value()["latency_us"]["lag"]
    );
    check(&summary, &servers);
    let expected = 16 * count.parse::<u64>().expect("a number");
    let [online, _] = servers.states();
    assert!(online.contains(&format!("{expected}:")), "{online}");
}

#[test]
fn transactions_direct() {
    transactions(Topology::Direct);
}

#[test]
fn transactions_assistant() {
    transactions(Topology::Assistant);
}

/// Where both servers have the same verifier, it is enough: what a client shows the online server of its password opens the target.
#[test]
fn a_verifier_is_enough() {
    let Some(servers) = servers(Topology::Direct) else {
        return;
    };
    servers.fill();
    let asked = "SELECT rolpassword FROM pg_authid WHERE rolname = 'scram'";
    let verifier = servers
        .online
        .ask(&servers.stand.lab, asked)
        .expect("a verifier");
    let verifier = verifier.trim();
    let same = format!("ALTER ROLE scram PASSWORD '{verifier}'");
    servers
        .target
        .ask(&servers.stand.lab, &same)
        .expect("the same");
    let logins = servers.logins(&format!("scram {verifier}\n"));
    let options = ["--protocol", "postgres", "--login", &logins];
    let mut copier = start_with(&servers.stand, &with(servers.stand.options(), &options));
    servers.pgbench(
        Host::Client,
        ONLINE,
        "scram",
        &["-n", "-c", "3", "-t", "20"],
    );
    let summary = finish(&mut copier);
    check(&summary, &servers);
}

/// Nothing that writes reaches the target.
#[test]
fn only_what_reads() {
    let Some(servers) = servers(Topology::Direct) else {
        return;
    };
    servers.fill();
    let options = ["--protocol", "postgres", "--read-only"];
    let mut copier = start_with(&servers.stand, &with(servers.stand.options(), &options));
    let before = servers.states();
    for way in ["simple", "extended", "prepared"] {
        let load = ["-n", "-c", "2", "-t", "20", "-M", way];
        servers.pgbench(Host::Client, ONLINE, "anybody", &load);
        let reads = [&load[..], &["-S"]].concat();
        servers.pgbench(Host::Client, ONLINE, "anybody", &reads);
    }
    let summary = finish(&mut copier);
    check_books(&summary);
    let after = servers.states();
    let context = summary.ledger();
    assert_eq!(before[1], after[1], "{context}");
    assert_ne!(before[0], after[0], "{context}");
    assert_eq!(summary.fidelity(), 1.0, "{context}");
    assert!(summary.count("/ledger/filtered") > 0, "{context}");
    // Three times 40 that read, at least.
    assert!(summary.answered() >= 120, "{context}");
}

/// A target that does not let a session in is said, and costs the clients nothing.
#[test]
fn a_login_that_fails_is_said() {
    let Some(servers) = servers(Topology::Direct) else {
        return;
    };
    servers.fill();
    let logins = servers.logins("scram wrong\n");
    let options = ["--protocol", "postgres", "--login", &logins];
    let mut copier = start_with(&servers.stand, &with(servers.stand.options(), &options));
    servers.pgbench(Host::Client, ONLINE, "scram", &["-n", "-c", "2", "-t", "5"]);
    let summary = finish(&mut copier);
    check_books(&summary);
    let warnings = summary.value()["warnings"].to_string();
    assert!(warnings.contains("login_failed"), "{warnings}");
    assert_eq!(summary.answered(), 0, "{}", summary.ledger());
    assert!(summary.count("/ledger/refused") > 0, "{}", summary.ledger());
}

/// What one client sells: transactions, some of which are rolled back or fail, and statements outside of one. No two clients touch the same
/// rows.
fn sales(client: u32) -> String {
    let sale = |number: u32| {
        let (account, end) = (
            1 + client * 1000 + number,
            ["COMMIT", "ROLLBACK"][usize::from(number % 5 == 3)],
        );
        format!(
            "BEGIN;\nUPDATE pgbench_accounts SET abalance = abalance + {number} WHERE aid = {account};\n\
             INSERT INTO pgbench_history (tid, bid, aid, delta) VALUES (1, 1, {account}, {number});\n{end};\n\
             UPDATE pgbench_accounts SET abalance = abalance + 1 WHERE aid = {account};\nSELECT nothing;\n"
        )
    };
    (0..20).map(sale).collect()
}

/// Connections that were open before the start, and are silent then, are copied from their next statement on, as those that come later.
fn from_before(topology: Topology) {
    let Some(servers) = servers(topology) else {
        return;
    };
    servers.fill();
    let psql =
        format!("psql -X -q -h {ONLINE} -p {PORT} -U scram \"dbname=postgres sslmode=disable\"");
    let client = |number: u32| {
        let (name, command) = (format!("psql-{number}"), (&*psql, ("PGPASSWORD", "secret")));
        let first = "SELECT 'rea' || 'dy';\n";
        Waiting::start(&servers.stand, &name, command, first, &sales(number))
    };
    let before: Vec<_> = (0..4).map(client).collect();
    let logins = servers.logins("scram secret postgres\nplain secret\n");
    let options = ["--protocol", "postgres", "--login", &logins];
    let mut copier = start_with(&servers.stand, &with(servers.stand.options(), &options));
    let later: Vec<_> = (4..8).map(client).collect();
    let all: Vec<_> = before.into_iter().chain(later).collect();
    all.iter().for_each(Waiting::go);
    all.into_iter().for_each(Waiting::finish);
    let summary = finish(&mut copier);
    eprintln!("{}", summary.ledger());
    check(&summary, &servers);
    // Four of five transactions of each.
    let [online, _] = servers.states();
    assert!(online.contains(&format!("{}:", 8 * 16)), "{online}");
    assert_eq!(
        summary.count("/engine/module_logins"),
        8,
        "{}",
        summary.value()["engine"]
    );
}

#[test]
fn from_before_direct() {
    from_before(Topology::Direct);
}

#[test]
fn from_before_assistant() {
    from_before(Topology::Assistant);
}

/// Connections that are busy as the copy starts are joined between two transactions: the target has no half of one.
#[test]
fn no_half_of_a_transaction() {
    let Some(servers) = servers(Topology::Direct) else {
        return;
    };
    servers.fill();
    let logins = servers.logins("plain secret postgres\n");
    let options = ["--protocol", "postgres", "--login", &logins];
    let load = ["-n", "-c", "4", "-T", "6"];
    let mut copier = std::thread::scope(|scope| {
        let busy = scope.spawn(|| servers.pgbench(Host::Client, ONLINE, "plain", &load));
        std::thread::sleep(Duration::from_secs(1));
        let copier = start_with(&servers.stand, &with(servers.stand.options(), &options));
        busy.join().expect("no panic");
        copier
    });
    let summary = finish(&mut copier);
    check_books(&summary);
    eprintln!("{}", summary.ledger());
    let sums = "SELECT (SELECT sum(delta) FROM pgbench_history) = (SELECT sum(abalance) FROM pgbench_accounts), \
        (SELECT sum(delta) FROM pgbench_history) = (SELECT sum(bbalance) FROM pgbench_branches), \
        (SELECT sum(delta) FROM pgbench_history) = (SELECT sum(tbalance) FROM pgbench_tellers), \
        (SELECT count(*) > 0 FROM pgbench_history)";
    let target = servers.target.ask(&servers.stand.lab, sums).expect("sums");
    assert_eq!(target.trim(), "t|t|t|t", "{}", summary.ledger());
    assert_eq!(
        summary.count("/engine/module_logins"),
        4,
        "{}",
        summary.value()["engine"]
    );
    check_nothing_left(&servers.stand);
}

/// A client that interrupts its statement cancels it by the online server's key; the copy's statement ends by the target's.
#[test]
fn a_statement_is_cancelled() {
    let Some(servers) = servers(Topology::Direct) else {
        return;
    };
    let options = ["--protocol", "postgres"];
    let mut copier = start_with(&servers.stand, &with(servers.stand.options(), &options));
    let script = format!(
        "timeout -s INT 2 psql -X -h {ONLINE} -p {PORT} -U anybody \"dbname=postgres sslmode=disable\" -c 'SELECT pg_sleep(60)'"
    );
    let spec = Spec::new("interrupted", "sh").args(["-c", &script]);
    let mut client = servers.stand.lab.spawn(Host::Client, &spec).expect("psql");
    client.wait(Duration::from_secs(20)).expect("it ends");
    assert!(
        client.log().contains("canceling statement"),
        "{}",
        client.log()
    );
    let asleep = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%' AND state = 'active'";
    let mut left = String::new();
    for _ in 0..50 {
        left = servers
            .target
            .ask(&servers.stand.lab, asleep)
            .expect("an answer");
        if left.trim() == "0" {
            break;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    let summary = finish(&mut copier);
    check_books(&summary);
    let engine = &summary.value()["engine"];
    assert_eq!(summary.count("/engine/module_cancels"), 1, "{engine}");
    assert_eq!(left.trim(), "0", "{engine}");
    assert_eq!(summary.fidelity(), 1.0, "{}", summary.ledger());
    check_nothing_left(&servers.stand);
}
