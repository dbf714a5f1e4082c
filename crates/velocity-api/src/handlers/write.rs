//! What all writes share: the session, the version that the caller has seen, the idempotency key, the answer.

use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderName, HeaderValue, StatusCode};
use sha2::{Digest, Sha256};
use velocity_contract::Problem;
use velocity_schema::Value;
use velocity_schema::input::{Change, InputError, NewRecord, Patch};
use velocity_schema::schema::{Operation, Sight, View};
use velocity_store::codec::Numbers;
use velocity_store::records::{
    Effect, IdempotencyKey, Once, Record, RecordError, Session, StoredResponse, Table, Write, Written,
};

use crate::error::ApiError;
use crate::guard::AccessGuard;
use crate::references;
use crate::request::conditional::{self, Tags};
use crate::request::{Malformed, accept, headers, query, reason};
use crate::scope::Caller;
use crate::state::Api;
use crate::told;

const JSON: &str = "application/json";
/// Versions count from 1.
const NO_VERSION: i64 = -1;

/// A write that is allowed, on its way to the store.
pub(crate) struct Writing<'c> {
    api: Api,
    caller: &'c Caller,
    table: Arc<Table>,
    pub(crate) session: Session,
    pub(crate) numbers: Numbers,
    key: Option<IdempotencyKey>,
    endpoint: String,
    /// What the caller sees of the record that is answered.
    view: View,
    /// Whether the caller could read what this writes, as far as that does not depend on the record.
    may_read: bool,
    guard: AccessGuard<'c>,
}

impl<'c> Writing<'c> {
    /// Prepares a write that does `operations`, all of which the caller must be allowed. `body` is what the client sent,
    /// `in_body` the reason in it.
    pub(crate) fn prepare(
        api: &Api,
        caller: &'c Caller,
        parts: &Parts,
        operations: &[Operation],
        body: &[u8],
        in_body: Option<&str>,
    ) -> Result<Self, ApiError> {
        let roles = caller.roles_for_all(operations)?;
        let [] = query::only(parts.uri.query(), [])?;
        let reason = reason::of_request(&caller.schema, operations, &parts.headers, in_body)?;
        let key = headers::idempotency_key(&parts.headers)?;
        let view = caller.view(operations);
        let may_read = caller.reads_what_it_writes(operations, &roles);
        let session = caller.session(api, operations, roles, reason);
        let of_caller = |key: &str| IdempotencyKey {
            key: key.to_owned(),
            digest: digest(parts, body, &rights(caller, &session, &view)),
        };
        Ok(Self {
            table: api.records().table(&caller.schema),
            key: key.map(of_caller),
            session,
            numbers: accept::numbers(&parts.headers)?,
            endpoint: caller.schema.path().endpoint(),
            view,
            may_read,
            guard: AccessGuard::new(caller),
            caller,
            api: api.clone(),
        })
    }

    /// Sees to it that the fields which the write sets point to nothing that the caller may not know of. `made` are the
    /// records that it makes.
    pub(crate) async fn check_references<'v>(
        &mut self,
        set: impl IntoIterator<Item = (usize, &'v Value)>,
        made: &[&[Value]],
    ) -> Result<(), ApiError> {
        self.guard.bar(references::barred(&self.api, self.caller, set, made).await?);
        Ok(())
    }

    /// Carries it out, once if it has a key, and answers.
    pub(crate) async fn run(
        &self,
        write: Write,
        present: impl Fn(&Self, &Written) -> Result<StoredResponse, RecordError>,
    ) -> Result<Response, ApiError> {
        let (answer, replayed) = self.carry_out(write, present).await.map_err(|error| self.told(error))?;
        if !answer.body.is_empty() && self.may_read {
            self.caller.shown(&self.api, &self.view, 0..self.caller.schema.fields().len()).await;
        }
        Ok(respond(answer, replayed))
    }

    async fn carry_out(
        &self,
        write: Write,
        present: impl Fn(&Self, &Written) -> Result<StoredResponse, RecordError>,
    ) -> Result<(StoredResponse, bool), RecordError> {
        let (records, session, table) = (self.api.records(), &self.session, &self.table);
        let Some(key) = &self.key else {
            let written = records.write_guarded(session, table, write, &self.guard).await?;
            return Ok((present(self, &written)?, false));
        };
        let present = |written: &Written| present(self, written);
        match records.write_once_guarded(session, table, key, &write, &self.guard, present).await? {
            Once::Fresh(answer) => Ok((answer, false)),
            Once::Replayed(answer) => Ok((answer, true)),
        }
    }

    /// The error without the names of fields that the caller does not see.
    pub(crate) fn told(&self, error: RecordError) -> ApiError {
        told::of_record(&self.caller.schema, &self.view, error).into()
    }

    /// The error of a body of this write.
    pub(crate) fn told_of_input(&self, body: &[u8], error: InputError) -> InputError {
        told::of_input(&self.caller.schema, &self.view, body, error)
    }

    /// What of a write's outcome is told of one of many.
    pub(crate) fn told_of_item(&self, error: &RecordError) -> Problem {
        told::problem(&self.caller.schema, &self.view, error)
    }

    /// The version that the record must have: of `If-Match`, or of `version` in the body.
    ///
    /// What no version of the record can meet is left to the store to refuse, so that a retry with an idempotency key
    /// gets its first answer, whatever the record is at by now.
    pub(crate) async fn expected_version(
        &self,
        id: &Value,
        if_match: Option<&Tags>,
        in_body: Option<i64>,
    ) -> Result<Option<i64>, ApiError> {
        let Some(versions) = if_match.and_then(Tags::versions) else { return Ok(in_body) };
        let expected = match versions[..] {
            [] => NO_VERSION,
            [only] => only,
            _ => self
                .current_version(id)
                .await?
                .filter(|current| versions.contains(current))
                .unwrap_or(NO_VERSION),
        };
        match in_body {
            Some(other) if other != expected => Err(Malformed::new(
                "`version` in the body and If-Match name different versions: send one of them",
            )
            .into()),
            _ => Ok(Some(expected)),
        }
    }

    /// Any version, if the record is there at all: `If-Match: *` on a write that would otherwise create.
    pub(crate) async fn version_if_there(&self, id: &Value) -> Result<i64, ApiError> {
        Ok(self.current_version(id).await?.unwrap_or(NO_VERSION))
    }

    async fn current_version(&self, id: &Value) -> Result<Option<i64>, ApiError> {
        match self.api.records().read(&self.session, &self.table, id).await {
            Ok(record) => Ok(Some(record.version()?)),
            Err(RecordError::NotFound) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// What the answer shows of a record: whoever may change it and not read it learns its id and version.
    fn view_of(&self, record: &Record) -> Result<View, RecordError> {
        let is_seen = self.may_read && self.caller.conditions_show(record)?;
        if is_seen { Ok(self.view.clone()) } else { Ok(self.view.narrowed(&self.caller.schema, |_| false)) }
    }

    /// The answer to a write of one record: the record, its tag, and where it is if it is new.
    pub(crate) fn present_record(&self, written: &Written) -> Result<StoredResponse, RecordError> {
        match written {
            Written::Record { record, effect } => {
                let mut headers = vec![
                    ("content-type".to_owned(), JSON.to_owned()),
                    ("etag".to_owned(), format!("\"{}\"", record.version()?)),
                ];
                let created = *effect == Effect::Created;
                if created {
                    headers.push(("location".to_owned(), location(&self.endpoint, &record.id()?)));
                }
                let status = if created { StatusCode::CREATED } else { StatusCode::OK };
                let body = data(record, &self.view_of(record)?, self.numbers)?;
                Ok(StoredResponse { status: status.as_u16(), headers, body })
            }
            Written::Deleted { .. } | Written::Bulk(_) => Ok(StoredResponse {
                status: StatusCode::NO_CONTENT.as_u16(),
                headers: Vec::new(),
                body: Bytes::new(),
            }),
        }
    }
}

/// The fields that the body of a record sets, with their values.
pub(crate) fn set_by(record: &NewRecord) -> impl Iterator<Item = (usize, &Value)> {
    record.sent().iter().filter_map(|position| Some((*position, record.values.get(*position)?)))
}

/// The fields that a patch sets, with their values.
pub(crate) fn changed_by(patch: &Patch) -> impl Iterator<Item = (usize, &Value)> {
    patch.changes.iter().filter_map(|(position, change)| match change {
        Change::Set(value) => Some((*position, value)),
        Change::Merge(_) => None,
    })
}

/// `{"data": …}`.
pub(crate) fn data(record: &Record, view: &View, numbers: Numbers) -> Result<Bytes, RecordError> {
    let mut body = Vec::with_capacity(512);
    body.extend_from_slice(b"{\"data\":");
    record.append_json(view, numbers, &mut body)?;
    body.push(b'}');
    Ok(body.into())
}

fn respond(answer: StoredResponse, replayed: bool) -> Response {
    let mut response = Response::new(Body::from(answer.body));
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::OK);
    let headers = response.headers_mut();
    for (name, value) in answer.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            headers.insert(name, value);
        }
    }
    if replayed {
        headers.insert(HeaderName::from_static("idempotent-replay"), HeaderValue::from_static("true"));
    }
    response
}

/// The URL of a record: the id percent-encoded, all but unreserved characters.
fn location(endpoint: &str, id: &Value) -> String {
    let mut url = format!("{endpoint}/");
    for byte in id.to_text().bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            url.push(char::from(byte));
        } else {
            url.push('%');
            let digit = |nibble: u8| char::from(b"0123456789ABCDEF"[usize::from(nibble & 15)]);
            url.extend([digit(byte >> 4), digit(byte)]);
        }
    }
    url
}

/// All that the answer depends on, each part with its length before it.
fn digest(parts: &Parts, body: &[u8], rights: &[String]) -> [u8; 32] {
    let mut hash = Sha256::new();
    let mut add = |part: &[u8]| {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    };
    add(parts.method.as_str().as_bytes());
    add(parts.uri.path().as_bytes());
    add(body);
    for name in [http::header::IF_MATCH, http::header::IF_NONE_MATCH] {
        parts.headers.get_all(name).iter().for_each(|value| add(value.as_bytes()));
        add(b"");
    }
    for part in rights {
        add(part.as_bytes());
    }
    hash.finalize().into()
}

/// What the caller sees, for the digest of an idempotency key.
///
/// The answer that is kept was made for these rights. A key belongs to an actor, who may come back with a narrower
/// credential or with fewer roles: then the kept answer would show what they may not see any more. So that is another
/// request, and a conflict.
fn rights(caller: &Caller, session: &Session, view: &View) -> Vec<String> {
    let sight = |position| match view.sight(position) {
        Sight::Clear => 'c',
        Sight::Masked => 'm',
        Sight::Hidden => 'h',
    };
    let sights = (0..caller.schema.fields().len()).map(sight).collect();
    let scopes = caller.identity().scopes().map_or_else(String::new, |scopes| format!("{scopes:?}"));
    let access = caller.schema.access();
    let filtered = !access.row_filters().is_empty();
    let attributes = if filtered { session.attributes.clone() } else { String::new() };
    vec![sights, session.roles.join(","), attributes, scopes]
}

/// The record's id in the path, of the type that ids of the schema have.
pub(crate) fn id_of(caller: &Caller, parts: &Parts) -> Result<Value, ApiError> {
    let tail = crate::request::path::schema_route(parts.uri.path()).map_or("", |(_, tail)| tail);
    let text = crate::request::path::record_id(tail)?;
    velocity_schema::input::parse_id(&caller.schema, &text)
        .map_err(|violation| ApiError::Invalid(velocity_schema::Violations(vec![violation])))
}

/// `If-None-Match` on a route that only knows `*`.
pub(crate) fn only_if_absent(parts: &Parts) -> Result<bool, Malformed> {
    match conditional::if_none_match(&parts.headers)? {
        None => Ok(false),
        Some(Tags::Any) => Ok(true),
        Some(Tags::OneOf(_)) => {
            Err(Malformed::new("If-None-Match on a write takes only `*`: create, never replace"))
        }
    }
}

/// Conditional headers that a route does not act on are refused, not passed over.
pub(crate) fn refuse_conditions(parts: &Parts, names: &[HeaderName]) -> Result<(), Malformed> {
    match names.iter().find(|name| parts.headers.contains_key(*name)) {
        Some(name) => Err(Malformed(format!("the header {name} has no meaning on this route: leave it out"))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_location_is_one_segment_whatever_the_id() {
        let at = |id: &str| location("/api/a/b/c/d/v1", &Value::String(id.into()));
        assert_eq!(at("PO-1"), "/api/a/b/c/d/v1/PO-1");
        assert_eq!(at("../x?y#z"), "/api/a/b/c/d/v1/..%2Fx%3Fy%23z");
        assert_eq!(at("é%"), "/api/a/b/c/d/v1/%C3%A9%25");
    }
}
