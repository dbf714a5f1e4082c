//! The annotations of a SchemaDefinition that the operator reads.

/// Names the plan that may be applied although it breaks something: its hash, as `status.planHash` has it.
pub const APPROVE_BREAKING: &str = "velocity.sh/approve-breaking";
/// What becomes of the data when the resource is deleted: `retain` (also when it is missing) or `delete`.
pub const DELETION_POLICY: &str = "velocity.sh/deletion-policy";
/// Names the plan that removes what neither the platform made nor the schema names: its hash.
pub const FIX_DRIFT: &str = "velocity.sh/fix-drift";
/// Any change of it makes the operator look again at once; by custom the time, RFC 3339.
pub const RECONCILE_AT: &str = "velocity.sh/reconcile-at";
