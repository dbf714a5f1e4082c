//! Row-level security: who sees and writes which rows, decided by Postgres itself.

use std::collections::BTreeSet;

use velocity_schema::schema::{Operation, SYSTEM_ROLE_ADMIN};
use velocity_schema::{FieldType, Schema, Value};

use crate::condition;
use crate::frag;
use crate::fragment::Fragment;
use crate::ident::Ident;
use crate::names::TableNames;
use crate::sql_type::SqlType;

/// A policy that a schema needs.
pub(super) struct Policy {
    pub(super) name: &'static str,
    pub(super) on_history: bool,
    /// `for select to "role" using (…)`.
    pub(super) tail: String,
}

/// The policies of both tables.
pub(super) fn policies(schema: &Schema, names: &TableNames) -> Vec<Policy> {
    let every: BTreeSet<&str> = schema.access().all_roles();
    let of = |operations: &[Operation]| -> BTreeSet<&str> {
        operations
            .iter()
            .flat_map(|operation| schema.access().roles(*operation))
            .map(String::as_str)
            .collect()
    };
    let create = of(&[Operation::Create]);
    let change = of(&[Operation::Update, Operation::Delete, Operation::Restore]);
    let to = |command: &'static str| frag!["for ", command, " to ", names.role(), " "];
    let table = |name, tail: Fragment| Policy { name, on_history: false, tail: tail.inline() };
    vec![
        table("velocity_select", frag![to("select"), "using (", visible(schema, &every), ")"]),
        table("velocity_insert", frag![to("insert"), "with check (", visible(schema, &create), ")"]),
        table(
            "velocity_update",
            frag![
                to("update"),
                "using (",
                visible(schema, &change),
                ") with check (",
                visible(schema, &change),
                ")"
            ],
        ),
        Policy {
            name: "velocity_select",
            on_history: true,
            tail: frag![to("select"), "using (", history_visible(schema, names), ")"].inline(),
        },
    ]
}

/// The roles of the transaction, read once per statement (an InitPlan), never null.
fn held_roles() -> &'static str {
    "string_to_array(coalesce(current_setting('velocity.roles', true), ''), ',')"
}

fn holds_any(roles: &BTreeSet<&str>) -> Fragment {
    let list = Value::Array(roles.iter().map(|role| Value::String((*role).to_owned())).collect());
    frag!["(select ", held_roles(), " && ", Fragment::bind(SqlType::TextArray, list), ")"]
}

/// Someone is there, and is the administrator, or holds one of `roles` and passes its filters.
fn visible(schema: &Schema, roles: &BTreeSet<&str>) -> Fragment {
    let filters = schema.access().row_filters();
    let column = |name: &velocity_schema::FieldName| Fragment::ident(&Ident::from(name));
    let unfiltered: BTreeSet<&str> =
        roles.iter().copied().filter(|role| filters.iter().all(|filter| filter.role != *role)).collect();
    let mut alternatives = Vec::new();
    if !unfiltered.is_empty() {
        alternatives.push(holds_any(&unfiltered));
    }
    for filter in filters.iter().filter(|filter| roles.contains(filter.role.as_str())) {
        let role = BTreeSet::from([filter.role.as_str()]);
        let condition = condition::to_sql(&filter.condition, &column).parenthesised();
        alternatives.push(frag!["(", holds_any(&role), " and ", condition, ")"]);
    }
    let own = if alternatives.is_empty() {
        Fragment::sql("false")
    } else {
        Fragment::join(alternatives, " or ").parenthesised()
    };
    let everyone = filters
        .iter()
        .filter(|filter| filter.role == "*")
        .map(|filter| condition::to_sql(&filter.condition, &column).parenthesised());
    let passes = Fragment::join(std::iter::once(own).chain(everyone), " and ");
    let admin = holds_any(&BTreeSet::from([SYSTEM_ROLE_ADMIN]));
    frag![
        "(select nullif(current_setting('velocity.actor', true), '') is not null) and (",
        admin,
        " or (",
        passes,
        "))"
    ]
}

/// An event is seen by whoever sees its record; the main table's own policies decide that.
fn history_visible(schema: &Schema, names: &TableNames) -> Fragment {
    let cast = match schema.id().kind {
        FieldType::Uuid => "::uuid",
        FieldType::Integer { .. } => "::bigint",
        _ => "",
    };
    // Named in full: a field may be called `record_id` too, and would be the nearer one.
    let id = Fragment::column(&names.history, &Ident::fixed("record_id"));
    frag!["exists (select from ", names.table_sql(), " r where r.\"id\" = ", id, cast, ")"]
}
