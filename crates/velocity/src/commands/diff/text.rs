//! What would change, for people. Pure.

use std::fmt::Write;

use velocity_contract::plan::{AccessChange, FieldChange, SchemaPlan};
use velocity_contract::status::OperationClass;

use super::Compared;
pub(super) use crate::output::operations::class_words;
use crate::output::operations::{Detail, class, grouped, listed};
use crate::output::style::Color;

/// Everything that was compared.
pub(super) fn page(color: Color, detail: Detail, compared: &[Compared], removed: &[String]) -> String {
    let mut page = String::new();
    for (position, one) in compared.iter().enumerate() {
        if position > 0 {
            page.push('\n');
        }
        schema(color, detail, one, &mut page);
    }
    for path in removed {
        let _ = writeln!(
            page,
            "\n{path} is not declared any more: `apply` deletes nothing, `velocity delete` does"
        );
    }
    if compared.len() > 1 {
        let _ = writeln!(page, "\n{}", summary(compared));
    }
    page
}

fn schema(color: Color, detail: Detail, one: &Compared, page: &mut String) {
    let plan = &one.plan;
    let verdict = match one.class {
        None => "nothing to do".to_owned(),
        Some(worst) => class(color, worst),
    };
    let _ = writeln!(page, "{}  {}  {verdict}", color.bold(&one.name), plan.path);
    let has_news = !plan.changes.is_empty() || !plan.access.is_empty();
    if has_news {
        page.push('\n');
    }
    for change in &plan.changes {
        let _ = writeln!(page, "  {}", painted(color, change.sign(), &change_words(change)));
    }
    for change in &plan.access {
        let _ = writeln!(page, "  {}", painted(color, access_sign(change), &access_words(change)));
    }
    for missing in &plan.waiting {
        let text = format!(
            "{} points to {}, which is not there yet: it waits for it",
            missing.field, missing.target
        );
        let _ = writeln!(page, "  {}", painted(color, '!', &text));
    }
    operations(color, detail, plan, page);
}

fn operations(color: Color, detail: Detail, plan: &SchemaPlan, page: &mut String) {
    if plan.operations.is_empty() {
        return;
    }
    let rows =
        plan.estimated_rows.map_or_else(String::new, |rows| format!(", about {} records", grouped(rows)));
    let _ = writeln!(page, "\n  {} {}{rows}", color.bold("Plan"), color.dim(&plan.plan_hash));
    page.push_str(&listed(color, &plan.operations, "  ", detail));
    if plan.again {
        page.push_str("  What follows these steps is planned once they are done.\n");
    }
}

fn painted(color: Color, sign: char, text: &str) -> String {
    let line = format!("{sign} {text}");
    match sign {
        '+' => color.green(&line),
        '-' => color.red(&line),
        _ => color.yellow(&line),
    }
}

fn change_words(change: &FieldChange) -> String {
    let name = if change.name.is_empty() { String::new() } else { format!(" {}", change.name) };
    let detail = if change.detail.is_empty() { String::new() } else { format!(": {}", change.detail) };
    format!("{}{name}{detail}", change.part).replace('\n', " ")
}

/// Whether a right is won, lost, or another.
pub(super) fn access_sign(change: &AccessChange) -> char {
    match change.change.split(' ').next() {
        Some("gains") => '+',
        Some("loses") => '-',
        _ => '~',
    }
}

/// `role auditor loses read`, `role west, read: row filter changed: a → b (sees 12 records, then 3)`.
pub(super) fn access_words(change: &AccessChange) -> String {
    let AccessChange { role, operation, change: what, field, before, after, .. } = change;
    let who = if role == "*" { "everyone".to_owned() } else { format!("role {role}") };
    let from_to = |nothing: &str| {
        let shown = |text: &Option<String>| text.clone().unwrap_or_else(|| nothing.to_owned());
        format!("{} → {}", shown(before), shown(after))
    };
    let words = match (what.as_str(), field) {
        ("gains", None) => {
            let only = after.as_ref().map_or_else(String::new, |filter| format!(", where {filter}"));
            format!("{who} gains {operation}{only}")
        }
        ("loses", None) => format!("{who} loses {operation}"),
        ("sees masked", Some(field)) => format!("{who} sees field {field} masked: {}", from_to("nothing")),
        (what, Some(field)) if before.is_some() || after.is_some() => {
            format!("{who} {what} {field}: {}", from_to("nothing"))
        }
        (what, Some(field)) => format!("{who} {what} {field}"),
        (what, None) if what.starts_with("condition") => {
            format!("{who}, {operation}: {what}: {}", from_to("none"))
        }
        // Through what is everyone's: a condition, or a filter for all.
        (what, None) if before.is_none() && after.is_none() => format!("{who}, {operation}: {what}"),
        (what, None) => format!("{who}, {operation}: {what}: {}", from_to("all records")),
    };
    format!("{words}{}", rows(change)).replace('\n', " ")
}

/// ` (sees 12 records, then 3)`; nothing where nobody counted.
fn rows(change: &AccessChange) -> String {
    let count = |rows: Option<i64>| match rows {
        Some(1) => "1 record".to_owned(),
        Some(rows) => format!("{} records", grouped(rows)),
        None => "an unknown number of records".to_owned(),
    };
    let mut parts = Vec::new();
    match (change.rows_before, change.rows_after) {
        (None, None) | (Some(None), Some(None)) => {}
        (before, after) => {
            parts.push(format!("sees {}, then {}", count(before.flatten()), count(after.flatten())));
        }
    }
    parts.extend(change.note.clone());
    if parts.is_empty() { String::new() } else { format!(" ({})", parts.join("; ")) }
}

fn summary(compared: &[Compared]) -> String {
    let with = |wanted: Option<OperationClass>| compared.iter().filter(|one| one.class == wanted).count();
    let mut parts = Vec::new();
    if with(None) > 0 {
        parts.push(format!("{} unchanged", with(None)));
    }
    for class in [OperationClass::Safe, OperationClass::NeedsData, OperationClass::Breaking] {
        let count = with(Some(class));
        if count > 0 {
            parts.push(format!("{count} {}", class_words(class)));
        }
    }
    format!("{} schemas: {}", compared.len(), parts.join(", "))
}
