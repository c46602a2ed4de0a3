//! Which commands are copied, and what is answered to them.

use crate::expect::{AwaitedRedis, Expect, Subscription};
use crate::filter::{Filter, Property};
use crate::glob::Glob;
use crate::module::Module;
use crate::protocol::Protocol;
use crate::redis::commands::Key;
use crate::redis::message::Message;

/// Whether a command is copied.
///
/// What is about the connection is copied whatever `--only` says: without AUTH, SELECT or MULTI those that follow would mean something
/// else.
pub(super) fn is_copied(module: &Module, message: &Message) -> bool {
    let command = message.command();
    if module.read_only && !command.is_safe {
        return false;
    }
    if command.is_of_the_connection {
        return !module.except.iter().any(|filter| is_like(filter, message));
    }
    module.is_wanted(|filter| is_like(filter, message))
        && (message.key().is_some() || !asks_for_key(module) || has_no_key(message))
}

/// Whether a filter is about keys.
pub(super) fn asks_for_key(module: &Module) -> bool {
    let mut filters = module.only.iter().chain(&module.except);
    filters.any(|filter| filter.has(&Property::Key))
}

/// Whether it is known that there is no key that a filter could be about.
fn has_no_key(message: &Message) -> bool {
    match message.command().key {
        Key::None => true,
        // The key is missing, and the server will say so.
        Key::At(at) => message.count <= u64::from(at),
        Key::Unknown => false,
    }
}

fn is_like(filter: &Filter, message: &Message) -> bool {
    let one_of = |patterns: &[Glob], text: &[u8]| patterns.iter().any(|glob| glob.matches(text));
    filter.matches(|key, patterns| match key {
        Property::Command => [message.word(0), message.name()]
            .iter()
            .flatten()
            .any(|name| one_of(patterns, name.as_bytes())),
        Property::Key => message.key().is_some_and(|key| one_of(patterns, key)),
        _ => false,
    })
}

/// Whether the server answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Replies {
    #[default]
    On,
    Off,
    /// Not to the next command.
    Skips,
}

impl Replies {
    /// What is answered to a command; CLIENT REPLY changes that for those that follow.
    pub(super) fn to(&mut self, message: &Message) -> Expect {
        let before = *self;
        if before == Self::Skips {
            *self = Self::On;
        }
        let name = message.name().unwrap_or_default();
        match (name.as_str(), message.word(2).as_deref()) {
            ("reset", _) | ("client|reply", Some("on")) => *self = Self::On,
            ("client|reply", Some("off")) => {
                *self = Self::Off;
                return Expect::Nothing(Protocol::Redis);
            }
            ("client|reply", Some("skip")) if before != Self::Off => {
                *self = Self::Skips;
                return Expect::Nothing(Protocol::Redis);
            }
            _ if before != Self::On => return Expect::Nothing(Protocol::Redis),
            _ => {}
        }
        Expect::Redis(awaited(&name, message.count))
    }
}

fn awaited(name: &str, count: u64) -> AwaitedRedis {
    let channels = u32::try_from(count.saturating_sub(1)).unwrap_or(u32::MAX);
    let subscription = match name {
        "unsubscribe" => Subscription::Channels,
        "punsubscribe" => Subscription::Patterns,
        "sunsubscribe" => Subscription::Shards,
        "subscribe" | "psubscribe" | "ssubscribe" if channels > 0 => {
            return AwaitedRedis::Confirmations(channels);
        }
        "reset" => return AwaitedRedis::Reset,
        _ => return AwaitedRedis::Reply,
    };
    if channels > 0 {
        AwaitedRedis::Confirmations(channels)
    } else {
        AwaitedRedis::UntilNone(subscription)
    }
}

/// Whether what follows a command is a stream without end that is no response to anything.
pub(super) fn leads_to_a_stream(message: &Message) -> bool {
    matches!(
        message.word(0).as_deref(),
        Some("monitor" | "sync" | "psync")
    )
}
