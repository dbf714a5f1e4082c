//! What a caller may read of a schema's records.

use std::fmt;
use std::sync::LazyLock;

use velocity_schema::cel::{ActorView, Condition, RequestView};
use velocity_schema::schema::View;
use velocity_schema::{FieldName, Schema};

use super::error::{PlanCode, PlanError};
use crate::condition::condition_to_sql;
use crate::frag;
use crate::fragment::Fragment;

static WHOLE: LazyLock<View> = LazyLock::new(View::whole);

/// What a caller may read, as a plan needs it. Which rows a role sees is Postgres' business and no part of it.
#[derive(Clone, Copy)]
pub struct Reading<'a> {
    /// What the caller sees of each field.
    pub view: &'a View,
    /// Conditions of `access.abac` that use the record: what they are not true for is not there.
    pub conditions: &'a [&'a Condition],
    /// Who asks, with every role that the caller holds, whatever it allows here: conditions may ask about them.
    pub actor: ActorView<'a>,
    /// The request, which they may ask about too.
    pub request: RequestView<'a>,
}

impl Reading<'_> {
    /// All fields of all records.
    pub fn whole() -> Reading<'static> {
        let request = RequestView { time: 0, operation: "read", ip: None };
        let actor = ActorView { id: "", actor_type: "", roles: &[], attributes: "" };
        Reading { view: &WHOLE, conditions: &[], actor, request }
    }

    /// The conditions as ` and (…) and (…)`; nothing where there are none.
    pub(super) fn guard(&self, columns: &dyn Fn(&FieldName) -> Fragment) -> Fragment {
        let conditions = self.conditions.iter();
        let terms = conditions
            .map(|condition| frag![" and ", condition_to_sql(condition, columns, self.actor, self.request)]);
        Fragment::join(terms, "")
    }
}

impl fmt::Debug for Reading<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reading").field("view", self.view).finish_non_exhaustive()
    }
}

/// The view as a part of a query's digest: a letter for each field. Nothing for the whole view.
pub(super) fn letters(schema: &Schema, view: &View) -> Option<String> {
    use velocity_schema::schema::Sight;
    let letter = |position| match view.sight(position) {
        Sight::Clear => 'c',
        Sight::Masked => 'm',
        Sight::Hidden => 'h',
    };
    (!view.is_whole()).then(|| (0..schema.fields().len()).map(letter).collect())
}

/// The refusal of a field that the caller does not see in clear.
pub(super) fn forbidden(parameter: &str, name: &str) -> PlanError {
    PlanError::new(
        PlanCode::FieldForbidden,
        parameter,
        "fieldAccess",
        format!("none of your roles sees `{name}` in clear; leave it out"),
    )
}
