//! A session's own login at the target: what its client has said to the online server's questions means nothing to another server.

use std::sync::Arc;

use protocol::{Login, Opening};
use wire::tcp::Flags;

use super::Session;
use crate::context::Context;
use crate::event::{Event, Outcome};
use crate::limits::LOGIN_ROOM;
use crate::turns::entry::{End, Entry};

impl Session {
    /// Whether the login stands before the flow's bytes.
    #[inline(always)]
    pub(super) fn is_entering(&self) -> bool {
        self.turns.is_told() && self.has_closed_entry()
    }

    #[cold]
    fn has_closed_entry(&self) -> bool {
        self.turns.entry().is_some_and(|entry| !entry.is_open())
    }

    /// How far the login may be sent, where it is under way.
    pub(super) fn login_end(&self) -> u64 {
        let said = self.turns.entry().map_or(0, |entry| entry.said().len());
        self.connection.base() + said as u64
    }

    /// Goes on with the login. Returns whether the flow's bytes may be sent.
    pub(super) fn advance_login(&mut self, ctx: &mut Context<'_>) -> bool {
        if !self.is_entering() {
            return true;
        }
        if !self.connection.is_synchronized() {
            return false;
        }
        if let Some(Entry::Awaited(_)) = self.turns.entry() {
            let messages = ctx.flow.captured().messages();
            let known = messages.and_then(|it| self.playing(ctx.flow).opening(it).cloned());
            if let Some(it) = known {
                self.turns.log_in_before(it.from);
                self.begin_login(&it.opening, ctx);
            }
        }
        match self.turns.entry_mut().and_then(Entry::take_end) {
            Some(End::Failed(why)) => {
                self.fail_login(why, ctx);
                return false;
            }
            Some(End::Opened(opened)) => {
                ctx.shared.counters.module_logins += u64::from(!self.is_cancelling(ctx));
                self.enter(*opened, ctx);
            }
            None => {}
        }
        match self.turns.entry() {
            Some(Entry::Running(running)) => {
                let at = running.since + ctx.rule.tuning.response_timeout;
                if ctx.now >= at {
                    self.fail_login("the target has not answered in time".to_owned(), ctx);
                } else {
                    self.release_at = Some(at);
                }
                false
            }
            Some(Entry::Over { .. }) if self.connection.una() == self.login_end() => {
                let base = self.connection.base() + LOGIN_ROOM;
                self.connection.jump_to(base);
                if let Some(entry) = self.turns.entry_mut() {
                    *entry = Entry::In;
                }
                true
            }
            _ => false,
        }
    }

    fn begin_login(&mut self, opening: &Arc<Opening>, ctx: &mut Context<'_>) {
        let seed = ctx.shared.seeds.draw();
        let module = ctx.shared.config.rules[usize::from(self.rule.0)]
            .module
            .as_ref();
        let read_only = module.is_some_and(|module| module.read_only);
        let login = match &**opening {
            Opening::Cancel(key) => {
                // Of several copies the first cancels the first: their keys differ.
                let known = module.filter(|_| self.leads);
                let target = known.and_then(|module| module.cancels.target_of(key));
                ctx.shared.counters.module_cancels += u64::from(target.is_some());
                target.as_ref().map(Login::cancel)
            }
            opening => Login::new(opening, &ctx.shared.credentials, &seed, read_only),
        };
        match login {
            Some(login) => {
                if let Some(entry) = self.turns.entry_mut() {
                    entry.begin(login, ctx.now);
                }
            }
            None => {
                ctx.shared.counters.module_cancels_unknown += 1;
                self.part(Flags::RST, super::After::Closed, ctx);
            }
        }
    }

    /// Whether it does nothing but cancel a statement of another connection.
    pub(super) fn is_cancelling(&self, ctx: &Context<'_>) -> bool {
        let messages = ctx.flow.captured().messages();
        let opening = messages.and_then(|it| self.playing(ctx.flow).opening(it));
        opening.is_some_and(|it| matches!(*it.opening, Opening::Cancel(_)))
    }

    /// The client has changed its user: the session leaves its connection for one of that user.
    pub(super) fn log_in_anew(&mut self, ctx: &mut Context<'_>) {
        self.answered = false;
        let then = super::After::Detached {
            retry_at: ctx.now,
            outcome: Outcome::Missed,
        };
        self.part(Flags::RST, then, ctx);
    }

    /// The target has let the session in.
    fn enter(&mut self, mut opened: protocol::Opened, ctx: &mut Context<'_>) {
        let Some(messages) = ctx.flow.captured().messages() else {
            return;
        };
        if let (Some(keys), Some(user)) = (
            opened.keys.take(),
            self.playing(ctx.flow)
                .opening(messages)
                .and_then(|it| it.opening.user()),
        ) {
            ctx.shared.credentials.learn(&user, keys);
        }
        let module = ctx.shared.config.rules[usize::from(self.rule.0)]
            .module
            .as_ref();
        let Some(protocol) = module.and_then(|module| module.protocol()) else {
            return;
        };
        if let (Some(online), Some(target), Some(module), true) = (
            &messages.cancel_key,
            opened.cancel_key.take(),
            module,
            self.leads,
        ) {
            let forgets = module.cancels.learn(online.clone(), target);
            ctx.shared.counters.module_cancels_forgotten += u64::from(forgets);
        }
        self.turns.enter(protocol, &opened, messages.digests());
        let mut playing = self.turns.of_mut(ctx.flow.captured());
        if !playing.on_told_rest(messages, &opened.rest, ctx.now) {
            self.untell(false, ctx);
        }
    }

    /// The target has not let the session in: what its client says to the online server is not copied.
    fn fail_login(&mut self, words: String, ctx: &mut Context<'_>) {
        ctx.shared.counters.module_logins_failed += 1;
        let rule = self.rule;
        ctx.shared
            .events
            .push_back(Event::LoginFailed { rule, words });
        self.given_up.get_or_insert(Outcome::Refused);
        self.doom_waiting(Outcome::Refused, ctx);
        self.part(Flags::RST, super::After::Dead(Outcome::Refused), ctx);
    }
}
