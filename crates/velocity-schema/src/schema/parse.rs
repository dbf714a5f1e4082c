//! From the raw spec to the schema, or to everything that is wrong with it.

mod access;
mod bounds;
mod shape;

use std::collections::{HashMap, HashSet};

use super::{Audit, Index, IndexKey, Operation, Rule, Schema, StrategyRef, fields, search, unsupported};
use crate::cel;
use crate::field::{Field, FieldType};
use crate::name::{FieldName, SchemaPath};
use crate::spec::{
    AuditSpec, IndexSpec, ObjectRef, SchemaDefinitionSpec, UniqueConstraintSpec, ValidationSpec,
};
use crate::violation::Violations;
use serde_json::Value as Json;

/// Longest name of a namespace, a DNS label.
const NAMESPACE_MAX: usize = 63;

impl SchemaDefinitionSpec {
    /// Reads a spec from JSON. What does not have the contract's shape (unknown keys, wrong types, missing keys) is
    /// reported with its path, all at once.
    pub fn from_json(json: &Json) -> Result<Self, Violations> {
        let mut errors = Violations::default();
        match shape::read(json, "spec", &mut errors).value {
            Some(spec) => errors.into_result(spec),
            None => Err(errors),
        }
    }
}

impl Schema {
    /// The schema that JSON describes, with its spec; or every violation of shape and meaning. Where values do not even
    /// have the right shape, what the document means is not looked at: half of a spec would only give false errors.
    pub fn from_json(json: &Json) -> Result<(SchemaDefinitionSpec, Self), Violations> {
        let mut errors = Violations::default();
        let read = shape::read::<SchemaDefinitionSpec>(json, "spec", &mut errors);
        let (Some(spec), false) = (read.value, read.partial) else { return Err(errors) };
        match Self::parse(&spec) {
            Ok(schema) => errors.into_result((spec, schema)),
            Err(more) => {
                errors.0.extend(more.0);
                Err(errors)
            }
        }
    }

    /// The schema that the spec describes, or every violation with its path.
    pub fn parse(spec: &SchemaDefinitionSpec) -> Result<Self, Violations> {
        let mut errors = Violations::default();
        unsupported::refuse(spec, &mut errors);
        bounds::check(spec, &mut errors);
        let path = parse_path(spec, &mut errors);
        // A broken path is reported above; fields are still checked against a stand-in, so that all errors come at once.
        let Some(home) = path.clone().or_else(|| "a/a/a/a/v1".parse().ok()) else { return Err(errors) };
        let fields = fields::parse(&spec.fields, &home, &mut errors);
        let by_name: HashMap<String, usize> =
            fields.iter().enumerate().map(|(index, field)| (field.name.as_str().to_owned(), index)).collect();
        fields::check_own_references(&spec.fields, &fields, &home, &mut errors);
        let unique = parse_unique(&spec.unique_constraints, &fields, &mut errors);
        let indexes = parse_indexes(&spec.indexes, &fields, &mut errors);
        let rules = parse_rules(spec.validation.as_ref(), &fields, &mut errors);
        let access = access::parse(spec.access.as_ref(), &fields, &mut errors);
        let search = search::parse(spec, &fields, &mut errors);
        let audit = parse_audit(spec.audit.as_ref(), &fields, &mut errors);
        let strategy = spec.auth.as_ref().map(|auth| parse_strategy(&auth.strategy_ref, &home, &mut errors));
        let Some(path) = path else { return Err(errors) };
        errors.into_result(Self {
            path,
            display_name: spec.display_name.clone(),
            description: spec.description.clone(),
            fields,
            by_name,
            unique,
            indexes,
            rules,
            access,
            search,
            audit,
            strategy,
            hash: spec.hash(),
        })
    }
}

fn parse_path(spec: &SchemaDefinitionSpec, errors: &mut Violations) -> Option<SchemaPath> {
    let mut name = |key: &str, text: &str| {
        text.parse()
            .map_err(|e: crate::name::InvalidName| errors.push(format!("spec.{key}"), "name", e.to_string()))
            .ok()
    };
    let org = name("org", &spec.org);
    let app = name("app", &spec.app);
    let domain = name("domain", &spec.domain);
    let object = name("object", &spec.object);
    let version = spec
        .version
        .parse()
        .map_err(|e: crate::name::InvalidName| errors.push("spec.version", "version", e.to_string()))
        .ok();
    let path = SchemaPath { org: org?, app: app?, domain: domain?, object: object?, version: version? };
    if path.namespace().len() > NAMESPACE_MAX {
        errors.push(
            "spec",
            "length",
            format!(
                "org, app and domain are at most 61 characters long together: the namespace `{}` would have more than {NAMESPACE_MAX}",
                path.namespace()
            ),
        );
    }
    // Postgres keeps schemas and roles that begin with `pg_` for itself.
    if path.org.underscored() == "pg" || path.org.underscored().starts_with("pg_") {
        errors.push(
            "spec.org",
            "reserved",
            "names that begin with `pg` and a dash, and `pg` itself, are Postgres' own; choose another name",
        );
    }
    Some(path)
}

fn parse_unique(
    specs: &[UniqueConstraintSpec],
    fields: &[Field],
    errors: &mut Violations,
) -> Vec<Vec<FieldName>> {
    let mut all: Vec<Vec<FieldName>> = Vec::new();
    for (index, spec) in specs.iter().enumerate() {
        let at = format!("spec.uniqueConstraints[{index}].fields");
        let mut names = Vec::new();
        let mut seen = HashSet::new();
        for (position, name) in spec.fields.iter().enumerate() {
            let path = format!("{at}[{position}]");
            match fields.iter().find(|field| field.name.as_str() == name) {
                None => errors.push(path, "unknownField", fields::unknown_field(name, fields)),
                Some(_) if !seen.insert(name) => {
                    errors.push(path, "unique", format!("`{name}` is there already"));
                }
                Some(field) if !has_btree(field) => {
                    errors.push(path, "unique", format!("{} values cannot be unique", field.kind.name()));
                }
                Some(field) => names.push(field.name.clone()),
            }
        }
        if names.is_empty() || names.len() < spec.fields.len() {
            continue; // what is left says nothing about the constraint as a whole
        }
        let same = |other: &Vec<FieldName>| {
            other.iter().collect::<HashSet<_>>() == names.iter().collect::<HashSet<_>>()
        };
        if all.iter().any(same) {
            errors.push(&at, "unique", "the same fields are constrained already");
        }
        if let [name] = names.as_slice()
            && fields.iter().any(|field| field.name == *name && (field.unique || name.as_str() == "id"))
        {
            errors.push(&at, "unique", format!("`{name}` is unique already; leave the constraint out"));
        }
        all.push(names);
    }
    all
}

/// Whether values have an order and an equality that an index can use.
fn has_btree(field: &Field) -> bool {
    !matches!(field.kind, FieldType::Json | FieldType::Bytes { .. } | FieldType::Array { .. })
}

fn parse_indexes(specs: &[IndexSpec], fields: &[Field], errors: &mut Violations) -> Vec<Index> {
    let mut all: Vec<Index> = Vec::new();
    for (index, spec) in specs.iter().enumerate() {
        let at = format!("spec.indexes[{index}]");
        let mut keys: Vec<IndexKey> = Vec::new();
        for (position, text) in spec.fields.iter().enumerate() {
            let path = format!("{at}.fields[{position}]");
            let (name, descending) =
                text.strip_prefix('-').map_or((text.as_str(), false), |name| (name, true));
            match fields.iter().find(|field| field.name.as_str() == name) {
                None => errors.push(path, "unknownField", fields::unknown_field(name, fields)),
                Some(field) if keys.iter().any(|key| key.field == field.name) => {
                    errors.push(path, "unique", format!("`{name}` is there already"));
                }
                Some(field) if !has_btree(field) => {
                    errors.push(path, "type", format!("a {} field has an index of its own when it is filterable, and cannot be part of another", field.kind.name()));
                }
                Some(field) => keys.push(IndexKey { field: field.name.clone(), descending }),
            }
        }
        let condition = spec.condition.as_deref().and_then(|text| {
            cel::compile_filter(text, fields, false)
                .map_err(|e| errors.push(format!("{at}.where"), "expression", e.to_string()))
                .ok()
        });
        let source = |filter: &Option<cel::Filter>| filter.as_ref().map(|filter| filter.source().to_owned());
        let whole = !keys.is_empty() && keys.len() == spec.fields.len();
        if whole
            && all.iter().any(|other| other.keys == keys && source(&other.condition) == source(&condition))
        {
            errors.push(&at, "unique", "the same index is there already");
        }
        all.push(Index { keys, condition });
    }
    all
}

fn parse_rules(spec: Option<&ValidationSpec>, fields: &[Field], errors: &mut Violations) -> Vec<Rule> {
    let mut rules = Vec::new();
    for (index, spec) in spec.into_iter().flat_map(|v| &v.rules).enumerate() {
        let at = format!("spec.validation.rules[{index}]");
        let field = spec.field.as_ref().and_then(|name| {
            let found = fields.iter().find(|field| field.name.as_str() == name);
            if found.is_none() {
                errors.push(format!("{at}.field"), "unknownField", fields::unknown_field(name, fields));
            }
            found.map(|field| field.name.clone())
        });
        if spec.message.trim().is_empty() {
            errors.push(
                format!("{at}.message"),
                "required",
                "says what the caller is told when the rule does not hold",
            );
        }
        match cel::compile_rule(&spec.rule, fields) {
            Ok(program) => rules.push(Rule { program, message: spec.message.clone(), field }),
            Err(error) => errors.push(format!("{at}.rule"), "expression", error.to_string()),
        }
    }
    rules
}

/// The AuthStrategy that is named: names of Kubernetes objects, which no other text can be.
fn parse_strategy(spec: &ObjectRef, home: &SchemaPath, errors: &mut Violations) -> StrategyRef {
    let object_name = |text: &str, max: usize, dots: bool| {
        let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        (1..=max).contains(&text.len())
            && text.bytes().all(|b| inner(b) || b == b'-' || (dots && b == b'.'))
            && text.bytes().next().is_some_and(inner)
            && text.bytes().last().is_some_and(inner)
    };
    if !object_name(&spec.name, 253, true) {
        errors.push(
            "spec.auth.strategyRef.name",
            "name",
            "is not the name of an AuthStrategy: use lower-case letters, digits, dashes and dots",
        );
    }
    if spec.namespace.as_deref().is_some_and(|namespace| !object_name(namespace, NAMESPACE_MAX, false)) {
        errors.push(
            "spec.auth.strategyRef.namespace",
            "name",
            "is not a namespace: use lower-case letters, digits and dashes",
        );
    }
    StrategyRef {
        namespace: spec.namespace.clone().unwrap_or_else(|| home.namespace()),
        name: spec.name.clone(),
    }
}

fn parse_audit(spec: Option<&AuditSpec>, fields: &[Field], errors: &mut Violations) -> Audit {
    let Some(spec) = spec else { return Audit::default() };
    let mut require_reason = Vec::new();
    for (index, text) in spec.require_reason.iter().enumerate() {
        let at = format!("spec.audit.requireReason[{index}]");
        match text.parse::<Operation>() {
            Ok(Operation::Read | Operation::History | Operation::Export) => {
                errors.push(at, "notSupported", "a reason for reads is not supported yet; leave it out");
            }
            Ok(operation) if require_reason.contains(&operation) => {
                errors.push(at, "unique", format!("`{operation}` is there already"));
            }
            Ok(operation) => require_reason.push(operation),
            Err(why) => errors.push(at, "operation", why),
        }
    }
    let reason_pattern = spec.reason_pattern.as_deref().and_then(|text| {
        fields::compile_pattern(text)
            .map_err(|why| errors.push("spec.audit.reasonPattern", "pattern", why))
            .ok()
    });
    let sensitive_reads = spec.sensitive_reads == Some(true);
    if sensitive_reads && !fields.iter().any(Field::is_sensitive) {
        errors.push(
            "spec.audit.sensitiveReads",
            "sensitivity",
            "would record nothing: no field has the sensitivity pii, financial or confidential; give it to one, or \
             leave this out",
        );
    }
    Audit { require_reason, reason_pattern, sensitive_reads }
}

#[cfg(test)]
mod tests;
