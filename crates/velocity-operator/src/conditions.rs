//! From an outcome to the status. Pure; every reason that a user can see is in this file.

use velocity_contract::status::{
    Condition, ConditionStatus, Phase, SchemaDefinitionStatus, condition, find_condition, set_condition,
};
use velocity_schema::schema::Tier;
use velocity_schema::{FieldName, Schema};
use velocity_sql::TableNames;
use velocity_sql::ddl::{Class, Step, Waiting};

use crate::outcome::{Blocked, Fact, Foreign, Missing, Outcome, Reached, Stand};
use crate::pending;

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
    /// The change waits for an approval.
    pub(crate) const APPROVAL_NEEDED: &str = "ApprovalNeeded";
    /// The change waits for data that fits.
    pub(crate) const DATA_DOES_NOT_FIT: &str = "DataDoesNotFit";
    /// The change cannot be made in place, approved or not.
    pub(crate) const NOT_POSSIBLE: &str = "NotPossible";
    /// An approval names another plan than the one that is blocked.
    pub(crate) const APPROVAL_OUTDATED: &str = "ApprovalOutdated";
    /// There is no blocked change.
    pub(crate) const NOTHING_PENDING: &str = "NothingPending";
    /// The change is being made.
    pub(crate) const APPLYING: &str = "Applying";
    /// Postgres refused a statement.
    pub(crate) const STATEMENT_FAILED: &str = "StatementFailed";
    /// Traffic holds a lock that a statement needs; it is tried again.
    pub(crate) const WAITING_FOR_LOCK: &str = "WaitingForLock";
    /// The object is deleted; its claim is being released.
    pub(crate) const RELEASING: &str = "Releasing";
    /// The object is deleted, and its data waits for an approval to be.
    pub(crate) const DELETION_BLOCKED: &str = "DeletionBlocked";
    /// The deletion policy is none.
    pub(crate) const UNKNOWN_DELETION_POLICY: &str = "UnknownDeletionPolicy";
    /// The table and its history went to the trash.
    pub(crate) const MOVED_TO_TRASH: &str = "MovedToTrash";
    /// The table and its history came back from there.
    pub(crate) const RESTORED_FROM_TRASH: &str = "RestoredFromTrash";
    /// The table is as the platform made it.
    pub(crate) const IN_SYNC: &str = "InSync";
    /// What hands had changed was made as it should be.
    pub(crate) const DRIFT_REPAIRED: &str = "DriftRepaired";
    /// What hands have changed is not repaired before people have their say.
    pub(crate) const REPAIR_BLOCKED: &str = "RepairBlocked";
    /// There is what neither the platform made nor the spec names.
    pub(crate) const FOREIGN_OBJECTS: &str = "ForeignObjects";
    /// The database cannot be reached; it is tried again.
    pub(crate) const DATABASE_UNAVAILABLE: &str = "DatabaseUnavailable";
}

/// What a status is computed from.
pub(crate) struct Basis<'a> {
    pub(crate) previous: &'a SchemaDefinitionStatus,
    pub(crate) generation: Option<i64>,
    /// RFC 3339.
    pub(crate) now: &'a str,
}

/// The status after what was reached. Transition times of conditions that stay as they are are kept.
pub(crate) fn status(basis: &Basis<'_>, reached: &Reached) -> SchemaDefinitionStatus {
    let mut status = basis.previous.clone();
    status.observed_generation = basis.generation;
    status.spec_hash.clone_from(&reached.provisioned);
    status.pending_operations.clear();
    status.plan_hash = None;
    let mut draft = Draft { basis, status };
    let serving = reached.provisioned.is_some();
    match &reached.outcome {
        Outcome::Ready { schema, .. } => draft.ready(schema),
        Outcome::Waiting { schema, waiting } => draft.waiting(schema, waiting, serving),
        Outcome::Blocked { schema, change } => draft.blocked(schema, change, serving),
        Outcome::Running { schema, steps, stand } => draft.running(schema, steps, stand, serving),
        Outcome::Invalid(violations) => draft.failed(None, reason::INVALID_SPEC, &violations.to_string()),
        Outcome::Claimed(why) => draft.failed(None, reason::ALREADY_CLAIMED, why),
        Outcome::Failed { schema, reason: why } => draft.failed(Some(schema), reason::STATEMENT_FAILED, why),
    }
    if let Some(drifted) = drifted(basis, reached) {
        set_condition(&mut draft.status.conditions, drifted);
    }
    draft.status
}

/// A status in the making.
struct Draft<'a> {
    basis: &'a Basis<'a>,
    status: SchemaDefinitionStatus,
}

impl Draft<'_> {
    fn set(&mut self, kind: &str, yes: bool, reason: &str, message: &str) {
        let condition = condition_of(self.basis, kind, yes, reason, message);
        set_condition(&mut self.status.conditions, condition);
    }

    fn place(&mut self, schema: &Schema) {
        self.status.table = Some(TableNames::of(schema.path()).display());
        self.status.endpoint = Some(schema.path().endpoint());
    }

    fn ready(&mut self, schema: &Schema) {
        let kinds =
            [condition::READY, condition::TABLE_READY, condition::POLICIES_READY, condition::HISTORY_READY];
        for kind in kinds {
            self.set(kind, true, reason::PROVISIONED, &ready_message(kind, schema));
        }
        match search_message(schema) {
            Some(message) => self.set(condition::SEARCH_READY, true, reason::PROVISIONED, &message),
            None => self.status.conditions.retain(|condition| condition.kind != condition::SEARCH_READY),
        }
        self.set(condition::MIGRATION_BLOCKED, false, reason::NOTHING_PENDING, "");
        self.status.phase = Some(Phase::Ready);
        self.place(schema);
    }

    fn waiting(&mut self, schema: &Schema, waiting: &[Waiting], serving: bool) {
        let message = waiting_message(waiting, serving);
        self.set(condition::READY, false, reason::WAITING_FOR_REFERENCE, &message);
        self.set(condition::MIGRATION_BLOCKED, false, reason::NOTHING_PENDING, "");
        self.status.phase = Some(Phase::Provisioning);
        self.place(schema);
    }

    fn blocked(&mut self, schema: &Schema, change: &Blocked, serving: bool) {
        let message = blocked_message(change, serving);
        self.set(condition::READY, false, reason::CHANGE_BLOCKED, &message);
        self.set(condition::MIGRATION_BLOCKED, true, missing_reason(change.missing), &message);
        self.status.phase = Some(Phase::Blocked);
        self.status.pending_operations = pending::blocked(&change.pending);
        self.status.plan_hash = Some(change.hash.clone());
        self.place(schema);
    }

    fn running(&mut self, schema: &Schema, steps: &[Step], stand: &Stand, serving: bool) {
        let why = if stand.locked_out { reason::WAITING_FOR_LOCK } else { reason::APPLYING };
        self.set(condition::READY, false, why, &running_message(steps, stand, serving));
        self.set(condition::MIGRATION_BLOCKED, false, reason::NOTHING_PENDING, "");
        self.status.phase = Some(Phase::Provisioning);
        self.status.pending_operations = pending::running(steps, stand);
        self.place(schema);
    }

    fn failed(&mut self, schema: Option<&Schema>, reason: &str, why: &str) {
        self.set(condition::READY, false, reason, why);
        self.status.phase = Some(Phase::Failed);
        if let Some(schema) = schema {
            self.place(schema);
        }
    }
}

/// What is known about drift: nothing new where the live table was not compared with a spec that is provisioned.
fn drifted(basis: &Basis<'_>, reached: &Reached) -> Option<Condition> {
    let repaired: Vec<&str> = reached
        .facts
        .iter()
        .filter_map(|fact| match fact {
            Fact::Repaired(steps) => Some(steps),
            Fact::Applied(_) | Fact::Restored(_) => None,
        })
        .flatten()
        .map(String::as_str)
        .collect();
    let of = |yes, reason, message: &str| Some(condition_of(basis, condition::DRIFTED, yes, reason, message));
    match &reached.outcome {
        Outcome::Ready { foreign, .. } if !foreign.steps.is_empty() => {
            of(true, reason::FOREIGN_OBJECTS, &foreign_message(foreign))
        }
        Outcome::Blocked { change, .. } if change.drift => {
            of(true, reason::REPAIR_BLOCKED, &blocked_message(change, true))
        }
        Outcome::Ready { .. } if !repaired.is_empty() => {
            of(false, reason::DRIFT_REPAIRED, &format!("repaired at {}: {}", basis.now, repaired.join("; ")))
        }
        Outcome::Ready { .. } => {
            let before = find_condition(&basis.previous.conditions, condition::DRIFTED);
            match before.filter(|before| before.reason == reason::DRIFT_REPAIRED) {
                Some(before) => of(false, reason::DRIFT_REPAIRED, &before.message),
                None => of(false, reason::IN_SYNC, ""),
            }
        }
        _ => None,
    }
}

/// The status while nothing can be done: what is known stays, and the condition says why.
pub(crate) fn held_up(basis: &Basis<'_>, reason: &str, why: &str) -> SchemaDefinitionStatus {
    let mut status = basis.previous.clone();
    let message = if why.ends_with("tried again") { why.to_owned() } else { format!("{why}; trying again") };
    set_condition(&mut status.conditions, condition_of(basis, condition::READY, false, reason, &message));
    status.phase = Some(status.phase.filter(|phase| *phase != Phase::Ready).unwrap_or(Phase::Provisioning));
    status
}

/// The status of an object that is deleted and cannot go yet.
pub(crate) fn terminating(basis: &Basis<'_>, reason: &str, why: &str) -> SchemaDefinitionStatus {
    let mut status = basis.previous.clone();
    status.observed_generation = basis.generation;
    status.pending_operations.clear();
    status.plan_hash = None;
    set_condition(&mut status.conditions, condition_of(basis, condition::READY, false, reason, why));
    set_condition(
        &mut status.conditions,
        condition_of(basis, condition::MIGRATION_BLOCKED, false, reason::NOTHING_PENDING, ""),
    );
    status.phase = Some(Phase::Terminating);
    status
}

/// The status of an object that is deleted and whose data waits for an approval.
pub(crate) fn deletion_blocked(basis: &Basis<'_>, change: &Blocked) -> SchemaDefinitionStatus {
    let message = blocked_message(change, false);
    let mut status = terminating(basis, reason::DELETION_BLOCKED, &message);
    let missing = missing_reason(change.missing);
    set_condition(
        &mut status.conditions,
        condition_of(basis, condition::MIGRATION_BLOCKED, true, missing, &message),
    );
    status.pending_operations = pending::blocked(&change.pending);
    status.plan_hash = Some(change.hash.clone());
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

/// What is searched, where something is.
fn search_message(schema: &Schema) -> Option<String> {
    let search = schema.search()?;
    let how = match search.tier {
        Tier::Pieces => "pieces of text".to_owned(),
        Tier::Words(language) => format!("words, {language}"),
    };
    let fields: Vec<&str> = search.fields.iter().map(FieldName::as_str).collect();
    Some(format!("tier {} ({how}) on {}", search.tier.number(), fields.join(", ")))
}

/// What clients have while a change is not made.
fn meanwhile(serving: bool) -> &'static str {
    if serving { "the table keeps serving its old shape; " } else { "" }
}

fn waiting_message(waiting: &[Waiting], serving: bool) -> String {
    let all: Vec<String> = waiting.iter().map(|w| format!("{} points to {}", w.field, w.target)).collect();
    format!(
        "{}waiting for what references point to: {}; apply its SchemaDefinition, or set `enforce: false`",
        meanwhile(serving),
        all.join(", ")
    )
}

fn running_message(steps: &[Step], stand: &Stand, serving: bool) -> String {
    let meanwhile = if serving { "the table serves its old shape meanwhile; " } else { "" };
    let Some(step) = stand.step.checked_sub(1).and_then(|index| steps.get(index)) else {
        return format!("{meanwhile}the change waits for its turn");
    };
    let verb = if stand.locked_out { "waits for a lock that traffic holds" } else { "is running" };
    format!("{meanwhile}step {} of {} ({}) {verb}", stand.step, steps.len(), step.summary)
}

fn missing_reason(missing: Missing) -> &'static str {
    match missing {
        Missing::Approval => reason::APPROVAL_NEEDED,
        Missing::Data => reason::DATA_DOES_NOT_FIT,
        Missing::Possibility => reason::NOT_POSSIBLE,
    }
}

/// What is blocked, for a condition and an Event: the steps that keep the others waiting.
pub(crate) fn blocked_message(change: &Blocked, serving: bool) -> String {
    let causes = change.pending.iter().filter(|step| {
        step.class != Class::Safe && step.reason.as_deref() != Some("waits for the rest of the change")
    });
    let steps: Vec<String> = causes
        .map(|step| {
            let reason = step.reason.as_deref().unwrap_or_default();
            format!("{} ({}): {reason}", step.summary, step.class.as_str())
        })
        .collect();
    let way_out = match (change.missing, &change.outdated) {
        (Missing::Approval, Some(named)) => format!(
            "; the approval names {named}, but the plan is {} now: look at it and approve it anew",
            change.hash
        ),
        (Missing::Approval, None) => {
            format!("; to have it done, annotate velocity.sh/approve-breaking={}", change.hash)
        }
        (Missing::Data, _) => "; it goes on by itself once the data fits".to_owned(),
        (Missing::Possibility, _) => "; an approval does not help".to_owned(),
    };
    format!("{}{}{way_out}", meanwhile(serving), steps.join("; "))
}

/// What is foreign, for a condition and an Event.
pub(crate) fn foreign_message(foreign: &Foreign) -> String {
    format!(
        "the database has what neither the platform made nor the spec names; to have it removed ({}), annotate velocity.sh/fix-drift={}",
        foreign.steps.join("; "),
        foreign.hash
    )
}

#[cfg(test)]
mod tests;
