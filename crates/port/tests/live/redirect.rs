//! An XDP program that redirects every frame to the socket of its queue, in six instructions: no tool chain is needed to
//! test the port.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

const BPF_MAP_CREATE: i64 = 0;
const BPF_MAP_UPDATE_ELEM: i64 = 2;
const BPF_PROG_LOAD: i64 = 5;
const BPF_LINK_CREATE: i64 = 28;
const BPF_MAP_TYPE_XSKMAP: u32 = 17;
const BPF_PROG_TYPE_XDP: u32 = 6;
const BPF_XDP: u32 = 37;
const XDP_PASS: i32 = 2;
const REDIRECT_MAP: i32 = 51;
const QUEUES_MAX: u32 = 64;

/// The attached program; it is detached when this is dropped.
pub(crate) struct Redirect {
    map: OwnedFd,
    _link: OwnedFd,
}

impl Redirect {
    /// Attaches the program to an interface, in the driver.
    pub(crate) fn attach(interface: &str) -> Self {
        let map = bpf(
            BPF_MAP_CREATE,
            &words(&[BPF_MAP_TYPE_XSKMAP, 4, 4, QUEUES_MAX]),
        )
        .unwrap();
        let program = load(&map);
        let index = nix::net::if_::if_nametoindex(interface).unwrap();
        const XDP_FLAGS_DRV_MODE: u32 = 4;
        let attributes = words(&[
            program.as_raw_fd().cast_unsigned(),
            index,
            BPF_XDP,
            XDP_FLAGS_DRV_MODE,
        ]);
        Self {
            map,
            _link: bpf(BPF_LINK_CREATE, &attributes).unwrap(),
        }
    }

    /// Sends the frames of a queue to a socket.
    pub(crate) fn set(&self, queue: u32, socket: &impl AsRawFd) {
        let value = socket.as_raw_fd();
        let mut attributes = words(&[self.map.as_raw_fd().cast_unsigned(), 0]);
        attributes[1] = (&raw const queue).addr() as u64;
        attributes[2] = (&raw const value).addr() as u64;
        // The command gives no descriptor: 0 is success.
        call(BPF_MAP_UPDATE_ELEM, &attributes).unwrap();
    }
}

fn load(map: &OwnedFd) -> OwnedFd {
    let instruction = |code: u8, registers: u8, offset: i16, immediate: i32| {
        let [o0, o1] = offset.to_ne_bytes();
        let [i0, i1, i2, i3] = immediate.to_ne_bytes();
        u64::from_ne_bytes([code, registers, o0, o1, i0, i1, i2, i3])
    };
    let program = [
        instruction(0x61, 0x12, 16, 0), // r2 = ctx->rx_queue_index
        instruction(0x18, 0x11, 0, map.as_raw_fd()), // r1 = the map,
        instruction(0, 0, 0, 0),        //      in two slots
        instruction(0xb7, 0x03, 0, XDP_PASS), // r3 = what to do where the queue has no socket
        instruction(0x85, 0, 0, REDIRECT_MAP),
        instruction(0x95, 0, 0, 0),
    ];
    let mut attributes = words(&[BPF_PROG_TYPE_XDP, program.len() as u32]);
    attributes[1] = program.as_ptr().addr() as u64;
    attributes[2] = c"GPL".as_ptr().addr() as u64;
    bpf(BPF_PROG_LOAD, &attributes).unwrap()
}

/// `union bpf_attr` with its first 32-bit words set.
fn words(first: &[u32]) -> [u64; 16] {
    let mut attributes = [0; 16];
    for (slot, pair) in attributes.iter_mut().zip(first.chunks(2)) {
        let mut bytes = [0; 8];
        for (at, word) in bytes.chunks_mut(4).zip(pair) {
            at.copy_from_slice(&word.to_ne_bytes());
        }
        *slot = u64::from_ne_bytes(bytes);
    }
    attributes
}

fn bpf(command: i64, attributes: &[u64; 16]) -> io::Result<OwnedFd> {
    let fd = call(command, attributes)?;
    // SAFETY: the kernel has just made this descriptor for us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn call(command: i64, attributes: &[u64; 16]) -> io::Result<i32> {
    // SAFETY: the kernel reads no more than the given size, and the memory that the attributes point at is alive.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command,
            attributes.as_ptr(),
            size_of_val(attributes),
        )
    };
    i32::try_from(result)
        .ok()
        .filter(|result| *result >= 0)
        .ok_or_else(io::Error::last_os_error)
}
