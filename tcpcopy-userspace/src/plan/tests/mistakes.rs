//! Mistakes that newcomers made: what they typed, with which exit status it ended, and what the answer has to have in it. The numbers
//! are those of the account of the first contact with this program.
//!
//! Missing here are what needs a host: too few rights (11, 12: `tests/tests/live/rights.rs`), an intercept that is not there (21);
//! and what another program answers (27, 28: `intercept-userspace/src/args.rs`).

use std::ffi::OsString;
use std::net::TcpListener;
use std::{env, fs, process};

use command_line::complaint;

use super::{facts, plan_on};
use crate::args::{CommandLine, Task};

/// Number, what stands behind `tcpcopy`, and what the answer has. All of them end with status 2.
const REFUSED: &[(u8, &str, &[&str])] = &[
    (
        1,
        "-x 80-192.168.0.1",
        &["no port: write 192.168.0.1:PORT", "like 80-10.0.0.9:80"],
    ),
    (
        2,
        "-x 80:10.0.0.9:8080",
        &["there is no '-'", "like 80-10.0.0.9:80"],
    ),
    (
        3,
        "-x 80-host:80",
        &["names are not looked up here", "getent ahosts host"],
    ),
    (
        4,
        "-x 80-10.0.0.9:99999",
        &["\"99999\" is no port", "up to 65535"],
    ),
    (
        5,
        "-x eth0@80-10.0.0.9:80",
        &["write -i eth0 -x 80-10.0.0.9:80"],
    ),
    (
        5,
        "-x 80@00:13:21:B2:5E:42-10.0.0.9:80",
        &["MAC addresses are not needed", "write 80-10.0.0.9:80"],
    ),
    (
        6,
        "-x 2001:db8::1:80-10.0.0.9:80",
        &["write [2001:db8::1]:80"],
    ),
    (7, "-x 0-10.0.0.9:80", &["port 0 cannot be copied"]),
    (
        8,
        "-x 80-10.1.0.9:80,80-10.1.0.9:81",
        &[
            "port 80 -> 10.1.0.9:80",
            "port 80 -> 10.1.0.9:81",
            "leave one out",
            "[rule-unusable]",
        ],
    ),
    (
        9,
        "-x 80-10.0.0.1:80",
        &["is a loop", "name another target", "[rule-unusable]"],
    ),
    (
        10,
        "-x 80-10.9.0.9:80",
        &[
            "no route to the target 10.9.0.9",
            "ip route add",
            "[no-route]",
        ],
    ),
    (
        13,
        "-x 80-10.1.0.9:80 --duration 10",
        &["a number and its unit", "1m30s"],
    ),
    (14, "-x 80-10.1.0.9:80 --duration -5s", &["below zero"]),
    (
        15,
        "-x 80-10.1.0.9:80 --duration 0s",
        &["write more than 0s"],
    ),
    (
        15,
        "-x 80-10.1.0.9:80 --max-cpu 0",
        &["above 0 and up to 100"],
    ),
    (16, "-x 80-10.1.0.9:80 -r 150", &["above 0 and up to 100"]),
    (
        17,
        "-x 80-10.1.0.9:80 --listen web:9524",
        &["127.0.0.1:9524"],
    ),
    (18, "-x 80-10.1.0.9:80 -n 0", &["write 1 to 1000"]),
    (
        18,
        "-x 80-10.1.0.9:80 --sample-bytes 500",
        &["write 0 to 128"],
    ),
    (
        19,
        "-x 80-10.1.0.9:80 -i eth7",
        &["there are: lo, eth0", "[no-interface]"],
    ),
    (
        20,
        "-x 80-10.1.0.9:80 -s 10.0.0.9:36524",
        &["say --insecure", "[insecure]"],
    ),
    (
        22,
        "-x 80-10.1.0.9:80 -n 5 -s 127.0.0.1:36524",
        &["give them a reply pool with -c", "[pool-unusable]"],
    ),
    (
        23,
        "-x 80-10.1.0.9:80 -c 10.1.0.1:33000-40000",
        &["ip_local_reserved_ports=33000-40000", "[pool-ephemeral]"],
    ),
    (
        24,
        "-x 80-10.1.0.9:80 -c 62.135.200.x",
        &["did you forget -s INTERCEPT?", "[pool-not-routed]"],
    ),
    (
        25,
        "-x 80-10.1.0.9:80 -d -C 4 -l f -P f -a 2 -k 3",
        &[
            "-d        leave it out",
            "-C 4      leave it out",
            "-l f      leave it out: the log goes to standard error (2> f)",
            "-P f      leave it out",
            "-a 2      write --speed 2: how fast `tcpcopy replay --pcap FILE",
            "-k 3      write --idle-timeout 3s",
        ],
    ),
    (
        25,
        "-x 80-10.1.0.9:80 -F tcp -B 1 -o eth1 -p 5",
        &[
            "-F tcp    leave it out: -x says",
            "-B 1      leave it out",
            "ip route get TARGET",
            "write -s HOST:5",
        ],
    ),
    (
        25,
        "-x 80-10.1.0.9:80 -t 60 -m 512 -M 1400 -L -I 1",
        &[
            "write --response-timeout 60s",
            "write --memory 512M",
            "MTU and MSS",
            "-L        leave it out",
            "-I 1      write --gap-max 1ms",
        ],
    ),
    (
        26,
        "-x 80-10.1.0.9:80 -i file.pcap",
        &[
            "there is no interface file.pcap",
            "tcpcopy replay --pcap file.pcap -x RULE",
        ],
    ),
    (
        29,
        "report /no/such/file.json -o /no/such/report.html",
        &["/no/such/file.json", "[report]"],
    ),
    (30, "run", &["-x, --copy <RULE>"]),
    (30, "80-10.0.0.9:80", &["did you mean -x 80-10.0.0.9:80?"]),
    (
        30,
        "--target 10.0.0.9",
        &["unexpected argument '--target' found"],
    ),
    (
        30,
        "--x 80-10.0.0.9:80",
        &["there is no option --x: did you mean -x?"],
    ),
    (
        30,
        "-x 80-10.1.0.9:80 foo",
        &["foo belongs to no option, and is no command"],
    ),
];

/// What was refused once, and is what people write.
const TAKEN: &[(u8, &str)] = &[
    (13, "-x 80-10.1.0.9:80 --duration 10min"),
    (
        13,
        "-x 80-10.1.0.9:80 --duration 1m30s --idle-timeout 1d --drain 0s",
    ),
    (17, "-x 80-10.1.0.9:80 --listen 9524"),
    (17, "-x 80-10.1.0.9:80 --listen localhost:9524"),
    (18, "-x 80-10.1.0.9:80 -c 10.1.0.1"),
    (18, "-x 80-10.1.0.9:80 -s 127.0.0.1:36524 -c 62.135.200.*"),
    (30, "run -x 80-10.1.0.9:80 --verbose"),
    // It is said that none will be kept.
    (31, "-x 80-10.1.0.9:80 -W --sample-bytes 16"),
];

/// The answer to a line, and the exit status.
fn answer(line: &str) -> Result<(), (i32, String)> {
    let words = std::iter::once("tcpcopy").chain(line.split(' '));
    let task = CommandLine::read(words.map(OsString::from));
    let task = task.map_err(|error| (error.exit_code(), error.to_string()))?;
    let unusable = |words: String, finding: &str| (2, complaint(&words, finding, None));
    match task {
        Task::Report(args) => telemetry::report::write(&args.summaries, &args.out, false)
            .map_err(|error| unusable(error.to_string(), "report")),
        Task::Run(_) => plan_on(line.trim_start_matches("run "), &facts())
            .map(drop)
            .map_err(|refusal| unusable(refusal.to_string(), refusal.finding())),
        other => panic!("{line}: {other:?}"),
    }
}

#[test]
fn each_answer_says_what_to_do() {
    for (number, line, expected) in REFUSED {
        let (status, text) = answer(line).expect_err(line);
        assert_eq!(status, 2, "{number}: {line}");
        assert!(text.starts_with("error: "), "{number}: {line}: {text}");
        for words in *expected {
            assert!(
                text.contains(words),
                "{number}: {line}: no `{words}` in {text}"
            );
        }
        let tips = text.matches("tip:").count();
        assert_eq!(tips, 0, "{number}: {line}: a tip that far away: {text}");
    }
}

#[test]
fn what_people_write_is_taken() {
    for (number, line) in TAKEN {
        let answer = answer(line);
        assert_eq!(answer, Ok(()), "{number}: {line}");
    }
}

/// 17 and 18: what only the host can tell.
#[test]
fn addresses_in_use_and_folders_that_are_not_there_are_named() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("its address");
    let error = exporter::Bound::bind(&exporter::Place::Tcp(address))
        .expect_err("it is taken")
        .to_string();
    assert!(
        error.contains("choose another port") && error.contains("--listen"),
        "{error}"
    );
    let folder = env::temp_dir().join(format!("no-such-{}", process::id()));
    let file = folder.join("run.json");
    let error = crate::run::check_folder(&file)
        .expect_err("no folder")
        .to_string();
    assert!(
        error.contains("there is no folder") && error.contains("make it"),
        "{error}"
    );
    let error = telemetry::Histograms::create(&folder.join("hgrm")).expect_err("no folder");
    assert!(
        error.to_string().contains("in a folder that there is"),
        "{error}"
    );
    assert!(fs::metadata(&folder).is_err(), "a folder was made");
}
