//! The command line, checked: what it says becomes an [`Options`] or a reason why it cannot.

use std::collections::HashSet;
use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use clap::{ArgMatches, Command, CommandFactory as _, FromArgMatches as _, Parser};
use command_line::{AccessArgs, LogArgs, letters};
use host::netns::Reference;

mod tcpcopy;

use crate::error::Unusable;
use crate::xdp_mode::XdpMode;
use tcpcopy::LETTERS;

/// Consumes the replies of target servers and reports their headers to tcpcopy.
///
/// Runs on the assistant server, to which the target servers route what they answer. Whatever a target (-x) sends
/// through the interface to anybody but this host is taken by XDP before the network stack sees it and goes no
/// further; the headers travel to those tcpcopy that asked for them.
#[derive(Debug, Parser)]
#[command(
    name = "intercept",
    version,
    long_version = command_line::LONG_VERSION,
    max_term_width = 100,
    override_usage = "intercept -i IFACE -x TARGET_IP:TARGET_PORT[,...] [OPTIONS]",
    after_help = AFTER_HELP
)]
pub(crate) struct Args {
    /// The interface that the targets' replies come in by
    #[arg(short, long, value_name = "IFACE")]
    pub(crate) interface: String,

    /// Work inside another network namespace: NAME as `ip netns` lists it, PID of a process in it, or PATH of its file
    ///
    /// The interface and its addresses are those inside. Outside stay the port for tcpcopy (-b, -p) and the metrics. It takes
    /// CAP_SYS_ADMIN.
    #[arg(long, value_name = "NAME|PID|PATH")]
    pub(crate) netns: Option<Reference>,

    /// Target servers whose replies are consumed
    #[arg(
        short = 'x',
        long = "target",
        required = true,
        value_delimiter = ',',
        value_name = "TARGET_IP:TARGET_PORT[,...]",
        value_parser = command_line::endpoint
    )]
    pub(crate) targets: Vec<SocketAddr>,

    /// Address to wait for tcpcopy on [default: 127.0.0.1; with --key-file or --insecure all addresses of this host]
    #[arg(short, long, value_name = "ADDR")]
    pub(crate) bind: Option<IpAddr>,

    /// Port to wait for tcpcopy on
    #[arg(short, long, value_name = "PORT", default_value_t = channel::PORT_DEFAULT)]
    pub(crate) port: u16,

    /// Speak only to tcpcopy that has a key of this file, and nothing in the clear
    ///
    /// `tcpcopy keygen FILE` makes one; copy it to the online server, and give it to tcpcopy with the same option. Only root, or whom
    /// this runs as, may read it. It is looked at once a second: a changed file holds for the connections that come, and those whose
    /// key is no longer in it are closed.
    #[arg(long, value_name = "FILE", conflicts_with = "insecure")]
    pub(crate) key_file: Option<PathBuf>,

    /// Speak to any tcpcopy without a key, in the clear: only in a network that you trust
    #[arg(long)]
    pub(crate) insecure: bool,

    /// Show metrics at http://ADDR:PORT/metrics for Prometheus, and /ready and /health
    ///
    /// Whoever reaches this address can read them: 127.0.0.1 is a good choice, or unix:PATH, a socket for owner and group alone.
    #[arg(
        id = "listen",
        long = "listen",
        alias = "metrics",
        value_name = "ADDR:PORT|unix:PATH"
    )]
    pub(crate) metrics: Option<exporter::Place>,

    #[command(flatten)]
    pub(crate) access: AccessArgs,

    /// How XDP takes packets; auto tries zero-copy, copy and generic, in this order, and says which it got
    #[arg(long, value_enum, default_value_t = XdpMode::Auto, value_name = "MODE")]
    pub(crate) xdp_mode: XdpMode,

    #[command(flatten)]
    pub(crate) log: LogArgs,
}

impl Args {
    /// What the command line of this process says. One that cannot be read ends the process.
    pub(crate) fn of_process() -> Self {
        Self::read(std::env::args_os()).unwrap_or_else(|error| error.exit())
    }

    /// The options, with TCPCopy's letters that are not ours.
    pub(crate) fn command_line() -> Command {
        letters::add(Self::command(), LETTERS)
    }

    fn read(words: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        let mut words: Vec<OsString> = words.into_iter().collect();
        let mut command = Self::command_line();
        // `-v` is TCPCopy's letter for it.
        if let [_, only] = &mut words[..]
            && (only == "-v" || only == "version")
        {
            *only = "--version".into();
        }
        let matches = command
            .try_get_matches_from_mut(words)
            .map_err(|error| command_line::explain(error, &mut command, target_alone))?;
        let read = |matches: &ArgMatches| {
            letters::refuse(matches, LETTERS)?;
            Self::from_arg_matches(matches)
        };
        read(&matches).map_err(|error| error.format(&mut command))
    }
}

/// A target that stands without its option.
fn target_alone(word: &str) -> Option<String> {
    command_line::endpoint(word)
        .is_ok()
        .then(|| format!("-x {word}"))
}

const AFTER_HELP: &str = "\
Example: assistant server 192.0.2.9, target server 192.0.2.20, sessions from 203.0.113.0/24:

  target$     ip route add 203.0.113.0/24 via 192.0.2.9
  online$     tcpcopy keygen channel.key            (and copy it to the assistant)
  assistant$  intercept -i eth0 -x 192.0.2.20:80 --key-file channel.key
  online$     tcpcopy -x 80-192.0.2.20:80 -s 192.0.2.9 -c 203.0.113.x --key-file channel.key

While intercept does not run, this host must not forward what would have been consumed: keep
net.ipv4.ip_forward at 0, or set a blackhole route for the sessions' prefix.

Logs go to standard error; a line with `ready` says that replies are consumed and tcpcopy can
connect. SIGINT, SIGTERM or SIGHUP (not under nohup) ends it and prints what was counted.
Exit status: 0 done, 1 failed while running, 2 unusable arguments or environment.";

/// A command line that makes sense.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Options {
    /// Where replies come in.
    pub(crate) interface: String,
    /// Whose replies are consumed: 1 to [`channel::TARGETS_MAX`], each once.
    pub(crate) targets: Vec<SocketAddr>,
    /// Where tcpcopy connects.
    pub(crate) listen: SocketAddr,
    /// The network namespace that the interface is in, where that is another one.
    pub(crate) netns: Option<Reference>,
    /// Where metrics are shown.
    pub(crate) metrics: Option<exporter::Place>,
    /// Who may read them.
    pub(crate) access: AccessArgs,
    /// How XDP takes packets.
    pub(crate) xdp_mode: XdpMode,
    /// The keys that a tcpcopy has to prove one of.
    pub(crate) key_file: Option<PathBuf>,
}

impl TryFrom<Args> for Options {
    type Error = Unusable;

    fn try_from(args: Args) -> Result<Self, Unusable> {
        let mut seen = HashSet::new();
        let mut targets = Vec::new();
        for target in args.targets {
            let target = SocketAddr::new(target.ip().to_canonical(), target.port());
            if target.port() == 0 || target.ip().is_unspecified() || target.ip().is_multicast() {
                return Err(Unusable::NotATarget(target));
            }
            if !seen.insert(target) {
                return Err(Unusable::DuplicateTarget(target));
            }
            targets.push(target);
        }
        if targets.len() > channel::TARGETS_MAX {
            return Err(Unusable::TooManyTargets(targets.len()));
        }
        let is_open = args.insecure || args.key_file.is_some();
        let addr = match (args.bind, is_open) {
            (Some(addr), _) => addr,
            (None, false) => Ipv4Addr::LOCALHOST.into(),
            (None, true) => Ipv6Addr::UNSPECIFIED.into(),
        };
        if !is_open && !addr.to_canonical().is_loopback() {
            return Err(Unusable::OpenWithoutKey(addr));
        }
        Ok(Self {
            interface: args.interface,
            targets,
            listen: SocketAddr::new(addr, args.port),
            netns: args.netns,
            metrics: args.metrics,
            access: args.access,
            xdp_mode: args.xdp_mode,
            key_file: args.key_file,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use clap::{CommandFactory as _, Parser as _};

    use super::{Args, Options, Unusable, XdpMode};

    fn options(line: &str) -> Result<Options, Unusable> {
        let words = ["intercept"].into_iter().chain(line.split_whitespace());
        Args::try_parse_from(words)
            .expect("clap accepts it")
            .try_into()
    }

    #[test]
    fn what_the_pages_show_can_be_typed() {
        let shown = pages::commands_of("intercept");
        assert!(shown.len() > 1, "only {} were found", shown.len());
        for it in shown {
            let words = it.words.iter().map(OsString::from);
            match Args::read(words) {
                Ok(args) => {
                    if let Err(refused) = Options::try_from(args) {
                        panic!("{}: {:?}: {refused}", it.place, it.words);
                    }
                }
                Err(refused) => assert_eq!(
                    refused.exit_code(),
                    0,
                    "{}: {:?}: {refused}",
                    it.place,
                    it.words
                ),
            }
        }
    }

    #[test]
    fn the_contract() {
        Args::command().debug_assert();
        let o = options(
            "-i eth0 -x 192.0.2.1:80,[2001:db8::1]:81 -b 192.0.2.9 -p 1 --insecure --listen [::1]:9525 --xdp-mode zero-copy",
        )
        .unwrap();
        assert_eq!(o.interface, "eth0");
        assert_eq!(
            o.targets,
            [
                "192.0.2.1:80".parse().unwrap(),
                "[2001:db8::1]:81".parse().unwrap()
            ]
        );
        assert_eq!(o.listen, "192.0.2.9:1".parse().unwrap());
        assert_eq!(o.metrics, Some("[::1]:9525".parse().unwrap()));
        assert_eq!(o.xdp_mode, XdpMode::ZeroCopy);
        let old =
            "--interface eth0 --target 192.0.2.1:80 --bind 127.0.0.1 --port 2 --metrics [::1]:9525";
        assert!(options(old).unwrap().metrics.is_some());
        let o = options("-i eth0 -x 192.0.2.1:80").unwrap();
        assert_eq!(o.listen, "127.0.0.1:36524".parse().unwrap());
        assert_eq!(o.xdp_mode, XdpMode::Auto);
        let o = options("-i eth0 -x 192.0.2.1:80 --insecure").unwrap();
        assert_eq!(o.listen, "[::]:36524".parse().unwrap());
        assert!(options("-i eth0 -x 192.0.2.1:80 -b ::1").is_ok());
        let o = options("-i eth0 -x 192.0.2.1:80 --key-file k").unwrap();
        assert_eq!(o.listen, "[::]:36524".parse().unwrap());
        assert_eq!(o.key_file, Some("k".into()));
    }

    /// What `kubectl apply -k deploy/kubernetes` has the program read.
    #[test]
    fn the_arguments_of_kubernetes_can_be_read() {
        let line = pages::arguments_of_manifest("intercept");
        let line = line
            .replace("$(INTERFACE)", "eth0")
            .replace("$(TARGETS)", "192.0.2.2:80")
            .replace("$(NODE_IP)", "192.0.2.1");
        let line = line.trim_start_matches("intercept ");
        options(line).unwrap_or_else(|error| panic!("{line}: {error}"));
    }

    #[test]
    fn manual_and_completions_name_every_option() {
        assert_eq!(manual::untold(&Args::command_line()), [""; 0]);
    }

    fn refusal_or_help(line: &str) -> String {
        let words = line.split(' ').map(OsString::from);
        Args::read(words).expect_err(line).to_string()
    }

    fn refusal(line: &str) -> String {
        let words = line.split(' ').map(OsString::from);
        let refusal = Args::read(words).expect_err(line);
        assert_eq!(refusal.exit_code(), 2, "{line}");
        refusal.to_string()
    }

    #[test]
    fn tcpcopys_usual_lines_lead_to_lines_that_work() {
        // Of its README, its documents, and a unit of many years; the filter is one word here.
        for typed in [
            "-i eth0 -F tcp-and-src-port-8080 -d",
            "-i eth0 -F tcp-and-src-port-3306 -d -l intercept.log -P intercept.pid",
            "-i eth0 -F tcp -b 127.0.0.1 -p 36525 -s 65536 -n 16 -c",
        ] {
            let text = refusal(&format!("intercept {typed}"));
            let mut line = typed.to_owned();
            // What an answer says of each letter is done, and nothing else is known here.
            for told in text.lines().filter_map(|line| line.strip_prefix("  -")) {
                let (letter, advice) = told.split_once("  ").expect(told);
                let (what, _) = advice.trim_start().split_once(": ").expect(told);
                let instead = match what.strip_prefix("write ") {
                    Some(instead) => instead.replace("TARGET_IP:TARGET_PORT", "192.0.2.1:8080"),
                    None => String::new(),
                };
                assert!(
                    what == "leave it out" || what.starts_with("write "),
                    "{told}"
                );
                line = line.replace(&format!("-{letter}"), &instead);
            }
            let words = line.split_whitespace().collect::<Vec<_>>().join(" ");
            let options = options(&words).unwrap_or_else(|error| panic!("{line}: {error}"));
            assert_eq!(options.targets.len(), 1, "{line}");
        }
    }

    #[test]
    fn mistakes_are_answered_with_a_way_out() {
        let help = refusal_or_help("intercept --help");
        assert!(
            help.contains("--listen") && help.contains("--key-file"),
            "{help}"
        );
        for (line, words) in [
            ("intercept -i e", "-x, --target <TARGET_IP:TARGET_PORT"),
            ("intercept -x 192.0.2.1:80", "-i, --interface <IFACE>"),
            (
                "intercept -i e -x 192.0.2.1",
                "there is no port: write 192.0.2.1:PORT",
            ),
            ("intercept -i e -x web:80", "names are not looked up here"),
            (
                "intercept -i e -x 192.0.2.1:99999",
                "write a port up to 65535",
            ),
            ("intercept -i e -x 2001:db8::1:80", "write [2001:db8::1]:80"),
            (
                "intercept -i e 192.0.2.1:80",
                "did you mean -x 192.0.2.1:80?",
            ),
        ] {
            let text = refusal(line);
            assert!(text.contains(words), "{line}: {text}");
        }
        let version = Args::read(["intercept", "-v"].map(OsString::from)).expect_err("shown");
        assert_eq!(
            (version.exit_code(), &version.to_string()[..11]),
            (0, "intercept 0")
        );
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_a_remedy() {
        let refusals = [
            ("-i e -x 192.0.2.1:80 -b 0.0.0.0", "--insecure"),
            ("-i e -x 192.0.2.1:80 -b 192.0.2.9", "--insecure"),
            ("-i e -x 192.0.2.1:80 -b 192.0.2.9", "--key-file"),
            ("-i e -x 192.0.2.1:80,192.0.2.1:80", "twice"),
            ("-i e -x 192.0.2.1:80,[::ffff:192.0.2.1]:80", "twice"),
            ("-i e -x 192.0.2.1:0", "192.0.2.1:0"),
            ("-i e -x 0.0.0.0:80", "0.0.0.0:80"),
        ];
        for (line, word) in refusals {
            let error = options(line).unwrap_err().to_string();
            assert!(error.contains(word), "{line}: {error}");
        }
        for line in [
            "intercept",
            "intercept -i e",
            "intercept -i e -x 80",
            "intercept -i e -x host:80",
            "intercept -i e -x 192.0.2.1:80 --listen web:9525",
            "intercept -i e -x 192.0.2.1:80 --key-file k --insecure",
        ] {
            assert_eq!(
                Args::try_parse_from(line.split(' '))
                    .unwrap_err()
                    .exit_code(),
                2,
                "{line}"
            );
        }
    }
}
