//! From an error body to what a person reads.

use velocity_contract::{Code, Problem};

use super::Reply;
use crate::failure::{Exit, Failure};

/// What an answer with an error status means.
pub(super) fn failure(reply: &Reply, server: &str) -> Failure {
    let status = reply.status.as_u16();
    let Ok(problem) = serde_json::from_slice::<Problem>(&reply.body) else {
        return foreign(reply, server);
    };
    let mut details: Vec<String> = problem
        .errors
        .iter()
        .map(|error| {
            if error.field.is_empty() {
                error.message.clone()
            } else {
                format!("{}: {}", error.field, error.message)
            }
        })
        .collect();
    if let (true, Some(id)) = (status >= 500, &problem.request_id) {
        details.push(format!("request id: {id}"));
    }
    let failure = Failure::new(Exit::of_status(status), format!("{} ({})", problem.detail, problem.code))
        .with_details(details);
    match help(&problem) {
        Some(help) => failure.with_help(help),
        None => failure,
    }
}

/// An error that is not in our form: an older or newer server, a proxy, something else altogether.
fn foreign(reply: &Reply, server: &str) -> Failure {
    let detail = serde_json::from_slice::<serde_json::Value>(&reply.body)
        .ok()
        .and_then(|body| body.get("detail").or(body.get("message"))?.as_str().map(str::to_owned));
    let what = detail.map_or_else(
        || format!("{server} answered {}", reply.status),
        |detail| format!("{detail} ({})", reply.status),
    );
    Failure::new(Exit::of_status(reply.status.as_u16()), what)
}

fn help(problem: &Problem) -> Option<String> {
    Some(match problem.code {
        Code::AuthRequired => {
            "`velocity auth login` signs in; `velocity context add NAME --server URL --token-file FILE` or --api-key-file \
             gives a context a credential; for a dev server `velocity auth token --actor NAME --roles ROLE` makes one"
                .to_owned()
        }
        Code::AuthInvalidToken => {
            "get a new token: `velocity auth login` signs in, for a dev server `velocity auth token` makes one; a key that was \
             rotated or revoked needs a new one too"
                .to_owned()
        }
        Code::RbacDenied => {
            "`velocity auth whoami` shows your roles; the schema's `access.roles` lists those that may; an administrator \
             sees what decides with `velocity can-i OPERATION SCHEMA --as YOU`"
                .to_owned()
        }
        Code::AbacDenied | Code::FieldForbidden | Code::CrossSchemaAccessDenied => {
            "an administrator sees which rule decides, and what would change it, with `velocity can-i OPERATION \
             SCHEMA --as YOU`"
                .to_owned()
        }
        Code::SchemaNotFound => "`velocity get schemadefinitions` shows what is applied".to_owned(),
        Code::VersionConflict => format!(
            "read it again{} and repeat the change",
            problem
                .current_version
                .map_or_else(String::new, |version| format!(" (it is at version {version})"))
        ),
        Code::AuditReasonRequired => "say why with --reason".to_owned(),
        Code::SchemaNotReady => {
            "`velocity describe schemadefinition NAME` shows what it waits for".to_owned()
        }
        _ => return None,
    })
}
