//! The verbs that change something.

mod create;

pub(super) use create::create;

use axum::response::Response;

use super::Call;
use crate::status::ApiError;

#[expect(clippy::unused_async, reason = "becomes async with its body")]
pub(super) async fn update(_call: &Call) -> Result<Response, ApiError> {
    Err(ApiError::method_not_allowed())
}

#[expect(clippy::unused_async, reason = "becomes async with its body")]
pub(super) async fn patch(_call: &Call) -> Result<Response, ApiError> {
    Err(ApiError::method_not_allowed())
}

#[expect(clippy::unused_async, reason = "becomes async with its body")]
pub(super) async fn delete(_call: &Call) -> Result<Response, ApiError> {
    Err(ApiError::method_not_allowed())
}

#[expect(clippy::unused_async, reason = "becomes async with its body")]
pub(super) async fn delete_collection(_call: &Call) -> Result<Response, ApiError> {
    Err(ApiError::method_not_allowed())
}
