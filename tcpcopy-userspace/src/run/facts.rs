//! Runs with known facts, and what each surface says of them: table, page, report, metrics, summary and exit status say the same,
//! in the same words.
//!
//! | module | holds |
//! |---|---|
//! | [`sheet`] | how such a run is made |
//! | [`runs`] | the runs, and what is true of each |
//! | [`surfaces`] | what people see of them |
//! | [`said`] | a comparison that is made up |
//! | [`documentation`] | what the documents say of the summary |

mod documentation;
mod runs;
mod said;
pub(super) mod sheet;
mod surfaces;
