//! The devices of a plan as the rest of the process asks for them.

use host::clsact::Direction;
use programs::name;

use super::{LOOPBACK, Plan};
use crate::worker::intake::Several;

impl Plan {
    /// Whether answers may leave by other devices too, as routes come and go: those to clients on this very host never do, and
    /// what others answer is not for this host to route.
    pub(crate) fn follows_exits(&self) -> bool {
        let mut online = self.online_on.iter();
        online.any(|name| name != LOOPBACK)
    }

    /// Devices where packets pass another way than those of this host, each with a program that knows and its hook.
    pub(crate) fn hooks_apart(&self) -> Vec<(&str, &'static str, Direction)> {
        let mut hooks = Vec::new();
        for device in &self.host_sides {
            hooks.push((device.as_str(), name::CAPTURE_OUT, Direction::Egress));
            hooks.push((device.as_str(), name::OBSERVE_IN, Direction::Ingress));
        }
        for device in &self.mirrors {
            hooks.push((device.as_str(), name::OVERHEAR, Direction::Ingress));
        }
        hooks
    }

    /// Which directions more than one device may show, so that one packet may be recorded twice.
    pub(crate) fn several_devices(&self) -> Several {
        let apart = self.host_sides.len() + self.mirrors.len();
        Several {
            clients: self.capture_on.len() + apart > 1,
            online: self.observe_on.len() + apart > 1,
        }
    }

    /// The devices that clients come in by, as `-i` takes them.
    pub(crate) fn named_devices(&self) -> Vec<String> {
        let host_sides = self.host_sides.iter().map(|name| format!("{name}:host"));
        let mirrors = self.mirrors.iter().map(|name| format!("{name}:mirror"));
        let online = self.online_on.iter().cloned();
        online.chain(host_sides).chain(mirrors).collect()
    }
}
