//! The lab's links on network devices of the machine instead of veth pairs: emulated cards, told by their addresses.
//!
//! `cargo xtask vm` gives a machine five cards on two hubs, one hub for each link of the lab. They come back to the
//! machine's own namespace, under whatever name is free, when the namespaces of a lab go.

use std::fs;
use std::time::Duration;

use crate::error::Result;
use crate::interrupt;
use crate::net::{ASSISTANT, CLIENT, Host, Lab, ONLINE, ONLINE_INSIDE, TARGET};

/// The cards that are expected: host, interface, the card's address, and the interface's.
fn ends() -> [(Host, &'static str, &'static str, String); 5] {
    let with_prefix = |address| format!("{address}/24");
    [
        (
            Host::Client,
            "eth0",
            "52:54:00:74:63:01",
            with_prefix(CLIENT),
        ),
        (
            Host::Online,
            "eth0",
            "52:54:00:74:63:02",
            with_prefix(ONLINE),
        ),
        (
            Host::Online,
            "eth1",
            "52:54:00:74:63:03",
            with_prefix(ONLINE_INSIDE),
        ),
        (
            Host::Target,
            "eth0",
            "52:54:00:74:63:04",
            with_prefix(TARGET),
        ),
        (
            Host::Assistant,
            "eth0",
            "52:54:00:74:63:05",
            with_prefix(ASSISTANT),
        ),
    ]
}

impl Lab {
    /// Whether this machine has the cards.
    #[must_use]
    pub fn has_devices() -> bool {
        ends().iter().all(|(_, _, card, _)| device(card).is_some())
    }

    /// Puts the cards of this machine in the places of all veth pairs. To be called before anything runs.
    ///
    /// # Errors
    ///
    /// Where a card is missing, or `ip` fails.
    pub fn use_devices(&self) -> Result<()> {
        for host in [Host::Client, Host::Online, Host::Target, Host::Assistant] {
            // Those of the online host go with the ends that the others have.
            let interface = if host == Host::Online { "eth1" } else { "eth0" };
            self.namespace(host).ip(&["link", "delete", interface])?;
        }
        for (host, interface, card, address) in ends() {
            let mut found = None;
            // A lab that has just gone gives its cards back a little later.
            interrupt::wait_until(card, Duration::from_secs(5), || {
                found = device(card);
                Ok(found.is_some())
            })?;
            let namespace = self.namespace(host);
            let name = found.unwrap_or_default();
            let into = [
                "link",
                "set",
                "dev",
                &name,
                "netns",
                namespace.name(),
                "name",
                interface,
            ];
            crate::system::run("ip", &into)?;
            namespace.add_address(interface, &address)?;
            namespace.set_link(interface, true)?;
        }
        self.route_again()
    }
}

/// The device of this machine that has this address.
fn device(card: &str) -> Option<String> {
    let devices = fs::read_dir("/sys/class/net").ok()?.flatten();
    devices
        .filter(|device| {
            let address = fs::read_to_string(device.path().join("address"));
            address.is_ok_and(|address| address.trim() == card)
        })
        .find_map(|device| device.file_name().into_string().ok())
}
