//! What hands have changed in the database.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::request::Parts;
use velocity_contract::drift::SchemaDrift;
use velocity_contract::page::Data;
use velocity_schema::{Schema, SchemaPath};
use velocity_sql::TableNames;
use velocity_sql::ddl::{self, Stage, Step};

use super::admin::Admin;
use super::estimate::Size;
use super::login::View;
use super::operations::{self, Looked};
use super::plan::{month, read_provisioned};
use crate::catalog::Found;
use crate::error::ApiError;
use crate::request::{Malformed, query};
use crate::state::Api;

/// `GET /platform/drift[?schema=org/app/domain/object/version]`: every schema that is served, or one.
pub(crate) async fn show_drift(
    State(api): State<Api>,
    _admin: Admin,
    parts: Parts,
) -> Result<Json<Data<Vec<SchemaDrift>>>, ApiError> {
    let [wanted] = query::only(parts.uri.query(), ["schema"])?;
    let schemas = if let Some(path) = wanted {
        vec![served(&api, &path)?]
    } else {
        let mut all: Vec<Arc<Schema>> = api.catalog().load().served.iter().map(Arc::clone).collect();
        all.sort_by(|a, b| a.path().cmp(b.path()));
        all
    };
    let mut view = api.database().login().view().await?;
    let mut data = Vec::with_capacity(schemas.len());
    for schema in schemas {
        data.push(of(&mut view, &schema).await?);
    }
    Ok(Json(Data { data }))
}

pub(super) fn served(api: &Api, text: &str) -> Result<Arc<Schema>, ApiError> {
    let path: SchemaPath = text
        .parse()
        .map_err(|error| Malformed(format!("`schema` is org/app/domain/object/version: {error}")))?;
    match api.catalog().load().find(&path.to_string()) {
        Found::Served(schema) => Ok(Arc::clone(schema)),
        Found::NotReady(reason) => {
            Err(ApiError::SchemaNotReady { path: path.to_string(), reason: Arc::clone(reason) })
        }
        Found::Nothing => Err(ApiError::SchemaNotFound { path: path.to_string(), nearest: None }),
    }
}

/// The drift of one schema: the spec that is provisioned now against the table as it is now.
async fn of(view: &mut View, served: &Arc<Schema>) -> Result<SchemaDrift, ApiError> {
    let schema = match view.provisioned(served.path()).await? {
        // The API may be a moment behind the operator.
        Some(spec) if spec.spec_hash != served.hash().as_str() => Arc::new(read_provisioned(&spec)?),
        _ => Arc::clone(served),
    };
    let live = view.live(&schema).await?;
    let plan = ddl::plan(&schema, &live, month());
    let size = Size::of(live.table.as_ref());
    let foreign = plan.foreign.iter().map(|step| operations::of_step(step, size)).collect();
    Ok(SchemaDrift {
        path: schema.path().to_string(),
        table: TableNames::of(schema.path()).display(),
        spec_hash: schema.hash().to_string(),
        operations: if plan.steps.iter().any(is_drift) {
            operations::of_plan(&plan, &Looked::default(), size)
        } else {
            Vec::new()
        },
        foreign,
        plan_hash: plan.removing_foreign().hash(),
    })
}

/// Upkeep is no drift, nor is what may come after a switch and was interrupted.
fn is_drift(step: &Step) -> bool {
    !step.upkeep && step.stage != Stage::Finish
}
