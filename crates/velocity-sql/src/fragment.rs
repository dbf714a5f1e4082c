//! Pieces of SQL that carry their values with them.

use std::borrow::Cow;
use std::fmt::Write;
use std::ops::{Add, AddAssign};

use velocity_schema::Value;

use crate::ident::{Ident, quote_literal};
use crate::sql_type::SqlType;

/// A value with the type that it is bound as.
#[derive(Debug, Clone, PartialEq)]
pub struct Bind {
    /// The declared type, sent to Postgres with the statement.
    pub sql_type: SqlType,
    /// The value; null is allowed.
    pub value: Value,
}

#[derive(Debug, Clone, PartialEq)]
enum Part {
    Sql(Cow<'static, str>),
    Bind(Bind),
}

/// A piece of SQL. Fixed text and identifiers become text, values stay values.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Fragment {
    parts: Vec<Part>,
}

/// SQL text with `$1 …` and the values in that order.
#[derive(Debug, Clone, PartialEq)]
pub struct Rendered {
    /// The text: equal for all requests of one shape, so it is the key of the statement cache.
    pub sql: String,
    /// The values.
    pub binds: Vec<Bind>,
}

impl Fragment {
    /// Nothing.
    pub fn empty() -> Self {
        Self::default()
    }

    /// Fixed SQL text of ours.
    pub fn sql(text: &'static str) -> Self {
        Self { parts: vec![Part::Sql(Cow::Borrowed(text))] }
    }

    /// A whole number that code of ours computed (a limit, a count), as text.
    pub fn number(number: u64) -> Self {
        Self { parts: vec![Part::Sql(Cow::Owned(number.to_string()))] }
    }

    /// An identifier, quoted.
    pub fn ident(ident: &Ident) -> Self {
        Self { parts: vec![Part::Sql(Cow::Owned(ident.quoted()))] }
    }

    /// `qualifier.column`, both quoted.
    pub fn column(qualifier: &Ident, column: &Ident) -> Self {
        Self { parts: vec![Part::Sql(Cow::Owned(format!("{}.{}", qualifier.quoted(), column.quoted())))] }
    }

    /// A type's name.
    pub fn type_name(sql_type: SqlType) -> Self {
        Self::sql(sql_type.sql())
    }

    /// A value.
    pub fn bind(sql_type: SqlType, value: Value) -> Self {
        Self { parts: vec![Part::Bind(Bind { sql_type, value })] }
    }

    /// A text value.
    pub fn text(value: impl Into<String>) -> Self {
        Self::bind(SqlType::Text, Value::String(value.into()))
    }

    /// The fragments with `separator` between them.
    pub fn join(fragments: impl IntoIterator<Item = Self>, separator: &'static str) -> Self {
        let mut out = Self::empty();
        for (index, fragment) in fragments.into_iter().enumerate() {
            if index > 0 {
                out += Self::sql(separator);
            }
            out += fragment;
        }
        out
    }

    /// The fragment in parentheses.
    pub fn parenthesised(self) -> Self {
        Self::sql("(") + self + Self::sql(")")
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// The text with numbered parameters, and the values.
    pub fn render(self) -> Rendered {
        let mut sql = String::new();
        let mut binds = Vec::new();
        for part in self.parts {
            match part {
                Part::Sql(text) => sql.push_str(&text),
                Part::Bind(bind) => {
                    binds.push(bind);
                    let _ = write!(sql, "${}", binds.len());
                }
            }
        }
        Rendered { sql, binds }
    }

    /// The text with the values as quoted literals, for DDL, which takes no parameters.
    pub fn inline(&self) -> String {
        let mut sql = String::new();
        for part in &self.parts {
            match part {
                Part::Sql(text) => sql.push_str(text),
                Part::Bind(bind) => sql.push_str(&literal(bind)),
            }
        }
        sql
    }
}

/// A value as a literal with its type: `'draft'::text`, `array['a','b']::text[]`.
fn literal(bind: &Bind) -> String {
    let inner = match &bind.value {
        Value::Null => "null".to_owned(),
        Value::Integer(number) => format!("'{number}'"),
        Value::Boolean(yes) => yes.to_string(),
        Value::Bytes(bytes) => {
            let hex = bytes.iter().fold(String::from("\\x"), |mut hex, byte| {
                let _ = write!(hex, "{byte:02x}");
                hex
            });
            quote_literal(&hex)
        }
        Value::Array(items) => {
            let element = bind.sql_type.element().unwrap_or(SqlType::Text);
            let items: Vec<String> =
                items.iter().map(|item| literal(&Bind { sql_type: element, value: item.clone() })).collect();
            format!("array[{}]", items.join(", "))
        }
        other => quote_literal(&other.to_text()),
    };
    format!("{inner}::{}", bind.sql_type.sql())
}

impl From<&'static str> for Fragment {
    fn from(text: &'static str) -> Self {
        Self::sql(text)
    }
}

impl From<&Ident> for Fragment {
    fn from(ident: &Ident) -> Self {
        Self::ident(ident)
    }
}

/// Puts SQL together: each piece is fixed text (`&'static str`), an identifier (`&Ident`) or a [`Fragment`].
#[macro_export]
macro_rules! frag {
    ($($piece:expr),* $(,)?) => {{
        let mut out = $crate::fragment::Fragment::empty();
        $(out += $crate::fragment::Fragment::from($piece);)*
        out
    }};
}

impl Add for Fragment {
    type Output = Self;

    fn add(mut self, other: Self) -> Self {
        self += other;
        self
    }
}

impl AddAssign for Fragment {
    fn add_assign(&mut self, other: Self) {
        self.parts.extend(other.parts);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_numbered_in_their_order() {
        let amount = Ident::parse("amount").unwrap();
        let fragment = Fragment::ident(&amount)
            + Fragment::sql(" >= ")
            + Fragment::bind(SqlType::Int8, Value::Integer(10))
            + Fragment::sql(" and x = ")
            + Fragment::text("o'clock");
        assert_eq!(fragment.inline(), "\"amount\" >= '10'::bigint and x = 'o''clock'::text");
        let rendered = fragment.render();
        assert_eq!(rendered.sql, "\"amount\" >= $1 and x = $2");
        assert_eq!(rendered.binds.len(), 2);
    }
}
