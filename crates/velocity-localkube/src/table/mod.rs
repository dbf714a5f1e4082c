//! Objects as rows of a table: what `kubectl get` prints.

mod duration;
mod json_path;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

pub(crate) use duration::human_duration;
pub(crate) use json_path::{JsonPath, PathError};

const NAME_DESCRIPTION: &str = "The object's name, unique in its namespace. It cannot be changed.";

const AGE_DESCRIPTION: &str = "How long ago the object was created.";

/// A printer column that cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ColumnError {
    #[error("a column cannot be read")]
    Shape(#[from] serde_json::Error),
    #[error("column {name}")]
    Path { name: String, source: PathError },
}

#[derive(Debug)]
enum Source {
    Path(JsonPath),
    Computed(fn(&Value, Timestamp) -> Value),
}

/// One column after the name.
#[derive(Debug)]
pub(crate) struct Column {
    name: String,
    kind: String,
    format: String,
    description: String,
    priority: i32,
    source: Source,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Manifest {
    name: String,
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    format: String,
    #[serde(default)]
    description: String,
    #[serde(default)]
    priority: i32,
    json_path: String,
}

impl Column {
    pub(crate) fn computed(
        name: &str,
        kind: &str,
        priority: i32,
        cell: fn(&Value, Timestamp) -> Value,
    ) -> Self {
        Self {
            name: name.to_owned(),
            kind: kind.to_owned(),
            format: String::new(),
            description: String::new(),
            priority,
            source: Source::Computed(cell),
        }
    }

    pub(crate) fn formatted(mut self, format: &str) -> Self {
        format.clone_into(&mut self.format);
        self
    }

    /// `additionalPrinterColumns`; none means the age.
    pub(crate) fn of_definition(columns: &[Value]) -> Result<Vec<Self>, ColumnError> {
        if columns.is_empty() {
            let path = JsonPath::parse(".metadata.creationTimestamp")
                .map_err(|source| ColumnError::Path { name: "Age".to_owned(), source })?;
            return Ok(vec![Self {
                name: "Age".to_owned(),
                kind: "date".to_owned(),
                format: String::new(),
                description: AGE_DESCRIPTION.to_owned(),
                priority: 0,
                source: Source::Path(path),
            }]);
        }
        columns.iter().map(Self::from_manifest).collect()
    }

    fn from_manifest(column: &Value) -> Result<Self, ColumnError> {
        let column = Manifest::deserialize(column)?;
        let path = JsonPath::parse(&column.json_path)
            .map_err(|source| ColumnError::Path { name: column.name.clone(), source })?;
        let description = if column.description.is_empty() {
            format!("Custom resource definition column (in JSONPath format): {}", column.json_path)
        } else {
            column.description
        };
        Ok(Self {
            name: column.name,
            kind: column.kind,
            format: column.format,
            description,
            priority: column.priority,
            source: Source::Path(path),
        })
    }

    fn cell(&self, object: &Value, now: Timestamp) -> Value {
        match &self.source {
            Source::Computed(cell) => cell(object, now),
            Source::Path(path) => {
                path.find(object).first().map_or(Value::Null, |value| typed_cell(&self.kind, value, now))
            }
        }
    }

    fn definition(&self) -> Value {
        json!({
            "name": self.name, "type": self.kind, "format": self.format,
            "description": self.description, "priority": self.priority,
        })
    }
}

fn typed_cell(kind: &str, value: &Value, now: Timestamp) -> Value {
    match (kind, value) {
        ("string", Value::String(text)) => json!(text),
        ("string", Value::Null) => Value::Null,
        ("string", other) => json!(other.to_string()),
        #[expect(clippy::cast_possible_truncation, reason = "Go converts the float the same way")]
        ("integer", Value::Number(number)) => {
            number.as_i64().or(number.as_f64().map(|float| float as i64)).map_or(Value::Null, |n| json!(n))
        }
        ("number", Value::Number(number)) => json!(number),
        ("boolean", Value::Bool(truth)) => json!(truth),
        ("date", Value::String(text)) => match text.parse::<Timestamp>() {
            Ok(time) => json!(human_duration(now.duration_since(time))),
            Err(_) => json!("<invalid>"),
        },
        _ => Value::Null,
    }
}

/// How long ago a timestamp was, `<unknown>` without one.
pub(crate) fn age_since(timestamp: &Value, now: Timestamp) -> Value {
    match timestamp.as_str().map(str::parse::<Timestamp>) {
        Some(Ok(time)) => json!(human_duration(now.duration_since(time))),
        _ => json!("<unknown>"),
    }
}

/// What goes beside the cells of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RowObject {
    None,
    Metadata,
    Object,
}

/// A `Table` of `objects`; `named` puts the object's name first.
pub(crate) fn table(
    columns: &[Column],
    named: bool,
    objects: &[Value],
    list_metadata: &Value,
    row: RowObject,
    headers: bool,
    now: Timestamp,
) -> Value {
    let mut table = json!({
        "kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": list_metadata,
        "rows": objects.iter().map(|object| {
            let mut cells = Vec::with_capacity(columns.len() + 1);
            if named {
                cells.push(object["metadata"]["name"].clone());
            }
            cells.extend(columns.iter().map(|column| column.cell(object, now)));
            row_of(&cells, object, row)
        }).collect::<Vec<_>>(),
    });
    let mut definitions = Vec::new();
    if headers {
        if named {
            definitions.push(json!({
                "name": "Name", "type": "string", "format": "name",
                "description": NAME_DESCRIPTION, "priority": 0,
            }));
        }
        definitions.extend(columns.iter().map(Column::definition));
    }
    table["columnDefinitions"] = if headers { json!(definitions) } else { Value::Null };
    table
}

fn row_of(cells: &[Value], object: &Value, row: RowObject) -> Value {
    let beside = match row {
        RowObject::None => Value::Null,
        RowObject::Object => object.clone(),
        RowObject::Metadata => partial_metadata(object),
    };
    json!({ "cells": cells, "object": beside })
}

/// An object without anything but its metadata.
pub(crate) fn partial_metadata(object: &Value) -> Value {
    json!({
        "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": object["metadata"].clone(),
    })
}
