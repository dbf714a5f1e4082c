//! `q` against a schema.

use velocity_schema::Schema;
use velocity_schema::schema::{Language, Tier};

use super::condition::escaped;
use super::error::PlanError;
use super::table::TableSql;
use crate::frag;
use crate::fragment::Fragment;
use crate::search::{configuration, pieces, words};

/// Longest `q`, in characters.
const TEXT_MAX: usize = 1000;
/// Most words of tier 1: each is looked for in every field.
const WORDS_MAX: usize = 32;

/// A search that can be rendered without further checks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SearchPlan {
    /// The searched fields, by position.
    positions: Vec<usize>,
    test: Test,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Test {
    /// Patterns, each of which some field fits.
    Pieces(Vec<String>),
    /// Words, phrases in quotes, `or`, and `-` before what must not be there.
    Words(Language, String),
}

/// The text of `q`, if it can be searched for at all.
pub(super) fn parse(text: &str) -> Result<String, PlanError> {
    if text.trim().is_empty() {
        return Err(PlanError::invalid("q", "required", "is empty; say what to search for, or leave it out"));
    }
    if text.chars().count() > TEXT_MAX {
        return Err(PlanError::invalid("q", "maxLength", format!("has more than {TEXT_MAX} characters")));
    }
    if text.contains('\0') {
        return Err(PlanError::invalid("q", "type", "contains U+0000, which no text has; leave it out"));
    }
    Ok(text.to_owned())
}

impl SearchPlan {
    pub(super) fn plan(schema: &Schema, text: &str) -> Result<Self, PlanError> {
        let Some(search) = schema.search() else {
            return Err(PlanError::invalid(
                "q",
                "searchable",
                "this schema is not searched; set `searchable: true` on fields in it, or `spec.search`",
            ));
        };
        let positions = search.fields.iter().filter_map(|field| schema.position(field.as_str())).collect();
        let test = match search.tier {
            Tier::Pieces => {
                let words: Vec<&str> = text.split_whitespace().collect();
                if words.len() > WORDS_MAX {
                    let why = format!("has {} words; there may be {WORDS_MAX}", words.len());
                    return Err(PlanError::invalid("q", "maxItems", why));
                }
                Test::Pieces(words.iter().map(|word| format!("%{}%", escaped(word))).collect())
            }
            Tier::Words(language) => Test::Words(language, text.to_owned()),
        };
        Ok(Self { positions, test })
    }

    pub(super) fn render(&self, table: &TableSql) -> Fragment {
        let columns = || self.positions.iter().map(|position| table.column(*position));
        match &self.test {
            Test::Pieces(patterns) => {
                let somewhere = |pattern: &String| {
                    let fits = columns()
                        .map(|column| frag![pieces(column), " ilike ", Fragment::text(pattern.as_str())]);
                    Fragment::join(fits, " or ").parenthesised()
                };
                Fragment::join(patterns.iter().map(somewhere), " and ")
            }
            Test::Words(language, text) => {
                let query = frag![
                    "websearch_to_tsquery(",
                    configuration(*language),
                    ", ",
                    Fragment::text(text.as_str()),
                    ")"
                ];
                frag![words(*language, columns()), " @@ ", query]
            }
        }
    }
}
