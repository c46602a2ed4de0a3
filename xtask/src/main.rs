//! `cargo xtask`: everything that is done with this repository beyond `cargo build` and `cargo test`.
//!
//! | module | command | does |
//! |---|---|---|
//! | [`setup`] | `setup` | brings what is missing on this machine: packages and the BPF tool chain |
//! | [`build_ebpf`] | `build-ebpf` | builds the programs into `target/bpf` |
//! | [`bench`] | `bench` | what a copy costs and how complete it is, in interleaved rounds; `bench engine`: the engine alone; `bench programs`: the programs alone; `bench hurt`: the first law |
//! | [`demo`] | `demo` | a live copy on this machine, from a fresh clone to a table |
//! | [`deny`] | `deny` | licences, sources, banned crates and known weaknesses of what is built with |
//! | [`dist`] | `dist` | a release: stripped binaries, packages, image, notice, checksums; `--check` tries them |
//! | [`fuzz`] | `fuzz` | libFuzzer on the parsers and on the engine |
//! | [`lab`] | `lab` | the test network, for anyone who wants to play |
//! | [`test`] | `test` | every test there is, in the order of what it costs |
//! | [`tidy`] | `tidy` | the rules of the house that no compiler knows |
//! | [`vm`] | `vm` | live tests under other kernels and on other devices, in emulated machines |
//! | [`workspace`] | | where this repository's folders are |
//! | [`stage`] | | what demo and bench stand on |
//! | [`step`] | | runs another program and says so |
#![forbid(unsafe_code)]

mod bench;
mod build_ebpf;
mod demo;
mod deny;
mod dist;
mod fuzz;
mod lab;
mod setup;
mod stage;
mod step;
mod test;
mod tidy;
mod vm;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Tasks of the tcpcopy repository.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Command {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Bring what is missing on this machine: system packages and the BPF tool chain.
    Setup(setup::Arguments),
    /// Build the programs (tcpcopy-ebpf, intercept-ebpf) into target/bpf.
    BuildEbpf,
    /// A live copy on this machine: set-up, build, lab, service, clients, both modes, a table.
    Demo(demo::Arguments),
    /// What a copy costs the online server and how complete it is, in interleaved rounds.
    Bench(bench::Arguments),
    /// Licences, sources, banned crates and known weaknesses of everything that is built with, by cargo-deny.
    Deny(deny::Arguments),
    /// A release: stripped binaries, tarball, packages, image, notice, checksums; --check installs and tries them.
    Dist(dist::Arguments),
    /// Look for inputs that break the parsers or the engine; needs nightly and cargo-fuzz.
    Fuzz(fuzz::Arguments),
    /// Every test there is: format, house rules, lints, unit, program and live tests.
    Test(test::Arguments),
    /// Live tests under other kernels and on other network devices, in emulated machines.
    #[command(about = "Live tests under other kernels and on other network devices, in emulated machines", long_about = vm::ABOUT)]
    Vm(vm::Arguments),
    /// The rules of the house that no compiler knows.
    Tidy,
    /// The test network: client, online, target and assistant as namespaces.
    Lab(lab::Arguments),
    /// Parts of the lab, as processes of their own.
    #[command(flatten)]
    Part(::lab::command::Command),
}

fn main() -> ExitCode {
    let result = match Command::parse().task {
        Task::Setup(arguments) => setup::run(&arguments),
        Task::BuildEbpf => build_ebpf::run(),
        Task::Demo(arguments) => demo::run(&arguments),
        Task::Bench(arguments) => bench::run(&arguments),
        Task::Deny(arguments) => deny::run(&arguments),
        Task::Dist(arguments) => dist::run(&arguments),
        Task::Fuzz(arguments) => fuzz::run(&arguments),
        Task::Lab(arguments) => lab::run(&arguments),
        Task::Test(arguments) => test::run(&arguments),
        Task::Vm(arguments) => vm::run(&arguments),
        Task::Tidy => tidy::run(),
        Task::Part(part) => ::lab::command::run(&part).map_err(Into::into),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::Command;

    #[test]
    fn what_the_pages_show_can_be_typed() {
        let shown = pages::commands_of("cargo xtask");
        assert!(shown.len() > 40, "only {} were found", shown.len());
        let refused: Vec<String> = shown
            .iter()
            .filter_map(|it| {
                let refused = Command::try_parse_from(&it.words).err()?;
                (refused.exit_code() != 0)
                    .then(|| format!("{}: {}\n{refused}", it.place, it.words.join(" ")))
            })
            .collect();
        assert!(refused.is_empty(), "{}", refused.join("\n"));
    }
}
