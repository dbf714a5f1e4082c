//! Keys that the platform issues: in which header they come, and from where they are taken.

use std::net::IpAddr;

use http::HeaderName;
use ipnet::IpNet;
use velocity_contract::auth_strategy::ApiKeySpec;
use velocity_schema::Violations;

use crate::strategy::Scope;

/// Most networks of an allow list.
const MAX_NETWORKS: usize = 256;

/// Headers that mean something else already, here or on the way.
const TAKEN: [&str; 20] = [
    "accept",
    "authorization",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "cookie",
    "forwarded",
    "host",
    "idempotency-key",
    "if-match",
    "if-none-match",
    "origin",
    "proxy-authorization",
    "te",
    "transfer-encoding",
    "upgrade",
    "x-csrf-token",
    "x-forwarded-for",
    "x-reason",
];

/// A validated block.
#[derive(Debug, Clone)]
pub(crate) struct ApiKeySettings {
    pub(crate) header: HeaderName,
    /// Empty: from anywhere.
    allowed: Vec<IpNet>,
}

impl ApiKeySettings {
    /// The validated form of `spec.apiKey`; its problems go to `violations`.
    pub(crate) fn parse(spec: &ApiKeySpec, violations: &mut Violations) -> Option<Self> {
        let mut scope = Scope::new("spec.apiKey", violations);
        let header =
            parse_header(&spec.header_name).map_err(|why| scope.push("headerName", "format", why)).ok();
        if spec.ip_allowlist.len() > MAX_NETWORKS {
            scope.push("ipAllowlist", "length", format!("has more than {MAX_NETWORKS} entries"));
        }
        let mut allowed = Vec::new();
        for (index, text) in spec.ip_allowlist.iter().take(MAX_NETWORKS).enumerate() {
            match parse_network(text) {
                Ok(network) => allowed.push(network),
                Err(why) => scope.push(&format!("ipAllowlist[{index}]"), "format", why),
            }
        }
        if !scope.is_clean() {
            return None;
        }
        Some(Self { header: header?, allowed })
    }

    /// Whether keys are taken from this address. An address that is not known is in no list.
    pub(crate) fn allows(&self, ip: Option<IpAddr>) -> bool {
        self.allowed.is_empty()
            || ip.is_some_and(|ip| {
                let ip = ip.to_canonical();
                self.allowed.iter().any(|network| network.contains(&ip))
            })
    }
}

fn parse_header(text: &str) -> Result<HeaderName, String> {
    let name = text.to_ascii_lowercase();
    let plain =
        (1..=64).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if !plain {
        return Err("must be 1 to 64 letters, digits and dashes".to_owned());
    }
    if TAKEN.contains(&name.as_str()) || name.starts_with("x-velocity") || name.starts_with("sec-") {
        return Err(format!("is `{text}`, which means something else: leave it out for `X-API-Key`"));
    }
    HeaderName::from_bytes(name.as_bytes()).map_err(|_| "is not the name of a header".to_owned())
}

/// An address or a network. An address within a network is most likely a mistake about its size, so it is refused.
fn parse_network(text: &str) -> Result<IpNet, String> {
    let shown: String = text.chars().take(64).collect();
    let network = match text.parse::<IpNet>() {
        Ok(network) => network,
        Err(_) => text.parse::<IpAddr>().map(IpNet::from).map_err(|_| {
            format!("is `{shown}`, which is no address and no network: write 192.0.2.7, 10.0.0.0/8 or 2001:db8::/32")
        })?,
    };
    if network.trunc() != network {
        return Err(format!(
            "is `{shown}`, whose address has bits beyond its prefix: did you mean {}?",
            network.trunc()
        ));
    }
    match network {
        IpNet::V6(v6) if v6.addr().to_ipv4_mapped().is_some() => {
            Err(format!("is `{shown}`, an IPv4 address in IPv6 form: write it as IPv4"))
        }
        network => Ok(network),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn parse(spec: Value) -> Result<ApiKeySettings, Vec<String>> {
        let spec: ApiKeySpec = serde_json::from_value(spec).unwrap();
        let mut violations = Violations::default();
        let parsed = ApiKeySettings::parse(&spec, &mut violations);
        parsed.ok_or_else(|| violations.iter().map(|v| v.path.clone()).collect())
    }

    #[test]
    fn addresses_and_networks_of_both_families_are_taken_and_matched() {
        let settings =
            parse(json!({ "ipAllowlist": ["10.0.0.0/8", "192.0.2.7", "2001:db8::/32", "::1"] })).unwrap();
        for inside in ["10.255.0.1", "192.0.2.7", "2001:db8:1::9", "::1", "::ffff:10.1.2.3"] {
            assert!(settings.allows(Some(inside.parse().unwrap())), "{inside}");
        }
        for outside in ["11.0.0.1", "192.0.2.8", "2001:db9::1", "::2", "::ffff:11.1.2.3"] {
            assert!(!settings.allows(Some(outside.parse().unwrap())), "{outside}");
        }
        assert!(!settings.allows(None));
        assert!(parse(json!({})).unwrap().allows(None));
    }

    #[test]
    fn what_is_no_network_is_named() {
        for text in [
            "",
            "10.0.0.0/33",
            "10.0.0.1/8",
            "10.0.0",
            "example.org",
            "2001:db8::1/32",
            "::ffff:10.0.0.1",
            "10.0.0.0/-1",
        ] {
            assert_eq!(
                parse(json!({ "ipAllowlist": ["::1", text] })).unwrap_err(),
                ["spec.apiKey.ipAllowlist[1]"],
                "{text}"
            );
        }
        assert_eq!(
            parse(json!({ "ipAllowlist": vec!["::1"; 257] })).unwrap_err(),
            ["spec.apiKey.ipAllowlist"]
        );
    }

    #[test]
    fn a_header_that_means_something_else_is_refused() {
        for header in [
            "Authorization",
            "cookie",
            "X-Forwarded-For",
            "a b",
            "",
            "X-Velocity-Key",
            "Sec-Fetch-Site",
            "x\n",
        ] {
            assert_eq!(
                parse(json!({ "headerName": header })).unwrap_err(),
                ["spec.apiKey.headerName"],
                "{header}"
            );
        }
        assert_eq!(parse(json!({})).unwrap().header, "x-api-key");
    }
}
