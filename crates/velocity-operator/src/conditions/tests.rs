use serde_json::json;
use velocity_contract::status::find_condition;
use velocity_schema::Violations;
use velocity_sql::ddl::{Lock, Stage};

use super::*;

fn schema() -> Box<Schema> {
    let spec = json!({"org": "acme", "app": "shop", "domain": "sales", "object": "order", "version": "v1",
        "fields": [{"name": "title", "type": "string"}]});
    Box::new(Schema::from_json(&spec).unwrap().1)
}

fn reached(outcome: Outcome, hash: Option<&str>) -> Reached {
    Reached { outcome, provisioned: hash.map(str::to_owned), facts: Vec::new() }
}

fn basis<'a>(previous: &'a SchemaDefinitionStatus, now: &'a str, generation: i64) -> Basis<'a> {
    Basis { previous, generation: Some(generation), now }
}

fn ready() -> Outcome {
    Outcome::Ready { schema: schema(), foreign: Foreign::default() }
}

fn ready_then(next: Outcome, hash: Option<&str>) -> SchemaDefinitionStatus {
    let none = SchemaDefinitionStatus::default();
    let first = status(&basis(&none, "t1", 1), &reached(ready(), Some("sha256:1")));
    status(&basis(&first, "t2", 2), &reached(next, hash))
}

fn change(missing: Missing, outdated: Option<&str>) -> Blocked {
    let step = Step::safe(Stage::Switch, "drop column x", Lock::AccessExclusive, "alter …")
        .breaking("its values are lost");
    let other = Step {
        reason: Some("waits for the rest of the change".into()),
        ..Step::safe(Stage::Prepare, "add column y", Lock::None, "alter …")
    };
    Blocked {
        pending: vec![other, step],
        hash: "sha256:plan".into(),
        missing,
        outdated: outdated.map(str::to_owned),
        drift: false,
    }
}

fn blocked() -> Outcome {
    Outcome::Blocked { schema: schema(), change: change(Missing::Approval, None) }
}

fn message_of(status: &SchemaDefinitionStatus, kind: &str) -> (ConditionStatus, String, String) {
    let found = find_condition(&status.conditions, kind).unwrap();
    (found.status, found.reason.clone(), found.message.clone())
}

fn time_of<'a>(status: &'a SchemaDefinitionStatus, kind: &str) -> &'a str {
    &find_condition(&status.conditions, kind).unwrap().last_transition_time
}

#[test]
fn what_is_ready_says_where_it_is_and_what_is_provisioned() {
    let none = SchemaDefinitionStatus::default();
    let status = status(&basis(&none, "t1", 3), &reached(ready(), Some("sha256:1")));
    insta::assert_json_snapshot!(status);
}

#[test]
fn search_is_ready_with_its_tier_while_it_is_declared() {
    let searched = |search: serde_json::Value| {
        let spec = json!({"org": "acme", "app": "shop", "domain": "sales", "object": "order", "version": "v1",
            "fields": [{"name": "title", "type": "string"}], "search": search});
        Outcome::Ready { schema: Box::new(Schema::from_json(&spec).unwrap().1), foreign: Foreign::default() }
    };
    let words = searched(json!({"tier": 2, "fields": ["title"], "language": "english"}));
    let declared = ready_then(words, Some("sha256:2"));
    let (yes, why, message) = message_of(&declared, condition::SEARCH_READY);
    assert_eq!((yes, why.as_str()), (ConditionStatus::True, reason::PROVISIONED));
    assert_eq!(message, "tier 2 (words, english) on title");
    let pieces = searched(json!({"tier": 1, "fields": ["title"]}));
    let other = status(&basis(&declared, "t3", 3), &reached(pieces, Some("sha256:3")));
    assert_eq!(message_of(&other, condition::SEARCH_READY).2, "tier 1 (pieces of text) on title");
    let none = status(&basis(&other, "t4", 4), &reached(ready(), Some("sha256:4")));
    assert!(find_condition(&none.conditions, condition::SEARCH_READY).is_none());
}

#[test]
fn a_condition_keeps_its_time_while_it_stays_and_its_generation_moves_on() {
    let same = ready_then(ready(), Some("sha256:2"));
    for condition in &same.conditions {
        assert_eq!(condition.last_transition_time, "t1", "{}", condition.kind);
        assert_eq!(condition.observed_generation, Some(2));
    }
    assert_eq!((same.observed_generation, same.spec_hash.as_deref()), (Some(2), Some("sha256:2")));
    let after = ready_then(blocked(), Some("sha256:1"));
    assert_eq!(time_of(&after, condition::READY), "t2");
    assert_eq!(time_of(&after, condition::MIGRATION_BLOCKED), "t2");
    assert_eq!(time_of(&after, condition::TABLE_READY), "t1");
}

#[test]
fn a_blocked_change_keeps_the_hash_of_what_is_served_and_says_what_is_pending() {
    let after = ready_then(blocked(), Some("sha256:1"));
    assert_eq!((after.phase, after.spec_hash.as_deref()), (Some(Phase::Blocked), Some("sha256:1")));
    assert_eq!(after.pending_operations.len(), 2);
    assert_eq!(after.plan_hash.as_deref(), Some("sha256:plan"));
    let (_, reason, message) = message_of(&after, condition::READY);
    assert_eq!(reason, "ChangeBlocked");
    assert_eq!(
        message,
        "the table keeps serving its old shape; drop column x (breaking): its values are lost; to have it done, annotate velocity.sh/approve-breaking=sha256:plan"
    );
    // And nothing of it stays once it is over.
    let over = status(&basis(&after, "t3", 3), &reached(ready(), Some("sha256:3")));
    assert!(over.pending_operations.is_empty() && over.plan_hash.is_none());
    assert_eq!(message_of(&over, condition::MIGRATION_BLOCKED).0, ConditionStatus::False);
}

#[test]
fn a_blocked_change_says_what_it_waits_for() {
    for (missing, outdated, reason, said) in [
        (Missing::Approval, None, "ApprovalNeeded", "annotate velocity.sh/approve-breaking=sha256:plan"),
        (
            Missing::Approval,
            Some("sha256:old"),
            "ApprovalNeeded",
            "the approval names sha256:old, but the plan is sha256:plan now",
        ),
        (Missing::Data, None, "DataDoesNotFit", "it goes on by itself once the data fits"),
        (Missing::Possibility, None, "NotPossible", "an approval does not help"),
    ] {
        let outcome = Outcome::Blocked { schema: schema(), change: change(missing, outdated) };
        let (_, found, message) = message_of(&ready_then(outcome, None), condition::MIGRATION_BLOCKED);
        assert_eq!(found, reason);
        assert!(message.contains(said), "{message}");
    }
}

#[test]
fn a_change_that_runs_says_how_far_it_is_while_the_old_spec_is_served() {
    let steps = vec![
        Step::safe(Stage::Prepare, "a", Lock::None, "a"),
        Step::safe(Stage::Switch, "b", Lock::None, "b"),
    ];
    let outcome = |stand| Outcome::Running { schema: schema(), steps: steps.clone(), stand };
    let after = ready_then(outcome(Stand { step: 1, rows: 10, locked_out: false }), Some("sha256:1"));
    assert_eq!((after.phase, after.spec_hash.as_deref()), (Some(Phase::Provisioning), Some("sha256:1")));
    assert_eq!(after.pending_operations[0].reason, "running: 10 rows so far");
    let (_, reason, message) = message_of(&after, condition::READY);
    assert_eq!(
        (reason.as_str(), message.as_str()),
        ("Applying", "the table serves its old shape meanwhile; step 1 of 2 (a) is running")
    );
    let after = ready_then(outcome(Stand { step: 2, rows: 0, locked_out: true }), None);
    assert_eq!(message_of(&after, condition::READY).1, "WaitingForLock");
}

#[test]
fn what_hands_changed_is_drift_until_it_is_repaired_and_what_is_foreign_stays_drift() {
    let foreign = Foreign { steps: vec!["drop index i".into()], hash: "sha256:fix".into() };
    let after = ready_then(Outcome::Ready { schema: schema(), foreign }, Some("sha256:1"));
    let (holds, reason, message) = message_of(&after, condition::DRIFTED);
    assert_eq!(
        (holds, reason.as_str(), after.phase),
        (ConditionStatus::True, "ForeignObjects", Some(Phase::Ready))
    );
    assert!(
        message.contains("drop index i") && message.contains("velocity.sh/fix-drift=sha256:fix"),
        "{message}"
    );

    let mut repaired = reached(ready(), Some("sha256:1"));
    repaired.facts.push(Fact::Repaired(vec!["create policy p".into()]));
    let mended = status(&basis(&after, "t3", 2), &repaired);
    assert_eq!(
        message_of(&mended, condition::DRIFTED),
        (ConditionStatus::False, "DriftRepaired".into(), "repaired at t3: create policy p".into())
    );
    let later = status(&basis(&mended, "t4", 2), &reached(ready(), Some("sha256:1")));
    assert_eq!(later, mended, "that it is still repaired is no news");

    let mut stuck = change(Missing::Approval, None);
    stuck.drift = true;
    let after = ready_then(Outcome::Blocked { schema: schema(), change: stuck }, Some("sha256:1"));
    assert_eq!(message_of(&after, condition::DRIFTED).1, "RepairBlocked");
}

#[test]
fn a_deletion_that_waits_shows_its_plan() {
    let before = ready_then(ready(), Some("sha256:1"));
    let waits = deletion_blocked(&basis(&before, "t3", 3), &change(Missing::Approval, None));
    assert_eq!((waits.phase, waits.plan_hash.as_deref()), (Some(Phase::Terminating), Some("sha256:plan")));
    assert_eq!(message_of(&waits, condition::MIGRATION_BLOCKED).1, "ApprovalNeeded");
    assert_eq!(message_of(&waits, condition::READY).1, "DeletionBlocked");
    let other = terminating(&basis(&waits, "t4", 3), reason::UNKNOWN_DELETION_POLICY, "neither");
    assert!(other.pending_operations.is_empty() && other.plan_hash.is_none());
}

#[test]
fn every_outcome_has_its_phase_and_reason() {
    let mut violations = Violations::default();
    violations.push("spec.fields[0].type", "type", "is wrong");
    violations.push("spec.org", "name", "is wrong too");
    let waiting = vec![Waiting { field: "supplier".into(), target: "a__b__c.supplier_v1".into() }];
    for (outcome, phase, reason, message) in [
        (
            Outcome::Invalid(violations),
            Phase::Failed,
            "InvalidSpec",
            "spec.fields[0].type: is wrong; spec.org: is wrong too",
        ),
        (Outcome::Claimed("taken".into()), Phase::Failed, "AlreadyClaimed", "taken"),
        (
            Outcome::Waiting { schema: schema(), waiting },
            Phase::Provisioning,
            "WaitingForReference",
            "waiting for what references point to: supplier points to a__b__c.supplier_v1; apply its SchemaDefinition, or set `enforce: false`",
        ),
        (
            Outcome::Failed { schema: schema(), reason: "refused".into() },
            Phase::Failed,
            "StatementFailed",
            "refused",
        ),
    ] {
        let after = ready_then(outcome, None);
        let ready = find_condition(&after.conditions, condition::READY).unwrap();
        assert_eq!(
            (after.phase, ready.reason.as_str(), ready.message.as_str()),
            (Some(phase), reason, message)
        );
        assert_eq!(ready.status, ConditionStatus::False);
        assert_eq!(after.observed_generation, Some(2));
    }
}

#[test]
fn while_the_database_is_away_what_is_known_stays() {
    let before = ready_then(blocked(), Some("sha256:1"));
    let away = held_up(&basis(&before, "t3", 9), reason::DATABASE_UNAVAILABLE, "gone");
    assert_eq!(
        (away.phase, &away.spec_hash, &away.plan_hash),
        (Some(Phase::Blocked), &before.spec_hash, &before.plan_hash)
    );
    assert_eq!(away.observed_generation, before.observed_generation, "the new spec has not been looked at");
    let ready = find_condition(&away.conditions, condition::READY).unwrap();
    assert_eq!(
        (ready.reason.as_str(), ready.message.as_str()),
        ("DatabaseUnavailable", "gone; trying again")
    );
    let again = held_up(&basis(&away, "t4", 9), reason::DATABASE_UNAVAILABLE, "gone");
    assert_eq!(again, away, "a longer outage is no news");
}

#[test]
fn a_message_is_never_longer_than_kubernetes_takes() {
    let mut violations = Violations::default();
    for n in 0..5000 {
        violations.push(format!("spec.fields[{n}]"), "type", "é".repeat(100));
    }
    let after = ready_then(Outcome::Invalid(violations), None);
    assert!(after.conditions.iter().all(|condition| condition.message.chars().count() <= 32_768));
}
