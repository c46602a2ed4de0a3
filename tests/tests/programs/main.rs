//! Program tests: every program, loaded by aya and run by the kernel on packets of ours (`BPF_PROG_TEST_RUN`).
//!
//! They need root and the objects of `cargo xtask build-ebpf`; without them each says SKIP and does nothing.

mod kernel;
mod link;
mod noop;
mod oracle;
mod packet;

mod capture;
mod costs;
mod deadline;
mod directions;
mod hostile;
mod leases;
mod live;
mod observe;
mod paused;
mod private_device;
mod samples;
mod sink;
mod whole;
