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
        let sign = match change.change.as_str() {
            "gains" => '+',
            "loses" => '-',
            _ => '~',
        };
        let _ = writeln!(page, "  {}", painted(color, sign, &access_words(change)));
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

/// `role auditor loses read`, `role west: row filter of read changed: a → b`.
pub(super) fn access_words(change: &AccessChange) -> String {
    let AccessChange { role, operation, change: what, before, after, .. } = change;
    let who = if role == "*" { "everyone".to_owned() } else { format!("role {role}") };
    let shown = |filter: &Option<String>| filter.clone().unwrap_or_else(|| "all records".to_owned());
    match what.as_str() {
        "gains" => {
            let only = after.as_ref().map_or_else(String::new, |filter| format!(", where {filter}"));
            format!("{who} gains {operation}{only}")
        }
        "loses" => format!("{who} loses {operation}"),
        other => format!("{who}, {operation}: {other}: {} → {}", shown(before), shown(after)),
    }
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
