//! The commands that there are. What is not known to read only may write.

use std::collections::HashMap;
use std::sync::LazyLock;

/// Longest name of a command or of a subcommand, in bytes, that may be in the table.
pub(super) const NAME_MAX: usize = 32;

/// Commands that are about the connection, and neither read data nor change any. Without them those that follow would mean
/// something else, so that filters are not asked for them unless `--except` names them.
const OF_THE_CONNECTION: [&str; 13] = [
    "asking",
    "auth",
    "client|reply",
    "client|setinfo",
    "client|setname",
    "discard",
    "exec",
    "hello",
    "multi",
    "quit",
    "readonly",
    "readwrite",
    "reset",
];
/// Commands with neither flag that are known to change nothing, neither data nor settings.
const HARMLESS: [&str; 45] = [
    "client|caching",
    "client|getname",
    "client|getredir",
    "client|help",
    "client|id",
    "client|info",
    "client|list",
    "client|tracking",
    "client|trackinginfo",
    "cluster|countkeysinslot",
    "cluster|getkeysinslot",
    "cluster|help",
    "cluster|info",
    "cluster|keyslot",
    "cluster|links",
    "cluster|myid",
    "cluster|nodes",
    "cluster|replicas",
    "cluster|shards",
    "cluster|slaves",
    "cluster|slots",
    "command",
    "command|count",
    "command|docs",
    "command|getkeys",
    "command|getkeysandflags",
    "command|info",
    "command|list",
    "echo",
    "info",
    "lastsave",
    "ping",
    "psubscribe",
    "pubsub|channels",
    "pubsub|numpat",
    "pubsub|numsub",
    "punsubscribe",
    "role",
    "ssubscribe",
    "subscribe",
    "sunsubscribe",
    "time",
    "unsubscribe",
    "unwatch",
    "watch",
];

/// The table, as a server tells it.
static TABLE: LazyLock<HashMap<&'static str, Command>> =
    LazyLock::new(|| read(include_str!("commands.txt")));

/// What is known of a command.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Command {
    /// Whether it changes nothing.
    pub is_safe: bool,
    /// Whether those that follow depend on it.
    pub is_of_the_connection: bool,
    /// Where its first key stands among its words, the name being the first of them, 0.
    pub key: Key,
}

/// Where the first key of a command stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Key {
    /// It has none.
    None,
    /// At this place.
    At(u8),
    /// Behind some word: it is not looked for.
    #[default]
    Unknown,
}

/// What is known of a command, by its name in small letters, `|` and its subcommand behind it where it has some. Of one that is not in the table
/// nothing is.
#[must_use]
pub fn find(name: &str) -> Command {
    TABLE.get(name).copied().unwrap_or_default()
}

/// Whether a command has subcommands.
#[must_use]
pub(super) fn is_container(name: &str) -> bool {
    CONTAINERS.contains(&name)
}

const CONTAINERS: [&str; 15] = [
    "acl", "client", "cluster", "command", "config", "function", "latency", "memory", "module",
    "object", "pubsub", "script", "slowlog", "xgroup", "xinfo",
];

fn read(table: &'static str) -> HashMap<&'static str, Command> {
    let mut commands = HashMap::new();
    for line in table.lines().filter(|line| !line.starts_with('#')) {
        let mut words = line.split(' ');
        let (Some(name), Some(flag), Some(key)) = (words.next(), words.next(), words.next()) else {
            continue;
        };
        let is_of_the_connection = name == "select" || OF_THE_CONNECTION.contains(&name);
        let command = Command {
            is_safe: is_of_the_connection || flag == "read" || HARMLESS.contains(&name),
            is_of_the_connection,
            key: match key {
                "-" => Key::None,
                _ => key.parse().map_or(Key::Unknown, Key::At),
            },
        };
        commands.insert(name, command);
    }
    // Of Redis 7.2.
    commands.insert("client|setinfo", commands["client|setname"]);
    commands
}

#[cfg(test)]
mod tests {
    use super::{
        CONTAINERS, Command, HARMLESS, Key, NAME_MAX, OF_THE_CONNECTION, TABLE, find, is_container,
    };
    use std::collections::BTreeSet;

    #[test]
    fn the_table_is_whole() {
        let lines: Vec<&str> = include_str!("commands.txt").lines().skip(2).collect();
        assert_eq!(lines.len(), 352);
        assert!(lines.is_sorted());
        for line in &lines {
            let words: Vec<&str> = line.split(' ').collect();
            assert!(matches!(words[1], "read" | "write" | "other"), "{line}");
            assert!(words[0].split('|').all(|name| name.len() <= NAME_MAX));
        }
        let containers: BTreeSet<&str> = lines
            .iter()
            .filter_map(|line| Some(line.split_once('|')?.0))
            .collect();
        assert_eq!(containers, BTreeSet::from(CONTAINERS));
        assert!(CONTAINERS.into_iter().all(is_container));
        for name in HARMLESS.iter().chain(&OF_THE_CONNECTION) {
            assert!(TABLE.contains_key(name), "{name}");
        }
    }

    #[test]
    fn what_is_safe() {
        for name in [
            "get",
            "mget",
            "eval_ro",
            "xinfo|stream",
            "select",
            "multi",
            "ping",
            "object|encoding",
            "client|setinfo",
        ] {
            assert!(find(name).is_safe, "{name}");
        }
        for name in [
            "set",
            "getdel",
            "getex",
            "sort",
            "eval",
            "evalsha",
            "fcall",
            "publish",
            "config|set",
            "config|get",
            "flushall",
            "debug",
            "shutdown",
            "script|load",
            "client|kill",
            "cluster|reset",
            "georadius",
            "json.get",
            "xinfo",
            "client",
            "",
            "GET",
        ] {
            assert!(!find(name).is_safe, "{name}");
        }
    }

    #[test]
    fn where_the_first_key_is() {
        for (name, key) in [
            ("get", Key::At(1)),
            ("object|encoding", Key::At(2)),
            ("bitop", Key::At(2)),
            ("eval", Key::At(3)),
            ("zunion", Key::At(2)),
            ("xread", Key::Unknown),
            ("ping", Key::None),
            ("no such", Key::Unknown),
        ] {
            assert_eq!(find(name).key, key, "{name}");
        }
        assert_eq!(find("no such"), Command::default());
    }
}
