//! What the live tests stand on: a lab of their own, the built binaries, and loads whose every request is accounted
//! for.
//!
//! A test that cannot run here (no root, a program missing) says `SKIP: why` on standard error, past the test
//! harness's own capture, and does nothing.
//!
//! | module | holds |
//! |---|---|
//! | [`stand`] | the lab, the binaries, and why there are none |
//! | [`browser`] | headless Chromium, driven by chromedriver |
//! | [`clients`] | loads and what they report |
//! | [`figures`] | what a test tells whoever runs it |
//! | [`copying`] | a copy from start to end, and what must be true of each |
#![forbid(unsafe_code)]

pub mod browser;
pub mod clients;
pub mod copying;
pub mod figures;
pub mod stand;

pub use clients::Clients;
pub use copying::{check_clean, check_complete, check_nothing_left};
pub use stand::Stand;

/// The port of servers in live tests.
pub const PORT: u16 = 8080;
