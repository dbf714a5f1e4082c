//! Parts that die at the wrong moment.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures::future::join_all;
use nix::sys::signal::{Signal, kill};
use reqwest::Method;
use serde_json::json;

use crate::harness::{Domain, OPEN, Server, count, eventually, untampered};

const THING: &str = r#"
fields:
  - {name: code, type: string, required: true, unique: true, filterable: true, sortable: true}
  - {name: owner, type: string, filterable: true}
access:
  roles:
    create: [writer]
    read: [writer, own]
    update: [writer]
    delete: [writer]
    history: [writer]
    export: [writer, own]
  rowFilter:
    - {role: own, condition: "record.owner == actor.id"}
"#;

/// The clients that write at once.
const CLIENTS: usize = 6;

#[tokio::test]
async fn while_postgres_restarts_requests_wait_outside_and_nothing_acknowledged_is_lost() {
    let server = Server::start().await;
    let domain = Domain::new(&server);
    domain.apply("thing", THING).await;
    let (route, table) = (domain.route("thing"), domain.table("thing"));
    let acknowledged = Mutex::new(Vec::new());
    let refused = AtomicUsize::new(0);
    let done = AtomicBool::new(false);
    let writer = server.actor("ravi", &["writer"]);

    let load = join_all((0..CLIENTS).map(|client| {
        let (writer, route, acknowledged, refused, done) = (&writer, &route, &acknowledged, &refused, &done);
        async move {
            let mut n = 0;
            while !done.load(Ordering::Relaxed) {
                n += 1;
                let code = format!("{client}-{n}");
                let reply = writer.post(route, &json!({"code": code})).await;
                match reply.status {
                    201 => acknowledged.lock().unwrap().push(code),
                    503 => {
                        assert!(reply.header("retry-after").is_some(), "{reply:?}");
                        // Also what was revoked cannot be known meanwhile, and then nobody is let in.
                        let code = reply.problem(503);
                        assert!(
                            ["POSTGRES_UNAVAILABLE", "REVOCATION_UNAVAILABLE"].contains(&code.as_str()),
                            "{code}"
                        );
                        refused.fetch_add(1, Ordering::Relaxed);
                        tokio::time::sleep(Duration::from_millis(5)).await;
                    }
                    _ => panic!("{reply:#?}"),
                }
            }
        }
    }));
    let crashes = async {
        for _ in 0..2 {
            let before = acknowledged.lock().unwrap().len();
            eventually("some writes", async || {
                (acknowledged.lock().unwrap().len() >= before + 60).then_some(())
            })
            .await;
            let seen = refused.load(Ordering::Relaxed);
            kill(server.postgres_pid(), Signal::SIGKILL).unwrap();
            eventually("a refusal", async || (refused.load(Ordering::Relaxed) > seen).then_some(())).await;
        }
        let before = acknowledged.lock().unwrap().len();
        eventually("full recovery", async || {
            (acknowledged.lock().unwrap().len() >= before + 60).then_some(())
        })
        .await;
        done.store(true, Ordering::Relaxed);
    };
    tokio::join!(load, crashes);

    let sql = server.sql().await;
    let stored: Vec<String> = sql
        .query(&format!("select code from {table}"), &[])
        .await
        .unwrap()
        .iter()
        .map(|row| row.get(0))
        .collect();
    for code in acknowledged.lock().unwrap().iter() {
        assert!(stored.contains(code), "{code} was acknowledged and is lost");
    }
    let (records, events) = untampered(&sql, &table).await;
    assert_eq!(records, events, "each record has its event");
    assert_eq!(records, i64::try_from(stored.len()).unwrap());
    assert_eq!(writer.get("/readyz").await.status, 200);
}

#[tokio::test]
async fn a_client_that_goes_away_leaves_nothing_to_the_next() {
    let server = Server::shared().await;
    let domain = Domain::new(server);
    domain.apply("thing", THING).await;
    let route = domain.route("thing");
    let writer = server.actor("ravi", &["writer"]);
    let operations: Vec<_> = (0..400)
        .map(|n| json!({"create": {"code": format!("A{n}"), "owner": if n % 100 == 0 { "mia" } else { "tom" }}}))
        .collect();
    writer.post(&format!("{route}/bulk"), &json!({"operations": operations})).await.expect(200);
    let mia = server.actor("mia", &["own"]);
    let sees_her_own = async || {
        let found = mia.walk(&route).await;
        assert_eq!(found.len(), 4, "{found:?}");
        assert!(found.iter().all(|record| record["owner"] == "mia"));
    };
    for round in 0..60_u64 {
        let leave = async |request: reqwest::RequestBuilder| {
            // Gone before, in and after the moment when the statement runs.
            let _ = tokio::time::timeout(Duration::from_micros(300 * (round % 20)), request.send()).await;
        };
        let body = json!({"code": format!("B{round}"), "owner": "tom"});
        tokio::join!(
            leave(writer.request(Method::GET, &format!("{route}?limit=1000"))),
            leave(writer.request(Method::POST, &route).json(&body)),
            leave(writer.request(Method::GET, &format!("{route}/export"))),
            sees_her_own(),
        );
    }
    sees_her_own().await;
    let sql = server.sql().await;
    let (records, events) = untampered(&sql, &domain.table("thing")).await;
    assert_eq!(records, events);
    eventually("no transaction to be left open", async || {
        let open = "select count(*) from pg_stat_activity
            where usename = 'velocity_api' and state like 'idle in transaction%'";
        (count(&sql, open).await == 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn an_export_that_is_cut_off_is_never_taken_for_the_whole() {
    let server = Server::start().await;
    let domain = Domain::new(&server);
    domain.apply("thing", THING).await;
    let route = domain.route("thing");
    let writer = server.actor("ravi", &["writer"]);
    let filling = "x".repeat(4000);
    for batch in 0..8 {
        let operations: Vec<_> = (0..1000)
            .map(|n| json!({"create": {"code": format!("A{batch}-{n}"), "owner": filling}}))
            .collect();
        writer.post(&format!("{route}/bulk"), &json!({"operations": operations})).await.expect(200);
    }
    for format in ["ndjson", "csv"] {
        let path = format!("{route}/export?format={format}");
        let mut answer = writer.request(Method::GET, &path).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        // More than what is buffered on the way is still to come.
        let mut read = answer.chunk().await.unwrap().unwrap().len();
        kill(server.postgres_pid(), Signal::SIGKILL).unwrap();
        let ended = loop {
            match answer.chunk().await {
                Ok(Some(chunk)) => read += chunk.len(),
                Ok(None) => break Ok(read),
                Err(error) => break Err(error),
            }
        };
        assert!(ended.is_err(), "{format}: {ended:?} bytes look like the whole");
        eventually("Postgres to be back", async || (writer.get(&route).await.status == 200).then_some(()))
            .await;
        let whole = writer.get(&path).await.expect(200).text;
        let header = usize::from(format == "csv");
        assert_eq!(whole.lines().count(), 8000 + header);
        assert!(whole.len() > read);
    }
}

#[tokio::test]
async fn an_operator_killed_in_the_middle_of_many_schemas_converges() {
    let mut server = Server::start().await;
    let objects: Vec<String> = (0..30).map(|n| format!("thing-{n}")).collect();
    let (routes, tables, namespace) = {
        let domain = Domain::new(&server);
        for object in &objects {
            // Each refers to the next, so that they wait for each other too.
            let number: usize = object[6..].parse().unwrap();
            let target = (number + 1).min(objects.len() - 1);
            let spec = format!(
                "fields:
  - {{name: name, type: string, filterable: true}}
  - {{name: next, type: uuid, ref: {{object: thing-{target}, version: v1, field: id}}}}
{OPEN}"
            );
            assert!(matches!(domain.put(object, &spec).await.status, 200 | 201));
        }
        let routes: Vec<String> = objects.iter().map(|object| domain.route(object)).collect();
        let tables: Vec<String> = objects.iter().map(|object| domain.table(object)).collect();
        (routes, tables, domain.namespace())
    };
    // Killed as soon as a little more is there than the last time, until all is.
    let mut kills = 0;
    for wanted in [0, 7, 18] {
        let sql = server.sql().await;
        let schema = tables[0].split('.').next().unwrap();
        let made = format!(
            "select count(*) from pg_tables where schemaname = '{schema}' and tablename ~ '^thing_[0-9]+_v1$'"
        );
        eventually("some tables", async || (count(&sql, &made).await >= wanted).then_some(())).await;
        drop(sql);
        server.kill().await;
        kills += 1;
        server.start_again().await;
    }
    assert_eq!(kills, 3);
    for object in &objects {
        eventually(&format!("{object} to be ready"), async || {
            let found = server.schema_object(&namespace, object).await;
            (found["status"]["phase"] == "Ready").then_some(())
        })
        .await;
    }
    let writer = server.actor("ravi", &["writer"]);
    let sql = server.sql().await;
    for (route, table) in routes.iter().zip(&tables) {
        eventually(&format!("{route} to be served"), async || {
            let reply = writer.post(route, &json!({"name": "x"})).await;
            assert!(matches!(reply.status, 201 | 404 | 503), "{reply:#?}");
            (reply.status == 201).then_some(())
        })
        .await;
        assert_eq!(untampered(&sql, table).await, (1, 1));
        let keys = format!(
            "select count(*) from pg_constraint where conrelid = '{table}'::regclass and contype = 'f' and convalidated"
        );
        assert_eq!(count(&sql, &keys).await, 1, "{table}");
    }
    let invalid = "select count(*) from pg_index where not indisvalid";
    assert_eq!(count(&sql, invalid).await, 0, "an index that was being built is built");
}

#[tokio::test]
async fn a_database_that_dies_while_schemas_are_made_holds_them_up_and_no_more() {
    let server = Server::start().await;
    let domain = Domain::new(&server);
    let objects: Vec<String> = (0..20).map(|n| format!("thing-{n}")).collect();
    let spec = THING.replace("owner, type", "owner, required: true, default: nobody, type");
    for object in &objects {
        assert!(matches!(domain.put(object, &spec).await.status, 200 | 201));
    }
    let schema = domain.table("thing").split('.').next().unwrap().to_owned();
    let made =
        format!("select count(*) from pg_tables where schemaname = '{schema}' and tablename like '%\\_v1'");
    for wanted in [1, 7, 14] {
        eventually("some tables", async || {
            // The database may be away just now.
            let (client, connection) =
                tokio_postgres::connect(&server.endpoints().postgres, tokio_postgres::NoTls).await.ok()?;
            tokio::spawn(connection);
            let found: i64 = client.query_one(&made, &[]).await.ok()?.get(0);
            (found >= wanted).then_some(())
        })
        .await;
        kill(server.postgres_pid(), Signal::SIGKILL).unwrap();
    }
    let writer = server.actor("ravi", &["writer"]);
    eventually("the database to be back", async || (writer.get("/readyz").await.status == 200).then_some(()))
        .await;
    for object in &objects {
        domain.served(object).await;
        eventually(&format!("a first {object}"), async || {
            let reply = writer.post(&domain.route(object), &json!({"code": "A"})).await;
            assert!(matches!(reply.status, 201 | 503), "{reply:#?}");
            (reply.status == 201).then_some(())
        })
        .await;
        assert_eq!(untampered(&server.sql().await, &domain.table(object)).await, (1, 1));
    }
}
