//! Requests that never stop: one client writes, one reads, with statements that name the spec's shape function.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use tokio::task::JoinHandle;
use tokio_postgres::{Client, Error, Statement};
use velocity_schema::Schema;
use velocity_sql::TableNames;
use velocity_testkit::TestDatabase;

use super::operations::Shape;

#[derive(Debug, Clone)]
struct Sql {
    insert: String,
    update: String,
    delete: String,
    read: String,
}

#[derive(Debug, Default)]
pub(super) struct Counted {
    pub(super) written: u64,
    pub(super) read: u64,
    /// How often a statement had to be renewed.
    pub(super) renewed: u64,
    pub(super) failed: Vec<String>,
}

type Known = Arc<Mutex<HashMap<String, Sql>>>;

pub(super) struct Traffic {
    names: TableNames,
    known: Known,
    over: Arc<AtomicBool>,
    tasks: Vec<JoinHandle<Counted>>,
}

impl Traffic {
    pub(super) async fn start(
        database: &TestDatabase,
        names: TableNames,
        schema: &Schema,
        shape: &Shape,
        written: i64,
    ) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let mut traffic = Self { names, known: Known::default(), over, tasks: Vec::new() };
        traffic.know(schema, shape);
        for writes in [true, false] {
            let client = Caller {
                client: database.client("velocity_api").await,
                role: traffic.names.schema.as_str().to_owned(),
                path: schema.path().to_string(),
                known: Arc::clone(&traffic.known),
                prepared: None,
                counted: Counted::default(),
            };
            let over = Arc::clone(&traffic.over);
            traffic.tasks.push(tokio::spawn(client.run(writes, written, over)));
        }
        traffic
    }

    /// What to say once this schema is served.
    pub(super) fn know(&self, schema: &Schema, shape: &Shape) {
        let names = &self.names;
        let (table, hash) = (names.table_sql().inline(), schema.hash().to_string());
        let is = format!("{}.\"{}\"()", names.schema.quoted(), names.shape_function(&hash).as_str());
        let sql = Sql {
            insert: format!(
                "insert into {table} (id, num, code, {title}, amount, level, day) select gen_random_uuid(), -$1::bigint, {code}, 'new', 1, 1, '2026-01-01' where {is}",
                title = shape.title,
                code = shape.code.replace("$1::bigint", "(1000000000 + $1::bigint)"),
            ),
            update: format!(
                "update {table} set {} = 't' || $1::bigint where num = $1::bigint and deleted_at is null and {is}",
                shape.title
            ),
            delete: format!(
                "update {table} set deleted_at = case when deleted_at is null then now() end where num = $1::bigint and {is}"
            ),
            read: format!(
                "select id, {}, amount, code from {table} where num = $1::bigint and {is}",
                shape.title
            ),
        };
        self.known.lock().unwrap().insert(hash, sql);
    }

    pub(super) async fn stop(self) -> Counted {
        self.over.store(true, Ordering::Relaxed);
        let mut all = Counted::default();
        for task in self.tasks {
            let one = task.await.unwrap();
            all.written += one.written;
            all.read += one.read;
            all.renewed += one.renewed;
            all.failed.extend(one.failed);
        }
        all
    }
}

struct Caller {
    client: Client,
    role: String,
    path: String,
    known: Known,
    /// Insert, update, delete, read.
    prepared: Option<[Statement; 4]>,
    counted: Counted,
}

impl Caller {
    async fn run(mut self, writes: bool, written: i64, over: Arc<AtomicBool>) -> Counted {
        let mut n = 0;
        while !over.load(Ordering::Relaxed) {
            n += 1;
            let (which, parameter) = match (writes, n % 3) {
                (true, 0) => (0, n),
                (true, 1) => (1, n % written + 1),
                (true, _) => (2, n % written + 1),
                (false, _) => (3, n % 100_000 + 1),
            };
            match self.request(which, parameter).await {
                Ok(rows) if writes => self.counted.written += rows,
                Ok(_) => self.counted.read += 1,
                Err(error) => self.counted.failed.push(format!("{error:?}")),
            }
        }
        self.counted
    }

    /// As the API: who meets another shape reads the spec anew and says it once more.
    async fn request(&mut self, which: usize, parameter: i64) -> Result<u64, Error> {
        match self.once(which, parameter).await {
            Err(error) if is_another_shape(&error) => {
                self.counted.renewed += 1;
                self.prepared = None;
                self.once(which, parameter).await
            }
            other => other,
        }
    }

    async fn once(&mut self, which: usize, parameter: i64) -> Result<u64, Error> {
        self.client.batch_execute("begin").await?;
        let result = self.within(which, parameter).await;
        self.client.batch_execute(if result.is_ok() { "commit" } else { "rollback" }).await?;
        result
    }

    async fn within(&mut self, which: usize, parameter: i64) -> Result<u64, Error> {
        if self.prepared.is_none() {
            let sql = "select spec_hash from platform.schemas where path = $1";
            let hash: String = self.client.query_one(sql, &[&self.path]).await?.get(0);
            let sql = self.known.lock().unwrap().get(&hash).cloned().unwrap();
            self.take_role().await?;
            self.prepared = Some([
                self.client.prepare(&sql.insert).await?,
                self.client.prepare(&sql.update).await?,
                self.client.prepare(&sql.delete).await?,
                self.client.prepare(&sql.read).await?,
            ]);
        } else {
            self.take_role().await?;
        }
        let statement = &self.prepared.as_ref().unwrap()[which];
        if which == 3 {
            return self.client.query(statement, &[&parameter]).await.map(|_| 0);
        }
        self.client.execute(statement, &[&parameter]).await
    }

    async fn take_role(&self) -> Result<u64, Error> {
        let sql = "select set_config('role', $1, true), set_config('velocity.actor', 'ravi', true), set_config('velocity.roles', 'writer', true)";
        self.client.execute(sql, &[&self.role]).await
    }
}

fn is_another_shape(error: &Error) -> bool {
    let Some(db) = error.as_db_error() else { return false };
    ["42883", "42703"].contains(&db.code().code())
        || db.message().starts_with("cache lookup failed for function")
}
