//! What guards the rows: trigger functions, triggers, row-level security, policies, rights.

use std::collections::BTreeSet;

use velocity_schema::Schema;

use super::draft::Draft;
use super::{Plan, call, fingerprint, stamp, tagged};
use crate::ddl::live::{Live, LiveTable};
use crate::ddl::policies::Policy;
use crate::ddl::step::{Lock, Stage, Step};
use crate::ddl::{grants, policies, triggers};
use crate::frag;
use crate::fragment::Fragment;
use crate::ident::{Ident, quote_literal};
use crate::names::TableNames;

/// What the other parts of a plan make necessary here.
#[derive(Default, Clone, Copy)]
pub(super) struct Renew {
    pub(super) policies: bool,
    pub(super) grants: bool,
}

pub(super) fn plan(schema: &Schema, names: &TableNames, live: &Live, renew: Renew, plan: &mut Plan) {
    functions_and_triggers(schema, names, live, plan);
    row_security(names, live, plan);
    for policy in policies::policies(schema, names) {
        guard(&policy, names, live, renew, plan);
    }
    let wanted = grants::grants(schema, names);
    let given = live.table.as_ref().and_then(|table| table.comments.get("table"));
    if renew.grants || given != Some(&fingerprint(&wanted)) {
        let tag = call(
            "stamp",
            &[
                quote_literal("table"),
                names.regclass(),
                quote_literal(names.history.as_str()),
                quote_literal(&fingerprint(&wanted)),
            ],
        );
        let sql = format!("{wanted};\n{tag}");
        plan.steps.push(Step::safe(Stage::Switch, "grant the domain's role its rights", Lock::None, sql));
    }
}

/// At the beginning of the switch: policies that go, and those that stand in the way of columns.
pub(super) fn drops(schema: &Schema, names: &TableNames, live: &Live, renew: Renew, draft: &mut Draft) {
    let wanted = policies::policies(schema, names);
    for (table, on_history) in [(&live.table, false), (&live.history, true)] {
        let Some(table) = table else { continue };
        for (name, concerns_us) in &table.policies {
            let on = if on_history { names.history_sql() } else { names.table_sql() };
            let sql = frag!["drop policy if exists ", &Ident::fitted(name), " on ", on].inline();
            let of = if on_history { " of the history" } else { "" };
            let known = wanted.iter().any(|policy| policy.name == name && policy.on_history == on_history);
            if known {
                if renew.policies && !on_history {
                    let step = Step::safe(
                        Stage::Switch,
                        format!("take policy {name} off"),
                        Lock::AccessExclusive,
                        sql,
                    );
                    draft.drops.push(step);
                }
                continue;
            }
            let step =
                Step::safe(Stage::Switch, format!("drop policy {name}{of}"), Lock::AccessExclusive, sql);
            // A policy more lets more rows pass: where it concerns the API, it does not stay a moment.
            if *concerns_us { draft.drops.push(step) } else { draft.foreign.push(step) }
        }
    }
    strangers(names, live, draft);
}

/// Triggers and rights of others.
fn strangers(names: &TableNames, live: &Live, draft: &mut Draft) {
    let Some(table) = &live.table else { return };
    let known: BTreeSet<&str> =
        triggers::triggers(names).iter().map(|(name, _)| *name).chain([triggers::CONVERT]).collect();
    for name in table.triggers.keys().filter(|name| !known.contains(name.as_str())) {
        let sql = frag!["drop trigger if exists ", &Ident::fitted(name), " on ", names.table_sql()].inline();
        draft.foreign.push(Step::safe(
            Stage::Switch,
            format!("drop trigger {name}"),
            Lock::AccessExclusive,
            sql,
        ));
    }
    let history = live.history.as_ref();
    if let Some(history) = history {
        for name in history.triggers.keys() {
            let sql =
                frag!["drop trigger if exists ", &Ident::fitted(name), " on ", names.history_sql()].inline();
            let summary = format!("drop trigger {name} of the history");
            draft.foreign.push(Step::safe(Stage::Switch, summary, Lock::AccessExclusive, sql));
        }
    }
    let of_history = history.map(|history| &history.foreign_grantees);
    let both: BTreeSet<&String> =
        table.foreign_grantees.iter().chain(of_history.into_iter().flatten()).collect();
    for role in both {
        let sql = frag![
            "revoke all on ",
            names.table_sql(),
            ", ",
            names.history_sql(),
            " from ",
            &Ident::fitted(role)
        ];
        let summary = format!("take the rights of the role {role} back");
        draft.foreign.push(Step::safe(Stage::Switch, summary, Lock::None, sql.inline()));
    }
}

/// The trigger functions, and the triggers that call them.
fn functions_and_triggers(schema: &Schema, names: &TableNames, live: &Live, plan: &mut Plan) {
    let missing_keys = !plan.waiting.is_empty();
    for (name, body) in triggers::functions(schema, names) {
        // The body names the targets of references; it is written once they are there.
        if missing_keys && live.functions.contains_key(name.as_str()) {
            continue;
        }
        if live.functions.get(name.as_str()) != Some(&body) {
            let sql = triggers::create_function(names, &name, &body);
            plan.steps.push(Step::safe(
                Stage::Switch,
                format!("write function {}", name.as_str()),
                Lock::None,
                sql,
            ));
        }
    }
    for (name, sql) in triggers::triggers(names) {
        let tag = format!("trigger {name}");
        let good = |table: &LiveTable| {
            table.triggers.get(name) == Some(&true) && table.comments.get(&tag) == Some(&fingerprint(&sql))
        };
        if !live.table.as_ref().is_some_and(good) {
            let enable =
                frag!["alter table ", names.table_sql(), " enable trigger ", &Ident::fixed(name)].inline();
            let sql = tagged(format!("{sql};\n{enable}"), vec![stamp("trigger", names, name, &sql)]);
            plan.steps.push(Step::safe(
                Stage::Switch,
                format!("create trigger {name}"),
                Lock::ShareRowExclusive,
                sql,
            ));
        }
    }
}

fn row_security(names: &TableNames, live: &Live, plan: &mut Plan) {
    for (table, sql_name) in [(&live.table, names.table_sql()), (&live.history, names.history_sql())] {
        if !table.as_ref().is_some_and(|table| table.row_security) {
            let sql = frag!["alter table ", sql_name.clone(), " enable row level security"].inline();
            let summary = format!("enable row-level security on {}", sql_name.inline().replace('"', ""));
            plan.steps.push(Step::safe(Stage::Switch, summary, Lock::AccessExclusive, sql));
        }
    }
}

/// One policy, made or replaced.
fn guard(policy: &Policy, names: &TableNames, live: &Live, renew: Renew, plan: &mut Plan) {
    let (table, on, regclass) = if policy.on_history {
        (&live.history, names.history_sql(), names.history_regclass())
    } else {
        (&live.table, names.table_sql(), names.regclass())
    };
    let name = Ident::fixed(policy.name);
    let current = table.as_ref().and_then(|table| table.comments.get(&format!("policy {}", policy.name)));
    let exists = table.as_ref().is_some_and(|table| table.policies.contains_key(policy.name));
    let renewed = renew.policies && !policy.on_history;
    if exists && !renewed && current == Some(&fingerprint(&policy.tail)) {
        return;
    }
    let on = || frag![&name, " on ", on.clone()].inline();
    let drop = if exists && !renewed { format!("drop policy if exists {};\n", on()) } else { String::new() };
    let create = format!("create policy {} {}", on(), policy.tail);
    let tag = call(
        "stamp",
        &[
            quote_literal("policy"),
            regclass,
            quote_literal(policy.name),
            quote_literal(&fingerprint(&policy.tail)),
        ],
    );
    let verb = if exists { "replace" } else { "create" };
    let where_to = if policy.on_history { " of the history" } else { "" };
    plan.steps.push(Step::safe(
        Stage::Switch,
        format!("{verb} policy {}{where_to}", policy.name),
        Lock::AccessExclusive,
        format!("{drop}{create};\n{tag}"),
    ));
}

/// The function that says which spec is served: the last step of the switch.
pub(super) fn shape(schema: &Schema, names: &TableNames, live: &Live, plan: &mut Plan) {
    let wanted = names.shape_function(schema.hash().as_str());
    if live.shapes.len() == 1 && live.shapes.contains(wanted.as_str()) {
        return;
    }
    let function = |name: &Ident| Fragment::column(&names.schema, name).inline();
    let mut statements: Vec<String> = live
        .shapes
        .iter()
        .map(|name| format!("drop function if exists {}()", function(&Ident::fitted(name))))
        .collect();
    let made = function(&wanted);
    statements.push(format!(
        "create function {made}() returns boolean language sql immutable parallel safe as 'select true'"
    ));
    statements.push(format!("revoke all on function {made}() from public"));
    statements.push(format!("grant execute on function {made}() to {}", names.role()));
    let sql = statements.join(";\n");
    plan.steps.push(Step::safe(Stage::Switch, "serve the new spec from here on", Lock::None, sql));
}
