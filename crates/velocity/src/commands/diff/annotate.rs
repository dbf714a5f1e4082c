//! GitHub's workflow commands, so that a pull request shows what a change would do. Pure.

use std::fmt::Write;

use velocity_contract::plan::{AccessChange, SchemaPlan};
use velocity_contract::status::OperationClass;
use velocity_schema::Schema;

use super::super::validate::{data, property};
use crate::manifest::Document;

/// A line for each step that needs data or an approval, and for each right that is won, lost or another.
pub(super) fn lines(document: &Document, schema: &Schema, plan: &SchemaPlan) -> String {
    let mut out = String::new();
    let mut line = |level: &str, path: &str, title: &str, text: &str| {
        let _ = writeln!(
            out,
            "::{level} file={},line={},title={}::{}",
            property(&document.file),
            document.line(path),
            property(&format!("{} {title}", document.display())),
            data(text)
        );
    };
    for operation in &plan.operations {
        let level = match operation.class {
            OperationClass::Safe => continue,
            OperationClass::NeedsData => "warning",
            OperationClass::Breaking => "error",
        };
        let reason = operation.reason.as_ref().map_or_else(String::new, |reason| format!(": {reason}"));
        let text = format!("{}{reason} (lock: {})", operation.summary, operation.lock);
        line(
            level,
            &place(document, schema, &operation.summary),
            super::text::class_words(operation.class),
            &text,
        );
    }
    for change in &plan.access {
        // Whoever reviews wants to see who gets in as well as who is shut out, which breaks clients.
        let level = if super::text::access_sign(change) == '+' { "notice" } else { "warning" };
        line(level, &access_place(document, change), "access", &super::text::access_words(change));
    }
    out
}

/// The part of the access block that it comes from.
fn access_place(document: &Document, change: &AccessChange) -> String {
    let access = &document.value["spec"]["access"];
    let part = match (&change.field, change.change.split(' ').next()) {
        (Some(field), _) => {
            let rules = access["fieldAccess"].as_array().map(Vec::as_slice).unwrap_or_default();
            match rules.iter().position(|rule| rule["field"] == **field) {
                Some(position) => format!("fieldAccess[{position}]"),
                None => "fieldAccess".to_owned(),
            }
        }
        (None, Some("condition")) => "abac".to_owned(),
        (None, Some("row")) => "rowFilter".to_owned(),
        (None, _) => format!("roles.{}", change.operation),
    };
    format!("spec.access.{part}")
}

/// Where the step comes from: the field that it names, else the fields as a whole.
fn place(document: &Document, schema: &Schema, summary: &str) -> String {
    let words: Vec<&str> = summary
        .split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
        .filter(|word| !word.is_empty())
        .collect();
    let declared = document.value["spec"]["fields"].as_array().map(Vec::as_slice).unwrap_or_default();
    let named = declared.iter().position(|field| {
        let name = field["name"].as_str().unwrap_or_default();
        words.contains(&name) && schema.field(name).is_some()
    });
    named.map_or_else(|| "spec.fields".to_owned(), |position| format!("spec.fields[{position}]"))
}
