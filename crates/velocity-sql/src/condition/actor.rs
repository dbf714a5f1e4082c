//! What the transaction's settings, or the API, say about the actor.
//!
//! A setting that was never set is null, one that was set in an earlier transaction is empty; both mean nobody, and for
//! nobody everything about the actor is null.

use velocity_schema::Value;
use velocity_schema::cel::ActorView;
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

/// The same of an actor who is known, as a value.
pub(super) fn value(op: &Op, actor: ActorView<'_>) -> Value {
    let text = |text: &str| if text.is_empty() { Value::Null } else { Value::String(text.to_owned()) };
    match op {
        Op::ActorId => text(actor.id),
        Op::ActorType => text(actor.actor_type),
        Op::ActorRoles if actor.id.is_empty() => Value::Null,
        Op::ActorRoles => Value::Array(actor.roles.iter().cloned().map(Value::String).collect()),
        _ if actor.attributes.is_empty() => Value::Null,
        _ => Value::Json(actor.attributes.to_owned()),
    }
}

/// A text as a UUID; null where it is none, so that the cast never fails.
pub(super) fn uuid(text: Fragment) -> Fragment {
    Fragment::sql("substring(")
        + text
        + Fragment::sql(
            " from '^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$')::uuid",
        )
}
