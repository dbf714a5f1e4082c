//! What the operator does with schemas, and says about them.

use serde_json::json;

use crate::harness::{Domain, OPEN, Server, condition, count, eventually, message};

const BOOK: &str = "
fields:
  - {name: title, type: string, required: true, filterable: true}
  - {name: pages, type: integer}
  - {name: state, type: enum, enum: [new, used, lost], filterable: true}
";

fn book() -> String {
    format!("{BOOK}{OPEN}")
}

#[tokio::test]
async fn kubectl_shows_what_was_done() {
    let server = Server::shared().await;
    let domain = Domain::new(server);
    domain.apply("book", &book()).await;
    let namespace = domain.namespace();
    let Some(described) = server.kubectl(&["describe", "schemadefinition", "book", "-n", &namespace]).await
    else {
        return;
    };
    let described = described.ok();
    for word in
        ["Phase:", "Ready", "TableReady", "PoliciesReady", "HistoryReady", "Provisioned", "create table"]
    {
        assert!(described.contains(word), "{word}: {described}");
    }
    let table = server.kubectl(&["get", "sd", "-n", &namespace]).await.unwrap().ok();
    assert!(
        table.contains("PHASE") && table.contains("Ready") && table.contains(&domain.route("book")),
        "{table}"
    );
    let wait = ["wait", "--for=condition=Ready", "sd/book", "-n", &namespace, "--timeout=60s"];
    server.kubectl(&wait).await.unwrap().ok();
    let explained = server.kubectl(&["explain", "schemadefinition.spec.fields"]).await.unwrap().ok();
    assert!(explained.contains("filterable"), "{explained}");
    server.kubectl(&["delete", "sd", "book", "-n", &namespace]).await.unwrap().ok();
    eventually("the API to forget it", async || {
        (server.admin().get(&domain.route("book")).await.status == 404).then_some(())
    })
    .await;
}

#[tokio::test]
async fn what_is_not_supported_yet_is_refused_with_its_place() {
    let server = Server::shared().await;
    let domain = Domain::new(server);
    for (more, path) in [
        ("search: {tier: 3, fields: [title]}", "search"),
        ("archive: {policyRef: {name: x}}", "archive"),
        ("scaling: {minReplicas: 2, maxReplicas: 3}", "scaling"),
        (
            "observability: {slos: [{operation: read, p99Ms: 100, availability: 99.9, window: 30d}]}",
            "observability",
        ),
        ("timeMachine: {enabled: true, hotRetention: 90d}", "timeMachine"),
    ] {
        let reply = domain.put("book", &format!("{}\n{more}\n", book())).await;
        let said = if matches!(reply.status, 200 | 201) {
            message(&domain.settled("book", &["Failed"]).await)
        } else {
            assert!((400..500).contains(&reply.status), "{reply:?}");
            reply.text
        };
        assert!(said.contains(path), "{path}: {said}");
    }
    assert_eq!(server.admin().get(&domain.route("book")).await.problem(503), "SCHEMA_NOT_READY");
}

#[tokio::test]
async fn nonsense_is_refused_with_everything_that_is_wrong() {
    let server = Server::shared().await;
    let domain = Domain::new(server);
    // Each is right for the CRD's schema, and wrong for what it means.
    let spec = format!(
        "{BOOK}  - {{name: other, type: string, ref: {{object: nothing, version: v1, field: nope}}}}
uniqueConstraints:
  - {{fields: [title, absent]}}
indexes:
  - {{fields: [missing]}}
validation:
  rules:
    - {{rule: \"self.gone > 1\", message: a}}
    - {{rule: \"self.pages > 'a'\", message: b}}
access:
  roles: {{read: [reader]}}
  rowFilter:
    - {{role: reader, condition: \"record.nowhere == 1\"}}
"
    );
    let reply = domain.put("book", &spec).await;
    assert!(matches!(reply.status, 200 | 201), "{reply:?}");
    let said = message(&domain.settled("book", &["Failed"]).await);
    for word in ["absent", "missing", "gone", "pages", "nowhere"] {
        assert!(said.contains(word), "{word}: {said}");
    }
    for path in
        ["uniqueConstraints[0]", "indexes[0]", "validation.rules[0]", "validation.rules[1]", "rowFilter[0]"]
    {
        assert!(said.contains(path), "{path}: {said}");
    }
}

#[tokio::test]
async fn kubectl_and_the_command_line_may_be_mixed_and_a_namespace_may_go() {
    let server = Server::start().await;
    let (namespace, file) = ("acme-supply-chain-procurement", "examples/procurement");
    let file = crate::harness::project().join(file);
    let file = file.to_str().unwrap();
    if server.kubectl(&["create", "namespace", namespace]).await.is_none() {
        return;
    }
    let kubectl = async |arguments: &[&str]| server.kubectl(arguments).await.unwrap().ok();
    kubectl(&["apply", "-f", file]).await;
    kubectl(&["wait", "--for=condition=Ready", "sd", "--all", "-n", namespace, "--timeout=60s"]).await;
    let events = kubectl(&["get", "events", "-n", namespace]).await;
    for object in ["supplier", "purchase-order"] {
        let made = events.lines().any(|line| line.contains(object) && line.contains("create table"));
        assert!(made, "no Event says that the table of {object} was made: {events}");
    }
    kubectl(&["apply", "--server-side", "-f", file]).await;
    server.cli().run(&["apply", "-f", file, "--wait"]).await.ok();
    kubectl(&["apply", "-f", file]).await;
    kubectl(&["label", "sd", "supplier", "-n", namespace, "team=buying"]).await;
    let patch = r#"{"spec": {"displayName": "Vendor"}}"#;
    kubectl(&["patch", "sd", "supplier", "-n", namespace, "--type", "merge", "-p", patch]).await;
    let labelled = kubectl(&["get", "sd", "-n", namespace, "-l", "team=buying", "-o", "name"]).await;
    assert_eq!(labelled.trim_end(), "schemadefinition.velocity.sh/supplier");
    let described = server.cli().run(&["describe", "sd", "supplier"]).await.ok();
    assert!(described.contains("Vendor"), "{described}");
    server.cli().run(&["record", "create", "supplier", "S-1", "--set", "name=x"]).await.ok();

    kubectl(&["delete", "namespace", namespace, "--timeout=60s"]).await;

    assert_eq!(kubectl(&["get", "sd", "-A", "-o", "name"]).await, "");
    server.cli().run(&["apply", "-f", file, "--wait"]).await.ok();
    let kept = server.cli().run(&["record", "list", "supplier", "-o", "name"]).await.ok();
    assert_eq!(kept, "supplier/S-1\n");
}

fn pointing(field: &str, target: &str) -> String {
    format!(
        "fields:
  - {{name: name, type: string, filterable: true}}
  - {{name: {field}, type: uuid, filterable: true, ref: {{object: {target}, version: v1, field: id}}}}
{OPEN}"
    )
}

#[tokio::test]
async fn a_schema_waits_for_what_it_refers_to() {
    let server = Server::shared().await;
    let domain = Domain::new(server);
    domain.put("leaf", &pointing("branch", "branch")).await;
    let status = domain.settled("leaf", &["Provisioning"]).await;
    assert_eq!(condition(&status, "Ready")["reason"], "WaitingForReference", "{status}");
    assert!(message(&status).contains("branch"), "{status}");
    let writer = server.actor("ravi", &["writer"]);
    assert!(matches!(writer.get(&domain.route("leaf")).await.status, 404 | 503));

    domain.apply("branch", &book()).await;

    domain.served("leaf").await;
    let missing = json!({"name": "x", "branch": "01890a5d-ac96-774b-bcce-b302099a8057"});
    let refused = writer.post(&domain.route("leaf"), &missing).await;
    assert_eq!(refused.problem(409), "REFERENCE_VIOLATION");
    let branch = writer.post(&domain.route("branch"), &json!({"title": "b"})).await.expect(201).data();
    writer.post(&domain.route("leaf"), &json!({"name": "x", "branch": branch["id"]})).await.expect(201);
    assert_eq!(
        writer
            .delete(&format!("{}/{}", domain.route("branch"), branch["id"].as_str().unwrap()))
            .await
            .problem(409),
        "REFERENCE_VIOLATION"
    );
}

#[tokio::test]
async fn schemas_that_refer_to_each_other_and_to_themselves_converge() {
    let server = Server::shared().await;
    let domain = Domain::new(server);
    domain.put("hen", &pointing("egg", "egg")).await;
    domain.put("egg", &pointing("hen", "hen")).await;
    domain.put("node", &pointing("parent", "node")).await;
    for object in ["hen", "egg", "node"] {
        domain.served(object).await;
    }
    let writer = server.actor("ravi", &["writer"]);
    let hen = writer.post(&domain.route("hen"), &json!({"name": "h"})).await.expect(201).data();
    let egg =
        writer.post(&domain.route("egg"), &json!({"name": "e", "hen": hen["id"]})).await.expect(201).data();
    let path = format!("{}/{}", domain.route("hen"), hen["id"].as_str().unwrap());
    writer.patch(&path, &json!({"egg": egg["id"]})).await.expect(200);
    let root = writer.post(&domain.route("node"), &json!({"name": "root"})).await.expect(201).data();
    writer.post(&domain.route("node"), &json!({"name": "child", "parent": root["id"]})).await.expect(201);
}

#[tokio::test]
async fn what_is_claimed_cannot_be_claimed_again() {
    let server = Server::shared().await;
    let domain = Domain::new(server);
    domain.apply("book", &book()).await;
    // The same path under another name.
    let mut second = domain.definition("book", &book());
    second["metadata"]["name"] = json!("another");
    assert!(matches!(server.apply_object(&second).await.status, 200 | 201));
    let status = domain.settled("another", &["Failed"]).await;
    assert_eq!(condition(&status, "Ready")["reason"], "AlreadyClaimed", "{status}");
    assert!(message(&status).contains("book"), "{status}");
    assert!(status["specHash"].is_null());

    // The same namespace for another place: `a-b` and `c` want the one that `a` and `b-c` have.
    let namespace = domain.namespace();
    let org = namespace.split('-').next().unwrap().to_owned();
    let mut third = domain.definition("book", &book());
    third["metadata"]["name"] = json!("third");
    third["spec"]["object"] = json!("third");
    third["spec"]["org"] = json!(format!("{org}-shop"));
    third["spec"]["app"] = json!("sales");
    third["spec"]["domain"] = json!("x");
    let reply = server.apply_object(&third).await;
    if matches!(reply.status, 200 | 201) {
        // Not this namespace's path at all.
        let status = domain.settled("third", &["Failed"]).await;
        assert!(message(&status).contains("namespace"), "{status}");
    }
    let place =
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": format!("{org}-shop-sales-x")}});
    server.apply_object(&place).await;
    third["metadata"]["namespace"] = json!(format!("{org}-shop-sales-x"));
    assert!(matches!(server.apply_object(&third).await.status, 200 | 201));
    let mut fourth = third.clone();
    fourth["metadata"]["name"] = json!("fourth");
    fourth["spec"]["object"] = json!("fourth");
    fourth["spec"]["org"] = json!(org);
    fourth["spec"]["app"] = json!("shop-sales");
    let path = |name: &str| format!("{org}-shop-sales-x/{name}");
    eventually("the first to be provisioned", async || {
        let found = server.schema_object(&format!("{org}-shop-sales-x"), "third").await;
        (found["status"]["phase"] == "Ready").then_some(())
    })
    .await;
    assert!(matches!(server.apply_object(&fourth).await.status, 200 | 201));
    let refused = eventually(&path("fourth"), async || {
        let found = server.schema_object(&format!("{org}-shop-sales-x"), "fourth").await;
        (found["status"]["phase"] == "Failed").then(|| found["status"].clone())
    })
    .await;
    assert_eq!(condition(&refused, "Ready")["reason"], "AlreadyClaimed", "{refused}");
    // The first claim is as it was.
    server.actor("ravi", &["writer"]).post(&domain.route("book"), &json!({"title": "t"})).await.expect(201);
}

#[tokio::test]
async fn one_bad_object_only_hurts_itself_also_after_a_restart() {
    let mut server = Server::start().await;
    let (good, bad, later) = {
        let domain = Domain::new(&server);
        let bad = "fields:\n  - {name: a, type: string}\nindexes:\n  - {fields: [nothing]}\n";
        assert!(matches!(domain.put("aaa-bad", bad).await.status, 200 | 201));
        domain.settled("aaa-bad", &["Failed"]).await;
        domain.apply("good", &book()).await;
        assert!(matches!(domain.put("zzz-bad", bad).await.status, 200 | 201));
        (domain.route("good"), domain.route("aaa-bad"), domain.namespace())
    };
    server.kill().await;
    server.start_again().await;
    let writer = server.actor("ravi", &["writer"]);
    writer.post(&good, &json!({"title": "t"})).await.expect(201);
    assert!(matches!(writer.get(&bad).await.status, 404 | 503));
    let bad = server.schema_object(&later, "aaa-bad").await;
    assert_eq!(bad["status"]["phase"], "Failed");
}

#[tokio::test]
async fn deleting_a_schema_keeps_its_data_for_the_next_one() {
    let server = Server::shared().await;
    let domain = Domain::new(server);
    domain.apply("book", &book()).await;
    let writer = server.actor("ravi", &["writer"]);
    let route = domain.route("book");
    let id = writer.post(&route, &json!({"title": "kept"})).await.expect(201).data()["id"].clone();
    let path = format!("{route}/{}", id.as_str().unwrap());
    let cli = server.cli();
    let namespace = domain.namespace();
    cli.run(&["delete", "sd", "book", "-n", &namespace]).await.ok();
    eventually("the API to forget it", async || (writer.get(&path).await.status == 404).then_some(())).await;
    let rows = format!("select count(*) from {}", domain.table("book"));
    assert_eq!(count(&server.sql().await, &rows).await, 1);
    cli.run(&["delete", "sd", "book", "-n", &namespace]).await.failed(3);

    domain.apply("book", &book()).await;

    assert_eq!(writer.get(&path).await.expect(200).data()["title"], "kept");
    writer.patch(&path, &json!({"title": "changed"})).await.expect(200);
    let events = writer.get(&format!("{path}/history")).await.expect(200).data();
    assert_eq!(events.as_array().unwrap().len(), 2);
}
