//! The devices that online services are captured and observed on, as they go and are made anew: a device that is made anew is
//! another one, and the programs went with the old one.
//!
//! The devices that replies come in by follow the ways to the targets ([`super::ways`]).

use std::time::{Duration, Instant};

use nix::net::if_::{if_indextoname, if_nametoindex};
use telemetry::Figures;
use telemetry::warning::Kind;
use tracing::error;

use super::warnings::{Subject, Warnings};
use crate::loader::Loaded;
use crate::plan::Plan;

/// How often what failed is tried again.
const RETRY_EVERY: Duration = Duration::from_secs(1);

/// One device.
#[derive(Debug)]
struct Device {
    name: String,
    state: State,
}

#[derive(Debug)]
enum State {
    /// The programs are on the device with this index.
    Attached(u32),
    /// They are on none, since then.
    Missing {
        since: Instant,
        /// When attaching failed last; that it did has been said.
        failed: Option<Instant>,
    },
}

/// All of them.
#[derive(Debug)]
pub(super) struct Devices {
    all: Vec<Device>,
    /// How often one was attached to again.
    attached_again: u64,
    /// For how long in all one was missing.
    missed: Duration,
}

impl Devices {
    /// As they were attached to at the start.
    pub(super) fn new(plan: &Plan) -> Self {
        let apart = plan.host_sides.iter().chain(&plan.mirrors);
        let all = plan.online_on.iter().chain(apart).map(|name| Device {
            name: name.clone(),
            state: match if_nametoindex(name.as_str()) {
                Ok(index) => State::Attached(index),
                Err(_) => missing(),
            },
        });
        Self {
            all: all.collect(),
            attached_again: 0,
            missed: Duration::ZERO,
        }
    }

    /// Whether one is missing.
    pub(super) fn is_missing(&self) -> bool {
        let mut all = self.all.iter();
        all.any(|device| matches!(device.state, State::Missing { .. }))
    }

    /// Looks which are there, and attaches to those that were made anew.
    pub(super) fn look(&mut self, plan: &Plan, loaded: &mut Loaded, warnings: &mut Warnings) {
        for device in &mut self.all {
            let now = if_nametoindex(device.name.as_str()).ok();
            if let State::Attached(index) = device.state
                && now != Some(index)
            {
                if now.is_none() && is_there(index) {
                    // It has another name now; the programs are still on it.
                    continue;
                }
                loaded.forget(index);
                device.state = missing();
                let words = format!(
                    "NOT EVERYTHING IS COPIED: the device {0} is gone, and the programs with it; what passes there is not copied until \
                     there is a device {0} again, which is then attached to",
                    device.name
                );
                warnings.raise(Kind::DeviceMissing, Subject::Thing(&device.name), &words);
            }
            let State::Missing { since, failed } = device.state else {
                continue;
            };
            let Some(index) = now.filter(|_| failed.is_none_or(|at| at.elapsed() >= RETRY_EVERY))
            else {
                continue;
            };
            if let Err(cause) = loaded.attach_again(plan, &device.name) {
                // What was attached before it failed must not be there twice.
                loaded.forget(index);
                if failed.is_none() {
                    error!(
                        finding = "device-missing",
                        "{cause}; it is tried again every second"
                    );
                }
                let failed = Some(Instant::now());
                device.state = State::Missing { since, failed };
                continue;
            }
            let gap = since.elapsed();
            self.attached_again += 1;
            self.missed += gap;
            device.state = State::Attached(index);
            let words = format!(
                "the device {} is there again and is attached to; what passed it in {:.1} s was not seen",
                device.name,
                gap.as_secs_f64()
            );
            warnings.end(Kind::DeviceMissing, Subject::Thing(&device.name), &words);
        }
    }

    /// What there was, for the summary.
    pub(super) fn notes(&self, notes: &mut Figures) {
        let missing = self.all.iter().filter_map(|device| match device.state {
            State::Missing { since, .. } => Some(since.elapsed()),
            State::Attached(_) => None,
        });
        let missed = self.missed + missing.sum();
        notes.push("devices_attached_again", self.attached_again);
        let millis = u64::try_from(missed.as_millis()).unwrap_or(u64::MAX);
        notes.push("device_missing_ms", millis);
    }
}

/// Whether there is a device with this index, by whatever name. Where there is none nix 0.31 gives an empty name and no error.
fn is_there(index: u32) -> bool {
    if_indextoname(index).is_ok_and(|name| !name.is_empty())
}

fn missing() -> State {
    State::Missing {
        since: Instant::now(),
        failed: None,
    }
}
