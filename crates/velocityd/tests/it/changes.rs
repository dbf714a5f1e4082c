//! Schemas that change once they are provisioned.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::json;

use crate::harness::{Domain, OPEN, Server, condition, count, eventually, message, send, untampered};

const BOOK: &str = "
fields:
  - {name: title, type: string, required: true, filterable: true, sortable: true}
  - {name: pages, type: integer}
  - {name: state, type: enum, enum: [new, used, lost], filterable: true}
";

fn book() -> String {
    format!("{BOOK}{OPEN}")
}

#[tokio::test]
async fn a_new_nullable_field_and_a_new_index_are_served_at_once() {
    let server = Server::shared().await;
    let domain = Domain::new(server);
    domain.apply("book", &book()).await;
    let writer = server.actor("ravi", &["writer"]);
    let route = domain.route("book");
    writer.post(&route, &json!({"title": "old"})).await.expect(201);
    let early = writer.post(&route, &json!({"title": "x", "shelf": "A"})).await;
    assert_eq!(early.problem(400), "VALIDATION_ERROR");

    let more = "  - {name: shelf, type: string, filterable: true, sortable: true}
  - {name: price, type: number, default: 1.50, required: true}
indexes:
  - {fields: [state, -created_at]}
";
    domain.apply("book", &format!("{BOOK}{more}{OPEN}")).await;

    writer.post(&route, &json!({"title": "new", "shelf": "A"})).await.expect(201);
    let found = writer.get(&format!("{route}?filter[shelf]=A&sort=shelf")).await.expect(200).data();
    assert_eq!(found.as_array().unwrap().len(), 1);
    let old = writer.get(&format!("{route}?filter[title]=old")).await.expect(200);
    assert!(old.text.contains("\"price\":1.50"), "{old:?}");
    let sql = server.sql().await;
    let indexes = format!(
        "select count(*) from pg_indexes where schemaname || '.' || tablename = '{}'
        and indexdef like '%state%created_at%'",
        domain.table("book")
    );
    assert_eq!(count(&sql, &indexes).await, 1);
    // Two runs change nothing: not even the generation of the status.
    let before = server.schema_object(&domain.namespace(), "book").await;
    domain.apply("book", &format!("{BOOK}{more}{OPEN}")).await;
    assert_eq!(server.schema_object(&domain.namespace(), "book").await, before);
}

#[tokio::test]
async fn a_change_that_could_hurt_is_blocked_and_the_old_shape_goes_on() {
    let mut server = Server::start().await;
    let changes = [
        ("drop", BOOK.replace("  - {name: pages, type: integer}\n", ""), "pages"),
        ("rename", BOOK.replace("name: pages,", "name: leaves,"), "pages"),
        ("retype", BOOK.replace("name: pages, type: integer", "name: pages, type: string"), "pages"),
        ("narrow", BOOK.replace("[new, used, lost]", "[new, used]"), "state"),
        (
            "demand",
            BOOK.replace("name: pages, type: integer", "name: pages, type: integer, required: true"),
            "pages",
        ),
    ];
    let orgs = {
        let domain = Domain::new(&server);
        let mut orgs = Vec::new();
        for (object, spec, column) in &changes {
            domain.apply(object, &book()).await;
            let writer = server.actor("ravi", &["writer"]);
            writer.post(&domain.route(object), &json!({"title": "t", "state": "lost"})).await.expect(201);
            let served =
                server.schema_object(&domain.namespace(), object).await["status"]["specHash"].clone();

            domain.put(object, &format!("{spec}{OPEN}")).await.expect(200);

            let status = domain.settled(object, &["Blocked"]).await;
            assert_eq!(condition(&status, "MigrationBlocked")["status"], "True", "{object}: {status}");
            assert_eq!(condition(&status, "Ready")["status"], "False");
            assert_eq!(status["specHash"], served, "{object} is still provisioned as it was");
            let pending = status["pendingOperations"].as_array().unwrap();
            assert!(!pending.is_empty(), "{object}: {status}");
            for operation in pending {
                for member in ["summary", "class", "lock", "sql", "reason"] {
                    assert!(
                        operation[member].as_str().is_some_and(|text| !text.is_empty()),
                        "{object}: {operation}"
                    );
                }
            }
            assert!(
                pending.iter().any(|operation| operation.to_string().contains(column)),
                "{object}: {status}"
            );
            assert!(status["planHash"].as_str().is_some_and(|hash| !hash.is_empty()), "{object}: {status}");
            let path = format!("/api/v1/namespaces/{}/events", domain.namespace());
            eventually(&format!("an Event about {object}"), async || {
                let events = send(server.kubernetes(reqwest::Method::GET, &path)).await.expect(200).json();
                let told = events["items"].as_array().unwrap().iter().any(|event| {
                    event["type"] == "Warning"
                        && event["reason"] == "ChangeBlocked"
                        && event["involvedObject"]["name"] == *object
                });
                told.then_some(())
            })
            .await;
            orgs.push((domain.route(object), domain.table(object)));
        }
        orgs
    };
    for restarted in [false, true] {
        if restarted {
            server.kill().await;
            server.start_again().await;
        }
        let writer = server.actor("ravi", &["writer"]);
        for (route, _) in &orgs {
            let body = json!({"title": "u", "pages": 3, "state": "lost"});
            eventually(&format!("{route} to be served"), async || {
                let reply = writer.post(route, &body).await;
                assert!(matches!(reply.status, 201 | 503), "restarted: {restarted}: {reply:#?}");
                (reply.status == 201).then_some(())
            })
            .await;
            let found = writer.walk(&format!("{route}?filter[state]=lost")).await;
            assert_eq!(found.len(), if restarted { 3 } else { 2 });
        }
    }
    // What was wanted can be taken back.
    let sql = server.sql().await;
    for (_, table) in &orgs {
        assert_eq!(count(&sql, &format!("select count(*) from {table} where pages = 3")).await, 2);
    }
}

#[tokio::test]
async fn a_blocked_change_that_is_taken_back_leaves_no_trace() {
    let server = Server::shared().await;
    let domain = Domain::new(server);
    domain.apply("book", &book()).await;
    domain.put("book", &format!("{}{OPEN}", BOOK.replace("type: integer", "type: string"))).await.expect(200);
    domain.settled("book", &["Blocked"]).await;
    domain.apply("book", &book()).await;
    let status = server.schema_object(&domain.namespace(), "book").await["status"].clone();
    assert_eq!(condition(&status, "MigrationBlocked")["status"], "False", "{status}");
    assert!(status["pendingOperations"].as_array().is_none_or(Vec::is_empty), "{status}");
    assert!(status["planHash"].is_null(), "{status}");
}

#[tokio::test]
async fn an_edit_that_makes_no_sense_leaves_the_old_shape_in_service() {
    let mut server = Server::start().await;
    let (route, namespace) = {
        let domain = Domain::new(&server);
        domain.apply("book", &book()).await;
        let nonsense = format!("{}indexes:\n  - {{fields: [missing]}}\n", book());
        domain.put("book", &nonsense).await.expect(200);
        let status = domain.settled("book", &["Failed"]).await;
        assert!(message(&status).contains("indexes[0]"), "{status}");
        (domain.route("book"), domain.namespace())
    };
    for restarted in [false, true] {
        if restarted {
            server.kill().await;
            server.start_again().await;
        }
        let writer = server.actor("ravi", &["writer"]);
        eventually("the old shape", async || {
            let reply = writer.post(&route, &json!({"title": "t", "pages": 1})).await;
            assert!(matches!(reply.status, 201 | 503), "restarted: {restarted}: {reply:#?}");
            (reply.status == 201).then_some(())
        })
        .await;
    }
    server.cli().run(&["delete", "sd", "book", "-n", &namespace]).await.ok();
}

#[tokio::test]
async fn a_schema_that_changes_under_load_answers_every_request() {
    let server = Server::shared().await;
    let domain = Domain::new(server);
    domain.apply("book", &book()).await;
    let route = domain.route("book");
    let (done, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
    let clients = futures::future::join_all((0..4).map(|client| {
        let (route, done, answered) = (&route, &done, &answered);
        let writer = server.actor(&format!("writer-{client}"), &["writer"]);
        async move {
            while !done.load(Ordering::Relaxed) {
                let created =
                    writer.post(route, &json!({"title": "t", "state": "new"})).await.expect(201).data();
                let path = format!("{route}/{}", created["id"].as_str().unwrap());
                writer.patch(&path, &json!({"pages": 1})).await.expect(200);
                writer.get(&path).await.expect(200);
                writer.get(&format!("{route}?filter[title]=t&limit=20&sort=-title,id")).await.expect(200);
                writer.get(&format!("{path}/history")).await.expect(200);
                answered.fetch_add(1, Ordering::Relaxed);
            }
        }
    }));
    let changes = async {
        let mut fields = String::new();
        for round in 0..6 {
            let before = answered.load(Ordering::Relaxed);
            fields = format!("{fields}  - {{name: more{round}, type: string, filterable: true}}\n");
            let indexes = format!("indexes:\n  - {{fields: [more{round}, -created_at]}}\n");
            domain.apply("book", &format!("{BOOK}{fields}{indexes}{OPEN}")).await;
            eventually("more answers", async || {
                (answered.load(Ordering::Relaxed) > before + 4).then_some(())
            })
            .await;
        }
        done.store(true, Ordering::Relaxed);
    };
    tokio::join!(clients, changes);
    let writer = server.actor("ravi", &["writer"]);
    let last =
        writer.post(&route, &json!({"title": "u", "more0": "a", "more5": "b"})).await.expect(201).data();
    let found = writer.get(&format!("{route}?filter[more5]=b")).await.expect(200).data();
    assert_eq!(found, json!([last]));
    let (records, events) = untampered(&server.sql().await, &domain.table("book")).await;
    assert_eq!(events, 2 * (records - 1) + 1);
}

#[tokio::test]
async fn an_index_whose_building_was_cut_off_is_built_after_all() {
    let mut server = Server::start().await;
    let (route, table, namespace) = {
        let domain = Domain::new(&server);
        domain.apply("book", &book()).await;
        let writer = server.actor("ravi", &["writer"]);
        writer.post(&domain.route("book"), &json!({"title": "t"})).await.expect(201);
        // Somebody reads for a long time, and the index waits for that.
        let reader = server.sql().await;
        let look = format!("begin isolation level repeatable read; select * from {}", domain.table("book"));
        reader.batch_execute(&look).await.unwrap();
        let index = "indexes:\n  - {fields: [pages, state]}\n";
        domain.put("book", &format!("{BOOK}{index}{OPEN}")).await.expect(200);
        let sql = server.sql().await;
        eventually("an unfinished index", async || {
            (count(&sql, "select count(*) from pg_index where not indisvalid").await > 0).then_some(())
        })
        .await;
        // What is there goes on meanwhile.
        writer.post(&domain.route("book"), &json!({"title": "u"})).await.expect(201);
        (domain.route("book"), domain.table("book"), domain.namespace())
    };

    server.kill().await;
    server.start_again().await;

    eventually("the schema to be ready", async || {
        let found = server.schema_object(&namespace, "book").await;
        let seen = found["status"]["observedGeneration"] == found["metadata"]["generation"];
        (seen && found["status"]["phase"] == "Ready").then_some(())
    })
    .await;
    let sql = server.sql().await;
    assert_eq!(count(&sql, "select count(*) from pg_index where not indisvalid").await, 0);
    let made = format!(
        "select count(*) from pg_indexes where schemaname || '.' || tablename = '{table}' and indexdef like '%(pages, state%'"
    );
    assert_eq!(count(&sql, &made).await, 1);
    assert_eq!(server.actor("ravi", &["writer"]).walk(&route).await.len(), 2);
}
