//! The log on standard error. It goes through a [`Printer`], so that whoever logs never waits, and nothing that happens to
//! standard error is a failure of the run: closed, full, or a pipe that nobody reads.

use std::env;
use std::io::{self, IsTerminal as _, Write, stderr};
use std::panic;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::{Directive, LevelFilter};
use tracing_subscriber::fmt::MakeWriter;

use crate::Printer;
use crate::printer::LINES_MAX;

/// The variable that says what is logged.
const VARIABLE: &str = "RUST_LOG";

/// Starts the log at this level, unless `RUST_LOG` says otherwise, and gives the printer of standard error for other lines. Words
/// of a panic go the same way.
///
/// # Errors
///
/// Where the process has no descriptor or no thread left.
pub fn start(level: LevelFilter) -> io::Result<Printer> {
    let printer = Printer::for_descriptor(stderr(), LINES_MAX)?;
    let wanted = env::var(VARIABLE).unwrap_or_default();
    let filter = EnvFilter::builder().with_default_directive(Directive::from(level));
    let (filter, misread) = match filter.clone().parse(&wanted) {
        Ok(filter) => (filter, None),
        // Not `from_env_lossy`, which speaks of it on standard error and panics where it cannot.
        Err(error) => (filter.parse_lossy(""), Some(error)),
    };
    tracing_subscriber::fmt()
        .with_writer(Lines(printer.clone()))
        .with_ansi(stderr().is_terminal())
        .with_target(false)
        .with_env_filter(filter)
        .log_internal_errors(false)
        .init();
    if let Some(error) = misread {
        tracing::warn!("{VARIABLE}={wanted} is not understood ({error}) and ignored");
    }
    let of_panics = printer.clone();
    panic::set_hook(Box::new(move |panicked| {
        let thread = std::thread::current();
        let name = thread.name().unwrap_or("without a name").to_owned();
        of_panics.print_surely(format!("thread {name} {panicked}\n").into_bytes());
    }));
    Ok(printer)
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
