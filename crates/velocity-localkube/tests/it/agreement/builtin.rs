//! Leases, Secrets, ConfigMaps, Events and namespaces.

use serde_json::{Value, json};

use super::{Step, agree, ask, step};

fn lease(name: &str, spec: &Value) -> Value {
    json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": name}, "spec": spec})
}

#[tokio::test]
#[ignore = "compares with another server: make test-kubernetes"]
async fn leases() {
    let held = json!({"holderIdentity": "one", "leaseDurationSeconds": 15, "leaseTransitions": 0,
        "acquireTime": "2026-01-02T03:04:05.123456Z", "renewTime": "2026-01-02T03:04:05.123456Z"});
    let versioned = |version: &str, holder: &str| {
        let mut lease = lease("leader", &held);
        lease["metadata"]["resourceVersion"] = json!(version);
        lease["spec"]["holderIdentity"] = json!(holder);
        lease
    };
    agree(&[
        step("POST leases", lease("leader", &held)),
        step("POST leases", lease("leader", &held)),
        ask("GET leases/leader"),
        ask("GET leases/nobody"),
        step("PUT leases/leader", versioned("$rv1", "two")),
        step("PUT leases/leader", versioned("$rv1", "three")),
        step("PUT leases/leader", lease("leader", &held)),
        step("PUT leases/made", lease("made", &held)),
        step("MERGE leases/leader", json!({"spec": {"holderIdentity": "four", "leaseTransitions": 1}})),
        step(
            "MERGE leases/leader",
            json!({"metadata": {"resourceVersion": "$rv1"}, "spec": {"holderIdentity": "x"}}),
        ),
        step("STRATEGIC leases/leader", json!({"spec": {"leaseDurationSeconds": 20}})),
        step(
            "JSON leases/leader",
            json!([{"op": "replace", "path": "/spec/holderIdentity", "value": "five"}]),
        ),
        step("APPLY leases/leader?fieldManager=m", lease("leader", &json!({"holderIdentity": "six"}))),
        step(
            "APPLY leases/leader?fieldManager=m&force=true",
            lease("leader", &json!({"holderIdentity": "six"})),
        ),
        step("APPLY leases/applied?fieldManager=m", lease("applied", &json!({"holderIdentity": "six"}))),
        step("POST leases", lease("empty", &json!({}))),
        step(
            "POST leases",
            json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "bare"}}),
        ),
        step("POST leases", lease("a", &json!({"leaseDurationSeconds": 0, "leaseTransitions": -1}))),
        step("POST leases", lease("a", &json!({"renewTime": "yesterday"}))),
        step("POST leases", lease("a", &json!({"renewTime": "2026-01-02T03:04:05Z"}))),
        step("POST leases", lease("d", &json!({"holderIdentity": ""}))),
        step("POST leases", lease("e", &json!({"bogus": 1}))),
        step("POST leases?fieldValidation=Strict", lease("f", &json!({"bogus": 1}))),
        step("POST leases", lease("Upper", &json!({}))),
        step("POST leases", lease("g", &json!({"preferredHolder": "x"}))),
        step("POST leases", lease("h", &json!({"strategy": "OldestEmulationVersion"}))),
        ask("GET leases"),
        ask("TABLE leases"),
        ask("META leases"),
        ask("GET leases?watch=1&resourceVersion=$rv1&timeoutSeconds=1"),
        step("DELETE leases/leader", json!({"preconditions": {"resourceVersion": "$rv1"}})),
        ask("DELETE leases/leader"),
        ask("DELETE leases/leader"),
        ask("DELETE leases"),
        ask("GET leases"),
        ask("GET leases/leader/status"),
        step("POST leases/leader", json!({})),
    ])
    .await;
}

fn secret(name: &str, more: &Value) -> Value {
    let mut object = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}});
    for (field, value) in more.as_object().unwrap() {
        object[field] = value.clone();
    }
    object
}

#[tokio::test]
#[ignore = "compares with another server: make test-kubernetes"]
async fn secrets_and_config_maps() {
    let map = |name: &str, data: &Value| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data});
    agree(&[
        step("POST secrets", secret("a", &json!({"stringData": {"x": "1"}, "data": {"x": "Mg==", "y": ""}}))),
        step("POST secrets", secret("b", &json!({"type": "velocity.sh/token", "immutable": true, "data": {"k": "eA=="}}))),
        step("MERGE secrets/b", json!({"data": {"k": "eQ=="}})),
        step("MERGE secrets/b", json!({"immutable": false})),
        step("MERGE secrets/b", json!({"metadata": {"labels": {"l": "v"}}})),
        step("MERGE secrets/a", json!({"stringData": {"z": "new"}})),
        step("POST secrets", secret("c", &json!({"data": {"k": "not base64"}}))),
        step("POST secrets", secret("c", &json!({"data": {"bad key": "eA=="}}))),
        step("POST secrets", secret("c", &json!({"data": {"..": "eA=="}, "type": "x"}))),
        step("PUT secrets/a", secret("a", &json!({"data": {"only": "eA=="}}))),
        step("PUT secrets/none", secret("none", &json!({}))),
        step("PUT secrets/a", secret("b", &json!({}))),
        ask("GET secrets?fieldSelector=type%3DOpaque"),
        ask("GET secrets?fieldSelector=nothing%3DOpaque"),
        ask("TABLE secrets"),
        step("POST configmaps", map("m", &json!({"a": "1", "b": "2"}))),
        step("POST configmaps", map("n", &json!({"a": 1}))),
        step("POST configmaps", map("n", &json!(["a"]))),
        step("POST configmaps", json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "o"},
            "data": {"a": "1"}, "binaryData": {"a": "eA=="}})),
        step("STRATEGIC configmaps/m", json!({"data": {"a": null, "c": "3"}})),
        step("STRATEGIC configmaps/m", json!({"data": {"$patch": "replace", "d": "4"}})),
        step("JSON configmaps/m", json!([{"op": "remove", "path": "/data/nothing"}])),
        step("JSON configmaps/m", json!([{"op": "add", "path": "/data/e", "value": "5"}, {"op": "move", "from": "/data/d", "path": "/data/f"}])),
        step("APPLY configmaps/m?fieldManager=one", map("m", &json!({"e": "5"}))),
        step("APPLY configmaps/m?fieldManager=two", map("m", &json!({"e": "6"}))),
        step("APPLY configmaps/m?fieldManager=two&force=true", map("m", &json!({"e": "6"}))),
        step("APPLY configmaps/m?fieldManager=two", map("m", &json!({}))),
        ask("TABLE configmaps"),
        step("POST configmaps?dryRun=All", map("dry", &json!({}))),
        step("POST configmaps?dryRun=Some", map("dry", &json!({}))),
        ask("GET configmaps?limit=-1"),
        ask("GET configmaps?limit=x"),
        ask("DELETE configmaps/m?propagationPolicy=Sideways"),
        step("DELETE configmaps/m", json!({"propagationPolicy": "Foreground", "orphanDependents": true})),
        step("DELETE configmaps/m", json!({"gracePeriodSeconds": -1})),
    ])
    .await;
}

/// What a Secret of an oidc strategy goes through.
#[tokio::test]
#[ignore = "compares with another server: make test-kubernetes"]
async fn a_secret_from_its_first_day_to_its_last() {
    let fixed = json!({"immutable": true, "stringData": {"secret": "one"}});
    agree(&[
        step(
            "POST secrets",
            secret("s", &json!({"type": "Opaque", "stringData": {"secret": "one", "other": "x"}})),
        ),
        step("PUT secrets/s", secret("s", &json!({"type": "Opaque", "stringData": {"secret": "two"}}))),
        step("MERGE secrets/s", json!({"stringData": {"secret": "three"}})),
        step("MERGE secrets/s", json!({"data": {"other": null}})),
        step("STRATEGIC secrets/s", json!({"data": {"secret": "Zm91cg=="}})),
        step("JSON secrets/s", json!([{"op": "replace", "path": "/data/secret", "value": "Zml2ZQ=="}])),
        step("APPLY secrets/s?fieldManager=m", secret("s", &json!({"stringData": {"secret": "six"}}))),
        step(
            "APPLY secrets/s?fieldManager=m&force=true",
            secret("s", &json!({"stringData": {"secret": "six"}})),
        ),
        step("MERGE secrets/s", json!({"type": "other"})),
        ask("GET secrets?fieldSelector=metadata.name%3Ds"),
        ask("GET secrets?fieldSelector=metadata.name%3Dnone"),
        ask("GET secrets?watch=1&resourceVersion=$rv1&timeoutSeconds=1&fieldSelector=metadata.name%3Ds"),
        step("POST secrets", secret("fixed", &fixed)),
        step("MERGE secrets/fixed", json!({"stringData": {"secret": "two"}})),
        step("MERGE secrets/fixed", json!({"stringData": {"secret": "one"}})),
        step("MERGE secrets/fixed", json!({"immutable": null})),
        step("PUT secrets/fixed", secret("fixed", &json!({"stringData": {"secret": "one"}}))),
        step("POST secrets", secret("t", &json!({"stringData": ["a"]}))),
        step("POST secrets", secret("t", &json!({"stringData": {"a/b": "x"}}))),
        step("POST secrets", secret("t", &json!({"bogus": 1}))),
        step("POST secrets?fieldValidation=Strict", secret("t", &json!({"bogus": 1}))),
        step("POST secrets", secret("big", &json!({"stringData": {"a": "x".repeat(1024 * 1024 + 1)}}))),
        step("POST secrets", secret("Upper", &json!({}))),
        ask("DELETE secrets/fixed"),
        ask("TABLE secrets"),
    ])
    .await;
}

fn event(name: &str, more: &Value) -> Value {
    let mut object = json!({
        "apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": {"name": name},
        "eventTime": "2026-01-02T03:04:05.000000Z", "action": "Do", "reason": "Done", "note": "it was done",
        "type": "Normal", "reportingController": "it", "reportingInstance": "it-1",
        "regarding": {"apiVersion": "test.velocity.sh/v1", "kind": "Parcel", "name": "a", "namespace": "$ns"}
    });
    for (field, value) in more.as_object().unwrap() {
        object[field] = value.clone();
    }
    object
}

#[tokio::test]
#[ignore = "compares with another server: make test-kubernetes"]
async fn events() {
    let core = json!({"apiVersion": "v1", "kind": "Event", "metadata": {"name": "old"}, "reason": "Done",
        "message": "m", "type": "Normal", "count": 2, "firstTimestamp": "2026-01-02T03:04:05Z",
        "lastTimestamp": "2026-01-02T03:04:06Z", "source": {"component": "it"},
        "involvedObject": {"kind": "Parcel", "name": "a", "namespace": "$ns"}});
    let mut elsewhere = core.clone();
    elsewhere["involvedObject"]["namespace"] = json!("default");
    let series = json!({"series": {"count": 2, "lastObservedTime": "2026-01-02T03:05:05.000000Z"}});
    agree(&[
        step("POST newevents", event("a", &json!({}))),
        ask("GET events/a"),
        step("MERGE newevents/a", series),
        step("MERGE newevents/a", json!({"note": "changed"})),
        step("POST newevents", event("b", &json!({"type": "Other"}))),
        step("POST newevents", event("b", &json!({"reason": "", "action": ""}))),
        step("POST newevents", event("b", &json!({"note": "x".repeat(1025)}))),
        step("POST newevents", event("b", &json!({"reason": "x".repeat(129)}))),
        step("POST newevents", event("b", &json!({"eventTime": null}))),
        step(
            "POST newevents",
            event("b", &json!({"regarding": {"kind": "Parcel", "name": "a", "namespace": "default"}})),
        ),
        step("POST events", core),
        ask("GET newevents/old"),
        step("POST events", elsewhere),
        ask("GET events?fieldSelector=involvedObject.name%3Da,reason%3DDone"),
        ask("GET newevents"),
        ask("DELETE newevents"),
    ])
    .await;
}

#[tokio::test]
#[ignore = "compares with another server: make test-kubernetes"]
async fn namespaces() {
    let named = |name: &str| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
    let steps: Vec<Step> = vec![
        ask("GET /api/v1/namespaces/$ns"),
        step("POST /api/v1/namespaces", named("$ns")),
        step("POST /api/v1/namespaces", named("With.Dots")),
        step("POST /api/v1/namespaces", named("with.dots")),
        step(
            "MERGE /api/v1/namespaces/$ns",
            json!({"metadata": {"labels": {"kubernetes.io/metadata.name": "other", "x": "y"}}}),
        ),
        step("APPLY /api/v1/namespaces/$ns?fieldManager=m", named("$ns")),
        step("APPLY /api/v1/namespaces/$ns-applied?fieldManager=m", named("$ns-applied")),
        ask("TABLE /api/v1/namespaces/$ns"),
        ask("DELETE /api/v1/namespaces/default"),
        ask("DELETE /api/v1/namespaces/$ns-missing"),
        ask("DELETE /api/v1/namespaces"),
    ];
    agree(&steps).await;
}
