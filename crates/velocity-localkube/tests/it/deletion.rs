//! Deleting: finalizers, owners, namespaces, collections.

use serde_json::{Value, json};

use crate::harness::{Space, eventually, is_local, parcel, server};

async fn with_finalizer(space: &Space, name: &str) -> Value {
    let mut object = parcel(name);
    object["metadata"]["finalizers"] = json!(["x.io/wait"]);
    space.server.post(&space.parcels(), &object).await.ok()
}

#[tokio::test]
async fn without_finalizers_an_object_goes_at_once() {
    let space = server().namespace().await;
    let object = space.create_parcel("a").await;
    let status = space.server.delete(&space.parcel("a")).await.ok();
    assert_eq!(status["status"], "Success");
    assert_eq!(status["details"]["uid"], object["metadata"]["uid"]);
    assert_eq!(status["details"]["kind"], "parcels");
    assert_eq!(space.server.get(&space.parcel("a")).await.code, 404);
}

#[tokio::test]
async fn finalizers_hold_an_object_until_the_last_is_removed() {
    let space = server().namespace().await;
    with_finalizer(&space, "a").await;
    let held = space.server.delete(&space.parcel("a")).await.ok();
    assert!(held["metadata"]["deletionTimestamp"].is_string());
    assert_eq!(held["metadata"]["generation"], 2);
    let again = space.server.delete(&space.parcel("a")).await.ok();
    assert_eq!(again["metadata"]["deletionTimestamp"], held["metadata"]["deletionTimestamp"]);
    let more = json!({"metadata": {"finalizers": ["x.io/wait", "x.io/more"]}});
    let reply = space.server.patch(&space.parcel("a"), "merge", &more).await;
    assert!(
        reply.failure().2.contains("metadata.finalizers: Forbidden: no new finalizers can be added"),
        "{}",
        reply.body
    );
    space.server.patch(&space.parcel("a"), "merge", &json!({"metadata": {"finalizers": null}})).await.ok();
    assert_eq!(space.server.get(&space.parcel("a")).await.code, 404);
}

#[tokio::test]
async fn a_deletion_can_be_conditional() {
    let space = server().namespace().await;
    let object = space.create_parcel("a").await;
    let wrong = json!({"preconditions": {"uid": "00000000-0000-0000-0000-000000000000"}});
    let reply = space.server.delete_with(&space.parcel("a"), &wrong).await;
    assert_eq!((reply.failure().0, reply.failure().1), (409, "Conflict"));
    assert!(reply.failure().2.contains("the UID in the precondition"), "{}", reply.body);
    let right = json!({"preconditions": {
        "uid": object["metadata"]["uid"], "resourceVersion": object["metadata"]["resourceVersion"]}});
    space.server.delete_with(&space.parcel("a"), &right).await.ok();
}

#[tokio::test]
async fn a_collection_is_deleted_by_selector() {
    let space = server().namespace().await;
    for (name, label) in [("a", "x"), ("b", "x"), ("c", "y")] {
        let mut object = parcel(name);
        object["metadata"]["labels"] = json!({"app": label});
        space.server.post(&space.parcels(), &object).await.ok();
    }
    space.server.delete(&format!("{}?labelSelector=app%3Dx", space.parcels())).await.ok();
    let left = space.server.get(&space.parcels()).await.ok();
    assert_eq!(left["items"].as_array().unwrap().len(), 1);
    assert_eq!(left["items"][0]["metadata"]["name"], "c");
}

fn owned_by(owner: &Value, name: &str, blocks: bool) -> Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": name, "ownerReferences": [{
            "apiVersion": "test.velocity.sh/v1", "kind": "Parcel", "name": owner["metadata"]["name"],
            "uid": owner["metadata"]["uid"], "blockOwnerDeletion": blocks
        }]}
    })
}

async fn is_gone(space: &Space, path: &str) {
    eventually(path, || async { (space.server.get(path).await.code == 404).then_some(()) }).await;
}

// A bare API server collects nothing: these are about this implementation, which stands in for the controllers.

#[tokio::test]
async fn dependents_go_with_their_owner() {
    let space = server().namespace().await;
    if !is_local(&space.server) {
        return;
    }
    let owner = space.create_parcel("a").await;
    space.server.post(&space.core("configmaps"), &owned_by(&owner, "child", false)).await.ok();
    space.server.delete(&space.parcel("a")).await.ok();
    is_gone(&space, &space.core("configmaps/child")).await;
    // An owner that was never there, or is no more, owns nothing that lasts.
    space.server.post(&space.core("configmaps"), &owned_by(&owner, "late", false)).await.ok();
    is_gone(&space, &space.core("configmaps/late")).await;
}

#[tokio::test]
async fn orphans_stay_and_forget_their_owner() {
    let space = server().namespace().await;
    if !is_local(&space.server) {
        return;
    }
    let owner = space.create_parcel("a").await;
    space.server.post(&space.core("configmaps"), &owned_by(&owner, "child", false)).await.ok();
    space.server.delete(&format!("{}?propagationPolicy=Orphan", space.parcel("a"))).await.ok();
    is_gone(&space, &space.parcel("a")).await;
    let child = space.server.get(&space.core("configmaps/child")).await.ok();
    assert!(child["metadata"]["ownerReferences"].is_null());
}

#[tokio::test]
async fn in_the_foreground_the_owner_waits_for_its_dependents() {
    let space = server().namespace().await;
    if !is_local(&space.server) {
        return;
    }
    let owner = space.create_parcel("a").await;
    let mut child = owned_by(&owner, "child", true);
    child["metadata"]["finalizers"] = json!(["x.io/wait"]);
    space.server.post(&space.core("configmaps"), &child).await.ok();
    let options = json!({"propagationPolicy": "Foreground"});
    let waiting = space.server.delete_with(&space.parcel("a"), &options).await.ok();
    assert_eq!(waiting["metadata"]["finalizers"], json!(["foregroundDeletion"]));
    eventually("the dependent is being deleted", || async {
        let child = space.server.get(&space.core("configmaps/child")).await.ok();
        child["metadata"]["deletionTimestamp"].is_string().then_some(())
    })
    .await;
    assert_eq!(space.server.get(&space.parcel("a")).await.code, 200);
    let free = json!({"metadata": {"finalizers": null}});
    space.server.patch(&space.core("configmaps/child"), "merge", &free).await.ok();
    is_gone(&space, &space.parcel("a")).await;
}

#[tokio::test]
async fn a_namespace_goes_with_everything_in_it() {
    let space = server().namespace().await;
    if !is_local(&space.server) {
        return;
    }
    with_finalizer(&space, "held").await;
    space.create_parcel("free").await;
    let path = format!("/api/v1/namespaces/{}", space.name);
    let namespace = space.server.delete(&path).await.ok();
    assert_eq!(namespace["status"]["phase"], "Terminating");
    is_gone(&space, &space.parcel("free")).await;
    let reply = space.server.post(&space.parcels(), &parcel("new")).await;
    let message = format!(
        "parcels.test.velocity.sh \"new\" is forbidden: unable to create new content in namespace {} because it is \
         being terminated",
        space.name
    );
    assert_eq!(reply.failure(), (403, "Forbidden", message.as_str()));
    assert_eq!(reply.body["details"]["causes"][0]["reason"], "NamespaceTerminating");
    space.server.patch(&space.parcel("held"), "merge", &json!({"metadata": {"finalizers": null}})).await.ok();
    is_gone(&space, &path).await;
}

#[tokio::test]
async fn the_first_namespaces_stay() {
    let server = server();
    for name in ["default", "kube-system"] {
        let reply = server.delete(&format!("/api/v1/namespaces/{name}")).await;
        let message = format!("namespaces \"{name}\" is forbidden: this namespace may not be deleted");
        assert_eq!(reply.failure(), (403, "Forbidden", message.as_str()));
    }
}
