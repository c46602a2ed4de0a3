//! What is said of a command line that cannot be read: clap's words, but for those that lead astray.

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, Command};

/// Puts an error of clap into words that lead to a line that works. `meant` knows words that stand without their option, and
/// gives both.
#[must_use]
pub fn explain(
    mut error: clap::Error,
    command: &mut Command,
    meant: impl Fn(&str) -> Option<String>,
) -> clap::Error {
    if error.kind() == ErrorKind::MissingRequiredArgument {
        name_letters(&mut error, command);
        return error;
    }
    let Some(given) = unknown(&error) else {
        return error;
    };
    let own = |words: String| Some(clap::Error::raw(ErrorKind::UnknownArgument, words));
    let better = if let Some(meant) = meant(&given) {
        own(format!("{given} stands alone: did you mean {meant}?"))
    } else if is_negative(&given) {
        own(format!(
            "there is no option {given}; if it was to be a value: no time and no number is below zero here"
        ))
    } else if let Some(letter) = letter_of(&given, command) {
        own(format!(
            "there is no option {given}: did you mean -{letter}?"
        ))
    } else if error.kind() == ErrorKind::ArgumentConflict
        && command.find_subcommand(&given).is_none()
    {
        own(format!(
            "{given} belongs to no option, and is no command of {}",
            command.get_name()
        ))
    } else {
        None
    };
    if let Some(better) = better {
        return better.format(command);
    }
    remove_far_fetched(&mut error, &given);
    error
}

/// The word that no option and no command has.
fn unknown(error: &clap::Error) -> Option<String> {
    let kind = match error.kind() {
        ErrorKind::UnknownArgument => ContextKind::InvalidArg,
        ErrorKind::InvalidSubcommand | ErrorKind::ArgumentConflict => {
            ContextKind::InvalidSubcommand
        }
        _ => return None,
    };
    match error.get(kind)? {
        ContextValue::String(given) => Some(given.clone()),
        _ => None,
    }
}

/// The letter that was written with a hyphen too many, as in `--x`.
fn letter_of(given: &str, command: &Command) -> Option<char> {
    let mut letters = given.strip_prefix("--")?.split('=').next()?.chars();
    let (letter, None) = (letters.next()?, letters.next()) else {
        return None;
    };
    let is_it = |arg: &Arg| arg.get_short() == Some(letter) && !arg.is_hide_set();
    all_arguments(command).any(is_it).then_some(letter)
}

/// Whether it looks like a number with a minus.
fn is_negative(given: &str) -> bool {
    let mut bytes = given.bytes();
    bytes.next() == Some(b'-') && bytes.next().is_some_and(|byte| byte.is_ascii_digit())
}

/// Shows the letters of what is missing too: those are what people type.
fn name_letters(error: &mut clap::Error, command: &Command) {
    let Some(ContextValue::Strings(missing)) = error.get(ContextKind::InvalidArg) else {
        return;
    };
    // An option that clap has not looked at yet does not know how it is written, and panics when it is asked.
    let mut command = command.clone();
    command.build();
    let with_letter = |name: &String| {
        let is_it = |arg: &&Arg| arg.to_string() == *name;
        let letter = all_arguments(&command).find(is_it).and_then(Arg::get_short);
        letter.map_or_else(|| name.clone(), |letter| format!("-{letter}, {name}"))
    };
    let named = missing.iter().map(with_letter).collect();
    error.insert(ContextKind::InvalidArg, ContextValue::Strings(named));
}

/// The options of a command and of those below it.
fn all_arguments(command: &Command) -> impl Iterator<Item = &Arg> {
    let below = command.get_subcommands().flat_map(Command::get_arguments);
    command.get_arguments().chain(below)
}

/// clap finds something similar to nearly everything; what differs in more than a letter of three is not meant.
fn remove_far_fetched(error: &mut clap::Error, given: &str) {
    for kind in [ContextKind::SuggestedArg, ContextKind::SuggestedSubcommand] {
        let is_near = |tip: &String| {
            let name = |word: &str| word.trim_start_matches('-').to_owned();
            let (tip, given) = (name(tip), name(given));
            let given = given.split('=').next().unwrap_or_default();
            strsim::osa_distance(&tip, given) <= given.chars().count() / 3
        };
        let is_kept = match error.get(kind) {
            Some(ContextValue::String(tip)) => is_near(tip),
            Some(ContextValue::Strings(tips)) => tips.iter().any(is_near),
            _ => continue,
        };
        if !is_kept {
            error.remove(kind);
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::{Arg, ArgAction, Command};

    use super::explain;

    fn refusal(line: &str) -> String {
        let flag = |name: &'static str| Arg::new(name).long(name).action(ArgAction::SetTrue);
        let rule = Arg::new("copy").short('x').long("copy").required(true);
        let mut command = Command::new("p")
            .args([rule, flag("version-of"), flag("max-cpu"), flag("rate")])
            .subcommand(Command::new("doctor"))
            .args_conflicts_with_subcommands(true)
            .subcommand_negates_reqs(true);
        let meant = |word: &str| word.starts_with("80-").then(|| format!("-x {word}"));
        let error = command
            .try_get_matches_from_mut(line.split(' '))
            .expect_err(line);
        let error = explain(error, &mut command, meant);
        assert_eq!(error.exit_code(), 2, "{line}");
        error.to_string()
    }

    #[test]
    fn near_tips_stay_and_far_ones_go() {
        for near in ["--max-cpus", "--maxcpu", "--rat"] {
            let said = refusal(&format!("p {near}"));
            assert!(said.contains("tip:"), "{said}");
        }
        assert!(refusal("p docter").contains("tip:"));
        for far in ["--verbose", "--target", "--y", "--max"] {
            let said = refusal(&format!("p {far}"));
            assert!(said.contains(far) && !said.contains("tip:"), "{said}");
        }
    }

    #[test]
    fn words_without_their_option_get_it() {
        assert!(refusal("p 80-10.0.0.2:80").contains("did you mean -x 80-10.0.0.2:80?"));
        assert!(refusal("p -5s").contains("below zero"));
        assert!(refusal("p --x=80").contains("did you mean -x?"));
        assert!(
            refusal("p --rate foo -x a")
                .contains("foo belongs to no option, and is no command of p")
        );
        assert!(refusal("p --rate").contains("-x, --copy <copy>"));
    }
}
