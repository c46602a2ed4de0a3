//! Lays out what packages install, as it stands in a system's root: binaries, units, settings, manual, completions, papers.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::release::{Release, copy, files, fresh, name_of, read, write};
use super::{BINARIES, papers};
use crate::{step, workspace};

/// Where the units of this repository look for the binaries: an administrator's own place.
const OF_ADMINISTRATORS: &str = "/usr/local/sbin/";
/// Where a package puts them.
const OF_PACKAGES: &str = "/usr/sbin/";
/// Beside the papers: what others may want to copy from.
const EXAMPLES: [&str; 3] = [
    "deploy/prometheus/tcpcopy.rules.yml",
    "deploy/prometheus/prometheus.yml",
    "deploy/grafana/tcpcopy.json",
];
/// What lintian says of it, and why it stays.
const LINTIAN: &str = "\
# Static on purpose: the binaries start wherever glibc is (docs/binaries.md). Which version is inside says the bill of materials.
tcpcopy: embedded-library *
# Not a package of Debian's own, so there is no request to package it that could be closed.
tcpcopy: initial-upload-closes-no-bugs *
";

/// Lays out everything; the binaries are in the release's folder already.
pub(super) fn lay(release: &Release) -> Result<()> {
    let root = release.root();
    fresh(&root)?;
    fresh(&release.work())?;
    for name in BINARIES {
        let to = root.join("usr/sbin").join(name);
        copy(&release.folder.join(name), &to)?;
    }
    units(&root)?;
    for name in BINARIES {
        let file = format!("{name}.env");
        let from = workspace::root().join("deploy/packages").join(&file);
        copy(&from, &root.join("etc/tcpcopy").join(&file))?;
    }
    manual(release)?;
    let papers = root.join("usr/share/doc/tcpcopy");
    copy(
        &workspace::root().join("README.md"),
        &papers.join("README.md"),
    )?;
    let changes = papers.join("changelog");
    copy(&workspace::root().join("CHANGELOG.md"), &changes)?;
    for example in EXAMPLES {
        let from = workspace::root().join(example);
        copy(&from, &papers.join("examples").join(name_of(&from)))?;
    }
    papers::notice(&papers.join("THIRD-PARTY.txt"))?;
    compress(&changes)?;
    compress(&papers.join("THIRD-PARTY.txt"))?;
    write(&release.work().join("lintian-overrides"), LINTIAN)?;
    write(
        &release.work().join("changelog"),
        debian_changelog(release, &email_date(&release.epoch)?),
    )
}

/// Units as a package installs them: they start what the package installed.
fn units(root: &Path) -> Result<()> {
    for unit in files(&workspace::root().join("deploy/systemd"))? {
        let text = read(&unit)?;
        if !text.contains(OF_ADMINISTRATORS) && name_of(&unit).ends_with(".service") {
            bail!("{} starts nothing in {OF_ADMINISTRATORS}", unit.display());
        }
        let place = root.join("usr/lib/systemd/system").join(name_of(&unit));
        write(&place, text.replace(OF_ADMINISTRATORS, OF_PACKAGES))?;
    }
    Ok(())
}

/// Manual pages and completions, by the programs' own examples.
fn manual(release: &Release) -> Result<()> {
    let made = release.work().join("manual");
    for name in BINARIES {
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo
            .current_dir(workspace::root())
            .args(["run", "--locked", "--quiet", "--package"])
            .arg(format!("{name}-userspace"))
            .arg("--example")
            .arg(format!("manual-of-{name}"))
            .arg(&made);
        step::run(&format!("manual and completions of {name}"), &mut cargo)?;
    }
    let root = release.root();
    for page in files(&made.join("man"))? {
        let to = root.join("usr/share/man/man8").join(name_of(&page));
        copy(&page, &to)?;
        compress(&to)?;
    }
    for file in files(&made.join("completions"))? {
        copy(&file, &root.join(completion_place(&name_of(&file))?))?;
    }
    Ok(())
}

/// Where a shell of Debian's looks for completions.
fn completion_place(file: &str) -> Result<String> {
    let (program, shell) = file
        .split_once('.')
        .with_context(|| format!("{file} is of no shell"))?;
    Ok(match shell {
        "bash" => format!("usr/share/bash-completion/completions/{program}"),
        "zsh" => format!("usr/share/zsh/vendor-completions/_{program}"),
        "fish" => format!("usr/share/fish/vendor_completions.d/{program}.fish"),
        _ => bail!("where does {shell} look for completions?"),
    })
}

/// Compresses a file without its name and time, which differ from build to build.
fn compress(file: &Path) -> Result<()> {
    let mut gzip = Command::new("gzip");
    gzip.args(["-9", "-n", "-f"]).arg(file);
    let done = gzip.status().context("cannot start gzip")?;
    if !done.success() {
        bail!("gzip cannot compress {} ({done})", file.display());
    }
    Ok(())
}

fn debian_changelog(release: &Release, date: &str) -> String {
    format!(
        "tcpcopy ({}-1) stable; urgency=medium\n\n  * What changed is in changelog.gz.\n\n -- {}  {date}\n",
        release.version, "The authors of tcpcopy <tcpcopy@tcpcopy.invalid>"
    )
}

/// A time in seconds as Debian's change logs have it.
fn email_date(epoch: &str) -> Result<String> {
    let mut date = Command::new("date");
    date.args(["-u", "-R", "-d", &format!("@{epoch}")])
        .env("LC_ALL", "C");
    let text = step::output(&mut date).with_context(|| format!("date does not know @{epoch}"))?;
    Ok(text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::{completion_place, units};

    #[test]
    fn each_completion_has_a_place() {
        assert_eq!(
            completion_place("tcpcopy.zsh").unwrap(),
            "usr/share/zsh/vendor-completions/_tcpcopy"
        );
        assert!(completion_place("tcpcopy.elvish").is_err());
    }

    /// A unit of a package that names /usr/local would start nothing.
    #[test]
    fn units_of_a_package_start_what_it_installs() {
        let root = crate::workspace::target().join(format!("tmp/units-{}", std::process::id()));
        units(&root).expect("units");
        let folder = root.join("usr/lib/systemd/system");
        for name in super::BINARIES {
            let text = std::fs::read_to_string(folder.join(format!("{name}.service"))).unwrap();
            assert!(
                text.contains(&format!("ExecStart=/usr/sbin/{name} ")),
                "{text}"
            );
            assert!(
                !text.lines().any(|line| line == "[Install]") && !text.contains("/usr/local"),
                "{text}"
            );
        }
        std::fs::remove_dir_all(root).unwrap();
    }
}
