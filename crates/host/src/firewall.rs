//! Whether this host's netfilter may take packets of a service away after the programs have seen them: a rule that drops,
//! rejects or queues, or a policy that drops.
//!
//! Reading is conservative: a rule guards a port unless it is plain that it cannot hit it. Rules for forwarded packets are not
//! looked at, nor what a program of somebody else drops at a hook of its own. Nothing is changed, nothing is waited for longer
//! than [`WITHIN`], and what cannot be told is said to be unknown.

mod iptables;
mod nft;

use std::io::{self, Read};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// How long a tool may take to list all rules.
const WITHIN: Duration = Duration::from_secs(2);
/// Most bytes of a list that are read; a longer one is unknown.
const LIST_MAX: u64 = 32 << 20;
/// Where tools stand that a service's PATH leaves out.
const PATHS: &str = "/usr/sbin:/sbin:/usr/local/sbin";
/// Chains that a chain may lead to, one behind the other.
const DEPTH_MAX: usize = 32;

/// What stands before a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Firewall {
    /// Nothing that could take a packet of it away.
    Open,
    /// This rule could.
    Guards {
        /// The rule, shortened, as its tool would show it.
        rule: String,
    },
    /// That cannot be told.
    Unknown {
        /// What was tried, and why it failed.
        why: String,
    },
}

/// What a tool said.
enum Listed {
    Text(String),
    /// It is not installed.
    Absent,
    Failed(String),
}

/// What stands before these TCP ports of this host.
#[must_use]
pub fn before(ports: &[u16]) -> Firewall {
    let mut unknown = None;
    let mut asked = 0;
    match list("nft", &["-j", "list", "ruleset"]) {
        Listed::Absent => {}
        Listed::Failed(why) => unknown = Some(why),
        Listed::Text(text) => match nft::guard(&text, ports) {
            Ok(Some(rule)) => return Firewall::Guards { rule },
            Ok(None) => asked += 1,
            Err(why) => unknown = Some(why),
        },
    }
    let knows_nft = asked > 0;
    for family in ["iptables", "ip6tables"] {
        // With nft at hand, only what it does not show.
        let tool = if knows_nft {
            format!("{family}-legacy-save")
        } else {
            format!("{family}-save")
        };
        match list(&tool, &[]) {
            Listed::Absent => {}
            Listed::Failed(why) => unknown = unknown.or(Some(why)),
            Listed::Text(text) => {
                asked += 1;
                if let Some(rule) = iptables::guard(&text, ports) {
                    return Firewall::Guards { rule };
                }
            }
        }
    }
    match unknown {
        Some(why) => Firewall::Unknown { why },
        None if asked == 0 => Firewall::Unknown {
            why: "neither nft nor iptables-save is installed".to_owned(),
        },
        // A table of nft's own is not seen by iptables-save.
        None if !knows_nft => Firewall::Unknown {
            why: "iptables-save shows nothing that does, and nft is not installed to ask for the rest"
                .to_owned(),
        },
        None => Firewall::Open,
    }
}

/// Runs a tool that lists rules.
fn list(tool: &str, arguments: &[&str]) -> Listed {
    match run(tool, arguments) {
        Ok(text) => Listed::Text(text),
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Listed::Absent,
        Err(cause) => Listed::Failed(format!("{tool} does not list its rules: {cause}")),
    }
}

fn run(tool: &str, arguments: &[&str]) -> io::Result<String> {
    let path = std::env::var("PATH").unwrap_or_default();
    let mut child = Command::new(tool)
        .args(arguments)
        .env("PATH", format!("{path}:{PATHS}"))
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let output = child.stdout.take();
    let (sender, read) = mpsc::channel();
    thread::Builder::new()
        .name("firewall".into())
        .spawn(move || {
            let mut text = Vec::new();
            let taken = output.map(|output| output.take(LIST_MAX).read_to_end(&mut text));
            // Nobody may listen any more.
            let _ = sender.send(taken.unwrap_or(Ok(0)).map(|_| text));
        })?;
    let text = read.recv_timeout(WITHIN);
    // One that has told everything ends by itself; one that has not is not waited for.
    if text.is_err() {
        child.kill()?;
    }
    let status = child.wait()?;
    let text = text.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    if !status.success() {
        return Err(io::Error::other(status.to_string()));
    }
    if text.len() as u64 >= LIST_MAX {
        return Err(io::Error::other("there are too many"));
    }
    String::from_utf8(text).map_err(io::Error::other)
}

/// A rule in a message: its beginning.
fn shortened(rule: &str) -> String {
    const SHOWN: usize = 160;
    let end = rule.char_indices().nth(SHOWN).map(|(at, _)| at);
    end.map_or_else(
        || rule.to_owned(),
        |end| format!("{}...", rule.get(..end).unwrap_or_default()),
    )
}

#[cfg(test)]
mod tests {
    use super::{Listed, list, run, shortened};

    #[test]
    fn a_tool_that_hangs_is_not_waited_for() {
        let began = std::time::Instant::now();
        assert!(matches!(list("sleep", &["60"]), Listed::Failed(_)));
        assert!(began.elapsed().as_secs() < 30);
    }

    #[test]
    fn a_tool_that_is_not_there_is_absent() {
        assert!(matches!(list("no-such-tool-at-all", &[]), Listed::Absent));
        assert!(matches!(list("false", &[]), Listed::Failed(_)));
        assert_eq!(run("echo", &["-n", "a"]).unwrap(), "a");
    }

    #[test]
    fn long_rules_are_shortened() {
        assert_eq!(shortened("drop"), "drop");
        assert!(shortened(&"ä".repeat(500)).ends_with("..."));
    }
}
