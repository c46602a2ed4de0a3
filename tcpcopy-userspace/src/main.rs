//! `tcpcopy`: copies live TCP traffic of this online server to a target server.
mod args;
mod assistant;
mod clock;
mod plan;
mod worker;

use clap::Parser;

fn main() {
    let _args = args::Args::parse();
}
