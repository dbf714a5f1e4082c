//! What hands have changed in the database. Pure.

use velocity_sql::ddl::{Class, How, Plan, Stage, Step};

/// Whether the steps for a spec that is provisioned already say that the table was changed behind our back. What may come
/// after the switch is only left over from an interruption.
pub(crate) fn is_drift(plan: &Plan) -> bool {
    plan.steps.iter().any(|step| !step.upkeep && step.stage != Stage::Finish)
}

/// The steps of a blocked repair that are made all the same: guards (policies, grants, triggers) do not wait for what people
/// have to say about columns.
pub(crate) fn at_once(pending: &[Step]) -> Vec<Step> {
    let alone = |step: &&Step| {
        step.class == Class::Safe
            && step.stage == Stage::Switch
            && step.how == How::Transaction
            && step.check.is_none()
            && !step.refused
    };
    pending.iter().filter(alone).cloned().collect()
}

#[cfg(test)]
mod tests {
    use velocity_sql::ddl::Lock;

    use super::*;

    fn step(stage: Stage, summary: &str) -> Step {
        Step::safe(stage, summary, Lock::None, "select 1")
    }

    fn plan(steps: Vec<Step>) -> Plan {
        Plan { steps, ..Plan::default() }
    }

    #[test]
    fn upkeep_and_what_is_left_after_a_switch_are_no_drift() {
        assert!(!is_drift(&plan(vec![])));
        assert!(!is_drift(&plan(vec![
            step(Stage::Switch, "create partition").upkeep(),
            step(Stage::Finish, "validate")
        ])));
        assert!(is_drift(&plan(vec![step(Stage::Switch, "create policy")])));
    }

    #[test]
    fn of_a_blocked_repair_the_guards_are_repaired_at_once() {
        let pending = [
            step(Stage::Prepare, "add column"),
            step(Stage::Switch, "drop column").breaking("data is lost"),
            step(Stage::Switch, "create policy"),
        ];
        let repaired = at_once(&pending);
        assert_eq!(repaired.iter().map(|step| step.summary.as_str()).collect::<Vec<_>>(), ["create policy"]);
    }
}
