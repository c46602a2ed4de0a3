//! Letters of TCPCopy's programs that are not ours. They are options that no help shows, and each says what to write instead:
//! whoever types a line of many years learns all of it at once.

use std::fmt::Write as _;

use clap::error::ErrorKind;
use clap::{Arg, ArgAction, ArgMatches, Command};

/// A letter that is not ours.
#[derive(Clone, Copy, Debug)]
pub struct Letter {
    /// As it is typed: `-C`.
    pub name: &'static str,
    /// What to do about it, which begins with `leave it out:` or `write ...:`. The letter's value stands for [`VALUE`].
    pub words: &'static str,
}

/// What stands in the words of a [`Letter`] for the value that was typed behind it.
pub const VALUE: &str = "VALUE";

/// Has a command take these letters. Where one of them is given nothing is asked for, so that [`refuse`] comes first.
#[must_use]
pub fn add(command: Command, letters: &'static [Letter]) -> Command {
    let names = || letters.iter().map(|letter| letter.name);
    let command = command.mut_args(|arg| {
        if arg.is_required_set() {
            arg.required(false).required_unless_present_any(names())
        } else {
            arg
        }
    });
    // Some have a value and some have none. No reader has to care, for all of them are refused.
    command.args(names().map(|name| {
        Arg::new(name)
            .short(name.chars().nth(1))
            .hide(true)
            .num_args(0..=1)
            .default_missing_value("")
            .action(ArgAction::Append)
    }))
}

/// Refuses a line that has some of them, in words for all of them.
///
/// # Errors
///
/// Each letter that was given, with what to do about it.
pub fn refuse(matches: &ArgMatches, letters: &[Letter]) -> Result<(), clap::Error> {
    let mut words = String::new();
    for letter in letters {
        for value in matches
            .get_many::<String>(letter.name)
            .into_iter()
            .flatten()
        {
            let typed = format!("{} {value}", letter.name);
            let value = if value.is_empty() { VALUE } else { value };
            let advice = letter.words.replace(VALUE, value);
            let _ = write!(words, "\n  {:8}  {advice}", typed.trim_end());
        }
    }
    if words.is_empty() {
        return Ok(());
    }
    let message = format!("letters of TCPCopy that are none here:{words}");
    Err(clap::Error::raw(ErrorKind::UnknownArgument, message))
}

#[cfg(test)]
mod tests {
    use clap::{Arg, Command};

    use super::{Letter, add, refuse};

    const LETTERS: &[Letter] = &[
        Letter {
            name: "-d",
            words: "leave it out: it runs in the foreground",
        },
        Letter {
            name: "-m",
            words: "write --memory VALUEM: sessions are shed beyond it",
        },
    ];

    fn parse(line: &str) -> Result<(), clap::Error> {
        let command = Command::new("p").arg(Arg::new("copy").short('x').required(true));
        let matches = add(command, LETTERS).try_get_matches_from(line.split(' '))?;
        refuse(&matches, LETTERS)
    }

    #[test]
    fn all_letters_are_answered_at_once() {
        parse("p -x 1").expect("ours");
        for line in ["p -d -m 512 -x 1", "p -d -m 512"] {
            let refusal = parse(line).expect_err(line);
            assert_eq!(refusal.exit_code(), 2);
            let text = refusal.to_string();
            for words in [
                "  -d        leave it out: it runs",
                "  -m 512    write --memory 512M: ",
            ] {
                assert!(text.contains(words), "{text}");
            }
        }
        let text = parse("p -m").expect_err("not ours").to_string();
        assert!(text.contains("write --memory VALUEM"), "{text}");
    }

    #[test]
    fn they_are_in_no_help_and_what_is_missing_is_asked_for() {
        let help = parse("p --help").expect_err("help").to_string();
        assert!(!help.contains("-d"), "{help}");
        assert!(parse("p").expect_err("no -x").to_string().contains("-x"));
    }
}
