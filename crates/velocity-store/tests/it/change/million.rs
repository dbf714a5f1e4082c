//! Every operation on a large table under traffic: what was locked, for how long, and that nothing was lost.
//!
//! A plain run has 100,000 records; `VELOCITY_MILLION=1` a million. The figures are in `docs/evolution-figures.md`.

mod operations;
mod sampler;
mod traffic;

use std::fmt::Write;
use std::time::{Duration, Instant};

use velocity_schema::Schema;
use velocity_sql::TableNames;
use velocity_sql::ddl::{Approval, Decision, Lock};

use super::world::World;
use operations::{Operation, Shape};
use sampler::Sampler;
use traffic::Traffic;

/// Nobody waits longer for us, and no ACCESS EXCLUSIVE is held longer.
const LONGEST: Duration = Duration::from_secs(1);
/// The records that the traffic writes to; the others must stay what they are.
const WRITTEN: i64 = 500;

fn rows() -> i64 {
    if std::env::var_os("VELOCITY_MILLION").is_some() { 1_000_000 } else { 100_000 }
}

/// Records without events: each has its first one with its first change.
async fn fill(world: &World) {
    let (table, schema) = (world.table(), world.pg_schema());
    world
        .sql(&format!(
            "begin; set local session_replication_role = replica;
             insert into {schema}.owner_v1 (id, name, version, created_at, created_by, updated_at, updated_by, _head_hash)
               select md5(i::text)::uuid, i, 1, now(), 'me', now(), 'me', '' from generate_series(1, 100) i;
             insert into {table} (id, num, code, title, amount, level, status, owner, day, version, created_at, created_by, updated_at, updated_by, _head_hash)
               select md5(i::text)::uuid, i, i, 'title ' || i, i / 4.0, case when i % 100 > 0 then i % 90 end, case i % 3 when 0 then 'draft' else 'done' end,
                 md5((i % 100 + 1)::text)::uuid, '2026-01-01'::date + (i % 365)::int, 1, now(), 'me', now(), 'me', '' from generate_series(1, {}) i;
             commit",
            rows()
        ))
        .await;
    world.sql(&format!("vacuum analyze {table}")).await;
}

struct Figure {
    what: &'static str,
    strongest: Lock,
    held: Duration,
    waited: Duration,
    took: Duration,
    steps: usize,
}

impl Figure {
    fn line(&self) -> String {
        format!(
            "| {} | {} | {} | {} ms | {} ms | {:.1} s |",
            self.what,
            self.steps,
            self.strongest,
            self.held.as_millis(),
            self.waited.as_millis(),
            self.took.as_secs_f64()
        )
    }
}

/// The change as the operator makes it, with an approval where one is needed.
async fn apply(world: &World, schema: &Schema) -> (Lock, usize) {
    let mut decision = world.reconcile(schema, Approval::default()).await;
    if let Decision::Blocked { hash, approvable, pending, .. } = decision {
        assert!(approvable, "{pending:#?}");
        decision = world.reconcile(schema, Approval { named: Some(hash), ..Approval::default() }).await;
    }
    let Decision::Apply(plan) = decision else { panic!("blocked in spite of the approval: {decision:#?}") };
    let strongest = plan.steps.iter().map(|step| step.lock).max().unwrap_or(Lock::None);
    (strongest, plan.steps.len())
}

/// Number and checksum of the records that nobody writes to.
async fn kept(world: &World, shape: &Shape) -> String {
    let sql = format!(
        "select concat_ws(' ', count(*), sum(hashtextextended(concat_ws('|', id, num, {}, {}, {}, status, owner, day), 0))) from {} where num > {WRITTEN}",
        shape.code_as_text,
        shape.title,
        shape.amount,
        world.table()
    );
    world.one(&sql).await
}

async fn one(world: &World, operation: &Operation, traffic: &Traffic, sampler: &Sampler) -> Figure {
    let schema = operation.schema(world);
    traffic.know(&schema, &operation.shape);
    sampler.reset();
    let started = Instant::now();
    let (strongest, steps) = apply(world, &schema).await;
    let took = started.elapsed();
    let seen = sampler.seen();
    Figure { what: operation.what, strongest, held: seen.held, waited: seen.waited, took, steps }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_operation_on_a_large_table_lets_the_traffic_pass() {
    let world = World::new("million").await;
    world.make(&world.object("owner", &["{name: name, type: string}"], "")).await;
    let all = operations::all();
    let first = all[0].schema(&world);
    world.begin(&first).await;
    fill(&world).await;
    let names = TableNames::of(first.path());
    let sampler = Sampler::start(&world.database, &world.pg_schema()).await;
    let traffic = Traffic::start(&world.database, names, &first, &all[0].shape, WRITTEN).await;
    let before = kept(&world, &all[0].shape).await;
    let mut table = String::from(
        "| operation | steps | strongest lock | ACCESS EXCLUSIVE held | longest wait of a request | duration |\n|---|---|---|---|---|---|\n",
    );
    for operation in &all[1..] {
        let figure = one(&world, operation, &traffic, &sampler).await;
        println!("{}", figure.line());
        writeln!(table, "{}", figure.line()).unwrap();
        assert!(figure.held < LONGEST && figure.waited < LONGEST, "{}", figure.line());
        assert_eq!(kept(&world, &operation.shape).await, before, "after: {}", operation.what);
        let left = world.plan(&operation.schema(&world)).await;
        assert!(left.is_empty(), "after: {}: {left:#?}", operation.what);
    }
    let counted = traffic.stop().await;
    sampler.stop().await;
    assert!(counted.written > 100 && counted.read > 100, "{counted:?}");
    assert_eq!(counted.failed, Vec::<String>::new());
    let history = world.history();
    let written = format!("select count(*) from {history} where actor = 'ravi'");
    assert_eq!(
        world.one(&written).await,
        counted.written.to_string(),
        "one event for each write, and no other"
    );
    let filled = format!(
        "select count(*) from {history} h join {} t on t.id::text = h.record_id where h.actor = 'velocity-operator' and t.num > {WRITTEN}",
        world.table()
    );
    let wanted =
        format!("select count(*) from generate_series({WRITTEN} + 1, {}) i where i % 100 = 0", rows());
    assert_eq!(world.one(&filled).await, world.one(&wanted).await, "one for each default that was given");
    println!("{} records, {counted:?}\n\n{table}", rows());
}
