//! What is written down of a request's access: that it was turned away, that it showed something sensitive, that it was
//! let in as an administrator's.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use velocity_access::Identity;
use velocity_contract::Code;
use velocity_schema::schema::View;
use velocity_sql::query::PlanCode;
use velocity_store::records::{DeniedBy, RecordError};

use crate::access_events::AccessEvent;
use crate::envelope::RequestContext;
use crate::error::ApiError;
use crate::request::path::{record_id, schema_route};
use crate::routes::ENDPOINTS;
use crate::scope::Caller;
use crate::state::Api;

/// What the handlers find out about a request's caller, for the envelope.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    identity: OnceLock<Arc<Identity>>,
    as_admin: AtomicBool,
}

impl Seen {
    /// The caller is this one. Of several, as one request may be asked for under several strategies, the first counts.
    pub(crate) fn is(&self, identity: &Arc<Identity>) {
        let _ = self.identity.set(Arc::clone(identity));
    }

    /// The caller is let in as a platform administrator.
    pub(crate) fn as_admin(&self) {
        self.as_admin.store(true, Ordering::Relaxed);
    }
}

/// The event of a request, without what it is about.
fn event(context: &RequestContext) -> AccessEvent {
    let identity = context.seen.identity.get();
    let endpoint = context.endpoint.map(|endpoint| &ENDPOINTS[endpoint.index()]);
    let is_of_record = endpoint.is_some_and(|endpoint| endpoint.template.contains("{id}"));
    let tail = schema_route(context.uri.path()).filter(|_| is_of_record).map(|(_, tail)| tail);
    let record = tail.and_then(|tail| record_id(tail).ok()).map(std::borrow::Cow::into_owned);
    AccessEvent {
        actor: identity.map(|identity| identity.actor().to_owned()),
        actor_type: identity.map(|identity| identity.actor_type().name()),
        strategy: identity.map(|identity| identity.strategy().to_owned()),
        path: format!("{} {}", context.method, context.uri.path()),
        record_ids: record.into_iter().collect(),
        operation: endpoint.map(|endpoint| endpoint.operation.to_owned()),
        request_id: context.id.as_str().to_owned(),
        trace_id: context.trace_id.to_string(),
        ip: context.client,
        ..AccessEvent::default()
    }
}

/// The event of a request that is turned away; `None` for other errors.
pub(crate) fn denial(error: &ApiError, context: &RequestContext) -> Option<AccessEvent> {
    let code = error.code();
    if !matches!(code.status(), 401 | 403) {
        return None;
    }
    let fields = match error {
        ApiError::FieldForbidden { fields } => fields.clone(),
        _ => Vec::new(),
    };
    // What a stranger sends is no part of the text: strangers are counted by it.
    let detail = match error {
        ApiError::NoStrategy { .. } => "no strategy decides here".to_owned(),
        other => other.to_string(),
    };
    Some(AccessEvent {
        code: Some(code),
        layer: layer(error),
        detail: Some(detail),
        fields,
        ..event(context)
    })
}

/// The layer that turned a request away.
fn layer(error: &ApiError) -> Option<&'static str> {
    Some(match error {
        ApiError::AbacDenied(_) => "abac",
        ApiError::FieldForbidden { .. } | ApiError::ConflictOnHidden => "fields",
        ApiError::Plan(error) if error.code == PlanCode::FieldForbidden => "fields",
        ApiError::Record(error) => match first(error) {
            RecordError::Denied { by: DeniedBy::Condition, .. } => "abac",
            RecordError::Denied { by: DeniedBy::OtherSchema, .. } => "crossSchema",
            _ => "rowFilter",
        },
        other if other.code() == Code::RbacDenied => "rbac",
        other if other.code().status() == 401 => "authentication",
        _ => return None,
    })
}

/// The error that gives a bulk its code.
fn first(error: &RecordError) -> &RecordError {
    match error {
        RecordError::Bulk { failures } => failures.first().map_or(error, |failure| &failure.error),
        other => other,
    }
}

/// The event of a request that was let in as an administrator's.
pub(crate) fn admin_use(context: &RequestContext) -> Option<AccessEvent> {
    context.seen.as_admin.load(Ordering::Relaxed).then(|| event(context))
}

impl Caller {
    /// Takes note of operations that were denied within a request that was let in.
    pub(crate) async fn items_were_denied(&self, api: &Api, denied: Vec<(Code, Option<String>)>) {
        let Some((code, _)) = denied.first() else { return };
        let code = Some(*code);
        let detail = Some(format!("{} operations of the request were denied", denied.len()));
        let record_ids = denied.into_iter().filter_map(|(_, id)| id).collect();
        let event = AccessEvent { record_ids, code, detail, ..event(&self.context) };
        api.database().access_events().denied(event).await;
    }

    /// Takes note that an answer shows the fields at these positions, where the schema asks for that: of those that are
    /// sensitive, and shown in clear.
    pub(crate) async fn shown(&self, api: &Api, view: &View, positions: impl IntoIterator<Item = usize>) {
        if !self.schema.audit().sensitive_reads {
            return;
        }
        let fields: Vec<String> = positions
            .into_iter()
            .filter(|position| view.is_clear(*position))
            .filter_map(|position| self.schema.fields().get(position))
            .filter(|field| field.is_sensitive())
            .map(|field| field.name.to_string())
            .collect();
        if !fields.is_empty() {
            let event = AccessEvent { fields, ..event(&self.context) };
            api.database().access_events().sensitive_read(event).await;
        }
    }
}
