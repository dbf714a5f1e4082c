//! From an outcome to the status. Pure; every reason that a user can see is in this file.

use velocity_contract::status::{
    Condition, ConditionStatus, OperationClass, PendingOperation, Phase, SchemaDefinitionStatus, condition,
    set_condition,
};
use velocity_schema::Schema;
use velocity_sql::TableNames;
use velocity_sql::ddl::{Class, Plan, Step, Waiting};

use crate::outcome::Outcome;

/// The reasons of conditions and Events.
pub(crate) mod reason {
    /// Everything is as the spec says.
    pub(crate) const PROVISIONED: &str = "Provisioned";
    /// The spec is not valid; the message lists every violation.
    pub(crate) const INVALID_SPEC: &str = "InvalidSpec";
    /// Another resource or domain holds the path or the namespace.
    pub(crate) const ALREADY_CLAIMED: &str = "AlreadyClaimed";
    /// A reference's target is not provisioned yet.
    pub(crate) const WAITING_FOR_REFERENCE: &str = "WaitingForReference";
    /// The change is not made; see `pendingOperations`.
    pub(crate) const CHANGE_BLOCKED: &str = "ChangeBlocked";
    /// There is no blocked change.
    pub(crate) const NOTHING_PENDING: &str = "NothingPending";
    /// Postgres refused a statement.
    pub(crate) const STATEMENT_FAILED: &str = "StatementFailed";
    /// Traffic holds a lock that a statement needs; it is tried again.
    pub(crate) const WAITING_FOR_LOCK: &str = "WaitingForLock";
    /// The object is deleted; its claim is being released.
    pub(crate) const RELEASING: &str = "Releasing";
    /// The database cannot be reached; it is tried again.
    pub(crate) const DATABASE_UNAVAILABLE: &str = "DatabaseUnavailable";
}

/// What a status is computed from.
pub(crate) struct Basis<'a> {
    pub(crate) previous: &'a SchemaDefinitionStatus,
    pub(crate) generation: Option<i64>,
    /// RFC 3339.
    pub(crate) now: &'a str,
    /// The hash of the spec that is provisioned, whatever the new one is.
    pub(crate) provisioned: Option<String>,
}

/// The status after `outcome`. Transition times of conditions that stay as they are are kept.
pub(crate) fn status(basis: &Basis<'_>, outcome: &Outcome) -> SchemaDefinitionStatus {
    let mut status = basis.previous.clone();
    status.observed_generation = basis.generation;
    status.spec_hash.clone_from(&basis.provisioned);
    status.pending_operations.clear();
    status.plan_hash = None;
    let serving = basis.provisioned.is_some();
    let mut set = |kind: &str, yes: bool, reason: &str, message: &str| {
        set_condition(&mut status.conditions, condition_of(basis, kind, yes, reason, message));
    };
    match outcome {
        Outcome::Ready { schema, .. } => {
            for kind in [
                condition::READY,
                condition::TABLE_READY,
                condition::POLICIES_READY,
                condition::HISTORY_READY,
            ] {
                set(kind, true, reason::PROVISIONED, &ready_message(kind, schema));
            }
            set(condition::MIGRATION_BLOCKED, false, reason::NOTHING_PENDING, "");
            status.phase = Some(Phase::Ready);
            place(&mut status, schema);
        }
        Outcome::Waiting { schema, waiting, .. } => {
            set(condition::READY, false, reason::WAITING_FOR_REFERENCE, &waiting_message(waiting));
            set(condition::MIGRATION_BLOCKED, false, reason::NOTHING_PENDING, "");
            status.phase = Some(Phase::Provisioning);
            place(&mut status, schema);
        }
        Outcome::Blocked { schema, plan } => {
            let message = blocked_message(plan, serving);
            set(condition::READY, false, reason::CHANGE_BLOCKED, &message);
            set(condition::MIGRATION_BLOCKED, true, reason::CHANGE_BLOCKED, &message);
            status.phase = Some(Phase::Blocked);
            status.pending_operations = plan.blocked.iter().map(pending).collect();
            status.plan_hash = Some(plan.hash());
            place(&mut status, schema);
        }
        Outcome::Invalid(violations) => {
            set(condition::READY, false, reason::INVALID_SPEC, &violations.to_string());
            status.phase = Some(Phase::Failed);
        }
        Outcome::Claimed(why) => {
            set(condition::READY, false, reason::ALREADY_CLAIMED, why);
            status.phase = Some(Phase::Failed);
        }
        Outcome::Failed { schema, reason: why } => {
            set(condition::READY, false, reason::STATEMENT_FAILED, why);
            status.phase = Some(Phase::Failed);
            place(&mut status, schema);
        }
    }
    status
}

/// The status while nothing can be done: what is known stays, and the condition says why.
pub(crate) fn held_up(basis: &Basis<'_>, reason: &str, why: &str) -> SchemaDefinitionStatus {
    let mut status = basis.previous.clone();
    let message = format!("{why}; trying again");
    set_condition(&mut status.conditions, condition_of(basis, condition::READY, false, reason, &message));
    status.phase = Some(status.phase.filter(|phase| *phase != Phase::Ready).unwrap_or(Phase::Provisioning));
    status
}

/// The status of an object that is deleted and whose claim cannot be released yet.
pub(crate) fn terminating(basis: &Basis<'_>, why: &str) -> SchemaDefinitionStatus {
    let mut status = held_up(basis, reason::RELEASING, why);
    status.phase = Some(Phase::Terminating);
    status
}

fn condition_of(basis: &Basis<'_>, kind: &str, yes: bool, reason: &str, message: &str) -> Condition {
    Condition {
        kind: kind.to_owned(),
        status: if yes { ConditionStatus::True } else { ConditionStatus::False },
        reason: reason.to_owned(),
        message: message.chars().take(32_000).collect(), // Kubernetes allows 32,768
        last_transition_time: basis.now.to_owned(),
        observed_generation: basis.generation,
    }
}

fn place(status: &mut SchemaDefinitionStatus, schema: &Schema) {
    status.table = Some(TableNames::of(schema.path()).display());
    status.endpoint = Some(schema.path().endpoint());
}

fn ready_message(kind: &str, schema: &Schema) -> String {
    let names = TableNames::of(schema.path());
    match kind {
        condition::READY => format!("served at {}", schema.path().endpoint()),
        condition::HISTORY_READY => {
            format!("events are written to {}.{}", names.schema.as_str(), names.history.as_str())
        }
        condition::POLICIES_READY => format!("rows are guarded for the role {}", names.role().as_str()),
        _ => format!("records are kept in {}", names.display()),
    }
}

fn waiting_message(waiting: &[Waiting]) -> String {
    let all: Vec<String> = waiting.iter().map(|w| format!("{} points to {}", w.field, w.target)).collect();
    format!(
        "waiting for what references point to: {}; apply its SchemaDefinition, or set `enforce: false`",
        all.join(", ")
    )
}

/// What is blocked, for a condition and an Event.
pub(crate) fn blocked_message(plan: &Plan, serving: bool) -> String {
    let steps: Vec<String> = plan
        .blocked
        .iter()
        .map(|step| {
            format!(
                "{} ({}): {}",
                step.summary,
                step.class.as_str(),
                step.reason.as_deref().unwrap_or_default()
            )
        })
        .collect();
    let meanwhile = if serving { "the table keeps serving its old shape; " } else { "" };
    format!("{meanwhile}{}", steps.join("; "))
}

fn pending(step: &Step) -> PendingOperation {
    PendingOperation {
        summary: step.summary.clone(),
        class: match step.class {
            Class::Safe => OperationClass::Safe,
            Class::NeedsData => OperationClass::NeedsData,
            Class::Breaking => OperationClass::Breaking,
        },
        lock: step.lock.as_str().to_owned(),
        sql: step.sql.clone(),
        reason: step.reason.clone().unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests;
