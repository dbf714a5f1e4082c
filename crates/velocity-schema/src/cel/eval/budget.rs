//! What an evaluation may spend, and what each operation costs.
//!
//! The same prices are charged while an expression runs and summed up by [`crate::cel::cost`] beforehand.

use std::time::{Duration, Instant};

use crate::cel::EvaluationError;

/// Steps of an evaluation. A step is a node, or 64 bytes looked at: some tens of nanoseconds.
pub(in crate::cel) const STEPS_MAX: u64 = 100_000;
/// Bytes that an evaluation may produce: joined texts, decoded strings, elements of new lists.
pub(in crate::cel) const BYTES_MAX: u64 = 1024 * 1024;
/// How long an evaluation may take, should the steps be slower than they ought to be.
const TIME_MAX: Duration = Duration::from_millis(10);
/// How many steps pass between two looks at the clock.
const CLOCK_EVERY: u64 = 4_096;

/// The price of looking at that many bytes.
pub(in crate::cel) const fn scan(bytes: u64) -> u64 {
    bytes / 64
}

/// The price of reading a number of that many bytes.
pub(in crate::cel) const fn reading(bytes: u64) -> u64 {
    1 + bytes / 16 + bytes.saturating_mul(bytes) / 4_096
}

/// The price of a division beside that of multiplying: a hundred digits are computed one by one.
pub(in crate::cel) const DIVIDING: u64 = 100;

/// The price of multiplying numbers of that many digits.
pub(in crate::cel) const fn multiplying(left_digits: u64, right_digits: u64) -> u64 {
    1 + left_digits.saturating_mul(right_digits) / 256
}

/// What is left.
#[derive(Debug)]
pub(in crate::cel) struct Budget {
    steps: u64,
    bytes: u64,
    next_look: u64,
    deadline: Option<Instant>,
}

impl Budget {
    /// The budget that every evaluation gets.
    pub(in crate::cel) fn standard() -> Self {
        let deadline = Instant::now().checked_add(TIME_MAX);
        Self { deadline, ..Self::of(STEPS_MAX, BYTES_MAX) }
    }

    /// A budget without a clock.
    pub(in crate::cel) fn of(steps: u64, bytes: u64) -> Self {
        Self { steps, bytes, next_look: steps.saturating_sub(CLOCK_EVERY), deadline: None }
    }

    /// Pays for steps.
    pub(in crate::cel) fn spend(&mut self, steps: u64) -> Result<(), EvaluationError> {
        self.steps = self.steps.checked_sub(steps).ok_or(EvaluationError::BudgetExceeded)?;
        if self.steps < self.next_look {
            self.next_look = self.steps.saturating_sub(CLOCK_EVERY);
            if self.deadline.is_some_and(|deadline| Instant::now() > deadline) {
                return Err(EvaluationError::BudgetExceeded);
            }
        }
        Ok(())
    }

    /// Pays for bytes before they are produced.
    pub(in crate::cel) fn produce(&mut self, bytes: usize) -> Result<(), EvaluationError> {
        let bytes = bytes as u64;
        self.bytes = self.bytes.checked_sub(bytes).ok_or(EvaluationError::BudgetExceeded)?;
        self.spend(scan(bytes))
    }

    /// The steps that are left.
    #[cfg(test)]
    pub(in crate::cel) fn steps_left(&self) -> u64 {
        self.steps
    }
}
