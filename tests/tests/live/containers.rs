//! Containers by plain namespaces: `--netns`, published ports, and a copier in a container that reaches the target through its host's
//! NAT.
//!
//! | module | holds |
//! |---|---|
//! | [`inside`] | `--netns`: the programs run on the switch, which is nobody's server, and work on another host of the lab |
//! | [`published`] | the online server is in a container behind the online host |

mod inside;
mod published;

use std::time::Duration;

use lab::access_log::Request;
use lab::copier::{Copier, Options};
use lab::nginx::Nginx;
use lab::{Host, Process, Spec};
use serde_json::Value;
use tests::copying::{check_books, finish};
use tests::{Clients, Stand, check_complete};

/// How long a program may take to become ready.
const READY_WITHIN: Duration = Duration::from_secs(20);
/// How long a program may take to end.
const END_WITHIN: Duration = Duration::from_secs(20);

/// Starts `tcpcopy` on a host and waits until it copies.
fn start_on(stand: &Stand, host: Host, options: &Options) -> Copier {
    let copier = Copier::start_without_intercept(&stand.lab, &stand.binaries, options, host);
    let mut copier = copier.unwrap_or_else(|error| panic!("{error}"));
    wait_ready(&mut copier.tcpcopy);
    copier
}

fn wait_ready(process: &mut Process) {
    process
        .wait_for("ready", READY_WITHIN)
        .unwrap_or_else(|error| panic!("{error}"));
}

/// Runs the doctor on a host; its exit status, and what it said.
fn doctor(stand: &Stand, host: Host, arguments: &[&str]) -> (Option<i32>, Value) {
    let spec = Spec::new("doctor", &stand.binaries.tcpcopy).args(["doctor", "--json"]);
    let process = stand.lab.spawn(host, &spec.args(arguments));
    let mut process = process.expect("the doctor");
    let status = process.wait(Duration::from_secs(30)).expect("it ends");
    let text = process.output();
    let document = serde_json::from_str(&text);
    let document = document.unwrap_or_else(|error| panic!("{error}: {text} {}", process.log()));
    (status.code(), document)
}

/// Servers that a copy runs between.
struct Servers {
    online: Nginx,
    target: Nginx,
}

impl Servers {
    /// Copies a load, ends the copy, and checks that each request came once, and the books.
    fn check_copied(mut self, stand: &Stand, mut copier: Copier, clients: &Clients) {
        let report = clients.run(stand);
        let summary = finish(&mut copier);
        let (online, target) = (log(&mut self.online), log(&mut self.target));
        check_complete(&report, &online, &target, &summary);
        check_books(&summary);
    }
}

fn log(server: &mut Nginx) -> Vec<Request> {
    server.finish().expect("an access log")
}

/// Nothing of ours on a host: no device, no program.
fn check_nothing_on(stand: &Stand, host: Host) {
    let links = stand
        .lab
        .run(host, "ip", &["-brief", "link"])
        .expect("ip link");
    assert!(!links.contains("tcpcopy"), "on {}: {links}", host.name());
    if lab::system::missing(&["bpftool"]).is_empty() {
        let programs = stand
            .lab
            .run(host, "bpftool", &["net", "show"])
            .expect("bpftool");
        let ours = ["capture", "observe", "inject", "absorb", "sink"];
        assert!(
            !ours.iter().any(|name| programs.contains(name)),
            "on {}: {programs}",
            host.name()
        );
    }
}
