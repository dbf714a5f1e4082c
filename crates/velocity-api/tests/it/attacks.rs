//! Requests that mean harm.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use velocity_api::{Config, ConnectionConfig, RequestConfig};

use crate::app::{App, ORDERS, Reply};

#[tokio::test]
async fn a_body_of_eleven_mib_is_413_announced_or_chunked() {
    let app = App::new().await;
    let body = format!("{{\"code\":\"{}\"}}", "x".repeat(11 * 1024 * 1024));
    // The whole of it is sent before the answer is read, as most clients do.
    app.as_writer().send(Method::POST, "", Some(body.clone())).await.is_problem(413, "PAYLOAD_TOO_LARGE");
    let chunks: Vec<_> =
        body.as_bytes().chunks(65_536).map(|c| Ok::<_, std::io::Error>(c.to_vec())).collect();
    let chunked = reqwest::Client::new()
        .post(format!("{}{}", app.base, app.endpoint()))
        .bearer_auth(app.token("ravi", &["writer"], &json!({})))
        .header("content-type", "application/json")
        .body(reqwest::Body::wrap_stream(futures::stream::iter(chunks)))
        .send()
        .await
        .unwrap();
    assert_eq!(chunked.status(), 413);
    let expecting = raw_post(&app, "content-length: 11534336\r\nexpect: 100-continue\r\n", b"").await;
    assert!(expecting.starts_with("HTTP/1.1 413") && expecting.contains("PAYLOAD_TOO_LARGE"), "{expecting}");
    app.as_writer().get("").await.is(200);
}

#[tokio::test]
async fn a_refusal_arrives_though_the_client_still_sends() {
    let app = App::new().await;
    let (reader, writer) =
        (app.token("ravi", &["reader"], &json!({})), app.token("ravi", &["writer"], &json!({})));
    let body = format!("{{\"code\":\"{}\"}}", "x".repeat(11 * 1024 * 1024));
    for (token, kind, status) in [
        ("a.b.c", "application/json", 401),
        (&*reader, "application/json", 403),
        (&*writer, "text/plain", 415),
        (&*writer, "application/json", 413),
    ] {
        let head = format!(
            "POST {} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n",
            app.endpoint(),
            body.len()
        );
        let mut stream = TcpStream::connect(app.address).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        // Not a byte is read before all is sent, as the plainest of clients do it.
        let sent = stream.write_all(body.as_bytes()).await;
        assert!(sent.is_ok(), "{status}: {sent:?}");
        let answer = answer_of(&mut stream).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{status}: {answer}");
        // The connection is as good as new.
        stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        assert!(answer_of(&mut stream).await.starts_with("HTTP/1.1 200"), "{status}");
    }
}

#[tokio::test]
async fn whoever_sends_without_end_is_cut_off() {
    let app = App::new().await;
    let token = app.token("ravi", &["reader"], &json!({}));
    let mut stream = TcpStream::connect(app.address).await.unwrap();
    let head = format!(
        "POST {} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\ntransfer-encoding: chunked\r\n\r\n",
        app.endpoint()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let chunk = format!("10000\r\n{}\r\n", "x".repeat(65_536));
    let endless = async { while stream.write_all(chunk.as_bytes()).await.is_ok() {} };
    let ended = tokio::time::timeout(Duration::from_secs(40), endless).await;
    assert!(ended.is_ok(), "the server reads for ever");
}

/// Sends a head with these headers and `body`, and reads until the server closes or answers.
async fn raw_post(app: &App, headers: &str, body: &[u8]) -> String {
    let token = app.token("ravi", &["writer"], &json!({}));
    let head = format!(
        "POST {} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\n{headers}\r\n",
        app.endpoint()
    );
    let mut stream = TcpStream::connect(app.address).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(body).await.unwrap();
    answer_of(&mut stream).await
}

/// What comes until the server closes or says nothing more for a while.
async fn answer_of(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let mut part = [0; 4096];
    while let Ok(Ok(read @ 1..)) = tokio::time::timeout(Duration::from_secs(2), stream.read(&mut part)).await
    {
        answer.extend_from_slice(&part[..read]);
        let text = String::from_utf8_lossy(&answer);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| {
                line.to_ascii_lowercase()
                    .strip_prefix("content-length: ")
                    .and_then(|n| n.parse::<usize>().ok())
            });
            if length.is_some_and(|length| body.len() >= length) {
                break;
            }
        }
    }
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn a_hundred_thousand_levels_of_json_cost_no_stack() {
    let app = App::new().await;
    for nested in ["[", "{\"a\":"] {
        for wrap in ["", "{\"code\":\"A\",\"amount\":1,\"address\":"] {
            let body = format!("{wrap}{}", nested.repeat(100_000));
            app.as_writer().send(Method::POST, "", Some(body)).await.is_problem(400, "MALFORMED_REQUEST");
        }
    }
    let deep = format!("{{\"operations\":[{{\"create\":{}", "[".repeat(100_000));
    app.as_anyone().send(Method::POST, "/bulk", Some(deep)).await.is_problem(400, "MALFORMED_REQUEST");
    app.as_writer().get("").await.is(200);
}

#[tokio::test]
async fn two_lengths_or_a_length_and_chunks_never_smuggle_a_request() {
    let app = App::new().await;
    let hidden = format!("GET {} HTTP/1.1\r\nhost: x\r\n\r\n", app.endpoint());
    let chunked = format!("0\r\n\r\n{hidden}");
    for headers in [
        "content-length: 2\r\ncontent-length: 3\r\n",
        "content-length: 2, 3\r\n",
        "content-length: -1\r\n",
        "content-length: +2\r\n",
        "content-length: 0x2\r\n",
        "transfer-encoding: chunked, identity\r\n",
        "transfer-encoding: xchunked\r\n",
        "bad header: x\r\n",
        " folded: x\r\n",
        "x-null: a\0b\r\n",
    ] {
        let answer = raw_post(&app, headers, chunked.as_bytes()).await;
        let answers = answer.matches("HTTP/1.1 ").count();
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400"), "{headers}: {answer}");
        assert!(answers <= 1, "{headers}: {answer}");
    }
    // A length beside chunks: the chunks count (RFC 9112, 6.3), and what follows is never run as the caller.
    let both =
        raw_post(&app, "content-length: 4\r\ntransfer-encoding: chunked\r\n", chunked.as_bytes()).await;
    assert!(!both.contains("HTTP/1.1 200"), "{both}");
    app.as_writer().get("").await.is(200);
}

#[tokio::test]
async fn a_client_that_never_ends_its_head_is_cut_off() {
    let connections =
        ConnectionConfig { header_read_timeout: Duration::from_millis(200), ..ConnectionConfig::default() };
    let app = App::with(ORDERS, Config { connections, ..Config::default() }).await;
    let mut slow = TcpStream::connect(app.address).await.unwrap();
    slow.write_all(b"GET /healthz HTTP/1.1\r\nx-slow: ").await.unwrap();
    let dripping = async {
        let mut end = [0; 64];
        loop {
            tokio::select! {
                read = slow.read(&mut end) => match read {
                    Ok(0) | Err(_) => return,
                    Ok(_) => {}
                },
                () = tokio::time::sleep(Duration::from_millis(20)) => {}
            }
            let _ = slow.write_all(b"a").await;
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(10), dripping).await.is_ok(), "the server closes");
    app.anonymous().get("//healthz").await.is(200);
}

#[tokio::test]
async fn a_client_that_never_ends_its_body_is_told_off() {
    let requests = RequestConfig { body_timeout: Duration::from_millis(200), ..RequestConfig::default() };
    let app = App::with(ORDERS, Config { requests, ..Config::default() }).await;
    let answer = raw_post(&app, "content-length: 100\r\n", b"{\"code\":").await;
    assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("did not arrive"), "{answer}");
}

#[tokio::test]
async fn a_head_without_end_is_refused() {
    let app = App::new().await;
    let mut stream = TcpStream::connect(app.address).await.unwrap();
    let head = format!("GET /healthz HTTP/1.1\r\nhost: x\r\nx-long: {}\r\n\r\n", "a".repeat(200_000));
    let _ = stream.write_all(head.as_bytes()).await;
    let answer = answer_of(&mut stream).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer}");
    let many = "x-one: a\r\n".repeat(500);
    let mut stream = TcpStream::connect(app.address).await.unwrap();
    let _ = stream.write_all(format!("GET /healthz HTTP/1.1\r\nhost: x\r\n{many}\r\n").as_bytes()).await;
    let answer = answer_of(&mut stream).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer}");
}

#[tokio::test]
async fn paths_play_no_tricks() {
    let app = App::new().await;
    let client = app.as_writer();
    let path = app.schema.path();
    let (domain, object) = (path.domain.as_str(), path.object.as_str());
    for (tail, status) in [
        (format!("/api/acme/shop/{domain}/../{domain}/{object}/v1"), 404),
        (format!("/api/acme/shop/{domain}%2F{object}/v1"), 404),
        (format!("/api/acme/shop/{domain}/{object}/v1/%2e%2e%2f%2e%2e"), 400),
        (format!("/api/acme/shop/{domain}/{object}/v1/"), 404),
        (format!("/api//acme/shop/{domain}/{object}/v1"), 404),
        (format!("/API/acme/shop/{domain}/{object}/v1"), 404),
        (format!("/api/acme/shop/{domain}/{}/v1", object.to_uppercase()), 404),
        (format!("/api/acme/shop/{domain}/{object}/v01"), 404),
        (format!("/api/acme/shop/{domain}/{object}/v1/{}", "x".repeat(10_000)), 400),
        (format!("/api/acme/shop/{domain}/{object}/v1/%F0%9F%92%A9"), 400),
        (format!("/api/acme/shop/{domain}/{object}/v1/%ff"), 400),
        (format!("/api/acme/shop/{domain}/{object};v=1/v1"), 404),
    ] {
        let mut stream = TcpStream::connect(app.address).await.unwrap();
        let token = app.token("ravi", &["writer"], &json!({}));
        let head = format!(
            "GET {tail} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\nconnection: close\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let answer = answer_of(&mut stream).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{tail}: {answer}");
        assert!(answer.len() < 3000, "{}: an error as long as the attack", answer.len());
    }
    client.get("").await.is(200);
}

const NOTES: &str = r"
org: acme
app: shop
domain: DOMAIN
object: note
version: v1
fields:
  - { name: id, type: string }
  - { name: text, type: string }
access: { roles: { create: [writer], read: [writer], update: [writer], delete: [writer] } }
";

#[tokio::test]
async fn an_id_may_hold_any_text_and_is_found_under_its_location() {
    let app = App::with(NOTES, Config::default()).await;
    let client = app.as_writer();
    for id in
        ["a/b", "..", "a b", "é💩", "%2F", "a?b#c", "'; drop table x; --", "\"quoted\"", "bulk", "<script>"]
    {
        let created = client.post("", &json!({ "id": id, "text": "t" })).await.is(201);
        let location = format!("/{}", created.header("location"));
        // Not through a URL library, which would resolve `..`.
        let mut stream = TcpStream::connect(app.address).await.unwrap();
        let token = app.token("ravi", &["writer"], &json!({}));
        let location = if id == "bulk" { location.replace("/bulk", "/%62ulk") } else { location };
        let head = format!(
            "GET {} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\nconnection: close\r\n\r\n",
            &location[1..]
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let answer = answer_of(&mut stream).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{id}: {answer}");
    }
    client.get(&format!("/{}", "x".repeat(10_000))).await.is_problem(404, "ENTITY_NOT_FOUND");
    // Random, so that no compression makes it fit an index.
    let long: String = (0..400).map(|_| uuid::Uuid::new_v4().simple().to_string()).collect();
    let refused =
        client.post("", &json!({ "id": long, "text": "t" })).await.is_problem(400, "VALIDATION_ERROR");
    assert_eq!(refused["errors"][0]["rule"], "maxLength", "{refused}");
}

#[tokio::test]
async fn a_client_that_goes_away_leaves_the_connection_to_the_next_as_it_was() {
    let exclusive = velocity_store::wire::ExclusiveLimits {
        connections: 1,
        ..velocity_store::wire::ExclusiveLimits::default()
    };
    let app = App::build(ORDERS, Config::default(), exclusive).await;
    let path = format!("/{}", app.as_writer().order("W", "1", Some("west")).await);
    let mut owner = app.database.owner().await;
    let locked = owner.transaction().await.unwrap();
    let table = velocity_sql::names::TableNames::of(app.schema.path()).table_sql().inline();
    locked.batch_execute(&format!("select * from {table} for update")).await.unwrap();
    let token = app.token("boss", &["platform-admin"], &json!({}));
    let body = r#"{"note":"left behind"}"#;
    let head = format!(
        "PATCH {}{path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        app.endpoint(),
        body.len()
    );
    let mut leaver = TcpStream::connect(app.address).await.unwrap();
    leaver.write_all(head.as_bytes()).await.unwrap();
    let watcher = app.database.owner().await;
    while watcher.query("select 1 from pg_locks where not granted", &[]).await.unwrap().is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    drop(leaver);
    locked.rollback().await.unwrap();
    // The only connection of the lane served an administrator; the next caller is nobody special.
    let regional = app.as_actor("mia", &["regional"], &json!({ "region": "east" }));
    regional.patch(&path, &json!({ "note": "mine" })).await.is_problem(404, "ENTITY_NOT_FOUND");
    let created = app.as_writer().post("", &json!({ "code": "N", "amount": 1 })).await.is(201);
    assert_eq!(created.data()["created_by"], "ravi");
}

#[tokio::test]
async fn a_powerful_login_is_refused_at_the_start() {
    let app = App::new().await;
    let opened = velocity_api::Database::open(
        app.database.owner_url(),
        velocity_store::wire::MuxLimits::default(),
        velocity_store::wire::ExclusiveLimits::default(),
        velocity_sql::query::CursorKey::new([0; 32]),
        velocity_schema::schema::MaskKey::new([0; 32]),
    )
    .await;
    assert!(matches!(opened, Err(velocity_api::OpenError::PowerfulLogin(_))), "{opened:?}");
}

/// Whether a taken id belongs to a record that is hidden, deleted or of somebody else's, is nobody's business.
#[tokio::test]
async fn a_taken_id_tells_nothing_of_the_record_that_has_it() {
    let spec = NOTES.replace(
        "access: { roles: { create: [writer], read: [writer], update: [writer], delete: [writer] } }",
        "access:\n  roles: { create: [writer, own], read: [writer, own], update: [writer, own], delete: [writer, own] }\n  \
         rowFilter:\n    - { role: own, condition: record.created_by == actor.id }",
    );
    let app = App::with(&spec, Config::default()).await;
    let writer = app.as_actor("wim", &["writer"], &json!({}));
    for id in ["hidden", "gone"] {
        writer.post("", &json!({ "id": id, "text": "secret" })).await.is(201);
    }
    writer.delete("/gone").await.is(204);
    let own = app.as_actor("olga", &["own"], &json!({}));
    let same = |one: &Reply, other: &Reply| {
        let words = |reply: &Reply| {
            let mut said = reply.json();
            for member in ["requestId", "instance"] {
                said.as_object_mut().map(|said| said.remove(member));
            }
            said.to_string().replace("hidden", "gone")
        };
        assert_eq!((one.status, words(one)), (other.status, words(other)));
    };
    let body = json!({ "text": "mine" });
    same(&own.put("/hidden", &body).await, &own.put("/gone", &body).await);
    let tagged = own.clone().header("If-Match", "*");
    same(&tagged.put("/hidden", &body).await, &tagged.put("/none", &body).await);
    let absent = own.clone().header("If-None-Match", "*");
    same(&absent.put("/hidden", &body).await, &absent.put("/gone", &body).await);
    for (operation, atomic) in [("create", true), ("create", false), ("upsert", true), ("upsert", false)] {
        for rule in ["fail", "skip", "update"] {
            let request = |id: &str| json!({ "atomic": atomic, "onConflict": rule, "operations": [{ operation: { "id": id, "text": "mine" } }] });
            same(&own.post("/bulk", &request("hidden")).await, &own.post("/bulk", &request("gone")).await);
        }
    }
    for tail in ["/hidden", "/hidden/history", "/hidden/undelete"] {
        let free = tail.replace("hidden", "none");
        match tail {
            "/hidden/undelete" => same(&own.post(tail, &json!({})).await, &own.post(&free, &json!({})).await),
            _ => same(&own.get(tail).await, &own.get(&free).await),
        }
    }
    same(&own.patch("/hidden", &body).await, &own.patch("/none", &body).await);
    same(&own.delete("/hidden").await, &own.delete("/none").await);
    let kept = writer.get("/hidden").await.is(200).data();
    assert_eq!((&kept["text"], &kept["version"]), (&json!("secret"), &json!(1)));
}
