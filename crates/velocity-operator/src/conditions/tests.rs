use serde_json::json;
use velocity_contract::status::find_condition;
use velocity_schema::Violations;

use super::*;

fn schema() -> Box<Schema> {
    let spec = json!({"org": "acme", "app": "shop", "domain": "sales", "object": "order", "version": "v1",
        "fields": [{"name": "title", "type": "string"}]});
    Box::new(Schema::from_json(&spec).unwrap().1)
}

fn basis<'a>(
    previous: &'a SchemaDefinitionStatus,
    now: &'a str,
    generation: i64,
    hash: Option<&str>,
) -> Basis<'a> {
    Basis { previous, generation: Some(generation), now, provisioned: hash.map(str::to_owned) }
}

fn ready_then(next: &Outcome, hash: Option<&str>) -> SchemaDefinitionStatus {
    let none = SchemaDefinitionStatus::default();
    let ready = Outcome::Ready { schema: schema(), applied: Plan::default() };
    let first = status(&basis(&none, "t1", 1, Some("sha256:1")), &ready);
    status(&basis(&first, "t2", 2, hash), next)
}

fn blocked() -> Outcome {
    let step = Step::blocked(
        "drop column x",
        Class::Breaking,
        velocity_sql::ddl::Lock::AccessExclusive,
        "alter …",
        "later",
    );
    Outcome::Blocked { schema: schema(), plan: Plan { blocked: vec![step], ..Plan::default() } }
}

fn time_of<'a>(status: &'a SchemaDefinitionStatus, kind: &str) -> &'a str {
    &find_condition(&status.conditions, kind).unwrap().last_transition_time
}

#[test]
fn what_is_ready_says_where_it_is_and_what_is_provisioned() {
    let none = SchemaDefinitionStatus::default();
    let ready = Outcome::Ready { schema: schema(), applied: Plan::default() };
    let status = status(&basis(&none, "t1", 3, Some("sha256:1")), &ready);
    insta::assert_json_snapshot!(status);
}

#[test]
fn a_condition_keeps_its_time_while_it_stays_and_its_generation_moves_on() {
    let ready = Outcome::Ready { schema: schema(), applied: Plan::default() };
    let same = ready_then(&ready, Some("sha256:2"));
    for condition in &same.conditions {
        assert_eq!(condition.last_transition_time, "t1", "{}", condition.kind);
        assert_eq!(condition.observed_generation, Some(2));
    }
    assert_eq!((same.observed_generation, same.spec_hash.as_deref()), (Some(2), Some("sha256:2")));
    let after = ready_then(&blocked(), Some("sha256:1"));
    assert_eq!(time_of(&after, condition::READY), "t2");
    assert_eq!(time_of(&after, condition::MIGRATION_BLOCKED), "t2");
    assert_eq!(time_of(&after, condition::TABLE_READY), "t1");
}

#[test]
fn a_blocked_change_keeps_the_hash_of_what_is_served_and_says_what_is_pending() {
    let after = ready_then(&blocked(), Some("sha256:1"));
    assert_eq!((after.phase, after.spec_hash.as_deref()), (Some(Phase::Blocked), Some("sha256:1")));
    assert_eq!(after.pending_operations.len(), 1);
    assert_eq!(after.pending_operations[0].class, OperationClass::Breaking);
    assert!(after.plan_hash.as_deref().is_some_and(|hash| hash.starts_with("sha256:")));
    let ready = find_condition(&after.conditions, condition::READY).unwrap();
    assert_eq!(ready.message, "the table keeps serving its old shape; drop column x (breaking): later");
    // And nothing of it stays once it is over.
    let over = status(
        &basis(&after, "t3", 3, Some("sha256:3")),
        &Outcome::Ready { schema: schema(), applied: Plan::default() },
    );
    assert!(over.pending_operations.is_empty() && over.plan_hash.is_none());
    assert_eq!(
        find_condition(&over.conditions, condition::MIGRATION_BLOCKED).unwrap().status,
        ConditionStatus::False
    );
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
            Outcome::Waiting { schema: schema(), waiting, applied: Plan::default() },
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
        let after = ready_then(&outcome, None);
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
    let before = ready_then(&blocked(), Some("sha256:1"));
    let away = held_up(&basis(&before, "t3", 9, None), reason::DATABASE_UNAVAILABLE, "gone");
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
    let again = held_up(&basis(&away, "t4", 9, None), reason::DATABASE_UNAVAILABLE, "gone");
    assert_eq!(again, away, "a longer outage is no news");
}

#[test]
fn a_message_is_never_longer_than_kubernetes_takes() {
    let mut violations = Violations::default();
    for n in 0..5000 {
        violations.push(format!("spec.fields[{n}]"), "type", "é".repeat(100));
    }
    let after = ready_then(&Outcome::Invalid(violations), None);
    assert!(after.conditions.iter().all(|condition| condition.message.chars().count() <= 32_768));
}
