//! A table that changes, and beside it a database in which the same schemas are made new.

use serde_json::Value as Json;
use tokio_postgres::{Client, Row};
use velocity_schema::Schema;
use velocity_sql::TableNames;
use velocity_sql::ddl::{self, Approval, Decision, Plan, Step};
use velocity_testkit::{PLATFORM, TestCluster, TestDatabase, evolve, provision, schema};

use super::catalog::{difference, shown};
use crate::planned::MONTH;

/// What everyone may, where a spec says nothing.
const ACCESS: &str = "access: {roles: {create: [writer], read: [writer, reader], update: [writer], delete: [writer], restore: [writer], history: [writer]}}";

pub(crate) struct World {
    pub(crate) database: TestDatabase,
    pub(crate) owner: Client,
    api: Client,
    fresh: TestDatabase,
    fresh_owner: Client,
    domain: String,
}

/// The statements and reasons of a blocked change.
pub(crate) struct Blocked {
    pub(crate) hash: String,
    pub(crate) approvable: bool,
    pub(crate) pending: Vec<Step>,
}

impl Blocked {
    /// The reasons of what is not just waiting, one line each.
    pub(crate) fn reasons(&self) -> String {
        let lines = self.pending.iter().filter_map(|step| step.reason.as_ref());
        lines.filter(|reason| !reason.starts_with("waits for")).cloned().collect::<Vec<_>>().join("\n")
    }
}

impl World {
    /// Roles belong to the cluster: each test has a domain of its own.
    pub(crate) async fn new(domain: &str) -> Self {
        Self::beside(TestDatabase::create_from(&PLATFORM).await, domain).await
    }

    /// In a Postgres that may be killed.
    pub(crate) async fn in_cluster(cluster: &TestCluster, domain: &str) -> Self {
        Self::beside(cluster.create_database_with(&PLATFORM).await, domain).await
    }

    async fn beside(database: TestDatabase, domain: &str) -> Self {
        let fresh = TestDatabase::create_from(&PLATFORM).await;
        let (owner, fresh_owner) = (database.owner().await, fresh.owner().await);
        let api = database.client("velocity_api").await;
        Self { database, owner, api, fresh, fresh_owner, domain: domain.to_owned() }
    }

    pub(crate) fn pg_schema(&self) -> String {
        format!("any__change__{}", self.domain.replace('-', "_"))
    }

    /// New connections, after Postgres was away.
    pub(crate) async fn reconnect(&mut self) {
        self.owner = self.database.owner().await;
        self.api = self.database.client("velocity_api").await;
    }

    /// The table, as SQL names it.
    pub(crate) fn table(&self) -> String {
        format!("{}.item_v1", self.pg_schema())
    }

    pub(crate) fn history(&self) -> String {
        format!("{}.item_v1_history", self.pg_schema())
    }

    /// The item with these fields (YAML, one a line) and other parts.
    pub(crate) fn item(&self, fields: &[&str], rest: &str) -> Schema {
        self.object("item", fields, rest)
    }

    pub(crate) fn object(&self, object: &str, fields: &[&str], rest: &str) -> Schema {
        let lines: Vec<String> = fields.iter().map(|field| format!("  - {field}")).collect();
        let access = if rest.contains("access:") { "" } else { ACCESS };
        let fields = if fields.is_empty() {
            "fields: []".to_owned()
        } else {
            format!("fields:\n{}", lines.join("\n"))
        };
        schema(&format!(
            "org: any\napp: change\ndomain: {}\nobject: {object}\nversion: v1\n{fields}\n{rest}\n{access}\n",
            self.domain
        ))
    }

    /// Makes the schema in both databases.
    pub(crate) async fn make(&self, schema: &Schema) {
        provision(&self.database, schema).await;
        provision(&self.fresh, schema).await;
    }

    /// Makes the schema in the database that changes.
    pub(crate) async fn begin(&self, schema: &Schema) {
        provision(&self.database, schema).await;
    }

    /// What a reconcile decides, and does.
    pub(crate) async fn reconcile(&self, schema: &Schema, approval: Approval) -> Decision {
        evolve(&self.database, schema, approval).await.unwrap_or_else(|e| panic!("{e}: {e:?}"))
    }

    /// Applies the schema: nothing is in the way, and afterwards the catalog is that of a new table.
    pub(crate) async fn to(&self, schema: &Schema) -> Plan {
        match self.reconcile(schema, Approval::default()).await {
            Decision::Apply(plan) => {
                self.is_as_new(schema).await;
                plan
            }
            Decision::Blocked { pending, .. } => panic!("blocked: {pending:#?}"),
        }
    }

    /// Applies the schema, of which nothing is done until it is approved.
    pub(crate) async fn approved(&self, schema: &Schema) -> Blocked {
        let blocked = self.blocked(schema).await;
        assert!(blocked.approvable, "{:#?}", blocked.pending);
        let approval = Approval { named: Some(blocked.hash.clone()), ..Approval::default() };
        match self.reconcile(schema, approval).await {
            Decision::Apply(_) => self.is_as_new(schema).await,
            Decision::Blocked { pending, .. } => panic!("blocked in spite of the approval: {pending:#?}"),
        }
        blocked
    }

    /// Tries to apply the schema: it is blocked, and the catalog stays what it was.
    pub(crate) async fn blocked(&self, schema: &Schema) -> Blocked {
        let before = self.shown().await;
        match self.reconcile(schema, Approval::default()).await {
            Decision::Apply(plan) => panic!("nothing is in the way: {:#?}", plan.steps),
            Decision::Blocked { hash, approvable, pending, .. } => {
                let after = self.shown().await;
                assert!(after == before, "a blocked change left something:\n{}", difference(&after, &before));
                Blocked { hash, approvable, pending }
            }
        }
    }

    pub(crate) async fn shown(&self) -> Vec<String> {
        shown(&self.owner, &self.pg_schema()).await
    }

    pub(crate) async fn plan(&self, schema: &Schema) -> Plan {
        let live = velocity_store::ddl::read(&self.owner, schema).await.unwrap();
        ddl::plan(schema, &live, MONTH)
    }

    /// A second plan finds nothing, and the catalog is what it would be had the schema been the first.
    pub(crate) async fn is_as_new(&self, schema: &Schema) {
        let again = self.plan(schema).await;
        assert!(again.is_empty() && again.foreign.is_empty(), "a second plan: {again:#?}");
        let found = self.shown().await;
        let wanted = self.fresh_catalog(schema).await;
        assert!(found == wanted, "not as new:\n{}", difference(&found, &wanted));
    }

    /// The catalog of the schema made new, among the others that are there already.
    pub(crate) async fn fresh_catalog(&self, schema: &Schema) -> Vec<String> {
        provision(&self.fresh, schema).await;
        let wanted = shown(&self.fresh_owner, &self.pg_schema()).await;
        let names = TableNames::of(schema.path());
        let live = velocity_store::ddl::read(&self.fresh_owner, schema).await.unwrap();
        let drop =
            |name: &String| format!("drop function if exists {}.\"{name}\"() cascade", names.schema.quoted());
        let functions: Vec<String> = live.shapes.iter().chain(live.functions.keys()).map(drop).collect();
        let functions = functions.join("; ");
        let path = schema.path();
        let sql = format!(
            "drop table {}, {} cascade; {functions}; delete from platform.schemas where path = '{path}'; delete from platform.plans where path = '{path}'",
            names.table_sql().inline(),
            names.history_sql().inline()
        );
        self.fresh_owner.batch_execute(&sql).await.unwrap_or_else(|e| panic!("{e:?}"));
        wanted
    }

    /// Runs statements as the owner.
    pub(crate) async fn sql(&self, sql: &str) {
        self.owner.batch_execute(sql).await.unwrap_or_else(|e| panic!("{sql}: {e:?}"));
    }

    /// Writes as the owner, with an actor.
    pub(crate) async fn write(&self, sql: &str) {
        self.sql(&format!("begin; set local velocity.actor = 'me'; {sql}; commit")).await;
    }

    /// Runs one statement as the API would.
    pub(crate) async fn api(&self, sql: &str) -> Result<Vec<Row>, tokio_postgres::Error> {
        crate::actor::run(&self.api, &self.pg_schema(), "writer", "{}", sql).await
    }

    /// Rows of a query, each as JSON without what every write changes.
    pub(crate) async fn rows(&self, sql: &str) -> Vec<Json> {
        let sql = format!("select to_jsonb(q)::text from ({sql}) q");
        let rows = self.owner.query(&sql, &[]).await.unwrap_or_else(|e| panic!("{sql}: {e:?}"));
        rows.iter().map(|row| serde_json::from_str(row.get(0)).unwrap()).collect()
    }

    /// One value of a query, as text.
    pub(crate) async fn one(&self, sql: &str) -> String {
        let sql = format!("select ({sql})::text");
        let row = self.owner.query_one(&sql, &[]).await.unwrap_or_else(|e| panic!("{sql}: {e:?}"));
        row.get::<_, Option<String>>(0).unwrap_or_else(|| "null".to_owned())
    }

    /// All events, byte by byte.
    pub(crate) async fn events(&self) -> Vec<Json> {
        self.rows(&format!("select * from {} order by seq", self.history())).await
    }

    /// Every event's hash is genuine, and chained to the one before; every record's last event has its head.
    pub(crate) async fn history_is_sound(&self) {
        let (table, history) = (self.table(), self.history());
        let sql = format!(
            "select count(*) from (
               select h.*, lag(h.hash) over (partition by record_id order by version) as before,
                 lag(h.version) over (partition by record_id order by version) as older
               from {history} h) h
             where h.hash is distinct from platform.event_hash('{table}', prev_hash, record_id, version, occurred_at, operation, actor,
                 actor_type, strategy, request_id, trace_id, reason, changed, state::text)
               or h.prev_hash is distinct from h.before or h.version <> coalesce(h.older, 0) + 1"
        );
        assert_eq!(self.one(&sql).await, "0", "an event is not genuine");
        let sql = format!(
            "select count(*) from {table} t where t._head_hash is distinct from
               (select h.hash from {history} h where h.record_id = t.id::text order by h.version desc limit 1)"
        );
        assert_eq!(self.one(&sql).await, "0", "a record's head is not its last event's");
    }

    /// A record is written while a change is under way.
    pub(crate) async fn writes_work_quietly(&self) {
        let table = self.table();
        let sql = format!(
            "update {table} set deleted_at = deleted_at where id = (select id from {table} where deleted_at is null order by id limit 1)"
        );
        self.api(&sql).await.unwrap_or_else(|e| panic!("{sql}: {e:?}"));
    }

    pub(crate) async fn has_living(&self) -> bool {
        self.one(&format!("select count(*) from {} where deleted_at is null", self.table())).await != "0"
    }

    /// A record is updated, deleted and undeleted through the domain's role, each with its event, whose state is the row.
    pub(crate) async fn writes_work(&self) {
        let (table, history) = (self.table(), self.history());
        let living = format!("select id from {table} where deleted_at is null order by id limit 1");
        let id = self.one(&living).await;
        let version = |at: i64| format!("select version + {at} from {table} where id = '{id}'");
        let before: i64 = self.one(&version(0)).await.parse().unwrap();
        for change in ["deleted_at = deleted_at", "deleted_at = now()", "deleted_at = null"] {
            let sql = format!("update {table} set {change} where id = '{id}'");
            self.api(&sql).await.unwrap_or_else(|e| panic!("{sql}: {e:?}"));
        }
        let sql = format!(
            "select string_agg(operation, ' ' order by version) from {history} where record_id = '{id}' and version > {before}"
        );
        assert_eq!(self.one(&sql).await, "UPDATE DELETE UNDELETE");
        let sql = format!(
            "select (select state from {history} where record_id = '{id}' order by version desc limit 1) =
               (select jsonb_object_agg(f.key, f.value) from {table} r cross join jsonb_each(to_jsonb(r)) f
                 where r.id = '{id}' and (select state ? f.key from {history} where record_id = '{id}' order by version desc limit 1))"
        );
        assert_eq!(self.one(&sql).await, "true", "the last event's state is the record");
        self.history_is_sound().await;
    }

    /// As [`World::is_as_new`], where values that records had were taken from an enum: such a check holds for new values only,
    /// until those records change.
    pub(crate) async fn is_as_new_but_for_enums(&self, schema: &Schema) {
        let again =
            crate::planned::decide(&mut self.database.owner().await, schema, MONTH, &Approval::default())
                .await;
        let Decision::Apply(plan) = again else { panic!("a second plan: {again:#?}") };
        assert!(plan.is_empty() && plan.foreign.is_empty() && !plan.again, "a second plan: {plan:#?}");
        let found: Vec<String> = self
            .shown()
            .await
            .into_iter()
            .map(|line| {
                if line.contains("_enum_check: ") {
                    line.replace(" NOT VALID, valid f", ", valid t")
                } else {
                    line
                }
            })
            .collect();
        let wanted = self.fresh_catalog(schema).await;
        assert!(found == wanted, "not as new:\n{}", difference(&found, &wanted));
    }

    /// Forgets the item and all that was done to it.
    pub(crate) async fn clear(&self) {
        let (table, history, pg_schema) = (self.table(), self.history(), self.pg_schema());
        self.sql(&format!(
            "do $$ declare gone text; begin
               if to_regclass('{table}') is null then return; end if;
               drop table {table}, {history} cascade;
               for gone in select p.oid::regprocedure from pg_proc p where p.pronamespace = '{pg_schema}'::regnamespace and p.proname like 'item\\_v1\\_%' loop
                 execute 'drop function ' || gone || ' cascade';
               end loop;
               delete from platform.schemas where path like '%/item/v1'; delete from platform.plans; delete from platform.trash;
               delete from platform.field_changes; delete from platform.backfills;
             end $$"
        ))
        .await;
    }
}
