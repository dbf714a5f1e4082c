//! Who gains and who loses what.

use std::collections::BTreeSet;

use super::rights;
use crate::schema::{Access, Operation, Schema};

/// A role whose rights on one operation, or on one field, are different.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessChange {
    /// The role; `*` stands for everyone.
    pub role: String,
    /// The operation. Where it is about a field, `read` stands for all that show records, `create` and `update` for what
    /// sets the field.
    pub operation: Operation,
    /// The field, where it is about one.
    pub field: Option<String>,
    /// In words: `gains`, `loses`, `row filter added`, `row filter removed`, `row filter changed`; of a field: `gains read
    /// of field`, `loses read of field`, `sees masked`, `gains write of field`, `loses write of field`; of conditions on
    /// requests, which are everyone's: `condition added`, `condition removed`, `condition changed`.
    pub change: &'static str,
    /// What held before: the condition on the records or on the request, or what was seen of the field (`in clear`,
    /// `nothing`, `masked by …`).
    pub before: Option<String>,
    /// What holds now, likewise.
    pub after: Option<String>,
}

/// Every role and operation whose rights are different. Without an earlier schema every right is gained.
pub fn access_changes(old: Option<&Schema>, new: &Schema) -> Vec<AccessChange> {
    let nobody = Access::default();
    let before = old.map_or(&nobody, Schema::access);
    let after = new.access();
    let mut roles: BTreeSet<&str> = before.all_roles();
    roles.extend(after.all_roles());
    let filters_for_all =
        [before, after].iter().any(|access| access.row_filters().iter().any(|f| f.role == "*"));
    if filters_for_all {
        roles.insert("*");
    }
    let mut found = Vec::new();
    for role in roles {
        let (was, is) = (filter(before, role), filter(after, role));
        for operation in Operation::ALL {
            let change = match (may(before, role, operation), may(after, role, operation)) {
                (false, true) if role == "*" && is.is_some() => "row filter added",
                (true, false) if role == "*" && was.is_some() => "row filter removed",
                (false, true) if role != "*" => "gains",
                (true, false) if role != "*" => "loses",
                (true, true) if was == is => continue,
                (true, true) => match (&was, &is) {
                    (None, _) => "row filter added",
                    (_, None) => "row filter removed",
                    _ => "row filter changed",
                },
                _ => continue,
            };
            let (before, after) = (was.clone(), is.clone());
            found.push(AccessChange { role: role.to_owned(), operation, field: None, change, before, after });
        }
    }
    rights::conditions(before, after, &mut found);
    rights::fields(old, new, &mut found);
    found
}

/// Whether the role may do it; everyone may what anyone may, as far as filters for everyone go.
fn may(access: &Access, role: &str, operation: Operation) -> bool {
    let roles = access.roles(operation);
    if role == "*" { !roles.is_empty() } else { roles.contains(role) }
}

/// What the role's filters come to: they are joined by *or*, those for everyone by *and*.
fn filter(access: &Access, role: &str) -> Option<String> {
    let mut own: Vec<&str> = access
        .row_filters()
        .iter()
        .filter(|filter| filter.role == role)
        .map(|filter| filter.condition.source())
        .collect();
    own.sort_unstable();
    own.dedup();
    match own[..] {
        [] => None,
        [only] => Some(only.to_owned()),
        _ => {
            let all: Vec<String> = own.iter().map(|condition| format!("({condition})")).collect();
            Some(all.join(if role == "*" { " && " } else { " || " }))
        }
    }
}
