//! Who may do what with a schema's records.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use super::rights::FieldRule;
use crate::cel::{Condition, Filter};
use crate::spec::RolesSpec;

/// The role that may do everything everywhere.
pub const SYSTEM_ROLE_ADMIN: &str = "platform-admin";

/// What can be done with records, as `access.roles` names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Operation {
    /// Create records.
    Create,
    /// Read and list records.
    Read,
    /// Change records.
    Update,
    /// Delete records.
    Delete,
    /// Undelete records and restore earlier states.
    Restore,
    /// Read what records were.
    History,
    /// Take records out in bulk.
    Export,
}

impl Operation {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Create, Self::Read, Self::Update, Self::Delete, Self::Restore, Self::History, Self::Export];

    /// The word in `access.roles`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Read => "read",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::Restore => "restore",
            Self::History => "history",
            Self::Export => "export",
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Operation {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|operation| operation.as_str() == text).ok_or_else(|| {
            let words = Self::ALL.map(Self::as_str);
            let near = crate::violation::did_you_mean(text, words);
            format!("`{text}` is not an operation{near}; there are {}", words.join(", "))
        })
    }
}

/// The access block of a schema.
#[derive(Debug, Clone, Default)]
pub struct Access {
    pub(super) roles: [BTreeSet<String>; 7],
    pub(super) row_filters: Vec<RowFilter>,
    pub(super) abac: Vec<AbacRule>,
    /// By the field's position, ascending.
    pub(super) field_rules: Vec<(usize, FieldRule)>,
}

impl Access {
    /// The roles that may do `operation`, besides `platform-admin`.
    pub fn roles(&self, operation: Operation) -> &BTreeSet<String> {
        &self.roles[operation as usize]
    }

    /// Every role that may do anything here.
    pub fn all_roles(&self) -> BTreeSet<&str> {
        self.roles.iter().flatten().map(String::as_str).collect()
    }

    /// The row filters, in the order of the schema.
    pub fn row_filters(&self) -> &[RowFilter] {
        &self.row_filters
    }

    /// The conditions on requests, in the order of the schema. All that list an operation must be true for it.
    pub fn abac(&self) -> &[AbacRule] {
        &self.abac
    }

    /// The conditions on requests that list the operation.
    pub fn abac_for(&self, operation: Operation) -> impl Iterator<Item = &AbacRule> {
        self.abac.iter().filter(move |rule| rule.operations.contains(&operation))
    }

    /// The rule of the field at that position in [`super::Schema::fields`]; without one the field is open.
    pub fn field_rule(&self, position: usize) -> Option<&FieldRule> {
        let index = self.field_rules.binary_search_by_key(&position, |(at, _)| *at).ok()?;
        self.field_rules.get(index).map(|(_, rule)| rule)
    }

    /// Every field with a rule: its position and the rule, in the order of the fields.
    pub fn field_rules(&self) -> impl Iterator<Item = (usize, &FieldRule)> {
        self.field_rules.iter().map(|(position, rule)| (*position, rule))
    }

    /// Whether any field has a rule.
    pub fn has_field_rules(&self) -> bool {
        !self.field_rules.is_empty()
    }

    pub(super) fn roles_from(spec: &RolesSpec) -> [BTreeSet<String>; 7] {
        Operation::ALL.map(|operation| roles_of(spec, operation).iter().cloned().collect())
    }
}

pub(super) fn roles_of(spec: &RolesSpec, operation: Operation) -> &[String] {
    match operation {
        Operation::Create => &spec.create,
        Operation::Read => &spec.read,
        Operation::Update => &spec.update,
        Operation::Delete => &spec.delete,
        Operation::Restore => &spec.restore,
        Operation::History => &spec.history,
        Operation::Export => &spec.export,
    }
}

/// A condition that a request must meet.
#[derive(Debug, Clone)]
pub struct AbacRule {
    /// The operations that it is asked for; at least one.
    pub operations: Vec<Operation>,
    /// The condition over `actor`, `request` and `record`. Where it uses the record and is asked for reads, history or
    /// exports, it has an equal in SQL.
    pub condition: Condition,
    /// What the caller is told when it is not true.
    pub message: Option<String>,
}

/// The records that a role sees.
#[derive(Debug, Clone)]
pub struct RowFilter {
    /// The role; `*` holds for everyone on top.
    pub role: String,
    /// The condition over `record` and `actor`, which compiles to SQL.
    pub condition: Filter,
}
