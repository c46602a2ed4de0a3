//! The cases: what runs on which kernel, in which machine.
//!
//! A case is a list of tests of this repository, by their names, in one of three test programs. What they assert stands
//! with them; nothing is judged here but their exit status.

use super::kernel::Series;
use super::shape::{Model, Shape};

/// A program of tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Suite {
    /// `tests/tests/kernels`: what must hold on every kernel and every kind of device.
    Kernels,
    /// `tests/tests/live`: the live tests of this machine.
    Live,
    /// `tests/tests/programs`: the programs on real and hostile packets.
    Programs,
}

impl Suite {
    /// The name of the test target.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Kernels => "kernels",
            Self::Live => "live",
            Self::Programs => "programs",
        }
    }

    /// Tests that say nothing here: what a program costs on an emulated processor.
    pub(super) const fn left_out(self) -> &'static [&'static str] {
        match self {
            Self::Programs => &["costs::"],
            Self::Kernels | Self::Live => &[],
        }
    }
}

/// A case.
#[derive(Clone, Copy, Debug)]
pub(super) struct Case {
    /// The word on the command line.
    pub(super) name: &'static str,
    /// What it shows.
    pub(super) about: &'static str,
    /// Whether it belongs to the short form.
    pub(super) short: bool,
    /// The kernels that it runs on.
    pub(super) kernels: &'static [Series],
    /// The machine that it needs.
    pub(super) shape: Shape,
    /// Where its tests stand.
    pub(super) suite: Suite,
    /// Their names; none means all of them.
    pub(super) tests: &'static [&'static str],
    /// How long it may take, in seconds, on a machine that others use as well.
    pub(super) seconds_max: u64,
}

const BOTH: &[Series] = &[Series::V6_1, Series::V6_12];

/// All cases, in the order in which they run.
pub(super) const CASES: &[Case] = &[
    Case {
        name: "direct",
        about: "direct mode: a sound doctor, keep-alive and short HTTP, SIGKILL, nothing left",
        short: true,
        kernels: BOTH,
        shape: Shape::Plain,
        suite: Suite::Kernels,
        tests: &["sound::direct"],
        seconds_max: 400,
    },
    Case {
        name: "assistant",
        about: "the same in assistant mode",
        short: true,
        kernels: BOTH,
        shape: Shape::Plain,
        suite: Suite::Kernels,
        tests: &["sound::assistant"],
        seconds_max: 400,
    },
    Case {
        name: "module",
        about: "whole responses of both servers for a rule with a protocol module, in both modes",
        short: true,
        kernels: BOTH,
        shape: Shape::Plain,
        suite: Suite::Kernels,
        tests: &["engines::module_direct", "engines::module_assistant"],
        seconds_max: 400,
    },
    Case {
        name: "programs",
        about: "the programs on real and hostile packets (BPF_PROG_TEST_RUN)",
        short: false,
        kernels: BOTH,
        shape: Shape::Plain,
        suite: Suite::Programs,
        tests: &[],
        seconds_max: 600,
    },
    Case {
        name: "af-xdp",
        about: "captured packets as clones, in both modes",
        short: false,
        kernels: BOTH,
        shape: Shape::Plain,
        suite: Suite::Kernels,
        tests: &["engines::af_xdp_direct", "engines::af_xdp_assistant"],
        seconds_max: 400,
    },
    Case {
        name: "record",
        about: "a recording with whole responses, read again",
        short: false,
        kernels: &[Series::V6_1],
        shape: Shape::Plain,
        suite: Suite::Kernels,
        tests: &["recording::whole_responses_are_recorded"],
        seconds_max: 400,
    },
    Case {
        name: "metrics",
        about: "a Prometheus scrapes both programs",
        short: false,
        kernels: BOTH,
        shape: Shape::Plain,
        suite: Suite::Live,
        tests: &["metrics::a_prometheus_scrapes_both_programs"],
        seconds_max: 400,
    },
    Case {
        name: "hooks",
        about: "clsact filters: after SIGKILL of the run, of its janitor, of both; beside filters of others",
        short: false,
        kernels: BOTH,
        shape: Shape::Plain,
        suite: Suite::Live,
        tests: &[
            "hooks::filters_of_others_stay_and_are_asked",
            "hooks::filters_of_a_killed_run_are_gone_soon",
            "hooks::a_run_whose_janitor_is_killed_gets_another",
            "hooks::what_a_run_and_its_janitor_leave_does_nothing_and_is_removed_by_the_next",
        ],
        seconds_max: 600,
    },
    Case {
        name: "places",
        about: "a service on loopback, a mirror port, a container's link, answers by another device, --netns, MASQUERADE, IPv6",
        short: false,
        kernels: BOTH,
        shape: Shape::Plain,
        suite: Suite::Live,
        tests: &[
            "loopback::service_on_loopback_direct",
            "directions::mirror_port",
            "directions::host_end_of_a_containers_link",
            "directions::answers_that_leave_by_another_device",
            "containers::inside::a_copy_works_inside_another_namespace",
            "containers::published::a_container_is_copied_from_inside_through_masquerade",
            "places::ipv6_direct",
        ],
        seconds_max: 900,
    },
    Case {
        name: "vlan",
        about: "clients and target on VLAN devices; on their trunk, tagged packets are skipped and counted",
        short: false,
        kernels: BOTH,
        shape: Shape::Plain,
        suite: Suite::Kernels,
        tests: &["links::vlan_devices", "links::vlan_trunk"],
        seconds_max: 400,
    },
    Case {
        name: "bond",
        about: "active-backup on both sides, and the active members fail",
        short: false,
        kernels: BOTH,
        shape: Shape::Plain,
        suite: Suite::Kernels,
        tests: &["links::bonds_that_fail_over"],
        seconds_max: 400,
    },
    Case {
        name: "bridge",
        about: "the clients' device is a port of a bridge: -i on the bridge, and on the port",
        short: false,
        kernels: BOTH,
        shape: Shape::Plain,
        suite: Suite::Kernels,
        tests: &["links::bridge", "links::port_of_a_bridge"],
        seconds_max: 400,
    },
    Case {
        name: "netem",
        about: "a way to the target with jitter, with reordering, with 1 % loss",
        short: false,
        kernels: BOTH,
        shape: Shape::Plain,
        suite: Suite::Kernels,
        tests: &[
            "lossy::delay_with_jitter",
            "lossy::reorder",
            "lossy::loss_of_1_percent",
        ],
        seconds_max: 600,
    },
    Case {
        name: "four",
        about: "four workers on four processors, all ways of capture",
        short: false,
        kernels: BOTH,
        shape: Shape::Four,
        suite: Suite::Kernels,
        tests: &[
            "engines::four_workers_direct",
            "engines::four_workers_assistant",
            "engines::four_workers_af_xdp",
        ],
        seconds_max: 600,
    },
    Case {
        name: "virtio-net",
        about: "capture, egress and intercept on virtio-net",
        short: false,
        kernels: BOTH,
        shape: Shape::Devices(Model::VirtioNet),
        suite: Suite::Kernels,
        tests: &["cards::direct", "cards::direct_af_xdp", "cards::assistant"],
        seconds_max: 600,
    },
    Case {
        name: "vmxnet3",
        about: "the same on vmxnet3",
        short: false,
        kernels: BOTH,
        shape: Shape::Devices(Model::Vmxnet3),
        suite: Suite::Kernels,
        tests: &["cards::direct", "cards::direct_af_xdp", "cards::assistant"],
        seconds_max: 600,
    },
    Case {
        name: "e1000e",
        about: "the same on e1000e, which has no native XDP",
        short: false,
        kernels: BOTH,
        shape: Shape::Devices(Model::E1000e),
        suite: Suite::Kernels,
        tests: &["cards::direct", "cards::direct_af_xdp", "cards::assistant"],
        seconds_max: 600,
    },
];

/// Which cases run.
#[derive(Clone, Debug, Default)]
pub(super) struct Wanted {
    /// Only those of these names; empty means all.
    pub(super) only: Vec<String>,
    /// Only those of the short form.
    pub(super) short: bool,
}

impl Wanted {
    /// The cases of a kernel and a machine.
    pub(super) fn cases(&self, series: Series, shape: Shape) -> Vec<Case> {
        self.of_kernel(series)
            .into_iter()
            .filter(|case| case.shape == shape)
            .collect()
    }

    /// The machines that a kernel needs, in the order of the cases.
    pub(super) fn shapes(&self, series: Series) -> Vec<Shape> {
        let mut shapes = Vec::new();
        for case in self.of_kernel(series) {
            if !shapes.contains(&case.shape) {
                shapes.push(case.shape);
            }
        }
        shapes
    }

    fn of_kernel(&self, series: Series) -> Vec<Case> {
        CASES
            .iter()
            .filter(|case| case.kernels.contains(&series))
            .filter(|case| !self.short || case.short)
            .filter(|case| self.only.is_empty() || self.only.iter().any(|name| name == case.name))
            .copied()
            .collect()
    }
}

/// The case of this name, for the command line.
pub(super) fn named(name: &str) -> Result<String, String> {
    if CASES.iter().any(|case| case.name == name) {
        return Ok(name.to_owned());
    }
    let names: Vec<&str> = CASES.iter().map(|case| case.name).collect();
    Err(format!(
        "there is no case of this name; choose from {}",
        names.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use super::{CASES, Wanted, named};
    use crate::vm::kernel::Series;
    use crate::vm::shape::Shape;

    #[test]
    fn names_are_words_and_stand_once() {
        for (number, case) in CASES.iter().enumerate() {
            assert!(!CASES[..number].iter().any(|other| other.name == case.name));
            let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            assert!(case.name.chars().all(plain), "{}", case.name);
            assert!(named(case.name).is_ok());
        }
        assert!(named("nothing").unwrap_err().contains("direct"));
    }

    #[test]
    fn the_short_form_is_one_machine_for_each_kernel() {
        let wanted = Wanted {
            short: true,
            ..Wanted::default()
        };
        for series in [Series::V6_1, Series::V6_12] {
            assert_eq!(wanted.shapes(series), [Shape::Plain]);
            assert_eq!(wanted.cases(series, Shape::Plain).len(), 3);
        }
    }
}
