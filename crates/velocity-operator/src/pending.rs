//! Steps as the status shows them. Pure.
//!
//! An object's size is limited (etcd takes 1.5 MiB), and a status has to leave room for the spec: what does not fit is cut,
//! and says so.

use velocity_contract::status::{OperationClass, PendingOperation};
use velocity_sql::ddl::{Class, Step};

use crate::outcome::Stand;

/// Most bytes of one operation's SQL.
const SQL_MAX: usize = 16 * 1024;
/// Most bytes of one operation's reason.
const REASON_MAX: usize = 4 * 1024;
/// Most bytes of all operations' SQL and reasons. Behind that, operations have their summaries only.
const ALL_MAX: usize = 256 * 1024;
/// Most operations.
const COUNT_MAX: usize = 500;

/// The steps of a change that is not made.
pub(crate) fn blocked(steps: &[Step]) -> Vec<PendingOperation> {
    listed(steps, |_, step| step.reason.clone().unwrap_or_default())
}

/// The steps of a change that is being made.
pub(crate) fn running(steps: &[Step], stand: &Stand) -> Vec<PendingOperation> {
    listed(steps, |index, _| {
        let number = index + 1;
        match (number.cmp(&stand.step), stand.locked_out) {
            (std::cmp::Ordering::Less, _) => "done".to_owned(),
            (std::cmp::Ordering::Equal, true) => {
                "waits for a lock that traffic holds; tried again".to_owned()
            }
            (std::cmp::Ordering::Equal, false) if stand.rows > 0 => {
                format!("running: {} rows so far", stand.rows)
            }
            (std::cmp::Ordering::Equal, false) => "running".to_owned(),
            (std::cmp::Ordering::Greater, _) if stand.step == 0 => "waits for its turn".to_owned(),
            (std::cmp::Ordering::Greater, _) => "waits for the steps before it".to_owned(),
        }
    })
}

fn listed(steps: &[Step], reason: impl Fn(usize, &Step) -> String) -> Vec<PendingOperation> {
    let mut left = ALL_MAX;
    let mut operations: Vec<PendingOperation> = steps
        .iter()
        .take(COUNT_MAX)
        .enumerate()
        .map(|(index, step)| {
            let operation = PendingOperation {
                summary: cut(&step.summary, REASON_MAX),
                class: class(step.class),
                lock: step.lock.as_str().to_owned(),
                sql: cut(&step.sql, SQL_MAX.min(left)),
                reason: cut(&reason(index, step), REASON_MAX),
            };
            left = left.saturating_sub(operation.sql.len() + operation.reason.len());
            operation
        })
        .collect();
    if let Some(more) = steps.len().checked_sub(COUNT_MAX).filter(|more| *more > 0) {
        operations.push(PendingOperation {
            summary: format!("and {more} more; `velocity diff` shows all of them"),
            class: steps[COUNT_MAX..]
                .iter()
                .map(|step| class(step.class))
                .max()
                .unwrap_or(OperationClass::Safe),
            lock: String::new(),
            sql: String::new(),
            reason: "a status does not hold more".to_owned(),
        });
    }
    operations
}

fn class(class: Class) -> OperationClass {
    match class {
        Class::Safe => OperationClass::Safe,
        Class::NeedsData => OperationClass::NeedsData,
        Class::Breaking => OperationClass::Breaking,
    }
}

fn cut(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    let mut end = most;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}… (cut: {} bytes in all; `velocity diff` shows them)", &text[..end], text.len())
}

#[cfg(test)]
mod tests {
    use velocity_sql::ddl::{Lock, Stage};

    use super::*;

    fn step(sql: &str) -> Step {
        Step::safe(Stage::Switch, "a step", Lock::AccessExclusive, sql)
    }

    #[test]
    fn a_plan_of_any_size_stays_within_what_kubernetes_takes_and_says_what_is_missing() {
        let steps: Vec<Step> = (0..3000).map(|_| step(&"é".repeat(50_000))).collect();
        let operations = blocked(&steps);
        let bytes = serde_json::to_string(&operations).unwrap().len();
        assert!(bytes < 512 * 1024, "{bytes}");
        assert!(operations[0].sql.contains("cut: 100000 bytes in all"), "{}", operations[0].sql);
        assert_eq!(operations.last().unwrap().summary, "and 2500 more; `velocity diff` shows all of them");
    }

    #[test]
    fn what_fits_is_shown_as_it_is() {
        let operations = blocked(&[step("alter table a").breaking("it breaks")]);
        assert_eq!(
            (operations[0].sql.as_str(), operations[0].reason.as_str()),
            ("alter table a", "it breaks")
        );
        assert_eq!(operations[0].class, OperationClass::Breaking);
    }

    #[test]
    fn what_runs_says_how_far_it_is() {
        let steps = [step("a"), step("b"), step("c")];
        let reasons =
            |stand: &Stand| running(&steps, stand).into_iter().map(|one| one.reason).collect::<Vec<_>>();
        assert_eq!(reasons(&Stand::default()), ["waits for its turn"; 3]);
        let stand = Stand { step: 2, rows: 4000, locked_out: false };
        assert_eq!(reasons(&stand), ["done", "running: 4000 rows so far", "waits for the steps before it"]);
        let stand = Stand { step: 2, rows: 0, locked_out: true };
        assert_eq!(reasons(&stand)[1], "waits for a lock that traffic holds; tried again");
    }
}
