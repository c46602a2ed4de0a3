//! What a machine is made of: processors, memory and network devices.

/// The kinds of machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Shape {
    /// Two processors, no network device: tests make their own.
    Plain,
    /// Four processors.
    Four,
    /// The lab's hosts on emulated devices, those of online server and assistant of this model.
    Devices(Model),
}

/// A model of a network device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Model {
    /// What most clouds have; native XDP.
    VirtioNet,
    /// VMware's; native XDP since Linux 6.6.
    Vmxnet3,
    /// Intel's; no native XDP.
    E1000e,
}

impl Model {
    const fn name(self) -> &'static str {
        match self {
            Self::VirtioNet => "virtio-net-pci",
            Self::Vmxnet3 => "vmxnet3",
            Self::E1000e => "e1000e",
        }
    }
}

impl Shape {
    /// The word in the name of a log.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Four => "four",
            Self::Devices(model) => model.name(),
        }
    }

    pub(super) const fn processors(self) -> u32 {
        match self {
            Self::Four => 4,
            Self::Plain | Self::Devices(_) => 2,
        }
    }

    /// In MiB.
    pub(super) const fn memory_mb(self) -> u32 {
        3072
    }

    /// The arguments for the devices: one for each end of the lab's links (`lab::devices`), by its address, and a hub for
    /// each link.
    pub(super) fn devices(self) -> Vec<String> {
        let Self::Devices(model) = self else {
            return Vec::new();
        };
        let other = Model::VirtioNet;
        let ends = [
            (1, 0, other),
            (2, 0, model),
            (3, 1, model),
            (4, 1, other),
            (5, 1, model),
        ];
        let mut arguments = Vec::new();
        for (number, hub, model) in ends {
            arguments.push("-netdev".to_owned());
            arguments.push(format!("hubport,id=end{number},hubid={hub}"));
            arguments.push("-device".to_owned());
            arguments.push(format!(
                "{},netdev=end{number},mac=52:54:00:74:63:0{number}",
                model.name()
            ));
        }
        arguments
    }
}

#[cfg(test)]
mod tests {
    use super::{Model, Shape};

    #[test]
    fn each_end_of_a_link_has_a_device_of_its_own() {
        assert!(Shape::Plain.devices().is_empty());
        let devices = Shape::Devices(Model::Vmxnet3).devices();
        assert_eq!(devices.len(), 20);
        assert_eq!(
            devices[3],
            "virtio-net-pci,netdev=end1,mac=52:54:00:74:63:01"
        );
        assert_eq!(devices[7], "vmxnet3,netdev=end2,mac=52:54:00:74:63:02");
    }
}
