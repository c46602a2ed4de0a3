//! Numbers of what stands in the tables of an engine.

/// Number of a session's slot.
pub(crate) type SessionId = u32;

/// Number of a flow's slot.
pub(crate) type FlowId = u32;
