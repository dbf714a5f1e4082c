//! get, describe, delete, status.

use crate::apply::{PATH, order, status};
use crate::fake_api::FakeApi;
use crate::harness::{Home, TestCluster};

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
    cluster.set_status(PATH, &status(1, "Ready", "Provisioned", "it is served"));
    Scene { api, cluster, home }
}

#[test]
fn resources_are_listed_with_the_columns_of_their_kind() {
    let scene = scene();
    let home = &scene.home;
    let table = home.run("get sd").ok();
    let rows: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[0], ["NAMESPACE", "NAME", "PHASE", "VERSION", "ENDPOINT", "REASON", "AGE"], "{table}");
    assert_eq!(rows[1][..4], ["acme-shop-sales", "order", "Ready", "v1"], "{table}");
    assert!(
        home.run("get schemadefinition -n acme-shop-sales -o wide")
            .ok()
            .contains("acme__shop__sales.order_v1")
    );
    assert_eq!(home.run("get schemadef -o name").ok(), "schemadefinition.velocity.sh/order\n");
    assert_eq!(home.run("get SchemaDefinition order -o jsonpath={.spec.object}").ok(), "order\n");
    assert_eq!(home.run("get sd -o jsonpath={.items[*].kind}").ok(), "SchemaDefinition\n");
    assert!(
        home.run("get sd order -o yaml")
            .ok()
            .contains("apiVersion: velocity.sh/v1\nkind: SchemaDefinition\n")
    );
    assert!(home.run("get ns").ok().contains("acme-shop-sales"));
}

#[test]
fn what_is_not_there_is_3_and_what_is_no_kind_is_2() {
    let scene = scene();
    let home = &scene.home;
    for line in ["get sd nope", "get sd nope -o json", "describe sd nope", "delete sd nope"] {
        let run = home.run(line);
        assert_eq!(run.code, 3, "{line}: {}", run.all());
        assert!(run.stderr.contains("not found"), "{}", run.all());
    }
    let run = home.run("get schemadefinitons");
    assert_eq!(run.code, 2);
    assert!(run.stderr.contains("did you mean `schemadefinitions`?"), "{}", run.all());
}

#[test]
fn describing_shows_fields_conditions_and_pending_steps() {
    let Scene { home, cluster, api: _api } = scene();
    let mut blocked = status(1, "Blocked", "NeedsApproval", "a column would go");
    blocked["planHash"] = "sha256:plan".into();
    blocked["pendingOperations"] = serde_json::json!([{ "summary": "drop column note", "class": "breaking",
        "lock": "ACCESS EXCLUSIVE", "sql": "alter table x drop column note", "reason": "not approved" }]);
    cluster.set_status(PATH, &blocked);
    let page = home.run("describe sd order").ok();
    let created = page.lines().find(|line| line.starts_with("Created")).unwrap().to_owned();
    insta::assert_snapshot!(page.replace(&created, "Created       NOW"), @"
    Name         order
    Namespace    acme-shop-sales
    Kind         SchemaDefinition
    Endpoint     /api/acme/shop/sales/order/v1
    Table        acme__shop__sales.order_v1
    Spec hash    sha256:ab
    Created       NOW
    Phase        Blocked
    Generation   1 (observed: 1)

    Fields
      NAME     TYPE     FLAGS      DESCRIPTION
      id       string
      amount   number   required

    Conditions
      TYPE    STATUS   REASON          SINCE                  MESSAGE
      Ready   False    NeedsApproval   2026-01-01T00:00:00Z   a column would go

    Pending operations (plan sha256:plan)
      1. drop column note  [breaking, lock: ACCESS EXCLUSIVE]
         not approved
         alter table x drop column note

      To have it done: velocity approve schemadefinition/order -n acme-shop-sales --plan sha256:plan
    ");
}

#[test]
fn deleting_waits_until_they_are_gone() {
    let Scene { home, cluster, api: _api } = scene();
    assert_eq!(home.run("delete sd order").ok(), "schemadefinition.velocity.sh/order deleted\n");
    assert!(cluster.get(PATH).is_none());
    home.run("apply -f order.yaml").ok();
    assert_eq!(home.run("delete -f order.yaml").ok(), "schemadefinition.velocity.sh/order deleted\n");
    assert_eq!(home.run("delete -f order.yaml --ignore-not-found").code, 0);
}

#[test]
fn status_is_one_page_even_when_parts_are_away() {
    let Scene { home, api, cluster } = scene();
    api.can("GET /readyz", 200, serde_json::json!({ "status": "ready" }));
    api.can("GET /version", 200, serde_json::json!({ "name": "velocityd", "version": "0.1.0" }));
    let page = home.run("status").ok();
    assert!(page.contains("velocityd 0.1.0") && page.contains("1 Ready"), "{page}");
    cluster.set_status(PATH, &status(1, "Failed", "Invalid", "the rule does not compile"));
    assert!(home.run("status").ok().contains("the rule does not compile"));
    api.crash();
    let page = home.run("status").ok();
    assert!(page.contains("unreachable") && page.contains("1 Failed"), "{page}");
}

#[test]
fn watching_shows_each_change_as_it_comes() {
    use std::io::{BufRead, BufReader};
    let Scene { home, cluster, api: _api } = scene();
    let mut child = home.start("get sd -n acme-shop-sales --watch");
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.next().unwrap().starts_with("NAME"));
    assert!(lines.next().unwrap().contains("Ready"));
    cluster.set_status(PATH, &status(1, "Blocked", "NeedsApproval", "a column would go"));
    assert!(lines.find(|line| line.contains("Blocked")).unwrap().contains("NeedsApproval"));
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn describe_shows_all_that_narrows_access() {
    let (api, cluster) = (FakeApi::start(), TestCluster::start());
    let home = Home::with_cluster(&api, &cluster);
    let access = "  access:\n    roles: { read: [clerk, west], update: [clerk] }\n    abac: [{ operations: [update], condition: \"actor.attributes.team == 'a'\" }]\n    rowFilter: [{ role: west, condition: \"record.amount > 3\" }, { role: '*', condition: \"record.amount > 0\" }]\n    fieldAccess: [{ field: amount, read: [clerk], write: [], masking: { strategy: redact } }]\n";
    home.write(
        "order.yaml",
        order("").replace("required: true }", "required: true, filterable: true }") + access,
    );
    home.run("apply -f order.yaml").ok();
    let page = home.run("describe sd order").ok();
    let (_, told) = page.split_once("Narrowed by\n").unwrap();
    insta::assert_snapshot!(told.split("\n\n").next().unwrap(), @r"
    RULE         FOR        DETAIL
    condition    update     actor.attributes.team == 'a'
    row filter   west       record.amount > 3
    row filter   everyone   record.amount > 0
    field        amount     read by clerk; written by platform-admin; redact for others
    ");
}
