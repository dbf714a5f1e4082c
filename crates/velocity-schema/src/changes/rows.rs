//! Which records a role reads before and after, as conditions: for whoever counts them.

use crate::cel::{Condition, Filter};
use crate::schema::{Access, Operation, Schema};

/// A role that reads other records than before.
#[derive(Debug, Clone)]
pub struct RoleRows {
    /// The role.
    pub role: String,
    /// What somebody read before who holds this role alone; `None`: nothing. In terms of the earlier schema's fields.
    pub before: Option<RowsSeen>,
    /// What somebody reads now who holds this role alone; `None`: nothing. In terms of the new schema's fields.
    pub after: Option<RowsSeen>,
}

/// The records that pass any of `any` (all records, where it is empty), every one of `all` and every one of
/// `conditions`.
#[derive(Debug, Clone, Default)]
pub struct RowsSeen {
    /// The row filters of the role.
    pub any: Vec<Filter>,
    /// The row filters of everyone.
    pub all: Vec<Filter>,
    /// The conditions on reads that use the record.
    pub conditions: Vec<Condition>,
}

impl RowsSeen {
    fn of(access: &Access, role: &str) -> Option<Self> {
        let filters = |whose: &str| -> Vec<Filter> {
            let mut found: Vec<Filter> = access
                .row_filters()
                .iter()
                .filter(|f| f.role == whose)
                .map(|f| f.condition.clone())
                .collect();
            found.sort_by(|one, other| one.source().cmp(other.source()));
            found.dedup_by(|one, other| one.source() == other.source());
            found
        };
        let conditions = access.abac_for(Operation::Read).map(|rule| &rule.condition);
        let mut conditions: Vec<Condition> = conditions.filter(|one| one.uses_record()).cloned().collect();
        conditions.sort_by(|one, other| one.source().cmp(other.source()));
        access.roles(Operation::Read).contains(role).then(|| Self {
            any: filters(role),
            all: filters("*"),
            conditions,
        })
    }

    /// Whether it depends on who asks, and from where or when: then there is no one number of records.
    pub fn depends_on_caller(&self) -> bool {
        self.any.iter().chain(&self.all).any(Filter::uses_actor)
            || self.conditions.iter().any(|one| one.uses_actor() || one.uses_request())
    }

    pub(super) fn sources(&self) -> [Vec<&str>; 3] {
        [
            self.any.iter().map(Filter::source).collect(),
            self.all.iter().map(Filter::source).collect(),
            self.conditions.iter().map(Condition::source).collect(),
        ]
    }
}

/// Every role that reads other records than before, by name. Without an earlier schema, every role that reads any.
pub fn role_rows(old: Option<&Schema>, new: &Schema) -> Vec<RoleRows> {
    let nobody = Access::default();
    let before = old.map_or(&nobody, Schema::access);
    let roles = before.roles(Operation::Read).union(new.access().roles(Operation::Read));
    let mut found = Vec::new();
    for role in roles {
        let (was, is) = (RowsSeen::of(before, role), RowsSeen::of(new.access(), role));
        if was.as_ref().map(RowsSeen::sources) != is.as_ref().map(RowsSeen::sources) {
            found.push(RoleRows { role: role.clone(), before: was, after: is });
        }
    }
    found
}
