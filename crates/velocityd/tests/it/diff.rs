//! `velocity diff` and the route behind it, against a real server.

use serde_json::{Value, json};

use crate::harness::{Cli, Domain, OPEN, Server, count};

const BOOK: &str = "
fields:
  - {name: title, type: string, required: true, filterable: true}
  - {name: pages, type: integer}
  - {name: state, type: enum, enum: [new, used, lost], filterable: true}
";

const SHELF: &str = "
fields:
  - {name: title, type: string, required: true, filterable: true}
  - {name: region, type: string, filterable: true}
";

fn manifest(server: &Server, domain: &Domain<'_>, name: &str, spec: &str) -> String {
    let path = server.folder().join(format!("{}-{name}.yaml", domain.namespace()));
    std::fs::write(&path, domain.definition("book", spec).to_string()).unwrap();
    path.display().to_string()
}

async fn diff(cli: &Cli, file: &str) -> (i32, Value) {
    let ran = cli.run(&["diff", "-f", file, "-o", "json"]).await;
    let report = serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {ran:#?}"));
    (ran.code, report)
}

#[tokio::test]
async fn the_server_tells_what_a_manifest_would_change_and_changes_nothing() {
    let server = Server::shared().await;
    let domain = Domain::new(server);
    let cli = server.cli();
    let plain = format!("{BOOK}{OPEN}");
    let file = manifest(server, &domain, "plain", &plain);
    let (code, report) = diff(&cli, &file).await;
    assert_eq!((code, &report["schemas"][0]["class"]), (10, &json!("safe")), "{report}");
    let sql = server.sql().await;
    let made = format!(
        "select count(*) from pg_namespace where nspname = '{}'",
        domain.table("book").split('.').next().unwrap()
    );
    assert_eq!(count(&sql, &made).await, 0, "asking makes nothing");

    domain.apply("book", &plain).await;
    let (code, report) = diff(&cli, &file).await;
    assert_eq!((code, &report["schemas"][0]["operations"]), (0, &json!([])), "{report}");

    let writer = server.actor("ravi", &["writer"]);
    for pages in [json!(null), json!(10)] {
        writer
            .post(&domain.route("book"), &json!({"title": "t", "pages": pages, "state": "lost"}))
            .await
            .expect(201);
    }
    let before = server.schema_object(&domain.namespace(), "book").await;
    let required = plain.replace("pages, type: integer", "pages, type: integer, required: true");
    let (code, report) = diff(&cli, &manifest(server, &domain, "required", &required)).await;
    assert_eq!(code, 11, "{report}");
    let operations = report["schemas"][0]["operations"].as_array().unwrap();
    let blocked = operations.iter().find(|one| one["violations"].is_object()).unwrap();
    assert_eq!(
        (&blocked["class"], &blocked["violations"]["count"]),
        (&json!("needsData"), &json!(1)),
        "{blocked}"
    );
    assert_eq!(blocked["violations"]["samples"].as_array().unwrap().len(), 1);
    assert!(blocked["reason"].as_str().unwrap().contains("no value for pages"), "{blocked}");
    assert!(report["schemas"][0]["estimatedRows"].as_i64().unwrap() >= 1, "{report}");

    let in_use = plain
        .replace("[new, used, lost]", "[new, used]")
        .replace("history: [writer, reader]", "history: [writer]");
    let (code, report) = diff(&cli, &manifest(server, &domain, "enum", &in_use)).await;
    assert_eq!(code, 12, "a value in use: {report}");
    assert_eq!(
        report["schemas"][0]["access"],
        json!([{"role": "reader", "operation": "history", "change": "loses"}])
    );
    let unused = plain.replace("[new, used, lost]", "[new, lost]");
    let (code, report) = diff(&cli, &manifest(server, &domain, "unused", &unused)).await;
    assert_ne!(code, 12, "a value that nobody uses: {report}");
    assert_eq!(server.schema_object(&domain.namespace(), "book").await, before, "nothing was changed");
}

#[tokio::test]
async fn the_plan_is_the_very_one_that_the_operator_would_have_approved() {
    let server = Server::shared().await;
    let domain = Domain::new(server);
    let cli = server.cli();
    let plain = format!("{BOOK}{OPEN}");
    domain.apply("book", &plain).await;
    server.actor("ravi", &["writer"]).post(&domain.route("book"), &json!({"title": "t"})).await.expect(201);
    let dropped = plain.replace("  - {name: pages, type: integer}\n", "");
    let file = manifest(server, &domain, "dropped", &dropped);
    let (code, report) = diff(&cli, &file).await;
    assert_eq!(code, 12, "{report}");
    let planned = &report["schemas"][0];
    assert!(planned["changes"].to_string().contains("pages"), "{planned}");

    domain.put("book", &dropped).await.expect(200);
    let status = domain.settled("book", &["Blocked"]).await;
    assert_eq!(status["planHash"], planned["planHash"]);
    let statements = |operations: &Value| -> Vec<String> {
        let all = operations.as_array().unwrap().iter();
        let mut all: Vec<String> = all.map(|one| one["sql"].as_str().unwrap().to_owned()).collect();
        all.sort();
        all
    };
    assert_eq!(statements(&status["pendingOperations"]), statements(&planned["operations"]));
    // Offline, from the manifests alone, the same change is of the same class.
    let old = manifest(server, &domain, "old", &plain);
    let offline = cli.run(&["diff", "-f", &file, "--against", &old, "-o", "json"]).await;
    assert_eq!(offline.code, 12, "{offline:#?}");
}

#[tokio::test]
async fn a_changed_access_block_says_who_sees_how_many_records() {
    let server = Server::shared().await;
    let domain = Domain::new(server);
    let cli = server.cli();
    let book = |access: &str| format!("{SHELF}access:\n{access}");
    domain.apply("book", &book("  roles: {create: [writer], read: [writer, regional]}\n")).await;
    let writer = server.actor("ravi", &["writer"]);
    for region in ["west", "west", "west", "east", "east"] {
        writer.post(&domain.route("book"), &json!({"title": "t", "region": region})).await.expect(201);
    }
    let filtered = book(
        "  roles: {create: [writer], read: [regional, clerk]}\n  rowFilter: [{role: regional, condition: 'record.region == actor.attributes.region'}]\n",
    );
    let file = manifest(server, &domain, "filtered", &filtered);
    let of = |report: &Value, role: &str| -> Value {
        let access = report["schemas"][0]["access"].as_array().unwrap();
        access.iter().find(|change| change["role"] == role && change["operation"] == "read").unwrap().clone()
    };
    let (code, report) = diff(&cli, &file).await;
    assert_eq!(code, 10, "{report}");
    for (role, change, before, after) in
        [("clerk", "gains", json!(0), json!(5)), ("writer", "loses", json!(5), json!(0))]
    {
        let told = of(&report, role);
        assert_eq!(
            (&told["change"], &told["rowsBefore"], &told["rowsAfter"]),
            (&json!(change), &before, &after)
        );
    }
    let regional = of(&report, "regional");
    assert_eq!((&regional["rowsBefore"], &regional["rowsAfter"]), (&json!(5), &Value::Null), "whose region?");
    assert!(regional["note"].is_string(), "{regional}");
    let ran = cli.run(&["diff", "-f", &file, "--attribute", "region=west", "-o", "json"]).await;
    let regional = of(&serde_json::from_str(&ran.stdout).unwrap(), "regional");
    assert_eq!((&regional["rowsBefore"], &regional["rowsAfter"]), (&json!(5), &json!(3)), "{regional}");
    let page = cli.run(&["diff", "-f", &file, "--attribute", "region=east"]).await;
    assert!(page.stdout.contains("sees 5 records, then 2 records"), "{page:#?}");
}

#[tokio::test]
async fn administration_is_for_administrators() {
    let server = Server::shared().await;
    let domain = Domain::new(server);
    let spec = domain.definition("book", &format!("{BOOK}{OPEN}"))["spec"].clone();
    let nobody = server.bearer(None);
    assert_eq!(nobody.post("/platform/plan", &spec).await.problem(401), "AUTH_REQUIRED");
    assert_eq!(nobody.get("/platform/drift").await.problem(401), "AUTH_REQUIRED");
    let forged = server.bearer(Some("eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0.".to_owned()));
    assert_eq!(forged.get("/platform/drift").await.problem(401), "AUTH_INVALID_TOKEN");
    for roles in [&["writer", "reader"][..], &["Platform-Admin", "platform-admin,x"], &[]] {
        let actor = server.actor("ravi", roles);
        assert_eq!(actor.post("/platform/plan", &spec).await.problem(403), "RBAC_DENIED", "{roles:?}");
        // Who may not ask is told nothing of the body, nor of what is there.
        assert_eq!(actor.post_text("/platform/plan", "no json").await.problem(403), "RBAC_DENIED");
        assert_eq!(actor.get("/platform/drift?schema=a/b/c/d/v1").await.problem(403), "RBAC_DENIED");
    }
    let cli = server.cli_as("ravi", &server.token("ravi", &["writer"], &json!({})));
    cli.run(&["drift"]).await.failed(4);
}

#[tokio::test]
async fn a_spec_from_anywhere_is_taken_as_one_or_refused() {
    let server = Server::shared().await;
    let domain = Domain::new(server);
    let admin = server.admin();
    let spec = domain.definition("book", &format!("{BOOK}{OPEN}"))["spec"].clone();
    let plan = "/platform/plan";
    for body in ["", "{", "[]", "null", "\"x\"", "{\"org\": 3}"] {
        let reply = admin.post_text(plan, body).await;
        assert_eq!(reply.status, 400, "{body}: {reply:#?}");
    }
    let mut hostile = spec.clone();
    hostile["object"] = json!("book\"; drop schema platform cascade; --");
    hostile["fields"][0]["name"] = json!("a\" text); drop table x; --");
    let reply = admin.post(plan, &hostile).await;
    let errors = reply.json()["errors"].clone();
    assert_eq!(reply.problem(400), "VALIDATION_ERROR");
    assert!(errors.as_array().unwrap().len() >= 2, "all of them at once: {errors}");
    let mut quoted = spec.clone();
    quoted["fields"][0]["default"] = json!("it's \"quoted\"; select pg_sleep(60) --");
    let planned = admin.post(plan, &quoted).await.expect(200).data();
    assert!(planned["operations"].to_string().contains("it''s"), "{planned}");
    let huge = format!("{{\"description\": \"{}\"}}", "x".repeat(11 << 20));
    assert_eq!(admin.post_text(plan, huge).await.status, 413);
    let deep = format!("{{\"fields\": {}{}}}", "[".repeat(5000), "]".repeat(5000));
    assert_eq!(admin.post_text(plan, deep).await.status, 400);
    assert_eq!(admin.post(&format!("{plan}?dryRun=1"), &spec).await.problem(400), "MALFORMED_REQUEST");
    assert_eq!(admin.get(plan).await.status, 405);
    assert_eq!(admin.get("/platform/drift?schema=a/b/c/d/v1").await.problem(404), "SCHEMA_NOT_FOUND");
    assert_eq!(admin.get("/platform/drift?schema=';--").await.problem(400), "MALFORMED_REQUEST");
    let sql = server.sql().await;
    let role = format!(
        "select count(*) from pg_roles where rolname = '{}'",
        domain.table("book").split('.').next().unwrap()
    );
    assert_eq!(count(&sql, &role).await, 0, "nothing of a domain that was only asked about is there");
    assert_eq!(count(&sql, "select count(*) from pg_namespace where nspname = 'platform'").await, 1);
}
