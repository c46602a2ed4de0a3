//! An address with a port. Nothing is looked up here: what is copied to whom must not depend on what a name means today.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// `IP:PORT`, with an IPv6 address in brackets.
///
/// # Errors
///
/// Says what it is instead, and how to write it.
pub fn endpoint(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| refusal(text))
}

fn refusal(text: &str) -> String {
    if let Some((ip, mac)) = text.split_once('@') {
        return format!(
            "MAC addresses like {mac} are not needed, the kernel's route and neighbour are used: write {ip}"
        );
    }
    if text.parse::<Ipv6Addr>().is_ok() && !text.starts_with('[') {
        let (ip, port) = text.rsplit_once(':').unwrap_or((text, "PORT"));
        return format!("an IPv6 address stands in brackets: write [{ip}]:{port}");
    }
    let Some((host, port)) = text.rsplit_once(':') else {
        return match text.parse::<IpAddr>() {
            Ok(_) => format!("there is no port: write {text}:PORT"),
            Err(_) => format!("{text:?} is no address with a port: write IP:PORT"),
        };
    };
    if host.parse::<Ipv6Addr>().is_ok() {
        return format!("an IPv6 address stands in brackets: write [{host}]:{port}");
    }
    if port.parse::<u16>().is_err() {
        return format!("{port:?} is no port: write a port up to 65535");
    }
    let is_number = host
        .bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b'.');
    if is_number || host.is_empty() || host.contains(['[', ']', ' ', '/', ':']) {
        return format!("{host:?} is no IP address: write IP:{port}");
    }
    format!(
        "names are not looked up here: write the address of {host} (`getent ahosts {host}` tells it)"
    )
}

#[cfg(test)]
mod tests {
    use super::endpoint;

    #[test]
    fn each_mistake_has_its_words() {
        assert_eq!(endpoint("10.0.0.2:80"), Ok("10.0.0.2:80".parse().unwrap()));
        assert_eq!(endpoint("[::1]:80"), Ok("[::1]:80".parse().unwrap()));
        for (text, words) in [
            ("192.168.0.1", "write 192.168.0.1:PORT"),
            ("web.example.com:80", "getent ahosts web.example.com"),
            (
                "10.0.0.2:99999",
                "\"99999\" is no port: write a port up to 65535",
            ),
            ("10.0.0.2:x", "up to 65535"),
            ("2001:db8::1:80", "write [2001:db8::1]:80"),
            ("1:2:3:4:5:6:7:8:80", "write [1:2:3:4:5:6:7:8]:80"),
            (
                "121.55.111.148:18080@00:0F:1F:03:F2:E6",
                "write 121.55.111.148:18080",
            ),
            ("10.0.0.256:80", "\"10.0.0.256\" is no IP address"),
            (":80", "no IP address"),
            ("", "no address"),
        ] {
            let refusal = endpoint(text).unwrap_err();
            assert!(refusal.contains(words), "{text}: {refusal}");
        }
    }
}
