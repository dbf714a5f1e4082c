//! Any schema becomes any other: the table ends as one that was made new, and no value and no event changes its meaning.

use std::collections::BTreeMap;

use bigdecimal::BigDecimal;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::{Value as Json, json};
use velocity_schema::{Field, FieldType, Schema, Value};
use velocity_sql::ddl::{Approval, Decision};
use velocity_sql::{Fragment, Ident, SqlType};

use super::world::World;
use crate::any_schema::kind;

/// How many changes; `VELOCITY_CHANGES` has another number, `VELOCITY_CHANGE` the one to look at.
const CASES: u64 = 16;
/// Records before the first change.
const ROWS: usize = 9;

/// Names that come again in the next schema, some of them words of SQL and of the generated code, two as long as can be.
fn names() -> Vec<String> {
    let mut names: Vec<String> = ["a", "b", "c", "d", "select", "new", "record_id"].map(str::to_owned).into();
    names.extend(["y", "z"].map(|last| format!("{}{last}", "x".repeat(62))));
    names
}

/// What is decided at random of one field.
#[derive(Debug, Clone)]
struct Gene {
    name: usize,
    kind: Json,
    /// Whether it goes on with the type of the field that was there.
    keeps: bool,
    renames: bool,
    refers: u8,
    flags: [bool; 5],
}

#[derive(Debug, Clone)]
struct Genes {
    fields: Vec<Gene>,
    indexes: u8,
    access: u8,
}

fn genes() -> impl Strategy<Value = Genes> {
    let field = (0..names().len(), simple(), 0..10_u8, any::<bool>(), 0..6_u8, any::<[bool; 5]>()).prop_map(
        |(name, kind, keeps, renames, refers, flags)| Gene {
            name,
            kind,
            keeps: keeps < 6,
            renames,
            refers,
            flags,
        },
    );
    (prop::collection::vec(field, 2..7), any::<u8>(), any::<u8>())
        .prop_map(|(fields, indexes, access)| Genes { fields, indexes, access })
}

/// Any type, those that become each other more often.
fn simple() -> impl Strategy<Value = Json> {
    prop_oneof![
        2 => kind(),
        3 => prop::sample::select(vec![
            json!({"type": "string"}), json!({"type": "string", "maxLength": 8}), json!({"type": "integer"}), json!({"type": "integer", "min": 0, "default": 3}),
            json!({"type": "number"}), json!({"type": "number", "precision": 22, "scale": 2}), json!({"type": "number", "precision": 30, "scale": 5, "max": 1_000_000}),
            json!({"type": "json"}), json!({"type": "boolean"}), json!({"type": "date"}), json!({"type": "timestamp"}), json!({"type": "uuid"}), json!({"type": "time"}),
            json!({"type": "enum", "enum": ["1", "2", "3", "4", "true", "false"], "default": "1"}), json!({"type": "enum", "enum": ["1", "2", "3"]}),
        ]),
    ]
}

/// The spec that the genes give, after one that was there.
fn spec(genes: &Genes, before: Option<&Json>) -> Json {
    let names = names();
    let old = |name: &str| before?["fields"].as_array()?.iter().find(|field| field["name"] == *name);
    let mut fields: Vec<Json> = Vec::new();
    let mut moved: Vec<&str> = Vec::new();
    let taken: Vec<&str> = genes.fields.iter().map(|gene| names[gene.name].as_str()).collect();
    for gene in &genes.fields {
        let name = names[gene.name].as_str();
        if fields.iter().any(|field| field["name"] == *name) {
            continue;
        }
        let free = || {
            names
                .iter()
                .map(String::as_str)
                .find(|n| !taken.contains(n) && !moved.contains(n) && old(n).is_some())
        };
        let source = if gene.renames && old(name).is_none() { free() } else { None };
        let mut field = match old(source.unwrap_or(name)) {
            Some(live) if gene.keeps => live.clone(),
            _ => gene.kind.clone(),
        };
        field["name"] = json!(name);
        let map = field.as_object_mut().unwrap();
        map.remove("renamedFrom");
        if let Some(source) = source {
            moved.push(source);
            map.insert("renamedFrom".into(), json!(source));
        }
        flags(map, gene);
        fields.push(field);
    }
    let simple: Vec<String> = fields
        .iter()
        .filter(|field| !compound(field))
        .map(|field| field["name"].as_str().unwrap().to_owned())
        .collect();
    let mut spec = json!({"org": "any", "app": "change", "domain": "anything", "object": "item", "version": "v1", "fields": fields,
        "access": {"roles": {"create": ["writer"], "read": ["writer", "reader"], "update": ["writer"], "delete": ["writer"], "restore": ["writer"]}}});
    if let [first, rest @ ..] = simple.as_slice() {
        let last = rest.last().unwrap_or(first);
        let all = [
            json!({"fields": [format!("-{first}"), "updated_at"], "where": format!("record.{first} != null")}),
            json!({"fields": [last, "-version"], "where": "record.version > 1"}),
            json!({"fields": [format!("-{last}")]}),
        ];
        let chosen: Vec<&Json> = all
            .iter()
            .enumerate()
            .filter(|(n, _)| genes.indexes & (1 << n) != 0)
            .map(|(_, index)| index)
            .collect();
        spec["indexes"] = json!(chosen);
        if genes.indexes & 16 != 0 && first != last {
            spec["uniqueConstraints"] = json!([{"fields": [first, last, "created_at"]}]);
        }
        spec["access"]["rowFilter"] = match genes.access % 4 {
            0 => json!([]),
            1 => {
                json!([{"role": "reader", "condition": format!("record.{first} != null || record.created_by == actor.id")}])
            }
            2 => {
                json!([{"role": "reader", "condition": format!("record.{last} == null")}, {"role": "*", "condition": "record.version > 0"}])
            }
            _ => json!([{"role": "*", "condition": "record.version > 0"}]),
        };
    }
    if genes.access & 16 != 0 {
        spec["access"]["roles"]["update"] = json!(["writer", "reader"]);
    }
    spec
}

fn compound(field: &Json) -> bool {
    ["json", "bytes", "array"].contains(&field["type"].as_str().unwrap())
}

/// How a field is used.
fn flags(field: &mut serde_json::Map<String, Json>, gene: &Gene) {
    let [filterable, sortable, unique, immutable, required] = gene.flags;
    for key in ["filterable", "sortable", "unique", "immutable", "required", "ref"] {
        field.remove(key);
    }
    field.retain(|_, value| !value.is_null());
    let kind = field["type"].as_str().unwrap().to_owned();
    let default = field.contains_key("default");
    if !["json", "bytes", "array"].contains(&kind.as_str()) {
        field.insert("filterable".into(), json!(filterable));
        field.insert("sortable".into(), json!(sortable));
        field.insert("unique".into(), json!(unique && filterable && !default));
    }
    field.insert("immutable".into(), json!(immutable && sortable));
    field.insert("required".into(), json!(required && (default || filterable)));
    let target = match kind.as_str() {
        "uuid" => "id",
        "string" => "code",
        "integer" => "num",
        _ => return,
    };
    if gene.refers < 3 && !default {
        field.insert(
            "ref".into(),
            json!({"object": "target", "version": "v1", "field": target, "enforce": gene.refers < 2}),
        );
    }
}

/// Values that may fit a type, others for each number.
fn candidates(kind: &FieldType, n: usize) -> Vec<Value> {
    let text = |text: String| Value::String(text);
    match kind {
        FieldType::String { .. } => match n % 11 {
            9 => vec![text("it's".into()), text("1".into())],
            10 => vec![text(format!("2026-01-{:02}", n % 28 + 1)), text("2".into())],
            _ => vec![text((n % 9 + 1).to_string())],
        },
        FieldType::Enum { values } => vec![text(values[n % values.len()].clone())],
        FieldType::Integer { min, max } => {
            let n = i64::try_from(n % 9 + 1).unwrap();
            [n, 0].into_iter().chain(*min).chain(*max).map(Value::Integer).collect()
        }
        FieldType::Number { scale, min, .. } => {
            let number = |n: i64, scale: i64| Value::Number(BigDecimal::new(n.into(), scale));
            let (n, scale) = (i64::try_from(n % 9 + 1).unwrap(), i64::from(*scale));
            let mut all = vec![number(n, 0), number(n, scale.min(1)), number(n, scale), number(0, 0)];
            all.extend(min.clone().map(Value::Number));
            all
        }
        FieldType::Boolean => vec![Value::Boolean(n.is_multiple_of(2))],
        FieldType::Json => vec![Value::Json(json!({"n": n, "it's": [null, 1.5]}).to_string())],
        FieldType::Bytes { .. } => {
            vec![Value::Bytes(vec![u8::try_from(n % 256).unwrap()]), Value::Bytes(Vec::new())]
        }
        FieldType::Array { items, .. } => (0..3)
            .map(|length| {
                Value::Array(
                    (0..length).filter_map(|item| candidates(items, n + item).into_iter().next()).collect(),
                )
            })
            .rev()
            .collect(),
        _ => Vec::new(),
    }
}

/// A literal for a field of a record, or none where there is no value that fits.
fn literal(field: &Field, n: usize) -> Option<String> {
    let day = n % 28 + 1;
    match &field.kind {
        FieldType::Uuid => Some(format!("md5('{}')::uuid", n % 9 + 1)),
        FieldType::Date => Some(format!("'2026-02-{day:02}'")),
        FieldType::Time => Some(format!("'10:00:{day:02}.5'")),
        FieldType::Timestamp if n % 5 == 4 => Some(format!("'2026-02-{day:02}T10:00:00.000001Z'")),
        FieldType::Timestamp => Some(format!("'2026-02-{day:02}T00:00:00Z'")),
        kind => {
            let fitting = candidates(kind, n).into_iter().find(|value| kind.check(value).is_ok())?;
            Some(Fragment::bind(SqlType::of(kind), fitting).inline())
        }
    }
}

/// A record by the API; false where the table refuses it (a value that is there already, or has no record).
async fn insert(world: &World, schema: &Schema, id: usize, n: usize) -> bool {
    let mut columns = vec!["id".to_owned()];
    let mut values = vec![format!("md5('{id}')::uuid")];
    for (at, field) in
        schema.fields().iter().enumerate().filter(|(_, f)| !f.system && f.name.as_str() != "id")
    {
        let present = field.required || !(n + at).is_multiple_of(4);
        if let Some(value) = literal(field, n + at).filter(|_| present) {
            columns.push(Ident::from(&field.name).quoted());
            values.push(value);
        }
    }
    let sql =
        format!("insert into {} ({}) values ({})", world.table(), columns.join(", "), values.join(", "));
    match world.api(&sql).await {
        Ok(_) => true,
        Err(error) => {
            let code = error.code().map_or("", |code| code.code());
            assert!(["23505", "23503", "23502", "23514"].contains(&code), "{sql}: {error:?}");
            false
        }
    }
}

type Values = BTreeMap<(String, String), Option<String>>;

/// Every value of every record, as text.
async fn values(world: &World) -> Values {
    let sql = format!(
        "select t.id::text, f.key, f.value from {} t cross join jsonb_each_text(to_jsonb(t)) f",
        world.table()
    );
    let rows = world.owner.query(&sql, &[]).await.unwrap();
    rows.iter().map(|row| ((row.get(0), row.get(1)), row.get(2))).collect()
}

/// The same text for the same value, whatever type it has.
fn meaning(text: &str) -> String {
    if let Ok(number) = text.parse::<BigDecimal>() {
        return number.normalized().to_string();
    }
    let mut text = text.replace("+00:00", "Z");
    if let Some((whole, fraction)) = text.strip_suffix('Z').and_then(|t| t.split_once('.')) {
        let fraction = fraction.trim_end_matches('0');
        text = if fraction.is_empty() { format!("{whole}Z") } else { format!("{whole}.{fraction}Z") };
    }
    text.replace("T00:00:00Z", "")
}

fn column_type(kind: &FieldType) -> String {
    match kind {
        FieldType::Number { precision, scale, .. } => format!("numeric({precision},{scale})"),
        other => SqlType::of(other).sql().to_owned(),
    }
}

/// No value of a field that both schemas have is another one now.
fn same_values(before: &Values, after: &Values, old: &Schema, new: &Schema) {
    for field in new.fields().iter().filter(|field| !field.system) {
        let same_name = old.field(field.name.as_str());
        let renamed = || field.renamed_from.as_ref().and_then(|from| old.field(from.as_str()));
        let Some(source) = same_name.or_else(renamed) else { continue };
        let types = [source, field].map(|field| column_type(&field.kind));
        for ((id, _), value) in before.iter().filter(|((_, name), _)| *name == source.name.as_str()) {
            let now =
                after.get(&(id.clone(), field.name.to_string())).unwrap_or_else(|| panic!("{id} is gone"));
            match value {
                Some(value) if types[0] == types[1] => {
                    assert_eq!(now.as_ref(), Some(value), "{} of {id}", field.name);
                }
                Some(value) => assert_eq!(
                    now.as_deref().map(meaning),
                    Some(meaning(value)),
                    "{} of {id}, {types:?}",
                    field.name
                ),
                None if field.required => assert!(now.is_some(), "{} of {id}", field.name),
                None => assert_eq!(now.as_ref(), None, "{} of {id}", field.name),
            }
        }
    }
}

#[derive(Debug, Default)]
struct Tally {
    applied: u32,
    approved: u32,
    blocked: u32,
    inserted: u32,
}

/// The change is made, or leaves everything as it was; whether it was made.
async fn evolve(world: &World, old: &Schema, new: &Schema, tally: &mut Tally) -> bool {
    let (before, events, catalog) = (values(world).await, world.events().await, world.shown().await);
    let mut decision = world.reconcile(new, Approval::default()).await;
    if let Decision::Blocked { hash, approvable: true, .. } = &decision {
        tally.approved += 1;
        decision = world.reconcile(new, Approval { named: Some(hash.clone()), ..Approval::default() }).await;
        assert!(matches!(decision, Decision::Apply(_)), "blocked in spite of the approval: {decision:#?}");
    }
    if let Decision::Blocked { pending, .. } = decision {
        assert!(pending.iter().all(|step| step.reason.is_some()), "{pending:#?}");
        assert_eq!(
            (values(world).await, world.events().await, world.shown().await),
            (before, events, catalog)
        );
        tally.blocked += 1;
        return false;
    }
    tally.applied += 1;
    world.is_as_new_but_for_enums(new).await;
    same_values(&before, &values(world).await, old, new);
    let after = world.events().await;
    assert_eq!(after[..events.len()], events[..], "older events are what they were");
    assert!(
        after[events.len()..]
            .iter()
            .all(|event| event["actor"] == "velocity-operator" && event["operation"] == "UPDATE")
    );
    // Values that were taken from an enum keep their records from being written until they are changed.
    if !has_unchecked(world).await && world.has_living().await {
        world.writes_work().await;
    }
    true
}

async fn has_unchecked(world: &World) -> bool {
    let sql = format!(
        "select exists (select from pg_constraint where conrelid = '{}'::regclass and not convalidated)",
        world.table()
    );
    world.one(&sql).await == "true"
}

async fn case(world: &World, seed: u64, tally: &mut Tally) {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let mut runner =
        TestRunner::new_with_rng(Config::default(), TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    let mut next = |before: Option<&Json>| loop {
        let spec = spec(&genes().new_tree(&mut runner).unwrap().current(), before);
        if let Ok((_, schema)) = Schema::from_json(&spec) {
            return (spec, schema);
        }
    };
    let (first_spec, first) = next(None);
    let (second_spec, second) = next(Some(&first_spec));
    let (third_spec, third) = next(Some(&second_spec));
    for spec in [&first_spec, &second_spec, &third_spec] {
        println!("{}", serde_json::to_string(spec).unwrap());
    }
    world.clear().await;
    world.begin(&first).await;
    for n in 0..ROWS {
        insert(world, &first, n, n).await;
    }
    let table = world.table();
    world.write(&format!("update {table} set deleted_at = now() where id = (select id from {table} order by id desc limit 1) and (select count(*) from {table}) > 1")).await;
    let made = evolve(world, &first, &second, tally).await;
    if made && insert(world, &second, 100, 3).await {
        tally.inserted += 1;
    }
    evolve(world, if made { &second } else { &first }, &third, tally).await;
    world.history_is_sound().await;
}

#[tokio::test]
async fn any_schema_becomes_any_other_as_if_it_had_been_the_first() {
    let world = World::new("anything").await;
    world
        .make(&world.object(
            "target",
            &["{name: code, type: string, unique: true}", "{name: num, type: integer, unique: true}"],
            "",
        ))
        .await;
    let target = format!("{}.target_v1", world.pg_schema());
    world.write(&format!("insert into {target} (id, code, num) select md5(i::text)::uuid, i, i from generate_series(1, 9) i")).await;
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let cases = match number("VELOCITY_CHANGE") {
        Some(one) => one..one + 1,
        None => 0..number("VELOCITY_CHANGES").unwrap_or(CASES),
    };
    let (mut tally, count) = (Tally::default(), cases.end - cases.start);
    for seed in cases {
        println!("VELOCITY_CHANGE={seed}"); // seen only where the test fails
        case(&world, seed, &mut tally).await;
    }
    println!("{tally:?}");
    if count >= CASES {
        let few = u32::try_from(count / 4).unwrap();
        assert!(
            tally.applied > few && tally.approved > few && tally.blocked > 0 && tally.inserted > 0,
            "{tally:?}"
        );
    }
}
