//! System packages, by apt.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::Result;

use super::Purpose;
use super::policy::NoStarts;
use crate::step;

/// A package that is known by a program of its own: whoever provides that will do.
struct Tool {
    program: &'static str,
    package: &'static str,
}

/// What the build needs beyond Rust.
const BUILD_TOOLS: &[Tool] = &[
    Tool {
        program: "clang",
        package: "clang",
    },
    Tool {
        program: "llvm-config",
        package: "llvm",
    },
    Tool {
        program: "gcc",
        package: "gcc",
    },
    Tool {
        program: "objcopy",
        package: "binutils",
    },
    Tool {
        program: "m4",
        package: "m4",
    },
    Tool {
        program: "make",
        package: "make",
    },
    Tool {
        program: "pkg-config",
        package: "pkg-config",
    },
];

/// Libraries that the build needs with their headers.
const BUILD_LIBRARIES: &[&str] = &["libc6-dev", "libclang-dev", "libelf-dev", "zlib1g-dev"];

/// What the lab needs, and so the demo.
const LAB_TOOLS: &[Tool] = &[
    Tool {
        program: "ip",
        package: "iproute2",
    },
    Tool {
        program: "sysctl",
        package: "procps",
    },
    Tool {
        program: "taskset",
        package: "util-linux",
    },
];

/// What tests and benchmarks need beyond that.
const TEST_TOOLS: &[Tool] = &[
    // Counts the engine's instructions.
    Tool {
        program: "valgrind",
        package: "valgrind",
    },
    Tool {
        program: "iptables",
        package: "iptables",
    },
    Tool {
        program: "nft",
        package: "nftables",
    },
    Tool {
        program: "ethtool",
        package: "ethtool",
    },
    Tool {
        program: "bpftool",
        package: "bpftool",
    },
    Tool {
        program: "nginx",
        package: "nginx-light",
    },
    Tool {
        program: "haproxy",
        package: "haproxy",
    },
    Tool {
        program: "redis-server",
        package: "redis-server",
    },
    Tool {
        program: "redis-cli",
        package: "redis-tools",
    },
    Tool {
        program: "pg_ctlcluster",
        package: "postgresql",
    },
    Tool {
        program: "pgbench",
        package: "postgresql-contrib",
    },
    Tool {
        program: "mariadbd",
        package: "mariadb-server",
    },
    Tool {
        program: "mosquitto",
        package: "mosquitto",
    },
    Tool {
        program: "mosquitto_pub",
        package: "mosquitto-clients",
    },
    Tool {
        program: "wrk",
        package: "wrk",
    },
    Tool {
        program: "tcpdump",
        package: "tcpdump",
    },
    Tool {
        program: "tshark",
        package: "tshark",
    },
    Tool {
        program: "editcap",
        package: "wireshark-common",
    },
    Tool {
        program: "zstd",
        package: "zstd",
    },
    Tool {
        program: "curl",
        package: "curl",
    },
    Tool {
        program: "h2load",
        package: "nghttp2-client",
    },
    Tool {
        program: "nghttpd",
        package: "nghttp2-server",
    },
    Tool {
        program: "memcached",
        package: "memcached",
    },
    Tool {
        program: "mptcpize",
        package: "mptcpize",
    },
    Tool {
        program: "wg",
        package: "wireguard-tools",
    },
    Tool {
        program: "prometheus",
        package: "prometheus",
    },
    Tool {
        program: "setpriv",
        package: "util-linux",
    },
    Tool {
        program: "setcap",
        package: "libcap2-bin",
    },
    Tool {
        program: "mkfs.ext4",
        package: "e2fsprogs",
    },
    Tool {
        program: "perl",
        package: "perl-base",
    },
    // For `cargo xtask dist --check`.
    Tool {
        program: "debootstrap",
        package: "debootstrap",
    },
    Tool {
        program: "chromium",
        package: "chromium",
    },
    Tool {
        program: "chromedriver",
        package: "chromium-driver",
    },
    Tool {
        program: "pdftotext",
        package: "poppler-utils",
    },
];

/// What tests under other kernels need: an emulated machine and its first file system.
const MACHINE_TOOLS: &[Tool] = &[
    Tool {
        program: "qemu-system-x86_64",
        package: "qemu-system-x86",
    },
    Tool {
        program: "busybox",
        package: "busybox-static",
    },
    Tool {
        program: "cpio",
        package: "cpio",
    },
    Tool {
        program: "depmod",
        package: "kmod",
    },
    Tool {
        program: "xz",
        package: "xz-utils",
    },
];

/// A compiler with `core` for the BPF target.
const COMPILER: &[&str] = &["rustc-web", "libstd-rust-web-dev-bpf"];
/// What bpf-linker is built with.
pub(super) const LLVM: &[&str] = &[
    "llvm-22-dev",
    "libpolly-22-dev",
    "libzstd-dev",
    "zlib1g-dev",
    "g++",
];

/// Services that come with a package and would be started on this host at its next start; or at once, where its administrator's policy lets them.
const SERVICES: &[(&str, &str)] = &[
    ("nginx-light", "nginx"),
    ("redis-server", "redis-server"),
    ("mosquitto", "mosquitto"),
    ("memcached", "memcached"),
    ("prometheus", "prometheus"),
];

/// The tools that something needs.
fn tools(purpose: Purpose) -> impl Iterator<Item = &'static Tool> {
    let more: &[&[Tool]] = match purpose {
        Purpose::Build => &[],
        Purpose::Demo => &[LAB_TOOLS],
        Purpose::Tests => &[LAB_TOOLS, TEST_TOOLS, MACHINE_TOOLS],
    };
    BUILD_TOOLS.iter().chain(more.iter().copied().flatten())
}

/// The packages that are missing, by their names on Debian.
pub(super) fn missing(
    purpose: Purpose,
    needs_compiler: bool,
    needs_linker: bool,
) -> Vec<&'static str> {
    let mut missing: Vec<_> = tools(purpose)
        .filter(|tool| step::find(tool.program).is_none())
        .map(|tool| tool.package)
        .collect();
    let mut libraries = BUILD_LIBRARIES.to_vec();
    if needs_compiler {
        libraries.extend(COMPILER);
    }
    if needs_linker {
        libraries.extend(LLVM);
    }
    missing.extend(not_installed(&libraries));
    missing.dedup();
    missing
}

/// Of these packages those that dpkg does not know as installed; all of them where there is no dpkg, unless
/// pkg-config finds what the libraries are needed for.
fn not_installed(packages: &[&'static str]) -> Vec<&'static str> {
    if step::find("dpkg-query").is_none() {
        let found =
            step::output(Command::new("pkg-config").args(["--exists", "libelf", "zlib"])).is_some();
        let left = |package: &&&str| !found || !BUILD_LIBRARIES.contains(package);
        return packages.iter().filter(left).copied().collect();
    }
    // dpkg-query fails where it does not know one of them, and still lists the others.
    let mut query = Command::new("dpkg-query");
    query
        .args(["--show", "--showformat", "${Package} ${db:Status-Status}\n"])
        .args(packages);
    let listed = query
        .output()
        .map(|output| output.stdout)
        .unwrap_or_default();
    let listed = String::from_utf8_lossy(&listed).into_owned();
    let installed = |package: &&&str| {
        listed
            .lines()
            .any(|line| line == format!("{package} installed"))
    };
    packages
        .iter()
        .filter(|package| !installed(package))
        .copied()
        .collect()
}

/// Whether packages can be installed here: by apt, as root.
pub(super) fn can_install() -> bool {
    let root = step::output(Command::new("id").arg("-u")).is_some_and(|id| id.trim() == "0");
    root && step::find("apt-get").is_some()
}

/// Installs packages, and leaves no service of theirs running.
pub(super) fn install(packages: &[&str]) -> Result<()> {
    step::run("apt-get update", &mut apt(&["update"]))?;
    if let Some(cost) = cost(packages) {
        step::say(&cost);
    }
    let mut command = apt(&["install", "--yes", "--no-install-recommends"]);
    command.args(packages);
    // Ctrl-C ends apt, and then us, in order: what forbids starts must not be left.
    ::lab::interrupt::install()?;
    let no_starts = NoStarts::forbid()?;
    step::run(
        &format!("apt-get install {}", packages.join(" ")),
        &mut command,
    )?;
    drop(no_starts);
    for (package, service) in SERVICES {
        if packages.contains(package) {
            stop(service)?;
        }
    }
    Ok(())
}

/// What apt says that these packages take, with what they need in turn: the words to download and the words on disk.
fn cost(packages: &[&str]) -> Option<String> {
    let mut ask = apt(&["install", "--assume-no", "--no-install-recommends"]);
    ask.args(packages).env("LC_ALL", "C");
    // It fails, since the answer is no.
    let said = ask.output().ok()?.stdout;
    cost_of(&String::from_utf8_lossy(&said))
}

fn cost_of(said: &str) -> Option<String> {
    let line = |start: &str| said.lines().find(|line| line.starts_with(start));
    let (download, disk) = (line("Need to get")?, line("After this operation")?);
    Some(format!("{download} {disk}"))
}

fn apt(arguments: &[&str]) -> Command {
    let mut command = Command::new("apt-get");
    command
        .arg("--quiet")
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive");
    command
}

/// Disables a service that came with a package just now, and stops it where it runs all the same: the lab starts its own.
fn stop(service: &str) -> Result<()> {
    if Path::new("/run/systemd/system").is_dir() {
        let mut command = Command::new("systemctl");
        return step::run(
            &format!("disabling {service}, which came with its package"),
            command.args(["disable", "--now", service]),
        );
    }
    if is_running(service) {
        let mut command = Command::new("service");
        step::run(
            &format!("stopping {service}, which the package started"),
            command.args([service, "stop"]),
        )?;
    }
    Ok(())
}

/// Whether a process of this name runs.
fn is_running(name: &str) -> bool {
    let Ok(processes) = fs::read_dir("/proc") else {
        return false;
    };
    processes.flatten().any(|process| {
        fs::read_to_string(process.path().join("comm")).is_ok_and(|comm| comm.trim() == name)
    })
}

#[cfg(test)]
mod tests {
    use super::{Purpose, cost_of, tools};

    /// Whoever wants to see a demo installs no browser, no emulated machine and no database for it.
    #[test]
    fn a_demo_needs_few_packages() {
        let of = |purpose| {
            let packages = tools(purpose).map(|tool| tool.package);
            packages.collect::<Vec<_>>()
        };
        let (demo, tests) = (of(Purpose::Demo), of(Purpose::Tests));
        let build = of(Purpose::Build);
        assert!(build.iter().all(|package| demo.contains(package)));
        assert!(!build.contains(&"iproute2"));
        assert!(demo.iter().all(|package| tests.contains(package)));
        for package in ["chromium", "qemu-system-x86", "redis-server", "valgrind"] {
            assert!(
                tests.contains(&package) && !demo.contains(&package),
                "{package}"
            );
        }
        for package in ["clang", "gcc", "iproute2", "util-linux"] {
            assert!(demo.contains(&package), "{package}");
        }
    }

    #[test]
    fn what_apt_says_of_the_cost_is_found() {
        let said = "Reading package lists...\n0 upgraded, 7 newly installed\nNeed to get 445 MB of archives.\n\
            After this operation, 2305 MB of additional disk space will be used.\nDo you want to continue? [Y/n] N\nAbort.\n";
        assert_eq!(
            cost_of(said).as_deref(),
            Some(
                "Need to get 445 MB of archives. After this operation, 2305 MB of additional disk space will be used."
            )
        );
        assert_eq!(cost_of("E: Unable to locate package x"), None);
    }
}
