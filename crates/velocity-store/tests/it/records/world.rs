//! A provisioned schema with fields of every type, and a caller who may do everything with it.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value as Json, json};
use uuid::Uuid;
use velocity_schema::input::{NewRecord, parse_create, parse_id, parse_patch, parse_replace};
use velocity_schema::schema::{MaskKey, View};
use velocity_schema::{Schema, Value};
use velocity_sql::query::{CursorKey, HistoryPlan, HistoryRequest, ListPlan, ListRequest, Reading};
use velocity_store::codec::Numbers;
use velocity_store::records::{
    Effect, HistoryPage, Origin, Page, Record, RecordError, Records, Session, Table, Write, Written,
};
use velocity_store::wire::{Config, Exclusive, ExclusiveLimits, Mux, MuxLimits};
use velocity_testkit::{PLATFORM, TestDatabase, provision, schema};

pub(super) const THING: &str = r"
org: acme
app: tests
domain: records
object: thing
version: v1
fields:
  - {name: name, type: string, required: true, maxLength: 40, filterable: true, sortable: true}
  - {name: note, type: string, filterable: true, sortable: true}
  - {name: count, type: integer, filterable: true, sortable: true}
  - {name: amount, type: number, precision: 18, scale: 2, filterable: true, sortable: true}
  - {name: active, type: boolean, filterable: true, sortable: true}
  - {name: seen, type: timestamp, filterable: true, sortable: true}
  - {name: born, type: date, filterable: true, sortable: true}
  - {name: alarm, type: time, filterable: true, sortable: true}
  - {name: extra, type: json, filterable: true}
  - {name: status, type: enum, enum: [draft, approved], required: true, default: draft, filterable: true, sortable: true}
  - {name: token, type: uuid, filterable: true, sortable: true}
  - {name: data, type: bytes}
  - {name: tags, type: array, items: string, filterable: true}
  - {name: scores, type: array, items: number, precision: 10, scale: 3}
  - {name: code, type: string, unique: true, filterable: true, sortable: true}
  - {name: fixed, type: string, immutable: true}
  - {name: serial, type: uuid, autoPopulated: true, immutable: true}
access:
  roles:
    create: [writer]
    read: [writer, reader]
    update: [writer]
    delete: [writer]
    restore: [writer]
    history: [writer]
";

pub(super) struct World {
    pub(super) database: TestDatabase,
    pub(super) records: Records,
    pub(super) schema: Arc<Schema>,
    pub(super) table: Arc<Table>,
    pub(super) session: Session,
}

pub(super) fn session(actor: &str, roles: &[&str]) -> Session {
    Session {
        actor: actor.to_owned(),
        actor_type: "user".to_owned(),
        roles: roles.iter().map(|role| (*role).to_owned()).collect(),
        attributes: "{}".to_owned(),
        strategy: "test".to_owned(),
        request_id: "r-1".to_owned(),
        trace_id: None,
        reason: None,
        origin: Origin::Write,
        statement_timeout: Duration::from_secs(20),
    }
}

impl World {
    pub(super) async fn new(spec: &str) -> Self {
        let database = TestDatabase::create_from(&PLATFORM).await;
        let schema = Arc::new(schema(spec));
        provision(&database, &schema).await;
        let config: Config = database.api_url().parse().unwrap();
        let records = Records::new(
            Mux::new(config.clone(), MuxLimits { connections: 2, ..MuxLimits::default() }),
            Exclusive::new(config, ExclusiveLimits { connections: 6, ..ExclusiveLimits::default() }),
            CursorKey::new([7; 32]),
            MaskKey::new([9; 32]),
        );
        let table = records.table(&schema);
        Self { database, records, schema, table, session: session("ravi", &["writer"]) }
    }

    /// Another schema in the same database.
    pub(super) async fn add(&self, spec: &str) -> Arc<Table> {
        let schema = Arc::new(schema(spec));
        provision(&self.database, &schema).await;
        self.records.table(&schema)
    }

    pub(super) fn id(&self, text: &str) -> Value {
        parse_id(&self.schema, text).unwrap()
    }

    pub(super) fn new_record(&self, body: &Json) -> NewRecord {
        parse_create(&self.schema, body.to_string().as_bytes(), &mut Uuid::now_v7).unwrap()
    }

    pub(super) async fn write(&self, write: Write) -> Result<Written, RecordError> {
        self.records.write(&self.session, &self.table, write).await
    }

    pub(super) async fn create(&self, body: Json) -> Result<Record, RecordError> {
        record(self.write(Write::Create(self.new_record(&body))).await)
    }

    /// A new record's id.
    pub(super) async fn made(&self, body: Json) -> Value {
        self.create(body).await.unwrap().id().unwrap()
    }

    pub(super) fn patch_of(&self, id: &Value, body: &Json) -> Write {
        let patch = parse_patch(&self.schema, id, body.to_string().as_bytes()).unwrap();
        Write::Patch { id: id.clone(), patch }
    }

    pub(super) async fn patch(&self, id: &Value, body: Json) -> Result<Record, RecordError> {
        record(self.write(self.patch_of(id, &body)).await)
    }

    pub(super) async fn replace(&self, id: &Value, body: Json) -> Result<(Record, Effect), RecordError> {
        let replacement =
            parse_replace(&self.schema, id, body.to_string().as_bytes(), &mut Uuid::now_v7).unwrap();
        match self.write(Write::Replace(replacement)).await? {
            Written::Record { record, effect } => Ok((record, effect)),
            other => panic!("{other:?}"),
        }
    }

    pub(super) async fn delete(&self, id: &Value, expected_version: Option<i64>) -> Result<i64, RecordError> {
        match self.write(Write::Delete { id: id.clone(), expected_version }).await? {
            Written::Deleted { version } => Ok(version),
            other => panic!("{other:?}"),
        }
    }

    pub(super) async fn undelete(&self, id: &Value) -> Result<(Record, Effect), RecordError> {
        match self.write(Write::Undelete { id: id.clone() }).await? {
            Written::Record { record, effect } => Ok((record, effect)),
            other => panic!("{other:?}"),
        }
    }

    pub(super) async fn read(&self, id: &Value) -> Result<Record, RecordError> {
        self.records.read(&self.session, &self.table, id).await
    }

    pub(super) fn plan(&self, pairs: &[(&str, &str)]) -> ListPlan {
        let request = ListRequest::parse(pairs.iter().copied()).unwrap();
        ListPlan::plan(&self.schema, &request, self.records.cursor_key(), &Reading::whole()).unwrap()
    }

    pub(super) async fn list(&self, pairs: &[(&str, &str)]) -> Page {
        self.records.list(&self.session, &self.table, &self.plan(pairs)).await.unwrap()
    }

    /// One field of every record on a page.
    pub(super) async fn column(&self, field: &str, pairs: &[(&str, &str)]) -> Vec<Json> {
        let page = page_json(&self.list(pairs).await);
        page.iter().map(|record| record[field].clone()).collect()
    }

    pub(super) async fn history(&self, id: &Value) -> Result<HistoryPage, RecordError> {
        let plan = HistoryPlan::plan(
            &self.schema,
            id,
            &HistoryRequest::default(),
            self.records.cursor_key(),
            &Reading::whole(),
        )
        .unwrap();
        self.records.history(&self.session, &self.table, &plan).await
    }

    /// The operations of a record's events, newest first.
    pub(super) async fn operations(&self, id: &Value) -> Vec<String> {
        let page = self.history(id).await.unwrap();
        (0..page.len()).map(|at| page.event(at).unwrap().unwrap().operation).collect()
    }
}

pub(super) fn record(written: Result<Written, RecordError>) -> Result<Record, RecordError> {
    match written? {
        Written::Record { record, .. } => Ok(record),
        other => panic!("{other:?}"),
    }
}

pub(super) fn text(record: &Record) -> String {
    let mut out = Vec::new();
    record.append_json(&View::whole(), Numbers::Json, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

pub(super) fn json_of(record: &Record) -> Json {
    serde_json::from_str(&text(record)).unwrap()
}

pub(super) fn page_json(page: &Page) -> Vec<Json> {
    let mut out = Vec::new();
    page.append_json(Numbers::Json, &mut out).unwrap();
    serde_json::from_slice(&out).unwrap()
}

/// A record with a value in every field.
pub(super) fn full() -> Json {
    json!({
        "name": "bolt \"M8\"\n\u{1F529}",
        "note": "",
        "count": -9_223_372_036_854_775_808_i64,
        "amount": "1234567890123456.70",
        "active": true,
        "seen": "2026-05-19T16:00:00.123456+02:00",
        "born": "1999-12-31",
        "alarm": "06:30:00.5",
        "extra": {"a": [1, "x", null], "n": 2},
        "token": "0190c8a5-7b1e-7c3a-9f00-1a2b3c4d5e6f",
        "data": "AAEC/w==",
        "tags": ["a\"b", "c,d", "{}", "", "null", "e\\f"],
        "scores": [1.5, "2.125", 0],
        "code": "C-1",
        "fixed": "once"
    })
}
