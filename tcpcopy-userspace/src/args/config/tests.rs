//! What a file says is what a command line says, and each mistake has its place.

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::args::{Args, CommandLine, Task};

fn read(line: &str) -> Result<Task, clap::Error> {
    let words = shlex::split(line).expect("words");
    CommandLine::read(words.into_iter().map(OsString::from))
}

fn run(line: &str) -> Args {
    match read(line) {
        Ok(Task::Run(args)) => args,
        other => panic!("{line}: {other:?}"),
    }
}

/// A file that is gone with the test.
struct File(PathBuf);

impl File {
    fn new(text: &str) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("tcpcopy-config-{}-{number}.toml", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::write(&path, text).expect("a file");
        Self(path)
    }

    fn line(&self, more: &str) -> String {
        format!("tcpcopy --config {} {more}", self.0.display())
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn words_of(args: &Args) -> String {
    let args = Args {
        origin: None,
        ..args.clone()
    };
    format!("{args:?}")
}

/// What a file of `--print-config` says is what the command line said.
#[test]
fn what_is_printed_is_read_as_the_same() {
    for line in [
        "tcpcopy -x 80-10.0.0.2:80",
        "tcpcopy -x 80-10.0.0.2:80 -r 12.5 -n 3 -c 10.0.0.0/24,10.1.0.1:1000-2000 --pool-is-routed",
        "tcpcopy -x 80-10.0.0.2:80/percent=10/copies=2,81-10.0.0.3:81/join=never -x [::1]:80-[fd00::2]:80",
        "tcpcopy -x 80-10.0.0.2:80/weight=2,80-10.0.0.3:80/weight=1 --seed 18446744073709551615",
        "tcpcopy -x 80-10.0.0.2:80 -O -W -i eth0,veth1:host --netns /proc/1/ns/net",
        "tcpcopy -x 80-10.0.0.2:80 --confirmed --sample-bytes 64 --with-payload --json",
        "tcpcopy -x 80-10.0.0.2:80 --confirmed=never -s 10.0.0.3,10.0.0.4:36525 --insecure",
        "tcpcopy -x 80-10.0.0.2:80 --duration 1h30m --drain 0s --response-timeout 5s --idle-timeout 1m",
        "tcpcopy -x 80-10.0.0.2:80 --summary 'a \"b\" \\\\ c.json' --title '50' --listen 127.0.0.1:9524",
        "tcpcopy -x 80-10.0.0.2:80 --max-cpu 50 --memory 64M --max-sessions 1000 --rate 5 --max-bandwidth 1G",
        "tcpcopy -x 80-10.0.0.2:80 --min-fidelity 99.9 --max-slower 20% --max-lag 1s --min-requests 1000",
        "tcpcopy -x 80-10.0.0.2:80 --tap t.pcapng --force --ctl none --hook clsact --workers 2 --verbose",
        "tcpcopy run -x 80-10.0.0.2:80 -r 1",
        "tcpcopy replay --pcap a.pcap b.pcap -x 80-10.0.0.2:80 --speed max --loop 3 --seed 007",
    ] {
        let Ok(Task::PrintConfig(text)) = read(&format!("{line} --print-config")) else {
            panic!("{line} was not printed");
        };
        let file = File::new(&text);
        let command = line.split(' ').nth(1).filter(|it| !it.starts_with('-'));
        let again = format!(
            "tcpcopy {} --config {}",
            command.unwrap_or("run"),
            file.0.display()
        );
        assert_eq!(
            words_of(&run(&again)),
            words_of(&run(line)),
            "{line}\n{text}"
        );
        let Ok(Task::PrintConfig(twice)) = read(&format!("{again} --print-config")) else {
            panic!("{again} was not printed");
        };
        assert_eq!(twice, text);
    }
}

#[test]
fn the_command_line_goes_before_the_file() {
    let file = File::new(
        "percent = 10\ncopies = 2\nno-wait = true\nfull-sessions = false\ninterface = [\"eth0\", \"eth1\"]\npool = \"10.0.0.0/24\"\n\n\
         [[rule]]\ncopy = \"80-10.0.0.2:80\"\npercent = 5\n\n[[rule]]\ncopy = \"81-10.0.0.2:81\"\n",
    );
    let args = run(&file.line("-r 20 -i eth2"));
    assert_eq!((args.share, args.copies), (20.0, 2));
    assert!(args.no_wait && !args.full_sessions_only);
    assert_eq!(
        (args.interfaces.len(), args.rules.len(), args.pool.len()),
        (1, 2, 1)
    );
    assert_eq!(args.rules[0].options.percent, Some(5.0));
    assert!(args.origin.is_some());
    let args = run(&file.line("-x 82-10.0.0.2:82"));
    assert_eq!((args.rules.len(), args.share), (1, 10.0));
    assert!(
        matches!(read(&file.line("").replacen("tcpcopy", "tcpcopy doctor", 1)), Ok(Task::Doctor(args)) if args.rules.len() == 2)
    );
    assert!(run("tcpcopy -x 80-10.0.0.2:80").origin.is_none());
}

#[test]
fn each_mistake_is_told_with_its_place() {
    for (text, place, words) in [
        (
            "percnt = 5",
            "1:1",
            "unknown key `percnt`: did you mean percent?",
        ),
        ("\nmax_sessions = 5", "2:1", "did you mean max-sessions?"),
        ("[[rules]]\ncopy = 1", "1:3", "did you mean rule?"),
        ("percent = 500", "1:11", "above 0 and up to 100"),
        (
            "percent = 5\n  copies = \"many\"",
            "2:12",
            "write 1 to 1000",
        ),
        ("percent = [5, 6]", "1:11", "takes one value, and no list"),
        ("no-wait = \"yes\"", "1:11", "`no-wait` is true or false"),
        (
            "join = \"now\"",
            "1:8",
            "possible values: standalone, always, never",
        ),
        ("duration = 5", "1:12", "its unit"),
        ("percent = 5\npercent = 6", "2:1", "duplicate key"),
        ("percent = ", "1:11", ""),
        ("rule = 5", "1:8", "write [[rule]]"),
        ("[[rule]]\npercent = 5", "1:1", "copy = \"80-10.0.0.9:80\""),
        ("[[rule]]\ncopy = \"80\"", "2:8", "there is no '-'"),
        (
            "[[rule]]\ncopy = \"80-10.0.0.2:80/percent=5\"",
            "2:8",
            "a key of its own",
        ),
        (
            "[[rule]]\ncopy = \"80-10.0.0.2:80\"\npercent = 0",
            "3:11",
            "above 0",
        ),
        (
            "[[rule]]\ncopy = \"80-10.0.0.2:80\"\nwieght = 2",
            "3:1",
            "did you mean weight?",
        ),
        (
            "[[rule]]\ncopy = \"80-10.0.0.2:80\"\npool = \"10.0.0.0/24\"",
            "3:1",
            "that of the whole run",
        ),
        ("config = \"other.toml\"", "1:1", "unknown key `config`"),
        ("print-config = true", "1:1", "unknown key `print-config`"),
        ("pcap = \"a.pcap\"", "1:1", "unknown key `pcap`"),
    ] {
        let file = File::new(text);
        let said = read(&file.line("-x 80-10.0.0.2:80")).err();
        let said = said.or_else(|| read(&file.line("")).err());
        let said = said.unwrap_or_else(|| panic!("{text} was taken"));
        assert_eq!(said.exit_code(), 2);
        let said = said.to_string();
        let at = format!("{}:{place}: ", file.0.display());
        assert!(said.contains(&at) && said.contains(words), "{text}: {said}");
    }
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    for (path, words) in [
        ("/nowhere/a.toml", "cannot be read"),
        ("/dev/zero", "more than"),
    ] {
        let said = read(&format!("tcpcopy --config {path}")).expect_err(path);
        let said = said.to_string();
        assert!(said.contains(path) && said.contains(words), "{said}");
    }
    let nothing = File::new("percent = 5");
    let said = read(&nothing.line("")).expect_err("no rule").to_string();
    assert!(said.contains("--copy"), "{said}");
    let said = read("tcpcopy inspect --config a.toml b").expect_err("another command");
    assert!(said.to_string().contains("--config"), "{said}");
}
