//! `tcpcopy report`: the report of one run or of several, as a file. The work is done in [`telemetry::report`].

use std::io::{Write, stderr};

use command_line::complaint;

use crate::args::ReportArgs;

/// Exit status where a summary is unusable or the report cannot be written; nothing was changed then.
const UNUSABLE: u8 = 2;

/// Makes the report; gives the exit status.
pub(crate) fn run(args: &ReportArgs) -> u8 {
    match telemetry::report::write(&args.summaries, &args.out, args.with_payload) {
        Ok(()) => 0,
        Err(error) => {
            // Whoever closed our standard error does not want to hear it.
            let text = complaint(&error.to_string(), "report", None);
            let _ = write!(stderr(), "{text}");
            UNUSABLE
        }
    }
}
