//! Proving the path: one probe connection to each target, all at a time, and for those that do not come back one more
//! from the address that this host has towards the target, whose answer must come here: it tells whether the target or the
//! way back is at fault.

use std::thread;
use std::time::{Duration, Instant};

use host::{Netlink, Route};
use telemetry::Mode;
use wire::icmp::TooBig;

use super::evidence::Evidence;
use super::handshake::{Handshake, Via};
use super::icmp::{Ears, Word};
use super::line::{Heard, Intercepts, Line};
use super::narrow::Narrow;
use super::trial::{Seen, Trial};
use crate::loader::Error;
use crate::plan::Plan;
use crate::plan::facts::Facts;

/// When a SYN is sent, again and again, and when its answer is given up.
const SYN_AT: [Duration; 3] = [
    Duration::ZERO,
    Duration::from_millis(300),
    Duration::from_millis(900),
];
const SYN_MAX: Duration = Duration::from_millis(2200);
/// How much longer other probes of a target are waited for once one was answered.
const GRACE: Duration = Duration::from_millis(150);
/// How long all packet lengths together may be tried.
const NARROW_MAX: Duration = Duration::from_millis(2500);
/// How long targets may take to close.
const CLOSE_MAX: Duration = Duration::from_millis(700);
/// How long resets may take to leave before the programs go.
const LINGER: Duration = Duration::from_millis(50);
/// How often the line is looked at.
const TICK: Duration = Duration::from_millis(1);

/// Why there is no proof.
#[derive(Debug)]
pub(crate) enum Stopped {
    /// The line broke.
    Line(Error),
    /// A signal came.
    Interrupted,
}

impl From<Error> for Stopped {
    fn from(error: Error) -> Self {
        Self::Line(error)
    }
}

/// Everything that a proof needs.
pub(crate) struct Prover<'a> {
    plan: &'a Plan,
    facts: &'a Facts,
    line: Line,
    ears: Ears,
    intercepts: Option<&'a Intercepts>,
    interrupted: &'a mut dyn FnMut() -> bool,
    trials: Vec<Trial>,
    sent: u64,
}

impl<'a> Prover<'a> {
    /// Opens the line.
    ///
    /// # Errors
    ///
    /// Where the kernel does not let us; nothing is left behind then.
    pub(crate) fn new(
        plan: &'a Plan,
        facts: &'a Facts,
        intercepts: Option<&'a Intercepts>,
        interrupted: &'a mut dyn FnMut() -> bool,
    ) -> Result<Self, Error> {
        let line = Line::open(&plan.for_probes(&ways_out(plan, facts)))?;
        let trials = plan.targets().into_iter();
        let trials = trials.map(|target| Trial::new(plan, facts, target, line.packet_len_max()));
        Ok(Self {
            plan,
            facts,
            trials: trials.collect(),
            line,
            ears: Ears::open(),
            intercepts,
            interrupted,
            sent: 0,
        })
    }

    /// Runs to the end, and gives what was seen, target by target.
    ///
    /// # Errors
    ///
    /// [`Stopped`]; what was begun is reset.
    pub(crate) fn prove(mut self) -> Result<Vec<Evidence>, Stopped> {
        let before = self.line.counters()?;
        let outcome = self.course();
        // Whatever happened, no target keeps anything of ours.
        let aborts: Vec<_> = self
            .trials
            .iter_mut()
            .flat_map(|trial| trial.shakes().flat_map(Handshake::abort))
            .collect();
        if !aborts.is_empty() {
            self.sent += self.line.send(aborts)?;
            thread::sleep(LINGER);
        }
        outcome?;
        let after = self.line.counters()?;
        let neighbours = Netlink::open().and_then(|netlink| host::neighbour::list(&netlink));
        let seen = Seen {
            plan: self.plan,
            facts: self.facts,
            may_probe: self.may_probe(),
            neighbours: neighbours.unwrap_or_default(),
            before: &before,
            after: &after,
            sent: self.sent,
        };
        let trials = self.trials.iter();
        let evidence = trials.map(|trial| trial.evidence(&seen)).collect();
        self.line.close()?;
        Ok(evidence)
    }

    fn course(&mut self) -> Result<(), Stopped> {
        if self.may_probe() {
            self.shake(|trial| &mut trial.probes)?;
        }
        let via = self.via();
        for trial in &mut self.trials {
            if trial.is_answered(via) {
                trial.control = None;
            }
        }
        self.shake(|trial| trial.control.as_mut_slice())?;
        self.try_lengths()?;
        self.finish()
    }

    /// Where an intercept is missing, nothing is sent whose answer would go astray.
    fn may_probe(&self) -> bool {
        self.intercepts.is_none_or(Intercepts::are_all_there)
    }

    /// Which way answers to probes must come.
    fn via(&self) -> Via {
        match self.plan.mode {
            Mode::Direct => Via::Here,
            Mode::Assistant => Via::Channel,
        }
    }

    /// SYNs until all are answered, or it is time to give up.
    fn shake(&mut self, of: fn(&mut Trial) -> &mut [Handshake]) -> Result<(), Stopped> {
        let via = self.via();
        let began = Instant::now();
        for (index, at) in SYN_AT.into_iter().enumerate() {
            let syns: Vec<_> = self
                .trials
                .iter_mut()
                .flat_map(|trial| of(trial).iter_mut().flat_map(Handshake::syn))
                .collect();
            if syns.is_empty() {
                return Ok(());
            }
            self.sent += self.line.send(syns)?;
            let next = SYN_AT.get(index + 1).copied().unwrap_or(SYN_MAX);
            let open = |trials: &mut [Trial]| {
                trials.iter_mut().any(|trial| {
                    let answered = trial.is_answered(via);
                    !answered && of(trial).iter().any(|shake| shake.answer.is_none())
                })
            };
            self.wait(began, next.saturating_sub(at), |trials| !open(trials))?;
            if !open(&mut self.trials) {
                break;
            }
        }
        // Other sources of the same target may be answered a little later.
        let all = |trials: &mut [Trial]| {
            trials
                .iter_mut()
                .all(|trial| of(trial).iter().all(|shake| shake.answer.is_some()))
        };
        self.wait(began, GRACE, all)
    }

    /// Takes what comes for `time`, or until `done`.
    fn wait(
        &mut self,
        began: Instant,
        time: Duration,
        mut done: impl FnMut(&mut [Trial]) -> bool,
    ) -> Result<(), Stopped> {
        let until = Instant::now() + time;
        loop {
            if (self.interrupted)() {
                return Err(Stopped::Interrupted);
            }
            self.hear(began)?;
            if done(&mut self.trials) || Instant::now() >= until {
                return Ok(());
            }
            thread::sleep(TICK);
        }
    }

    fn hear(&mut self, began: Instant) -> Result<(), Stopped> {
        let mut heard = self.line.receive();
        if let Some(intercepts) = self.intercepts {
            heard.extend(intercepts.receive());
        }
        for word in self.ears.hear() {
            self.told(&word);
        }
        let mut answers = Vec::new();
        for heard in heard {
            match heard {
                Heard::Segment(segment, packet, via) => {
                    for trial in &mut self.trials {
                        let before = trial.probes.iter().filter(|p| p.answer.is_some()).count();
                        answers.extend(
                            trial
                                .shakes()
                                .flat_map(|shake| shake.take(&segment, &packet, via)),
                        );
                        let after = trial.probes.iter().filter(|p| p.answer.is_some()).count();
                        if after > before {
                            trial.took.get_or_insert(began.elapsed());
                        }
                    }
                }
                Heard::TooBig(message) => self.too_big(&message),
            }
        }
        self.sent += self.line.send(answers)?;
        Ok(())
    }

    fn told(&mut self, word: &Word) {
        // What this host tells itself of a neighbour that does not answer is better known from the neighbour.
        if self.facts.is_own(word.from) {
            return;
        }
        for trial in &mut self.trials {
            let is_ours = trial.target == word.flow.server
                && trial
                    .shakes()
                    .any(|shake| shake.source() == word.flow.client);
            if is_ours {
                trial.told.get_or_insert_with(|| word.clone());
            }
        }
    }

    fn too_big(&mut self, message: &TooBig) {
        for trial in &mut self.trials {
            if trial.target == message.flow.server
                && let Some(narrow) = &mut trial.narrow
            {
                narrow.router_said(message.mtu);
            }
        }
    }

    /// Tries how long packets may be, on each connection that stands.
    fn try_lengths(&mut self) -> Result<(), Stopped> {
        let until = Instant::now() + NARROW_MAX;
        for trial in &mut self.trials {
            let stands = trial.probes.iter().find(|probe| probe.is_established());
            // What never leaves this host passes no narrow link.
            let leaves = matches!(trial.route, Some(Route::Device { .. }));
            trial.narrow = stands
                .filter(|_| leaves)
                .map(|probe| Narrow::new(probe.longest()));
        }
        loop {
            let (mut frames, mut pause) = (Vec::new(), Duration::ZERO);
            for trial in &mut self.trials {
                let Some(narrow) = &mut trial.narrow else {
                    continue;
                };
                let mut stands = trial.probes.iter_mut().filter(|p| p.is_established());
                if let (Some(probe), Some(len)) = (stands.next(), narrow.next_len()) {
                    probe.bare_acks = 0;
                    pause = pause.max(narrow.patience());
                    frames.extend(probe.stale(len));
                }
            }
            if frames.is_empty() || Instant::now() >= until {
                return Ok(());
            }
            self.sent += self.line.send(frames)?;
            self.wait(Instant::now(), pause, |trials| {
                trials.iter().all(|trial| {
                    let tried = trial
                        .narrow
                        .as_ref()
                        .is_some_and(|n| n.next_len().is_some());
                    let mut stands = trial.probes.iter().filter(|p| p.is_established());
                    !tried || stands.next().is_none_or(|probe| probe.bare_acks > 0)
                })
            })?;
            for trial in &mut self.trials {
                let mut stands = trial.probes.iter().filter(|p| p.is_established());
                let acknowledged = stands.next().is_some_and(|probe| probe.bare_acks > 0);
                if let Some(narrow) = &mut trial.narrow {
                    narrow.tried(acknowledged);
                }
            }
        }
    }

    /// Closes every connection that stands, as a client does.
    fn finish(&mut self) -> Result<(), Stopped> {
        let fins: Vec<_> = self
            .trials
            .iter_mut()
            .flat_map(|trial| trial.shakes().flat_map(Handshake::finish))
            .collect();
        if fins.is_empty() {
            return Ok(());
        }
        self.sent += self.line.send(fins)?;
        self.wait(Instant::now(), CLOSE_MAX, |trials| {
            trials.iter_mut().all(|trial| {
                trial
                    .shakes()
                    .all(|shake| shake.is_closed() || shake.answer.is_none())
            })
        })
    }
}

/// Names of the devices by which targets are reached.
fn ways_out(plan: &Plan, facts: &Facts) -> Vec<String> {
    let routes = plan
        .egress
        .iter()
        .filter_map(|(target, _)| facts.route(*target));
    routes
        .filter_map(|route| match route {
            Route::Device { name, .. } => Some(name.clone()),
            _ => None,
        })
        .collect()
}
