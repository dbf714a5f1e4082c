//! `GET /auth/whoami`: who the caller is, and what a page needs to write.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use http::header::AUTHORIZATION;
use http::request::Parts;
use jiff::Timestamp;
use velocity_access::{Credential, Identity};
use velocity_contract::auth::CredentialKind;
use velocity_contract::listing::WhoAmI;
use velocity_contract::page::Data;

use super::strategy;
use crate::client::credentials;
use crate::error::ApiError;
use crate::request::{Malformed, query};
use crate::state::Api;

/// Under the strategy that `?strategy=namespace/name` names, else under the installation's default, and where that does not
/// know the session, under the session's own.
pub(crate) async fn whoami(State(api): State<Api>, parts: Parts) -> Result<Json<Data<WhoAmI>>, ApiError> {
    // What is wrong with the parameters is said after the caller is known.
    let parameters = query::only(parts.uri.query(), ["strategy"]);
    let named = parameters.as_ref().ok().and_then(|[named]| named.as_deref()).and_then(strategy::parse);
    let identity = match &named {
        Some(named) => api.authenticate(Some(named), &parts).await?,
        None => under_default_or_own(&api, &parts).await?,
    };
    if let ([Some(text)], None) = (&parameters?, &named) {
        let shown: String = text.chars().take(200).collect::<String>().escape_debug().to_string();
        return Err(Malformed(format!("`{shown}` is no AuthStrategy: use namespace/name")).into());
    }
    Ok(Json(Data { data: tell(&identity, parts.headers.contains_key(AUTHORIZATION)) }))
}

async fn under_default_or_own(api: &Api, parts: &Parts) -> Result<Arc<Identity>, ApiError> {
    let refused = match api.authenticate(api.default_strategy(), parts).await {
        Err(error @ (ApiError::Unauthenticated(_) | ApiError::NoStrategy { .. })) => error,
        answer => return answer,
    };
    let Some(oidc) = api.strategies().any_oidc() else { return Err(refused) };
    let own = oidc.strategy_of_session(&credentials(parts)).await.ok().flatten();
    match own.as_deref().and_then(strategy::parse) {
        Some(own) if Some(&own) != api.default_strategy() => api.authenticate(Some(&own), parts).await,
        _ => Err(refused),
    }
}

fn tell(identity: &Identity, by_header: bool) -> WhoAmI {
    let (kind, csrf) = match identity.credential() {
        Credential::Token { .. } => (CredentialKind::Token, None),
        Credential::Key { .. } => (CredentialKind::Key, None),
        // A program with a bearer token needs no proof of where its requests come from.
        Credential::Session { csrf, .. } => (CredentialKind::Session, (!by_header).then(|| csrf.clone())),
    };
    let attributes: BTreeMap<_, _> =
        identity.attributes().iter().map(|(key, value)| (key.clone(), value.clone())).collect();
    WhoAmI {
        actor: identity.actor().to_owned(),
        actor_type: identity.actor_type().name().to_owned(),
        roles: identity.roles().iter().cloned().collect(),
        attributes,
        strategy: identity.strategy().to_owned(),
        expires_at: (identity.expires_at() < Timestamp::MAX).then(|| identity.expires_at().to_string()),
        credential: Some(kind),
        credential_id: identity.credential().id().map(str::to_owned),
        csrf_token: csrf,
    }
}
