//! The comparison of responses: what target and online server say differently, by route and field, and what of it is noise.
//!
//! | module | holds |
//! |---|---|
//! | [`route`] | requests by route: `/users/123` is `/users/*` |
//! | [`arm`] | whose responses are compared: the target's, the baseline's |
//! | [`place`] | where and how two responses can differ |
//! | `contrast` | two digests beside each other |
//! | `history` | what servers said last, by which clocks are known |
//! | [`moments`] | when something happened, in bounded space |
//! | [`times`] | response times of a group |
//! | [`group`] | what was counted of one route |
//! | [`worker`] | a worker's comparison: learns routes, and counts |
//! | [`tally`] | what all workers have counted together |
//! | [`noise`] | the statistic: what differs as often for two equal servers |
//! | [`report`] | the comparison as it stands in the summary |
//!
//! A worker records pairs of digests ([`Comparison::record`]), is emptied now and then ([`Comparison::drain`]), and what came out is
//! added up ([`Tally::unite`]) and told ([`Tally::report`]). The statistic and how often it is wrong are on docs/comparison.md.
//!
//! **Architecture invariant:** no I/O, no clock, no thread. No value of a response gets here: digests have hashes of them, and of these
//! nothing leaves a worker.
#![forbid(unsafe_code)]

pub mod arm;
mod contrast;
pub mod group;
mod history;
pub mod moments;
pub mod noise;
pub mod place;
pub mod report;
pub mod route;
pub mod tally;
pub mod times;
pub mod worker;

pub use arm::Arm;
pub use group::Answers;
pub use noise::Says;
pub use place::Kind;
pub use report::Report;
pub use route::template::{Template, TemplateError};
pub use tally::Tally;
pub use worker::Comparison;
