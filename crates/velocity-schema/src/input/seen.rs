//! What is wrong with a record, told to somebody who may not know of every field.

use crate::schema::Schema;
use crate::violation::{Violation, Violations, did_you_mean};

/// What stands in the place of a problem that would name a hidden field.
const OF_HIDDEN: &str = "a field that you may not see is not as the schema demands";
/// What begins the suggestion of [`did_you_mean`].
const SUGGESTION: &str = " (did you mean `";

impl Violations {
    /// The problems without the names of hidden fields, which are told by their positions in the schema.
    ///
    /// A problem of such a field, or one whose words name one, only says that there is one. What a name that is not known
    /// may have meant is looked for among the other fields only.
    #[must_use]
    pub fn without_fields(self, schema: &Schema, hidden: &dyn Fn(usize) -> bool) -> Self {
        let (mut secret, mut open) = (Vec::new(), Vec::new());
        for (position, field) in schema.fields().iter().enumerate() {
            if hidden(position) { &mut secret } else { &mut open }.push(field.name.as_str());
        }
        if secret.is_empty() {
            return self;
        }
        Self(self.0.into_iter().map(|violation| without(violation, &secret, &open)).collect())
    }
}

fn without(mut violation: Violation, secret: &[&str], open: &[&str]) -> Violation {
    if secret.contains(&violation.path.as_str()) {
        return Violation::new("", "rule", OF_HIDDEN);
    }
    if violation.rule == "unknownField" {
        let end = violation.message.find(SUGGESTION).unwrap_or(violation.message.len());
        violation.message.truncate(end);
        violation.message.push_str(&did_you_mean(&violation.path, open.iter().copied()));
    } else if secret.iter().any(|name| names(&violation.message, name)) {
        OF_HIDDEN.clone_into(&mut violation.message);
    }
    violation
}

/// Whether the name stands in the text as a word of its own.
fn names(text: &str, name: &str) -> bool {
    let inner = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.match_indices(name)
        .any(|(at, _)| !text[..at].ends_with(inner) && !text[at + name.len()..].starts_with(inner))
}
