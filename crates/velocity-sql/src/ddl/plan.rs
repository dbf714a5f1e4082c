//! The steps from what is there to what is wanted. Pure, and without errors: what cannot be done is a blocked step.

mod columns;
mod decide;
mod guards;
mod indexes;
mod references;

use std::fmt::Write;

pub use decide::{Approval, Decision};

use sha2::{Digest, Sha256};
use velocity_schema::{Field, Schema};

use super::columns::{checks, create_table, default_literal};
use super::history;
use super::live::Live;
use super::step::{Lock, Stage, Step};
use crate::frag;
use crate::fragment::Fragment;
use crate::ident::{Ident, quote_literal};
use crate::names::TableNames;

const LATER: &str = "changing this in place is not supported yet; the table keeps serving its old shape";

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
        let all: Vec<&str> = self
            .steps
            .iter()
            .filter(|step| !step.upkeep)
            .map(|step| step.sql.as_str())
            .collect();
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
        None => plan.steps.push(Step::safe(Stage::Switch, 
            format!("create table {}", names.display()),
            Lock::None,
            tagged(create_table(schema, &names), column_tags(schema.fields(), &names)),
        )),
        Some(table) => columns::plan(schema, &names, table, &mut plan),
    }
    events(&names, live, month, &mut plan);
    indexes::plan(schema, &names, live, &mut plan);
    references::plan(schema, &names, live, &mut plan);
    guards::plan(schema, &names, live, &mut plan);
    plan
}

/// The statements, with the tags of what they make behind them.
fn tagged(sql: String, tags: Vec<String>) -> String {
    std::iter::once(sql).chain(tags).collect::<Vec<_>>().join(";\n")
}

/// The tags of what fields bring besides their columns: checks and defaults, whose text the catalog does not keep.
fn column_tags(fields: &[Field], names: &TableNames) -> Vec<String> {
    let mut tags = Vec::new();
    for field in fields {
        for (name, condition) in checks(field) {
            tags.push(comment(&frag!["constraint ", &name, " on ", names.table_sql()], &condition.inline()));
        }
        if let Some(default) = default_literal(field) {
            tags.push(comment(
                &frag!["column ", names.table_sql(), ".", &Ident::from(&field.name)],
                &default,
            ));
        }
    }
    tags
}

/// `comment on … is 'velocity:…'`: how the next reconcile knows the text that made a thing.
fn comment(on: &Fragment, text: &str) -> String {
    frag!["comment on ", on.clone(), " is "].inline()
        + &quote_literal(&format!("velocity:{}", fingerprint(text)))
}

fn domain(names: &TableNames, live: &Live, plan: &mut Plan) {
    // Two schemas of a new domain may be made at once; role and schema are catalog rows that only one may touch.
    let lock = format!(
        "select pg_advisory_xact_lock(hashtextextended({}, 0));\n",
        quote_literal(&format!("velocity-domain:{}", names.schema.as_str()))
    );
    if !live.role_ready {
        let role = names.role();
        plan.steps.push(Step::safe(Stage::Switch, 
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
        plan.steps.push(Step::safe(Stage::Switch, 
            format!("create schema {}", names.schema.as_str()),
            Lock::None,
            format!("{lock}{}", sql.inline()),
        ));
    }
}

/// The event table, and the partitions of this and the next months. A month whose events are in the default partition
/// already (no operator ran when it began) stays there: moving them would hold up writers.
fn events(names: &TableNames, live: &Live, month: (i32, u32), plan: &mut Plan) {
    if live.history.is_none() {
        let summary = format!("create the event table {}", names.history.as_str());
        plan.steps.push(Step::safe(Stage::Switch, summary, Lock::None, history::create_history(names)));
    }
    for of in history::months_from(month) {
        let (name, sql) = history::partition_for(names, of.0, of.1);
        if !live.partitions.contains(name.as_str()) && !live.default_months.contains(&of) {
            let summary = format!("create partition {}", name.as_str());
            plan.steps.push(Step::safe(Stage::Switch, summary, Lock::ShareUpdateExclusive, sql).upkeep());
        }
    }
}

/// `alter table "s"."t" `
fn alter(names: &TableNames) -> String {
    frag!["alter table ", names.table_sql(), " "].inline()
}

/// Makes Postgres check the rows that were there before a constraint; writers go on meanwhile.
fn validate(name: &Ident, names: &TableNames) -> Step {
    let sql = alter(names) + &frag!["validate constraint ", name].inline();
    Step::safe(Stage::Switch, format!("validate {}", name.as_str()), Lock::ShareUpdateExclusive, sql)
}

/// Whether a constraint, as the catalog shows it, has not been checked for the rows that were there before it.
fn is_unchecked(definition: &str) -> bool {
    definition.ends_with(" NOT VALID")
}

#[cfg(test)]
mod tests;
