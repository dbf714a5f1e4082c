//! Rights on the schemas that fields refer to.
//!
//! Who makes a field point to a record learns that there is such a record. So that needs the right to read the other schema,
//! and a record that its row filters or conditions hide from the caller counts as none. A field that stays as it is, is not
//! made to point anywhere.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use velocity_access::{Decision, Layer, Subject};
use velocity_schema::cel::RequestView;
use velocity_schema::field::Reference;
use velocity_schema::schema::Operation;
use velocity_schema::{Schema, Value};
use velocity_sql::query::Reading;
use velocity_store::records::{DeniedBy, RecordError};

use crate::catalog::Found;
use crate::error::ApiError;
use crate::scope::Caller;
use crate::state::Api;

/// What a field may not be made to point to.
pub(crate) struct Barred {
    position: usize,
    to: Target,
    why: Why,
}

enum Target {
    Any,
    Values(HashSet<String>),
}

enum Why {
    /// The caller may not read the other schema. What the caller is told.
    NotAllowed(String),
    /// The caller sees no such record: what is said of a record that does not exist.
    NotSeen(String),
}

impl Barred {
    /// Whether the write leaves the field as it is, or makes it point to what the caller may know of.
    pub(crate) fn check(&self, before: Option<&[Value]>, after: &[Value]) -> Result<(), RecordError> {
        let Some(value) = after.get(self.position).filter(|value| !value.is_null()) else { return Ok(()) };
        let stays = before.and_then(|before| before.get(self.position)).is_some_and(|old| same(old, value));
        let is_barred = match &self.to {
            Target::Any => true,
            Target::Values(values) => values.contains(&key(value)),
        };
        if stays || !is_barred {
            return Ok(());
        }
        Err(match &self.why {
            Why::NotAllowed(message) => {
                RecordError::Denied { by: DeniedBy::OtherSchema, message: message.clone() }
            }
            Why::NotSeen(field) => RecordError::ReferenceViolation { field: Some(field.clone()) },
        })
    }
}

fn same(one: &Value, other: &Value) -> bool {
    key(one) == key(other)
}

/// Equal for values that are equal, whatever the scale of a number.
fn key(value: &Value) -> String {
    match value {
        Value::Number(number) => number.normalized().to_string(),
        other => other.to_text(),
    }
}

/// What the fields that a request sets may not point to. `made` are the records that the same request makes: they may be
/// pointed to before they are there. Costs a round trip for each schema that hides records from the caller, and none
/// otherwise.
pub(crate) async fn barred<'v>(
    api: &Api,
    caller: &Caller,
    set: impl IntoIterator<Item = (usize, &'v Value)>,
    made: &[&[Value]],
) -> Result<Vec<Barred>, ApiError> {
    if !caller.subject.layers().stands(Layer::CrossSchema) || caller.subject.is_platform_admin() {
        return Ok(Vec::new());
    }
    let mut by_field: BTreeMap<usize, Vec<&Value>> = BTreeMap::new();
    for (position, value) in set {
        let refers = |position: usize| enforced(&caller.schema, position).is_some();
        if !value.is_null() && refers(position) {
            by_field.entry(position).or_default().push(value);
        }
    }
    let mut barred = Vec::new();
    for (position, values) in by_field {
        barred.extend(of_field(api, caller, position, values, made).await?);
    }
    Ok(barred)
}

/// The field's reference, if the database keeps it.
fn enforced(schema: &Schema, position: usize) -> Option<&Reference> {
    schema.fields().get(position)?.reference.as_ref().filter(|reference| reference.enforce)
}

async fn of_field(
    api: &Api,
    caller: &Caller,
    position: usize,
    values: Vec<&Value>,
    made: &[&[Value]],
) -> Result<Option<Barred>, ApiError> {
    let Some(reference) = enforced(&caller.schema, position) else { return Ok(None) };
    let field = caller.schema.fields()[position].name.as_str();
    let not_allowed = |because: &str| {
        let target = &reference.target;
        let message = format!("`{field}` points to `{target}`, {because}: that needs the right to read it");
        Ok(Some(Barred { position, to: Target::Any, why: Why::NotAllowed(message) }))
    };
    let catalog = api.catalog().load_full();
    let schema = match catalog.find(&reference.target.to_string()) {
        Found::Served(schema) => Arc::clone(schema),
        Found::NotReady(_) | Found::Nothing => return not_allowed("which is not served"),
    };
    if api.strategy_of(&schema) != api.strategy_of(&caller.schema) {
        return not_allowed("where another strategy decides who you are");
    }
    let target = api.subject(Arc::clone(caller.identity()), &schema);
    let request = caller.request(Operation::Read);
    let Decision::Allowed { effective_roles } = target.roles_for(Operation::Read) else {
        return not_allowed("which none of your roles may read");
    };
    if target.abac(Operation::Read, None, request).is_err() {
        return not_allowed("which you may not read here and now");
    }
    let view = target.view(Operation::Read);
    let Some(at) = schema.position(reference.field.as_str()).filter(|at| view.is_clear(*at)) else {
        return not_allowed("in a field that you do not see in clear");
    };
    if !hides_records(&target, &effective_roles) {
        return Ok(None);
    }
    let mut hidden = hidden(api, caller, &target, at, request, &values).await?;
    if schema.path() == caller.schema.path() {
        made.iter().filter_map(|record| record.get(at)).for_each(|value| {
            hidden.remove(&key(value));
        });
    }
    let why = Why::NotSeen(field.to_owned());
    Ok((!hidden.is_empty()).then_some(Barred { position, to: Target::Values(hidden), why }))
}

/// Whether there may be records of the schema that the caller does not see.
fn hides_records(target: &Subject, roles: &[&str]) -> bool {
    let filters = target.schema().access().row_filters();
    let is_filtered = |role: &str| filters.iter().any(|filter| filter.role == role);
    is_filtered("*")
        || roles.iter().all(|role| is_filtered(role))
        || !target.abac_in_sql(Operation::Read).is_empty()
}

/// Those of the values that no record has which the caller sees.
async fn hidden(
    api: &Api,
    caller: &Caller,
    target: &Subject,
    at: usize,
    request: RequestView<'_>,
    values: &[&Value],
) -> Result<HashSet<String>, ApiError> {
    let table = api.records().table(target.schema());
    let session = caller.session_on(api, target, Operation::Read)?;
    let view = velocity_schema::schema::View::whole();
    let conditions = target.abac_in_sql(Operation::Read);
    let acting = target.acting(Operation::Read);
    let reading = Reading { view: &view, conditions: &conditions, actor: acting.view(), request };
    let mut wanted: BTreeMap<String, Value> = BTreeMap::new();
    for value in values {
        wanted.entry(key(value)).or_insert_with(|| (*value).clone());
    }
    let sought = wanted.values().cloned().collect();
    let seen = api.records().seen_values(&session, &table, at, sought, &reading).await?;
    for value in &seen {
        wanted.remove(&key(value));
    }
    Ok(wanted.into_keys().collect())
}
