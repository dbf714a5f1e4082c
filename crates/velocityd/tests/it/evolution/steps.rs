//! The specs, one after the other.

use std::collections::BTreeSet;
use std::fmt::Write as _;

/// What a step changes, in words.
pub(crate) struct Step {
    pub(crate) what: &'static str,
    /// Whether somebody has to agree.
    pub(crate) breaking: bool,
}

const fn step(what: &'static str) -> Step {
    Step { what, breaking: false }
}

const ADDED: usize = 1;
const INDEXED: usize = 2;
const REQUIRED: usize = 3;
const DEFAULTED: usize = 4;
const REFERENCED: usize = 5;
const WIDENED: usize = 6;
const PRECISE: usize = 7;
const RENAMED: usize = 8;
const ENUMERATED: usize = 9;
const UNIQUE: usize = 10;
pub(crate) const FILTERED: usize = 11;
const DROPPED: usize = 12;
const RESTORED: usize = 13;

/// What happens to the table.
pub(crate) const STEPS: [Step; 14] = [
    step("the first spec"),
    step("a column added"),
    step("an index built"),
    step("NOT NULL without a default"),
    step("NOT NULL with a default"),
    step("a foreign key added"),
    step("integer to number"),
    step("more precision"),
    step("a field renamed"),
    step("a value of an enum added"),
    step("unique added"),
    step("roles and a row filter changed"),
    Step { what: "a field dropped", breaking: true },
    step("the field restored"),
];

pub(crate) const DEPOT: &str = "
fields:
  - {name: name, type: string}
access: {roles: {create: [writer], read: [writer, reader]}}
";

/// The spec after a step.
pub(crate) fn spec(number: usize) -> String {
    let after = |step: usize| number >= step;
    let pick =
        |step: usize, then: &'static str, before: &'static str| if after(step) { then } else { before };
    let mut fields = vec![
        format!(
            "code, type: string, required: true, maxLength: 40, filterable: true, sortable: true{}",
            pick(UNIQUE, ", unique: true", "")
        ),
        format!(
            "amount, {}, filterable: true, sortable: true",
            pick(WIDENED, "type: number, precision: 20, scale: 2", "type: integer")
        ),
        format!("price, type: number, precision: {}, scale: 2", pick(PRECISE, "18", "10")),
        format!(
            "status, type: enum, default: new, filterable: true, enum: {}",
            pick(ENUMERATED, "[new, sent, done, lost]", "[new, sent, done]")
        ),
        "region, type: string, filterable: true".to_owned(),
        format!("note, type: string{}", pick(REQUIRED, ", required: true", "")),
        format!("grade, type: string{}", pick(DEFAULTED, ", required: true, default: A", "")),
        format!("depot, type: uuid{}", pick(REFERENCED, ", ref: {object: depot, version: v1}", "")),
        pick(RENAMED, "place, type: string, renamedFrom: shelf", "shelf, type: string").to_owned(),
    ];
    if after(ADDED) {
        fields.push("added, type: string, default: x".to_owned());
    }
    if !after(DROPPED) || after(RESTORED) {
        fields.push("extra, type: string".to_owned());
    }
    let mut text = "fields:\n".to_owned();
    for field in fields {
        let _ = writeln!(text, "  - {{name: {field}}}");
    }
    if after(INDEXED) {
        text.push_str("indexes:\n  - {fields: [status, -created_at]}\n");
    }
    text.push_str("access:\n  roles:\n    create: [writer]\n    update: [writer]\n    history: [writer]\n");
    text.push_str(pick(FILTERED, FILTER, "    read: [writer, regional]\n"));
    text
}

const FILTER: &str = r#"    read: [writer, regional, auditor]
  rowFilter:
    - {role: regional, condition: "record.region == 'west'"}
"#;

/// The fields of a record after a step.
pub(crate) fn fields(number: usize) -> BTreeSet<String> {
    let mut names: BTreeSet<String> =
        ["id", "version", "created_at", "created_by", "updated_at", "updated_by"]
            .into_iter()
            .map(str::to_owned)
            .collect();
    for line in spec(number).lines() {
        if let Some(rest) = line.strip_prefix("  - {name: ") {
            names.insert(rest.split(',').next().unwrap_or(rest).to_owned());
        }
    }
    names
}

/// Whether amounts have decimals after a step.
pub(crate) fn amounts_are_decimal(number: usize) -> bool {
    number >= WIDENED
}
