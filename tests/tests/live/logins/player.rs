//! A login at a target, and the messages of a read session, each of which waits for the answer before.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use lab::{Host, Lab};
use protocol::{
    Credentials, Expect, Login, Opened, Opening, Protocol, Responses, Said, Step, Verdict,
};

use super::reading::{Message, Session};

/// Logs in at a target from the online server's host, or says why not.
pub(super) fn log_in(
    lab: &Lab,
    target: SocketAddr,
    opening: &Opening,
    credentials: &Credentials,
    read_only: bool,
) -> Result<(TcpStream, Opened), String> {
    log_in_from(lab, Host::Online, target, opening, credentials, read_only)
}

/// The same from another host.
pub(super) fn log_in_from(
    lab: &Lab,
    host: Host,
    target: SocketAddr,
    opening: &Opening,
    credentials: &Credentials,
    read_only: bool,
) -> Result<(TcpStream, Opened), String> {
    let connected = lab.namespace(host).enter(|| TcpStream::connect(target));
    let mut stream = connected.expect("the namespace").expect("the target");
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .expect("a timeout");
    stream.set_nodelay(true).expect("a socket");
    let mut login = Login::new(opening, credentials, &[7; 32], read_only).expect("it has a login");
    stream
        .write_all(&login.start())
        .expect("the target takes it");
    let mut bytes = [0; 1000];
    let mut len = 0;
    loop {
        match login.push(&bytes[..len]) {
            Step::Wait => {
                len = stream.read(&mut bytes).expect("the target speaks");
                if len == 0 {
                    return Err("the target has closed".to_owned());
                }
            }
            Step::Send(answer) => {
                stream.write_all(&answer).expect("the target takes it");
                len = 0;
            }
            Step::Done(opened) => return Ok((stream, *opened)),
            Step::Failed(why) => return Err(why),
        }
    }
}

/// A connection that is logged in.
pub(super) struct Player {
    stream: TcpStream,
    responses: Responses,
    heard: Vec<Said>,
    /// The target's number of each statement of the online server.
    statements: HashMap<u32, u32>,
}

impl Player {
    pub(super) fn new(protocol: Protocol, stream: TcpStream, opened: &Opened) -> Self {
        let mut player = Self {
            stream,
            responses: Responses::opened(protocol, opened),
            heard: Vec::new(),
            statements: HashMap::new(),
        };
        player.take(&opened.rest);
        player
    }

    fn take(&mut self, bytes: &[u8]) {
        let heard = &mut self.heard;
        self.responses.push(bytes, &mut |said| heard.push(said));
    }

    /// Reads until the target has said something of which `wanted` makes something.
    fn until<T>(&mut self, wanted: impl Fn(&Said) -> Option<T>) -> T {
        let mut bytes = [0; 16 << 10];
        loop {
            assert!(!self.heard.contains(&Said::Lost), "lost");
            if let Some(at) = self.heard.iter().position(|said| wanted(said).is_some()) {
                let rest = self.heard.split_off(at);
                self.heard = rest[1..].to_vec();
                return wanted(&rest[0]).expect("it was found");
            }
            let len = self.stream.read(&mut bytes).expect("the target answers");
            assert_ne!(len, 0, "the target has closed");
            self.take(&bytes[..len]);
        }
    }

    /// Sends a message and reads its answer to its end.
    pub(super) fn play(&mut self, message: &Message) -> Option<Verdict> {
        let mut pieces = message.pieces.clone();
        if let Some(patch) = message.head.patch {
            let ours = self
                .statements
                .get(&patch.statement)
                .expect("a statement of the target");
            let at = patch.at as usize;
            pieces[0][at..at + 4].copy_from_slice(&ours.to_le_bytes());
        }
        self.responses.expect(message.head.expect);
        for (number, piece) in pieces.iter().enumerate() {
            if number > 0 {
                self.until(|said| (*said == Said::Ready).then_some(()));
            }
            self.stream.write_all(piece).expect("the target takes it");
        }
        if !message.head.expect.is_answered() {
            return None;
        }
        let verdict = self.until(|said| match said {
            Said::End(verdict) => Some(verdict.clone()),
            _ => None,
        });
        let online = message
            .verdict
            .as_ref()
            .and_then(|verdict| verdict.statement);
        if let (Some(online), Some(ours)) = (online, verdict.statement) {
            self.statements.insert(online, ours);
        }
        Some(verdict)
    }

    /// Sends messages without waiting, and reads as many answers.
    pub(super) fn play_at_once(&mut self, expects: &[Expect], bytes: &[u8]) -> Vec<Verdict> {
        for expect in expects {
            self.responses.expect(*expect);
        }
        self.stream.write_all(bytes).expect("the target takes it");
        let end = |said: &Said| match said {
            Said::End(verdict) => Some(verdict.clone()),
            _ => None,
        };
        expects.iter().map(|_| self.until(end)).collect()
    }

    /// Plays a session, whose answers have to say the same at both servers.
    pub(super) fn play_all(&mut self, session: &Session) {
        for message in &session.messages {
            let verdict = self.play(message);
            let told = |verdict: &Verdict| (verdict.code, verdict.is_error);
            assert_eq!(
                verdict.as_ref().map(told),
                message.verdict.as_ref().map(told),
                "{message:?}"
            );
        }
    }
}
