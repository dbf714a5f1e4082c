//! `x-kubernetes-validations`: CEL rules over a node and its former self.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use cel::objects::{Key, Map};
use cel::{Context, ExecutionError, Program, Value as Cel};
use serde::Deserialize;
use serde_json::{Value, json};

use super::cel_functions::{ENVIRONMENT, context};
use super::prune::child;
use super::validate::counterpart;
use super::{Additional, Schema, Type};
use crate::field_error::{Fault, FieldError};

/// Words that CEL reserves; a property of that name is written `__word__`.
const RESERVED: [&str; 19] = [
    "true",
    "false",
    "null",
    "in",
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
];

/// One entry of `x-kubernetes-validations` as written.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct Source {
    rule: String,
    message: Option<String>,
    message_expression: Option<String>,
    reason: Option<String>,
    field_path: Option<String>,
    optional_old_self: Option<bool>,
}

/// A rule, compiled.
#[derive(Clone)]
pub(crate) struct Rule {
    source: Source,
    program: Arc<Program>,
    message: Option<Arc<Program>>,
    uses_old_self: bool,
}

impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rule").field("rule", &self.source.rule).finish_non_exhaustive()
    }
}

/// Reads and compiles the list; the error is for people.
pub(super) fn parse(list: &Value) -> Result<Vec<Rule>, String> {
    let sources: Vec<Source> = Vec::deserialize(list).map_err(|error| error.to_string())?;
    sources.into_iter().map(compile).collect()
}

fn compile(source: Source) -> Result<Rule, String> {
    let compile = |text: &str| {
        ENVIRONMENT
            .compile(text)
            .map(Arc::new)
            .map_err(|error| format!("rule {text:?} does not compile: {error}"))
    };
    let program = compile(&source.rule)?;
    let message = source.message_expression.as_deref().map(compile).transpose()?;
    let uses_old_self = program.references().has_variable("oldSelf");
    Ok(Rule { source, program, message, uses_old_self })
}

impl Rule {
    fn text(&self) -> &str {
        match self.source.message.as_deref().map(str::trim) {
            Some(message) if !message.is_empty() => message,
            _ => self.source.rule.trim(),
        }
    }

    fn failure_text(&self) -> String {
        match self.source.message.as_deref().map(str::trim) {
            Some(message) if !message.is_empty() => message.to_owned(),
            _ => format!("failed rule: {}", self.source.rule.trim()),
        }
    }
}

/// The rules of every node that `value` fails; `old` is the value before the change.
pub(crate) fn check_rules(schema: &Schema, value: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let place = Place { path: String::new(), is_root: true, unchanged: false };
    walk(schema, value, old, &place, &mut errors);
    errors
}

struct Place {
    path: String,
    is_root: bool,
    /// The nearest part that has a counterpart in the old object equals it.
    unchanged: bool,
}

fn walk(schema: &Schema, value: &Value, old: Option<&Value>, place: &Place, errors: &mut Vec<FieldError>) {
    if value.is_null() {
        return;
    }
    let unchanged = old.map_or(place.unchanged, |old| old == value);
    evaluate(schema, value, old, place, unchanged, errors);
    match value {
        Value::Object(object) => {
            for (name, member) in object {
                let (known, path) = match (schema.properties.get(name), &schema.additional) {
                    (Some(known), _) => (known, child(&place.path, name)),
                    (None, Some(Additional::Schema(known))) => {
                        (known.as_ref(), format!("{}[{name}]", place.path))
                    }
                    _ => continue,
                };
                let old = old.and_then(|old| old.get(name));
                walk(known, member, old, &Place { path, is_root: false, unchanged }, errors);
            }
        }
        Value::Array(list) => {
            let Some(items) = &schema.items else { return };
            for (at, item) in list.iter().enumerate() {
                let old = old.and_then(|old| counterpart(schema, old, item));
                let path = format!("{}[{at}]", place.path);
                walk(items, item, old, &Place { path, is_root: false, unchanged }, errors);
            }
        }
        _ => {}
    }
}

fn evaluate(
    schema: &Schema,
    value: &Value,
    old: Option<&Value>,
    place: &Place,
    unchanged: bool,
    errors: &mut Vec<FieldError>,
) {
    if schema.rules.is_empty() {
        return;
    }
    let current = to_cel(Some(schema), value, place.is_root);
    let former = old.filter(|old| !old.is_null()).map(|old| to_cel(Some(schema), old, place.is_root));
    for rule in &schema.rules {
        let optional = rule.source.optional_old_self.unwrap_or(false);
        if rule.uses_old_self && former.is_none() && !optional {
            continue;
        }
        if unchanged && !rule.uses_old_self {
            continue;
        }
        let mut context = context();
        context.add_variable_from_value("self", current.clone());
        let before = match (&former, optional) {
            (Some(former), false) => Some(former.clone()),
            (Some(former), true) => {
                Some(Cel::Opaque(Arc::new(cel::objects::OptionalValue::of(former.clone()))))
            }
            (None, true) => Some(Cel::Opaque(Arc::new(cel::objects::OptionalValue::none()))),
            (None, false) => None,
        };
        if let Some(before) = before {
            context.add_variable_from_value("oldSelf", before);
        }
        errors.extend(outcome(rule, &context, schema, value, &place.path));
    }
}

fn type_word(schema: &Schema) -> &'static str {
    match schema.kind {
        Some(Type::Object) => "object",
        Some(Type::Array) => "array",
        Some(Type::String) => "string",
        Some(Type::Integer) => "integer",
        Some(Type::Number) => "number",
        Some(Type::Boolean) => "boolean",
        None => "",
    }
}

fn outcome(
    rule: &Rule,
    context: &Context<'_, '_>,
    schema: &Schema,
    value: &Value,
    path: &str,
) -> Option<FieldError> {
    let place = || if path.is_empty() { "<nil>".to_owned() } else { path.to_owned() };
    match rule.program.execute(context) {
        Ok(Cel::Bool(true)) => return None,
        Ok(_) => {}
        Err(error) => {
            let text = rule.text();
            let detail = match &error {
                ExecutionError::NoSuchOverload(_) => format!(
                    "'no such overload': call arguments did not match a supported operator, function or macro signature \
                     for rule: {text}"
                ),
                ExecutionError::NoSuchKey(key) => format!("no such key: {key} evaluating rule: {text}"),
                other => format!("{other} evaluating rule: {text}"),
            };
            return Some(FieldError::invalid(place(), json!(type_word(schema)), detail));
        }
    }
    let computed = rule.message.as_ref().and_then(|message| match message.execute(context) {
        Ok(Cel::String(text)) if !text.trim().is_empty() && !text.contains('\n') => {
            Some(text.trim().to_owned())
        }
        _ => None,
    });
    let detail = computed.unwrap_or_else(|| rule.failure_text());
    let path = match rule.source.field_path.as_deref() {
        Some(field) if !field.is_empty() => child(path, field.trim_start_matches('.')),
        _ => place(),
    };
    let shown = (!value.is_object() && !value.is_array()).then(|| value.clone());
    let fault = match rule.source.reason.as_deref() {
        Some("FieldValueForbidden") => Fault::Forbidden,
        Some("FieldValueRequired") => Fault::Required,
        Some("FieldValueDuplicate") => Fault::Duplicate,
        _ => Fault::Invalid,
    };
    Some(FieldError::new(fault, path, shown, detail))
}

/// A property's name as CEL can write it.
fn escape(name: &str) -> String {
    if RESERVED.contains(&name) {
        return format!("__{name}__");
    }
    name.replace("__", "__underscores__")
        .replace('.', "__dot__")
        .replace('-', "__dash__")
        .replace('/', "__slash__")
}

/// A value with the types that its schema gives; JSON's numbers alone would not tell ints from doubles.
fn to_cel(schema: Option<&Schema>, value: &Value, is_root: bool) -> Cel {
    match value {
        Value::Null => Cel::Null,
        Value::Bool(truth) => Cel::Bool(*truth),
        Value::Number(number) => match (schema.and_then(|schema| schema.kind), number.as_i64()) {
            (Some(Type::Number), _) | (_, None) => Cel::Float(number.as_f64().unwrap_or(0.0)),
            (_, Some(integer)) => Cel::Int(integer),
        },
        Value::String(text) => string_to_cel(schema, text),
        Value::Array(list) => {
            let items = schema.and_then(|schema| schema.items.as_deref());
            Cel::List(Arc::new(list.iter().map(|item| to_cel(items, item, false)).collect()))
        }
        Value::Object(object) => {
            let mut map: HashMap<Key, Cel> = HashMap::new();
            for (name, member) in object {
                let declared = schema.and_then(|schema| schema.properties.get(name));
                let known = schema.and_then(|schema| schema.member(name));
                // A null property is an absent one.
                if declared.is_some() && member.is_null() {
                    continue;
                }
                let mut converted = to_cel(known, member, false);
                if is_root && name == "metadata" {
                    converted = names_only(member);
                }
                let key = if declared.is_some() { escape(name) } else { name.clone() };
                map.insert(Key::from(key), converted);
            }
            Cel::Map(Map { map: Arc::new(map) })
        }
    }
}

/// Of the metadata, rules see only the names.
fn names_only(metadata: &Value) -> Cel {
    let map = ["name", "generateName"]
        .into_iter()
        .filter_map(|field| Some((Key::from(field.to_owned()), Cel::from(metadata[field].as_str()?))))
        .collect();
    Cel::Map(Map { map: Arc::new(map) })
}

fn string_to_cel(schema: Option<&Schema>, text: &str) -> Cel {
    use base64::Engine;
    let format = schema
        .filter(|schema| schema.kind == Some(Type::String))
        .and_then(|schema| schema.values.format.as_deref());
    let convert = |function: &str| {
        // CEL's own conversions, so that no second time library is needed here.
        let mut context = context();
        context.add_variable_from_value("text", text);
        ENVIRONMENT.compile(&format!("{function}(text)")).ok()?.execute(&context).ok()
    };
    let converted = match format {
        Some("date-time" | "datetime") => convert("timestamp"),
        Some("duration") => convert("duration"),
        Some("byte") => base64::engine::general_purpose::STANDARD
            .decode(text)
            .ok()
            .map(|bytes| Cel::Bytes(Arc::new(bytes))),
        _ => None,
    };
    converted.unwrap_or_else(|| Cel::from(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::needless_pass_by_value, reason = "tests pass literals")]
    fn errors(schema: Value, value: Value, old: Option<Value>) -> Vec<String> {
        let schema = Schema::parse(&schema, "s").unwrap();
        check_rules(&schema, &value, old.as_ref()).iter().map(ToString::to_string).collect()
    }

    #[expect(clippy::needless_pass_by_value, reason = "tests pass literals")]
    fn schema(rule: Value) -> Value {
        json!({"type": "object", "properties": {"spec": {"type": "object",
        "x-kubernetes-validations": [rule],
        "properties": {
            "n": {"type": "integer"}, "f": {"type": "number"}, "s": {"type": "string"},
            "when": {"type": "string", "format": "date-time"},
            "list": {"type": "array", "items": {"type": "integer"}},
            "dash-ed": {"type": "string"}, "in": {"type": "string"},
            "nothing": {"type": "string", "nullable": true}
        }}}})
    }

    fn holds(rule: &str) -> Vec<String> {
        let value = json!({"spec": {
            "n": 3, "f": 2, "s": "abc", "when": "2026-01-02T00:00:00Z", "list": [1, 2, 3], "dash-ed": "d", "in": "i",
            "nothing": null
        }});
        errors(schema(json!({"rule": rule})), value, None)
    }

    #[test]
    fn rules_see_values_with_their_declared_types() {
        for rule in [
            "self.n + 1 == 4",
            "self.f == 2.0",
            "type(self.f) == double",
            "self.s.startsWith('a') && self.s.size() == 3",
            "self.when < timestamp('2027-01-01T00:00:00Z')",
            "self.list.isSorted() && self.list.sum() == 6 && self.list.max() == 3",
            "self.dash__dash__ed == 'd'",
            "self.__in__ == 'i'",
            "!has(self.nothing)",
            "self.s.find('b.') == 'bc'",
            "self.list.all(x, x > 0) && self.list.exists_one(x, x == 2)",
        ] {
            let rule = if rule.contains("dash__dash__ed") { "self.dash__dash__ed == 'd'" } else { rule };
            assert_eq!(holds(rule), Vec::<String>::new(), "{rule}");
        }
    }

    #[test]
    fn a_broken_rule_says_its_message_or_itself() {
        assert_eq!(holds("self.n > 5"), ["spec: Invalid value: failed rule: self.n > 5"]);
        let rule = json!({"rule": "self.n > 5", "messageExpression": "'n is ' + string(self.n)", "fieldPath": ".n",
                          "reason": "FieldValueForbidden"});
        assert_eq!(errors(schema(rule), json!({"spec": {"n": 1}}), None), ["spec.n: Forbidden: n is 1"]);
    }

    #[test]
    fn an_absent_field_is_an_error_of_the_rule_that_uses_it() {
        assert_eq!(
            errors(schema(json!({"rule": "self.n > 5", "message": "too small"})), json!({"spec": {}}), None),
            ["spec: Invalid value: \"object\": no such key: n evaluating rule: too small"]
        );
    }

    #[test]
    fn transition_rules_wait_for_an_old_value() {
        let rule = json!({"rule": "self.n == oldSelf.n", "message": "n is immutable"});
        assert!(errors(schema(rule.clone()), json!({"spec": {"n": 1}}), None).is_empty());
        assert_eq!(
            errors(schema(rule), json!({"spec": {"n": 1}}), Some(json!({"spec": {"n": 2}}))),
            ["spec: Invalid value: n is immutable"]
        );
        let optional = json!({"rule": "oldSelf.hasValue() || self.n == 1", "optionalOldSelf": true, "message": "starts at 1"});
        assert_eq!(
            errors(schema(optional), json!({"spec": {"n": 2}}), None),
            ["spec: Invalid value: starts at 1"]
        );
    }

    #[test]
    fn what_did_not_change_may_stay_wrong() {
        let rule = json!({"rule": "self.n > 5", "message": "too small"});
        let value = json!({"spec": {"n": 1}});
        assert!(errors(schema(rule), value.clone(), Some(value)).is_empty());
    }

    #[test]
    fn a_rule_that_does_not_compile_is_refused_with_the_schema() {
        assert!(Schema::parse(&schema(json!({"rule": "self.n >"})), "s").is_err());
    }
}
