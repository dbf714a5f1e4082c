//! Steps in the database as people read them, before they agree to them.

use std::fmt::Write;

use velocity_contract::plan::Operation;
use velocity_contract::status::{OperationClass, PendingOperation};

use super::style::Color;

/// The word for people.
pub(crate) fn class_words(class: OperationClass) -> &'static str {
    match class {
        OperationClass::Safe => "safe",
        OperationClass::NeedsData => "needs data",
        OperationClass::Breaking => "breaking",
    }
}

/// The word in its colour.
pub(crate) fn class(color: Color, class: OperationClass) -> String {
    let word = class_words(class);
    match class {
        OperationClass::Safe => color.green(word),
        OperationClass::NeedsData => color.yellow(word),
        OperationClass::Breaking => color.red(word),
    }
}

/// How much SQL is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Detail {
    /// All of it: it is what somebody agrees to.
    Full,
    /// Long statements that are safe, such as trigger functions, only in part; with what shows all.
    Folded(&'static str),
}

/// What a step of a blocked change says that has nothing to say.
const NOTHING_TO_SAY: &str = "waits for the rest of the change";
/// A safe statement of more lines is folded.
const LINES_MAX: usize = 8;
/// What is shown of it.
const LINES_SHOWN: usize = 3;

/// Every step with its SQL.
pub(crate) fn listed<'a>(
    color: Color,
    operations: impl IntoIterator<Item = &'a Operation>,
    indent: &str,
    detail: Detail,
) -> String {
    let mut page = String::new();
    for (number, operation) in operations.into_iter().enumerate() {
        let kind = class(color, operation.class);
        let lock = if operation.lock.is_empty() { "NONE" } else { &operation.lock };
        let _ = writeln!(
            page,
            "{indent}{}. {}  [{kind}, lock: {lock}]",
            number + 1,
            one_line(&operation.summary)
        );
        if let Some(reason) = &operation.reason {
            let _ = writeln!(page, "{indent}   {}", one_line(reason));
        }
        if let Some(cost) = cost(operation) {
            let _ = writeln!(page, "{indent}   {cost}");
        }
        let lines = operation.sql.lines().count();
        let hint = match detail {
            Detail::Folded(hint) if operation.class == OperationClass::Safe && lines > LINES_MAX => {
                Some(hint)
            }
            _ => None,
        };
        for line in operation.sql.lines().take(if hint.is_some() { LINES_SHOWN } else { lines }) {
            let _ = writeln!(page, "{indent}   {}", color.dim(&printable(line)));
        }
        if let Some(hint) = hint {
            let more = format!("… {} more lines: {hint}", lines - LINES_SHOWN);
            let _ = writeln!(page, "{indent}   {}", color.dim(&more));
        }
    }
    page
}

/// The steps of a status.
pub(crate) fn of_status(operations: &[PendingOperation]) -> Vec<Operation> {
    operations
        .iter()
        .map(|operation| Operation {
            summary: operation.summary.clone(),
            class: operation.class,
            lock: operation.lock.clone(),
            sql: operation.sql.clone(),
            reason: Some(operation.reason.clone())
                .filter(|reason| !reason.is_empty() && reason != NOTHING_TO_SAY),
            refused: false,
            violations: None,
            estimated_rows: None,
            estimated_seconds: None,
        })
        .collect()
}

/// `about 1,000,000 rows, 50 s`; nothing where it is over in a moment.
fn cost(operation: &Operation) -> Option<String> {
    let rows = operation.estimated_rows.filter(|rows| *rows > 0)?;
    let time =
        operation.estimated_seconds.map_or_else(String::new, |seconds| format!(", {}", duration(seconds)));
    Some(format!("about {} rows{time}", grouped(rows)))
}

/// `1,234,567`.
pub(crate) fn grouped(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut text = String::from(if number < 0 { "-" } else { "" });
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn duration(seconds: f64) -> String {
    match seconds {
        s if s < 1.0 => "under a second".to_owned(),
        s if s < 120.0 => format!("{s:.0} s"),
        s if s < 7200.0 => format!("{:.0} min", s / 60.0),
        s => format!("{:.1} h", s / 3600.0),
    }
}

fn one_line(text: &str) -> String {
    printable(&text.replace('\n', " "))
}

/// What a terminal would obey is shown instead.
fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\t' => out.push(c),
            c if c.is_control() => out.extend(c.escape_default()),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_times_are_told_as_people_say_them() {
        assert_eq!([0, 999, 1000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([0.2, 50.0, 600.0, 7200.0].map(duration), ["under a second", "50 s", "10 min", "2.0 h"]);
    }

    #[test]
    fn only_long_statements_that_are_safe_are_folded() {
        let operation = |class, lines: usize| Operation {
            summary: "a step".into(),
            class,
            lock: String::new(),
            sql: "x\n".repeat(lines),
            reason: None,
            refused: false,
            violations: None,
            estimated_rows: None,
            estimated_seconds: None,
        };
        let color = crate::output::style::none();
        let shown = |operation, detail| listed(color, &[operation], "", detail).matches("x\n").count();
        assert_eq!(shown(operation(OperationClass::Safe, 8), Detail::Folded("more")), 8);
        assert_eq!(shown(operation(OperationClass::Safe, 9), Detail::Folded("more")), 3);
        assert_eq!(shown(operation(OperationClass::Safe, 9), Detail::Full), 9);
        assert_eq!(shown(operation(OperationClass::Breaking, 9), Detail::Folded("more")), 9);
    }

    #[test]
    fn what_a_terminal_would_obey_is_shown() {
        assert_eq!(one_line("a\n\x1b[2Jb"), "a \\u{1b}[2Jb");
    }
}
