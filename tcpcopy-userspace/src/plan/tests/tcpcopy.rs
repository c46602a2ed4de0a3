//! TCPCopy's usual command lines, typed as they stand in its README and documents: what the answers say is done, and nothing else,
//! until there is a plan.

use std::ffi::OsString;
use std::net::{IpAddr, SocketAddr};

use super::{device, facts};
use crate::args::{CommandLine, Task};
use crate::plan::{Plan, Refusal};

/// As many answers as a user may be expected to read.
const ANSWERS_MAX: usize = 4;

/// TCPCopy's lines; a filter is one word here.
const LINES: [&str; 12] = [
    // README.md, "Running TCPCopy".
    "-x 80-61.135.233.160:8080 -s 61.135.233.161 -c 62.135.200.x",
    // doc/Usage.md, 1 to 3.
    "-x 11311-10.100.10.31:11311 -s 10.100.10.32 -d",
    "-x 3306-172.168.0.17:3306 -s 172.168.0.18 -d",
    "-x 80@00:13:21:B2:5E:42-121.55.111.148:18080@00:0F:1F:03:F2:E6 -s 10.110.12.162 -o eth1 -i eth0",
    // Its --help.
    "-x 80-192.168.0.2:18080",
    "-x 80-192.168.0.2:8080 -n 3",
    "-x 8080-192.168.0.2:8080 -c 192.168.0.1",
    "-x 80-192.168.0.2:8080,10.0.0.1:81-192.168.0.3:81 -r 20",
    // As it is run for years.
    "-x 80-61.135.233.160:8080 -s 61.135.233.161 -c 62.135.200.x -d -C 4 -l tcpcopy.log -P tcpcopy.pid -m 1024",
    "-x 80-10.1.0.9:80 -s 10.1.0.7 -i eth0 -F tcp-and-dst-port-80 -B 64 -S 65535 -t 60 -k 300 -L",
    "-x 80-10.1.0.9:80 -s 10.1.0.7 -p 36525 -c 62.135.200.x -f 2 -M 1400 -D 1460 -n 2",
    "-x 80-10.1.0.9:80 -s 10.1.0.7 -H 62.135.200.x -r 50",
];

/// What is answered: the words of the arguments, or the plan's.
fn answer(line: &str) -> Result<Plan, String> {
    let words = std::iter::once("tcpcopy").chain(line.split_whitespace());
    let task = CommandLine::read(words.map(OsString::from)).map_err(|error| error.to_string())?;
    let Task::Run(args) = task else {
        panic!("{line}: no run");
    };
    let mut facts = facts();
    for rule in &args.rules {
        let target = IpAddr::from(rule.target.addr);
        facts.routes.push((target, device(3, "eth1", "10.1.0.1")));
    }
    let intercept = |address: &String| {
        let socket: SocketAddr = address.parse().expect("an address");
        (address.clone(), vec![socket.ip()])
    };
    facts.elsewhere = args
        .pool
        .iter()
        .map(|pool| (*pool, IpAddr::from(pool.range.prefix)))
        .collect();
    facts.intercepts = args.intercepts.iter().map(intercept).collect();
    Plan::new(&args, &facts).map_err(|refusal: Refusal| refusal.to_string())
}

/// The line after one answer was followed.
fn follow(line: &str, answer: &str) -> String {
    let mut next = line.to_owned();
    let letters = answer.lines().filter_map(|line| line.strip_prefix("  -"));
    for told in letters {
        let (letter, advice) = told.split_once("  ").expect(told);
        let (what, _) = advice.trim_start().split_once(": ").expect(told);
        let instead = match what.strip_prefix("write ") {
            // The port of intercept goes where its address stands already.
            Some(port) if port.starts_with("-s HOST:") => {
                let port = port.replace("-s HOST", "");
                next = next.replace("-s 10.1.0.7", &format!("-s 10.1.0.7{port}"));
                String::new()
            }
            Some(instead) => instead.to_owned(),
            None => {
                assert_eq!(what, "leave it out", "{told}");
                String::new()
            }
        };
        next = next.replace(&format!(" -{letter}"), &format!(" {instead}"));
    }
    if let Some((_, after)) = answer.split_once("invalid value '") {
        let (wrong, after) = after.split_once('\'').expect(answer);
        let (_, right) = after.split_once("write ").expect(answer);
        let right = right.split_whitespace().next().expect(answer);
        next = next.replace(wrong, right);
    }
    if answer.contains("did you forget -s INTERCEPT?") {
        next.push_str(" -s 192.168.0.9:36524");
    }
    if answer.contains("say --insecure") {
        next.push_str(" --insecure");
    }
    next
}

#[test]
fn usual_lines_lead_to_lines_that_work_by_their_answers_alone() {
    for typed in LINES {
        let (mut line, mut told) = (typed.to_owned(), String::new());
        for _ in 0..=ANSWERS_MAX {
            match answer(&line) {
                Ok(plan) => {
                    assert!(!plan.rules.is_empty(), "{line}");
                    told.clear();
                    break;
                }
                Err(words) => {
                    let next = follow(&line, &words);
                    assert_ne!(next, line, "nothing is to be done about: {words}");
                    (line, told) = (next, words);
                }
            }
        }
        assert!(told.is_empty(), "{typed} led to {line} and then: {told}");
    }
}
