//! The validated schema.

mod access;
mod fields;
mod hash;
mod mask;
mod parse;
mod rights;
mod search;
mod unsupported;

use std::collections::HashMap;
use std::fmt;

pub use access::{AbacRule, Access, Operation, RowFilter, SYSTEM_ROLE_ADMIN};
pub use hash::SpecHash;
pub use mask::{FieldMask, Mask, MaskKey, REDACTED, VISIBLE_DEFAULT};
pub use rights::{FieldRule, Sight, View, WriteRights};
pub use search::{Language, Search, Tier};

use crate::field::{Field, Pattern};
use crate::name::{FieldName, SchemaPath};

/// The schema of one object type, free of contradictions. Made only by [`Schema::parse`].
#[derive(Debug, Clone)]
pub struct Schema {
    path: SchemaPath,
    display_name: Option<String>,
    description: Option<String>,
    fields: Vec<Field>,
    by_name: HashMap<String, usize>,
    unique: Vec<Vec<FieldName>>,
    indexes: Vec<Index>,
    rules: Vec<Rule>,
    access: Access,
    search: Option<Search>,
    audit: Audit,
    strategy: Option<StrategyRef>,
    hash: SpecHash,
}

impl Schema {
    /// Where it lives.
    pub fn path(&self) -> &SchemaPath {
        &self.path
    }

    /// Its name for people.
    pub fn display_name(&self) -> Option<&str> {
        self.display_name.as_deref()
    }

    /// What its records are.
    pub fn description(&self) -> Option<&str> {
        self.description.as_deref()
    }

    /// Every field of a record in the order of the JSON: `id`, the declared ones, then the other system fields.
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// The field of that name.
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.by_name.get(name).and_then(|index| self.fields.get(*index))
    }

    /// The position of the field in [`Self::fields`].
    pub fn position(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    /// The `id` field, always the first.
    pub fn id(&self) -> &Field {
        &self.fields[0]
    }

    /// Unique combinations of fields, beyond fields that are unique alone.
    pub fn unique(&self) -> &[Vec<FieldName>] {
        &self.unique
    }

    /// The indexes that the schema asks for.
    pub fn indexes(&self) -> &[Index] {
        &self.indexes
    }

    /// The rules across fields.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// Who may do what.
    pub fn access(&self) -> &Access {
        &self.access
    }

    /// How records are searched, where they are.
    pub fn search(&self) -> Option<&Search> {
        self.search.as_ref()
    }

    /// What the audit trail demands.
    pub fn audit(&self) -> &Audit {
        &self.audit
    }

    /// The AuthStrategy that it names.
    pub fn strategy(&self) -> Option<&StrategyRef> {
        self.strategy.as_ref()
    }

    /// The hash of the spec that it was made from.
    pub fn hash(&self) -> &SpecHash {
        &self.hash
    }
}

/// An index that the schema asks for.
#[derive(Debug, Clone)]
pub struct Index {
    /// The fields in order.
    pub keys: Vec<IndexKey>,
    /// Only these records are in it: the CEL text, compiled by [`crate::cel`].
    pub condition: Option<crate::cel::Filter>,
}

/// A field of an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexKey {
    /// The field.
    pub field: FieldName,
    /// Whether from large to small.
    pub descending: bool,
}

/// A rule across fields.
#[derive(Debug, Clone)]
pub struct Rule {
    /// The compiled condition over `self` and `oldSelf`.
    pub program: crate::cel::Program,
    /// What the caller is told when it does not hold.
    pub message: String,
    /// The field that the error names.
    pub field: Option<FieldName>,
}

/// What the audit trail demands.
#[derive(Debug, Clone, Default)]
pub struct Audit {
    /// The operations that need a reason.
    pub require_reason: Vec<Operation>,
    /// What every reason matches.
    pub reason_pattern: Option<Pattern>,
    /// Whether it is an event when somebody sees a sensitive field in clear.
    pub sensitive_reads: bool,
}

/// The AuthStrategy that a schema names.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StrategyRef {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl fmt::Display for StrategyRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}
