//! An example, and no part of the program: writes tcpcopy's manual pages and completions into the folder that is its argument.
//!
//! `cargo xtask dist` runs it. It is the command line's own modules, so it knows what the program knows.
#![forbid(unsafe_code)]
#![expect(
    dead_code,
    unused_imports,
    reason = "what a run does with its arguments is not done here"
)]

mod args;

fn main() -> std::io::Result<()> {
    manual::write_for(&args::CommandLine::command(), std::env::args_os())
}
