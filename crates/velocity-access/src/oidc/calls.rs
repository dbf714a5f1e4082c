//! Requests to the provider: bounded in time and size, never redirected, their answers told apart by who is at fault.

use std::time::Duration;

use reqwest::{Client, RequestBuilder, StatusCode, Url, redirect};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::error::{SignInError, known_word};
use crate::strategy::is_loopback;

/// Biggest answer in bytes. Discovery documents are 2 to 10 KiB, token answers with many groups as much.
const MAX_BYTES: usize = 256 * 1024;

/// Why a request to the provider gives nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum CallError {
    #[error("the request did not succeed")]
    Request(#[source] reqwest::Error),
    #[error("the answer has status {0}")]
    Status(u16),
    #[error("the answer is bigger than {MAX_BYTES} bytes")]
    TooBig,
    #[error("the answer is not the JSON that it must be (line {0}, column {1})")]
    NotReadable(usize, usize),
    /// An error of RFC 6749, section 5.2, in words that may be repeated.
    #[error("the provider says `{0}`")]
    Refused(&'static str),
}

impl CallError {
    /// What whoever signs in is told; the rest is for the log.
    pub(super) fn told(&self, what: &'static str, issuer: &str) -> SignInError {
        let cause = std::error::Error::source(self).map(ToString::to_string).unwrap_or_default();
        if let Self::Refused(word) = self {
            tracing::info!(oidc.issuer = issuer, what, word, "the sign-in provider refused");
            return SignInError::Refused(word);
        }
        tracing::warn!(oidc.issuer = issuer, what, error = %self, cause, "the sign-in provider cannot be used");
        SignInError::ProviderUnavailable
    }
}

/// The body of an error. Its description is the provider's text, so nobody is shown it.
#[derive(Deserialize)]
struct ErrorBody {
    error: String,
}

/// How this client proves itself at the provider's endpoints.
#[derive(Clone)]
pub(super) enum ClientProof {
    /// A public client only says its id.
    Public,
    /// `client_secret_basic`.
    Basic(String),
    /// `client_secret_post`.
    Post(String),
}

/// Talks to one provider.
pub(super) struct Caller {
    client: Client,
    client_id: String,
}

impl Caller {
    pub(super) fn new(provider: &Url, client_id: &str, timeout: Duration) -> Result<Self, reqwest::Error> {
        let mut client = Client::builder()
            .timeout(timeout)
            .connect_timeout(timeout)
            // Calls are rare, and a kept connection that the provider closes at the same moment would leave it open whether
            // a refresh token has been used.
            .pool_max_idle_per_host(0)
            // A redirect could carry secrets to a place that nobody configured.
            .redirect(redirect::Policy::none())
            .user_agent(concat!("velocity/", env!("CARGO_PKG_VERSION")));
        if is_loopback(provider) {
            client = client.no_proxy();
        }
        Ok(Self { client: client.build()?, client_id: client_id.to_owned() })
    }

    pub(super) async fn get<T: DeserializeOwned>(&self, url: &Url) -> Result<T, CallError> {
        read(self.client.get(url.clone())).await
    }

    /// Posts a form as this client.
    pub(super) async fn post<T: DeserializeOwned>(
        &self,
        url: &Url,
        form: &[(&str, &str)],
        proof: &ClientProof,
    ) -> Result<T, CallError> {
        let mut form = form.to_vec();
        let request = self.client.post(url.clone());
        let request = match proof {
            ClientProof::Basic(secret) => {
                // RFC 6749, section 2.3.1: both are form-encoded first.
                request.basic_auth(form_encoded(&self.client_id), Some(form_encoded(secret)))
            }
            ClientProof::Post(secret) => {
                form.extend([("client_id", self.client_id.as_str()), ("client_secret", secret)]);
                request
            }
            ClientProof::Public => {
                form.push(("client_id", &self.client_id));
                request
            }
        };
        read(request.form(&form)).await
    }
}

fn form_encoded(text: &str) -> String {
    reqwest::Url::parse_with_params("http://localhost", [("", text)])
        .ok()
        .and_then(|url| url.query().map(|query| query.trim_start_matches('=').to_owned()))
        .unwrap_or_default()
}

async fn read<T: DeserializeOwned>(request: RequestBuilder) -> Result<T, CallError> {
    let request = request.header(http::header::ACCEPT, "application/json");
    let mut response = request.send().await.map_err(CallError::Request)?;
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(CallError::Request)? {
        if body.len() + chunk.len() > MAX_BYTES {
            return Err(CallError::TooBig);
        }
        body.extend_from_slice(&chunk);
    }
    let status = response.status();
    if status == StatusCode::OK {
        return serde_json::from_slice(&body)
            .map_err(|error| CallError::NotReadable(error.line(), error.column()));
    }
    match serde_json::from_slice::<ErrorBody>(&body) {
        Ok(body) if status.is_client_error() => Err(CallError::Refused(known_word(&body.error))),
        _ => Err(CallError::Status(status.as_u16())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_secrets_are_form_encoded_before_they_are_joined_by_a_colon() {
        assert_eq!(form_encoded("plain-id"), "plain-id");
        assert_eq!(form_encoded("a:b c+d%&=ä"), "a%3Ab+c%2Bd%25%26%3D%C3%A4");
        assert_eq!(form_encoded("=x"), "%3Dx");
    }
}
