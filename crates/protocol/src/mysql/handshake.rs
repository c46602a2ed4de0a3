//! The greeting of a server and its answer, and what both agree upon: *capabilities*, those of MariaDB alone in the upper half.

use super::fields::{Fields, long};
use crate::expect::MysqlFormat;
use crate::opening::MysqlOpening;

/// Of `MySQL` alone; MariaDB, without it, says its own capabilities elsewhere.
pub(super) const MYSQL: u64 = 1;
pub(super) const WITH_DATABASE: u64 = 1 << 3;
const COMPRESS: u64 = 1 << 5;
pub(super) const PROTOCOL_41: u64 = 1 << 9;
const SSL: u64 = 1 << 11;
pub(super) const SECURE: u64 = 1 << 15;
const MULTI_STATEMENTS: u64 = 1 << 16;
const MULTI_RESULTS: u64 = 1 << 17;
pub(super) const PLUGIN: u64 = 1 << 19;
pub(super) const ATTRIBUTES: u64 = 1 << 20;
pub(super) const LONG_PROOF: u64 = 1 << 21;
const DEPRECATE_EOF: u64 = 1 << 24;
const OPTIONAL_METADATA: u64 = 1 << 25;
const ZSTD: u64 = 1 << 26;
pub(super) const QUERY_ATTRIBUTES: u64 = 1 << 27;
const SEVERAL_PROOFS: u64 = 1 << 28;
const EXTENDED: u64 = 1 << 29;
const VERIFY: u64 = 1 << 30;
const REMEMBER: u64 = 1 << 31;
const BULK: u64 = 1 << 34;
const CACHE_METADATA: u64 = 1 << 36;

/// What a session of ours never agrees upon.
const NEVER: u64 = SSL | COMPRESS | ZSTD | SEVERAL_PROOFS | EXTENDED | VERIFY | REMEMBER;
/// What a session of ours always agrees upon, where the target has it.
const ALWAYS: u64 = PROTOCOL_41 | SECURE | PLUGIN;
/// Without these the client's messages mean something else, or nothing.
const NEEDED: [(u64, &str); 5] = [
    (PROTOCOL_41, "the protocol of version 4.1"),
    (MULTI_STATEMENTS, "several statements in a query"),
    (MULTI_RESULTS, "several results of a query"),
    (QUERY_ATTRIBUTES, "attributes of queries"),
    (BULK, "statements executed in bulk"),
];

/// What a server says first.
#[derive(Debug)]
pub(super) struct Greeting {
    pub(super) capabilities: u64,
    /// What a proof of a password is made for.
    pub(super) nonce: Vec<u8>,
    /// How the server would like the password to be proven.
    pub(super) plugin: Vec<u8>,
}

impl Greeting {
    pub(super) fn parse(payload: &[u8]) -> Option<Self> {
        let mut fields = Fields(payload);
        if fields.u8()? != 10 {
            return None;
        }
        fields.string()?;
        fields.u32()?;
        let mut nonce = fields.take(8)?.to_vec();
        fields.u8()?;
        let lower = fields.u16()?;
        let Some(_character_set) = fields.u8() else {
            return Some(Self {
                capabilities: u64::from(lower),
                nonce,
                plugin: Vec::new(),
            });
        };
        fields.u16()?;
        let mut capabilities = u64::from(lower) | u64::from(fields.u16()?) << 16;
        let nonce_len = usize::from(fields.u8()?);
        fields.take(6)?;
        let extended = fields.u32()?;
        if capabilities & MYSQL == 0 {
            capabilities |= u64::from(extended) << 32;
        }
        if capabilities & SECURE != 0 {
            let rest = fields.take(nonce_len.saturating_sub(8).max(13))?;
            nonce.extend_from_slice(rest.strip_suffix(b"\0").unwrap_or(rest));
        }
        let plugin = if capabilities & PLUGIN == 0 {
            b"mysql_native_password".to_vec()
        } else {
            // One that older servers leave without its zero.
            fields.string().unwrap_or(fields.0).to_vec()
        };
        Some(Self {
            capabilities,
            nonce,
            plugin,
        })
    }
}

/// What a client answers.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// It wants to be encrypted.
    Encrypted,
    /// What it opens its connection with.
    Opening(MysqlOpening),
}

/// Reads a client's answer. `server` are the capabilities of the greeting, where it was seen.
pub(super) fn answer(payload: &[u8], server: Option<u64>) -> Option<Answer> {
    let mut fields = Fields(payload);
    let mut capabilities = u64::from(fields.u32()?);
    if capabilities & PROTOCOL_41 == 0 {
        return None;
    }
    let packet_len_max = fields.u32()?;
    let character_set = fields.u8()?;
    fields.take(19)?;
    let extended = fields.u32()?;
    if capabilities & MYSQL == 0 {
        capabilities |= u64::from(extended) << 32;
    }
    capabilities &= server.unwrap_or(u64::MAX);
    if capabilities & SSL != 0 {
        return Some(Answer::Encrypted);
    }
    let user = fields.string()?.to_vec();
    if capabilities & LONG_PROOF != 0 {
        fields.long()?;
    } else if capabilities & SECURE != 0 {
        let len = fields.u8()?;
        fields.take(usize::from(len))?;
    } else {
        fields.string()?;
    }
    let database = (capabilities & WITH_DATABASE != 0)
        .then(|| fields.string())
        .flatten();
    if capabilities & PLUGIN != 0 {
        // Some clients leave it out at the end.
        let _ = fields.string();
    }
    let attributes = (capabilities & ATTRIBUTES != 0)
        .then(|| fields.long())
        .flatten();
    Some(Answer::Opening(MysqlOpening {
        capabilities,
        packet_len_max,
        character_set,
        user,
        database: database.filter(|name| !name.is_empty()).map(<[u8]>::to_vec),
        attributes: attributes.unwrap_or_default().to_vec(),
        commits: None,
    }))
}

/// Reads a `COM_CHANGE_USER`, behind its first byte: an opening like the one before, with another user.
pub(super) fn change(payload: &[u8], before: &MysqlOpening) -> Option<MysqlOpening> {
    let mut fields = Fields(payload);
    let user = fields.string()?.to_vec();
    if before.capabilities & SECURE != 0 {
        let len = fields.u8()?;
        fields.take(usize::from(len))?;
    } else {
        fields.string()?;
    }
    let database = fields.string()?.to_vec();
    let character_set = fields.u16();
    if before.capabilities & PLUGIN != 0 {
        let _ = fields.string();
    }
    let attributes = (before.capabilities & ATTRIBUTES != 0)
        .then(|| fields.long())
        .flatten();
    Some(MysqlOpening {
        user,
        database: Some(database).filter(|name| !name.is_empty()),
        // A handshake has room for a number below 256; those above are of collations of the same character sets.
        character_set: character_set
            .and_then(|set| u8::try_from(set).ok())
            .unwrap_or(before.character_set),
        attributes: attributes.map_or_else(|| before.attributes.clone(), <[u8]>::to_vec),
        commits: before.commits.map(|_| true),
        ..before.clone()
    })
}

/// Whether a client's bytes are compressed once it is in.
pub(super) fn is_compressed(capabilities: u64) -> bool {
    capabilities & (COMPRESS | ZSTD) != 0
}

/// What is agreed upon without its having been seen: of what only some servers have, what the target has.
pub(super) fn unseen(client: u64, target: u64) -> u64 {
    client & (target | !BULK)
}

/// How responses are written.
pub(super) fn format(capabilities: u64) -> MysqlFormat {
    MysqlFormat {
        deprecates_eof: capabilities & DEPRECATE_EOF != 0,
        leaves_out: capabilities & OPTIONAL_METADATA != 0,
        caches: capabilities & CACHE_METADATA != 0,
        is_unseen: false,
    }
}

/// What a session agrees upon with a target that has these capabilities, where its client has agreed upon those with the online server. What cannot
/// be had is told.
pub(super) fn agree(client: u64, target: u64, has_database: bool) -> Result<u64, &'static str> {
    let lacks = |(flag, _): &&(u64, &str)| client & flag & !target != 0;
    if let Some((_, what)) = NEEDED.iter().find(lacks) {
        return Err(what);
    }
    let mut agreed = (client & !NEVER | ALWAYS) & target & !WITH_DATABASE;
    if has_database {
        agreed |= WITH_DATABASE;
    }
    if agreed & MYSQL != 0 {
        agreed &= u64::from(u32::MAX);
    }
    Ok(agreed)
}

/// An answer to a greeting.
pub(super) fn write(opening: &MysqlOpening, agreed: u64, proof: &[u8], plugin: &[u8]) -> Vec<u8> {
    let [lower, extended] =
        [agreed, agreed >> 32].map(|half| u32::try_from(half & u64::from(u32::MAX)).unwrap_or(0));
    let mut payload = lower.to_le_bytes().to_vec();
    payload.extend_from_slice(&opening.packet_len_max.to_le_bytes());
    payload.push(opening.character_set);
    payload.extend_from_slice(&[0; 19]);
    payload.extend_from_slice(&extended.to_le_bytes());
    payload.extend_from_slice(&opening.user);
    payload.push(0);
    if agreed & (LONG_PROOF | SECURE) != 0 {
        // Ours are all shorter than what needs more than a byte.
        payload.extend_from_slice(&long(proof));
    } else {
        payload.push(0);
    }
    if let Some(database) = opening
        .database
        .as_ref()
        .filter(|_| agreed & WITH_DATABASE != 0)
    {
        payload.extend_from_slice(database);
        payload.push(0);
    }
    if agreed & PLUGIN != 0 {
        payload.extend_from_slice(plugin);
        payload.push(0);
    }
    if agreed & ATTRIBUTES != 0 {
        payload.extend_from_slice(&long(&opening.attributes));
    }
    payload
}

/// Whether a flow whose client begins with `bytes` speaks `MySQL`; `None` where too little is there to tell. The server has spoken before.
pub(crate) fn looks_like(bytes: &[u8]) -> Option<bool> {
    // A packet of 32 bytes at least and 64 KiB at most, and the second of its dialogue.
    if bytes.get(2).is_some_and(|upper| *upper > 1)
        || bytes.get(3).is_some_and(|number| *number != 1)
    {
        return Some(false);
    }
    let head = bytes.get(..36)?;
    let [a, b, c, _, capabilities @ ..] = head.first_chunk::<8>()?;
    let len = u32::from_le_bytes([*a, *b, *c, 0]);
    let is_41 = u64::from(u32::from_le_bytes(*capabilities)) & PROTOCOL_41 != 0;
    Some(len >= 32 && is_41 && head[13..32].iter().all(|byte| *byte == 0))
}

#[cfg(test)]
mod tests;
