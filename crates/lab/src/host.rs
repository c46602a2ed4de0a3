//! One host of the lab: a network namespace and its knobs.

use std::fs::File;
use std::io::ErrorKind;
use std::path::PathBuf;

use nix::sched::{CloneFlags, setns};

use crate::error::{Error, Result, Tried};
use crate::plan::Host;
use crate::prefix::Prefix;
use crate::system;

/// Settings of every host. A lab without them runs out of ports, or answers what nobody asked it.
const SETTINGS: [(&str, &str); 8] = [
    ("net.ipv4.ip_forward", "0"),
    ("net.ipv6.conf.all.disable_ipv6", "1"),
    ("net.ipv6.conf.default.disable_ipv6", "1"),
    // 3,000 short connections a second need ports of closed connections back after a second.
    ("net.ipv4.tcp_tw_reuse", "1"),
    ("net.core.somaxconn", "4096"),
    ("net.ipv4.tcp_max_syn_backlog", "8192"),
    ("net.ipv4.tcp_max_tw_buckets", "262144"),
    // Path MTU tests must see every ICMP message.
    ("net.ipv4.icmp_ratelimit", "0"),
];

/// Sets [`SETTINGS`] in the namespace of this thread.
fn configure() -> Result<()> {
    for (name, value) in SETTINGS {
        let file = PathBuf::from("/proc/sys").join(name.replace('.', "/"));
        match std::fs::write(&file, value) {
            // A kernel without IPv6 has no such setting, and needs none.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            other => other.tried(|| format!("write {value} to {}", file.display()))?,
        }
    }
    Ok(())
}

/// A network namespace, by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Namespace {
    name: String,
}

impl Namespace {
    pub(crate) fn of(prefix: &Prefix, host: Host) -> Self {
        Self {
            name: format!("{prefix}-{}", host.name()),
        }
    }

    /// Its name, as `ip netns` knows it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file that stands for it.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        PathBuf::from("/run/netns").join(&self.name)
    }

    /// Makes namespaces with the lab's settings.
    pub(crate) fn create(namespaces: &[Self]) -> Result<()> {
        let lines: Vec<_> = namespaces
            .iter()
            .map(|namespace| format!("netns add {}", namespace.name))
            .collect();
        system::feed("ip", &["-batch", "-"], &lines.join("\n"))?;
        namespaces.iter().try_for_each(|namespace| {
            namespace.ip_all(&["link set lo up"])?;
            namespace.enter(configure)?
        })
    }

    /// Makes a veth pair between two hosts and sets both ends up.
    pub(crate) fn join(&self, interface: &str, peer: &Self, peer_interface: &str) -> Result<()> {
        let add = format!(
            "link add {interface} type veth peer name {peer_interface} netns {}",
            peer.name
        );
        self.ip_all(&[&add, &format!("link set {interface} up")])?;
        peer.ip_all(&[&format!("link set {peer_interface} up")])
    }

    /// Makes it a switch: a bridge without spanning tree.
    pub(crate) fn make_bridge(&self) -> Result<()> {
        self.ip_all(&[
            "link add br0 type bridge stp_state 0 forward_delay 0",
            "link set br0 up",
        ])
    }

    /// Runs several commands of `ip` on this host by one process: a lab needs dozens.
    pub(crate) fn ip_all(&self, lines: &[&str]) -> Result<()> {
        let arguments = ["-n", &self.name, "-batch", "-"];
        system::feed("ip", &arguments, &lines.join("\n")).map(drop)
    }

    /// Runs `ip` on this host.
    ///
    /// # Errors
    ///
    /// Where it fails.
    pub fn ip(&self, arguments: &[&str]) -> Result<()> {
        let mut all = vec!["-n", &self.name];
        all.extend(arguments);
        system::run("ip", &all).map(drop)
    }

    /// Runs a command on this host to its end and returns what it printed.
    ///
    /// # Errors
    ///
    /// Where it fails.
    pub fn run(&self, program: &str, arguments: &[&str]) -> Result<String> {
        let mut all = vec!["netns", "exec", &self.name, program];
        all.extend(arguments);
        system::run("ip", &all)
    }

    /// Runs a function in a thread of its own inside the namespace: sockets that it opens belong to this host.
    ///
    /// # Errors
    ///
    /// Where the namespace cannot be entered.
    ///
    /// # Panics
    ///
    /// Where `function` does.
    pub fn enter<T: Send>(&self, function: impl FnOnce() -> T + Send) -> Result<T> {
        let path = self.path();
        let namespace = File::open(&path).tried(|| format!("open {}", path.display()))?;
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                setns(&namespace, CloneFlags::CLONE_NEWNET)
                    .tried(|| format!("enter {}", path.display()))?;
                Ok(function())
            });
            thread
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Switches segmentation and receive offloads of an interface on or off.
    ///
    /// # Errors
    ///
    /// Where `ethtool` fails.
    pub fn set_offloads(&self, interface: &str, on: bool) -> Result<()> {
        let word = if on { "on" } else { "off" };
        self.run(
            "ethtool",
            &["-K", interface, "tso", word, "gso", word, "gro", word],
        )
        .map(drop)
    }

    /// Sets the MTU of an interface, in bytes.
    ///
    /// # Errors
    ///
    /// Where `ip` fails.
    pub fn set_mtu(&self, interface: &str, mtu: u16) -> Result<()> {
        self.ip(&["link", "set", interface, "mtu", &mtu.to_string()])
    }

    /// Sets an interface up or down.
    ///
    /// # Errors
    ///
    /// Where `ip` fails.
    pub fn set_link(&self, interface: &str, up: bool) -> Result<()> {
        self.ip(&["link", "set", interface, if up { "up" } else { "down" }])
    }

    /// Adds an address (with its prefix length) to an interface.
    ///
    /// # Errors
    ///
    /// Where `ip` fails.
    pub fn add_address(&self, interface: &str, address: &str) -> Result<()> {
        self.ip(&["address", "add", address, "dev", interface])
    }

    /// Switches IPv6 on or off.
    ///
    /// # Errors
    ///
    /// Where the kernel refuses.
    pub fn set_ipv6(&self, on: bool) -> Result<()> {
        let value = if on { "0" } else { "1" };
        for scope in ["all", "default"] {
            self.set(&format!("net.ipv6.conf.{scope}.disable_ipv6"), value)?;
        }
        Ok(())
    }

    /// Sets a kernel setting of this host.
    ///
    /// # Errors
    ///
    /// Where the kernel refuses.
    pub fn set(&self, name: &str, value: &str) -> Result<()> {
        self.run("sysctl", &["-q", "-w", &format!("{name}={value}")])
            .map(drop)
    }

    /// Drops arriving packets at random with the given probability (0 to 1), behind all hooks of tc. For packets that
    /// get lost on the way see [`crate::loss`].
    ///
    /// # Errors
    ///
    /// Where `iptables` fails.
    pub fn lose_arriving(&self, probability: f64) -> Result<()> {
        self.drop_matching(&[
            "-m",
            "statistic",
            "--mode",
            "random",
            "--probability",
            &format!("{probability:.5}"),
        ])
    }

    /// Drops arriving packets that match these conditions of `iptables`.
    ///
    /// # Errors
    ///
    /// Where `iptables` fails.
    pub fn drop_matching(&self, conditions: &[&str]) -> Result<()> {
        let mut arguments = vec!["-w", "-A", "INPUT"];
        arguments.extend(conditions);
        arguments.extend(["-j", "DROP"]);
        self.run("iptables", &arguments).map(drop)
    }

    /// Removes the namespace: what runs in it keeps it alive until it ends.
    pub(crate) fn delete(name: &str) -> Result<()> {
        match system::run("ip", &["netns", "delete", name]) {
            Err(Error::Command { output, .. }) if output.contains("No such file") => Ok(()),
            other => other.map(drop),
        }
    }
}
