//! Where an `intercept` is.

use std::net::IpAddr;

/// Port of `intercept` where `-s` names none.
const INTERCEPT_PORT: u16 = 36524;

/// `HOST[:PORT]` with the port filled in; names are looked up when connecting, each time anew.
pub(super) fn address(text: &str) -> Result<String, String> {
    let (host, port) = match text.rsplit_once(':') {
        _ if text.parse::<IpAddr>().is_ok() => (text, None),
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => (host, Some(port)),
        Some(_) if text.ends_with(']') => (text, None),
        Some(_) => {
            return Err("an IPv6 address with a port needs brackets: [fd00::7]:36524".to_owned());
        }
        None => (text, None),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    if host.is_empty() {
        return Err("name a host: HOST[:36524]".to_owned());
    }
    let port = match port {
        None => INTERCEPT_PORT,
        Some(port) => match port.parse::<u16>() {
            Ok(port) if port > 0 => port,
            _ => return Err(format!("{port:?} is no port: use 1 to 65535")),
        },
    };
    Ok(if host.contains(':') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    })
}
