//! What guards the rows: triggers, row-level security, grants.

use velocity_schema::Schema;

use super::{Plan, comment, fingerprint};
use crate::ddl::live::Live;
use crate::ddl::step::{Lock, Stage, Step};
use crate::ddl::{grants, policies, triggers};
use crate::frag;
use crate::ident::Ident;
use crate::names::TableNames;

pub(super) fn plan(schema: &Schema, names: &TableNames, live: &Live, plan: &mut Plan) {
    functions_and_triggers(schema, names, live, plan);
    row_security(names, live, plan);
    for policy in policies::policies(schema, names) {
        guard(&policy, names, live, plan);
    }
    let wanted = grants::grants(schema, names);
    if live.table.as_ref().and_then(|table| table.comments.get("table")) != Some(&fingerprint(&wanted)) {
        let tag = comment(&frag!["table ", names.table_sql()], &wanted);
        let sql = format!("{wanted};\n{tag}");
        plan.steps.push(Step::safe(Stage::Switch, "grant the domain's role its rights", Lock::None, sql));
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
            plan.steps.push(Step::safe(Stage::Switch, format!("write function {}", name.as_str()), Lock::None, sql));
        }
    }
    for (name, sql) in triggers::triggers(names) {
        let present = live.table.as_ref().is_some_and(|table| table.triggers.get(name) == Some(&true));
        if !present {
            plan.steps.push(Step::safe(Stage::Switch, format!("create trigger {name}"), Lock::ShareRowExclusive, sql));
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
fn guard(policy: &policies::Policy, names: &TableNames, live: &Live, plan: &mut Plan) {
    let (table, sql_name) = if policy.on_history {
        (&live.history, names.history_sql())
    } else {
        (&live.table, names.table_sql())
    };
    let name = Ident::fixed(policy.name);
    let current = table.as_ref().and_then(|table| table.comments.get(&format!("policy {}", policy.name)));
    let exists = table.as_ref().is_some_and(|table| table.policies.contains_key(policy.name));
    if exists && current == Some(&fingerprint(&policy.tail)) {
        return;
    }
    let on = || frag![&name, " on ", sql_name.clone()].inline();
    let drop = if exists { format!("drop policy {};\n", on()) } else { String::new() };
    let create = format!("create policy {} {}", on(), policy.tail);
    let tag = comment(&frag!["policy ", &name, " on ", sql_name.clone()], &policy.tail);
    let verb = if exists { "replace" } else { "create" };
    let where_to = if policy.on_history { " of the history" } else { "" };
    plan.steps.push(Step::safe(Stage::Switch, 
        format!("{verb} policy {}{where_to}", policy.name),
        Lock::AccessExclusive,
        format!("{drop}{create};\n{tag}"),
    ));
}
