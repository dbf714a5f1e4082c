//! Indexes: those that unique and filterable fields bring, and those that the schema asks for.

use velocity_schema::field::FieldType;
use velocity_schema::schema::Tier;
use velocity_schema::{FieldName, Schema};

use crate::condition;
use crate::frag;
use crate::fragment::Fragment;
use crate::ident::Ident;
use crate::names::TableNames;
use crate::search;

/// How an index is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IndexKind {
    /// Behind a unique constraint.
    Unique,
    /// Ordered.
    Btree,
    /// Containment in json and arrays.
    Gin,
    /// Words of texts.
    Words,
    /// Pieces of texts; the extension pg_trgm makes it possible.
    Trigrams,
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
    /// The fields of a unique one; none of the others.
    pub fields: Vec<FieldName>,
}

impl WantedIndex {
    /// `create [unique] index [concurrently] …` under a name.
    pub(super) fn create_as(&self, name: &Ident, names: &TableNames, concurrently: bool) -> String {
        frag![
            "create ",
            if self.kind == IndexKind::Unique { "unique " } else { "" },
            "index ",
            if concurrently { "concurrently " } else { "" },
            name,
            " on ",
            names.table_sql(),
        ]
        .inline()
            + " "
            + &self.tail
    }

    /// The same, where the extension that brings the operator class is in a Postgres schema.
    pub(super) fn in_reach_of(mut self, extension: &Ident) -> Self {
        if let Some(head) = self.tail.strip_suffix(TRIGRAM_CLASS) {
            self.tail = format!("{head}{}.{TRIGRAM_CLASS}", extension.quoted());
        }
        self
    }
}

/// How a trigram index ends. The operator class goes without its Postgres schema, which people may choose: it is no part of what
/// the index is.
const TRIGRAM_CLASS: &str = "gin_trgm_ops)";

/// How a field is written in an index.
type Column<'a> = &'a dyn Fn(&FieldName) -> Fragment;
/// What a field is called in an index's name.
type Word<'a> = &'a dyn Fn(&FieldName) -> String;

/// All indexes of a schema besides the primary key's.
pub fn wanted_indexes(schema: &Schema, names: &TableNames) -> Vec<WantedIndex> {
    indexes_on(schema, names, &|field| Fragment::ident(&Ident::from(field)))
}

/// The same on columns that have other names for now; the indexes' names are the final ones.
pub(super) fn indexes_on(schema: &Schema, names: &TableNames, column: Column<'_>) -> Vec<WantedIndex> {
    build(schema, names, column, &FieldName::to_string)
}

/// The same indexes, in the same order, where fields are called otherwise: in their names and on their columns.
pub(super) fn indexes_called(schema: &Schema, names: &TableNames, word: Word<'_>) -> Vec<WantedIndex> {
    build(schema, names, &|field| Fragment::ident(&Ident::fitted(&word(field))), word)
}

fn build(schema: &Schema, names: &TableNames, column: Column<'_>, word: Word<'_>) -> Vec<WantedIndex> {
    let mut all: Vec<WantedIndex> =
        unique_fields(schema).iter().map(|fields| unique(fields, names, column, word)).collect();
    for field in schema.fields() {
        let name = field.name.as_str();
        if name == "id" || field.unique {
            continue;
        }
        match &field.kind {
            FieldType::Json if field.filterable => all.push(WantedIndex {
                name: names.on_fields([word(&field.name).as_str()], "gin"),
                kind: IndexKind::Gin,
                tail: frag!["using gin (", column(&field.name), " jsonb_path_ops)"].inline(),
                shown: name.to_owned(),
                fields: Vec::new(),
            }),
            FieldType::Array { .. } if field.filterable => all.push(WantedIndex {
                name: names.on_fields([word(&field.name).as_str()], "gin"),
                kind: IndexKind::Gin,
                tail: frag!["using gin (", column(&field.name), ")"].inline(),
                shown: name.to_owned(),
                fields: Vec::new(),
            }),
            FieldType::Json | FieldType::Array { .. } | FieldType::Bytes { .. } => {}
            // A foreign key's column is looked up when its target is deleted.
            _ if field.filterable
                || field.sortable
                || field.reference.as_ref().is_some_and(|r| r.enforce) =>
            {
                all.push(WantedIndex {
                    name: names.on_fields([word(&field.name).as_str()], "idx"),
                    kind: IndexKind::Btree,
                    tail: frag!["(", column(&field.name), ", \"id\")"].inline(),
                    shown: name.to_owned(),
                    fields: Vec::new(),
                });
            }
            _ => {}
        }
    }
    all.extend(schema.indexes().iter().map(|index| requested(index, names, column, word)));
    all.extend(searched(schema, names, column, word));
    all
}

/// What a search is looked up in. Tier and language are part of the names: another tier is another index, built while this one is
/// still in use.
fn searched(schema: &Schema, names: &TableNames, column: Column<'_>, word: Word<'_>) -> Vec<WantedIndex> {
    let Some(wanted) = schema.search() else { return Vec::new() };
    let index = |fields: &[FieldName], suffix: &str, kind, tail: Fragment| {
        let words: Vec<String> = fields.iter().map(word).collect();
        let shown: Vec<&str> = fields.iter().map(FieldName::as_str).collect();
        WantedIndex {
            name: names.on_fields(words.iter().map(String::as_str), suffix),
            kind,
            tail: tail.inline(),
            shown: format!("{} for search", shown.join(", ")),
            fields: Vec::new(),
        }
    };
    match wanted.tier {
        Tier::Pieces => {
            let one = |field: &FieldName| {
                let tail = frag!["using gin (", search::pieces(column(field)), " ", TRIGRAM_CLASS];
                index(std::slice::from_ref(field), "pieces", IndexKind::Trigrams, tail)
            };
            wanted.fields.iter().map(one).collect()
        }
        Tier::Words(language) => {
            let words = search::words(language, wanted.fields.iter().map(column));
            let tail = frag!["using gin (", words, ")"];
            vec![index(&wanted.fields, &format!("words_{language}"), IndexKind::Words, tail)]
        }
    }
}

/// Every combination of fields that is unique: fields alone first, then the constraints in the schema's order.
pub fn unique_fields(schema: &Schema) -> Vec<Vec<FieldName>> {
    let alone = schema.fields().iter().filter(|field| field.unique).map(|field| vec![field.name.clone()]);
    alone.chain(schema.unique().iter().cloned()).collect()
}

fn unique(fields: &[FieldName], names: &TableNames, column: Column<'_>, word: Word<'_>) -> WantedIndex {
    let columns = Fragment::join(fields.iter().map(column), ", ");
    let words: Vec<String> = fields.iter().map(word).collect();
    WantedIndex {
        name: names.on_fields(words.iter().map(String::as_str), "key"),
        kind: IndexKind::Unique,
        tail: columns.parenthesised().inline(),
        shown: fields.iter().map(FieldName::as_str).collect::<Vec<_>>().join(", "),
        fields: fields.to_vec(),
    }
}

fn requested(
    index: &velocity_schema::schema::Index,
    names: &TableNames,
    column: Column<'_>,
    word: Word<'_>,
) -> WantedIndex {
    let shown: Vec<String> = index
        .keys
        .iter()
        .map(|key| format!("{}{}", if key.descending { "-" } else { "" }, key.field))
        .collect();
    let columns = Fragment::join(
        index.keys.iter().map(|key| frag![column(&key.field), if key.descending { " desc" } else { "" }]),
        ", ",
    );
    let condition = index
        .condition
        .as_ref()
        .map_or_else(Fragment::empty, |filter| frag![" where ", condition::to_sql(filter, column)]);
    let tail = frag![columns.parenthesised(), condition].inline();
    let words: Vec<String> = index
        .keys
        .iter()
        .map(|key| format!("{}{}", if key.descending { "desc:" } else { "" }, word(&key.field)))
        .collect();
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
        fields: Vec::new(),
    }
}

/// Eight hex digits that stand for a text.
fn tag(text: &str) -> String {
    super::plan::fingerprint(text).chars().take(8).collect()
}
