//! Under which headings the options stand in the help, in the order in which a user meets them.

pub(super) const THE_FILE: &str = "The file";
pub(super) const WHAT_TO_RECORD: &str = "What to record";
pub(super) const WHAT_TO_COPY: &str = "What to copy";
pub(super) const WHERE_IT_PASSES: &str = "Where it passes";
pub(super) const WHEN_TO_STOP: &str = "When to stop";
pub(super) const WHAT_TO_KEEP: &str = "What to keep";
pub(super) const PASS_OR_FAIL: &str = "Pass or fail";
pub(super) const TO_SPARE_THIS_HOST: &str = "To spare this host";
pub(super) const TIMEOUTS: &str = "Timeouts";

/// Those that the doctor's help shows: it takes the others as well, and checks them.
pub(super) const OF_THE_DOCTOR: [&str; 2] = [WHAT_TO_COPY, WHERE_IT_PASSES];
