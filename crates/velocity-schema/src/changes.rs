//! What is different between two schemas, in words: fields and what belongs to them, and who may do what. Pure.
//!
//! What the database has to do about it is a plan of its own (`velocity_sql::ddl`); this is what clients notice.

mod access;
mod fields;
mod rights;
mod rows;

use std::collections::BTreeSet;
use std::fmt;

pub use access::{AccessChange, access_changes};
pub use rows::{RoleRows, RowsSeen, role_rows};

use crate::schema::{Index, Schema};

/// What happened to a part of a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// It is new.
    Added,
    /// It is gone.
    Removed,
    /// It is another.
    Changed,
}

impl Kind {
    /// The word in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Removed => "removed",
            Self::Changed => "changed",
        }
    }

    /// The sign before a line.
    pub fn sign(self) -> char {
        match self {
            Self::Added => '+',
            Self::Removed => '-',
            Self::Changed => '~',
        }
    }
}

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// What happened.
    pub kind: Kind,
    /// To what: `field`, `rule`, `index`, ….
    pub part: &'static str,
    /// Its name; empty where there is only one.
    pub name: String,
    /// How it is, or how it was and is.
    pub detail: String,
}

impl Change {
    fn new(kind: Kind, part: &'static str, name: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { kind, part, name: name.into(), detail: detail.into() }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind.sign(), self.part)?;
        if !self.name.is_empty() {
            write!(f, " {}", self.name)?;
        }
        if self.detail.is_empty() { Ok(()) } else { write!(f, ": {}", self.detail) }
    }
}

/// Everything that is different, fields first. Without an earlier schema all of it is new.
pub fn changes(old: Option<&Schema>, new: &Schema) -> Vec<Change> {
    let mut found = fields::changes(old, new);
    let of = |read: fn(&Schema) -> Vec<(String, String)>| (old.map(read).unwrap_or_default(), read(new));
    for (part, read) in PARTS {
        let (before, after) = of(*read);
        compare(part, &before, &after, &mut found);
    }
    for (part, read) in TEXTS {
        single(part, old.and_then(*read), read(new), &mut found);
    }
    found.extend(rights::messages(old, new));
    found
}

/// Parts of which there are many: their names with what they say.
type Named = fn(&Schema) -> Vec<(String, String)>;
const PARTS: &[(&str, Named)] = &[
    ("unique", |schema| schema.unique().iter().map(|fields| (listed(fields), String::new())).collect()),
    ("index", |schema| schema.indexes().iter().map(index).collect()),
    ("rule", |schema| {
        schema.rules().iter().map(|rule| (rule.program.source().to_owned(), rule_words(rule))).collect()
    }),
];

/// Parts of which there is one.
type Single = fn(&Schema) -> Option<String>;
const TEXTS: &[(&str, Single)] = &[
    ("search", search),
    ("required reasons", |schema| {
        let words: Vec<&str> = schema.audit().require_reason.iter().map(|one| one.as_str()).collect();
        (!words.is_empty()).then(|| words.join(", "))
    }),
    ("form of reasons", |schema| {
        schema.audit().reason_pattern.as_ref().map(|pattern| pattern.0.as_str().to_owned())
    }),
    ("record of sensitive reads", |schema| schema.audit().sensitive_reads.then(|| "on".to_owned())),
    ("auth strategy", |schema| schema.strategy().map(ToString::to_string)),
    ("display name", |schema| schema.display_name().map(str::to_owned)),
    ("description", |schema| schema.description().map(str::to_owned)),
];

fn rule_words(rule: &crate::schema::Rule) -> String {
    let field = rule.field.as_ref().map_or_else(String::new, |field| format!(" (on {field})"));
    format!("{}{field}", rule.message)
}

fn index(index: &Index) -> (String, String) {
    let keys: Vec<String> = index
        .keys
        .iter()
        .map(|key| format!("{}{}", if key.descending { "-" } else { "" }, key.field))
        .collect();
    let condition =
        index.condition.as_ref().map_or_else(String::new, |filter| format!("where {}", filter.source()));
    (keys.join(", "), condition)
}

fn search(schema: &Schema) -> Option<String> {
    let search = schema.search()?;
    let tier = match search.tier {
        crate::schema::Tier::Pieces => "tier 1".to_owned(),
        crate::schema::Tier::Words(language) => format!("tier 2 ({language})"),
    };
    Some(format!("{tier} over {}", listed(&search.fields)))
}

fn listed<T: ToString>(items: &[T]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Things that are known by their names; several may have the same.
fn compare(
    part: &'static str,
    before: &[(String, String)],
    after: &[(String, String)],
    found: &mut Vec<Change>,
) {
    let names: BTreeSet<&str> = before.iter().chain(after).map(|(name, _)| name.as_str()).collect();
    for name in names {
        let of = |all: &[(String, String)]| -> Vec<String> {
            let mut texts: Vec<String> =
                all.iter().filter(|(other, _)| other == name).map(|(_, text)| text.clone()).collect();
            texts.sort();
            texts
        };
        let (mut old, mut new) = (of(before), of(after));
        new.retain(|text| match old.iter().position(|other| other == text) {
            Some(at) => {
                old.remove(at);
                false
            }
            None => true,
        });
        while let (Some(was), Some(is)) = (old.first(), new.first()) {
            found.push(Change::new(Kind::Changed, part, name, turned(was, is)));
            old.remove(0);
            new.remove(0);
        }
        found.extend(old.into_iter().map(|text| Change::new(Kind::Removed, part, name, text)));
        found.extend(new.into_iter().map(|text| Change::new(Kind::Added, part, name, text)));
    }
}

fn single(part: &'static str, before: Option<String>, after: Option<String>, found: &mut Vec<Change>) {
    match (before, after) {
        (Some(was), Some(is)) if was == is => {}
        (Some(was), Some(is)) => found.push(Change::new(Kind::Changed, part, "", turned(&was, &is))),
        (Some(was), None) => found.push(Change::new(Kind::Removed, part, "", was)),
        (None, Some(is)) => found.push(Change::new(Kind::Added, part, "", is)),
        (None, None) => {}
    }
}

/// `a → b`, where nothing is `none`.
fn turned(was: &str, is: &str) -> String {
    let shown = |text: &str| if text.is_empty() { "none".to_owned() } else { text.to_owned() };
    format!("{} → {}", shown(was), shown(is))
}

#[cfg(test)]
mod tests;
