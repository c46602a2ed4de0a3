//! Both readers of Redis, and the login, against a real server. Where there is none, it says SKIP.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use protocol::{
    Account, Choice, Expect, Login, Module, Part, Protocol, Requests, Responses, Said, Step,
};

const PASSWORD: &str = "no-secret";
const PATIENCE: Duration = Duration::from_secs(10);

/// A server of this test's own, on a socket in a folder.
struct Server {
    child: Child,
    folder: tempfile::TempDir,
}

impl Server {
    /// `None` where there is no redis-server.
    fn start() -> Option<Self> {
        let folder = tempfile::tempdir().expect("a folder");
        let child = Command::new("redis-server")
            .args(["--port", "0", "--save", "", "--requirepass", PASSWORD])
            .args(["--user", "app", "on", ">app", "~*", "&*", "+@all"])
            .arg("--unixsocket")
            .arg(folder.path().join("socket"))
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn();
        let Ok(child) = child else {
            eprintln!("SKIP: there is no redis-server");
            return None;
        };
        Some(Self { child, folder })
    }

    fn connect(&self) -> Client {
        let socket = self.folder.path().join("socket");
        let begun = Instant::now();
        let stream = loop {
            match UnixStream::connect(&socket) {
                Ok(stream) => break stream,
                Err(error) => assert!(begun.elapsed() < PATIENCE, "{error}"),
            }
            sleep(Duration::from_millis(10));
        };
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let module = Module {
            choice: Choice::Is(Protocol::Redis),
            ..Module::default()
        };
        Client {
            stream,
            requests: Requests::new(&module),
            responses: Responses::new(Protocol::Redis),
            module,
            said: Vec::new(),
            errors: 0,
            ended: 0,
            unasked: 0,
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A client whose bytes, and whose server's, are read by both readers.
struct Client {
    stream: UnixStream,
    requests: Requests,
    responses: Responses,
    module: Module,
    /// What the server has said.
    said: Vec<u8>,
    errors: usize,
    ended: usize,
    unasked: usize,
}

impl Client {
    /// Sends bytes, and reads until each command in them has ended.
    fn say(&mut self, bytes: &[u8]) {
        let mut expected: Vec<Expect> = Vec::new();
        self.requests
            .push(&self.module, bytes, true, &mut |part| match part {
                Part::Begin(head) => expected.push(head.expect),
                Part::Leave(why) => panic!("left: {why:?}"),
                _ => {}
            });
        assert!(self.requests.is_between());
        expected.retain(|expect| !matches!(expect, Expect::Nothing(_)));
        let all = self.ended + expected.len();
        for expect in &expected {
            self.responses.expect(*expect);
        }
        self.stream.write_all(bytes).expect("the server reads");
        while self.ended < all {
            self.read();
        }
    }

    fn read(&mut self) {
        let mut buffer = [0; 4096];
        let len = self.stream.read(&mut buffer).expect("the server answers");
        assert!(len > 0, "the server has closed");
        self.said.extend_from_slice(&buffer[..len]);
        // In small pieces, so that each is cut somewhere.
        for piece in buffer[..len].chunks(7) {
            self.responses.push(piece, &mut |said| match said {
                Said::End(verdict) => {
                    self.ended += 1;
                    self.errors += usize::from(verdict.is_error);
                }
                Said::Unasked(len) => self.unasked += len as usize,
                Said::Bytes(_) => {}
                other => panic!("{other:?}"),
            });
        }
    }

    /// Says it in words of which none has a blank.
    fn ask(&mut self, lines: &[&str]) {
        let bytes: Vec<u8> = lines.iter().flat_map(|line| command(line)).collect();
        self.say(&bytes);
    }
}

fn command(line: &str) -> Vec<u8> {
    let words: Vec<&str> = line.split(' ').collect();
    let mut bytes = format!("*{}\r\n", words.len());
    for word in words {
        bytes.push_str(&format!("${}\r\n{word}\r\n", word.len()));
    }
    bytes.into_bytes()
}

fn log_in(client: &mut Client, account: Account) -> Result<(), String> {
    let mut login = Login::redis(account);
    let first = login.start();
    client.stream.write_all(&first).expect("the server reads");
    let mut step = login.push(b"");
    loop {
        step = match step {
            Step::Wait => {
                let mut buffer = [0; 256];
                let len = client.stream.read(&mut buffer).expect("the server answers");
                login.push(&buffer[..len])
            }
            Step::Send(bytes) => {
                client.stream.write_all(&bytes).expect("the server reads");
                login.push(b"")
            }
            Step::Done(opened) => {
                assert!(opened.rest.is_empty());
                return Ok(());
            }
            Step::Failed(words) => return Err(words),
        };
    }
}

fn account(user: Option<&str>, password: &str, database: u32) -> Account {
    Account::new(user.map(str::to_owned), password.to_owned(), database)
}

#[test]
fn a_session_is_read_to_its_end() {
    let Some(server) = Server::start() else {
        return;
    };
    for version in ["2", "3"] {
        let mut client = server.connect();
        client.ask(&["GET a"]);
        assert_eq!(client.errors, 1, "no login yet");
        client.ask(&[&format!("HELLO {version} AUTH default {PASSWORD}")]);
        client.ask(&[
            "SET a b",
            "GET a",
            "GET none",
            "NOSUCH",
            "LPUSH list a b c",
            "LRANGE list 0 -1",
        ]);
        client.say(b"SET b \"c d\"\r\nGET b\n\r\n");
        client.ask(&[
            "MULTI",
            "HSET h a 1",
            "HGETALL h",
            "LLEN h",
            "EXEC",
            "ZADD z 1.5 a",
            "ZRANGE z 0 -1 WITHSCORES",
        ]);
        client.ask(&[
            "COMMAND DOCS GET",
            "CONFIG GET save*",
            "INFO",
            "EVAL return{1,{2,{}},'x'} 0",
            "DEL list h z",
        ]);
        client.ask(&[
            "CLIENT REPLY SKIP",
            "SET c d",
            "GET c",
            "CLIENT REPLY OFF",
            "SET d e",
            "CLIENT REPLY ON",
            "GET d",
        ]);
        assert_eq!(
            (client.unasked, client.errors),
            (0, 2),
            "{}",
            String::from_utf8_lossy(&client.said)
        );
        subscribe(&server, &mut client);
        client.ask(&["RESET"]);
        client.ask(&[&format!("AUTH {PASSWORD}"), "GET a", "QUIT"]);
        assert_eq!(
            client.errors,
            2,
            "{}",
            String::from_utf8_lossy(&client.said)
        );
    }
}

/// What is published comes in between, and after all.
fn subscribe(server: &Server, client: &mut Client) {
    let mut other = server.connect();
    other.ask(&[&format!("AUTH {PASSWORD}")]);
    client.ask(&["SUBSCRIBE one two", "PSUBSCRIBE o*", "SSUBSCRIBE shard"]);
    other.ask(&[
        "PUBLISH one hello",
        "PUBLISH two hello",
        "SPUBLISH shard hello",
    ]);
    client.ask(&[
        "PING",
        "UNSUBSCRIBE one",
        "UNSUBSCRIBE",
        "UNSUBSCRIBE",
        "PUNSUBSCRIBE",
        "SUNSUBSCRIBE",
    ]);
    assert!(client.unasked > 3 * 20, "{}", client.unasked);
}

#[test]
fn logins() {
    let Some(server) = Server::start() else {
        return;
    };
    for (account, key) in [
        (account(None, PASSWORD, 0), "0"),
        (account(Some("default"), PASSWORD, 5), "5"),
        (account(Some("app"), "app", 5), "6"),
    ] {
        let mut client = server.connect();
        log_in(&mut client, account).expect("it may log in");
        client.ask(&[&format!("SET key{key} x"), "DBSIZE"]);
        assert_eq!(client.errors, 0);
    }
    let mut client = server.connect();
    log_in(&mut client, account(None, PASSWORD, 5)).expect("it may log in");
    client.ask(&["DBSIZE"]);
    assert_eq!(client.said, b":2\r\n", "two have selected 5");
    for (account, words) in [
        (
            account(None, "wrong", 0),
            "the target has refused AUTH as default: WRONGPASS",
        ),
        (
            account(Some("nobody"), PASSWORD, 0),
            "the target has refused AUTH as nobody: WRONGPASS",
        ),
        (
            account(Some("app"), "app", 99),
            "the target has refused SELECT 99: ERR",
        ),
    ] {
        let mut client = server.connect();
        assert_eq!(log_in(&mut client, account), Err(words.to_owned()));
    }
}
