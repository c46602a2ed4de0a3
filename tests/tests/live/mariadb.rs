//! MariaDB to MariaDB by its module: sessions log in by themselves, and afterwards both servers hold the same.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use lab::copier::Summary;
use lab::mariadb::Mariadb;
use lab::net::{ONLINE, TARGET};
use lab::{Host, Spec, Topology};
use tests::copying::{check_books, finish, start_with};
use tests::{PORT, Stand, check_nothing_left};

use super::options::with;
use super::spoken::{connect, long};
use super::waiting::Waiting;

const TABLES: &str = "CREATE DATABASE shop; USE shop; CREATE TABLE shop.goods (id INT PRIMARY KEY, stock INT, name TEXT) ENGINE=InnoDB; \
    CREATE TABLE shop.sold (client INT, id INT, pieces INT) ENGINE=InnoDB; \
    INSERT INTO shop.goods SELECT seq, 1000, CONCAT('thing ', seq) FROM seq_1_to_100";
const USERS: &str = "CREATE USER native IDENTIFIED BY 'se cret'; CREATE USER nobody; \
    GRANT ALL ON shop.* TO native; GRANT ALL ON shop.* TO nobody";
/// What the servers hold, whatever the order of transactions was.
const STATE: &str = "SELECT (SELECT MD5(GROUP_CONCAT(id, ':', stock, name ORDER BY id)) FROM shop.goods), \
    (SELECT CONCAT(COUNT(*), ':', COALESCE(SUM(client * id * pieces), 0)) FROM shop.sold)";

struct Servers {
    stand: Stand,
    online: Mariadb,
    target: Mariadb,
}

/// Two servers with the same tables and users; `options` are those of the target.
fn servers(topology: Topology, options: &[&str]) -> Option<Servers> {
    let stand = super::stand_with(topology, &Mariadb::PROGRAMS)?;
    let start = |host, name, address: Ipv4Addr, options: &[&str]| {
        let at = (address, PORT).into();
        Mariadb::start(&stand.lab, host, name, at, options).expect("MariaDB")
    };
    let online = start(Host::Online, "mariadb-online", ONLINE, &[]);
    let target = start(Host::Target, "mariadb-target", TARGET, options);
    for server in [&online, &target] {
        server.ask(&stand.lab, TABLES).expect("tables");
    }
    online.ask(&stand.lab, USERS).expect("users");
    if options.is_empty() {
        target.ask(&stand.lab, USERS).expect("users");
    }
    Some(Servers {
        stand,
        online,
        target,
    })
}

impl Servers {
    /// What a client of MariaDB says to the online server.
    fn client(&self, user: &str, number: usize, statements: &str) -> lab::Process {
        let (address, port) = (ONLINE.to_string(), PORT.to_string());
        let spec = Spec::new(&format!("mariadb-{user}-{number}"), "mariadb")
            .args(["--no-defaults", "--protocol=tcp", "--skip-ssl", "--force"])
            .args(["-h", &address, "-P", &port, "-u", user, "-D", "shop"])
            .args(["-e", statements])
            .env("MYSQL_PWD", if user == "native" { "se cret" } else { "" });
        self.stand.lab.spawn(Host::Client, &spec).expect("a client")
    }

    fn states(&self) -> [String; 2] {
        [&self.online, &self.target].map(|it| it.ask(&self.stand.lab, STATE).expect("a state"))
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
    eprintln!("{context}");
    assert!(summary.captured() > 0, "{context}");
    assert_eq!(summary.fidelity(), 1.0, "{context}");
    assert_eq!(summary.count("/differences/unpaired"), 0, "{context}");
    let [online, target] = servers.states();
    assert_eq!(online, target, "{context}");
    check_nothing_left(&servers.stand);
}

/// Sales of one client: transactions, some of which are rolled back, and a statement that fails.
fn sales(client: usize, count: usize) -> String {
    let sale = |number: usize| {
        let (id, pieces) = (1 + (client * 31 + number * 7) % 100, 1 + number % 5);
        let end = if number % 10 == 3 {
            "ROLLBACK"
        } else {
            "COMMIT"
        };
        format!(
            "BEGIN; UPDATE goods SET stock = stock - {pieces} WHERE id = {id}; \
             INSERT INTO sold VALUES ({client}, {id}, {pieces}); SELECT stock FROM goods WHERE id > 50; \
             {end};"
        )
    };
    // One statement that fails ends what the client says.
    (0..count).map(sale).collect::<String>() + "SELECT nothing FROM nowhere"
}

fn transactions(topology: Topology, options: &[&str]) {
    let Some(servers) = servers(topology, options) else {
        return;
    };
    let logins = servers.logins("native \"se cret\"\n");
    let arguments = ["--protocol", "mysql", "--login", &logins];
    let mut copier = start_with(&servers.stand, &with(servers.stand.options(), &arguments));
    let count = if long() { 400 } else { 30 };
    let clients: Vec<_> = (0..6)
        .map(|number| {
            let user = if number % 2 == 0 { "native" } else { "nobody" };
            servers.client(user, number, &sales(number, count))
        })
        .collect();
    for mut client in clients {
        // Statements have failed, as they were to.
        client.wait(Duration::from_secs(120)).expect("it ends");
    }
    let summary = finish(&mut copier);
    check(&summary, &servers);
    let [online, _] = servers.states();
    let sold = 6 * (0..count).filter(|number| number % 10 != 3).count();
    assert!(online.contains(&format!("{sold}:")), "{online}");
}

#[test]
fn transactions_direct() {
    transactions(Topology::Direct, &[]);
}

#[test]
fn transactions_assistant() {
    transactions(Topology::Assistant, &[]);
}

#[test]
fn a_target_that_lets_everybody_in() {
    transactions(Topology::Direct, &["--skip-grant-tables"]);
}

/// A client that speaks the binary protocol.
struct Client(TcpStream);

impl Client {
    /// Logs in as a user without a password.
    fn new(stand: &Stand) -> Self {
        let mut client = Self(connect(stand));
        client.packet();
        // CLIENT_LONG_PASSWORD, _CONNECT_WITH_DB, _PROTOCOL_41, _TRANSACTIONS, _SECURE_CONNECTION, _PLUGIN_AUTH.
        let capabilities: u32 = 1 | 8 | 1 << 9 | 1 << 13 | 1 << 15 | 1 << 19;
        let mut answer = capabilities.to_le_bytes().to_vec();
        answer.extend_from_slice(&(1_u32 << 24).to_le_bytes());
        answer.push(45);
        answer.extend_from_slice(&[0; 23]);
        answer.extend_from_slice(b"nobody\0\0shop\0mysql_native_password\0");
        client.say(1, &answer);
        assert_eq!(client.packet()[0], 0, "it is let in");
        client
    }

    fn say(&mut self, number: u8, payload: &[u8]) {
        let len = u32::try_from(payload.len()).expect("short").to_le_bytes();
        let head = [len[0], len[1], len[2], number];
        self.0
            .write_all(&[&head[..], payload].concat())
            .expect("sent");
    }

    fn packet(&mut self) -> Vec<u8> {
        let mut head = [0; 4];
        self.0.read_exact(&mut head).expect("a head");
        let len = u32::from_le_bytes([head[0], head[1], head[2], 0]);
        let mut payload = vec![0; len as usize];
        self.0.read_exact(&mut payload).expect("a payload");
        payload
    }

    /// Says a command that is answered with a word that all is well.
    fn command(&mut self, command: u8, text: &str) {
        self.say(0, &[&[command], text.as_bytes()].concat());
        let answer = self.packet();
        assert_eq!(answer[0], 0, "{}", String::from_utf8_lossy(&answer));
    }

    /// Becomes a user without a password.
    fn change_user(&mut self) {
        self.say(0, b"\x11nobody\0\0shop\0\x2d\0mysql_native_password\0");
        let answer = self.packet();
        if answer[0] == 0xfe {
            // The server would like to have it proven in another way, or to another nonce.
            self.say(2, b"");
            assert_eq!(self.packet()[0], 0, "it is let in");
        } else {
            assert_eq!(answer[0], 0, "{}", String::from_utf8_lossy(&answer));
        }
    }

    /// Prepares a statement with one parameter, and returns its number.
    fn prepare(&mut self, statement: &str) -> u32 {
        self.say(0, &[&[0x16], statement.as_bytes()].concat());
        let answer = self.packet();
        assert_eq!(answer[0], 0, "{}", String::from_utf8_lossy(&answer));
        let word = |at: usize| usize::from(u16::from_le_bytes([answer[at], answer[at + 1]]));
        for columns in [word(7), word(5)] {
            if columns > 0 {
                (0..=columns).for_each(|_| drop(self.packet()));
            }
        }
        u32::from_le_bytes([answer[1], answer[2], answer[3], answer[4]])
    }

    /// Executes a statement with a number, and reads its rows, if it has any.
    fn execute(&mut self, statement: u32, value: u32) -> Vec<Vec<u8>> {
        let mut said = vec![0x17];
        said.extend_from_slice(&statement.to_le_bytes());
        said.extend_from_slice(&[0, 1, 0, 0, 0, 0, 1, 3, 0]);
        said.extend_from_slice(&value.to_le_bytes());
        self.say(0, &said);
        let first = self.packet();
        assert_ne!(first[0], 0xff, "{}", String::from_utf8_lossy(&first));
        if first[0] == 0 {
            return Vec::new();
        }
        let mut rows = Vec::new();
        (0..=first[0]).for_each(|_| drop(self.packet()));
        loop {
            let row = self.packet();
            if row[0] == 0xfe && row.len() < 9 {
                return rows;
            }
            rows.push(row);
        }
    }
}

/// A statement that writes is not prepared at the target, so that those behind it have other numbers there.
#[test]
fn only_what_reads() {
    let Some(servers) = servers(Topology::Direct, &[]) else {
        return;
    };
    let arguments = ["--protocol", "mysql", "--read-only"];
    let mut copier = start_with(&servers.stand, &with(servers.stand.options(), &arguments));
    let before = servers.states();
    let mut client = Client::new(&servers.stand);
    let write = client.prepare("UPDATE goods SET stock = stock - 1 WHERE id = ?");
    let name = client.prepare("SELECT name FROM goods WHERE id = ?");
    let more = client.prepare("SELECT id, name FROM goods WHERE id < ?");
    for number in 1..=30 {
        client.execute(write, number);
        assert_eq!(client.execute(name, number).len(), 1);
        assert_eq!(client.execute(more, number).len(), number as usize - 1);
    }
    drop(client);
    let summary = finish(&mut copier);
    check_books(&summary);
    let after = servers.states();
    let value = summary.value();
    let context = format!("{} {}", summary.ledger(), value["differences"]);
    eprintln!("{context}");
    assert_eq!(before[1], after[1], "{context}");
    assert_ne!(before[0], after[0], "{context}");
    assert_eq!(summary.count("/ledger/filtered"), 31, "{context}");
    assert_eq!(summary.answered(), 62, "{context}");
    assert_eq!(summary.fidelity(), 1.0, "{context}");
    // The same rows: each statement had its own number.
    assert_eq!(summary.count("/differences/differing"), 0, "{context}");
}

/// Connections that were open before the start, and are silent then, are copied from their next statement on, as those that come later; of
/// some of them nothing is committed by itself.
fn from_before(topology: Topology) {
    let Some(servers) = servers(topology, &[]) else {
        return;
    };
    let mariadb = format!(
        "mariadb --no-defaults --protocol=tcp --skip-ssl --force -N -n -h {ONLINE} -P {PORT} -u native -D shop"
    );
    let client = |number: usize| {
        let (name, command) = (
            format!("mariadb-{number}"),
            (&*mariadb, ("MYSQL_PWD", "se cret")),
        );
        let first = ["", "SET autocommit=0; "][number % 2];
        let first = format!("{first}SELECT CONCAT('rea', 'dy');\n");
        let later = sales(number, 20).replace(';', ";\n") + ";\nCOMMIT;\n";
        Waiting::start(&servers.stand, &name, command, &first, &later)
    };
    let before: Vec<_> = (0..4).map(client).collect();
    let logins = servers.logins("native \"se cret\" shop\n* x\n");
    let arguments = ["--protocol", "mysql", "--login", &logins];
    let mut copier = start_with(&servers.stand, &with(servers.stand.options(), &arguments));
    let later: Vec<_> = (4..8).map(client).collect();
    let all: Vec<_> = before.into_iter().chain(later).collect();
    all.iter().for_each(Waiting::go);
    all.into_iter().for_each(Waiting::finish);
    let summary = finish(&mut copier);
    check(&summary, &servers);
    let [online, _] = servers.states();
    assert!(online.contains(&format!("{}:", 8 * 18)), "{online}");
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

/// What poolers say when a connection is handed out: it changes its user, or forgets its state, and an open transaction is undone.
fn changes_of_user(topology: Topology) {
    let Some(servers) = servers(topology, &[]) else {
        return;
    };
    let arguments = ["--protocol", "mysql"];
    let mut copier = start_with(&servers.stand, &with(servers.stand.options(), &arguments));
    let mut client = Client::new(&servers.stand);
    for number in 1..=12 {
        let sold = |client: u32| format!("INSERT INTO sold VALUES ({client}, {number}, 1)");
        let insert = client.prepare("INSERT INTO sold VALUES (1, ?, 1)");
        client.execute(insert, number);
        client.command(0x03, "BEGIN");
        client.command(0x03, &sold(2));
        if number % 3 == 0 {
            client.command(0x1f, "");
        } else {
            client.change_user();
        }
        client.command(0x03, &sold(3));
    }
    drop(client);
    let summary = finish(&mut copier);
    check(&summary, &servers);
    let [online, _] = servers.states();
    assert!(online.contains("24:"), "{online}");
    let engine = &summary.value()["engine"];
    assert_eq!(summary.count("/engine/module_logins"), 9, "{engine}");
    assert_eq!(summary.count("/ledger/filtered"), 8, "{}", summary.ledger());
}

#[test]
fn changes_of_user_direct() {
    changes_of_user(Topology::Direct);
}

#[test]
fn changes_of_user_assistant() {
    changes_of_user(Topology::Assistant);
}
