//! The scope that a handler must hold: who asks, for which schema, with which of their roles. There is no other way to
//! a schema's records.

use std::marker::PhantomData;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use http::request::Parts;
use velocity_access::rbac::decide;
use velocity_access::{Decision, Identity};
use velocity_schema::Schema;
use velocity_schema::cel::{Condition, RequestView};
use velocity_schema::schema::{Operation, View};
use velocity_schema::violation::nearest;
use velocity_sql::query::Reading;
use velocity_store::records::{Origin, Record, Session, Table};

use crate::catalog::{Catalog, Found};
use crate::envelope::RequestContext;
use crate::error::ApiError;
use crate::once_more::Again;
use crate::request::headers::refuse_unknown;
use crate::request::path::schema_route;
use crate::state::Api;

/// The operation that a route needs, as a type.
pub(crate) trait Needs: Send + Sync {
    const OPERATION: Operation;
}

macro_rules! needs {
    ($($name:ident),*) => {$(
        pub(crate) struct $name;
        impl Needs for $name {
            const OPERATION: Operation = Operation::$name;
        }
    )*};
}

needs!(Create, Read, Update, Delete, Restore, History, Export);

/// A caller who may do the operation `N` on the schema.
pub(crate) struct Scope<N> {
    pub(crate) caller: Caller,
    /// Those of the caller's roles that allow the operation, for row-level security.
    roles: Vec<String>,
    view: View,
    needs: PhantomData<N>,
}

/// A read on its way: what the caller may see, who the database sees, and the table.
pub(crate) struct Reads<'s> {
    pub(crate) session: Session,
    pub(crate) table: Arc<Table>,
    view: &'s View,
    conditions: Vec<&'s Condition>,
    request: RequestView<'s>,
}

impl Reads<'_> {
    /// What plans of lists, exports and histories are made for.
    pub(crate) fn rights(&self) -> Reading<'_> {
        Reading { view: self.view, conditions: &self.conditions, request: self.request }
    }
}

/// What the database has one policy for.
const CHANGES: [Operation; 3] = [Operation::Update, Operation::Delete, Operation::Restore];

/// A caller of a schema's route.
#[derive(Clone)]
pub(crate) struct Caller {
    /// The schema as it is for the whole life of the request.
    pub(crate) schema: Arc<Schema>,
    pub(crate) identity: Arc<Identity>,
    pub(crate) context: RequestContext,
}

impl<N: Needs> Scope<N> {
    /// The read: its session, its table and what it may show.
    pub(crate) fn reading(&self, api: &Api) -> Reads<'_> {
        Reads {
            session: self.caller.session(api, self.roles.clone(), None),
            table: api.records().table(&self.caller.schema),
            view: &self.view,
            conditions: Vec::new(),
            request: RequestView { time: 0, operation: N::OPERATION.as_str(), ip: None },
        }
    }

    /// What the caller sees of each field.
    pub(crate) fn view(&self) -> &View {
        &self.view
    }

    /// Whether the conditions of the schema let the caller see one record that was asked for by its id. Comes after the
    /// 404: what the row filters hide is not there, whatever the conditions say.
    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "conditions follow")]
    pub(crate) fn may_see(&self, _record: &Record) -> Result<(), ApiError> {
        Ok(())
    }

    /// Takes note of a response in which the fields at these positions are shown, where the schema asks for that.
    #[expect(clippy::unused_async, clippy::unused_self, reason = "access events follow")]
    pub(crate) async fn shown(&self, _api: &Api, _positions: &[usize]) {}
}

impl Caller {
    /// Those of the caller's roles that allow `operation`.
    fn roles_for(&self, operation: Operation) -> Result<Vec<String>, ApiError> {
        match decide(self.schema.access(), &self.identity, operation) {
            Decision::Allowed { effective_roles } => {
                Ok(effective_roles.into_iter().map(str::to_owned).collect())
            }
            Decision::Denied { reason } => Err(ApiError::RbacDenied { reason }),
        }
    }

    /// Those of the caller's roles with which one transaction may do all of `operations`.
    ///
    /// The database has one policy for new rows and one for changed ones, the latter for updates, deletions and
    /// restores alike. So a role that allows one kind of change must not come along to a transaction that makes another
    /// kind: its row filter would count there too.
    pub(crate) fn roles_for_all(&self, operations: &[Operation]) -> Result<Vec<String>, ApiError> {
        if let [only] = operations {
            return self.roles_for(*only);
        }
        let mut roles: Vec<String> = Vec::new();
        for operation in operations {
            roles.extend(self.roles_for(*operation)?);
        }
        roles.sort();
        roles.dedup();
        if self.identity.is_platform_admin() {
            return Ok(roles);
        }
        let access = self.schema.access();
        let allows = |role: &String, operation: &Operation| access.roles(*operation).contains(role);
        let wanted: Vec<&Operation> =
            operations.iter().filter(|operation| CHANGES.contains(operation)).collect();
        roles.retain(|role| {
            wanted.iter().all(|operation| allows(role, operation))
                || !CHANGES.iter().any(|operation| allows(role, operation))
        });
        match operations.iter().find(|operation| !roles.iter().any(|role| allows(role, operation))) {
            None => Ok(roles),
            Some(operation) => Err(ApiError::RbacDenied {
                reason: format!(
                    "no role of yours allows `{operation}` together with the rest: send them apart"
                ),
            }),
        }
    }

    /// The operations that the caller may do.
    pub(crate) fn operations(&self) -> Vec<Operation> {
        operations(&self.schema, &self.identity)
    }

    /// The refusal of an operation that the caller may not do.
    pub(crate) fn denied(&self, operation: Operation) -> ApiError {
        let reason = match decide(self.schema.access(), &self.identity, operation) {
            Decision::Denied { reason } => reason,
            Decision::Allowed { .. } => "none of your roles may do this".to_owned(),
        };
        ApiError::RbacDenied { reason }
    }

    /// Who the database sees.
    pub(crate) fn session(&self, api: &Api, roles: Vec<String>, reason: Option<String>) -> Session {
        let identity = &self.identity;
        let trace_id = &self.context.trace_id;
        Session {
            actor: identity.actor().to_owned(),
            actor_type: identity.actor_type().name().to_owned(),
            roles,
            attributes: identity.attributes_json().to_owned(),
            strategy: identity.strategy().to_owned(),
            request_id: self.context.id.as_str().to_owned(),
            trace_id: (!trace_id.is_empty()).then(|| trace_id.to_string()),
            reason,
            origin: Origin::Write,
            statement_timeout: api.config().requests.statement_timeout,
        }
    }
}

/// The operations that an identity may do on a schema.
pub(crate) fn operations(schema: &Schema, identity: &Identity) -> Vec<Operation> {
    let allowed = |operation: &Operation| {
        matches!(decide(schema.access(), identity, *operation), Decision::Allowed { .. })
    };
    Operation::ALL.into_iter().filter(allowed).collect()
}

impl FromRequestParts<Api> for Caller {
    type Rejection = ApiError;

    /// Authentication comes before anything is said about a schema, its existence included.
    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, ApiError> {
        let path = schema_route(parts.uri.path()).map_or("", |(path, _)| path);
        // The catalog is not held while we wait: a request keeps its schema, not every other one.
        let found = match api.catalog().load().find(path) {
            Found::Served(schema) => Ok(Arc::clone(schema)),
            Found::NotReady(reason) => Err(Some(Arc::clone(reason))),
            Found::Nothing => Err(None),
        };
        let strategy = found.as_ref().ok().and_then(|schema| schema.strategy()).or(api.default_strategy());
        let identity = if parts.extensions.get::<Again>().is_some() {
            api.identify(strategy, parts).await?
        } else {
            api.authenticate(strategy, parts).await?
        };
        let schema = match found {
            Ok(schema) => schema,
            Err(Some(reason)) => return Err(ApiError::SchemaNotReady { path: path.to_owned(), reason }),
            Err(None) => return Err(not_found(&api.catalog().load(), path, &identity)),
        };
        refuse_unknown(&parts.headers)?;
        let context = parts.extensions.get::<RequestContext>().cloned().ok_or(ApiError::Panicked)?;
        Ok(Self { schema, identity, context })
    }
}

impl<N: Needs> FromRequestParts<Api> for Scope<N> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, ApiError> {
        let caller = Caller::from_request_parts(parts, api).await?;
        let roles = caller.roles_for(N::OPERATION)?;
        Ok(Self { caller, roles, view: View::whole(), needs: PhantomData })
    }
}

/// Names the nearest schema, among those that the caller can see.
fn not_found(catalog: &Catalog, path: &str, identity: &Identity) -> ApiError {
    let visible: Vec<String> = catalog
        .served
        .iter()
        .filter(|schema| !operations(schema, identity).is_empty())
        .map(|schema| schema.path().to_string())
        .collect();
    let near = nearest(path, visible.iter().map(String::as_str)).map(str::to_owned);
    ApiError::SchemaNotFound { path: path.chars().take(400).collect(), nearest: near }
}
