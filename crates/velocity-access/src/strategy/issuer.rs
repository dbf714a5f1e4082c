//! One issuer of tokens: which keys, algorithms, audiences and claims are taken from it.

use std::collections::BTreeSet;

use reqwest::Url;
use velocity_contract::auth_strategy::{JwksSpec, JwtAlgorithm, JwtIssuerSpec};
use velocity_schema::Violations;

use crate::claims::ClaimMapping;
use crate::duration::parse_duration;
use crate::jwks::{Key, KeySet, MAX_KEYS};
use crate::strategy::Scope;

/// Most difference between clocks that may be configured: more would make expiry meaningless.
const MAX_CLOCK_SKEW_SECONDS: u64 = 5 * 60;
/// Most audiences of one issuer.
const MAX_AUDIENCES: usize = 32;

/// A validated issuer.
#[derive(Debug, Clone)]
pub(crate) struct Issuer {
    /// The exact `iss`.
    pub(crate) name: String,
    /// The audiences of which a token must have one.
    pub(crate) audiences: BTreeSet<String>,
    /// Where its keys come from.
    pub(crate) keys: KeySource,
    /// The algorithms it may use.
    pub(crate) algorithms: BTreeSet<JwtAlgorithm>,
    /// Tolerated difference of clocks.
    pub(crate) clock_skew_seconds: i64,
    /// From claims to identity.
    pub(crate) claims: ClaimMapping,
}

/// Where an issuer's keys come from.
#[derive(Debug, Clone)]
pub(crate) enum KeySource {
    /// Given in the resource.
    Inline(KeySet),
    /// Published by the issuer.
    Url(Url),
}

impl Issuer {
    /// The validated form of the entry at `path`; its problems go to `violations`.
    pub(crate) fn parse(spec: &JwtIssuerSpec, path: &str, violations: &mut Violations) -> Option<Self> {
        let mut scope = Scope::new(path, violations);
        if spec.issuer.is_empty() || spec.issuer.len() > 512 {
            scope.push("issuer", "length", "must be 1 to 512 characters: the exact `iss` of its tokens");
        }
        let audiences = parse_audiences(spec, &mut scope);
        let algorithms = parse_algorithms(spec, &mut scope);
        let clock_skew_seconds = parse_clock_skew(&spec.clock_skew, &mut scope);
        let keys = parse_key_source(spec, &algorithms, &mut scope);
        let claims =
            ClaimMapping::parse(&spec.claim_mapping, &scope.path_of("claimMapping"), scope.violations());
        if !scope.is_clean() {
            return None;
        }
        Some(Self {
            name: spec.issuer.clone(),
            audiences,
            keys: keys?,
            algorithms,
            clock_skew_seconds,
            claims: claims?,
        })
    }
}

fn parse_audiences(spec: &JwtIssuerSpec, scope: &mut Scope<'_>) -> BTreeSet<String> {
    let audiences = spec.audience.as_slice();
    if audiences.is_empty() || audiences.len() > MAX_AUDIENCES {
        let message = format!(
            "must name 1 to {MAX_AUDIENCES} audiences: a token meant for another service must not work here"
        );
        scope.push("audience", "length", message);
    }
    if audiences.iter().any(|a| a.is_empty() || a.len() > 512) {
        scope.push("audience", "length", "must be texts of 1 to 512 characters");
    }
    audiences.iter().cloned().collect()
}

fn parse_algorithms(spec: &JwtIssuerSpec, scope: &mut Scope<'_>) -> BTreeSet<JwtAlgorithm> {
    let algorithms: BTreeSet<_> = spec.algorithms.iter().copied().collect();
    if algorithms.is_empty() {
        scope.push(
            "algorithms",
            "required",
            "is empty: name the algorithms that the issuer signs with, or leave it out",
        );
    }
    if algorithms.len() != spec.algorithms.len() {
        scope.push("algorithms", "unique", "names an algorithm twice");
    }
    if spec.jwks_url.is_some() {
        for algorithm in algorithms.iter().filter(|a| is_hmac(**a)) {
            let message = format!(
                "allows {}, whose key is a secret that a jwksUrl would publish: remove it, or give the key inline in jwks",
                algorithm.name()
            );
            scope.push("algorithms", "hmacWithUrl", message);
        }
    }
    algorithms
}

fn parse_clock_skew(text: &str, scope: &mut Scope<'_>) -> i64 {
    match parse_duration(text) {
        Ok(skew) if skew.as_secs() <= MAX_CLOCK_SKEW_SECONDS => i64::try_from(skew.as_secs()).unwrap_or(0),
        Ok(_) => {
            scope.push("clockSkew", "max", "is more than 5m: set the clocks instead");
            0
        }
        Err(error) => {
            scope.push("clockSkew", "format", error.to_string());
            0
        }
    }
}

fn parse_key_source(
    spec: &JwtIssuerSpec,
    algorithms: &BTreeSet<JwtAlgorithm>,
    scope: &mut Scope<'_>,
) -> Option<KeySource> {
    match (&spec.jwks, &spec.jwks_url) {
        (None, None) => {
            scope.push(
                "jwks",
                "required",
                "is missing: give the issuer's keys in `jwks`, or where to fetch them in `jwksUrl`",
            );
            None
        }
        (Some(_), Some(_)) => {
            scope.push("jwksUrl", "exclusive", "is set together with `jwks`: keep one of them");
            None
        }
        (Some(jwks), None) => Some(KeySource::Inline(parse_inline(jwks, algorithms, scope))),
        (None, Some(url)) => match parse_url(url) {
            Ok(url) => Some(KeySource::Url(url)),
            Err(message) => {
                scope.push("jwksUrl", "format", message);
                None
            }
        },
    }
}

/// A key that is given by hand and cannot work is a mistake, unlike one in a published set.
fn parse_inline(jwks: &JwksSpec, algorithms: &BTreeSet<JwtAlgorithm>, scope: &mut Scope<'_>) -> KeySet {
    if jwks.keys.is_empty() || jwks.keys.len() > MAX_KEYS {
        scope.push("jwks.keys", "length", format!("must hold 1 to {MAX_KEYS} keys"));
        return KeySet::default();
    }
    let mut keys: Vec<Key> = Vec::new();
    for (index, jwk) in jwks.keys.iter().enumerate() {
        let name = format!("jwks.keys[{index}]");
        match Key::parse(jwk) {
            Err(problem) => scope.push(&format!("{name}{}", problem.member()), "key", problem.to_string()),
            Ok(key) if !algorithms.iter().any(|a| key.fits(*a)) => {
                let allowed = algorithms.iter().map(|a| a.name()).collect::<Vec<_>>().join(", ");
                scope.push(
                    &name,
                    "algorithm",
                    format!("is a key that none of the allowed algorithms ({allowed}) can use"),
                );
            }
            Ok(key) if key.kid().is_some() && keys.iter().any(|k| k.kid() == key.kid()) => {
                scope.push(
                    &format!("{name}.kid"),
                    "unique",
                    "is there already: each key needs a `kid` of its own",
                );
            }
            Ok(key) => keys.push(key),
        }
    }
    if keys.len() > 1 && keys.iter().any(|k| k.kid().is_none()) {
        scope.push("jwks.keys", "kid", "has several keys, so each needs a `kid` by which tokens name it");
    }
    KeySet::new(keys)
}

fn is_hmac(algorithm: JwtAlgorithm) -> bool {
    matches!(algorithm, JwtAlgorithm::HS256 | JwtAlgorithm::HS384 | JwtAlgorithm::HS512)
}

/// Keys decide who anyone is, so they are fetched over TLS, or from this very machine.
fn parse_url(text: &str) -> Result<Url, String> {
    if text.len() > 2048 {
        return Err("is longer than 2048 characters".to_owned());
    }
    let url = Url::parse(text).map_err(|error| format!("is not a URL ({error}): use https://…"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("holds a user name or password: a published key set needs none".to_owned());
    }
    match url.scheme() {
        "https" => Ok(url),
        "http" if is_loopback(&url) => Ok(url),
        "http" => Err("is plain http, which is for loopback addresses only: use https".to_owned()),
        scheme => Err(format!("has the scheme `{scheme}`: use https")),
    }
}

pub(crate) fn is_loopback(url: &Url) -> bool {
    let Some(host) = url.host_str() else { return false };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}
