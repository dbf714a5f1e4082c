//! What `spec.search` and `searchable` fields come to.

use std::fmt;

use super::fields;
use crate::field::{Field, FieldType};
use crate::name::FieldName;
use crate::spec::{FieldSpec, SchemaDefinitionSpec, SearchFieldSpec, SearchSpec};
use crate::violation::{Violations, did_you_mean};

/// Most fields that are searched: each has an index of its own on tier 1, and each word is looked for in each.
const FIELDS_MAX: usize = 32;
/// What texts are taken for when nothing says their language: words as they stand, in any language.
const DEFAULT_LANGUAGE: &str = "simple";
/// The text search configurations of every Postgres that is supported (`pg_ts_config` of version 15).
const LANGUAGES: [&str; 29] = [
    "simple",
    "arabic",
    "armenian",
    "basque",
    "catalan",
    "danish",
    "dutch",
    "english",
    "finnish",
    "french",
    "german",
    "greek",
    "hindi",
    "hungarian",
    "indonesian",
    "irish",
    "italian",
    "lithuanian",
    "nepali",
    "norwegian",
    "portuguese",
    "romanian",
    "russian",
    "serbian",
    "spanish",
    "swedish",
    "tamil",
    "turkish",
    "yiddish",
];

/// How records are searched, and by what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Search {
    /// How.
    pub tier: Tier,
    /// The fields, each once; at least one. All are texts.
    pub fields: Vec<FieldName>,
}

/// How records are searched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tier {
    /// 1: pieces of text, anywhere in a field.
    Pieces,
    /// 2: words of a language, in whatever form they stand.
    Words(Language),
}

/// A text search configuration that every Postgres has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Language(&'static str);

impl Tier {
    /// The number in the spec.
    pub fn number(self) -> u8 {
        match self {
            Self::Pieces => 1,
            Self::Words(_) => 2,
        }
    }
}

impl Language {
    /// Its name in Postgres.
    pub fn as_str(self) -> &'static str {
        self.0
    }
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// The search of a spec: what `spec.search` says, with all fields that are `searchable`; tier 2 where only those say something.
pub(super) fn parse(
    spec: &SchemaDefinitionSpec,
    fields: &[Field],
    errors: &mut Violations,
) -> Option<Search> {
    let mut found: Vec<FieldName> = Vec::new();
    let listed = spec.search.as_ref().map_or(&[][..], |search| &search.fields);
    for (index, wanted) in listed.iter().enumerate() {
        let at = format!("spec.search.fields[{index}]");
        let name = named(wanted, &at, errors);
        if found.iter().any(|field| field.as_str() == name) {
            errors.push(at, "unique", format!("`{name}` is there already"));
            continue;
        }
        found.extend(searched(name, fields, &at, errors));
    }
    let declared = spec.fields.iter().enumerate().filter(|(_, field)| field.searchable);
    for (index, FieldSpec { name, .. }) in declared {
        // A field that did not parse has its own errors.
        let parsed = fields.iter().any(|field| field.name.as_str() == name);
        if parsed && !found.iter().any(|field| field.as_str() == name) {
            found.extend(searched(name, fields, &format!("spec.fields[{index}].searchable"), errors));
        }
    }
    let tier = match &spec.search {
        Some(search) => parse_tier(search, errors),
        None => spec
            .fields
            .iter()
            .any(|field| field.searchable)
            .then_some(Tier::Words(Language(DEFAULT_LANGUAGE))),
    };
    if spec.search.is_some() && listed.is_empty() && !spec.fields.iter().any(|field| field.searchable) {
        let why = "names no field to search; list some, or set `searchable: true` on them";
        errors.push("spec.search.fields", "required", why);
    }
    if found.len() > FIELDS_MAX {
        let why = format!("{} fields are searched; there may be {FIELDS_MAX}", found.len());
        errors.push("spec.search.fields", "length", why);
    }
    Some(Search { tier: tier?, fields: found })
}

fn named<'a>(wanted: &'a SearchFieldSpec, at: &str, errors: &mut Violations) -> &'a str {
    match wanted {
        SearchFieldSpec::Name(name) => name,
        SearchFieldSpec::Settings { name, facet, weight } => {
            let mut refuse = |present: bool, key: &str, what: &str| {
                if present {
                    let why = format!("{what} are not supported yet; leave it out");
                    errors.push(format!("{at}.{key}"), "notSupported", why);
                }
            };
            refuse(*facet, "facet", "facets");
            refuse(weight.is_some(), "weight", "weights of fields");
            name
        }
    }
}

/// The field, if its values are texts.
fn searched(name: &str, fields: &[Field], at: &str, errors: &mut Violations) -> Option<FieldName> {
    match fields.iter().find(|field| field.name.as_str() == name) {
        None => errors.push(at, "unknownField", fields::unknown_field(name, fields)),
        Some(field) if !matches!(field.kind, FieldType::String { .. } | FieldType::Enum { .. }) => {
            let why = format!(
                "`{name}` is a {} field; only string and enum fields are searched: leave it out",
                field.kind.name()
            );
            errors.push(at, "type", why);
        }
        Some(field) => return Some(field.name.clone()),
    }
    None
}

fn parse_tier(search: &SearchSpec, errors: &mut Violations) -> Option<Tier> {
    match (search.tier, search.language.as_deref()) {
        (1, None) => Some(Tier::Pieces),
        (1, Some(_)) => {
            let why = "has no effect on tier 1, which knows no words; leave it out, or use tier 2";
            errors.push("spec.search.language", "language", why);
            None
        }
        (2, language) => {
            let name = language.unwrap_or(DEFAULT_LANGUAGE);
            let known = LANGUAGES.iter().find(|known| **known == name);
            if known.is_none() {
                let near = did_you_mean(name, LANGUAGES);
                let why = format!(
                    "`{name}` is not a language of Postgres{near}; use one of {}",
                    LANGUAGES.join(", ")
                );
                errors.push("spec.search.language", "language", why);
            }
            known.map(|known| Tier::Words(Language(known)))
        }
        (3, _) => {
            errors.push("spec.search.tier", "notSupported", "tier 3 is not supported yet; use tier 1 or 2");
            None
        }
        _ => {
            errors.push("spec.search.tier", "range", "is 1 (pieces of text) or 2 (words of a language)");
            None
        }
    }
}
