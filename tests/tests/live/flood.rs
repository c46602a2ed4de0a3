//! A SYN flood: SYNs with many source ports and addresses, and nobody who goes on.

use std::net::Ipv4Addr;

use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrIn, sendto, socket,
};

/// Sends that many SYNs to a server, from addresses and ports of the clients' prefix that nobody uses, and returns how
/// many went out. To be called inside the client's namespace.
pub(crate) fn syn_flood(server: Ipv4Addr, port: u16, count: u32) -> nix::Result<u32> {
    let socket = socket(
        AddressFamily::Inet,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC,
        SockProtocol::Raw,
    )?;
    let to = SockaddrIn::from(std::net::SocketAddrV4::new(server, 0));
    let mut sent = 0;
    for number in 0..count {
        // 10.0.1.100 to 10.0.1.199
        let from = Ipv4Addr::new(10, 0, 1, 100 + u8::try_from(number % 100).unwrap_or(0));
        let from_port = 1024 + u16::try_from(number / 100 % 60_000).unwrap_or(0);
        let packet = syn(
            from,
            from_port,
            server,
            port,
            number.wrapping_mul(2_654_435_761),
        );
        match sendto(
            std::os::fd::AsRawFd::as_raw_fd(&socket),
            &packet,
            &to,
            MsgFlags::empty(),
        ) {
            Ok(_) => sent += 1,
            Err(nix::errno::Errno::ENOBUFS | nix::errno::Errno::EAGAIN) => std::thread::yield_now(),
            Err(error) => return Err(error),
        }
    }
    Ok(sent)
}

/// An IPv4 packet with a SYN.
fn syn(from: Ipv4Addr, from_port: u16, to: Ipv4Addr, to_port: u16, seq: u32) -> [u8; 40] {
    let mut packet = [0; 40];
    packet[0] = 0x45;
    packet[2..4].copy_from_slice(&40u16.to_be_bytes());
    packet[8] = 64;
    packet[9] = 6;
    packet[12..16].copy_from_slice(&from.octets());
    packet[16..20].copy_from_slice(&to.octets());
    packet[20..22].copy_from_slice(&from_port.to_be_bytes());
    packet[22..24].copy_from_slice(&to_port.to_be_bytes());
    packet[24..28].copy_from_slice(&seq.to_be_bytes());
    packet[32] = 5 << 4;
    packet[33] = 0x02;
    packet[34..36].copy_from_slice(&64_240u16.to_be_bytes());
    // The kernel fills in the IP header's checksum, not TCP's.
    let mut sum: u32 = 6 + 20;
    for pair in packet[12..].chunks_exact(2) {
        sum += u32::from(u16::from_be_bytes([pair[0], pair[1]]));
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    let checksum = !u16::try_from(sum).unwrap_or(0);
    packet[36..38].copy_from_slice(&checksum.to_be_bytes());
    packet
}
