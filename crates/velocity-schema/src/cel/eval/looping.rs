//! The macros: `all`, `exists`, `exists_one`, `map`, `filter`.

use super::budget::scan;
use super::datum::{Datum, Items};
use super::{Evaluated, Evaluator, Logic, json};
use crate::cel::EvaluationError;
use crate::cel::ir::{Loop, LoopKind};

/// What is walked.
enum Range<'a> {
    List(Items<'a>, usize),
    Array(json::Parts<'a>),
    /// The keys of an object.
    Keys(json::Parts<'a>),
}

impl<'a> Evaluator<'a> {
    pub(super) fn looping(&mut self, looping: &'a Loop) -> Evaluated<'a> {
        let mut range = match self.eval(&looping.range)? {
            Datum::Null => return Ok(Datum::Null),
            Datum::List(items) => Range::List(items, 0),
            Datum::Json(text) => {
                self.budget.spend(scan(text.len() as u64))?;
                match json::kind(text) {
                    json::Kind::List => Range::Array(json::parts(text)),
                    json::Kind::Object => Range::Keys(json::parts(text)),
                    kind => return self.fail(|| format!("{} cannot be walked", kind.described())),
                }
            }
            other => return self.fail(|| format!("{} cannot be walked", other.kind())),
        };
        self.locals.truncate(looping.local);
        let depth = self.locals.len();
        let outcome = match looping.kind {
            LoopKind::All => self.quantify(looping, &mut range, false),
            LoopKind::Exists => self.quantify(looping, &mut range, true),
            LoopKind::ExistsOne => self.exists_one(looping, &mut range),
            LoopKind::Map | LoopKind::Filter => self.collect(looping, &mut range),
        };
        self.locals.truncate(depth);
        outcome
    }

    /// The next element, put into the loop's variable.
    fn advance(&mut self, range: &mut Range<'a>) -> Result<Option<Datum<'a>>, EvaluationError> {
        self.budget.spend(1)?;
        Ok(match range {
            Range::List(items, at) => {
                *at += 1;
                items.get(*at - 1)
            }
            Range::Array(parts) => parts.next().map(Datum::json),
            Range::Keys(parts) => {
                let key = parts.next();
                parts.next();
                key.map(Datum::Json)
            }
        })
    }

    fn body(&mut self, looping: &'a Loop, item: Datum<'a>) -> Evaluated<'a> {
        self.locals.truncate(looping.local);
        self.locals.push(item);
        self.eval(&looping.body)
    }

    /// `all` (`decisive` false) is `&&` over the elements, `exists` is `||`.
    fn quantify(&mut self, looping: &'a Loop, range: &mut Range<'a>, decisive: bool) -> Evaluated<'a> {
        let mut state = Logic::default();
        while let Some(item) = self.advance(range)? {
            let term = self.body(looping, item);
            if state.decided_by(term, decisive)? {
                return Ok(Datum::Boolean(decisive));
            }
        }
        state.outcome(decisive)
    }

    fn exists_one(&mut self, looping: &'a Loop, range: &mut Range<'a>) -> Evaluated<'a> {
        let (mut found, mut unknown) = (0_usize, false);
        while let Some(item) = self.advance(range)? {
            match self.body(looping, item)? {
                Datum::Boolean(yes) => found += usize::from(yes),
                _ => unknown = true,
            }
        }
        Ok(if found > 1 {
            Datum::Boolean(false)
        } else if unknown {
            Datum::Null
        } else {
            Datum::Boolean(found == 1)
        })
    }

    /// `map`, whose guard lets an element take part, and `filter`, whose body does.
    fn collect(&mut self, looping: &'a Loop, range: &mut Range<'a>) -> Evaluated<'a> {
        let mut made = Vec::new();
        while let Some(item) = self.advance(range)? {
            if let Some(guard) = &looping.guard {
                self.locals.truncate(looping.local);
                self.locals.push(item.clone());
                if !matches!(self.eval(guard)?, Datum::Boolean(true)) {
                    continue;
                }
            }
            let kept = match looping.kind {
                LoopKind::Map => self.body(looping, item)?,
                _ => match self.body(looping, item.clone())? {
                    Datum::Boolean(true) => item,
                    _ => continue,
                },
            };
            self.budget.produce(size_of::<Datum>())?;
            made.push(kept);
        }
        Ok(Datum::list(made))
    }
}
