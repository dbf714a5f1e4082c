//! Signing in and out: at the server, and at a provider of the context's own.

use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};
use velocity_contract::{Code, Problem};

use crate::fake_api::{FakeApi, problem_value};
use crate::fake_provider::FakeProvider;
use crate::harness::Home;

fn home(api: &FakeApi) -> Home {
    let home = Home::new();
    home.run(&format!("context add dev --server {} --use", api.url())).ok();
    home
}

fn device(api: &FakeApi) {
    let login = json!({ "data": { "deviceCode": "d3vice", "userCode": "ABCD-EFGH", "verificationUri": "https://id/device",
        "verificationUriComplete": "https://id/device?code=ABCD", "expiresIn": 600, "interval": 0 } });
    let progress = |status: &str| json!({ "data": { "status": status } });
    let complete = json!({ "data": { "status": "complete", "token": "vels_s3ssion", "actor": "ravi",
        "expiresAt": "2026-01-01T12:00:00Z" } });
    api.say(
        "POST /auth/device",
        [(200, login), (200, progress("pending")), (200, progress("pending")), (200, complete)],
    );
}

fn mode(path: &std::path::Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o777
}

#[test]
fn a_person_signs_in_elsewhere_and_the_session_is_kept_for_its_owner_only() {
    let api = FakeApi::start();
    let home = home(&api);
    device(&api);
    let run = home.run("auth login");
    for piece in ["open https://id/device and enter the code", "ABCD-EFGH", "https://id/device?code=ABCD"] {
        assert!(run.stderr.contains(piece), "{}", run.all());
    }
    assert!(!run.all().contains("d3vice") && !run.all().contains("vels_"), "{}", run.all());
    assert_eq!(run.ok(), "signed in as ravi until 2026-01-01T12:00:00Z\n");
    let bodies: Vec<String> = api.all_seen("POST /auth/device").into_iter().map(|seen| seen.body).collect();
    assert_eq!(bodies[0], "{}");
    assert!(
        bodies[1..].iter().all(|body| body == r#"{"deviceCode":"d3vice"}"#) && bodies.len() == 4,
        "{bodies:?}"
    );
    let file = home.path(".velocity/tokens/dev");
    assert_eq!((home.read(".velocity/tokens/dev").as_str(), mode(&file)), ("vels_s3ssion", 0o600));

    // From now on it is the context's credential.
    api.can(
        "GET /auth/whoami",
        200,
        json!({ "data": { "actor": "ravi", "type": "user", "roles": ["a"], "strategy": "acme/sso",
        "expiresAt": "2026-01-01T12:00:00Z", "credential": "session", "credentialId": "s1" } }),
    );
    let shown = home.run("auth whoami").ok();
    assert!(shown.contains("session s1") && shown.contains("2026-01-01T12:00:00Z"), "{shown}");
    assert_eq!(api.seen("GET /auth/whoami").headers["authorization"], "Bearer vels_s3ssion");

    api.can("POST /auth/logout", 200, json!({ "data": { "providerLogoutUrl": "https://id/logout" } }));
    let run = home.run("auth logout");
    assert!(run.stderr.contains("https://id/logout"), "{}", run.all());
    assert_eq!(run.ok(), "signed out\n");
    assert!(!file.exists());
    assert_eq!(home.run("auth logout").ok(), "you are not signed in\n");
    let run = home.run("auth whoami");
    assert!(run.code == 2 && run.stderr.contains("velocity auth login"), "{}", run.all());
}

#[test]
fn a_login_that_is_refused_leaves_nothing_behind() {
    let api = FakeApi::start();
    let home = home(&api);
    let login = json!({ "data": { "deviceCode": "d", "userCode": "A", "verificationUri": "https://id/device",
        "expiresIn": 600, "interval": 0 } });
    let refused = problem_value(&Problem::new(Code::AuthInvalidToken, "the sign-in was refused"));
    api.say("POST /auth/device", [(200, login.clone()), (401, refused)]);
    let run = home.run("auth login");
    assert!(run.code == 4 && run.stderr.contains("the sign-in was refused"), "{}", run.all());
    assert!(!home.path(".velocity/tokens").exists());
    let mut short = login;
    short["data"]["expiresIn"] = json!(0);
    api.say("POST /auth/device", [(200, short)]);
    let run = home.run("auth login");
    assert!(run.code == 1 && run.stderr.contains("nobody signed in in time"), "{}", run.all());
}

#[test]
fn what_a_terminal_would_obey_is_not_shown_to_it() {
    let api = FakeApi::start();
    let home = home(&api);
    let login = json!({ "data": { "deviceCode": "d", "userCode": "A\u{1b}[2J", "verificationUri": "https://id/\u{7}device",
        "expiresIn": 0, "interval": 0 } });
    api.say("POST /auth/device", [(200, login)]);
    let run = home.run("auth login");
    assert!(
        !run.stderr.contains(['\u{1b}', '\u{7}']) && run.stderr.contains("https://id/device"),
        "{}",
        run.all()
    );
}

#[test]
fn a_session_that_has_ended_is_forgotten_and_an_unreachable_server_is_not_a_logout() {
    let api = FakeApi::start();
    let home = home(&api);
    device(&api);
    home.run("auth login").ok();
    let gone = problem_value(&Problem::new(Code::AuthInvalidToken, "the session has ended"));
    api.can("POST /auth/logout", 401, gone);
    assert!(home.run("auth logout").ok().contains("had ended already"));
    device(&api);
    home.run("auth login").ok();
    api.crash();
    let run = home.run("auth logout");
    assert!(run.code == 6 && run.stderr.contains("on this machine only"), "{}", run.all());
    assert!(home.path(".velocity/tokens/dev").exists());
}

#[test]
fn a_credential_that_no_sign_in_gave_is_not_touched() {
    let api = FakeApi::start();
    let home = Home::at(&api);
    let run = home.run("auth login");
    assert!(run.code == 2 && run.stderr.contains("context add"), "{}", run.all());
    let file = home.write("jwt", "eyJ.x.y");
    home.run(&format!("context add jwt --server {} --token-file {} --use", api.url(), file.display())).ok();
    assert_eq!(home.run("auth logout").code, 2);
    assert!(file.exists());
}

#[test]
fn credentials_are_shut_out_and_let_in_again() {
    let api = FakeApi::start();
    let home = Home::at(&api);
    let made = json!({ "id": "r1", "kind": "actor", "value": "ravi", "reason": "stolen laptop", "createdAt": "2026-01-01T00:00:00Z",
        "createdBy": "admin", "expiresAt": null });
    api.can("POST /platform/revocations", 201, json!({ "data": made }));
    api.can("GET /platform/revocations", 200, json!({ "data": [made] }));
    api.can("DELETE /platform/revocations/r1", 204, Value::Null);
    let run = home.run("auth revoke actor ravi --reason 'stolen laptop'");
    assert!(run.stderr.contains("velocity auth restore r1"), "{}", run.all());
    assert_eq!(run.ok(), "actor ravi revoked\n");
    assert_eq!(
        api.seen("POST /platform/revocations").body,
        r#"{"kind":"actor","value":"ravi","reason":"stolen laptop"}"#
    );
    home.run("auth revoke token j1 --reason x --expires 2099-01-01T00:00:00Z").ok();
    assert!(api.seen("POST /platform/revocations").body.contains(r#""expiresAt":"2099-01-01T00:00:00Z""#));
    insta::assert_snapshot!(home.run("auth revocations").ok(), @r"
    ID   KIND    VALUE   REASON          SINCE                  BY      UNTIL
    r1   actor   ravi    stolen laptop   2026-01-01T00:00:00Z   admin   no end
    ");
    assert_eq!(home.run("auth revocations -o name").ok(), "r1\n");
    assert_eq!(home.run("auth restore r1").ok(), "revocation r1 lifted\n");
    for line in [
        "auth revoke actor ravi",
        "auth revoke person ravi --reason x",
        "auth revoke actor a --reason x --expires 0s",
    ] {
        assert_eq!(home.run(line).code, 2, "{line}");
    }
}

fn at_provider(api: &FakeApi, provider: &FakeProvider) -> Home {
    let home = Home::new();
    let add = format!(
        "context add sso --server {} --oidc-issuer {} --oidc-client-id cli --use",
        api.url(),
        provider.url()
    );
    home.run(&add).ok();
    api.can(
        "GET /auth/whoami",
        200,
        json!({ "data": { "actor": "ravi", "type": "user", "roles": [], "strategy": "a/jwt",
        "expiresAt": null } }),
    );
    home
}

#[test]
fn a_context_with_a_provider_signs_in_there_and_renews_its_token() {
    let (api, provider) = (FakeApi::start(), FakeProvider::start());
    let home = at_provider(&api, &provider);
    let run = home.run("auth whoami");
    assert!(run.code == 4 && run.stderr.contains("velocity auth login"), "{}", run.all());
    provider.answers(["authorization_pending", "authorization_pending", "grant"]);
    provider.lifetime(-10);
    let run = home.run("auth login");
    assert!(run.stderr.contains("enter the code") && run.stderr.contains("WDJB-MJHT"), "{}", run.all());
    assert_eq!(run.ok(), "signed in as ravi, renewed by itself\n");
    let file = home.path(".velocity/tokens/sso");
    assert_eq!(mode(&file), 0o600);

    // The token is over already: it is renewed before it is used, and the new refresh token kept.
    provider.lifetime(3600);
    home.run("auth whoami").ok();
    let bearer = api.seen("GET /auth/whoami").headers["authorization"].to_str().unwrap().to_owned();
    assert_eq!(bearer, format!("Bearer {}", provider.last_token()));
    assert_eq!(provider.refreshes(), ["refresh-1"]);
    home.run("auth whoami").ok();
    assert_eq!(provider.refreshes().len(), 1, "it is good now");
    assert!(home.read(".velocity/tokens/sso").contains("refresh-2") && mode(&file) == 0o600);

    assert_eq!(home.run("auth logout").ok(), "signed out\n");
    assert_eq!(provider.revoked(), ["refresh-2"]);
    assert!(!file.exists());
}

#[test]
fn a_sign_in_that_the_provider_has_ended_asks_for_a_new_one() {
    let (api, provider) = (FakeApi::start(), FakeProvider::start());
    let home = at_provider(&api, &provider);
    provider.answers(["grant"]);
    provider.lifetime(-10);
    home.run("auth login").ok();
    provider.answers(["invalid_grant"]);
    let run = home.run("auth whoami");
    assert!(run.code == 4 && run.stderr.contains("velocity auth login"), "{}", run.all());
    provider.answers(["access_denied"]);
    let run = home.run("auth login");
    assert!(run.code == 4 && run.stderr.contains("refused"), "{}", run.all());
}

#[test]
fn many_at_once_renew_once() {
    let (api, provider) = (FakeApi::start(), FakeProvider::start());
    let home = at_provider(&api, &provider);
    provider.answers(["grant"]);
    provider.lifetime(-10);
    home.run("auth login").ok();
    provider.lifetime(3600);
    let children: Vec<_> = (0..6).map(|_| home.start("auth whoami")).collect();
    for child in children {
        assert!(child.wait_with_output().unwrap().status.success());
    }
    assert_eq!(provider.refreshes(), ["refresh-1"]);
}

#[test]
fn another_provider_than_the_named_one_gets_nothing() {
    let (api, provider) = (FakeApi::start(), FakeProvider::start());
    let home = at_provider(&api, &provider);
    provider.claims_to_be("https://evil.example");
    let run = home.run("auth login");
    assert!(run.code == 1 && run.stderr.contains("says that it is https://evil.example"), "{}", run.all());
    assert!(provider.forms().is_empty(), "nothing was sent");
    home.run(&format!(
        "context add sso --server {} --oidc-issuer http://id.example --oidc-client-id cli",
        api.url()
    ))
    .ok();
    let run = home.run("auth login");
    assert!(run.code == 2 && run.stderr.contains("not https"), "{}", run.all());
}
