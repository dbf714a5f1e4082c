//! What the transaction's settings say about the actor.
//!
//! A setting that was never set is null, one that was set in an earlier transaction is empty; both mean nobody, and for
//! nobody everything about the actor is null.

use velocity_schema::cel::ir::Op;

use crate::fragment::Fragment;

/// The setting, for the inside of a `(select …)`.
pub(super) fn setting(op: &Op) -> Fragment {
    Fragment::sql(match op {
        Op::ActorId => "nullif(current_setting('velocity.actor', true), '')",
        Op::ActorType => "nullif(current_setting('velocity.actor_type', true), '')",
        // Empty is nobody's list of roles, or the list of somebody who has none.
        Op::ActorRoles => {
            "case when current_setting('velocity.actor', true) <> '' \
             then coalesce(string_to_array(current_setting('velocity.roles', true), ','), '{}'::text[]) end"
        }
        _ => "nullif(current_setting('velocity.attributes', true), '')::jsonb",
    })
}

/// A text as a UUID; null where it is none, so that the cast never fails.
pub(super) fn uuid(text: Fragment) -> Fragment {
    Fragment::sql("substring(")
        + text
        + Fragment::sql(
            " from '^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$')::uuid",
        )
}
