//! What others turn while the run goes on (`tcpcopy ctl`): requests are taken between two ticks, and every change is said, and listed in
//! the summary.
//!
//! A larger share is told to the programs first and then to the workers; a smaller one first to the workers, and to the programs once no
//! session is left that lies beyond it. So a session always gets its packets.

mod reload;

use std::sync::Arc;
use std::time::SystemTime;

use host::netns::Outside;
use session::Source;
use telemetry::{Change, Changes, State};
use tracing::{debug, info};

use super::Run;
use super::ending::Unusable;
use crate::args::{Args, ControlAt};
use crate::ctl::message::{Answer, Request, RuleStatus, Status};
use crate::ctl::server::{Asked, Peer, Server};
use crate::dials::Dials;
use crate::plan::Plan;
use crate::worker::Command;

/// Most requests that are taken in a tick: there is one client at a time.
const REQUESTS_MAX: usize = 8;

/// The socket, and how everything stands that can be turned.
pub(super) struct Control {
    server: Option<Server>,
    dials: Dials,
    /// Up to which place the programs record flows.
    recorded: u32,
    changes: Changes,
    stops: bool,
}

impl Control {
    /// Listens, where that was asked for or can be.
    ///
    /// # Errors
    ///
    /// Where the path that was named cannot be listened at.
    pub(super) fn open(args: &Args, outside: &Outside) -> Result<Self, Unusable> {
        let listen = || match args.control.at() {
            ControlAt::Nowhere => Ok(None),
            ControlAt::Path(path) => Server::at(path).map(Some),
            ControlAt::OwnPlace => Ok(own_place()),
        };
        // Threads that have nothing to do with the network namespace that is worked in.
        let server = outside
            .run(listen)
            .map_err(|error| Unusable::new(error, "no-namespace"))?
            .map_err(|words| Unusable::new(words, "no-control"))?;
        let dials = Dials::new(args);
        Ok(Self {
            server,
            recorded: dials.tuning(1, 0).threshold(),
            dials,
            changes: Changes::default(),
            stops: false,
        })
    }

    /// What was turned so far.
    pub(super) const fn changes(&self) -> &Changes {
        &self.changes
    }

    /// Whether somebody has asked for the end.
    pub(super) const fn stops(&self) -> bool {
        self.stops
    }

    /// Whether nothing new is copied because users want it so: no wonder then that nothing comes.
    pub(super) fn copies_nothing(&self) -> bool {
        self.dials.tuning(1, 0).threshold() == 0
    }

    /// Nobody is listened to any more.
    pub(super) fn close(&mut self) {
        self.server = None;
    }

    fn next(&self) -> Option<Asked> {
        self.server.as_ref()?.next()
    }
}

fn own_place() -> Option<Server> {
    match Server::at_own_place() {
        Ok(server) => {
            debug!(
                "`tcpcopy ctl` is listened to at {}",
                server.path().display()
            );
            Some(server)
        }
        Err(error) => {
            debug!(
                "no control socket, so `tcpcopy ctl` does not find this run (--ctl PATH names another place): {error}"
            );
            None
        }
    }
}

impl Run<'_> {
    /// Answers those who ask, and has the programs record less where that can be.
    pub(super) fn obey_others(&mut self) {
        for _ in 0..REQUESTS_MAX {
            let Some(asked) = self.control.next() else {
                break;
            };
            let answer = self.answer(&asked.request, asked.peer);
            // Who asked may be gone.
            let _ = asked.answer.send(answer);
        }
        self.record_less();
    }

    fn answer(&mut self, request: &Request, peer: Peer) -> Answer {
        let mut dials = self.control.dials.clone();
        let named = |rule: Option<usize>| rule.map(|rule| rule.wrapping_sub(1));
        if let Request::SetPercent { rule, .. } | Request::SetCopies { rule, .. } = *request
            && let Some(rule) = rule
            && !(1..=dials.rules.len()).contains(&rule)
        {
            let words = format!(
                "there is no rule {rule}: this run has 1 to {}",
                dials.rules.len()
            );
            return Answer::Refused { words };
        }
        match *request {
            Request::Status {} => return Answer::Status(Box::new(self.status())),
            Request::Stop {} => {
                self.control.stops = true;
                info!("asked to stop by {}", words_of(peer));
                let drain = self.args.drain;
                let words = format!("stopping: capture ends, up to {drain:?} for open requests");
                return Answer::Done { words };
            }
            Request::Reload {} => return self.reload(peer),
            Request::SetPercent { percent, rule } => dials.set_percent(named(rule), percent),
            Request::SetCopies { copies, rule } => dials.set_copies(named(rule), copies),
            Request::SetRate { rate } => dials.rate = rate,
            Request::Pause {} => dials.is_paused = true,
            Request::Resume {} => dials.is_paused = false,
        }
        match self.turn(dials, peer) {
            Ok(0) => Answer::Done {
                words: "nothing changes: it stands like that already".to_owned(),
            },
            Ok(_) => Answer::Done {
                words: done(request),
            },
            Err(words) => Answer::Refused { words },
        }
    }

    /// Has everything stand like this from now on. Returns how many things that changes.
    pub(super) fn turn(&mut self, dials: Dials, peer: Peer) -> Result<usize, String> {
        check(self.plan, &dials)?;
        let changes = differences(&self.control.dials, &dials, &self.plan.rule_names, peer);
        if changes.is_empty() {
            return Ok(0);
        }
        let count = changes.len();
        for change in changes {
            let rule = change.rule.as_ref().map(|rule| format!(" of {rule}"));
            info!(
                "changed    {}{}: {} -> {}, by {}",
                change.what,
                rule.unwrap_or_default(),
                change.from,
                change.to,
                change.by
            );
            self.control.changes.push(SystemTime::now(), change);
        }
        self.control.dials = dials;
        let tuning = self.tuning();
        if tuning.threshold() > self.control.recorded {
            self.record_up_to(tuning.threshold());
        }
        let tuning = Arc::new(tuning);
        self.crew.command(&|| Command::Tune(Arc::clone(&tuning)));
        Ok(count)
    }

    fn tuning(&self) -> session::Tuning {
        let seed = self.plan.sample_seed();
        self.control.dials.tuning(self.plan.workers, seed)
    }

    fn record_up_to(&mut self, threshold: u32) {
        self.loaded.sample(threshold);
        if let Some(replaying) = &self.replaying {
            replaying.sample(threshold);
        }
        self.control.recorded = threshold;
    }

    /// Once every worker knows of a smaller share and has no session beyond it, the programs need not record more.
    fn record_less(&mut self) {
        let threshold = self.control.dials.tuning(1, 0).threshold();
        if threshold < self.control.recorded
            && self.crew.have_obeyed()
            && self.crew.sum(|slot| slot.flows_outside_sample) == 0
        {
            self.record_up_to(threshold);
        }
    }

    fn status(&self) -> Status {
        let totals = self.crew.totals();
        let all = totals.ledger.total();
        let state = match self.state {
            State::Starting => "starting",
            State::Copying => "copying",
            State::Draining => "draining",
            State::Ended => "ended",
        };
        let rules = self.plan.rule_names.iter().zip(&self.control.dials.rules);
        let rules = rules.map(|(rule, dials)| RuleStatus {
            rule: rule.clone(),
            percent: dials.percent,
            copies: dials.copies,
            weight: dials.weight,
        });
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            state: state.to_owned(),
            paused: self.control.dials.is_paused,
            seconds: self
                .ready
                .and_then(|ready| ready.elapsed().ok())
                .unwrap_or_default()
                .as_secs_f64(),
            rules: rules.collect(),
            rate: self.control.dials.rate,
            sessions_open: totals.sessions,
            captured: all.captured() + totals.turns_open,
            answered: all.turn_figures().get("answered").copied().unwrap_or(0),
            fidelity: self.totals().fidelity(),
            outside_share: totals.flows_outside_sample,
            changes: self.control.changes.count(),
            seed: self.plan.seed.to_string(),
        }
    }
}

/// Whether a run can be turned so.
fn check(plan: &Plan, dials: &Dials) -> Result<(), String> {
    let copies = dials.copies_max();
    if copies > 1 && plan.source == Source::Clients {
        return Err(format!(
            "{copies} copies of a connection need addresses of their own: start the run with a pool (-c)"
        ));
    }
    if let Some(room) = &plan.room {
        let sessions = room.flows * u64::from(plan.dials.copies_max());
        let needed = u64::from(copies) * u64::from(plan.workers);
        if needed > sessions {
            return Err(format!(
                "{copies} copies of a connection need {needed} addresses and ports, one for each copy and worker, and the pool has \
                 {sessions}: start the run with a wider one (-c)"
            ));
        }
    }
    Ok(())
}

/// What differs, in the words of the summary.
fn differences(old: &Dials, new: &Dials, rules: &[String], peer: Peer) -> Vec<Change> {
    let mut changes = Vec::new();
    let mut differs = |what, rule: Option<&String>, from: String, to: String| {
        if from != to {
            changes.push(Change {
                at: String::new(),
                what,
                rule: rule.filter(|_| rules.len() > 1).cloned(),
                from,
                to,
                by: words_of(peer),
            });
        }
    };
    for ((rule, old), new) in rules.iter().zip(&old.rules).zip(&new.rules) {
        let percent = |it: f64| it.to_string();
        differs(
            "percent",
            Some(rule),
            percent(old.percent),
            percent(new.percent),
        );
        let copies = |it: u16| it.to_string();
        differs("copies", Some(rule), copies(old.copies), copies(new.copies));
        let weight = |it: Option<u32>| it.map_or("none".to_owned(), |it| it.to_string());
        differs("weight", Some(rule), weight(old.weight), weight(new.weight));
        let time = |it: std::time::Duration| humantime::format_duration(it).to_string();
        let times = (time(old.response_timeout), time(new.response_timeout));
        differs("response-timeout", Some(rule), times.0, times.1);
    }
    let rate = |it: Option<u32>| it.map_or("none".to_owned(), |it| it.to_string());
    differs("max-new-sessions", None, rate(old.rate), rate(new.rate));
    let paused = |it: bool| it.to_string();
    differs("paused", None, paused(old.is_paused), paused(new.is_paused));
    changes
}

fn words_of(peer: Peer) -> String {
    format!("user {}, process {}", peer.uid, peer.pid)
}

fn done(request: &Request) -> String {
    match request {
        Request::SetPercent { percent, .. } => format!(
            "from now on {percent} % of the connections that begin are copied; those that are being copied go on"
        ),
        Request::SetCopies { copies, .. } => {
            format!("connections that begin from now on have {copies} session(s) each")
        }
        Request::SetRate { rate: Some(rate) } => {
            format!("at most {rate} new sessions per second from now on")
        }
        Request::SetRate { rate: None } => "new sessions have no limit from now on".to_owned(),
        Request::Pause {} => {
            "paused: nothing new is copied, and what is being copied goes on".to_owned()
        }
        _ => "resumed: connections that begin from now on are copied again".to_owned(),
    }
}
