//! The image for containers: the two binaries and the four libraries that they need, and nothing else: no shell, no package manager.
//!
//! The libraries are this machine's own. Static binaries would need no libraries, but glibc looks names up by what it loads at run time.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::BINARIES;
use super::release::{Release, copy, fresh, write};
use crate::{step, workspace};

/// How an image comes to be and what it says of itself.
const CONTAINERFILE: &str = "\
FROM scratch
COPY root/ /
ENTRYPOINT [\"/usr/sbin/tcpcopy\"]
";

/// An image that podman has.
pub(super) struct Image {
    /// `localhost/tcpcopy:0.1.0`.
    pub name: String,
}

/// Builds the image, and saves it as an OCI archive.
///
/// # Errors
///
/// There is no podman, or it fails.
pub(super) fn build(release: &Release) -> Result<Image> {
    step::find("podman").context("no image: podman is not installed (package podman)")?;
    let context = release.work().join("image");
    fresh(&context)?;
    let root = context.join("root");
    for name in BINARIES {
        let binary = release.folder.join(name);
        for library in libraries(&binary)? {
            let place = library.strip_prefix("/").unwrap_or(&library);
            copy(&library, &root.join(place))?;
        }
        copy(&binary, &root.join("usr/sbin").join(name))?;
    }
    let papers = root.join("usr/share/doc/tcpcopy");
    let notice = "THIRD-PARTY.txt.gz";
    copy(
        &release.root().join("usr/share/doc/tcpcopy").join(notice),
        &papers.join(notice),
    )?;
    let licences = ["LICENSE-APACHE", "LICENSE-MIT", "LICENSE-GPL2"];
    for licence in licences {
        copy(&workspace::root().join(licence), &papers.join(licence))?;
    }
    write(&context.join("Containerfile"), CONTAINERFILE)?;

    let name = format!("localhost/tcpcopy:{}", release.version);
    let label =
        |what: &str, value: &str| format!("--label=org.opencontainers.image.{what}={value}");
    let mut podman = Command::new("podman");
    podman
        .args(["build", "--quiet", "--format", "oci", "--timestamp"])
        .arg(&release.epoch)
        .args([label("title", "tcpcopy"), label("version", release.version)])
        .arg(label("licenses", "(MIT OR Apache-2.0) AND GPL-2.0-only"))
        .args(["--tag", &name])
        .arg(&context)
        // Its answer is the image's number.
        .stdout(std::process::Stdio::null());
    step::run("the image", &mut podman)?;
    let archive = release.folder.join(format!(
        "tcpcopy-{}-{}-oci.tar",
        release.version, release.arch
    ));
    let mut save = Command::new("podman");
    save.args(["save", "--quiet", "--format", "oci-archive", "--output"])
        .arg(&archive)
        .arg(&name)
        .stdout(std::process::Stdio::null());
    step::run("the image as an archive", &mut save)?;
    Ok(Image { name })
}

/// The libraries that a binary is loaded with, the loader included, where they stand on this machine.
fn libraries(binary: &Path) -> Result<BTreeSet<PathBuf>> {
    let mut ldd = Command::new("ldd");
    ldd.arg(binary).env("LC_ALL", "C");
    let text = step::output(&mut ldd)
        .with_context(|| format!("ldd (package libc-bin) cannot read {}", binary.display()))?;
    let found = libraries_of(&text);
    if found.is_empty() {
        bail!("ldd says of {}: {text}", binary.display());
    }
    Ok(found)
}

fn libraries_of(text: &str) -> BTreeSet<PathBuf> {
    text.lines()
        .flat_map(|line| line.split_whitespace().filter(|word| word.starts_with('/')))
        .map(PathBuf::from)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::libraries_of;
    use std::path::PathBuf;

    #[test]
    fn what_ldd_says_is_read() {
        let said = "\tlinux-vdso.so.1 (0x00007ffc)\n\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f)\n\t\
            /lib64/ld-linux-x86-64.so.2 (0x00007f)\n";
        let found: Vec<PathBuf> = libraries_of(said).into_iter().collect();
        assert_eq!(
            found,
            [
                "/lib/x86_64-linux-gnu/libc.so.6",
                "/lib64/ld-linux-x86-64.so.2"
            ]
            .map(PathBuf::from)
        );
        assert!(libraries_of("\tnot a dynamic executable\n").is_empty());
    }
}
