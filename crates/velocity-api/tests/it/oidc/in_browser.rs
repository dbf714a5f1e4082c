//! The same in a real browser: what it keeps, what it sends along, and what pages of others can do with it.

use axum::Router;
use axum::response::Html;
use axum::routing::get;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::browser::Browser;
use super::world::{Difference, ENDPOINT, World};

/// Signs in by clicking.
async fn sign_in(browser: &Browser, world: &World) {
    browser.goto(&world.first.url("/auth/login?returnTo=/auth/whoami")).await;
    browser.arrives_at(&world.provider.issuer).await;
    browser.sign_in_at_provider("ravi").await;
    browser.arrives_at(&world.first.url("/auth/whoami")).await;
}

async fn whoami(browser: &Browser) -> Value {
    browser.run_async("const r = await fetch('/auth/whoami'); return r.json();", json!([])).await
}

/// Sends a request from a page of the API's own origin.
async fn fetch(
    browser: &Browser,
    method: &str,
    path: &str,
    csrf: Option<&str>,
    body: Option<Value>,
) -> Value {
    let script = "const [method, path, csrf, body] = args;
        const headers = {};
        if (csrf) headers['X-CSRF-Token'] = csrf;
        if (body) headers['Content-Type'] = 'application/json';
        const r = await fetch(path, { method, headers, body: body ? JSON.stringify(body) : undefined });
        const text = await r.text();
        return { status: r.status, body: text ? JSON.parse(text) : null };";
    browser.run_async(script, json!([method, path, csrf, body])).await
}

/// A server of somebody else's, whose pages send what forms and scripts can send to `target`.
async fn other_origin(target: &str) -> u16 {
    let page = format!(
        r#"<!DOCTYPE html><title>Free kittens</title>
        <form method="post" enctype="text/plain" action="{target}"><button>Win</button></form>"#
    );
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let router = Router::new().route("/", get(move || async { Html(page) }));
    tokio::spawn(async { axum::serve(listener, router).await });
    port
}

#[tokio::test]
#[ignore = "needs Node.js and Chromium: make test-oidc"]
async fn a_person_signs_in_by_clicking_and_the_browser_keeps_the_cookie_to_itself() {
    let world = World::new().await;
    let browser = Browser::open().await;
    sign_in(&browser, &world).await;
    let shown: Value = serde_json::from_str(&browser.text().await).unwrap();
    assert_eq!((&shown["data"]["actor"], &shown["data"]["roles"]), (&json!("ravi"), &json!(["reader"])));
    let cookies = browser.cookies().await;
    let [session] = &cookies
        .iter()
        .filter(|c| c["name"].as_str().unwrap().starts_with("__Host-"))
        .collect::<Vec<_>>()[..]
    else {
        panic!("{cookies:?}")
    };
    assert_eq!(session["name"], "__Host-velocity_session");
    assert_eq!((&session["httpOnly"], &session["secure"]), (&json!(true), &json!(true)));
    assert_eq!((&session["sameSite"], &session["path"]), (&json!("Lax"), &json!("/")));
    assert_eq!(session["domain"], "localhost");
    let seen = browser.run("return document.cookie", json!([])).await;
    assert!(!seen.as_str().unwrap().contains("velocity"), "{seen}");
    // Who is signed in at the provider already comes back without a click.
    browser.goto(&world.first.url("/auth/login")).await;
    browser.arrives_at(&world.first.url("/auth/whoami")).await;
    let renewed = browser.cookies().await;
    let renewed = renewed.iter().find(|c| c["name"] == "__Host-velocity_session").unwrap();
    assert_ne!(renewed["value"], session["value"]);
}

#[tokio::test]
#[ignore = "needs Node.js and Chromium: make test-oidc"]
async fn a_page_of_this_origin_writes_with_the_token_and_not_without() {
    let world = World::new().await;
    world.provider.user("ravi", &["writer"]).await;
    let browser = Browser::open().await;
    sign_in(&browser, &world).await;
    let note = || Some(json!({ "text": "from the page" }));
    let without = fetch(&browser, "POST", ENDPOINT, None, note()).await;
    assert_eq!((&without["status"], &without["body"]["code"]), (&json!(401), &json!("AUTH_INVALID_TOKEN")));
    let who = whoami(&browser).await;
    let csrf = who["data"]["csrfToken"].as_str().unwrap();
    let with = fetch(&browser, "POST", ENDPOINT, Some(csrf), note()).await;
    assert_eq!(with["status"], 201, "{with}");
    let list = fetch(&browser, "GET", ENDPOINT, None, None).await;
    assert_eq!(list["body"]["data"].as_array().unwrap().len(), 1, "{list}");
}

#[tokio::test]
#[ignore = "needs Node.js and Chromium: make test-oidc"]
async fn a_page_of_another_origin_can_neither_write_nor_read() {
    let world = World::new().await;
    world.provider.user("ravi", &["writer"]).await;
    let browser = Browser::open().await;
    sign_in(&browser, &world).await;
    let who = whoami(&browser).await;
    let csrf = who["data"]["csrfToken"].as_str().unwrap();
    let made = fetch(&browser, "POST", ENDPOINT, Some(csrf), Some(json!({ "text": "a" }))).await;
    let record = format!("{ENDPOINT}/{}", made["body"]["data"]["id"].as_str().unwrap());
    assert_eq!(fetch(&browser, "DELETE", &record, Some(csrf), None).await["status"], 204);

    // Routes that a form can reach: no body, no header. `localhost` on another port is the same site, so that the browser
    // sends the cookie along, and `127.0.0.1` is another one.
    for target in [format!("{record}/undelete"), "/auth/logout".to_owned()] {
        let port = other_origin(&world.first.url(&target)).await;
        for (host, told) in [("localhost", "this origin"), ("127.0.0.1", "")] {
            browser.goto(&format!("http://{host}:{port}/")).await;
            browser.click("button").await;
            browser.arrives_at(&world.first.url(&target)).await;
            let answer: Value = serde_json::from_str(&browser.text().await).unwrap();
            if target.ends_with("undelete") || host == "localhost" {
                assert_eq!(answer["status"], 401, "{target} from {host}: {answer}");
                assert!(answer["detail"].as_str().unwrap().contains(told), "{target} from {host}: {answer}");
            }
        }
        // A script that has even got hold of the token.
        let script = "const [url, csrf] = args;
            const r = await fetch(url, { method: 'POST', credentials: 'include', headers: { 'X-CSRF-Token': csrf } });
            return { status: r.status };";
        browser.goto(&format!("http://localhost:{port}/")).await;
        let blocked = browser.run_async(script, json!([world.first.url(&target), csrf])).await;
        assert!(blocked["threw"].is_string(), "{blocked}");
        let blind = "const [url] = args;
            const r = await fetch(url, { method: 'POST', credentials: 'include', mode: 'no-cors' });
            return { type: r.type };";
        let blind = browser.run_async(blind, json!([world.first.url(&target)])).await;
        assert_eq!(blind["type"], "opaque", "{blind}");
        let read = "const r = await fetch(args[0], { credentials: 'include' }); return r.text();";
        let read = browser.run_async(read, json!([world.first.url("/auth/whoami")])).await;
        assert!(read["threw"].is_string(), "{read}");
    }
    // Nothing of it had an effect: the record is where it was, and the session lives.
    browser.goto(&world.first.url("/auth/whoami")).await;
    assert_eq!(whoami(&browser).await["data"]["actor"], "ravi");
    assert_eq!(fetch(&browser, "GET", &record, None, None).await["status"], 404);
    // With the same route from a page of this origin it has: the routes are the ones that count.
    let undeleted = fetch(&browser, "POST", &format!("{record}/undelete"), Some(csrf), None).await;
    assert_eq!(undeleted["status"], 200, "{undeleted}");
}

#[tokio::test]
#[ignore = "needs Node.js and Chromium: make test-oidc"]
async fn a_logout_empties_the_browser_and_goes_on_at_the_provider() {
    let world = World::new().await;
    let browser = Browser::open().await;
    sign_in(&browser, &world).await;
    let csrf = whoami(&browser).await["data"]["csrfToken"].as_str().unwrap().to_owned();
    let out = fetch(&browser, "POST", "/auth/logout", Some(&csrf), None).await;
    assert_eq!(out["status"], 200, "{out}");
    assert!(browser.cookies().await.iter().all(|c| !c["name"].as_str().unwrap().starts_with("__Host-")));
    assert_eq!(whoami(&browser).await["code"], "AUTH_REQUIRED");
    browser.goto(out["body"]["data"]["providerLogoutUrl"].as_str().unwrap()).await;
    browser.click("button[name=logout]").await;
    browser.arrives_at(&format!("{}/session/end/success", world.provider.issuer)).await;
    // Now the provider asks for the name again.
    browser.goto(&world.first.url("/auth/login?returnTo=/auth/whoami")).await;
    browser.arrives_at(&world.provider.issuer).await;
    browser.sign_in_at_provider("ravi").await;
    browser.arrives_at(&world.first.url("/auth/whoami")).await;
}

#[tokio::test]
#[ignore = "needs Node.js and Chromium: make test-oidc"]
async fn a_session_goes_on_over_the_access_token_and_ends_with_the_person() {
    let world = World::with(Difference { access_token_ttl: 4, ..Difference::default() }).await;
    let browser = Browser::open().await;
    sign_in(&browser, &world).await;
    world.provider.user("ravi", &["writer"]).await;
    tokio::time::sleep(std::time::Duration::from_millis(4500)).await;
    assert_eq!(whoami(&browser).await["data"]["roles"], json!(["writer"]));
    world.provider.forget("ravi").await;
    tokio::time::sleep(std::time::Duration::from_millis(4500)).await;
    assert_eq!(whoami(&browser).await["code"], "AUTH_INVALID_TOKEN");
}

#[tokio::test]
#[ignore = "needs Node.js and Chromium: make test-oidc"]
async fn a_revoked_session_is_out() {
    let world = World::new().await;
    let browser = Browser::open().await;
    sign_in(&browser, &world).await;
    let id = whoami(&browser).await["data"]["credentialId"].clone();
    let made = reqwest::Client::new()
        .post(world.first.url("/platform/revocations"))
        .bearer_auth(world.admin_token())
        .json(&json!({ "kind": "session", "value": id, "reason": "laptop stolen" }))
        .send()
        .await
        .unwrap();
    assert_eq!(made.status(), 201);
    let until = std::time::Instant::now() + std::time::Duration::from_secs(30);
    loop {
        let answer = whoami(&browser).await;
        if answer["code"] == "AUTH_INVALID_TOKEN" {
            assert!(answer["detail"].as_str().unwrap().contains("revoked"), "{answer}");
            break;
        }
        assert!(std::time::Instant::now() < until, "never revoked: {answer}");
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
}

#[tokio::test]
#[ignore = "needs Node.js and Chromium: make test-oidc"]
async fn a_program_is_let_in_by_a_person_in_a_browser() {
    let world = World::new().await;
    let http = reqwest::Client::new();
    let device = async |body: Value| {
        let answer = http.post(world.first.url("/auth/device")).json(&body).send().await.unwrap();
        answer.json::<Value>().await.unwrap()["data"].take()
    };
    let login = device(json!({})).await;
    let browser = Browser::open().await;
    browser.goto(login["verificationUri"].as_str().unwrap()).await;
    browser.write("input[name=user_code]", login["userCode"].as_str().unwrap()).await;
    browser.click("button[type=submit]").await;
    browser.click("button[autofocus]").await;
    browser.sign_in_at_provider("ravi").await;
    let until = std::time::Instant::now() + std::time::Duration::from_mins(1);
    let done = loop {
        let progress = device(json!({ "deviceCode": login["deviceCode"] })).await;
        if progress["status"] == "complete" {
            break progress;
        }
        assert!(std::time::Instant::now() < until, "never complete: {progress}");
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    };
    let who =
        http.get(world.first.url("/auth/whoami")).bearer_auth(done["token"].as_str().unwrap()).send().await;
    let who = who.unwrap().json::<Value>().await.unwrap();
    assert_eq!((&who["data"]["actor"], &done["actor"]), (&json!("ravi"), &json!("ravi")));
}
