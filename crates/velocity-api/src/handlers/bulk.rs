//! `POST …/bulk`: many writes in one request.

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use http::StatusCode;
use http::header::{IF_MATCH, IF_NONE_MATCH};
use http::request::Parts;
use serde_json::value::RawValue;
use uuid::Uuid;
use velocity_contract::bulk::{
    BulkError, BulkMode, BulkOperation, BulkOutcome, BulkRequest, BulkResponse, BulkResult, BulkStats,
    OPERATIONS_MAX, OnConflict,
};
use velocity_schema::input::{InputError, parse_create, parse_patch, parse_replace};
use velocity_schema::schema::Operation;
use velocity_schema::{Schema, Value, Violation, Violations};
use velocity_store::codec::{Numbers, write_json_value};
use velocity_store::records::{
    Bulk, BulkItem, BulkOp, BulkReport, ConflictRule, Origin, Outcome, RecordError, StoredResponse, Write,
    Written,
};

use super::write::{Writing, refuse_conditions};
use crate::error::{ApiError, record_problem};
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
    let (items, refused) = items(&caller.schema, &request)?;
    let bulk = Bulk { atomic: request.atomic, conflict: conflict(request.on_conflict), items };
    let mode = request.mode;
    writing.run(Write::Bulk(bulk), |writing, written| present(writing, written, &refused, mode)).await
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

/// An operation that does not even get to the store.
struct Refused {
    index: u32,
    error: BulkError,
}

/// The operations read against the schema. What is wrong with an atomic request is reported at once, all of it.
fn items(schema: &Schema, request: &BulkRequest<'_>) -> Result<(Vec<BulkItem>, Vec<Refused>), ApiError> {
    let (mut items, mut refused, mut violations) = (Vec::new(), Vec::new(), Violations::default());
    for (index, operation) in (0_u32..).zip(&request.operations) {
        match item(schema, operation) {
            Ok(op) => items.push(BulkItem { index, op }),
            Err(error) if request.atomic => collect(index, operation, error, &mut violations),
            Err(error) => refused.push(Refused { index, error: ApiError::from(error).problem().into() }),
        }
    }
    if violations.is_empty() { Ok((items, refused)) } else { Err(violations.into()) }
}

fn item(schema: &Schema, operation: &BulkOperation<'_>) -> Result<BulkOp, InputError> {
    let mut uuids = Uuid::now_v7;
    Ok(match operation {
        BulkOperation::Create(record) => {
            BulkOp::Create(parse_create(schema, record.get().as_bytes(), &mut uuids)?)
        }
        BulkOperation::Update(update) => {
            let id = id_of(schema, update.id)?;
            let mut patch = parse_patch(schema, &id, update.data.get().as_bytes())?;
            patch.expected_version = one_version(patch.expected_version, update.version)?;
            BulkOp::Update { id, patch }
        }
        BulkOperation::Upsert(record) => {
            let id = upserted_id(schema, record)?;
            BulkOp::Upsert(parse_replace(schema, &id, record.get().as_bytes(), &mut uuids)?)
        }
        BulkOperation::Delete(delete) => {
            BulkOp::Delete { id: id_of(schema, delete.id)?, expected_version: delete.version }
        }
    })
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

fn collect(index: u32, operation: &BulkOperation<'_>, error: InputError, into: &mut Violations) {
    let kind = match operation {
        BulkOperation::Create(_) => "create",
        BulkOperation::Update(_) => "update",
        BulkOperation::Upsert(_) => "upsert",
        BulkOperation::Delete(_) => "delete",
    };
    let at = format!("operations[{index}].{kind}");
    match error {
        InputError::Malformed(malformed) => into.push(at, "type", malformed.to_string()),
        InputError::Invalid(violations) => {
            for violation in violations.0 {
                into.push(format!("{at}.{}", violation.path), violation.rule, violation.message);
            }
        }
    }
}

fn present(
    writing: &Writing,
    written: &Written,
    refused: &[Refused],
    mode: BulkMode,
) -> Result<StoredResponse, RecordError> {
    let internal = |source| RecordError::Internal { source };
    let Written::Bulk(report) = written else { return Err(internal("a bulk write without a report".into())) };
    let answer = answer(report, refused, mode, writing.numbers);
    let body = serde_json::to_vec(&answer).map_err(|error| internal(error.into()))?;
    let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
    Ok(StoredResponse { status: StatusCode::OK.as_u16(), headers, body: body.into() })
}

fn answer(report: &BulkReport, refused: &[Refused], mode: BulkMode, numbers: Numbers) -> BulkResponse {
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
                (BulkOutcome::Failed, None, Some(BulkError::from(record_problem(error))))
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
                id: raw(&result.id, numbers),
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
