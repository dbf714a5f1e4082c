//! Changes of type: in place where Postgres need not look at a row, else through a shadow column.

use std::collections::BTreeSet;

use velocity_schema::Field;

use super::base::{Base, Source};
use super::columns::{at_least, trash};
use super::conversion::Conversion;
use super::draft::Draft;
use super::{alter, batch, call, stamp, tagged};
use crate::ddl::columns::{bare_definition, check_name, rules};
use crate::ddl::step::{Check, Class, How, Lock, Otherwise, Stage, Step};
use crate::ddl::triggers;
use crate::frag;
use crate::fragment::Fragment;
use crate::ident::{Ident, quote_literal};
use crate::sql_type::column_type;

/// A field whose column gets another type.
struct Change<'a> {
    field: &'a Field,
    column: &'a Ident,
    conversion: &'a Conversion,
    shadow: &'a Ident,
}

impl Change<'_> {
    fn summary(&self, base: &Base<'_>) -> String {
        let live = base.live.table.as_ref().and_then(|table| table.columns.get(self.column.as_str()));
        let live = live.map_or("", |column| column.sql_type.as_str());
        format!("change {} from {live} to {}", self.field.name, column_type(&self.field.kind))
    }

    /// The value of the row that a trigger is at.
    fn new_value(&self) -> Fragment {
        self.conversion.value(&(Fragment::sql("new.") + Fragment::ident(self.column)), &self.field.kind)
    }
}

/// The fields whose columns get another type.
fn changes<'a>(base: &'a Base<'_>) -> Vec<Change<'a>> {
    let change = |field: &'a Field| match base.of_field(field.name.as_str()) {
        Source::Converted { column, conversion, shadow } => {
            Some(Change { field, column, conversion, shadow })
        }
        _ => None,
    };
    base.schema.fields().iter().filter_map(change).collect()
}

/// The body of the function that fills the shadows.
fn body(shadows: &[&Change<'_>]) -> String {
    let assignments: Vec<(Ident, Fragment)> =
        shadows.iter().map(|change| (change.shadow.clone(), change.new_value())).collect();
    triggers::convert_body(&assignments)
}

/// Whether these shadows are those of the changes, and a trigger has filled them since they were made.
pub(super) fn are_filled(base: &Base<'_>, live: &BTreeSet<String>) -> bool {
    let changes = changes(base);
    let shadows: Vec<&Change<'_>> = changes.iter().filter(|change| !change.conversion.in_place).collect();
    let function = base.names.convert_function();
    shadows.len() == live.len()
        && shadows.iter().all(|change| {
            let tag = base.tag(&format!("column {}", change.shadow.as_str()));
            tag == Some(super::fingerprint(&source_of(change)).as_str())
        })
        && base.live.functions.get(function.as_str()) == Some(&body(&shadows))
        && base.table.triggers.get(triggers::CONVERT) == Some(&true)
}

pub(super) fn plan(base: &Base<'_>, draft: &mut Draft) {
    let changes = changes(base);
    let shadows: Vec<&Change<'_>> = changes.iter().filter(|change| !change.conversion.in_place).collect();
    abandoned(base, !shadows.is_empty(), draft);
    if changes.is_empty() {
        return;
    }
    draft.renew_policies = true;
    draft.renew_grants = true;
    draft.renamed = true;
    for change in changes.iter().filter(|change| change.conversion.in_place) {
        in_place(change, base, draft);
    }
    if shadows.is_empty() {
        return;
    }
    for change in &shadows {
        make(change, base, draft);
    }
    trigger(&shadows, base, draft);
    for change in &shadows {
        copy(change, base, draft);
    }
    let drop = format!("drop trigger {}", triggers::CONVERT);
    draft.drops.push(Step::safe(Stage::Switch, drop, Lock::AccessExclusive, drop_trigger(base)));
    for change in &shadows {
        swap(change, base, draft);
    }
}

/// Postgres takes a wider number without a look at the rows, but would look at them for each check on the column: those are
/// made anew, and validated later.
fn in_place(change: &Change<'_>, base: &Base<'_>, draft: &mut Draft) {
    let names = base.names;
    let name = Ident::from(&change.field.name);
    let kept = |check: &Ident, condition: &Fragment| {
        let made = super::fingerprint(&condition.clone().inline());
        base.tag(&format!("constraint {}", check.as_str())) == Some(made.as_str())
    };
    let own: Vec<(Ident, Fragment)> = rules(change.field, &Fragment::ident(&name))
        .into_iter()
        .map(|(rule, condition)| (check_name(name.as_str(), rule), condition))
        .filter(|(check, condition)| kept(check, condition))
        .collect();
    let mut sql = Vec::new();
    if change.column != &name {
        sql.push(format!("{}rename column {} to {name}", alter(names), change.column));
        sql.push(log_rename(change, base));
    }
    sql.extend(own.iter().map(|(check, _)| format!("{}drop constraint {check}", alter(names))));
    sql.push(format!("{}alter column {name} type {}", alter(names), column_type(&change.field.kind)));
    for (check, condition) in &own {
        let condition = condition.clone().inline();
        sql.push(format!("{}add constraint {check} check ({condition}) not valid", alter(names)));
        sql.push(stamp("constraint", names, check.as_str(), &condition));
        draft.finish.push(super::validate(check, names, Stage::Finish));
    }
    let sql = sql.join(";\n");
    draft.moves.push(Step::safe(Stage::Switch, change.summary(base), Lock::AccessExclusive, sql));
}

/// What a shadow column's tag stands for.
fn source_of(change: &Change<'_>) -> String {
    format!("{}: {}", column_type(&change.field.kind), change.new_value().inline())
}

fn make(change: &Change<'_>, base: &Base<'_>, draft: &mut Draft) {
    let names = base.names;
    if base.table.columns.contains_key(change.shadow.as_str()) {
        return;
    }
    let forget = format!(
        "delete from platform.backfills where path = {} and name = {}",
        quote_literal(&base.schema.path().to_string()),
        quote_literal(&cursor(change))
    );
    let sql = tagged(
        format!("{}add column {}", alter(names), bare_definition(change.shadow, change.field)),
        vec![stamp("column", names, change.shadow.as_str(), &source_of(change)), forget],
    );
    let step = Step::safe(Stage::Prepare, change.summary(base), Lock::AccessExclusive, sql);
    draft.columns.push(checked(step, change, base));
}

/// Values that have no form in the new type keep the change from being made. A breaking change says so.
fn checked(step: Step, change: &Change<'_>, base: &Base<'_>) -> Step {
    let source = Fragment::column(&Ident::fixed("r"), change.column);
    let lost = frag![
        source.clone(),
        " is not null and ",
        change.conversion.value(&source, &change.field.kind),
        " is null"
    ];
    let step = match change.conversion.class {
        Class::Breaking => step.breaking(
            "clients get and send values of another type; the old column stays in the trash for 30 days",
        ),
        class => at_least(step, class),
    };
    if !base.table.has_rows || change.conversion.class == Class::Safe {
        return step;
    }
    step.needs(Check {
        from: base.rows(&lost),
        complaint: format!(
            "have a value of {} that is no {}",
            change.field.name,
            column_type(&change.field.kind)
        ),
        way_out: "change those values first".to_owned(),
        otherwise: Otherwise::Block,
    })
}

fn trigger(shadows: &[&Change<'_>], base: &Base<'_>, draft: &mut Draft) {
    let names = base.names;
    let (body, function) = (body(shadows), names.convert_function());
    let live = base.live.functions.get(function.as_str()).filter(|_| base.stale.is_empty());
    if live != Some(&body) {
        let sql = triggers::create_function(names, &function, &body);
        let summary = format!("write function {}", function.as_str());
        draft.columns.push(Step::safe(Stage::Prepare, summary, Lock::None, sql));
    }
    if !base.stale.is_empty() || base.table.triggers.get(triggers::CONVERT) != Some(&true) {
        let sql = triggers::convert_trigger(names);
        let summary = format!("create trigger {}", triggers::CONVERT);
        draft.columns.push(Step::safe(Stage::Prepare, summary, Lock::ShareRowExclusive, sql));
    }
}

fn cursor(change: &Change<'_>) -> String {
    format!("convert {} to {}", change.field.name, column_type(&change.field.kind))
}

/// Fills the shadow of the rows that are there, and then has Postgres prove that no value is lost.
fn copy(change: &Change<'_>, base: &Base<'_>, draft: &mut Draft) {
    let names = base.names;
    let (column, shadow) = (change.column, change.shadow);
    let proof = check_name(change.field.name.as_str(), "converted");
    let key = format!("constraint {}", proof.as_str());
    let present = base.table.constraints.get(proof.as_str()).filter(|_| base.is_on(&key, &[column, shadow]));
    if present.is_none() {
        let stale = super::drop_stale(base, &proof);
        let value = change.conversion.value(&(frag!["t.", column]), &change.field.kind).inline();
        let sql = batch(
            base,
            &format!("t.{column} is not null and t.{shadow} is null"),
            &format!("{shadow} = {value}"),
        );
        let summary = format!("fill the shadow column of {}", change.field.name);
        let mut step = Step::safe(Stage::Prepare, summary, Lock::RowExclusive, sql);
        step.how = How::Batches { name: cursor(change), silent: true };
        draft.columns.push(step);
        let condition = format!("({column} is null) = ({shadow} is null)");
        let sql = format!("{stale}{}add constraint {proof} check ({condition}) not valid", alter(names));
        let sql = tagged(sql, vec![stamp("constraint", names, proof.as_str(), "converted")]);
        let summary = format!("refuse values of {} that are lost", change.field.name);
        draft.columns.push(Step::safe(Stage::Prepare, summary, Lock::AccessExclusive, sql));
    }
    if present.is_none_or(|definition| super::is_unchecked(definition)) {
        draft.columns.push(super::validate(&proof, names, Stage::Prepare));
    }
}

fn drop_trigger(base: &Base<'_>) -> String {
    let names = base.names;
    frag![
        "drop trigger if exists ",
        &Ident::fixed(triggers::CONVERT),
        " on ",
        names.table_sql(),
        ";\ndrop function if exists ",
        Fragment::column(&names.schema, &names.convert_function()),
        "()"
    ]
    .inline()
}

/// Writes down for the readers of older events that the field has another name now.
fn log_rename(change: &Change<'_>, base: &Base<'_>) -> String {
    let (names, field) = (base.names, change.field.name.as_str());
    let arguments = [names.schema.as_str(), names.history.as_str(), change.column.as_str(), field];
    call("log_rename", &arguments.map(quote_literal))
}

fn swap(change: &Change<'_>, base: &Base<'_>, draft: &mut Draft) {
    let names = base.names;
    let name = Ident::from(&change.field.name);
    let proof = check_name(change.field.name.as_str(), "converted");
    let away = if change.conversion.class == Class::Breaking {
        trash(base, change.column.as_str(), false)
    } else {
        format!("{}drop column {}", alter(names), change.column)
    };
    let mut sql = vec![
        format!("{}drop constraint {proof}", alter(names)),
        away,
        format!("{}rename column {} to {name}", alter(names), change.shadow),
    ];
    if change.column != &name {
        sql.push(log_rename(change, base));
    }
    let sql = sql.join(";\n");
    let summary = format!("put the new column of {} in place", change.field.name);
    let mut step = Step::safe(Stage::Switch, summary, Lock::AccessExclusive, sql);
    if change.conversion.class == Class::Breaking {
        step = step.breaking("clients get and send values of another type");
    }
    draft.moves.push(step);
}

/// What a change of type that was given up has left behind goes before anything else.
fn abandoned(base: &Base<'_>, converting: bool, draft: &mut Draft) {
    let trigger = base.table.triggers.contains_key(triggers::CONVERT)
        || base.live.functions.contains_key(base.names.convert_function().as_str());
    if base.stale.is_empty() && (converting || !trigger) {
        return;
    }
    let drops =
        base.stale.iter().map(|name| format!(";\n{}drop column {}", alter(base.names), Ident::fitted(name)));
    let sql = drop_trigger(base) + &drops.collect::<String>();
    let summary = "clear away a change of type that was given up";
    draft.columns.push(Step::safe(Stage::Prepare, summary, Lock::AccessExclusive, sql));
}
