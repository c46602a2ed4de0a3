//! What the engine tells of its sessions and turns, and who hears of it.

use std::time::SystemTime;

use comparison::Arm;
use session::{Event, Instant, TurnEnded};

use super::playing::Playing;
use super::slot::Unproven;
use super::{BEHIND_MIN, Running};

impl Running {
    pub(super) fn drain_events(&mut self, now: Instant) -> usize {
        let mut drained = 0;
        while let Some(event) = self.worker.engine.poll_event() {
            drained += 1;
            match event {
                Event::SessionOpened { flow, .. } => {
                    self.worker.leases.open(&flow);
                    if let Some(announcer) = &mut self.worker.announcer {
                        announcer.open(flow);
                    }
                }
                Event::SessionClosed { flow, .. } => {
                    self.worker.leases.close(now, &flow);
                    if let Some(announcer) = &mut self.worker.announcer {
                        announcer.close(flow);
                    }
                }
                Event::PathUnproven {
                    target,
                    client,
                    accepts,
                } => self.worker.shared.note_unproven(Unproven {
                    target,
                    client,
                    accepts,
                }),
                Event::LoginFailed { rule, words } => {
                    self.worker.shared.note_login_failed((rule, words));
                }
                Event::OnlineSent { flow } => {
                    if let Some(target) = &mut self.worker.made_up {
                        target.owes(flow);
                    }
                }
                Event::Compared(compared) => {
                    if let Some(comparing) = &mut self.worker.comparing {
                        comparing.record(now, &compared);
                    }
                }
                Event::MissedBytes { rule, bytes } => self.ledger.record_missed(rule, bytes),
                Event::TurnEnded(turn) => self.take_turn(now, turn),
            }
        }
        drained
    }

    fn take_turn(&mut self, now: Instant, mut turn: TurnEnded) {
        if self.worker.made_up.is_some() {
            // There is nothing to measure.
            turn.paired = false;
            self.ledger.record(&turn);
            return;
        }
        let files = self.worker.playing.as_ref();
        turn.paired &= !files.is_some_and(Playing::is_one_sided);
        self.ledger.record(&turn);
        let comparing = self.worker.comparing.as_ref();
        if comparing.is_some_and(|it| it.arm(turn.rule) == Arm::Baseline) {
            // What is measured is the target.
            return;
        }
        self.latency.record(&turn);
        self.differences.record(&turn, SystemTime::now);
        if turn.lag >= BEHIND_MIN {
            self.pace.urgent(now);
        }
    }
}
