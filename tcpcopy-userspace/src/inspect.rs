//! `tcpcopy inspect`: what is in capture files before anybody replays them. It reads them and changes nothing; it needs no right
//! but to read the files.
//!
//! | module | holds |
//! |---|---|
//! | [`connection`] | one TCP connection: who opened it, what was said, in how many requests |
//! | [`connections`] | those that are followed, as many as there is room for |
//! | [`survey`] | what was seen at each port |
//! | [`document`] | what was found, as figures and JSON |
//! | [`table`] | the same for a reader's eye |

mod connection;
mod connections;
mod document;
mod survey;
mod table;
#[cfg(test)]
mod tests;

use std::io::{self, Write as _};

use capture::{Error, Files, Unwrapper};
use command_line::complaint;

use crate::args::InspectArgs;
use document::Document;
use survey::Survey;
use table::Table;

/// Exit status where a file cannot be read as a capture.
const UNUSABLE: u8 = 2;
/// Exit status where no TCP packet is in the files.
const NOTHING: u8 = 3;

/// Looks, tells, and gives the exit status.
pub(crate) fn run(args: &InspectArgs) -> u8 {
    let names = args.files.iter().map(|path| path.display().to_string());
    let looked = Files::open(&args.files, false);
    let document = match looked.and_then(|mut files| look(&mut files, names.collect())) {
        Ok(document) => document,
        Err(error) => return complain(&error.to_string(), UNUSABLE),
    };
    let told = if args.json {
        serde_json::to_string(&document)
            .map(|json| json + "\n")
            .map_err(io::Error::from)
    } else {
        Ok(Table(&document).to_string())
    };
    // Whoever closed our standard output has read enough: `| head`.
    if let Err(error) = told.and_then(|text| io::stdout().write_all(text.as_bytes()))
        && error.kind() != io::ErrorKind::BrokenPipe
    {
        return complain(&format!("cannot write what was found: {error}"), UNUSABLE);
    }
    if document.tcp_packets == 0 {
        return complain(
            "there is no TCP packet in what was read; what there is instead stands above",
            NOTHING,
        );
    }
    0
}

fn complain(words: &str, status: u8) -> u8 {
    // Whoever closed our standard error does not want to hear it.
    let _ = write!(io::stderr(), "{}", complaint(words, "capture-file", None));
    status
}

fn look(files: &mut Files, names: Vec<String>) -> Result<Document, Error> {
    let (mut unwrapper, mut survey) = (Unwrapper::new(), Survey::default());
    while let Some(frame) = files.next()? {
        survey.time.take(frame.at_ns);
        unwrapper.unwrap(&frame, &mut |packet| survey.take(&packet));
    }
    survey.finish();
    Ok(Document::new(
        names,
        &survey,
        files.counts(),
        unwrapper.counts(),
    ))
}
