//! An explanation as people read it. Pure.

use std::fmt::Write;

use velocity_contract::administration::{Allowed, Explanation, FieldRight, LayerVerdict, Verdict};

use crate::output::Out;
use crate::output::style::Color;
use crate::output::table::Table;

/// Yes or no, the layers, and what would change it.
pub(super) fn page(out: &Out, explanation: &Explanation) -> String {
    let mut page = String::new();
    let _ = writeln!(page, "{}\n", answer(out.color, explanation.allowed));
    page.push_str(&question(explanation).render());
    page.push('\n');
    page.push_str(&layers(out.color, &explanation.layers).render());
    let remedies = remedies(explanation);
    if !remedies.is_empty() {
        let _ = writeln!(page, "\n{}", out.color.bold("What would change it"));
        let mut table = Table::pairs();
        for (layer, remedy) in remedies {
            table.row([format!("  {layer}"), remedy]);
        }
        page.push_str(&table.render());
    }
    let fields = fields(out, explanation);
    if !fields.is_empty() {
        let _ = write!(page, "\n{}\n{fields}", out.color.bold("Fields"));
    }
    page
}

/// The answer alone.
pub(super) fn word(allowed: Allowed) -> &'static str {
    match allowed {
        Allowed::Yes => "yes",
        Allowed::No => "no",
        Allowed::Depends => "depends",
    }
}

fn answer(color: Color, allowed: Allowed) -> String {
    let word = word(allowed);
    match allowed {
        Allowed::Yes => color.green(word),
        Allowed::No => color.red(word),
        Allowed::Depends => color.yellow(word),
    }
}

fn question(explanation: &Explanation) -> Table {
    let mut table = Table::pairs();
    table.row(["actor", explanation.actor.as_str()]);
    let roles: Vec<String> =
        explanation.roles.iter().map(|role| format!("{} ({})", role.role, role.from)).collect();
    let roles = if roles.is_empty() { "none".to_owned() } else { roles.join(", ") };
    table.row(["roles", roles.as_str()]);
    for (name, value) in &explanation.attributes {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        table.row([format!("attribute {name}"), value]);
    }
    table.row(["operation", explanation.operation.as_str()]);
    table.row(["schema", explanation.schema.as_str()]);
    if let Some(id) = &explanation.id {
        table.row(["record", id.as_str()]);
    }
    table
}

fn layers(color: Color, layers: &[LayerVerdict]) -> Table {
    let mut table = Table::new(["LAYER", "VERDICT", "RULE", "WHY"]);
    for layer in layers {
        let verdict = match layer.verdict {
            Verdict::Allow => color.green("allow"),
            Verdict::Deny => color.red("deny"),
            Verdict::Partial => color.yellow("partial"),
            Verdict::NotApplicable => color.dim("-"),
        };
        table.row([&*layer.layer, &verdict, layer.rule.as_deref().unwrap_or_default(), &layer.detail]);
    }
    table
}

/// Of a no, what stands in the way; of anything else, what narrows it.
fn remedies(explanation: &Explanation) -> Vec<(String, String)> {
    let wanted = match explanation.allowed {
        Allowed::No => Verdict::Deny,
        Allowed::Yes | Allowed::Depends => Verdict::Partial,
    };
    explanation
        .layers
        .iter()
        .filter(|layer| layer.verdict == wanted)
        .filter_map(|layer| Some((layer.layer.clone(), layer.remedy.clone()?)))
        .collect()
}

/// Nobody sets them, which is no news.
const KEPT_BY_PLATFORM: [&str; 5] = ["version", "created_at", "created_by", "updated_at", "updated_by"];

/// The fields that are not simply open; all with `-o wide`.
fn fields(out: &Out, explanation: &Explanation) -> String {
    let mut table = Table::new(["  FIELD", "READ", "WRITE"]);
    let is_news = |field: &FieldRight| {
        field.read != "clear" || !(field.write || KEPT_BY_PLATFORM.contains(&field.field.as_str()))
    };
    let shown = explanation.fields.iter().filter(|field| out.is_wide() || is_news(field));
    let mut any = false;
    for field in shown {
        any = true;
        let read = match &field.mask {
            Some(mask) => format!("{} ({mask})", field.read),
            None => field.read.clone(),
        };
        let write = if field.write { "yes" } else { "no" };
        table.row([format!("  {}", field.field), read, write.to_owned()]);
    }
    if any { table.render() } else { String::new() }
}
