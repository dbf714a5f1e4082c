//! What hands have changed in the database: the body of `GET /platform/drift`.

use serde::{Deserialize, Serialize};

use crate::plan::Operation;

/// The difference between a provisioned spec and the live table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SchemaDrift {
    /// `org/app/domain/object/version`.
    pub path: String,
    /// The table in Postgres: `schema.table`.
    pub table: String,
    /// The hash of the spec that is provisioned.
    pub spec_hash: String,
    /// What would bring back what is ours and is missing or changed. The operator does the safe ones by itself.
    pub operations: Vec<Operation>,
    /// What would remove what neither the platform made nor the spec names. Done only when asked for.
    pub foreign: Vec<Operation>,
    /// The hash of all of it, which `velocity.sh/fix-drift` names.
    pub plan_hash: String,
}

impl SchemaDrift {
    /// Whether there is nothing to tell.
    pub fn is_none(&self) -> bool {
        self.operations.is_empty() && self.foreign.is_empty()
    }

    /// Everything that a repair does.
    pub fn all(&self) -> impl Iterator<Item = &Operation> {
        self.operations.iter().chain(&self.foreign)
    }
}
