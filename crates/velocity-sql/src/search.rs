//! What a search looks at: the same text in the index and in the query, or the index would be of no use.

use velocity_schema::schema::Language;

use crate::frag;
use crate::fragment::Fragment;

/// A column for tier 1. Columns have the "C" collation, in which only ASCII letters have a case; the database's own is also
/// the one in which trigrams are made.
pub(crate) fn pieces(column: Fragment) -> Fragment {
    frag![column, " collate \"default\""]
}

/// All columns for tier 2, as the words of a language.
pub(crate) fn words(language: Language, columns: impl IntoIterator<Item = Fragment>) -> Fragment {
    frag!["platform.search_words(", configuration(language), ", ", Fragment::join(columns, ", "), ")"]
}

/// A language as Postgres has it. Languages are names of ours, not texts of a caller.
pub(crate) fn configuration(language: Language) -> Fragment {
    frag!["'pg_catalog.", language.as_str(), "'::regconfig"]
}
