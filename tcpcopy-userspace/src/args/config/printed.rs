//! From a command line to a file that says the same.

use std::collections::BTreeMap;

use clap::parser::ValueSource;
use clap::{ArgAction, ArgMatches, Command};

/// The option whose values are rules, each of which is a table.
pub(super) const RULES: &str = "copy";

/// What was said, by the long names of the options; of a flag no value.
pub(super) fn settings(said: &ArgMatches, command: &Command) -> BTreeMap<String, Vec<String>> {
    let mut settings = BTreeMap::new();
    for arg in command.get_arguments().filter(|arg| super::is_key(arg)) {
        let id = arg.get_id().as_str();
        if said.value_source(id) != Some(ValueSource::CommandLine) {
            continue;
        }
        let is_flag = matches!(arg.get_action(), ArgAction::SetTrue);
        let values = { said.get_raw(id).filter(|_| !is_flag) }
            .map(|values| values.map(|it| it.to_string_lossy().into_owned()).collect())
            .unwrap_or_default();
        if let Some(long) = arg.get_long() {
            settings.insert(long.to_owned(), values);
        }
    }
    settings
}

/// The file.
pub(super) fn text(command: &str, settings: &BTreeMap<String, Vec<String>>) -> String {
    let mut text = format!("# For `tcpcopy {command} --config FILE.toml`: docs/config.md\n");
    for (key, values) in settings.iter().filter(|(key, _)| *key != RULES) {
        let value = match &values[..] {
            [] => "true".to_owned(),
            [only] => value(only),
            several => {
                let values: Vec<_> = several.iter().map(|it| value(it)).collect();
                format!("[{}]", values.join(", "))
            }
        };
        text.push_str(&format!("{key} = {value}\n"));
    }
    for rule in settings.get(RULES).into_iter().flatten() {
        let (rule, options) = rule.split_once('/').unwrap_or((rule, ""));
        text.push_str(&format!("\n[[rule]]\ncopy = {}\n", value(rule)));
        let options: BTreeMap<&str, &str> = { options.split('/') }
            .filter_map(|it| it.split_once('='))
            .collect();
        for (name, it) in options {
            text.push_str(&format!("{name} = {}\n", value(it)));
        }
    }
    text
}

/// A number as it stands, and anything else as text.
fn value(text: &str) -> String {
    let is_digits = |it: &str| !it.is_empty() && it.bytes().all(|byte| byte.is_ascii_digit());
    let is_whole = |it: &str| is_digits(it) && (it == "0" || !it.starts_with('0')) && it.len() < 18;
    let is_number = match text.split_once('.') {
        Some((whole, rest)) => is_whole(whole) && is_digits(rest),
        None => is_whole(text),
    };
    if is_number {
        text.to_owned()
    } else {
        quoted(text)
    }
}

/// A basic string of TOML.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => quoted.push_str(&format!("\\U{:08X}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}
