//! The short screen: what a command line that says nothing is answered, small enough to be read.

use clap::{Arg, Command};

use super::teaching;

/// Columns of the headings.
const HEADING: usize = 20;
/// Columns of a line.
const WIDTH: usize = 96;

/// The ways to call it, and the names of all options under their headings.
pub(super) fn screen(command: &Command) -> String {
    let mut screen = format!("Usage: {}\n\n", teaching::USAGE);
    let mut headings: Vec<&str> = Vec::new();
    for heading in command.get_arguments().filter_map(Arg::get_help_heading) {
        if !headings.contains(&heading) {
            headings.push(heading);
        }
    }
    for heading in headings {
        let of_it = |arg: &&Arg| arg.get_help_heading() == Some(heading) && !arg.is_hide_set();
        let names = command.get_arguments().filter(of_it).map(names);
        let mut line = format!("{heading:HEADING$}");
        for name in names {
            if line.len() + name.len() > WIDTH {
                screen.push_str(line.trim_end());
                screen.push('\n');
                line = " ".repeat(HEADING);
            }
            line.push_str(&name);
            line.push_str("  ");
        }
        screen.push_str(line.trim_end());
        screen.push('\n');
    }
    screen.push_str("\nEach in a line: tcpcopy -h. All of it, with examples: tcpcopy --help\n");
    screen
}

/// An option as it is typed.
fn names(arg: &Arg) -> String {
    let letter = arg.get_short().map(|letter| format!("-{letter}"));
    let long = arg.get_long().map(|long| format!("--{long}"));
    let names: Vec<String> = letter.into_iter().chain(long).collect();
    names.join(" ")
}
