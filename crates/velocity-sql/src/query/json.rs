//! Conditions on what is inside a json field.

use bigdecimal::BigDecimal;
use velocity_schema::Value;
use velocity_schema::decimal;
use velocity_schema::value::write_json_string;

use super::condition::{boolean, escaped, list, pair, pattern, plain, text_array};
use super::error::PlanError;
use super::operator::Operator;
use super::request::RequestedFilter;
use crate::frag;
use crate::fragment::Fragment;
use crate::sql_type::SqlType;

/// Most steps into a document.
const JSON_STEPS_MAX: usize = 16;

/// A condition on the value at a path.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct JsonTest {
    path: Vec<String>,
    test: Test,
}

#[derive(Debug, Clone, PartialEq)]
enum Test {
    /// Equal to one of these JSON texts.
    OneOf {
        values: Vec<String>,
        negated: bool,
    },
    Compare(&'static str, Operand),
    Between(Operand, Operand),
    Like {
        pattern: String,
        ignore_case: bool,
    },
    Has(String),
    Null(bool),
    Exists(bool),
}

/// What is compared with: numbers with numbers, texts with texts.
#[derive(Debug, Clone, PartialEq)]
enum Operand {
    Number(BigDecimal),
    Text(String),
}

impl JsonTest {
    pub(super) fn plan(path: &str, filter: &RequestedFilter) -> Result<Self, PlanError> {
        let path: Vec<String> = path.split('.').map(str::to_owned).collect();
        if path.iter().any(|step| step.is_empty() || step.contains('\0')) || path.len() > JSON_STEPS_MAX {
            return Err(PlanError::invalid(
                &filter.parameter,
                "path",
                format!("a path is field.step.step with at most {JSON_STEPS_MAX} steps"),
            ));
        }
        let text = filter.value.as_str();
        let compare = |operator| Ok(Test::Compare(operator, Operand::read(text, filter)?));
        let test = match filter.operator {
            Operator::Eq | Operator::Ne => {
                let values = readings(&plain(text, filter)?);
                Test::OneOf { values, negated: filter.operator == Operator::Ne }
            }
            Operator::In | Operator::Nin => {
                let values =
                    list(&plain(text, filter)?, filter)?.iter().flat_map(|item| readings(item)).collect();
                Test::OneOf { values, negated: filter.operator == Operator::Nin }
            }
            Operator::Gt => compare(" > ")?,
            Operator::Gte => compare(" >= ")?,
            Operator::Lt => compare(" < ")?,
            Operator::Lte => compare(" <= ")?,
            Operator::Between => {
                let (low, high) = pair(text, filter)?;
                let (low, high) = (Operand::read(&low, filter)?, Operand::read(&high, filter)?);
                if matches!(
                    (&low, &high),
                    (Operand::Number(_), Operand::Number(_)) | (Operand::Text(_), Operand::Text(_))
                ) {
                    Test::Between(low, high)
                } else {
                    return Err(PlanError::invalid(
                        &filter.parameter,
                        "type",
                        "takes two numbers or two texts, not one of each",
                    ));
                }
            }
            Operator::Like | Operator::Ilike => Test::Like {
                pattern: pattern(text, filter)?,
                ignore_case: filter.operator == Operator::Ilike,
            },
            Operator::Contains => Test::Has(plain(text, filter)?),
            Operator::StartsWith => {
                Test::Like { pattern: format!("{}%", escaped(&plain(text, filter)?)), ignore_case: false }
            }
            Operator::EndsWith => {
                Test::Like { pattern: format!("%{}", escaped(&plain(text, filter)?)), ignore_case: false }
            }
            Operator::IsNull => Test::Null(boolean(text, filter)?),
            Operator::Exists => Test::Exists(boolean(text, filter)?),
        };
        Ok(Self { path, test })
    }

    /// A step of digits may be a position in an array, which containment does not know.
    fn passes_arrays(&self) -> bool {
        self.path.iter().any(|step| step.bytes().all(|b| b.is_ascii_digit()))
    }

    pub(super) fn render(&self, column: &dyn Fn() -> Fragment) -> Fragment {
        let value = || frag!["(", column(), " #> ", text_array(&self.path), ")"];
        let text = || frag!["(", column(), " #>> ", text_array(&self.path), ") collate \"C\""];
        match &self.test {
            Test::OneOf { values, negated } => {
                let one_of = self.one_of(values, column);
                if *negated { frag!["(", one_of, ") is not true"] } else { one_of }
            }
            Test::Compare(operator, operand) => {
                operand.guard(&value, &text, &|left| frag![left, *operator, operand.bind()])
            }
            Test::Between(low, high) => {
                low.guard(&value, &text, &|left| frag![left, " between ", low.bind(), " and ", high.bind()])
            }
            Test::Like { pattern, ignore_case } => {
                let operator = if *ignore_case { " ilike " } else { " like " };
                frag![text(), operator, Fragment::text(pattern.as_str())]
            }
            Test::Has(part) => frag!["strpos(", text(), ", ", Fragment::text(part.as_str()), ") > 0"],
            Test::Null(wanted) => {
                let operator = if *wanted { " = " } else { " <> " };
                frag!["coalesce(", value(), ", 'null'::jsonb)", operator, "'null'::jsonb"]
            }
            Test::Exists(true) => frag![value(), " is not null"],
            Test::Exists(false) => frag![value(), " is null"],
        }
    }

    fn one_of(&self, values: &[String], column: &dyn Fn() -> Fragment) -> Fragment {
        let json = |text: String| Fragment::bind(SqlType::Jsonb, Value::Json(text));
        if self.passes_arrays() {
            let values = values.iter().cloned().map(Value::Json).collect();
            let values = Fragment::bind(SqlType::JsonbArray, Value::Array(values));
            return frag!["(", column(), " #> ", text_array(&self.path), ") = any(", values, ")"];
        }
        let contained = values.iter().map(|value| frag![column(), " @> ", json(self.around(value))]);
        Fragment::join(contained, " or ").parenthesised()
    }

    /// `{"a":{"b":value}}`
    fn around(&self, value: &str) -> String {
        let mut out = String::new();
        for step in &self.path {
            out.push('{');
            write_json_string(step, &mut out);
            out.push(':');
        }
        out.push_str(value);
        out.extend(std::iter::repeat_n('}', self.path.len()));
        out
    }
}

impl Operand {
    fn read(text: &str, filter: &RequestedFilter) -> Result<Self, PlanError> {
        match decimal::parse(text) {
            Ok(number) => Ok(Self::Number(number)),
            Err(_) => Ok(Self::Text(
                quoted(text).map_or_else(|| plain(text, filter), |inner| plain(&inner, filter))?,
            )),
        }
    }

    fn bind(&self) -> Fragment {
        match self {
            Self::Number(number) => Fragment::bind(SqlType::Numeric, Value::Number(number.clone())),
            Self::Text(text) => Fragment::text(text.as_str()),
        }
    }

    /// Only values of the operand's kind are cast and compared; `case` keeps that order, `and` would not.
    fn guard(
        &self,
        value: &dyn Fn() -> Fragment,
        text: &dyn Fn() -> Fragment,
        compare: &dyn Fn(Fragment) -> Fragment,
    ) -> Fragment {
        let (kind, left) = match self {
            Self::Number(_) => ("'number'", frag!["(", value(), " #>> '{}')::numeric"]),
            Self::Text(_) => ("'string'", text()),
        };
        frag!["case when jsonb_typeof(", value(), ") = ", kind, " then ", compare(left), " else false end"]
    }
}

/// The JSON values that a text without types can mean: `7` is a number or a string, `"7"` only a string.
fn readings(text: &str) -> Vec<String> {
    if quoted(text).is_some() {
        return vec![text.to_owned()];
    }
    let mut string = String::new();
    write_json_string(text, &mut string);
    let mut all = vec![string];
    if matches!(text, "true" | "false") || decimal::parse(text).is_ok() {
        all.push(text.to_owned());
    }
    all
}

/// The text within JSON quotes.
fn quoted(text: &str) -> Option<String> {
    let inner: Option<String> = text.starts_with('"').then(|| serde_json::from_str(text).ok()).flatten();
    inner.filter(|inner| !inner.contains('\0'))
}
