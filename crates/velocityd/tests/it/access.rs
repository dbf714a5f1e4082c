//! Who gets in and what they may do, as the Kubernetes API is told: bindings, strategies, Secrets, keys. What its own rules
//! refuse is in `admission.rs`.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Map, Value, json};
use velocity_access::DevKey;

use crate::harness::{Actor, Domain, Server, eventually, message, send};

/// Readers see everything, locals the rows of their region.
const NOTE: &str = "
fields:
  - {name: text, type: string, filterable: true}
  - {name: region, type: string, filterable: true}
access:
  roles:
    create: [writer]
    read: [reader, local, writer]
    update: [writer]
    delete: [writer]
  rowFilter:
    - {role: local, condition: \"record.region == actor.attributes.region\"}
";

fn binding(namespace: &str, name: &str, spec: &Value) -> Value {
    json!({"apiVersion": "velocity.sh/v1", "kind": "RoleBinding",
        "metadata": {"name": name, "namespace": namespace}, "spec": spec})
}

async fn bind(server: &Server, namespace: &str, name: &str, spec: &Value) {
    let reply = server.apply_object(&binding(namespace, name, spec)).await;
    assert!(matches!(reply.status, 200 | 201), "{reply:#?}");
}

async fn unbind(server: &Server, namespace: &str, name: &str) {
    let path = format!("/apis/velocity.sh/v1/namespaces/{namespace}/rolebindings/{name}");
    send(server.kubernetes(Method::DELETE, &path)).await.expect(200);
}

async fn becomes(who: &Actor, path: &str, status: u16) {
    eventually(&format!("{path} to answer {status}"), async || {
        (who.get(path).await.status == status).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_binding_gives_what_it_says_for_as_long_as_it_is_there() {
    let server = Server::shared().await;
    let domain = Domain::new(server);
    domain.apply("note", NOTE).await;
    domain.apply("memo", NOTE).await;
    let (note, memo, space) = (domain.route("note"), domain.route("memo"), domain.namespace());
    let writer = server.actor("wim", &["writer"]);
    for region in ["west", "east"] {
        writer.post(&note, &json!({"text": "t", "region": region})).await.expect(201);
    }
    let ravi = server.actor("ravi", &[]);
    assert_eq!(ravi.get(&note).await.problem(403), "RBAC_DENIED");

    let local = json!({"actor": "ravi", "roles": ["local"], "attributes": {"region": "west"},
        "scopes": [{"object": "note", "operations": ["read"]}]});
    bind(server, &space, "ravi", &local).await;
    becomes(&ravi, &note, 200).await;
    assert_eq!(ravi.walk(&note).await.len(), 1, "the filter of the role, with the binding's attribute");
    assert_eq!(ravi.get(&memo).await.problem(403), "RBAC_DENIED");
    assert_eq!(ravi.post(&note, &json!({"text": "t"})).await.problem(403), "RBAC_DENIED");
    assert_eq!(server.actor("rav", &[]).get(&note).await.problem(403), "RBAC_DENIED");
    let elsewhere = server.actor_with("ravi", &[], &json!({"region": "east"}));
    assert_eq!(elsewhere.walk(&note).await[0]["region"], "east", "the token's attribute comes first");

    unbind(server, &space, "ravi").await;
    becomes(&ravi, &note, 403).await;

    // One that ends while it is used.
    let until = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(3);
    bind(
        server,
        &space,
        "short",
        &json!({"actor": "ravi", "roles": ["reader"], "expiresAt": until.to_string()}),
    )
    .await;
    becomes(&ravi, &note, 200).await;
    becomes(&ravi, &note, 403).await;
    assert!(jiff::Timestamp::now() >= until, "it ended before its time");
}

#[tokio::test]
async fn a_binding_gives_nothing_outside_its_domain_and_nobody_administrates_through_one() {
    let server = Server::shared().await;
    let (mine, theirs) = (Domain::new(server), Domain::new(server));
    for domain in [&mine, &theirs] {
        domain.apply("note", NOTE).await;
    }
    let eve = server.actor("eve", &[]);
    let all = json!({"actor": "eve", "roles": ["reader", "writer"], "attributes": {"region": "west"}});
    bind(server, &mine.namespace(), "eve", &all).await;
    becomes(&eve, &mine.route("note"), 200).await;
    assert_eq!(eve.get(&theirs.route("note")).await.problem(403), "RBAC_DENIED");
    assert_eq!(eve.get("/platform/drift").await.status, 403);

    // In a namespace that no domain has, it is refused and said so.
    let nowhere = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "nowhere"}});
    server.apply_object(&nowhere).await;
    bind(server, "nowhere", "eve", &all).await;
    let path = "/apis/velocity.sh/v1/namespaces/nowhere/rolebindings/eve";
    let said = eventually("the binding to be refused", async || {
        let found = send(server.kubernetes(Method::GET, path)).await.json();
        (found["status"]["phase"] == "Refused").then(|| message(&found["status"]))
    })
    .await;
    assert!(said.contains("no domain has the namespace `nowhere`"), "{said}");

    let admin = json!({"actor": "eve", "roles": ["platform-admin"]});
    let refused = server.apply_object(&binding(&mine.namespace(), "admin", &admin)).await;
    assert_eq!(refused.status, 422, "{refused:#?}");
}

/// A caller with a token of a key, with whatever roles it says.
fn holder(server: &Server, key: &DevKey, roles: &[&str]) -> Actor {
    let roles: Vec<String> = roles.iter().map(|role| (*role).to_owned()).collect();
    let token = key.mint("mallory", &roles, &Map::new(), jiff::Timestamp::now(), Duration::from_hours(1));
    server.bearer(Some(token.unwrap()))
}

fn strategy(namespace: &str, name: &str, spec: &Value) -> Value {
    json!({"apiVersion": "velocity.sh/v1", "kind": "AuthStrategy",
        "metadata": {"name": name, "namespace": namespace}, "spec": spec})
}

async fn ready(server: &Server, namespace: &str, name: &str) -> (bool, String) {
    let path = format!("/apis/velocity.sh/v1/namespaces/{namespace}/authstrategies/{name}");
    eventually("the strategy to be looked at", async || {
        let found = send(server.kubernetes(Method::GET, &path)).await.expect(200).json();
        let seen = found["status"]["observedGeneration"] == found["metadata"]["generation"];
        let ready = &found["status"]["conditions"][0];
        seen.then(|| (ready["status"] == "True", ready["message"].as_str().unwrap().to_owned()))
    })
    .await
}

#[tokio::test]
async fn another_domains_strategy_lets_nobody_in() {
    let server = Server::shared().await;
    let (victim, evil) = (Domain::new(server), Domain::new(server));
    evil.apply("note", NOTE).await;
    let key = DevKey::generate().unwrap();
    let own = strategy(&evil.namespace(), "own", &json!(key.strategy()));
    server.apply_object(&own).await;
    assert!(ready(server, &evil.namespace(), "own").await.0);
    let mallory = holder(server, &key, &["reader", "writer", "platform-admin"]);

    // Named by a schema: it is not provisioned, and a schema that is there goes on as it was.
    victim.apply("note", NOTE).await;
    let stolen = format!("{NOTE}auth: {{strategyRef: {{name: own, namespace: {}}}}}\n", evil.namespace());
    victim.put("note", &stolen).await;
    let status = victim.settled("note", &["Failed"]).await;
    assert!(message(&status).contains("auth.strategyRef.namespace"), "{status:#}");
    victim.put("other", &stolen).await;
    victim.settled("other", &["Failed"]).await;
    assert_eq!(mallory.get(&victim.route("note")).await.status, 401);
    assert!(matches!(mallory.get(&victim.route("other")).await.status, 401 | 404 | 503));
    server.actor("rosa", &["reader"]).get(&victim.route("note")).await.expect(200);

    // Named by a composite, also one in the namespace of the installation's default strategy.
    let member = json!({"type": "composite", "composite": {"strategies": [
        {"name": "dev"}, {"name": "own", "namespace": evil.namespace()}]}});
    server.apply_object(&strategy("velocity", "mixed", &member)).await;
    let (is_ready, said) = ready(server, "velocity", "mixed").await;
    assert!(!is_ready && said.contains("spec.composite.strategies[1].namespace"), "{said}");
    let mixed = format!("{NOTE}auth: {{strategyRef: {{name: mixed, namespace: velocity}}}}\n");
    victim.put("third", &mixed).await;
    victim.settled("third", &["Ready"]).await;
    for _ in 0..20 {
        assert!(matches!(mallory.get(&victim.route("third")).await.status, 401 | 404 | 503));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let path = "/apis/velocity.sh/v1/namespaces/velocity/authstrategies/mixed";
    send(server.kubernetes(Method::DELETE, path)).await.expect(200);
}

#[tokio::test]
async fn a_domains_own_strategy_makes_no_administrators() {
    let server = Server::shared().await;
    let domain = Domain::new(server);
    let key = DevKey::generate().unwrap();
    let own = format!("{NOTE}auth: {{strategyRef: {{name: own}}}}\n");
    domain.put("note", &own).await;
    server.apply_object(&strategy(&domain.namespace(), "own", &json!(key.strategy()))).await;
    domain.settled("note", &["Ready"]).await;
    let reader = holder(server, &key, &["reader"]);
    becomes(&reader, &domain.route("note"), 200).await;
    let admin = holder(server, &key, &["platform-admin"]);
    assert_eq!(admin.get(&domain.route("note")).await.problem(403), "RBAC_DENIED");
    assert_eq!(admin.get("/platform/drift").await.status, 401, "nor is it asked outside its schemas");
}

#[tokio::test]
async fn an_api_key_works_out_of_the_box_and_ends_where_it_is_revoked() {
    let server = Server::shared().await;
    let domain = Domain::new(server);
    domain.apply("note", NOTE).await;
    let note = domain.route("note");
    let made =
        server.admin().post("/platform/api-keys", &json!({"actor": "robot", "roles": ["reader"]})).await;
    let made = made.expect(201).json();
    let (id, key) = (made["data"]["id"].as_str().unwrap(), made["data"]["key"].as_str().unwrap());
    assert!(key.starts_with("vel_dev_"), "it does not say what it is for");
    let nobody = server.bearer(None);
    let with_key = |method: Method| nobody.request(method, &note).header("x-api-key", key);
    send(with_key(Method::GET)).await.expect(200);
    assert_eq!(send(with_key(Method::POST).json(&json!({"text": "t"}))).await.problem(403), "RBAC_DENIED");
    server.actor("rosa", &["reader"]).get(&note).await.expect(200);
    send(server.admin().request(Method::DELETE, &format!("/platform/api-keys/{id}"))).await.expect(204);
    eventually("the key to be worth nothing", async || {
        (send(with_key(Method::GET)).await.status == 401).then_some(())
    })
    .await;
    assert!(!server.stderr().contains(key), "a key is in the log");
}

#[tokio::test]
async fn secrets_are_kept_for_their_owner_alone_and_kubectl_knows_our_bindings() {
    let server = Server::shared().await;
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &std::fs::metadata(server.data().join("kubernetes.redb")).unwrap().permissions(),
    );
    assert_eq!(mode & 0o777, 0o600);
    let domain = Domain::new(server);
    domain.apply("note", NOTE).await;
    let space = domain.namespace();
    bind(server, &space, "ravi", &json!({"actor": "ravi", "roles": ["reader", "writer"]})).await;
    let Some(made) = server
        .kubectl(&[
            "create",
            "secret",
            "generic",
            "provider",
            "-n",
            &space,
            "--from-literal=secret=correct-horse",
        ])
        .await
    else {
        return;
    };
    assert_eq!(made.code, 0, "{made:#?}");
    let listed = eventually("the binding to be in force", async || {
        let listed = server.kubectl(&["get", "vrb", "-n", &space]).await.unwrap();
        (listed.stdout.contains("InForce")).then_some(listed.stdout)
    })
    .await;
    let (head, row) = listed.split_once('\n').unwrap();
    assert!(["ACTOR", "ROLES", "EXPIRES", "READY"].iter().all(|word| head.contains(word)), "{head}");
    assert!(row.contains("ravi") && row.contains(r#"["reader","writer"]"#) && row.contains("True"), "{row}");
    let all = server.kubectl(&["get", "velocity", "-n", &space]).await.unwrap();
    assert!(all.stdout.contains("rolebinding.velocity.sh/ravi"), "{all:#?}");
    assert!(!server.stderr().contains("correct-horse"), "a Secret is in the log");
}

#[tokio::test]
async fn a_folder_of_an_earlier_version_takes_api_keys_after_a_start() {
    let mut server = Server::start().await;
    // What earlier versions had: tokens alone.
    for name in ["default", "dev-keys"] {
        let path = format!("/apis/velocity.sh/v1/namespaces/velocity/authstrategies/{name}");
        send(server.kubernetes(Method::DELETE, &path)).await.expect(200);
    }
    server.stop(nix::sys::signal::Signal::SIGTERM).await;
    server.start_again().await;
    server.admin().get("/platform/drift").await.expect(200);
    for name in ["dev", "dev-keys", "default"] {
        let (is_ready, said) = ready(&server, "velocity", name).await;
        assert!(is_ready, "{name}: {said}");
    }
    server.admin().post("/platform/api-keys", &json!({"actor": "robot"})).await.expect(201);
    server.cli().run(&["auth", "whoami"]).await.ok();
}
