//! The life of a record over HTTP.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Domain, OPEN, Server, count, send, tampering, untampered};

const ORDER: &str = r#"
fields:
  - {name: id, type: string, pattern: "^O-[0-9]+$"}
  - {name: customer, type: string, required: true, filterable: true, sortable: true}
  - {name: amount, type: number, precision: 12, scale: 2, filterable: true, sortable: true}
  - {name: note, type: string}
audit:
  requireReason: [delete, restore]
  reasonPattern: '.{10,}'
"#;

async fn orders() -> (&'static Server, Domain<'static>, String) {
    let server = Server::shared().await;
    let domain = Domain::new(server);
    domain.apply("order", &format!("{ORDER}{OPEN}")).await;
    let route = domain.route("order");
    (server, domain, route)
}

#[tokio::test]
async fn versions_guard_against_lost_updates() {
    let (server, _domain, route) = orders().await;
    let writer = server.actor("ravi", &["writer"]);
    let created =
        writer.post(&route, &json!({"id": "O-1", "customer": "ada", "amount": 1})).await.expect(201);
    let path = format!("{route}/O-1");
    assert_eq!((created.header("location"), created.header("etag")), (Some(&*path), Some("\"1\"")));
    let known = send(writer.request(Method::GET, &path).header("if-none-match", "\"1\"")).await.expect(304);
    assert_eq!(known.text, "");
    let if_match = |tag: &'static str, method: Method, body: Value| {
        send(writer.request(method, &path).header("if-match", tag).json(&body))
    };
    let changed = if_match("\"1\"", Method::PATCH, json!({"amount": 2})).await.expect(200);
    assert_eq!(changed.header("etag"), Some("\"2\""));
    send(writer.request(Method::GET, &path).header("if-none-match", "\"1\"")).await.expect(200);
    for reply in [
        if_match("\"1\"", Method::PATCH, json!({"amount": 3})).await,
        if_match("\"1\"", Method::PUT, json!({"customer": "eve"})).await,
        if_match("\"9\"", Method::PATCH, json!({"amount": 3})).await,
        writer.patch(&path, &json!({"amount": 3, "version": 1})).await,
    ] {
        assert_eq!(reply.json()["currentVersion"], 2, "{reply:?}");
        assert_eq!(reply.problem(409), "VERSION_CONFLICT");
    }
    writer.patch(&path, &json!({"amount": 3, "version": 2})).await.expect(200);
    let replaced = writer.put(&path, &json!({"customer": "eve"})).await.expect(200).data();
    assert_eq!(
        (&replaced["customer"], &replaced["amount"], &replaced["version"]),
        (&json!("eve"), &Value::Null, &json!(4))
    );
    writer.put(&format!("{route}/O-2"), &json!({"customer": "new"})).await.expect(201);
}

#[tokio::test]
async fn what_is_deleted_is_gone_until_it_is_brought_back_and_both_say_why() {
    let (server, domain, route) = orders().await;
    let writer = server.actor("ravi", &["writer"]);
    writer.post(&route, &json!({"id": "O-1", "customer": "ada"})).await.expect(201);
    let path = format!("{route}/O-1");
    assert_eq!(writer.delete(&path).await.problem(400), "AUDIT_REASON_REQUIRED");
    let with_reason =
        |method, path: &str, reason: &'static str| writer.request(method, path).header("x-reason", reason);
    let short = send(with_reason(Method::DELETE, &path, "short")).await;
    assert_eq!(short.problem(400), "AUDIT_REASON_REQUIRED");
    let deleted = send(with_reason(Method::DELETE, &path, "ordered twice by mistake")).await.expect(204);
    assert_eq!(deleted.text, "");

    for reply in [writer.get(&path).await, writer.patch(&path, &json!({"note": "x"})).await] {
        assert_eq!(reply.problem(404), "ENTITY_NOT_FOUND");
    }
    assert_eq!(writer.get(&route).await.data(), json!([]));
    let taken = writer.post(&route, &json!({"id": "O-1", "customer": "eve"})).await;
    assert_eq!(taken.problem(409), "UNIQUE_VIOLATION");
    let rows = format!("select count(*) from {}", domain.table("order"));
    assert_eq!(count(&server.sql().await, &rows).await, 1, "a soft deletion keeps the row");

    let back = send(with_reason(Method::POST, &format!("{path}/undelete"), "it was right after all")).await;
    assert_eq!(back.expect(200).data()["customer"], "ada");
    let events = writer.get(&format!("{path}/history")).await.expect(200).data();
    let told: Vec<(&str, &Value)> = events
        .as_array()
        .unwrap()
        .iter()
        .map(|event| (event["operation"].as_str().unwrap(), &event["reason"]))
        .collect();
    assert_eq!(
        told,
        [
            ("UNDELETE", &json!("it was right after all")),
            ("DELETE", &json!("ordered twice by mistake")),
            ("CREATE", &Value::Null)
        ]
    );
}

#[tokio::test]
async fn a_history_shows_who_changed_what_newest_first() {
    let (server, _domain, route) = orders().await;
    let path = format!("{route}/O-7");
    let ravi = server.actor("ravi", &["writer"]);
    let mia = server.actor("mia", &["writer"]);
    ravi.post(&route, &json!({"id": "O-7", "customer": "ada", "amount": "10.50"})).await.expect(201);
    let change = mia
        .request(Method::PATCH, &path)
        .header("x-request-id", "mias-request")
        .header("x-reason", "a typo in the price");
    let changed = send(change.json(&json!({"amount": 12, "note": "cheaper"}))).await.expect(200);
    assert_eq!(changed.header("x-request-id"), Some("mias-request"));
    let made = ravi.get(&path).await;
    assert!(made.header("x-request-id").is_some_and(|id| id.len() >= 16), "{made:?}");

    let reply = ravi.get(&format!("{path}/history")).await.expect(200);
    let events = reply.data();
    let [newest, oldest] = &events.as_array().unwrap()[..] else { panic!("{events}") };
    assert_eq!((&newest["operation"], &oldest["operation"]), (&json!("UPDATE"), &json!("CREATE")));
    assert_eq!((&newest["actor"], &oldest["actor"]), (&json!("mia"), &json!("ravi")));
    assert_eq!(
        (&newest["requestId"], &newest["reason"]),
        (&json!("mias-request"), &json!("a typo in the price"))
    );
    assert_eq!(newest["changed"], json!(["amount", "note"]));
    assert_eq!(newest["before"], oldest["after"]);
    assert_eq!(oldest["before"], Value::Null);
    assert_eq!(newest["after"], ravi.get(&path).await.data());
    assert_eq!(newest["version"], 2);
    assert!(newest["seq"].as_i64() > oldest["seq"].as_i64());
    assert!(newest["hash"].as_str().is_some_and(|hash| hash.len() == 64) && newest["hash"] != oldest["hash"]);
    for digits in ["\"amount\":10.50", "\"amount\":12.00"] {
        assert!(reply.text.contains(digits), "{digits}: {}", reply.text);
    }
    let page = ravi.get(&format!("{path}/history?limit=1")).await.expect(200).json();
    assert_eq!(page["data"][0]["version"], 2);
    let next = page["pagination"]["nextCursor"].as_str().unwrap();
    let rest = ravi.get(&format!("{path}/history?limit=1&cursor={next}")).await.expect(200).json();
    assert_eq!((&rest["data"][0]["version"], &rest["pagination"]["nextCursor"]), (&json!(1), &Value::Null));
    // A change that changes nothing is no event.
    ravi.patch(&path, &json!({"amount": "12.00"})).await.expect(200);
    let again = ravi.get(&format!("{path}/history")).await.data();
    assert!(again.as_array().unwrap().len() <= 3);
}

#[tokio::test]
async fn all_that_is_wrong_with_a_record_is_said_at_once() {
    let (server, _domain, route) = orders().await;
    let writer = server.actor("ravi", &["writer"]);
    let reply = writer.post(&route, &json!({"id": "7", "amount": "x", "note": 5, "notes": 1})).await;
    let problem = reply.json();
    let mut fields: Vec<&str> =
        problem["errors"].as_array().unwrap().iter().map(|error| error["field"].as_str().unwrap()).collect();
    fields.sort_unstable();
    assert_eq!(fields, ["amount", "customer", "id", "note", "notes"], "{problem}");
    for member in ["type", "title", "status", "detail", "instance", "code", "requestId"] {
        assert!(!problem[member].is_null(), "{member}: {problem}");
    }
    assert_eq!(reply.header("x-request-id"), problem["requestId"].as_str());
}

#[tokio::test]
async fn an_export_is_whole_and_consistent_while_others_write() {
    let (server, _domain, route) = orders().await;
    let writer = server.actor("ravi", &["writer"]);
    let bulk = async |from: u32, to: u32| {
        let operations: Vec<Value> = (from..to)
            .map(|n| json!({"create": {"id": format!("O-{n}"), "customer": format!("c, \"{n}\"\nx"), "amount": 1}}))
            .collect();
        writer.post(&format!("{route}/bulk"), &json!({"operations": operations})).await.expect(200);
    };
    bulk(0, 3000).await;
    let writes = async {
        for round in 1..6 {
            bulk(round * 10_000, round * 10_000 + 300).await;
            writer.patch(&format!("{route}/O-{round}"), &json!({"amount": 99})).await.expect(200);
        }
    };
    let reader = server.actor("rosa", &["reader"]);
    let (lines, table) =
        (format!("{route}/export"), format!("{route}/export?format=csv&fields=id,customer,amount"));
    let (lines, table, ()) = tokio::join!(reader.get(&lines), reader.get(&table), writes);

    let lines = lines.expect(200);
    assert_eq!(lines.header("content-type"), Some("application/x-ndjson"));
    let mut ids: Vec<String> = lines
        .text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["id"].as_str().unwrap().to_owned())
        .collect();
    let found = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), found, "no record twice");
    assert_eq!(ids.iter().filter(|id| id.len() <= 6 && id[2..].parse::<u32>().unwrap() < 3000).count(), 3000);

    let mut reader = csv::Reader::from_reader(table.text.as_bytes());
    assert_eq!(reader.headers().unwrap(), vec!["id", "customer", "amount"]);
    let rows: Vec<(String, String, String)> = reader.deserialize().map(Result::unwrap).collect();
    let mut before: Vec<&(String, String, String)> =
        rows.iter().filter(|row| row.0[2..].parse::<u32>().unwrap() < 3000).collect();
    before.sort();
    before.dedup();
    assert_eq!(before.len(), 3000);
    for (id, customer, amount) in before {
        assert_eq!(*customer, format!("c, \"{}\"\nx", &id[2..]));
        assert!(["1.00", "99.00"].contains(&&**amount), "{amount}");
    }
}

#[tokio::test]
async fn what_describes_a_schema_fits_what_it_serves() {
    let (server, domain, route) = orders().await;
    let writer = server.actor("ravi", &["writer"]);
    let schema = writer.get(&format!("{route}/schema.json")).await.expect(200).json();
    for field in ["id", "customer", "amount", "note", "version", "created_at", "updated_by"] {
        assert!(schema["properties"][field].is_object(), "{field}: {schema}");
    }
    assert!(!schema.to_string().contains("_head_hash") && !schema.to_string().contains("deleted_at"));
    let openapi = writer.get(&format!("{route}/openapi.json")).await.expect(200).json();
    assert!(openapi["openapi"].as_str().unwrap().starts_with("3.1"));
    assert!(openapi["paths"][&route]["post"].is_object(), "{openapi}");
    let listed = writer.get("/api").await.expect(200).data();
    assert!(listed.to_string().contains(&domain.schema("order")), "{listed}");
    let stranger = server.actor("sam", &["nobody"]);
    assert!(!stranger.get("/api").await.expect(200).text.contains(&domain.schema("order")));
}

/// The check that other tests rely on is itself checked.
#[tokio::test]
async fn what_is_done_behind_the_triggers_back_is_noticed() {
    let (server, domain, route) = orders().await;
    let table = domain.table("order");
    let writer = server.actor("ravi", &["writer"]);
    for n in 0..3 {
        writer.post(&route, &json!({"id": format!("O-{n}"), "customer": "ada"})).await.expect(201);
        writer.patch(&format!("{route}/O-{n}"), &json!({"customer": "eve"})).await.expect(200);
    }
    let sql = server.sql().await;
    assert_eq!(untampered(&sql, &table).await, (3, 6));
    for tamper in [
        format!("update {table}_history set actor = 'nobody' where record_id = 'O-1' and version = 1"),
        format!("update {table}_history set state = '{{}}' where record_id = 'O-1' and version = 2"),
        format!("delete from {table}_history where record_id = 'O-1' and version = 1"),
        format!("delete from {table}_history where record_id = 'O-1' and version = 2"),
        format!("delete from {table} where id = 'O-1'"),
        format!("update {table} set version = 3 where id = 'O-1'"),
        format!(
            r#"insert into {table} select (jsonb_populate_record(known, '{{"id": "O-9"}}')).* from {table} known
               where id = 'O-1'"#
        ),
    ] {
        let client = server.sql().await;
        client.batch_execute("set session_replication_role = replica; begin").await.unwrap();
        client.batch_execute(&tamper).await.unwrap();
        let (found, ..) = tampering(&client, &table, &format!("{table}_history")).await;
        assert_ne!(found, (0, 0), "{tamper}");
        client.batch_execute("rollback").await.unwrap();
    }
    assert_eq!(untampered(&sql, &table).await, (3, 6));
}
