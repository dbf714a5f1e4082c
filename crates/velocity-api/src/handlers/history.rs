//! `GET …/{id}/history`: the events of a record, newest first.

use axum::extract::State;
use axum::response::Response;
use http::request::Parts;
use velocity_contract::page::Pagination;
use velocity_schema::Value;
use velocity_sql::query::{HistoryPlan, HistoryRequest};
use velocity_store::records::RecordError;

use super::list::paged;
use super::write::id_of;
use crate::error::ApiError;
use crate::request::{accept, query};
use crate::scope::{History, Reads, Scope};
use crate::state::Api;

pub(crate) async fn list_history(
    State(api): State<Api>,
    scope: Scope<History>,
    parts: Parts,
) -> Result<Response, ApiError> {
    let id = id_of(&scope.caller, &parts)?;
    let numbers = accept::numbers(&parts.headers)?;
    let pairs = query::pairs(parts.uri.query())?;
    let request = HistoryRequest::parse(pairs.iter().map(|(name, value)| (&**name, &**value)))?;
    let reads = scope.reading(&api);
    let key = api.records().cursor_key();
    let plan = HistoryPlan::plan(&scope.caller.schema, &id, &request, key, &reads.rights())?;
    let page = match api.records().history(&reads.session, &reads.table, &plan).await {
        Err(RecordError::NotFound) if !reads.rights().conditions.is_empty() => {
            return Err(refused(&api, &scope, &reads, &id).await);
        }
        page => page?,
    };
    scope.shown(&api, 0..scope.caller.schema.fields().len()).await;
    let mut body = Vec::with_capacity(1024);
    body.extend_from_slice(b"{\"data\":");
    page.append_json(numbers, &mut body)?;
    let next_cursor = page.next_cursor().map(str::to_owned);
    Ok(paged(body, &Pagination { limit: request.limit, next_cursor, total: None, estimated: None }))
}

/// Why there is no history: the schema's conditions do not let the caller see the record as it is now, or there is none.
async fn refused(api: &Api, scope: &Scope<History>, reads: &Reads<'_>, id: &Value) -> ApiError {
    let record = api.records().read(&reads.session, &reads.table, id).await.map_err(ApiError::from);
    record.and_then(|record| scope.may_see(&record)).err().unwrap_or(RecordError::NotFound.into())
}
