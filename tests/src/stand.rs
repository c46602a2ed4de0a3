//! The lab of one test, with the binaries under test.

use std::io::Write;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use lab::copier::{Binaries, Options};
use lab::net::{ONLINE, TARGET};
use lab::nginx::{Config, Nginx};
use lab::{Host, Lab, Prefix, Topology, system};

use crate::PORT;

/// Everything that one live test needs.
#[derive(Debug)]
pub struct Stand {
    /// The network; it goes when the test ends.
    pub lab: Lab,
    /// `tcpcopy` and `intercept`.
    pub binaries: Binaries,
    part: PathBuf,
}

impl Stand {
    /// Sets a lab up, or says why not and returns `None`. `part` is the program `lab-part`, `needs` the programs that
    /// the test starts.
    ///
    /// # Panics
    ///
    /// Where the lab or the binaries cannot be made although everything for them is there.
    #[must_use]
    pub fn up(topology: Topology, part: &str, needs: &[&str]) -> Option<Self> {
        let lab = lab(topology, needs)?;
        let binaries = match binaries() {
            Ok(binaries) => binaries.clone(),
            Err(why) => return skip(why),
        };
        Some(Self {
            lab,
            binaries,
            part: PathBuf::from(part),
        })
    }

    /// The program `lab-part`.
    #[must_use]
    pub fn part(&self) -> &Path {
        &self.part
    }

    /// nginx with an access log on a host, at port [`PORT`] of its first address.
    ///
    /// # Panics
    ///
    /// Where it does not start.
    #[must_use]
    pub fn nginx(&self, host: Host) -> Nginx {
        self.nginx_with(host, |_| {})
    }

    /// The same, configured otherwise.
    ///
    /// # Panics
    ///
    /// Where it does not start.
    #[must_use]
    pub fn nginx_with(&self, host: Host, change: impl FnOnce(&mut Config)) -> Nginx {
        let address = host.address().expect("a host with an address");
        let mut config = Config::new(&format!("nginx-{}", host.name()), (address, PORT).into());
        change(&mut config);
        Nginx::start(&self.lab, host, &config).unwrap_or_else(|error| panic!("nginx: {error}"))
    }

    /// A copy from the online server to the target, both at [`PORT`], in the mode of the lab's topology.
    #[must_use]
    pub fn options(&self) -> Options {
        Options::new(
            self.lab.topology(),
            &format!("{ONLINE}:{PORT}"),
            &format!("{TARGET}:{PORT}"),
        )
    }
}

/// Somebody who listens on a port of a host.
///
/// # Panics
///
/// Where the port cannot be bound.
#[must_use]
pub fn listen(stand: &Stand, host: Host, port: u16) -> TcpListener {
    let namespace = stand.lab.namespace(host);
    namespace
        .enter(|| TcpListener::bind(("0.0.0.0", port)))
        .expect("the namespace")
        .expect("a free port")
}

/// Set where a test that cannot run is a failure: in continuous integration.
const NO_SKIP: &str = "TCPCOPY_NO_SKIP";

/// Says why a test does not run.
///
/// # Panics
///
/// Where skipping is a failure.
#[must_use]
pub fn skip<T>(why: &str) -> Option<T> {
    assert!(std::env::var_os(NO_SKIP).is_none(), "{why}");
    // Not eprintln: the test harness would swallow it.
    let _ = writeln!(std::io::stderr(), "SKIP: {why}");
    None
}

/// A lab without our binaries, for what is tried at other servers; or the reason why there is none is said.
///
/// # Panics
///
/// Where it cannot be made although everything for it is there.
#[must_use]
pub fn lab(topology: Topology, needs: &[&str]) -> Option<Lab> {
    if !system::is_root() {
        return skip("live tests need root");
    }
    let missing = system::missing(&[needs, &["ip", "ethtool", "sysctl", "taskset"]].concat());
    if !missing.is_empty() {
        return skip(&format!(
            "{} not installed; `cargo xtask setup` does it",
            missing.join(", ")
        ));
    }
    // A test that is interrupted should take its lab down: the waits of the lab then fail.
    lab::interrupt::install().expect("signal handlers");
    // A test may have several labs at the same time.
    static LABS: AtomicUsize = AtomicUsize::new(0);
    let word = format!("live{}", LABS.fetch_add(1, Ordering::Relaxed));
    let prefix = Prefix::of_this_process(&word).expect("a valid name");
    let lab = Lab::up(prefix, topology);
    Some(lab.unwrap_or_else(|error| panic!("the lab does not stand: {error}")))
}

/// The binaries: those of `TCPCOPY_BINARIES` (a folder), or freshly built ones.
fn binaries() -> Result<&'static Binaries, &'static str> {
    static BINARIES: OnceLock<Result<Binaries, String>> = OnceLock::new();
    let found = BINARIES.get_or_init(|| {
        if let Some(folder) = std::env::var_os("TCPCOPY_BINARIES") {
            let folder = PathBuf::from(folder);
            return Binaries::in_folder(&folder).ok_or_else(|| {
                format!(
                    "no tcpcopy and intercept in TCPCOPY_BINARIES={}",
                    folder.display()
                )
            });
        }
        build()
    });
    found.as_ref().map_err(String::as_str)
}

/// Builds the binaries: a test of yesterday's would prove nothing.
fn build() -> Result<Binaries, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap_or(Path::new("."));
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command
        .current_dir(root)
        .args(["build", "--quiet", "--release"]);
    command.args([
        "--package",
        "tcpcopy-userspace",
        "--package",
        "intercept-userspace",
    ]);
    let status = command
        .status()
        .map_err(|error| format!("cannot run cargo: {error}"))?;
    assert!(status.success(), "tcpcopy or intercept does not build");
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let release = target.join("release");
    Binaries::in_folder(&release)
        .ok_or_else(|| format!("no tcpcopy and intercept in {}", release.display()))
}
