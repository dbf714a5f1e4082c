//! The events of a record.

use std::sync::Arc;

use serde_json::{Value as Json, json};
use velocity_schema::{Schema, Value};
use velocity_sql::ddl::{Approval, Decision};
use velocity_sql::query::{HistoryPlan, HistoryRequest, Reading};
use velocity_store::codec::Numbers;
use velocity_testkit::{evolve, schema};

use super::world::{THING, World, full, text};

#[tokio::test]
async fn each_event_shows_the_record_before_and_after_as_a_read_would() {
    let mut world = World::new(THING).await;
    let first = world.create(full()).await.unwrap();
    let id = first.id().unwrap();
    world.session.reason = Some("a better count".to_owned());
    let second = world.patch(&id, json!({"count": 7, "extra": {"n": 3}})).await.unwrap();
    let page = world.history(&id).await.unwrap();
    let mut out = Vec::new();
    page.append_json(Numbers::Json, &mut out).unwrap();
    let events: Vec<Json> = serde_json::from_slice(&out).unwrap();

    assert_eq!(events.len(), 2);
    let names: Vec<&String> = events[0].as_object().unwrap().keys().collect();
    let mut expected = [
        "seq",
        "at",
        "actor",
        "operation",
        "version",
        "changed",
        "before",
        "after",
        "reason",
        "requestId",
        "hash",
    ];
    expected.sort_unstable();
    assert_eq!(names, expected);
    assert_eq!(events[0]["after"], serde_json::from_str::<Json>(&text(&second)).unwrap());
    assert_eq!(events[0]["before"], serde_json::from_str::<Json>(&text(&first)).unwrap());
    assert_eq!(events[0]["changed"], json!(["count", "extra"]));
    assert_eq!(events[0]["reason"], json!("a better count"));
    assert_eq!(events[0]["requestId"], json!("r-1"));
    assert_eq!(events[0]["at"], events[0]["after"]["updated_at"]);
    assert_eq!(events[0]["hash"].as_str().unwrap().len(), 64);
    assert_eq!((&events[1]["before"], &events[1]["operation"]), (&Json::Null, &json!("CREATE")));
    assert!(String::from_utf8(out).unwrap().contains(r#""amount":1234567890123456.70"#));
}

#[tokio::test]
async fn pages_of_history_meet_without_a_gap() {
    let world = World::new(THING).await;
    let id = world.made(json!({"name": "a"})).await;
    for count in 0..6 {
        world.patch(&id, json!({"count": count})).await.unwrap();
    }
    let (mut cursor, mut versions) = (None, Vec::new());
    loop {
        let request = HistoryRequest { limit: 3, cursor };
        let plan =
            HistoryPlan::plan(&world.schema, &id, &request, world.records.cursor_key(), &Reading::whole())
                .unwrap();
        let page = world.records.history(&world.session, &world.table, &plan).await.unwrap();
        for at in 0..page.len() {
            let event = page.event(at).unwrap().unwrap();
            assert_eq!(event.before.is_none(), event.version == 1);
            versions.push(event.version);
        }
        cursor = page.next_cursor().map(str::to_owned);
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(versions, [7, 6, 5, 4, 3, 2, 1]);
}

#[tokio::test]
async fn a_cursor_of_one_records_history_does_not_open_anothers() {
    let world = World::new(THING).await;
    let (one, other) = (world.made(json!({"name": "a"})).await, world.made(json!({"name": "b"})).await);
    world.patch(&one, json!({"count": 1})).await.unwrap();
    let request = HistoryRequest { limit: 1, cursor: None };
    let plan =
        HistoryPlan::plan(&world.schema, &one, &request, world.records.cursor_key(), &Reading::whole())
            .unwrap();
    let page = world.records.history(&world.session, &world.table, &plan).await.unwrap();
    let request = HistoryRequest { limit: 1, cursor: page.next_cursor().map(str::to_owned) };
    assert!(
        HistoryPlan::plan(&world.schema, &one, &request, world.records.cursor_key(), &Reading::whole())
            .is_ok()
    );
    assert!(
        HistoryPlan::plan(&world.schema, &other, &request, world.records.cursor_key(), &Reading::whole())
            .is_err()
    );
}

const FIRST: &str = r"
org: acme
app: tests
domain: lineage
object: thing
version: v1
fields:
  - {name: title, type: string, required: true}
  - {name: low, type: string}
  - {name: high, type: string}
  - {name: gone, type: string}
  - {name: size, type: string}
access: {roles: {create: [writer], read: [writer], update: [writer], history: [writer]}}
";
/// A rename, a drop and another type at once; then two fields swap their names, with no event in between.
const SECOND: [&str; 3] = [
    r"
  - {name: heading, type: string, required: true, renamedFrom: title}
  - {name: aside, type: string, renamedFrom: low}
  - {name: high, type: string}
  - {name: size, type: integer}
",
    r"
  - {name: heading, type: string, required: true}
  - {name: aside, type: string}
  - {name: low, type: string, renamedFrom: high}
  - {name: size, type: integer}
",
    r"
  - {name: heading, type: string, required: true}
  - {name: low, type: string}
  - {name: high, type: string, renamedFrom: aside}
  - {name: size, type: integer}
",
];
/// Another field of the name of the one that was dropped, and a second rename.
const THIRD: &str = r"
  - {name: caption, type: string, required: true, renamedFrom: heading}
  - {name: low, type: string}
  - {name: high, type: string}
  - {name: gone, type: integer}
  - {name: size, type: integer}
";

fn with_fields(fields: &str) -> Schema {
    let (head, rest) = FIRST.split_once("fields:").unwrap();
    let (_, access) = rest.split_once("access:").unwrap();
    schema(&format!("{head}fields:{fields}access:{access}"))
}

/// The world after a change, approved if it breaks something.
async fn changed(world: World, fields: &str) -> World {
    let schema = Arc::new(with_fields(fields));
    let mut decision = evolve(&world.database, &schema, Approval::default()).await.unwrap();
    if let Decision::Blocked { hash, pending, approvable, .. } = decision {
        assert!(approvable, "{pending:#?}");
        let approval = Approval { named: Some(hash), ..Approval::default() };
        decision = evolve(&world.database, &schema, approval).await.unwrap();
    }
    assert!(matches!(decision, Decision::Apply(_)), "{decision:?}");
    let table = world.records.table(&schema);
    World { schema, table, ..world }
}

async fn events(world: &World, id: &Value) -> Vec<Json> {
    let mut out = Vec::new();
    world.history(id).await.unwrap().append_json(Numbers::Json, &mut out).unwrap();
    serde_json::from_slice(&out).unwrap()
}

#[tokio::test]
async fn old_events_are_read_through_todays_names() {
    let world = World::new(FIRST).await;
    let body = json!({"title": "t", "low": "l", "high": "h", "gone": "g", "size": "12"});
    let id = world.made(body).await;
    world.patch(&id, json!({"title": "u", "gone": "x", "low": "k"})).await.unwrap();
    let hashes = |events: &[Json]| events.iter().map(|event| event["hash"].clone()).collect::<Vec<_>>();
    let before = hashes(&events(&world, &id).await);

    let mut world = world;
    for fields in SECOND {
        world = changed(world, fields).await;
    }
    world.patch(&id, json!({"low": "new low"})).await.unwrap();
    let seen = events(&world, &id).await;
    assert_eq!(hashes(&seen)[1..], before, "events are never rewritten");
    let shown = |event: &Json, names: &[&str]| -> Vec<Json> {
        names.iter().map(|name| event["after"][name].clone()).collect()
    };
    let names = ["heading", "low", "high", "size"];
    assert_eq!(shown(&seen[2], &names), [json!("t"), json!("h"), json!("l"), json!(12)]);
    assert_eq!(shown(&seen[1], &names), [json!("u"), json!("h"), json!("k"), json!(12)]);
    assert_eq!(seen[1]["changed"], json!(["heading", "high"]), "without the field that is gone");
    assert_eq!(seen[1]["before"], seen[2]["after"]);
    assert_eq!(shown(&seen[0], &names), [json!("u"), json!("new low"), json!("k"), json!(12)]);
    assert_eq!(seen[0]["before"], seen[1]["after"], "no value moved with the change");
    assert!(seen[2]["after"].get("gone").is_none() && seen[2]["after"].get("title").is_none());

    let world = changed(world, THIRD).await;
    world.patch(&id, json!({"gone": 7})).await.unwrap();
    let seen = events(&world, &id).await;
    assert_eq!(
        seen.iter().map(|event| event["after"]["gone"].clone()).collect::<Vec<_>>(),
        [json!(7), Json::Null, Json::Null, Json::Null]
    );
    assert_eq!(
        seen.iter().map(|event| event["after"]["caption"].clone()).collect::<Vec<_>>(),
        ["u", "u", "u", "t"]
    );
}

#[tokio::test]
async fn what_todays_type_cannot_hold_is_shown_as_it_was_recorded() {
    let world = World::new(FIRST).await;
    let id = world.made(json!({"title": "t", "size": "large"})).await;
    world.patch(&id, json!({"size": null})).await.unwrap();
    let world = changed(world, SECOND[0]).await;
    let seen = events(&world, &id).await;
    assert_eq!((&seen[0]["after"]["size"], &seen[1]["after"]["size"]), (&Json::Null, &json!("large")));
    assert_eq!(seen[0]["before"]["size"], json!("large"));
}
