//! `tcpcopy ctl reload`: the file of `--config` is read again. What can be turned is turned; what cannot is named, and stays as it is.

use std::collections::BTreeMap;

use super::super::Run;
use crate::args::{Args, CommandLine, Origin, RuleArg, Task};
use crate::ctl::message::Answer;
use crate::ctl::server::Peer;
use crate::dials::Dials;

/// What can be turned, by the long names of the options; rules are compared one by one.
const TURNED: [&str; 5] = [
    "copies",
    "copy",
    "max-new-sessions",
    "percent",
    "response-timeout",
];

impl Run<'_> {
    pub(super) fn reload(&mut self, peer: Peer) -> Answer {
        match self.read_again(peer) {
            Ok(words) => Answer::Done { words },
            Err(words) => Answer::Refused { words },
        }
    }

    fn read_again(&mut self, peer: Peer) -> Result<String, String> {
        let Some(origin) = &self.args.origin else {
            return Err(
                "this run was started without --config: there is no file to read again".to_owned(),
            );
        };
        let new = match CommandLine::read(origin.words.iter().cloned()) {
            Ok(Task::Run(new)) => new,
            Ok(_) => return Err("the command line means something else now".to_owned()),
            Err(error) => {
                let words = error.to_string();
                return Err(format!("nothing was changed: {}", words.trim()));
            }
        };
        if !have_same_rules(&self.args.rules, &new.rules) {
            return Err(
                "nothing was changed: the file has other rules, or has them in another order, and rules are settled at the start; \
                 start the run again"
                    .to_owned(),
            );
        }
        let fixed = fixed(self.args, origin, &new);
        let dials = Dials {
            is_paused: self.control.dials.is_paused,
            ..Dials::new(&new)
        };
        let count = self.turn(dials, peer)?;
        let changed = match count {
            0 => "nothing changes".to_owned(),
            count => format!("{count} thing(s) changed, which the log names"),
        };
        if fixed.is_empty() {
            return Ok(changed);
        }
        let words = format!(
            "{changed}; these differ and stay as they were until the run is started again: {}",
            fixed.join(", ")
        );
        if count == 0 { Err(words) } else { Ok(words) }
    }
}

/// Whether both copy the same to the same places, in the same order.
fn have_same_rules(old: &[RuleArg], new: &[RuleArg]) -> bool {
    let places =
        |rules: &[RuleArg]| -> Vec<_> { rules.iter().map(|it| (it.online, it.target)).collect() };
    places(old) == places(new)
}

/// What differs and cannot be turned: names of options.
fn fixed(args: &Args, origin: &Origin, new: &Args) -> Vec<String> {
    let empty = BTreeMap::new();
    let settings = new.origin.as_ref().map_or(&empty, |it| &it.settings);
    let names = origin.settings.keys().chain(settings.keys());
    let mut fixed: Vec<String> = names
        .filter(|name| !TURNED.contains(&name.as_str()))
        .filter(|name| origin.settings.get(*name) != settings.get(*name))
        .cloned()
        .collect();
    let joins = args.rules.iter().zip(&new.rules);
    if joins
        .clone()
        .any(|(old, new)| old.options.join != new.options.join)
    {
        fixed.push("join of a rule".to_owned());
    }
    fixed.sort();
    fixed.dedup();
    fixed
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::fs;

    use super::{fixed, have_same_rules};
    use crate::args::{Args, CommandLine, Task};

    fn read(text: &str) -> Args {
        let path = std::env::temp_dir().join(format!("tcpcopy-reload-{}", std::process::id()));
        fs::write(&path, text).unwrap();
        let line = format!("tcpcopy --config {}", path.display());
        let task = CommandLine::read(line.split(' ').map(OsString::from));
        fs::remove_file(&path).unwrap();
        match task {
            Ok(Task::Run(args)) => args,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn what_cannot_be_turned_is_named() {
        let rule = "[[rule]]\ncopy = \"80-10.0.0.2:80\"\n";
        let old = read(&format!("percent = 5\nworkers = 1\n{rule}"));
        let names = |text: &str| fixed(&old, old.origin.as_ref().unwrap(), &read(text));
        assert!(
            names(&format!(
                "percent = 50\ncopies = 2\nworkers = 1\n{rule}percent = 7\n"
            ))
            .is_empty()
        );
        assert_eq!(
            names(&format!(
                "workers = 2\npool = \"10.0.0.0/24\"\n{rule}join = \"never\"\n"
            )),
            ["join of a rule", "pool", "workers"]
        );
        assert_eq!(names(&format!("percent = 5\n{rule}")), ["workers"]);
        let other = read("[[rule]]\ncopy = \"80-10.0.0.3:80\"\n");
        assert!(
            have_same_rules(&old.rules, &old.rules) && !have_same_rules(&old.rules, &other.rules)
        );
    }
}
