//! What is said where half or nothing is seen: what was seen, what it may be, and what to do.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use host::Route;
use wire::flow::{Addr, Endpoint};

use crate::plan::LOOPBACK;

/// Most ports or addresses that are named.
const NAMED_MAX: usize = 10;

/// Which half is seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sight {
    Requests,
    RequestsAndSomeAnswers,
    Answers,
}

/// What is known where half is seen.
#[derive(Debug)]
pub(super) struct Half<'a> {
    pub(super) rule: &'a str,
    pub(super) seen: Sight,
    /// About how many flows it is that one side of is missing.
    pub(super) flows: u32,
    /// One of them: client, service, and the way by which this host answers that client.
    pub(super) flow: Option<(IpAddr, IpAddr, Option<Route>)>,
    /// Whether the service's address is one of this host.
    pub(super) is_own: bool,
    /// Whether the missing side would be seen on the device of that way.
    pub(super) is_looked_at: bool,
    /// The devices that clients come in by, as `-i` takes them.
    pub(super) named: &'a [String],
}

/// The words for [`Half`].
pub(super) fn half(half: &Half<'_>) -> String {
    let rule = half.rule;
    let flows = match half.flows {
        0 | 1 => String::new(),
        64.. => ", in 64 connections or more".to_owned(),
        flows => format!(", in some {flows} connections"),
    };
    let client = half.flow.as_ref();
    let client = client.map_or_else(String::new, |(client, ..)| {
        format!(", one of them {client}")
    });
    let what = match half.seen {
        Sight::Requests => format!(
            "of \"{rule}\" packets of clients are seen{flows}{client}, and no answer of the online server to any of them; without \
             its answers nothing is copied"
        ),
        Sight::RequestsAndSomeAnswers => format!(
            "of \"{rule}\" the answers of the online server to some clients are not seen{client}; without them their requests are \
             not copied"
        ),
        Sight::Answers => format!(
            "of \"{rule}\" answers of the online server are seen{flows}{}, and no packet of its clients; without those nothing is \
             copied",
            client.replacen(", one of them", ", one of them to", 1)
        ),
    };
    let why = match half.seen {
        Sight::Answers => unasked(half),
        Sight::Requests | Sight::RequestsAndSomeAnswers => unanswered(half),
    };
    format!("NOT EVERYTHING IS COPIED: {what}. {why}")
}

fn unanswered(half: &Half<'_>) -> String {
    let (named, other) = (half.named.join(", "), other_places(half.named));
    let Some((client, server, route)) = &half.flow else {
        return format!(
            "Either {named} shows one direction only ({other}), or a firewall drops them"
        );
    };
    if !half.is_own {
        return format!(
            "{server} is no address of this host, so its packets only pass here, or are mirrored here, and {named} shows one \
             direction of them: {other}"
        );
    }
    match route {
        Some(Route::Device { name, .. }) if !half.is_looked_at => format!(
            "By this host's routing table {server} answers {client} through {name}, where nobody looks: name it too, -i {}",
            and(half.named, name)
        ),
        Some(Route::Local { .. }) if !half.is_looked_at => format!(
            "{client} is an address of this host, so the answers pass lo, where nobody looks: name it too, -i {}",
            and(half.named, LOOPBACK)
        ),
        Some(Route::Unreachable { why }) => {
            format!("This host has no way to {client} ({why}), so nobody can answer it")
        }
        Some(Route::Device { name, .. }) => format!(
            "The answers to {client} should leave through {name}, which is looked at: most likely a firewall of this host drops the \
             requests before anybody answers (`nft list ruleset`, `iptables-save`). Otherwise they leave past the kernel (XDP, \
             offload), or {named} shows one direction only: {other}"
        ),
        Some(Route::Local { .. }) | None => format!(
            "Either {named} shows one direction only ({other}), or a firewall of this host drops the requests before anybody \
             answers"
        ),
    }
}

fn unasked(half: &Half<'_>) -> String {
    let (named, other) = (half.named.join(", "), other_places(half.named));
    match &half.flow {
        Some((client, _, Some(Route::Device { name, .. }))) if !half.is_looked_at => format!(
            "They come in by another device than {named}, most likely by {name}, through which this host reaches {client}: name it \
             too, -i {}",
            and(half.named, name)
        ),
        _ => format!(
            "They come in by another device than {named} (name it too with -i), or {named} shows one direction only: {other}. If the \
             clients' network has just gone, it is that"
        ),
    }
}

/// Whether this argument of `-i` names that device.
pub(super) fn is_named(named: &str, device: &str) -> bool {
    named.split(':').next() == Some(device)
}

/// These devices and one more, as `-i` takes them.
fn and(named: &[String], more: &str) -> String {
    let mut all: Vec<&str> = named.iter().map(String::as_str).collect();
    if !named.iter().any(|named| is_named(named, more)) {
        all.push(more);
    }
    all.join(",")
}

/// How else the first of these devices can be named, where it shows packets another way than it was said.
fn other_places(named: &[String]) -> String {
    let said = named.first().map_or("DEVICE", String::as_str);
    let device = said.split(':').next().unwrap_or(said);
    let places = [
        ("an ordinary device", device.to_owned()),
        (
            "a port that traffic is mirrored to",
            format!("{device}:mirror"),
        ),
        (
            "the host's end of a container's veth",
            format!("{device}:host"),
        ),
    ];
    let other = places.iter().filter(|(_, argument)| argument != said);
    let other: Vec<String> = other
        .map(|(place, argument)| format!("{place} is named as -i {argument}"))
        .collect();
    other.join(", ")
}

/// Who listens.
#[derive(Debug)]
pub(super) enum Listening {
    Known(Vec<SocketAddr>),
    Unknown,
}

/// A connection of a service.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) here: SocketAddr,
    pub(super) there: SocketAddr,
    /// The way by which this host answers.
    pub(super) route: Option<Route>,
}

/// What is known where nothing is seen.
#[derive(Debug)]
pub(super) struct Scene {
    /// The first rules: name and service.
    pub(super) rules: Vec<(String, Endpoint)>,
    pub(super) rules_unnamed: usize,
    /// The devices that clients' packets and replies are captured on, with their kinds.
    pub(super) captured: Vec<(String, Option<String>)>,
    /// The devices that clients come in by, as `-i` takes them.
    pub(super) named: Vec<String>,
    pub(super) listening: Listening,
    pub(super) own: Vec<IpAddr>,
    /// Of the services.
    pub(super) connections: Vec<Connection>,
    /// Packets with a VLAN tag.
    pub(super) tagged: u64,
    /// Packets in frames for another Ethernet address.
    pub(super) other_host: u64,
}

/// The words for [`Scene`].
pub(super) fn nothing(scene: &Scene) -> String {
    let captured: Vec<&str> = scene
        .captured
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    let mut words = vec![format!(
        "NOTHING IS CAPTURED: no packet of any rule has been seen on {} since the start, in neither direction",
        captured.join(", ")
    )];
    for (name, service) in &scene.rules {
        words.push(format!("\"{name}\": {}", of_rule(scene, service)));
    }
    if scene.rules_unnamed > 0 {
        words.push(format!("And {} rule(s) more", scene.rules_unnamed));
    }
    if scene.tagged > 0 {
        words.push(format!(
            "{} packet(s) had a VLAN tag and were left out: name the VLAN's own device with -i (`ip -d link show type vlan`)",
            scene.tagged
        ));
    }
    if scene.other_host > 0 {
        words.push(format!(
            "{} packet(s) to a service came in frames for another Ethernet address: on a port that traffic is mirrored to say so, \
             -i DEVICE:mirror",
            scene.other_host
        ));
    }
    words.push(
        "If nobody asks the service just now, all is well, and this is over with the first packet. Otherwise -x names the address and \
         port that clients' connections have on this host, behind a TLS terminator or a port mapping those behind it, and -i the \
         devices that they pass"
            .to_owned(),
    );
    words.join(". ")
}

fn of_rule(scene: &Scene, service: &Endpoint) -> String {
    let any = service.addr == Addr::UNSPECIFIED;
    let is_named = |here: IpAddr| any || here == IpAddr::from(service.addr);
    let (meant, others): (Vec<_>, Vec<_>) = scene
        .connections
        .iter()
        .filter(|connection| connection.here.port() == service.port)
        .partition(|connection| is_named(connection.here.ip()));
    if let Some(words) = meant
        .iter()
        .find_map(|connection| elsewhere(scene, connection))
    {
        return words;
    }
    if let (Some(other), true) = (others.first(), meant.is_empty()) {
        return format!(
            "{} is connected to {}, and -x names {service}: name that address, or none",
            other.there, other.here
        );
    }
    let addr = IpAddr::from(service.addr);
    let is_own = any || addr.is_loopback() || scene.own.is_empty() || scene.own.contains(&addr);
    if !is_own {
        return not_own(scene, addr);
    }
    listeners(scene, service, any)
}

/// A client is connected that does not come by a device of the run: where it comes by.
fn elsewhere(scene: &Scene, connection: &Connection) -> Option<String> {
    let device = match connection.route.as_ref()? {
        Route::Device { name, .. } => name.as_str(),
        Route::Local { .. } => LOOPBACK,
        Route::Unreachable { .. } => return None,
    };
    let is_captured = scene.captured.iter().any(|(name, _)| name == device);
    (!is_captured).then(|| {
        format!(
            "{} is connected to {}, and by the routing table its packets pass {device}, where nobody looks: name it, -i {device}",
            connection.there, connection.here
        )
    })
}

fn not_own(scene: &Scene, addr: IpAddr) -> String {
    let is_veth = |named: &&String| {
        let mut captured = scene.captured.iter();
        captured.any(|(name, kind)| is_named(named, name) && kind.as_deref() == Some("veth"))
    };
    let veth = scene.named.iter().find(is_veth);
    let container = match veth.and_then(|named| named.split(':').next()) {
        Some(name) => format!(
            "{name} is one end of a veth pair: if {addr} is a container at its other end, -i {name}:host is the host's end, or copy \
             inside of the container with --netns"
        ),
        None => "if it is a container's, copy inside of it with --netns, or name the host's end of its veth, -i VETH:host"
            .to_owned(),
    };
    let other = other_places(&scene.named);
    format!("{addr} is no address of this host; {container}; otherwise {other}")
}

fn listeners(scene: &Scene, service: &Endpoint, any: bool) -> String {
    let Listening::Known(listening) = &scene.listening else {
        return "who listens on this host is not known".to_owned();
    };
    let port = service.port;
    let here: BTreeSet<IpAddr> = listening
        .iter()
        .filter(|socket| socket.port() == port)
        .map(|socket| socket.ip().to_canonical())
        .collect();
    if here.is_empty() {
        let ports: BTreeSet<u16> = listening.iter().map(SocketAddr::port).collect();
        let ports: Vec<String> = ports.iter().map(u16::to_string).collect();
        let ports = match ports.len() {
            0 => "on no other either".to_owned(),
            1..=NAMED_MAX => format!("on {}", ports.join(", ")),
            more => format!(
                "on {} and {} more",
                ports[..NAMED_MAX].join(", "),
                more - NAMED_MAX
            ),
        };
        return format!(
            "nobody listens on port {port} of this host, but {ports}; the first port of a rule is the online server's. A service in \
             a container listens there (--netns)"
        );
    }
    let names: Vec<String> = here
        .iter()
        .take(NAMED_MAX)
        .map(ToString::to_string)
        .collect();
    let names = names.join(", ");
    let lo = scene.captured.iter().any(|(name, _)| name == LOOPBACK);
    if here.iter().all(IpAddr::is_loopback) && !lo {
        return format!(
            "port {port} is listened to on {names} alone, and what is said there passes lo and no other device: -i {LOOPBACK}"
        );
    }
    let addr = IpAddr::from(service.addr);
    let is_heard = any
        || here
            .iter()
            .any(|here| here.is_unspecified() || *here == addr);
    if !is_heard {
        return format!("port {port} is listened to on {names}, and -x names {addr}");
    }
    format!(
        "port {port} is listened to on {names}, and nobody is connected to it by another device"
    )
}

#[cfg(test)]
mod tests;
