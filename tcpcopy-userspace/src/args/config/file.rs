//! From a file to the words of a command line. Each mistake is told with its line and column, and an unknown key with the nearest one.

use std::ffi::OsString;
use std::fmt::Display;
use std::fs::File;
use std::io::Read as _;
use std::ops::Range;
use std::path::Path;

use clap::error::ErrorKind;
use clap::{Arg, ArgAction, Command};
use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::printed::RULES;
use crate::args::RuleArg;
use crate::args::rule::options::RuleOptions;

/// The largest file, in bytes.
const FILE_MAX: u64 = 1 << 20;
/// The key of the rules.
const RULE: &str = "rule";
/// The key of a rule that says what is copied where.
const COPY: &str = "copy";
/// How alike two keys must be for one to be taken for the other, from 0 to 1.
const ALIKE: f64 = 0.7;

/// The file that is read, to say where a mistake is.
struct Source<'a> {
    path: &'a Path,
    text: &'a str,
}

impl Source<'_> {
    fn error(&self, at: Range<usize>, words: impl Display) -> clap::Error {
        let before = self.text.get(..at.start).unwrap_or(self.text);
        let line = before.matches('\n').count() + 1;
        let column = before
            .rsplit('\n')
            .next()
            .unwrap_or_default()
            .chars()
            .count()
            + 1;
        error(format!("{}:{line}:{column}: {words}", self.path.display()))
    }
}

fn error(words: impl Display) -> clap::Error {
    clap::Error::raw(ErrorKind::ValueValidation, format!("{words}\n"))
}

/// What a file says, in the words of `command`, but for the options that the command line says itself.
pub(super) fn words(
    path: &Path,
    command: &Command,
    is_said: &dyn Fn(&str) -> bool,
) -> Result<Vec<OsString>, clap::Error> {
    let text =
        read(path).map_err(|words| error(format!("{}: {words} (--config)", path.display())))?;
    let source = Source { path, text: &text };
    let table = DeTable::parse(&text).map_err(|error| {
        let at = error.span().unwrap_or_default();
        source.error(at, error.message())
    })?;
    let mut words = Vec::new();
    for (key, value) in table.get_ref() {
        let name: &str = key.get_ref();
        if name == RULE {
            if !is_said("rules") {
                words.extend(rules(&source, value)?);
            }
            continue;
        }
        let arg = option(&source, key, command)?;
        let id = arg.get_id().as_str();
        let own = own_words(&source, arg, key, value)?;
        check(&source, command, value, &own)?;
        // What the command line says goes before it, and has to be right all the same.
        if !is_said(id) {
            words.extend(own);
        }
    }
    Ok(words)
}

fn read(path: &Path) -> Result<String, String> {
    let mut file = File::open(path).map_err(|error| format!("cannot be read: {error}"))?;
    let mut text = String::new();
    let read = file.by_ref().take(FILE_MAX + 1).read_to_string(&mut text);
    match read {
        Ok(len) if len as u64 > FILE_MAX => Err(format!("has more than {FILE_MAX} bytes")),
        Ok(_) => Ok(text),
        Err(error) => Err(format!("cannot be read: {error}")),
    }
}

/// The option that a key names.
fn option<'a>(
    source: &Source<'_>,
    key: &Spanned<DeString<'_>>,
    command: &'a Command,
) -> Result<&'a Arg, clap::Error> {
    let name: &str = key.get_ref();
    let is_it = |arg: &&Arg| {
        let aliases = arg.get_all_aliases().unwrap_or_default();
        arg.get_long() == Some(name) || aliases.contains(&name)
    };
    let known = || command.get_arguments().filter(|arg| super::is_key(arg));
    known().find(is_it).ok_or_else(|| {
        let names = known().filter_map(Arg::get_long).chain([RULE]);
        source.error(key.span(), unknown(name, names))
    })
}

fn unknown<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> String {
    let nearest = known
        .map(|it| (strsim::jaro_winkler(name, it), it))
        .max_by(|one, other| one.0.total_cmp(&other.0));
    let tip = nearest.filter(|it| it.0 >= ALIKE);
    let tip = tip.map(|it| format!(": did you mean {}?", it.1));
    format!("unknown key `{name}`{}", tip.unwrap_or_default())
}

/// What a key says, in the words of its option.
fn own_words(
    source: &Source<'_>,
    arg: &Arg,
    key: &Spanned<DeString<'_>>,
    value: &Spanned<DeValue<'_>>,
) -> Result<Vec<OsString>, clap::Error> {
    let long = arg.get_long().unwrap_or_default();
    let name: &str = key.get_ref();
    if matches!(arg.get_action(), ArgAction::SetTrue) {
        return match value.get_ref() {
            DeValue::Boolean(true) => Ok(vec![format!("--{long}").into()]),
            DeValue::Boolean(false) => Ok(Vec::new()),
            _ => Err(source.error(value.span(), format!("`{name}` is true or false"))),
        };
    }
    let word = |value: &Spanned<DeValue<'_>>| {
        let words = scalar(value.get_ref())
            .ok_or_else(|| source.error(value.span(), format!("`{name}` is a text or a number")))?;
        Ok(OsString::from(format!("--{long}={words}")))
    };
    match value.get_ref() {
        DeValue::Array(values) if is_list(arg) => values.iter().map(word).collect(),
        DeValue::Array(_) => Err(source.error(
            value.span(),
            format!("`{name}` takes one value, and no list"),
        )),
        _ => Ok(vec![word(value)?]),
    }
}

fn is_list(arg: &Arg) -> bool {
    let takes_several = arg.get_num_args().is_some_and(|it| it.max_values() > 1);
    arg.get_value_delimiter().is_some() || takes_several
}

/// A value as it is typed.
fn scalar(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) if number.radix() == 10 => Some(number.as_str().to_owned()),
        DeValue::Float(number) => Some(number.as_str().to_owned()),
        _ => None,
    }
}

/// Whether the option takes what is said, judged by itself: what it needs besides is seen when all is known.
fn check(
    source: &Source<'_>,
    command: &Command,
    value: &Spanned<DeValue<'_>>,
    words: &[OsString],
) -> Result<(), clap::Error> {
    let line = [OsString::from(command.get_name())];
    let Err(refused) = command
        .clone()
        .try_get_matches_from(line.iter().chain(words))
    else {
        return Ok(());
    };
    if !matches!(
        refused.kind(),
        ErrorKind::InvalidValue | ErrorKind::ValueValidation | ErrorKind::WrongNumberOfValues
    ) {
        return Ok(());
    }
    let said = refused.to_string();
    let said = said.trim_start_matches("error: ");
    // Behind an empty line stands how to get help.
    let said = said.split("\n\n").next().unwrap_or(said).trim();
    Err(source.error(value.span(), said.replace('\n', "")))
}

/// The rules.
fn rules(source: &Source<'_>, value: &Spanned<DeValue<'_>>) -> Result<Vec<OsString>, clap::Error> {
    let form = "rules are tables: write [[rule]] above each";
    let DeValue::Array(rules) = value.get_ref() else {
        return Err(source.error(value.span(), form));
    };
    let rules = rules.iter().map(|rule| match rule.get_ref() {
        DeValue::Table(table) => one_rule(source, rule.span(), table),
        _ => Err(source.error(rule.span(), form)),
    });
    rules.collect()
}

fn one_rule(
    source: &Source<'_>,
    at: Range<usize>,
    table: &DeTable<'_>,
) -> Result<OsString, clap::Error> {
    let mut copy = None;
    let mut options = String::new();
    for (key, value) in table {
        let name: &str = key.get_ref();
        if name != COPY && !RuleOptions::NAMES.contains(&name) {
            let known = [COPY].into_iter().chain(RuleOptions::NAMES);
            let mut words = unknown(name, known);
            if name == "pool" {
                words.push_str("; the pool (-c) is that of the whole run");
            }
            return Err(source.error(key.span(), words));
        }
        let words = scalar(value.get_ref())
            .ok_or_else(|| source.error(value.span(), format!("`{name}` is a text or a number")))?;
        let refused = |words| source.error(value.span(), words);
        if name == COPY {
            if words.contains(['/', ',']) {
                let form = "one rule without options: each option is a key of its own";
                return Err(refused(form.to_owned()));
            }
            words.parse::<RuleArg>().map_err(refused)?;
            copy = Some(words);
        } else {
            let option = format!("{name}={words}");
            option.parse::<RuleOptions>().map_err(refused)?;
            options.push('/');
            options.push_str(&option);
        }
    }
    let copy = copy.ok_or_else(|| {
        source.error(
            at,
            "this rule does not say what to copy where: write copy = \"80-10.0.0.9:80\"",
        )
    })?;
    Ok(format!("--{RULES}={copy}{options}").into())
}
