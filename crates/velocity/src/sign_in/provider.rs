//! An OpenID Connect provider that we are a public client of: discovery, device flow, renewal, revocation.

use std::time::Duration;

use reqwest::{Client, Url};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{Pace, Prompt, Tokens, over};
use crate::config::Oidc;
use crate::failure::{Exit, Failure, Outcome};
use crate::server::{http_client, is_local, root_cause};

const TIMEOUT: Duration = Duration::from_secs(20);
/// RFC 8628, section 3.2: for providers that name none.
const INTERVAL: u64 = 5;
const DEVICE_GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";
/// Asked for where the provider has them: what claims are mapped from, and a refresh token.
const SCOPES: [&str; 5] = ["profile", "email", "groups", "roles", "offline_access"];

/// A provider, found by its issuer.
pub(crate) struct Provider {
    client: Client,
    client_id: String,
    discovered: Discovered,
}

#[derive(Deserialize)]
struct Discovered {
    issuer: String,
    token_endpoint: String,
    device_authorization_endpoint: Option<String>,
    revocation_endpoint: Option<String>,
    #[serde(default)]
    scopes_supported: Vec<String>,
}

/// A login that waits for a person.
#[derive(Deserialize)]
struct Started {
    device_code: String,
    user_code: String,
    verification_uri: String,
    verification_uri_complete: Option<String>,
    expires_in: u64,
    interval: Option<u64>,
}

#[derive(Deserialize)]
struct Granted {
    id_token: Option<String>,
    refresh_token: Option<String>,
}

/// RFC 6749, section 5.2.
#[derive(Deserialize)]
struct Refused {
    error: String,
    error_description: Option<String>,
}

/// An answer of the provider.
enum Answer<T> {
    Good(T),
    Refused(Refused),
}

impl Provider {
    /// Finds it by its issuer.
    pub(crate) async fn find(oidc: &Oidc) -> Outcome<Self> {
        let issuer = address(&oidc.issuer, "issuer")?;
        let client = http_client(&issuer)?;
        let place = format!("{}/.well-known/openid-configuration", oidc.issuer.trim_end_matches('/'));
        let response =
            client.get(&place).timeout(TIMEOUT).send().await.map_err(|error| unreachable(&error))?;
        let status = response.status();
        let bytes = response.bytes().await.map_err(|error| unreachable(&error))?;
        let discovered: Discovered = match serde_json::from_slice(&bytes) {
            Ok(discovered) if status.is_success() => discovered,
            _ => {
                return Err(Failure::failed(format!("{place} answered {status} and describes no provider"))
                    .with_help(
                        "`oidc.issuer` of the context is the issuer as the provider itself names it",
                    ));
            }
        };
        // Else somebody else's provider could be slipped in (OpenID Connect Discovery, section 4.3).
        if discovered.issuer.trim_end_matches('/') != oidc.issuer.trim_end_matches('/') {
            let message = format!("{place} says that it is {}", plain(&discovered.issuer));
            return Err(
                Failure::failed(message).with_help("write that issuer into the context, if you trust it")
            );
        }
        Ok(Self { client, client_id: oidc.client_id.clone(), discovered })
    }

    /// Signs in: `tell` shows a person what to do.
    pub(crate) async fn sign_in(&self, tell: impl FnOnce(&Prompt) -> Outcome) -> Outcome<Tokens> {
        let place = self.discovered.device_authorization_endpoint.as_deref().ok_or_else(|| {
            Failure::failed(format!("{} has no device flow", self.discovered.issuer))
                .with_help("sign in at the server instead: a context without `oidc`")
        })?;
        let scope = self.scope();
        let started: Started = match self.post(place, &[("scope", scope.as_str())]).await? {
            Answer::Good(started) => started,
            Answer::Refused(refused) => return Err(refused.failure()),
        };
        tell(&Prompt {
            uri: started.verification_uri,
            whole_uri: started.verification_uri_complete,
            code: started.user_code,
        })?;
        let mut pace = Pace::new(started.interval.unwrap_or(INTERVAL), started.expires_in);
        let question = [("grant_type", DEVICE_GRANT), ("device_code", &*started.device_code)];
        loop {
            pace.wait().await?;
            match self.post(&self.discovered.token_endpoint, &question).await {
                Ok(Answer::Good(granted)) => return tokens(granted),
                Ok(Answer::Refused(refused)) => match refused.error.as_str() {
                    "authorization_pending" => {}
                    "slow_down" => pace.slow_down(),
                    _ => return Err(refused.failure()),
                },
                // A provider that is away for a moment is asked again, less often (RFC 8628, section 3.5).
                Err(failure) if failure.exit() == Some(Exit::Unavailable) => pace.slow_down(),
                Err(failure) => return Err(failure),
            }
        }
    }

    /// Other tokens for a refresh token.
    pub(super) async fn renew(&self, refresh_token: &str) -> Outcome<Tokens> {
        let form = [("grant_type", "refresh_token"), ("refresh_token", refresh_token)];
        match self.post(&self.discovered.token_endpoint, &form).await? {
            Answer::Good(granted) => tokens(granted),
            Answer::Refused(refused) if refused.error == "invalid_grant" => {
                Err(over("your sign-in has ended at the provider"))
            }
            Answer::Refused(refused) => Err(refused.failure()),
        }
    }

    /// Ends a refresh token, where the provider has a place for that; whether it had.
    pub(crate) async fn revoke(&self, refresh_token: &str) -> Outcome<bool> {
        let Some(place) = &self.discovered.revocation_endpoint else { return Ok(false) };
        let form =
            [("token", refresh_token), ("token_type_hint", "refresh_token"), ("client_id", &*self.client_id)];
        let response = self.send(place, &form).await?;
        if response.status().is_success() {
            return Ok(true);
        }
        Err(Failure::failed(format!("the provider did not end the sign-in: {}", response.status())))
    }

    fn scope(&self) -> String {
        let offered = SCOPES
            .into_iter()
            .filter(|scope| self.discovered.scopes_supported.iter().any(|supported| supported == scope));
        std::iter::once("openid").chain(offered).collect::<Vec<_>>().join(" ")
    }

    async fn post<T: DeserializeOwned>(&self, place: &str, form: &[(&str, &str)]) -> Outcome<Answer<T>> {
        let mut form = form.to_vec();
        form.push(("client_id", &self.client_id));
        let response = self.send(place, &form).await?;
        let status = response.status();
        let bytes = response.bytes().await.map_err(|error| unreachable(&error))?;
        if status.is_success() {
            return serde_json::from_slice(&bytes)
                .map(Answer::Good)
                .map_err(|_| Failure::failed(format!("{place} answered what no provider does")));
        }
        match serde_json::from_slice(&bytes) {
            Ok(refused) if status.is_client_error() => Ok(Answer::Refused(refused)),
            _ => Err(Failure::new(Exit::of_status(status.as_u16()), format!("{place} answered {status}"))),
        }
    }

    async fn send(&self, place: &str, form: &[(&str, &str)]) -> Outcome<reqwest::Response> {
        let url = address(place, "endpoint")?;
        let request = self.client.post(url).timeout(TIMEOUT).header("accept", "application/json").form(form);
        request.send().await.map_err(|error| unreachable(&error))
    }
}

impl Refused {
    fn failure(&self) -> Failure {
        let what = match self.error.as_str() {
            "access_denied" => "the sign-in was refused".to_owned(),
            "expired_token" => "nobody signed in in time".to_owned(),
            other => format!("the provider refuses: {}", plain(other)),
        };
        let failure = Failure::new(Exit::Denied, what);
        match &self.error_description {
            Some(description) => failure.with_details([plain(description)]),
            None => failure,
        }
    }
}

fn tokens(granted: Granted) -> Outcome<Tokens> {
    let id_token = granted.id_token.ok_or_else(|| {
        Failure::failed("the provider gave no ID token").with_help("its client needs the scope `openid`")
    })?;
    Ok(Tokens { id_token, refresh_token: granted.refresh_token })
}

/// An address that secrets may be sent to.
fn address(text: &str, what: &str) -> Outcome<Url> {
    let url: Url = text.parse().map_err(|error| {
        Failure::usage(format!("the provider's {what} `{}` is no URL: {error}", plain(text)))
    })?;
    if url.scheme() == "https" || (url.scheme() == "http" && is_local(&url)) {
        return Ok(url);
    }
    Err(Failure::usage(format!("the provider's {what} `{}` is not https", plain(text))))
}

fn unreachable(error: &reqwest::Error) -> Failure {
    Failure::new(Exit::Unavailable, format!("the provider cannot be reached: {}", root_cause(error)))
}

/// Without what a terminal would obey.
fn plain(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(500).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_go_to_https_only_or_to_this_machine() {
        for good in ["https://id.example/token", "http://127.0.0.1:1/t", "http://localhost/t"] {
            assert!(address(good, "endpoint").is_ok(), "{good}");
        }
        for bad in ["http://id.example/token", "ftp://localhost/t", "id.example", "file:///etc/passwd"] {
            assert!(address(bad, "endpoint").is_err(), "{bad}");
        }
    }
}
