//! Why somebody may or may not do something: every layer is asked as for a real request, the database included.

mod layers;
mod question;

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::request::Parts;
use velocity_access::{LayerVerdict, RoleSource as Held, Subject, Verdict};
use velocity_contract::administration::{self as contract, Explanation, FieldRight};
use velocity_contract::page::Data;
use velocity_schema::cel::RequestView;
use velocity_schema::schema::{Mask, Operation, Sight};
use velocity_store::records::{Record, RecordError, Session};

use self::question::Question;
use super::admin::Admin;
use crate::error::ApiError;
use crate::state::Api;

/// `GET /platform/explain?schema=&operation=&actor=[&id=][&roles=a,b][&attributes={}][&ip=][&keyId=]`.
pub(crate) async fn explain(
    State(api): State<Api>,
    admin: Admin,
    parts: Parts,
) -> Result<Json<Data<Explanation>>, ApiError> {
    let question = Question::of(&api, parts.uri.query()).await?;
    let subject = api.subject(Arc::clone(&question.identity), &question.schema);
    let operation = question.operation;
    let record = looked_up(&api, &admin, &question).await?;
    let values = record.as_ref().map(Record::values).transpose()?;
    let request = RequestView {
        time: subject.now().as_microsecond(),
        operation: operation.as_str(),
        ip: question.ip.as_deref(),
    };
    let own = subject.explain(operation, values.as_deref(), request);
    let mut verdicts = vec![layers::authentication(&api, &question).await?];
    for verdict in own.layers {
        let name = verdict.layer.name();
        let verdict = match name {
            "crossSchema" => layers::cross_schema(&api, &subject, operation, request),
            "rls" => match layers::rls(&api, &admin, &question, &subject).await? {
                Some(asked) => asked,
                None => shown(verdict),
            },
            "rowFilter" => by_role(shown(verdict), &subject, operation, values.as_deref()),
            _ => shown(verdict),
        };
        verdicts.push(verdict);
        if name == "abac" {
            verdicts.push(layers::scope(&question));
        }
    }
    let namespace = question.schema.path().namespace();
    let given = if question.key.is_some() { "key" } else { "given" };
    let roles = own.roles.into_iter().map(|held| contract::RoleSource {
        role: held.role,
        from: match held.from {
            Held::Credential => given.to_owned(),
            Held::RoleBinding(name) => format!("RoleBinding {namespace}/{name}"),
        },
    });
    let attributes = subject.attributes(&[operation]).into_owned();
    Ok(Json(Data {
        data: Explanation {
            allowed: judge(&verdicts),
            operation: operation.to_string(),
            schema: question.schema.path().to_string(),
            actor: question.identity.actor().to_owned(),
            id: question.id.as_ref().map(velocity_schema::Value::to_text),
            roles: roles.collect(),
            attributes: attributes.into_iter().collect(),
            layers: verdicts,
            fields: fields(&subject, operation),
        },
    }))
}

/// The row filters' verdict with the roles that let the record through.
fn by_role(
    verdict: contract::LayerVerdict,
    subject: &Subject,
    operation: Operation,
    record: Option<&[velocity_schema::Value]>,
) -> contract::LayerVerdict {
    match record {
        Some(record) if verdict.verdict == contract::Verdict::Allow && !subject.is_platform_admin() => {
            let rule = layers::let_through(subject, operation, record).or(verdict.rule);
            contract::LayerVerdict { rule, ..verdict }
        }
        _ => verdict,
    }
}

/// The record that is asked about, as an administrator sees it. One that was deleted can only be restored, and is not shown.
async fn looked_up(api: &Api, admin: &Admin, question: &Question) -> Result<Option<Record>, ApiError> {
    let Some(id) = &question.id else { return Ok(None) };
    let table = api.records().table(&question.schema);
    match api.records().read(&admin.session(api), &table, id).await {
        Ok(record) => Ok(Some(record)),
        Err(RecordError::NotFound) if question.operation == Operation::Restore => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Fields that are hidden or masked are no reason to call the whole operation uncertain.
fn judge(layers: &[contract::LayerVerdict]) -> contract::Allowed {
    let uncertain = |layer: &contract::LayerVerdict| {
        layer.verdict == contract::Verdict::Partial
            && !["fieldRights", "masking"].contains(&layer.layer.as_str())
    };
    if layers.iter().any(|layer| layer.verdict == contract::Verdict::Deny) {
        contract::Allowed::No
    } else if layers.iter().any(uncertain) {
        contract::Allowed::Depends
    } else {
        contract::Allowed::Yes
    }
}

fn shown(verdict: LayerVerdict) -> contract::LayerVerdict {
    contract::LayerVerdict {
        layer: verdict.layer.name().to_owned(),
        verdict: match verdict.verdict {
            Verdict::Allow => contract::Verdict::Allow,
            Verdict::Deny => contract::Verdict::Deny,
            Verdict::Partial => contract::Verdict::Partial,
            Verdict::NotApplicable => contract::Verdict::NotApplicable,
        },
        rule: verdict.rule,
        detail: verdict.detail,
        remedy: verdict.remedy,
    }
}

/// What the actor sees of each field, and which they may set.
fn fields(subject: &Subject, operation: Operation) -> Vec<FieldRight> {
    let (view, rights) = (subject.view(operation), subject.write_rights(operation));
    let schema = subject.schema();
    let right = |(position, field): (usize, &velocity_schema::field::Field)| {
        let sight = view.sight(position);
        let mask = schema.access().field_rule(position).and_then(|rule| rule.mask.as_ref());
        FieldRight {
            field: field.name.to_string(),
            read: match sight {
                Sight::Clear => "clear",
                Sight::Masked => "masked",
                Sight::Hidden => "hidden",
            }
            .to_owned(),
            write: !field.system && rights.allows(position),
            mask: mask.filter(|_| sight == Sight::Masked).map(|mask| mask_name(mask).to_owned()),
        }
    };
    schema.fields().iter().enumerate().map(right).collect()
}

fn mask_name(mask: &Mask) -> &'static str {
    match mask {
        Mask::Partial { .. } => "partial",
        Mask::Hash => "hash",
        Mask::Range { .. } => "range",
        Mask::Redact => "redact",
        Mask::Tokenise => "tokenise",
    }
}

/// The session that a request of the actor would have.
fn session_of(admin: Session, subject: &Subject, operation: Operation, roles: Vec<String>) -> Session {
    let identity = subject.identity();
    Session {
        actor: identity.actor().to_owned(),
        actor_type: identity.actor_type().name().to_owned(),
        roles,
        attributes: subject.attributes_json(&[operation]).into_owned(),
        strategy: identity.strategy().to_owned(),
        ..admin
    }
}
