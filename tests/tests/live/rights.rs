//! Rights and limits of the process: enough for a run, named where they are not, and not everybody's.

use std::fs;
use std::path::Path;
use std::time::Duration;

use lab::{Host, Spec, Topology};
use nix::sys::signal::Signal;
use tests::copying::check_nothing_left;

use super::manners::{END_WITHIN, start, summary_file, wait_copying};

/// Takes the name of the claim, and keeps it.
const SQUAT: &str = r#"
    socket(S, PF_UNIX, SOCK_STREAM, 0) or die;
    bind(S, pack("S a*", AF_UNIX, "\0tcpcopy/private-device")) or die;
    listen(S, 128) or die;
    syswrite(STDOUT, "squatting\n");
    sleep(120);
"#;

/// Any local user can take the name by which one tcpcopy knows of another. It must not keep us from starting, nor have us end an
/// innocent process.
#[test]
fn nobody_can_sit_on_the_claim() {
    let Some(stand) = super::stand_with(Topology::Direct, &["setpriv", "perl"]) else {
        return;
    };
    let spec = Spec::new("squatter", "setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .args(["perl", "-MSocket", "-e", SQUAT]);
    let mut squatter = stand.lab.spawn(Host::Online, &spec).expect("setpriv");
    squatter
        .wait_for("squatting", Duration::from_secs(5))
        .expect("it squats");
    // Filters stay when their process goes, so that they do not say that one runs; tcx links would.
    let mut process = start(&stand, r#"exec "$@""#, &["--hook", "clsact"]);
    wait_copying(&mut process, &summary_file(&stand));
    assert!(process.log().contains("uid 65534"), "{}", process.log());
    // A second one still sees the first, squatter or not, and takes nothing away from it.
    let pid = process.pid();
    let mut options = stand.options();
    options.name = "second".to_owned();
    let second = Spec::new("second", &stand.binaries.tcpcopy).args([
        "-x",
        &options.rules,
        "-i",
        "eth0,eth1",
    ]);
    let mut second = stand.lab.spawn(Host::Online, &second).expect("tcpcopy");
    let ended = second.wait(Duration::from_secs(15)).expect("it ends");
    assert_eq!(ended.code(), Some(2), "{}", second.log());
    let said = second.log();
    assert!(said.contains("another tcpcopy"), "{said}");
    assert!(!said.contains(&format!("pid {}", squatter.pid())), "{said}");
    // Also once the squatter is gone and the name is free.
    squatter
        .stop(Signal::SIGKILL, Duration::from_secs(5))
        .expect("it ends");
    let third =
        Spec::new("third", &stand.binaries.tcpcopy).args(["-x", &options.rules, "-i", "eth0,eth1"]);
    let mut third = stand.lab.spawn(Host::Online, &third).expect("tcpcopy");
    let ended = third.wait(Duration::from_secs(15)).expect("it ends");
    assert_eq!(ended.code(), Some(2), "{}", third.log());
    process.expect_alive().expect("it goes on");
    assert_eq!(process.pid(), pid);
    let ended = process.stop(Signal::SIGINT, END_WITHIN).expect("it ends");
    assert_eq!(ended.code(), Some(0), "{}", process.log());
    check_nothing_left(&stand);
}

/// Small limits are raised where that is allowed, else named with the number that is needed.
#[test]
fn small_limits() {
    let Some(stand) = super::stand_with(Topology::Direct, &["setpriv"]) else {
        return;
    };
    let mut process = start(&stand, r#"ulimit -S -n 16; exec "$@""#, &[]);
    wait_copying(&mut process, &summary_file(&stand));
    let ended = process.stop(Signal::SIGINT, END_WITHIN).expect("it ends");
    assert_eq!(ended.code(), Some(0), "{}", process.log());
    // Without the right to raise them.
    let bound = "setpriv --bounding-set=-sys_resource --inh-caps=-sys_resource";
    let unlocked = "--bounding-set=-sys_resource,-ipc_lock --inh-caps=-sys_resource,-ipc_lock";
    for (script, words) in [
        (format!(r#"ulimit -n 16; exec {bound} "$@""#), "ulimit -n "),
        (
            format!(r#"ulimit -l 64; exec setpriv {unlocked} "$@""#),
            "ulimit -l ",
        ),
    ] {
        let mut process = start(&stand, &script, &[]);
        let ended = process.wait(Duration::from_secs(10)).expect("it ends");
        assert_eq!(ended.code(), Some(2), "{script}: {}", process.log());
        assert!(process.log().contains(words), "{}", process.log());
        check_nothing_left(&stand);
    }
    // The doctor raises what a run raises, and names what a run refuses.
    for (script, is_short) in [
        (r#"ulimit -S -n 16; exec "$@""#.to_owned(), false),
        (format!(r#"ulimit -n 16; exec {bound} "$@""#), true),
    ] {
        let rules = stand.options().rules;
        let spec = Spec::new("doctor", "sh").args(["-c", &script, "sh"]);
        let tcpcopy = stand.binaries.tcpcopy.display().to_string();
        let spec = spec.args([&tcpcopy, "doctor", "-x", &rules, "-i", "eth0,eth1"]);
        let mut process = stand.lab.spawn(Host::Online, &spec).expect("sh");
        let ended = process.wait(Duration::from_secs(20)).expect("it ends");
        let said = process.output();
        assert_eq!(said.contains("[limit-short]"), is_short, "{said}");
        assert_eq!(said.contains("`ulimit -n "), is_short, "{said}");
        assert_eq!(ended.code() == Some(2), is_short, "{said}");
    }
}

/// A container without `--privileged` may not write to /proc/sys, and the private device is silent there too.
#[test]
fn nothing_need_be_written_to_proc_sys() {
    let Some(stand) = super::stand_with(Topology::Direct, &["mount"]) else {
        return;
    };
    let online = stand.lab.namespace(Host::Online);
    online.set_ipv6(true).expect("IPv6");
    // `ip netns exec`, by which it is started, has mounts of its own.
    let script =
        r#"mount --bind /proc/sys /proc/sys && mount -o remount,bind,ro /proc/sys && exec "$@""#;
    let mut process = start(&stand, script, &[]);
    wait_copying(&mut process, &summary_file(&stand));
    for end in ["tcpcopy0", "tcpcopy1"] {
        let shown = stand
            .lab
            .run(Host::Online, "ip", &["-6", "address", "show", "dev", end])
            .expect("ip");
        assert!(!shown.contains("inet6"), "{end}: {shown}");
    }
    let ended = process.stop(Signal::SIGINT, END_WITHIN).expect("it ends");
    assert_eq!(ended.code(), Some(0), "{}", process.log());
    check_nothing_left(&stand);
}

/// How long a copy of the binary may take, with all that it says of itself to debuggers, where the disk has other work.
const INSTALLED_WITHIN: Duration = Duration::from_secs(60);

/// The advice for missing capabilities is enough for a run, and a binary that gives them to everybody is refused.
#[test]
fn capabilities_are_for_a_few() {
    let needs = ["setpriv", "setcap", "install"];
    let Some(stand) = super::stand_with(Topology::Direct, &needs) else {
        return;
    };
    let folder = stand.lab.folder();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o777);
    fs::set_permissions(folder, mode).expect("mode");
    let binary = folder.join("tcpcopy-with-powers").display().to_string();
    let install = r#"install -m 0755 "$1" BINARY && shift &&"#.replace("BINARY", &binary);
    let nobody = "setpriv --reuid=65534 --regid=65534 --clear-groups";
    let all = "+net_admin,+net_raw,+bpf,+perfmon";
    // As the advice says, but for systemd.
    let script = format!(
        r#"{install} ulimit -l unlimited; exec {nobody} --inh-caps={all} --ambient-caps={all} {binary} "$@""#
    );
    // With the janitor, which is another process with the same rights.
    let mut process = start(&stand, &script, &["--hook", "clsact"]);
    wait_copying(&mut process, &summary_file(&stand));
    let ended = process.stop(Signal::SIGINT, END_WITHIN).expect("it ends");
    assert_eq!(ended.code(), Some(0), "{}", process.log());
    let setcap = format!("setcap cap_net_admin,cap_net_raw,cap_bpf,cap_perfmon+ep {binary}");
    for (script, words) in [
        (
            format!(r#"{install} exec {nobody} {binary} "$@""#),
            "AmbientCapabilities='CAP_NET_ADMIN CAP_NET_RAW CAP_BPF CAP_PERFMON'",
        ),
        (
            format!(r#"{install} {setcap} && exec {binary} "$@""#),
            "chmod 0750",
        ),
    ] {
        let mut process = start(&stand, &script, &[]);
        let ended = process.wait(INSTALLED_WITHIN).expect("it ends");
        assert_eq!(ended.code(), Some(2), "{script}: {}", process.log());
        assert!(process.log().contains(words), "{}", process.log());
        check_nothing_left(&stand);
    }
    let script = format!(r#"{install} chmod 0750 {binary} && {setcap} && exec {binary} "$@""#);
    let mut process = start(&stand, &script, &[]);
    wait_copying(&mut process, &summary_file(&stand));
    let ended = process.stop(Signal::SIGINT, END_WITHIN).expect("it ends");
    assert_eq!(ended.code(), Some(0), "{}", process.log());
}

/// systemd understands the units, every line of them.
#[test]
fn units_are_understood() {
    let Some(stand) = super::stand_with(Topology::Direct, &["systemd-analyze"]) else {
        return;
    };
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    let units = root.expect("a folder above").join("deploy/systemd");
    for name in ["tcpcopy", "intercept"] {
        let unit = fs::read_to_string(units.join(format!("{name}.service"))).expect("a unit");
        for line in [
            "LimitCORE=0",
            "MemoryMax=",
            "PrivateDevices=yes",
            "ProtectProc=",
        ] {
            assert!(unit.contains(line), "{name}: {line}");
        }
        // A copy that begins at boot would send writes to a target that nobody prepared.
        let mut sections = unit.lines().map(str::trim);
        assert!(
            sections.all(|line| line != "[Install]"),
            "{name} can be enabled"
        );
        // It wants the program to be where the unit says.
        let here = format!("ExecStart={}", stand.binaries.tcpcopy.display());
        let there = format!("ExecStart=/usr/local/sbin/{name}");
        assert!(unit.contains(&there));
        let file = stand.lab.folder().join(format!("{name}.service"));
        fs::write(&file, unit.replace(&there, &here)).expect("a file");
        let file = file.display().to_string();
        let said = lab::system::output("systemd-analyze", &["verify", &file]).expect("it runs");
        let words = String::from_utf8_lossy(&said.stderr).into_owned();
        assert!(said.status.success() && words.is_empty(), "{words}");
        // In tenths, of ten.
        let threshold = ["security", "--offline=true", "--threshold=30", &file];
        let said = lab::system::output("systemd-analyze", &threshold).expect("it runs");
        let words = String::from_utf8_lossy(&said.stdout).into_owned();
        assert!(said.status.success(), "{words}");
    }
}

/// For the metrics.
const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// The capabilities that the unit leaves, as setpriv takes them.
fn rights_of_unit() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    let root = root.expect("a folder above");
    let unit = fs::read_to_string(root.join("deploy/systemd/tcpcopy.service")).expect("a unit");
    let mut lines = unit.lines();
    let set = lines.find_map(|line| line.strip_prefix("CapabilityBoundingSet="));
    let set = set.expect("a set").to_lowercase();
    set.replace("cap_", "+").replace(' ', ",")
}

/// A page that is shown at a socket, and in the last line the status.
fn ask(socket: &Path, page: &str, header: &str) -> String {
    let place = socket.display().to_string();
    let page = format!("http://localhost{page}");
    let asked = [
        "-s",
        "-w",
        "\n%{http_code}",
        "--unix-socket",
        &place,
        "-H",
        header,
        &page,
    ];
    let said = lab::system::output("curl", &asked).expect("curl");
    String::from_utf8_lossy(&said.stdout).into_owned()
}

/// A run works with what the unit leaves of root's rights.
#[test]
fn a_units_rights_are_enough() {
    let Some(stand) = super::stand_with(Topology::Direct, &["setpriv", "curl"]) else {
        return;
    };
    let set = rights_of_unit();
    let socket = stand.lab.folder().join("metrics.sock");
    let place = format!("unix:{}", socket.display());
    let script = format!(
        r#"umask 0077; exec setpriv --no-new-privs --bounding-set=-all,{set} --inh-caps=-all "$@""#
    );
    let file = stand.lab.folder().join("token");
    fs::write(&file, TOKEN).expect("a file");
    let mode = |mode| std::os::unix::fs::PermissionsExt::from_mode(mode);
    fs::set_permissions(&file, mode(0o644)).expect("mode");
    let token = file.display().to_string();
    let more = [
        "--hook",
        "clsact",
        "--listen",
        &place,
        "--metrics-token",
        &token,
    ];
    let mut refused = start(&stand, &script, &more);
    let ended = refused.wait(Duration::from_secs(10)).expect("it ends");
    assert_eq!(ended.code(), Some(2), "{}", refused.log());
    assert!(refused.log().contains("chmod 600"), "{}", refused.log());
    fs::set_permissions(&file, mode(0o600)).expect("mode");
    let mut process = start(&stand, &script, &more);
    wait_copying(&mut process, &summary_file(&stand));
    let permissions = fs::metadata(&socket).expect("a socket").permissions();
    let mode = std::os::unix::fs::PermissionsExt::mode(&permissions);
    assert_eq!(mode & 0o777, 0o660);
    let ask = |page: &str, header: &str| ask(&socket, page, header);
    assert_eq!(ask("/ready", "X: y"), "ready\n\n200");
    assert!(ask("/metrics", "X: y").ends_with("\n401"));
    let bearer = format!("Authorization: Bearer {TOKEN}");
    let shown = ask("/metrics", &bearer);
    assert!(
        shown.contains("tcpcopy_ready 1") && shown.ends_with("\n200"),
        "{shown}"
    );
    let ended = process.stop(Signal::SIGINT, END_WITHIN).expect("it ends");
    assert_eq!(ended.code(), Some(0), "{}", process.log());
    assert!(!socket.exists());
    assert!(!process.log().contains("rights-kept"), "{}", process.log());
    check_nothing_left(&stand);
}
