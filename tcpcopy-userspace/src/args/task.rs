//! What is to be done: a run, or one of the other commands.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{ArgMatches, Args as _, Command, FromArgMatches as _, Subcommand};
use command_line::letters;

use super::config;
use super::record::RecordArgs;
use super::replay::{self, ReplayArgs};
use super::tcpcopy::{LETTERS, LETTERS_OF_RECORD};
use super::{Args, ControlAt, CtlArgs, RuleArg, heading, rule, screen, teaching};

/// The command line.
pub(crate) struct CommandLine;

/// What is to be done.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Task {
    /// Copies until Ctrl-C: what is meant where no command is named
    #[command(override_usage = "tcpcopy run -x RULE [OPTIONS]")]
    Run(Args),
    /// Checks this host and proves the path to the target, without copying anything
    ///
    /// Takes the options of a run. What a run would refuse is told in the same words, with the command that helps; then
    /// one connection is made to each target through the very programs of a run, and closed without a byte.
    #[command(override_usage = "tcpcopy doctor -x RULE [OPTIONS]", after_help = teaching::DOCTOR_EXIT)]
    Doctor(Args),
    /// Copies from capture files instead of live traffic: record once, replay many times, faster or slower
    ///
    /// Takes the options of a run that speak of the target, and needs the same rights. Which packets are a client's is decided by
    /// -x, as in a live run; without ONLINE_IP every server of the file with that port is meant. What the online server answered stands
    /// in the file, and the target is compared with it. `tcpcopy inspect FILE` shows what is in a file, and needs no rights.
    #[command(override_usage = "tcpcopy replay --pcap FILE... -x RULE [OPTIONS]")]
    Replay(ReplayArgs),
    /// Records what clients ask into a capture file, which `tcpcopy replay` plays as often as you like, and others read
    ///
    /// Nothing is sent, and no target is needed: the programs of a run write down what they see. They never hold a packet up; what
    /// cannot be written fast enough is lost for the file alone, and counted. docs/recording.md has more.
    #[command(override_usage = "tcpcopy record -x [ONLINE_IP:]PORT -o FILE.pcapng [OPTIONS]", after_help = teaching::RECORD_EXIT)]
    Record(RecordArgs),
    /// Shows a file for --config: what --print-config makes of a run
    #[command(skip)]
    PrintConfig(String),
    /// Removes what a run leaves behind where it is killed; for tcpcopy itself
    #[command(hide = true)]
    Janitor,
    /// Says what is in capture files: services, connections, requests, and what a replay would leave out and why
    ///
    /// It needs no right but to read the files, and sends nothing.
    #[command(after_help = teaching::INSPECT_EXIT)]
    Inspect(InspectArgs),
    /// Makes one HTML file of a run's summary, to read and to send; of several summaries, one that compares the runs
    Report(ReportArgs),
    /// Controls a run that goes on: its share, copies and rate, pause, resume, stop
    ///
    /// It talks to the run's socket, /run/tcpcopy/PID.sock unless --ctl named another one, and needs to be root or the user whose
    /// run it is. What is changed stands in the run's summary, with its time. docs/control.md has more.
    #[command(override_usage = "tcpcopy ctl [--pid PID | --socket PATH] ORDER", after_help = teaching::CTL_EXIT)]
    Ctl(CtlArgs),
    /// Makes the key that tcpcopy and intercept prove to each other (--key-file)
    ///
    /// Only its owner can read the file. Copy it to each online server and each assistant, by a way that nobody else reads (scp).
    Keygen(KeygenArgs),
    /// Shows the version
    Version,
}

/// What to look into.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct InspectArgs {
    /// Capture files in their order, read as one: pcap or pcapng, also in gzip or zstd; - is standard input
    #[arg(value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,

    /// Print what was found as one JSON document
    #[arg(long)]
    pub(crate) json: bool,
}

/// What to make a report of.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct ReportArgs {
    /// What --summary of a run wrote; with more than one, each is compared with the first
    #[arg(value_name = "SUMMARY.json", required = true)]
    pub(crate) summaries: Vec<PathBuf>,

    /// Output file: self-contained HTML that loads nothing from the network
    ///
    /// A file that only its owner may read; what is no regular file is not replaced.
    #[arg(short = 'o', long, value_name = "FILE.html")]
    pub(crate) out: PathBuf,

    /// Put payload of responses (--sample-bytes) into the report
    ///
    /// Without this option it has counts only, so that it can be sent to somebody who may not see what clients were answered.
    #[arg(long)]
    pub(crate) with_payload: bool,
}

/// Where to put the key.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct KeygenArgs {
    /// The file to make; one that exists is left alone
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,

    /// Put a new key before the one in FILE, which both ends still take
    ///
    /// Copy the file to all hosts in any order; nothing has to be restarted. When all have it, the line of the old key can go.
    #[arg(long)]
    pub(crate) rotate: bool,
}

impl CommandLine {
    /// What the command line of this process asks for. One that says nothing, or cannot be read, ends the process.
    pub(crate) fn task() -> Task {
        Self::read(std::env::args_os()).unwrap_or_else(|error| error.exit())
    }

    /// What a command line asks for.
    pub(crate) fn read(words: impl IntoIterator<Item = OsString>) -> Result<Task, clap::Error> {
        let mut words: Vec<OsString> = words.into_iter().collect();
        let mut command = Self::command();
        match &mut words[..] {
            [] | [_] => {
                let screen = screen::screen(&command);
                command = command.arg_required_else_help(true).override_help(screen);
            }
            // `-v` is TCPCopy's letter for it.
            [_, only] if only == "-v" || only == "version" => *only = "--version".into(),
            _ => {}
        }
        let typed = words.clone();
        let words = config::expand(words, &command)
            .map_err(|error| command_line::explain(error, &mut command, rule_alone))?;
        let matches = command
            .try_get_matches_from_mut(words)
            .map_err(|error| command_line::explain(error, &mut command, rule_alone))?;
        let mut task = Self::of(&matches).map_err(|error| error.format(&mut command))?;
        if let Task::Run(args) | Task::Doctor(args) = &mut task {
            args.origin = config::origin(&typed, &matches, &command);
        }
        Ok(config::print(&matches, &command).map_or(task, Task::PrintConfig))
    }

    /// What was asked for, of a line that has the form of one.
    fn of(matches: &ArgMatches) -> Result<Task, clap::Error> {
        letters::refuse(matches, LETTERS)?;
        if let Some(("run" | "doctor" | "replay", options)) = matches.subcommand() {
            letters::refuse(options, LETTERS)?;
        }
        if let Some(("record", options)) = matches.subcommand() {
            letters::refuse(options, LETTERS_OF_RECORD)?;
        }
        if let Some(("replay", options)) = matches.subcommand() {
            replay::refuse_live(options)?;
        }
        match matches.subcommand() {
            Some(_) => Task::from_arg_matches(matches).and_then(|task| match task {
                Task::Replay(replay) => replay.into_run().map(Task::Run),
                task => Ok(task),
            }),
            None => Args::from_arg_matches(matches).map(Task::Run),
        }
        .and_then(Self::checked)
    }

    /// What says the opposite of itself, which clap cannot know.
    fn checked(task: Task) -> Result<Task, clap::Error> {
        match &task {
            Task::Run(args) if args.is_live_dry_run() && !args.intercepts.is_empty() => {
                let words = "a dry run sends nothing, so there is no answer for an intercept to take: leave out -s (--intercept)\n";
                Err(clap::Error::raw(ErrorKind::ArgumentConflict, words))
            }
            Task::Run(args)
                if args.is_dry_run_of_files()
                    && matches!(args.control.at(), ControlAt::Path(_)) =>
            {
                let words = "a dry run of files has its own time and nothing to turn meanwhile: leave out --ctl\n";
                Err(clap::Error::raw(ErrorKind::ArgumentConflict, words))
            }
            Task::Run(args) | Task::Doctor(args) => match rule::options::contradiction(&args.rules)
                .or_else(|| args.contradiction_of_modules())
                .or_else(|| args.contradiction_of_comparison())
            {
                Some(words) => {
                    let words = format!("{words}\n");
                    Err(clap::Error::raw(ErrorKind::ArgumentConflict, words))
                }
                None => Ok(task),
            },
            _ => Ok(task),
        }
    }

    /// The options of a run, and the other commands.
    pub(crate) fn command() -> Command {
        let command = Task::augment_subcommands(Args::augment_args(Command::new("tcpcopy")))
            .version(env!("CARGO_PKG_VERSION"))
            .long_version(command_line::LONG_VERSION)
            .about("Copies live TCP traffic of this online server to a target server, and says how the target did")
            .override_usage(teaching::USAGE)
            .after_help("More, with examples: --help")
            .after_long_help(teaching::EXAMPLES)
            .subcommand_negates_reqs(true)
            .args_conflicts_with_subcommands(true)
            .subcommand_help_heading("Commands (without one, a run)");
        complete(command)
    }
}

/// The commands with what derive does not know: TCPCopy's letters, and that most of a run's options say nothing in the doctor's
/// help.
fn complete(command: Command) -> Command {
    letters::add(config::add(command), LETTERS)
        .mut_subcommand("run", |run| letters::add(run, LETTERS))
        .mut_subcommand("record", |record| letters::add(record, LETTERS_OF_RECORD))
        .mut_subcommand("replay", |run| {
            replay::of_live_traffic().fold(letters::add(run, LETTERS), |run, id| {
                run.mut_arg(id, |arg| arg.hide(true))
            })
        })
        .mut_subcommand("doctor", |doctor| {
            letters::add(doctor, LETTERS).mut_args(|arg| {
                let heading = arg.get_help_heading();
                let is_shown = heading.is_none_or(|it| heading::OF_THE_DOCTOR.contains(&it));
                let is_hidden = arg.is_hide_set() || (!is_shown && arg.get_id() != "json");
                arg.hide(is_hidden)
            })
        })
}

/// A rule that stands without its option.
fn rule_alone(word: &str) -> Option<String> {
    word.parse::<RuleArg>()
        .is_ok()
        .then(|| format!("-x {word}"))
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use clap::error::ErrorKind;

    use super::{CommandLine, Task};

    fn parse(line: &str) -> Result<Task, clap::Error> {
        CommandLine::read(line.split(' ').map(OsString::from))
    }

    #[test]
    fn the_command_is_consistent() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn manual_and_completions_name_every_option() {
        assert_eq!(manual::untold(&CommandLine::command()), [""; 0]);
    }

    /// What `kubectl apply -k deploy/kubernetes` has the program read.
    #[test]
    fn the_arguments_of_kubernetes_can_be_read() {
        let line = pages::arguments_of_manifest("tcpcopy");
        let line = line
            .replace("$(RULE)", "80-192.0.2.2:80")
            .replace("$(PERCENT)", "1")
            .replace("$(NODE_IP)", "192.0.2.1");
        assert!(line.contains("--listen 192.0.2.1:9524"), "{line}");
        assert!(matches!(parse(&line), Ok(Task::Run(_))), "{line}");
    }

    #[test]
    fn a_recorder_says_which_letters_are_the_replays() {
        let line = "tcpcopy record -x 80 -o f.pcapng -n 3 -s 10.0.0.3 -d";
        let refusal = parse(line).expect_err(line).to_string();
        for words in [
            "-n 3      leave it out: say -n 3 to `tcpcopy replay`",
            "say -s 10.0.0.3 to `tcpcopy replay`",
            "systemd-run",
        ] {
            assert!(refusal.contains(words), "{words}: {refusal}");
        }
        // Its own -o is a file, as in a report.
        assert!(parse("tcpcopy record -x 80 -o f.pcapng").is_ok());
    }

    #[test]
    fn without_a_command_it_is_a_run() {
        for line in [
            "tcpcopy -x 80-10.0.0.2:80 -n 2",
            "tcpcopy run -x 80-10.0.0.2:80 -n 2",
            "tcpcopy run --copy 80-10.0.0.2:80 --copies 2",
        ] {
            let run = parse(line).expect(line);
            assert!(matches!(run, Task::Run(args) if args.copies == 2), "{line}");
        }
        let doctor = parse("tcpcopy doctor -x 80-10.0.0.2:80 -n 2 --max-cpu 50").unwrap();
        assert!(matches!(doctor, Task::Doctor(args) if args.copies == 2 && args.max_cpu.is_some()));
        for out in ["-o", "--out"] {
            let report = parse(&format!("tcpcopy report a.json b.json {out} r.html")).unwrap();
            assert!(matches!(report, Task::Report(args) if args.summaries.len() == 2));
        }
        for line in [
            "tcpcopy report a.json",
            "tcpcopy report --out r.html",
            "tcpcopy doctor",
            "tcpcopy run",
            "tcpcopy nonsense",
            "tcpcopy -n 2",
            "tcpcopy -x 80-10.0.0.2:80 doctor -x 81-10.0.0.2:81",
        ] {
            assert!(parse(line).is_err(), "{line} was taken");
        }
    }

    #[test]
    fn what_the_pages_show_can_be_typed() {
        let shown = pages::commands_of("tcpcopy");
        assert!(shown.len() > 30, "only {} were found", shown.len());
        let refused: Vec<String> = shown
            .iter()
            .filter_map(|it| {
                let refused = CommandLine::read(it.words.iter().map(OsString::from)).err()?;
                (refused.exit_code() != 0)
                    .then(|| format!("{}: {}\n{refused}", it.place, it.words.join(" ")))
            })
            .collect();
        assert!(refused.is_empty(), "{}", refused.join("\n"));
    }

    /// Each option without its value, twice, beside another one of which it may need a third: what comes back is a task or words.
    #[test]
    fn whatever_is_typed_there_is_an_answer() {
        let mut command = CommandLine::command();
        command.build();
        let run = command.find_subcommand("run").expect("there is one");
        let names: Vec<String> = run
            .get_arguments()
            .filter_map(|option| Some(format!("--{}", option.get_long()?)))
            .collect();
        assert!(names.len() > 40, "{names:?}");
        for first in &names {
            for second in names.iter().chain([&String::new()]) {
                for start in ["tcpcopy", "tcpcopy -x 80-10.0.0.2:80", "tcpcopy doctor"] {
                    let line = format!("{start} {first} {second}");
                    if let Err(error) = parse(&line) {
                        assert!(!error.to_string().is_empty(), "{line}");
                    }
                }
            }
        }
    }

    #[test]
    fn what_is_asked_for_is_shown() {
        for (line, kind, words) in [
            ("tcpcopy -V", ErrorKind::DisplayVersion, "tcpcopy 0."),
            ("tcpcopy -v", ErrorKind::DisplayVersion, "tcpcopy 0."),
            ("tcpcopy --version", ErrorKind::DisplayVersion, "GPL-2.0"),
            ("tcpcopy version", ErrorKind::DisplayVersion, "tcpcopy 0."),
            ("tcpcopy help", ErrorKind::DisplayHelp, "THE TARGET WILL"),
            ("tcpcopy help doctor", ErrorKind::DisplayHelp, "Checks this"),
            ("tcpcopy -h", ErrorKind::DisplayHelp, "--max-new-sessions"),
        ] {
            let shown = parse(line).expect_err(line);
            assert_eq!((shown.kind(), shown.exit_code()), (kind, 0), "{line}");
            assert!(shown.to_string().contains(words), "{line}: {shown}");
        }
    }

    #[test]
    fn who_says_nothing_sees_all_options_on_one_screen() {
        let nothing = parse("tcpcopy").expect_err("nothing is asked for");
        assert_eq!(nothing.exit_code(), 2);
        let screen = nothing.to_string();
        let lines: Vec<&str> = screen.lines().collect();
        assert!(
            lines.len() <= 24 && lines.iter().all(|line| line.len() <= 100),
            "{screen}"
        );
        let command = CommandLine::command();
        for arg in command.get_arguments().filter(|arg| !arg.is_hide_set()) {
            assert!(
                arg.get_help_heading().is_some(),
                "{arg} stands under no heading"
            );
            let long = format!("--{}", arg.get_long().expect("a long name"));
            assert!(screen.contains(&long), "{long} is not in {screen}");
        }
        assert!(screen.contains("-x --copy") && screen.contains("tcpcopy doctor -x RULE"));
    }

    #[test]
    fn the_doctor_has_a_help_of_its_own() {
        let help = parse("tcpcopy doctor --help")
            .expect_err("help")
            .to_string();
        assert!(
            help.contains("--interface") && help.contains("--json"),
            "{help}"
        );
        assert!(
            !help.contains("--max-cpu") && !help.contains("--hgrm"),
            "{help}"
        );
        assert!(
            help.contains("options of a run are taken and checked"),
            "{help}"
        );
    }

    #[test]
    fn a_rule_alone_is_told_its_option() {
        for line in ["tcpcopy 80-10.0.0.2:8080", "tcpcopy -n 2 80-10.0.0.2:8080"] {
            let said = parse(line).expect_err(line).to_string();
            assert!(said.contains("did you mean -x 80-10.0.0.2:8080?"), "{said}");
        }
    }

    #[test]
    fn every_letter_of_tcpcopy_is_known() {
        let ours: Vec<char> = CommandLine::command()
            .get_arguments()
            .filter_map(clap::Arg::get_short)
            .collect();
        // Its 1.x has these, over all builds.
        for letter in "xscnriOWaIFBSodPlCmMDtkfpRUgLHu".chars() {
            assert!(ours.contains(&letter), "-{letter} is not known");
        }
        for command in ["", " run", " doctor"] {
            let line = format!("tcpcopy{command} -d -C 4 -p 36525");
            let said = parse(&line).expect_err(&line).to_string();
            for words in [
                "-C 4      leave it out",
                "-d        leave it out",
                "write -s HOST:36525",
            ] {
                assert!(said.contains(words), "{said}");
            }
        }
    }

    #[test]
    fn old_names_are_taken() {
        let line = "tcpcopy -x 80-10.0.0.2:80 --metrics 127.0.0.1:9524 --rate 5";
        let taken = parse(line).unwrap();
        assert!(
            matches!(taken, Task::Run(args) if args.listen.is_some() && args.max_new_sessions == Some(5))
        );
    }

    /// Words of the code that a stranger would have to learn.
    #[test]
    fn help_has_the_words_of_users() {
        for line in [
            "tcpcopy --help",
            "tcpcopy doctor --help",
            "tcpcopy report --help",
        ] {
            let help = parse(line).expect_err("help").to_string();
            let is_word = |c: char| c.is_alphanumeric() || c == '-' || c == '_';
            let ours = [
                "turn", "turns", "errand", "flow", "flows", "residue", "mend",
            ];
            let found: Vec<&str> = help
                .split(|c| !is_word(c))
                .filter(|word| ours.contains(word))
                .collect();
            assert!(found.is_empty(), "{line}: {found:?}");
        }
    }

    #[test]
    fn help_teaches() {
        let help = CommandLine::command().render_long_help().to_string();
        for word in [
            "Copies live TCP traffic",
            "doctor",
            "What to copy:",
            "To spare this host:",
            "WILL EXECUTE",
            "differ from TCPCopy",
            "Examples:",
            "--min-fidelity",
            "Exit status",
        ] {
            assert!(help.contains(word), "{word} is missing");
        }
    }
}
