//! The kernels: which package of the archive holds the newest one of a series, and what a machine needs of it.
//!
//! Packages are downloaded by apt, without being installed, into `target/vm/kernels`. A machine needs the kernel itself and
//! those folders of its modules that have to do with networks and file systems; the rest of the package is not kept.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use clap::ValueEnum;

use crate::{step, workspace};

/// Most lines of apt's list that are looked at.
const LINES_MAX: usize = 10_000;
/// Folders of modules that are kept: what a namespace, a device or a file system of a test may ask for.
const KEPT: [&str; 11] = [
    "arch",
    "block",
    "crypto",
    "fs",
    "lib",
    "net",
    "drivers/block",
    "drivers/char",
    "drivers/net",
    "drivers/ptp",
    "drivers/virtio",
];

/// A series of kernels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Series {
    /// That of Debian 12: it has no tcx.
    #[value(name = "6.1")]
    V6_1,
    /// That of Debian 13, and of Debian 12 as an addition.
    #[value(name = "6.12")]
    V6_12,
}

impl Series {
    /// Its number.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::V6_1 => "6.1",
            Self::V6_12 => "6.12",
        }
    }
}

/// What a machine boots.
#[derive(Debug)]
pub(crate) struct Kernel {
    /// Its release, as `uname -r` says it.
    pub(crate) release: String,
    /// The kernel itself.
    pub(crate) image: PathBuf,
    /// The folder that holds `lib/modules`.
    pub(crate) root: PathBuf,
}

impl Kernel {
    /// The folder of its modules.
    pub(crate) fn modules(&self) -> PathBuf {
        self.root.join("lib/modules").join(&self.release)
    }

    fn in_folder(folder: &Path) -> Option<Self> {
        let names = |folder: &Path| -> Vec<String> {
            let entries = fs::read_dir(folder).into_iter().flatten().flatten();
            entries
                .filter_map(|entry| entry.file_name().into_string().ok())
                .collect()
        };
        let image = names(&folder.join("boot"))
            .into_iter()
            .find(|name| name.starts_with("vmlinuz-"))?;
        let release = names(&folder.join("lib/modules")).into_iter().next()?;
        Some(Self {
            release,
            image: folder.join("boot").join(image),
            root: folder.to_path_buf(),
        })
    }
}

/// The newest kernel of a series that the archive has, from the cache or downloaded; `None` where neither has one.
///
/// # Errors
///
/// Where the download fails, or the package is not what it should be.
pub(crate) fn fetch(series: Series) -> Result<Option<Kernel>> {
    let cache = workspace::target().join("vm/kernels");
    fs::create_dir_all(&cache).with_context(|| format!("cannot create {}", cache.display()))?;
    let package = match offered(series) {
        Some(package) => Some(package),
        // A machine that was set up from an image may never have asked the archive what it has.
        None if cached(&cache, series).is_none() => {
            step::say("apt knows no kernel of this series: apt-get update");
            let _ = step::output(Command::new("apt-get").args(["--quiet", "update"]));
            offered(series)
        }
        None => None,
    };
    let Some(package) = package else {
        return Ok(cached(&cache, series));
    };
    let folder = cache.join(&package);
    if let Some(kernel) = Kernel::in_folder(&folder) {
        return Ok(Some(kernel));
    }
    if let Err(error) = download(&package, &folder) {
        // An older one is better than none: what it shows is true of its release, which every table names.
        let Some(older) = cached(&cache, series) else {
            return Err(error);
        };
        step::say(&format!("{error:#}; {} is taken", older.release));
        return Ok(Some(older));
    }
    let kernel = Kernel::in_folder(&folder).with_context(|| {
        format!("{package} holds no kernel or no modules: is it a meta package?")
    })?;
    forget_others(&cache, series, &package);
    Ok(Some(kernel))
}

/// The package that apt offers.
fn offered(series: Series) -> Option<String> {
    let pattern = format!("^linux-image-{}\\.", series.name().replace('.', "\\."));
    let mut search = Command::new("apt-cache");
    search.args(["search", "--names-only", &pattern]);
    choose(&step::output(&mut search)?, series)
}

/// The newest kernel of this series in what `apt-cache search` has printed: a name and a description on each line.
fn choose(listing: &str, series: Series) -> Option<String> {
    let names = listing
        .lines()
        .take(LINES_MAX)
        .filter_map(|line| line.split_whitespace().next());
    names
        .filter(|name| numbers(name, series).is_some())
        .max_by_key(|name| numbers(name, series))
        .map(str::to_owned)
}

/// The numbers in the name of a package, if it is an ordinary kernel of this series: not one for clouds (which lacks
/// drivers), real time, debugging or signing.
fn numbers(package: &str, series: Series) -> Option<Vec<u64>> {
    let version = package
        .strip_prefix("linux-image-")?
        .strip_suffix("-amd64")?;
    version
        .strip_prefix(series.name())
        .and_then(|rest| rest.strip_prefix('.'))
        .filter(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))?;
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '+' | '~' | '-');
    if package.len() > 100 || !version.chars().all(fits) {
        return None;
    }
    // Between hyphens stand numbers, perhaps with `+deb12` or `+bpo` behind them; `cloud` and `rt` are words.
    if version
        .split('-')
        .any(|part| !part.starts_with(|c: char| c.is_ascii_digit()))
    {
        return None;
    }
    Some(
        version
            .split(|c: char| !c.is_ascii_digit())
            .filter_map(|digits| digits.parse().ok())
            .collect(),
    )
}

/// The newest kernel of this series that the cache has.
fn cached(cache: &Path, series: Series) -> Option<Kernel> {
    let entries = fs::read_dir(cache).ok()?.flatten();
    let names: Vec<String> = entries
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    let newest = choose(&names.join("\n"), series)?;
    Kernel::in_folder(&cache.join(newest))
}

/// Removes older kernels of this series: each is a hundred megabytes.
fn forget_others(cache: &Path, series: Series, keep: &str) {
    for entry in fs::read_dir(cache).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        if name != keep && numbers(name, series).is_some() {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// Downloads a package and keeps what a machine needs of it in `folder`, all or nothing.
fn download(package: &str, folder: &Path) -> Result<()> {
    step::say(&format!(
        "downloading {package} (about 100 MB, once) into {}",
        folder.display()
    ));
    let drafts = folder.with_file_name("drafts");
    super::machine::sweep(&drafts);
    let draft = drafts.join(std::process::id().to_string());
    let _ = fs::remove_dir_all(&draft);
    fs::create_dir_all(&draft).with_context(|| format!("cannot create {}", draft.display()))?;
    let made = unpack(package, &draft).and_then(|()| {
        let _ = fs::remove_dir_all(folder);
        fs::rename(&draft, folder).with_context(|| format!("cannot create {}", folder.display()))
    });
    let _ = fs::remove_dir_all(&draft);
    made
}

fn unpack(package: &str, draft: &Path) -> Result<()> {
    let mut get = Command::new("apt-get");
    get.current_dir(draft)
        .args(["--quiet=2", "download", package]);
    quietly("the download", &mut get)?;
    let entries = fs::read_dir(draft)?.flatten();
    let file = entries
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|ending| ending == "deb"))
        .context("apt-get download left no package")?;
    let mut dpkg = Command::new("dpkg")
        .arg("--fsys-tarfile")
        .arg(&file)
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start dpkg")?;
    let archive = dpkg.stdout.take().context("no output of dpkg")?;
    let mut tar = Command::new("tar");
    tar.current_dir(draft)
        .args(["--extract", "--wildcards", "--no-same-owner", "--file=-"])
        .args(["./boot/vmlinuz-*", "./*lib/modules/*/modules.*"])
        .args(KEPT.map(|kept| format!("./*lib/modules/*/kernel/{kept}/*")))
        .stdin(archive);
    // Not all folders are in every kernel: what counts is what is there in the end.
    let _ = tar
        .stderr(Stdio::null())
        .status()
        .context("cannot start tar")?;
    let status = dpkg.wait().context("cannot wait for dpkg")?;
    if !status.success() {
        bail!("dpkg cannot read {}: {status}", file.display());
    }
    fs::remove_file(&file)?;
    let merged = draft.join("usr/lib");
    if merged.is_dir() {
        fs::rename(merged, draft.join("lib"))?;
    }
    let kernel = Kernel::in_folder(draft).context("the package holds no kernel")?;
    let depmod = step::find("depmod").context("depmod is not installed (package kmod)")?;
    let mut order = Command::new(depmod);
    order.arg("-b").arg(draft).arg(&kernel.release);
    quietly("depmod", &mut order)
}

/// Runs a program whose output matters only where it fails.
pub(super) fn quietly(what: &str, command: &mut Command) -> Result<()> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot start {command:?}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!(
            "{what}: {command:?} failed ({}): {}",
            output.status,
            said.trim()
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Series, choose};

    #[test]
    fn the_newest_ordinary_kernel_of_the_series_is_chosen() {
        let listing = "\
linux-image-6.1.0-9-amd64 - Linux 6.1 for 64-bit PCs (signed)
linux-image-6.1.0-50-amd64-dbg - Debug symbols for linux-image-6.1.0-50-amd64
linux-image-6.1.0-57-cloud-amd64 - Linux 6.1 for x86-64 cloud (signed)
linux-image-6.1.0-58-rt-amd64 - Linux 6.1 for 64-bit PCs, PREEMPT_RT (signed)
linux-image-6.1.0-59-amd64-unsigned - Linux 6.1 for 64-bit PCs
linux-image-6.1.0-50-amd64 - Linux 6.1 for 64-bit PCs (signed)
linux-image-6.12-amd64 - Linux for 64-bit PCs (meta-package)
linux-image-6.12-amd64-signed-template - Template for signed linux-image packages for amd64
linux-image-6.12.9+bpo-amd64 - Linux 6.12 for 64-bit PCs (signed)
linux-image-6.12.117+deb12-amd64 - Linux 6.12 for 64-bit PCs (signed)
linux-image-6.12.101+deb12-amd64 - Linux 6.12 for 64-bit PCs (signed)
linux-image-6.12.200+deb12-cloud-amd64 - Linux 6.12 for x86-64 cloud (signed)
";
        let chosen = |series| choose(listing, series);
        assert_eq!(
            chosen(Series::V6_1).as_deref(),
            Some("linux-image-6.1.0-50-amd64")
        );
        assert_eq!(
            chosen(Series::V6_12).as_deref(),
            Some("linux-image-6.12.117+deb12-amd64")
        );
    }

    #[test]
    fn an_archive_without_the_series_or_with_nonsense_offers_none() {
        for listing in [
            "",
            "linux-image-6.10.1-amd64 - another series",
            "linux-image-6.1.0-$(reboot)-amd64 - hostile",
            "linux-image-6.1.0-../../x-amd64",
            "linux-image-6.1.0-56-arm64 - another machine",
            "linux-image-6.1.-amd64",
        ] {
            assert_eq!(choose(listing, Series::V6_1), None, "{listing}");
        }
    }
}
