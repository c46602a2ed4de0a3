//! Bad input: each says what was tried, why it failed and what to do, changes nothing, and exits with 2.

use std::time::Duration;

use lab::net::{ONLINE, TARGET};
use lab::{Host, Spec, Topology};
use tests::copying::check_nothing_left;
use tests::{PORT, Stand};

/// Runs `tcpcopy` with these arguments on the online host and checks that it refuses with all of these words.
fn refused(stand: &Stand, arguments: &[&str], words: &[&str]) {
    refused_on(
        stand,
        Host::Online,
        &stand.binaries.tcpcopy,
        arguments,
        words,
    );
}

fn refused_on(
    stand: &Stand,
    host: Host,
    program: &std::path::Path,
    arguments: &[&str],
    words: &[&str],
) {
    let spec = Spec::new("refused", program).args(arguments);
    let mut process = stand.lab.spawn(host, &spec).expect("it starts");
    let status = process.wait(Duration::from_secs(10));
    let said = format!("{:?}: {}", arguments, process.tail());
    let status = status.unwrap_or_else(|error| panic!("{error}: {said}"));
    assert_eq!(status.code(), Some(2), "{said}");
    for word in words {
        assert!(process.log().contains(word), "`{word}` is not in {said}");
    }
    check_nothing_left(stand);
}

fn rule() -> String {
    format!("{ONLINE}:{PORT}-{TARGET}:{PORT}")
}

fn stand() -> Option<Stand> {
    super::stand_with(Topology::Direct, &[])
}

#[test]
fn an_unknown_interface() {
    let Some(stand) = stand() else { return };
    for (interface, words) in [
        ("nosuch0", ["nosuch0", "there are"]),
        ("nosuch0:host", ["nosuch0", "there are"]),
        ("nosuch0:mirror", ["nosuch0", "there are"]),
        ("eth0:outside", [":outside", "IFACE:mirror"]),
        ("eth0:1", ["label of an address", "name eth0"]),
        ("eth0,eth0:host", ["eth0", "twice"]),
        ("lo:mirror", ["lo", "without a"]),
    ] {
        refused(&stand, &["-x", &rule(), "-i", interface], &words);
    }
    refused_on(
        &stand,
        Host::Assistant,
        &stand.binaries.intercept,
        &[
            "-i",
            "nosuch0",
            "-x",
            &format!("{TARGET}:{PORT}"),
            "--insecure",
        ],
        &["nosuch0"],
    );
}

#[test]
fn an_interface_that_is_down() {
    let Some(stand) = stand() else { return };
    let online = stand.lab.namespace(Host::Online);
    online
        .ip(&[
            "link", "add", "down0", "type", "veth", "peer", "name", "down1",
        ])
        .expect("veth");
    refused(&stand, &["-x", &rule(), "-i", "down0"], &["down0", "down"]);
}

#[test]
fn an_interface_without_ethernet() {
    let Some(stand) = stand() else { return };
    let online = stand.lab.namespace(Host::Online);
    let made = online.ip(&["link", "add", "wg0", "type", "wireguard"]);
    let interface = if made.is_ok() {
        "wg0"
    } else {
        online
            .ip(&["tuntap", "add", "dev", "tun0", "mode", "tun"])
            .expect("tun");
        "tun0"
    };
    online.set_link(interface, true).expect("up");
    refused(
        &stand,
        &["-x", &rule(), "-i", interface],
        &[interface, "Ethernet"],
    );
}

#[test]
fn rules_that_are_no_rules() {
    let Some(stand) = stand() else { return };
    refused(&stand, &["-x", "80"], &["80"]);
    refused(&stand, &["-x", "80-10.0.2.2:99999"], &["99999"]);
    refused(&stand, &["-x", "a:80-b:80"], &["a:80-b:80"]);
    let twice = format!("{},{}", rule(), rule());
    refused(&stand, &["-x", &twice], &["twice"]);
}

#[test]
fn a_target_that_is_the_online_server() {
    let Some(stand) = stand() else { return };
    refused(
        &stand,
        &["-x", &format!("{ONLINE}:{PORT}-{ONLINE}:{PORT}")],
        &["loop"],
    );
    refused(
        &stand,
        &["-x", &format!("{PORT}-{ONLINE}:{PORT}")],
        &["loop"],
    );
}

#[test]
fn a_target_without_a_route() {
    let Some(stand) = stand() else { return };
    refused(
        &stand,
        &["-x", &format!("{ONLINE}:{PORT}-203.0.113.9:{PORT}")],
        &["203.0.113.9", "route"],
    );
}

#[test]
fn pools_that_cannot_be() {
    let Some(stand) = stand() else { return };
    // -n without a pool, in assistant mode: the clients' own addresses carry one session each.
    refused(
        &stand,
        &[
            "-x",
            &rule(),
            "-n",
            "3",
            "-s",
            "10.0.2.3:36524",
            "--insecure",
        ],
        &["-n", "-c"],
    );
    // The kernel's ephemeral ports.
    refused(
        &stand,
        &["-x", &rule(), "-c", "10.0.2.1:33000-40000"],
        &["outgoing connections"],
    );
    refused(&stand, &["-x", &rule(), "-c", "nonsense"], &["nonsense"]);
    // The target would not take segments from its own address.
    refused(
        &stand,
        &["-x", &rule(), "-c", "10.0.2.0/24"],
        &["target", "10.0.2.2"],
    );
    // The target would answer whoever has these addresses.
    refused(
        &stand,
        &["-x", &rule(), "-c", "203.0.113.x"],
        &["did you forget -s INTERCEPT?", "--pool-is-routed"],
    );
    // Somebody listens in the pool.
    let listener = tests::stand::listen(&stand, Host::Online, 12_000);
    refused(
        &stand,
        &["-x", &rule(), "-c", "10.0.2.1:11990-12010"],
        &["12000"],
    );
    drop(listener);
    // 11 ports do not hold the sessions that are asked for.
    refused(
        &stand,
        &["-x", &rule(), "-c", "10.0.2.1:11990-12000", "-n", "100"],
        &["11"],
    );
}

#[test]
fn a_channel_beyond_loopback_without_a_key() {
    let Some(stand) = stand() else { return };
    refused(
        &stand,
        &["-x", &rule(), "-s", "10.0.2.3:36524"],
        &["--insecure"],
    );
    refused_on(
        &stand,
        Host::Assistant,
        &stand.binaries.intercept,
        &[
            "-i",
            "eth0",
            "-x",
            &format!("{TARGET}:{PORT}"),
            "-b",
            "10.0.2.3",
        ],
        &["--insecure"],
    );
}

#[test]
fn a_port_that_is_bound_already() {
    let Some(stand) = stand() else { return };
    let listener = tests::stand::listen(&stand, Host::Assistant, 36524);
    refused_on(
        &stand,
        Host::Assistant,
        &stand.binaries.intercept,
        &[
            "-i",
            "eth0",
            "-x",
            &format!("{TARGET}:{PORT}"),
            "-b",
            "10.0.2.3",
            "--insecure",
        ],
        &["36524"],
    );
    drop(listener);
}

#[test]
fn a_private_device_that_is_somebody_elses() {
    let Some(stand) = stand() else { return };
    let online = stand.lab.namespace(Host::Online);
    online
        .ip(&["link", "add", "tcpcopy0", "type", "bridge"])
        .expect("bridge");
    let spec =
        Spec::new("refused", &stand.binaries.tcpcopy).args(["-x", &rule(), "-i", "eth0,eth1"]);
    let mut process = stand.lab.spawn(Host::Online, &spec).expect("it starts");
    let status = process.wait(Duration::from_secs(10)).expect("it ends");
    assert_eq!(status.code(), Some(2), "{}", process.tail());
    assert!(process.log().contains("tcpcopy0"), "{}", process.tail());
    let links = stand
        .lab
        .run(
            Host::Online,
            "ip",
            &["-details", "link", "show", "tcpcopy0"],
        )
        .expect("still there");
    assert!(
        links.contains("bridge"),
        "somebody else's device was touched: {links}"
    );
}

#[test]
fn no_root() {
    let Some(stand) = super::stand_with(Topology::Direct, &["setpriv"]) else {
        return;
    };
    let program = stand.binaries.tcpcopy.display().to_string();
    // A folder that nobody else may enter would say something about the folder, not about us.
    let copy = stand.lab.folder().join("tcpcopy-for-all");
    std::fs::copy(&program, &copy).expect("copy");
    std::fs::set_permissions(
        stand.lab.folder(),
        std::os::unix::fs::PermissionsExt::from_mode(0o755),
    )
    .expect("mode");
    let copy = copy.display().to_string();
    let arguments = [
        "--reuid=65534",
        "--regid=65534",
        "--clear-groups",
        &copy,
        "-x",
        &rule(),
        "-i",
        "eth0",
    ];
    refused_on(
        &stand,
        Host::Online,
        std::path::Path::new("setpriv"),
        &arguments,
        &["root"],
    );
}
