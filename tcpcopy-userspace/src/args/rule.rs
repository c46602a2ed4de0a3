//! One `-x` entry.

pub(crate) mod options;

use std::fmt;
use std::str::FromStr;

use wire::flow::{Addr, Endpoint};

use options::{Role, RuleOptions};

/// `[ONLINE_IP:]ONLINE_PORT-TARGET_IP:TARGET_PORT[=ROLE][/OPTION=VALUE...]` as written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct RuleArg {
    /// The online endpoint; address `::` for any.
    pub(crate) online: Endpoint,
    /// The target endpoint.
    pub(crate) target: Endpoint,
    /// What it says for itself.
    pub(crate) options: RuleOptions,
}

const FORM: &str = "the form is [ONLINE_IP:]ONLINE_PORT-TARGET_IP:TARGET_PORT, like 80-10.0.0.9:80 or [::1]:80-[fd00::2]:80";

impl FromStr for RuleArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (text, mut options) = match text.split_once('/') {
            Some((rule, options)) => (rule, options.parse()?),
            None => (text, RuleOptions::default()),
        };
        let (text, role) = match text.split_once('=') {
            Some((rule, role)) => (rule, Some(role.parse()?)),
            None => (text, None),
        };
        if role.is_some() && options.role.is_some() {
            return Err("role is said twice".to_owned());
        }
        options.role = options.role.or(role);
        let (online, target) = text
            .split_once('-')
            .ok_or_else(|| format!("there is no '-'; {FORM}"))?;
        if text.contains('@') {
            return Err(without_devices(online, target));
        }
        let any = |port| Endpoint::new(Addr::UNSPECIFIED, port);
        let online = match port(online.strip_prefix("*:").unwrap_or(online))? {
            Some(port) => any(port),
            None => endpoint(online)?,
        };
        let target = match port(target)? {
            Some(port) => {
                return Err(format!(
                    "the target has no address: write IP:{port}; {FORM}"
                ));
            }
            None => endpoint(target)?,
        };
        if online.port == 0 || target.port == 0 {
            return Err("port 0 cannot be copied from or to".to_owned());
        }
        if is_unspecified(&target.addr) {
            return Err(format!("the target {target} is no address of a server"));
        }
        let online = if is_unspecified(&online.addr) {
            any(online.port)
        } else {
            online
        };
        Ok(Self {
            online,
            target,
            options,
        })
    }
}

impl RuleArg {
    /// Whether its target is a baseline.
    pub(crate) fn is_baseline(&self) -> bool {
        self.options.role == Some(Role::Baseline)
    }

    /// Whether it says where to copy to: what a recorder takes does not.
    pub(crate) fn has_target(&self) -> bool {
        self.target.port != 0
    }
}

/// What a recorder takes: `[ONLINE_IP:]ONLINE_PORT`.
pub(super) fn service(text: &str) -> Result<RuleArg, String> {
    if text.contains('/') {
        return Err("what is recorded has no options of its own".to_owned());
    }
    if let Some((online, _)) = text.split_once('-') {
        return Err(format!("a recording has no target: write -x {online}"));
    }
    // Whatever is wrong with it, is wrong with a rule as well.
    let rule: RuleArg = format!("{text}-127.0.0.1:1")
        .parse()
        .map_err(|words: String| {
            let words = words.replace(
                FORM,
                "the form is [ONLINE_IP:]ONLINE_PORT, like 80 or [::1]:80",
            );
            words.replace("copied from or to", "recorded")
        })?;
    let target = Endpoint::new(Addr::UNSPECIFIED, 0);
    Ok(RuleArg { target, ..rule })
}

/// `0.0.0.0` and `::`.
fn is_unspecified(addr: &Addr) -> bool {
    *addr == Addr::UNSPECIFIED || *addr == Addr::v4([0; 4])
}

/// A port alone; `None` where it is something else.
fn port(text: &str) -> Result<Option<u16>, String> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(None);
    }
    match text.parse() {
        Ok(port) => Ok(Some(port)),
        Err(_) => Err(format!("{text} is no port: write a port up to 65535")),
    }
}

fn endpoint(text: &str) -> Result<Endpoint, String> {
    command_line::endpoint(text)
        .map(Endpoint::from)
        .map_err(|words| format!("{words}; {FORM}"))
}

/// What is said to devices and MAC addresses, which TCPCopy's builds with pcap take behind an '@'.
fn without_devices(online: &str, target: &str) -> String {
    let of = |side: &str| side.split('@').next().unwrap_or_default().to_owned();
    let (first, second) = (of(online), of(target));
    let is_device = !first.contains(':') && first.parse::<u16>().is_err();
    match online.split_once('@') {
        Some((device, online)) if is_device => {
            format!("interfaces are named by -i: write -i {device} -x {online}-{second}")
        }
        _ => format!(
            "MAC addresses are not needed, the kernel's route and neighbour are used: write {first}-{second}"
        ),
    }
}

impl fmt::Display for RuleArg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.online.addr == Addr::UNSPECIFIED {
            write!(f, "port {}", self.online.port)?;
        } else {
            write!(f, "{}", self.online)?;
        }
        if self.has_target() {
            write!(f, " -> {}", self.target)?;
        }
        if self.is_baseline() {
            write!(f, " (baseline)")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{RuleArg, service};

    #[test]
    fn rules() {
        for (text, expected) in [
            ("80-10.0.0.2:81", Some("port 80 -> 10.0.0.2:81")),
            (
                "80-10.0.0.2:81=baseline",
                Some("port 80 -> 10.0.0.2:81 (baseline)"),
            ),
            ("80-10.0.0.2:81=twin", None),
            ("80-10.0.0.2:81=baseline/role=target", None),
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

    #[test]
    fn a_recorder_takes_services() {
        for (text, expected) in [
            ("80", "port 80"),
            ("10.0.0.1:80", "10.0.0.1:80"),
            ("[::1]:80", "[::1]:80"),
        ] {
            let rule = service(text).expect(text);
            assert_eq!(
                (rule.to_string().as_str(), rule.has_target()),
                (expected, false)
            );
        }
        for (text, words) in [
            ("80-10.0.0.2:80", "no target: write -x 80"),
            ("0", "recorded"),
            ("70000", "is no port"),
            ("host:80", "getent"),
        ] {
            let refusal = service(text).unwrap_err();
            assert!(refusal.contains(words), "{text}: {refusal}");
        }
    }

    #[test]
    fn each_mistake_has_its_words() {
        for (text, words) in [
            ("80", "there is no '-'"),
            ("80-192.168.0.1", "write 192.168.0.1:PORT; the form is"),
            ("80-8080", "write IP:8080"),
            ("80-web-1.example.com:80", "getent ahosts web-1.example.com"),
            ("80-10.0.0.2:99999", "write a port up to 65535"),
            ("70000-10.0.0.2:80", "70000 is no port"),
            ("2001:db8::1:80-10.0.0.2:80", "write [2001:db8::1]:80"),
            ("80-2001:db8::1:80", "write [2001:db8::1]:80"),
            (
                "80@00:13:21:B2:5E:42-121.55.111.148:18080@00:0F:1F:03:F2:E6",
                "write 80-121.55.111.148:18080",
            ),
            (
                "10.0.0.1:80@00:13:21:B2:5E:42-10.0.0.2:80",
                "write 10.0.0.1:80-10.0.0.2:80",
            ),
            ("eth0@80-10.0.0.2:80", "write -i eth0 -x 80-10.0.0.2:80"),
        ] {
            let refusal = text.parse::<RuleArg>().unwrap_err();
            assert!(refusal.contains(words), "{text}: {refusal}");
        }
    }
}
