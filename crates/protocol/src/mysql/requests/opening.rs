//! The beginning of a connection, and a change of its user: what the client says to be let in.

use zeroize::Zeroizing;

use super::super::handshake::{self, Answer, Greeting};
use crate::expect::MysqlFormat;
use crate::opening::{MysqlOpening, Opening};
use crate::parts::{Part, Why};

/// Longest answer to a greeting that is read, in bytes: what a client says of itself has 64 KiB.
pub const OPENING_LEN_MAX: usize = 80 << 10;

/// How far the beginning has got.
#[derive(Debug, Default)]
pub(super) struct Stage {
    /// What the greeting offers, where it was seen.
    offered: Option<u64>,
    /// What the client answers, which may hold a password: it is overwritten once it is read.
    held: Zeroizing<Vec<u8>>,
    /// What the client has opened its connection with, or changes it to.
    opening: Option<MysqlOpening>,
    is_open: bool,
    /// Another user is not let in yet.
    changes: bool,
}

impl Stage {
    /// That of a connection whose beginning was not seen.
    pub(super) fn unseen(opening: &MysqlOpening) -> Self {
        Self {
            opening: Some(opening.clone()),
            is_open: true,
            ..Self::default()
        }
    }

    /// How the online server writes its responses.
    pub(super) fn format(&self) -> MysqlFormat {
        match &self.opening {
            Some(opening) if opening.commits.is_some() => MysqlFormat {
                is_unseen: true,
                ..MysqlFormat::default()
            },
            _ => handshake::format(self.capabilities()),
        }
    }

    pub(super) fn is_open(&self) -> bool {
        self.is_open
    }

    /// Nothing has come of a flow, or its messages have begun.
    pub(super) fn is_between(&self) -> bool {
        self.is_open || self.opening.is_none()
    }

    pub(super) fn capabilities(&self) -> u64 {
        self.opening
            .as_ref()
            .map_or(0, |opening| opening.capabilities)
    }

    pub(super) fn greeted(&mut self, greeting: &[u8]) {
        self.offered = Greeting::parse(greeting).map(|greeting| greeting.capabilities);
    }

    /// A payload begins that is no command, so many bytes long.
    pub(super) fn begin(&mut self, len: u64) -> Result<(), Why> {
        if self.opening.is_some() {
            return Ok(());
        }
        let len = usize::try_from(len)
            .ok()
            .filter(|len| *len <= OPENING_LEN_MAX);
        // Never grown: what growing leaves behind is not overwritten.
        self.held = Zeroizing::new(Vec::with_capacity(len.ok_or(Why::TooLong)?));
        Ok(())
    }

    pub(super) fn body(&mut self, body: &[u8]) {
        if self.opening.is_none() {
            self.held.extend_from_slice(body);
        }
    }

    pub(super) fn end(&mut self) -> Result<(), Why> {
        if self.is_open || self.opening.is_some() {
            return Ok(());
        }
        let held = core::mem::take(&mut self.held);
        match handshake::answer(&held, self.offered).ok_or(Why::Malformed)? {
            Answer::Encrypted => Err(Why::Encrypted),
            Answer::Opening(opening) if handshake::is_compressed(opening.capabilities) => {
                Err(Why::Compressed)
            }
            Answer::Opening(opening) => {
                self.opening = Some(opening);
                Ok(())
            }
        }
    }

    /// A command says that the client is in. An error: it has not even tried to be.
    pub(super) fn open(&mut self, tell: &mut dyn FnMut(Part<'_>)) -> Result<(), Why> {
        let opening = self.opening.as_ref().ok_or(Why::Malformed)?;
        self.is_open = true;
        tell(Part::Opening(Box::new(Opening::Mysql(opening.clone()))));
        Ok(())
    }

    /// The client asks to be another user: the payload behind the command.
    pub(super) fn change(&mut self, payload: &[u8], is_whole: bool) -> Result<(), Why> {
        if !is_whole {
            return Err(Why::TooLong);
        }
        let before = self.opening.as_ref().ok_or(Why::Malformed)?;
        self.opening = Some(handshake::change(payload, before).ok_or(Why::Malformed)?);
        self.changes = true;
        Ok(())
    }

    /// The server has let the client in.
    pub(super) fn opened(&mut self, tell: &mut dyn FnMut(Part<'_>)) {
        if (!self.is_open || self.changes) && self.opening.is_some() {
            self.changes = false;
            let _ = self.open(tell);
        }
    }
}
