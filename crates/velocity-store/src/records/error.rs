//! What can go wrong with a record, as the API's callers know it.

use std::time::Duration;

use velocity_schema::Violations;

use super::bulk::BulkFailure;
use super::table::Table;
use crate::codec::CodecError;
use crate::wire::{DbError, Place, Ran, RequestError, SqlState, WireError};

/// What a guard refuses a write for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeniedBy {
    /// A condition of the schema's `access.abac`: 403 `ABAC_DENIED`.
    Condition,
    /// The rights on a schema that a field refers to: 403 `CROSS_SCHEMA_ACCESS_DENIED`.
    OtherSchema,
}

/// The outcome of a call that did not succeed; nothing of it remains.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// No record has the id, or the caller's filters hide it: 404 `ENTITY_NOT_FOUND`.
    #[error("no record has this id")]
    NotFound,
    /// The record is at another version than the caller has seen: 409 `VERSION_CONFLICT`.
    #[error("the record is at version {current}")]
    VersionConflict {
        /// The version that it is at.
        current: i64,
    },
    /// Another record, perhaps a deleted one, has the same value: 409 `UNIQUE_VIOLATION`.
    #[error("another record, perhaps a deleted one, has the same value in {}", match &fields[..] {
        [] => "a field that is unique".to_owned(),
        fields => fields.join(", "),
    })]
    UniqueViolation {
        /// The fields that are unique together; none where their names are not to be told.
        fields: Vec<String>,
    },
    /// A reference without a target, or a target that is still referred to: 409 `REFERENCE_VIOLATION`.
    #[error("{}", match field {
        Some(field) if field.is_empty() => "a reference points to a record that does not exist".to_owned(),
        Some(field) => format!("{field} points to a record that does not exist"),
        None => "other records still point to this one".to_owned(),
    })]
    ReferenceViolation {
        /// The field that points nowhere, empty where its name is not to be told; `None` when other records point here.
        field: Option<String>,
    },
    /// A field that stays as created would change: 400 `VALIDATION_ERROR`, rule `immutable`.
    #[error("{field} stays as it was created")]
    Immutable {
        /// The field.
        field: String,
    },
    /// The record, as it would be, is outside of what the caller's row filters allow: 403 `RBAC_DENIED`.
    #[error("the record would be outside of what your row filters allow")]
    RowFilterDenied,
    /// The write's guard refuses it.
    #[error("{message}")]
    Denied {
        /// What for.
        by: DeniedBy,
        /// What the caller is told.
        message: String,
    },
    /// Rules of the schema do not hold: 400 `VALIDATION_ERROR`.
    #[error(transparent)]
    Validation(#[from] Violations),
    /// The idempotency key came with another request before, or with other rights: 422 `IDEMPOTENCY_CONFLICT`.
    #[error("the idempotency key was used for another request, or with other rights")]
    IdempotencyConflict,
    /// Some of many writes failed, which undid them all: each has its own code.
    #[error("{} of the operations failed, which undid them all", failures.len())]
    Bulk {
        /// The first of those that failed, by index ascending; never none.
        failures: Vec<BulkFailure>,
    },
    /// The statement was stopped at its time limit: 504 `QUERY_TIMEOUT`.
    #[error("the statement was stopped at its time limit")]
    Timeout,
    /// Postgres cannot be reached, or all connections are busy: 503 `POSTGRES_UNAVAILABLE`.
    #[error("the database is not available")]
    Unavailable {
        /// When a retry makes sense.
        retry_after: Duration,
        /// Whether a write may have been carried out all the same.
        ran: Ran,
        /// The cause.
        source: Box<WireError>,
    },
    /// The domain is not there: 503 `SCHEMA_NOT_READY`.
    #[error("the schema's table is not provisioned as it should be")]
    NotReady {
        /// The cause.
        source: Box<WireError>,
    },
    /// The table is not, or not any more, as the schema says. Nothing was written: with the schema that is provisioned
    /// by now the call can be made once more. Where there is none, 503 `SCHEMA_NOT_READY`.
    #[error("the schema's table is not as the schema says")]
    ShapeChanged {
        /// The hash of the spec that the table is not as.
        spec_hash: String,
        /// The cause.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The answer is larger than one request may hold in memory: 400, ask for fewer records.
    #[error("the answer is too large; ask for fewer records or fields, or export them")]
    TooLarge,
    /// A fault of ours: 500 `INTERNAL_ERROR`.
    #[error("an internal fault")]
    Internal {
        /// The cause; never shown to callers.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl RecordError {
    pub(super) fn internal(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Internal { source: source.into() }
    }

    pub(super) fn shape_changed(
        table: &Table,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self::ShapeChanged { spec_hash: table.schema().hash().as_str().to_owned(), source: source.into() }
    }

    /// Whether the record itself is at fault, so that another one may go through.
    pub(super) fn is_of_the_record(&self) -> bool {
        matches!(
            self,
            Self::NotFound
                | Self::VersionConflict { .. }
                | Self::UniqueViolation { .. }
                | Self::ReferenceViolation { .. }
                | Self::Immutable { .. }
                | Self::RowFilterDenied
                | Self::Denied { .. }
                | Self::Validation(_)
        )
    }

    /// What the server or the wire said, in the words of records.
    pub(super) fn of(table: &Table, error: WireError) -> Self {
        match &error {
            WireError::Database(db) => match of_database(table, db) {
                Some(known) => known,
                None if is_of_another_shape(db) => Self::shape_changed(table, error),
                None if is_not_ready(db) => Self::NotReady { source: Box::new(error) },
                None if is_conflict_of_transactions(db) => Self::Unavailable {
                    retry_after: Duration::from_secs(1),
                    ran: Ran::No,
                    source: Box::new(error),
                },
                None => Self::internal(error),
            },
            WireError::Unavailable(unavailable) => Self::Unavailable {
                retry_after: unavailable.retry_after,
                ran: unavailable.ran,
                source: Box::new(error),
            },
            WireError::ResultTooLarge { .. } => Self::TooLarge,
            _ => Self::internal(error),
        }
    }
}

impl From<CodecError> for RecordError {
    fn from(error: CodecError) -> Self {
        Self::internal(error)
    }
}

impl From<RequestError> for RecordError {
    fn from(error: RequestError) -> Self {
        Self::internal(error)
    }
}

fn of_database(table: &Table, error: &DbError) -> Option<RecordError> {
    let constraints = table.constraints();
    let named = |name: &Option<String>| name.as_deref().and_then(|name| constraints.fields(name));
    Some(match error.code.as_str() {
        "23505" => {
            // One that the schema does not know is of the next one, which is just being provisioned.
            let unknown = || error.constraint.as_deref().map(|name| constraints.fields_of_unknown(name));
            RecordError::UniqueViolation {
                fields: named(&error.constraint).map(<[String]>::to_vec).or_else(unknown)?,
            }
        }
        "23503" => RecordError::ReferenceViolation {
            field: named(&error.constraint).and_then(|fields| fields.first().cloned()),
        },
        "23502" => violation(error.column.as_deref()?, "required", "must not be null"),
        "23514" => {
            let (field, rule) = constraints.check(error.constraint.as_deref()?)?;
            violation(field, rule, "does not fit the schema")
        }
        "22001" | "22003" => violation("", "range", "a value is out of its field's range"),
        "VL002" => RecordError::Immutable { field: error.column.clone()? },
        "VL003" => RecordError::ReferenceViolation {
            field: named(&error.constraint).and_then(|fields| fields.first().cloned()),
        },
        "VL004" => RecordError::NotFound,
        "42501" if error.routine.as_deref() == Some("ExecWithCheckOptions") => RecordError::RowFilterDenied,
        "57014" | "55P03" => RecordError::Timeout,
        _ => return None,
    })
}

fn violation(field: &str, rule: &'static str, message: &str) -> RecordError {
    let mut violations = Violations::default();
    violations.push(field, rule, message);
    RecordError::Validation(violations)
}

/// The statement makes no sense on the table as it is: its shape function, a column or the table itself is missing, a
/// type is another one, or the rights are. Such an error comes while a statement is planned, before it does anything.
fn is_of_another_shape(error: &DbError) -> bool {
    let is_of_a_statement = matches!(error.place, Place::Statement(_));
    is_of_a_statement
        && match error.code.as_str() {
            // Undefined function or operator, column, table; another type; no type; no right.
            "42883" | "42703" | "42P01" | "42804" | "42846" | "42P18" | "42501" => true,
            // The code is shared by many. The wire has renewed the statement already, which did not help.
            "0A000" => error.routine.as_deref() == Some("RevalidateCachedQuery"),
            // Gone between the parsing of a statement and its planning. These messages are never translated.
            "XX000" => ["cache lookup failed for ", "could not open relation with OID "]
                .iter()
                .any(|message| error.message.starts_with(message)),
            _ => false,
        }
}

/// The schema or the role is missing, or the rights are.
fn is_not_ready(error: &DbError) -> bool {
    matches!(error.code.as_str(), "3F000" | "42704")
        || (error.place == Place::Settings && error.code == SqlState::INSUFFICIENT_PRIVILEGE)
        || (error.place == Place::Settings && error.code == "22023")
}

/// Two transactions were in each other's way, and this one gave in.
pub(super) fn is_conflict_of_transactions(error: &DbError) -> bool {
    matches!(error.code, SqlState::SERIALIZATION_FAILURE | SqlState::DEADLOCK_DETECTED)
}
