//! The scope that a handler must hold: who asks, for which schema, with which of their roles. There is no other way to
//! a schema's records.
//!
//! A caller passes roles and what the credential is narrowed to, then the conditions of the schema that do not look at a
//! record, before the database is asked. Conditions that do are part of a read's SQL, or of a write's guard.

use std::marker::PhantomData;
use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use http::request::Parts;
use velocity_access::{Acting, Decision, Identity, Layer, Subject};
use velocity_schema::Schema;
use velocity_schema::cel::{Condition, RequestView};
use velocity_schema::input::{InputError, sent};
use velocity_schema::schema::{Operation, View, WriteRights};
use velocity_schema::violation::nearest;
use velocity_sql::query::Reading;
use velocity_store::records::{Origin, Record, RecordError, Session, Table};

use crate::catalog::Found;
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

/// A caller of a schema's route.
#[derive(Clone)]
pub(crate) struct Caller {
    /// The schema as it is for the whole life of the request.
    pub(crate) schema: Arc<Schema>,
    pub(crate) subject: Subject,
    pub(crate) context: RequestContext,
    moment: Moment,
}

/// When and from where a request came, as conditions see it.
#[derive(Debug, Clone)]
struct Moment {
    time: i64,
    /// Where anything may ask for it.
    ip: Option<Arc<str>>,
}

/// A read on its way: what the caller may see, who the database sees, and the table.
pub(crate) struct Reads<'s> {
    pub(crate) session: Session,
    pub(crate) table: Arc<Table>,
    view: &'s View,
    conditions: Vec<&'s Condition>,
    /// Where a condition may ask for it.
    acting: Option<Acting<'s>>,
    request: RequestView<'s>,
}

impl Reads<'_> {
    /// What plans of lists, exports and histories are made for.
    pub(crate) fn rights(&self) -> Reading<'_> {
        let reading = Reading { view: self.view, conditions: &self.conditions, ..Reading::whole() };
        match &self.acting {
            Some(acting) => Reading { actor: acting.view(), request: self.request, ..reading },
            None => reading,
        }
    }
}

impl<N: Needs> Scope<N> {
    /// The read: its session, its table and what it may show.
    pub(crate) fn reading(&self, api: &Api) -> Reads<'_> {
        let conditions = self.caller.subject.abac_in_sql(N::OPERATION);
        Reads {
            session: self.caller.session(api, &[N::OPERATION], self.roles.clone(), None),
            table: api.records().table(&self.caller.schema),
            view: &self.view,
            acting: (!conditions.is_empty()).then(|| self.caller.subject.acting(N::OPERATION)),
            conditions,
            request: self.caller.request(N::OPERATION),
        }
    }

    /// What the caller sees of each field.
    pub(crate) fn view(&self) -> &View {
        &self.view
    }

    /// Whether the conditions of the schema let the caller see one record that was asked for by its id. Comes after the
    /// 404: what the row filters hide is not there, whatever the conditions say.
    pub(crate) fn may_see(&self, record: &Record) -> Result<(), ApiError> {
        if self.caller.subject.abac_in_sql(N::OPERATION).is_empty() {
            return Ok(());
        }
        let values = record.values()?;
        let request = self.caller.request(N::OPERATION);
        self.caller.subject.abac(N::OPERATION, Some(&values), request).map_err(ApiError::AbacDenied)
    }

    /// Takes note of a response in which the fields at these positions are shown, where the schema asks for that. Comes
    /// before the response: who is shown something sensitive is written down first.
    pub(crate) async fn shown(&self, api: &Api, positions: impl IntoIterator<Item = usize>) {
        self.caller.shown(api, &self.view, positions).await;
    }
}

impl Caller {
    pub(crate) fn identity(&self) -> &Arc<Identity> {
        self.subject.identity()
    }

    /// What conditions see of the request when it does `operation`.
    pub(crate) fn request(&self, operation: Operation) -> RequestView<'_> {
        RequestView { time: self.moment.time, operation: operation.as_str(), ip: self.moment.ip.as_deref() }
    }

    /// Those of the caller's roles that one transaction may do all of `operations` with, for row-level security.
    pub(crate) fn roles_for_all(&self, operations: &[Operation]) -> Result<Vec<String>, ApiError> {
        roles_for_all(&self.subject, operations)
    }

    /// Whether a read by this caller would find what a write that goes to the database with `roles` has changed. Otherwise
    /// a change that changes nothing would be a read by whoever may not read.
    pub(crate) fn reads_what_it_writes(&self, operations: &[Operation], roles: &[String]) -> bool {
        let Ok(reading) = self.roles_for_all(&[Operation::Read]) else { return false };
        if self.conditions_hold(Operation::Read).is_err() {
            return false;
        }
        let filters = self.schema.access().row_filters();
        let is_filtered = |role: &String| filters.iter().any(|filter| filter.role == *role);
        let attributes = |operations| self.subject.attributes_json(operations);
        filters.is_empty()
            || self.subject.is_platform_admin()
            || ((reading.iter().any(|role| !is_filtered(role))
                || roles.iter().all(|role| reading.contains(role)))
                && attributes(operations) == attributes(&[Operation::Read]))
    }

    /// Whether the conditions on reads that look at the record let the caller see it.
    pub(crate) fn conditions_show(&self, record: &Record) -> Result<bool, RecordError> {
        if self.subject.abac_in_sql(Operation::Read).is_empty() {
            return Ok(true);
        }
        let request = self.request(Operation::Read);
        Ok(self.subject.abac(Operation::Read, Some(&record.values()?), request).is_ok())
    }

    /// Whether the conditions that do not look at a record let the caller do `operation`.
    pub(crate) fn conditions_hold(&self, operation: Operation) -> Result<(), ApiError> {
        self.subject.abac(operation, None, self.request(operation)).map_err(ApiError::AbacDenied)
    }

    /// The same for a request that comes to one of `operations`, and does not know yet to which.
    pub(crate) fn conditions_hold_for_any(&self, operations: &[Operation]) -> Result<(), ApiError> {
        let mut refused = Ok(());
        for operation in operations {
            match self.conditions_hold(*operation) {
                Ok(()) => return Ok(()),
                Err(error) => refused = refused.and(Err(error)),
            }
        }
        refused
    }

    /// The operations that the caller may do.
    pub(crate) fn operations(&self) -> Vec<Operation> {
        self.subject.operations()
    }

    /// What the caller sees of the outcome of `operations`. What is not seen alike with each of them is hidden.
    pub(crate) fn view(&self, operations: &[Operation]) -> View {
        let mut views = operations.iter().map(|operation| self.subject.view(*operation));
        let Some(first) = views.next() else { return View::whole().narrowed(&self.schema, |_| false) };
        views.fold(first, |least, view| {
            least.narrowed(&self.schema, |position| least.sight(position) == view.sight(position))
        })
    }

    /// Which fields the caller sets when doing `operation`.
    ///
    /// What a change compares with the stored value, and the caller does not see, is not theirs to send: the answer would
    /// tell whether they guessed it.
    pub(crate) fn write_rights(&self, operation: Operation) -> WriteRights {
        let rights = self.subject.write_rights(operation);
        if operation != Operation::Update || !self.subject.layers().stands(Layer::FieldRights) {
            return rights;
        }
        let view = self.subject.view(operation);
        if view.is_whole() {
            return rights;
        }
        let is_told = |position: usize| {
            view.is_clear(position)
                || self.schema.fields().get(position).is_some_and(|field| !field.immutable)
        };
        rights.narrowed(&self.schema, |position| rights.allows(position) && is_told(position))
    }

    /// Whether the caller may set every field that a body names, for each of `operations`; if not, all that they may not.
    pub(crate) fn may_set(&self, operations: &[Operation], body: &[u8]) -> Result<(), ApiError> {
        let rights: Vec<WriteRights> =
            operations.iter().map(|operation| self.write_rights(*operation)).collect();
        self.may_set_under(&rights, body)
    }

    /// The same for rights that are known already.
    pub(crate) fn may_set_under(&self, rights: &[WriteRights], body: &[u8]) -> Result<(), ApiError> {
        if rights.iter().all(WriteRights::is_all) {
            return Ok(());
        }
        let sent = sent(&self.schema, body).map_err(InputError::from)?;
        let is_forbidden = |position: &usize| !rights.iter().all(|rights| rights.allows(*position));
        let fields: Vec<String> = sent
            .into_iter()
            .filter(is_forbidden)
            .filter_map(|position| self.schema.fields().get(position))
            .map(|field| field.name.to_string())
            .collect();
        if fields.is_empty() { Ok(()) } else { Err(ApiError::FieldForbidden { fields }) }
    }

    /// Whether a replace that does not name the field leaves it as it is: where the caller may not set it, or would lose
    /// what they do not see.
    pub(crate) fn keeps(&self) -> impl Fn(usize) -> bool + use<> {
        let rights = self.write_rights(Operation::Update);
        let view = self.subject.view(Operation::Update);
        move |position| !rights.allows(position) || !view.is_clear(position)
    }

    /// The refusal of an operation that the caller may not do.
    pub(crate) fn denied(&self, operation: Operation) -> ApiError {
        let reason = match self.subject.roles_for(operation) {
            Decision::Denied { reason } => reason,
            Decision::Allowed { .. } => "none of your roles may do this".to_owned(),
        };
        ApiError::RbacDenied { reason }
    }

    /// Who the database sees.
    pub(crate) fn session(
        &self,
        api: &Api,
        operations: &[Operation],
        roles: Vec<String>,
        reason: Option<String>,
    ) -> Session {
        self.session_of(api, &self.subject, operations, roles, reason)
    }

    /// Who the database sees when this request looks into another schema, on which its caller is `subject`.
    pub(crate) fn session_on(
        &self,
        api: &Api,
        subject: &Subject,
        operation: Operation,
    ) -> Result<Session, ApiError> {
        let roles = roles_for_all(subject, &[operation])?;
        Ok(self.session_of(api, subject, &[operation], roles, None))
    }

    fn session_of(
        &self,
        api: &Api,
        subject: &Subject,
        operations: &[Operation],
        roles: Vec<String>,
        reason: Option<String>,
    ) -> Session {
        let identity = subject.identity();
        let trace_id = &self.context.trace_id;
        Session {
            actor: identity.actor().to_owned(),
            actor_type: identity.actor_type().name().to_owned(),
            roles,
            attributes: subject.attributes_json(operations).into_owned(),
            strategy: identity.strategy().to_owned(),
            request_id: self.context.id.as_str().to_owned(),
            trace_id: (!trace_id.is_empty()).then(|| trace_id.to_string()),
            reason,
            origin: Origin::Write,
            statement_timeout: api.config().requests.statement_timeout,
        }
    }
}

/// The roles that go to the database: those that allow all of the operations. Where that layer is taken away, all that
/// the caller holds.
fn roles_for_all(subject: &Subject, operations: &[Operation]) -> Result<Vec<String>, ApiError> {
    let effective = match subject.roles_for_all(operations) {
        Decision::Allowed { effective_roles } => effective_roles,
        Decision::Denied { reason } => return Err(ApiError::RbacDenied { reason }),
    };
    if subject.layers().stands(Layer::RowFilter) {
        return Ok(effective.into_iter().map(str::to_owned).collect());
    }
    let mut roles: Vec<&str> =
        operations.iter().flat_map(|operation| subject.all_roles(*operation)).collect();
    roles.sort_unstable();
    roles.dedup();
    Ok(roles.into_iter().map(str::to_owned).collect())
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
        let strategy = match &found {
            Ok(schema) => api.strategy_of(schema),
            Err(_) => api.default_strategy(),
        };
        let identity = if parts.extensions.get::<Again>().is_some() {
            api.identify(strategy, parts).await?
        } else {
            api.authenticate(strategy, parts).await?
        };
        let schema = match found {
            Ok(schema) => schema,
            Err(Some(reason)) => return Err(ApiError::SchemaNotReady { path: path.to_owned(), reason }),
            Err(None) => return Err(not_found(api, path, &identity)),
        };
        refuse_unknown(&parts.headers)?;
        let context = parts.extensions.get::<RequestContext>().cloned().ok_or(ApiError::Panicked)?;
        let subject = api.subject(identity, &schema);
        if subject.is_platform_admin() {
            context.seen.as_admin();
        }
        let moment = Moment::of(&schema, &subject, context.client);
        Ok(Self { schema, subject, context, moment })
    }
}

impl Moment {
    fn of(schema: &Schema, subject: &Subject, ip: Option<IpAddr>) -> Self {
        let reaches_out = schema.fields().iter().any(|field| field.reference.is_some());
        let asked = reaches_out || !schema.access().abac().is_empty();
        let text = |ip: IpAddr| Arc::from(ip.to_canonical().to_string());
        Self { time: subject.now().as_microsecond(), ip: ip.filter(|_| asked).map(text) }
    }
}

impl<N: Needs> FromRequestParts<Api> for Scope<N> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, ApiError> {
        let caller = Caller::from_request_parts(parts, api).await?;
        let roles = caller.roles_for_all(&[N::OPERATION])?;
        caller.conditions_hold(N::OPERATION)?;
        let view = caller.subject.view(N::OPERATION);
        Ok(Self { caller, roles, view, needs: PhantomData })
    }
}

/// Names the nearest schema, among those that the caller can see.
fn not_found(api: &Api, path: &str, identity: &Arc<Identity>) -> ApiError {
    let catalog = api.catalog().load();
    let visible: Vec<String> = catalog
        .served
        .iter()
        // An identity counts only where its strategy decides.
        .filter(|schema| api.strategy_of(schema) == api.default_strategy())
        .filter(|schema| !api.subject(Arc::clone(identity), schema).operations().is_empty())
        .map(|schema| schema.path().to_string())
        .collect();
    let near = nearest(path, visible.iter().map(String::as_str)).map(str::to_owned);
    ApiError::SchemaNotFound { path: path.chars().take(400).collect(), nearest: near }
}
