//! What a caller is told of an error: never the name of a field that they do not see in clear, but for those that they sent
//! themselves.

use velocity_contract::Problem;
use velocity_schema::input::{InputError, sent};
use velocity_schema::schema::View;
use velocity_schema::{Schema, Violation, Violations};
use velocity_store::records::{BulkFailure, RecordError};

use crate::error::record_problem;

/// The error of a body that could not be read.
pub(crate) fn of_input(schema: &Schema, view: &View, body: &[u8], error: InputError) -> InputError {
    let InputError::Invalid(violations) = error else { return error };
    if view.is_whole() {
        return violations.into();
    }
    let sent = sent(schema, body).unwrap_or_default();
    let is_hidden = |position: usize| !view.is_clear(position) && !sent.contains(&position);
    violations.without_fields(schema, &is_hidden).into()
}

/// The error of a record.
pub(crate) fn of_record(schema: &Schema, view: &View, error: RecordError) -> RecordError {
    if view.is_whole() {
        return error;
    }
    // A name that the schema does not know is of the next one, and may be hidden there.
    let is_told = |name: &str| schema.position(name).is_some_and(|position| view.is_clear(position));
    match error {
        // Even the others of a key say that there is a key, and of what kind.
        RecordError::UniqueViolation { fields } if !fields.iter().all(|name| is_told(name)) => {
            RecordError::UniqueViolation { fields: Vec::new() }
        }
        RecordError::ReferenceViolation { field: Some(name) } if !is_told(&name) => {
            RecordError::ReferenceViolation { field: Some(String::new()) }
        }
        RecordError::Immutable { field } if !is_told(&field) => {
            let message = "a field that you may not see stays as it was created";
            RecordError::Validation(Violations(vec![Violation::new("", "immutable", message)]))
        }
        RecordError::Validation(violations) => {
            RecordError::Validation(violations.without_fields(schema, &|position| !view.is_clear(position)))
        }
        RecordError::Bulk { failures } => {
            let told = |failure: BulkFailure| BulkFailure {
                error: of_record(schema, view, failure.error),
                ..failure
            };
            RecordError::Bulk { failures: failures.into_iter().map(told).collect() }
        }
        other => other,
    }
}

/// The problem that an error of one of many records is.
pub(crate) fn problem(schema: &Schema, view: &View, error: &RecordError) -> Problem {
    let again = match error {
        RecordError::UniqueViolation { fields } => RecordError::UniqueViolation { fields: fields.clone() },
        RecordError::ReferenceViolation { field } => RecordError::ReferenceViolation { field: field.clone() },
        RecordError::Immutable { field } => RecordError::Immutable { field: field.clone() },
        RecordError::Validation(violations) => RecordError::Validation(violations.clone()),
        other => return record_problem(other),
    };
    record_problem(&of_record(schema, view, again))
}
