//! The command line: what a user can say, and how it is taught.
//!
//! | module | holds |
//! |---|---|
//! | [`task`] | what is to be done: a run, or one of the other commands |
//! | [`config`] | the same in a file |
//! | [`heading`] | under which headings the options stand in the help |
//! | [`screen`] | the short screen of a command line that says nothing |
//! | [`tcpcopy`] | TCPCopy's letters that are not ours |
//! | [`teaching`] | what the help teaches beside the options |
//! | the others | one kind of value each |
//!
//! Letters are TCPCopy's where the meaning is. Parsing checks the form of each value alone; what must fit the
//! host or other values is checked by [`crate::plan`]. A run is what is meant where no command is named.

mod choice;
mod comparing;
mod config;
mod ctl;
mod gates;
mod heading;
mod intercept;
mod interface;
mod join;
mod logins;
mod module;
mod pool;
mod quantity;
mod record;
mod replay;
mod rule;
mod screen;
mod tap;
mod task;
mod tcpcopy;
mod teaching;

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Parser};
use command_line::{AccessArgs, LogArgs};
use host::netns;

pub(crate) use self::record::{RecordArgs, Recording};
pub(crate) use self::replay::FileArgs;
pub(crate) use choice::{Capture, Confirmed, HookChoice, Priority, Progress, Responses};
pub(crate) use comparing::Wanted;
pub(crate) use config::Origin;
pub(crate) use ctl::{ControlArgs, ControlAt, CtlArgs, Order, Rate, Setting};
pub(crate) use interface::{InterfaceArg, Vantage};
pub(crate) use join::JoinArg;
pub(crate) use module::protocol_name;
pub(crate) use pool::{PORT_FIRST, PoolArg};
pub(crate) use rule::RuleArg;
pub(crate) use rule::options::COPIES_MAX;
pub(crate) use task::{CommandLine, InspectArgs, KeygenArgs, ReportArgs, Task};

/// The most `--sample-bytes`.
#[expect(clippy::cast_possible_truncation, reason = "it is 128")]
const SAMPLE_BYTES_MAX: u8 = abi::record::SAMPLE_LEN_MAX as u8;

/// The options of a run.
#[derive(Clone, Debug, Parser)]
#[command(name = "tcpcopy")]
// Clap leaves the group empty where something is flattened, and an empty group reads as no run at all.
#[group(args = ["rules"])]
pub(crate) struct Args {
    /// What to copy where: [ONLINE_IP:]ONLINE_PORT-TARGET_IP:TARGET_PORT[,...]
    ///
    /// Without ONLINE_IP every address of this host is meant, those that it gets while the run goes on included, and no
    /// others: what this host forwards for containers or neighbours is not copied. (On an interface that is named with :host or
    /// :mirror every address that is seen there is meant, but for the targets'.) With ONLINE_IP whatever passes to that
    /// address is copied. IPv6 addresses stand in brackets.
    #[arg(help_heading = heading::WHAT_TO_COPY, short = 'x', long = "copy", value_name = "RULE", required = true, value_delimiter = ',', action = ArgAction::Append)]
    pub(crate) rules: Vec<RuleArg>,

    /// Share of the connections to copy, in percent
    #[arg(help_heading = heading::WHAT_TO_COPY, short = 'r', long = "percent", value_name = "PERCENT", default_value = "100", value_parser = quantity::share)]
    pub(crate) share: f64,

    /// Sessions for each connection
    #[arg(help_heading = heading::WHAT_TO_COPY, short = 'n', long = "copies", value_name = "COPIES", default_value_t = 1, value_parser = quantity::within::<u16>(1, 1000))]
    pub(crate) copies: u16,

    /// Which connections are joined whose beginning was not copied
    ///
    /// Connections that were open before the start, that lost a part of their requests on the way to tcpcopy, or that come back
    /// after --idle-timeout go on at the target with a new connection. That is right where a request stands alone, and wrong where
    /// the connection has state that a new one has not: a login, the database that was chosen, the tables of HTTP/2, keys of TLS.
    /// Connections of PostgreSQL, MySQL and Redis whose sessions log in by themselves (--login) are joined outside of a transaction,
    /// but with never. What is not joined is counted (`missed`, `left_out` in the summary) and named once.
    #[arg(help_heading = heading::WHAT_TO_COPY, long, value_enum, value_name = "WHICH", default_value_t = JoinArg::Standalone)]
    pub(crate) join: JoinArg,

    /// Full sessions only: the same as --join never
    #[arg(help_heading = heading::WHAT_TO_COPY, short = 'O', long = "full-sessions", conflicts_with = "join")]
    pub(crate) full_sessions_only: bool,

    /// Do not wait for responses: send by time only
    #[arg(help_heading = heading::WHAT_TO_COPY, short = 'W', long = "no-wait")]
    pub(crate) no_wait: bool,

    /// Send bytes only once the online server has acknowledged them: what a firewall on this host drops, the target never gets
    ///
    /// Packets are captured before netfilter sees them. `auto` switches this on where a rule of this host's netfilter (drop,
    /// reject, NFQUEUE, or a policy that drops) may hit the service; it takes nft or iptables-save to tell. It costs at most
    /// what the online server delays an acknowledgement by. Without a word `always` is meant.
    #[arg(help_heading = heading::WHAT_TO_COPY, long, value_enum, value_name = "WHEN", num_args = 0..=1, default_value_t = Confirmed::Auto, default_missing_value = "always")]
    pub(crate) confirmed: Confirmed,

    /// Seed of everything random, so that a run takes the same connections again [default: random]
    #[arg(help_heading = heading::WHAT_TO_COPY, long, value_name = "N")]
    pub(crate) seed: Option<u64>,

    #[command(flatten)]
    pub(crate) modules: module::ModuleOptions,

    #[command(flatten)]
    pub(crate) comparing: comparing::ComparisonOptions,

    /// Online interfaces: IFACE[:host|:mirror][,...] [default: those that own the online addresses]
    ///
    /// Where the addresses stand on a dummy device or, like an anycast address, on lo, the default is the device of the default
    /// route. lo is taken as well where a rule's port is listened to on loopback alone (a service behind the proxy of the same
    /// host). Answers are looked for on every device that routes leave by, so they may leave by another one than the requests
    /// came in by.
    ///
    /// A suffix says that packets pass a device another way: IFACE:host is the host's end of a container's link (veth, tap), by
    /// which clients' packets leave and answers come in; at IFACE:mirror, a SPAN port, a TAP or the device of a traffic mirror,
    /// both come in, and nothing is consumed. There no address is this host's own, so a rule without ONLINE_IP means every
    /// address that is seen there: name ONLINE_IP where others use the same port. docs/where.md has a table of places.
    #[arg(help_heading = heading::WHERE_IT_PASSES, short = 'i', long = "interface", value_name = "IFACE", value_delimiter = ',')]
    pub(crate) interfaces: Vec<InterfaceArg>,

    /// Work inside another network namespace: a container's, by the number of one of its processes, for example
    ///
    /// A NAME as `ip netns` lists it, a PID, or the PATH of a file that stands for it. Interfaces, addresses, routes, ports and
    /// firewall are those inside, and the private device lives there. Outside stay the address of --listen, the connection to
    /// intercept (-s), and files. It takes CAP_SYS_ADMIN. docs/containers.md has recipes.
    #[arg(help_heading = heading::WHERE_IT_PASSES, long, value_name = "NAME|PID|PATH")]
    pub(crate) netns: Option<netns::Reference>,

    /// Assistant mode through these intercepts, HOST[:36524] [default: direct mode]
    #[arg(help_heading = heading::WHERE_IT_PASSES, short = 's', long = "intercept", value_name = "HOST[:PORT]", value_delimiter = ',', value_parser = intercept::address)]
    pub(crate) intercepts: Vec<String>,

    /// Addresses that sessions come from: 62.135.200.x, CIDR, or ADDR:LOW-HIGH
    ///
    /// Default in direct mode: this host's address towards the target with ports 10000-32767, less those in use or
    /// reserved; 198.18.0.0/16 for a target on this very host. In assistant mode: the clients' own addresses.
    /// Several are separated by commas; in direct mode those of one address family have at most 64 addresses together. On an address of this host, ports that somebody listens on or
    /// is connected from, and those that the kernel gives to outgoing connections, are left alone; give a run ports of its own
    /// by net.ipv4.ip_local_reserved_ports.
    #[arg(help_heading = heading::WHERE_IT_PASSES, short = 'c', long = "pool", value_name = "POOL", value_delimiter = ',')]
    pub(crate) pool: Vec<PoolArg>,

    /// Use the pool (-c) in direct mode although none of its addresses is this host's: the target routes it here
    ///
    /// Without -s the target's replies have to come back to this host. For addresses that belong to no interface and no route here
    /// that is what a route at the target does (`ip route add 62.135.200.0/24 via THIS_HOST`); without it they go to whoever has
    /// those addresses. The doctor tries it.
    #[arg(help_heading = heading::WHERE_IT_PASSES, long, requires = "pool")]
    pub(crate) pool_is_routed: bool,

    /// All sessions of a client come from one address of the pool (-c): for targets that know their clients by address
    ///
    /// Which one is drawn for each run. Clients share addresses where there are more of them; where an address has no port left
    /// its clients' further sessions come from one of the next, which is counted (`sessions.astray` in the summary).
    #[arg(help_heading = heading::WHERE_IT_PASSES, long, requires = "pool")]
    pub(crate) pool_sticky: bool,

    /// Talk only to intercepts that have a key of this file, and say nothing in the clear
    ///
    /// `tcpcopy keygen FILE` makes one; copy it to the assistant, and give it to intercept with the same option. Only root, or whom
    /// this runs as, may read it. It is looked at once a second; the next connection proves the first key in it, and where that is
    /// refused the second. docs/security.md has more.
    #[arg(help_heading = heading::WHERE_IT_PASSES, long, value_name = "FILE", conflicts_with = "insecure", requires = "intercepts")]
    pub(crate) key_file: Option<PathBuf>,

    /// Talk to an intercept on another host although the channel has no key
    #[arg(help_heading = heading::WHERE_IT_PASSES, long)]
    pub(crate) insecure: bool,

    /// End the run after this time [default: run until SIGINT or SIGTERM]
    #[arg(help_heading = heading::WHEN_TO_STOP, long, value_name = "TIME", value_parser = quantity::time)]
    pub(crate) duration: Option<Duration>,

    /// How long the end waits for open requests
    #[arg(help_heading = heading::WHEN_TO_STOP, long, value_name = "TIME", default_value = "10s", value_parser = quantity::duration)]
    pub(crate) drain: Duration,

    /// Write the summary as JSON to this file, once a second and at the end
    ///
    /// Only its owner may read it. What exists and is no regular file (a device, a pipe, a link) is refused. Where it cannot be
    /// written at the end, the file of before stays as it was and the exit status is 1.
    #[arg(help_heading = heading::WHAT_TO_KEEP, long, value_name = "FILE")]
    pub(crate) summary: Option<PathBuf>,

    /// Show the run at http://ADDR:PORT/ as it goes on, metrics at /metrics for Prometheus, and /ready, /health and
    /// /summary.json
    ///
    /// Whoever reaches this address can read them: 127.0.0.1 is a good choice, or unix:PATH, a socket for owner and group alone.
    /// Payload of responses (--sample-bytes) is not shown there.
    #[arg(help_heading = heading::WHAT_TO_KEEP, long, alias = "metrics", value_name = "ADDR:PORT|unix:PATH")]
    pub(crate) listen: Option<exporter::Place>,

    #[command(flatten, next_help_heading = heading::WHAT_TO_KEEP)]
    pub(crate) access: AccessArgs,

    /// Write histograms of all times into this folder, for the plotters of HdrHistogram: tcpcopy.hlog once a second, and a
    /// .hgrm for each series at the end
    ///
    /// From an hour on, an interval of the log is the 3,600th part of the run so far, so that the log stays small.
    #[arg(help_heading = heading::WHAT_TO_KEEP, long, value_name = "DIR")]
    pub(crate) hgrm: Option<PathBuf>,

    /// Keep the first N payload bytes of every response, online and target, to compare them: status codes of HTTP/1 and
    /// Redis, else the bytes themselves [default: 0; at most 128]
    ///
    /// THIS PUTS RESPONSE PAYLOAD INTO THE SUMMARY FILE and the closing table: what the first differing requests are answered with, up
    /// to N bytes of both responses. With -s it also crosses the channel, which has no encryption. Without this option, and
    /// without --protocol, no byte of a response leaves the kernel. 16 are enough for a status; docs/samples.md has more.
    #[arg(help_heading = heading::WHAT_TO_KEEP, long, value_name = "N", default_value_t = 0, hide_default_value = true, value_parser = quantity::within(0, SAMPLE_BYTES_MAX))]
    pub(crate) sample_bytes: u8,

    /// Show payload of responses (--sample-bytes) in --json and in the closing table too
    #[arg(help_heading = heading::WHAT_TO_KEEP, long)]
    pub(crate) with_payload: bool,

    /// Print a line per second on standard error: rate, fidelity, sessions, times of this second
    #[arg(help_heading = heading::WHAT_TO_KEEP, long, value_enum, value_name = "WHEN", default_value_t = Progress::Auto)]
    pub(crate) progress: Progress,

    /// Print JSON on standard output: the summary as one line, once a second and at the end; the doctor's findings
    ///
    /// Payload of responses (--sample-bytes) is left out: what is printed often ends in a log. The file of --summary has it.
    #[arg(help_heading = heading::WHAT_TO_KEEP, long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) tap: tap::TapArgs,

    #[command(flatten)]
    pub(crate) gates: gates::GateArgs,

    /// Take no new connection while the machine is busier than this, in percent of all its processors
    ///
    /// Sessions that are open go on. Once a worker has none left nothing is recorded for it, so that the online server does not
    /// pay for records either; such packets are counted as `paused`.
    #[arg(help_heading = heading::TO_SPARE_THIS_HOST, long, value_name = "PERCENT", value_parser = quantity::share)]
    pub(crate) max_cpu: Option<f64>,

    /// Most memory for captured bytes that wait to be sent, e.g. 512M [default: an eighth of the free memory, 4M to 4G]
    ///
    /// Near the limit no new connections are copied. At the limit the session that uses most memory is dropped; its requests
    /// count as `shed`.
    ///
    /// Another eighth holds rings and frames (72M for one worker, or less), and another the sessions. Free is what this host has, or
    /// what its control group leaves.
    #[arg(help_heading = heading::TO_SPARE_THIS_HOST, long, value_name = "BYTES", value_parser = quantity::memory)]
    pub(crate) memory: Option<u64>,

    /// Most sessions at a time [default: what an eighth of the free memory holds, 1000 to 1000000]
    ///
    /// Connections above this limit are not copied, but counted. If the pool (-c) runs out of ports first, requests end as
    /// `collision`.
    #[arg(help_heading = heading::TO_SPARE_THIS_HOST, long, value_name = "N", value_parser = quantity::within(1, u32::MAX))]
    pub(crate) max_sessions: Option<u32>,

    /// At most this many new sessions per second [default: no limit]
    #[arg(help_heading = heading::TO_SPARE_THIS_HOST, long, alias = "rate", value_name = "N", value_parser = quantity::within(1, u32::MAX))]
    pub(crate) max_new_sessions: Option<u32>,

    /// At most this many bits per second leave as copies, e.g. 50M or 1G (powers of 1000) [default: no limit]
    ///
    /// Where clients send more, copies are late and none is lost, until --memory is spent; the summary says how often it was
    /// reached (max_bandwidth_reached), and how late they were (lag). It is shared evenly among the workers.
    #[arg(help_heading = heading::TO_SPARE_THIS_HOST, long, value_name = "RATE", value_parser = quantity::bit_rate)]
    pub(crate) max_bandwidth: Option<u64>,

    /// At most this many bits per second are taken of what targets answer [default: half the speed of the slowest link to a
    /// target, 1G where that is not known]
    ///
    /// A target may send no more than the online server has sent to the client, and 256 KiB; this is the limit of all
    /// together. Beyond it targets wait: nothing is lost, their requests count as paced and their times are not compared.
    #[arg(help_heading = heading::TO_SPARE_THIS_HOST, long, value_name = "RATE", value_parser = quantity::bit_rate)]
    pub(crate) max_reply_bandwidth: Option<u64>,

    /// Who waits where processors or memory run short
    #[arg(help_heading = heading::TO_SPARE_THIS_HOST, long, value_enum, value_name = "WHOSE", default_value_t = Priority::Low)]
    pub(crate) priority: Priority,

    /// Worker threads [default: a quarter of the processors, at least 1]
    #[arg(help_heading = heading::TO_SPARE_THIS_HOST, long, value_name = "N", value_parser = quantity::within(1, abi::maps::WORKERS_MAX))]
    pub(crate) workers: Option<u32>,

    /// How packets reach the workers
    #[arg(help_heading = heading::TO_SPARE_THIS_HOST, long, value_enum, default_value_t = Capture::Ring)]
    pub(crate) capture: Capture,

    /// How the programs are attached to interfaces
    ///
    /// Filters outlive a run that is killed, tcx links do not. So with filters another process (`tcpcopy-janitor`) removes them as
    /// soon as the run is gone; should that one be killed too, the programs let every packet pass after 8 s, and the next start
    /// removes what is left (docs/kernels.md).
    #[arg(help_heading = heading::TO_SPARE_THIS_HOST, long, value_enum, value_name = "HOW", default_value_t = HookChoice::Auto)]
    pub(crate) hook: HookChoice,

    /// How long a request waits for a response that the online server gave
    #[arg(help_heading = heading::TIMEOUTS, long, value_name = "TIME", default_value = "30s", value_parser = quantity::time)]
    pub(crate) response_timeout: Duration,

    /// How long a session may be silent before it is closed
    ///
    /// A client that speaks again later goes on with a new connection where its next request stands alone (--join); where it does
    /// not, its requests are counted as `missed`.
    #[arg(help_heading = heading::TIMEOUTS, long, value_name = "TIME", default_value = "10m", value_parser = quantity::time)]
    pub(crate) idle_timeout: Duration,

    #[command(flatten)]
    pub(crate) control: ControlArgs,

    #[command(flatten)]
    pub(crate) log: LogArgs,

    /// The files that the traffic comes from, of a replay.
    #[arg(skip)]
    pub(crate) replay: Option<FileArgs>,

    /// Where the options came from, if a file (--config) had a part in it.
    #[arg(skip)]
    pub(crate) origin: Option<Origin>,
}

impl Args {
    /// Whether live traffic is taken, and nothing is sent.
    pub(crate) const fn is_live_dry_run(&self) -> bool {
        self.tap.is_dry_run() && self.replay.is_none()
    }

    /// Whether files are taken, and nothing is sent.
    pub(crate) const fn is_dry_run_of_files(&self) -> bool {
        self.tap.is_dry_run() && self.replay.is_some()
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, Parser as _};

    use super::{Args, Confirmed, intercept};

    #[test]
    fn the_option_that_keeps_payload_says_so() {
        let args = |line: &str| Args::try_parse_from(line.split(' ')).unwrap();
        assert_eq!(args("tcpcopy -x 80-10.0.0.2:80").sample_bytes, 0);
        let asked = args("tcpcopy -x 80-10.0.0.2:80 --sample-bytes 128");
        assert_eq!(asked.sample_bytes, 128);
        let help = Args::command().render_long_help().to_string();
        let words: Vec<&str> = help.split_whitespace().collect();
        assert!(
            words
                .join(" ")
                .contains("PUTS RESPONSE PAYLOAD INTO THE SUMMARY FILE")
        );
    }

    #[test]
    fn confirmed_without_a_word_is_always() {
        let args = |line: &str| Args::try_parse_from(line.split(' ')).unwrap().confirmed;
        assert_eq!(args("tcpcopy -x 80-10.0.0.2:80"), Confirmed::Auto);
        let always = [
            "tcpcopy --confirmed -x 80-10.0.0.2:80",
            "tcpcopy -x 80-10.0.0.2:80 --confirmed",
            "tcpcopy -x 80-10.0.0.2:80 --confirmed always",
        ];
        assert!(always.iter().all(|line| args(line) == Confirmed::Always));
        let never = args("tcpcopy -x 80-10.0.0.2:80 --confirmed=never");
        assert_eq!(never, Confirmed::Never);
    }

    #[test]
    fn a_full_command_line_is_read() {
        let args = Args::try_parse_from([
            "tcpcopy",
            "-x",
            "80-10.0.0.2:80,[::1]:81-[fd00::2]:8081",
            "-x",
            "10.0.0.1:82-10.0.0.3:82",
            "-i",
            "eth0,eth1:host",
            "-n",
            "2",
            "-c",
            "62.135.200.x",
            "-r",
            "12.5",
            "-O",
            "-W",
            "--capture",
            "af-xdp",
            "--response-timeout",
            "500ms",
            "--idle-timeout",
            "2m",
            "--memory",
            "64M",
            "--drain",
            "3s",
        ])
        .unwrap();
        assert_eq!(args.rules.len(), 3);
        let named: Vec<String> = args.interfaces.iter().map(ToString::to_string).collect();
        assert_eq!(named, ["eth0", "eth1:host"]);
        assert_eq!((args.copies, args.memory), (2, Some(64 << 20)));
        assert!(args.full_sessions_only && args.no_wait);
        assert_eq!(args.join_of(&args.rules[0]), session::Join::Never);
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for line in [
            "tcpcopy",
            "tcpcopy -x 80",
            "tcpcopy -x 80-10.0.0.2:80 -n 0",
            "tcpcopy -x 80-10.0.0.2:80 -r 101",
            "tcpcopy -x 80-10.0.0.2:80 -r NaN",
            "tcpcopy -x 80-10.0.0.2:80 -O --join always",
            "tcpcopy -x 80-10.0.0.2:80 --join some",
            "tcpcopy -x 80-10.0.0.2:80 --workers 65",
            "tcpcopy -x 80-10.0.0.2:80 --sample-bytes 129",
            "tcpcopy -x 80-10.0.0.2:80 --drain 3",
            "tcpcopy -x 80-10.0.0.2:80 --duration 0s",
            "tcpcopy -x 80-10.0.0.2:80 --idle-timeout 0",
            "tcpcopy -x 80-10.0.0.2:80 --max-cpu 0",
            "tcpcopy -x 80-10.0.0.2:80 --max-sessions 0",
            "tcpcopy -x 80-10.0.0.2:80 --memory 3T3",
            "tcpcopy -x 80-10.0.0.2:80 -s :1",
            "tcpcopy -x 80-10.0.0.2:80 -i eth0:outside",
            "tcpcopy -x 80-10.0.0.2:80 -i eth0,:host",
            "tcpcopy -x 80-10.0.0.2:80 --hook xdp",
        ] {
            assert!(
                Args::try_parse_from(line.split(' ')).is_err(),
                "{line} was taken"
            );
        }
    }

    #[test]
    fn intercepts_are_completed() {
        for (text, expected) in [
            ("10.0.0.7", Some("10.0.0.7:36524")),
            ("10.0.0.7:5", Some("10.0.0.7:5")),
            ("assistant", Some("assistant:36524")),
            ("fd00::7", Some("[fd00::7]:36524")),
            ("[fd00::7]", Some("[fd00::7]:36524")),
            ("[fd00::7]:9", Some("[fd00::7]:9")),
            ("assistant:0", None),
            ("assistant:x", None),
            ("fd00::zz:9", None),
            ("", None),
        ] {
            assert_eq!(intercept::address(text).ok().as_deref(), expected, "{text}");
        }
    }
}
