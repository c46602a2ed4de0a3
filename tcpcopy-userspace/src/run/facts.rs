//! Runs with known facts, and what each surface says of them: table, page, report, metrics, summary and exit status say the same,
//! in the same words.
//!
//! | module | holds |
//! |---|---|
//! | [`sheet`] | the runs |

pub(super) mod sheet;
