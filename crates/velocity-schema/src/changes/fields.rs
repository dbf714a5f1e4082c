//! Fields that came, went, were renamed or are otherwise now.

use super::{Change, Kind, turned};
use crate::field::{Field, FieldType, Reference};
use crate::schema::Schema;
use crate::spec::{OnDelete, Sensitivity};

/// What is different about the fields.
pub(super) fn changes(old: Option<&Schema>, new: &Schema) -> Vec<Change> {
    let mut found = Vec::new();
    let mut renamed: Vec<&str> = Vec::new();
    for field in new.fields() {
        let name = field.name.as_str();
        let before = match (old.and_then(|old| old.field(name)), earlier(field, old, new)) {
            (Some(same), _) => Some(same),
            (None, Some(source)) => {
                renamed.push(source.name.as_str());
                let text = format!("renamed from {}", source.name);
                found.push(Change::new(Kind::Changed, "field", name, text));
                Some(source)
            }
            (None, None) => None,
        };
        match before {
            Some(before) => {
                let details = differences(before, field);
                found.extend(details.into_iter().map(|text| Change::new(Kind::Changed, "field", name, text)));
            }
            // What every record has is no news.
            None if field.system || (old.is_none() && name == "id") => {}
            None => found.push(Change::new(Kind::Added, "field", name, whole(field))),
        }
    }
    let gone =
        old.map(Schema::fields).unwrap_or_default().iter().filter(|field| {
            new.field(field.name.as_str()).is_none() && !renamed.contains(&field.name.as_str())
        });
    found.extend(gone.map(|field| Change::new(Kind::Removed, "field", field.name.as_str(), whole(field))));
    found
}

/// The field that this one was, as the planner sees it: named by `renamedFrom`, and not there under its own name any more.
pub(super) fn earlier<'a>(field: &Field, old: Option<&'a Schema>, new: &Schema) -> Option<&'a Field> {
    let source = field.renamed_from.as_ref()?.as_str();
    old?.field(source).filter(|before| !before.system && new.field(source).is_none())
}

/// A field in one line: `string, required, unique`.
fn whole(field: &Field) -> String {
    let mut words = vec![type_words(&field.kind)];
    words.extend(
        constraints(&field.kind).into_iter().filter_map(|(name, value)| Some(format!("{name} {}", value?))),
    );
    words.extend(flags(field).into_iter().filter(|(_, is)| *is).map(|(name, _)| name.to_owned()));
    words.extend(default_words(field).map(|text| format!("default {text}")));
    words.extend(field.reference.as_ref().map(reference_words));
    words.join(", ")
}

fn differences(before: &Field, after: &Field) -> Vec<String> {
    let mut found = Vec::new();
    let (was, is) = (type_words(&before.kind), type_words(&after.kind));
    if was != is {
        found.push(format!("type {was} → {is}"));
    }
    enum_values(&before.kind, &after.kind, &mut found);
    let old = constraints(&before.kind);
    let new = constraints(&after.kind);
    for name in CONSTRAINTS {
        let of = |all: &[(&str, Option<String>)]| {
            all.iter()
                .find(|(other, _)| other == name)
                .and_then(|(_, value)| value.clone())
                .unwrap_or_default()
        };
        let (was, is) = (of(&old), of(&new));
        if was != is {
            found.push(format!("{name} {}", turned(&was, &is)));
        }
    }
    for ((name, was), (_, is)) in flags(before).into_iter().zip(flags(after)) {
        match (was, is) {
            (false, true) => found.push(format!("now {name}")),
            (true, false) => found.push(format!("no longer {name}")),
            _ => {}
        }
    }
    let mut text = |name: &str, was: Option<String>, is: Option<String>| {
        if was != is {
            found.push(format!("{name} {}", turned(&was.unwrap_or_default(), &is.unwrap_or_default())));
        }
    };
    text("default", default_words(before), default_words(after));
    let reference = |field: &Field| field.reference.as_ref().map(reference_words);
    text("reference", reference(before), reference(after));
    text("sensitivity", Some(sensitivity(before)), Some(sensitivity(after)));
    text("description", before.description.clone(), after.description.clone());
    found
}

/// `number(18,2)`, `string[]`.
fn type_words(kind: &FieldType) -> String {
    match kind {
        FieldType::Number { precision, scale, .. } => format!("number({precision},{scale})"),
        FieldType::Array { items, .. } => format!("{}[]", type_words(items)),
        other => other.name().to_owned(),
    }
}

fn enum_values(before: &FieldType, after: &FieldType, found: &mut Vec<String>) {
    let (FieldType::Enum { values: old }, FieldType::Enum { values: new }) = (before, after) else { return };
    let only = |all: &[String], other: &[String]| {
        all.iter().filter(|value| !other.contains(value)).cloned().collect::<Vec<_>>().join(", ")
    };
    let (gone, come) = (only(old, new), only(new, old));
    if !come.is_empty() {
        found.push(format!("enum gains {come}"));
    }
    if !gone.is_empty() {
        found.push(format!("enum loses {gone}"));
    }
    if come.is_empty() && gone.is_empty() && old != new {
        found.push("enum has another order".to_owned());
    }
}

/// In the order in which they are told.
const CONSTRAINTS: &[&str] =
    &["minLength", "maxLength", "pattern", "min", "max", "maxSize", "minItems", "maxItems", "uniqueItems"];

fn constraints(kind: &FieldType) -> Vec<(&'static str, Option<String>)> {
    fn text<T: ToString>(value: Option<&T>) -> Option<String> {
        value.map(T::to_string)
    }
    match kind {
        FieldType::String { min_length, max_length, pattern } => vec![
            ("minLength", text(min_length.as_ref())),
            ("maxLength", text(max_length.as_ref())),
            ("pattern", pattern.as_ref().map(|pattern| pattern.0.as_str().to_owned())),
        ],
        FieldType::Integer { min, max } => vec![("min", text(min.as_ref())), ("max", text(max.as_ref()))],
        FieldType::Number { min, max, .. } => vec![
            ("min", min.as_ref().map(crate::decimal::to_text)),
            ("max", max.as_ref().map(crate::decimal::to_text)),
        ],
        FieldType::Bytes { max_size } => vec![("maxSize", text(max_size.as_ref()))],
        FieldType::Array { items, min_items, max_items, unique_items } => {
            let mut all = constraints(items);
            all.extend([
                ("minItems", text(min_items.as_ref())),
                ("maxItems", text(max_items.as_ref())),
                ("uniqueItems", unique_items.then(|| "yes".to_owned())),
            ]);
            all
        }
        FieldType::Enum { values } => vec![("values", Some(values.join(" | ")))],
        FieldType::Boolean
        | FieldType::Timestamp
        | FieldType::Date
        | FieldType::Time
        | FieldType::Json
        | FieldType::Uuid => Vec::new(),
    }
}

fn flags(field: &Field) -> [(&'static str, bool); 7] {
    [
        ("required", field.required),
        ("unique", field.unique),
        ("filterable", field.filterable),
        ("sortable", field.sortable),
        ("immutable", field.immutable),
        ("filled in by the platform", field.auto_populated),
        ("deprecated", field.deprecated),
    ]
}

fn default_words(field: &Field) -> Option<String> {
    let default = field.default.as_ref()?;
    let mut text = String::new();
    default.write_json(&mut text);
    Some(text)
}

fn reference_words(reference: &Reference) -> String {
    let end = match (reference.enforce, reference.on_delete) {
        (false, _) => ", not enforced",
        (true, OnDelete::Restrict) => "",
        (true, OnDelete::Cascade) => ", deleted with it",
        (true, OnDelete::SetNull) => ", emptied when it is deleted",
    };
    format!("points to {}.{}{end}", reference.target, reference.field)
}

fn sensitivity(field: &Field) -> String {
    let word = match field.sensitivity {
        Sensitivity::None => "none",
        Sensitivity::Internal => "internal",
        Sensitivity::Pii => "pii",
        Sensitivity::Financial => "financial",
        Sensitivity::Confidential => "confidential",
    };
    word.to_owned()
}
