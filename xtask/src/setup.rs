//! Brings what is missing on this machine: system packages, a compiler for the programs, bpf-linker.
//!
//! Says each step before it does it and does nothing that is done already. No package that comes may start or enable a service. Where it cannot do a step (not root, not
//! Debian or Ubuntu) it says exactly what to install.

mod linker;
mod packages;
mod policy;

use anyhow::{Result, bail};

use crate::build_ebpf::{self, ToolChain};
use crate::step;

/// What for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Purpose {
    /// A build alone.
    Build,
    /// A build, and the demo.
    Demo,
    /// Everything: the tests with their servers, browser and emulated machines.
    #[default]
    Tests,
}

/// Arguments of `setup`.
#[derive(clap::Args, Default)]
pub(crate) struct Arguments {
    /// What to bring: what a build needs, what the demo needs besides, or what the tests need.
    #[arg(long = "for", value_enum, default_value = "tests")]
    pub purpose: Purpose,
    /// The same as --for build: compilers and libraries, no server and no browser.
    #[arg(long, conflicts_with = "purpose")]
    pub build_only: bool,
    /// Only say what is missing; fail if anything is.
    #[arg(long)]
    pub check: bool,
}

/// Brings what is missing.
///
/// # Errors
///
/// Something is missing and cannot be brought, or bringing it failed.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let needs_compiler = ToolChain::find().is_none();
    let needs_linker = build_ebpf::find_linker().is_none();
    let purpose = if arguments.build_only {
        Purpose::Build
    } else {
        arguments.purpose
    };
    let wanted = packages::missing(purpose, needs_compiler, needs_linker);
    if wanted.is_empty() && !needs_compiler && !needs_linker {
        step::say("nothing is missing");
        return Ok(());
    }
    if arguments.check {
        bail!("{}", advice(&wanted, needs_compiler, needs_linker));
    }
    if !wanted.is_empty() && !packages::can_install() {
        bail!("{}", advice(&wanted, needs_compiler, needs_linker));
    }
    step::say(&announcement(&wanted, needs_linker));
    if !wanted.is_empty() {
        packages::install(&wanted)?;
    }
    if ToolChain::find().is_none() {
        bail!("{}", advice(&[], true, needs_linker));
    }
    if needs_linker {
        linker::install()?;
    }
    step::say("ready: next is `cargo xtask build-ebpf`");
    Ok(())
}

/// What is about to be done, before anything is: apt says what its part takes once it has its lists.
fn announcement(wanted: &[&str], needs_linker: bool) -> String {
    let mut parts = Vec::new();
    if !wanted.is_empty() {
        parts.push(format!(
            "packages of Debian and what they need ({})",
            wanted.join(" ")
        ));
    }
    if needs_linker {
        parts.push("bpf-linker, built in about two minutes".to_owned());
    }
    format!("to be installed: {}", parts.join("; "))
}

/// What to do by hand.
fn advice(wanted: &[&str], needs_compiler: bool, needs_linker: bool) -> String {
    let mut text =
        String::from("this machine lacks something that `setup` may not or cannot bring; as root:");
    if !wanted.is_empty() {
        text.push_str(
            "\n  packages (by their names on Debian 12): apt-get install --no-install-recommends ",
        );
        text.push_str(&wanted.join(" "));
    }
    if needs_compiler {
        text.push_str(
            "\n  a compiler for the programs: rustup toolchain install nightly --component rust-src\
             \n    (or, on Debian, the packages rustc-web and libstd-rust-web-dev-bpf)",
        );
    }
    if needs_linker {
        text.push_str("\n  bpf-linker: cargo xtask setup, once LLVM 22 is installed (Debian: ");
        text.push_str(&packages::LLVM.join(" "));
        text.push(')');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::announcement;

    #[test]
    fn what_will_be_done_is_said_before() {
        assert_eq!(
            announcement(&["clang", "m4"], true),
            "to be installed: packages of Debian and what they need (clang m4); bpf-linker, built in about two minutes"
        );
        assert_eq!(
            announcement(&["m4"], false),
            "to be installed: packages of Debian and what they need (m4)"
        );
    }
}
