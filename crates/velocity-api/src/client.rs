//! Whose request it is, as far as the network says: the address that connected, or behind proxies that are trusted the
//! one that they saw.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use http::request::Parts;
use http::{Extensions, HeaderMap};
use ipnet::IpNet;
use velocity_access::Credentials;

const X_FORWARDED_FOR: &str = "x-forwarded-for";

/// The client's address, in the extensions of every request that came over a socket. `None`: a trusted proxy said
/// something that is no address, so that nobody knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ClientAddress(pub(crate) Option<IpAddr>);

/// Which peers may say whom they speak for.
#[derive(Debug, Clone, Default)]
pub(crate) struct TrustedProxies(Arc<[IpNet]>);

impl TrustedProxies {
    pub(crate) fn new(networks: &[IpNet]) -> Self {
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
    pub(crate) fn client(&self, peer: SocketAddr, headers: &HeaderMap) -> ClientAddress {
        let peer = peer.ip().to_canonical();
        if self.0.is_empty() || !self.contain(peer) {
            return ClientAddress(Some(peer));
        }
        let mut client = peer;
        let lines: Vec<_> = headers.get_all(X_FORWARDED_FOR).iter().collect();
        for entry in lines.iter().rev().flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b',')) {
            let Some(ip) = parse_entry(entry) else { return ClientAddress(None) };
            client = ip;
            if !self.contain(ip) {
                break;
            }
        }
        ClientAddress(Some(client))
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

/// The client's address, if it is known.
pub(crate) fn address(extensions: &Extensions) -> Option<IpAddr> {
    extensions.get::<ClientAddress>().and_then(|client| client.0)
}

/// What the request brings to say who sends it.
pub(crate) fn credentials(parts: &Parts) -> Credentials<'_> {
    Credentials { headers: &parts.headers, method: &parts.method, ip: address(&parts.extensions) }
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
        let peer = SocketAddr::new(peer.parse().unwrap(), 40_000);
        TrustedProxies::new(&networks).client(peer, &headers).0.map(|ip| ip.to_string())
    }

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
