//! The log on standard error. It goes through a [`Printer`], so that whoever logs never waits, and nothing that happens to
//! standard error is a failure of the run: closed, full, or a pipe that nobody reads.

use std::fmt::{self, Debug};
use std::io::{self, IsTerminal as _, Write, stderr};
use std::{env, panic};

use tracing::field::Field;
use tracing_subscriber::filter::{Directive, LevelFilter};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::{self, Writer};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _};

use crate::Printer;
use crate::printer::LINES_MAX;

/// The variable that says what is logged.
const VARIABLE: &str = "RUST_LOG";
/// The field of an event that has the name of what was found, as docs/doctor.md lists it.
const FINDING: &str = "finding";

/// How a line is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Time, level, words, and the finding's name in brackets.
    Text,
    /// An object of JSON with these.
    Json,
}

/// Starts the log at this level, unless `RUST_LOG` says otherwise, and gives the printer of standard error for other lines. Words
/// of a panic go the same way.
///
/// # Errors
///
/// Where the process has no descriptor or no thread left.
pub fn start(level: LevelFilter, form: Form) -> io::Result<Printer> {
    let printer = Printer::for_descriptor(stderr(), LINES_MAX)?;
    let wanted = env::var(VARIABLE).unwrap_or_default();
    let filter = EnvFilter::builder().with_default_directive(Directive::from(level));
    let (filter, misread) = match filter.clone().parse(&wanted) {
        Ok(filter) => (filter, None),
        // Not `from_env_lossy`, which speaks of it on standard error and panics where it cannot.
        Err(error) => (filter.parse_lossy(""), Some(error)),
    };
    let lines = tracing_subscriber::fmt::layer()
        .with_target(false)
        .log_internal_errors(false);
    let lines = match form {
        Form::Text => lines
            .with_ansi(stderr().is_terminal())
            .fmt_fields(format::debug_fn(field))
            .with_writer(Lines(printer.clone()))
            .boxed(),
        Form::Json => lines
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_span_list(false)
            .with_writer(Lines(printer.clone()))
            .boxed(),
    };
    tracing_subscriber::registry()
        .with(filter)
        .with(lines)
        .init();
    if let Some(error) = misread {
        tracing::warn!(
            finding = "log-filter",
            "{VARIABLE}={wanted} is not understood ({error}) and ignored"
        );
    }
    let of_panics = printer.clone();
    panic::set_hook(Box::new(move |panicked| {
        let thread = std::thread::current();
        let name = thread.name().unwrap_or("without a name").to_owned();
        of_panics.print_surely(format!("thread {name} {panicked}\n").into_bytes());
    }));
    Ok(printer)
}

/// Writes a field of an event: the words come first, and behind them the finding's name as the doctor writes it.
fn field(writer: &mut Writer<'_>, field: &Field, value: &dyn Debug) -> fmt::Result {
    match field.name() {
        "message" => write!(writer, "{value:?}"),
        FINDING => write!(writer, " [{}]", format!("{value:?}").trim_matches('"')),
        other => write!(writer, " {other}={value:?}"),
    }
}

/// Makes a line of each event.
struct Lines(Printer);

/// One event: it is written at once, and whole.
struct Line<'a>(&'a Printer);

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line(&self.0)
    }
}

impl Write for Line<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.print(bytes.to_vec());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::fmt::format;

    /// What is written, for the test.
    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl Write for Page {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn the_name_of_a_finding_stands_behind_its_words() {
        let page = Page::default();
        let writer = page.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_writer(move || writer.clone())
            .with_ansi(false)
            .with_target(false)
            .without_time()
            .fmt_fields(format::debug_fn(super::field))
            .finish();
        let name = String::from("no-route");
        tracing::subscriber::with_default(subscriber, || {
            tracing::warn!(finding = "loop", "copies \"come\" back");
            tracing::error!(finding = name, "no way");
            tracing::info!("ready");
        });
        let text = String::from_utf8(page.0.lock().unwrap().clone()).unwrap();
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        assert_eq!(
            lines,
            [
                "WARN copies \"come\" back [loop]",
                "ERROR no way [no-route]",
                "INFO ready"
            ]
        );
    }
}
