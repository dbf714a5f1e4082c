//! From the header of a file to the fields of a schema.

use std::collections::HashMap;

use velocity_schema::violation::did_you_mean;

use crate::failure::{Failure, Outcome};
use crate::server::{Kind, Shape};

/// `--map COLUMN=FIELD`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mapping {
    pub(super) column: String,
    /// Nothing: the column is left out.
    pub(super) field: Option<String>,
}

pub(super) fn mapping(text: &str) -> Result<Mapping, String> {
    // A field has no `=`, a column may.
    let (column, field) =
        text.rsplit_once('=').ok_or("write it as COLUMN=FIELD, or COLUMN=- to leave it out")?;
    if field.is_empty() || column.is_empty() {
        return Err("write it as COLUMN=FIELD, or COLUMN=- to leave it out".to_owned());
    }
    Ok(Mapping { column: column.to_owned(), field: Some(field.to_owned()).filter(|field| field != "-") })
}

/// What a column of the file is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Column {
    /// The start of its member in a record: `"field":`.
    pub(super) key: String,
    pub(super) field: String,
    pub(super) kind: Kind,
}

/// The columns in the order of the file; nothing for those that are left out. Every mistake at once.
pub(super) fn resolve(header: &[String], maps: &[Mapping], shape: &Shape) -> Outcome<Vec<Option<Column>>> {
    let mut mistakes = unused(header, maps);
    let mut taken: HashMap<&str, &str> = HashMap::new();
    let mut columns = Vec::new();
    let mut seen = std::collections::HashSet::new();
    for name in header {
        if !seen.insert(name) {
            mistakes.push(format!("column `{name}` is there twice"));
        }
        let field = match maps.iter().find(|map| map.column == *name) {
            Some(Mapping { field: None, .. }) => {
                columns.push(None);
                continue;
            }
            Some(Mapping { field: Some(field), .. }) => field,
            None => name,
        };
        if let Some(other) = taken.insert(field, name).filter(|other| *other != name) {
            mistakes.push(format!("columns `{other}` and `{name}` both go to field `{field}`"));
        }
        match shape.fields.get(field) {
            None => mistakes.push(unknown(name, field, shape)),
            Some(known) if known.read_only => mistakes.push(format!(
                "column `{name}`: the platform keeps `{field}` itself; leave it out with --map '{name}=-'"
            )),
            Some(known) => columns.push(Some(Column {
                key: format!("{}:", serde_json::Value::from(field.as_str())),
                field: field.clone(),
                kind: known.kind,
            })),
        }
    }
    if mistakes.is_empty() && columns.iter().all(Option::is_none) {
        mistakes.push("no column is left".to_owned());
    }
    if mistakes.is_empty() {
        return Ok(columns);
    }
    Err(Failure::usage("the columns of the file are not those of the schema")
        .with_details(mistakes)
        .with_help("--map COLUMN=FIELD names the field of a column, --map COLUMN=- leaves the column out"))
}

fn unknown(column: &str, field: &str, shape: &Shape) -> String {
    let writable = shape.fields.iter().filter(|(_, field)| !field.read_only).map(|(name, _)| name.as_str());
    let near = did_you_mean(field, writable);
    if column == field {
        format!("column `{column}`: the schema has no such field{near}")
    } else {
        format!("column `{column}` is mapped to `{field}`, which the schema does not have{near}")
    }
}

fn unused(header: &[String], maps: &[Mapping]) -> Vec<String> {
    maps.iter()
        .filter(|map| !header.contains(&map.column))
        .map(|map| {
            let near = did_you_mean(&map.column, header.iter().map(String::as_str));
            format!("--map {}: the file has no such column{near}", map.column)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::FieldShape;

    fn shape() -> Shape {
        let fields =
            [("id", Kind::Text, false), ("amount", Kind::Number, false), ("version", Kind::Integer, true)]
                .into_iter()
                .map(|(name, kind, read_only)| (name.to_owned(), FieldShape { kind, read_only }))
                .collect();
        Shape { fields, refers_to_itself: false }
    }

    fn columns(header: &str, maps: &[&str]) -> Result<Vec<Option<String>>, String> {
        let header: Vec<String> = header.split(',').map(str::to_owned).collect();
        let maps: Vec<Mapping> = maps.iter().map(|map| mapping(map).unwrap()).collect();
        resolve(&header, &maps, &shape())
            .map(|columns| columns.into_iter().map(|column| Some(column?.field)).collect())
            .map_err(|failure| failure.all())
    }

    #[test]
    fn the_header_names_the_fields_unless_mapped() {
        assert_eq!(columns("amount,id", &[]).unwrap(), [Some("amount".to_owned()), Some("id".to_owned())]);
        assert_eq!(
            columns("Total,note,id", &["Total=amount", "note=-"]).unwrap(),
            [Some("amount".to_owned()), None, Some("id".to_owned())]
        );
    }

    #[test]
    fn every_mistake_is_told_at_once_with_the_way_out() {
        let told = columns("id,amout,version,id", &["ammount=amount"]).unwrap_err();
        for part in [
            "`amout`: the schema has no such field (did you mean `amount`?)",
            "--map 'version=-'",
            "twice",
            "no such column",
        ] {
            assert!(told.contains(part), "{part} in {told}");
        }
        assert!(columns("a,id", &["a=id"]).unwrap_err().contains("both go to field `id`"));
        assert!(columns("a", &["a=-"]).unwrap_err().contains("no column is left"));
    }
}
