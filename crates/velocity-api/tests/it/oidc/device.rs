//! Sign-in of a program: the server talks with the provider, a person decides in a browser elsewhere.

use reqwest::Method;
use serde_json::{Value, json};

use super::agent::{Agent, Page};
use super::world::{Difference, ENDPOINT, World};

async fn device(world: &World, body: Value) -> Page {
    let url = world.first.url("/auth/device");
    Agent::new().send(Method::POST, &url, |request| request.json(&body)).await
}

/// What a person does with the code.
async fn decide(login: &Value, user: &str, yes: bool) {
    let mut agent = Agent::new();
    let never = |_: &reqwest::Url| false;
    let page = agent.get(login["verificationUri"].as_str().unwrap()).await;
    let (xsrf, code) = (page.hidden("xsrf"), login["userCode"].as_str().unwrap());
    let confirm = agent.form(&page, &[("xsrf", &xsrf), ("user_code", code)]).await;
    let mut fields = vec![("xsrf", xsrf.as_str()), ("user_code", code), ("confirm", "yes")];
    if !yes {
        fields.push(("abort", "yes"));
    }
    let answer = agent.form(&confirm, &fields).await;
    let mut page = agent.follow(answer, never).await;
    if yes {
        for fields in
            [&[("prompt", "login"), ("login", user), ("password", "any")][..], &[("prompt", "consent")]]
        {
            let answer = agent.form(&page, fields).await;
            page = agent.follow(answer, never).await;
        }
        assert!(page.body.contains("Success"), "{page:?}");
    }
}

#[tokio::test]
#[ignore = "needs Node.js: make test-oidc"]
async fn a_program_gets_a_session_once_a_person_has_agreed() {
    let world = World::new().await;
    world.provider.user("ravi", &["writer"]).await;
    let login = device(&world, json!({})).await.data();
    for member in ["deviceCode", "userCode", "verificationUri", "verificationUriComplete"] {
        assert!(login[member].is_string(), "{login}");
    }
    assert!(login["expiresIn"].as_u64().unwrap() > 60 && login["interval"].as_u64().unwrap() >= 1, "{login}");
    let poll = || device(&world, json!({ "deviceCode": login["deviceCode"] }));
    assert_eq!(poll().await.data(), json!({ "status": "pending" }));
    decide(&login, "ravi", true).await;
    let done = poll().await.data();
    assert_eq!((&done["status"], &done["actor"]), (&json!("complete"), &json!("ravi")));
    let token = done["token"].as_str().unwrap();
    assert!(token.starts_with("vels_") && token.len() == 48, "{token}");

    // A bearer token needs no proof of where a request comes from.
    let url = world.first.url(ENDPOINT);
    let made = Agent::new()
        .send(Method::POST, &url, |request| request.bearer_auth(token).json(&json!({ "text": "a" })))
        .await;
    assert_eq!(made.status, 201, "{made:?}");
    let url = world.first.url("/auth/whoami");
    let who = Agent::new().send(Method::GET, &url, |request| request.bearer_auth(token)).await.data();
    assert_eq!((&who["actor"], &who["credential"]), (&json!("ravi"), &json!("session")));
    assert!(who.get("csrfToken").is_none() && who["expiresAt"] == done["expiresAt"], "{who}");
    // It is for the header only.
    let mut as_cookie = Agent::new();
    as_cookie.cookies.insert("__Host-velocity_session".to_owned(), token.to_owned());
    as_cookie.whoami(&world.first.base).await.is_problem(401, "AUTH_INVALID_TOKEN");
    // The code has been used.
    poll().await.is_problem(401, "AUTH_INVALID_TOKEN");

    let out = Agent::new()
        .send(Method::POST, &world.first.url("/auth/logout"), |request| request.bearer_auth(token))
        .await;
    assert_eq!(out.status, 200, "{out:?}");
    let late = Agent::new().send(Method::GET, &url, |request| request.bearer_auth(token)).await;
    late.is_problem(401, "AUTH_INVALID_TOKEN");
}

#[tokio::test]
#[ignore = "needs Node.js: make test-oidc"]
async fn a_person_who_says_no_ends_it() {
    let world = World::new().await;
    let login = device(&world, json!({ "strategy": "platform/sign-in" })).await.data();
    decide(&login, "ravi", false).await;
    let refused = device(&world, json!({ "deviceCode": login["deviceCode"] })).await;
    assert!(refused.is_problem(401, "AUTH_INVALID_TOKEN").contains("access_denied"));
}

#[tokio::test]
#[ignore = "needs Node.js: make test-oidc"]
async fn codes_that_this_server_did_not_give_out_are_refused() {
    let world = World::new().await;
    let login = device(&world, json!({})).await.data();
    let ours = login["deviceCode"].as_str().unwrap();
    let (strategy, sealed) = ours.split_once('.').unwrap();
    let changed = format!("{strategy}.{}", sealed.chars().rev().collect::<String>());
    for code in ["", "x", "x.y", &changed, login["userCode"].as_str().unwrap()] {
        device(&world, json!({ "deviceCode": code })).await.is_problem(400, "MALFORMED_REQUEST");
    }
    for body in [
        json!({ "device_code": ours }),
        json!([]),
        json!({ "deviceCode": 7 }),
        json!({ "deviceCode": ours, "strategy": "platform/sign-in" }),
        json!({ "strategy": "platform/dev" }),
    ] {
        device(&world, body).await.is_problem(400, "MALFORMED_REQUEST");
    }
    // The provider's own code is not in it to be read.
    let other = World::new().await;
    device(&other, json!({ "deviceCode": ours })).await.is_problem(400, "MALFORMED_REQUEST");
}

#[tokio::test]
#[ignore = "needs Node.js: make test-oidc"]
async fn where_the_provider_has_no_device_login_that_is_said() {
    let client = json!({ "grant_types": ["authorization_code"] });
    let world = World::with(Difference { client, ..Difference::default() }).await;
    let refused = device(&world, json!({})).await;
    assert!(refused.is_problem(401, "AUTH_INVALID_TOKEN").contains("provider"));
}

#[tokio::test]
#[ignore = "needs Node.js: make test-oidc"]
async fn a_programs_session_is_refreshed_like_a_browsers() {
    let world = World::with(Difference { access_token_ttl: 4, ..Difference::default() }).await;
    let login = device(&world, json!({})).await.data();
    decide(&login, "ravi", true).await;
    let done = device(&world, json!({ "deviceCode": login["deviceCode"] })).await.data();
    let token = done["token"].as_str().unwrap();
    world.provider.user("ravi", &["writer"]).await;
    tokio::time::sleep(std::time::Duration::from_millis(4500)).await;
    let url = world.first.url("/auth/whoami");
    let who = Agent::new().send(Method::GET, &url, |request| request.bearer_auth(token)).await.data();
    assert_eq!(who["roles"], json!(["writer"]));
}
