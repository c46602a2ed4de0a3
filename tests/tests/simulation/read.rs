//! What a protocol module makes of a flow: which of its client's messages are copied, and which turns they are.
//!
//! Places at the target are places in what is copied; without a filter that is the client's stream.

use std::iter;
use std::ops::Range;

use crate::application::{Connection, Protocol, Request};
use crate::flow::Flow;
use crate::http::Method;
use crate::world::World;

impl Connection {
    /// Which parts of its stream are copied, where it `is_filtered` or not.
    pub(crate) fn passes(&self, is_filtered: bool) -> Vec<Range<usize>> {
        let all: Vec<Range<usize>> = self.messages().map(|(range, _)| range).collect();
        if !is_filtered {
            let end = all.last().map_or(self.prefix_len(), |it| it.end);
            return iter::once(0..end).collect();
        }
        let safe = self
            .messages()
            .filter(|(_, request)| self.protocol == Protocol::Http && request.method.is_safe());
        safe.map(|(range, _)| range).collect()
    }

    /// Its requests, each with its place in the stream.
    pub(crate) fn messages(&self) -> impl Iterator<Item = (Range<usize>, &Request)> {
        let mut at = self.prefix_len();
        self.requests().map(move |request| {
            let start = at;
            at += request.len;
            (start..at, request)
        })
    }
}

impl World {
    /// Whether a protocol module reads a client's flow, so that its turns are messages.
    pub(crate) fn is_read(&self, number: usize) -> bool {
        let connection = &self.plan.connections[number];
        self.plan.setting.module.is_some() && connection.protocol == Protocol::Http
    }

    /// Whether nothing of a client's flow is copied, since the module cannot judge it.
    fn is_barred(&self, number: usize) -> bool {
        self.plan.is_filtered() && !self.is_read(number)
    }

    /// How many of the first `len` bytes of a client are copied.
    pub(crate) fn copied_len(&self, number: usize, len: usize) -> usize {
        let passes = self.clients[number].passes.iter();
        passes
            .map(|it| it.end.min(len).saturating_sub(it.start))
            .sum()
    }

    /// Where in a client's stream the byte at `place` of what is copied stands.
    pub(crate) fn place_in_stream(&self, number: usize, mut place: usize) -> usize {
        for it in &self.clients[number].passes {
            if place < it.len() {
                return it.start + place;
            }
            place -= it.len();
        }
        self.clients[number].stream.len()
    }

    /// Whether the byte at `place` of a client's stream is copied.
    pub(crate) fn is_copied(&self, number: usize, place: usize) -> bool {
        let mut passes = self.clients[number].passes.iter();
        passes.any(|it| it.contains(&place))
    }

    /// Where the turns of a client begin, as places in what is copied.
    pub(crate) fn turns(&self, number: usize) -> Vec<usize> {
        let Some(flow) = self.oracle.flow(&self.clients[number]) else {
            return vec![];
        };
        if !self.is_read(number) {
            let turns = flow.turns().into_iter();
            return turns.filter(|at| self.is_copied(number, *at)).collect();
        }
        let messages = self.plan.connections[number].messages();
        let begun = messages
            .filter(|(range, _)| range.start < flow.len() && self.is_copied(number, range.start));
        begun
            .map(|(range, _)| self.copied_len(number, range.start))
            .collect()
    }

    /// How many messages of a client are not copied.
    pub(crate) fn left_out(&self, number: usize) -> usize {
        let Some(flow) = self.oracle.flow(&self.clients[number]) else {
            return 0;
        };
        if self.is_barred(number) {
            return flow.turns().len();
        }
        let messages = self.plan.connections[number].messages();
        let left_out = messages.filter(|(range, request)| {
            // A head whose client waits ends with its body.
            !matches!(request.method, Method::Expecting(_))
                && range.end <= flow.len()
                && !self.is_copied(number, range.start)
        });
        left_out.count()
    }

    /// How many recorded bytes of a client are not copied.
    pub(crate) fn bytes_left_out(&self, number: usize, flow: &Flow) -> u64 {
        let len = self.clients[number].stream.len();
        let left_out = (0..len).filter(|at| !self.is_copied(number, *at));
        left_out.filter(|at| flow.is_recorded(*at..at + 1)).count() as u64
    }
}
