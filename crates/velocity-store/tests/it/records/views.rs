//! What callers see who do not see everything: in single records, lists, exports, searches and histories.

use std::sync::Arc;

use serde_json::{Value as Json, json};
use velocity_schema::cel::{ActorView, Condition, RequestView};
use velocity_schema::schema::{FieldMask, MaskKey, Operation, View};
use velocity_schema::{Schema, Value};
use velocity_sql::ddl::{Approval, Decision};
use velocity_sql::query::{HistoryPlan, HistoryRequest, ListPlan, ListRequest, PlanCode, Reading};
use velocity_store::codec::Numbers;
use velocity_store::records::{Record, RecordError, Session};
use velocity_testkit::{evolve, schema};

use super::world::{World, page_json, session};

const STAFF: &str = r"
org: acme
app: tests
domain: views
object: person
version: v1
fields:
  - {name: name, type: string, required: true, filterable: true, sortable: true}
  - {name: team, type: string, filterable: true}
  - {name: phone, type: string}
  - {name: salary, type: number, precision: 12, scale: 2, filterable: true, sortable: true}
  - {name: born, type: date}
  - {name: ssn, type: string, filterable: true, sortable: true}
  - {name: papers, type: json}
  - {name: marks, type: array, items: integer}
  - {name: key, type: bytes}
  - {name: mail, type: string}
  - {name: note, type: string}
  - {name: secret, type: string}
SEARCH
access:
  roles:
    create: [writer]
    read: [writer, reader, clerk]
    update: [writer]
    delete: [writer]
    history: [writer, reader, clerk]
    export: [writer, reader]
  fieldAccess:
    - {field: phone, read: [boss], masking: {strategy: partial, visibleChars: 2}}
    - {field: salary, read: [boss], masking: {strategy: range, rangeSize: 1000}}
    - {field: born, read: [boss], masking: {strategy: redact}}
    - {field: ssn, read: [boss], masking: {strategy: hash}}
    - {field: papers, read: [boss], masking: {strategy: hash}}
    - {field: marks, read: [boss], masking: {strategy: tokenise}}
    - {field: key, read: [boss], masking: {strategy: hash}}
    - {field: mail, read: [boss], masking: {strategy: tokenise}}
    - {field: secret, read: [boss]}
    - {field: created_by, read: [boss, reader], masking: {strategy: partial}}
    - {field: updated_by, read: [boss, reader], masking: {strategy: partial}}
  abac:
    - {operations: [read, export, history], condition: record.team == actor.attributes.team || 'boss' in actor.roles}
";

const MASKED: [&str; 8] = ["phone", "salary", "born", "ssn", "papers", "marks", "key", "mail"];

fn staff(search: &str) -> String {
    STAFF.replace("SEARCH", search)
}

async fn world() -> World {
    World::new(&staff("")).await
}

fn ada() -> Json {
    json!({"name": "ada", "team": "red", "phone": "+49 \"170\" 1234", "salary": "4321.50", "born": "1990-02-03",
        "ssn": "078-05-1120", "papers": {"b": [1.50, "x"], "a": null}, "marks": [1, 2], "key": "AAEC", "mail": "a@x.org",
        "note": "likes tea", "secret": "whale"})
}

/// A caller who sees what these roles see, of the team red.
struct Caller<'w> {
    world: &'w World,
    session: Session,
    view: View,
}

impl World {
    fn caller(&self, roles: &[&str]) -> Caller<'_> {
        let mut session = session("mia", roles);
        json!({"team": "red"}).to_string().clone_into(&mut session.attributes);
        Caller { world: self, session, view: self.schema.view(&|role| roles.contains(&role)) }
    }
}

impl Caller<'_> {
    fn conditions(&self, operation: Operation) -> Vec<&Condition> {
        let rules = self.world.schema.access().abac().iter();
        rules.filter(|rule| rule.operations.contains(&operation)).map(|rule| &rule.condition).collect()
    }

    fn reading<'r>(&'r self, conditions: &'r [&'r Condition]) -> Reading<'r> {
        Reading {
            view: &self.view,
            conditions,
            actor: ActorView {
                id: &self.session.actor,
                actor_type: &self.session.actor_type,
                roles: &self.session.roles,
                attributes: &self.session.attributes,
            },
            request: RequestView { time: 0, operation: "read", ip: None },
        }
    }

    fn plan(&self, pairs: &[(&str, &str)]) -> Result<ListPlan, PlanCode> {
        let conditions = self.conditions(Operation::Read);
        let request = ListRequest::parse(pairs.iter().copied()).unwrap();
        let key = self.world.records.cursor_key();
        ListPlan::plan(&self.world.schema, &request, key, &self.reading(&conditions)).map_err(|e| e.code)
    }

    async fn list(&self, pairs: &[(&str, &str)]) -> Vec<Json> {
        let plan = self.plan(pairs).unwrap();
        page_json(&self.world.records.list(&self.session, &self.world.table, &plan).await.unwrap())
    }

    async fn names(&self, pairs: &[(&str, &str)]) -> String {
        let mut pairs = pairs.to_vec();
        pairs.push(("sort", "name"));
        self.list(&pairs).await.iter().map(|record| record["name"].as_str().unwrap().to_owned()).collect()
    }

    async fn read(&self, id: &Value) -> Json {
        let record = self.world.records.read(&self.session, &self.world.table, id).await.unwrap();
        shown(&record, &self.view, Numbers::Json)
    }

    async fn export(&self) -> Vec<Json> {
        let conditions = self.conditions(Operation::Export);
        let key = self.world.records.cursor_key();
        let reading = self.reading(&conditions);
        let plan = ListPlan::plan(&self.world.schema, &ListRequest::default(), key, &reading).unwrap();
        let export = self.world.records.export(&self.session, &self.world.table, plan).await.unwrap();
        let mut out = Vec::new();
        export.run(async |chunk| chunk.append_json(Numbers::Json, b'\n', &mut out).is_ok()).await.unwrap();
        String::from_utf8(out).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    async fn history(&self, id: &Value) -> Result<Vec<Json>, RecordError> {
        let conditions = self.conditions(Operation::History);
        let key = self.world.records.cursor_key();
        let reading = self.reading(&conditions);
        let plan =
            HistoryPlan::plan(&self.world.schema, id, &HistoryRequest::default(), key, &reading).unwrap();
        let page = self.world.records.history(&self.session, &self.world.table, &plan).await?;
        let mut out = Vec::new();
        page.append_json(Numbers::Json, &mut out).unwrap();
        Ok(serde_json::from_slice(&out).unwrap())
    }
}

fn shown(record: &Record, view: &View, numbers: Numbers) -> Json {
    let mut out = Vec::new();
    record.append_json(view, numbers, &mut out).unwrap();
    serde_json::from_slice(&out).unwrap()
}

/// What a mask leaves of a record's field, computed from its value.
fn masked(schema: &Schema, record: &Record, field: &str) -> Json {
    let position = schema.position(field).unwrap();
    let mask = schema.access().field_rule(position).unwrap().mask.as_ref().unwrap();
    let mask = FieldMask::new(mask, &MaskKey::new([9; 32]), schema.path(), &schema.fields()[position]);
    mask.apply(&record.values().unwrap()[position]).into()
}

#[tokio::test]
async fn a_record_is_shown_without_what_is_hidden_and_with_what_masks_leave() {
    let world = world().await;
    let record = world.create(ada()).await.unwrap();
    let id = record.id().unwrap();
    let (boss, reader) = (world.caller(&["writer", "boss"]), world.caller(&["reader"]));
    let whole = boss.read(&id).await;
    let seen = reader.read(&id).await;
    assert_eq!(whole["secret"], "whale");
    assert_eq!(seen["phone"], "************34");
    assert_eq!((&seen["salary"], &seen["born"]), (&json!("4000..5000"), &json!("***")));
    assert!(seen["mail"].as_str().unwrap().starts_with("tok_"));
    for (name, value) in whole.as_object().unwrap() {
        if name == "secret" {
            assert!(seen.get(name).is_none());
        } else if MASKED.contains(&name.as_str()) {
            assert_eq!(seen[name], masked(&world.schema, &record, name), "{name}");
            assert!(seen[name].is_string() && seen[name] != *value, "{name}");
        } else {
            assert_eq!(&seen[name], value, "{name}");
        }
    }
    assert_eq!(seen.as_object().unwrap().len(), whole.as_object().unwrap().len() - 1);
    let strings = shown(&record, &reader.view, Numbers::Strings);
    assert_eq!((&strings["salary"], &strings["version"]), (&json!("4000..5000"), &json!("1")));

    let empty = world.made(json!({"name": "bob", "team": "red"})).await;
    let seen = reader.read(&empty).await;
    assert!(MASKED.iter().all(|name| seen[name].is_null()) && seen.get("secret").is_none(), "{seen}");
}

#[tokio::test]
async fn lists_and_exports_show_what_a_single_read_shows() {
    let world = world().await;
    let id = world.made(ada()).await;
    for roles in [&["reader"][..], &["clerk"], &["writer", "boss"], &["boss", "reader"]] {
        let caller = world.caller(roles);
        let read = caller.read(&id).await;
        assert_eq!(caller.list(&[]).await, std::slice::from_ref(&read), "{roles:?}");
        if roles != ["clerk"] {
            assert_eq!(caller.export().await, std::slice::from_ref(&read), "{roles:?}");
        }
        let chosen = caller.list(&[("fields", "note,name")]).await;
        assert_eq!(chosen, [json!({"note": read["note"], "name": read["name"]})]);
    }
    let clerk = world.caller(&["clerk"]).read(&id).await;
    assert_eq!((&clerk["created_by"], &clerk["updated_by"]), (&json!("**vi"), &json!("**vi")));
}

#[tokio::test]
async fn what_was_made_for_one_view_is_never_used_for_another() {
    let world = world().await;
    let record = world.create(ada()).await.unwrap();
    let view = world.caller(&["reader"]).view;
    let first = shown(&record, &view, Numbers::Json);
    // More views than are kept, each of which hides something else.
    let fields = world.schema.fields().len();
    for bits in 1..200_usize {
        let hides = |position: usize| position > 0 && bits >> ((position - 1) % 8) & 1 == 1;
        let narrowed = view.narrowed(&world.schema, |position| !hides(position));
        let seen = shown(&record, &narrowed, Numbers::Json);
        for position in 0..fields {
            let name = world.schema.fields()[position].name.as_str();
            assert_eq!(seen.get(name).is_some(), narrowed.is_visible(position), "{bits} {name}");
        }
    }
    assert_eq!(shown(&record, &view, Numbers::Json), first);
}

#[tokio::test]
async fn conditions_leave_records_out_of_lists_counts_and_exports() {
    let world = world().await;
    for (name, team) in [("a", Some("red")), ("b", Some("blue")), ("c", None), ("d", Some("red"))] {
        world.made(json!({"name": name, "team": team})).await;
    }
    let reader = world.caller(&["reader"]);
    assert_eq!(reader.names(&[]).await, "ad");
    assert_eq!(reader.names(&[("filter[name][gt]", "a")]).await, "d");
    assert_eq!(reader.export().await.len(), 2);
    for count in ["exact", "estimated"] {
        let plan = reader.plan(&[("count", count), ("limit", "1")]).unwrap();
        let page = world.records.list(&reader.session, &world.table, &plan).await.unwrap();
        assert_eq!(page.total().map(|total| (total.total, total.estimated)), Some((2, false)));
    }
    // The role that the condition asks for, and not only the view, makes the difference.
    assert_eq!(world.caller(&["reader", "boss"]).names(&[]).await, "abcd");
}

#[tokio::test]
async fn a_history_is_of_the_record_as_the_conditions_and_the_view_show_it() {
    let world = world().await;
    let id = world.made(ada()).await;
    world.patch(&id, json!({"secret": "squid", "note": "tea"})).await.unwrap();
    world.patch(&id, json!({"secret": "krill"})).await.unwrap();
    world.patch(&id, json!({"salary": "9999.99", "phone": null})).await.unwrap();
    let (reader, clerk) = (world.caller(&["reader"]), world.caller(&["clerk"]));
    let events = reader.history(&id).await.unwrap();
    assert_eq!(events.len(), 4);
    let changed: Vec<&Json> = events.iter().map(|event| &event["changed"]).collect();
    assert_eq!(changed[..3], [&json!(["phone", "salary"]), &json!([]), &json!(["note"])]);
    let text = Json::Array(events.clone()).to_string();
    for hidden in ["secret", "whale", "squid", "krill", "4321", "9999", "1990", "078-05", "a@x.org", "AAEC"] {
        assert!(!text.contains(hidden), "{hidden} in {text}");
    }
    assert!(events.iter().all(|event| event["hash"].is_null()), "{text}");
    assert!(events.iter().all(|event| event["actor"] == "ravi"), "{text}");
    assert_eq!(events[0]["after"], reader.read(&id).await);
    assert_eq!(events[0]["after"]["salary"], "9000..10000");
    assert!(events[0]["after"]["phone"].is_null() && events[0]["before"]["phone"].is_string());
    for pair in events.windows(2) {
        assert_eq!(pair[0]["before"], pair[1]["after"]);
    }

    let seen = clerk.history(&id).await.unwrap();
    assert!(seen.iter().all(|event| event["actor"] == "**vi"), "{seen:?}");
    assert_eq!(seen[0]["actor"], seen[0]["after"]["updated_by"]);

    let whole = world.caller(&["writer", "boss"]).history(&id).await.unwrap();
    assert!(whole.iter().all(|event| event["hash"].as_str().is_some_and(|hash| hash.len() == 64)));
    assert_eq!(whole[1]["changed"], json!(["secret"]));

    // The record as it is now decides, for all of its events.
    world.patch(&id, json!({"team": "blue"})).await.unwrap();
    assert!(matches!(reader.history(&id).await, Err(RecordError::NotFound)));
    world.patch(&id, json!({"team": "red"})).await.unwrap();
    world.delete(&id, None).await.unwrap();
    assert_eq!(reader.history(&id).await.unwrap()[0]["operation"], "DELETE");
}

#[tokio::test]
async fn who_did_it_is_hidden_where_who_changed_a_record_last_is() {
    let spec = staff("").replace("[boss, reader], masking: {strategy: partial}", "[boss]");
    let world = World::new(&spec).await;
    let id = world.made(ada()).await;
    let reader = world.caller(&["reader"]);
    let events = reader.history(&id).await.unwrap();
    assert!(events[0]["actor"].is_null() && !events[0].to_string().contains("ravi"), "{events:?}");
    assert!(reader.read(&id).await.get("created_by").is_none());
}

#[tokio::test]
async fn a_field_stays_hidden_in_events_from_before_it_was_renamed_or_dropped() {
    let old = staff("").replace(
        "{name: secret, type: string}",
        "{name: codename, type: string}\n  - {name: gone, type: string}",
    );
    let old = old.replace("field: secret", "field: codename");
    let new = staff("")
        .replace("{name: secret, type: string}", "{name: secret, type: string, renamedFrom: codename}");
    let world = World::new(&old).await;
    let mut body = ada();
    body.as_object_mut().unwrap().remove("secret");
    body["codename"] = json!("whale");
    body["gone"] = json!("walrus");
    let id = world.made(body).await;
    world.patch(&id, json!({"codename": "squid", "gone": "seal"})).await.unwrap();
    assert!(
        !Json::Array(world.caller(&["reader"]).history(&id).await.unwrap()).to_string().contains("squid")
    );

    let schema = Arc::new(schema(&new));
    let mut decision = evolve(&world.database, &schema, Approval::default()).await.unwrap();
    if let Decision::Blocked { hash, .. } = decision {
        let approval = Approval { named: Some(hash), ..Approval::default() };
        decision = evolve(&world.database, &schema, approval).await.unwrap();
    }
    assert!(matches!(decision, Decision::Apply(_)), "{decision:?}");
    let table = world.records.table(&schema);
    let world = World { schema, table, ..world };
    world.patch(&id, json!({"secret": "krill"})).await.unwrap();

    let events = world.caller(&["reader"]).history(&id).await.unwrap();
    assert_eq!(events.len(), 3);
    let text = Json::Array(events.clone()).to_string();
    for hidden in ["codename", "secret", "gone", "whale", "squid", "krill", "walrus", "seal"] {
        assert!(!text.contains(hidden), "{hidden} in {text}");
    }
    assert_eq!((&events[1]["changed"], &events[0]["changed"]), (&json!([]), &json!([])));
    // Who sees everything sees the same events with the values.
    let whole = world.caller(&["writer", "boss"]).history(&id).await.unwrap();
    assert_eq!((&whole[1]["changed"], &whole[1]["after"]["secret"]), (&json!(["secret"]), &json!("squid")));
}

#[tokio::test]
async fn a_search_tells_nothing_of_fields_that_are_not_clear() {
    for (search, is_of_words) in [
        ("search: {tier: 1, fields: [name, secret, note, ssn]}", false),
        ("search: {tier: 2, fields: [name, secret, note, ssn], language: english}", true),
    ] {
        let world = World::new(&staff(search)).await;
        let bodies = [
            ("a", Some("whale song"), "green tea"),
            ("b", None, "green tea"),
            ("c", Some("tea"), "black coffee"),
            ("d", Some("<b green"), "> tea"),
            ("e", Some("tea <!-- "), "green --> milk"),
        ];
        for (name, secret, note) in bodies {
            let ssn = format!("{name}-whale");
            world
                .made(json!({"name": name, "secret": secret, "note": note, "ssn": ssn, "team": "red"}))
                .await;
        }
        let (reader, boss) = (world.caller(&["reader"]), world.caller(&["reader", "boss"]));
        let found = async |caller: &Caller<'_>, q: &str| caller.names(&[("q", q)]).await;
        // What stands in hidden and masked fields only.
        assert_eq!(found(&reader, "whale").await, "", "{search}");
        assert_eq!(found(&boss, "whale").await, "abcde", "{search}");
        assert_eq!(found(&reader, "tea").await, "abd", "{search}");
        assert_eq!(found(&reader, "green").await, "abe", "{search}");
        if is_of_words {
            for (q, expected) in [
                ("green -whale", "abe"),
                ("tea -green", "d"),
                ("-whale", "abcde"),
                ("-tea", "ce"),
                ("whale or coffee", "c"),
                // A phrase goes on from one clear field to the next, whatever is in between.
                ("\"c black\"", "c"),
                ("\"b green tea\"", "b"),
                ("\"whale song\"", ""),
                ("green-tea", ""),
                ("the", ""),
                ("'T'", ""),
                ("-the", ""),
            ] {
                assert_eq!(found(&reader, q).await, expected, "{q}");
            }
            assert_eq!(found(&boss, "green -whale").await, "");
        }
        // The same records are found whatever is in the hidden fields.
        let queries = ["green", "tea -green", "\"b green\"", "milk", "-coffee", "green or coffee -milk"];
        let mut before = Vec::new();
        for q in queries {
            before.push(found(&reader, q).await);
        }
        for record in reader.list(&[]).await {
            let id = world.id(record["id"].as_str().unwrap());
            world.patch(&id, json!({"secret": "<x green milk coffee a c -->", "ssn": null})).await.unwrap();
        }
        for (q, before) in queries.iter().zip(before) {
            assert_eq!(found(&reader, q).await, before, "{search} {q}");
        }
    }
    let world = World::new(&staff("search: {tier: 1, fields: [secret, ssn]}")).await;
    assert_eq!(world.caller(&["reader"]).plan(&[("q", "x")]).unwrap_err(), PlanCode::FieldForbidden);
}
