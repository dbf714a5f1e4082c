//! Sign-in at the level of HTTP: what is bound to what, and what does not work.

use reqwest::Method;
use serde_json::json;

use super::agent::Agent;
use super::world::{Difference, ENDPOINT, World};

const SESSION: &str = "__Host-velocity_session";
const LOGIN: &str = "__Host-velocity_login";

#[tokio::test]
#[ignore = "needs Node.js: make test-oidc"]
async fn whoever_signs_in_has_the_roles_and_attributes_of_the_id_token() {
    let world = World::new().await;
    let mut agent = Agent::new();
    let end = agent.sign_in(&world.first.base, "ravi").await;
    assert_eq!(end.location().unwrap().path(), "/auth/whoami");
    let who = agent.whoami(&world.first.base).await.data();
    assert_eq!((&who["actor"], &who["roles"]), (&json!("ravi"), &json!(["reader"])));
    assert_eq!((&who["attributes"]["region"], &who["credential"]), (&json!("west"), &json!("session")));
    assert_eq!(who["strategy"], "platform/sign-in");
    assert_eq!(who["csrfToken"].as_str().unwrap().len(), 43);
    assert!(who["expiresAt"].is_string() && who["credentialId"].is_string(), "{who}");
    assert_eq!(agent.get(world.first.url(ENDPOINT)).await.status, 200);
    let none = Agent::new().whoami(&world.first.base).await;
    none.is_problem(401, "AUTH_REQUIRED");
}

#[tokio::test]
#[ignore = "needs Node.js: make test-oidc"]
async fn cookies_are_for_this_host_alone_and_nothing_is_cached() {
    let world = World::new().await;
    let mut agent = Agent::new();
    let start = agent.get(world.first.url("/auth/login")).await;
    let [login] = start.set_cookies()[..] else { panic!("{start:?}") };
    assert!(
        login.starts_with(LOGIN) && login.ends_with("; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=600")
    );
    let callback = agent.until_callback(&world.first.url("/auth/login"), "ravi").await;
    let end = agent.get(callback).await;
    let [session, forgotten] = end.set_cookies()[..] else { panic!("{end:?}") };
    assert!(
        session.starts_with(SESSION)
            && session.contains("; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=2")
    );
    assert!(
        !session.contains("Domain") && forgotten.starts_with(&format!("{LOGIN}=;")),
        "{session} {forgotten}"
    );
    for page in [&start, &end] {
        assert_eq!(page.headers["cache-control"], "no-store");
        assert_eq!(page.headers["referrer-policy"], "no-referrer");
    }
    let secret = agent.session().unwrap().clone();
    let rows = world.sql("select * from platform.sessions").await;
    assert!(!rows.is_empty() && !format!("{rows:?}").contains(&secret), "the secret itself is stored");
}

#[tokio::test]
#[ignore = "needs Node.js: make test-oidc"]
async fn a_sign_in_goes_on_where_it_was_meant_to_and_only_on_this_server() {
    let world = World::new().await;
    let mut agent = Agent::new();
    let login = world.first.url("/auth/login?returnTo=%2Forders%3Fpage%3D2");
    let callback = agent.until_callback(&login, "ravi").await;
    let end = agent.get(callback).await;
    assert_eq!(end.headers["location"], "/orders?page=2");
    for evil in ["https%3A%2F%2Fevil.com", "%2F%2Fevil.com", "%2F%5Cevil.com", "%2F%09%2Fevil.com", "evil"] {
        let answer = agent.get(world.first.url(&format!("/auth/login?returnTo={evil}"))).await;
        answer.is_problem(400, "MALFORMED_REQUEST");
        assert!(answer.set_cookies().is_empty());
    }
}

#[tokio::test]
#[ignore = "needs Node.js: make test-oidc"]
async fn an_answer_counts_only_in_the_browser_that_began_and_only_once() {
    let world = World::new().await;
    let (mut victim, mut attacker) = (Agent::new(), Agent::new());
    world.provider.user("mallory", &["writer"]).await;
    // The attacker signs in as themself and hands the last step to somebody else's browser.
    let callback = attacker.until_callback(&world.first.url("/auth/login"), "mallory").await;
    let without = victim.get(&callback).await;
    without.is_problem(401, "AUTH_INVALID_TOKEN");
    victim.get(world.first.url("/auth/login")).await;
    let during = victim.get(&callback).await;
    assert!(during.is_problem(401, "AUTH_INVALID_TOKEN").contains("another sign-in"));
    assert!(victim.session().is_none());
    // What the attacker did has not ended the sign-in that is under way.
    assert!(victim.cookies.contains_key(LOGIN));
    victim.sign_in(&world.first.base, "ravi").await;

    assert_eq!(attacker.get(&callback).await.status, 303);
    let again = attacker.get(&callback).await;
    again.is_problem(401, "AUTH_INVALID_TOKEN");
}

#[tokio::test]
#[ignore = "needs Node.js: make test-oidc"]
async fn a_code_is_worth_nothing_without_the_verifier_of_its_browser() {
    let world = World::new().await;
    let (mut victim, mut attacker) = (Agent::new(), Agent::new());
    let stolen = victim.until_callback(&world.first.url("/auth/login"), "ravi").await;
    // The attacker has the code of somebody's answer and puts it into an answer to a sign-in of their own.
    let begun = attacker.get(world.first.url("/auth/login")).await;
    let to = begun.location().unwrap();
    let parameter = |url: &reqwest::Url, name: &str| {
        url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned()).unwrap()
    };
    assert_eq!(parameter(&to, "code_challenge_method"), "S256");
    let mut forged = stolen.clone();
    forged
        .query_pairs_mut()
        .clear()
        .append_pair("code", &parameter(&stolen, "code"))
        .append_pair("state", &parameter(&to, "state"))
        .append_pair("iss", &world.provider.issuer);
    let answer = attacker.get(forged).await;
    let detail = answer.is_problem(401, "AUTH_INVALID_TOKEN");
    assert!(
        detail.contains("invalid_grant") && !answer.body.contains(&parameter(&stolen, "code")),
        "{detail}"
    );
    assert!(attacker.session().is_none());
}

#[tokio::test]
#[ignore = "needs Node.js: make test-oidc"]
async fn an_answer_of_another_provider_is_refused() {
    let world = World::new().await;
    let mut agent = Agent::new();
    let callback = agent.until_callback(&world.first.url("/auth/login"), "ravi").await;
    for issuer in [Some("https://evil.com"), None] {
        let mut mixed = callback.clone();
        let kept: Vec<_> = callback.query_pairs().into_owned().filter(|(key, _)| key != "iss").collect();
        mixed.query_pairs_mut().clear().extend_pairs(kept);
        if let Some(issuer) = issuer {
            mixed.query_pairs_mut().append_pair("iss", issuer);
        }
        assert!(agent.get(mixed).await.is_problem(401, "AUTH_INVALID_TOKEN").contains("another sign-in"));
    }
    assert_eq!(agent.get(callback).await.status, 303);
}

#[tokio::test]
#[ignore = "needs Node.js: make test-oidc"]
async fn a_changed_cookie_is_no_cookie() {
    let world = World::new().await;
    let mut agent = Agent::new();
    let callback = agent.until_callback(&world.first.url("/auth/login"), "ravi").await;
    let good = agent.cookies[LOGIN].clone();
    let last = if good.ends_with('A') { "B" } else { "A" };
    for bad in [&good[..good.len() - 4], &format!("{}{last}", &good[..good.len() - 1]), "x.y", "x"] {
        agent.cookies.insert(LOGIN.to_owned(), bad.to_owned());
        agent.get(&callback).await.is_problem(401, "AUTH_INVALID_TOKEN");
        assert!(!agent.cookies.contains_key(LOGIN), "a cookie that is none is forgotten");
    }
    agent.cookies.insert(LOGIN.to_owned(), good);
    assert_eq!(agent.get(callback).await.status, 303);
}

#[tokio::test]
#[ignore = "needs Node.js: make test-oidc"]
async fn every_sign_in_begins_a_session_of_its_own_and_ends_the_one_before() {
    let world = World::new().await;
    let mut agent = Agent::new();
    let planted = "A".repeat(43);
    agent.cookies.insert(SESSION.to_owned(), planted.clone());
    agent.sign_in(&world.first.base, "ravi").await;
    let first = agent.session().unwrap().clone();
    assert_ne!(first, planted);
    let mut with_planted = Agent::new();
    with_planted.cookies.insert(SESSION.to_owned(), planted);
    with_planted.whoami(&world.first.base).await.is_problem(401, "AUTH_INVALID_TOKEN");

    agent.sign_in(&world.first.base, "ravi").await;
    assert_ne!(agent.session().unwrap(), &first);
    let mut with_first = Agent::new();
    with_first.cookies.insert(SESSION.to_owned(), first);
    with_first.whoami(&world.first.base).await.is_problem(401, "AUTH_INVALID_TOKEN");
    assert_eq!(agent.whoami(&world.first.base).await.status, 200);
}

#[tokio::test]
#[ignore = "needs Node.js: make test-oidc"]
async fn a_refusal_at_the_provider_is_told_without_its_words() {
    let world = World::new().await;
    let mut agent = Agent::new();
    let back = |url: &reqwest::Url| url.path() == "/auth/callback";
    let start = agent.get(world.first.url("/auth/login")).await;
    let page = agent.follow(start, back).await;
    let cancelled = agent.get(format!("{}/abort", page.url)).await;
    let end = agent.follow(cancelled, back).await;
    let callback = end.location().unwrap();
    assert!(callback.query().unwrap().contains("access_denied"), "{callback}");
    let answer = agent.get(callback).await;
    let detail = answer.is_problem(401, "AUTH_INVALID_TOKEN");
    assert!(detail.contains("access_denied") && !detail.contains("aborted"), "{detail}");
    assert!(agent.session().is_none() && !agent.cookies.contains_key(LOGIN));
}

#[tokio::test]
#[ignore = "needs Node.js: make test-oidc"]
async fn a_public_client_and_a_secret_in_the_form_work_too() {
    for client_auth in ["none", "client_secret_post"] {
        let world = World::with(Difference { client_auth, ..Difference::default() }).await;
        let mut agent = Agent::new();
        agent.sign_in(&world.first.base, "ravi").await;
        assert_eq!(agent.whoami(&world.first.base).await.data()["actor"], "ravi", "{client_auth}");
    }
}

#[tokio::test]
#[ignore = "needs Node.js: make test-oidc"]
async fn id_tokens_of_every_kind_of_key_are_taken() {
    for algorithm in ["RS256", "PS256", "ES256", "EdDSA"] {
        let client = json!({ "id_token_signed_response_alg": algorithm });
        let world = World::with(Difference { client, ..Difference::default() }).await;
        let mut agent = Agent::new();
        agent.sign_in(&world.first.base, "ravi").await;
        assert_eq!(agent.whoami(&world.first.base).await.data()["actor"], "ravi", "{algorithm}");
    }
}

#[tokio::test]
#[ignore = "needs Node.js: make test-oidc"]
async fn claims_are_mapped_as_the_strategy_says() {
    let oidc = json!({ "claimMapping": {
        "actorId": { "path": "$.sub", "transforms": [{ "type": "uppercase" }] },
        "roles": { "path": "$.roles", "transforms": [{ "type": "lookup", "table": { "reader": ["writer"] } }] },
        "attributes": [{ "name": "place", "path": "$.attributes.region" }] } });
    let world = World::with(Difference { oidc, ..Difference::default() }).await;
    let mut agent = Agent::new();
    agent.sign_in(&world.first.base, "ravi").await;
    let who = agent.whoami(&world.first.base).await.data();
    assert_eq!((&who["actor"], &who["roles"]), (&json!("RAVI"), &json!(["writer"])));
    assert_eq!(who["attributes"], json!({ "place": "west" }));
}

#[tokio::test]
#[ignore = "needs Node.js: make test-oidc"]
async fn a_write_with_the_cookie_needs_the_token_and_a_page_of_this_origin() {
    let world = World::new().await;
    world.provider.user("ravi", &["writer"]).await;
    let mut agent = Agent::new();
    agent.sign_in(&world.first.base, "ravi").await;
    let csrf = agent.whoami(&world.first.base).await.data()["csrfToken"].as_str().unwrap().to_owned();
    let (url, base) = (world.first.url(ENDPOINT), world.first.base.clone());
    let post = async |agent: &mut Agent, headers: &[(&str, &str)]| {
        let headers = headers.to_vec();
        agent
            .send(Method::POST, &url, |mut request| {
                for (name, value) in headers {
                    request = request.header(name, value);
                }
                request.json(&json!({ "text": "a" }))
            })
            .await
    };
    let (token, origin) = (("x-csrf-token", csrf.as_str()), ("origin", base.as_str()));
    for (headers, missing) in [
        (&[][..], "Origin"),
        (&[token], "Origin"),
        (&[origin], "X-CSRF-Token"),
        (&[origin, ("x-csrf-token", "wrong")], "X-CSRF-Token"),
        (&[token, ("origin", "https://evil.com")], "this origin"),
        (&[token, origin, ("sec-fetch-site", "same-site")], "this origin"),
    ] {
        let detail = post(&mut agent, headers).await.is_problem(401, "AUTH_INVALID_TOKEN");
        assert!(detail.contains(missing), "{headers:?}: {detail}");
    }
    assert_eq!(post(&mut agent, &[token, origin]).await.status, 201);
    let misspelt = post(&mut agent, &[token, origin, ("x-csrftoken", "a")]).await;
    assert!(misspelt.is_problem(400, "MALFORMED_REQUEST").contains("X-CSRF-Token"));
    // Another session's token is another one.
    let mut other = Agent::new();
    other.sign_in(&world.first.base, "ravi").await;
    post(&mut other, &[token, origin]).await.is_problem(401, "AUTH_INVALID_TOKEN");
    assert_eq!(agent.get(&url).await.data().as_array().unwrap().len(), 1);
}

#[tokio::test]
#[ignore = "needs Node.js: make test-oidc"]
async fn a_logout_ends_the_session_for_good_and_names_the_providers_page() {
    let world = World::new().await;
    let mut agent = Agent::new();
    agent.sign_in(&world.first.base, "ravi").await;
    let stale = agent.clone();
    let csrf = agent.whoami(&world.first.base).await.data()["csrfToken"].as_str().unwrap().to_owned();
    let url = world.first.url("/auth/logout");
    agent.send(Method::POST, &url, |request| request).await.is_problem(401, "AUTH_INVALID_TOKEN");
    assert_eq!(agent.whoami(&world.first.base).await.status, 200);

    let base = world.first.base.clone();
    let with = |request: reqwest::RequestBuilder| request.header("x-csrf-token", csrf).header("origin", base);
    let out = agent.send(Method::POST, &url, with).await;
    assert_eq!(out.status, 200, "{out:?}");
    let page = out.data()["providerLogoutUrl"].as_str().unwrap().to_owned();
    assert!(page.starts_with(&format!("{}/session/end?", world.provider.issuer)), "{page}");
    assert!(page.ends_with("?client_id=velocity"), "nothing that the provider issued goes out: {page}");
    assert!(agent.session().is_none());
    for mut late in [stale.clone(), stale] {
        late.whoami(&world.first.base).await.is_problem(401, "AUTH_INVALID_TOKEN");
        // There is nothing left to end, and nothing to prove.
        let again = late.send(Method::POST, &url, |request| request).await;
        assert_eq!((again.status, again.data()), (200, json!({})));
        assert!(late.session().is_none());
    }
    // The provider asks whether that is meant.
    let asked = agent.get(page).await;
    assert_eq!(asked.status, 200, "{asked:?}");
}

#[tokio::test]
#[ignore = "needs Node.js: make test-oidc"]
async fn a_revoked_session_is_out_on_every_replica_and_others_are_not() {
    let world = World::new().await;
    let second = world.replica().await;
    let (mut one, mut other) = (Agent::new(), Agent::new());
    one.sign_in(&world.first.base, "ravi").await;
    other.sign_in(&world.first.base, "ravi").await;
    let id = one.whoami(&second.base).await.data()["credentialId"].clone();
    let admin = world.admin_token();
    let body = json!({ "kind": "session", "value": id, "reason": "laptop stolen" });
    let made = Agent::new()
        .send(Method::POST, &world.first.url("/platform/revocations"), |request| {
            request.bearer_auth(admin).json(&body)
        })
        .await;
    assert_eq!(made.status, 201, "{made:?}");
    let until = std::time::Instant::now() + std::time::Duration::from_secs(30);
    for base in [&world.first.base, &second.base] {
        while one.whoami(base).await.status == 200 {
            assert!(std::time::Instant::now() < until, "never revoked at {base}");
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        assert!(one.whoami(base).await.is_problem(401, "AUTH_INVALID_TOKEN").contains("revoked"));
        assert_eq!(other.whoami(base).await.status, 200);
    }
}

#[tokio::test]
#[ignore = "needs Node.js: make test-oidc"]
async fn a_bearer_token_comes_before_the_cookie() {
    let world = World::new().await;
    let mut agent = Agent::new();
    agent.sign_in(&world.first.base, "ravi").await;
    let token = world.admin_token();
    let url = world.first.url("/auth/whoami");
    let who = agent.send(Method::GET, &url, |request| request.bearer_auth(token)).await.data();
    assert_eq!((&who["actor"], &who["credential"]), (&json!("admin"), &json!("token")));
    assert!(who.get("csrfToken").is_none());
}

#[tokio::test]
#[ignore = "needs Node.js: make test-oidc"]
async fn a_session_of_another_strategy_than_the_default_knows_itself_and_counts_nowhere_else() {
    let world = World::with(Difference { default: "dev", ..Difference::default() }).await;
    let mut agent = Agent::new();
    agent.get(world.first.url("/auth/login")).await.is_problem(404, "ROUTE_NOT_FOUND");
    let login = world.first.url("/auth/login?strategy=platform%2Fsign-in");
    let callback = agent.until_callback(&login, "ravi").await;
    assert_eq!(agent.get(callback).await.status, 303);
    let who = agent.whoami(&world.first.base).await.data();
    assert_eq!((&who["actor"], &who["strategy"]), (&json!("ravi"), &json!("platform/sign-in")));
    assert!(who["csrfToken"].is_string());
    let named = agent.get(world.first.url("/auth/whoami?strategy=platform%2Fsign-in")).await.data();
    assert_eq!(named["actor"], "ravi");
    agent.get(world.first.url("/auth/whoami?strategy=platform%2Fdev")).await.is_problem(401, "AUTH_REQUIRED");
    agent.get(world.first.url(ENDPOINT)).await.is_problem(401, "AUTH_REQUIRED");
}

#[tokio::test]
#[ignore = "needs Node.js: make test-oidc"]
async fn who_asks_for_a_strategy_that_is_none_is_told_so() {
    let world = World::new().await;
    let mut agent = Agent::new();
    for named in ["platform%2Fdev", "platform%2Fnone", "x", "a%2Fb%2Fc"] {
        let answer = agent.get(world.first.url(&format!("/auth/login?strategy={named}"))).await;
        answer.is_problem(400, "MALFORMED_REQUEST");
    }
    let named = agent.get(world.first.url("/auth/login?strategy=platform%2Fsign-in")).await;
    assert_eq!(named.status, 303);
    let unknown = agent.get(world.first.url("/auth/login?return=%2F")).await;
    assert!(unknown.is_problem(400, "MALFORMED_REQUEST").contains("returnTo"));
}
