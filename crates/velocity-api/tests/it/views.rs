//! What callers see who do not see everything, and what they are told of the rest: nothing.

use serde_json::{Value, json};
use velocity_api::Config;

use crate::app::{App, Client};

const STAFF: &str = r"
org: acme
app: shop
domain: DOMAIN
object: person
version: v1
fields:
  - { name: name, type: string, required: true, filterable: true, sortable: true }
  - { name: team, type: string, filterable: true }
  - { name: salary, type: number, precision: 12, scale: 2, min: 0, filterable: true, sortable: true, sensitivity: financial }
  - { name: phone, type: string, unique: true, filterable: true }
  - { name: secret, type: string, filterable: true, sortable: true, default: whale, description: about a whale }
  - { name: note, type: string }
search: { tier: 2, fields: [name, secret], language: english }
access:
  roles:
    create: [writer]
    read: [writer, reader]
    update: [writer]
    delete: [writer]
    history: [writer, reader]
    export: [writer, reader]
  fieldAccess:
    - { field: salary, read: [boss], write: [boss], masking: { strategy: range, rangeSize: 1000 } }
    - { field: phone, read: [boss], masking: { strategy: partial, visibleChars: 2 } }
    - { field: secret, read: [boss], write: [boss] }
  abac:
    - { operations: [read, export, history], condition: record.team == actor.attributes.team || actor.attributes.team == 'all', message: your own team only }
";

async fn app() -> (App, String, String) {
    let app = App::with(STAFF, Config::default()).await;
    let boss = boss(&app);
    let mut ids = Vec::new();
    for (name, team, salary) in
        [("ada", "red", "4321.50"), ("bob", "blue", "5000"), ("cleo", "red", "999.99")]
    {
        let body = json!({ "name": name, "team": team, "salary": salary, "phone": format!("+49-{name}"), "secret": format!("{name} whale") });
        ids.push(boss.post("", &body).await.is(201).data()["id"].as_str().unwrap().to_owned());
    }
    let (ada, bob) = (ids[0].clone(), ids[1].clone());
    (app, ada, bob)
}

fn boss(app: &App) -> Client<'_> {
    app.as_actor("ravi", &["writer", "reader", "boss"], &json!({ "team": "all" }))
}

fn reader(app: &App) -> Client<'_> {
    app.as_actor("mia", &["reader"], &json!({ "team": "red" }))
}

fn names(records: &Value) -> String {
    records
        .as_array()
        .unwrap()
        .iter()
        .map(|record| record["name"].as_str().unwrap().chars().next().unwrap())
        .collect()
}

#[tokio::test]
async fn every_read_shows_the_same_and_nothing_that_is_hidden() {
    let (app, ada, _) = app().await;
    let reader = reader(&app);
    let read = reader.get(&format!("/{ada}")).await.is(200).data();
    assert_eq!((&read["salary"], &read["phone"]), (&json!("4000..5000"), &json!("*****da")));
    assert!(read.get("secret").is_none());
    assert_eq!(read.as_object().unwrap().len(), 11);
    let list = reader.get("?sort=name").await.is(200).data();
    assert_eq!((names(&list), &list[0]), ("ac".to_owned(), &read));
    let lines = reader.get("/export?sort=name").await.is(200).body;
    assert_eq!(serde_json::from_str::<Value>(lines.lines().next().unwrap()).unwrap(), read);
    let csv = reader.get("/export?format=csv&sort=name").await.is(200).body;
    assert_eq!(
        csv.lines().next().unwrap(),
        "id,name,team,salary,phone,note,version,created_at,created_by,updated_at,updated_by"
    );
    assert!(csv.contains("ada,red,4000..5000,*****da,,1,") && csv.contains("cleo,red,0..1000,"), "{csv}");
    let strings = reader.clone().header("accept", "application/json; numbers=string");
    assert_eq!(strings.get(&format!("/{ada}")).await.is(200).data()["salary"], "4000..5000");
    let whole = boss(&app).get(&format!("/{ada}")).await.is(200).data();
    assert_eq!((&whole["salary"], &whole["secret"]), (&json!(4321.5), &json!("ada whale")));
}

#[tokio::test]
async fn a_field_that_is_hidden_or_masked_is_refused_wherever_it_is_named() {
    let (app, ..) = app().await;
    let reader = reader(&app);
    for route in ["", "/export"] {
        for (query, field) in [
            ("fields=name,secret", "secret"),
            ("fields=salary", "salary"),
            ("filter[secret]=ada+whale", "secret"),
            ("filter[salary][gt]=4000", "salary"),
            ("filter[phone][isNull]=true", "phone"),
            ("sort=-secret", "secret"),
            ("sort=name,salary", "salary"),
        ] {
            let problem = reader.get(&format!("{route}?{query}")).await.is_problem(403, "FIELD_FORBIDDEN");
            assert!(problem["detail"].as_str().unwrap().contains(field), "{query}: {problem}");
            boss(&app).get(&format!("{route}?{query}")).await.is(200);
        }
        let near = reader.get(&format!("{route}?sort=secre")).await.is_problem(400, "VALIDATION_ERROR");
        assert!(!near.to_string().contains("`secret`"), "{near}");
    }
}

#[tokio::test]
async fn conditions_leave_records_out_of_lists_and_refuse_single_ones_in_their_own_words() {
    let (app, ada, bob) = app().await;
    let reader = reader(&app);
    for count in ["exact", "estimated"] {
        let page = reader.get(&format!("?count={count}&limit=1")).await.is(200).json();
        assert_eq!(page["pagination"]["total"], 2, "{page}");
    }
    assert_eq!(reader.get("/export").await.is(200).body.lines().count(), 2);
    for tail in [format!("/{bob}"), format!("/{bob}/history")] {
        let problem = reader.get(&tail).await.is_problem(403, "ABAC_DENIED");
        assert!(problem["detail"].as_str().unwrap().contains("your own team only"), "{problem}");
        boss(&app).get(&tail).await.is(200);
    }
    reader.get(&format!("/{ada}/history")).await.is(200);
    for tail in ["", "/history"] {
        let unknown = format!("/0190c8a5-7b1e-7c3a-9f00-1a2b3c4d5e6f{tail}");
        reader.get(&unknown).await.is_problem(404, "ENTITY_NOT_FOUND");
    }
}

#[tokio::test]
async fn a_search_finds_nothing_by_what_is_hidden() {
    let (app, ..) = app().await;
    let reader = reader(&app);
    for (q, expected) in
        [("whale", ""), ("ada", "a"), ("ada+-whale", "a"), ("-whale", "ac"), ("cleo+or+whale", "c")]
    {
        assert_eq!(names(&reader.get(&format!("?q={q}&sort=name")).await.is(200).data()), expected, "{q}");
    }
    assert_eq!(names(&boss(&app).get("?q=whale&sort=name").await.is(200).data()), "abc");
}

#[tokio::test]
async fn a_cursor_of_another_view_belongs_to_another_query() {
    let (app, ..) = app().await;
    let cursor = |page: Value| page["pagination"]["nextCursor"].as_str().unwrap().to_owned();
    let of_boss = cursor(boss(&app).get("?sort=name&limit=1").await.is(200).json());
    let of_reader = cursor(reader(&app).get("?sort=name&limit=1").await.is(200).json());
    let next = |cursor: &str| format!("?sort=name&limit=1&cursor={cursor}");
    assert_eq!(names(&boss(&app).get(&next(&of_boss)).await.is(200).data()), "b");
    assert_eq!(names(&reader(&app).get(&next(&of_reader)).await.is(200).data()), "c");
    for (client, cursor) in [(reader(&app), of_boss), (boss(&app), of_reader)] {
        let problem = client.get(&next(&cursor)).await.is_problem(400, "MALFORMED_REQUEST");
        assert!(problem["detail"].as_str().unwrap().contains("another query"), "{problem}");
    }
}

#[tokio::test]
async fn a_history_names_no_hidden_field_and_proves_none() {
    let (app, ada, _) = app().await;
    let path = format!("/{ada}");
    boss(&app).patch(&path, &json!({ "secret": "squid", "salary": 6000 })).await.is(200);
    boss(&app).patch(&path, &json!({ "secret": "krill" })).await.is(200);
    let reply = reader(&app).get(&format!("{path}/history")).await.is(200);
    for hidden in ["secret", "whale", "squid", "krill", "4321", "6000.00", "+49"] {
        assert!(!reply.body.contains(hidden), "{hidden} in {}", reply.body);
    }
    let events = reply.data();
    assert_eq!((&events[0]["changed"], &events[1]["changed"]), (&json!([]), &json!(["salary"])));
    assert_eq!(events[1]["after"]["salary"], "6000..7000");
    assert!(events.as_array().unwrap().iter().all(|event| event["hash"].is_null()));
    assert_eq!(events[0]["after"], reader(&app).get(&path).await.is(200).data());
    let whole = boss(&app).get(&format!("{path}/history")).await.is(200).data();
    assert_eq!((&whole[0]["changed"], whole[0]["hash"].as_str().unwrap().len()), (&json!(["secret"]), 64));
}

#[tokio::test]
async fn descriptions_are_of_what_their_reader_sees() {
    let (app, ada, _) = app().await;
    let (reader, boss) = (reader(&app), boss(&app));
    for route in ["/schema.json", "/openapi.json", "//api/openapi.json"] {
        let reply = reader.get(route).await.is(200);
        assert!(!reply.body.contains("secret") && !reply.body.contains("whale"), "{route}: {}", reply.body);
        assert!(boss.get(route).await.is(200).body.contains("secret"), "{route}");
    }
    for route in ["/schema.json", "/openapi.json"] {
        let (of_reader, of_boss) = (reader.get(route).await, boss.get(route).await);
        assert_ne!(of_reader.header("etag"), of_boss.header("etag"), "{route}");
        let known = reader.clone().header("If-None-Match", of_boss.header("etag"));
        known.get(route).await.is(200);
        let known = reader.clone().header("If-None-Match", of_reader.header("etag"));
        known.get(route).await.is(304);
    }
    let schema = reader.get("/schema.json").await.is(200).json();
    assert_eq!(schema["properties"]["salary"]["type"], json!(["string", "null"]));
    let validator = jsonschema::validator_for(&schema).unwrap();
    let record = reader.get(&format!("/{ada}")).await.is(200).data();
    assert!(validator.is_valid(&record), "{:?}", validator.iter_errors(&record).collect::<Vec<_>>());
    let writer = app.as_writer().get("/openapi.json").await.is(200).json();
    let component = |suffix: &str| {
        let schemas = writer["components"]["schemas"].as_object().unwrap();
        let (_, schema) = schemas.iter().find(|(name, _)| name.ends_with(suffix)).unwrap();
        schema["properties"].as_object().unwrap().keys().cloned().collect::<Vec<_>>()
    };
    assert_eq!(component(".New"), ["id", "name", "note", "phone", "team"]);
    assert_eq!(component(".Patch"), ["name", "note", "phone", "team", "version"]);
}

#[tokio::test]
async fn answers_to_writes_show_what_a_read_would() {
    let (app, ..) = app().await;
    let writer = app.as_actor("max", &["writer"], &json!({ "team": "red" }));
    let made =
        writer.post("", &json!({ "name": "dan", "team": "red", "phone": "+49-dan" })).await.is(201).data();
    let path = format!("/{}", made["id"].as_str().unwrap());
    assert!(made.get("secret").is_none(), "{made}");
    assert_eq!((&made["phone"], &made["salary"]), (&json!("*****an"), &Value::Null));
    assert_eq!(writer.get(&path).await.is(200).data(), made);
    boss(&app).patch(&path, &json!({ "salary": 1500, "secret": "krill" })).await.is(200);
    let patched = writer.patch(&path, &json!({ "note": "x" })).await.is(200);
    assert_eq!(patched.data()["salary"], "1000..2000");
    assert!(!patched.body.contains("krill") && !patched.body.contains("secret"));
}
