//! The records that a role sees, as a condition of its own: for telling what a change of rights does before it is made.
//! What really decides are the table's policies (`ddl::policies`) and each request's conditions, which this repeats for one
//! role.

use velocity_schema::FieldName;
use velocity_schema::cel::{ActorView, RequestView};
use velocity_schema::changes::RowsSeen;

use crate::condition;
use crate::fragment::Fragment;

/// The condition that holds for the records which are seen. `columns` gives a field's column. Conditions of requests that ask
/// who it is, from where or when, get an answer that means nothing: leave those out before.
pub fn rows_of_role(seen: &RowsSeen, columns: &dyn Fn(&FieldName) -> Fragment) -> Fragment {
    let filter = |filter| condition::to_sql(filter, columns).parenthesised();
    let mut terms: Vec<Fragment> = seen.all.iter().map(filter).collect();
    if !seen.any.is_empty() {
        terms.push(Fragment::join(seen.any.iter().map(filter), " or ").parenthesised());
    }
    let nobody = ActorView { id: "", actor_type: "", roles: &[], attributes: "{}" };
    let request = RequestView { time: 0, operation: "read", ip: None };
    let condition = |one| condition::condition_to_sql(one, columns, nobody, request).parenthesised();
    terms.extend(seen.conditions.iter().map(condition));
    if terms.is_empty() { Fragment::sql("true") } else { Fragment::join(terms, " and ") }
}
