//! The command `tcpcopy ctl`: finds the run, asks it, says what it answered.

use std::io::{self, Write as _, stdout};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use command_line::complaint::complaint;

use super::message::{Answer, Request, Status};
use super::{line, place};
use crate::args::{CtlArgs, Order, Rate, Setting};

/// How long a run may take to answer: another client may come first.
const ANSWER_MAX: Duration = Duration::from_secs(15);

/// Exit status where the run has refused.
const REFUSED: u8 = 1;
/// Exit status where there is no run to ask.
const NO_RUN: u8 = 2;

/// Asks, prints the answer, and returns the exit status.
pub(crate) fn run(args: &CtlArgs) -> u8 {
    let asked = find(args).and_then(|path| ask(&path, request(&args.order)));
    let answer = match asked {
        Ok(answer) => answer,
        Err(words) => {
            eprint_text(&complaint(&words, "no-run", None));
            return NO_RUN;
        }
    };
    let text = match (&answer, args.json) {
        (_, true) => serde_json::to_string(&answer)
            .map(|line| line + "\n")
            .unwrap_or_default(),
        (Answer::Done { words }, false) => format!("{words}\n"),
        (Answer::Status(status), false) => table(status),
        (Answer::Refused { words }, false) => {
            eprint_text(&complaint(words, "ctl-refused", None));
            return REFUSED;
        }
    };
    // A reader that is gone, as of `| head`, needs no answer any more.
    let _ = stdout().write_all(text.as_bytes());
    match answer {
        Answer::Refused { .. } => REFUSED,
        Answer::Done { .. } | Answer::Status(_) => 0,
    }
}

fn eprint_text(text: &str) {
    let _ = io::stderr().write_all(text.as_bytes());
}

fn request(order: &Order) -> Request {
    match order {
        Order::Status => Request::Status {},
        Order::Set { what } => match *what {
            Setting::Percent { percent, rule } => Request::SetPercent { percent, rule },
            Setting::Copies { copies, rule } => Request::SetCopies { copies, rule },
            Setting::Rate { rate: Rate(rate) } => Request::SetRate { rate },
        },
        Order::Pause => Request::Pause {},
        Order::Resume => Request::Resume {},
        Order::Reload => Request::Reload {},
        Order::Stop => Request::Stop {},
    }
}

/// The socket of the run that is meant.
fn find(args: &CtlArgs) -> Result<PathBuf, String> {
    if let Some(path) = &args.socket {
        return Ok(path.clone());
    }
    let mut runs = place::of_runs();
    if let Some(pid) = args.pid {
        let own = PathBuf::from(place::FOLDER).join(format!("{pid}.sock"));
        return if runs.contains(&own) {
            Ok(own)
        } else {
            Err(format!(
                "process {pid} has no socket in {}: is it a run, and was it started without --ctl?",
                place::FOLDER
            ))
        };
    }
    runs.retain(|it| !place::is_left_over(it));
    match &runs[..] {
        [only] => Ok(only.clone()),
        [] => Err(format!(
            "no run is found in {}: is one going on, and are you the user whose run it is, or root? One that was started with \
             --ctl PATH is named by --socket PATH",
            place::FOLDER
        )),
        several => {
            let pids = several.iter().filter_map(|it| it.file_stem()?.to_str());
            Err(format!(
                "several runs go on: name one by --pid ({})",
                pids.collect::<Vec<_>>().join(", ")
            ))
        }
    }
}

fn ask(path: &Path, request: Request) -> Result<Answer, String> {
    let no = |error: io::Error| {
        let why = match error.kind() {
            io::ErrorKind::NotFound => "there is no such socket: is the run over?".to_owned(),
            io::ErrorKind::ConnectionRefused => "nobody listens there: the run is over".to_owned(),
            io::ErrorKind::PermissionDenied => {
                "only root and the user whose run it is may control it".to_owned()
            }
            io::ErrorKind::TimedOut => "the run does not answer".to_owned(),
            _ => error.to_string(),
        };
        format!("cannot talk to the run at {}: {why}", path.display())
    };
    let mut stream = UnixStream::connect(path).map_err(no)?;
    let line = serde_json::to_vec(&request).map_err(|error| error.to_string())?;
    line::write(&mut stream, line, ANSWER_MAX).map_err(no)?;
    let answer = line::read(&mut stream, ANSWER_MAX).map_err(no)?;
    if answer.is_empty() {
        return Err(no(io::Error::other("it has ended without an answer")));
    }
    serde_json::from_slice(&answer).map_err(|error| {
        format!(
            "the run at {} answers what tcpcopy {} does not know: {error}; use the tcpcopy that it runs",
            path.display(),
            env!("CARGO_PKG_VERSION")
        )
    })
}

/// The status for people.
fn table(status: &Status) -> String {
    let state = match (status.paused, &*status.state) {
        (true, _) => "paused: nothing new is copied",
        (false, state) => state,
    };
    let mut text = format!(
        "{state}, process {}, tcpcopy {}, for {:.0} s\n",
        status.pid, status.version, status.seconds
    );
    for (number, rule) in (1..).zip(&status.rules) {
        let weight = rule.weight.map(|it| format!(", weight {it}"));
        text.push_str(&format!(
            "rule {number}     {}: {} % of the connections, {} session(s) for each{}\n",
            rule.rule,
            rule.percent,
            rule.copies,
            weight.unwrap_or_default()
        ));
    }
    let rate = status
        .rate
        .map_or("no limit".to_owned(), |rate| rate.to_string());
    let fidelity = status
        .fidelity
        .map_or("-".to_owned(), |it| format!("{:.2} %", it * 100.0));
    text.push_str(&format!(
        "rate       {rate} (new sessions per second)\n\
         sessions   {} open, {} connections of them beyond the share of now\n\
         requests   {} captured, {} answered, fidelity {fidelity}\n\
         seed       {}\n\
         changes    {}\n",
        status.sessions_open,
        status.outside_share,
        status.captured,
        status.answered,
        status.seed,
        status.changes
    ));
    text
}

#[cfg(test)]
mod tests {
    use super::{Status, table};
    use crate::ctl::message::RuleStatus;

    #[test]
    fn the_status_is_a_table() {
        let status = Status {
            version: "0.1.0".to_owned(),
            pid: 7,
            state: "copying".to_owned(),
            paused: false,
            seconds: 12.4,
            rules: vec![RuleStatus {
                rule: "port 80 -> 10.0.0.2:80".to_owned(),
                percent: 50.0,
                copies: 2,
                weight: None,
            }],
            rate: None,
            sessions_open: 3,
            captured: 100,
            answered: 99,
            fidelity: Some(0.99),
            outside_share: 1,
            changes: 2,
            seed: "5".to_owned(),
        };
        let text = table(&status);
        for words in [
            "copying, process 7, tcpcopy 0.1.0, for 12 s\n",
            "rule 1     port 80 -> 10.0.0.2:80: 50 % of the connections, 2 session(s) for each\n",
            "rate       no limit",
            "fidelity 99.00 %",
        ] {
            assert!(text.contains(words), "{text}");
        }
        let paused = Status {
            paused: true,
            ..status
        };
        assert!(table(&paused).starts_with("paused: nothing new is copied"));
    }
}
