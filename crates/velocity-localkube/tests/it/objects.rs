//! Creating, reading and replacing objects.

use serde_json::{Value, json};

use crate::harness::{parcel, server};

#[tokio::test]
async fn a_created_object_has_identity_defaults_and_no_status() {
    let space = server().namespace().await;
    let mut wanted = parcel("a");
    wanted["status"] = json!({"phase": "Forged"});
    let created = space.server.post(&space.parcels(), &wanted).await;
    assert_eq!(created.code, 201);
    let created = created.ok();
    assert_eq!(created["metadata"]["namespace"], *space.name);
    assert_eq!(created["metadata"]["generation"], 1);
    for field in ["uid", "resourceVersion", "creationTimestamp"] {
        assert!(created["metadata"][field].is_string(), "{field}");
    }
    assert_eq!(created["spec"]["replicas"], 1);
    assert_eq!(created["spec"]["fields"][0]["required"], false);
    assert!(created["status"].is_null());
    assert_eq!(created["metadata"]["managedFields"][0]["manager"], "it");
    assert_eq!(space.server.get(&space.parcel("a")).await.ok(), created);
}

#[tokio::test]
async fn a_name_is_taken_once_and_made_from_a_prefix() {
    let space = server().namespace().await;
    space.create_parcel("a").await;
    let again = space.server.post(&space.parcels(), &parcel("a")).await;
    assert_eq!(again.failure(), (409, "AlreadyExists", "parcels.test.velocity.sh \"a\" already exists"));
    assert_eq!(again.body["details"], json!({"name": "a", "group": "test.velocity.sh", "kind": "parcels"}));
    let mut prefixed = parcel("a");
    prefixed["metadata"] = json!({"generateName": "made-"});
    let made = space.server.post(&space.parcels(), &prefixed).await.ok();
    let name = made["metadata"]["name"].as_str().unwrap();
    assert!(name.starts_with("made-") && name.len() == 10, "{name}");
}

#[tokio::test]
async fn an_object_needs_a_namespace_that_exists() {
    let server = server();
    let reply = server.post("/apis/test.velocity.sh/v1/namespaces/no-such-place/parcels", &parcel("a")).await;
    assert_eq!(reply.failure(), (404, "NotFound", "namespaces \"no-such-place\" not found"));
    let space = server.namespace().await;
    let mut elsewhere = parcel("a");
    elsewhere["metadata"]["namespace"] = json!("default");
    let reply = server.post(&space.parcels(), &elsewhere).await;
    assert_eq!(
        reply.failure(),
        (
            400,
            "BadRequest",
            "the namespace of the provided object does not match the namespace sent on the request"
        )
    );
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    let space = server().namespace().await;
    let reply = space.server.get(&space.parcel("none")).await;
    assert_eq!(reply.failure(), (404, "NotFound", "parcels.test.velocity.sh \"none\" not found"));
    let reply = space.server.put(&space.parcel("none"), &parcel("none")).await;
    assert_eq!(reply.code, 404);
    let reply = space.server.delete(&space.parcel("none")).await;
    assert_eq!(reply.code, 404);
    let reply = space.server.patch(&space.parcel("none"), "merge", &json!({})).await;
    assert_eq!(reply.code, 404);
    let reply = space.server.get("/apis/test.velocity.sh/v1/nothings").await;
    assert_eq!(reply.code, 404);
}

#[tokio::test]
async fn a_replacement_needs_the_current_version() {
    let space = server().namespace().await;
    let first = space.create_parcel("a").await;
    let mut second = first.clone();
    second["spec"]["replicas"] = json!(2);
    let stored = space.server.put(&space.parcel("a"), &second).await.ok();
    assert_ne!(stored["metadata"]["resourceVersion"], first["metadata"]["resourceVersion"]);
    let reply = space.server.put(&space.parcel("a"), &second).await;
    assert_eq!(
        reply.failure(),
        (
            409,
            "Conflict",
            "Operation cannot be fulfilled on parcels.test.velocity.sh \"a\": the object has been modified; please \
             apply your changes to the latest version and try again"
        )
    );
    let mut unversioned = second.clone();
    unversioned["metadata"].as_object_mut().unwrap().remove("resourceVersion");
    let reply = space.server.put(&space.parcel("a"), &unversioned).await;
    assert_eq!(
        reply.failure(),
        (
            422,
            "Invalid",
            "parcels.test.velocity.sh \"a\" is invalid: metadata.resourceVersion: Invalid value: 0: must be specified \
             for an update"
        )
    );
}

#[tokio::test]
async fn the_generation_counts_changes_of_the_spec_only() {
    let space = server().namespace().await;
    let mut object = space.create_parcel("a").await;
    object["metadata"]["labels"] = json!({"x": "y"});
    let mut object = space.server.put(&space.parcel("a"), &object).await.ok();
    assert_eq!(object["metadata"]["generation"], 1);
    object["spec"]["replicas"] = json!(3);
    object["metadata"]["generation"] = json!(77);
    let object = space.server.put(&space.parcel("a"), &object).await.ok();
    assert_eq!(object["metadata"]["generation"], 2);
}

#[tokio::test]
async fn spec_and_status_are_changed_through_their_own_doors() {
    let space = server().namespace().await;
    let created = space.create_parcel("a").await;
    let mut both = created.clone();
    both["spec"]["replicas"] = json!(9);
    both["metadata"]["labels"] = json!({"sneaked": "in"});
    both["status"] = json!({"phase": "Ready"});
    let after = space.server.put(&format!("{}/status", space.parcel("a")), &both).await.ok();
    assert_eq!(after["status"]["phase"], "Ready");
    assert_eq!(after["spec"], created["spec"]);
    assert!(after["metadata"]["labels"].is_null());
    assert_eq!(after["metadata"]["generation"], 1);
    let mut both = after.clone();
    both["spec"]["replicas"] = json!(9);
    both["status"] = json!({"phase": "Forged"});
    let after = space.server.put(&space.parcel("a"), &both).await.ok();
    assert_eq!(after["status"]["phase"], "Ready");
    assert_eq!(after["spec"]["replicas"], 9);
    let reply = space.server.get(&format!("{}/status", space.core("configmaps/x"))).await;
    assert_eq!(reply.code, 404, "configmaps have no status");
}

#[tokio::test]
async fn a_write_that_changes_nothing_keeps_the_version() {
    let space = server().namespace().await;
    let object = space.create_parcel("a").await;
    let same = space.server.put(&space.parcel("a"), &object).await.ok();
    assert_eq!(same["metadata"]["resourceVersion"], object["metadata"]["resourceVersion"]);
    let same = space.server.patch(&space.parcel("a"), "merge", &json!({"spec": {"replicas": 1}})).await.ok();
    assert_eq!(same["metadata"]["resourceVersion"], object["metadata"]["resourceVersion"]);
}

#[tokio::test]
async fn a_dry_run_answers_and_stores_nothing() {
    let space = server().namespace().await;
    let reply = space.server.post(&format!("{}?dryRun=All", space.parcels()), &parcel("a")).await;
    assert_eq!(reply.code, 201);
    assert_eq!(reply.body["spec"]["replicas"], 1);
    assert_eq!(space.server.get(&space.parcel("a")).await.code, 404);
    space.create_parcel("a").await;
    let path = format!("{}?dryRun=All", space.parcel("a"));
    let patched = space.server.patch(&path, "merge", &json!({"spec": {"replicas": 5}})).await.ok();
    assert_eq!(patched["spec"]["replicas"], 5);
    space.server.delete(&path).await.ok();
    assert_eq!(space.server.get(&space.parcel("a")).await.ok()["spec"]["replicas"], 1);
}

#[tokio::test]
async fn identity_cannot_be_changed() {
    let space = server().namespace().await;
    let object = space.create_parcel("a").await;
    let mut other = object.clone();
    other["metadata"]["uid"] = json!("00000000-0000-0000-0000-000000000000");
    let reply = space.server.put(&space.parcel("a"), &other).await;
    assert_eq!(reply.failure().0, 409);
    let mut other = object.clone();
    other["metadata"]["name"] = json!("b");
    let reply = space.server.put(&space.parcel("a"), &other).await;
    assert_eq!(
        reply.failure(),
        (400, "BadRequest", "the name of the object (b) does not match the name on the URL (a)")
    );
    let mut other = object.clone();
    other["metadata"]["creationTimestamp"] = json!("2001-01-01T00:00:00Z");
    let kept = space.server.put(&space.parcel("a"), &other).await.ok();
    assert_eq!(kept["metadata"]["creationTimestamp"], object["metadata"]["creationTimestamp"]);
}

#[tokio::test]
async fn another_kind_or_version_in_the_body_is_refused() {
    let space = server().namespace().await;
    let mut wrong = parcel("a");
    wrong["apiVersion"] = json!("test.velocity.sh/v2");
    let reply = space.server.post(&space.parcels(), &wrong).await;
    assert_eq!(
        reply.failure(),
        (
            400,
            "BadRequest",
            "the API version in the data (test.velocity.sh/v2) does not match the expected API version \
             (test.velocity.sh/v1)"
        )
    );
    let mut wrong = parcel("a");
    wrong["kind"] = json!("Other");
    assert!(!space.server.post(&space.parcels(), &wrong).await.code.is_success());
    let reply = space.server.post(&space.parcels(), &json!([])).await;
    assert_eq!(reply.code, 400);
}

#[tokio::test]
async fn secrets_keep_text_as_data_and_their_type() {
    let space = server().namespace().await;
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"},
                        "stringData": {"a": "hello"}, "data": {"b": "AAE="}});
    let created = space.server.post(&space.core("secrets"), &secret).await.ok();
    assert_eq!(created["data"], json!({"a": "aGVsbG8=", "b": "AAE="}));
    assert_eq!(created["type"], "Opaque");
    assert!(created["stringData"].is_null());
    let reply = space.server.patch(&space.core("secrets/s"), "merge", &json!({"type": "other"})).await;
    assert_eq!(
        reply.failure(),
        (422, "Invalid", "Secret \"s\" is invalid: type: Invalid value: \"other\": field is immutable")
    );
    let number = "json: cannot unmarshal number into Go struct field Secret.data of type []uint8";
    let reply = space.server.patch(&space.core("secrets/s"), "merge", &json!({"data": {"c": 5}})).await;
    assert_eq!(reply.failure().0, 422);
    assert!(reply.failure().2.ends_with(number), "{}", reply.body);
    let wrong = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "t"}, "data": {"c": 5}});
    let reply = space.server.post(&space.core("secrets"), &wrong).await;
    let message = format!("Secret in version \"v1\" cannot be handled as a Secret: {number}");
    assert_eq!(reply.failure(), (400, "BadRequest", message.as_str()));
}

#[tokio::test]
async fn an_immutable_config_map_stays_as_it_is() {
    let space = server().namespace().await;
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"a": "1"},
                     "immutable": true});
    space.server.post(&space.core("configmaps"), &map).await.ok();
    let reply = space.server.patch(&space.core("configmaps/c"), "merge", &json!({"data": {"a": "2"}})).await;
    assert_eq!(
        reply.failure().2,
        "ConfigMap \"c\" is invalid: data: Forbidden: field is immutable when `immutable` is set"
    );
    // Without a version, a replacement of a built-in kind is unconditional.
    let mut labelled = map.clone();
    labelled["metadata"]["labels"] = json!({"x": "y"});
    let stored: Value = space.server.put(&space.core("configmaps/c"), &labelled).await.ok();
    assert_eq!(stored["metadata"]["labels"]["x"], "y");
}

#[tokio::test]
async fn an_event_is_one_object_in_two_groups() {
    let space = server().namespace().await;
    let path = format!("/apis/events.k8s.io/v1/namespaces/{}/events", space.name);
    let event = json!({
        "apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": {"name": "e"},
        "eventTime": "2026-01-02T03:04:05.000000Z", "action": "Do", "reason": "Done", "note": "it was done",
        "type": "Normal", "reportingController": "it", "reportingInstance": "it-1",
        "regarding": {"apiVersion": "test.velocity.sh/v1", "kind": "Parcel", "name": "a", "namespace": space.name}
    });
    space.server.post(&path, &event).await.ok();
    let core = space.server.get(&space.core("events/e")).await.ok();
    assert_eq!(core["apiVersion"], "v1");
    assert_eq!(core["message"], "it was done");
    assert_eq!(core["involvedObject"]["name"], "a");
    assert_eq!(core["reportingComponent"], "it");
    let new = space.server.get(&format!("{path}/e")).await.ok();
    assert_eq!(new["note"], "it was done");
    for (selector, count) in
        [("involvedObject.name=a", 1), ("involvedObject.name=b", 0), ("type!=Warning", 1)]
    {
        let list = space.server.get(&format!("{}?fieldSelector={selector}", space.core("events"))).await.ok();
        assert_eq!(list["items"].as_array().unwrap().len(), count, "{selector}");
    }
}
