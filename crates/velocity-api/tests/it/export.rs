//! All records, streamed.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use velocity_api::{Config, RequestConfig};

use crate::app::{App, ORDERS};

async fn fill(app: &App, count: usize) {
    let note = "x".repeat(200);
    for batch in (0..count).collect::<Vec<_>>().chunks(5000) {
        let operations: Vec<Value> = batch
            .iter()
            .map(|n| json!({ "create": { "code": format!("C{n:06}"), "amount": n, "note": note } }))
            .collect();
        app.as_writer().post("/bulk", &json!({ "mode": "import", "operations": operations })).await.is(200);
    }
}

#[tokio::test]
async fn an_export_has_every_record_in_either_format() {
    let app = App::new().await;
    fill(&app, 1200).await;
    let admin = app.as_roles(&["admin", "reader"]);
    let lines = admin.get("/export?sort=code").await.is(200);
    assert_eq!(lines.header("content-type"), "application/x-ndjson");
    assert_eq!(lines.body.lines().count(), 1200);
    let last: Value = serde_json::from_str(lines.body.lines().last().unwrap()).unwrap();
    assert_eq!(last["code"], "C001199");

    let csv = admin.get("/export?format=csv&fields=code,amount,note&filter[code][lt]=C000002").await.is(200);
    assert!(csv.header("content-type").starts_with("text/csv"));
    let note = "x".repeat(200);
    assert_eq!(csv.body, format!("code,amount,note\r\nC000000,0.00,{note}\r\nC000001,1.00,{note}\r\n"));
    let by_header =
        admin.clone().header("Accept", "text/csv").get("/export?fields=code&filter[code]=none").await.is(200);
    assert_eq!(by_header.body, "code\r\n");
}

#[tokio::test]
async fn what_only_pages_have_is_refused_and_failures_at_the_start_are_problems() {
    let app = App::new().await;
    let admin = app.as_roles(&["admin"]);
    for query in ["limit=1", "cursor=x", "offset=1", "count=exact", "format=xml", "format=parquet"] {
        admin.get(&format!("/export?{query}")).await.is_problem(400, "MALFORMED_REQUEST");
    }
    admin.get("/export?filtr[code]=1").await.is_problem(400, "VALIDATION_ERROR");
    admin.clone().header("Accept", "image/png").get("/export").await.is_problem(406, "NOT_ACCEPTABLE");
    let owner = app.database.owner().await;
    let table = velocity_sql::names::TableNames::of(app.schema.path()).table_sql().inline();
    owner.batch_execute(&format!("drop table {table} cascade")).await.unwrap();
    admin.get("/export").await.is_problem(503, "SCHEMA_NOT_READY");
}

#[tokio::test]
async fn a_client_that_stops_reading_gives_its_place_back() {
    let requests = RequestConfig {
        max_exports: 1,
        export_stall_timeout: Duration::from_millis(200),
        ..RequestConfig::default()
    };
    let app = App::with(ORDERS, Config { requests, ..Config::default() }).await;
    fill(&app, 30_000).await;
    // A small buffer, so that the kernel does not read on in the client's place.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut stalled = socket.connect(app.address).await.unwrap();
    let token = app.token("ravi", &["admin"], &json!({}));
    let head = format!(
        "GET {}/export HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer {token}\r\n\r\n",
        app.endpoint()
    );
    stalled.write_all(head.as_bytes()).await.unwrap();
    let mut start = [0; 64];
    stalled.read_exact(&mut start).await.unwrap();
    assert!(start.starts_with(b"HTTP/1.1 200"));
    let refused = app.as_roles(&["admin"]).get("/export").await;
    refused.is_problem(503, "POSTGRES_UNAVAILABLE");
    assert_eq!(refused.header("retry-after"), "1");
    let given_back = async {
        while app.as_roles(&["admin"]).get("/export?filter[code]=none").await.status != 200 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(30), given_back).await.is_ok(), "the place comes back");
    // What the stalled client gets when it reads on must not look like the whole.
    let mut rest = Vec::new();
    let ended = tokio::time::timeout(Duration::from_secs(30), stalled.read_to_end(&mut rest)).await.unwrap();
    assert!(ended.is_err() || !rest.ends_with(b"\r\n0\r\n\r\n"), "a cut export ends like a whole one");
}

#[tokio::test]
async fn a_client_that_leaves_in_the_middle_leaves_nothing_behind() {
    let app = App::new().await;
    fill(&app, 20_000).await;
    for _ in 0..20 {
        let mut leaver = tokio::net::TcpStream::connect(app.address).await.unwrap();
        let token = app.token("ravi", &["admin"], &json!({}));
        let head = format!(
            "GET {}/export HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\r\n",
            app.endpoint()
        );
        leaver.write_all(head.as_bytes()).await.unwrap();
        let mut start = [0; 16];
        leaver.read_exact(&mut start).await.unwrap();
        drop(leaver);
    }
    let whole = async {
        loop {
            let reply = app.as_roles(&["admin"]).get("/export").await;
            if reply.status == 200 {
                return reply.body.lines().count();
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    assert_eq!(tokio::time::timeout(Duration::from_secs(30), whole).await.unwrap(), 20_000);
}
