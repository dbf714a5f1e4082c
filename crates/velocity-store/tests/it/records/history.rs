//! The events of a record.

use serde_json::{Value as Json, json};
use velocity_sql::query::{HistoryPlan, HistoryRequest};
use velocity_store::codec::Numbers;

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
        let plan = HistoryPlan::plan(&world.schema, &id, &request, world.records.cursor_key()).unwrap();
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
    let plan = HistoryPlan::plan(&world.schema, &one, &request, world.records.cursor_key()).unwrap();
    let page = world.records.history(&world.session, &world.table, &plan).await.unwrap();
    let request = HistoryRequest { limit: 1, cursor: page.next_cursor().map(str::to_owned) };
    assert!(HistoryPlan::plan(&world.schema, &one, &request, world.records.cursor_key()).is_ok());
    assert!(HistoryPlan::plan(&world.schema, &other, &request, world.records.cursor_key()).is_err());
}
