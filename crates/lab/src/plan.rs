//! The plan of the lab's network: which hosts there are, what they are called, and their addresses.
//!
//! It is data alone: [`crate::net`] builds what stands here.

use std::net::Ipv4Addr;

/// The client's address.
pub const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 2);
/// The online server's address, as its clients know it.
pub const ONLINE: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 1);
/// The online server's address towards target and assistant.
pub const ONLINE_INSIDE: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 1);
/// The target server's address.
pub const TARGET: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 2);
/// The assistant's address.
pub const ASSISTANT: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 3);
/// The prefix of the clients.
pub const CLIENT_PREFIX: &str = "10.0.1.0/24";
/// A prefix that belongs to nobody: a reply pool for tests.
pub const POOL_PREFIX: &str = "62.135.200.0/24";

/// Which way the target answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Topology {
    /// Through the online server.
    Direct,
    /// Through the assistant.
    Assistant,
}

/// A host of the lab.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Host {
    /// The clients.
    Client,
    /// The online server: `eth0` towards the client, `eth1` towards the others.
    Online,
    /// The target server.
    Target,
    /// The assistant server.
    Assistant,
    /// The bridge between online, target and assistant.
    Switch,
    /// A bridge between client and online server, where [`crate::Lab::insert_wire`] put one.
    Wire,
    /// A further target, assistant, online server or client, 1 to 99: address 10.0.2.(100 + n).
    Further(u8),
}

impl Host {
    /// Every host that a lab starts with.
    pub const ALL: [Self; 5] = [
        Self::Switch,
        Self::Client,
        Self::Online,
        Self::Target,
        Self::Assistant,
    ];

    /// Its name.
    #[must_use]
    pub fn name(self) -> String {
        match self {
            Self::Client => "client".to_owned(),
            Self::Online => "online".to_owned(),
            Self::Target => "target".to_owned(),
            Self::Assistant => "assistant".to_owned(),
            Self::Switch => "switch".to_owned(),
            Self::Wire => "wire".to_owned(),
            Self::Further(number) => format!("target{number}"),
        }
    }

    /// The host of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .chain([Self::Wire])
            .chain((1..=99).map(Self::Further))
            .find(|host| host.name() == name)
    }

    /// The address of a [`Host::Further`], [`TARGET`] for the target, and so on; [`ONLINE`] for online.
    #[must_use]
    pub fn address(self) -> Option<Ipv4Addr> {
        match self {
            Self::Client => Some(CLIENT),
            Self::Online => Some(ONLINE),
            Self::Target => Some(TARGET),
            Self::Assistant => Some(ASSISTANT),
            Self::Switch | Self::Wire => None,
            Self::Further(number) => Some(Ipv4Addr::new(10, 0, 2, 100 + number.min(99))),
        }
    }
}
