//! Signing in on the command line, at the server and at a provider of one's own, and being shut out again.

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};

use crate::harness::{CLIENT, Cli, Domain, OPEN, Provider, Ran, Server, eventually};

const BOOK: &str = "
fields:
  - {name: title, type: string, required: true, filterable: true}
";

/// Applies a strategy and a schema that it decides about.
async fn guarded(server: &Server, domain: &Domain<'_>, spec: &Value) {
    let spec_of_book =
        format!("{BOOK}{OPEN}auth: {{strategyRef: {{name: own, namespace: {}}}}}\n", domain.namespace());
    domain.put("book", &spec_of_book).await;
    let strategy = json!({"apiVersion": "velocity.sh/v1", "kind": "AuthStrategy",
        "metadata": {"name": "own", "namespace": domain.namespace()}, "spec": spec});
    let reply = server.apply_object(&strategy).await;
    assert!(matches!(reply.status, 200 | 201), "{reply:#?}");
    domain.settled("book", &["Ready"]).await;
}

/// Begins to sign in; once the code is shown, `person` does what a person does.
async fn sign_in(cli: &Cli, options: &[&str], person: impl FnOnce()) -> Ran {
    let mut words = vec!["auth", "login"];
    words.extend(options);
    let mut child = cli.begin(&words);
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut person = Some(person);
    let mut told = String::new();
    while let Some(line) = lines.next_line().await.unwrap() {
        if line.contains("WDJB-MJHT") {
            person.take().unwrap()();
        }
        told.push_str(&line);
        told.push('\n');
    }
    let ran = Ran::of(child.wait_with_output().await.unwrap());
    Ran { stderr: told, ..ran }
}

async fn list(cli: &Cli, domain: &Domain<'_>) -> Ran {
    cli.run(&["record", "list", &domain.schema("book"), "-o", "json"]).await
}

#[tokio::test]
async fn a_program_signs_in_at_the_server_and_out_again() {
    let (server, provider) = (Server::shared().await, Provider::start().await);
    let domain = Domain::new(server);
    let oidc = json!({"type": "oidc", "oidc": {
        "discoveryUrl": format!("{}/.well-known/openid-configuration", provider.issuer()),
        "clientId": CLIENT, "redirectUri": "http://127.0.0.1/auth/callback", "scopes": ["openid"]}});
    guarded(server, &domain, &oidc).await;
    let cli = server.cli_in("ravi-s1", "kubeContext: none");
    let strategy = format!("{}/own", domain.namespace());
    assert_eq!(list(&cli, &domain).await.code, 4, "nobody is signed in yet");

    // The strategy is in force once a sign-in can begin.
    let admin = server.admin();
    eventually("the strategy", async || {
        let begun = admin.post("/auth/device", &json!({"strategy": strategy})).await;
        (begun.status == 200).then_some(())
    })
    .await;
    let ran = sign_in(&cli, &["--strategy", &strategy], || provider.agree("ravi-s1", &["writer"])).await;
    assert!(ran.stdout.starts_with("signed in as ravi-s1 until "), "{ran:#?}");
    assert_eq!(list(&cli, &domain).await.json(), json!([]));
    let shown = cli.run(&["auth", "whoami", "--strategy", &strategy]).await.ok();
    assert!(shown.contains("ravi-s1") && shown.contains("session ") && shown.contains("writer"), "{shown}");

    assert_eq!(cli.run(&["auth", "logout"]).await.ok(), "signed out\n");
    assert_ne!(list(&cli, &domain).await.code, 0);
}

#[tokio::test]
async fn a_session_that_was_signed_out_opens_nothing_to_who_kept_it() {
    let (server, provider) = (Server::shared().await, Provider::start().await);
    let domain = Domain::new(server);
    let oidc = json!({"type": "oidc", "oidc": {
        "discoveryUrl": format!("{}/.well-known/openid-configuration", provider.issuer()),
        "clientId": CLIENT, "redirectUri": "http://127.0.0.1/auth/callback", "scopes": ["openid"]}});
    guarded(server, &domain, &oidc).await;
    let strategy = format!("{}/own", domain.namespace());
    let admin = server.admin();
    eventually("the strategy", async || {
        let begun = admin.post("/auth/device", &json!({"strategy": strategy})).await;
        (begun.status == 200).then_some(())
    })
    .await;
    let file = server.folder().join("session-s2");
    let credential = format!("tokenFile: {}", file.display());
    let cli = server.cli_in("ravi-s2", &credential);
    sign_in(&cli, &["--strategy", &strategy], || provider.agree("ravi-s2", &["writer"])).await.ok();
    let kept = std::fs::read_to_string(&file).unwrap();
    assert!(kept.starts_with("vels_"));
    let thief = server.bearer(Some(kept));
    thief.get(&domain.route("book")).await.expect(200);
    cli.run(&["auth", "logout"]).await.ok();
    eventually("the end of the session", async || {
        (thief.get(&domain.route("book")).await.status == 401).then_some(())
    })
    .await;
    assert!(!file.exists());
}

#[tokio::test]
async fn a_context_with_its_own_provider_renews_its_token_until_that_ends() {
    let (server, provider) = (Server::shared().await, Provider::start().await);
    let domain = Domain::new(server);
    let jwt = json!({"type": "jwt", "jwt": {"issuers": [{"issuer": provider.issuer(), "audience": CLIENT,
        "jwks": provider.jwks(), "algorithms": ["EdDSA"], "clockSkew": "0s"}]}});
    guarded(server, &domain, &jwt).await;
    let credential = format!("oidc: {{issuer: '{}', clientId: {CLIENT}}}", provider.issuer());
    let cli = server.cli_in("ravi-s3", &credential);
    let told = list(&cli, &domain).await.failed(4);
    assert!(told.contains("velocity auth login"), "{told}");
    // Its first token is as good as over when it comes.
    provider.lifetime(10);
    let ran = sign_in(&cli, &[], || provider.agree("ravi-s3", &["writer"])).await;
    assert_eq!(ran.stdout, "signed in as ravi-s3, renewed by itself\n", "{ran:#?}");
    provider.lifetime(3600);
    eventually("the strategy", async || (list(&cli, &domain).await.code == 0).then_some(())).await;
    cli.run(&["record", "create", &domain.schema("book"), "--set", "title=t"]).await.ok();
    assert_eq!(provider.renewals(), 1, "the new one is good for an hour");

    provider.lifetime(10);
    sign_in(&cli, &[], || ()).await.ok();
    provider.end();
    let told = list(&cli, &domain).await.failed(4);
    assert!(told.contains("has ended at the provider"), "{told}");
    cli.run(&["auth", "logout"]).await.ok();
}

#[tokio::test]
async fn an_actor_and_a_token_are_shut_out_and_let_in_again() {
    let server = Server::shared().await;
    let domain = Domain::new(server);
    let cli = server.cli();
    domain.apply("book", &format!("{BOOK}{OPEN}")).await;
    let route = domain.route("book");
    let ravi = server.actor("ravi-s4", &["writer"]);
    ravi.get(&route).await.expect(200);
    cli.run(&["auth", "revoke", "actor", "ravi-s4", "--reason", "laptop stolen"]).await.ok();
    eventually("ravi to be out", async || (ravi.get(&route).await.status == 401).then_some(())).await;
    assert_eq!(server.actor("ravi-s4", &["writer"]).get(&route).await.status, 401, "a new token too");
    server.actor("mia-s4", &["writer"]).get(&route).await.expect(200);

    let all = cli.run(&["auth", "revocations", "-o", "json"]).await.json();
    let one = all.as_array().unwrap().iter().find(|one| one["value"] == "ravi-s4").unwrap();
    assert_eq!((&one["kind"], &one["reason"]), (&json!("actor"), &json!("laptop stolen")));
    cli.run(&["auth", "restore", one["id"].as_str().unwrap()]).await.ok();
    eventually("ravi to be in", async || (ravi.get(&route).await.status == 200).then_some(())).await;
    cli.run(&["auth", "restore", one["id"].as_str().unwrap()]).await.failed(3);

    // One token of several, by the id that its holder sees.
    let (first, second) =
        (server.token("ravi-s5", &["writer"], &json!({})), server.token("ravi-s5", &["writer"], &json!({})));
    let mine = server.cli_as("ravi-s5", &first);
    let id = mine.run(&["auth", "whoami", "-o", "jsonpath={.credentialId}"]).await.ok();
    cli.run(&["auth", "revoke", "token", id.trim(), "--reason", "in a log", "--expires", "2h"]).await.ok();
    eventually("the token to be out", async || (list(&mine, &domain).await.code == 4).then_some(())).await;
    server.bearer(Some(second)).get(&route).await.expect(200);
    mine.run(&["auth", "revoke", "actor", "mia-s4", "--reason", "spite"]).await.failed(4);
    server
        .cli_as("mia-s4", &server.token("mia-s4", &["writer"], &json!({})))
        .run(&["auth", "revoke", "actor", "dev-admin", "--reason", "spite"])
        .await
        .failed(4);
}
