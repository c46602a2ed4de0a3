//! `tcpcopy doctor`: checks what a run would need, and says what is missing. Changes nothing.

use crate::args::Args;
use crate::run::{self, Ending};

/// Checks everything that a run would refuse.
pub(crate) fn run(args: &Args) -> Ending {
    match run::prepare(args) {
        Ok(plan) => {
            for (rule, sources) in plan.rule_names.iter().zip(&plan.source_words) {
                tracing::info!("a run would copy {rule} {sources}");
            }
            Ending::Done
        }
        Err(ending) => ending,
    }
}
