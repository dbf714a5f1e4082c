//! kube-rs on the API: clients, reflectors, controllers, event recorders.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Event, Namespace};
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::runtime::controller::Action;
use kube::runtime::events::{Event as Report, EventType, Recorder};
use kube::runtime::{Controller, WatchStreamExt, reflector, watcher};
use kube::{Client, ResourceExt};
use serde_json::json;
use tower::ServiceExt;
use velocity_localkube::LocalKube;

use crate::harness::{PATIENCE, eventually, parcel, parcel_definition, parcel_resource, server};

fn dynamic(name: &str) -> DynamicObject {
    serde_json::from_value(parcel(name)).unwrap()
}

#[tokio::test]
async fn applies_conflict_and_can_be_forced() {
    let space = server().namespace().await;
    let api = space.api().await;
    let mut object = dynamic("a");
    api.patch("a", &PatchParams::apply("one"), &Patch::Apply(&object)).await.unwrap();
    object.data["spec"]["object"] = json!("other");
    let error = api.patch("a", &PatchParams::apply("two"), &Patch::Apply(&object)).await.unwrap_err();
    let kube::Error::Api(status) = error else { panic!("{error:?}") };
    assert_eq!((status.code, status.reason.as_str()), (409, "Conflict"));
    assert_eq!(status.details.unwrap().causes[0].field, ".spec.object");
    let forced = api.patch("a", &PatchParams::apply("two").force(), &Patch::Apply(&object)).await.unwrap();
    assert_eq!(forced.data["spec"]["object"], "other");
}

#[tokio::test]
async fn a_missing_object_is_none() {
    let space = server().namespace().await;
    let api = space.api().await;
    assert!(api.get_opt("none").await.unwrap().is_none());
    api.create(&PostParams::default(), &dynamic("a")).await.unwrap();
    assert_eq!(api.list(&ListParams::default().fields("metadata.name=a")).await.unwrap().items.len(), 1);
    assert!(api.delete("a", &DeleteParams::default()).await.unwrap().is_right());
}

async fn reflects(config: watcher::Config) {
    let space = server().namespace().await;
    let api = space.api().await;
    api.create(&PostParams::default(), &dynamic("before")).await.unwrap();
    let writer = reflector::store::Writer::new(parcel_resource());
    let reader = writer.as_reader();
    let stream = watcher(api.clone(), config).default_backoff().reflect(writer).applied_objects();
    let task = tokio::spawn(stream.for_each(|_| std::future::ready(())));
    tokio::time::timeout(PATIENCE, reader.wait_until_ready()).await.unwrap().unwrap();
    // A list that is streamed from a cache may be a moment old; what is missing follows.
    eventually("the reflector has the first", || async { (reader.state().len() == 1).then_some(()) }).await;
    api.create(&PostParams::default(), &dynamic("after")).await.unwrap();
    api.delete("before", &DeleteParams::default()).await.unwrap();
    eventually("the reflector follows", || async {
        let names: Vec<String> = reader.state().iter().map(|object| object.name_any()).collect();
        (names == ["after"]).then_some(())
    })
    .await;
    task.abort();
}

#[tokio::test]
async fn a_reflector_follows_by_list_and_watch() {
    reflects(watcher::Config::default().page_size(1)).await;
}

#[tokio::test]
async fn a_reflector_follows_by_streaming_lists() {
    reflects(watcher::Config::default().streaming_lists()).await;
}

struct Context {
    client: Client,
}

async fn reconcile(object: Arc<DynamicObject>, context: Arc<Context>) -> Result<Action, kube::Error> {
    let namespace = object.namespace().unwrap();
    let parcels: Api<DynamicObject> =
        Api::namespaced_with(context.client.clone(), &namespace, &parcel_resource());
    let maps: Api<ConfigMap> = Api::namespaced(context.client.clone(), &namespace);
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": object.name_any()},
                     "data": {"object": object.data["spec"]["object"]}});
    let manager = PatchParams::apply("controller").force();
    maps.patch(&object.name_any(), &manager, &Patch::Apply(map)).await?;
    let status = json!({"apiVersion": "test.velocity.sh/v1", "kind": "Parcel", "status": {
        "phase": "Ready", "observedGeneration": object.metadata.generation}});
    parcels.patch_status(&object.name_any(), &manager, &Patch::Apply(status)).await?;
    Ok(Action::requeue(Duration::from_hours(1)))
}

#[tokio::test]
async fn a_controller_brings_objects_to_their_wanted_state() {
    let space = server().namespace().await;
    let (api, client) = (space.api().await, space.server.client().await);
    let context = Arc::new(Context { client: client.clone() });
    let controller = Controller::new_with(api.clone(), watcher::Config::default(), parcel_resource()).run(
        reconcile,
        |_, _, _| Action::requeue(Duration::from_millis(100)),
        context,
    );
    let task = tokio::spawn(controller.for_each(|_| std::future::ready(())));
    api.create(&PostParams::default(), &dynamic("a")).await.unwrap();
    let ready = |generation: i64| {
        let api = api.clone();
        eventually("the status follows", move || {
            let api = api.clone();
            async move {
                let object = api.get("a").await.unwrap();
                (object.data["status"]["observedGeneration"] == generation).then_some(())
            }
        })
    };
    ready(1).await;
    api.patch("a", &PatchParams::default(), &Patch::Merge(json!({"spec": {"object": "changed"}})))
        .await
        .unwrap();
    ready(2).await;
    let map = Api::<ConfigMap>::namespaced(client, &space.name).get("a").await.unwrap();
    assert_eq!(map.data.unwrap()["object"], "changed");
    task.abort();
}

#[tokio::test]
async fn a_recorders_events_are_seen_in_the_core_group() {
    let space = server().namespace().await;
    let (api, client) = (space.api().await, space.server.client().await);
    let object = api.create(&PostParams::default(), &dynamic("a")).await.unwrap();
    let mut reference = kube::Resource::object_ref(&object, &parcel_resource());
    reference.namespace = Some(space.name.clone());
    let recorder = Recorder::new(client.clone(), "it".into());
    let report = Report {
        type_: EventType::Normal,
        reason: "Provisioned".into(),
        note: Some("table created".into()),
        action: "Provision".into(),
        secondary: None,
    };
    recorder.publish(&report, &reference).await.unwrap();
    // The same again raises the count of the first.
    recorder.publish(&report, &reference).await.unwrap();
    let selector = format!("involvedObject.name=a,involvedObject.uid={}", object.uid().unwrap());
    let events = Api::<Event>::namespaced(client, &space.name)
        .list(&ListParams::default().fields(&selector))
        .await
        .unwrap();
    assert_eq!(events.items.len(), 1);
    assert_eq!(events.items[0].message.as_deref(), Some("table created"));
    assert_eq!(events.items[0].series.as_ref().and_then(|series| series.count), Some(2));
}

#[tokio::test]
async fn a_lease_passes_from_one_to_another_only_with_the_current_version() {
    let space = server().namespace().await;
    let api: Api<Lease> = Api::namespaced(space.server.client().await, &space.name);
    let lease: Lease = serde_json::from_value(json!({"metadata": {"name": "leader"}, "spec": {
        "holderIdentity": "one", "leaseDurationSeconds": 15, "renewTime": "2026-01-02T03:04:05.123456Z"}}))
    .unwrap();
    let held = api.create(&PostParams::default(), &lease).await.unwrap();
    let mut mine = held.clone();
    mine.spec.as_mut().unwrap().holder_identity = Some("two".to_owned());
    api.replace("leader", &PostParams::default(), &mine).await.unwrap();
    let mut late = held;
    late.spec.as_mut().unwrap().holder_identity = Some("three".to_owned());
    let error = api.replace("leader", &PostParams::default(), &late).await.unwrap_err();
    assert!(matches!(error, kube::Error::Api(status) if status.code == 409));
}

#[tokio::test]
async fn a_router_serves_a_client_in_the_same_process() {
    let folder = tempfile::tempdir().unwrap();
    let kube = LocalKube::open(&folder.path().join("k.redb"), vec![parcel_definition()]).unwrap();
    let router = kube.router();
    let service = tower::service_fn(move |request: http::Request<kube::client::Body>| {
        router.clone().oneshot(request.map(axum::body::Body::new))
    });
    let client = Client::new(service, "default");
    let namespaces: Api<Namespace> = Api::all(client.clone());
    assert_eq!(namespaces.list(&ListParams::default()).await.unwrap().items.len(), 2);
    let api: Api<DynamicObject> = Api::namespaced_with(client, "default", &parcel_resource());
    let mut events = Box::pin(watcher(api.clone(), watcher::Config::default()).applied_objects());
    api.create(&PostParams::default(), &dynamic("a")).await.unwrap();
    let seen = tokio::time::timeout(PATIENCE, events.next()).await.unwrap().unwrap().unwrap();
    assert_eq!(seen.name_any(), "a");
}
