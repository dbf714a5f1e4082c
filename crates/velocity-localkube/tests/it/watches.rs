//! Watches.

use std::time::Duration;

use base64::Engine;
use futures::StreamExt;
use reqwest::Method;
use serde_json::{Value, json};
use velocity_localkube::Options;

use crate::harness::{PATIENCE, Server, Space, eventually, is_local, parcel, private, server};

/// An open watch.
struct Watch {
    lines: std::pin::Pin<Box<dyn futures::Stream<Item = reqwest::Result<bytes::Bytes>> + Send>>,
    buffer: Vec<u8>,
}

impl Watch {
    async fn open(server: &Server, path: &str) -> Self {
        Self::open_as(server, path, "application/json").await
    }

    async fn open_as(server: &Server, path: &str, accept: &str) -> Self {
        let response = server.request(Method::GET, path).header("accept", accept).send().await.unwrap();
        assert_eq!(response.status(), 200);
        Self { lines: Box::pin(response.bytes_stream()), buffer: Vec::new() }
    }

    /// The next event, or `None` at the end of the stream.
    async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(end) = self.buffer.iter().position(|&byte| byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                return Some(serde_json::from_slice(&line).unwrap());
            }
            let chunk = tokio::time::timeout(PATIENCE, self.lines.next()).await.expect("an event in time")?;
            self.buffer.extend_from_slice(&chunk.unwrap());
        }
    }

    /// Type and name of the next event.
    async fn brief(&mut self) -> (String, String) {
        let event = self.next().await.expect("an event");
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        (text(&event["type"]), text(&event["object"]["metadata"]["name"]))
    }
}

fn pair(kind: &str, name: &str) -> (String, String) {
    (kind.to_owned(), name.to_owned())
}

async fn version(space: &Space) -> String {
    let list = space.server.get(&space.parcels()).await.ok();
    list["metadata"]["resourceVersion"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_watch_from_a_version_tells_everything_since() {
    let space = server().namespace().await;
    let start = version(&space).await;
    space.create_parcel("a").await;
    let path = format!("{}?watch=1&resourceVersion={start}", space.parcels());
    let mut watch = Watch::open(&space.server, &path).await;
    space.server.patch(&space.parcel("a"), "merge", &json!({"spec": {"replicas": 2}})).await.ok();
    space.server.delete(&space.parcel("a")).await.ok();
    assert_eq!(watch.brief().await, pair("ADDED", "a"));
    let modified = watch.next().await.unwrap();
    assert_eq!((&modified["type"], &modified["object"]["spec"]["replicas"]), (&json!("MODIFIED"), &json!(2)));
    let deleted = watch.next().await.unwrap();
    assert_eq!(deleted["type"], "DELETED");
    let number = |event: &Value| {
        event["object"]["metadata"]["resourceVersion"].as_str().unwrap().parse::<u64>().unwrap()
    };
    assert!(number(&deleted) > number(&modified), "a deletion has a version of its own");
}

#[tokio::test]
async fn a_watch_without_a_version_starts_with_what_is_there() {
    let space = server().namespace().await;
    space.create_parcel("a").await;
    let mut watch = Watch::open(&space.server, &format!("{}?watch=true", space.parcels())).await;
    assert_eq!(watch.brief().await, pair("ADDED", "a"));
    space.create_parcel("b").await;
    assert_eq!(watch.brief().await, pair("ADDED", "b"));
}

#[tokio::test]
async fn a_streamed_list_ends_with_a_bookmark() {
    let space = server().namespace().await;
    space.create_parcel("a").await;
    let path = format!(
        "{}?watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true",
        space.parcels()
    );
    let mut watch = Watch::open(&space.server, &path).await;
    let first = watch.next().await.unwrap();
    assert_eq!((&first["type"], &first["object"]["metadata"]["name"]), (&json!("ADDED"), &json!("a")));
    let end = watch.next().await.unwrap();
    assert_eq!(end["type"], "BOOKMARK");
    assert_eq!(end["object"]["metadata"]["annotations"]["k8s.io/initial-events-end"], "true");
    assert_eq!(end["object"]["kind"], "Parcel");
    space.create_parcel("b").await;
    assert_eq!(watch.brief().await, pair("ADDED", "b"));
    let reply = space.server.get(&format!("{}?watch=1&sendInitialEvents=true", space.parcels())).await;
    assert!(reply.code.is_client_error());
}

#[tokio::test]
async fn leaving_a_selection_looks_like_a_deletion() {
    let space = server().namespace().await;
    let start = version(&space).await;
    let path = format!("{}?watch=1&resourceVersion={start}&labelSelector=app%3Dx", space.parcels());
    let mut watch = Watch::open(&space.server, &path).await;
    space.create_parcel("a").await;
    let label = |value: &str| json!({"metadata": {"labels": {"app": value}}});
    for value in ["x", "x", "y", "z", "x"] {
        space.server.patch(&space.parcel("a"), "merge", &label(value)).await.ok();
    }
    space.server.patch(&space.parcel("a"), "merge", &json!({"spec": {"replicas": 3}})).await.ok();
    for kind in ["ADDED", "DELETED", "ADDED", "MODIFIED"] {
        assert_eq!(watch.brief().await, pair(kind, "a"));
    }
}

#[tokio::test]
async fn a_watch_sees_its_own_namespace_and_name_only() {
    let space = server().namespace().await;
    let other = space.server.namespace().await;
    let start = version(&space).await;
    let path = format!("{}?watch=1&resourceVersion={start}&fieldSelector=metadata.name%3Db", space.parcels());
    let mut watch = Watch::open(&space.server, &path).await;
    other.create_parcel("b").await;
    space.create_parcel("a").await;
    space.create_parcel("b").await;
    let event = watch.next().await.unwrap();
    assert_eq!(
        (&event["object"]["metadata"]["name"], &event["object"]["metadata"]["namespace"]),
        (&json!("b"), &json!(space.name))
    );
}

#[tokio::test]
async fn a_watched_table_has_its_headers_once() {
    let space = server().namespace().await;
    space.create_parcel("a").await;
    let accept = "application/json;as=Table;v=v1;g=meta.k8s.io";
    let mut watch = Watch::open_as(&space.server, &format!("{}?watch=1", space.parcels()), accept).await;
    let first = watch.next().await.unwrap();
    assert_eq!(first["object"]["columnDefinitions"].as_array().unwrap().len(), 5);
    assert_eq!(first["object"]["rows"][0]["cells"][0], "a");
    space.create_parcel("b").await;
    let second = watch.next().await.unwrap();
    assert!(second["object"]["columnDefinitions"].as_array().is_none_or(Vec::is_empty));
    assert_eq!(second["object"]["rows"][0]["cells"][0], "b");
}

#[tokio::test]
async fn a_watch_ends_when_it_was_asked_to() {
    let space = server().namespace().await;
    let created = space.create_parcel("a").await;
    let start = created["metadata"]["resourceVersion"].as_str().unwrap();
    let path = format!("{}?watch=1&timeoutSeconds=1&resourceVersion={start}", space.parcels());
    let mut watch = Watch::open(&space.server, &path).await;
    assert!(watch.next().await.is_none());
}

/// How long others may use what they have heard before it is forgotten.
const STILL_KNOWN: Duration = Duration::from_secs(5);

/// Makes the other server forget everything before the version, as it does by itself after some minutes: tells its
/// etcd, and leaves word where API servers look for it.
async fn compact(version: &str) {
    // Tests beside this one are in the middle of their lists.
    tokio::time::sleep(STILL_KNOWN).await;
    let etcd = std::env::var("KUBE_CONFORMANCE_ETCD").expect("KUBE_CONFORMANCE_ETCD names the server's etcd");
    let encoded = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
    for (call, body) in [
        ("put", json!({"key": encoded("compact_rev_key"), "value": encoded(version)})),
        ("compaction", json!({"revision": version})),
    ] {
        let reply = reqwest::Client::new().post(format!("{etcd}/v3/kv/{call}")).json(&body).send().await;
        assert!(reply.unwrap().status().is_success(), "{call}");
    }
}

#[tokio::test]
async fn a_version_that_is_no_longer_known_is_gone() {
    // The local server forgets when there is more to remember than it may.
    let forgetful = is_local(&server()).then(|| private(Options { watch_history: 8 }));
    let space = forgetful.as_ref().map_or_else(server, |private| private.server.clone()).namespace().await;
    let start = version(&space).await;
    let first = space.server.get(&format!("{}?limit=1", space.parcels())).await.ok();
    assert!(first["metadata"]["continue"].as_str().is_none_or(str::is_empty));
    for number in 0..4 {
        space.create_parcel(&format!("p{number}")).await;
    }
    let page = space.server.get(&format!("{}?limit=1", space.parcels())).await.ok();
    for number in 4..20 {
        space.create_parcel(&format!("p{number}")).await;
    }
    if forgetful.is_none() {
        compact(&version(&space).await).await;
    }
    let mut watch =
        Watch::open(&space.server, &format!("{}?watch=1&resourceVersion=1", space.parcels())).await;
    let event = watch.next().await.unwrap();
    assert_eq!(event["type"], "ERROR");
    assert_eq!((&event["object"]["code"], &event["object"]["reason"]), (&json!(410), &json!("Expired")));
    let message = event["object"]["message"].as_str().unwrap();
    assert!(message.starts_with("too old resource version: 1 ("), "{message}");
    assert!(watch.next().await.is_none(), "and the stream ends");
    let token = page["metadata"]["continue"].as_str().unwrap();
    let next = format!("{}?limit=1&continue={token}", space.parcels());
    // A real API server looks only now and then how far its etcd remembers.
    let reply = eventually("the page to be forgotten", || async {
        let reply = space.server.get(&next).await;
        (!reply.code.is_success()).then_some(reply)
    })
    .await;
    assert_eq!((reply.failure().0, reply.failure().1), (410, "Expired"));
    let fresh = reply.body["metadata"]["continue"].as_str().unwrap();
    let on = space.server.get(&format!("{}?continue={fresh}", space.parcels())).await.ok();
    assert_eq!(on["items"].as_array().unwrap().len(), 19);
    let exact = format!("{}?resourceVersion={start}&resourceVersionMatch=Exact", space.parcels());
    let reply = space.server.get(&exact).await;
    assert_eq!((reply.failure().0, reply.failure().1), (410, "Expired"));
}

/// A client that watches from a version that is gone is told so, and lists again.
#[tokio::test]
async fn a_client_hears_that_its_version_is_gone() {
    use kube::api::{WatchEvent, WatchParams};
    let forgetful = is_local(&server()).then(|| private(Options { watch_history: 8 }));
    let space = forgetful.as_ref().map_or_else(server, |private| private.server.clone()).namespace().await;
    for number in 0..20 {
        space.create_parcel(&format!("p{number}")).await;
    }
    let api = space.api().await;
    let mut events = Box::pin(api.watch(&WatchParams::default(), "1").await.unwrap());
    let event = tokio::time::timeout(PATIENCE, events.next()).await.unwrap().unwrap().unwrap();
    let WatchEvent::Error(status) = event else { panic!("{event:?}") };
    assert_eq!((status.code, status.reason.as_str()), (410, "Expired"));
    assert_eq!(api.list(&kube::api::ListParams::default()).await.unwrap().items.len(), 20);
}

#[tokio::test]
async fn many_watchers_each_hear_everything_in_order() {
    let space = server().namespace().await;
    let start = version(&space).await;
    let path = format!("{}?watch=1&resourceVersion={start}", space.parcels());
    let mut watchers = Vec::new();
    for _ in 0..50 {
        watchers.push(Watch::open(&space.server, &path).await);
    }
    let names: Vec<String> = (0..20).map(|number| format!("p{number:02}")).collect();
    for name in &names {
        space.server.post(&space.parcels(), &parcel(name)).await.ok();
    }
    for watch in &mut watchers {
        for name in &names {
            assert_eq!(watch.brief().await, pair("ADDED", name));
        }
    }
}
