//! Decisions on writes that depend on the record that is written.

use velocity_schema::Value;

use super::error::RecordError;

/// What a write does to one record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// It is new.
    Create,
    /// It changes.
    Update,
    /// It is deleted.
    Delete,
    /// It was deleted, and comes back.
    Undelete,
}

/// Decides on writes by the records that they touch.
///
/// The decision is made on the very version that is changed: where another write comes first, it is made again.
pub trait Guard: Send + Sync {
    /// Whether [`Self::check`] has to be asked for `act`. Where it need not be, a write is one statement.
    fn looks_at(&self, act: Act) -> bool;

    /// Decides. `before` is the record as it is, with a value for every field of the schema, in order; there is none for a
    /// create. `after` is what it would become, without what the database fills in; there is none for a deletion and its
    /// reverse.
    fn check(&self, act: Act, before: Option<&[Value]>, after: Option<&[Value]>) -> Result<(), RecordError>;
}

/// A guard that lets everything pass.
#[derive(Debug, Clone, Copy)]
pub struct Unguarded;

impl Guard for Unguarded {
    fn looks_at(&self, _: Act) -> bool {
        false
    }

    fn check(&self, _: Act, _: Option<&[Value]>, _: Option<&[Value]>) -> Result<(), RecordError> {
        Ok(())
    }
}
