//! Who may do what with a schema's records.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use crate::cel::Filter;
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

/// The records that a role sees.
#[derive(Debug, Clone)]
pub struct RowFilter {
    /// The role; `*` holds for everyone on top.
    pub role: String,
    /// The condition over `record` and `actor`, which compiles to SQL.
    pub condition: Filter,
}
