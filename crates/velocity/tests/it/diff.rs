//! diff: without a server, and with one.

use serde_json::{Value, json};

use velocity_contract::{Code, Problem};

use crate::fake_api::FakeApi;
use crate::harness::{Home, Run};

/// A manifest of orders with these fields and whatever else.
fn order(fields: &str, more: &str) -> String {
    format!(
        "apiVersion: velocity.sh/v1\nkind: SchemaDefinition\nmetadata:\n  name: order\nspec:\n  org: acme\n  app: shop\n  domain: sales\n  object: order\n  version: v1\n  fields:\n{fields}{more}"
    )
}

const NOTE: &str = "    - { name: note, type: string }\n";
const STATE: &str = "    - { name: state, type: enum, enum: [new, old], filterable: true }\n";

fn against(old: &str, new: &str, options: &str) -> Run {
    let home = Home::new();
    home.write("old.yaml", old);
    home.write("new.yaml", new);
    home.run(&format!("diff -f new.yaml --against old.yaml {options}"))
}

fn code(old_fields: &str, new_fields: &str) -> i32 {
    against(&order(old_fields, ""), &order(new_fields, ""), "").code
}

#[test]
fn the_exit_code_tells_the_class() {
    let both = format!("{NOTE}{STATE}");
    assert_eq!(code(&both, &both), 0, "nothing to do");
    assert_eq!(code(NOTE, &both), 10, "a new nullable field");
    assert_eq!(code(NOTE, "    - { name: note, type: string, required: true }\n"), 11, "values are missing");
    assert_eq!(code(&both, STATE), 12, "a field is dropped");
    assert_eq!(code(NOTE, "    - { name: note, type: integer }\n"), 12, "another type");
    assert_eq!(
        code(NOTE, "    - { name: remark, type: string, renamedFrom: note }\n"),
        10,
        "a rename keeps the data"
    );
    assert_eq!(code(NOTE, "    - { name: note, type: string, defualt: x }\n"), 1, "it could not tell");
}

#[test]
fn the_report_says_what_changes_for_whom_and_how() {
    let roles = |read: &str| format!("  access: {{ roles: {{ read: [{read}] }} }}\n");
    let old = order(&format!("{NOTE}{STATE}"), &roles("clerk, auditor"));
    let new = order(
        "    - { name: state, type: enum, enum: [new, old, lost], filterable: true }\n    - { name: gate, type: string }\n",
        &roles("clerk, guard"),
    );
    let run = against(&old, &new, "");
    assert_eq!(run.code, 12, "{}", run.all());
    let (told, plan) = run.stdout.split_once("  Plan sha256:").unwrap();
    insta::assert_snapshot!(told, @r"
    order  acme/shop/sales/order/v1  breaking

      ~ field state: enum gains lost
      + field gate: string
      - field note: string
      - role auditor loses read
      + role guard gains read
    ");
    for piece in [
        "alter table \"acme__shop__sales\".\"order_v1\" add column \"gate\" text",
        "platform.trash_column(",
        "lock: ACCESS EXCLUSIVE",
    ] {
        assert!(plan.contains(piece), "{piece}: {plan}");
    }
}

#[test]
fn json_has_the_members_of_the_contract() {
    let run = against(&order(&format!("{NOTE}{STATE}"), ""), &order(STATE, ""), "-o json");
    assert_eq!(run.code, 12, "{}", run.all());
    let report: Value = serde_json::from_str(&run.stdout).unwrap();
    let schema = &report["schemas"][0];
    assert_eq!((&schema["name"], &schema["class"]), (&json!("order"), &json!("breaking")));
    assert_eq!(
        schema["changes"][0],
        json!({"change": "removed", "part": "field", "name": "note", "detail": "string"})
    );
    let operations = schema["operations"].as_array().unwrap();
    assert!(!operations.is_empty());
    for operation in operations {
        for member in ["summary", "class", "lock", "sql"] {
            assert!(operation[member].as_str().is_some_and(|text| !text.is_empty()), "{operation}");
        }
    }
    assert!(
        operations.iter().any(|one| one["class"] == "breaking" && one["reason"].is_string()),
        "{operations:?}"
    );
    let unchanged = against(&order(NOTE, ""), &order(NOTE, ""), "-o json");
    let report: Value = serde_json::from_str(&unchanged.ok()).unwrap();
    assert_eq!(report["schemas"][0]["operations"], json!([]));
    assert_eq!(report["schemas"][0]["access"], json!([]));
}

#[test]
fn access_is_told_by_role_and_operation() {
    let access = |roles: &str, filter: &str| {
        format!(
            "  access:\n    roles: {roles}\n    rowFilter: [{{ role: west, condition: \"record.note == '{filter}'\" }}]\n"
        )
    };
    let old = order(NOTE, &access("{ read: [clerk, west], update: [clerk] }", "a"));
    let new = order(NOTE, &access("{ read: [west], update: [clerk], export: [clerk] }", "b"));
    let report: Value = serde_json::from_str(&against(&old, &new, "-o json").stdout).unwrap();
    assert_eq!(
        report["schemas"][0]["access"],
        json!([
            {"role": "clerk", "operation": "read", "change": "loses"},
            {"role": "clerk", "operation": "export", "change": "gains"},
            {"role": "west", "operation": "read", "change": "row filter changed",
             "before": "record.note == 'a'", "after": "record.note == 'b'"},
        ])
    );
}

/// What the server says of an access block, and the lines for people.
fn told_of(access: &Value, options: &str) -> (FakeApi, Run) {
    let api = FakeApi::start();
    let home = Home::at(&api);
    home.write(
        "order.yaml",
        order(
            NOTE,
            "  access:\n    roles: { read: [west] }\n    fieldAccess: [{ field: note, read: [west] }]\n",
        ),
    );
    let plan = json!({ "path": "acme/shop/sales/order/v1", "specHash": "sha256:b", "provisioned": "sha256:a",
        "planHash": "sha256:plan", "changes": [], "operations": [], "access": access });
    api.can("POST /platform/plan", 200, json!({ "data": plan }));
    let run = home.run_with_env(&format!("diff -f order.yaml {options}"), "GITHUB_ACTIONS", "true");
    (api, run)
}

#[test]
fn who_gains_or_loses_what_is_told_with_the_records_that_they_see() {
    let access = json!([
        { "role": "new", "operation": "read", "change": "gains", "after": "record.note == 'a'", "rowsBefore": 0, "rowsAfter": 1200 },
        { "role": "west", "operation": "read", "change": "row filter changed", "before": "record.note == 'a'",
            "after": "record.note == actor.attributes.note", "rowsBefore": 1, "rowsAfter": null,
            "note": "depends on who asks: give attributes" },
        { "role": "west", "operation": "read", "change": "loses read of field", "field": "note", "before": "in clear", "after": "nothing" },
        { "role": "east", "operation": "read", "change": "sees masked", "field": "note", "before": "in clear", "after": "masked by redact" },
        { "role": "west", "operation": "update", "change": "gains write of field", "field": "note" },
        { "role": "*", "operation": "update", "change": "condition added", "after": "request.time.getHours() >= 8" },
        { "role": "old", "operation": "export", "change": "loses", "note": "nobody counted" },
        { "role": "east", "operation": "read", "change": "sees other rows", "rowsBefore": 5, "rowsAfter": 1 },
    ]);
    let (_, run) = told_of(&access, "");
    assert_eq!(run.code, 10, "who may do what is something to do: {}", run.all());
    insta::assert_snapshot!(run.stdout, @r"
    order  acme/shop/sales/order/v1  safe

      + role new gains read, where record.note == 'a' (sees 0 records, then 1,200 records)
      ~ role west, read: row filter changed: record.note == 'a' → record.note == actor.attributes.note (sees 1 record, then an unknown number of records; depends on who asks: give attributes)
      - role west loses read of field note: in clear → nothing
      ~ role east sees field note masked: in clear → masked by redact
      + role west gains write of field note
      ~ everyone, update: condition added: none → request.time.getHours() >= 8
      - role old loses export (nobody counted)
      ~ role east, read: sees other rows (sees 5 records, then 1 record)
    ::notice file=order.yaml,line=14,title=SchemaDefinition/order access::role new gains read, where record.note == 'a' (sees 0 records, then 1,200 records)
    ::warning file=order.yaml,line=13,title=SchemaDefinition/order access::role west, read: row filter changed: record.note == 'a' → record.note == actor.attributes.note (sees 1 record, then an unknown number of records; depends on who asks: give attributes)
    ::warning file=order.yaml,line=15,title=SchemaDefinition/order access::role west loses read of field note: in clear → nothing
    ::warning file=order.yaml,line=15,title=SchemaDefinition/order access::role east sees field note masked: in clear → masked by redact
    ::notice file=order.yaml,line=15,title=SchemaDefinition/order access::role west gains write of field note
    ::warning file=order.yaml,line=13,title=SchemaDefinition/order access::everyone, update: condition added: none → request.time.getHours() >= 8
    ::warning file=order.yaml,line=14,title=SchemaDefinition/order access::role old loses export (nobody counted)
    ::warning file=order.yaml,line=14,title=SchemaDefinition/order access::role east, read: sees other rows (sees 5 records, then 1 record)
    ");
    let (api, run) = told_of(&access, "-o json --attribute note=a --attribute level=3");
    let report: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(report["schemas"][0]["access"], access, "as the server has it, nulls included");
    let line = api.seen("POST /platform/plan").line;
    assert!(line.ends_with("?attributes=%7B%22level%22%3A3%2C%22note%22%3A%22a%22%7D"), "{line}");
}

#[test]
fn attributes_are_for_a_server_that_counts() {
    let home = Home::new();
    home.write("order.yaml", order(NOTE, ""));
    for line in [
        "diff -f order.yaml --offline --attribute a=1",
        "diff -f order.yaml --against order.yaml --attribute a=1",
    ] {
        assert_eq!(home.run(line).code, 2, "{line}");
    }
}

#[test]
fn without_anything_to_compare_with_all_is_new() {
    let home = Home::new();
    home.write("all/order.yaml", order(NOTE, ""));
    home.write("all/place.yaml", "apiVersion: v1\nkind: Namespace\nmetadata: { name: acme-shop-sales }\n");
    let run = home.run("diff -f all --offline");
    assert_eq!(run.code, 10, "{}", run.all());
    assert!(run.stdout.contains("create table acme__shop__sales.order_v1"), "{}", run.all());
    assert!(run.stderr.contains("Namespace/acme-shop-sales is no SchemaDefinition"), "{}", run.all());
}

#[test]
fn what_is_not_declared_any_more_is_told_and_counts_for_nothing() {
    let home = Home::new();
    let customer =
        order(NOTE, "").replace("name: order", "name: customer").replace("object: order", "object: customer");
    home.write("old/order.yaml", order(NOTE, ""));
    home.write("old/customer.yaml", customer);
    home.write("new/order.yaml", order(NOTE, ""));
    let run = home.run("diff -f new --against old");
    assert_eq!(run.code, 0, "{}", run.all());
    assert!(run.stdout.contains("acme/shop/sales/customer/v1 is not declared any more"), "{}", run.all());
}

#[test]
fn on_github_what_needs_somebody_is_an_annotation_at_its_line() {
    let home = Home::new();
    home.write("old.yaml", order(&format!("{NOTE}{STATE}"), "  access: { roles: { read: [clerk] } }\n"));
    home.write(
        "new.yaml",
        order("    - { name: state, type: enum, enum: [new, old], filterable: true, required: true }\n", ""),
    );
    let run = home.run_with_env("diff -f new.yaml --against old.yaml", "GITHUB_ACTIONS", "true");
    let lines: Vec<&str> = run.stdout.lines().filter(|line| line.starts_with("::")).collect();
    assert!(
        lines
            .iter()
            .any(|line| line
                .starts_with("::error file=new.yaml,line=11,title=SchemaDefinition/order breaking::")),
        "{lines:?}"
    );
    assert!(
        lines.iter().any(|line| line.starts_with(
            "::warning file=new.yaml,line=12,title=SchemaDefinition/order needs data::require state"
        )),
        "{lines:?}"
    );
    assert!(lines.iter().any(|line| line.contains("role clerk loses read")), "{lines:?}");
}

#[test]
fn invalid_manifests_are_told_whole() {
    let home = Home::new();
    home.write(
        "bad.yaml",
        order("    - { name: a, type: string, precision: 3 }\n    - { name: b, type: enum }\n", ""),
    );
    let run = home.run("diff -f bad.yaml --offline");
    assert_eq!(run.code, 1, "{}", run.all());
    assert!(
        run.stdout.contains("spec.fields[0].precision") && run.stdout.contains("spec.fields[1]"),
        "{}",
        run.all()
    );
    let run = home.run("diff -f bad.yaml --offline -o json");
    let report: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!((run.code, report["violations"].as_array().unwrap().len()), (1, 2));
    for line in [
        "diff -f nothing.yaml --offline",
        "diff -f good.yaml --against nothing.yaml",
        "diff -f good.yaml --against bad.yaml",
    ] {
        home.write("good.yaml", order(NOTE, ""));
        assert_eq!(home.run(line).code, 1, "{line}");
    }
}

#[test]
fn a_server_plans_against_the_live_table() {
    let api = FakeApi::start();
    let home = Home::at(&api);
    home.write("order.yaml", order(NOTE, ""));
    let plan = json!({
        "path": "acme/shop/sales/order/v1", "specHash": "sha256:b", "provisioned": "sha256:a", "planHash": "sha256:plan",
        "changes": [{"change": "changed", "part": "field", "name": "note", "detail": "now required"}],
        "operations": [{"summary": "require note", "class": "needsData", "lock": "ACCESS EXCLUSIVE", "sql": "alter table x",
            "reason": "2 records have no value for note", "violations": {"count": 2, "samples": ["a", "b"]},
            "estimatedRows": 1_000_000, "estimatedSeconds": 50.0}],
        "access": [], "estimatedRows": 1_000_000,
    });
    api.can("POST /platform/plan", 200, json!({ "data": plan }));
    let run = home.run("diff -f order.yaml");
    assert_eq!(run.code, 11, "{}", run.all());
    insta::assert_snapshot!(run.stdout, @r"
    order  acme/shop/sales/order/v1  needs data

      ~ field note: now required

      Plan sha256:plan, about 1,000,000 records
      1. require note  [needs data, lock: ACCESS EXCLUSIVE]
         2 records have no value for note
         about 1,000,000 rows, 50 s
         alter table x
    ");
    let sent: Value = serde_json::from_str(&api.seen("POST /platform/plan").body).unwrap();
    assert_eq!(sent["fields"][0]["name"], "note");
}

#[test]
fn a_server_that_cannot_tell_is_one_code_for_ci() {
    let api = FakeApi::start();
    let home = Home::at(&api);
    home.write("order.yaml", order(NOTE, ""));
    api.can(
        "POST /platform/plan",
        403,
        json!(Problem::new(Code::RbacDenied, "this route needs the role `platform-admin`")),
    );
    let run = home.run("diff -f order.yaml");
    assert_eq!(run.code, 1, "{}", run.all());
    assert!(run.stderr.contains("order.yaml:1") && run.stderr.contains("platform-admin"), "{}", run.all());
    api.crash();
    assert_eq!(home.run("diff -f order.yaml").code, 1);
}
