//! A structural OpenAPI schema: what a CRD says of its objects, parsed once.

mod cel_functions;
mod default;
mod format;
mod parse;
mod prune;
mod rules;
mod validate;

use std::collections::BTreeMap;

use regex::Regex;
use serde_json::Value;

pub(crate) use default::fill_defaults;
pub(crate) use parse::SchemaError;
pub(crate) use prune::prune;
pub(crate) use rules::{Rule, check_rules};
pub(crate) use validate::{check_lists, validate};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Type {
    Object,
    Array,
    String,
    Integer,
    Number,
    Boolean,
}

/// How lists merge, from `x-kubernetes-list-type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum ListType {
    #[default]
    Atomic,
    Set,
    Map,
}

/// `additionalProperties`.
#[derive(Debug, Clone)]
pub(crate) enum Additional {
    Allowed,
    Schema(Box<Schema>),
}

/// A pattern that was compiled when the schema was parsed.
#[derive(Debug, Clone)]
pub(crate) struct Pattern {
    pub(crate) source: String,
    pub(crate) regex: Regex,
}

/// A bound on a number. `text` is as Go prints the float.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bound {
    pub(crate) value: f64,
    pub(crate) exclusive: bool,
}

/// One node of a structural schema.
#[derive(Debug, Clone, Default)]
pub(crate) struct Schema {
    pub(crate) kind: Option<Type>,
    pub(crate) nullable: bool,
    pub(crate) int_or_string: bool,
    pub(crate) preserve_unknown: bool,
    pub(crate) embedded_resource: bool,
    pub(crate) properties: BTreeMap<String, Schema>,
    pub(crate) additional: Option<Additional>,
    pub(crate) items: Option<Box<Schema>>,
    pub(crate) default: Option<Value>,
    pub(crate) list_type: ListType,
    pub(crate) list_map_keys: Vec<String>,
    pub(crate) atomic_map: bool,
    /// `x-kubernetes-patch-merge-key` of a list that strategic merge patches merge.
    pub(crate) merge_key: Option<String>,
    /// `x-kubernetes-patch-strategy: merge` on a list.
    pub(crate) merge_list: bool,
    pub(crate) values: Values,
    pub(crate) rules: Vec<Rule>,
}

/// The value validations of a node.
#[derive(Debug, Clone, Default)]
pub(crate) struct Values {
    pub(crate) format: Option<String>,
    pub(crate) required: Vec<String>,
    pub(crate) allowed: Vec<Value>,
    pub(crate) pattern: Option<Pattern>,
    pub(crate) minimum: Option<Bound>,
    pub(crate) maximum: Option<Bound>,
    pub(crate) multiple_of: Option<f64>,
    pub(crate) min_length: Option<u64>,
    pub(crate) max_length: Option<u64>,
    pub(crate) min_items: Option<u64>,
    pub(crate) max_items: Option<u64>,
    pub(crate) unique_items: bool,
    pub(crate) min_properties: Option<u64>,
    pub(crate) max_properties: Option<u64>,
    pub(crate) all_of: Vec<Schema>,
    pub(crate) any_of: Vec<Schema>,
    pub(crate) one_of: Vec<Schema>,
    pub(crate) not: Option<Box<Schema>>,
}

impl Schema {
    /// Whether any node carries `x-kubernetes-validations`.
    pub(crate) fn has_rules(&self) -> bool {
        let below = match &self.additional {
            Some(Additional::Schema(schema)) => Some(schema.as_ref()),
            _ => None,
        };
        !self.rules.is_empty()
            || self.properties.values().chain(self.items.as_deref()).chain(below).any(Self::has_rules)
    }

    /// The schema of a map's or object's member, if it has one.
    pub(crate) fn member(&self, name: &str) -> Option<&Schema> {
        self.properties.get(name).or(match &self.additional {
            Some(Additional::Schema(schema)) => Some(schema),
            _ => None,
        })
    }
}
