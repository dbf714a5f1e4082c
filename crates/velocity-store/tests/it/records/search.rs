//! Search: what it finds, beside everything else that a list can, and from which index.

use serde_json::{Value as Json, json};
use velocity_sql::query::{ListPlan, ListRequest, Reading};
use velocity_store::records::{Bulk, BulkItem, BulkOp, ConflictRule, RecordError, Session, Write};

use super::world::{World, page_json, session};

const PIECES: &str = "search: {tier: 1, fields: [title, kind]}";
const SIMPLE: &str = "search: {tier: 2, fields: [title, kind]}";
const ENGLISH: &str = "search: {tier: 2, fields: [title, kind], language: english}";

fn paper(search: &str) -> String {
    format!(
        r"
org: acme
app: tests
domain: searches
object: paper
version: v1
fields:
  - {{name: name, type: string, required: true, filterable: true, sortable: true}}
  - {{name: title, type: string}}
  - {{name: note, type: string, searchable: true}}
  - {{name: kind, type: enum, enum: [draft_paper, final]}}
  - {{name: region, type: string, filterable: true}}
{search}
access:
  roles: {{create: [writer], read: [writer, regional], update: [writer], delete: [writer], restore: [writer]}}
  rowFilter:
    - {{role: regional, condition: record.region == actor.attributes.region}}
"
    )
}

async fn world(search: &str) -> World {
    let world = World::new(&paper(search)).await;
    fill(
        &world,
        vec![
            json!({"name": "a", "title": "Running shoes", "note": "50% off, C:\\temp", "region": "west"}),
            json!({"name": "b", "title": "The run of ÜBER-runners", "note": "it's a_b", "region": "east"}),
            json!({"name": "c", "title": "Запуск ракеты", "note": "漢字 と かな", "region": "west"}),
            json!({"name": "d", "kind": "draft_paper", "note": "shoe store", "region": "west"}),
            json!({"name": "e", "title": "50x off a1b", "kind": "final"}),
            json!({"name": "f"}),
        ],
    )
    .await;
    world
}

async fn fill(world: &World, bodies: Vec<Json>) {
    let items = bodies.iter().enumerate().map(|(index, body)| BulkItem {
        index: u32::try_from(index).unwrap(),
        op: BulkOp::Create(world.new_record(body)),
    });
    let bulk = Bulk { atomic: true, conflict: ConflictRule::Fail, items: items.collect() };
    world.write(Write::Bulk(bulk)).await.unwrap();
}

async fn found_by(world: &World, session: &Session, pairs: &[(&str, &str)]) -> String {
    let page = world.records.list(session, &world.table, &world.plan(pairs)).await.unwrap();
    page_json(&page).iter().map(|record| record["name"].as_str().unwrap()).collect()
}

async fn found(world: &World, text: &str) -> String {
    found_by(world, &world.session, &[("q", text), ("sort", "name")]).await
}

fn regional(region: &str) -> Session {
    Session { attributes: json!({ "region": region }).to_string(), ..session("ravi", &["regional"]) }
}

#[tokio::test]
async fn tier_1_finds_pieces_of_text_as_they_are_written_whatever_the_case() {
    let world = world(PIECES).await;
    for (text, expected) in [
        ("RUN", "ab"),
        ("shoe", "ad"),
        ("  shoe \t running ", "a"),
        ("über", "b"),
        ("ракет", "c"),
        ("ЗАПУСК", "c"),
        ("漢字", "c"),
        ("とか", ""),
        ("draft", "d"),
        ("shoe draft", "d"),
        ("50%", "a"),
        ("%", "a"),
        ("_", "bd"),
        ("a_b", "b"),
        ("\\", "a"),
        ("c:\\t", "a"),
        ("it's", "b"),
        ("' or true --", ""),
        ("\"running", ""),
        ("nothing", ""),
    ] {
        assert_eq!(found(&world, text).await, expected, "{text}");
    }
}

#[tokio::test]
async fn tier_2_finds_words_in_the_forms_of_the_language() {
    let world = world(ENGLISH).await;
    for (text, expected) in [
        ("run", "ab"),
        ("RUNNING shoe", "a"),
        ("shoes", "ad"),
        ("\"shoe store\"", "d"),
        ("\"store shoe\"", ""),
        ("store or rocket", "d"),
        ("shoes -store", "a"),
        ("über", "b"),
        ("запуск", "c"),
        ("漢字", "c"),
        ("draft paper", "d"),
        ("the", ""),
        ("run the", "ab"),
        ("ru", ""),
        ("it's", ""),
        ("' or true --", ""),
        ("\"unclosed & ! | ( :*", ""),
        ("-shoes", "bcef"),
        ("%", ""),
    ] {
        assert_eq!(found(&world, text).await, expected, "{text}");
    }
    let simple = self::world(SIMPLE).await;
    for (text, expected) in [("run", "b"), ("running", "a"), ("the", "b"), ("SHOES", "a"), ("запуск", "c")]
    {
        assert_eq!(found(&simple, text).await, expected, "{text}");
    }
}

#[tokio::test]
async fn a_search_goes_with_conditions_orders_pages_counts_and_what_the_caller_may_see() {
    for search in [PIECES, ENGLISH] {
        let world = World::new(&paper(search)).await;
        let body = |n: i32| {
            json!({"name": format!("{n:03}"), "note": if n % 3 == 0 { "red shoe" } else { "blue hat" },
            "region": if n % 2 == 0 { "west" } else { "east" }})
        };
        fill(&world, (0..60).map(body).collect()).await;
        // 30 is deleted, 33 no longer fits, 34 fits now.
        for (name, change) in [("030", None), ("033", Some("blue hat")), ("034", Some("red shoe"))] {
            let ids = world.column("id", &[("filter[name]", name)]).await;
            let id = world.id(ids[0].as_str().unwrap());
            match change {
                None => {
                    world.delete(&id, None).await.unwrap();
                }
                Some(note) => {
                    world.patch(&id, json!({ "note": note })).await.unwrap();
                }
            }
        }
        let expected: Vec<String> = (0..60)
            .filter(|n| (n % 3 == 0 && ![30, 33].contains(n)) || *n == 34)
            .map(|n| format!("{n:03}"))
            .collect();
        let (mut names, mut cursor) = (Vec::new(), None);
        loop {
            let request = ListRequest {
                cursor: cursor.take(),
                ..ListRequest::parse([
                    ("q", "shoe red"),
                    ("sort", "-name"),
                    ("limit", "7"),
                    ("count", "exact"),
                ])
                .unwrap()
            };
            let plan = ListPlan::plan(&world.schema, &request, world.records.cursor_key(), &Reading::whole())
                .unwrap();
            let page = world.records.list(&world.session, &world.table, &plan).await.unwrap();
            assert_eq!(page.total().map(|total| total.total), Some(expected.len() as u64));
            names.extend(page_json(&page).iter().map(|record| record["name"].as_str().unwrap().to_owned()));
            cursor = page.next_cursor().map(str::to_owned);
            if cursor.is_none() {
                break;
            }
        }
        names.reverse();
        assert_eq!(names, expected, "{search}");
        let pairs = &[("q", "shoe"), ("filter[name][lt]", "013"), ("sort", "name")];
        assert_eq!(found_by(&world, &regional("west"), pairs).await, "000006012", "{search}");
        let pairs = &[("q", "shoe"), ("filter[name][lt]", "013"), ("sort", "name")];
        assert_eq!(found_by(&world, &regional("east"), pairs).await, "003009", "{search}");
        let stranger = session("ravi", &["nobody"]);
        assert_eq!(found_by(&world, &stranger, &[("q", "shoe")]).await, "", "{search}");
    }
}

/// How a list is answered, as the domain's role with a row filter on.
async fn explained(world: &World, pairs: &[(&str, &str)]) -> String {
    let rendered = world.plan(pairs).render(world.table.sql());
    let mut sql = rendered.sql;
    for (index, bind) in rendered.binds.iter().enumerate().rev() {
        sql = sql.replace(&format!("${}", index + 1), &format!("'{}'", bind.value.to_text()));
    }
    let mut api = world.database.client("velocity_api").await;
    let transaction = api.transaction().await.unwrap();
    let settings = "set local role acme__tests__searches; set local velocity.actor = 'ravi'; set local velocity.roles = 'regional';
        set local velocity.attributes = '{\"region\": \"west\"}'";
    transaction.batch_execute(settings).await.unwrap();
    let rows =
        transaction.query(&format!("explain (analyze, costs off, timing off) {sql}"), &[]).await.unwrap();
    rows.iter().map(|row| row.get::<_, &str>(0)).collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn a_search_is_looked_up_in_its_index_with_a_row_filter_on() {
    for (search, text, expected) in [
        (PIECES, "needle", vec!["paper_v1-title_pieces", "paper_v1-kind_pieces", "paper_v1-note_pieces"]),
        (
            PIECES,
            "need NEEDLE",
            vec!["paper_v1-title_pieces", "paper_v1-kind_pieces", "paper_v1-note_pieces"],
        ),
        (ENGLISH, "needles", vec!["paper_v1-title-kind-note_words_english"]),
        (SIMPLE, "needle -hay", vec!["paper_v1-title-kind-note_words_simple"]),
    ] {
        let world = World::new(&paper(search)).await;
        let sql = "begin; set local velocity.actor = 'me';
            insert into acme__tests__searches.paper_v1 (id, name, title, note, region)
            select md5(i::text)::uuid, i, 'paper ' || md5(i::text), case when i % 2500 = 0 then 'a needle in it' else 'only grass' end, 'west'
            from generate_series(1, 10000) i; commit";
        let owner = world.database.owner().await;
        owner.batch_execute(sql).await.unwrap();
        owner.batch_execute("vacuum analyze acme__tests__searches.paper_v1").await.unwrap();
        let found = explained(&world, &[("q", text), ("sort", "name")]).await;
        assert!(!found.contains("Seq Scan"), "{search} {text}:\n{found}");
        for index in expected {
            assert!(
                found.contains(&format!("Bitmap Index Scan on \"{index}\"")),
                "{search} {text}:\n{found}"
            );
        }
        assert_eq!(
            found_by(&world, &regional("west"), &[("q", text), ("limit", "9")]).await.len(),
            "2500".len() * 3 + "10000".len()
        );
    }
}

#[tokio::test]
async fn more_text_than_an_index_of_words_takes_is_the_callers_error_and_not_a_fault() {
    let world = World::new(&paper(SIMPLE)).await;
    let long = (0..200_000).map(|n| format!("{n:07}")).collect::<Vec<_>>().join(" ");
    let error = world.create(json!({"name": "long", "note": long})).await.unwrap_err();
    assert!(matches!(error, RecordError::Internal { .. }), "{error:?}");
}

#[tokio::test]
async fn an_index_from_before_fields_were_taken_apart_one_by_one_is_made_anew() {
    let world = World::new(&paper(SIMPLE)).await;
    let owner = world.database.owner().await;
    let (_, function) =
        include_str!("../../../src/platform/003_search.sql").split_once("create function").unwrap();
    let (function, _) = function.split_once("revoke").unwrap();
    owner.batch_execute(&format!("create or replace function{function}")).await.unwrap();
    world.made(json!({"name": "a", "title": "one <!-- two", "note": "three --> four"})).await;
    owner.batch_execute("set enable_seqscan = off").await.unwrap();
    let found = async || {
        let sql = "select count(*) from acme__tests__searches.paper_v1
            where platform.search_words('pg_catalog.simple'::regconfig, title, kind, note) @@ 'three'";
        let plan = owner.query(&format!("explain {sql}"), &[]).await.unwrap();
        assert!(plan.iter().any(|row| row.get::<_, &str>(0).contains("words_simple")));
        owner.query_one(sql, &[]).await.unwrap().get::<_, i64>(0)
    };
    assert_eq!(found().await, 0);
    owner.batch_execute(include_str!("../../../src/platform/005_search_fields.sql")).await.unwrap();
    assert_eq!(found().await, 1);
}
