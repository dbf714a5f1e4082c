//! Plans without a database: against the catalog as it would be for the earlier spec. Pure but for the month.

use velocity_contract::plan::{Operation, SchemaPlan};
use velocity_contract::status::OperationClass;
use velocity_schema::Schema;
use velocity_schema::changes::{access_changes, changes};
use velocity_sql::ddl::{self, Class, Live, Otherwise, Step, Trigrams};

/// What `new` would change, given the schemas that were there before.
pub(super) fn plan(old: &[Schema], new: &Schema) -> SchemaPlan {
    let before = old.iter().find(|old| old.path() == new.path());
    let month = this_month();
    let live = match before {
        Some(before) => ddl::provisioned(before, month),
        // Nothing but the server itself, as `velocityd` sets it up.
        None => Live { trigrams: Trigrams::Available, ..Live::default() },
    };
    let plan = ddl::plan(new, &ddl::with_targets_of(live, new), month);
    let plan_hash = plan.hash();
    let mut steps: Vec<Step> = plan.steps.into_iter().filter(|step| !step.upkeep).collect();
    steps.sort_by_key(|step| step.stage);
    SchemaPlan {
        path: new.path().to_string(),
        spec_hash: new.hash().to_string(),
        provisioned: before.map(|before| before.hash().to_string()),
        changes: changes(before, new).into_iter().map(Into::into).collect(),
        operations: steps.into_iter().map(operation).collect(),
        access: access_changes(before, new).into_iter().map(Into::into).collect(),
        waiting: Vec::new(),
        plan_hash,
        estimated_rows: None,
        again: plan.again,
    }
}

fn operation(step: Step) -> Operation {
    let class = match step.class {
        Class::Safe => OperationClass::Safe,
        Class::NeedsData => OperationClass::NeedsData,
        Class::Breaking => OperationClass::Breaking,
    };
    let condition = condition(&step);
    let reason = match (step.reason, condition) {
        (Some(reason), Some(condition)) => Some(format!("{reason}; {condition}")),
        (reason, condition) => reason.or(condition),
    };
    Operation {
        summary: step.summary,
        class,
        lock: step.lock.as_str().to_owned(),
        sql: step.sql,
        reason,
        refused: step.refused,
        violations: None,
        estimated_rows: None,
        estimated_seconds: None,
    }
}

/// What the data has to be like, which nobody looked at here.
fn condition(step: &Step) -> Option<String> {
    let check = step.check.as_ref()?;
    let complaint = &check.complaint;
    Some(match check.otherwise {
        Otherwise::Block => format!("blocked while records {complaint}: {}", check.way_out),
        Otherwise::Breaking => format!("breaking where records {complaint}: {}", check.way_out),
        Otherwise::Skip => format!("left out while records {complaint}"),
    })
}

fn this_month() -> (i32, u32) {
    let date = jiff::tz::Offset::UTC.to_datetime(jiff::Timestamp::now()).date();
    (i32::from(date.year()), u32::from(date.month().unsigned_abs()))
}
