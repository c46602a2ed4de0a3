//! One `-x` entry.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use wire::flow::{Addr, Endpoint};

/// `[ONLINE_IP:]ONLINE_PORT-TARGET_IP:TARGET_PORT` as written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RuleArg {
    /// The online endpoint; address `::` for any.
    pub(crate) online: Endpoint,
    /// The target endpoint.
    pub(crate) target: Endpoint,
}

const FORM: &str = "write [ONLINE_IP:]ONLINE_PORT-TARGET_IP:TARGET_PORT, like 80-10.0.0.9:80 or [::1]:80-[fd00::2]:80";

impl FromStr for RuleArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (online, target) = text
            .split_once('-')
            .ok_or_else(|| format!("there is no '-'; {FORM}"))?;
        let online = match online.parse::<u16>() {
            Ok(port) => Endpoint::new(Addr::UNSPECIFIED, port),
            Err(_) => endpoint(
                online.trim_start_matches("*:"),
                online,
                "ONLINE_PORT or ONLINE_IP:ONLINE_PORT",
            )?,
        };
        let target = endpoint(target, target, "TARGET_IP:TARGET_PORT")?;
        if online.port == 0 || target.port == 0 {
            return Err("port 0 cannot be copied from or to".to_owned());
        }
        if is_unspecified(&target.addr) {
            return Err(format!("the target {target} is no address of a server"));
        }
        let online = if is_unspecified(&online.addr) {
            Endpoint {
                addr: Addr::UNSPECIFIED,
                ..online
            }
        } else {
            online
        };
        Ok(Self { online, target })
    }
}

/// `0.0.0.0` and `::`.
fn is_unspecified(addr: &Addr) -> bool {
    *addr == Addr::UNSPECIFIED || *addr == Addr::v4([0; 4])
}

fn endpoint(text: &str, whole: &str, form: &str) -> Result<Endpoint, String> {
    if let Ok(port) = text.parse::<u16>() {
        // What is left of "*:80".
        if text != whole {
            return Ok(Endpoint::new(Addr::UNSPECIFIED, port));
        }
    }
    text.parse::<SocketAddr>()
        .map(Endpoint::from)
        .map_err(|_| format!("{whole:?} is no {form}; {FORM}"))
}

impl fmt::Display for RuleArg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.online.addr == Addr::UNSPECIFIED {
            write!(f, "port {}", self.online.port)?;
        } else {
            write!(f, "{}", self.online)?;
        }
        write!(f, " -> {}", self.target)
    }
}

#[cfg(test)]
mod tests {
    use super::RuleArg;

    #[test]
    fn rules() {
        for (text, expected) in [
            ("80-10.0.0.2:81", Some("port 80 -> 10.0.0.2:81")),
            ("*:80-10.0.0.2:81", Some("port 80 -> 10.0.0.2:81")),
            ("0.0.0.0:80-10.0.0.2:81", Some("port 80 -> 10.0.0.2:81")),
            ("[::]:80-10.0.0.2:81", Some("port 80 -> 10.0.0.2:81")),
            (
                "10.0.0.1:80-10.0.0.2:81",
                Some("10.0.0.1:80 -> 10.0.0.2:81"),
            ),
            ("[::1]:80-[fd00::2]:80", Some("[::1]:80 -> [fd00::2]:80")),
            ("80", None),
            ("80-", None),
            ("-10.0.0.2:80", None),
            ("80-10.0.0.2", None),
            ("80-81", None),
            ("0-10.0.0.2:80", None),
            ("80-10.0.0.2:0", None),
            ("80-0.0.0.0:80", None),
            ("80-[::]:80", None),
            ("70000-10.0.0.2:80", None),
            ("80-10.0.0.256:80", None),
            ("::1:80-fd00::2:80", None),
            ("80-host:80", None),
            ("80-10.0.0.2:80-1", None),
        ] {
            let parsed = text.parse::<RuleArg>();
            assert_eq!(
                parsed.as_ref().ok().map(ToString::to_string).as_deref(),
                expected,
                "{text}: {parsed:?}"
            );
        }
    }
}
