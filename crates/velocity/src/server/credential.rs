//! How requests say who we are.

use http::header::AUTHORIZATION;
use http::{HeaderName, HeaderValue};

use crate::config::Credential;
use crate::failure::{Failure, Outcome};
use crate::sign_in;

/// Where strategies look for keys unless they say otherwise.
const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// The header of a credential. Tokens of a provider are renewed first when their time is over.
pub(super) async fn header(credential: &Credential) -> Outcome<Option<(HeaderName, HeaderValue)>> {
    let (name, text) = match credential {
        Credential::None => return Ok(None),
        Credential::Bearer(token) => (AUTHORIZATION, format!("Bearer {token}")),
        Credential::ApiKey(key) => (API_KEY, key.clone()),
        Credential::Oidc { provider, file } => {
            (AUTHORIZATION, format!("Bearer {}", sign_in::current(provider, file).await?))
        }
    };
    let mut value = HeaderValue::try_from(text)
        .map_err(|_| Failure::usage("the credential of the context has characters that none has"))?;
    value.set_sensitive(true);
    Ok(Some((name, value)))
}
