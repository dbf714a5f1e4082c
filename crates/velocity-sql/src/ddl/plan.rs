//! The steps from what is there to what is wanted. Pure, and without errors: what cannot be done is a blocked step.

mod base;
mod checks;
mod columns;
mod conversion;
mod decide;
mod delete;
mod draft;
mod events;
mod extension;
mod guards;
mod indexes;
mod references;
mod shadows;

use std::fmt::Write;

pub use decide::{Approval, Decision};
pub use delete::delete_plan;
pub(super) use extension::HOME as EXTENSIONS;

use sha2::{Digest, Sha256};
use velocity_schema::Schema;

use super::columns::{checks, create_table};
use super::live::{Live, LiveTable};
use super::step::{Lock, Stage, Step};
use crate::frag;
use crate::ident::{IDENT_MAX, Ident, quote_literal};
use crate::names::TableNames;
use base::Base;
use draft::Draft;
use guards::Renew;

/// What a reconcile is to do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// Whether the main table is yet to be made; then all steps run in one transaction.
    pub creates_table: bool,
    /// All that is to be done, in this order within each stage.
    pub steps: Vec<Step>,
    /// References whose target is not there yet.
    pub waiting: Vec<Waiting>,
    /// What would remove things that neither we made nor the schema names: done only when someone asks for it.
    pub foreign: Vec<Step>,
    /// Whether there will be more to do once these steps are: the catalog has to be read and planned for again.
    pub again: bool,
}

/// A foreign key whose target is not there yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// The field.
    pub field: String,
    /// `schema.table` of the target.
    pub target: String,
}

impl Plan {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// The same plan, with what is foreign removed.
    pub fn removing_foreign(mut self) -> Self {
        self.steps.append(&mut self.foreign);
        self
    }

    /// The hash of exactly this change: what an approval names. Upkeep is no part of it, so that it does not change with
    /// the calendar.
    pub fn hash(&self) -> String {
        let mut steps: Vec<&Step> = self.steps.iter().filter(|step| !step.upkeep).collect();
        // A plan that was decided on has its steps in the order of the stages.
        steps.sort_by_key(|step| step.stage);
        let all: Vec<&str> = steps.into_iter().map(|step| step.sql.as_str()).collect();
        format!("sha256:{}", fingerprint(&all.join(";\n")))
    }
}

/// The SHA-256 of a text in hex.
pub(super) fn fingerprint(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// What has to be done for `schema`, given what is there. `month` (of UTC) says which partitions the history needs.
pub fn plan(schema: &Schema, live: &Live, month: (i32, u32)) -> Plan {
    let names = TableNames::of(schema.path());
    let mut plan = Plan { creates_table: live.table.is_none(), ..Plan::default() };
    domain(&names, live, &mut plan);
    match &live.table {
        Some(table) => change(schema, &names, live, table, month, &mut plan),
        None => match &live.trashed_table {
            Some(trashed) => {
                let sql = call("untrash_table", &[trashed.id.to_string()]);
                let summary = format!("bring {} back from the trash", names.display());
                plan.steps.push(Step::safe(Stage::Switch, summary, Lock::AccessExclusive, sql));
                plan.again = true;
            }
            None => create(schema, &names, live, month, &mut plan),
        },
    }
    plan
}

fn create(schema: &Schema, names: &TableNames, live: &Live, month: (i32, u32), plan: &mut Plan) {
    let columns = schema
        .fields()
        .iter()
        .map(|field| stamp("column", names, field.name.as_str(), &columns::source_of(field)));
    let checks = schema.fields().iter().flat_map(checks);
    let checks =
        checks.map(|(name, condition)| stamp("constraint", names, name.as_str(), &condition.inline()));
    let sql = tagged(create_table(schema, names), columns.chain(checks).collect());
    plan.steps.push(Step::safe(Stage::Switch, format!("create table {}", names.display()), Lock::None, sql));
    events::plan(names, live, month, plan);
    indexes::first(schema, names, live, plan);
    references::first(schema, names, live, plan);
    guards::plan(schema, names, live, Renew::default(), plan);
    if plan.waiting.is_empty() {
        guards::shape(schema, names, live, plan);
    }
}

fn change(
    schema: &Schema,
    names: &TableNames,
    live: &Live,
    table: &LiveTable,
    month: (i32, u32),
    plan: &mut Plan,
) {
    let base = Base::of(schema, names, live, table);
    let mut draft = Draft::default();
    shadows::plan(&base, &mut draft);
    columns::plan(&base, &mut draft);
    checks::plan(&base, &mut draft);
    indexes::plan(&base, &mut draft);
    references::plan(&base, plan, &mut draft);
    let renew = Renew { policies: draft.renew_policies, grants: draft.renew_grants };
    let mut drops = Draft::default();
    guards::drops(schema, names, live, renew, &mut drops);
    plan.foreign = draft.foreign;
    plan.foreign.append(&mut drops.foreign);
    for part in [draft.columns, draft.built, drops.drops, draft.drops, draft.moves, draft.settles] {
        plan.steps.extend(part);
    }
    events::plan(names, live, month, plan);
    guards::plan(schema, names, live, renew, plan);
    if draft.renamed {
        let sql = call("restamp", &[names.regclass()]);
        plan.steps.push(Step::safe(Stage::Switch, "renew the tags", Lock::None, sql));
    }
    if plan.waiting.is_empty() {
        guards::shape(schema, names, live, plan);
    } else if !live.shapes.is_empty() {
        // A table that is served keeps its shape until what its new references point to is there.
        plan.steps.retain(|step| step.upkeep);
    }
    lock_first(names, plan);
    plan.steps.extend(draft.finish);
    if plan.steps.iter().any(|step| step.refused) {
        // It cannot be done whatever the rows are, and looks at columns that cannot come about would fail.
        plan.steps.iter_mut().for_each(|step| step.check = None);
    }
}

/// The switch begins with the lock that most of it needs. A statement that names the shape function and waits for the table is
/// then always planned after the switch; and no weaker lock is made stronger half-way, which is how deadlocks begin: writers
/// lock the table, then the events.
fn lock_first(names: &TableNames, plan: &mut Plan) {
    let Some(at) = plan.steps.iter().position(|step| step.stage == Stage::Switch && !step.upkeep) else {
        return;
    };
    let sql = frag!["lock table ", names.table_sql(), " in access exclusive mode"].inline();
    plan.steps.insert(at, Step::safe(Stage::Switch, "take the table's lock", Lock::AccessExclusive, sql));
}

/// The statements, with the tags of what they make behind them.
fn tagged(sql: String, tags: Vec<String>) -> String {
    std::iter::once(sql).chain(tags).collect::<Vec<_>>().join(";\n")
}

/// `select platform.f(…)` with arguments that are SQL.
fn call(function: &str, arguments: &[String]) -> String {
    format!("select platform.{function}({})", arguments.join(", "))
}

/// Tags a thing of the main table with the text that made it: how the next reconcile knows it, and knows it unchanged.
fn stamp(kind: &str, names: &TableNames, name: &str, source: &str) -> String {
    stamp_as(kind, names, name, &fingerprint(source))
}

/// The same with the text's fingerprint.
fn stamp_as(kind: &str, names: &TableNames, name: &str, fingerprint: &str) -> String {
    call("stamp", &[quote_literal(kind), names.regclass(), quote_literal(name), quote_literal(fingerprint)])
}

/// What a constraint is called until the one that has its name is gone.
fn temporary(name: &Ident) -> Ident {
    suffixed(name, "~new")
}

/// A name with something behind it, also where the name is as long as one can be.
fn suffixed(name: &Ident, suffix: &str) -> Ident {
    let whole = format!("{}{suffix}", name.as_str());
    // `fitted` would cut the suffix off with the end; the hash of the whole keeps it apart.
    Ident::fitted(&if whole.len() <= IDENT_MAX { whole } else { whole + &"~".repeat(IDENT_MAX) })
}

/// Takes away a constraint that has the name of one that is about to be made, and is another.
fn drop_stale(base: &Base<'_>, name: &Ident) -> String {
    if base.table.constraints.contains_key(name.as_str()) {
        format!("{}drop constraint {name};\n", alter(base.names))
    } else {
        String::new()
    }
}

/// One batch of an update of all rows that a condition holds for, as [`super::step::How::Batches`] has it. The table is `t`
/// in the condition and in what is set.
fn batch(base: &Base<'_>, condition: &str, set: &str) -> String {
    let table = base.names.table_sql().inline();
    let id = base.table.columns.get("id").map_or("text", |column| column.sql_type.as_str());
    format!(
        "with batch as materialized (select id from {table} where $1::text is null or id > $1::text::{id} order by id limit $2::bigint),
last as materialized (select id from batch order by id desc limit 1),
done as (update {table} t set {set} where ($1::text is null or t.id > $1::text::{id}) and t.id <= (select id from last) and {condition})
select (select id::text from last), (select count(*) from batch)"
    )
}

fn domain(names: &TableNames, live: &Live, plan: &mut Plan) {
    // Two schemas of a new domain may be made at once; role and schema are catalog rows that only one may touch.
    let lock = format!(
        "select pg_advisory_xact_lock(hashtextextended({}, 0));\n",
        quote_literal(&format!("velocity-domain:{}", names.schema.as_str()))
    );
    if !live.role_ready {
        let role = names.role();
        plan.steps.push(Step::safe(
            Stage::Switch,
            format!("create role {}", role.as_str()),
            Lock::None,
            format!("{lock}select platform.ensure_domain_role({})", quote_literal(role.as_str())),
        ));
    }
    if !live.schema_exists {
        let sql = frag![
            "create schema if not exists ",
            &names.schema,
            ";\nrevoke all on schema ",
            &names.schema,
            " from public;\ngrant usage on schema ",
            &names.schema,
            " to ",
            names.role(),
        ];
        plan.steps.push(Step::safe(
            Stage::Switch,
            format!("create schema {}", names.schema.as_str()),
            Lock::None,
            format!("{lock}{}", sql.inline()),
        ));
    }
}

/// `alter table "s"."t" `
fn alter(names: &TableNames) -> String {
    frag!["alter table ", names.table_sql(), " "].inline()
}

/// Makes Postgres check the rows that were there before a constraint; writers go on meanwhile.
fn validate(name: &Ident, names: &TableNames, stage: Stage) -> Step {
    let sql = alter(names) + &frag!["validate constraint ", name].inline();
    Step::safe(stage, format!("validate {}", name.as_str()), Lock::ShareUpdateExclusive, sql)
}

/// Whether a constraint, as the catalog shows it, has not been checked for the rows that were there before it.
fn is_unchecked(definition: &str) -> bool {
    definition.ends_with(" NOT VALID")
}

#[cfg(test)]
mod tests;
