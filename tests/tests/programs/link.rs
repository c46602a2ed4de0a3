//! A network namespace of this thread's own, and frames put on its loopback device as a NIC would.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::process::Command;

/// The index of the loopback device.
const LOOPBACK: i32 = 1;

/// The part of `struct virtio_net_hdr` that a packet socket reads.
#[repr(C)]
#[derive(Default)]
struct VirtioHeader {
    flags: u8,
    gso_type: u8,
    /// How much of the frame is to be linear, in bytes.
    hdr_len: u16,
    gso_size: u16,
    csum_start: u16,
    csum_offset: u16,
}

/// The loopback device of a namespace of this thread's own: nobody else sends anything there.
pub(crate) struct Link {
    plain: OwnedFd,
    with_header: OwnedFd,
}

impl Link {
    /// Moves this thread into a new namespace. The namespace goes with the thread.
    pub(crate) fn new() -> Self {
        nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).expect("a network namespace");
        for arguments in [["link", "set", "lo", "up"], ["addr", "flush", "dev", "lo"]] {
            let status = Command::new("ip")
                .args(arguments)
                .status()
                .expect("ip runs");
            assert!(status.success(), "ip {arguments:?}");
        }
        let with_header = socket();
        let one: libc::c_int = 1;
        // SAFETY: `one` lives during the call and is as long as said.
        let failed = unsafe {
            libc::setsockopt(
                with_header.as_raw_fd(),
                libc::SOL_PACKET,
                libc::PACKET_VNET_HDR,
                (&raw const one).cast(),
                size_of_val(&one) as libc::socklen_t,
            )
        };
        assert_eq!(failed, 0, "PACKET_VNET_HDR: {}", io::Error::last_os_error());
        Self {
            plain: socket(),
            with_header,
        }
    }

    /// The same where sockets can be bound to the loopback addresses.
    pub(crate) fn with_addresses() -> Self {
        let link = Self::new();
        for address in ["127.0.0.1/8", "::1/128"] {
            let arguments = ["addr", "add", address, "dev", "lo"];
            let status = Command::new("ip").args(arguments).status();
            assert!(status.expect("ip runs").success(), "{address}");
        }
        link
    }

    /// Sends a frame.
    ///
    /// # Errors
    ///
    /// What the device's way out answers: `ENOBUFS` where a program drops the frame on egress.
    pub(crate) fn send(&self, frame: &[u8]) -> io::Result<()> {
        send(&self.plain, frame)
    }

    /// Sends a frame of which only the first `linear` bytes are in the linear part of the socket buffer. The kernel
    /// does so only with frames of a page and more.
    pub(crate) fn send_scattered(&self, frame: &[u8], linear: u16) -> io::Result<()> {
        let header = VirtioHeader {
            hdr_len: linear,
            ..VirtioHeader::default()
        };
        let mut bytes = vec![header.flags, header.gso_type];
        for field in [
            header.hdr_len,
            header.gso_size,
            header.csum_start,
            header.csum_offset,
        ] {
            bytes.extend_from_slice(&field.to_ne_bytes());
        }
        bytes.extend_from_slice(frame);
        send(&self.with_header, &bytes)
    }
}

/// A packet socket bound to the loopback device. It receives nothing: it asks for no protocol.
fn socket() -> OwnedFd {
    // SAFETY: no pointer is passed.
    let fd = unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) };
    assert!(fd >= 0, "packet socket: {}", io::Error::last_os_error());
    // SAFETY: the descriptor was just made and belongs to nobody else.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    let address = libc::sockaddr_ll {
        sll_family: libc::AF_PACKET as u16,
        sll_protocol: 0,
        sll_ifindex: LOOPBACK,
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 0,
        sll_addr: [0; 8],
    };
    // SAFETY: the address lives during the call and is as long as said.
    let failed = unsafe {
        libc::bind(
            fd,
            (&raw const address).cast(),
            size_of_val(&address) as libc::socklen_t,
        )
    };
    assert_eq!(failed, 0, "bind to lo: {}", io::Error::last_os_error());
    socket
}

fn send(socket: &OwnedFd, bytes: &[u8]) -> io::Result<()> {
    // SAFETY: the slice lives during the call.
    let sent = unsafe { libc::send(socket.as_raw_fd(), bytes.as_ptr().cast(), bytes.len(), 0) };
    if sent < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}
