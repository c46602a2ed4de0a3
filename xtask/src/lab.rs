//! `cargo xtask lab`: the four hosts as namespaces, for anyone who wants to play.

use std::os::unix::process::CommandExt;
use std::process::Command;

use ::lab::{Host, Lab, Prefix, Topology};
use anyhow::{Result, bail};
use clap::{Args, Subcommand};

/// Arguments of `lab`.
#[derive(Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    action: Action,
    /// Name of the lab: its namespaces are called NAME-client, NAME-online, and so on.
    #[arg(long, global = true, default_value = "lab")]
    name: Prefix,
}

#[derive(Subcommand)]
enum Action {
    /// Set the network up; it stays until `down`.
    Up {
        /// Which way the target answers.
        #[arg(long, value_enum, default_value = "direct")]
        topology: Topology,
    },
    /// Remove the network and what was left running by it.
    Down,
    /// Run a command on a host: client, online, target, assistant or switch.
    Exec {
        /// The host.
        host: String,
        /// The command.
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<String>,
    },
    /// Show hosts, addresses and routes.
    Status,
}

/// Does what is asked.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let name = &arguments.name;
    match &arguments.action {
        Action::Up { topology } => {
            Lab::up(name.clone(), *topology)?.keep()?;
            eprintln!("The lab is up. Try: cargo xtask lab exec online -- ip neighbour");
            status(name)
        }
        Action::Down => Ok(Lab::down(name)?),
        Action::Exec { host, command } => exec(name, host, command),
        Action::Status => status(name),
    }
}

fn status(name: &Prefix) -> Result<()> {
    let text = ::lab::net::describe(name)?;
    if text.is_empty() {
        eprintln!("no lab named `{name}` is up: `cargo xtask lab up` makes one");
    } else {
        eprint!("{text}");
    }
    Ok(())
}

fn exec(name: &Prefix, host: &str, command: &[String]) -> Result<()> {
    let Some(host) = Host::named(host) else {
        bail!(
            "there is no host `{host}` in the lab: choose client, online, target, assistant or switch"
        );
    };
    let namespace = format!("{name}-{}", host.name());
    if !::lab::registry::namespaces(name)?.contains(&namespace) {
        bail!(
            "no lab named `{name}` with a host `{}` is up: `cargo xtask lab up` makes one",
            host.name()
        );
    }
    let error = Command::new("ip")
        .args(["netns", "exec", &namespace])
        .args(command)
        .exec();
    bail!("cannot run `ip netns exec`: {error}");
}
