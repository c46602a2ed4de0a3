//! Whether this host would forward what `sink` consumes, once `intercept` does not run.

use std::path::Path;

/// The settings that let this host forward packets and are on, as `sysctl` names them.
pub(crate) fn enabled(interface: &str) -> Vec<String> {
    let settings = [
        "net.ipv4.ip_forward".to_owned(),
        format!("net.ipv4.conf.{interface}.forwarding"),
        "net.ipv6.conf.all.forwarding".to_owned(),
        format!("net.ipv6.conf.{interface}.forwarding"),
    ];
    settings.into_iter().filter(|name| is_on(name)).collect()
}

fn is_on(name: &str) -> bool {
    // An interface's name may have dots: only those of the setting's own parts become slashes.
    let parts: Vec<&str> = name.splitn(4, '.').collect();
    let path = match parts[..] {
        [net, family, conf, rest] => match rest.rsplit_once('.') {
            Some((interface, leaf)) => Path::new("/proc/sys")
                .join(net)
                .join(family)
                .join(conf)
                .join(interface)
                .join(leaf),
            None => return false,
        },
        _ => Path::new("/proc/sys").join(name.replace('.', "/")),
    };
    std::fs::read_to_string(path).is_ok_and(|value| !matches!(value.trim(), "0" | ""))
}
