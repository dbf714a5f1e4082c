//! Indexes: those that unique and filterable fields bring, and those that the schema asks for.

use velocity_schema::field::FieldType;
use velocity_schema::{FieldName, Schema};

use crate::condition;
use crate::frag;
use crate::fragment::Fragment;
use crate::ident::Ident;
use crate::names::TableNames;

/// How an index is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IndexKind {
    /// Behind a unique constraint.
    Unique,
    /// Ordered.
    Btree,
    /// Containment in json and arrays.
    Gin,
}

/// An index that a schema needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedIndex {
    /// Its name, and its constraint's where it is unique.
    pub name: Ident,
    /// How it is made.
    pub kind: IndexKind,
    /// `("a", "b" desc) where …` or `using gin (…)`: all behind the table's name.
    pub tail: String,
    /// For people: `status, -created_at`.
    pub shown: String,
}

impl WantedIndex {
    /// `create [unique] index [concurrently] …`
    pub fn create(&self, names: &TableNames, concurrently: bool) -> String {
        frag![
            "create ",
            if self.kind == IndexKind::Unique { "unique " } else { "" },
            "index ",
            if concurrently { "concurrently " } else { "" },
            &self.name,
            " on ",
            names.table_sql(),
        ]
        .inline()
            + " "
            + &self.tail
    }
}

/// All indexes of a schema besides the primary key's.
pub fn wanted_indexes(schema: &Schema, names: &TableNames) -> Vec<WantedIndex> {
    let mut all: Vec<WantedIndex> =
        unique_fields(schema).iter().map(|fields| unique(fields, names)).collect();
    for field in schema.fields() {
        let name = field.name.as_str();
        if name == "id" || field.unique {
            continue;
        }
        match &field.kind {
            FieldType::Json if field.filterable => all.push(WantedIndex {
                name: names.on_fields([name], "gin"),
                kind: IndexKind::Gin,
                tail: frag!["using gin (", &Ident::from(&field.name), " jsonb_path_ops)"].inline(),
                shown: name.to_owned(),
            }),
            FieldType::Array { .. } if field.filterable => all.push(WantedIndex {
                name: names.on_fields([name], "gin"),
                kind: IndexKind::Gin,
                tail: frag!["using gin (", &Ident::from(&field.name), ")"].inline(),
                shown: name.to_owned(),
            }),
            FieldType::Json | FieldType::Array { .. } | FieldType::Bytes { .. } => {}
            // A foreign key's column is looked up when its target is deleted.
            _ if field.filterable
                || field.sortable
                || field.reference.as_ref().is_some_and(|r| r.enforce) =>
            {
                all.push(WantedIndex {
                    name: names.on_fields([name], "idx"),
                    kind: IndexKind::Btree,
                    tail: frag!["(", &Ident::from(&field.name), ", \"id\")"].inline(),
                    shown: name.to_owned(),
                });
            }
            _ => {}
        }
    }
    all.extend(schema.indexes().iter().map(|index| requested(index, names)));
    all
}

/// Every combination of fields that is unique: fields alone first, then the constraints in the schema's order.
pub fn unique_fields(schema: &Schema) -> Vec<Vec<FieldName>> {
    let alone = schema.fields().iter().filter(|field| field.unique).map(|field| vec![field.name.clone()]);
    alone.chain(schema.unique().iter().cloned()).collect()
}

fn unique(fields: &[FieldName], names: &TableNames) -> WantedIndex {
    let columns = Fragment::join(fields.iter().map(|field| Fragment::ident(&Ident::from(field))), ", ");
    WantedIndex {
        name: names.on_fields(fields.iter().map(FieldName::as_str), "key"),
        kind: IndexKind::Unique,
        tail: columns.parenthesised().inline(),
        shown: fields.iter().map(FieldName::as_str).collect::<Vec<_>>().join(", "),
    }
}

fn requested(index: &velocity_schema::schema::Index, names: &TableNames) -> WantedIndex {
    let shown: Vec<String> = index
        .keys
        .iter()
        .map(|key| format!("{}{}", if key.descending { "-" } else { "" }, key.field))
        .collect();
    let columns = Fragment::join(
        index
            .keys
            .iter()
            .map(|key| frag![&Ident::from(&key.field), if key.descending { " desc" } else { "" }]),
        ", ",
    );
    let condition = index.condition.as_ref().map_or_else(Fragment::empty, |filter| {
        frag![" where ", condition::to_sql(filter, &|name| Fragment::ident(&Ident::from(name)))]
    });
    let tail = frag![columns.parenthesised(), condition].inline();
    let words: Vec<String> = shown.iter().map(|word| word.replace('-', "desc:")).collect();
    // The condition is part of the name, so that two partial indexes on the same fields stay apart.
    let suffix = index
        .condition
        .as_ref()
        .map_or_else(|| "index".to_owned(), |filter| format!("{}_index", tag(filter.source())));
    WantedIndex {
        name: names.on_fields(words.iter().map(String::as_str), &suffix),
        kind: IndexKind::Btree,
        tail,
        shown: shown.join(", "),
    }
}

/// Eight hex digits that stand for a text.
fn tag(text: &str) -> String {
    super::plan::fingerprint(text).chars().take(8).collect()
}
