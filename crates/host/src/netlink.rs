//! The connection to the kernel that routes, links and addresses are asked for and changed through.

use std::io;

use futures_util::StreamExt as _;
use rtnetlink::packet_core::{
    NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload,
};
use rtnetlink::packet_route::RouteNetlinkMessage;
use tokio::runtime::{Builder, Runtime};

use crate::Error;

/// A routing netlink socket in the network namespace of the thread that opened it. Calls block for as long as the kernel
/// takes to answer, which is well below a millisecond.
#[derive(Debug)]
pub struct Netlink {
    runtime: Runtime,
    handle: rtnetlink::Handle,
}

impl Netlink {
    /// Opens the socket.
    ///
    /// # Errors
    ///
    /// Where the process may not use netlink at all.
    pub fn open() -> Result<Self, Error> {
        let runtime = runtime()?;
        let (connection, handle, _) = {
            let _inside = runtime.enter();
            rtnetlink::new_connection().map_err(|cause| Error::Socket { cause })?
        };
        runtime.spawn(connection);
        Ok(Self { runtime, handle })
    }

    /// Asks for everything of a kind.
    pub(crate) fn dump(
        &self,
        message: RouteNetlinkMessage,
    ) -> io::Result<Vec<RouteNetlinkMessage>> {
        self.runtime
            .block_on(request(&self.handle, message, NLM_F_DUMP))
    }

    /// Asks for everything of a kind, and keeps what `pick` makes of it: the answer itself may be large.
    pub(crate) fn dump_and_pick<T>(
        &self,
        message: RouteNetlinkMessage,
        pick: impl FnMut(RouteNetlinkMessage) -> Option<T>,
    ) -> io::Result<Vec<T>> {
        self.runtime
            .block_on(request_and_pick(&self.handle, message, NLM_F_DUMP, pick))
    }

    /// The socket, for what is asynchronous inside this crate.
    pub(crate) fn handle(&self) -> &rtnetlink::Handle {
        &self.handle
    }

    /// Waits for what was asked through [`Netlink::handle`].
    pub(crate) fn block_on<T>(&self, asked: impl Future<Output = T>) -> T {
        self.runtime.block_on(asked)
    }

    /// Changes something; `flags` are added to what every change has.
    pub(crate) fn change(&self, message: RouteNetlinkMessage, flags: u16) -> io::Result<()> {
        self.runtime
            .block_on(request(&self.handle, message, NLM_F_ACK | flags))
            .map(drop)
    }
}

/// A runtime for one thread, with what netlink needs.
pub(crate) fn runtime() -> Result<Runtime, Error> {
    Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|cause| Error::Socket { cause })
}

/// Sends a request and collects the answers.
pub(crate) async fn request(
    handle: &rtnetlink::Handle,
    message: RouteNetlinkMessage,
    flags: u16,
) -> io::Result<Vec<RouteNetlinkMessage>> {
    request_and_pick(handle, message, flags, Some).await
}

/// As [`request`], and keeps what `pick` makes of each answer.
pub(crate) async fn request_and_pick<T>(
    handle: &rtnetlink::Handle,
    message: RouteNetlinkMessage,
    flags: u16,
    mut pick: impl FnMut(RouteNetlinkMessage) -> Option<T>,
) -> io::Result<Vec<T>> {
    let mut message = NetlinkMessage::from(message);
    message.header.flags = NLM_F_REQUEST | flags;
    let mut answers = handle.clone().request(message).map_err(io::Error::other)?;
    let mut messages = Vec::new();
    while let Some(answer) = answers.next().await {
        match answer.payload {
            NetlinkPayload::InnerMessage(message) => messages.extend(pick(message)),
            NetlinkPayload::Error(error) if error.code.is_some() => return Err(error.to_io()),
            NetlinkPayload::Overrun(_) => {
                return Err(io::Error::other("the answer overran the socket's buffer"));
            }
            _ => {}
        }
    }
    Ok(messages)
}
