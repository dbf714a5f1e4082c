//! Functions.

use super::budget::scan;
use super::datum::{Datum, Held};
use super::{Evaluated, Evaluator, json};
use crate::cel::EvaluationError;
use crate::cel::ir::{Expr, Function, Part};
use crate::cel::pattern::{Matcher, Pattern};
use crate::time::MICROS_PER_DAY;

/// Patterns that one evaluation remembers something about.
const MATCHERS_MAX: usize = 8;

impl<'a> Evaluator<'a> {
    pub(super) fn call(&mut self, function: &'a Function, args: &'a [Expr]) -> Evaluated<'a> {
        let [first, rest @ ..] = args else { return Ok(Datum::Null) };
        let first = self.eval(first)?;
        let second = rest.first().map(|arg| self.eval(arg)).transpose()?;
        match (function, first, second) {
            (_, Datum::Null, _) | (_, _, Some(Datum::Null)) => Ok(Datum::Null),
            (Function::Size, operand, _) => self.size(&operand),
            (Function::Part(part), operand, _) => {
                Ok(part_of(*part, &operand).map_or(Datum::Null, Datum::Integer))
            }
            (Function::Whole(part), Datum::Duration(micros), _) => {
                let whole = i64::try_from(micros / micros_of(*part));
                whole.map_or_else(
                    |_| self.fail(|| "the duration is too long".into()),
                    |n| Ok(Datum::Integer(n)),
                )
            }
            (function, Datum::Text(text), second) => self.text(function, text, second),
            _ => Ok(Datum::Null),
        }
    }

    fn text(
        &mut self,
        function: &'a Function,
        text: Held<'a, str>,
        second: Option<Datum<'a>>,
    ) -> Evaluated<'a> {
        let length = text.len() as u64;
        let other = match second {
            Some(Datum::Text(other)) => other,
            _ => Held::Borrowed(""),
        };
        self.budget.spend(scan(length) + scan(other.len() as u64))?;
        Ok(match function {
            Function::StartsWith => Datum::Boolean(text.starts_with(&*other)),
            Function::EndsWith => Datum::Boolean(text.ends_with(&*other)),
            Function::Contains => Datum::Boolean(text.contains(&*other)),
            Function::Matches(pattern) => Datum::Boolean(self.matches(pattern, &text)?),
            Function::LowerAscii | Function::UpperAscii => {
                self.budget.produce(text.len())?;
                let lower = matches!(function, Function::LowerAscii);
                Datum::text(if lower { text.to_ascii_lowercase() } else { text.to_ascii_uppercase() })
            }
            Function::Trim => match text {
                Held::Borrowed(text) => Datum::Text(Held::Borrowed(text.trim())),
                Held::Shared(text) => {
                    self.budget.produce(text.len())?;
                    Datum::text(text.trim().to_owned())
                }
            },
            Function::Size | Function::Part(_) | Function::Whole(_) => Datum::Null,
        })
    }

    fn matches(&mut self, pattern: &'a Pattern, text: &str) -> Result<bool, EvaluationError> {
        if !self.matchers.iter().any(|matcher| matcher.is_for(pattern)) {
            // Few, because each takes memory.
            if self.matchers.len() == MATCHERS_MAX {
                self.matchers.clear();
            }
            self.budget.spend(pattern.price(0))?;
            self.matchers.push(Matcher::new(pattern));
        }
        let found = self.matchers.iter_mut().find(|matcher| matcher.is_for(pattern));
        found.map_or(Ok(false), |matcher| matcher.is_match(text, &mut self.budget))
    }

    fn size(&mut self, operand: &Datum<'a>) -> Evaluated<'a> {
        let count = match operand {
            Datum::Text(text) => {
                self.budget.spend(scan(text.len() as u64))?;
                text.chars().count()
            }
            Datum::Bytes(bytes) => bytes.len(),
            Datum::List(items) => items.len(),
            Datum::Json(text) => {
                self.budget.spend(scan(text.len() as u64))?;
                match json::kind(text) {
                    json::Kind::List => json::parts(text).count(),
                    json::Kind::Object => json::members(text).count(),
                    json::Kind::Text => self.json_text(text)?.chars().count(),
                    kind => return self.fail(|| format!("{} has no size", kind.described())),
                }
            }
            _ => return Ok(Datum::Null),
        };
        Ok(i64::try_from(count).map_or(Datum::Null, Datum::Integer))
    }
}

/// The microseconds of the unit that a duration is counted in.
fn micros_of(part: Part) -> i128 {
    match part {
        Part::Hour => 3_600_000_000,
        Part::Minute => 60_000_000,
        Part::Second => 1_000_000,
        _ => 1_000,
    }
}

fn part_of(part: Part, moment: &Datum<'_>) -> Option<i64> {
    let day_micros = i128::from(MICROS_PER_DAY);
    let (days, micros) = match moment {
        Datum::Timestamp(micros) => (
            i64::try_from(micros.div_euclid(day_micros)).ok()?,
            i64::try_from(micros.rem_euclid(day_micros)).ok()?,
        ),
        Datum::Date(days) => (i64::from(*days), 0),
        Datum::Time(micros) => (0, *micros),
        _ => return None,
    };
    let date = || {
        let days = jiff::Span::new().try_days(days).ok()?;
        jiff::civil::date(1970, 1, 1).checked_add(days).ok()
    };
    Some(match part {
        Part::Year => date()?.year().into(),
        Part::Month => i64::from(date()?.month()) - 1,
        Part::DayOfMonth => date()?.day().into(),
        Part::DayOfMonthFromZero => i64::from(date()?.day()) - 1,
        // The epoch was a Thursday.
        Part::DayOfWeek => (days + 4).rem_euclid(7),
        Part::DayOfYear => i64::from(date()?.day_of_year()) - 1,
        Part::Hour => micros / 3_600_000_000,
        Part::Minute => micros / 60_000_000 % 60,
        Part::Second => micros / 1_000_000 % 60,
        Part::Millisecond => micros / 1_000 % 1_000,
    })
}
