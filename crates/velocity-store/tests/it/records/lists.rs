//! Lists: conditions, orders, pages, counts.

use std::collections::HashSet;
use std::time::Duration;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config as ProptestConfig, RngAlgorithm, TestRng, TestRunner};
use serde_json::{Value as Json, json};
use velocity_schema::Value;
use velocity_sql::query::{CursorKey, ListPlan, ListRequest, PlanCode, Reading, RequestedSort};
use velocity_store::codec::decode_value;
use velocity_store::records::{Bulk, BulkItem, BulkOp, ConflictRule, RecordError, Write};
use velocity_testkit::schema;

use super::world::{THING, World, full, json_of, page_json};

impl World {
    async fn fill(&self, bodies: Vec<Json>) {
        let items = bodies.iter().enumerate().map(|(index, body)| BulkItem {
            index: u32::try_from(index).unwrap(),
            op: BulkOp::Create(self.new_record(body)),
        });
        let bulk = Bulk { atomic: true, conflict: ConflictRule::Fail, items: items.collect() };
        self.write(Write::Bulk(bulk)).await.unwrap();
    }

    async fn names(&self, pairs: &[(&str, &str)]) -> String {
        let mut names: Vec<String> = Vec::new();
        for name in self.column("name", pairs).await {
            names.push(name.as_str().unwrap().to_owned());
        }
        names.concat()
    }
}

#[tokio::test]
async fn every_operator_finds_what_it_says() {
    let world = World::new(THING).await;
    world
        .fill(vec![
            json!({"name": "a", "amount": 10, "count": 1, "note": "abc", "active": true, "born": "2020-01-01",
                   "extra": {"city": "Bern", "n": 7, "deep": {"list": ["x", 1]}}, "tags": ["red", "blue"], "status": "approved"}),
            json!({"name": "b", "amount": 10.5, "count": 2, "note": "aBc%d", "active": false, "born": "2021-01-01",
                   "extra": {"city": "7", "n": "7"}, "tags": ["red"]}),
            json!({"name": "c", "amount": 11, "count": 3, "note": "x\\_y, z", "extra": {"city": null}}),
            json!({"name": "d", "token": "0190c8a5-7b1e-7c3a-9f00-1a2b3c4d5e6f", "seen": "2026-01-01T00:00:00Z", "alarm": "06:30"}),
        ])
        .await;
    for (filter, value, expected) in [
        ("filter[amount]", "10", "a"),
        ("filter[amount]", "10.00", "a"),
        // A plan that was made for one number is right for the next, whatever its digits.
        ("filter[amount][gte]", "10", "abc"),
        ("filter[amount][gte]", "10.5", "bc"),
        ("filter[amount][gt]", "10.25", "bc"),
        ("filter[amount][lt]", "1e1", ""),
        ("filter[amount][lte]", "1.05e1", "ab"),
        ("filter[amount][ne]", "10", "bcd"),
        ("filter[amount][in]", "10,11", "ac"),
        ("filter[amount][nin]", "10,11", "bd"),
        ("filter[amount][between]", "10.1,11", "bc"),
        ("filter[amount][gt]", "99999999999999999999999999", ""),
        ("filter[amount][isNull]", "true", "d"),
        ("filter[amount][isNull]", "false", "abc"),
        ("filter[amount][exists]", "false", "d"),
        ("filter[count][gt]", "1", "bc"),
        ("filter[active]", "true", "a"),
        ("filter[active][ne]", "true", "bcd"),
        ("filter[born][between]", "2020-01-01,2020-12-31", "a"),
        ("filter[token]", "0190c8a5-7b1e-7c3a-9f00-1a2b3c4d5e6f", "d"),
        ("filter[seen][lt]", "2026-01-01T01:00:00+00:30", "d"),
        ("filter[alarm][gte]", "06:30:00", "d"),
        ("filter[status]", "approved", "a"),
        ("filter[status][in]", "draft", "bcd"),
        ("filter[note][like]", "a_c", "a"),
        ("filter[note][ilike]", "ABC%", "ab"),
        ("filter[note][like]", "%\\%d", "b"),
        ("filter[note][contains]", "%", "b"),
        ("filter[note][contains]", "\\_", "c"),
        ("filter[note][startsWith]", "a", "ab"),
        ("filter[note][startsWith]", "aB", "b"),
        ("filter[note][startsWith]", "", "abc"),
        ("filter[note][endsWith]", "%d", "b"),
        ("filter[note][in]", "abc,x\\\\_y\\, z", "ac"),
        ("filter[tags][contains]", "red", "ab"),
        ("filter[tags]", "[\"red\"]", "b"),
        ("filter[tags][ne]", "[\"red\"]", "acd"),
        ("filter[extra.city]", "Bern", "a"),
        ("filter[extra.city]", "7", "b"),
        ("filter[extra.n]", "7", "ab"),
        ("filter[extra.n]", "\"7\"", "b"),
        ("filter[extra.n][gt]", "6.5", "a"),
        ("filter[extra.n][between]", "6,8", "a"),
        ("filter[extra.city][gt]", "A", "a"),
        ("filter[extra.city][in]", "Bern,Basel", "a"),
        ("filter[extra.city][ne]", "Bern", "bcd"),
        ("filter[extra.city][nin]", "Bern,7", "cd"),
        ("filter[extra.city][startsWith]", "B", "a"),
        ("filter[extra.city][ilike]", "b%", "a"),
        ("filter[extra.city][contains]", "er", "a"),
        ("filter[extra.city][isNull]", "true", "cd"),
        ("filter[extra.city][exists]", "true", "abc"),
        ("filter[extra.city][exists]", "false", "d"),
        ("filter[extra.deep.list.0]", "x", "a"),
        ("filter[extra.deep.list.1][gte]", "1", "a"),
        ("filter[extra]", "{\"city\": null}", "c"),
        ("filter[extra][contains]", "{\"n\": 7}", "a"),
        ("filter[extra][ne]", "{\"city\": null}", "abd"),
    ] {
        assert_eq!(world.names(&[(filter, value), ("sort", "name")]).await, expected, "{filter}={value}");
    }
    // Names and values are never text of a statement.
    for (filter, value) in [
        ("filter[extra.a'); drop table x; --]", "'"),
        ("filter[extra.a\"b.$1]", "\\'; --"),
        ("filter[extra.{a,b}][gt]", "'x"),
        ("filter[name]", "a' or '1'='1"),
        ("filter[note][like]", "%' or true --"),
        ("filter[tags][contains]", "\"},{\""),
    ] {
        assert_eq!(world.names(&[(filter, value), ("sort", "name")]).await, "", "{filter}={value}");
    }
    let both = [("filter[count][gt]", "1"), ("filter[count][lt]", "3"), ("sort", "name")];
    assert_eq!(world.names(&both).await, "b");
}

#[tokio::test]
async fn what_cannot_be_planned_is_the_callers_error_and_names_the_way_out() {
    let world = World::new(THING).await;
    let plan = |pairs: &[(&str, &str)]| {
        let request = ListRequest::parse(pairs.iter().copied())?;
        ListPlan::plan(&world.schema, &request, world.records.cursor_key(), &Reading::whole())
    };
    for (pairs, code, part) in [
        (&[("filter[amout]", "1")][..], PlanCode::ValidationError, "did you mean `amount`"),
        (&[("filter[data]", "AA==")], PlanCode::FieldNotFilterable, "bytes"),
        (&[("filter[fixed]", "x")], PlanCode::FieldNotFilterable, "`filterable: true`"),
        (&[("filter[created_by]", "x")], PlanCode::FieldNotFilterable, "declare `created_by`"),
        (&[("sort", "extra")], PlanCode::FieldNotFilterable, "no order"),
        (&[("sort", "-fixed")], PlanCode::FieldNotFilterable, "`sortable: true`"),
        (&[("sort", "nam")], PlanCode::ValidationError, "did you mean `name`"),
        (&[("fields", "name,nme")], PlanCode::ValidationError, "did you mean `name`"),
        (&[("filter[count]", "1.5")], PlanCode::ValidationError, "whole number"),
        (&[("filter[count]", "9223372036854775808")], PlanCode::ValidationError, "whole number"),
        (&[("filter[amount]", "1e400000")], PlanCode::ValidationError, "number"),
        (&[("filter[id]", "7")], PlanCode::ValidationError, "UUID"),
        (&[("filter[seen]", "yesterday")], PlanCode::ValidationError, "RFC 3339"),
        (&[("filter[name]", "a\0")], PlanCode::ValidationError, "U+0000"),
        (&[("filter[extra.a]", "a\0")], PlanCode::ValidationError, "U+0000"),
        (&[("filter[status]", "aproved")], PlanCode::ValidationError, "did you mean `approved`"),
        (&[("filter[amount][like]", "1")], PlanCode::ValidationError, "takes eq"),
        (&[("filter[name.x]", "1")], PlanCode::ValidationError, "only json fields"),
        (&[("filter[extra.]", "1")], PlanCode::ValidationError, "a path is"),
        (&[("filter[name][like]", "a\\")], PlanCode::ValidationError, "backslash"),
        (&[("filter[amount][between]", "1")], PlanCode::ValidationError, "two values"),
        (&[("filter[extra.n][between]", "1,x")], PlanCode::ValidationError, "two numbers or two texts"),
        (&[("cursor", "nonsense")], PlanCode::MalformedRequest, "not a cursor of ours"),
    ] {
        let error = plan(pairs).unwrap_err();
        assert_eq!(error.code, code, "{pairs:?}: {error}");
        assert!(error.to_string().contains(part), "{pairs:?}: {error}");
    }
}

#[tokio::test]
async fn without_an_order_records_come_by_id_and_pages_join() {
    let world = World::new(THING).await;
    world.fill((0..25).map(|n| json!({"name": format!("{n}")})).collect()).await;
    let mut ids: Vec<Json> = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let mut pairs = vec![("limit", "7"), ("fields", "name,id")];
        if let Some(cursor) = &cursor {
            pairs.push(("cursor", cursor));
        }
        let page = world.list(&pairs).await;
        let records = page_json(&page);
        assert_eq!(records[0].as_object().unwrap().len(), 2);
        ids.extend(records.iter().map(|record| record["id"].clone()));
        cursor = page.next_cursor().map(str::to_owned);
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(ids.len(), 25);
    assert!(ids.windows(2).all(|pair| pair[0].as_str() < pair[1].as_str()));
    assert_eq!(world.column("id", &[("offset", "20"), ("limit", "10")]).await, ids[20..]);
    assert_eq!(world.column("id", &[("limit", "25")]).await, ids);
    assert!(world.list(&[("limit", "25")]).await.next_cursor().is_none());
}

#[tokio::test]
async fn a_page_need_not_show_what_it_is_sorted_by() {
    let world = World::new(THING).await;
    world.fill((0..5).map(|n| json!({"name": format!("{n}"), "count": 5 - n})).collect()).await;
    let page = world.list(&[("sort", "-count"), ("fields", "name"), ("limit", "2")]).await;
    assert_eq!(page_json(&page), [json!({"name": "0"}), json!({"name": "1"})]);
    let cursor = page.next_cursor().unwrap();
    let page =
        world.list(&[("sort", "-count"), ("fields", "name"), ("limit", "2"), ("cursor", cursor)]).await;
    assert_eq!(page_json(&page), [json!({"name": "2"}), json!({"name": "3"})]);
}

#[tokio::test]
async fn cursors_open_only_the_query_that_they_come_from() {
    let world = World::new(THING).await;
    world.fill((0..5).map(|n| json!({"name": format!("{n}"), "count": n})).collect()).await;
    let query = [("sort", "count"), ("filter[count][gte]", "0"), ("limit", "2")];
    let cursor = world.list(&query).await.next_cursor().unwrap().to_owned();
    let plan = |key: &CursorKey, pairs: &[(&str, &str)], cursor: &str| {
        let mut pairs = pairs.to_vec();
        pairs.push(("cursor", cursor));
        ListPlan::plan(&world.schema, &ListRequest::parse(pairs).unwrap(), key, &Reading::whole())
            .map_err(|e| e.code)
    };
    let key = world.records.cursor_key();
    assert!(plan(key, &[("filter[count][gte]", "0"), ("sort", "count"), ("limit", "3")], &cursor).is_ok());
    for other in [
        &[("sort", "-count"), ("filter[count][gte]", "0")][..],
        &[("sort", "count"), ("filter[count][gte]", "1")],
        &[("sort", "count"), ("filter[count][gt]", "0")],
        &[("sort", "count")],
        &[("filter[count][gte]", "0")],
    ] {
        assert_eq!(plan(key, other, &cursor), Err(PlanCode::MalformedRequest), "{other:?}");
    }
    assert_eq!(plan(&CursorKey::new([8; 32]), &query, &cursor), Err(PlanCode::MalformedRequest));
}

#[tokio::test]
async fn counts_are_exact_or_say_that_they_are_not() {
    let world = World::new(THING).await;
    world.fill((0..30).map(|n| json!({"name": format!("{n}"), "count": n % 3})).collect()).await;
    let total =
        async |pairs: &[(&str, &str)]| world.list(pairs).await.total().map(|t| (t.total, t.estimated));
    assert_eq!(total(&[]).await, None);
    assert_eq!(total(&[("count", "exact"), ("limit", "2")]).await, Some((30, false)));
    assert_eq!(total(&[("count", "exact"), ("filter[count]", "1")]).await, Some((10, false)));
    assert_eq!(total(&[("count", "estimated"), ("filter[count]", "1")]).await, Some((10, false)));
    assert_eq!(total(&[("count", "estimated")]).await, Some((30, false)));
}

#[tokio::test]
async fn an_export_streams_every_record_in_order() {
    let world = World::new(THING).await;
    world.fill((0..1234).map(|n| json!({"name": format!("{n}"), "count": n})).collect()).await;
    let plan = world.plan(&[("filter[count][gte]", "34"), ("sort", "-count"), ("fields", "count")]);
    let export = world.records.export(&world.session, &world.table, plan.clone()).await.unwrap();
    let mut out = Vec::new();
    let count = export
        .run(async |chunk| chunk.append_json(velocity_store::codec::Numbers::Json, b'\n', &mut out).is_ok())
        .await
        .unwrap();
    assert_eq!(count, 1200);
    let lines: Vec<&str> = std::str::from_utf8(&out).unwrap().lines().collect();
    assert_eq!((lines.len(), lines[0], lines[1199]), (1200, r#"{"count":1233}"#, r#"{"count":34}"#));
    let export = world.records.export(&world.session, &world.table, plan).await.unwrap();
    assert_eq!(export.run(async |_| false).await.unwrap(), 500, "a reader who has enough stops it");
}

#[tokio::test]
async fn a_page_over_the_mux_lanes_time_limit_is_answered_all_the_same() {
    let mut world = World::new(THING).await;
    let id = world.made(json!({"name": "a"})).await;
    let slow = "create policy slow on acme__tests__records.thing_v1 as restrictive for select
        using ((select pg_sleep(0.4)::text) is not null)";
    world.database.owner().await.batch_execute(slow).await.unwrap();
    assert!(world.plan(&[]).is_light());
    assert_eq!(world.list(&[]).await.len(), 1);
    assert_eq!(world.read(&id).await.unwrap().version().unwrap(), 1);
    world.session.statement_timeout = Duration::from_millis(300);
    let late = world.read(&id).await;
    assert!(matches!(late, Err(RecordError::Timeout)), "{late:?}");
}

#[tokio::test]
async fn a_schema_without_its_table_is_not_ready() {
    let world = World::new(THING).await;
    let never = std::sync::Arc::new(schema(&THING.replace("object: thing", "object: never")));
    let elsewhere = std::sync::Arc::new(schema(&THING.replace("domain: records", "domain: nowhere")));
    let id = world.id("0190c8a5-7b1e-7c3a-9f00-1a2b3c4d5e6f");
    let read = async |schema| {
        let table = world.records.table(schema);
        world.records.read(&world.session, &table, &id).await.unwrap_err()
    };
    let missing = read(&never).await;
    assert!(
        matches!(&missing, RecordError::ShapeChanged { spec_hash, .. } if spec_hash == never.hash().as_str()),
        "{missing:?}"
    );
    let missing = read(&elsewhere).await;
    assert!(matches!(missing, RecordError::NotReady { .. }), "{missing:?}");
    assert!(world.list(&[]).await.is_empty());
}

#[tokio::test]
async fn a_schema_that_changed_is_read_by_its_new_fields() {
    let world = World::new(THING).await;
    let id = world.made(full()).await;
    assert!(json_of(&world.read(&id).await.unwrap()).get("extra_note").is_none());
    let wider = THING.replace("  - {name: fixed,", "  - {name: extra_note, type: string}\n  - {name: fixed,");
    let table = world.add(&wider).await;
    assert!(!std::sync::Arc::ptr_eq(&table, &world.table));
    let record = json_of(&world.records.read(&world.session, &table, &id).await.unwrap());
    assert_eq!((&record["extra_note"], &record["fixed"]), (&Json::Null, &json!("once")));
    // Nothing reads the table by its old fields any more.
    let outdated = world.read(&id).await.unwrap_err();
    assert!(
        matches!(&outdated, RecordError::ShapeChanged { spec_hash, .. } if spec_hash == world.schema.hash().as_str()),
        "{outdated:?}"
    );
}

fn runner() -> TestRunner {
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha))
}

fn sample<T>(runner: &mut TestRunner, strategy: &impl Strategy<Value = T>) -> T {
    strategy.new_tree(runner).unwrap().current()
}

const SORTABLE: [&str; 10] =
    ["id", "name", "note", "count", "amount", "active", "seen", "born", "status", "code"];

/// Few different values, so that there are many ties; and many nulls.
fn body() -> impl Strategy<Value = Json> {
    let maybe = |values: Vec<Json>| prop_oneof![1 => Just(Json::Null), 3 => prop::sample::select(values)];
    (
        prop::sample::select(vec![json!("a"), json!("B"), json!("é"), json!("a b"), json!("\u{1F600}")]),
        maybe(vec![json!(""), json!("x"), json!("X"), json!("ü")]),
        maybe(vec![json!(-1), json!(0), json!(1)]),
        maybe(vec![json!(0.1), json!(0.10), json!(-5), json!("12345678901234.56")]),
        maybe(vec![json!(true), json!(false)]),
        maybe(vec![json!("2026-01-01T00:00:00Z"), json!("2026-01-01T00:00:00.000001Z")]),
        maybe(vec![json!("2026-01-01"), json!("1999-12-31")]),
        prop::sample::select(vec![json!("draft"), json!("approved")]),
        any::<bool>(),
    )
        .prop_map(|(name, note, count, amount, active, seen, born, status, coded)| {
            let code = if coded { json!(uuid::Uuid::now_v7().to_string()) } else { Json::Null };
            json!({"name": name, "note": note, "count": count, "amount": amount, "active": active,
                   "seen": seen, "born": born, "status": status, "code": code})
        })
}

fn sorts() -> impl Strategy<Value = Vec<(usize, bool)>> {
    prop::collection::vec((0..SORTABLE.len(), any::<bool>()), 1..5)
}

#[tokio::test]
async fn walks_visit_every_record_once_in_order_whatever_the_sort_and_the_writes_between() {
    let world = World::new(THING).await;
    let mut runner = runner();
    let bodies = (0..120).map(|_| sample(&mut runner, &body())).collect();
    world.fill(bodies).await;
    for round in 0..40 {
        let mut seen_fields = HashSet::new();
        let keys: Vec<(usize, bool)> = sample(&mut runner, &sorts())
            .into_iter()
            .filter(|(field, _)| seen_fields.insert(*field))
            .collect();
        let sort: Vec<String> = keys
            .iter()
            .map(|(field, desc)| format!("{}{}", if *desc { "-" } else { "" }, SORTABLE[*field]))
            .collect();
        let sort = sort.join(",");
        let limit =
            sample(&mut runner, &prop::sample::select(vec!["1", "3", "7", "50", "119", "120", "1000"]));
        // The truth: Postgres' own order of everything at once.
        let whole = world.column("id", &[("sort", &sort), ("limit", "1000")]).await;
        let mut walked = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let mut pairs = vec![("sort", sort.as_str()), ("limit", limit)];
            if let Some(cursor) = &cursor {
                pairs.push(("cursor", cursor));
            }
            let page = world.list(&pairs).await;
            walked.extend(page_json(&page).into_iter().map(|record| record["id"].clone()));
            cursor = page.next_cursor().map(str::to_owned);
            if cursor.is_none() {
                break;
            }
            if round % 4 == 0 && walked.len() < 40 {
                // Somebody adds and removes a record meanwhile: those that are there all the time come once.
                let id = world.made(json!({"name": "zz", "count": 0})).await;
                world.delete(&id, None).await.unwrap();
            }
        }
        assert_eq!(walked, whole, "sort={sort} limit={limit}");
        assert_eq!(walked.len(), 120);
    }
}

#[tokio::test]
async fn the_order_is_what_the_values_say_with_nulls_last_and_first_when_descending() {
    let world = World::new(THING).await;
    world
        .fill(vec![
            json!({"name": "1", "note": "b"}),
            json!({"name": "2"}),
            json!({"name": "3", "note": "B"}),
            json!({"name": "4", "note": "é"}),
        ])
        .await;
    assert_eq!(world.names(&[("sort", "note")]).await, "3142");
    assert_eq!(world.names(&[("sort", "-note")]).await, "2413");
}

/// Any request that the schema allows, as query parameters.
fn requests() -> impl Strategy<Value = Vec<(String, String)>> {
    let filters = prop::sample::select(vec![
        ("filter[name]", "a"),
        ("filter[name][ne]", "a"),
        ("filter[name][in]", "a,b"),
        ("filter[name][nin]", "a"),
        ("filter[name][between]", "a,b"),
        ("filter[note][like]", "%a\\%"),
        ("filter[note][ilike]", "_a"),
        ("filter[note][contains]", "'"),
        ("filter[note][startsWith]", "\u{10ffff}"),
        ("filter[note][endsWith]", "\\"),
        ("filter[count][gt]", "-5"),
        ("filter[amount][lte]", "1e3"),
        ("filter[amount][in]", "1,2.5"),
        ("filter[active]", "true"),
        ("filter[seen][gte]", "2026-01-01T00:00:00Z"),
        ("filter[born][lt]", "2026-01-01"),
        ("filter[alarm][between]", "00:00,23:59:59.999999"),
        ("filter[token][in]", "0190c8a5-7b1e-7c3a-9f00-1a2b3c4d5e6f"),
        ("filter[tags][contains]", "x"),
        ("filter[tags]", "[]"),
        ("filter[extra]", "[]"),
        ("filter[extra][contains]", "{}"),
        ("filter[extra.a.b]", "1"),
        ("filter[extra.a.0]", "1"),
        ("filter[extra.a][gt]", "1"),
        ("filter[extra.a][lt]", "x"),
        ("filter[extra.a][between]", "1,2"),
        ("filter[extra.a][like]", "x"),
        ("filter[extra.a][isNull]", "true"),
        ("filter[extra.a][exists]", "false"),
        ("filter[code][isNull]", "false"),
        ("filter[status][ne]", "draft"),
    ]);
    let fields = prop::option::of(prop::sample::subsequence(SORTABLE.to_vec(), 1..4));
    let count = prop::option::of(prop::sample::select(vec!["exact", "estimated"]));
    let offset = prop::option::of(0_u32..100);
    (prop::collection::vec(filters, 0..4), sorts(), fields, 1_u32..900, offset, count).prop_map(
        |(filters, sorts, fields, limit, offset, count)| {
            let mut pairs = vec![("limit".to_owned(), limit.to_string())];
            let mut names = HashSet::new();
            pairs.extend(
                filters
                    .into_iter()
                    .filter(|(name, _)| names.insert(*name))
                    .map(|(n, v)| (n.to_owned(), v.to_owned())),
            );
            let mut seen = HashSet::new();
            let sort: Vec<String> = sorts
                .into_iter()
                .filter(|(field, _)| seen.insert(*field))
                .map(|(field, desc)| format!("{}{}", if desc { "-" } else { "" }, SORTABLE[field]))
                .collect();
            pairs.push(("sort".to_owned(), sort.join(",")));
            pairs.extend(fields.map(|fields| ("fields".to_owned(), fields.join(","))));
            pairs.extend(offset.map(|offset| ("offset".to_owned(), offset.to_string())));
            pairs.extend(count.map(|count| ("count".to_owned(), count.to_owned())));
            pairs
        },
    )
}

#[tokio::test]
async fn whatever_can_be_asked_for_is_sql_that_postgres_runs() {
    let world = World::new(THING).await;
    world.fill((0..3).map(|n| json!({"name": format!("{n}")})).collect()).await;
    let mut runner = runner();
    for _ in 0..250 {
        let pairs = sample(&mut runner, &requests());
        let request = ListRequest::parse(pairs.iter().map(|(n, v)| (n.as_str(), v.as_str()))).unwrap();
        let plan =
            ListPlan::plan(&world.schema, &request, world.records.cursor_key(), &Reading::whole()).unwrap();
        let page = world.records.list(&world.session, &world.table, &plan).await;
        let page = page.unwrap_or_else(|error| panic!("{pairs:?}: {error:?}"));
        assert_eq!(page.total().is_some(), plan.count().is_some());

        // The same behind a cursor with a null or a value in every key.
        let null = sample(&mut runner, &any::<bool>());
        let values: Vec<Value> =
            plan.keys().iter().map(|key| key_value(&world, key.position, null)).collect();
        let cursor = plan.cursor_after(world.records.cursor_key(), &values).unwrap();
        let request = ListRequest { cursor: Some(cursor), offset: 0, ..request };
        let plan =
            ListPlan::plan(&world.schema, &request, world.records.cursor_key(), &Reading::whole()).unwrap();
        let page = world.records.list(&world.session, &world.table, &plan).await;
        page.unwrap_or_else(|error| panic!("{pairs:?}: {error:?}"));
    }
}

fn key_value(world: &World, position: usize, null: bool) -> Value {
    let field = &world.schema.fields()[position];
    if null && !field.required && position != 0 {
        return Value::Null;
    }
    let text = match field.kind.name() {
        "uuid" => "0190c8a5-7b1e-7c3a-9f00-1a2b3c4d5e6f",
        "integer" | "number" => "1",
        "boolean" => "true",
        "timestamp" => "2026-01-01T00:00:00Z",
        "date" => "2026-01-01",
        "enum" => "draft",
        _ => "x",
    };
    field.kind.read_operand(text).unwrap()
}

#[tokio::test]
async fn the_next_page_is_read_from_the_index_and_not_from_the_start() {
    let world = World::new(THING).await;
    world.fill((0..3000).map(|n| json!({"name": format!("{n}"), "count": if n % 7 == 0 { Json::Null } else { json!(n) }})).collect()).await;
    world.database.owner().await.batch_execute("analyze").await.unwrap();
    let request = ListRequest {
        sort: vec![RequestedSort { field: "count".into(), descending: false }],
        limit: 20,
        ..ListRequest::default()
    };
    let first =
        ListPlan::plan(&world.schema, &request, world.records.cursor_key(), &Reading::whole()).unwrap();
    let cursor = first.cursor_after(
        world.records.cursor_key(),
        &[Value::Integer(2500), world.id("0190c8a5-7b1e-7c3a-9f00-1a2b3c4d5e6f")],
    );
    let plan = ListPlan::plan(
        &world.schema,
        &ListRequest { cursor, ..request },
        world.records.cursor_key(),
        &Reading::whole(),
    )
    .unwrap();
    let rendered = plan.render(world.table.sql());
    let mut sql = rendered.sql;
    for (index, bind) in rendered.binds.iter().enumerate().rev() {
        sql = sql.replace(&format!("${}", index + 1), &format!("'{}'", bind.value.to_text()));
    }
    let mut owner = world.database.owner().await;
    let transaction = owner.transaction().await.unwrap();
    transaction
        .batch_execute(
            "set local role acme__tests__records; set local velocity.actor = 'a'; set local velocity.roles = 'writer'",
        )
        .await
        .unwrap();
    let rows =
        transaction.query(&format!("explain (analyze, costs off, timing off) {sql}"), &[]).await.unwrap();
    let explained: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    let explained = explained.join("\n");
    assert!(!explained.contains("Seq Scan"), "{explained}");
    assert_eq!(explained.matches("Index Scan").count(), 2, "{explained}");
    assert!(!explained.contains("Rows Removed by Filter"), "{explained}");
}

#[tokio::test]
async fn a_broken_value_never_leaves_the_codec_as_something_else() {
    assert!(decode_value(velocity_sql::SqlType::Int8, Some(&[0; 7])).is_err());
    assert!(decode_value(velocity_sql::SqlType::Jsonb, Some(&[2, b'1'])).is_err());
    assert!(decode_value(velocity_sql::SqlType::Uuid, Some(&[])).is_err());
    assert!(decode_value(velocity_sql::SqlType::Int8Array, Some(&[0; 5])).is_err());
}
