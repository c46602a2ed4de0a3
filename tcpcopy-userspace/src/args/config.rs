//! `--config FILE.toml`: the options of a run in a file, and `--print-config`, which makes one of a command line.
//!
//! | module | holds |
//! |---|---|
//! | [`file`] | from a file to the words of a command line, each mistake with its line and column |
//! | [`printed`] | from a command line to a file |
//!
//! A key is the long name of an option, so whatever a command line can say a file can say, and both are judged by the same code. What the
//! command line says itself stands before what the file says, key by key.

mod file;
mod printed;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use super::heading;

const CONFIG: &str = "config";
const PRINT: &str = "print-config";
/// The commands that take a file; without a name a run is meant.
const COMMANDS: [&str; 3] = ["run", "doctor", "replay"];
/// What a command line must say, and may leave to the file.
const REQUIRED: [&str; 2] = ["rules", "files"];

/// Where options came from that a file has had a part in, so that it can be read again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    /// The command line as it was typed.
    pub(crate) words: Vec<OsString>,
    /// What was said by both together: values by the long name of their option.
    pub(crate) settings: BTreeMap<String, Vec<String>>,
}

/// Adds the two options to a command and to those of its commands that take them.
pub(super) fn add(command: Command) -> Command {
    let command = command.arg(option()).arg(print_option());
    COMMANDS.into_iter().fold(command, |command, name| {
        command.mut_subcommand(name, |it| it.arg(option()).arg(print_option()))
    })
}

fn option() -> Arg {
    Arg::new(CONFIG)
        .long(CONFIG)
        .value_name("FILE.toml")
        .value_parser(value_parser!(PathBuf))
        .help_heading(heading::WHAT_TO_COPY)
        .help("Take options from this file; what is said here goes before it")
        .long_help(
            "Take options from this file; what is said here goes before it, option by option\n\nIts keys are the long names of the \
             options, and each rule may have options of its own: docs/config.md. `tcpcopy ctl reload` reads it again.",
        )
}

fn print_option() -> Arg {
    Arg::new(PRINT)
        .long(PRINT)
        .action(ArgAction::SetTrue)
        .help_heading(heading::WHAT_TO_COPY)
        .help("Print these options as a file for --config, and do nothing else")
}

/// The words with those of the file that they name, if they name one.
pub(super) fn expand(
    words: Vec<OsString>,
    command: &Command,
) -> Result<Vec<OsString>, clap::Error> {
    let names = |word: &OsString| {
        word.to_str()
            .is_some_and(|it| it == "--config" || it.starts_with("--config="))
    };
    if !words.iter().any(names) {
        return Ok(words);
    }
    let mut loose = loosened(command.clone());
    let matches = loose.try_get_matches_from_mut(&words)?;
    let (name, said) = asked(&matches);
    let Some(path) = said.get_one::<PathBuf>(CONFIG) else {
        return Ok(words);
    };
    let of = name.and_then(|name| loose.find_subcommand(name));
    let of = of.cloned().unwrap_or_else(|| loose.clone());
    let is_said = |id: &str| said.value_source(id) == Some(ValueSource::CommandLine);
    let from_file = file::words(path, &of, &is_said)?;
    let mut words = words.into_iter();
    // The program, and the command that comes right behind it.
    let mut all: Vec<OsString> = words
        .by_ref()
        .take(1 + usize::from(name.is_some()))
        .collect();
    all.extend(from_file);
    all.extend(words);
    Ok(all)
}

/// The command, none of whose options is required where a file is named.
fn loosened(command: Command) -> Command {
    fn loosen(command: Command) -> Command {
        command.mut_args(|arg| {
            if REQUIRED.contains(&arg.get_id().as_str()) {
                arg.required(false).required_unless_present(CONFIG)
            } else {
                arg
            }
        })
    }
    COMMANDS.into_iter().fold(loosen(command), |command, name| {
        command.mut_subcommand(name, loosen)
    })
}

/// The command that was named, if it was one that takes a file, and what was said to it.
fn asked(matches: &ArgMatches) -> (Option<&str>, &ArgMatches) {
    match matches.subcommand() {
        Some((name, said)) if COMMANDS.contains(&name) => (Some(name), said),
        _ => (None, matches),
    }
}

/// Where the options came from, if a file had a part in it.
pub(super) fn origin(
    typed: &[OsString],
    matches: &ArgMatches,
    command: &Command,
) -> Option<Origin> {
    let (name, said) = asked(matches);
    // Other commands know nothing of it.
    if matches.subcommand_name().is_some() && name.is_none() {
        return None;
    }
    said.get_one::<PathBuf>(CONFIG)?;
    Some(Origin {
        words: typed.to_vec(),
        settings: printed::settings(said, of(command, name)),
    })
}

/// The file that says what the command line has said, where that was asked for.
pub(super) fn print(matches: &ArgMatches, command: &Command) -> Option<String> {
    let (name, said) = asked(matches);
    if matches.subcommand_name().is_some() && name.is_none() {
        return None;
    }
    said.get_flag(PRINT).then(|| {
        printed::text(
            name.unwrap_or("run"),
            &printed::settings(said, of(command, name)),
        )
    })
}

fn of<'a>(command: &'a Command, name: Option<&str>) -> &'a Command {
    name.and_then(|name| command.find_subcommand(name))
        .unwrap_or(command)
}

/// Whether an option may stand in a file.
fn is_key(arg: &Arg) -> bool {
    let id = arg.get_id().as_str();
    arg.get_long().is_some() && ![CONFIG, PRINT, "help", "version"].contains(&id)
}

#[cfg(test)]
mod tests;
