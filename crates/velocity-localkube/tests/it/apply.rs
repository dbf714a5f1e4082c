//! Server-side apply.

use serde_json::{Value, json};

use crate::harness::{Reply, Space, parcel, server};

async fn apply(space: &Space, manager: &str, spec: &Value) -> Reply {
    apply_at(space, &format!("a?fieldManager={manager}"), spec).await
}

async fn apply_at(space: &Space, place: &str, spec: &Value) -> Reply {
    let mut object = parcel("a");
    object["spec"] = spec.clone();
    space.server.patch(&space.parcel(place), "apply", &object).await
}

fn full() -> Value {
    parcel("a")["spec"].clone()
}

#[tokio::test]
async fn applying_creates_then_changes_then_does_nothing() {
    let space = server().namespace().await;
    let created = apply(&space, "one", &full()).await;
    assert_eq!(created.code, 201);
    let created = created.ok();
    assert_eq!(created["metadata"]["managedFields"][0]["operation"], "Apply");
    let mut spec = full();
    spec["displayName"] = json!("A");
    let changed = apply(&space, "one", &spec).await;
    assert_eq!(changed.code, 200);
    let changed = changed.ok();
    assert_eq!(changed["metadata"]["generation"], 2);
    let same = apply(&space, "one", &spec).await.ok();
    assert_eq!(same["metadata"], changed["metadata"]);
    let less = apply(&space, "one", &full()).await.ok();
    assert!(less["spec"]["displayName"].is_null(), "what is no longer applied goes");
    assert_eq!(less["spec"]["replicas"], 1, "defaults stay");
}

#[tokio::test]
async fn another_managers_field_is_a_conflict_unless_forced() {
    let space = server().namespace().await;
    apply(&space, "one", &full()).await.ok();
    let mut spec = full();
    spec["object"] = json!("other");
    let reply = apply(&space, "two", &spec).await;
    assert_eq!(
        reply.failure(),
        (409, "Conflict", "Apply failed with 1 conflict: conflict with \"one\": .spec.object")
    );
    assert_eq!(
        reply.body["details"]["causes"],
        json!([{"reason": "FieldManagerConflict", "message": "conflict with \"one\"", "field": ".spec.object"}])
    );
    let forced = apply_at(&space, "a?fieldManager=two&force=true", &spec).await.ok();
    assert_eq!(forced["spec"]["object"], "other");
    let reply = apply(&space, "one", &full()).await;
    assert_eq!(reply.failure().2, "Apply failed with 1 conflict: conflict with \"two\": .spec.object");
}

#[tokio::test]
async fn conflicts_with_updaters_name_their_version() {
    let space = server().namespace().await;
    space.create_parcel("a").await;
    let mut spec = full();
    spec["object"] = json!("x");
    spec["fields"][0]["type"] = json!("integer");
    let reply = apply(&space, "one", &spec).await;
    let (code, _, message) = reply.failure();
    assert_eq!(code, 409);
    assert_eq!(
        message,
        "Apply failed with 2 conflicts: conflicts with \"it\" using test.velocity.sh/v1:\n- .spec.object\n- \
         .spec.fields[name=\"id\"].type"
    );
}

#[tokio::test]
async fn list_items_belong_to_who_applied_them() {
    let space = server().namespace().await;
    let mut spec = full();
    spec["tags"] = json!(["p"]);
    apply(&space, "one", &spec).await.ok();
    let theirs = json!({"fields": [{"name": "extra", "type": "number"}], "tags": ["q"]});
    let both = apply(&space, "two", &theirs).await.ok();
    assert_eq!(both["spec"]["fields"].as_array().unwrap().len(), 2);
    assert_eq!(both["spec"]["tags"], json!(["p", "q"]));
    let two = both["metadata"]["managedFields"]
        .as_array()
        .unwrap()
        .iter()
        .find(|entry| entry["manager"] == "two")
        .unwrap();
    assert_eq!(
        two["fieldsV1"],
        json!({"f:spec": {
            "f:fields": {"k:{\"name\":\"extra\"}": {".": {}, "f:name": {}, "f:type": {}}},
            "f:tags": {"v:\"q\"": {}}
        }})
    );
    let back = apply(&space, "two", &json!({"tags": []})).await.ok();
    assert_eq!(back["spec"]["fields"].as_array().unwrap().len(), 1);
    assert_eq!(back["spec"]["tags"], json!(["p"]));
}

#[tokio::test]
async fn status_can_be_applied_by_its_own_manager() {
    let space = server().namespace().await;
    apply(&space, "one", &full()).await.ok();
    let status = json!({"apiVersion": "test.velocity.sh/v1", "kind": "Parcel", "metadata": {"name": "a"},
                        "status": {"phase": "Ready", "conditions": [{"type": "Ready", "status": "True"}]}});
    let path = format!("{}/status?fieldManager=one", space.parcel("a"));
    let after = space.server.patch(&path, "apply", &status).await.ok();
    assert_eq!(after["status"]["phase"], "Ready");
    let subresources: Vec<&Value> = after["metadata"]["managedFields"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| &entry["subresource"])
        .collect();
    assert_eq!(subresources.len(), 2, "the same name, two managers");
    let again = apply(&space, "one", &full()).await.ok();
    assert_eq!(again["status"]["phase"], "Ready");
}

#[tokio::test]
async fn what_does_not_fit_the_schema_cannot_be_applied() {
    let space = server().namespace().await;
    let mut spec = full();
    spec["bogus"] = json!(1);
    let reply = apply(&space, "one", &spec).await;
    let (code, _, message) = reply.failure();
    assert_eq!(code, 500);
    assert_eq!(
        message,
        "failed to create typed patch object (/a; test.velocity.sh/v1, Kind=Parcel): .spec.bogus: field not declared \
         in schema"
    );
    let reply = space.server.patch(&space.parcel("a"), "apply", &parcel("a")).await;
    assert_eq!(
        reply.failure(),
        (
            422,
            "Invalid",
            "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: is required for apply patch"
        )
    );
}

#[tokio::test]
async fn applied_yaml_is_yaml() {
    let space = server().namespace().await;
    let yaml = "apiVersion: test.velocity.sh/v1\nkind: Parcel\nmetadata:\n  name: a\nspec:\n  object: order\n  version: v1\n  \
                fields:\n    - {name: id, type: string}\n";
    let request = space
        .server
        .request(reqwest::Method::PATCH, &space.parcel("a?fieldManager=y"))
        .header("content-type", "application/apply-patch+yaml")
        .body(yaml);
    assert_eq!(space.server.send(request).await.ok()["spec"]["object"], "order");
}
