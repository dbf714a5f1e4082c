//! `POST /auth/device`: sign-in of a program without a browser.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::Request;
use jiff::Timestamp;
use serde_json::{Map, Value};
use velocity_access::oidc::{SignInError, named_strategy};
use velocity_contract::auth::DeviceRequest;
use velocity_contract::page::Data;

use super::strategy;
use crate::error::ApiError;
use crate::request::body::read_optional_json;
use crate::request::headers::refuse_unknown;
use crate::request::{Malformed, query};
use crate::state::Api;

/// With `{}` a login is started, with `{"deviceCode": …}` it is asked how far it is.
pub(crate) async fn device_login(
    State(api): State<Api>,
    request: Request<Body>,
) -> Result<Response, ApiError> {
    let (parts, body) = request.into_parts();
    let [] = query::only(parts.uri.query(), [])?;
    refuse_unknown(&parts.headers)?;
    let body = read_optional_json(&parts.headers, body, &api.config().requests).await?;
    let now = Timestamp::now();
    match parse(body.as_deref())? {
        DeviceRequest { device_code: None, strategy } => {
            let oidc = strategy::for_sign_in(&api, strategy.as_deref())?;
            Ok(Json(Data { data: oidc.begin_device_login(now).await? }).into_response())
        }
        DeviceRequest { strategy: Some(_), .. } => {
            Err(Malformed::new("`strategy` is for the start: the deviceCode says which one it is").into())
        }
        DeviceRequest { device_code: Some(code), .. } => {
            if !api.readiness().is_synced() {
                return Err(ApiError::Starting);
            }
            let oidc = named_strategy(&code).and_then(|name| strategy::of_name(&api, &name));
            let oidc = oidc.ok_or(SignInError::UnknownDeviceCode)?;
            Ok(Json(Data { data: oidc.poll_device_login(&code, now).await? }).into_response())
        }
    }
}

fn parse(body: Option<&[u8]>) -> Result<DeviceRequest, Malformed> {
    let Some(body) = body else { return Ok(DeviceRequest::default()) };
    // Through an object, since serde would take a list for one too.
    let members = serde_json::from_slice::<Map<String, Value>>(body);
    members.and_then(|members| serde_json::from_value(Value::Object(members))).map_err(|_| {
        Malformed::new(
            "the body must be `{}`, `{\"strategy\": \"namespace/name\"}` or `{\"deviceCode\": \"…\"}`",
        )
    })
}
