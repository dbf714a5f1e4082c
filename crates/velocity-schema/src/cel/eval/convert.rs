//! Conversions.

use bigdecimal::{BigDecimal, RoundingMode, ToPrimitive};

use super::budget::{reading, scan};
use super::datum::{Datum, Held};
use super::{Evaluated, Evaluator, expected, json};
use crate::cel::check::uuid;
use crate::cel::ir::Type;
use crate::cel::{EvaluationError, duration};
use crate::value::Value;
use crate::{decimal, time};

impl<'a> Evaluator<'a> {
    pub(super) fn convert(&mut self, from: Datum<'a>, to: &Type) -> Evaluated<'a> {
        match (from, to) {
            (Datum::Null, _) => Ok(Datum::Null),
            (Datum::Json(text), _) => self.convert_json(text, to),
            (Datum::List(items), Type::List(item)) => {
                self.budget.produce(size_of::<Datum>() * items.len())?;
                let mut made = Vec::with_capacity(items.len());
                for index in 0..items.len() {
                    self.budget.spend(1)?;
                    let Some(value) = items.get(index) else { break };
                    made.push(self.convert(value, item)?);
                }
                Ok(Datum::list(made))
            }
            (Datum::Integer(number), Type::Number) => Ok(Datum::number(BigDecimal::from(number))),
            (Datum::Number(number), Type::Integer) => {
                self.budget.spend(scan(number.digits()))?;
                match number.with_scale_round(0, RoundingMode::Down).to_i64() {
                    Some(whole) => Ok(Datum::Integer(whole)),
                    None => self.fail(|| "the number has more than 64 bits".into()),
                }
            }
            (Datum::Timestamp(micros), Type::Date) => {
                let days = micros.div_euclid(i128::from(time::MICROS_PER_DAY));
                Ok(i32::try_from(days).map_or(Datum::Null, Datum::Date))
            }
            (Datum::Timestamp(micros), Type::Time) => {
                let micros = micros.rem_euclid(i128::from(time::MICROS_PER_DAY));
                Ok(i64::try_from(micros).map_or(Datum::Null, Datum::Time))
            }
            (from, Type::Text) => self.as_text(from),
            (Datum::Text(text), to) => self.parse_text(&text, to),
            (from, to) => self.fail(|| format!("{} is no {to}", from.kind())),
        }
    }

    fn as_text(&mut self, from: Datum<'a>) -> Evaluated<'a> {
        let value = match from {
            Datum::Text(text) => return Ok(Datum::Text(text)),
            Datum::Integer(number) => Value::Integer(number),
            Datum::Number(number) => {
                self.budget.produce(usize::try_from(number.digits()).unwrap_or(usize::MAX))?;
                Value::Number(BigDecimal::clone(&number))
            }
            Datum::Boolean(yes) => Value::Boolean(yes),
            Datum::Uuid(uuid) => Value::Uuid(uuid),
            Datum::Date(days) => Value::Date(days),
            Datum::Time(micros) => Value::Time(micros),
            Datum::Timestamp(micros) => match i64::try_from(micros) {
                Ok(micros) => Value::Timestamp(micros),
                Err(_) => return self.fail(|| "the timestamp is out of range".into()),
            },
            other => return self.fail(|| format!("{} has no text", other.kind())),
        };
        let text = value.to_text();
        self.budget.produce(text.len())?;
        Ok(Datum::text(text))
    }

    fn parse_text(&mut self, text: &str, to: &Type) -> Evaluated<'a> {
        let length = text.len() as u64;
        self.budget.spend(if *to == Type::Number { reading(length) } else { scan(length) })?;
        let parsed = match to {
            Type::Uuid => uuid(text).map(Datum::Uuid),
            Type::Timestamp => time::parse_timestamp(text).map(|micros| Datum::Timestamp(micros.into())),
            Type::Date => time::parse_date(text).map(Datum::Date),
            Type::Time => time::parse_time(text).map(Datum::Time),
            Type::Duration => duration::parse(text).map(|micros| Datum::Duration(micros.into())),
            Type::Number => decimal::parse(text).ok().map(Datum::number),
            Type::Integer => text.parse().ok().map(Datum::Integer),
            _ => None,
        };
        match parsed {
            Some(value) => Ok(value),
            None => self.fail(|| format!("the text is no {to}")),
        }
    }

    fn convert_json(&mut self, text: &'a str, to: &Type) -> Evaluated<'a> {
        match (json::kind(text), to) {
            (_, Type::Json) => Ok(Datum::Json(text)),
            (json::Kind::Text, Type::Text) => self.json_text(text).map(Datum::Text),
            (json::Kind::Boolean, Type::Boolean) => Ok(Datum::Boolean(text == "true")),
            (json::Kind::Number, Type::Number) => match self.json_number(text)? {
                Some(number) => Ok(number),
                None => self.fail(|| "the number in the json has too many digits".into()),
            },
            (kind, to) => {
                self.fail(|| format!("the json is {} where {} is expected", kind.described(), expected(to)))
            }
        }
    }

    /// The number of a JSON text; `None` where it has more digits than any field holds.
    pub(super) fn json_number(&mut self, text: &str) -> Result<Option<Datum<'a>>, EvaluationError> {
        self.budget.spend(reading(text.len() as u64))?;
        Ok(decimal::parse(text).ok().map(Datum::number))
    }

    /// The characters of a JSON string.
    pub(super) fn json_text(&mut self, text: &'a str) -> Result<Held<'a, str>, EvaluationError> {
        if text.contains('\\') {
            self.budget.produce(text.len())?;
        }
        Ok(json::string(text).into())
    }
}
