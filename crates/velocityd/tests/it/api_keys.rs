//! `velocity api-key` on a server: what keys open, and when they stop.

use serde_json::{Value, json};

use crate::harness::{Cli, Domain, Reply, Server, eventually, send};

const BOOK: &str = "
fields:
  - {name: title, type: string, required: true, filterable: true}
  - {name: pages, type: integer}
access:
  roles:
    create: [writer]
    read: [writer, reader]
    update: [writer]
    export: [writer]
";

/// A request with a key instead of a token.
async fn with_key(
    server: &Server,
    key: &str,
    method: reqwest::Method,
    path: &str,
    body: Option<&Value>,
) -> Reply {
    let mut request = server.bearer(None).request(method, path).header("x-api-key", key);
    if let Some(body) = body {
        request = request.json(body);
    }
    send(request).await
}

async fn get(server: &Server, key: &str, path: &str) -> Reply {
    with_key(server, key, reqwest::Method::GET, path, None).await
}

/// Makes a key; its id and itself.
async fn create(cli: &Cli, options: &[&str]) -> (String, String) {
    let mut words = vec!["api-key", "create", "-o", "json"];
    words.extend(options);
    let made = cli.run(&words).await.json();
    let text = |member: &str| made[member].as_str().unwrap().to_owned();
    (text("id"), text("key"))
}

#[tokio::test]
async fn a_key_opens_what_it_is_for_and_nothing_else() {
    let server = Server::shared().await;
    let domain = Domain::new(server);
    let cli = server.cli();
    domain.apply("book", BOOK).await;
    domain.apply("shelf", BOOK).await;
    let (route, shelf) = (domain.route("book"), domain.route("shelf"));
    let writer = server.actor("w", &["writer"]);
    writer.post(&route, &json!({"title": "t", "pages": 3})).await.expect(201);

    let (_, whole) = create(&cli, &["--actor", "sync-k1", "--roles", "writer"]).await;
    assert!(whole.starts_with("vel_"), "{whole}");
    let post = async |key: &str, path: &str| {
        with_key(server, key, reqwest::Method::POST, path, Some(&json!({"title": "by key"}))).await
    };
    let made = post(&whole, &route).await.expect(201).data();
    assert_eq!(made["created_by"], "sync-k1");

    let scope = format!("{}:read:id,title", domain.schema("book"));
    let (_, narrow) = create(&cli, &["--actor", "report-k1", "--roles", "writer", "--scope", &scope]).await;
    let seen = get(server, &narrow, &route).await.expect(200).data();
    assert!(seen[0].get("title").is_some() && seen[0].get("pages").is_none(), "{seen}");
    for (what, reply) in [
        ("another operation", post(&narrow, &route).await),
        ("another schema", get(server, &narrow, &shelf).await),
        ("a field outside", get(server, &narrow, &format!("{route}?fields=pages")).await),
    ] {
        assert_eq!(reply.status, 403, "{what}: {reply:#?}");
    }
    let mut altered = narrow.clone();
    let last = altered.pop().unwrap();
    altered.push(if last == 'a' { 'b' } else { 'a' });
    assert_eq!(get(server, &altered, &route).await.problem(401), "AUTH_INVALID_TOKEN");
    assert_eq!(get(server, "nonsense", &route).await.status, 401);
}

#[tokio::test]
async fn a_key_is_shown_once_and_its_rotation_overlaps() {
    let server = Server::shared().await;
    let domain = Domain::new(server);
    let cli = server.cli();
    domain.apply("book", BOOK).await;
    let route = domain.route("book");
    let scope = format!("{}:read", domain.schema("book"));
    let (id, key) = create(
        &cli,
        &["--actor", "sync-k2", "--roles", "reader", "--scope", &scope, "--expires", "90d", "--name", "sync"],
    )
    .await;
    get(server, &key, &route).await.expect(200);
    let all = cli.run(&["api-key", "list", "--actor", "sync-k2", "-o", "json"]).await.ok();
    assert!(all.contains(&id) && !all.contains(&key) && all.contains("expiresAt"), "{all}");
    let page = cli.run(&["api-key", "list", "--actor", "sync-k2"]).await.ok();
    assert!(page.contains("active") && page.contains(&scope), "{page}");

    let rotated = cli.run(&["api-key", "rotate", &id, "-o", "json"]).await.json();
    let (second_id, second) = (rotated["id"].as_str().unwrap(), rotated["key"].as_str().unwrap());
    assert!(
        second_id != id && second != key && rotated["scopes"][0]["operations"] == json!(["read"]),
        "{rotated}"
    );
    get(server, second, &route).await.expect(200);
    get(server, &key, &route).await.expect(200);
    let page = cli.run(&["api-key", "list", "--actor", "sync-k2"]).await.ok();
    assert!(page.contains("rotated, ends "), "{page}");

    // Without an overlap the one before is out at once, everywhere.
    let third = cli.run(&["api-key", "rotate", second_id, "--overlap", "0s", "-o", "name"]).await.ok();
    let third = third.trim();
    get(server, third, &route).await.expect(200);
    eventually("the second to end", async || (get(server, second, &route).await.status == 401).then_some(()))
        .await;

    let all = cli.run(&["api-key", "list", "--actor", "sync-k2", "-o", "json"]).await.json();
    let active = all.as_array().unwrap().iter().find(|key| key["status"] == "active").unwrap();
    cli.run(&["api-key", "revoke", active["id"].as_str().unwrap()]).await.ok();
    eventually("the third to end", async || (get(server, third, &route).await.status == 401).then_some(()))
        .await;
    get(server, &key, &route).await.expect(200);
    cli.run(&["api-key", "revoke", "0197f000-0000-7000-8000-000000000000"]).await.failed(3);
}

#[tokio::test]
async fn a_context_with_a_key_works_and_may_make_none() {
    let server = Server::shared().await;
    let domain = Domain::new(server);
    domain.apply("book", BOOK).await;
    let (id, key) = create(&server.cli(), &["--actor", "sync-k3", "--roles", "reader"]).await;
    let cli = server.cli_with_key("sync-k3", &key);
    assert_eq!(cli.run(&["record", "list", &domain.schema("book"), "-o", "json"]).await.json(), json!([]));
    let shown = cli.run(&["auth", "whoami"]).await.ok();
    assert!(shown.contains("sync-k3") && shown.contains(&format!("API key {id}")), "{shown}");
    cli.run(&["api-key", "create", "--actor", "x", "--roles", "writer"]).await.failed(4);
    cli.run(&["api-key", "list"]).await.failed(4);
    cli.run(&["api-key", "rotate", &id]).await.failed(4);
    cli.run(&["record", "create", &domain.schema("book"), "--set", "title=x"]).await.failed(4);
}
