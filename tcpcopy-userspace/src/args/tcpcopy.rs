//! TCPCopy's letters that are not ours, and what to write instead. Those that mean the same are options like all others.

use command_line::Letter;

/// Those of its `tcpcopy`, releases 0.9 to 1.0, with the options of all its builds.
pub(super) const LETTERS: &[Letter] = &[
    letter(
        "-a",
        "write --speed VALUE: how fast `tcpcopy replay --pcap FILE -x RULE` replays a capture file",
    ),
    letter(
        "-I",
        "write --gap-max VALUEms: longer silences of the file of `tcpcopy replay --pcap FILE -x RULE` are made so short",
    ),
    letter(
        "-F",
        "leave it out: -x says what is captured, in the kernel; there is no other filter",
    ),
    letter(
        "-B",
        "leave it out: there is no capture buffer whose size could be chosen",
    ),
    letter(
        "-S",
        "leave it out: of each packet as much is captured as there is",
    ),
    letter(
        "-o",
        "leave it out: copies leave by the route to the target (`ip route get TARGET` shows it)",
    ),
    letter(
        "-d",
        "leave it out: it runs in the foreground; deploy/systemd has a unit",
    ),
    letter(
        "-P",
        "leave it out: systemd knows the process; deploy/systemd has a unit",
    ),
    letter(
        "-l",
        "leave it out: the log goes to standard error (2> VALUE)",
    ),
    letter(
        "-C",
        "leave it out: one connection to each intercept is enough",
    ),
    letter(
        "-m",
        "write --memory VALUEM: beyond it sessions are shed, and the program does not quit",
    ),
    letter("-M", LEARNED),
    letter("-D", LEARNED),
    letter(
        "-t",
        "write --response-timeout VALUEs: how long a request waits for its response",
    ),
    letter(
        "-k",
        "write --idle-timeout VALUEs: how long a session may be silent",
    ),
    letter(
        "-f",
        "leave it out: where several tcpcopy copy to one target each has a pool of its own (-c)",
    ),
    letter(
        "-p",
        "write -s HOST:VALUE: the port of intercept stands behind its address",
    ),
    letter("-R", NOT_NEEDED),
    letter("-U", NOT_NEEDED),
    letter("-g", NOT_NEEDED),
    letter(
        "-L",
        "leave it out: copying pauses while intercept is away, and goes on by itself",
    ),
    letter(
        "-H",
        "write -c VALUE: the addresses that sessions come from",
    ),
    letter(
        "-u",
        "leave it out: no login is written anew, so MySQL's with a challenge cannot be copied",
    ),
];

/// The same for `tcpcopy record`, which sends nothing: what is said of the sending belongs to the replay of its file.
pub(super) const LETTERS_OF_RECORD: &[Letter] = &[
    letter("-a", "leave it out: say --speed VALUE to `tcpcopy replay`"),
    letter(
        "-I",
        "leave it out: say --gap-max VALUEms to `tcpcopy replay`",
    ),
    letter(
        "-s",
        "leave it out: say -s VALUE to `tcpcopy replay`; packets are recorded whole",
    ),
    letter("-c", "leave it out: say -c VALUE to `tcpcopy replay`"),
    letter("-n", "leave it out: say -n VALUE to `tcpcopy replay`"),
    letter("-r", "leave it out: say -r VALUE to `tcpcopy replay`"),
    letter(
        "-t",
        "leave it out: say --response-timeout VALUEs to `tcpcopy replay`",
    ),
    letter(
        "-k",
        "leave it out: say --idle-timeout VALUEs to `tcpcopy replay`",
    ),
    letter("-H", "leave it out: say -c VALUE to `tcpcopy replay`"),
    letter(
        "-p",
        "leave it out: say -s HOST:VALUE to `tcpcopy replay`, for an intercept at that port",
    ),
    letter(
        "-m",
        "leave it out: at most 80 MiB of records wait for the disk",
    ),
    letter(
        "-F",
        "leave it out: -x says what is recorded, in the kernel; there is no other filter",
    ),
    letter(
        "-B",
        "leave it out: there is no capture buffer whose size could be chosen",
    ),
    letter(
        "-S",
        "leave it out: clients' packets are recorded whole; --responses whole does the same for answers",
    ),
    letter(
        "-d",
        "leave it out: it runs in the foreground (systemd-run tcpcopy record ...)",
    ),
    letter("-P", "leave it out: systemd knows the process"),
    letter(
        "-l",
        "leave it out: the log goes to standard error (2> VALUE)",
    ),
    letter("-C", NOTHING_IS_SENT),
    letter("-M", NOTHING_IS_SENT),
    letter("-D", NOTHING_IS_SENT),
    letter("-f", NOTHING_IS_SENT),
    letter("-R", NOTHING_IS_SENT),
    letter("-U", NOTHING_IS_SENT),
    letter("-g", NOTHING_IS_SENT),
    letter("-L", NOTHING_IS_SENT),
    letter("-u", NOTHING_IS_SENT),
];

const NOTHING_IS_SENT: &str = "leave it out: a recorder sends nothing";
const LEARNED: &str = "leave it out: MTU and MSS are learned from the route and the target";
const NOT_NEEDED: &str = "leave it out: it is not needed";

const fn letter(name: &'static str, words: &'static str) -> Letter {
    Letter { name, words }
}
