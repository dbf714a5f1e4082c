//! The hash of a spec: equal for specs that mean the same.

use std::fmt::{self, Write};

use bigdecimal::ToPrimitive;
use serde_json::{Number, Value as Json};
use sha2::{Digest, Sha256};

use super::mask::VISIBLE_DEFAULT;
use crate::spec::{
    AccessSpec, AuditSpec, FieldSpec, MaskingSpec, MaskingStrategy, ScalingSpec, SchemaDefinitionSpec,
    TimeMachineSpec, TypeSpec,
};

/// `sha256:…` of a spec: equal specs have equal hashes, whatever the order of their keys, and whether what holds anyway
/// is spelled out.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SpecHash(String);

impl SpecHash {
    /// The hash as `status.specHash` has it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SpecHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl SchemaDefinitionSpec {
    /// The hash of the spec: of its canonical JSON (keys sorted, defaults left out).
    pub fn hash(&self) -> SpecHash {
        let json = serde_json::to_value(plain(self.clone())).unwrap_or(Json::Null);
        let mut text = String::new();
        canonical(&json, &mut text);
        let mut hash = String::from("sha256:");
        for byte in Sha256::digest(text.as_bytes()) {
            let _ = write!(hash, "{byte:02x}");
        }
        SpecHash(hash)
    }
}

/// The spec with everything left out that holds without being said.
fn plain(mut spec: SchemaDefinitionSpec) -> SchemaDefinitionSpec {
    let (org, app, domain) = (spec.org.clone(), spec.app.clone(), spec.domain.clone());
    for field in &mut spec.fields {
        if let Some(reference) = &mut field.reference {
            reference.org.take_if(|given| *given == org);
            reference.app.take_if(|given| *given == app);
            reference.domain.take_if(|given| *given == domain);
        }
        plain_number(field);
    }
    spec.validation.take_if(|validation| validation.rules.is_empty());
    for masking in spec.access.iter_mut().flat_map(|access| &mut access.field_access) {
        if let Some(masking) = &mut masking.masking {
            plain_masking(masking);
        }
    }
    spec.access.take_if(|access| *access == AccessSpec::default());
    if let Some(machine) = &mut spec.time_machine {
        machine.enabled.take_if(|enabled| *enabled);
    }
    spec.time_machine.take_if(|machine| *machine == TimeMachineSpec::default());
    if let Some(audit) = &mut spec.audit {
        audit.sensitive_reads.take_if(|recorded| !*recorded);
    }
    spec.audit.take_if(|audit| *audit == AuditSpec::default());
    spec.observability.take_if(|observability| observability.slos.is_empty());
    spec.scaling.take_if(|scaling| *scaling == ScalingSpec::default());
    if let Some(auth) = &mut spec.auth {
        let own = format!("{org}-{app}-{domain}");
        auth.strategy_ref.namespace.take_if(|namespace| *namespace == own);
    }
    spec
}

/// Digits are said in full: without them a number has 18, two of them after the point.
fn plain_number(field: &mut FieldSpec) {
    if field.field_type == TypeSpec::Number || field.items == Some(TypeSpec::Number) {
        let (precision, scale) = super::fields::digits(field);
        field.precision = Some(precision);
        field.scale = Some(scale);
    }
}

/// Without the characters that stay anyway; a width is one number however it is written.
fn plain_masking(masking: &mut MaskingSpec) {
    if masking.strategy == MaskingStrategy::Partial {
        masking.visible_chars.take_if(|count| usize::try_from(*count) == Ok(VISIBLE_DEFAULT));
    }
    let whole = |size: &Number| {
        let size = crate::decimal::parse(&size.to_string()).ok()?;
        if size.is_integer() { size.to_i64() } else { None }
    };
    if let Some(size) = masking.range_size.as_ref().and_then(whole) {
        masking.range_size = Some(size.into());
    }
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
