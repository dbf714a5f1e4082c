//! Changes one after the other under clients that never stop.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinHandle;
use velocity_api::{Config, RequestConfig};
use velocity_schema::Schema;

use super::world::{World, apply, parsed, spec};
use crate::app::{App, Reply};

/// Clients at once.
const CLIENTS: u64 = 8;
const SEEDS: usize = 40;

/// Each step's fields, with what it is.
fn steps() -> Vec<(&'static str, Value)> {
    let base = |note: Value, amount: u32, parent: Value, rest: &[Value]| {
        let mut fields = vec![
            json!({ "name": "code", "type": "string", "required": true, "unique": true, "filterable": true, "sortable": true }),
            json!({ "name": "amount", "type": "number", "precision": amount, "scale": 2, "filterable": true }),
            note,
            parent,
        ];
        fields.extend_from_slice(rest);
        Value::Array(fields)
    };
    let text = |name: &str| json!({ "name": name, "type": "string" });
    let was = |name: &str, old: &str| json!({ "name": name, "type": "string", "renamedFrom": old });
    let filterable = json!({ "name": "note", "type": "string", "filterable": true });
    let required = json!({ "name": "note", "type": "string", "filterable": true, "required": true });
    let loose = json!({ "name": "parent", "type": "uuid" });
    let bound = json!({ "name": "parent", "type": "uuid", "ref": { "object": "order", "version": "v1" } });
    let added = json!({ "name": "added", "type": "string", "default": "x" });
    let count = json!({ "name": "count", "type": "integer" });
    let wide = json!({ "name": "count", "type": "number", "precision": 20, "scale": 2 });
    let sides = [text("left"), text("right")];
    let all = |count: &Value, old: Option<Value>, sides: &[Value]| {
        let mut rest = vec![added.clone(), count.clone()];
        rest.extend(old);
        rest.extend_from_slice(sides);
        rest
    };
    let last = |old: Option<Value>, sides: &[Value]| {
        base(required.clone(), 18, bound.clone(), &all(&wide, old, sides))
    };
    let narrow = |note: &Value, parent: &Value| {
        base(note.clone(), 10, parent.clone(), &all(&count, Some(text("old")), &sides))
    };
    let mut without = all(&count, Some(text("old")), &sides);
    without.remove(0);
    vec![
        ("the first spec", base(text("note"), 10, loose.clone(), &without)),
        ("a field added", narrow(&text("note"), &loose)),
        ("an index built", narrow(&filterable, &loose)),
        ("a NOT NULL set", narrow(&required, &loose)),
        ("a foreign key added", narrow(&required, &bound)),
        (
            "a precision widened",
            base(required.clone(), 18, bound.clone(), &all(&count, Some(text("old")), &sides)),
        ),
        ("a type changed", last(Some(text("old")), &sides)),
        ("a field renamed", last(Some(was("fresh", "old")), &sides)),
        ("two swapped, first", last(Some(text("fresh")), &[was("aside", "left"), text("right")])),
        ("two swapped, second", last(Some(text("fresh")), &[text("aside"), was("left", "right")])),
        ("two swapped, third", last(Some(text("fresh")), &[text("left"), was("right", "aside")])),
        ("a field dropped", last(None, &[text("left"), text("right")])),
    ]
}

/// What an answer may look like.
#[derive(Default)]
struct Shapes {
    /// The fields of each spec in turn; the last one may be on its way.
    fields: Mutex<Vec<BTreeSet<String>>>,
    /// Those before this one are over: no request that begins now sees them.
    over: AtomicUsize,
}

impl Shapes {
    fn add(&self, schema: &Schema) -> usize {
        let fields = schema.fields().iter().map(|field| field.name.to_string()).collect();
        let mut all = self.fields.lock().unwrap_or_else(PoisonError::into_inner);
        all.push(fields);
        all.len() - 1
    }

    /// A record has the fields of exactly one of the specs since `first`, and the values that belong to it.
    fn check(&self, record: &Value, first: usize, what: &str) {
        let keys: BTreeSet<String> = record.as_object().unwrap().keys().cloned().collect();
        let fits = self.fields.lock().unwrap_or_else(PoisonError::into_inner)[first..].contains(&keys);
        assert!(fits, "{what}: {record}");
        let value = |name: &str| record.get(name).and_then(Value::as_str);
        if record["code"].as_str().unwrap().starts_with("SEED") {
            // Wherever the two values are by now: both are there, and apart.
            let sides: BTreeSet<_> = ["left", "right", "aside"].into_iter().filter_map(value).collect();
            assert_eq!(sides, BTreeSet::from(["L", "R"]), "{what}: {record}");
            assert_eq!(record["count"].as_f64(), Some(5.0), "{what}: {record}");
            let kept = ["old", "fresh"].into_iter().filter(|name| keys.contains(*name));
            kept.for_each(|name| assert_eq!(record[name], "O", "{what}: {record}"));
        }
    }
}

struct Load {
    world: World,
    shapes: Shapes,
    seeds: Vec<String>,
    stop: AtomicBool,
    requests: AtomicU64,
    created: AtomicU64,
}

impl Load {
    fn app(&self) -> &App {
        &self.world.app
    }

    fn good(&self, reply: Reply, status: u16, what: &str) -> Reply {
        self.requests.fetch_add(1, Ordering::Relaxed);
        assert_eq!(reply.status, status, "{what}: {reply:?}");
        reply
    }

    /// Waits until each client has done a few requests, or one has failed.
    async fn some_more(&self, failed: impl Fn() -> bool) {
        let so_far = self.requests.load(Ordering::Relaxed);
        while self.requests.load(Ordering::Relaxed) < so_far + 10 * CLIENTS && !failed() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn client(&self, number: u64) {
        let mut round = 0;
        while !self.stop.load(Ordering::Relaxed) {
            round += 1;
            self.round(number, round).await;
        }
    }

    async fn round(&self, number: u64, round: u64) {
        let client = self.app().as_roles(&["all"]);
        let seed = &self.seeds[usize::try_from(number * 7 + round).unwrap() % self.seeds.len()];
        let body = |tail: &str| json!({ "code": format!("C{number}-{round}-{tail}"), "amount": "1.50", "note": "n" });
        let (at, first) = (format!("/{seed}"), self.shapes.over.load(Ordering::SeqCst));
        let check = |record: &Value, what: &str| self.shapes.check(record, first, what);
        check(&self.good(client.get(&at).await, 200, "read").data(), "read");
        let page = self.good(client.get("?filter[amount]=7&limit=10").await, 200, "list").data();
        page.as_array().unwrap().iter().for_each(|record| check(record, "list"));
        let made = self.good(client.post("", &body("a")).await, 201, "create").data();
        check(&made, "create");
        let own = format!("/{}", made["id"].as_str().unwrap());
        let version = json!({ "amount": "2.00", "version": 1 });
        check(&self.good(client.patch(&own, &version).await, 200, "patch").data(), "patch");
        check(&self.good(client.put(&own, &body("a")).await, 200, "replace").data(), "replace");
        self.good(client.delete(&own).await, 204, "delete");
        check(
            &self.good(client.post(&format!("{own}/undelete"), &json!({})).await, 200, "undelete").data(),
            "undelete",
        );
        let key = client.clone().header("Idempotency-Key", &format!("{number}-{round}"));
        let bulk = json!({ "operations": [{ "create": body("b") }, { "create": body("c") },
            { "update": { "id": made["id"], "data": { "amount": 3 } } }] });
        let done = self.good(key.post("/bulk", &bulk).await, 200, "bulk").json();
        assert_eq!((&done["stats"]["created"], &done["stats"]["updated"]), (&json!(2), &json!(1)), "{done}");
        self.created.fetch_add(3, Ordering::Relaxed);
        let events = self.good(client.get(&format!("{at}/history")).await, 200, "history").data();
        events.as_array().unwrap().iter().for_each(|event| check(&event["after"], "history"));
        if round.is_multiple_of(4) {
            let lines = self.good(client.get("/export?filter[amount]=7").await, 200, "export");
            for line in lines.body.lines() {
                check(&serde_json::from_str(line).unwrap(), "export");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_request_fails_and_none_sees_two_specs_at_once() {
    let steps = steps();
    let requests = RequestConfig { max_exports: 8, ..RequestConfig::default() };
    let world = World::new(spec(&steps[0].1), Config { requests, ..Config::default() }).await;
    let shapes = Shapes::default();
    shapes.add(&world.app.schema);
    let mut seeds = Vec::new();
    for n in 0..SEEDS {
        let body = json!({ "code": format!("SEED{n}"), "amount": 7, "note": "n", "count": 5, "old": "O",
            "left": "L", "right": "R" });
        let made = world.app.as_roles(&["all"]).post("", &body).await.is(201).data();
        seeds.push(made["id"].as_str().unwrap().to_owned());
    }
    let load = Arc::new(Load {
        world,
        shapes,
        seeds,
        stop: AtomicBool::new(false),
        requests: AtomicU64::new(0),
        created: AtomicU64::new(0),
    });
    let clients: Vec<_> = (0..CLIENTS)
        .map(|number| {
            let load = Arc::clone(&load);
            tokio::spawn(async move { load.client(number).await })
        })
        .collect();
    let failed = || clients.iter().any(JoinHandle::is_finished);
    for (what, fields) in &steps[1..] {
        load.some_more(failed).await;
        let mut wanted = load.world.spec.clone();
        wanted["fields"] = fields.clone();
        // Before it is there: an answer may be made of it as soon as it is.
        let number = load.shapes.add(&parsed(&wanted));
        let before = load.requests.load(Ordering::Relaxed);
        apply(&load.app().database, &wanted).await;
        load.shapes.over.store(number, Ordering::SeqCst);
        eprintln!("{what}: {} requests meanwhile", load.requests.load(Ordering::Relaxed) - before);
        load.world.tell_the_first_status(&wanted);
        load.some_more(failed).await;
    }
    load.stop.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.unwrap();
    }
    let (world, total) = (&load.world, load.requests.load(Ordering::Relaxed));
    let created = load.created.load(Ordering::Relaxed);
    let owner = world.app.database.owner().await;
    let names = velocity_sql::TableNames::of(world.app.schema.path());
    let (table, history) = (names.table_sql().inline(), names.history_sql().inline());
    let rows: i64 = owner.query_one(&format!("select count(*) from {table}"), &[]).await.unwrap().get(0);
    assert_eq!(u64::try_from(rows).unwrap(), created + SEEDS as u64, "each write was done once");
    let torn = format!(
        "select count(*) from {table} t where t.version <> (select count(*) from {history} h where h.record_id = t.id::text)"
    );
    assert_eq!(owner.query_one(&torn, &[]).await.unwrap().get::<_, i64>(0), 0, "an event for each write");
    eprintln!("{total} requests, {} of them twice, {} loads", world.repeated(), world.loads());
    assert!(world.repeated() >= 1 && total > 500, "{total} requests, {} repeated", world.repeated());
}
