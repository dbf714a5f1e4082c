//! The rules across fields.

use crate::cel::EvaluationError;
use crate::schema::Schema;
use crate::value::Value;
use crate::violation::Violations;

/// Checks every rule of the schema; all that do not hold are reported at once.
///
/// Both records have a value for every field of the schema, in order. A rule that looks at the old record holds for
/// updates only. A rule that gives no answer (an error, or more work than its budget) does not hold.
pub fn check_rules(schema: &Schema, record: &[Value], old: Option<&[Value]>) -> Result<(), Violations> {
    let mut errors = Violations::default();
    for rule in schema.rules() {
        if old.is_none() && rule.program.uses_old() {
            continue;
        }
        let path = rule.field.as_ref().map_or("", |field| field.as_str());
        match rule.program.evaluate(record, old) {
            Ok(true) => {}
            Ok(false) => errors.push(path, "rule", rule.message.as_str()),
            Err(why) => errors.push(path, "rule", format!("{} ({})", rule.message, unanswered(&why))),
        }
    }
    errors.into_result(())
}

/// Without the evaluator's words: they may carry values.
fn unanswered(why: &EvaluationError) -> &'static str {
    match why {
        EvaluationError::BudgetExceeded => "the rule took too long on this record and was stopped",
        EvaluationError::Failed(_) => "the rule could not be evaluated on this record",
    }
}
