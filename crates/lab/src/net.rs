//! The lab's network: hosts as namespaces, joined by veth pairs and one bridge.
//!
//! ```text
//! client eth0 ── eth0 online eth1 ──┐
//!  10.0.1.2     10.0.1.1  10.0.2.1  │
//!                                   switch br0 ── eth0 target     10.0.2.2
//!                                        └─────── eth0 assistant  10.0.2.3
//! ```
//!
//! In direct topology the target answers clients and pool addresses through the online server, in assistant topology
//! through the assistant. Nothing forwards. A [`Lab`] removes what it made when it is dropped, and the next one
//! removes what a killed one left behind.

use std::path::{Path, PathBuf};

use crate::error::{Result, Tried};
use crate::host::Namespace;
pub use crate::plan::{
    ASSISTANT, CLIENT, CLIENT_PREFIX, Host, ONLINE, ONLINE_INSIDE, POOL_PREFIX, TARGET, Topology,
};
use crate::prefix::Prefix;
use crate::process::{Process, Spec};
use crate::registry::Claim;
use crate::system;

/// A running lab.
#[derive(Debug)]
pub struct Lab {
    claim: Claim,
    topology: Topology,
    logs: PathBuf,
}

impl Lab {
    /// Sets the network up, after removing what killed labs left behind.
    ///
    /// # Errors
    ///
    /// Without root, where `ip` fails, or where a lab of this name stands.
    pub fn up(prefix: Prefix, topology: Topology) -> Result<Self> {
        let claim = Claim::take(prefix)?;
        let logs = folder_for_logs(claim.prefix())?;
        claim.remember_folder(Some(&logs))?;
        // From here on the drop of `lab` removes whatever stands already.
        let lab = Self {
            claim,
            topology,
            logs,
        };
        lab.build()?;
        Ok(lab)
    }

    /// Which way the target answers.
    #[must_use]
    pub fn topology(&self) -> Topology {
        self.topology
    }

    /// The namespace of a host.
    #[must_use]
    pub fn namespace(&self, host: Host) -> Namespace {
        Namespace::of(self.claim.prefix(), host)
    }

    /// The folder for logs and configurations; removed with the lab.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.logs
    }

    /// Starts a process on a host. Its output goes to files in [`Lab::folder`].
    ///
    /// # Errors
    ///
    /// Where it cannot be started.
    pub fn spawn(&self, host: Host, spec: &Spec) -> Result<Process> {
        let process = Process::spawn(&self.namespace(host), &self.logs, spec)?;
        self.claim.remember(process.pid())?;
        Ok(process)
    }

    /// Runs a command on a host to its end and returns what it printed.
    ///
    /// # Errors
    ///
    /// Where it fails.
    pub fn run(&self, host: Host, program: &str, arguments: &[&str]) -> Result<String> {
        self.namespace(host).run(program, arguments)
    }

    /// Lets the target answer another way from now on.
    ///
    /// # Errors
    ///
    /// Where `ip` fails.
    pub fn set_topology(&mut self, topology: Topology) -> Result<()> {
        self.topology = topology;
        self.route_replies(Host::Target)
    }

    /// Adds a target host to the bridge; its replies go the way the topology says.
    ///
    /// # Errors
    ///
    /// Where `ip` fails.
    pub fn add_target(&self, number: u8) -> Result<Host> {
        let host = Host::Further(number);
        Namespace::create(&[self.namespace(host)])?;
        self.plug(
            host,
            "eth0",
            &format!("{}/24", Host::Further(number).address().unwrap_or(TARGET)),
        )?;
        self.route_replies(host)?;
        Ok(host)
    }

    /// Adds another online server with a client of its own, which have the addresses of the first ones: `number` and the next number stand
    /// for them. Towards target and assistant it has the address of [`Host::address`].
    ///
    /// # Errors
    ///
    /// Where `ip` fails.
    pub fn add_online(&self, number: u8) -> Result<(Host, Host)> {
        let (online, client) = (Host::Further(number), Host::Further(number + 1));
        Namespace::create(&[self.namespace(online), self.namespace(client)])?;
        self.join_client(client, online)?;
        let inside = online.address().unwrap_or(ONLINE_INSIDE);
        self.plug(online, "eth1", &format!("{inside}/24"))?;
        Ok((online, client))
    }

    /// Adds a host to the bridge that is another assistant: the target answers it only where it is told to.
    ///
    /// # Errors
    ///
    /// Where `ip` fails.
    pub fn add_assistant(&self, number: u8) -> Result<Host> {
        let host = Host::Further(number);
        Namespace::create(&[self.namespace(host)])?;
        let address = host.address().unwrap_or(ASSISTANT);
        self.plug(host, "eth0", &format!("{address}/24"))?;
        Ok(host)
    }

    /// Puts a bridge between client and online server: on it packets can be lost that neither of them drops itself.
    /// To be called before anything runs on the two.
    ///
    /// # Errors
    ///
    /// Where `ip` fails.
    pub fn insert_wire(&self) -> Result<()> {
        let (client, online) = (self.namespace(Host::Client), self.namespace(Host::Online));
        // Its other end and the routes go with it.
        client.ip(&["link", "delete", "eth0"])?;
        let wire = self.namespace(Host::Wire);
        Namespace::create(std::slice::from_ref(&wire))?;
        wire.make_bridge()?;
        plug(
            &client,
            &wire,
            "eth0",
            "client-eth0",
            &format!("{CLIENT}/24"),
        )?;
        plug(
            &online,
            &wire,
            "eth0",
            "online-eth0",
            &format!("{ONLINE}/24"),
        )?;
        client.ip(&["route", "add", "default", "via", &ONLINE.to_string()])
    }

    /// Keeps the lab after this value is dropped, until [`Lab::down`].
    ///
    /// # Errors
    ///
    /// Where that cannot be written down.
    pub fn keep(mut self) -> Result<()> {
        self.claim.keep()
    }

    /// Removes a kept lab, or the left-over of a killed one; does nothing where there is none.
    ///
    /// # Errors
    ///
    /// Where a running process owns it, or `ip` fails.
    pub fn down(prefix: &Prefix) -> Result<()> {
        Claim::release(prefix)
    }

    fn build(&self) -> Result<()> {
        Namespace::create(&Host::ALL.map(|host| self.namespace(host)))?;
        self.namespace(Host::Switch).make_bridge()?;

        self.join_client(Host::Client, Host::Online)?;
        self.plug(Host::Online, "eth1", &format!("{ONLINE_INSIDE}/24"))?;
        self.plug(Host::Target, "eth0", &format!("{TARGET}/24"))?;
        self.plug(Host::Assistant, "eth0", &format!("{ASSISTANT}/24"))?;
        self.route_replies(Host::Target)
    }

    fn join_client(&self, client: Host, online: Host) -> Result<()> {
        let (client, online) = (self.namespace(client), self.namespace(online));
        client.join("eth0", &online, "eth0")?;
        online.ip_all(&[&format!("address add {ONLINE}/24 dev eth0")])?;
        client.ip_all(&[
            &format!("address add {CLIENT}/24 dev eth0"),
            &format!("route add default via {ONLINE}"),
        ])
    }

    fn plug(&self, host: Host, interface: &str, address: &str) -> Result<()> {
        let port = format!("{}-{interface}", host.name());
        plug(
            &self.namespace(host),
            &self.namespace(Host::Switch),
            interface,
            &port,
            address,
        )
    }

    /// Sets the routes of client and target again, after their devices were made anew.
    ///
    /// # Errors
    ///
    /// Where `ip` fails.
    pub fn route_again(&self) -> Result<()> {
        let via = ONLINE.to_string();
        self.namespace(Host::Client)
            .ip(&["route", "replace", "default", "via", &via])?;
        self.route_replies(Host::Target)
    }

    fn route_replies(&self, host: Host) -> Result<()> {
        let gateway = match self.topology {
            Topology::Direct => ONLINE_INSIDE,
            Topology::Assistant => ASSISTANT,
        };
        let routes = [CLIENT_PREFIX, POOL_PREFIX]
            .map(|prefix| format!("route replace {prefix} via {gateway}"));
        self.namespace(host)
            .ip_all(&routes.each_ref().map(String::as_str))
    }
}

/// Gives a host an interface with an address, whose other end is a port of a bridge.
fn plug(
    host: &Namespace,
    bridge: &Namespace,
    interface: &str,
    port: &str,
    address: &str,
) -> Result<()> {
    host.join(interface, bridge, port)?;
    bridge.ip(&["link", "set", port, "master", "br0"])?;
    host.ip(&["address", "add", address, "dev", interface])
}

impl Drop for Lab {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let _ = self.claim.remember_folder(None);
            eprintln!("lab: the logs stay in {}", self.logs.display());
        }
    }
}

/// A new folder: the logs of a lab of the same name that failed must stay.
fn folder_for_logs(prefix: &Prefix) -> Result<PathBuf> {
    let name = format!("tcpcopy-lab-{prefix}-{}", std::process::id());
    let mut folder = std::env::temp_dir().join(&name);
    let mut number = 2;
    while folder.exists() {
        folder = std::env::temp_dir().join(format!("{name}-{number}"));
        number += 1;
    }
    std::fs::create_dir(&folder).tried(|| format!("create the folder {}", folder.display()))?;
    Ok(folder)
}

/// The names of the interfaces of a host with their state, one per line.
///
/// # Errors
///
/// Where `ip` fails.
pub fn describe(prefix: &Prefix) -> Result<String> {
    let mut text = String::new();
    for namespace in crate::registry::namespaces(prefix)? {
        let links = system::run("ip", &["-n", &namespace, "-brief", "address"])?;
        let routes = system::run("ip", &["-n", &namespace, "-4", "route"])?;
        text.push_str(&format!("{namespace}\n"));
        for line in links.lines().chain(routes.lines()) {
            text.push_str(&format!("    {}\n", line.trim_end()));
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::Host;

    #[test]
    fn a_host_is_found_by_its_name() {
        for host in Host::ALL
            .into_iter()
            .chain([Host::Further(1), Host::Further(99)])
        {
            assert_eq!(Host::named(&host.name()), Some(host));
        }
        assert_eq!(Host::named("target0"), None);
    }
}
