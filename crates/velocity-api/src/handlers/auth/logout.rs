//! `POST /auth/logout`: ends the session here, and says where it is ended at the provider.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::Request;
use http::header::SET_COOKIE;
use velocity_access::oidc::{LoggedOut, SESSION_COOKIE};
use velocity_contract::auth::Logout;
use velocity_contract::page::Data;

use super::{cookies, strategy};
use crate::client::credentials;
use crate::error::ApiError;
use crate::request::body::read_optional_json;
use crate::request::headers::refuse_unknown;
use crate::request::{Malformed, query};
use crate::state::Api;

/// Ends the session that the request shows, by cookie or bearer token. Where there is none, that is what was asked for.
pub(crate) async fn log_out(State(api): State<Api>, request: Request<Body>) -> Result<Response, ApiError> {
    let (parts, body) = request.into_parts();
    let [] = query::only(parts.uri.query(), [])?;
    refuse_unknown(&parts.headers)?;
    let body = read_optional_json(&parts.headers, body, &api.config().requests).await?;
    if body.is_some_and(|body| !is_empty_object(&body)) {
        return Err(Malformed::new("this route takes no body, or `{}`").into());
    }
    if !api.readiness().is_synced() {
        return Err(ApiError::Starting);
    }
    let shown = credentials(&parts);
    let found = match api.strategies().any_oidc() {
        None => LoggedOut::NoSession,
        Some(oidc) => oidc.log_out(&shown).await?,
    };
    let found = match found {
        LoggedOut::Elsewhere(name) => {
            let strategy = strategy::parse(&name);
            let missing = ApiError::NoStrategy { strategy, credential_sent: true };
            strategy::of_name(&api, &name).ok_or(missing)?.log_out(&shown).await?
        }
        found => found,
    };
    let provider_logout_url = match found {
        LoggedOut::Ended { provider } => provider,
        LoggedOut::NoSession | LoggedOut::Elsewhere(_) => None,
    };
    let mut response = Json(Data { data: Logout { provider_logout_url } }).into_response();
    // A page of another site can send the browser here, without the cookie: that must not take it away.
    let came_with_it = shown.cookie(SESSION_COOKIE) != Ok(None);
    if let Some(cookie) = cookies::no_session().filter(|_| came_with_it) {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    Ok(response)
}

fn is_empty_object(body: &[u8]) -> bool {
    serde_json::from_slice::<serde_json::Map<_, _>>(body).is_ok_and(|members| members.is_empty())
}
