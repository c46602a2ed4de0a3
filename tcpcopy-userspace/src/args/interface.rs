//! One `-i` entry.

use std::fmt;
use std::str::FromStr;

/// `IFACE[:host|:mirror]` as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct InterfaceArg {
    pub(crate) name: String,
    pub(crate) place: Vantage,
}

/// Where a device stands between clients and the online server, which says which way their packets pass it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Vantage {
    /// A device of the host that the online server runs on: clients' packets come in, answers leave.
    Own,
    /// The host's end of a container's link: clients' packets leave by it, answers come in.
    Host,
    /// A mirror port: both come in, in frames for anybody, and nothing is this host's own.
    Mirror,
}

const FORM: &str = "write IFACE, IFACE:host (the host's end of a container's link) or IFACE:mirror (a SPAN port, a TAP, a \
                    traffic mirror)";

/// How capture files are called, which TCPCopy's offline build takes here.
const FILES: [&str; 3] = [".pcap", ".pcapng", ".cap"];

impl FromStr for InterfaceArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if FILES.iter().any(|ending| text.ends_with(ending)) || text.contains('/') {
            return Err(format!(
                "there is no interface {text}; a capture file is replayed by `tcpcopy replay --pcap {text} -x RULE`"
            ));
        }
        // No device has a colon in its name: the kernel forbids it.
        let (name, place) = match text.split_once(':') {
            None => (text, Vantage::Own),
            Some((name, "host")) => (name, Vantage::Host),
            Some((name, "mirror")) => (name, Vantage::Mirror),
            Some((name, suffix)) if suffix.parse::<u16>().is_ok() => {
                return Err(format!(
                    "{text} is the label of an address and no device: name {name}, and the address in -x"
                ));
            }
            Some((_, suffix)) => return Err(format!("there is no place \":{suffix}\"; {FORM}")),
        };
        if name.is_empty() {
            return Err(format!("there is no name of an interface; {FORM}"));
        }
        Ok(Self {
            name: name.to_owned(),
            place,
        })
    }
}

impl fmt::Display for InterfaceArg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let suffix = match self.place {
            Vantage::Own => "",
            Vantage::Host => ":host",
            Vantage::Mirror => ":mirror",
        };
        write!(f, "{}{suffix}", self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::{InterfaceArg, Vantage};

    #[test]
    fn a_suffix_says_which_way_packets_pass() {
        for (text, name, place) in [
            ("eth0", "eth0", Vantage::Own),
            ("eth0.100", "eth0.100", Vantage::Own),
            ("veth0:host", "veth0", Vantage::Host),
            ("span0:mirror", "span0", Vantage::Mirror),
        ] {
            let parsed: InterfaceArg = text.parse().unwrap();
            assert_eq!((parsed.name.as_str(), parsed.place), (name, place));
            assert_eq!(parsed.to_string(), text);
        }
        for (text, words) in [
            ("eth0:out", ":host"),
            ("eth0:host:mirror", "no place"),
            ("eth0:1", "label of an address"),
            ("eth0:", "no place"),
            (":host", "no name"),
            ("", "no name"),
            ("file.pcap", "tcpcopy replay --pcap file.pcap"),
            ("/tmp/trace", "tcpcopy replay --pcap /tmp/trace"),
        ] {
            let refusal = text.parse::<InterfaceArg>().unwrap_err();
            assert!(refusal.contains(words), "{text}: {refusal}");
        }
    }
}
