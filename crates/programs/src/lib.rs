//! The programs that run in the kernel, embedded: the objects that `cargo xtask build-ebpf` puts into `target/bpf`.
//!
//! A build without them is a good build: it says so where somebody asks for them. This room knows nothing about
//! loading; besides the objects it holds what everybody who has loaded them needs ([`counters`]).
#![forbid(unsafe_code)]

pub mod counters;

use thiserror::Error;

/// Names of the programs in the object of `tcpcopy`.
pub mod name {
    /// Ingress of the online interfaces and of those that replies come in by: ordered first.
    pub const CAPTURE: &str = "capture";
    /// Egress of the online interfaces, and of those that answers leave by.
    pub const OBSERVE: &str = "observe";
    /// Egress of the host's end of a container's link: clients' packets leave by it.
    pub const CAPTURE_OUT: &str = "capture_out";
    /// Ingress of the host's end of a container's link: the online server's answers come in by it.
    pub const OBSERVE_IN: &str = "observe_in";
    /// Ingress of a mirror port: both sides come in by it.
    pub const OVERHEAR: &str = "overhear";
    /// Ingress of a mirror port or a container's link that replies come in by as well.
    pub const REPLIES: &str = "replies";
    /// Ingress of `tcpcopy0`.
    pub const INJECT: &str = "inject";
    /// Egress of `tcpcopy0`.
    pub const ABSORB: &str = "absorb";
    /// Egress of `tcpcopy0`, only with `--capture af-xdp`.
    pub const STEER: &str = "steer";
    /// Native XDP of `tcpcopy1`, only with `--capture af-xdp`.
    pub const DELIVER: &str = "deliver";
    /// XDP of the assistant's interface: the one program in the object of `intercept`.
    pub const SINK: &str = "sink";
}

/// This binary was built before its programs were.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("built without programs: run `cargo xtask build-ebpf` and build again")]
pub struct Missing;

/// The object with the programs of `tcpcopy`, aligned to 8 bytes as a loader wants it.
///
/// # Errors
///
/// [`Missing`] where this was built without it.
pub fn tcpcopy() -> Result<&'static [u8], Missing> {
    TCPCOPY.map(|object| &object.0).ok_or(Missing)
}

/// The object with the program of `intercept`, aligned to 8 bytes as a loader wants it.
///
/// # Errors
///
/// [`Missing`] where this was built without it.
pub fn intercept() -> Result<&'static [u8], Missing> {
    INTERCEPT.map(|object| &object.0).ok_or(Missing)
}

/// Bytes that start at a multiple of 8, as the structures of an ELF file must.
#[repr(C, align(8))]
struct Aligned<B: ?Sized>(B);

include!(concat!(env!("OUT_DIR"), "/objects.rs"));

#[cfg(test)]
mod tests {
    #[test]
    fn an_object_is_a_whole_elf_file_or_missing() {
        for object in [super::tcpcopy(), super::intercept()] {
            match object {
                Ok(bytes) => {
                    assert_eq!(bytes.get(..4), Some(&b"\x7fELF"[..]));
                    assert_eq!(bytes.as_ptr().addr() % 8, 0);
                }
                Err(missing) => assert!(missing.to_string().contains("cargo xtask build-ebpf")),
            }
        }
    }
}
