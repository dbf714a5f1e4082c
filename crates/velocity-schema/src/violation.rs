//! What is wrong with a document: every problem at once, each with its path.

use std::fmt;

/// One problem of a resource or a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Where: `spec.fields[3].scale` in a resource, a field's name in a record.
    pub path: String,
    /// Which rule: a short stable word such as `required`, `max`, `unknownField`, `notSupported`.
    pub rule: &'static str,
    /// What is wrong and the way out, for a person.
    pub message: String,
}

impl Violation {
    /// A violation of `rule` at `path`.
    pub fn new(path: impl Into<String>, rule: &'static str, message: impl Into<String>) -> Self {
        Self { path: path.into(), rule, message: message.into() }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() {
            f.write_str(&self.message)
        } else {
            write!(f, "{}: {}", self.path, self.message)
        }
    }
}

/// All problems found; never empty where it is an error.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Violations(pub Vec<Violation>);

impl Violations {
    /// Adds one problem.
    pub fn push(&mut self, path: impl Into<String>, rule: &'static str, message: impl Into<String>) {
        self.0.push(Violation::new(path, rule, message));
    }

    /// Whether nothing was found.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The problems in the order in which they were found.
    pub fn iter(&self) -> impl Iterator<Item = &Violation> {
        self.0.iter()
    }

    /// `value` when nothing was found, else the problems.
    pub fn into_result<T>(self, value: T) -> Result<T, Self> {
        if self.is_empty() { Ok(value) } else { Err(self) }
    }
}

impl fmt::Display for Violations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, violation) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("; ")?;
            }
            write!(f, "{violation}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Violations {}

/// The candidate nearest to `given`, for "did you mean": `None` when none is near enough to help.
pub fn nearest<'a>(given: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .into_iter()
        // As many edits as the lengths differ are needed at least: a long text costs nothing.
        .filter(|candidate| given.len().abs_diff(candidate.len()) <= 4 * allowed(candidate))
        .map(|candidate| (strsim::damerau_levenshtein(given, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= allowed(candidate))
        .min()
        .map(|(_, candidate)| candidate)
}

/// How many edits away a text may be and still be meant.
fn allowed(candidate: &str) -> usize {
    1.max(candidate.chars().count() / 3)
}

/// ` (did you mean \`x\`?)` where there is a near candidate, else nothing.
pub fn did_you_mean<'a>(given: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    nearest(given, candidates).map_or_else(String::new, |near| format!(" (did you mean `{near}`?)"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_is_named_only_when_it_is_near() {
        assert_eq!(nearest("amuont", ["amount", "account"]), Some("amount"));
        assert_eq!(nearest("ü", ["u", "id"]), Some("u"));
        assert_eq!(nearest("zzz", ["amount", "id"]), None);
        assert_eq!(nearest("", ["id"]), None);
        assert_eq!(nearest("éàüöî", ["eauoi"]), None);
        assert_eq!(nearest("amoünt", ["amount"]), Some("amount"));
    }

    #[test]
    fn a_long_text_is_compared_with_nothing() {
        // 500 comparisons of a million characters would take hours.
        let candidates: Vec<String> = (0..500).map(|n| format!("field_{n}")).collect();
        assert_eq!(nearest(&"x".repeat(1_000_000), candidates.iter().map(String::as_str)), None);
    }
}
