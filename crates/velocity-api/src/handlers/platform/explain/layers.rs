//! The verdicts that need more than the subject: revocations, the credential's scopes, other schemas, and the database.

use std::sync::Arc;

use jiff::Timestamp;
use velocity_access::{Decision, Subject};
use velocity_contract::administration::{LayerVerdict, Verdict};
use velocity_schema::cel::{ActorView, RequestView};
use velocity_schema::field::Reference;
use velocity_schema::schema::Operation;
use velocity_schema::{Schema, Value};
use velocity_store::platform::{ListedApiKey, list_revocations};
use velocity_store::records::RecordError;

use super::question::Question;
use super::session_of;
use crate::catalog::Found;
use crate::error::ApiError;
use crate::handlers::platform::admin::Admin;
use crate::handlers::platform::login::refused;
use crate::state::Api;

fn verdict(layer: &str, verdict: Verdict, detail: impl Into<String>) -> LayerVerdict {
    LayerVerdict { layer: layer.to_owned(), verdict, rule: None, detail: detail.into(), remedy: None }
}

fn denied(layer: &str, rule: String, detail: impl Into<String>, remedy: impl Into<String>) -> LayerVerdict {
    LayerVerdict { rule: Some(rule), remedy: Some(remedy.into()), ..verdict(layer, Verdict::Deny, detail) }
}

/// Whether the actor would get in at all: the strategy runs, the key works, and nothing is revoked.
pub(super) async fn authentication(api: &Api, question: &Question) -> Result<LayerVerdict, ApiError> {
    let layer = "authentication";
    let Some(strategy) = api.strategy_of(&question.schema) else {
        let rule = "auth.strategyRef".to_owned();
        let detail = "no AuthStrategy decides here that may, so nobody gets in";
        let remedy = "name a strategy of this domain or of the installation in the schema, or start the API with --default-auth-strategy";
        return Ok(denied(layer, rule, detail, remedy));
    };
    if api.strategies().find(strategy).is_none() {
        let detail = "the AuthStrategy is missing or invalid, so nobody gets in";
        return Ok(denied(
            layer,
            format!("AuthStrategy {strategy}"),
            detail,
            "apply it, or see why it does not run in its status",
        ));
    }
    if let Some(refusal) = question.key.as_ref().and_then(|key| of_key(key, Timestamp::now())) {
        return Ok(refusal);
    }
    let mut sought = vec![("actor", question.identity.actor().to_owned())];
    sought.extend(question.key.as_ref().map(|key| ("key", key.id.clone())));
    let mut view = api.database().login().view().await?;
    for (kind, value) in sought {
        let revoked =
            list_revocations(view.connection().client(), Some(kind), Some(&value)).await.map_err(refused)?;
        if let Some(revocation) = revoked.first() {
            let detail = format!(
                "revoked by {} at {}: {}",
                revocation.created_by, revocation.created_at, revocation.reason
            );
            let remedy = format!("lift it: DELETE /platform/revocations/{}", revocation.id);
            return Ok(denied(
                layer,
                format!("revocation {}: {kind} {value}", revocation.id),
                detail,
                remedy,
            ));
        }
    }
    let detail = "neither the actor nor the key is revoked; single tokens and sessions are not looked at";
    Ok(LayerVerdict {
        rule: Some(format!("AuthStrategy {strategy}")),
        ..verdict(layer, Verdict::Allow, detail)
    })
}

/// Why a key does not work.
fn of_key(key: &ListedApiKey, now: Timestamp) -> Option<LayerVerdict> {
    let is_over = |at: Option<Timestamp>| at.filter(|at| *at <= now);
    let (detail, remedy) = if let Some(at) = key.revoked_at {
        (format!("the key was revoked at {at}"), "create a new key")
    } else if let Some(at) = is_over(key.expires_at) {
        (format!("the key expired at {at}"), "create a new key")
    } else if let Some(at) = is_over(key.ends_at) {
        (format!("the key was rotated and ended at {at}"), "use the key that took its place")
    } else {
        return None;
    };
    Some(denied("authentication", format!("API key {}", key.id), detail, remedy))
}

/// What the key is narrowed to.
pub(super) fn scope(question: &Question) -> LayerVerdict {
    let layer = "scope";
    let Some(scopes) = question.identity.scopes() else {
        let detail = if question.key.is_some() { "the key is not narrowed" } else { "no key is asked about" };
        return verdict(layer, Verdict::NotApplicable, detail);
    };
    let (path, operation) = (question.schema.path(), question.operation);
    let covering: Vec<_> = scopes.iter().filter(|scope| scope.covers(path, operation)).collect();
    let shown = |scopes: &[String]| scopes.join("; ");
    if covering.is_empty() {
        let all: Vec<String> = scopes.iter().map(ToString::to_string).collect();
        let detail = format!("no scope of the key covers `{operation}` on this schema");
        return denied(
            layer,
            shown(&all),
            detail,
            "create a key with a scope that does, or use one without scopes",
        );
    }
    let rule: Vec<String> = covering.iter().map(ToString::to_string).collect();
    let narrow = covering.iter().all(|scope| scope.fields.is_some());
    let detail = if narrow {
        "the key is narrowed to some fields: see the field rights"
    } else {
        "a scope of the key covers this"
    };
    LayerVerdict { rule: Some(shown(&rule)), ..verdict(layer, Verdict::Allow, detail) }
}

/// Which other schemas the operation reaches into, and whether it may.
pub(super) fn cross_schema(
    api: &Api,
    subject: &Subject,
    operation: Operation,
    request: RequestView<'_>,
) -> LayerVerdict {
    let layer = "crossSchema";
    let schema = subject.schema();
    let reached = match operation {
        Operation::Create | Operation::Update => of_references(api, subject, request),
        _ => Vec::new(),
    };
    if reached.is_empty() {
        return verdict(layer, Verdict::NotApplicable, "this operation reaches into no other schema");
    }
    if subject.is_platform_admin() && subject.identity().scopes().is_none() {
        return verdict(layer, Verdict::Allow, "`platform-admin` may refer to every record");
    }
    let refused: Vec<String> = reached
        .iter()
        .filter_map(|reached| Some(format!("{}: {}", reached.what, reached.why_not.as_ref()?)))
        .collect();
    if refused.is_empty() {
        let all: Vec<&str> = reached.iter().map(|reached| reached.what.as_str()).collect();
        return verdict(layer, Verdict::Allow, format!("allowed: {}", all.join("; ")));
    }
    let certain = reached.iter().any(|reached| reached.always && reached.why_not.is_some());
    let kind = if certain { Verdict::Deny } else { Verdict::Partial };
    LayerVerdict {
        rule: Some(format!("references of {}", schema.path())),
        remedy: Some("give the actor a role that may read the other schema".to_owned()),
        ..verdict(layer, kind, refused.join("; "))
    }
}

/// Another schema that the operation reaches into.
struct Reached {
    what: String,
    /// Why it may not be reached.
    why_not: Option<String>,
    /// Whether every such request reaches it.
    always: bool,
}

/// The schemas that fields of this one refer to.
fn of_references(api: &Api, subject: &Subject, request: RequestView<'_>) -> Vec<Reached> {
    let catalog = api.catalog().load();
    let fields = subject.schema().fields().iter();
    let enforced = fields.filter_map(|field| Some((field, field.reference.as_ref().filter(|r| r.enforce)?)));
    let reached = enforced.map(|(field, reference)| Reached {
        what: format!("`{}` refers to {}", field.name, reference.target),
        why_not: match catalog.find(&reference.target.to_string()) {
            Found::Served(target) => why_not(api, subject, target, reference, request),
            Found::NotReady(_) | Found::Nothing => Some("it is not served".to_owned()),
        },
        always: request.operation == Operation::Create.as_str() && field.required,
    });
    reached.collect()
}

/// Why the actor may not refer to records of another schema.
fn why_not(
    api: &Api,
    subject: &Subject,
    target: &Arc<Schema>,
    reference: &Reference,
    request: RequestView<'_>,
) -> Option<String> {
    if api.strategy_of(target) != api.strategy_of(subject.schema()) {
        return Some("another strategy decides there".to_owned());
    }
    let there = api.subject(Arc::clone(subject.identity()), target);
    if let Decision::Denied { reason } = there.roles_for(Operation::Read) {
        return Some(reason);
    }
    let request = RequestView { operation: Operation::Read.as_str(), ..request };
    if let Err(denied) = there.abac(Operation::Read, None, request) {
        return Some(denied.to_string());
    }
    let view = there.view(Operation::Read);
    let is_clear = target.position(reference.field.as_str()).is_some_and(|at| view.is_clear(at));
    (!is_clear).then(|| format!("`{}` is not seen in clear there", reference.field))
}

/// Which of the actor's roles let the record through the row filters, each with its filter.
pub(super) fn let_through(subject: &Subject, operation: Operation, record: &[Value]) -> Option<String> {
    let Decision::Allowed { effective_roles } = subject.roles_for(operation) else { return None };
    let roles: Vec<String> = effective_roles.into_iter().map(str::to_owned).collect();
    let attributes = subject.attributes_json(&[operation]);
    let actor = ActorView {
        id: subject.identity().actor(),
        actor_type: subject.identity().actor_type().name(),
        roles: &roles,
        attributes: &attributes,
    };
    let filters = subject.schema().access().row_filters();
    let passed = roles.iter().filter_map(|role| {
        let mut own = filters.iter().filter(|filter| filter.role == *role).peekable();
        if own.peek().is_none() {
            return Some(format!("{role}: no filter"));
        }
        let filter = own.find(|filter| filter.condition.evaluate(record, Some(actor)) == Ok(true))?;
        Some(format!("{role}: {}", filter.condition.source()))
    });
    let passed: Vec<String> = passed.collect();
    (!passed.is_empty()).then(|| passed.join("; "))
}

/// What the database itself says of the record, asked as the actor would ask it; `None` where there is nothing to ask.
pub(super) async fn rls(
    api: &Api,
    admin: &Admin,
    question: &Question,
    subject: &Subject,
) -> Result<Option<LayerVerdict>, ApiError> {
    let layer = "rls";
    let operation = question.operation;
    let Some(id) = &question.id else { return Ok(None) };
    let Decision::Allowed { effective_roles } = subject.roles_for(operation) else { return Ok(None) };
    let roles: Vec<String> = effective_roles.into_iter().map(str::to_owned).collect();
    if operation == Operation::Restore {
        let detail = "records that are deleted cannot be looked at before they are restored";
        return Ok(Some(verdict(layer, Verdict::Partial, detail)));
    }
    let rule = format!("policies of the table, for the roles {}", roles.join(", "));
    let session = session_of(admin.session(api), subject, operation, roles);
    let table = api.records().table(&question.schema);
    match api.records().read(&session, &table, id).await {
        Ok(_) => {
            let detail = "the database was asked as this actor, and shows the record";
            Ok(Some(LayerVerdict { rule: Some(rule), ..verdict(layer, Verdict::Allow, detail) }))
        }
        Err(RecordError::NotFound) => {
            let detail = "the database was asked as this actor, and does not show the record: to them it is not there (404)";
            let remedy = "the same as for the row filters; where those let the record through, look for drift (GET /platform/drift)";
            Ok(Some(denied(layer, rule, detail, remedy)))
        }
        Err(error) => Err(error.into()),
    }
}
