//! The live table as it will be once fields have their new names, and where the value of each field is until then.

use std::collections::{BTreeMap, BTreeSet};

use velocity_schema::{Field, FieldName, Schema};

use super::conversion::{self, Conversion};
use super::fingerprint;
use crate::ddl::columns::{check_name, foreign_keys, rules};
use crate::ddl::indexes::{indexes_called, wanted_indexes};
use crate::ddl::live::{Live, LiveTable, TrashedColumn};
use crate::fragment::Fragment;
use crate::ident::Ident;
use crate::names::TableNames;
use crate::sql_type::column_type;

/// Where the values of a field are before the switch.
pub(super) enum Source {
    /// Nowhere: the column is yet to be made.
    New,
    /// In its column.
    Column,
    /// In a column that is to be renamed.
    Renamed(Ident),
    /// In the trash.
    Restored(TrashedColumn),
    /// In a column of another type; a shadow column of the new type is filled beside it.
    Converted { column: Ident, conversion: Conversion, shadow: Ident },
    /// In a column of another type that there is no way from, or that must not change.
    Stuck { live: String, why: String },
}

/// A constraint or index that gets another name because a field does.
pub(super) struct Renaming {
    /// `constraint` or `index`.
    pub(super) kind: &'static str,
    pub(super) from: Ident,
    pub(super) to: Ident,
    /// The new fingerprint of its source, where the source names the field.
    pub(super) source: Option<String>,
}

/// What a plan for an existing table starts from.
pub(super) struct Base<'a> {
    pub(super) schema: &'a Schema,
    pub(super) names: &'a TableNames,
    pub(super) live: &'a Live,
    /// The table, with the new names of renamed fields.
    pub(super) table: LiveTable,
    sources: BTreeMap<String, Source>,
    /// Old and new names.
    pub(super) renames: Vec<(Ident, Ident)>,
    pub(super) renamings: Vec<Renaming>,
    /// `index x` and `constraint x` on columns that are replaced by their shadows.
    pub(super) doomed: BTreeSet<String>,
    /// Shadow columns of another change of type, or of one whose trigger has not filled them all along. They go first, and
    /// everything on them with them: the table here is without them.
    pub(super) stale: BTreeSet<String>,
}

impl<'a> Base<'a> {
    pub(super) fn of(schema: &'a Schema, names: &'a TableNames, live: &'a Live, table: &LiveTable) -> Self {
        let mut base = Self {
            schema,
            names,
            live,
            table: table.clone(),
            sources: BTreeMap::new(),
            renames: Vec::new(),
            renamings: Vec::new(),
            doomed: BTreeSet::new(),
            stale: BTreeSet::new(),
        };
        for field in schema.fields() {
            let source = base.source(field);
            match &source {
                Source::Renamed(old) => base.renames.push((old.clone(), Ident::from(&field.name))),
                Source::Converted { column, conversion, .. } if !conversion.in_place => {
                    let uses = |columns: &BTreeSet<String>| columns.contains(column.as_str());
                    let doomed = table.uses.iter().filter(|(_, columns)| uses(columns));
                    base.doomed.extend(doomed.map(|(key, _)| key.clone()));
                }
                _ => {}
            }
            base.sources.insert(field.name.to_string(), source);
        }
        base.forget_stale();
        base.rename();
        base
    }

    /// One shadow that cannot be gone on with makes all of them begin anew: they have one trigger.
    fn forget_stale(&mut self) {
        let ours = |name: &String| {
            let key = format!("column {name}");
            name.starts_with(SHADOW) && (self.tag(&key).is_some() || self.table.altered.contains(&key))
        };
        let shadows: BTreeSet<String> =
            self.table.columns.keys().filter(|name| ours(name)).cloned().collect();
        if shadows.is_empty() || super::shadows::are_filled(self, &shadows) {
            return;
        }
        let table = &mut self.table;
        let gone: Vec<String> = table
            .uses
            .iter()
            .filter(|(_, columns)| columns.iter().any(|column| shadows.contains(column)))
            .map(|(key, _)| key.clone())
            .chain(shadows.iter().map(|name| format!("column {name}")))
            .collect();
        for key in gone {
            table.uses.remove(&key);
            table.comments.remove(&key);
            table.altered.remove(&key);
            if let Some((_, name)) = key.split_once(' ') {
                table.constraints.remove(name);
                table.indexes.remove(name);
            }
        }
        table.columns.retain(|name, _| !shadows.contains(name));
        self.stale = shadows;
    }

    /// Whether a constraint or index is on exactly these columns, as they are called now.
    pub(super) fn is_on(&self, key: &str, columns: &[&Ident]) -> bool {
        let wanted: BTreeSet<&str> = columns.iter().map(|column| column.as_str()).collect();
        self.table
            .uses
            .get(key)
            .is_none_or(|live| live.iter().map(String::as_str).collect::<BTreeSet<_>>() == wanted)
    }

    fn source(&self, field: &Field) -> Source {
        let name = field.name.as_str();
        let old = || {
            field
                .renamed_from
                .as_ref()
                .map(FieldName::as_str)
                .filter(|old| self.table.columns.contains_key(*old))
        };
        let column = if self.table.columns.contains_key(name) { Some(name) } else { old() };
        let wanted = column_type(&field.kind);
        let Some(column) = column else {
            let mut trashed = self.live.trashed_columns.iter();
            let restored = trashed.find(|t| t.restorable && t.field == name && t.sql_type == wanted);
            return restored.cloned().map_or(Source::New, Source::Restored);
        };
        let live = self.table.columns.get(column).map_or("", |column| column.sql_type.as_str());
        let moves = column != name || live != wanted;
        if let Some(others) =
            self.table.referenced_by.get(column).filter(|others| moves && !others.is_empty())
        {
            let others: Vec<&str> = others.iter().map(String::as_str).collect();
            return Source::Stuck {
                live: live.to_owned(),
                why: format!(
                    "{} point to {column}; set `enforce: false` on those references first, and take it back afterwards",
                    others.join(", ")
                ),
            };
        }
        if live == wanted {
            return if column == name { Source::Column } else { Source::Renamed(Ident::fitted(column)) };
        }
        if name == "id" || field.system {
            let why =
                "the type of a key cannot change, and no approval helps; make a new version of the object"
                    .to_owned();
            return Source::Stuck { live: live.to_owned(), why };
        }
        match conversion::conversion(live, &field.kind) {
            Some(conversion) => Source::Converted {
                column: Ident::fitted(column),
                conversion,
                shadow: Ident::fitted(&format!("{SHADOW}{name}")),
            },
            None => Source::Stuck { live: live.to_owned(), why: conversion::no_way(live, &field.kind) },
        }
    }

    pub(super) fn of_field(&self, field: &str) -> &Source {
        self.sources.get(field).unwrap_or(&Source::New)
    }

    /// Whether rows have the field already, under whatever name.
    pub(super) fn exists(&self, field: &str) -> bool {
        !matches!(self.of_field(field), Source::New)
    }

    /// Whether another column takes the place of the one that is there: a shadow, or one from the trash.
    pub(super) fn is_replaced(&self, field: &str) -> bool {
        match self.of_field(field) {
            Source::Restored(_) => true,
            Source::Converted { conversion, .. } => !conversion.in_place,
            _ => false,
        }
    }

    /// The column that has, or will have, the field's values at the end, as it is called before the switch.
    pub(super) fn column(&self, field: &str) -> Ident {
        match self.of_field(field) {
            Source::Renamed(old) => old.clone(),
            Source::Restored(trashed) => Ident::fitted(&trashed.column),
            Source::Converted { column, conversion, shadow } => {
                if conversion.in_place {
                    column.clone()
                } else {
                    shadow.clone()
                }
            }
            Source::New | Source::Column | Source::Stuck { .. } => Ident::fitted(field),
        }
    }

    /// What a row `r` of today will have as the field's value.
    pub(super) fn value(&self, field: &Field) -> Fragment {
        self.value_of("r", field)
    }

    /// The same of a row that is called otherwise.
    pub(super) fn value_of(&self, row: &'static str, field: &Field) -> Fragment {
        let of = |column: &Ident| Fragment::column(&Ident::fixed(row), column);
        match self.of_field(field.name.as_str()) {
            Source::Converted { column, conversion, .. } => conversion.value(&of(column), &field.kind),
            _ => of(&self.column(field.name.as_str())),
        }
    }

    /// `from "s"."t" r where <condition>`.
    pub(super) fn rows(&self, condition: &Fragment) -> String {
        (Fragment::sql("from ") + self.names.table_sql() + Fragment::sql(" r where ") + condition.clone())
            .inline()
    }

    /// The tag of a thing, while it is as we made it.
    pub(super) fn tag(&self, key: &str) -> Option<&str> {
        self.table.comments.get(key).map(String::as_str)
    }

    /// Moves everything that is named after a renamed field to its new name.
    fn rename(&mut self) {
        let renames = self.renames.clone();
        for (old, new) in &renames {
            if let Some(column) = self.table.columns.remove(old.as_str()) {
                self.table.columns.insert(new.as_str().to_owned(), column);
            }
            move_key(
                &mut self.table.comments,
                &format!("column {}", old.as_str()),
                &format!("column {}", new.as_str()),
            );
            self.rename_checks(old, new);
        }
        if !renames.is_empty() {
            self.rename_indexes(&renames);
            self.rename_keys(&renames);
        }
    }

    fn rename_checks(&mut self, old: &Ident, new: &Ident) {
        let Some(field) = self.schema.field(new.as_str()) else { return };
        for (rule, wanted) in rules(field, &Fragment::ident(new)) {
            let from = check_name(old.as_str(), rule);
            let before = rules(field, &Fragment::ident(old)).into_iter().find(|(r, _)| *r == rule);
            let same = before.is_some_and(|(_, condition)| {
                self.tag(&format!("constraint {}", from.as_str()))
                    == Some(fingerprint(&condition.inline()).as_str())
            });
            if same {
                let source = fingerprint(&wanted.inline());
                self.move_object("constraint", from, check_name(new.as_str(), rule), Some(source));
            }
        }
    }

    fn rename_indexes(&mut self, renames: &[(Ident, Ident)]) {
        let old_name = |field: &FieldName| {
            let old = renames.iter().find(|(_, new)| new.as_str() == field.as_str());
            old.map_or_else(|| field.to_string(), |(old, _)| old.as_str().to_owned())
        };
        let now = wanted_indexes(self.schema, self.names);
        let before = indexes_called(self.schema, self.names, &old_name);
        for (index, before) in now.into_iter().zip(before) {
            let from = if self.table.indexes.contains_key(before.name.as_str()) {
                before.name
            } else if let Some(other) = self.index_made_from(&before.tail) {
                // The name of a partial index stands for the text of its condition too, in which the field has its new name.
                other
            } else {
                continue;
            };
            if from != index.name {
                let constraint = self.table.constraints.contains_key(from.as_str());
                let kind = if constraint { "constraint" } else { "index" };
                self.move_object(kind, from, index.name.clone(), Some(fingerprint(&index.tail)));
            }
        }
    }

    fn index_made_from(&self, tail: &str) -> Option<Ident> {
        let print = fingerprint(tail);
        let tagged = self.table.comments.iter().filter(|(_, source)| **source == print);
        tagged.filter_map(|(key, _)| key.strip_prefix("index ")).map(Ident::fitted).next()
    }

    fn rename_keys(&mut self, renames: &[(Ident, Ident)]) {
        let old = |name: &Ident| {
            let renamed = renames.iter().find(|(_, new)| new == name);
            renamed.map_or_else(|| name.clone(), |(old, _)| old.clone())
        };
        for key in foreign_keys(self.schema, self.names) {
            let column = old(&key.column);
            let target =
                if key.target == *self.names { old(&key.target_column) } else { key.target_column.clone() };
            let from = self.names.on_fields([column.as_str()], "fkey");
            let moved = column != key.column || target != key.target_column;
            let tag = format!("constraint {}", from.as_str());
            if moved && self.tag(&tag) == Some(fingerprint(&key.definition_on(&column, &target)).as_str()) {
                self.move_object("constraint", from, key.name.clone(), Some(fingerprint(&key.definition())));
            }
        }
    }

    fn move_object(&mut self, kind: &'static str, from: Ident, to: Ident, source: Option<String>) {
        let table = &mut self.table;
        if kind == "constraint" && !table.constraints.contains_key(from.as_str()) {
            return;
        }
        move_key(&mut table.constraints, from.as_str(), to.as_str());
        move_key(&mut table.indexes, from.as_str(), to.as_str());
        for kind in ["constraint", "index"] {
            let (old, new) = (format!("{kind} {}", from.as_str()), format!("{kind} {}", to.as_str()));
            move_key(&mut table.uses, &old, &new);
            if table.altered.remove(&old) {
                table.altered.insert(new.clone());
            }
            move_key(&mut table.comments, &old, &new);
            if let (Some(source), Some(tag)) = (&source, table.comments.get_mut(&new)) {
                tag.clone_from(source);
            }
        }
        self.renamings.push(Renaming { kind, from, to, source });
    }
}

/// What the names of shadow columns begin with.
pub(super) const SHADOW: &str = "_new_";

fn move_key<V>(map: &mut BTreeMap<String, V>, from: &str, to: &str) {
    if let Some(value) = map.remove(from) {
        map.insert(to.to_owned(), value);
    }
}
