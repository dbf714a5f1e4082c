//! drift.

use serde_json::{Value, json};

use crate::apply::{PATH, order, status};
use crate::fake_api::{FakeApi, SCHEMA};
use crate::harness::{Home, Run, TestCluster, eventually};

fn operation(summary: &str, class: &str) -> Value {
    json!({ "summary": summary, "class": class, "lock": "ACCESS EXCLUSIVE", "sql": format!("alter table {summary}") })
}

fn drift(operations: &Value, foreign: &Value) -> Value {
    json!({ "data": [{ "path": SCHEMA, "table": "acme__shop__sales.order_v1", "specHash": "sha256:ab",
        "operations": operations, "foreign": foreign, "planHash": "sha256:drift" }] })
}

#[test]
fn no_drift_is_0_and_drift_is_1() {
    let api = FakeApi::start();
    let home = Home::at(&api);
    api.can("GET /platform/drift", 200, drift(&json!([]), &json!([])));
    assert_eq!(home.run("drift").ok(), "1 schema is in the database as declared\n");
    assert_eq!(home.run("drift -o json").ok(), "[]\n");
    let found = drift(
        &json!([operation("create policy p", "safe")]),
        &json!([operation("drop column x", "breaking")]),
    );
    api.can("GET /platform/drift", 200, found);
    let run = home.run("drift");
    assert_eq!(run.code, 1, "{}", run.all());
    insta::assert_snapshot!(run.stdout, @r"
    acme/shop/sales/order/v1  acme__shop__sales.order_v1  sha256:drift
      Missing or changed; this brings it back:
        1. create policy p  [safe, lock: ACCESS EXCLUSIVE]
           alter table create policy p
      Foreign; this removes it:
        1. drop column x  [breaking, lock: ACCESS EXCLUSIVE]
           alter table drop column x
    ");
    let run = home.run("drift order -o json");
    let found: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!((run.code, &found[0]["planHash"]), (1, &json!("sha256:drift")));
    api.seen("GET /platform/drift?schema=acme%2Fshop%2Fsales%2Forder%2Fv1");
}

struct Scene {
    api: FakeApi,
    cluster: TestCluster,
    home: Home,
}

fn scene() -> Scene {
    let (api, cluster) = (FakeApi::start(), TestCluster::start());
    let home = Home::with_cluster(&api, &cluster);
    home.write("order.yaml", order(""));
    home.run("apply -f order.yaml").ok();
    cluster.set_status(PATH, &status(1, "Ready", "Provisioned", "served"));
    api.can("GET /platform/drift", 200, drift(&json!([]), &json!([operation("drop column x", "breaking")])));
    Scene { api, cluster, home }
}

impl Scene {
    fn annotation(&self, name: &str) -> Value {
        self.cluster.get(PATH).unwrap()["metadata"]["annotations"][name].clone()
    }
}

#[test]
fn a_repair_is_asked_for_by_its_hash_and_waited_for() {
    let scene = scene();
    let child = scene.home.start("drift --fix --yes");
    eventually("the request", || scene.annotation("velocity.sh/fix-drift") == "sha256:drift");
    scene.api.can("GET /platform/drift", 200, drift(&json!([]), &json!([])));
    let run = Run::from(child.wait_with_output().unwrap());
    assert!(run.ok().ends_with("schemadefinition.velocity.sh/order repaired\n"));
}

#[test]
fn a_repair_that_breaks_something_says_how_to_approve_it() {
    let scene = scene();
    let mut blocked = status(1, "Blocked", "ChangeBlocked", "a column would go");
    blocked["planHash"] = json!("sha256:drift");
    scene.cluster.set_status(PATH, &blocked);
    let run = scene.home.run("drift --fix --yes");
    assert_eq!(run.code, 1, "{}", run.all());
    let command = "velocity approve schemadefinition/order -n acme-shop-sales --plan sha256:drift";
    assert!(run.stdout.contains(command), "{}", run.all());
}

#[test]
fn what_is_ours_needs_no_hash_and_nothing_is_done_without_a_yes() {
    let scene = scene();
    let run = scene.home.run("drift --fix");
    assert_eq!((run.code, scene.annotation("velocity.sh/reconcile-at")), (2, Value::Null), "{}", run.all());
    scene.api.can(
        "GET /platform/drift",
        200,
        drift(&json!([operation("create policy p", "safe")]), &json!([])),
    );
    let run = scene.home.run("drift --fix --yes --timeout 1s");
    assert_eq!(run.code, 6, "{}", run.all());
    assert_eq!(scene.annotation("velocity.sh/fix-drift"), Value::Null);
    assert!(scene.annotation("velocity.sh/reconcile-at").is_string());
}
