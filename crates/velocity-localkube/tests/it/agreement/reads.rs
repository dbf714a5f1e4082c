//! Lists, watches, tables, discovery, and requests that no server understands.

use serde_json::{Value, json};

use super::{agree, ask, step};
use crate::harness::parcel;

fn labelled(name: &str, label: &str) -> Value {
    let mut object = parcel(name);
    object["metadata"]["labels"] = json!({"app": label});
    object
}

#[tokio::test]
#[ignore = "compares with another server: make test-kubernetes"]
async fn lists_and_watches() {
    agree(&[
        step("POST parcels", labelled("a", "x")),
        step("POST parcels", labelled("b", "y")),
        step("POST parcels", labelled("c", "x")),
        step("MERGE parcels/a", json!({"spec": {"replicas": 2}})),
        step("MERGE parcels/b", json!({"metadata": {"labels": {"app": "x"}}})),
        step("MERGE parcels/c", json!({"metadata": {"labels": {"app": null}}})),
        step("MERGE parcels/a/status", json!({"status": {"conditions": [{"type": "Ready", "status": "True"}]}})),
        ask("DELETE parcels/c"),
        ask("GET parcels"),
        ask("GET parcels?limit=1"),
        ask("GET parcels?labelSelector=app%3Dx"),
        ask("GET parcels?fieldSelector=metadata.namespace%3D$ns"),
        ask("GET parcels?fieldSelector=spec.object%3Dorder"),
        ask("GET parcels?fieldSelector=metadata.name"),
        ask("GET parcels?resourceVersion=x"),
        ask("GET parcels?resourceVersion=-1"),
        ask("GET parcels?resourceVersionMatch=Exact"),
        ask("GET parcels?resourceVersion=1&resourceVersionMatch=Odd"),
        ask("GET parcels?resourceVersion=0&resourceVersionMatch=Exact"),
        ask("GET parcels?resourceVersion=$rv2&resourceVersionMatch=Exact"),
        ask("GET parcels?watch=1&resourceVersion=$rv1&timeoutSeconds=1"),
        ask("GET parcels?watch=1&resourceVersion=$rv1&timeoutSeconds=1&labelSelector=app%3Dx"),
        ask("GET parcels?watch=1&timeoutSeconds=1"),
        ask("GET parcels?watch=1&timeoutSeconds=1&resourceVersion=0"),
        ask("GET parcels?watch=1&timeoutSeconds=1&sendInitialEvents=true&allowWatchBookmarks=true&resourceVersionMatch=NotOlderThan"),
        ask("GET parcels?watch=1&timeoutSeconds=1&sendInitialEvents=true"),
        ask("GET parcels?watch=1&timeoutSeconds=1&resourceVersionMatch=NotOlderThan"),
        ask("GET parcels?sendInitialEvents=true&resourceVersionMatch=NotOlderThan"),
        ask("GET parcels?watch=1&resourceVersion=x&timeoutSeconds=1"),
        ask("GET parcels?watch=maybe&timeoutSeconds=1"),
        ask("GET parcels?timeoutSeconds=x"),
        ask("GET parcels/a?watch=1&timeoutSeconds=1"),
        ask("TABLE parcels?watch=1&timeoutSeconds=1&resourceVersion=$rv1"),
        ask("TABLE parcels"),
        ask("TABLE parcels?includeObject=None"),
        ask("TABLE parcels?includeObject=Object"),
        ask("TABLE parcels/a"),
        ask("META parcels"),
        ask("GET parcels/a?resourceVersion=$rv1"),
        ask("GET parcels/a?resourceVersion=x"),
    ])
    .await;
}

#[tokio::test]
#[ignore = "compares with another server: make test-kubernetes"]
async fn discovery() {
    agree(&[
        ask("GET /apis/test.velocity.sh"),
        ask("GET /apis/test.velocity.sh/v1"),
        ask("GET /apis/coordination.k8s.io/v1"),
        ask("GET /apis/events.k8s.io/v1"),
        ask("GET /apis/events.k8s.io"),
        ask("GET /apis/nothing.velocity.sh"),
        ask("GET /apis/test.velocity.sh/v9"),
    ])
    .await;
}

#[tokio::test]
#[ignore = "compares with another server: make test-kubernetes"]
async fn requests_that_are_no_requests() {
    agree(&[
        ask("GET nothings"),
        ask("GET parcels/a/nothing"),
        ask("GET /apis/test.velocity.sh/v1/namespaces/$ns/nothings"),
        ask("GET /apis/test.velocity.sh/v2/namespaces/$ns/parcels"),
        ask("GET /nowhere"),
        step("PUT parcels", json!({})),
        step("MERGE parcels", json!({})),
        step("POST parcels", json!("text")),
        step("POST parcels", json!(5)),
        step("POST parcels", json!([{}])),
        step("POST parcels", json!({})),
        step("POST parcels", json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}})),
        step("POST configmaps", json!({})),
        step("POST configmaps", json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "x"}})),
        step("POST /api/v1/namespaces/missing-place/configmaps", json!({"metadata": {"name": "x"}})),
        ask("GET /api/v1/namespaces/missing-place/configmaps"),
        ask("GET /api/v1/namespaces/missing-place/configmaps/x"),
        ask("GET /apis/test.velocity.sh/v1/parcels/a"),
        step("POST /apis/test.velocity.sh/v1/parcels", parcel("a")),
    ])
    .await;
}
