//! A table that is changed again and again under clients that never stop: operator and API as processes of their own.

mod locks;
mod steps;
mod traffic;

use serde_json::{Value, json};
use tokio_postgres::Client;

use crate::harness::{Cluster, Domain, count, eventually, untampered};

use locks::Sampler;
use steps::{DEPOT, STEPS, spec};
use traffic::Load;

/// More than the operator takes for small: what looks at all rows is a job. `VELOCITY_TEST_ROWS` says how many more.
const ROWS: usize = 60_000;
/// The most that anyone may wait for the operator, or the operator hold what others wait for.
const MOMENT_MS: f64 = 1000.0;

fn rows() -> usize {
    std::env::var("VELOCITY_TEST_ROWS").map_or(ROWS, |rows| rows.parse().unwrap())
}

/// Records and their events, as the API would have written them one by one.
async fn fill(sql: &Client, table: &str, depot: &str) {
    let insert = format!(
        "begin; set local velocity.actor = 'seeder'; set local velocity.actor_type = 'user';
         insert into {table} (id, code, amount, price, region, note, grade, depot, shelf, extra)
         select gen_random_uuid(), 'seed-' || n, n % 1000, n % 97 + 0.25, case n % 4 when 0 then 'west' else 'east' end,
           'note ' || n, case when n % 50 > 0 then 'B' end, '{depot}', 'shelf ' || n, 'extra ' || n
         from generate_series(1, {}) n; commit; analyze {table}",
        rows()
    );
    sql.batch_execute(&insert).await.unwrap();
}

/// What the events before the first change are, to the byte.
async fn old_events(sql: &Client, table: &str) -> (i64, String) {
    let query = format!(
        "select count(*), md5(string_agg(md5(e::text), '' order by record_id, version)) from {table}_history e
         where actor = 'seeder'"
    );
    let row = sql.query_one(&query, &[]).await.unwrap();
    (row.get(0), row.get(1))
}

/// Applies a step as a user does, with kubectl or the command line in turn, agreeing to what breaks.
async fn change(cluster: &Cluster, domain: &Domain<'_>, number: usize) {
    let definition = domain.definition("parcel", &spec(number)).to_string();
    let file = cluster.folder().join("parcel.json");
    std::fs::write(&file, &definition).unwrap();
    let file = file.to_str().unwrap();
    // As one manager: of two that declare the same list, each keeps the fields that only the other one left out.
    let kubectl = ["apply", "--server-side", "--field-manager=velocity-cli", "-f", file];
    let by_kubectl =
        if number > 0 && number.is_multiple_of(2) { cluster.kubectl(&kubectl).await } else { None };
    match by_kubectl {
        Some(ran) => ran.ok(),
        None => cluster.cli().run(&["apply", "-f", file]).await.ok(),
    };
    if STEPS[number].breaking {
        let status = domain.settled("parcel", &["Blocked"]).await;
        let hash = status["planHash"].as_str().unwrap();
        let approve = ["approve", "schemadefinition/parcel", "-n", &domain.namespace(), "--plan", hash];
        cluster.cli().run(&approve).await.ok();
    }
    domain.served("parcel").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thirteen_changes_under_load_fail_no_request_and_hold_no_lock_for_long() {
    let (cluster, operator) = Cluster::start().await;
    let domain = Domain::new(&cluster);
    domain.apply("depot", DEPOT).await;
    let writer = cluster.actor("ravi", &["writer"]);
    let depot = writer.post(&domain.route("depot"), &json!({"name": "main"})).await.expect(201).data();
    let depot = depot["id"].as_str().unwrap().to_owned();
    change(&cluster, &domain, 0).await;
    let (sql, table) = (cluster.sql().await, domain.table("parcel"));
    fill(&sql, &table, &depot).await;
    let before = old_events(&sql, &table).await;
    let seeds = seeds(&sql, &table).await;

    let load = Load::start(&cluster, &domain.route("parcel"), &depot, seeds.clone());
    let sampler = Sampler::start(&cluster, &table).await;
    load.some_more().await;
    for (number, step) in STEPS.iter().enumerate().skip(1) {
        let answered = load.answered();
        load.shapes.begin(number);
        let started = std::time::Instant::now();
        change(&cluster, &domain, number).await;
        load.shapes.end(number);
        eprintln!(
            "{}: {:?}, {} requests meanwhile, {}",
            step.what,
            started.elapsed(),
            load.answered() - answered,
            sampler.worst()
        );
        load.some_more().await;
    }
    let acknowledged = load.stop().await;
    let worst = sampler.stop().await;
    assert!(worst.held_ms < MOMENT_MS && worst.waited_ms < MOMENT_MS, "{worst}");

    // Each write is there once, with its event, and nothing else is.
    let query = format!("select code, version from {table} where code like 'load-%'");
    let stored = sql.query(&query, &[]).await.unwrap();
    let stored: std::collections::BTreeMap<String, i64> =
        stored.iter().map(|row| (row.get(0), row.get(1))).collect();
    assert_eq!(stored.len(), acknowledged.len());
    for (code, version) in &acknowledged {
        assert_eq!(stored.get(code), Some(version), "{code} is not as it was acknowledged");
    }
    let (records, _) = untampered(&sql, &table).await;
    assert_eq!(usize::try_from(records).unwrap(), acknowledged.len() + rows());
    assert_eq!(old_events(&sql, &table).await, before, "an event was changed");
    in_order_afterwards(&cluster, &domain, &sql, &seeds).await;
    drop(operator);
}

async fn seeds(sql: &Client, table: &str) -> Vec<String> {
    let query = format!("select id::text from {table} order by code limit 200");
    sql.query(&query, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
}

/// Values under their last names, in records and in history, and back from the trash.
async fn in_order_afterwards(cluster: &Cluster, domain: &Domain<'_>, sql: &Client, seeds: &[String]) {
    let (writer, table) = (cluster.actor("ravi", &["writer"]), domain.table("parcel"));
    let kept = format!(
        "select count(*) from {table} where code like 'seed-%' and place = 'shelf ' || substr(code, 6)
         and extra = 'extra ' || substr(code, 6) and amount = substr(code, 6)::integer % 1000 and grade is not null"
    );
    assert_eq!(usize::try_from(count(sql, &kept).await).unwrap(), rows());
    for id in &seeds[..20] {
        let route = format!("{}/{id}", domain.route("parcel"));
        let record = writer.get(&route).await.expect(200).data();
        let events = writer.get(&format!("{route}/history")).await.expect(200).data();
        let first = events.as_array().unwrap().last().unwrap()["after"].clone();
        assert_eq!(first["place"], record["place"], "{first}");
        assert_eq!(first["extra"], record["extra"], "{first}");
        assert!(first.get("shelf").is_none(), "{first}");
    }
    let leftovers = "select count(*) from pg_attribute where attrelid = $1::text::regclass and attname like any ('{\\_trash%,\\_new%}') and not attisdropped";
    let left: i64 = sql.query_one(leftovers, &[&table]).await.unwrap().get(0);
    assert_eq!(left, 0, "shadow columns are gone, and so is what came back from the trash");
    let invalid = "select (select count(*) from pg_index where not indisvalid) + (select count(*) from pg_constraint where not convalidated)";
    assert_eq!(count(sql, invalid).await, 0);
    eventually("every plan to be done", async || {
        let open = "select count(*) from platform.plans where state <> 'done'";
        (count(sql, open).await == 0).then_some(())
    })
    .await;
    let status: Value = cluster.schema_object(&domain.namespace(), "parcel").await["status"].clone();
    assert!(status["pendingOperations"].as_array().is_none_or(Vec::is_empty), "{status}");
}
