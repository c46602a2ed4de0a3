//! Queues in front of the private device.
//!
//! Without a qdisc a segmented clone overflows the veth's 256 slots and nobody is told; with one the rest waits, and what
//! is dropped is counted.

use rtnetlink::packet_core::{DefaultNla, NLM_F_CREATE, NLM_F_REPLACE};
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::packet_route::tc::{TcAttribute, TcHandle, TcMessage};

use crate::{Error, Netlink};

/// Packets that wait in front of one queue of the private device at most.
pub(crate) const PACKETS_MAX: u32 = 1000;
/// The root qdisc's number, where it has queues below it.
const ROOT_MAJOR: u16 = 1;

/// Gives a device a FIFO of [`PACKETS_MAX`] packets per queue.
pub(crate) fn add_fifos(netlink: &Netlink, device_index: u32, queues: u32) -> Result<(), Error> {
    if queues == 1 {
        return add_fifo(netlink, device_index, TcHandle::ROOT);
    }
    let mut root = message(device_index, TcHandle::ROOT, "mq");
    root.header.handle = TcHandle {
        major: ROOT_MAJOR,
        minor: 0,
    };
    replace(netlink, root, "mq")?;
    for queue in 1..=queues {
        // Class numbers of mq are queue numbers, from 1; more queues than that cannot exist.
        let minor = u16::try_from(queue).unwrap_or(u16::MAX);
        add_fifo(
            netlink,
            device_index,
            TcHandle {
                major: ROOT_MAJOR,
                minor,
            },
        )?;
    }
    Ok(())
}

fn add_fifo(netlink: &Netlink, device_index: u32, parent: TcHandle) -> Result<(), Error> {
    const TCA_OPTIONS: u16 = 2;
    let mut fifo = message(device_index, parent, "pfifo");
    // struct tc_fifo_qopt { __u32 limit; }: not a list of attributes, so not TcAttribute::Options.
    let limit = DefaultNla::new(TCA_OPTIONS, PACKETS_MAX.to_ne_bytes().to_vec());
    fifo.attributes.push(TcAttribute::Other(limit));
    replace(netlink, fifo, "pfifo")
}

fn message(device_index: u32, parent: TcHandle, kind: &str) -> TcMessage {
    let mut message = TcMessage::with_index(device_index.cast_signed());
    message.header.parent = parent;
    message.attributes.push(TcAttribute::Kind(kind.to_owned()));
    message
}

fn replace(netlink: &Netlink, message: TcMessage, kind: &str) -> Result<(), Error> {
    netlink
        .change(
            RouteNetlinkMessage::NewQueueDiscipline(message),
            NLM_F_CREATE | NLM_F_REPLACE,
        )
        .map_err(|cause| Error::Refused {
            what: format!("put a {kind} queue in front of the private device"),
            cause,
        })
}
