//! What a target has to send to do as the online server did: for one that is made up, as in a dry run.

use wire::flow::FlowKey;

use super::Engine;
use crate::context::SessionId;
use crate::event::Event;

/// What a session's target has not done yet, and the online server has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Owed {
    /// Bytes of responses.
    pub bytes: u32,
    /// Whether the connection ends behind them.
    pub closes: bool,
}

impl Engine {
    /// Tells with [`Event::OnlineSent`] whenever the online server has sent something to a session's client. To be called before the
    /// first packet.
    pub fn tell_of_online(&mut self) {
        self.shared.tells_of_online = true;
    }

    /// What the target owes to the session with this flow, from its source to the target; `None` where there is no such session.
    pub fn owed(&mut self, flow: &FlowKey) -> Option<Owed> {
        let id = self.session_from(flow)?;
        let session = self.sessions.wake(id)?;
        let online = self.flows.get(session.flow)?;
        let una = session.connection.una();
        let playing = session.playing(online);
        if playing.current().is_some_and(|turn| una < turn.end) {
            // Nobody answers what was not asked yet, although the online server has.
            return Some(Owed::default());
        }
        Some(Owed {
            bytes: playing.owed(),
            // Behind the last of what it is asked: who is behind would close in the middle.
            closes: online.is_online_closed() && session.stock.open() <= 1,
        })
    }

    /// Tells that a session's online server has sent something, where somebody wants to know.
    pub(crate) fn tell_what_is_owed(&mut self, id: SessionId) {
        if !self.shared.tells_of_online {
            return;
        }
        let Some(flow) = self.sessions.local(id) else {
            return;
        };
        if self.owed(&flow).is_some_and(|owed| owed != Owed::default()) {
            self.shared.events.push_back(Event::OnlineSent { flow });
        }
    }
}
