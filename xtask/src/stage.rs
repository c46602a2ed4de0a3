//! What demo and bench stand on: the built programs and binaries, and which CPU does what.

use std::io::Write;
use std::path::PathBuf;
use std::process::Command;

use ::lab::copier::Binaries;
use ::lab::system;
use anyhow::{Context, Result, bail};

use crate::setup::{self, Purpose};
use crate::{build_ebpf, step, workspace};

/// The CPU of clients and online server.
pub(crate) const FRONT_CPU: usize = 0;
/// The CPU of everything else: what it does must not be charged to the online server.
pub(crate) const BACK_CPU: usize = 1;

/// Sets this machine up for a purpose, builds programs and binaries, and says where the binaries are.
pub(crate) fn prepare(set_up: Option<Purpose>) -> Result<Binaries> {
    if let Some(purpose) = set_up {
        setup::run(&setup::Arguments {
            purpose,
            ..setup::Arguments::default()
        })?;
    }
    need_root()?;
    let folder = build()?;
    Binaries::in_folder(&folder).with_context(|| {
        format!(
            "the build did not leave tcpcopy and intercept in {}: is another target folder set?",
            folder.display()
        )
    })
}

/// The binaries that somebody has built, who need not be root: nothing is compiled here.
pub(crate) fn prebuilt() -> Result<Binaries> {
    need_root()?;
    let folder = workspace::target().join("release");
    Binaries::in_folder(&folder).with_context(|| {
        format!(
            "tcpcopy and intercept are not in {}: build them first, as a user, with `cargo xtask dist --binaries`",
            folder.display()
        )
    })
}

fn need_root() -> Result<()> {
    if system::is_root() {
        return Ok(());
    }
    bail!("network namespaces, AF_XDP and BPF programs need root: run this as root");
}

/// Builds programs and binaries, which needs no rights, and says in which folder the binaries are.
pub(crate) fn build() -> Result<PathBuf> {
    build_ebpf::run()?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    build
        .current_dir(workspace::root())
        .args(["build", "--release", "--locked"]);
    build.args([
        "--package",
        "tcpcopy-userspace",
        "--package",
        "intercept-userspace",
    ]);
    step::run("building tcpcopy and intercept", &mut build)?;
    Ok(workspace::target().join("release"))
}

/// Prints a line of results to standard output.
pub(crate) fn print(line: &str) -> Result<()> {
    writeln!(std::io::stdout().lock(), "{line}").context("cannot write to standard output")
}

/// A table with aligned columns; the first column is aligned to the left, the others to the right.
pub(crate) fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter()
            .filter_map(|row| row.get(column))
            .map(|cell| cell.chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            let width = widths[column];
            if column == 0 {
                line.push_str(&format!("{cell:<width$}"));
            } else {
                line.push_str(&format!("  {cell:>width$}"));
            }
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// The median; 0 of nothing.
pub(crate) fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => 0.0,
        length if length % 2 == 1 => values[length / 2],
        length => f64::midpoint(values[length / 2 - 1], values[length / 2]),
    }
}

#[cfg(test)]
mod tests {
    use super::{median, table};

    #[test]
    fn the_median_of_an_even_number_lies_between() {
        assert_eq!(median(&mut [3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&mut [4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(median(&mut []), 0.0);
    }

    #[test]
    fn columns_are_aligned() {
        let rows = [
            vec!["a".to_owned(), "1".to_owned()],
            vec!["bcd".to_owned(), "22".to_owned()],
        ];
        assert_eq!(table(&rows), "a     1\nbcd  22\n");
    }
}
