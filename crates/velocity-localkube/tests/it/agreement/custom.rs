//! Objects of a definition: written in every way, right and wrong.

use serde_json::{Value, json};

use super::{agree, ask, step};
use crate::harness::parcel;

fn with(name: &str, change: impl FnOnce(&mut Value)) -> Value {
    let mut object = parcel(name);
    change(&mut object);
    object
}

#[tokio::test]
#[ignore = "compares with another server: make test-kubernetes"]
async fn writes() {
    let version = |version: &str, replicas: i64| {
        with("a", |object| {
            object["metadata"]["resourceVersion"] = json!(version);
            object["spec"]["replicas"] = json!(replicas);
        })
    };
    agree(&[
        step("POST parcels", with("a", |object| object["status"] = json!({"phase": "Forged"}))),
        step("POST parcels", parcel("a")),
        ask("GET parcels/a"),
        step("PUT parcels/a", version("$rv1", 2)),
        step("PUT parcels/a", version("$rv1", 3)),
        step("PUT parcels/a", parcel("a")),
        step("PUT parcels/none", version("$rv1", 3)),
        step("PUT parcels/none", parcel("none")),
        step("MERGE parcels/a", json!({"spec": {"displayName": "A"}, "status": {"phase": "Forged"}})),
        step("MERGE parcels/a", json!({"spec": {"displayName": null, "replicas": null}})),
        step("MERGE parcels/a", json!({"metadata": {"name": "b"}})),
        step("MERGE parcels/a", json!({"kind": "Other"})),
        step("MERGE parcels/a", json!([])),
        step("MERGE parcels/none", json!({"spec": {}})),
        step("JSON parcels/a", json!([{"op": "replace", "path": "/spec/nothing", "value": 1}])),
        step("JSON parcels/a", json!([{"op": "test", "path": "/spec/object", "value": "x"}])),
        step("JSON parcels/a", json!([{"op": "jump", "path": "/spec/object"}])),
        step("JSON parcels/a", json!({"op": "add"})),
        step("JSON parcels/a", json!([{"op": "copy", "from": "/spec/object", "path": "/spec/displayName"}])),
        step("STRATEGIC parcels/a", json!({"spec": {}})),
        step("POST parcels?fieldManager=x", with("m", |_| {})),
        step("POST parcels?fieldValidation=Ignore", with("n", |object| object["spec"]["bogus"] = json!(1))),
        step("POST parcels?fieldValidation=Warn", with("o", |object| object["spec"]["bogus"] = json!(1))),
        step("POST parcels", with("p", |object| object["spec"]["bogus"] = json!(1))),
        step("POST parcels?fieldValidation=Strict", with("q", |object| object["spec"]["bogus"] = json!(1))),
        step("POST parcels?fieldValidation=Loud", with("q", |_| {})),
        step("POST parcels", with("r", |object| object["metadata"]["bogus"] = json!(1))),
        step("POST parcels", with("s", |object| object["metadata"]["labels"] = json!({"a": 1}))),
        step("POST parcels", with("t", |object| object["metadata"]["labels"] = json!({"a b": "c d"}))),
        step("POST parcels", with("u", |object| object["metadata"]["finalizers"] = json!(["no slash"]))),
        step(
            "POST parcels",
            with("v", |object| object["metadata"]["ownerReferences"] = json!([{"kind": "x"}])),
        ),
        step("POST parcels", with("w", |object| object["metadata"]["resourceVersion"] = json!("1"))),
        step("POST parcels", with("x", |object| object["metadata"]["uid"] = json!("1"))),
        step("POST parcels", with("Upper_Case", |_| {})),
        step("POST parcels", with("", |_| {})),
        step("POST parcels", with("y", |object| object["spec"] = Value::Null)),
        step("POST parcels", with("y", |object| drop(object.as_object_mut().unwrap().remove("spec")))),
        step(
            "POST parcels",
            with("y", |object| object["spec"]["anything"] = json!({"a": [null, {"b": null}]})),
        ),
        step("POST parcels", with("z", |object| object["spec"]["displayName"] = Value::Null)),
        step("POST parcels", json!({"apiVersion": "test.velocity.sh/v1", "kind": "Parcel"})),
        step("POST parcels", json!({"metadata": {"name": "k"}, "spec": {}})),
        ask("DELETE parcels/a?dryRun=All"),
        step("DELETE parcels/a", json!({"preconditions": {"resourceVersion": "$rv1"}})),
        step("DELETE parcels/a", json!({"preconditions": {"uid": "$uid1"}})),
        ask("GET parcels/a"),
        ask("DELETE parcels?fieldSelector=metadata.name%3Dm"),
        ask("DELETE parcels"),
    ])
    .await;
}

#[tokio::test]
#[ignore = "compares with another server: make test-kubernetes"]
async fn violations() {
    let spec = |change: Value| {
        with("a", |object| {
            for (name, value) in change.as_object().unwrap() {
                object["spec"][name] = value.clone();
            }
        })
    };
    let field = |field: Value| spec(json!({ "fields": [field] }));
    agree(&[
        step("POST parcels", spec(json!({"object": "Bad Name", "version": "1", "replicas": 11}))),
        step("POST parcels", spec(json!({"object": 5, "replicas": "x", "ratio": "y", "paused": "true"}))),
        step("POST parcels", spec(json!({"object": ""}))),
        step("POST parcels", spec(json!({"object": null}))),
        step("POST parcels", spec(json!({"ratio": 0}))),
        step("POST parcels", spec(json!({"replicas": 1.5}))),
        step("POST parcels", spec(json!({"replicas": 4_294_967_296_i64}))),
        step("POST parcels", spec(json!({"port": 1.5}))),
        step("POST parcels", spec(json!({"since": "2026-13-01T00:00:00Z"}))),
        step("POST parcels", spec(json!({"tags": ["a", "a"]}))),
        step("POST parcels", spec(json!({"tags": "a"}))),
        step("POST parcels", spec(json!({"tags": [1, null]}))),
        step("POST parcels", spec(json!({"fields": []}))),
        step("POST parcels", field(json!({"name": "x"}))),
        step("POST parcels", field(json!({"name": "x", "type": "text"}))),
        step("POST parcels", field(json!({"name": "order", "type": "string"}))),
        step("POST parcels", field(json!({"name": "x", "type": "integer", "min": 5, "max": 3}))),
        step("POST parcels", field(json!({"name": "x".repeat(64), "type": "integer"}))),
        step("POST parcels", spec(json!({"fields": [{"name": "x", "type": "string"}, {"name": "x", "type": "number"}]}))),
        step("POST parcels", spec(json!({"access": {"a": ["1", "2", "3", "4"], "b": "x"}}))),
        step("POST parcels", spec(json!({"access": {"a": ["1", "2", "3", "4"]}}))),
        step("POST parcels", spec(json!({"indexes": [{"fields": "x"}, 5]}))),
        step("POST parcels", spec(json!({"anything": 5}))),
        step("POST parcels", parcel("a")),
        step("MERGE parcels/a", json!({"spec": {"version": "v2"}})),
        step("MERGE parcels/a", json!({"spec": {"replicas": -1}})),
        step("MERGE parcels/a", json!({"spec": "x"})),
        step("APPLY parcels/a?fieldManager=m&force=true", spec(json!({"version": "v3"}))),
        step("APPLY parcels/a?fieldManager=m&force=true", spec(json!({"replicas": "x"}))),
        step("MERGE parcels/a/status", json!({"status": {"phase": 5, "conditions": [{"type": "A"}]}})),
        step("MERGE parcels/a/status", json!({"status": {"conditions": [{"type": "A", "status": "True"}, {"type": "A", "status": "False"}]}})),
        step("MERGE parcels/a/status", json!({"status": {"conditions": [{"type": "A", "status": "True", "lastTransitionTime": "now"}]}})),
    ])
    .await;
}

#[tokio::test]
#[ignore = "compares with another server: make test-kubernetes"]
async fn apply_status_and_finalizers() {
    let apply = |change: Value| with("a", |object| object["spec"] = change);
    let status = |status: Value| json!({"apiVersion": "test.velocity.sh/v1", "kind": "Parcel", "metadata": {"name": "a"}, "status": status});
    let full = json!({"object": "order", "version": "v1", "fields": [{"name": "id", "type": "string"}]});
    let other = json!({"object": "other", "fields": [{"name": "id", "type": "integer"}, {"name": "b", "type": "number"}]});
    agree(&[
        step("APPLY parcels/a?fieldManager=one", apply(full.clone())),
        step("APPLY parcels/a?fieldManager=one", apply(full.clone())),
        step("APPLY parcels/a?fieldManager=two", apply(full.clone())),
        step("APPLY parcels/a?fieldManager=three", apply(other.clone())),
        step("APPLY parcels/a?fieldManager=three&force=true", apply(other)),
        step("APPLY parcels/a?fieldManager=one", apply(full.clone())),
        step("MERGE parcels/a", json!({"spec": {"tags": ["x", "y"], "fields": [{"name": "id", "type": "string"}]}})),
        step("APPLY parcels/a?fieldManager=four", apply(json!({"tags": ["z"], "displayName": null}))),
        step("APPLY parcels/a?fieldManager=four", apply(json!({"tags": ["z", "z"]}))),
        step("APPLY parcels/a?fieldManager=four", apply(json!({"fields": [{"type": "string"}]}))),
        step("APPLY parcels/a?fieldManager=four", apply(json!({"bogus": 1}))),
        step("APPLY parcels/a?fieldManager=four", apply(json!({}))),
        step("APPLY parcels/a", apply(json!({}))),
        step("APPLY parcels/b?fieldManager=one", apply(full.clone())),
        step("APPLY parcels/a/status?fieldManager=one", status(json!({"phase": "Ready", "conditions": [{"type": "A", "status": "True"}]}))),
        step("APPLY parcels/a/status?fieldManager=two", status(json!({"phase": "Other", "conditions": [{"type": "B", "status": "True"}]}))),
        step("APPLY parcels/a/status?fieldManager=two&force=true", status(json!({"conditions": [{"type": "B", "status": "True"}]}))),
        step("MERGE parcels/a/status", json!({"metadata": {"labels": {"x": "y"}}, "spec": {"object": "x"}, "status": {"observedGeneration": 3}})),
        step("PUT parcels/a/status", with("a", |object| object["status"] = json!({"phase": "Put"}))),
        ask("GET parcels/a/status"),
        step("MERGE parcels/a", json!({"metadata": {"finalizers": ["x.io/one", "x.io/two"], "annotations": {"n": "1"}}})),
        ask("DELETE parcels/a"),
        ask("DELETE parcels/a"),
        step("MERGE parcels/a", json!({"metadata": {"finalizers": ["x.io/one", "x.io/three"]}})),
        step("MERGE parcels/a", json!({"spec": {"replicas": 5}})),
        step("MERGE parcels/a/status", json!({"status": {"phase": "Terminating"}})),
        step("MERGE parcels/a", json!({"metadata": {"finalizers": ["x.io/two"]}})),
        step("JSON parcels/a", json!([{"op": "remove", "path": "/metadata/finalizers"}])),
        ask("GET parcels/a"),
    ])
    .await;
}
