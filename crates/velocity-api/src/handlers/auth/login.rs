//! `GET /auth/login` sends a browser to the provider, `GET /auth/callback` takes it back.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, LOCATION, REFERRER_POLICY, SET_COOKIE};
use http::request::Parts;
use http::{HeaderValue, StatusCode};
use jiff::Timestamp;
use velocity_access::oidc::{
    Callback, LOGIN_COOKIE, ReturnPath, SESSION_COOKIE, SignInError, named_strategy,
};

use super::{cookies, strategy};
use crate::client::credentials;
use crate::error::ApiError;
use crate::request::{Malformed, query};
use crate::state::Api;

/// `GET /auth/login[?returnTo=/path&strategy=namespace/name]`.
pub(crate) async fn start_login(State(api): State<Api>, parts: Parts) -> Result<Response, ApiError> {
    let [return_to, named] = query::only(parts.uri.query(), ["returnTo", "strategy"])?;
    let return_to = match return_to {
        None => ReturnPath::default(),
        Some(path) => ReturnPath::parse(&path).map_err(|error| Malformed(error.to_string()))?,
    };
    let oidc = strategy::for_sign_in(&api, named.as_deref())?;
    let begun = oidc.begin_login(&return_to, Timestamp::now()).await?;
    redirect(&begun.location, [cookies::login(&begun.state)])
}

/// `GET /auth/callback`: what the provider sends the browser back with, and only in the browser that began.
pub(crate) async fn finish_login(State(api): State<Api>, parts: Parts) -> Response {
    match finish(&api, &parts).await {
        Ok(response) => response,
        Err(error) => {
            // A wrong answer must not spoil the sign-in that is under way: anyone can make a browser come here.
            let is_over =
                !matches!(error, ApiError::SignIn(SignInError::OtherSignIn) | ApiError::Malformed(_))
                    && credentials(&parts).cookie(LOGIN_COOKIE) != Ok(None);
            let mut response = error.into_response();
            if let Some(cookie) = cookies::no_login().filter(|_| is_over) {
                response.headers_mut().append(SET_COOKIE, cookie);
            }
            response
        }
    }
}

async fn finish(api: &Api, parts: &Parts) -> Result<Response, ApiError> {
    let pairs = query::pairs(parts.uri.query())?;
    let answer = Callback {
        code: one(&pairs, "code")?,
        state: one(&pairs, "state")?,
        error: one(&pairs, "error")?,
        issuer: one(&pairs, "iss")?,
    };
    let shown = credentials(parts);
    let sealed = shown.cookie(LOGIN_COOKIE).map_err(SignInError::Credential)?;
    let sealed = sealed.and_then(|sealed| std::str::from_utf8(sealed).ok()).ok_or(SignInError::NotBegun)?;
    let oidc = named_strategy(sealed).and_then(|name| strategy::of_name(api, &name));
    let oidc = oidc.ok_or(SignInError::NotBegun)?;
    let now = Timestamp::now();
    let (signed_in, return_to) = oidc.finish_login(sealed, &answer, now).await?;
    if let Ok(Some(before)) = shown.cookie(SESSION_COOKIE) {
        oidc.end_replaced(before).await;
    }
    let session = cookies::session(&signed_in.secret, signed_in.expires_at, now);
    redirect(return_to.as_str(), [session, cookies::no_login()])
}

/// The parameter of an answer. What else providers send along (RFC 6749, section 4.1.2) is passed over; a parameter that
/// counts and comes twice is refused.
fn one<'p>(pairs: &'p [query::Pair<'_>], name: &str) -> Result<Option<&'p str>, ApiError> {
    let mut values = pairs.iter().filter(|(key, _)| key == name).map(|(_, value)| value.as_ref());
    match (values.next(), values.next()) {
        (_, Some(_)) => Err(Malformed(format!("the query parameter `{name}` is given twice")).into()),
        (value, None) => Ok(value),
    }
}

/// Sends the browser on, without telling the next page where it was.
fn redirect<const N: usize>(to: &str, cookies: [Option<HeaderValue>; N]) -> Result<Response, ApiError> {
    let location = HeaderValue::from_str(to).map_err(|_| SignInError::Fault)?;
    let mut response = StatusCode::SEE_OTHER.into_response();
    let headers = response.headers_mut();
    headers.insert(LOCATION, location);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    for cookie in cookies {
        headers.append(SET_COOKIE, cookie.ok_or(SignInError::Fault)?);
    }
    Ok(response)
}
