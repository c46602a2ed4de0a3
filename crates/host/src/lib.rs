//! The host: everything that asks this machine something or changes it.
//!
//! | module | noun |
//! |---|---|
//! | `netlink` | the connection to the kernel that the others ask through |
//! | `netns` | another network namespace: entered, and what stays outside of it |
//! | `interface` | network interfaces: up, Ethernet, MTU, queues, which one has the default route |
//! | `address` | the addresses of this host |
//! | `neighbour` | whether the next hop's Ethernet address is known |
//! | `route` | the way to a target: device, next hop, MTU |
//! | `watcher` | a thread that asks for the routes again whenever something changes |
//! | `address_watcher` | a thread that asks for the addresses again whenever one changes |
//! | `exits` | the devices that routes leave by; a thread that asks for them again |
//! | `ports` | which TCP ports are taken: listening, connected, ephemeral, reserved; a thread that asks again |
//! | `conntrack` | how full the table of tracked connections is |
//! | `device` | the private device: made, marked, routed to, removed |
//! | `claim` | the right to the private device: one process per network namespace |
//! | `clsact` | filters at clsact hooks: programs where the kernel has no tcx |
//! | `sign` | what says that the owner of the private device lives |
//! | `qdisc` | queues in front of the private device |
//! | `sysctl` | settings under `/proc/sys/net` |
//! | `conntrack` | how many connections netfilter tracks |
//! | `firewall` | whether netfilter may take packets of a service away |
//! | `offload` | what an interface merges before anybody sees it |
//! | `clock` | the clock that the programs stamp with |
//! | `memory` | how much memory this process may take |
//! | `capability` | what this process may do |
//! | `kernel` | what this kernel can do |
//! | `run_time` | how often programs run, and how long |
//!
//! All calls block; nothing asynchronous leaves this crate. Everything refers to the network namespace of the calling
//! thread. Only `device`, `claim` and `qdisc` change anything, and only what belongs to the private device; `clsact` adds and
//! removes filters of ours; `run_time` has the kernel measure for a second at a time.
#![forbid(unsafe_code)]

pub mod address;
mod address_watcher;
pub mod capability;
pub mod claim;
pub mod clock;
pub mod clsact;
pub mod conntrack;
pub mod device;
mod error;
pub mod exits;
pub mod firewall;
mod follower;
pub mod interface;
pub mod kernel;
pub mod memory;
pub mod neighbour;
mod netlink;
pub mod netns;
pub mod offload;
pub mod ports;
mod qdisc;
pub mod route;
pub mod run_time;
mod sign;
mod sock_diag;
mod sysctl;
mod watcher;

pub use address_watcher::AddressWatcher;
pub use device::PrivateDevice;
pub use error::Error;
pub use exits::ExitWatcher;
pub use firewall::Firewall;
pub use interface::Interface;
pub use netlink::Netlink;
pub use ports::{PortWatcher, Taken};
pub use route::Route;
pub use watcher::{RouteChange, RouteWatcher};
