//! JSON, merge and strategic merge patches.

use serde_json::json;

use crate::harness::server;

#[tokio::test]
async fn a_merge_patch_sets_and_removes() {
    let space = server().namespace().await;
    space.create_parcel("a").await;
    let patch = json!({"metadata": {"labels": {"x": "y"}}, "spec": {"displayName": "A", "port": "http"}});
    let after = space.server.patch(&space.parcel("a"), "merge", &patch).await.ok();
    assert_eq!(after["spec"]["displayName"], "A");
    assert_eq!(after["metadata"]["generation"], 2);
    let patch = json!({"metadata": {"labels": null}, "spec": {"port": null}});
    let after = space.server.patch(&space.parcel("a"), "merge", &patch).await.ok();
    assert!(after["metadata"]["labels"].is_null() && after["spec"]["port"].is_null());
}

#[tokio::test]
async fn a_json_patch_can_test_before_it_changes() {
    let space = server().namespace().await;
    space.create_parcel("a").await;
    let patch = json!([
        {"op": "test", "path": "/spec/replicas", "value": 1},
        {"op": "add", "path": "/spec/fields/-", "value": {"name": "b", "type": "integer"}}
    ]);
    let after = space.server.patch(&space.parcel("a"), "json", &patch).await.ok();
    assert_eq!(after["spec"]["fields"].as_array().unwrap().len(), 2);
    let patch = json!([{"op": "test", "path": "/spec/replicas", "value": 7}]);
    let reply = space.server.patch(&space.parcel("a"), "json", &patch).await;
    assert_eq!(
        reply.failure(),
        (422, "Invalid", "the server rejected our request due to an error in our request")
    );
}

#[tokio::test]
async fn a_patch_with_a_version_is_conditional() {
    let space = server().namespace().await;
    let first = space.create_parcel("a").await;
    let patch = json!({"metadata": {"resourceVersion": first["metadata"]["resourceVersion"]}, "spec": {"replicas": 2}});
    space.server.patch(&space.parcel("a"), "merge", &patch).await.ok();
    let patch = json!({"metadata": {"resourceVersion": first["metadata"]["resourceVersion"]}, "spec": {"replicas": 3}});
    let reply = space.server.patch(&space.parcel("a"), "merge", &patch).await;
    assert_eq!(reply.failure().0, 409);
}

#[tokio::test]
async fn concurrent_patches_all_count() {
    let space = server().namespace().await;
    space.create_parcel("a").await;
    let writers = (0..20).map(|number| {
        let (server, path) = (space.server.clone(), space.parcel("a"));
        tokio::spawn(async move {
            let label = json!({"metadata": {"labels": {format!("l{number}"): "x"}}});
            server.patch(&path, "merge", &label).await.ok();
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    let object = space.server.get(&space.parcel("a")).await.ok();
    assert_eq!(object["metadata"]["labels"].as_object().unwrap().len(), 20);
}

#[tokio::test]
async fn strategic_merge_is_for_built_in_kinds() {
    let space = server().namespace().await;
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap",
                     "metadata": {"name": "c", "finalizers": ["x.io/a"]}, "data": {"a": "1"}});
    space.server.post(&space.core("configmaps"), &map).await.ok();
    let patch = json!({"metadata": {"finalizers": ["x.io/b"]}, "data": {"b": "2"}});
    let after = space.server.patch(&space.core("configmaps/c"), "strategic-merge", &patch).await.ok();
    assert_eq!(after["data"], json!({"a": "1", "b": "2"}));
    let finalizers = after["metadata"]["finalizers"].as_array().unwrap();
    assert!(finalizers.contains(&json!("x.io/a")) && finalizers.contains(&json!("x.io/b")), "{finalizers:?}");
    let patch = json!({"metadata": {"$deleteFromPrimitiveList/finalizers": ["x.io/a", "x.io/b"]}});
    let after = space.server.patch(&space.core("configmaps/c"), "strategic-merge", &patch).await.ok();
    assert!(after["metadata"]["finalizers"].as_array().is_none_or(Vec::is_empty));
    space.create_parcel("a").await;
    let reply = space.server.patch(&space.parcel("a"), "strategic-merge", &patch).await;
    assert_eq!(reply.failure().0, 415);
}

#[tokio::test]
async fn status_is_patched_without_touching_the_rest() {
    let space = server().namespace().await;
    let created = space.create_parcel("a").await;
    let patch = json!({"spec": {"replicas": 9}, "status": {"phase": "Ready"}});
    let after = space.server.patch(&format!("{}/status", space.parcel("a")), "merge", &patch).await.ok();
    assert_eq!((&after["spec"], &after["status"]["phase"]), (&created["spec"], &json!("Ready")));
    let managers: Vec<_> = after["metadata"]["managedFields"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|entry| entry["subresource"] == "status")
        .map(|entry| entry["fieldsV1"].clone())
        .collect();
    assert_eq!(managers, [json!({"f:status": {".": {}, "f:phase": {}}})]);
}
