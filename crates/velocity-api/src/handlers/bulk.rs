//! `POST …/bulk`: many writes in one request.

use std::sync::{Mutex, PoisonError};

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use http::StatusCode;
use http::header::{IF_MATCH, IF_NONE_MATCH};
use http::request::Parts;
use serde_json::value::RawValue;
use uuid::Uuid;
use velocity_contract::Code;
use velocity_contract::bulk::{
    BulkError, BulkMode, BulkOperation, BulkOutcome, BulkRequest, BulkResponse, BulkResult, BulkStats,
    OPERATIONS_MAX, OnConflict,
};
use velocity_schema::input::{
    InputError, NewRecord, Replacement, parse_create, parse_patch, parse_replace_keeping,
};
use velocity_schema::schema::{Operation, WriteRights};
use velocity_schema::{FieldName, Schema, Value, Violation, Violations};
use velocity_store::codec::{Numbers, write_json_value};
use velocity_store::records::{
    Bulk, BulkItem, BulkOp, BulkReport, ConflictRule, Origin, Outcome, RecordError, StoredResponse, Write,
    Written,
};

use super::write::{Writing, changed_by, refuse_conditions, set_by};
use crate::error::ApiError;
use crate::request::Malformed;
use crate::request::body::{JsonKind, read_json};
use crate::scope::Caller;
use crate::state::Api;

pub(crate) async fn write_in_bulk(
    State(api): State<Api>,
    caller: Caller,
    parts: Parts,
    body: Body,
) -> Result<Response, ApiError> {
    if caller.operations().is_empty() {
        return Err(caller.denied(Operation::Create));
    }
    refuse_conditions(&parts, &[IF_MATCH, IF_NONE_MATCH])?;
    let body = read_json(&parts.headers, body, JsonKind::Document, &api.config().requests).await?;
    let request = parse(&body)?;
    let operations = operations(&request);
    let mut writing = Writing::prepare(&api, &caller, &parts, &operations, &body, None)?;
    if request.mode == BulkMode::Import {
        writing.session.origin = Origin::Import;
    }
    refuse_hidden_keys(&caller, &request, &operations)?;
    let (items, refused) = Reading::new(&caller, &writing, &request).items()?;
    let (set, made) = (set_by_items(&items), made_by(&items));
    writing.check_references(set, &made).await?;
    let bulk = Bulk { atomic: request.atomic, conflict: conflict(request.on_conflict), items };
    let mode = request.mode;
    let denied = Mutex::new(Vec::new());
    let answer = writing.run(Write::Bulk(bulk), |writing, written| {
        let answer = answer_to(writing, written, &refused, mode)?;
        *denied.lock().unwrap_or_else(PoisonError::into_inner) = denials(&answer);
        stored(&answer)
    });
    let answer = answer.await?;
    let denied = denied.into_inner().unwrap_or_else(PoisonError::into_inner);
    caller.items_were_denied(&api, denied).await;
    Ok(answer)
}

/// What was denied in it: the codes, and the ids as far as they are told.
fn denials(answer: &BulkResponse) -> Vec<(Code, Option<String>)> {
    let denied = |item: &BulkResult| {
        let code = item.error.as_ref()?.code;
        (code.status() == 403).then(|| (code, item.id.as_ref().map(|id| id.get().to_owned())))
    };
    answer.data.iter().filter_map(denied).collect()
}

fn parse(body: &Bytes) -> Result<BulkRequest<'_>, ApiError> {
    let request: BulkRequest<'_> = serde_json::from_slice(body)
        .map_err(|error| Malformed(format!("the body is not a bulk request: {error}")))?;
    if (1..=OPERATIONS_MAX).contains(&request.operations.len()) {
        Ok(request)
    } else {
        Err(invalid("operations", "length", format!("must be 1 to {OPERATIONS_MAX} operations")))
    }
}

fn invalid(path: &str, rule: &'static str, message: String) -> ApiError {
    ApiError::Invalid(Violations(vec![Violation::new(path, rule, message)]))
}

/// What the caller must be allowed for all of it.
fn operations(request: &BulkRequest<'_>) -> Vec<Operation> {
    let mut needed = Vec::new();
    let mut need = |operation| {
        if !needed.contains(&operation) {
            needed.push(operation);
        }
    };
    for operation in &request.operations {
        match operation {
            BulkOperation::Create(_) => {
                need(Operation::Create);
                if request.on_conflict == OnConflict::Update {
                    need(Operation::Update);
                }
            }
            BulkOperation::Upsert(_) => {
                need(Operation::Create);
                need(Operation::Update);
            }
            BulkOperation::Update(_) => need(Operation::Update),
            BulkOperation::Delete(_) => need(Operation::Delete),
        }
    }
    needed
}

fn conflict(rule: OnConflict) -> ConflictRule {
    match rule {
        OnConflict::Fail => ConflictRule::Fail,
        OnConflict::Skip => ConflictRule::Skip,
        OnConflict::Update => ConflictRule::Update,
    }
}

/// A create that skips what is there decides by every unique value: not by those that the caller does not see in clear.
/// One that updates what is there decides by the id alone, which everyone sees.
fn refuse_hidden_keys(
    caller: &Caller,
    request: &BulkRequest<'_>,
    operations: &[Operation],
) -> Result<(), ApiError> {
    if request.on_conflict != OnConflict::Skip || !operations.contains(&Operation::Create) {
        return Ok(());
    }
    let (schema, view) = (&caller.schema, caller.view(operations));
    let alone = schema.fields().iter().filter(|field| field.unique).map(|field| &field.name);
    let mut keys = alone.chain(schema.unique().iter().flatten());
    let is_clear = |name: &FieldName| schema.position(name.as_str()).is_some_and(|at| view.is_clear(at));
    if keys.all(is_clear) { Ok(()) } else { Err(ApiError::ConflictOnHidden) }
}

/// The fields that the operations set, with their values.
fn set_by_items(items: &[BulkItem]) -> impl Iterator<Item = (usize, &Value)> {
    items.iter().flat_map(|item| -> Box<dyn Iterator<Item = (usize, &Value)> + Send + '_> {
        match &item.op {
            BulkOp::Create(record) | BulkOp::Upsert(Replacement { record, .. }) => Box::new(set_by(record)),
            BulkOp::Update { patch, .. } => Box::new(changed_by(patch)),
            BulkOp::Delete { .. } => Box::new(std::iter::empty()),
        }
    })
}

/// The records that the operations make.
fn made_by(items: &[BulkItem]) -> Vec<&[Value]> {
    let made = items.iter().filter_map(|item| match &item.op {
        BulkOp::Create(record) | BulkOp::Upsert(Replacement { record, .. }) => Some(record.values.as_slice()),
        BulkOp::Update { .. } | BulkOp::Delete { .. } => None,
    });
    made.collect()
}

/// An operation that does not even get to the store.
struct Refused {
    index: u32,
    error: BulkError,
}

/// A bulk request that is being read.
struct Reading<'r> {
    caller: &'r Caller,
    writing: &'r Writing<'r>,
    request: &'r BulkRequest<'r>,
    /// Which fields a create, and a change, may set: the same for all operations.
    create: [WriteRights; 1],
    update: [WriteRights; 1],
    either: [WriteRights; 2],
    /// The fields, by position, that a replace keeps when they are not sent.
    kept: Vec<bool>,
}

impl<'r> Reading<'r> {
    fn new(caller: &'r Caller, writing: &'r Writing<'r>, request: &'r BulkRequest<'r>) -> Self {
        let (create, update) =
            (caller.write_rights(Operation::Create), caller.write_rights(Operation::Update));
        let kept = (0..caller.schema.fields().len()).map(caller.keeps()).collect();
        Self {
            caller,
            writing,
            request,
            either: [create.clone(), update.clone()],
            create: [create],
            update: [update],
            kept,
        }
    }

    fn keeps(&self, position: usize) -> bool {
        self.kept.get(position).copied().unwrap_or(true)
    }

    /// The operations read against the schema. What is wrong with an atomic request is reported at once, all of it; what
    /// is forbidden in it comes first.
    fn items(&self) -> Result<(Vec<BulkItem>, Vec<Refused>), ApiError> {
        let atomic = self.request.atomic;
        let (mut items, mut refused) = (Vec::new(), Vec::new());
        let (mut violations, mut forbidden) = (Violations::default(), Vec::new());
        for (index, operation) in (0_u32..).zip(&self.request.operations) {
            match self.item(operation) {
                Ok(op) => items.push(BulkItem { index, op }),
                Err(ApiError::FieldForbidden { fields }) if atomic => {
                    let at = format!("operations[{index}].{}", kind(operation));
                    forbidden.extend(fields.iter().map(|field| format!("{at}.{field}")));
                }
                Err(ApiError::Invalid(found)) if atomic => {
                    let at = format!("operations[{index}].{}", kind(operation));
                    for violation in found.0 {
                        violations.push(
                            format!("{at}.{}", violation.path),
                            violation.rule,
                            violation.message,
                        );
                    }
                }
                Err(ApiError::Malformed(malformed)) if atomic => {
                    let at = format!("operations[{index}].{}", kind(operation));
                    violations.push(at, "type", malformed.to_string());
                }
                Err(error) if atomic => return Err(error),
                Err(error) => refused.push(Refused { index, error: error.problem().into() }),
            }
        }
        if !forbidden.is_empty() {
            return Err(ApiError::FieldForbidden { fields: forbidden });
        }
        if violations.is_empty() { Ok((items, refused)) } else { Err(violations.into()) }
    }

    fn item(&self, operation: &BulkOperation<'_>) -> Result<BulkOp, ApiError> {
        let schema: &Schema = &self.caller.schema;
        let mut uuids = Uuid::now_v7;
        let told = |body: &RawValue, error| self.writing.told_of_input(body.get().as_bytes(), error);
        Ok(match operation {
            BulkOperation::Create(record) => {
                let rights: &[WriteRights] = match self.request.on_conflict {
                    OnConflict::Update => &self.either,
                    OnConflict::Fail | OnConflict::Skip => &self.create,
                };
                let body = record.get().as_bytes();
                self.caller.may_set_under(rights, body)?;
                let mut new = parse_create(schema, body, &mut uuids).map_err(|error| told(record, error))?;
                if self.request.on_conflict == OnConflict::Update {
                    self.keep_in(&mut new);
                }
                BulkOp::Create(new)
            }
            BulkOperation::Update(update) => {
                let id = id_of(schema, update.id)?;
                let body = update.data.get().as_bytes();
                self.caller.may_set_under(&self.update, body)?;
                let patch = parse_patch(schema, &id, body);
                let mut patch = patch.map_err(|error| told(update.data, error))?;
                patch.expected_version = one_version(patch.expected_version, update.version)?;
                BulkOp::Update { id, patch }
            }
            BulkOperation::Upsert(record) => {
                let id = upserted_id(schema, record)?;
                let body = record.get().as_bytes();
                self.caller.may_set_under(&self.either, body)?;
                let replacement = parse_replace_keeping(schema, &id, body, &|at| self.keeps(at), &mut uuids);
                BulkOp::Upsert(replacement.map_err(|error| told(record, error))?)
            }
            BulkOperation::Delete(delete) => {
                BulkOp::Delete { id: id_of(schema, delete.id)?, expected_version: delete.version }
            }
        })
    }

    /// A create that may turn out to replace a record keeps of it what the caller may not set.
    fn keep_in(&self, record: &mut NewRecord) {
        let sent = record.sent().to_vec();
        let fields = self.caller.schema.fields().iter().enumerate();
        let kept =
            fields.filter(|(at, field)| *at != 0 && !field.system && self.keeps(*at) && !sent.contains(at));
        record.generated.extend(kept.map(|(at, _)| at));
        record.generated.sort_unstable();
        record.generated.dedup();
    }
}

fn one_version(in_data: Option<i64>, beside: Option<i64>) -> Result<Option<i64>, InputError> {
    match (in_data, beside) {
        (Some(a), Some(b)) if a != b => {
            let message = "stands beside `data` and in it, with different values";
            Err(Violations(vec![Violation::new("version", "ambiguous", message)]).into())
        }
        (a, b) => Ok(b.or(a)),
    }
}

fn id_of(schema: &Schema, raw: &RawValue) -> Result<Value, InputError> {
    let id = schema.id().kind.read_json(raw).ok().filter(|id| !id.is_null());
    id.ok_or_else(|| {
        let message = format!("must be an id of this schema, of type {}", schema.id().kind.name());
        Violations(vec![Violation::new("id", "type", message)]).into()
    })
}

/// The id in the record of an upsert; a new one where the platform makes ids and the record has none.
fn upserted_id(schema: &Schema, record: &RawValue) -> Result<Value, InputError> {
    #[derive(serde::Deserialize)]
    struct Id<'a> {
        #[serde(borrow)]
        id: Option<&'a RawValue>,
    }
    let id = serde_json::from_str::<Id<'_>>(record.get()).ok().and_then(|id| id.id);
    match id {
        Some(id) => id_of(schema, id),
        None if schema.id().auto_populated => Ok(Value::Uuid(Uuid::now_v7())),
        None => Err(Violations(vec![Violation::new("id", "required", "is required in an upsert")]).into()),
    }
}

/// The member of the request that an operation is.
fn kind(operation: &BulkOperation<'_>) -> &'static str {
    match operation {
        BulkOperation::Create(_) => "create",
        BulkOperation::Update(_) => "update",
        BulkOperation::Upsert(_) => "upsert",
        BulkOperation::Delete(_) => "delete",
    }
}

fn answer_to(
    writing: &Writing<'_>,
    written: &Written,
    refused: &[Refused],
    mode: BulkMode,
) -> Result<BulkResponse, RecordError> {
    match written {
        Written::Bulk(report) => Ok(answer(report, refused, mode, writing)),
        _ => Err(RecordError::Internal { source: "a bulk write without a report".into() }),
    }
}

fn stored(answer: &BulkResponse) -> Result<StoredResponse, RecordError> {
    let body = serde_json::to_vec(answer).map_err(|error| RecordError::Internal { source: error.into() })?;
    let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
    Ok(StoredResponse { status: StatusCode::OK.as_u16(), headers, body: body.into() })
}

fn answer(report: &BulkReport, refused: &[Refused], mode: BulkMode, writing: &Writing<'_>) -> BulkResponse {
    let mut stats = BulkStats { failed: refused.len() as u64, ..BulkStats::default() };
    let mut data: Vec<BulkResult> = refused
        .iter()
        .map(|Refused { index, error }| BulkResult {
            index: *index,
            outcome: BulkOutcome::Failed,
            id: None,
            version: None,
            error: Some(error.clone()),
        })
        .collect();
    for result in &report.results {
        let (outcome, version, error) = match &result.outcome {
            Outcome::Created(version) => (BulkOutcome::Created, Some(*version), None),
            Outcome::Updated(version) => (BulkOutcome::Updated, Some(*version), None),
            Outcome::Deleted(version) => (BulkOutcome::Deleted, Some(*version), None),
            Outcome::Skipped => (BulkOutcome::Skipped, None, None),
            Outcome::Failed(error) => {
                (BulkOutcome::Failed, None, Some(BulkError::from(writing.told_of_item(error))))
            }
        };
        *match outcome {
            BulkOutcome::Created => &mut stats.created,
            BulkOutcome::Updated => &mut stats.updated,
            BulkOutcome::Deleted => &mut stats.deleted,
            BulkOutcome::Skipped => &mut stats.skipped,
            BulkOutcome::Failed => &mut stats.failed,
        } += 1;
        if mode == BulkMode::Write || outcome == BulkOutcome::Failed {
            data.push(BulkResult {
                index: result.index,
                outcome,
                id: raw(&result.id, writing.numbers),
                version,
                error,
            });
        }
    }
    data.sort_by_key(|result| result.index);
    BulkResponse { data, stats }
}

fn raw(id: &Value, numbers: Numbers) -> Option<Box<RawValue>> {
    let mut json = String::new();
    write_json_value(id, numbers, &mut json);
    RawValue::from_string(json).ok()
}
