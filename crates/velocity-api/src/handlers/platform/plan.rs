//! What a spec would change.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::Request;
use velocity_access::{Identity, IdentityParts};
use velocity_contract::page::Data;
use velocity_contract::plan::{AccessChange, MissingTarget, SchemaPlan};
use velocity_schema::Schema;
use velocity_schema::changes::{access_changes, changes};
use velocity_sql::ddl::{self, Live, Waiting};
use velocity_store::platform::ProvisionedSpec;

use super::admin::Admin;
use super::estimate::Size;
use super::role_rows::Rows;
use super::{login, operations, preview};
use crate::error::ApiError;
use crate::request::Malformed;
use crate::request::body::{JsonKind, read_json};
use crate::request::query;
use crate::state::Api;

/// `POST /platform/plan[?attributes={}]`: the body is a spec; nothing is changed anywhere. With `attributes`, what roles see is
/// counted for an actor who has these.
pub(crate) async fn plan_schema(
    State(api): State<Api>,
    admin: Admin,
    request: Request<Body>,
) -> Result<Json<Data<SchemaPlan>>, ApiError> {
    let (parts, body) = request.into_parts();
    let [attributes] = query::only(parts.uri.query(), ["attributes"])?;
    let attributes = attributes.map(|text| read_attributes(&text)).transpose()?;
    let bytes = read_json(&parts.headers, body, JsonKind::Document, &api.config().requests).await?;
    let json = serde_json::from_slice(&bytes)
        .map_err(|error| Malformed(format!("the body is not the JSON of a spec: {error}")))?;
    let (_, schema) = Schema::from_json(&json)?;
    let mut view = api.database().login().view().await?;
    let live = view.live(&schema).await?;
    let provisioned = match live.table {
        Some(_) => view.provisioned(schema.path()).await?,
        None => None,
    };
    drop(view);
    let before = provisioned.as_ref().map(read_provisioned).transpose()?;
    let plan = ddl::plan(&schema, &live, month());
    let waiting: Vec<MissingTarget> = plan.waiting.iter().map(missing).collect();
    // A table that is served keeps its shape while a target is missing: what is asked for is what will be done then.
    let plan = if waiting.is_empty() {
        plan
    } else {
        ddl::plan(&schema, &with_targets(live.clone(), &schema), month())
    };
    let mut access: Vec<AccessChange> =
        access_changes(before.as_ref(), &schema).into_iter().map(Into::into).collect();
    let rows = Rows { before: before.as_ref(), after: &schema, attributes };
    rows.count(&api, admin.session(&api), &mut access).await;
    let looked = preview::look(&api, &admin.session(&api), schema.path(), &plan).await?;
    let size = Size::of(live.table.as_ref());
    Ok(Json(Data {
        data: SchemaPlan {
            path: schema.path().to_string(),
            spec_hash: schema.hash().to_string(),
            provisioned: before.as_ref().map(|before| before.hash().to_string()),
            changes: changes(before.as_ref(), &schema).into_iter().map(Into::into).collect(),
            operations: operations::of_plan(&plan, &looked, size),
            access,
            plan_hash: plan.hash(),
            estimated_rows: live.table.is_some().then(|| size.rows()),
            again: plan.again,
            waiting,
        },
    }))
}

/// Attributes of an actor: a JSON object, no longer than an actor may have.
fn read_attributes(text: &str) -> Result<String, ApiError> {
    let wrong = |why: String| ApiError::from(Malformed(format!("`attributes` {why}")));
    let attributes = serde_json::from_str(text)
        .map_err(|_| wrong("must be a JSON object such as {\"region\":\"west\"}".to_owned()))?;
    let parts = IdentityParts { attributes, ..IdentityParts::user("x", "x", jiff::Timestamp::MAX) };
    let identity = Identity::new(parts).map_err(|error| wrong(format!("cannot be an actor's: {error}")))?;
    Ok(identity.attributes_json().to_owned())
}

fn missing(waiting: &Waiting) -> MissingTarget {
    MissingTarget { field: waiting.field.clone(), target: waiting.target.clone() }
}

/// The same, with the targets that are missing.
fn with_targets(mut live: Live, schema: &Schema) -> Live {
    for (name, target) in ddl::with_targets_of(Live::default(), schema).targets {
        live.targets.entry(name).or_insert(target);
    }
    live
}

/// The schema of a spec that was provisioned once, so that it was valid then.
pub(super) fn read_provisioned(spec: &ProvisionedSpec) -> Result<Schema, ApiError> {
    Schema::from_json(&spec.spec).map(|(_, schema)| schema).map_err(login::fault)
}

/// Year and month of now, of UTC: which partitions a history needs.
pub(super) fn month() -> (i32, u32) {
    let now = jiff::tz::Offset::UTC.to_datetime(jiff::Timestamp::now());
    (i32::from(now.year()), u32::from(now.month().unsigned_abs()))
}
