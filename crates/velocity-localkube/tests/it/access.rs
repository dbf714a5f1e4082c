//! Who is let in.

use reqwest::Method;
use velocity_localkube::Options;

use crate::harness::{PATIENCE, Server, parcel_definition, private, start_at};

#[tokio::test]
async fn without_the_token_nothing_is_answered() {
    let private = private(Options::default());
    for token in ["", "wrong", &private.server.token[1..], &format!("{}x", private.server.token)] {
        let stranger = Server::at(private.server.url.clone(), token.to_owned());
        for path in ["/api", "/version", "/readyz", "/openapi/v3", "/api/v1/secrets"] {
            let reply = stranger.get(path).await;
            assert_eq!(reply.failure(), (401, "Unauthorized", "Unauthorized"), "{path} {token:?}");
        }
    }
    let bare = reqwest::get(format!("{}/api", private.server.url)).await.unwrap();
    assert_eq!(bare.status(), 401);
}

#[tokio::test]
async fn the_token_may_come_as_a_password() {
    let private = private(Options::default());
    let client = reqwest::Client::new();
    let get = |password: &str| {
        client.get(format!("{}/api", private.server.url)).basic_auth("velocity", Some(password)).send()
    };
    assert_eq!(get(&private.server.token).await.unwrap().status(), 200);
    assert_eq!(get("wrong").await.unwrap().status(), 401);
}

#[tokio::test]
async fn web_pages_are_refused_even_with_the_token() {
    let private = private(Options::default());
    let request = private.server.request(Method::GET, "/api").header("origin", "http://localhost:1234");
    let reply = private.server.send(request).await;
    assert_eq!((reply.failure().0, reply.failure().1), (403, "Forbidden"));
    let folder = tempfile::tempdir().unwrap();
    let open = start_at(folder.path().join("k.redb"), vec![parcel_definition()], Options::default(), None);
    let request = open.server.request(Method::GET, "/api").header("origin", "null");
    assert_eq!(open.server.send(request).await.code, 403);
    assert_eq!(open.server.get("/api").await.code, 200);
}

#[tokio::test]
async fn a_shutdown_ends_open_watches() {
    let private = private(Options::default());
    let watch = private.server.request(Method::GET, "/api/v1/namespaces?watch=1").send().await.unwrap();
    let dropped = tokio::task::spawn_blocking(move || drop(private));
    tokio::time::timeout(PATIENCE, dropped).await.unwrap().unwrap();
    watch.bytes().await.unwrap();
}
