//! Lists: selectors, pages, versions, other forms.

use serde_json::{Value, json};

use crate::harness::{Space, parcel, server};

fn names(list: &Value) -> Vec<&str> {
    list["items"].as_array().unwrap().iter().map(|item| item["metadata"]["name"].as_str().unwrap()).collect()
}

async fn with_parcels(labels: &[(&str, &str)]) -> Space {
    let space = server().namespace().await;
    for (name, label) in labels {
        let mut object = parcel(name);
        object["metadata"]["labels"] = json!({"app": label});
        space.server.post(&space.parcels(), &object).await.ok();
    }
    space
}

#[tokio::test]
async fn lists_are_sorted_and_selected() {
    let space = with_parcels(&[("c", "x"), ("a", "x"), ("b", "y")]).await;
    let list = space.server.get(&space.parcels()).await.ok();
    assert_eq!(list["kind"], "ParcelList");
    assert_eq!(names(&list), ["a", "b", "c"]);
    for (query, found) in [
        ("labelSelector=app%3Dx", vec!["a", "c"]),
        ("labelSelector=app%20in%20(y,z)", vec!["b"]),
        ("labelSelector=!app", vec![]),
        ("fieldSelector=metadata.name%3Da", vec!["a"]),
        ("fieldSelector=metadata.name!%3Da", vec!["b", "c"]),
    ] {
        let list = space.server.get(&format!("{}?{query}", space.parcels())).await.ok();
        assert_eq!(names(&list), found, "{query}");
    }
    let reply = space.server.get(&format!("{}?fieldSelector=spec.object%3Dx", space.parcels())).await;
    assert_eq!(reply.failure(), (400, "BadRequest", "field label not supported: spec.object"));
    let everywhere = space.server.get("/apis/test.velocity.sh/v1/parcels").await.ok();
    assert!(names(&everywhere).len() >= 3);
}

#[tokio::test]
async fn pages_show_one_state_whatever_happens_meanwhile() {
    let space = with_parcels(&[("a", "x"), ("b", "x"), ("c", "x"), ("d", "x")]).await;
    let first = space.server.get(&format!("{}?limit=2", space.parcels())).await.ok();
    assert_eq!(names(&first), ["a", "b"]);
    assert_eq!(first["metadata"]["remainingItemCount"], 2);
    space.server.delete(&space.parcel("c")).await.ok();
    space.create_parcel("bb").await;
    let token = first["metadata"]["continue"].as_str().unwrap();
    let second = space.server.get(&format!("{}?limit=2&continue={token}", space.parcels())).await.ok();
    assert_eq!(names(&second), ["c", "d"], "as of the first page");
    assert_eq!(second["metadata"]["resourceVersion"], first["metadata"]["resourceVersion"]);
    assert!(second["metadata"]["continue"].as_str().unwrap_or_default().is_empty());
    let now = space.server.get(&space.parcels()).await.ok();
    assert_eq!(names(&now), ["a", "b", "bb", "d"]);
}

#[tokio::test]
async fn a_list_can_be_asked_for_at_a_version() {
    let space = with_parcels(&[("a", "x")]).await;
    let before = space.server.get(&space.parcels()).await.ok();
    space.create_parcel("b").await;
    let version = before["metadata"]["resourceVersion"].as_str().unwrap();
    let exact = format!("{}?resourceVersion={version}&resourceVersionMatch=Exact", space.parcels());
    assert_eq!(names(&space.server.get(&exact).await.ok()), ["a"]);
    let newer = format!("{}?resourceVersion={version}&resourceVersionMatch=NotOlderThan", space.parcels());
    assert_eq!(names(&space.server.get(&newer).await.ok()), ["a", "b"]);
    let any = format!("{}?resourceVersion=0", space.parcels());
    assert_eq!(space.server.get(&any).await.code, 200);
    let lonely = format!("{}?resourceVersionMatch=Exact", space.parcels());
    assert!(space.server.get(&lonely).await.code.is_client_error());
    let future = format!("{}?resourceVersion=99999999999", space.parcels());
    let reply = space.server.get(&future).await;
    let (code, reason, message) = reply.failure();
    assert_eq!((code, reason), (504, "Timeout"));
    assert!(message.contains("Too large resource version: 99999999999, current: "), "{message}");
    assert_eq!(reply.body["details"]["retryAfterSeconds"], 1);
}

#[tokio::test]
async fn tables_have_the_definitions_columns() {
    let space = with_parcels(&[("a", "x")]).await;
    let status = json!({"status": {"conditions": [{"type": "Other", "status": "False"}, {"type": "Ready", "status": "True"}]}});
    space.server.patch(&format!("{}/status", space.parcel("a")), "merge", &status).await.ok();
    let accept = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
    let table = space.server.get_as(&space.parcels(), accept).await.ok();
    assert_eq!(table["kind"], "Table");
    let columns: Vec<&str> = table["columnDefinitions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|column| column["name"].as_str().unwrap())
        .collect();
    assert_eq!(columns, ["Name", "Object", "Version", "Ready", "Age"]);
    assert_eq!(table["columnDefinitions"][2]["priority"], 1);
    let row = &table["rows"][0];
    assert_eq!(
        row["cells"].as_array().unwrap()[..4],
        [json!("a"), json!("order"), json!("v1"), json!("True")]
    );
    assert_eq!(row["object"]["kind"], "PartialObjectMetadata");
    assert!(row["object"]["spec"].is_null());
    let one = space.server.get_as(&format!("{}?includeObject=Object", space.parcel("a")), accept).await.ok();
    assert_eq!(one["rows"][0]["object"]["spec"]["object"], "order");
}

#[tokio::test]
async fn metadata_can_be_had_alone() {
    let space = with_parcels(&[("a", "x")]).await;
    let accept = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io";
    let list = space.server.get_as(&space.parcels(), accept).await.ok();
    assert_eq!(list["kind"], "PartialObjectMetadataList");
    assert_eq!(list["items"][0]["metadata"]["name"], "a");
    assert!(list["items"][0]["spec"].is_null());
    let reply = space.server.get_as(&space.parcels(), "text/html").await;
    assert_eq!(reply.failure().0, 406);
}
