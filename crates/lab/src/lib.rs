//! The lab: what live tests, `cargo xtask demo`, `bench` and `lab` are made of.
//!
//! | module | holds |
//! |---|---|
//! | [`net`] | the network: client, online, target and assistant as namespaces |
//! | [`plan`] | its hosts, their names and addresses |
//! | [`host`] | one of them and its knobs: offloads, MTU, loss |
//! | [`loss`] | packets that get lost between them |
//! | [`devices`] | cards of the machine instead of veth pairs |
//! | [`prefix`] | the name of a lab |
//! | [`registry`] | which labs stand, and the removal of left-overs |
//! | [`process`] | a process in a namespace: logs, signals, CPU time |
//! | [`machine`] | CPU of the whole machine and of processes |
//! | [`http`] | asking a server |
//! | [`interrupt`] | Ctrl-C |
//! | [`system`] | running a command of the system |
//! | [`service`] | the built-in HTTP service |
//! | [`load`] | the built-in HTTP clients with unique request ids |
//! | [`readers`] | clients that take a long response slowly |
//! | [`digest`] | a digest of bodies |
//! | [`bulk`] | raw TCP sender and sink |
//! | [`part`] | one of these in a process of its own |
//! | [`command`] | these as commands, to be run inside a namespace |
//! | [`nginx`], [`redis`], [`postgres`], [`mariadb`] | configurations and starts of servers |
//! | [`copier`] | `tcpcopy` and `intercept` |
//! | [`stamps`] | when packets passed a device |
//! | [`wrk`] | what wrk prints |
//! | [`access_log`] | comparing two access logs by request id |
//!
//! It depends on no system library and on none of the other rooms, so it builds before anything is set up.
#![forbid(unsafe_code)]

pub mod access_log;
pub mod bulk;
pub mod command;
pub mod copier;
pub mod devices;
pub mod digest;
pub mod error;
pub mod host;
pub mod http;
pub mod interrupt;
pub mod load;
pub mod loss;
pub mod machine;
pub mod mariadb;
pub mod net;
pub mod nginx;
pub mod part;
pub mod plan;
pub mod postgres;
pub mod prefix;
pub mod process;
pub mod readers;
pub mod redis;
pub mod registry;
pub mod service;
pub mod stamps;
pub mod system;
pub mod wrk;

pub use error::{Error, Result};
pub use host::Namespace;
pub use loss::Way;
pub use net::{Host, Lab, Topology};
pub use prefix::Prefix;
pub use process::{Process, Spec};
