//! Identifiers: the only way a name gets into SQL.

use std::fmt;

use velocity_schema::FieldName;

/// Longest identifier that Postgres keeps whole (NAMEDATALEN - 1), in bytes.
pub const IDENT_MAX: usize = 63;

/// A quoted identifier of 1 to 63 bytes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ident(String);

/// A text that is no identifier: empty, longer than Postgres keeps, or with U+0000.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a Postgres identifier: empty, longer than {IDENT_MAX} bytes, or with U+0000")]
pub struct InvalidIdent;

impl Ident {
    /// An identifier of any characters; quoted when rendered.
    pub fn parse(text: &str) -> Result<Self, InvalidIdent> {
        let valid = (1..=IDENT_MAX).contains(&text.len()) && !text.contains('\0');
        if valid { Ok(Self(text.to_owned())) } else { Err(InvalidIdent) }
    }

    /// An identifier that code of ours spells out; longer texts are cut and get a hash, as [`Ident::fitted`] does.
    pub fn fixed(text: &'static str) -> Self {
        Self::fitted(text)
    }

    /// The text as it is when it fits, else cut with a hash of the whole, so that different texts stay different.
    pub fn fitted(text: &str) -> Self {
        use sha2::{Digest, Sha256};
        use std::fmt::Write;
        let clean: String = text.chars().filter(|c| *c != '\0').collect();
        if (1..=IDENT_MAX).contains(&clean.len()) {
            return Self(clean);
        }
        let mut suffix = String::from("_");
        for byte in &Sha256::digest(text.as_bytes())[..5] {
            let _ = write!(suffix, "{byte:02x}");
        }
        let mut end = (IDENT_MAX - suffix.len()).min(clean.len());
        while !clean.is_char_boundary(end) {
            end -= 1;
        }
        Self(format!("{}{suffix}", &clean[..end]))
    }

    /// The name without quotes, as catalogs have it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name in double quotes, quotes doubled.
    pub fn quoted(&self) -> String {
        format!("\"{}\"", self.0.replace('"', "\"\""))
    }
}

impl From<&FieldName> for Ident {
    fn from(name: &FieldName) -> Self {
        Self(name.as_str().to_owned())
    }
}

impl fmt::Display for Ident {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.quoted())
    }
}

/// A text as a SQL string literal: quotes doubled, backslashes safe whatever `standard_conforming_strings` says.
pub fn quote_literal(text: &str) -> String {
    let escaped = text.replace('\'', "''");
    if text.contains('\\') { format!("E'{}'", escaped.replace('\\', "\\\\")) } else { format!("'{escaped}'") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_cannot_end_an_identifier_or_a_literal() {
        assert_eq!(Ident::parse("a\"; drop table x").unwrap().quoted(), "\"a\"\"; drop table x\"");
        assert_eq!(quote_literal("it's"), "'it''s'");
        assert_eq!(quote_literal("a\\' or 1"), "E'a\\\\'' or 1'");
    }

    #[test]
    fn long_names_that_differ_at_their_ends_stay_different() {
        let (a, b) = (format!("{}a", "x".repeat(70)), format!("{}b", "x".repeat(70)));
        assert_ne!(Ident::fitted(&a), Ident::fitted(&b));
        assert!(Ident::fitted(&"é".repeat(60)).as_str().len() <= IDENT_MAX);
        assert!(
            Ident::parse("").is_err()
                && Ident::parse(&"x".repeat(64)).is_err()
                && Ident::parse("a\0").is_err()
        );
    }
}
