//! Steps as the contract shows them. Pure.

use std::collections::BTreeMap;

use velocity_contract::plan::{Operation, Violations};
use velocity_contract::status::OperationClass;
use velocity_sql::ddl::{Approval, Class, Decision, Finding, Plan, Step};

use super::estimate::Size;

/// What a pending step says that has nothing to say.
const NOTHING_TO_SAY: &str = "waits for the rest of the change";

/// What was found out about the rows.
#[derive(Debug, Default)]
pub(super) struct Looked {
    /// The rows that were found, by position of the step in the plan.
    pub(super) findings: BTreeMap<usize, Finding>,
    /// Why nothing could be found out.
    pub(super) unknown: BTreeMap<usize, String>,
}

/// The operations of a plan in the order in which they are done, without upkeep, which is no change.
pub(super) fn of_plan(plan: &Plan, looked: &Looked, size: Size) -> Vec<Operation> {
    let by_sql = |index: &usize| plan.steps.get(*index).map(|step| step.sql.as_str());
    let found: BTreeMap<&str, &Finding> = looked
        .findings
        .iter()
        .filter(|(_, finding)| finding.count > 0)
        .filter_map(|(index, finding)| Some((by_sql(index)?, finding)))
        .collect();
    let unknown: BTreeMap<&str, &String> =
        looked.unknown.iter().filter_map(|(index, why)| Some((by_sql(index)?, why))).collect();
    let mut steps = match plan.clone().decide(&looked.findings, &Approval::default()) {
        Decision::Apply(plan) => plan.steps,
        Decision::Blocked { pending, .. } => pending,
    };
    steps.retain(|step| !step.upkeep);
    steps.sort_by_key(|step| step.stage);
    let mut operations = Vec::with_capacity(steps.len());
    for step in &steps {
        let mut operation = of_step(step, size);
        operation.violations = found
            .get(step.sql.as_str())
            .map(|finding| Violations { count: finding.count, samples: finding.samples.clone() });
        if let Some(why) = unknown.get(step.sql.as_str()) {
            let told = operation.reason.take().map_or_else(String::new, |reason| format!("{reason}; "));
            operation.reason = Some(format!("{told}whether the records fit is not known: {why}"));
        }
        operations.push(operation);
    }
    operations
}

/// One step.
pub(super) fn of_step(step: &Step, size: Size) -> Operation {
    let cost = size.cost(step);
    Operation {
        summary: step.summary.clone(),
        class: match step.class {
            Class::Safe => OperationClass::Safe,
            Class::NeedsData => OperationClass::NeedsData,
            Class::Breaking => OperationClass::Breaking,
        },
        lock: step.lock.as_str().to_owned(),
        sql: step.sql.clone(),
        reason: step.reason.clone().filter(|reason| reason != NOTHING_TO_SAY),
        refused: step.refused,
        violations: None,
        estimated_rows: Some(cost.rows),
        estimated_seconds: Some(cost.seconds),
    }
}

#[cfg(test)]
mod tests {
    use velocity_sql::ddl::{Check, Lock, Otherwise, Stage};

    use super::*;

    fn plan() -> Plan {
        let check = Check {
            from: "from t r".into(),
            complaint: "have no value for gate".into(),
            way_out: "give them one".into(),
            otherwise: Otherwise::Block,
        };
        let steps = vec![
            Step::safe(Stage::Switch, "create partition", Lock::None, "a").upkeep(),
            Step::safe(Stage::Switch, "publish", Lock::None, "b"),
            Step::safe(Stage::Prepare, "require gate", Lock::None, "c").needs(check),
        ];
        Plan { steps, ..Plan::default() }
    }

    fn summaries(operations: &[Operation]) -> Vec<&str> {
        operations.iter().map(|operation| operation.summary.as_str()).collect()
    }

    #[test]
    fn they_come_in_the_order_of_their_stages_without_upkeep() {
        let operations = of_plan(&plan(), &Looked::default(), Size::default());
        assert_eq!(summaries(&operations), ["require gate", "publish"]);
        assert!(operations.iter().all(|operation| operation.reason.is_none()), "{operations:?}");
    }

    #[test]
    fn rows_that_do_not_fit_are_told_with_the_step_that_they_block_and_only_there() {
        let finding = Finding { count: 2, samples: vec!["x".into()] };
        let looked = Looked { findings: [(2, finding)].into(), ..Looked::default() };
        let operations = of_plan(&plan(), &looked, Size::default());
        assert_eq!(operations[0].violations, Some(Violations { count: 2, samples: vec!["x".into()] }));
        assert!(operations[0].reason.as_ref().unwrap().contains("2 records have no value for gate"));
        assert_eq!((&operations[1].violations, &operations[1].reason), (&None, &None));
    }

    #[test]
    fn rows_that_could_not_be_looked_at_are_not_said_to_fit() {
        let looked = Looked { unknown: [(2, "too many".to_owned())].into(), ..Looked::default() };
        let operations = of_plan(&plan(), &looked, Size::default());
        assert!(operations[0].reason.as_ref().unwrap().contains("not known: too many"), "{operations:?}");
    }
}
