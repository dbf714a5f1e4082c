//! A change that is cut off wherever it may be goes on, with the approval that it began with, and ends where it would have.

use std::sync::mpsc;
use std::time::Duration;

use tokio::sync::mpsc as signal;
use tokio_postgres::Client;
use velocity_schema::Schema;
use velocity_sql::ddl::{Approval, Decision, Plan};
use velocity_store::ddl::{ApplyError, Change, Progress, apply, begun_statements, probe};
use velocity_store::platform::ProvisionedSpec;
use velocity_testkit::TestCluster;

use super::world::World;

const FIRST: &[&str] = &[
    "{name: code, type: string, maxLength: 9, unique: true}",
    "{name: title, type: string, maxLength: 40, filterable: true}",
    "{name: level, type: integer}",
    "{name: gone, type: string, filterable: true}",
    "{name: owner, type: uuid}",
    "{name: price, type: number, precision: 10, scale: 2, min: 0}",
];
const SECOND: &[&str] = &[
    "{name: code, type: integer, min: 0, unique: true, required: true}",
    "{name: name, renamedFrom: title, type: string, maxLength: 30, filterable: true, sortable: true}",
    "{name: level, type: integer, required: true, default: 7, filterable: true}",
    "{name: owner, type: uuid, ref: {object: owner, version: v1}}",
    "{name: price, type: number, precision: 12, scale: 2, min: 0}",
    "{name: note, type: string, default: none, maxLength: 9}",
];
const REST: &str = "indexes: [{fields: [level, -name], where: 'record.level > 3'}]";
const ROWS: usize = 40;

/// How it is cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cut {
    /// The session is ended before the step's first statement.
    Before,
    /// The session is ended while the step waits for a lock.
    Within,
    /// The operator's process is gone, and with it the connection.
    Dropped,
    /// Postgres is killed and started again.
    Crash,
}

/// Stops an application at one of its steps (or batches) until it is told to go on.
struct Stop {
    at: usize,
    reached: signal::UnboundedSender<()>,
    go_on: mpsc::Receiver<()>,
}

/// One attempt, cut off where it comes to its `at`th report; whether it came there.
async fn attempt(
    world: &World,
    cluster: Option<&TestCluster>,
    schema: &Schema,
    approval: &Approval,
    at: usize,
    cut: Cut,
) -> bool {
    let mut owner = world.database.owner().await;
    let pid: i32 = owner.query_one("select pg_backend_pid()", &[]).await.unwrap().get(0);
    let plan = decided(&mut owner, world, schema, approval).await;
    let (reached, mut arrival) = signal::unbounded_channel();
    let (go_on, wait) = mpsc::channel();
    let (schema, approved) = (schema.clone(), approval.named.is_some());
    let stop = Stop { at, reached, go_on: wait };
    let mut running = tokio::spawn(async move { run(&mut owner, &schema, &plan, approved, stop).await });
    tokio::select! {
        result = &mut running => {
            result.unwrap().unwrap();
            return false;
        }
        Some(()) = arrival.recv() => {}
    }
    match cut {
        Cut::Before => {
            end(&world.owner, pid).await;
            go_on.send(()).unwrap();
            running.await.unwrap().unwrap_err();
        }
        Cut::Within => {
            let holder = hold(world).await;
            go_on.send(()).unwrap();
            until_it_waits(&world.owner, pid).await;
            end(&world.owner, pid).await;
            drop(holder);
            // Where nothing was to wait for, it may have come to its end.
            drop(running.await.unwrap());
        }
        Cut::Dropped => {
            running.abort();
            go_on.send(()).unwrap();
            drop(running.await);
            gone(&world.owner, pid).await;
        }
        Cut::Crash => {
            let cluster = cluster.unwrap();
            cluster.kill_postgres().await;
            cluster.restart_postgres().await;
            go_on.send(()).unwrap();
            let error = running.await.unwrap().unwrap_err();
            assert!(error.is_transient(), "{error:?}");
        }
    }
    true
}

async fn decided(owner: &mut Client, world: &World, schema: &Schema, approval: &Approval) -> Plan {
    let live = velocity_store::ddl::read(owner, schema).await.unwrap();
    let plan = velocity_sql::ddl::plan(schema, &live, crate::planned::MONTH);
    let findings = probe(owner, &plan).await.unwrap();
    let begun =
        begun_statements(owner, &schema.path().to_string(), &schema.hash().to_string()).await.unwrap();
    let approval = Approval { begun, ..approval.clone() };
    match plan.decide(&findings, &approval) {
        Decision::Apply(plan) => plan,
        Decision::Blocked { pending, .. } => {
            panic!("it was approved: {pending:#?}\n{:#?}", world.database.name())
        }
    }
}

async fn run(
    owner: &mut Client,
    schema: &Schema,
    plan: &Plan,
    approved: bool,
    stop: Stop,
) -> Result<(), ApplyError> {
    let (path, spec_hash) = (schema.path().to_string(), schema.hash().to_string());
    let publication = ProvisionedSpec {
        path: path.clone(),
        namespace: "testkit".to_owned(),
        spec: serde_json::json!({}),
        spec_hash: spec_hash.clone(),
    };
    let stop = std::sync::Mutex::new((0, stop));
    let progress = move |_: Progress| {
        let mut stop = stop.lock().unwrap();
        if stop.0 == stop.1.at && stop.1.reached.send(()).is_ok() {
            let _ = tokio::task::block_in_place(|| stop.1.go_on.recv());
        }
        stop.0 += 1;
    };
    let change = Change {
        plan,
        path: &path,
        spec_hash: &spec_hash,
        approved,
        publication: Some(&publication),
        operator: "the test",
        progress: Some(&progress),
    };
    apply(owner, &change).await
}

/// Holds what steps wait for: the table, as far as it can be had, and its last record.
async fn hold(world: &World) -> Client {
    let holder = world.database.owner().await;
    let table = world.table();
    let sql = format!(
        "set lock_timeout = '50ms'; begin; select from {table} order by id desc limit 1 for update; savepoint held; lock table {table} in share update exclusive mode"
    );
    drop(holder.batch_execute(&sql).await);
    holder
}

async fn until_it_waits(owner: &Client, pid: i32) {
    let sql = "select count(*) from pg_stat_activity where pid = $1 and wait_event_type = 'Lock'";
    for _ in 0..20 {
        if owner.query_one(sql, &[&pid]).await.unwrap().get::<_, i64>(0) > 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn end(owner: &Client, pid: i32) {
    owner.execute("select pg_terminate_backend($1)", &[&pid]).await.unwrap();
    gone(owner, pid).await;
}

async fn gone(owner: &Client, pid: i32) {
    let sql = "select count(*) from pg_stat_activity where pid = $1";
    while owner.query_one(sql, &[&pid]).await.unwrap().get::<_, i64>(0) > 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn begin(world: &World, first: &Schema) {
    world.clear().await;
    world.begin(first).await;
    let (table, schema) = (world.table(), world.pg_schema());
    world
        .write(&format!(
            "insert into {table} (id, code, title, level, gone, owner, price) select md5(i::text)::uuid, i, 't' || i,
               case when i % 3 > 0 then i end, 'g', (select id from {schema}.owner_v1 limit 1), i / 4.0 from generate_series(1, {ROWS}) i"
        ))
        .await;
    world.write(&format!("update {table} set deleted_at = now() where code in ('2', '3')")).await;
}

async fn owners(world: &World) {
    world.make(&world.object("owner", &["{name: name, type: string}"], "")).await;
    world.write(&format!("insert into {}.owner_v1 (id) values (md5('1')::uuid)", world.pg_schema())).await;
}

const VALUES: &str = "select id, code::text, level, owner, price, deleted_at is null as living";

/// Cut off at one place, once more on the way on, and then left in peace.
async fn cut_off(
    world: &mut World,
    cluster: Option<&TestCluster>,
    at: usize,
    cuts: [Cut; 2],
    fresh: &[String],
) -> bool {
    let (first, second) = (world.item(FIRST, ""), world.item(SECOND, REST));
    begin(world, &first).await;
    let table = world.table();
    let filled = format!(
        "select id, code, coalesce(level, case when deleted_at is null then 7 end, 7) as level, owner, price, deleted_at is null as living, title as text from {table} order by id"
    );
    let (values, events) = (world.rows(&filled).await, world.events().await);
    let plan = world.plan(&second).await;
    let approval = Approval { named: Some(plan.hash()), ..Approval::default() };
    let reached = attempt(world, cluster, &second, &approval, at, cuts[0]).await;
    if reached {
        world.reconnect().await;
        // Clients go on meanwhile.
        world.writes_work_quietly().await;
        if attempt(world, cluster, &second, &Approval::default(), at % 4, cuts[1]).await {
            world.reconnect().await;
        }
        let decision = world.reconcile(&second, Approval::default()).await;
        assert!(matches!(decision, Decision::Apply(_)), "cut off at {at}: {decision:#?}");
    }
    let again = world.plan(&second).await;
    assert!(again.is_empty(), "cut off at {at}: {again:#?}");
    let found = world.shown().await;
    assert!(found == fresh, "cut off at {at} ({cuts:?}):\n{}", super::catalog::difference(&found, fresh));
    assert_eq!(
        world.rows(&format!("{VALUES}, name as text from {table} order by id")).await,
        values,
        "cut off at {at}"
    );
    assert_eq!(world.events().await[..events.len()], events[..]);
    let filled = format!("select count(*) from {} where actor = 'velocity-operator'", world.history());
    let wanted = format!("select count(*) from generate_series(1, {ROWS}) i where i % 3 = 0 and i <> 3");
    assert_eq!(world.one(&filled).await, world.one(&wanted).await, "each got its default once");
    world.writes_work().await;
    reached
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_big_change_cut_off_twice_anywhere_arrives_where_it_would_have() {
    let mut world = World::new("kills").await;
    owners(&world).await;
    let fresh = world.fresh_catalog(&world.item(SECOND, REST)).await;
    let every = std::env::var_os("VELOCITY_KILLS").is_some();
    let kinds = [Cut::Before, Cut::Within, Cut::Dropped];
    // Every fourth place, each in another way; where asked for, every place in every way.
    for at in (0..).step_by(if every { 1 } else { 4 }) {
        let mut reached = false;
        for kind in 0..if every { 3 } else { 1 } {
            let cuts = [kinds[(at + kind) % 3], kinds[(at / 3) % 3]];
            println!("{at}: {cuts:?}"); // seen only where the test fails
            reached |= cut_off(&mut world, None, at, cuts, &fresh).await;
        }
        if !reached {
            assert!(at > 30, "a big change has many steps: {at}");
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_big_change_goes_on_after_a_crash_of_postgres() {
    let cluster = TestCluster::start().await;
    let mut world = World::in_cluster(&cluster, "crashes").await;
    owners(&world).await;
    let fresh = world.fresh_catalog(&world.item(SECOND, REST)).await;
    for at in (2..).step_by(9) {
        if !cut_off(&mut world, Some(&cluster), at, [Cut::Crash, Cut::Crash], &fresh).await {
            assert!(at > 20, "a big change has many steps: {at}");
            return;
        }
    }
}
