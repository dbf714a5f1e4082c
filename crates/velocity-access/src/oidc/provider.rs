//! What the provider says of itself: found through its discovery document, and kept while it is down.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use reqwest::Url;
use serde::Deserialize;
use tokio::sync::Mutex;
use tokio::time::Instant;
use velocity_contract::auth_strategy::JwtAlgorithm;

use super::calls::{Caller, ClientProof};
use super::error::SignInError;
use super::spec::OidcStrategy;
use crate::authenticator::StartError;
use crate::jwks::{RemoteKeySettings, RemoteKeys};
use crate::strategy::{Issuer, KeySource, is_loopback};

/// How long the discovery document is used before it is fetched again. Providers change it with their releases.
const FRESH: Duration = Duration::from_hours(1);
/// Least time between two attempts while the provider cannot be used.
const RETRY: Duration = Duration::from_secs(5);
/// How far the provider's clock and ours may differ.
const CLOCK_SKEW_SECONDS: i64 = 60;
/// How ID tokens may be signed. HMAC is not among them: its key would be the client's secret.
const ALGORITHMS: [JwtAlgorithm; 9] = [
    JwtAlgorithm::RS256,
    JwtAlgorithm::RS384,
    JwtAlgorithm::RS512,
    JwtAlgorithm::PS256,
    JwtAlgorithm::PS384,
    JwtAlgorithm::PS512,
    JwtAlgorithm::ES256,
    JwtAlgorithm::ES384,
    JwtAlgorithm::EdDSA,
];

/// The discovery document, as far as it matters (OpenID Connect Discovery 1.0, RFC 8414, RFC 8628, RFC 9207).
#[derive(Deserialize)]
struct Document {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    end_session_endpoint: Option<String>,
    device_authorization_endpoint: Option<String>,
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
}

/// What is known of the provider.
pub(super) struct Discovered {
    /// How its ID tokens are checked. `name` is the exact `iss`.
    pub(super) issuer: Issuer,
    pub(super) keys: Arc<RemoteKeys>,
    pub(super) authorization: Url,
    pub(super) token: Url,
    pub(super) device: Option<Url>,
    pub(super) end_session: Option<Url>,
    pub(super) proof: ClientProof,
    /// Whether its answers say who gives them (RFC 9207).
    pub(super) names_itself: bool,
    found: Instant,
}

/// One provider.
pub(super) struct Provider {
    strategy: Arc<OidcStrategy>,
    secret: Option<String>,
    keys: RemoteKeySettings,
    pub(super) caller: Caller,
    current: ArcSwapOption<Discovered>,
    /// When the document may be fetched again. Whoever holds it fetches.
    next: Mutex<Instant>,
}

impl Provider {
    pub(super) fn new(
        strategy: Arc<OidcStrategy>,
        secret: Option<String>,
        keys: RemoteKeySettings,
    ) -> Result<Self, StartError> {
        let caller = Caller::new(&strategy.discovery_url, &strategy.client_id, keys.timeout)
            .map_err(|source| StartError::HttpClient { issuer: strategy.issuer.clone(), source })?;
        let (current, next) = (ArcSwapOption::empty(), Mutex::new(Instant::now()));
        Ok(Self { strategy, secret, keys, caller, current, next })
    }

    /// What is known of the provider; where nothing is, or nothing new, it is asked.
    pub(super) async fn discovered(self: &Arc<Self>) -> Result<Arc<Discovered>, SignInError> {
        if let Some(known) = self.fresh() {
            return Ok(known);
        }
        // A task of its own: a caller who goes away must not cut off what others wait for.
        let asking = Arc::clone(self);
        tokio::spawn(async move { asking.ask().await }).await.unwrap_or(Err(SignInError::Fault))
    }

    fn fresh(&self) -> Option<Arc<Discovered>> {
        self.current.load_full().filter(|known| known.found.elapsed() < FRESH)
    }

    async fn ask(&self) -> Result<Arc<Discovered>, SignInError> {
        let mut next = self.next.lock().await;
        // Whoever waited finds what the other found.
        if let Some(found) = self.fresh() {
            return Ok(found);
        }
        let known = self.current.load_full();
        if Instant::now() < *next {
            return known.ok_or(SignInError::ProviderUnavailable);
        }
        let outcome = self.discover(known.as_deref()).await;
        *next = Instant::now() + RETRY;
        match outcome {
            Ok(found) => {
                let found = Arc::new(found);
                self.current.store(Some(Arc::clone(&found)));
                Ok(found)
            }
            // An old document is better than none: whatever it leads to is checked all the same.
            Err(error) => known.ok_or(error),
        }
    }

    async fn discover(&self, known: Option<&Discovered>) -> Result<Discovered, SignInError> {
        let strategy = &self.strategy;
        let document: Document = (self.caller.get(&strategy.discovery_url).await)
            .map_err(|error| error.told("discovery", &strategy.issuer))?;
        let found = self.read(document, known);
        if let Err(error) = &found {
            tracing::warn!(oidc.issuer = strategy.issuer, %error, "the discovery document cannot be used");
        }
        found
    }

    fn read(&self, document: Document, known: Option<&Discovered>) -> Result<Discovered, SignInError> {
        let strategy = &self.strategy;
        if !is_issuer(&document.issuer, &strategy.issuer) {
            return Err(SignInError::ProviderUnfit(
                "its discovery document names another issuer than its address",
            ));
        }
        let loopback = is_loopback(&strategy.discovery_url);
        let required = |text: &str| {
            endpoint(text, loopback).ok_or(SignInError::ProviderUnfit("an endpoint of it is not https"))
        };
        let optional = |text: Option<String>| text.as_deref().map(required).transpose();
        let jwks = required(&document.jwks_uri)?;
        let issuer = Issuer {
            name: document.issuer,
            audiences: BTreeSet::from([strategy.client_id.clone()]),
            keys: KeySource::Url(jwks.clone()),
            algorithms: ALGORITHMS.into_iter().collect(),
            clock_skew_seconds: CLOCK_SKEW_SECONDS,
            claims: strategy.claims.clone(),
        };
        let keys = match known.filter(|known| known.keys.status().url == jwks.as_str()) {
            Some(known) => Arc::clone(&known.keys),
            None => Arc::new(RemoteKeys::start(jwks, self.keys).map_err(|error| {
                tracing::error!(oidc.issuer = strategy.issuer, %error, "no client to fetch keys with");
                SignInError::Fault
            })?),
        };
        Ok(Discovered {
            issuer,
            keys,
            authorization: required(&document.authorization_endpoint)?,
            token: required(&document.token_endpoint)?,
            device: optional(document.device_authorization_endpoint)?,
            end_session: optional(document.end_session_endpoint)?,
            proof: client_proof(
                self.secret.as_ref(),
                document.token_endpoint_auth_methods_supported.as_deref(),
            )?,
            names_itself: document.authorization_response_iss_parameter_supported,
            found: Instant::now(),
        })
    }
}

/// Whether the issuer that a document names is the one whose address it was found at. A slash at its end is taken off
/// before the well-known path is put behind it (OpenID Connect Discovery 1.0, section 4.1).
fn is_issuer(named: &str, expected: &str) -> bool {
    Url::parse(named).is_ok_and(|url| {
        url.query().is_none() && url.fragment().is_none() && url.as_str().trim_end_matches('/') == expected
    })
}

/// Addresses that secrets go to: https, or loopback where the provider itself is.
pub(super) fn endpoint(text: &str, loopback: bool) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    let is_secure = url.scheme() == "https" || (loopback && url.scheme() == "http" && is_loopback(&url));
    (is_secure && url.username().is_empty() && url.password().is_none() && url.fragment().is_none())
        .then_some(url)
}

/// `client_secret_basic` unless the provider says that it takes the other one only.
fn client_proof(secret: Option<&String>, methods: Option<&[String]>) -> Result<ClientProof, SignInError> {
    let Some(secret) = secret else { return Ok(ClientProof::Public) };
    let takes = |method: &str| methods.is_none_or(|methods| methods.iter().any(|m| m == method));
    if takes("client_secret_basic") {
        Ok(ClientProof::Basic(secret.clone()))
    } else if takes("client_secret_post") {
        Ok(ClientProof::Post(secret.clone()))
    } else {
        Err(SignInError::ProviderUnfit("it takes neither client_secret_basic nor client_secret_post"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_must_name_the_issuer_of_its_address() {
        assert!(is_issuer("https://id.acme.com", "https://id.acme.com"));
        assert!(is_issuer("https://id.acme.com/", "https://id.acme.com"));
        assert!(is_issuer("https://id.acme.com/a", "https://id.acme.com/a"));
        for other in [
            "https://evil.com",
            "https://id.acme.com/b",
            "http://id.acme.com",
            "https://id.acme.com?a",
            "id",
            "",
        ] {
            assert!(!is_issuer(other, "https://id.acme.com"), "{other}");
        }
    }

    #[test]
    fn a_provider_on_the_network_cannot_point_to_this_machine_or_to_plain_http() {
        assert!(endpoint("https://id.acme.com/token", false).is_some());
        assert!(endpoint("http://localhost:1/token", true).is_some());
        for text in [
            "http://localhost:1/token",
            "http://id.acme.com/token",
            "ftp://id.acme.com",
            "https://u@id.acme.com",
            "x",
        ] {
            assert!(endpoint(text, false).is_none(), "{text}");
        }
        assert!(endpoint("http://id.acme.com/token", true).is_none());
    }

    #[test]
    fn the_client_proves_itself_as_the_provider_takes_it() {
        let proof = |secret: Option<&str>, methods: Option<&[&str]>| {
            let methods: Option<Vec<String>> = methods.map(|m| m.iter().map(ToString::to_string).collect());
            client_proof(secret.map(str::to_owned).as_ref(), methods.as_deref())
        };
        assert!(matches!(proof(None, Some(&["client_secret_basic"])), Ok(ClientProof::Public)));
        assert!(matches!(proof(Some("s"), None), Ok(ClientProof::Basic(_))));
        assert!(matches!(
            proof(Some("s"), Some(&["client_secret_post", "client_secret_basic"])),
            Ok(ClientProof::Basic(_))
        ));
        assert!(matches!(proof(Some("s"), Some(&["client_secret_post"])), Ok(ClientProof::Post(_))));
        assert!(proof(Some("s"), Some(&["private_key_jwt"])).is_err());
    }
}
