//! The first file system of a machine: busybox, the modules that lead to its root, and the first process.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use super::kernel::Kernel;
use crate::step;

/// What leads to the root file system: this machine's, read-only, under an overlay.
const MODULES: [&str; 4] = ["virtio_pci", "9p", "9pnet_virtio", "overlay"];
/// Most modules that these may need.
const MODULES_MAX: usize = 200;
/// The first process.
const INIT: &str = include_str!("scripts/init.sh");
/// What the kernel calls for a module that it lacks.
const MODPROBE: &str = include_str!("scripts/modprobe.sh");

/// Makes it in a folder and writes it to `file`.
///
/// # Errors
///
/// Where a tool is missing or a module cannot be read.
pub(super) fn make(kernel: &Kernel, folder: &Path, file: &Path) -> Result<()> {
    for name in ["bin", "dev", "newroot", "mods", "proc", "sbin", "sys"] {
        fs::create_dir_all(folder.join(name))?;
    }
    let busybox =
        step::find("busybox").context("busybox is not installed (package busybox-static)")?;
    fs::copy(&busybox, folder.join("bin/busybox"))
        .with_context(|| format!("cannot copy {}", busybox.display()))?;
    let mut order = String::new();
    for (number, module) in needed(kernel)?.iter().enumerate() {
        // The number keeps the order and tells modules of one name apart.
        let name = format!("{number:03}.ko");
        fs::write(
            folder.join("mods").join(&name),
            unpacked(Path::new(module))?,
        )?;
        order.push_str(&name);
        order.push('\n');
    }
    fs::write(folder.join("mods/order"), order)?;
    for (name, text) in [("init", INIT), ("sbin/modprobe", MODPROBE)] {
        fs::write(folder.join(name), text)?;
        fs::set_permissions(folder.join(name), fs::Permissions::from_mode(0o755))?;
    }
    archive(folder, file)
}

/// The files of the modules, each after those that it needs.
fn needed(kernel: &Kernel) -> Result<Vec<String>> {
    let modprobe = step::find("modprobe").context("modprobe is not installed (package kmod)")?;
    let mut files = Vec::new();
    for module in MODULES {
        let mut show = Command::new(&modprobe);
        show.arg("-d").arg(&kernel.root);
        show.args(["-S", &kernel.release, "--show-depends", module]);
        let listed = step::output(&mut show)
            .with_context(|| format!("{} has no module {module}", kernel.release))?;
        collect(&listed, &mut files)?;
    }
    Ok(files)
}

/// Adds the files that `modprobe --show-depends` names and that are not there yet.
fn collect(listed: &str, files: &mut Vec<String>) -> Result<()> {
    for line in listed.lines() {
        let Some(file) = line.trim().strip_prefix("insmod ") else {
            // `builtin`: nothing is to be done.
            continue;
        };
        let file = file.trim().to_owned();
        if !files.contains(&file) {
            files.push(file);
        }
        if files.len() > MODULES_MAX {
            bail!("more than {MODULES_MAX} modules are needed: this is no ordinary kernel");
        }
    }
    Ok(())
}

/// A module as the kernel takes it.
fn unpacked(file: &Path) -> Result<Vec<u8>> {
    let ending = file.extension().and_then(|ending| ending.to_str());
    let tool = match ending {
        Some("xz") => "xz",
        Some("zst") => "zstd",
        _ => return fs::read(file).with_context(|| format!("cannot read {}", file.display())),
    };
    let output = Command::new(tool)
        .args(["--decompress", "--stdout"])
        .arg(file)
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot start {tool}"))?;
    if !output.status.success() {
        bail!("{tool} cannot unpack {}", file.display());
    }
    Ok(output.stdout)
}

/// Packs a folder the way the kernel unpacks it.
fn archive(folder: &Path, file: &Path) -> Result<()> {
    let names =
        "init\nbin\nbin/busybox\ndev\nmods\nnewroot\nproc\nsbin\nsbin/modprobe\nsys\nmods/order\n";
    let mut list = names.to_owned();
    let mut modules: Vec<String> = fs::read_dir(folder.join("mods"))?
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| name.ends_with(".ko"))
        .collect();
    modules.sort();
    for module in modules {
        list.push_str(&format!("mods/{module}\n"));
    }
    let mut cpio = Command::new("cpio")
        .current_dir(folder)
        .args(["--quiet", "-o", "-H", "newc", "-R", "0:0"])
        .stdin(Stdio::piped())
        .stdout(fs::File::create(file)?)
        .spawn()
        .context("cannot start cpio (package cpio)")?;
    let mut input = cpio.stdin.take().context("no input of cpio")?;
    input.write_all(list.as_bytes())?;
    drop(input);
    let status = cpio.wait()?;
    if !status.success() {
        bail!("cpio failed: {status}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::collect;

    #[test]
    fn modules_keep_their_order_and_come_once() {
        let mut files = Vec::new();
        collect("insmod /x/a.ko \nbuiltin b\n", &mut files).unwrap();
        collect("insmod /x/a.ko\ninsmod /x/c.ko.xz\n", &mut files).unwrap();
        assert_eq!(files, ["/x/a.ko", "/x/c.ko.xz"]);
        let many: String = (0..300).map(|n| format!("insmod /x/{n}.ko\n")).collect();
        assert!(collect(&many, &mut files).is_err());
    }
}
