//! Whose request it is, as far as the network says: the address that connected, or behind proxies that are trusted the
//! one that they saw.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use http::HeaderMap;
use ipnet::IpNet;

const X_FORWARDED_FOR: &str = "x-forwarded-for";

/// Which peers may say whom they speak for.
#[derive(Debug, Clone, Default)]
pub struct TrustedProxies(Arc<[IpNet]>);

impl TrustedProxies {
    /// The peers in these networks.
    pub fn new(networks: &[IpNet]) -> Self {
        Self(networks.into())
    }

    fn contain(&self, ip: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&ip))
    }

    /// The client behind a request from `peer`.
    ///
    /// Every proxy adds the address that connected to *it* on the right, and a client may send whatever it likes on the
    /// left. So the right-most entry that is no trusted proxy counts, and only where the peer is one. What is no address
    /// there makes the client unknown, rather than as trusted as the proxy.
    pub fn client(&self, peer: IpAddr, headers: &HeaderMap) -> Option<IpAddr> {
        let peer = peer.to_canonical();
        if self.0.is_empty() || !self.contain(peer) {
            return Some(peer);
        }
        let mut client = peer;
        let lines: Vec<_> = headers.get_all(X_FORWARDED_FOR).iter().collect();
        for entry in lines.iter().rev().flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b',')) {
            let ip = parse_entry(entry)?;
            client = ip;
            if !self.contain(ip) {
                break;
            }
        }
        Some(client)
    }
}

/// One entry: an address, perhaps with a port as some proxies have it, IPv6 then in brackets.
fn parse_entry(entry: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(entry).ok()?.trim();
    let ip = match text.parse::<IpAddr>() {
        Ok(ip) => ip,
        Err(_) => match text.parse::<SocketAddr>() {
            Ok(address) => address.ip(),
            Err(_) => IpAddr::V6(text.strip_prefix('[')?.strip_suffix(']')?.parse().ok()?),
        },
    };
    Some(ip.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(trusted: &[&str], peer: &str, lines: &[&str]) -> Option<String> {
        let networks: Vec<IpNet> = trusted.iter().map(|network| network.parse().unwrap()).collect();
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(X_FORWARDED_FOR, line.parse().unwrap());
        }
        TrustedProxies::new(&networks).client(peer.parse().unwrap(), &headers).map(|ip| ip.to_string())
    }

    #[expect(clippy::unnecessary_wraps, reason = "reads as what is expected of an answer")]
    fn is(address: &str) -> Option<String> {
        Some(address.to_owned())
    }

    #[test]
    fn nobody_but_a_trusted_proxy_says_whom_it_speaks_for() {
        assert_eq!(client(&[], "203.0.113.9", &["10.0.0.1"]), is("203.0.113.9"));
        assert_eq!(client(&["10.0.0.0/8"], "203.0.113.9", &["10.0.0.1"]), is("203.0.113.9"));
        assert_eq!(client(&["10.0.0.0/8"], "10.0.0.1", &["203.0.113.9"]), is("203.0.113.9"));
    }

    #[test]
    fn what_a_client_puts_on_the_left_does_not_count() {
        let trusted = ["10.0.0.0/8", "2001:db8::/32"];
        for lines in [
            &["192.0.2.1, 203.0.113.9"][..],
            &["192.0.2.1", "203.0.113.9"],
            &["192.0.2.1, 203.0.113.9, 10.9.9.9"],
            &["192.0.2.1,203.0.113.9 , 10.9.9.9", "2001:db8::7"],
            &["nonsense, 10.1.1.1, 203.0.113.9, 10.9.9.9"],
            &["::ffff:203.0.113.9"],
            &["203.0.113.9:51234"],
        ] {
            assert_eq!(client(&trusted, "10.0.0.1", lines), is("203.0.113.9"), "{lines:?}");
        }
        assert_eq!(client(&trusted, "10.0.0.1", &["[2001:db9::1]:443"]), is("2001:db9::1"));
        assert_eq!(client(&trusted, "10.0.0.1", &["[2001:db9::1]"]), is("2001:db9::1"));
    }

    #[test]
    fn a_mapped_peer_is_its_ipv4_address() {
        assert_eq!(client(&["10.0.0.0/8"], "::ffff:10.0.0.1", &["203.0.113.9"]), is("203.0.113.9"));
        assert_eq!(client(&[], "::ffff:192.0.2.1", &[]), is("192.0.2.1"));
    }

    #[test]
    fn without_an_entry_the_peer_counts_and_with_nonsense_nobody_does() {
        assert_eq!(client(&["10.0.0.0/8"], "10.0.0.1", &[]), is("10.0.0.1"));
        assert_eq!(client(&["10.0.0.0/8"], "10.0.0.1", &["10.0.0.2, 10.0.0.3"]), is("10.0.0.2"));
        for line in ["", "unknown", "203.0.113.9,", "203.0.113.9, _hidden", "10.0.0.256", "203.0.113.9;"] {
            assert_eq!(client(&["10.0.0.0/8"], "10.0.0.1", &[line]), None, "{line}");
        }
    }
}
