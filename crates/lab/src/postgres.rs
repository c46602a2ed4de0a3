//! PostgreSQL in a namespace: a cluster of its own, made for the test, whose users are asked for their passwords each in a way of its own.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::error::{Result, Tried};
use crate::net::{Host, Lab};
use crate::nginx::wait_listening;
use crate::process::{Process, Spec};
use crate::system;

/// Where Debian has the programs of each version.
const VERSIONS: &str = "/usr/lib/postgresql";
/// Whom the server runs as: it refuses root.
const RUNS_AS: [&str; 4] = [
    "--reuid=postgres",
    "--regid=postgres",
    "--clear-groups",
    "--",
];

/// A running server.
#[derive(Debug)]
pub struct Postgres {
    process: Process,
    host: Host,
    listen: SocketAddr,
}

impl Postgres {
    /// The folder of the server's programs: of the newest version that is installed.
    #[must_use]
    pub fn programs() -> Option<PathBuf> {
        let versions = std::fs::read_dir(VERSIONS).ok()?.flatten();
        let programs = versions.map(|version| version.path().join("bin"));
        programs
            .filter(|programs| programs.join("initdb").exists())
            .max()
    }

    /// Makes a cluster and starts its server on a host. `ways` are users, and how each is asked for its password (`md5`, as in
    /// `pg_hba.conf`); all others are trusted. `postgres` is the superuser.
    ///
    /// # Errors
    ///
    /// Where it is not installed, or does not start within 5 s.
    pub fn start(
        lab: &Lab,
        host: Host,
        name: &str,
        listen: SocketAddr,
        ways: &[(&str, &str)],
    ) -> Result<Self> {
        let programs = Self::programs().unwrap_or_default();
        let folder = lab.folder().join(name).display().to_string();
        let data = make(&programs, &folder, ways)?;
        let server = programs.join("postgres").display().to_string();
        let (address, port) = (listen.ip().to_string(), listen.port().to_string());
        let options = [
            "-D",
            &data,
            "-h",
            &address,
            "-p",
            &port,
            "-k",
            &folder,
            "-F",
            "-c",
            "max_prepared_transactions=4",
        ];
        let spec = Spec::new(name, "setpriv")
            .args(RUNS_AS)
            .arg(server)
            .args(options)
            .within("/");
        let mut process = lab.spawn(host, &spec)?;
        wait_listening(lab, host, listen, &mut process)?;
        let server = Self {
            process,
            host,
            listen,
        };
        // It listens before it takes anybody.
        crate::interrupt::wait_until(
            "PostgreSQL to take a connection",
            Duration::from_secs(5),
            || Ok(server.ask(lab, "SELECT 1").is_ok()),
        )?;
        Ok(server)
    }

    /// Asks the server something as its superuser, and returns its rows, columns parted by `|`.
    ///
    /// # Errors
    ///
    /// Where `psql` fails, or the statement.
    pub fn ask(&self, lab: &Lab, statement: &str) -> Result<String> {
        let (address, port) = (self.listen.ip().to_string(), self.listen.port().to_string());
        let arguments = [
            "-X",
            "-q",
            "-A",
            "-t",
            "-v",
            "ON_ERROR_STOP=1",
            "-h",
            &address,
            "-p",
            &port,
            "-U",
            "postgres",
            "-c",
            statement,
            "postgres",
        ];
        let said = lab.run(self.host, "psql", &arguments)?;
        Ok(said.trim().to_owned())
    }

    /// The process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Ends the server.
    ///
    /// # Errors
    ///
    /// Where it does not end within 5 s.
    pub fn finish(mut self) -> Result<()> {
        self.process
            .stop(Signal::SIGQUIT, Duration::from_secs(5))
            .map(drop)
    }
}

/// Makes a cluster in a new folder, and says where its data are.
fn make(programs: &Path, folder: &str, ways: &[(&str, &str)]) -> Result<String> {
    std::fs::create_dir(folder).tried(|| format!("create {folder}"))?;
    let data = format!("{folder}/data");
    system::run("chown", &["postgres:", folder])?;
    let initdb = programs.join("initdb").display().to_string();
    let made = [
        &initdb,
        "-D",
        &data,
        "-U",
        "postgres",
        "-A",
        "trust",
        "-E",
        "UTF8",
        "--locale=C",
        "--no-sync",
    ];
    system::run("setpriv", &[&RUNS_AS[..], &made].concat())?;
    let mut hba = String::new();
    for (user, way) in ways {
        hba.push_str(&format!("host all {user} all {way}\n"));
    }
    hba.push_str("local all all trust\nhost all all all trust\n");
    let file = format!("{data}/pg_hba.conf");
    std::fs::write(&file, hba).tried(|| format!("write {file}"))?;
    Ok(data)
}
