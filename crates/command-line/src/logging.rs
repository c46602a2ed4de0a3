//! What is logged, and how.

use clap::{Args, ValueEnum};
use process::log::Form;
use tracing_subscriber::filter::LevelFilter;

/// Under which heading the options stand.
const HEADING: &str = "Log";

/// The options for the log on standard error.
#[derive(Clone, Copy, Debug, Args)]
pub struct LogArgs {
    /// How the log is written on standard error
    #[arg(long = "log", value_enum, value_name = "FORM", default_value_t = LogForm::Text, help_heading = HEADING)]
    form: LogForm,

    /// Log warnings and errors alone
    #[arg(short = 'q', long, conflicts_with = "verbose", help_heading = HEADING)]
    quiet: bool,

    /// Say everything that is known: about the start, and what was counted and measured at the end
    ///
    /// RUST_LOG goes before both (`RUST_LOG=warn`, or a level for a part of the program).
    #[arg(short = 'v', long, help_heading = HEADING)]
    pub verbose: bool,
}

/// How the log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum LogForm {
    /// A line of words each
    Text,
    /// An object of JSON a line: timestamp, level, message, and finding where docs/doctor.md has it
    Json,
}

impl LogArgs {
    /// How a line is written.
    #[must_use]
    pub const fn form(&self) -> Form {
        match self.form {
            LogForm::Text => Form::Text,
            LogForm::Json => Form::Json,
        }
    }

    /// The least level that is logged.
    #[must_use]
    pub const fn level(&self) -> LevelFilter {
        match (self.quiet, self.verbose) {
            (true, _) => LevelFilter::WARN,
            (false, true) => LevelFilter::DEBUG,
            (false, false) => LevelFilter::INFO,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use process::log::Form;
    use tracing_subscriber::filter::LevelFilter;

    use super::LogArgs;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        log: LogArgs,
    }

    #[test]
    fn levels_and_forms() {
        for (line, level, form) in [
            ("p", LevelFilter::INFO, Form::Text),
            ("p -q", LevelFilter::WARN, Form::Text),
            ("p --verbose --log json", LevelFilter::DEBUG, Form::Json),
        ] {
            let log = Line::try_parse_from(line.split(' ')).expect(line).log;
            assert_eq!((log.level(), log.form()), (level, form), "{line}");
        }
        assert!(Line::try_parse_from(["p", "-q", "-v"]).is_err());
    }
}
