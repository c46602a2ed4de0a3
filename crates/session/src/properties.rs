//! Properties of the data structures, each against an oracle that is too simple to be wrong.
//!
//! Scripts in `tests/script` say what a session does; the fuzz target of the engine looks for what nobody thought of.

mod arena;
mod pool;
mod receive;
mod sample;
mod stream;
mod wheel;
