//! Changes that wait: for somebody's word, or for data that fits. As kubectl shows them.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Domain, OPEN, Server, condition, count, eventually, message, send};

const BOOK: &str = "
fields:
  - {name: title, type: string, required: true, filterable: true}
  - {name: pages, type: integer}
  - {name: state, type: enum, enum: [new, used, lost], filterable: true}
";

fn book() -> String {
    format!("{BOOK}{OPEN}")
}

fn without_pages() -> String {
    book().replace("  - {name: pages, type: integer}\n", "")
}

/// The notes of Events with that reason.
async fn events(server: &Server, domain: &Domain<'_>, object: &str, reason: &str) -> Vec<String> {
    let path = format!("/apis/events.k8s.io/v1/namespaces/{}/events", domain.namespace());
    let found = send(server.kubernetes(Method::GET, &path)).await.expect(200).json();
    let all = found["items"].as_array().unwrap().iter();
    all.filter(|event| event["reason"] == reason && event["regarding"]["name"] == object)
        .map(|event| event["note"].as_str().unwrap().to_owned())
        .collect()
}

async fn told(server: &Server, domain: &Domain<'_>, object: &str, reason: &str) -> String {
    eventually(&format!("the Event {reason}"), async || events(server, domain, object, reason).await.pop())
        .await
}

/// What kubectl shows, where it is installed.
async fn shown(server: &Server, arguments: &[&str], words: &[&str]) {
    let Some(ran) = server.kubectl(arguments).await else { return };
    let text = ran.ok();
    for word in words {
        assert!(text.contains(word), "`{word}` is missing: {text}");
    }
}

#[tokio::test]
async fn data_that_does_not_fit_is_counted_and_named_and_the_change_goes_on_once_it_fits() {
    let server = Server::shared().await;
    let domain = Domain::new(server);
    domain.apply("book", &book()).await;
    let (writer, route) = (server.actor("ravi", &["writer"]), domain.route("book"));
    let mut missing = Vec::new();
    for n in 0..7 {
        let body =
            if n < 5 { json!({"title": format!("t{n}")}) } else { json!({"title": "full", "pages": n}) };
        let id = writer.post(&route, &body).await.expect(201).data()["id"].clone();
        if n < 5 {
            missing.push(id.as_str().unwrap().to_owned());
        }
    }
    let demanding = book().replace("type: integer}", "type: integer, required: true, min: 1}");
    domain.put("book", &demanding).await.expect(200);

    let status = domain.settled("book", &["Blocked"]).await;
    assert_eq!(condition(&status, "MigrationBlocked")["reason"], "DataDoesNotFit", "{status}");
    assert_eq!(condition(&status, "Ready")["status"], "False");
    let pending = status["pendingOperations"].as_array().unwrap();
    let waiting = pending.iter().find(|operation| operation["class"] == "needsData").unwrap();
    let reason = waiting["reason"].as_str().unwrap();
    assert!(reason.contains('5'), "{reason}");
    let named = missing.iter().filter(|id| reason.contains(id.as_str())).count();
    assert_eq!(named, 3, "three ids of those that do not fit: {reason}");
    let note = told(server, &domain, "book", "ChangeBlocked").await;
    assert!(note.contains("pages"), "{note}");
    let namespace = domain.namespace();
    let words =
        ["phase: Blocked", "DataDoesNotFit", "needsData", "planHash: sha256:", "class:", "lock:", "sql:"];
    shown(server, &["get", "sd", "book", "-n", &namespace, "-o", "yaml"], &words).await;
    shown(server, &["describe", "sd", "book", "-n", &namespace], &["Warning", "ChangeBlocked", "Blocked"])
        .await;
    shown(server, &["get", "sd", "-n", &namespace], &["Blocked"]).await;
    // The old shape takes what it took.
    let late = writer.post(&route, &json!({"title": "late"})).await.expect(201).data()["id"].clone();
    missing.push(late.as_str().unwrap().to_owned());

    // An approval is no substitute for data.
    domain.annotate("book", &json!({"velocity.sh/approve-breaking": status["planHash"]})).await;
    for (n, id) in missing.iter().enumerate() {
        writer.patch(&format!("{route}/{id}"), &json!({"pages": n + 1})).await.expect(200);
    }
    domain.served("book").await;
    writer.post(&route, &json!({"title": "x"})).await.expect(400);
    told(server, &domain, "book", "Provisioned").await;
    let status = server.schema_object(&namespace, "book").await["status"].clone();
    assert_eq!(condition(&status, "MigrationBlocked")["status"], "False", "{status}");
    shown(server, &["wait", "--for=condition=Ready", "sd/book", "-n", &namespace, "--timeout=60s"], &[])
        .await;
}

#[tokio::test]
async fn an_approval_is_for_one_plan_and_no_other() {
    let server = Server::shared().await;
    let domain = Domain::new(server);
    let namespace = domain.namespace();
    domain.apply("book", &book()).await;
    let (writer, route) = (server.actor("ravi", &["writer"]), domain.route("book"));
    writer.post(&route, &json!({"title": "t", "pages": 3, "state": "lost"})).await.expect(201);
    domain.put("book", &without_pages()).await.expect(200);
    let first = domain.settled("book", &["Blocked"]).await;
    assert_eq!(condition(&first, "MigrationBlocked")["reason"], "ApprovalNeeded", "{first}");
    assert!(
        message(&first).contains("velocity approve")
            || told(server, &domain, "book", "ChangeBlocked").await.contains("approve")
    );

    // Another plan meanwhile: the value of an enum that a record has goes too.
    let more = without_pages().replace("[new, used, lost]", "[new, used]");
    domain.put("book", &more).await.expect(200);
    let hash = first["planHash"].clone();
    eventually("another plan", async || {
        let status = domain.settled("book", &["Blocked"]).await;
        (status["planHash"] != hash).then_some(())
    })
    .await;
    domain.annotate("book", &json!({"velocity.sh/approve-breaking": hash})).await;
    told(server, &domain, "book", "ApprovalOutdated").await;
    let status = domain.settled("book", &["Blocked"]).await;
    assert_ne!(status["planHash"], hash);
    assert_eq!(writer.get(&route).await.expect(200).data()[0]["pages"], 3, "the old shape is served");
    shown(server, &["describe", "sd", "book", "-n", &namespace], &["ApprovalOutdated"]).await;

    // Back to the first wish, whose plan is the one that was approved.
    domain.put("book", &without_pages()).await.expect(200);
    domain.served("book").await;
    let record = writer.get(&route).await.expect(200).data()[0].clone();
    assert!(record.get("pages").is_none(), "{record}");
    assert_eq!(record["state"], "lost");
    let sql = server.sql().await;
    let trash = format!(
        "select count(*) from platform.trash where path = '{}' and field = 'pages'",
        domain.schema("book")
    );
    assert_eq!(count(&sql, &trash).await, 1);

    // Within thirty days it is all there again, history included.
    domain.apply("book", &book()).await;
    let record = writer.get(&route).await.expect(200).data()[0].clone();
    assert_eq!(record["pages"], 3, "{record}");
    assert_eq!(count(&sql, &trash).await, 0);
    let history = format!("{route}/{}/history", record["id"].as_str().unwrap());
    let events = writer.get(&history).await.expect(200).data();
    assert_eq!(events[0]["after"]["pages"], 3, "{events}");
}

#[tokio::test]
async fn a_deletion_with_its_data_is_approved_and_can_be_taken_back() {
    let server = Server::shared().await;
    let domain = Domain::new(server);
    let namespace = domain.namespace();
    domain.apply("book", &book()).await;
    let (writer, route) = (server.actor("ravi", &["writer"]), domain.route("book"));
    let made = writer.post(&route, &json!({"title": "kept", "pages": 3})).await.expect(201).data();
    let path = format!("{route}/{}", made["id"].as_str().unwrap());
    writer.patch(&path, &json!({"pages": 4})).await.expect(200);
    let events = writer.get(&format!("{path}/history")).await.expect(200).data();

    domain.annotate("book", &json!({"velocity.sh/deletion-policy": "delete"})).await;
    let object = format!("/apis/velocity.sh/v1/namespaces/{namespace}/schemadefinitions/book");
    let deleted = send(server.kubernetes(Method::DELETE, &object)).await;
    assert!(matches!(deleted.status, 200 | 202), "{deleted:?}");
    let status: Value = eventually("the deletion to wait", async || {
        let status = server.schema_object(&namespace, "book").await["status"].clone();
        (status["phase"] == "Terminating" && !status["planHash"].is_null()).then_some(status)
    })
    .await;
    assert_eq!(status["pendingOperations"][0]["class"], "breaking", "{status}");
    told(server, &domain, "book", "DeletionBlocked").await;
    let words = ["phase: Terminating", "deletionTimestamp", "planHash: sha256:"];
    shown(server, &["get", "sd", "book", "-n", &namespace, "-o", "yaml"], &words).await;
    shown(server, &["describe", "sd", "book", "-n", &namespace], &["DeletionBlocked"]).await;
    let sql = server.sql().await;
    assert_eq!(count(&sql, &format!("select count(*) from {}", domain.table("book"))).await, 1);

    domain.annotate("book", &json!({"velocity.sh/approve-breaking": status["planHash"]})).await;
    eventually("the object to be gone", async || {
        (send(server.kubernetes(Method::GET, &object)).await.status == 404).then_some(())
    })
    .await;
    eventually("the API to forget it", async || (writer.get(&path).await.status == 404).then_some(())).await;
    assert!(told(server, &domain, "book", "MovedToTrash").await.contains("30 days"));
    let there = format!("select count(*) from pg_class where oid = to_regclass('{}')", domain.table("book"));
    assert_eq!(count(&sql, &there).await, 0);

    domain.apply("book", &book()).await;
    assert_eq!(writer.get(&path).await.expect(200).data()["pages"], 4);
    assert_eq!(writer.get(&format!("{path}/history")).await.expect(200).data(), events);
    told(server, &domain, "book", "RestoredFromTrash").await;
    writer.patch(&path, &json!({"pages": 5})).await.expect(200);
}

#[tokio::test]
async fn of_a_deletion_whose_policy_is_neither_word_nothing_happens() {
    let server = Server::shared().await;
    let domain = Domain::new(server);
    let namespace = domain.namespace();
    domain.apply("book", &book()).await;
    server.actor("ravi", &["writer"]).post(&domain.route("book"), &json!({"title": "t"})).await.expect(201);
    domain.annotate("book", &json!({"velocity.sh/deletion-policy": "Delete"})).await;
    let object = format!("/apis/velocity.sh/v1/namespaces/{namespace}/schemadefinitions/book");
    send(server.kubernetes(Method::DELETE, &object)).await;
    let note = told(server, &domain, "book", "UnknownDeletionPolicy").await;
    assert!(note.contains("`Delete`") && note.contains("retain"), "{note}");
    domain.annotate("book", &json!({"velocity.sh/deletion-policy": "retain"})).await;
    eventually("the object to be gone", async || {
        (send(server.kubernetes(Method::GET, &object)).await.status == 404).then_some(())
    })
    .await;
    let rows = format!("select count(*) from {}", domain.table("book"));
    assert_eq!(count(&server.sql().await, &rows).await, 1);
}
