//! `velocity role list`.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::schemas::{Declared, Rights, declared};
use crate::commands::bindings::{self, Binding};
use crate::failure::Outcome;
use crate::output::format::Format;
use crate::output::table::Table;
use crate::session::Session;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "What schemas declare and RoleBindings give. Roles that only tokens carry are known to nobody but their issuer: \
                  `velocity auth whoami` shows your own, `velocity can-i` what they come to."
)]
pub(crate) struct Args {
    /// Only what bindings give to this actor
    #[arg(long, value_name = "NAME")]
    actor: Option<String>,
}

/// A role in a namespace.
#[derive(Default)]
struct Entry<'a> {
    /// The schemas that know it.
    schemas: Vec<(&'a Declared, &'a Rights)>,
    /// The bindings that give it.
    bindings: Vec<&'a Binding>,
}

pub(super) async fn run(session: &Session, args: &Args) -> Outcome {
    let cluster = session.cluster().await?;
    let kind = bindings::kind(&cluster).await?;
    let now = Timestamp::now();
    let schemas = declared(&cluster, session.namespace()).await?;
    let mut given = bindings::list(session, &cluster, &kind, session.namespace()).await?;
    if let Some(actor) = &args.actor {
        given.retain(|binding| binding.spec.actor == *actor);
    }
    let mut entries = entries(&schemas, &given);
    if args.actor.is_some() {
        entries.retain(|_, entry| !entry.bindings.is_empty());
    }
    if session.out.is_structured() {
        let shown: Vec<Value> = entries.iter().map(|(key, entry)| to_json(key, entry, now)).collect();
        return session.out.serialized(&shown);
    }
    if session.out.format == Some(Format::Name) {
        let names: BTreeSet<&str> = entries.keys().map(|(_, role)| *role).collect();
        return names.into_iter().try_for_each(|name| session.out.line(name));
    }
    if entries.is_empty() {
        session.out.note(&match &args.actor {
            Some(actor) => format!("no binding gives {actor} a role"),
            None => "no schema names a role, and no binding gives one".to_owned(),
        });
        return Ok(());
    }
    session.out.table(&table(session, &entries, args.actor.is_some(), now))
}

/// Every role by its namespace.
fn entries<'a>(schemas: &'a [Declared], given: &'a [Binding]) -> BTreeMap<(&'a str, &'a str), Entry<'a>> {
    let mut entries: BTreeMap<(&str, &str), Entry<'_>> = BTreeMap::new();
    for schema in schemas {
        for (role, rights) in &schema.roles {
            entries.entry((&schema.namespace, role)).or_default().schemas.push((schema, rights));
        }
    }
    for binding in given {
        for role in &binding.spec.roles {
            entries.entry((&binding.namespace, role)).or_default().bindings.push(binding);
        }
    }
    entries
}

/// The operations of a role that a binding's scopes leave.
fn left<'a>(binding: &Binding, schema: &Declared, rights: &'a Rights) -> Vec<&'a str> {
    let fits = |word: &&str| bindings::fits(binding.scopes(), &schema.object, &schema.version, word);
    rights.operations.iter().map(String::as_str).filter(fits).collect()
}

fn table(
    session: &Session,
    entries: &BTreeMap<(&str, &str), Entry<'_>>,
    of_actor: bool,
    now: Timestamp,
) -> Table {
    let wide = session.out.is_wide();
    let mut header = vec!["NAMESPACE", "ROLE", "SCHEMA", "OPERATIONS"];
    header.push(if of_actor { "BY" } else { "HELD BY" });
    if wide {
        header.push("NAMED BY FIELDS");
    }
    let mut table = Table::new(header);
    for ((namespace, role), entry) in entries {
        let mut row = |schema: &str, operations: &str, holders: &str, fields: &str| {
            let mut cells = vec![*namespace, *role, schema, operations, holders];
            if wide {
                cells.push(fields);
            }
            table.row(cells);
        };
        for (schema, rights) in &entry.schemas {
            let name = format!("{}/{}", schema.object, schema.version);
            let fields: Vec<&str> = rights.fields.iter().map(String::as_str).collect();
            let fields = fields.join(", ");
            if of_actor {
                for binding in &entry.bindings {
                    let operations = operations(&left(binding, schema, rights), rights);
                    row(&name, &operations, &source(binding, now), &fields);
                }
            } else {
                let all: Vec<&str> = rights.operations.iter().map(String::as_str).collect();
                row(&name, &operations(&all, rights), &holders(entry, now), &fields);
            }
        }
        if entry.schemas.is_empty() {
            let holders = if of_actor {
                entry.bindings.iter().map(|binding| source(binding, now)).collect::<Vec<_>>().join("; ")
            } else {
                holders(entry, now)
            };
            row("none names it", "", &holders, "");
        }
    }
    table
}

fn operations(words: &[&str], rights: &Rights) -> String {
    let filter = if rights.filtered { " (some rows)" } else { "" };
    match (words, rights.fields.is_empty()) {
        ([], true) => "none".to_owned(),
        ([], false) => {
            let fields: Vec<&str> = rights.fields.iter().map(String::as_str).collect();
            format!("only fields: {}", fields.join(", "))
        }
        (words, _) => format!("{}{filter}", words.join(", ")),
    }
}

/// `ravi, oncall (until 2027-…)`.
fn holders(entry: &Entry<'_>, now: Timestamp) -> String {
    let holders = entry.bindings.iter().map(|binding| {
        let mut notes = Vec::new();
        if !binding.scopes().is_empty() {
            notes.push(format!("in {}", binding.place()));
        }
        if binding.spec.expires_at.is_some() || binding.refused.is_some() {
            notes.push(until_words(binding, now));
        }
        if notes.is_empty() {
            binding.spec.actor.clone()
        } else {
            format!("{} ({})", binding.spec.actor, notes.join(", "))
        }
    });
    holders.collect::<Vec<_>>().join(", ")
}

/// The binding, and how long it holds.
fn source(binding: &Binding, now: Timestamp) -> String {
    if binding.spec.expires_at.is_some() || binding.refused.is_some() {
        format!("{} ({})", binding.name, until_words(binding, now))
    } else {
        binding.name.clone()
    }
}

fn until_words(binding: &Binding, now: Timestamp) -> String {
    let until = bindings::until(binding, now);
    if binding.is_in_force(now) { format!("until {until}") } else { until }
}

fn to_json((namespace, role): &(&str, &str), entry: &Entry<'_>, now: Timestamp) -> Value {
    let schemas: Vec<Value> = entry
        .schemas
        .iter()
        .map(|(schema, rights)| {
            json!({
                "object": schema.object, "version": schema.version, "operations": rights.operations,
                "rowFilter": rights.filtered, "fields": rights.fields,
            })
        })
        .collect();
    let held: Vec<Value> = entry
        .bindings
        .iter()
        .map(|binding| {
            json!({
                "actor": binding.spec.actor, "binding": binding.name, "scopes": binding.spec.scopes,
                "expiresAt": binding.spec.expires_at, "inForce": binding.is_in_force(now),
            })
        })
        .collect();
    json!({ "role": role, "namespace": namespace, "schemas": schemas, "heldBy": held })
}
