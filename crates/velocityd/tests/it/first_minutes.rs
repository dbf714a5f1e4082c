//! A person's first minutes: the procurement example through the command line.

use serde_json::{Value, json};

use crate::harness::{Cli, Domain, OPEN, Ran, Server, untampered};

const NAMESPACE: &str = "acme-supply-chain-procurement";
const ORDERS: &str = "acme__supply_chain__procurement.purchase_order_v1";

/// A server of the test's own, with the example applied.
async fn procurement() -> (Server, Cli) {
    let server = Server::start().await;
    let cli = server.cli();
    cli.run(&["apply", "-f", "examples/procurement", "--wait"]).await.ok();
    (server, cli)
}

async fn fill(cli: &Cli) {
    cli.run(&["record", "create", "supplier", "S-1", "--set", "name=First supplier"]).await.ok();
    for (id, amount) in [("PO-00000001", "10.50"), ("PO-00000002", "99.9")] {
        let amount = format!("amount={amount}");
        let set = ["--set", "supplier_id=S-1", "--set", &amount];
        cli.run(&[&["record", "create", "purchase-order", id], &set[..]].concat()).await.ok();
    }
}

#[tokio::test]
async fn apply_makes_a_table_an_api_a_history_and_access_and_again_changes_nothing() {
    let (server, cli) = procurement().await;
    for (name, phase) in [("supplier", "Ready"), ("purchase-order", "Ready")] {
        let object = cli.run(&["get", "sd", name, "-n", NAMESPACE, "-o", "json"]).await.json();
        assert_eq!(object["status"]["phase"], phase, "{object}");
    }
    let again = cli.run(&["apply", "-f", "examples/procurement", "--wait"]).await.ok();
    for line in again.lines().filter(|line| !line.ends_with("ready")) {
        assert!(line.ends_with("unchanged"), "{again}");
    }
    let object = server.schema_object(NAMESPACE, "supplier").await;
    assert_eq!(object["metadata"]["generation"], 1);

    // Access as the example says, to callers with tokens of the command line.
    fill(&cli).await;
    let tokens = async |actor: &str, roles: &str, more: &[&str]| {
        let arguments = ["auth", "token", "--actor", actor, "--roles", roles];
        let token = cli.run(&[&arguments[..], more].concat()).await.ok();
        assert_eq!(token.lines().count(), 1, "the token alone: {token}");
        server.bearer(Some(token.trim_end().to_owned()))
    };
    let route = "/api/acme/supply-chain/procurement/purchase-order/v1";
    let writer = tokens("ravi", "procurement-writer", &["--expires", "5m"]).await;
    let order = json!({"id": "PO-00000003", "supplier_id": "S-1", "amount": 5, "region": "west"});
    writer.post(route, &order).await.expect(201);
    let west = tokens("wanda", "region-manager", &["--attribute", "region=west"]).await;
    let seen = west.walk(route).await;
    assert_eq!(seen.iter().map(|order| &order["id"]).collect::<Vec<_>>(), [&json!("PO-00000003")]);
    // The example's own binding: no role in the token, and what the filter asks for from the binding.
    let update = ["record", "update", "purchase-order", "PO-00000003", "--set", "status=approved"];
    cli.run(&[&update[..], &["--set", "approved_by=ravi"]].concat()).await.ok();
    let bound = tokens("wanda", "employee", &[]).await;
    let seen = bound.walk(route).await;
    assert_eq!(seen.len(), 1, "{seen:#?}");
    assert_eq!((&seen[0]["id"], &seen[0]["approved_by"]), (&json!("PO-00000003"), &json!("**vi")));
    assert_eq!(
        writer.walk(route).await.iter().find(|o| o["id"] == "PO-00000003").unwrap()["approved_by"],
        "ravi"
    );
    let asked = cli.run(&["can-i", "update", "purchase-order", "--as", "wanda"]).await;
    assert_eq!(asked.code, 4, "{asked:#?}");
    cli.run(&["record", "update", "purchase-order", "PO-00000003", "--set", "status=shipped"]).await.ok();
    let late = writer.patch(&format!("{route}/PO-00000003"), &json!({"amount": 6})).await;
    assert!(late.text.contains("on its way"), "{late:#?}");
    assert_eq!(late.problem(403), "ABAC_DENIED");
    let key = cli.run(&["api-key", "create", "--actor", "robot", "--roles", "procurement-reader"]).await.ok();
    assert!(key.contains("vel_dev_"), "{key}");
    let east = tokens("elsa", "region-manager", &["--attribute", "region=east"]).await;
    assert!(east.walk(route).await.is_empty());
    let reader = tokens("rosa", "procurement-reader", &[]).await;
    assert_eq!(reader.walk(route).await.len(), 3);
    assert_eq!(reader.post(route, &order).await.problem(403), "RBAC_DENIED");
    let missing = json!({"id": "PO-00000004", "supplier_id": "S-404", "amount": 5});
    assert_eq!(writer.post(route, &missing).await.problem(409), "REFERENCE_VIOLATION");
    assert_eq!(untampered(&server.sql().await, ORDERS).await, (3, 5));
}

#[tokio::test]
async fn records_are_made_shown_changed_and_deleted() {
    let (server, cli) = procurement().await;
    fill(&cli).await;
    let record = async |arguments: &[&str]| cli.run(&[&["record"], arguments].concat()).await;
    let order = record(&["get", "purchase-order", "PO-00000001", "-o", "json"]).await;
    assert!(order.stdout.contains("\"amount\": 10.50"), "every digit: {}", order.stdout);
    let order = order.json();
    assert_eq!((&order["status"], &order["version"]), (&json!("draft"), &json!(1)));
    let shown = record(&["get", "purchase-order", "PO-00000001"]).await.ok();
    assert!(shown.contains("10.50") && shown.contains("S-1"), "{shown}");

    let list =
        record(&["list", "purchase-order", "--sort", "-amount", "--fields", "id,amount", "-o", "json"]).await;
    assert_eq!(
        list.json(),
        json!([{"id": "PO-00000002", "amount": 99.90}, {"id": "PO-00000001", "amount": 10.50}])
    );
    let filtered = record(&["list", "purchase-order", "--filter", "amount[gte]=50", "-o", "name"]).await.ok();
    assert_eq!(filtered, "purchase-order/PO-00000002\n");
    let all =
        record(&["list", "acme/supply-chain/procurement/purchase-order/v1", "--all", "-o", "json"]).await;
    assert_eq!(all.json().as_array().unwrap().len(), 2);

    let update = ["update", "purchase-order", "PO-00000001", "--set", "region=west", "--if-version", "1"];
    record(&update).await.ok();
    record(&update).await.failed(5);
    record(&["upsert", "purchase-order", "PO-00000009", "--set", "supplier_id=S-1", "--set", "amount=1"])
        .await
        .ok();
    let replace =
        r#"{"id": "PO-00000009", "supplier_id": "S-1", "amount": 2.25, "address": {"city": "Oslo"}}"#;
    cli.run_on(replace, &["record", "upsert", "purchase-order", "-f", "-"]).await.ok();
    let nine =
        record(&["get", "purchase-order", "PO-00000009", "-o", "jsonpath={.address.city} {.version}"]).await;
    assert_eq!(nine.ok().trim_end(), "Oslo 2");

    record(&["delete", "purchase-order", "PO-00000009", "--reason", "ordered twice by mistake"]).await.ok();
    record(&["get", "purchase-order", "PO-00000009"]).await.failed(3);
    record(&["undelete", "purchase-order", "PO-00000009", "--reason", "it was right after all"]).await.ok();
    let history = cli.run(&["history", "purchase-order", "PO-00000009", "-o", "json"]).await.json();
    let operations: Vec<&str> =
        history.as_array().unwrap().iter().map(|event| event["operation"].as_str().unwrap()).collect();
    assert_eq!(operations, ["UNDELETE", "DELETE", "UPDATE", "CREATE"]);
    let table = cli.run(&["history", "purchase-order", "PO-00000009"]).await.ok();
    assert!(table.contains("ordered twice by mistake") && table.contains("dev-admin"), "{table}");
    assert_eq!(untampered(&server.sql().await, ORDERS).await, (3, 7));
}

#[tokio::test]
async fn what_is_exported_can_be_imported_again() {
    let (server, cli) = procurement().await;
    cli.run(&["record", "create", "supplier", "S-1", "--set", "name=Quote \" comma , line\nbreak"])
        .await
        .ok();
    let categories = r#"categories=["a","b, c"]"#;
    let more = ["--set", "name=ünï 漢字", "--set", "rating=4.50", "--set", categories, "--set", "country=NO"];
    cli.run(&[&["record", "create", "supplier", "S-2"], &more[..]].concat()).await.ok();
    let kept = ["id", "name", "country", "rating", "active", "categories"].join(",");
    for format in ["csv", "ndjson"] {
        let file = server.folder().join(format!("suppliers.{format}"));
        let path = file.to_str().unwrap();
        cli.run(&["record", "export", "supplier", "--format", format, "-f", path]).await.ok();
        let before = cli.run(&["record", "list", "supplier", "--fields", &kept, "-o", "json"]).await.ok();
        // System fields are the platform's to write: an export names them all the same.
        let system = ["version", "created_at", "created_by", "updated_at", "updated_by"];
        let maps: Vec<String> = system.iter().map(|field| format!("{field}=-")).collect();
        let mut arguments = vec!["record", "import", "supplier", "-f", path, "--on-conflict", "update"];
        arguments.extend(maps.iter().flat_map(|map| ["--map", map.as_str()]));
        let said = cli.run(&arguments).await.ok();
        assert!(said.trim_end().ends_with("rejected 0"), "{format}: {said}");
        let after = cli.run(&["record", "list", "supplier", "--fields", &kept, "-o", "json"]).await.ok();
        assert_eq!(before, after, "{format}");
    }
}

#[tokio::test]
async fn resources_are_listed_described_and_deleted() {
    let (server, cli) = procurement().await;
    let get = async |output: &str| cli.run(&["get", "sd", "supplier", "-n", NAMESPACE, "-o", output]).await;
    let table = cli.run(&["get", "schemadefinitions"]).await.ok();
    for word in ["NAMESPACE", "PHASE", "ENDPOINT", "Ready", "/api/acme/supply-chain/procurement/supplier/v1"]
    {
        assert!(table.contains(word), "{word}: {table}");
    }
    let wide = get("wide").await.ok();
    assert!(wide.contains("acme__supply_chain__procurement.supplier_v1"), "{wide}");
    assert!(!table.contains("supplier_v1 "), "the table's name is for wide output: {table}");
    let yaml: Value = serde_saphyr::from_str(&get("yaml").await.ok()).unwrap();
    let json = get("json").await.json();
    assert_eq!(yaml, json);
    assert_eq!((&json["kind"], &json["spec"]["object"]), (&json!("SchemaDefinition"), &json!("supplier")));
    assert_eq!(get("name").await.ok().trim_end(), "schemadefinition.velocity.sh/supplier");
    assert_eq!(get("jsonpath={.status.phase}").await.ok().trim_end(), "Ready");
    let names = cli.run(&["get", "sd", "-o", "jsonpath={.items[*].metadata.name}"]).await.ok();
    assert_eq!(names.split_whitespace().collect::<Vec<_>>(), ["purchase-order", "supplier"]);

    let described = cli.run(&["describe", "sd", "supplier"]).await.ok();
    for word in ["Ready", "country", "procurement-writer", "Provisioned", "create table"] {
        assert!(described.contains(word), "{word}: {described}");
    }
    let strategies = cli.run(&["get", "authstrat", "-o", "name"]).await.ok();
    let names: Vec<&str> = strategies.lines().map(|line| line.rsplit_once('/').unwrap().1).collect();
    assert_eq!(names, ["default", "dev", "dev-keys"], "{strategies}");

    fill(&cli).await;
    cli.run(&["delete", "-f", "examples/procurement"]).await.ok();
    cli.run(&["get", "sd", "supplier"]).await.failed(3);
    cli.run(&["record", "list", "supplier"]).await.failed(3);
    let rows = crate::harness::count(&server.sql().await, &format!("select count(*) from {ORDERS}")).await;
    assert_eq!(rows, 2, "deleting a schema keeps its data");
    cli.run(&["apply", "-f", "examples/procurement", "--wait"]).await.ok();
    let again = cli.run(&["record", "list", "purchase-order", "-o", "json"]).await.json();
    assert_eq!(again.as_array().unwrap().len(), 2, "and applying it again serves them");
    let history = cli.run(&["history", "purchase-order", "PO-00000001", "-o", "json"]).await.json();
    assert_eq!(history.as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn every_way_to_fail_has_its_exit_code_and_says_what_to_do() {
    let (mut server, cli) = procurement().await;
    fill(&cli).await;
    let reader = server.cli_as("rosa", &server.token("rosa", &["procurement-reader"], &json!({})));
    let failed = |ran: Ran, code: i32, hint: &str| {
        let said = ran.failed(code);
        assert!(said.contains(hint), "{hint:?} is not in: {said}");
    };
    let create = [
        "record",
        "create",
        "purchase-order",
        "PO-00000001",
        "--set",
        "supplier_id=S-1",
        "--set",
        "amount=1",
    ];
    failed(
        cli.run(&["record", "create", "purchase-order", "X", "--set", "amount=-1"]).await,
        1,
        "PO-[0-9]{8}",
    );
    failed(cli.run(&["record", "delete", "purchase-order", "PO-00000001"]).await, 1, "--reason");
    failed(cli.run(&["record", "list"]).await, 2, "SCHEMA");
    failed(cli.run(&["frobnicate"]).await, 2, "frobnicate");
    failed(cli.run(&["record", "create", "purchase-order", "--set", "amuont=1"]).await, 1, "amount");
    failed(cli.run(&["record", "get", "purchase-order", "PO-99999999"]).await, 3, "no record");
    failed(cli.run(&["record", "list", "purchase-odrer"]).await, 3, "purchase-order");
    failed(cli.run(&["get", "sd", "nothing"]).await, 3, "nothing");
    failed(reader.run(&create).await, 4, "create");
    let stranger = server.cli_as("sam", "not.a.token");
    failed(stranger.run(&["record", "list", "purchase-order"]).await, 4, "token");
    failed(cli.run(&create).await, 5, "id");
    failed(cli.run(&["apply", "-f", "no-such-file.yaml"]).await, 3, "no-such-file.yaml");
    let offline = cli.run(&["validate", "-f", "examples/procurement"]).await;

    server.stop(nix::sys::signal::Signal::SIGTERM).await;

    failed(cli.run(&["record", "list", "purchase-order"]).await, 6, "velocityd");
    failed(cli.run(&["health"]).await, 6, "");
    failed(cli.run(&["apply", "-f", "examples/procurement"]).await, 6, "");
    offline.ok();
    cli.run(&["validate", "-f", "examples"]).await.failed(1);
    cli.run(&["validate", "-R", "-f", "examples"]).await.ok();
}

#[tokio::test]
async fn a_schema_that_two_domains_have_is_asked_for_by_its_whole_name() {
    let server = Server::shared().await;
    let (one, two) = (Domain::new(server), Domain::new(server));
    for domain in [&one, &two] {
        domain.apply("ambiguous", &format!("fields:\n  - {{name: text, type: string}}\n{OPEN}")).await;
    }
    let cli = server.cli();
    let said = cli.run(&["record", "list", "ambiguous"]).await.failed(2);
    assert!(said.contains(&one.schema("ambiguous")) && said.contains(&two.schema("ambiguous")), "{said}");
    cli.run(&["record", "list", &one.schema("ambiguous")]).await.ok();
}

#[tokio::test]
async fn who_and_what_runs_where_is_told() {
    let server = Server::shared().await;
    let cli = server.cli();
    let version = cli.run(&["version", "-o", "json"]).await.json();
    assert!(
        version.to_string().matches(env!("CARGO_PKG_VERSION")).count() >= 2,
        "client and server: {version}"
    );
    let health = cli.run(&["health"]).await.ok();
    assert!(health.contains("ready"), "{health}");
    let status = cli.run(&["status"]).await.ok();
    assert!(status.contains(&server.endpoints().api) && status.contains("ready"), "{status}");
    let token = server.token("ravi", &["a", "b"], &json!({"region": "west"}));
    let who = server.cli_as("whoami", &token).run(&["auth", "whoami", "-o", "json"]).await.json();
    assert_eq!((&who["actor"], &who["roles"]), (&json!("ravi"), &json!(["a", "b"])), "{who}");
}
