//! `PUT`.

use axum::response::Response;
use http::StatusCode;

use super::change::{Written, check_name, field_manager, manager_name, store_change};
use super::{RETRIES, create, incoming};
use crate::builtin::convert::present;
use crate::http::{Call, respond};
use crate::status::ApiError;

pub(in crate::http) async fn update(call: &Call) -> Result<Response, ApiError> {
    let incoming = incoming::read(call)?;
    let name = call.name()?;
    let kind = &call.endpoint.kind;
    check_name(call, &incoming.value)?;
    for _ in 0..RETRIES {
        let Some(live) = call.core.store.get(&call.key(name)) else {
            if kind.behaviour.creates_on_update() && call.subresource.is_none() {
                let value = create::insert(call, incoming.value).await?;
                return respond::object_with_warnings(call, StatusCode::CREATED, &value, &incoming.warnings);
            }
            return Err(call.not_found(name));
        };
        let shown = present(&call.endpoint, &live.value);
        let mut new = incoming.value.clone();
        let now = crate::clock::now();
        let api_version = call.endpoint.api_version();
        field_manager(call, &api_version, &now).update(Some(&shown), &mut new, &manager_name(call));
        if let Written::Object(value, more) = store_change(call, &live, &shown, new).await? {
            let warnings = [incoming.warnings, more].concat();
            return respond::object_with_warnings(call, StatusCode::OK, &value, &warnings);
        }
        // With a version in the body the next round finds it outdated.
    }
    Err(ApiError::modified(&kind.group, &kind.plural, name))
}
