//! The scene of a case: its network, the servers of a run, and the copy between them.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use ::lab::command::spec;
use ::lab::copier::{Binaries, Copier, Options};
use ::lab::net::{ONLINE, ONLINE_INSIDE, TARGET};
use ::lab::nginx::{Answer, Config, Nginx};
use ::lab::{Host, Lab, Process};
use anyhow::{Context, Result};
use nix::sys::signal::Signal;

use super::case::{Beside, Case, Link, Plan, Target};
use crate::stage::{BACK_CPU, FRONT_CPU};

/// The service whose clients are measured.
const PORT: u16 = 8080;
/// The service that is loaded beside it.
const PORT_BESIDE: u16 = 8081;
/// A port of the target that nobody listens on.
const PORT_CLOSED: u16 = 8099;
/// An address of the target's network that nobody has.
const NOBODY: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 99);
/// What a flooding target answers, and what slow readers ask for, in bytes.
const LONG_LEN: u64 = 100 << 20;
/// How slow a slow target is, in milliseconds.
const SLOW_MS: &str = "200";
/// The clients' place where they share the online server's device with the copies.
const CLIENTS_INSIDE: u8 = 1;
/// Memory budgets, from the smallest that any tcpcopy has taken: the first that is not refused counts.
const BUDGETS: [&str; 5] = ["1M", "4M", "16M", "64M", "256M"];
/// How long copies may go on after a load: what they do then nobody feels.
const DRAIN: &str = "1s";

/// The network of a case.
pub(super) struct Scene {
    pub(super) lab: Lab,
    pub(super) plan: Plan,
}

impl Scene {
    /// Sets it up.
    pub(super) fn up(case: Case) -> Result<Self> {
        let plan = case.plan();
        let lab = Lab::up("tcpcopy-hurt".parse()?, plan.topology)?;
        if plan.link.is_shared() {
            lab.add_target(CLIENTS_INSIDE)?;
            narrow(&lab, plan.link)?;
        }
        Ok(Self { lab, plan })
    }

    /// Where clients are.
    pub(super) const fn clients(&self) -> Host {
        if self.plan.link.is_shared() {
            Host::Further(CLIENTS_INSIDE)
        } else {
            Host::Client
        }
    }

    /// The service whose clients are measured.
    pub(super) fn online(&self) -> SocketAddr {
        (self.online_address(), PORT).into()
    }

    /// The service beside it.
    pub(super) fn online_beside(&self) -> SocketAddr {
        (self.online_address(), PORT_BESIDE).into()
    }

    const fn online_address(&self) -> Ipv4Addr {
        if self.plan.link.is_shared() {
            ONLINE_INSIDE
        } else {
            ONLINE
        }
    }

    /// Where copies of the measured load go.
    fn target(&self) -> SocketAddr {
        match self.plan.target {
            Target::Nobody => (NOBODY, PORT).into(),
            Target::Closed => (TARGET, PORT_CLOSED).into(),
            Target::Alike | Target::Slow | Target::Flood | Target::Proxy => (TARGET, PORT).into(),
        }
    }

    /// Starts the copy, and says with which memory budget where the case asks for the smallest.
    pub(super) fn copy(&self, binaries: &Binaries) -> Result<(Copier, Option<&'static str>)> {
        let mut options = Options::new(
            self.plan.topology,
            &self.online().to_string(),
            &self.target().to_string(),
        );
        if self.plan.beside != Beside::Nothing {
            let rule = format!(",{}-{TARGET}:{PORT_BESIDE}", self.online_beside());
            options.rules.push_str(&rule);
        }
        options.cpu = Some(BACK_CPU);
        let words = ["--drain", DRAIN].iter().chain(self.plan.more);
        options.more.extend(words.map(ToString::to_string));
        if !self.plan.least_memory {
            return Ok((Copier::start(&self.lab, binaries, &options)?, None));
        }
        let mut refused = None;
        for budget in BUDGETS {
            let options = options.clone().more("--memory").more(budget);
            match Copier::start(&self.lab, binaries, &options) {
                Ok(copier) => return Ok((copier, Some(budget))),
                Err(::lab::Error::Interrupted) => return Err(::lab::Error::Interrupted.into()),
                Err(error) => refused = Some(error),
            }
        }
        let refused = refused.context("there is no budget to try")?;
        Err(refused).context("tcpcopy takes no memory budget, not even the largest that was tried")
    }

    /// Bytes that the online server's device towards the target has received and sent so far.
    pub(super) fn passed(&self) -> Result<(u64, u64)> {
        let table = self.lab.run(Host::Online, "cat", &["/proc/net/dev"])?;
        passed(&table, "eth1").with_context(|| format!("no eth1 in {table}"))
    }
}

/// Puts 100 Mbit/s between the online server's device and the others.
fn narrow(lab: &Lab, link: Link) -> Result<()> {
    let tc = |arguments: &str| {
        let words: Vec<&str> = arguments.split(' ').collect();
        lab.run(Host::Online, "tc", &words).map(drop)
    };
    // 512 kB are 41 ms of queue, which a plain one shares out by arrival. The bucket is as large as what 10 ms let through,
    // or a timer that comes late on a busy processor would make the link narrower than it is.
    tc("qdisc add dev eth1 root handle 1: tbf rate 100mbit burst 128kb limit 512kb")?;
    if link == Link::SharedWithBands {
        tc("qdisc add dev eth1 parent 1:1 handle 2: pfifo_fast")?;
    }
    Ok(())
}

/// Received and sent bytes of a device, from `/proc/net/dev`.
fn passed(table: &str, device: &str) -> Option<(u64, u64)> {
    let mut lines = table.lines();
    let line = lines.find_map(|line| line.trim_start().strip_prefix(device)?.strip_prefix(':'))?;
    let field = |index| line.split_ascii_whitespace().nth(index)?.parse().ok();
    Some((field(0)?, field(8)?))
}

/// The servers of a run; dropping them ends them.
pub(super) struct Servers {
    _online: Vec<Server>,
    target: Vec<Server>,
}

enum Server {
    Nginx(Nginx),
    Service(Process),
}

impl Server {
    fn process(&mut self) -> &mut Process {
        match self {
            Self::Nginx(nginx) => nginx.process(),
            Self::Service(process) => process,
        }
    }
}

impl Servers {
    /// Starts those of a case.
    pub(super) fn start(scene: &Scene) -> Result<Self> {
        let lab = &scene.lab;
        let mut online = vec![nginx(
            lab,
            Host::Online,
            scene.online(),
            Answer::Bytes(600),
        )?];
        let own = SocketAddr::from((TARGET, PORT));
        let mut target = match scene.plan.target {
            Target::Alike => vec![nginx(lab, Host::Target, own, Answer::Bytes(600))?],
            Target::Flood => vec![nginx(lab, Host::Target, own, Answer::File(LONG_LEN))?],
            Target::Proxy => vec![nginx(
                lab,
                Host::Target,
                own,
                Answer::Proxy(scene.online()),
            )?],
            Target::Slow => vec![service(lab, Host::Target, own, &["--delay-ms", SLOW_MS])?],
            Target::Nobody | Target::Closed => Vec::new(),
        };
        let (at_online, at_target) = (scene.online_beside(), (TARGET, PORT_BESIDE).into());
        match scene.plan.beside {
            Beside::Nothing => {}
            Beside::SlowReaders => {
                let answer = || Answer::File(LONG_LEN);
                online.push(nginx(lab, Host::Online, at_online, answer())?);
                target.push(nginx(lab, Host::Target, at_target, answer())?);
            }
            Beside::Uploads(_) => {
                online.push(service(lab, Host::Online, at_online, &[])?);
                target.push(service(lab, Host::Target, at_target, &[])?);
            }
        }
        Ok(Self {
            _online: online,
            target,
        })
    }

    /// Stops the target's processes, which keep their connections and answer nothing any more.
    pub(super) fn freeze_target(&mut self) -> Result<()> {
        for server in &mut self.target {
            server.process().signal(Signal::SIGSTOP)?;
        }
        Ok(())
    }
}

const fn cpu(host: Host) -> usize {
    match host {
        Host::Online => FRONT_CPU,
        _ => BACK_CPU,
    }
}

fn nginx(lab: &Lab, host: Host, listen: SocketAddr, answer: Answer) -> Result<Server> {
    let name = format!("{}-{}", host.name(), listen.port());
    let mut config = Config::new(&name, listen);
    config.answer = answer;
    // Nobody compares logs here, and a loop would fill the disk with one.
    config.access_log = false;
    config.cpu = Some(cpu(host));
    Ok(Server::Nginx(Nginx::start(lab, host, &config)?))
}

fn service(lab: &Lab, host: Host, listen: SocketAddr, more: &[&str]) -> Result<Server> {
    let name = format!("{}-{}", host.name(), listen.port());
    let spec = spec(&name, "serve").args(["--listen", &listen.to_string()]);
    let mut process = lab.spawn(host, &spec.args(more).cpu(cpu(host)))?;
    process.wait_for("ready", Duration::from_secs(5))?;
    Ok(Server::Service(process))
}

#[cfg(test)]
mod tests {
    use super::passed;

    #[test]
    fn the_bytes_of_a_device_are_found() {
        let table = "Inter-|   Receive\n face |bytes\n  eth0: 1 2 3 4 5 6 7 8 9 10\n eth10: 5 0 0 0 0 0 0 0 6 0\n  eth1:70 2 3 4 5 6 7 8 90 10\n";
        assert_eq!(passed(table, "eth1"), Some((70, 90)));
        assert_eq!(passed(table, "eth2"), None);
    }
}
