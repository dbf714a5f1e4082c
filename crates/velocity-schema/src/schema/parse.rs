//! From the raw spec to the schema, or to everything that is wrong with it.

use std::collections::{HashMap, HashSet};

use serde_json::Value as Json;
use sha2::{Digest, Sha256};

use super::{
    Access, Audit, Index, IndexKey, Operation, RowFilter, Rule, Schema, SpecHash, StrategyRef, fields,
    unsupported,
};
use crate::cel;
use crate::field::{Field, FieldType};
use crate::name::{FieldName, SchemaPath};
use crate::spec::{
    AccessSpec, AuditSpec, IndexSpec, SchemaDefinitionSpec, UniqueConstraintSpec, ValidationSpec,
};
use crate::violation::{Violations, did_you_mean};

/// Most characters of a role's name.
const ROLE_MAX: usize = 128;
/// Most columns of a Postgres index.
const INDEX_COLUMNS_MAX: usize = 32;

impl SchemaDefinitionSpec {
    /// Reads a spec from JSON. What no field of the contract is named like is reported with its path, all at once.
    pub fn from_json(json: &Json) -> Result<Self, Violations> {
        let mut errors = Violations::default();
        let mut unknown = Vec::new();
        let read = serde_ignored::deserialize(json, |path| unknown.push(dotted(&path.to_string())));
        for path in unknown {
            errors.push(
                format!("spec.{path}"),
                "unknownField",
                "is not a field of the contract; see `velocity explain` or the reference",
            );
        }
        match read {
            Ok(spec) => errors.into_result(spec),
            Err(_) => {
                let located: Result<Self, _> = serde_path_to_error::deserialize(json);
                if let Err(error) = located {
                    let path = error.path().to_string();
                    let path = if path == "." { "spec".to_owned() } else { format!("spec.{path}") };
                    errors.push(path, "type", error.inner().to_string());
                }
                Err(errors)
            }
        }
    }

    /// The hash of the spec: of its canonical JSON (keys sorted, defaults left out).
    pub fn hash(&self) -> SpecHash {
        let json = serde_json::to_value(self).unwrap_or(Json::Null);
        let mut text = String::new();
        canonical(&json, &mut text);
        let digest = Sha256::digest(text.as_bytes());
        let mut hash = String::from("sha256:");
        for byte in digest {
            hash.push_str(&format!("{byte:02x}"));
        }
        SpecHash(hash)
    }
}

/// serde_ignored writes `fields.0.x`; people read `fields[0].x`.
fn dotted(path: &str) -> String {
    let mut out = String::new();
    for part in path.split('.').filter(|part| *part != "?") {
        if part.bytes().all(|b| b.is_ascii_digit()) {
            out.push_str(&format!("[{part}]"));
        } else {
            if !out.is_empty() {
                out.push('.');
            }
            out.push_str(part);
        }
    }
    out
}

fn canonical(json: &Json, out: &mut String) {
    match json {
        Json::Object(map) => {
            let mut keys: Vec<&String> = map.keys().collect();
            keys.sort();
            out.push('{');
            for key in keys {
                crate::value::write_json_string(key, out);
                out.push(':');
                canonical(&map[key.as_str()], out);
                out.push(',');
            }
            out.push('}');
        }
        Json::Array(items) => {
            out.push('[');
            for item in items {
                canonical(item, out);
                out.push(',');
            }
            out.push(']');
        }
        other => out.push_str(&other.to_string()),
    }
}

impl Schema {
    /// The schema that the spec describes, or every violation with its path.
    pub fn parse(spec: &SchemaDefinitionSpec) -> Result<Self, Violations> {
        let mut errors = Violations::default();
        unsupported::refuse(spec, &mut errors);
        let path = parse_path(spec, &mut errors);
        // A broken path is reported above; fields are still checked against a stand-in, so that all errors come at once.
        let Some(home) = path.clone().or_else(|| "a/a/a/a/v1".parse().ok()) else { return Err(errors) };
        let fields = fields::parse(&spec.fields, &home, &mut errors);
        let by_name: HashMap<String, usize> =
            fields.iter().enumerate().map(|(index, field)| (field.name.as_str().to_owned(), index)).collect();
        let unique = parse_unique(&spec.unique_constraints, &fields, &mut errors);
        let indexes = parse_indexes(&spec.indexes, &fields, &mut errors);
        let rules = parse_rules(spec.validation.as_ref(), &fields, &mut errors);
        let access = parse_access(spec.access.as_ref(), &fields, &mut errors);
        let audit = parse_audit(spec.audit.as_ref(), &mut errors);
        let strategy = spec.auth.as_ref().map(|auth| StrategyRef {
            namespace: auth.strategy_ref.namespace.clone().unwrap_or_else(|| home.namespace()),
            name: auth.strategy_ref.name.clone(),
        });
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
    if path.namespace().len() > 63 {
        errors.push(
            "spec",
            "length",
            format!("the namespace `{}` would have more than 63 characters", path.namespace()),
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
                    errors.push(path, "unique", format!("`{name}` is there already"))
                }
                Some(field)
                    if matches!(
                        field.kind,
                        FieldType::Json | FieldType::Bytes { .. } | FieldType::Array { .. }
                    ) =>
                {
                    errors.push(path, "unique", format!("{} values cannot be unique", field.kind.name()));
                }
                Some(field) => names.push(field.name.clone()),
            }
        }
        if spec.fields.is_empty() || spec.fields.len() > INDEX_COLUMNS_MAX {
            errors.push(&at, "length", format!("names 1 to {INDEX_COLUMNS_MAX} fields"));
        }
        let sorted = |names: &[FieldName]| names.iter().cloned().collect::<HashSet<_>>();
        if all.iter().any(|other| sorted(other) == sorted(&names)) {
            errors.push(&at, "unique", "the same fields are constrained already");
        }
        all.push(names);
    }
    all
}

fn parse_indexes(specs: &[IndexSpec], fields: &[Field], errors: &mut Violations) -> Vec<Index> {
    let mut all = Vec::new();
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
                Some(field)
                    if matches!(
                        field.kind,
                        FieldType::Json | FieldType::Bytes { .. } | FieldType::Array { .. }
                    ) =>
                {
                    errors.push(path, "type", format!("a {} field has an index of its own when it is filterable, and cannot be part of another", field.kind.name()));
                }
                Some(field) => keys.push(IndexKey { field: field.name.clone(), descending }),
            }
        }
        if spec.fields.is_empty() || spec.fields.len() > INDEX_COLUMNS_MAX {
            errors.push(format!("{at}.fields"), "length", format!("names 1 to {INDEX_COLUMNS_MAX} fields"));
        }
        let condition = spec.condition.as_deref().and_then(|text| {
            cel::compile_filter(text, fields, false)
                .map_err(|e| errors.push(format!("{at}.where"), "expression", e.to_string()))
                .ok()
        });
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

fn parse_access(spec: Option<&AccessSpec>, fields: &[Field], errors: &mut Violations) -> Access {
    let Some(spec) = spec else { return Access::default() };
    for operation in Operation::ALL {
        for (index, role) in super::access::roles_of(&spec.roles, operation).iter().enumerate() {
            role_name(role, &format!("spec.access.roles.{operation}[{index}]"), errors);
        }
    }
    let access = Access { roles: Access::roles_from(&spec.roles), row_filters: Vec::new() };
    let mut row_filters = Vec::new();
    let known = access.all_roles();
    for (index, filter) in spec.row_filter.iter().enumerate() {
        let at = format!("spec.access.rowFilter[{index}]");
        if filter.role != "*" {
            role_name(&filter.role, &format!("{at}.role"), errors);
            if !known.contains(filter.role.as_str()) {
                let near = did_you_mean(&filter.role, known.iter().copied());
                errors.push(
                    format!("{at}.role"),
                    "role",
                    format!("no operation of access.roles lists `{}`{near}", filter.role),
                );
            }
        }
        match cel::compile_filter(&filter.condition, fields, true) {
            Ok(condition) => row_filters.push(RowFilter { role: filter.role.clone(), condition }),
            Err(error) => errors.push(format!("{at}.condition"), "expression", error.to_string()),
        }
    }
    drop(known);
    Access { row_filters, ..access }
}

fn role_name(role: &str, path: &str, errors: &mut Violations) {
    let valid = !role.is_empty()
        && role.len() <= ROLE_MAX
        && role
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b':' | b'/' | b'@'));
    if !valid {
        errors.push(
            path,
            "role",
            format!("a role is 1 to {ROLE_MAX} letters, digits and any of - _ . : / @"),
        );
    }
}

fn parse_audit(spec: Option<&AuditSpec>, errors: &mut Violations) -> Audit {
    let Some(spec) = spec else { return Audit::default() };
    let mut require_reason = Vec::new();
    for (index, text) in spec.require_reason.iter().enumerate() {
        let at = format!("spec.audit.requireReason[{index}]");
        match text.parse::<Operation>() {
            Ok(Operation::Read | Operation::History | Operation::Export) => {
                errors.push(at, "notSupported", "a reason for reads is not supported yet; leave it out");
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
    Audit { require_reason, reason_pattern }
}

#[cfg(test)]
mod tests;
