//! An HTTP API in this process that keeps its promises to clients: records, bulk writes with idempotency, and the faults
//! that real ones have.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::{Router, body};
use http::{Method, StatusCode};
use serde_json::{Value, json};
use velocity_contract::bulk::{
    BulkOperation, BulkOutcome, BulkRequest, BulkResponse, BulkResult, BulkStats, OnConflict,
};
use velocity_contract::{Code, FieldError, Problem};

/// The path of the one schema that it serves.
pub(crate) const SCHEMA: &str = "acme/shop/sales/order/v1";

/// What goes wrong with a bulk request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// 503 with `Retry-After: 0`, nothing done.
    Busy,
    /// 404, as from a server that has just started and not heard of the schema yet.
    Ignorant,
    /// Done, but the answer is lost.
    AnswerLost,
    /// Takes so long that a test can do something meanwhile.
    Slow,
}

/// What the server knows.
#[derive(Default)]
pub(crate) struct World {
    /// The records by id, as the texts that came.
    pub(crate) records: BTreeMap<String, Value>,
    /// How often each id was created.
    pub(crate) created: HashMap<String, u32>,
    answers: HashMap<String, (String, Vec<u8>)>,
    pub(crate) faults: VecDeque<Fault>,
    /// Every bulk request slow from now on.
    pub(crate) always_slow: bool,
    /// Bulk requests that were carried out or answered from memory.
    pub(crate) bulks: usize,
    pub(crate) replays: usize,
    /// `METHOD path?query`, headers we care about, body.
    pub(crate) requests: Vec<Seen>,
    /// References that exist; every `customer` must be among them when there are any.
    pub(crate) customers: Vec<String>,
    /// The tag of the schema that is served.
    pub(crate) spec_hash: String,
    /// Prepared answers for other paths.
    pub(crate) canned: HashMap<String, (u16, Value)>,
    /// Answers that are given once each, in order.
    said: HashMap<String, VecDeque<(u16, Value)>>,
}

#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) line: String,
    pub(crate) headers: http::HeaderMap,
    pub(crate) body: String,
}

pub(crate) struct FakeApi {
    url: String,
    world: Arc<Mutex<World>>,
    runtime: tokio::runtime::Runtime,
}

impl FakeApi {
    pub(crate) fn start() -> Self {
        let world = Arc::new(Mutex::new(World { spec_hash: "sha256:ab".into(), ..World::default() }));
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let router = Router::new().fallback(answer).with_state(Arc::clone(&world));
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        runtime.spawn(async move { axum::serve(listener, router).await });
        Self { url, world, runtime }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }

    /// A prepared answer for `METHOD path`.
    pub(crate) fn can(&self, line: &str, status: u16, body: Value) {
        self.world().canned.insert(line.to_owned(), (status, body));
    }

    /// Answers for `METHOD path`, one after the other.
    pub(crate) fn say(&self, line: &str, answers: impl IntoIterator<Item = (u16, Value)>) {
        self.world().said.insert(line.to_owned(), answers.into_iter().collect());
    }

    /// Every request whose line begins so.
    pub(crate) fn all_seen(&self, start: &str) -> Vec<Seen> {
        self.world().requests.iter().filter(|seen| seen.line.starts_with(start)).cloned().collect()
    }

    /// The last request whose line begins so.
    pub(crate) fn seen(&self, start: &str) -> Seen {
        let world = self.world();
        let seen = world.requests.iter().rev().find(|seen| seen.line.starts_with(start));
        seen.unwrap_or_else(|| panic!("no {start} among {:?}", world.requests)).clone()
    }

    /// Ends the server, as a crash does: connections just break.
    pub(crate) fn crash(self) {
        self.runtime.shutdown_background();
    }
}

async fn answer(State(world): State<Arc<Mutex<World>>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = body::to_bytes(body, 64 << 20).await.unwrap_or_default();
    let path = parts.uri.path().to_owned();
    let line = format!("{} {}", parts.method, parts.uri);
    let seen = Seen {
        line: line.clone(),
        headers: parts.headers.clone(),
        body: String::from_utf8_lossy(&body).into_owned(),
    };
    let endpoint = format!("/api/{SCHEMA}");
    if parts.headers.get("authorization").is_none_or(|value| value != "Bearer t0ken")
        && path.starts_with("/api")
    {
        return problem(&Problem::new(Code::AuthRequired, "this route needs a credential"));
    }
    if path == format!("{endpoint}/bulk") {
        return bulk(&world, &parts.headers, &body).await;
    }
    let mut world = world.lock().unwrap();
    world.requests.push(seen);
    if let Some((status, body)) = world.said.get_mut(&line).and_then(VecDeque::pop_front) {
        let status = StatusCode::from_u16(status).unwrap();
        return (status, [("content-type", "application/json")], body.to_string()).into_response();
    }
    let canned = world.canned.get(&line).or_else(|| world.canned.get(&format!("{} {path}", parts.method)));
    if let Some((status, body)) = canned {
        let status = StatusCode::from_u16(*status).unwrap();
        return (status, [("content-type", "application/json")], body.to_string()).into_response();
    }
    match (&parts.method, path.as_str()) {
        (&Method::GET, "/api") => json_of(&json!({ "data": [listing(&world.spec_hash)] })),
        (&Method::GET, path) if path == format!("{endpoint}/schema.json") => {
            let tag = format!("\"{}\"", world.spec_hash);
            ([("etag", tag)], schema().to_string()).into_response()
        }
        (_, path) if path.starts_with(&endpoint) => {
            problem(&Problem::new(Code::EntityNotFound, "there is no record `X`"))
        }
        _ => problem(&Problem::new(Code::SchemaNotFound, format!("no schema is served at {path}"))),
    }
}

fn listing(hash: &str) -> Value {
    json!({ "org": "acme", "app": "shop", "domain": "sales", "object": "order", "version": "v1",
        "endpoint": format!("/api/{SCHEMA}"), "specHash": hash, "operations": ["create", "read"] })
}

fn schema() -> Value {
    json!({ "type": "object", "properties": {
        "id": { "type": "string", "x-velocity-type": "string" },
        "amount": { "type": ["number", "null"], "x-velocity-type": "number" },
        "note": { "type": ["string", "null"], "x-velocity-type": "string" },
        "paid": { "type": ["boolean", "null"], "x-velocity-type": "boolean" },
        "customer": { "type": ["string", "null"], "x-velocity-type": "string" },
        "tags": { "type": ["array", "null"], "x-velocity-type": "array" },
        "version": { "type": "integer", "x-velocity-type": "integer", "readOnly": true },
    } })
}

fn json_of(value: &Value) -> Response {
    ([("content-type", "application/json")], value.to_string()).into_response()
}

pub(crate) fn problem_value(problem: &Problem) -> Value {
    serde_json::to_value(problem).unwrap()
}

pub(crate) fn problem(problem: &Problem) -> Response {
    let status = StatusCode::from_u16(problem.status).unwrap();
    let body = serde_json::to_string(problem).unwrap();
    (status, [("content-type", "application/problem+json")], body).into_response()
}

async fn bulk(world: &Arc<Mutex<World>>, headers: &http::HeaderMap, body: &[u8]) -> Response {
    let fault = {
        let mut world = world.lock().unwrap();
        let slow = world.always_slow.then_some(Fault::Slow);
        world.faults.pop_front().or(slow)
    };
    match fault {
        Some(Fault::Busy) => {
            let problem = self::problem(&Problem::new(Code::PostgresUnavailable, "no connection is free"));
            return ([("retry-after", "0")], problem).into_response();
        }
        Some(Fault::Ignorant) => {
            return problem(&Problem::new(Code::SchemaNotFound, "no schema is served here"));
        }
        Some(Fault::Slow) => tokio::time::sleep(Duration::from_millis(150)).await,
        _ => {}
    }
    let (answer, replayed) = carry_out(&mut world.lock().unwrap(), headers, body);
    if fault == Some(Fault::AnswerLost) {
        // The status is on its way when the connection breaks.
        let broken = futures::stream::once(async { Err::<bytes::Bytes, _>(std::io::Error::other("gone")) });
        return Body::from_stream(broken).into_response();
    }
    let mut response = ([("content-type", "application/json")], answer).into_response();
    if replayed {
        response.headers_mut().insert("idempotent-replay", http::HeaderValue::from_static("true"));
    }
    response
}

fn carry_out(world: &mut World, headers: &http::HeaderMap, body: &[u8]) -> (Vec<u8>, bool) {
    world.bulks += 1;
    let key = headers["idempotency-key"].to_str().unwrap().to_owned();
    let text = String::from_utf8(body.to_vec()).unwrap();
    if let Some((first, answer)) = world.answers.get(&key) {
        assert_eq!(*first, text, "one key, two bodies");
        let answer = answer.clone();
        world.replays += 1;
        return (answer, true);
    }
    let request: BulkRequest<'_> = serde_json::from_str(&text).unwrap();
    let mut answer = BulkResponse { data: Vec::new(), stats: BulkStats::default() };
    for (index, operation) in (0u32..).zip(&request.operations) {
        let BulkOperation::Create(record) = operation else { panic!("imports create") };
        match create(world, record.get(), request.on_conflict) {
            Ok(BulkOutcome::Updated) => answer.stats.updated += 1,
            Ok(BulkOutcome::Skipped) => answer.stats.skipped += 1,
            Ok(_) => answer.stats.created += 1,
            Err(problem) => {
                answer.stats.failed += 1;
                let error = Some((*problem).into());
                answer.data.push(BulkResult {
                    index,
                    outcome: BulkOutcome::Failed,
                    id: None,
                    version: None,
                    error,
                });
            }
        }
    }
    let answer = serde_json::to_vec(&answer).unwrap();
    world.answers.insert(key, (text, answer.clone()));
    (answer, false)
}

fn create(world: &mut World, text: &str, on_conflict: OnConflict) -> Result<BulkOutcome, Box<Problem>> {
    let record: Value = serde_json::from_str(text).unwrap();
    if record["amount"].is_string() {
        let error =
            FieldError { field: "amount".into(), rule: "type".into(), message: "must be a number".into() };
        let problem =
            Problem::new(Code::ValidationError, "1 value breaks the rules").with_errors(vec![error]);
        return Err(Box::new(problem));
    }
    let customer = record["customer"].as_str().unwrap_or_default().to_owned();
    if !customer.is_empty() && !world.customers.contains(&customer) {
        let detail = format!("there is no customer `{customer}`");
        return Err(Box::new(Problem::new(Code::ReferenceViolation, detail)));
    }
    let id = record["id"].as_str().unwrap().to_owned();
    match (world.records.get_mut(&id), on_conflict) {
        (Some(_), OnConflict::Fail) => {
            Err(Box::new(Problem::new(Code::UniqueViolation, format!("`{id}` is taken"))))
        }
        (Some(_), OnConflict::Skip) => Ok(BulkOutcome::Skipped),
        (Some(there), OnConflict::Update) => {
            *there = json!(text);
            Ok(BulkOutcome::Updated)
        }
        (None, _) => {
            *world.created.entry(id.clone()).or_default() += 1;
            world.records.insert(id, json!(text));
            Ok(BulkOutcome::Created)
        }
    }
}
