//! A program that does nothing, run as the others are: what the kernel itself takes for a run.
//!
//! aya loads whole objects alone, and this is two instructions.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::Duration;

/// Commands of `bpf(2)` (the kernel's `enum bpf_cmd`).
const PROG_LOAD: libc::c_long = 5;
const PROG_TEST_RUN: libc::c_long = 10;

/// The kinds of programs whose cost is compared with that of nothing (the kernel's `enum bpf_prog_type`).
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    Tc = 3,
    Xdp = 6,
}

/// What `bpf(2)` takes for [`PROG_LOAD`], as far as it is needed here: the kernel takes what is missing for zero.
#[repr(C)]
struct Load {
    kind: u32,
    instructions_len: u32,
    instructions: u64,
    license: u64,
    log: [u64; 2],
}

/// What `bpf(2)` takes for [`PROG_TEST_RUN`].
#[repr(C)]
struct TestRun {
    program: u32,
    verdict: u32,
    in_len: u32,
    out_len: u32,
    data_in: u64,
    data_out: u64,
    repeat: u32,
    duration: u32,
}

/// The loaded program.
pub(crate) struct Noop(OwnedFd);

impl Noop {
    /// Loads it.
    pub(crate) fn load(kind: Kind) -> Self {
        // "w0 = -1; exit": what tc programs return for "ask the next one"; nobody looks at what XDP makes of it.
        let instructions: [u64; 2] = [0xffff_ffff_0000_00b4, 0x95];
        let license = c"GPL";
        let mut load = Load {
            kind: kind as u32,
            instructions_len: 2,
            instructions: instructions.as_ptr() as u64,
            license: license.as_ptr() as u64,
            log: [0; 2],
        };
        // SAFETY: what `load` points to outlives the call.
        let fd = unsafe { bpf(PROG_LOAD, &raw mut load) }.expect("two instructions load");
        // SAFETY: the kernel made the descriptor for us.
        Self(unsafe { OwnedFd::from_raw_fd(fd) })
    }

    /// Runs it many times on a frame, and returns what the kernel measured for one.
    pub(crate) fn run(&self, frame: &[u8], repeat: u32) -> Duration {
        let mut run = TestRun {
            program: self.0.as_raw_fd().unsigned_abs(),
            verdict: 0,
            in_len: frame.len() as u32,
            out_len: 0,
            data_in: frame.as_ptr() as u64,
            data_out: 0,
            repeat,
            duration: 0,
        };
        // SAFETY: the frame outlives the call, and the kernel writes nothing but the fields for it.
        unsafe { bpf(PROG_TEST_RUN, &raw mut run) }.expect("it runs");
        Duration::from_nanos(u64::from(run.duration))
    }
}

/// # Safety
///
/// `attributes` must be what the command takes, and what it points to must be as long as it says.
unsafe fn bpf<T>(command: libc::c_long, attributes: *mut T) -> io::Result<i32> {
    // SAFETY: the caller's promise.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, attributes, size_of::<T>()) };
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result as i32)
    }
}
