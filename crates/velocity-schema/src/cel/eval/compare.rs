//! Comparisons and `in`.

use std::cmp::Ordering;

use super::budget::scan;
use super::datum::{Datum, Items};
use super::{Evaluated, Evaluator, json};
use crate::cel::EvaluationError;
use crate::cel::ir::Comparison;

impl<'a> Evaluator<'a> {
    pub(super) fn compare(&mut self, how: Comparison, left: &Datum<'_>, right: &Datum<'_>) -> Evaluated<'a> {
        let answer = match how {
            Comparison::Equal => self.equal(left, right)?,
            Comparison::NotEqual => self.equal(left, right)?.map(|equal| !equal),
            Comparison::Less => self.order(left, right)?.map(Ordering::is_lt),
            Comparison::LessOrEqual => self.order(left, right)?.map(Ordering::is_le),
            Comparison::Greater => self.order(left, right)?.map(Ordering::is_gt),
            Comparison::GreaterOrEqual => self.order(left, right)?.map(Ordering::is_ge),
        };
        Ok(answer.map_or(Datum::Null, Datum::Boolean))
    }

    /// Whether both are equal; `None` where one is null.
    fn equal(&mut self, left: &Datum<'_>, right: &Datum<'_>) -> Result<Option<bool>, EvaluationError> {
        Ok(match (left, right) {
            (Datum::Null, _) | (_, Datum::Null) => None,
            (Datum::Boolean(left), Datum::Boolean(right)) => Some(left == right),
            (Datum::Uuid(left), Datum::Uuid(right)) => Some(left == right),
            (Datum::Bytes(left), Datum::Bytes(right)) => {
                self.budget.spend(scan(left.len().min(right.len()) as u64))?;
                Some(left == right)
            }
            (Datum::Json(left), Datum::Json(right)) => Some(json::equal(left, right, &mut self.budget)?),
            (Datum::List(left), Datum::List(right)) => return self.equal_lists(left, right),
            _ => self.order(left, right)?.map(Ordering::is_eq),
        })
    }

    fn equal_lists(&mut self, left: &Items<'_>, right: &Items<'_>) -> Result<Option<bool>, EvaluationError> {
        if left.len() != right.len() {
            return Ok(Some(false));
        }
        let mut unknown = false;
        for index in 0..left.len() {
            self.budget.spend(1)?;
            if let (Some(left), Some(right)) = (left.get(index), right.get(index)) {
                match self.equal(&left, &right)? {
                    Some(false) => return Ok(Some(false)),
                    Some(true) => {}
                    None => unknown = true,
                }
            }
        }
        Ok((!unknown).then_some(true))
    }

    /// The order of two values of one type; texts by code point. `None` where one is null.
    fn order(&mut self, left: &Datum<'_>, right: &Datum<'_>) -> Result<Option<Ordering>, EvaluationError> {
        Ok(match (left, right) {
            (Datum::Integer(left), Datum::Integer(right)) | (Datum::Time(left), Datum::Time(right)) => {
                Some(left.cmp(right))
            }
            (Datum::Number(left), Datum::Number(right)) => {
                self.budget.spend(scan(left.digits().saturating_add(right.digits())))?;
                Some(left.cmp(right))
            }
            (Datum::Text(left), Datum::Text(right)) => {
                self.budget.spend(scan(left.len().min(right.len()) as u64))?;
                Some(left.as_bytes().cmp(right.as_bytes()))
            }
            (Datum::Timestamp(left), Datum::Timestamp(right))
            | (Datum::Duration(left), Datum::Duration(right)) => Some(left.cmp(right)),
            (Datum::Date(left), Datum::Date(right)) => Some(left.cmp(right)),
            _ => None,
        })
    }

    /// Whether the needle is an element: equal to one of them, by three-valued `||`.
    pub(super) fn contains(&mut self, needle: &Datum<'a>, list: Datum<'a>) -> Evaluated<'a> {
        let items = match list {
            Datum::List(items) => items,
            Datum::Json(text) => return self.json_contains(needle, text),
            _ => return Ok(Datum::Null),
        };
        let mut unknown = false;
        for index in 0..items.len() {
            self.budget.spend(1)?;
            let Some(item) = items.get(index) else { break };
            match self.equal(needle, &item)? {
                Some(true) => return Ok(Datum::Boolean(true)),
                Some(false) => {}
                None => unknown = true,
            }
        }
        Ok(if unknown { Datum::Null } else { Datum::Boolean(false) })
    }

    /// Whether the needle is an element of a JSON array, or a key of a JSON object. Elements of another type are not
    /// equal to it.
    fn json_contains(&mut self, needle: &Datum<'a>, text: &'a str) -> Evaluated<'a> {
        self.budget.spend(scan(text.len() as u64))?;
        if matches!(needle, Datum::Null) {
            return Ok(Datum::Null);
        }
        if json::kind(text) != json::Kind::List {
            return self.fail(|| format!("`in` looks into {}, not an array", json::kind(text).described()));
        }
        for part in json::parts(text) {
            self.budget.spend(1)?;
            let same = match (needle, json::kind(part)) {
                (Datum::Text(_), json::Kind::Text) => {
                    let item = Datum::Text(self.json_text(part)?);
                    self.equal(needle, &item)?
                }
                (Datum::Boolean(yes), json::Kind::Boolean) => Some(*yes == (part == "true")),
                (Datum::Number(_), json::Kind::Number) => match self.json_number(part)? {
                    Some(number) => self.equal(needle, &number)?,
                    None => Some(false),
                },
                (Datum::Json(_), _) => self.equal(needle, &Datum::json(part))?,
                _ => Some(false),
            };
            if same == Some(true) {
                return Ok(Datum::Boolean(true));
            }
        }
        Ok(Datum::Boolean(false))
    }
}
