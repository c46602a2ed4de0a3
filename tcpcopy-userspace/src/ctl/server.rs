//! The thread that takes requests: one client at a time, so that there is never more than one waiting for the run.
//!
//! It listens before its socket has a name, so a socket that somebody can see and nobody listens to belongs to a run that is gone.

use std::fs::{self, DirBuilder, Permissions};
use std::io::{self, ErrorKind};
use std::os::fd::AsFd as _;
use std::os::unix::fs::{DirBuilderExt as _, FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::getsockopt;
use nix::sys::socket::sockopt::PeerCredentials;
use nix::unistd::geteuid;
use tracing::debug;

use super::message::{Answer, Request};
use super::{line, place};

/// How long a client may take to say what it wants, and again to take the answer.
pub(crate) const CLIENT_MAX: Duration = Duration::from_secs(2);
/// How long the run may take to answer.
const ANSWER_MAX: Duration = Duration::from_secs(5);
/// Only the user whose run it is.
const MODE: u32 = 0o600;
/// The same of the folder.
const FOLDER_MODE: u32 = 0o700;

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Peer {
    pub(crate) uid: u32,
    pub(crate) pid: i32,
}

/// A request that waits for the run.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) request: Request,
    pub(crate) peer: Peer,
    /// Whoever takes it answers once.
    pub(crate) answer: Sender<Answer>,
}

/// The socket of a run, and the thread behind it.
#[derive(Debug)]
pub(crate) struct Server {
    path: PathBuf,
    asked: Receiver<Asked>,
    /// Its end wakes the thread, which ends then.
    stop: Option<UnixStream>,
}

impl Server {
    /// Listens at a path that the user has named.
    ///
    /// # Errors
    ///
    /// Says what was tried, why it failed, and what to do.
    pub(crate) fn at(path: &Path) -> Result<Self, String> {
        place::check_length(path)?;
        if let Ok(found) = fs::symlink_metadata(path) {
            if !found.file_type().is_socket() {
                return Err(format!(
                    "cannot listen at {} (--ctl): something lies there that is no socket; name another path",
                    path.display()
                ));
            }
            if !place::is_left_over(path) {
                return Err(format!(
                    "cannot listen at {} (--ctl): another process does; name another path",
                    path.display()
                ));
            }
        }
        Self::listen(path).map_err(|error| {
            format!(
                "cannot listen at {} (--ctl): {error}; the folder must exist, and this user must be allowed to write there",
                path.display()
            )
        })
    }

    /// Listens where `tcpcopy ctl` looks by itself.
    ///
    /// # Errors
    ///
    /// Where the folder cannot be made, or written to.
    pub(crate) fn at_own_place() -> io::Result<Self> {
        let path = place::own();
        if let Some(folder) = path.parent() {
            match DirBuilder::new().mode(FOLDER_MODE).create(folder) {
                Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
                _ => {}
            }
        }
        // What runs that were killed have left.
        for left in place::of_runs()
            .into_iter()
            .filter(|it| place::is_left_over(it))
        {
            let _ = fs::remove_file(left);
        }
        Self::listen(&path)
    }

    fn listen(path: &Path) -> io::Result<Self> {
        let mut unnamed = path.as_os_str().to_owned();
        unnamed.push("~");
        let unnamed = PathBuf::from(unnamed);
        if place::is_left_over(&unnamed) {
            let _ = fs::remove_file(&unnamed);
        }
        let listener = UnixListener::bind(&unnamed)?;
        let named = fs::set_permissions(&unnamed, Permissions::from_mode(MODE))
            .and_then(|()| fs::rename(&unnamed, path))
            .and_then(|()| listener.set_nonblocking(true));
        if let Err(error) = named {
            let _ = fs::remove_file(&unnamed);
            return Err(error);
        }
        let (stop, stopped) = UnixStream::pair()?;
        let (sender, asked) = bounded(1);
        thread::Builder::new()
            .name("ctl".to_owned())
            .spawn(move || serve(&listener, &stopped, &sender))?;
        Ok(Self {
            path: path.to_owned(),
            asked,
            stop: Some(stop),
        })
    }

    /// Where it listens.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The next request, if there is one.
    pub(crate) fn next(&self) -> Option<Asked> {
        self.asked.try_recv().ok()
    }
}

impl Drop for Server {
    /// Nobody finds it any more, and the thread ends; a client that waits is told. The thread is not waited for: a client that is slow
    /// would hold up the end of the run.
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
        drop(self.stop.take());
        // Requests that wait lose their sender, and so are answered.
        while self.asked.try_recv().is_ok() {}
        self.asked = crossbeam_channel::never();
    }
}

/// Takes clients until the other end of `stopped` is gone.
fn serve(listener: &UnixListener, stopped: &UnixStream, sender: &Sender<Asked>) {
    loop {
        let mut both = [
            PollFd::new(listener.as_fd(), PollFlags::POLLIN),
            PollFd::new(stopped.as_fd(), PollFlags::POLLIN),
        ];
        match poll(&mut both, PollTimeout::NONE) {
            Err(nix::errno::Errno::EINTR) => continue,
            Err(_) => return,
            Ok(_) => {}
        }
        if both[1].any() != Some(false) {
            return;
        }
        match listener.accept() {
            Ok((stream, _)) => {
                if let Err(error) = attend(stream, sender) {
                    debug!("a client of the control socket: {error}");
                }
            }
            Err(error) if is_passing(&error) => {}
            Err(error) => {
                // No descriptor is left, say: the client waits, and so do we.
                debug!("a client of the control socket cannot be taken: {error}");
                thread::sleep(Duration::from_millis(100));
            }
        }
    }
}

fn is_passing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::WouldBlock | ErrorKind::Interrupted | ErrorKind::ConnectionAborted
    )
}

/// Takes one request and answers it.
fn attend(mut stream: UnixStream, sender: &Sender<Asked>) -> io::Result<()> {
    stream.set_nonblocking(false)?;
    let peer = getsockopt(&stream, PeerCredentials)?;
    let peer = Peer {
        uid: peer.uid(),
        pid: peer.pid(),
    };
    let answer = if is_allowed(peer.uid, geteuid().as_raw()) {
        match Request::read(&line::read(&mut stream, CLIENT_MAX)?) {
            Ok(request) => ask(request, peer, sender),
            Err(words) => Answer::Refused { words },
        }
    } else {
        Answer::Refused {
            words: format!(
                "user {} may not control a run of user {}: only root and that user may",
                peer.uid,
                geteuid()
            ),
        }
    };
    let answer = serde_json::to_vec(&answer)?;
    line::write(&mut stream, answer, CLIENT_MAX)
}

/// Whether a user is listened to by a run of `own`.
const fn is_allowed(uid: u32, own: u32) -> bool {
    uid == 0 || uid == own
}

fn ask(request: Request, peer: Peer, sender: &Sender<Asked>) -> Answer {
    let (answer, answered) = bounded(1);
    let asked = Asked {
        request,
        peer,
        answer,
    };
    let refused = |words: &str| Answer::Refused {
        words: words.to_owned(),
    };
    if sender.send_timeout(asked, ANSWER_MAX).is_err() {
        return refused("the run is ending, or does not answer");
    }
    match answered.recv_timeout(ANSWER_MAX) {
        Ok(answer) => answer,
        Err(error) if error.is_timeout() => refused(
            "the run did not answer within 5 s; whether it has done what it was asked for, its log and `tcpcopy ctl status` say",
        ),
        Err(_) => refused("the run is ending"),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::{Read as _, Write as _};
    use std::os::unix::fs::PermissionsExt as _;
    use std::os::unix::net::{UnixListener, UnixStream};
    use std::path::PathBuf;
    use std::thread;
    use std::time::{Duration, Instant};

    use super::{Answer, Server, is_allowed};

    fn path(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("tcpcopy-{name}-{}", std::process::id()));
        let _ = fs::remove_file(&path);
        path
    }

    fn say(path: &PathBuf, line: &str) -> String {
        let mut stream = UnixStream::connect(path).unwrap();
        stream.write_all(line.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    #[test]
    fn a_request_is_answered_by_the_run() {
        let path = path("ctl-request");
        let server = Server::at(&path).unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let at = path.clone();
        let client = thread::spawn(move || {
            [
                say(&at, "{\"do\":\"pause\"}\n"),
                say(&at, "{\"do\":\"explode\"}\n"),
            ]
        });
        let until = Instant::now() + Duration::from_secs(5);
        let asked = loop {
            match server.next() {
                Some(asked) => break asked,
                None => assert!(Instant::now() < until, "nobody asks"),
            }
        };
        assert_eq!(asked.peer.pid, std::process::id().cast_signed());
        asked
            .answer
            .send(Answer::Done {
                words: "paused".to_owned(),
            })
            .unwrap();
        let [answered, refused] = client.join().unwrap();
        assert_eq!(answered, "{\"answer\":\"done\",\"words\":\"paused\"}\n");
        assert!(refused.contains("refused") && refused.contains("unknown variant"));
        assert!(
            Server::at(&path)
                .unwrap_err()
                .contains("another process does")
        );
        drop(server);
        assert!(!path.exists());
    }

    #[test]
    fn a_run_that_ends_tells_who_waits() {
        let path = path("ctl-ending");
        let server = Server::at(&path).unwrap();
        let at = path.clone();
        let client = thread::spawn(move || say(&at, "{\"do\":\"status\"}\n"));
        while server.asked.is_empty() {
            thread::sleep(Duration::from_millis(5));
        }
        drop(server);
        assert!(client.join().unwrap().contains("the run is ending"));
    }

    #[test]
    fn what_lies_at_the_path_stays_unless_a_run_has_left_it() {
        let path = path("ctl-left");
        fs::write(&path, "a file").unwrap();
        assert!(Server::at(&path).unwrap_err().contains("no socket"));
        assert_eq!(fs::read(&path).unwrap(), b"a file");
        fs::remove_file(&path).unwrap();
        drop(UnixListener::bind(&path).unwrap());
        drop(Server::at(&path).unwrap());
        assert!(!path.exists());
        let nowhere = Server::at(&path.join("deeper")).unwrap_err();
        assert!(nowhere.contains("the folder must exist"), "{nowhere}");
    }

    #[test]
    fn a_client_that_says_nothing_holds_nobody_for_long() {
        let path = path("ctl-silent");
        let server = Server::at(&path).unwrap();
        let _silent = UnixStream::connect(&path).unwrap();
        let began = Instant::now();
        assert!(say(&path, "nonsense\n").contains("no request"));
        assert!(began.elapsed() < Duration::from_secs(4));
        drop(server);
    }

    #[test]
    fn root_and_the_runs_own_user_are_listened_to() {
        assert!(is_allowed(0, 1000) && is_allowed(1000, 1000) && is_allowed(0, 0));
        assert!(!is_allowed(1001, 1000) && !is_allowed(1000, 0));
    }
}
