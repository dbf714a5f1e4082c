//! The records that a role sees, as a condition of its own: for telling what a change of rights does before it is made.
//! What really decides are the table's policies (`ddl::policies`), which this repeats for one role.

use velocity_schema::FieldName;
use velocity_schema::schema::{Access, Operation};

use crate::condition;
use crate::fragment::Fragment;

/// The condition that holds for the records which somebody sees who holds `role` and no other; `None` where the role may
/// not read at all. `*` stands for a role that may and has no filter of its own. `columns` gives a field's column.
pub fn rows_of_role(
    access: &Access,
    role: &str,
    columns: &dyn Fn(&FieldName) -> Fragment,
) -> Option<Fragment> {
    let readers = access.roles(Operation::Read);
    let may_read = if role == "*" { !readers.is_empty() } else { readers.contains(role) };
    if !may_read {
        return None;
    }
    let of = |wanted: &str| -> Vec<Fragment> {
        let filters = access.row_filters().iter().filter(|filter| filter.role == wanted);
        filters.map(|filter| condition::to_sql(&filter.condition, columns).parenthesised()).collect()
    };
    let mut terms = of("*");
    let own = if role == "*" { Vec::new() } else { of(role) };
    if !own.is_empty() {
        terms.push(Fragment::join(own, " or ").parenthesised());
    }
    Some(if terms.is_empty() { Fragment::sql("true") } else { Fragment::join(terms, " and ") })
}
