//! Commands that a user is told to run on other hosts; the doctor, the run and the documentation have the same ones.

use std::net::IpAddr;

use wire::flow::Endpoint;

/// Number of the routing table at the target that leads to the assistant: intercept's port, which nobody else thinks of.
pub(crate) const TABLE: u16 = 36524;

/// What another host is told to send to, or to run something on, where this one reaches the assistant at `assistant`: at the near end
/// of a tunnel (`ssh -L`) that is an address of loopback, which would lead the other host to itself.
pub(crate) fn seen_from_elsewhere(assistant: &str) -> &str {
    let is_loopback = assistant
        .parse()
        .map_or(assistant == "localhost", |address: IpAddr| {
            address.is_loopback()
        });
    if is_loopback {
        "ADDRESS-OF-THE-ASSISTANT"
    } else {
        assistant
    }
}

/// Has a target send what its service answers, and nothing else, to the assistant: a rule by the service's port, and a table
/// with one route. The target's own connections to other hosts go their ways.
pub(crate) fn route_service_by(target: Endpoint, assistant: &str) -> String {
    let ip = ip(target);
    let assistant = seen_from_elsewhere(assistant);
    let rule = format!("ipproto tcp sport {} lookup {TABLE}", target.port);
    format!(
        "{ip} route replace default via {assistant} table {TABLE}; {ip} rule del {rule} 2>/dev/null; {ip} rule add {rule}"
    )
}

/// Lets copies pass a firewall that sees them and not their replies.
pub(crate) fn pass_untracked(target: Endpoint) -> String {
    let tables = iptables(target.addr.into());
    let what = format!("-p tcp -d {} --dport {}", target.addr, target.port);
    format!(
        "{tables} -t raw -I PREROUTING {what} -j CT --notrack; {tables} -I INPUT {what} -j ACCEPT"
    )
}

/// The firewall command of an address's family.
pub(crate) fn iptables(address: IpAddr) -> &'static str {
    if address.is_ipv4() {
        "iptables"
    } else {
        "ip6tables"
    }
}

fn ip(target: Endpoint) -> &'static str {
    if target.addr.is_v4() { "ip" } else { "ip -6" }
}

#[cfg(test)]
mod tests {
    use wire::flow::{Addr, Endpoint};

    use super::{pass_untracked, route_service_by};

    #[test]
    fn commands_can_be_copied_as_they_stand() {
        let target = Endpoint::new(Addr::v4([10, 0, 2, 2]), 80);
        assert_eq!(
            route_service_by(target, "10.0.2.3"),
            "ip route replace default via 10.0.2.3 table 36524; ip rule del ipproto tcp sport 80 lookup 36524 2>/dev/null; ip rule \
             add ipproto tcp sport 80 lookup 36524"
        );
        let target = Endpoint::new(Addr::v6([0xfd; 16]), 80);
        assert!(route_service_by(target, "fd00::3").contains("; ip -6 rule add"));
        assert!(pass_untracked(target).starts_with("ip6tables -t raw"));
        // The channel goes through a tunnel: that end of it is nowhere for the target.
        for near_end in ["127.0.0.1", "::1", "localhost"] {
            let command = route_service_by(target, near_end);
            assert!(
                command.contains("via ADDRESS-OF-THE-ASSISTANT ") && !command.contains(near_end),
                "{command}"
            );
        }
    }
}
