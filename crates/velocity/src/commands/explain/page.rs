//! What a definition says, for people. Pure.

use std::fmt::Write;

use serde_json::Value;

use super::definitions::{Definition, Found, element, is_required, members};
use crate::output::style::Color;
use crate::output::table::Table;

/// Lines of descriptions are no longer than that.
const WIDTH: usize = 96;

/// The kinds that there are.
pub(super) fn kinds(definitions: &[Definition]) -> Table {
    let mut table = Table::new(["KIND", "NAMES", "DESCRIPTION"]);
    for definition in definitions {
        let description =
            definition.find(&[]).map(|found| text(found.schema, "description")).unwrap_or_default();
        table.row([definition.kind().to_owned(), definition.names().join(", "), description]);
    }
    table
}

/// A kind or a field.
pub(super) fn of(color: Color, definition: &Definition, found: &Found<'_>, recursive: bool) -> String {
    let mut table = Table::pairs();
    table.row(["KIND", definition.kind()]);
    table.row(["VERSION", &definition.api_version()]);
    if !found.path.is_empty() {
        let required = if found.required { ", required" } else { "" };
        table.row(["FIELD", &format!("{} <{}>{required}", found.path.join("."), type_words(found.schema))]);
    }
    for (name, value) in limits(found.schema) {
        table.row([name, &value]);
    }
    let mut page = table.render();
    for paragraph in text(found.schema, "description").lines() {
        let _ = write!(page, "\n{}", wrapped(paragraph, "  "));
    }
    let rules = rules(found.schema);
    if !rules.is_empty() {
        let _ = writeln!(page, "\n{}", color.bold("Rules"));
        for rule in &rules {
            page.push_str(&wrapped(rule, "  "));
        }
    }
    if members(found.schema).is_some() {
        let _ = writeln!(page, "\n{}", color.bold("Fields"));
        fields(color, found.schema, "  ", recursive, &mut page);
    }
    page
}

fn fields(color: Color, schema: &Value, indent: &str, recursive: bool, page: &mut String) {
    for (name, field) in members(schema).into_iter().flatten() {
        let required = if is_required(schema, name) { ", required" } else { "" };
        let _ = writeln!(page, "{indent}{} <{}>{required}", color.cyan(name), type_words(field));
        let deeper = format!("{indent}  ");
        if recursive {
            fields(color, field, &deeper, recursive, page);
        } else {
            page.push_str(&wrapped(&text(field, "description"), &deeper));
        }
    }
}

fn text(schema: &Value, key: &str) -> String {
    schema[key].as_str().unwrap_or_default().to_owned()
}

/// `string`, `[]object`, `map of string`.
fn type_words(schema: &Value) -> String {
    if let Some(items) = schema.get("items") {
        return format!("[]{}", type_words(items));
    }
    if let Some(values) = schema.get("additionalProperties").filter(|more| more.is_object()) {
        return format!("map of {}", type_words(values));
    }
    match schema["type"].as_str() {
        Some(word) => word.to_owned(),
        None if schema["x-kubernetes-int-or-string"] == true => "integer or string".to_owned(),
        None => "any".to_owned(),
    }
}

/// What a value is bound by.
fn limits(schema: &Value) -> Vec<(&'static str, String)> {
    let inner = element(schema);
    let mut found = Vec::new();
    let shown = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    for (key, name) in [("default", "DEFAULT"), ("pattern", "PATTERN"), ("format", "FORMAT")] {
        if let Some(value) = inner.get(key) {
            found.push((name, shown(value)));
        }
    }
    if let Some(values) = inner["enum"].as_array() {
        found.push(("ONE OF", values.iter().map(shown).collect::<Vec<_>>().join(", ")));
    }
    for (schema, low, high, name) in [
        (inner, "minimum", "maximum", "RANGE"),
        (inner, "minLength", "maxLength", "LENGTH"),
        (schema, "minItems", "maxItems", "ITEMS"),
    ] {
        match (schema.get(low), schema.get(high)) {
            (Some(low), Some(high)) => found.push((name, format!("{low} to {high}"))),
            (Some(low), None) => found.push((name, format!("{low} or more"))),
            (None, Some(high)) => found.push((name, format!("up to {high}"))),
            (None, None) => {}
        }
    }
    found
}

/// The rules across fields, those of a list's elements too.
fn rules(schema: &Value) -> Vec<String> {
    let inner = element(schema);
    let of = |schema: &Value| -> Vec<String> {
        let all = schema["x-kubernetes-validations"].as_array().into_iter().flatten();
        all.map(|rule| {
            format!("- {}", rule["message"].as_str().or(rule["rule"].as_str()).unwrap_or_default())
        })
        .collect()
    };
    let mut found = of(schema);
    if !std::ptr::eq(inner, schema) {
        found.extend(of(inner));
    }
    found
}

/// A paragraph in lines.
fn wrapped(text: &str, indent: &str) -> String {
    let mut out = String::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        if !line.is_empty() && indent.len() + line.chars().count() + 1 + word.chars().count() > WIDTH {
            let _ = writeln!(out, "{indent}{line}");
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    if !line.is_empty() {
        let _ = writeln!(out, "{indent}{line}");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paragraphs_are_broken_between_words() {
        let text = wrapped(&"word ".repeat(40), "  ");
        assert!(text.lines().all(|line| line.len() <= WIDTH && line.starts_with("  word")), "{text}");
        assert_eq!(text.split_whitespace().count(), 40);
        assert_eq!(wrapped("", "  "), "");
    }
}
