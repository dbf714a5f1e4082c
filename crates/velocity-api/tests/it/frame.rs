//! What every request has: its id, its problem, its headers, its limits, its metrics.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use velocity_api::{Config, RequestConfig};
use velocity_store::wire::ExclusiveLimits;
use velocity_testkit::{PLATFORM, TestDatabase};

use crate::app::{App, ORDERS};

#[tokio::test]
async fn an_id_is_echoed_or_made_and_the_headers_protect() {
    let app = App::new().await;
    let echoed = app.as_writer().header("X-Request-ID", "abc").get("").await.is(200);
    assert_eq!(echoed.header("x-request-id"), "abc");
    assert_eq!(
        (echoed.header("x-content-type-options"), echoed.header("cache-control")),
        ("nosniff", "no-store")
    );
    let made = app.as_writer().header("X-Request-ID", &"x".repeat(200)).get("").await;
    assert_eq!(made.header("x-request-id").len(), 36);
}

#[tokio::test]
async fn http_2_is_spoken_without_an_upgrade() {
    let app = App::new().await;
    let client = reqwest::Client::builder().http2_prior_knowledge().build().unwrap();
    let token = app.token("ravi", &["writer"], &json!({}));
    let ask = || client.get(format!("{}{}", app.base, app.endpoint())).bearer_auth(&token).send();
    for reply in futures::future::join_all((0..20).map(|_| ask())).await {
        let reply = reply.unwrap();
        assert_eq!((reply.status().as_u16(), reply.version()), (200, reqwest::Version::HTTP_2));
    }
}

#[tokio::test]
async fn connections_over_the_limit_wait_for_their_turn() {
    let connections =
        velocity_api::ConnectionConfig { max_connections: 1, ..velocity_api::ConnectionConfig::default() };
    let app = App::with(ORDERS, Config { connections, ..Config::default() }).await;
    let first = tokio::net::TcpStream::connect(app.address).await.unwrap();
    let mut second = tokio::net::TcpStream::connect(app.address).await.unwrap();
    second.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    let early = tokio::time::timeout(Duration::from_millis(200), second.read_buf(&mut answer)).await;
    assert!(early.is_err(), "{early:?}");
    drop(first);
    second.read_to_end(&mut answer).await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 200"));
}

#[tokio::test]
async fn a_wrong_method_names_the_right_ones_and_an_unknown_route_is_a_problem() {
    let app = App::new().await;
    let client = app.as_anyone();
    let wrong = client.delete("").await;
    wrong.is_problem(405, "METHOD_NOT_ALLOWED");
    let mut allowed: Vec<&str> = wrong.header("allow").split(',').map(str::trim).collect();
    allowed.sort_unstable();
    assert_eq!(allowed, ["GET", "HEAD", "POST"]);
    client.get("/a/b/c").await.is_problem(404, "ROUTE_NOT_FOUND");
    app.anonymous().get("//nothing").await.is_problem(404, "ROUTE_NOT_FOUND");
    for (method, tail) in [
        (Method::POST, "/query"),
        (Method::POST, "/search"),
        (Method::GET, "/changes"),
        (Method::GET, "//platform/audit"),
    ] {
        let problem = client.send(method, tail, None).await.is_problem(404, "ROUTE_NOT_FOUND");
        assert!(problem["detail"].as_str().unwrap().contains("not there yet"), "{problem}");
    }
}

#[tokio::test]
async fn head_answers_as_get_without_the_body() {
    let app = App::new().await;
    let client = app.as_writer();
    let path = format!("/{}", client.order("A", "1", None).await);
    let (head, get) = (client.send(Method::HEAD, &path, None).await, client.get(&path).await);
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    assert_eq!(
        (head.header("etag"), head.header("content-length")),
        (get.header("etag"), get.header("content-length"))
    );
    let missing = client.send(Method::HEAD, "/x", None).await;
    assert_eq!((missing.status, missing.body.as_str()), (400, ""));
}

#[tokio::test]
async fn a_body_of_another_type_is_refused_and_a_merge_patch_is_taken() {
    let app = App::new().await;
    let client = app.as_writer();
    let path = format!("/{}", client.order("A", "1", None).await);
    let typed = |kind: &str| client.clone().header("Content-Type", kind);
    typed("text/plain").post("", &json!({})).await.is_problem(415, "UNSUPPORTED_MEDIA_TYPE");
    typed("application/merge-patch+json")
        .post("", &json!({}))
        .await
        .is_problem(415, "UNSUPPORTED_MEDIA_TYPE");
    typed("application/merge-patch+json").patch(&path, &json!({ "note": "x" })).await.is(200);
    client
        .clone()
        .header("Content-Encoding", "gzip")
        .post("", &json!({}))
        .await
        .is_problem(415, "UNSUPPORTED_MEDIA_TYPE");
}

#[tokio::test]
async fn misspelt_headers_of_ours_are_refused() {
    let app = App::new().await;
    for name in ["X-Raeson", "Idempotence-Key", "X-Velocity-Consistency"] {
        app.as_writer().header(name, "v").get("").await.is_problem(400, "MALFORMED_REQUEST");
    }
    let repeated = app.as_writer().header("Idempotency-Key", "a").header("Idempotency-Key", "b");
    repeated.post("", &json!({ "code": "A", "amount": 1 })).await.is_problem(400, "MALFORMED_REQUEST");
}

#[tokio::test]
async fn large_answers_are_compressed_for_those_who_ask_and_small_ones_are_not() {
    let app = App::new().await;
    let client = app.as_writer();
    for n in 0..20 {
        client.order(&format!("A{n}"), "1", None).await;
    }
    for encoding in ["gzip", "zstd"] {
        let asking = client.clone().header("Accept-Encoding", encoding);
        let reply = asked_raw(&app, encoding).await;
        assert!(reply.contains(&format!("content-encoding: {encoding}")), "{reply}");
        assert_eq!(asking.get("//healthz").await.header("content-encoding"), "");
    }
    assert!(!asked_raw(&app, "identity").await.contains("content-encoding"));
}

/// The head of the answer to a list.
async fn asked_raw(app: &App, encoding: &str) -> String {
    let token = app.token("ravi", &["writer"], &json!({}));
    let mut stream = tokio::net::TcpStream::connect(app.address).await.unwrap();
    let head = format!(
        "GET {} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\naccept-encoding: {encoding}\r\nconnection: close\r\n\r\n",
        app.endpoint()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let text = String::from_utf8_lossy(&answer);
    text.split("\r\n\r\n").next().unwrap().to_ascii_lowercase()
}

#[tokio::test]
async fn the_reason_that_a_schema_demands_is_asked_for() {
    let spec = format!("{ORDERS}audit: {{ requireReason: [update, delete], reasonPattern: '.{{10,}}' }}\n");
    let app = App::with(&spec, Config::default()).await;
    let client = app.as_anyone();
    let path = format!("/{}", client.order("A", "1", None).await);
    client.patch(&path, &json!({ "note": "x" })).await.is_problem(400, "AUDIT_REASON_REQUIRED");
    let short = client
        .clone()
        .header("X-Reason", "because")
        .delete(&path)
        .await
        .is_problem(400, "AUDIT_REASON_REQUIRED");
    assert!(short["detail"].as_str().unwrap().contains(".{10,}"), "{short}");
    client.patch(&path, &json!({ "note": "x", "reason": "the customer called" })).await.is(200);
    let in_body = Some(json!({ "reason": "ordered by mistake" }).to_string());
    client.send(Method::DELETE, &path, in_body).await.is(204);
    let reasons: Vec<String> = client
        .get(&format!("{path}/history"))
        .await
        .data()
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["reason"].to_string())
        .collect();
    assert_eq!(reasons, ["\"ordered by mistake\"", "\"the customer called\"", "null"]);
}

#[tokio::test]
async fn a_statement_that_takes_too_long_is_504() {
    let requests =
        RequestConfig { statement_timeout: Duration::from_millis(300), ..RequestConfig::default() };
    let app = App::with(ORDERS, Config { requests, ..Config::default() }).await;
    let client = app.as_writer();
    let path = format!("/{}", client.order("A", "1", None).await);
    let mut owner = app.database.owner().await;
    let locked = owner.transaction().await.unwrap();
    let table = velocity_sql::names::TableNames::of(app.schema.path()).table_sql().inline();
    locked.batch_execute(&format!("select * from {table} for update")).await.unwrap();
    client.patch(&path, &json!({ "note": "x" })).await.is_problem(504, "QUERY_TIMEOUT");
    locked.rollback().await.unwrap();
    client.patch(&path, &json!({ "note": "x" })).await.is(200);
}

#[tokio::test]
async fn readiness_waits_for_the_first_sync_and_the_database() {
    let database = TestDatabase::create_from(&PLATFORM).await;
    let app = App::starting(database, ORDERS, Config::default(), ExclusiveLimits::default()).await;
    let waiting = app.anonymous().get("//readyz").await.is(503).json();
    assert_eq!(waiting["missing"], json!(["schemas", "strategies", "bindings"]));
    // Neither 404 nor 401 can be said of what is not known yet.
    let early = app.as_writer().get("").await;
    assert!(early.header("retry-after").parse::<u32>().is_ok());
    early.is_problem(503, "SCHEMA_NOT_READY");
    app.anonymous().get("//auth/whoami").await.is_problem(503, "SCHEMA_NOT_READY");
    let version = app.anonymous().get("//version").await.is(200).json();
    assert_eq!(version["name"], "velocityd");
}

#[tokio::test]
async fn requests_under_way_are_answered_when_the_server_stops() {
    let mut app = App::new().await;
    let path = format!("/{}", app.as_writer().order("A", "1", None).await);
    let mut owner = app.database.owner().await;
    let locked = owner.transaction().await.unwrap();
    let table = velocity_sql::names::TableNames::of(app.schema.path()).table_sql().inline();
    locked.batch_execute(&format!("select * from {table} for update")).await.unwrap();
    let token = app.token("ravi", &["writer"], &json!({}));
    let url = format!("{}{}{path}", app.base, app.endpoint());
    let patch = reqwest::Client::new().patch(url).bearer_auth(token).json(&json!({ "note": "x" })).send();
    let under_way = tokio::spawn(patch);
    // Until the statement waits for the lock, the request is not certain to have arrived.
    let watcher = app.database.owner().await;
    while watcher.query("select 1 from pg_locks where not granted", &[]).await.unwrap().is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    app.begin_shutdown();
    locked.rollback().await.unwrap();
    assert_eq!(under_way.await.unwrap().unwrap().status(), 200);
    app.served.take().unwrap().await.unwrap();
    assert!(tokio::net::TcpStream::connect(app.address).await.is_err());
}

#[tokio::test]
async fn metrics_are_on_a_port_of_their_own_and_name_no_tenant() {
    let app = App::new().await;
    app.as_writer().get("").await.is(200);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/metrics", listener.local_addr().unwrap());
    let serving =
        tokio::spawn(velocity_api::serve_metrics(listener, app.metrics.clone(), std::future::pending()));
    let text = reqwest::get(url).await.unwrap().text().await.unwrap();
    serving.abort();
    assert!(text.contains(r#"operation="list",status="2xx"} 1"#), "{text}");
    assert!(text.contains("\nvelocity_pool_connections_created_total{lane=\"mux\"}"), "{text}");
    assert!(text.ends_with("# EOF\n") && !text.contains("acme"), "{text}");
    app.anonymous().get("//metrics").await.is_problem(404, "ROUTE_NOT_FOUND");
}
