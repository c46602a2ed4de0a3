//! How packets come from the interface to the workers: a port per queue, in the best mode that works.

use std::path::Path;

use aya::programs::XdpMode as Attachment;
use host::Interface;
use port::{Config, Mode, Port};
use process::limits::{Limit, need};

use crate::error::Unusable;
use crate::sink::Sink;
use crate::xdp_mode::XdpMode;

/// Frames that wait for a worker at most, per queue: 15 MiB, and 30 ms at 250,000 packets a second, which is what two busy processors
/// carry. Where they were that busy 4096 frames lost up to one packet in a hundred, and these none.
const RX_FRAMES_MAX: u32 = 7680;
/// Frames that there are at least per queue, where many queues share [`RX_FRAMES_ALL`].
const RX_FRAMES_MIN: u32 = 4096;
/// Frames of all queues together: 128 MB.
const RX_FRAMES_ALL: u32 = 65_536;
/// Nothing is sent, but a port wants to be able to.
const TX_FRAMES: u32 = 1;
/// Bytes of a frame, the smallest that there is: `sink` cuts off what follows the headers, but for a little payload where
/// some is asked for, and all of a packet of usual length where that is.
const FRAME_LEN: u32 = 2048;
const _: () = assert!(abi::record::WHOLE_FRAME_LEN_MAX < FRAME_LEN as usize);
/// Locked memory besides the frames, in bytes: their rings.
const LOCKED_SLACK: u64 = 1 << 20;

/// A port for each queue, the program attached.
#[derive(Debug)]
pub(crate) struct Intake {
    /// By queue.
    pub(crate) ports: Vec<Port>,
    /// The mode that worked.
    pub(crate) mode: XdpMode,
    /// The modes that were tried before it, and why they did not work.
    pub(crate) rejected: Vec<(XdpMode, String)>,
}

impl Intake {
    /// Opens the ports and attaches the program, in the mode asked for or the best that works.
    pub(crate) fn open(
        interface: &Interface,
        wanted: XdpMode,
        sink: &mut Sink,
    ) -> Result<Self, Unusable> {
        let modes: &[XdpMode] = match wanted {
            XdpMode::Auto => &[XdpMode::ZeroCopy, XdpMode::Copy, XdpMode::Generic],
            XdpMode::ZeroCopy => &[XdpMode::ZeroCopy],
            XdpMode::Copy => &[XdpMode::Copy],
            XdpMode::Generic => &[XdpMode::Generic],
        };
        let queues = queues(interface);
        if host::capability::is_memory_limited() {
            let frames = u64::from(queues.count) * u64::from(rx_frames(queues.count) + TX_FRAMES);
            // As far as it goes: where that is not enough, the port says so, for there may be fewer queues.
            let _ = need(
                Limit::LockedMemory,
                frames * u64::from(FRAME_LEN) + LOCKED_SLACK,
            );
        }
        let mut rejected = Vec::new();
        for &mode in modes {
            match attempt(interface, mode, queues, sink) {
                Ok(ports) => {
                    return Ok(Self {
                        ports,
                        mode,
                        rejected,
                    });
                }
                Err(reason) => rejected.push((mode, reason)),
            }
        }
        Err(Unusable::Attach {
            interface: interface.name.clone(),
            reasons: rejected,
        })
    }
}

/// Tries one mode; leaves nothing behind where it does not work.
fn attempt(
    interface: &Interface,
    mode: XdpMode,
    queues: Queues,
    sink: &mut Sink,
) -> Result<Vec<Port>, String> {
    let mut ports = Vec::new();
    // The sockets come first: with the program attached and no socket, replies would be lost.
    let opened = open_ports(interface, mode, queues, sink, &mut ports);
    let attached = opened.and_then(|()| {
        let attachment = match mode {
            XdpMode::Generic => Attachment::Skb,
            XdpMode::Auto | XdpMode::ZeroCopy | XdpMode::Copy => Attachment::Driver,
        };
        sink.attach(interface.index, attachment).map_err(|error| {
            format!(
                "cannot attach the program: {}{}",
                chain(&error),
                attach_advice(&error, interface)
            )
        })
    });
    match attached {
        Ok(()) => Ok(ports),
        Err(reason) => {
            (0..queues.count).for_each(|queue| sink.unregister(queue));
            Err(reason)
        }
    }
}

fn open_ports(
    interface: &Interface,
    mode: XdpMode,
    queues: Queues,
    sink: &mut Sink,
    ports: &mut Vec<Port>,
) -> Result<(), String> {
    if queues.count > abi::maps::WORKERS_MAX {
        return Err(format!(
            "it has {} rx queues, more than the {} that are supported: lower their number (ethtool -L {} combined N)",
            queues.count,
            abi::maps::WORKERS_MAX,
            interface.name
        ));
    }
    for queue in 0..queues.count {
        let config = Config {
            interface: interface.name.clone(),
            queue,
            tx_frames: TX_FRAMES,
            rx_frames: rx_frames(queues.count),
            frame_len: FRAME_LEN,
            mode: match mode {
                XdpMode::ZeroCopy => Mode::ZeroCopy,
                XdpMode::Auto | XdpMode::Copy => Mode::Copy,
                XdpMode::Generic => Mode::Generic,
            },
        };
        let port = match Port::open(&config) {
            Ok(port) => port,
            Err(error) if queue > 0 && !queues.exact && is_no_queue(&error) => break,
            Err(error) => return Err(error.to_string()),
        };
        sink.register(queue, &port)
            .map_err(|error| format!("cannot hand over the socket of queue {queue}: {error}"))?;
        ports.push(port);
    }
    Ok(())
}

fn rx_frames(queues: u32) -> u32 {
    (RX_FRAMES_ALL / queues.max(1)).clamp(RX_FRAMES_MIN, RX_FRAMES_MAX)
}

/// Queues that packets arrive by.
#[derive(Clone, Copy, Debug)]
struct Queues {
    count: u32,
    /// Whether the device has as many now, or could have at most as many.
    exact: bool,
}

/// Netlink tells how many queues the device could have; sysfs how many it has, but may be that of another network
/// namespace.
fn queues(interface: &Interface) -> Queues {
    let device = Path::new("/sys/class/net").join(&interface.name);
    let index = std::fs::read_to_string(device.join("ifindex")).unwrap_or_default();
    if index.trim() == interface.index.to_string()
        && let Ok(entries) = std::fs::read_dir(device.join("queues"))
    {
        let count = entries
            .flatten()
            .filter(|entry| entry.file_name().as_encoded_bytes().starts_with(b"rx-"))
            .count();
        if let Ok(count @ 1..) = u32::try_from(count) {
            return Queues { count, exact: true };
        }
    }
    Queues {
        count: interface.rx_queues.max(1),
        exact: false,
    }
}

/// Whether the kernel says that the device does not have the queue.
fn is_no_queue(error: &port::Error) -> bool {
    let einval = Some(nix::errno::Errno::EINVAL as i32);
    matches!(error, port::Error::Bind { cause, .. } if cause.raw_os_error() == einval)
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

fn attach_advice(error: &dyn std::error::Error, interface: &Interface) -> String {
    let text = chain(error);
    let name = &interface.name;
    if text.contains("os error 16") || text.contains("os error 17") {
        format!(
            "; another XDP program is there: `ip link show {name}` names it, `ip link set {name} xdp off` removes it"
        )
    } else if text.contains("os error 95") || text.contains("os error 22") {
        "; the driver cannot run it: try --xdp-mode generic".into()
    } else if text.contains("os error 34") || interface.mtu > 3498 {
        format!(
            "; its MTU of {} may be too long for native XDP: lower it, or try --xdp-mode generic",
            interface.mtu
        )
    } else {
        String::new()
    }
}

#[cfg(test)]
mod tests {
    use super::rx_frames;

    #[test]
    fn many_queues_share_the_memory() {
        assert_eq!(
            [1, 4, 6, 16, 64].map(rx_frames),
            [7680, 7680, 7680, 4096, 4096]
        );
    }
}
