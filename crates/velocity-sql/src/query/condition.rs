//! Conditions on fields, against a schema.

use velocity_schema::field::{Field, FieldType, Misfit};
use velocity_schema::schema::View;
use velocity_schema::violation::did_you_mean;
use velocity_schema::{Schema, Value};

use super::error::{PlanCode, PlanError};
use super::json::JsonTest;
use super::operator::Operator;
use super::reading::forbidden;
use super::request::{RequestedFilter, shown};
use super::table::TableSql;
use crate::frag;
use crate::fragment::Fragment;
use crate::sql_type::SqlType;

/// Most values of `in` and `nin`.
const LIST_MAX: usize = 1000;

/// A condition whose field exists and takes it, with values of the field's type.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Condition {
    position: usize,
    test: Test,
}

#[derive(Debug, Clone, PartialEq)]
enum Test {
    /// `=`, `<`, ….
    Compare(&'static str, Value),
    /// Null counts as different.
    Distinct(Value),
    Any {
        values: Vec<Value>,
        negated: bool,
    },
    Between(Value, Value),
    Like {
        pattern: String,
        ignore_case: bool,
    },
    StartsWith(String),
    Has(String),
    Null(bool),
    /// json and arrays: `@>`.
    Contains(Value),
    /// json: containment first, which an index knows.
    SameJson(Value),
    Json(JsonTest),
}

impl Condition {
    pub(super) fn plan(schema: &Schema, view: &View, filter: &RequestedFilter) -> Result<Self, PlanError> {
        let (name, path) = match filter.field.split_once('.') {
            Some((name, path)) => (name, Some(path)),
            None => (filter.field.as_str(), None),
        };
        let (position, field) = find(schema, view, name, &filter.parameter)?;
        if !field.filterable {
            return Err(PlanError::new(
                PlanCode::FieldNotFilterable,
                &filter.parameter,
                "filterable",
                format!("`{name}` takes no conditions; {}", how_to_allow(field, "filterable")),
            ));
        }
        let test = match path {
            Some(path) if matches!(field.kind, FieldType::Json) => Test::Json(JsonTest::plan(path, filter)?),
            Some(_) => {
                return Err(PlanError::invalid(
                    &filter.parameter,
                    "path",
                    format!(
                        "`{name}` is a {} field and has nothing inside; only json fields have",
                        field.kind.name()
                    ),
                ));
            }
            None => plan_test(field, filter)?,
        };
        Ok(Self { position, test })
    }

    /// The position of its field.
    pub(super) fn position(&self) -> usize {
        self.position
    }

    /// Whether it allows one value only: in an ordered index, one stretch in the order of the keys that follow.
    pub(super) fn pins(&self) -> bool {
        matches!(&self.test, Test::Compare(" = ", _) | Test::Null(true))
    }

    /// Whether it allows one stretch of an ordered index.
    pub(super) fn bounds(&self) -> bool {
        match &self.test {
            Test::Compare(..) | Test::Between(..) | Test::StartsWith(_) | Test::Null(_) => true,
            Test::Distinct(_)
            | Test::Any { .. }
            | Test::Like { .. }
            | Test::Has(_)
            | Test::Contains(_)
            | Test::SameJson(_)
            | Test::Json(_) => false,
        }
    }

    pub(super) fn render(&self, table: &TableSql) -> Fragment {
        let column = || table.column(self.position);
        let sql_type = table.sql_type(self.position);
        let bind = |value: &Value| Fragment::bind(sql_type, value.clone());
        match &self.test {
            Test::Compare(operator, value) => frag![column(), *operator, bind(value)],
            Test::Distinct(value) => frag![column(), " is distinct from ", bind(value)],
            Test::Any { values, negated } => {
                let list = Fragment::bind(sql_type.array(), Value::Array(values.clone()));
                let is_one = frag![column(), " = any(", list, ")"];
                if *negated { frag!["(", is_one, ") is not true"] } else { is_one }
            }
            Test::Between(low, high) => frag![column(), " between ", bind(low), " and ", bind(high)],
            Test::Like { pattern, ignore_case } => {
                let operator = if *ignore_case { " ilike " } else { " like " };
                frag![column(), operator, Fragment::text(pattern.as_str())]
            }
            Test::StartsWith(prefix) => {
                let low = frag![column(), " >= ", Fragment::text(prefix.as_str())];
                match after_prefix(prefix) {
                    Some(end) => frag!["(", low, " and ", column(), " < ", Fragment::text(end), ")"],
                    None => low,
                }
            }
            Test::Has(part) => frag!["strpos(", column(), ", ", Fragment::text(part.as_str()), ") > 0"],
            Test::Null(true) => frag![column(), " is null"],
            Test::Null(false) => frag![column(), " is not null"],
            Test::Contains(value) => frag![column(), " @> ", bind(value)],
            Test::SameJson(value) => {
                frag!["(", column(), " @> ", bind(value), " and ", column(), " = ", bind(value), ")"]
            }
            Test::Json(test) => test.render(&column),
        }
    }
}

/// The field of that name, which the caller sees in clear; or an error that names the nearest of those.
pub(super) fn find<'a>(
    schema: &'a Schema,
    view: &View,
    name: &str,
    parameter: &str,
) -> Result<(usize, &'a Field), PlanError> {
    let found = schema.position(name).and_then(|at| Some((at, schema.fields().get(at)?)));
    match found {
        Some((position, field)) if view.is_clear(position) => Ok((position, field)),
        Some(_) => Err(forbidden(parameter, name)),
        None => {
            let clear = schema.fields().iter().enumerate().filter(|(position, _)| view.is_clear(*position));
            let near = did_you_mean(name, clear.map(|(_, field)| field.name.as_str()));
            Err(PlanError::invalid(
                parameter,
                "unknownField",
                format!("`{}` is not a field of this schema{near}", shown(name)),
            ))
        }
    }
}

/// What the schema's owner has to write.
pub(super) fn how_to_allow(field: &Field, key: &str) -> String {
    match &field.kind {
        FieldType::Bytes { .. } => "bytes never do".to_owned(),
        FieldType::Json | FieldType::Array { .. } if key == "sortable" => {
            format!("{} values have no order", field.kind.name())
        }
        _ if field.system => format!("declare `{}` in the schema with `{key}: true`", field.name),
        _ => format!("set `{key}: true` on it in the schema"),
    }
}

fn plan_test(field: &Field, filter: &RequestedFilter) -> Result<Test, PlanError> {
    let kind = &field.kind;
    let allowed = Operator::of(kind);
    if !allowed.contains(&filter.operator) {
        let words: Vec<&str> = allowed.iter().map(|operator| operator.as_str()).collect();
        return Err(PlanError::invalid(
            &filter.parameter,
            "operator",
            format!("`{}` is a {} field and takes {}", field.name, kind.name(), words.join(", ")),
        ));
    }
    let text = filter.value.as_str();
    let compare = |operator| Ok(Test::Compare(operator, operand(kind, text, filter)?));
    match filter.operator {
        Operator::Eq if matches!(kind, FieldType::Json) => Ok(Test::SameJson(operand(kind, text, filter)?)),
        Operator::Eq => compare(" = "),
        Operator::Ne => Ok(Test::Distinct(operand(kind, text, filter)?)),
        Operator::Gt => compare(" > "),
        Operator::Gte => compare(" >= "),
        Operator::Lt => compare(" < "),
        Operator::Lte => compare(" <= "),
        Operator::In | Operator::Nin => {
            let values = list(text, filter)?
                .iter()
                .map(|item| operand(kind, item, filter))
                .collect::<Result<_, _>>()?;
            Ok(Test::Any { values, negated: filter.operator == Operator::Nin })
        }
        Operator::Between => {
            let (low, high) = pair(text, filter)?;
            Ok(Test::Between(operand(kind, &low, filter)?, operand(kind, &high, filter)?))
        }
        Operator::Like | Operator::Ilike => Ok(Test::Like {
            pattern: pattern(text, filter)?,
            ignore_case: filter.operator == Operator::Ilike,
        }),
        Operator::Contains => match kind {
            FieldType::Json => Ok(Test::Contains(operand(kind, text, filter)?)),
            FieldType::Array { items, .. } => {
                Ok(Test::Contains(Value::Array(vec![operand(items, text, filter)?])))
            }
            _ => Ok(Test::Has(plain(text, filter)?)),
        },
        Operator::StartsWith => Ok(Test::StartsWith(plain(text, filter)?)),
        Operator::EndsWith => {
            Ok(Test::Like { pattern: format!("%{}", escaped(&plain(text, filter)?)), ignore_case: false })
        }
        Operator::IsNull => Ok(Test::Null(boolean(text, filter)?)),
        Operator::Exists => Ok(Test::Null(!boolean(text, filter)?)),
    }
}

/// A value of the field's type. A word that an enum does not have would silently find nothing: it is an error.
fn operand(kind: &FieldType, text: &str, filter: &RequestedFilter) -> Result<Value, PlanError> {
    let refuse = |Misfit { rule, message }| PlanError::invalid(&filter.parameter, rule, message);
    let value = kind.read_operand(text).map_err(refuse)?;
    let whole = matches!(filter.operator, Operator::Eq | Operator::Ne | Operator::In | Operator::Nin);
    if whole && matches!(kind, FieldType::Enum { .. }) {
        kind.check(&value).map_err(refuse)?;
    }
    Ok(value)
}

/// Text that Postgres can hold.
pub(super) fn plain(text: &str, filter: &RequestedFilter) -> Result<String, PlanError> {
    operand(&FieldType::plain_string(), text, filter).map(|_| text.to_owned())
}

pub(super) fn boolean(text: &str, filter: &RequestedFilter) -> Result<bool, PlanError> {
    match text {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(PlanError::invalid(&filter.parameter, "type", "must be true or false")),
    }
}

/// The parts of `a,b`; `\,` is a comma within a part, `\\` a backslash.
pub(super) fn list(text: &str, filter: &RequestedFilter) -> Result<Vec<String>, PlanError> {
    let mut parts = vec![String::new()];
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (c, parts.last_mut()) {
            (',', _) => parts.push(String::new()),
            ('\\', Some(part)) => match chars.next() {
                Some(escaped @ (',' | '\\')) => part.push(escaped),
                Some(other) => part.extend(['\\', other]),
                None => part.push('\\'),
            },
            (c, Some(part)) => part.push(c),
            (_, None) => {}
        }
    }
    if parts.len() > LIST_MAX {
        return Err(PlanError::invalid(
            &filter.parameter,
            "length",
            format!("takes at most {LIST_MAX} values"),
        ));
    }
    Ok(parts)
}

pub(super) fn pair(text: &str, filter: &RequestedFilter) -> Result<(String, String), PlanError> {
    match <[String; 2]>::try_from(list(text, filter)?) {
        Ok([low, high]) => Ok((low, high)),
        Err(_) => Err(PlanError::invalid(
            &filter.parameter,
            "type",
            "takes two values, low and high, with a comma between them",
        )),
    }
}

/// A pattern that `like` can run: it must not end within an escape.
pub(super) fn pattern(text: &str, filter: &RequestedFilter) -> Result<String, PlanError> {
    let trailing = text.chars().rev().take_while(|c| *c == '\\').count();
    if trailing % 2 == 1 {
        return Err(PlanError::invalid(
            &filter.parameter,
            "pattern",
            "ends with a lone backslash; write two for a backslash itself",
        ));
    }
    plain(text, filter)
}

pub(super) fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_")
}

/// The smallest text (by code point) after all that begin with `prefix`; `None` when there is none.
fn after_prefix(prefix: &str) -> Option<String> {
    let mut text = prefix.to_owned();
    while let Some(last) = text.pop() {
        let next = match last {
            '\u{d7ff}' => Some('\u{e000}'),
            other => char::from_u32(u32::from(other) + 1),
        };
        if let Some(next) = next {
            text.push(next);
            return Some(text);
        }
    }
    None
}

pub(super) fn text_array(items: &[String]) -> Fragment {
    let items = items.iter().cloned().map(Value::String).collect();
    Fragment::bind(SqlType::TextArray, Value::Array(items))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(operator: Operator) -> RequestedFilter {
        RequestedFilter { field: "f".into(), operator, value: String::new(), parameter: "filter[f]".into() }
    }

    #[test]
    fn commas_within_values_are_escaped() {
        let parts = |text| list(text, &filter(Operator::In)).unwrap();
        assert_eq!(parts("a,b"), ["a", "b"]);
        assert_eq!(parts(r"a\,b,c\\,\d"), ["a,b", r"c\", r"\d"]);
        assert_eq!(parts(""), [""]);
        assert!(list(&",".repeat(1000), &filter(Operator::In)).is_err());
        assert!(pair("1,2,3", &filter(Operator::Between)).is_err());
    }

    #[test]
    fn the_text_after_a_prefix_is_the_next_in_code_point_order() {
        assert_eq!(after_prefix("ab").as_deref(), Some("ac"));
        assert_eq!(after_prefix("a\u{10ffff}").as_deref(), Some("b"));
        assert_eq!(after_prefix("\u{d7ff}").as_deref(), Some("\u{e000}"));
        assert_eq!(after_prefix("\u{10ffff}"), None);
        assert_eq!(after_prefix(""), None);
    }

    #[test]
    fn a_pattern_that_postgres_would_choke_on_is_the_callers_error() {
        assert!(pattern(r"a\", &filter(Operator::Like)).is_err());
        assert!(pattern(r"a\\", &filter(Operator::Like)).is_ok());
        assert!(pattern("a\0", &filter(Operator::Like)).is_err());
    }
}
