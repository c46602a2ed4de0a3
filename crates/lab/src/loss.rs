//! Packets that get lost on the wire: on a bridge between two hosts, so that neither of them drops anything itself.
//!
//! A packet that a host's own netfilter drops on its way out is one that its TCP knows of, and one that it drops on its
//! way in has passed the hooks of a copy already. A bridge is neither. It loses frames as they come: with segmentation
//! offload a super-packet is lost as a whole.

use crate::error::{Error, Result};
use crate::net::{Host, Lab};

/// One direction of a way through the lab.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Copies to the target.
    ToTarget,
    /// The target's replies, to the online server or the assistant.
    FromTarget,
    /// Clients to the online server; needs [`Lab::insert_wire`].
    ToOnline,
    /// The online server to its clients; needs [`Lab::insert_wire`].
    FromOnline,
}

impl Way {
    /// The bridge, and what tells a frame that goes this way: a port of it.
    const fn place(self) -> (Host, [&'static str; 2]) {
        match self {
            Self::ToTarget => (Host::Switch, ["--physdev-out", "target-eth0"]),
            Self::FromTarget => (Host::Switch, ["--physdev-in", "target-eth0"]),
            Self::ToOnline => (Host::Wire, ["--physdev-in", "client-eth0"]),
            Self::FromOnline => (Host::Wire, ["--physdev-in", "online-eth0"]),
        }
    }
}

impl Lab {
    /// Loses packets that go this way at random, with the given probability (0 to 1).
    ///
    /// # Errors
    ///
    /// Where `iptables` fails, or the kernel does not show it bridged packets.
    pub fn lose(&self, way: Way, probability: f64) -> Result<()> {
        let (host, port) = way.place();
        let bridge = self.namespace(host);
        bridge.set("net.bridge.bridge-nf-call-iptables", "1")?;
        let probability = format!("{probability:.5}");
        let mut arguments = vec!["-w", "-A", "FORWARD", "-m", "physdev"];
        arguments.extend(port);
        arguments.extend(["-m", "statistic", "--mode", "random"]);
        arguments.extend(["--probability", &probability, "-j", "DROP"]);
        bridge.run("iptables", &arguments).map(drop)
    }

    /// How many packets were lost on the bridge that this way passes, in both directions.
    ///
    /// # Errors
    ///
    /// Where `iptables` fails.
    pub fn lost(&self, way: Way) -> Result<u64> {
        let (host, _) = way.place();
        let arguments = ["-w", "-L", "FORWARD", "-v", "-x", "-n"];
        let listed = self.namespace(host).run("iptables", &arguments)?;
        dropped(&listed).ok_or_else(|| Error::Parse {
            what: "the counters of iptables".to_owned(),
            why: listed,
        })
    }

    /// Loses nothing any more on the bridge that this way passes.
    ///
    /// # Errors
    ///
    /// Where `iptables` fails.
    pub fn lose_no_more(&self, way: Way) -> Result<()> {
        let (host, _) = way.place();
        self.namespace(host)
            .run("iptables", &["-w", "-F", "FORWARD"])
            .map(drop)
    }
}

/// The packets that all rules of a chain have dropped, from what `iptables -L -v -x` lists.
fn dropped(listed: &str) -> Option<u64> {
    let rules = listed.lines().filter(|line| line.contains(" DROP "));
    rules
        .map(|line| line.split_ascii_whitespace().next()?.parse::<u64>().ok())
        .sum()
}

#[cfg(test)]
mod tests {
    use super::dropped;

    #[test]
    fn the_counters_of_all_rules_are_added_up() {
        let listed = "Chain FORWARD (policy ACCEPT 5 packets, 260 bytes)\n    pkts      bytes target     prot\n      \
                      12      624 DROP       0    --  *      *\n       3      156 DROP       0    --  *      *\n";
        assert_eq!(dropped(listed), Some(15));
        assert_eq!(dropped("      x  624 DROP 0"), None);
    }
}
