//! An example, and no part of the program: writes intercept's manual page and completions into the folder that is its argument.
//!
//! `cargo xtask dist` runs it. It is the command line's own modules, so it knows what the program knows.
#![forbid(unsafe_code)]
#![expect(
    dead_code,
    reason = "what a run does with its arguments is not done here"
)]

mod args;
mod error;
mod xdp_mode;

fn main() -> std::io::Result<()> {
    manual::write_for(&args::Args::command_line(), std::env::args_os())
}
