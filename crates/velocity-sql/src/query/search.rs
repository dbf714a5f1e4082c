//! `q` against a schema.

use velocity_schema::Schema;
use velocity_schema::schema::{Language, Tier, View};

use super::condition::escaped;
use super::error::{PlanCode, PlanError};
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
    /// The searched fields, by position: what the index has.
    indexed: Vec<usize>,
    /// Those that the caller sees in clear: what decides.
    clear: Vec<usize>,
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
    pub(super) fn plan(schema: &Schema, view: &View, text: &str) -> Result<Self, PlanError> {
        let Some(search) = schema.search() else {
            return Err(PlanError::invalid(
                "q",
                "searchable",
                "this schema is not searched; set `searchable: true` on fields in it, or `spec.search`",
            ));
        };
        let indexed: Vec<usize> =
            search.fields.iter().filter_map(|field| schema.position(field.as_str())).collect();
        let clear: Vec<usize> = indexed.iter().copied().filter(|position| view.is_clear(*position)).collect();
        if clear.is_empty() {
            return Err(PlanError::new(
                PlanCode::FieldForbidden,
                "q",
                "fieldAccess",
                "none of your roles sees any of the fields in clear that are searched; leave it out",
            ));
        }
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
        Ok(Self { indexed, clear, test })
    }

    pub(super) fn render(&self, table: &TableSql) -> Fragment {
        match &self.test {
            Test::Pieces(patterns) => {
                let somewhere = |pattern: &String| {
                    let fits = self.clear.iter().map(|position| {
                        frag![pieces(table.column(*position)), " ilike ", Fragment::text(pattern.as_str())]
                    });
                    Fragment::join(fits, " or ").parenthesised()
                };
                Fragment::join(patterns.iter().map(somewhere), " and ")
            }
            Test::Words(language, text) => self.words(table, *language, text),
        }
    }

    /// The words of the clear fields decide. The index has those of all fields: where that is more, it may say only what
    /// follows from the clear ones, so that nothing of the others shows in what is found.
    ///
    /// A record that fits by its clear fields has all the words that the query wants (`querytree` leaves out those that it
    /// does not want), if not side by side: another field may be in between. What asks for no word at all (`T`) is looked
    /// for without the index.
    fn words(&self, table: &TableSql, language: Language, text: &str) -> Fragment {
        let columns = |positions: &[usize]| {
            words(language, positions.iter().map(|position| table.column(*position)).collect::<Vec<_>>())
        };
        let query =
            || frag!["websearch_to_tsquery(", configuration(language), ", ", Fragment::text(text), ")"];
        let decides = frag![columns(&self.clear), " @@ ", query()];
        if self.clear.len() == self.indexed.len() {
            return decides;
        }
        frag![
            "(querytree(",
            query(),
            ") = 'T' or ",
            columns(&self.indexed),
            " @@ regexp_replace(querytree(",
            query(),
            "), '<(-|[0-9]+)>', '&', 'g')::tsquery) and ",
            decides
        ]
    }
}
