//! Letters of TCPCopy's `intercept` that are not ours, and what to write instead. `-i`, `-p`, `-b` and `-x` are options here.

use command_line::Letter;

/// Those of its releases 1.0 and later, with the options of all its builds. `-q`, the length of a queue, has another meaning here.
pub(super) const LETTERS: &[Letter] = &[
    letter(
        "-F",
        "write -x TARGET_IP:TARGET_PORT: the targets whose replies are consumed stand in the place of a filter",
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
        "-s",
        "leave it out: its tables have the size that they need",
    ),
    letter("-t", "leave it out: what is silent is forgotten by itself"),
    letter("-n", "leave it out: reports travel in batches anyway"),
    letter(
        "-c",
        "leave it out: no peer can end the connection of another one",
    ),
    letter(
        "-D",
        "leave it out: -x has the address and port that the replies really come from",
    ),
];

const fn letter(name: &'static str, words: &'static str) -> Letter {
    Letter { name, words }
}
