//! The validated form of the `oidc` block.

use std::time::Duration;

use reqwest::Url;
use velocity_contract::auth_strategy::OidcSpec;
use velocity_schema::Violations;

use crate::claims::ClaimMapping;
use crate::duration::parse_duration;
use crate::strategy::{Scope, is_loopback};

/// What a discovery document's address ends with (OpenID Connect Discovery 1.0, section 4). What is before it is the
/// issuer.
const WELL_KNOWN: &str = "/.well-known/openid-configuration";
/// The route that the provider sends browsers back to.
const CALLBACK: &str = "/auth/callback";
/// Most scopes that are asked for.
const MAX_SCOPES: usize = 32;
/// Shortest session: below, people would do nothing but sign in.
const MIN_SESSION: Duration = Duration::from_mins(1);
/// Longest session without a new sign-in.
const MAX_SESSION: Duration = Duration::from_hours(30 * 24);

/// A validated `oidc` block.
#[derive(Debug, Clone)]
pub(crate) struct OidcStrategy {
    pub(super) discovery_url: Url,
    /// The issuer that the discovery document and every ID token must name.
    pub(super) issuer: String,
    pub(super) client_id: String,
    /// Whether a Secret holds the client's secret.
    pub(super) has_secret: bool,
    pub(super) redirect_uri: Url,
    pub(super) scopes: Vec<String>,
    pub(super) session_ttl: Duration,
    pub(super) claims: ClaimMapping,
}

impl OidcStrategy {
    /// The validated form of `spec.oidc`; its problems go to `violations`.
    pub(crate) fn parse(spec: &OidcSpec, violations: &mut Violations) -> Option<Self> {
        let mut scope = Scope::new("spec.oidc", violations);
        let discovery_url = parse_discovery_url(&spec.discovery_url, &mut scope);
        check_client_id(&spec.client_id, &mut scope);
        if spec
            .client_secret_ref
            .as_ref()
            .is_some_and(|secret| secret.name.is_empty() || secret.key.is_empty())
        {
            scope.push("clientSecretRef", "required", "must name a Secret and the entry in it");
        }
        let redirect_uri = parse_redirect_uri(&spec.redirect_uri, &mut scope);
        check_scopes(&spec.scopes, &mut scope);
        let session_ttl = parse_session_ttl(&spec.session_ttl, &mut scope);
        let mapping = spec.claim_mapping.clone().unwrap_or_default();
        let claims = ClaimMapping::parse(&mapping, &scope.path_of("claimMapping"), scope.violations());
        if !scope.is_clean() {
            return None;
        }
        let discovery_url = discovery_url?;
        Some(Self {
            issuer: discovery_url.as_str().strip_suffix(WELL_KNOWN)?.to_owned(),
            discovery_url,
            client_id: spec.client_id.clone(),
            has_secret: spec.client_secret_ref.is_some(),
            redirect_uri: redirect_uri?,
            scopes: spec.scopes.clone(),
            session_ttl: session_ttl?,
            claims: claims?,
        })
    }

    /// The origin that browsers know us by, as the header `Origin` has it.
    pub(super) fn origin(&self) -> String {
        self.redirect_uri.origin().ascii_serialization()
    }
}

fn parse_discovery_url(text: &str, scope: &mut Scope<'_>) -> Option<Url> {
    match secure_url(text) {
        Ok(url) if url.query().is_none() && url.as_str().ends_with(WELL_KNOWN) => Some(url),
        Ok(_) => {
            let message =
                format!("must be the issuer's address followed by `{WELL_KNOWN}`, and nothing after it");
            scope.push("discoveryUrl", "format", message);
            None
        }
        Err(message) => {
            scope.push("discoveryUrl", "format", message);
            None
        }
    }
}

fn check_client_id(client_id: &str, scope: &mut Scope<'_>) {
    let is_visible = client_id.bytes().all(|b| (0x20..0x7f).contains(&b));
    if client_id.is_empty() || client_id.len() > 256 || !is_visible {
        scope.push("clientId", "format", "must be 1 to 256 visible ASCII characters, as the provider has it");
    }
}

fn parse_redirect_uri(text: &str, scope: &mut Scope<'_>) -> Option<Url> {
    match secure_url(text) {
        Ok(url) if url.query().is_none() && url.path().ends_with(CALLBACK) => Some(url),
        Ok(_) => {
            let message =
                format!("must end with `{CALLBACK}`: it is that route's address as browsers see it");
            scope.push("redirectUri", "format", message);
            None
        }
        Err(message) => {
            scope.push("redirectUri", "format", message);
            None
        }
    }
}

fn check_scopes(scopes: &[String], scope: &mut Scope<'_>) {
    // RFC 6749, section 3.3: visible ASCII but for the quote and the backslash.
    let is_token = |text: &String| {
        (1..=128).contains(&text.len())
            && text.bytes().all(|b| (0x21..0x7f).contains(&b) && b != b'"' && b != b'\\')
    };
    if scopes.len() > MAX_SCOPES {
        scope.push("scopes", "maxItems", format!("has more than {MAX_SCOPES} entries"));
    }
    if !scopes.iter().any(|entry| entry == "openid") {
        scope.push(
            "scopes",
            "required",
            "must hold `openid`: without it the provider tells nobody's identity",
        );
    }
    for (index, entry) in scopes.iter().enumerate().take(MAX_SCOPES) {
        if !is_token(entry) {
            let message = "must be 1 to 128 visible ASCII characters without blanks, quotes and backslashes";
            scope.push(&format!("scopes[{index}]"), "format", message);
        } else if scopes[..index].contains(entry) {
            scope.push(&format!("scopes[{index}]"), "unique", "is there already");
        }
    }
}

fn parse_session_ttl(text: &str, scope: &mut Scope<'_>) -> Option<Duration> {
    match parse_duration(text) {
        Ok(ttl) if (MIN_SESSION..=MAX_SESSION).contains(&ttl) => Some(ttl),
        Ok(_) => {
            scope.push("sessionTtl", "range", "must be between 1m and 30d");
            None
        }
        Err(error) => {
            scope.push("sessionTtl", "format", error.to_string());
            None
        }
    }
}

/// An address that secrets may be sent to: over TLS, or on this very machine.
fn secure_url(text: &str) -> Result<Url, String> {
    if text.len() > 2048 {
        return Err("is longer than 2048 characters".to_owned());
    }
    let url = Url::parse(text).map_err(|error| format!("is not a URL ({error}): use https://…"))?;
    if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
        return Err("holds a user name, a password or a fragment: leave them out".to_owned());
    }
    match url.scheme() {
        "https" => Ok(url),
        "http" if is_loopback(&url) => Ok(url),
        "http" => Err("is plain http, which is for loopback addresses only: use https".to_owned()),
        scheme => Err(format!("has the scheme `{scheme}`: use https")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn parse(changes: &Value) -> Result<OidcStrategy, Vec<String>> {
        let mut spec = json!({
            "discoveryUrl": "https://id.acme.com/realms/a/.well-known/openid-configuration",
            "clientId": "velocity", "redirectUri": "https://v.acme.com/auth/callback"
        });
        spec.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        let mut violations = Violations::default();
        let parsed = OidcStrategy::parse(&serde_json::from_value(spec).unwrap(), &mut violations);
        parsed.ok_or_else(|| violations.iter().map(|v| v.path.clone()).collect())
    }

    #[test]
    fn the_issuer_is_what_comes_before_the_well_known_path() {
        let strategy = parse(&json!({})).unwrap();
        assert_eq!(strategy.issuer, "https://id.acme.com/realms/a");
        assert_eq!(strategy.origin(), "https://v.acme.com");
        assert_eq!(strategy.session_ttl, Duration::from_hours(8));
        let local = json!({ "discoveryUrl": "http://localhost:3000/.well-known/openid-configuration",
            "redirectUri": "http://localhost:8080/auth/callback" });
        let strategy = parse(&local).unwrap();
        assert_eq!(
            (strategy.issuer.as_str(), strategy.origin().as_str()),
            ("http://localhost:3000", "http://localhost:8080")
        );
    }

    #[test]
    fn addresses_are_https_or_loopback_and_have_the_routes_they_are_for() {
        for url in [
            "http://id.acme.com/.well-known/openid-configuration",
            "https://id.acme.com/",
            "https://id.acme.com/.well-known/openid-configuration?a=b",
            "https://u:p@id.acme.com/.well-known/openid-configuration",
            "ftp://id.acme.com/.well-known/openid-configuration",
            "http://127.0.0.1.acme.com/.well-known/openid-configuration",
            "id",
        ] {
            assert_eq!(
                parse(&json!({ "discoveryUrl": url })).unwrap_err(),
                ["spec.oidc.discoveryUrl"],
                "{url}"
            );
        }
        for url in [
            "http://v.acme.com/auth/callback",
            "https://v.acme.com/",
            "https://v.acme.com/auth/callback#x",
            "",
        ] {
            assert_eq!(
                parse(&json!({ "redirectUri": url })).unwrap_err(),
                ["spec.oidc.redirectUri"],
                "{url}"
            );
        }
    }

    #[test]
    fn every_problem_is_named_at_once() {
        let problems = parse(
            &json!({ "clientId": "a\nb", "scopes": ["groups", "groups", "a b"], "sessionTtl": "5s",
            "clientSecretRef": { "name": "", "key": "k" }, "claimMapping": { "roles": { "path": "roles" } } }),
        );
        assert_eq!(
            problems.unwrap_err(),
            [
                "spec.oidc.clientId",
                "spec.oidc.clientSecretRef",
                "spec.oidc.scopes",
                "spec.oidc.scopes[1]",
                "spec.oidc.scopes[2]",
                "spec.oidc.sessionTtl",
                "spec.oidc.claimMapping.roles.path"
            ]
        );
    }
}
