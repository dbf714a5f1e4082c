use serde_json::json;

use crate::fake_api::{FakeApi, SCHEMA};
use crate::harness::{Home, Run, TestCluster, eventually};

pub(crate) const PATH: &str = "/apis/velocity.sh/v1/namespaces/acme-shop-sales/schemadefinitions/order";

pub(crate) fn order(more: &str) -> String {
    format!(
        "apiVersion: velocity.sh/v1\nkind: SchemaDefinition\nmetadata:\n  name: order\nspec:\n  org: acme\n  app: shop\n  domain: sales\n  object: order\n  version: v1\n  fields:\n    - {{ name: id, type: string }}\n    - {{ name: amount, type: number, required: true }}\n{more}"
    )
}

pub(crate) fn status(generation: i64, phase: &str, reason: &str, message: &str) -> serde_json::Value {
    let ready = if phase == "Ready" { "True" } else { "False" };
    json!({
        "phase": phase, "observedGeneration": generation, "specHash": "sha256:ab", "endpoint": format!("/api/{SCHEMA}"),
        "table": "acme__shop__sales.order_v1",
        "conditions": [{ "type": "Ready", "status": ready, "reason": reason, "message": message,
            "lastTransitionTime": "2026-01-01T00:00:00Z" }],
    })
}

#[test]
fn a_schema_is_created_configured_and_left_unchanged() {
    let (api, cluster) = (FakeApi::start(), TestCluster::start());
    let home = Home::with_cluster(&api, &cluster);
    home.write("order.yaml", order(""));
    assert_eq!(
        home.run("apply -f order.yaml").ok(),
        "namespace/acme-shop-sales created\nschemadefinition.velocity.sh/order created\n"
    );
    assert_eq!(home.run("apply -f order.yaml").ok(), "schemadefinition.velocity.sh/order unchanged\n");
    home.write("order.yaml", order("    - { name: note, type: string }\n"));
    assert_eq!(home.run("apply -f order.yaml").ok(), "schemadefinition.velocity.sh/order configured\n");
    assert_eq!(cluster.get(PATH).unwrap()["spec"]["fields"].as_array().unwrap().len(), 3);
}

#[test]
fn without_leave_no_namespace_is_made() {
    let (api, cluster) = (FakeApi::start(), TestCluster::start());
    let home = Home::with_cluster(&api, &cluster);
    home.write("order.yaml", order(""));
    let run = home.run("apply -f order.yaml --create-namespace=false");
    assert_eq!(run.code, 3, "{}", run.all());
    assert!(cluster.get("/api/v1/namespaces/acme-shop-sales").is_none());
}

#[test]
fn what_the_rules_refuse_is_told_field_by_field() {
    let (api, cluster) = (FakeApi::start(), TestCluster::start());
    let home = Home::with_cluster(&api, &cluster);
    home.write("order.yaml", order("    - { name: note, type: strin }\n    - { name: x, type: enum }\n"));
    let run = home.run("apply -f order.yaml");
    assert_eq!(run.code, 1, "{}", run.all());
    assert!(run.stderr.contains("spec.fields[2].type"), "{}", run.all());
    home.write("order.yaml", order("    - { name: note, type: string, maxLenght: 3 }\n"));
    let run = home.run("apply -f order.yaml");
    assert_eq!(run.code, 1, "{}", run.all());
    assert!(run.stderr.contains("maxLenght"), "{}", run.all());
}

#[test]
fn waiting_ends_when_the_api_serves_the_very_spec() {
    let (api, cluster) = (FakeApi::start(), TestCluster::start());
    let home = Home::with_cluster(&api, &cluster);
    home.write("order.yaml", order(""));
    api.world().spec_hash = "sha256:old".into();
    let mut child = home.start("apply -f order.yaml --wait --timeout 60s");
    eventually("the object", || cluster.get(PATH).is_some());
    cluster.set_status(PATH, &status(1, "Provisioning", "Provisioning", "making the table"));
    cluster.set_status(PATH, &status(1, "Ready", "Provisioned", ""));
    eventually("a look at the API", || {
        api.world().requests.iter().any(|seen| seen.line.ends_with("/schema.json"))
    });
    assert!(child.try_wait().unwrap().is_none(), "it did not wait for the API");
    api.world().spec_hash = "sha256:ab".into();
    let run = Run::from(child.wait_with_output().unwrap());
    assert!(run.ok().ends_with("schemadefinition.velocity.sh/order ready\n"));
}

#[test]
fn waiting_ends_with_the_reason_when_it_is_blocked_or_has_failed() {
    let (api, cluster) = (FakeApi::start(), TestCluster::start());
    let home = Home::with_cluster(&api, &cluster);
    home.write("order.yaml", order(""));
    home.run("apply -f order.yaml").ok();
    for (phase, message) in
        [("Blocked", "drop column note needs an approval"), ("Failed", "the rule does not compile")]
    {
        let mut status = status(1, phase, "Reason", message);
        status["pendingOperations"] = json!([{ "summary": "drop column note", "class": "breaking", "lock": "ACCESS EXCLUSIVE",
            "sql": "alter table x drop column note", "reason": "not approved" }]);
        cluster.set_status(PATH, &status);
        let run = home.run("apply -f order.yaml --wait");
        assert_eq!(run.code, 1, "{}", run.all());
        assert!(run.stderr.contains(message) && run.stderr.contains("drop column note"), "{}", run.all());
    }
}

#[test]
fn waiting_gives_up_in_time_and_says_what_is_missing() {
    let (api, cluster) = (FakeApi::start(), TestCluster::start());
    let home = Home::with_cluster(&api, &cluster);
    home.write("order.yaml", order(""));
    let run = home.run("apply -f order.yaml --wait --timeout 1s");
    assert_eq!(run.code, 6, "{}", run.all());
    assert!(run.stderr.contains("the operator has not looked at it yet"), "{}", run.all());
}

#[test]
fn folders_lists_and_several_documents_are_applied_in_the_order_of_their_needs() {
    let (api, cluster) = (FakeApi::start(), TestCluster::start());
    let home = Home::with_cluster(&api, &cluster);
    let refers = "    - { name: customer, type: string, ref: { object: customer, version: v1 } }\n";
    let customer =
        order("").replace("name: order", "name: customer").replace("object: order", "object: customer");
    home.write("all/1.yaml", format!("{}---\n{customer}", order(refers)));
    home.write(
        "all/2.json",
        json!({ "apiVersion": "velocity.sh/v1", "kind": "AuthStrategy",
        "metadata": { "name": "keys", "namespace": "default" }, "spec": { "type": "apiKey", "apiKey": {} } })
        .to_string(),
    );
    home.write("all/README.md", "no resource");
    assert_eq!(
        home.run("apply -f all -o name").ok(),
        "authstrategy.velocity.sh/keys\nschemadefinition.velocity.sh/customer\nschemadefinition.velocity.sh/order\n"
    );
}
