//! Arithmetic. Exact, and where it cannot be, a failure; numbers are divided to 34 digits.

use std::num::NonZeroU64;
use std::rc::Rc;

use bigdecimal::{BigDecimal, RoundingMode, Zero};

use super::budget::{DIVIDING, multiplying};
use super::datum::{Datum, Items};
use super::{Evaluated, Evaluator, Failure};
use crate::cel::ir::Arithmetic;
use crate::time::MICROS_PER_DAY;

/// Digits of a quotient: those of IEEE 754 decimal128.
const QUOTIENT_DIGITS: NonZeroU64 = NonZeroU64::MIN.saturating_add(33);
/// The years that a timestamp may have, 1 to 9999, in microseconds.
const TIMESTAMPS: std::ops::RangeInclusive<i128> = -62_135_596_800_000_000..=253_402_300_799_999_999;

impl<'a> Evaluator<'a> {
    pub(super) fn arithmetic(&mut self, how: Arithmetic, left: Datum<'a>, right: Datum<'a>) -> Evaluated<'a> {
        match (left, right) {
            (Datum::Null, _) | (_, Datum::Null) => Ok(Datum::Null),
            (Datum::Integer(left), Datum::Integer(right)) => self.integers(how, left, right),
            (Datum::Number(left), Datum::Number(right)) => self.numbers(how, &left, &right),
            (Datum::Text(left), Datum::Text(right)) => {
                self.budget.produce(left.len() + right.len())?;
                Ok(Datum::text(format!("{}{}", &*left, &*right)))
            }
            (Datum::List(left), Datum::List(right)) => self.join(&left, &right),
            (left, right) => self.moments(how, &left, &right),
        }
    }

    pub(super) fn negate(&mut self, operand: Datum<'a>) -> Evaluated<'a> {
        match operand {
            Datum::Integer(number) => match number.checked_neg() {
                Some(number) => Ok(Datum::Integer(number)),
                None => self.fail(overflow),
            },
            Datum::Number(number) => Ok(Datum::number(-&*number)),
            Datum::Duration(micros) => Ok(Datum::Duration(-micros)),
            _ => Ok(Datum::Null),
        }
    }

    fn integers(&mut self, how: Arithmetic, left: i64, right: i64) -> Evaluated<'a> {
        if right == 0 && matches!(how, Arithmetic::DivideWhole | Arithmetic::Remainder) {
            return self.fail(division_by_zero);
        }
        let result = match how {
            Arithmetic::Add => left.checked_add(right),
            Arithmetic::Subtract => left.checked_sub(right),
            Arithmetic::Multiply => left.checked_mul(right),
            Arithmetic::Divide | Arithmetic::DivideWhole => left.checked_div(right),
            Arithmetic::Remainder => left.checked_rem(right),
        };
        match result {
            Some(number) => Ok(Datum::Integer(number)),
            None => self.fail(overflow),
        }
    }

    fn numbers(&mut self, how: Arithmetic, left: &BigDecimal, right: &BigDecimal) -> Evaluated<'a> {
        let digits = (left.digits(), right.digits());
        let widest = digits
            .0
            .saturating_add(digits.1)
            .saturating_add(left.fractional_digit_count().abs_diff(right.fractional_digit_count()));
        self.budget.produce(usize::try_from(widest).unwrap_or(usize::MAX))?;
        self.budget.spend(multiplying(digits.0, digits.1))?;
        let divides = matches!(how, Arithmetic::Divide | Arithmetic::DivideWhole | Arithmetic::Remainder);
        self.budget.spend(if divides { DIVIDING } else { 0 })?;
        if divides && right.is_zero() {
            return self.fail(division_by_zero);
        }
        Ok(Datum::number(match how {
            Arithmetic::Add => left + right,
            Arithmetic::Subtract => left - right,
            Arithmetic::Multiply => left * right,
            Arithmetic::Divide => {
                (left / right).with_precision_round(QUOTIENT_DIGITS, RoundingMode::HalfEven)
            }
            Arithmetic::DivideWhole => whole_quotient(left, right).0,
            Arithmetic::Remainder => whole_quotient(left, right).1,
        }))
    }

    fn join(&mut self, left: &Items<'a>, right: &Items<'a>) -> Evaluated<'a> {
        let count = left.len() + right.len();
        self.budget.produce(size_of::<Datum>() * count)?;
        let items = (0..left.len()).map(|at| left.get(at)).chain((0..right.len()).map(|at| right.get(at)));
        Ok(Datum::List(Items::Made(Rc::new(items.flatten().collect()))))
    }

    fn moments(&mut self, how: Arithmetic, left: &Datum<'a>, right: &Datum<'a>) -> Evaluated<'a> {
        let adds = how == Arithmetic::Add;
        let signed = |micros: i128| if adds { micros } else { -micros };
        let result = match (left, right) {
            (Datum::Timestamp(time), Datum::Duration(length)) => Datum::Timestamp(time + signed(*length)),
            (Datum::Duration(length), Datum::Timestamp(time)) => Datum::Timestamp(time + length),
            (Datum::Timestamp(left), Datum::Timestamp(right)) => Datum::Duration(left - right),
            (Datum::Date(left), Datum::Date(right)) => {
                Datum::Duration((i128::from(*left) - i128::from(*right)) * i128::from(MICROS_PER_DAY))
            }
            (Datum::Duration(left), Datum::Duration(right)) => Datum::Duration(left + signed(*right)),
            _ => Datum::Null,
        };
        match result {
            Datum::Timestamp(micros) if self.failure == Failure::Stops && !TIMESTAMPS.contains(&micros) => {
                self.fail(|| "the timestamp leaves the years 1 to 9999".into())
            }
            result => Ok(result),
        }
    }
}

/// Quotient and rest of two whole numbers, the quotient cut towards zero.
fn whole_quotient(left: &BigDecimal, right: &BigDecimal) -> (BigDecimal, BigDecimal) {
    let whole = |number: &BigDecimal| number.with_scale(0).into_bigint_and_exponent().0;
    let (left, right) = (whole(left), whole(right));
    (BigDecimal::from(&left / &right), BigDecimal::from(left % right))
}

fn overflow() -> String {
    "an integer has at most 64 bits, the result has more".into()
}

fn division_by_zero() -> String {
    "division by zero".into()
}
