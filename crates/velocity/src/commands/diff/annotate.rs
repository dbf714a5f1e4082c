//! GitHub's workflow commands, so that a pull request shows what a change would do. Pure.

use std::fmt::Write;

use velocity_contract::plan::SchemaPlan;
use velocity_contract::status::OperationClass;
use velocity_schema::Schema;

use super::super::validate::{data, property};
use crate::manifest::Document;

/// A line for each step that needs data or an approval, and for each right that is lost.
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
    for change in plan.access.iter().filter(|change| change.change != "gains") {
        let text = super::text::access_words(change);
        line("warning", "spec.access", "access", &text);
    }
    out
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
