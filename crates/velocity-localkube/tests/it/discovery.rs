//! What a server says of itself.

use serde_json::{Value, json};

use crate::harness::{is_local, server};

#[tokio::test]
async fn the_kinds_of_a_definition_are_discovered() {
    let server = server();
    let list = server.get("/apis/test.velocity.sh/v1").await.ok();
    assert_eq!(list["kind"], "APIResourceList");
    let find = |name: &str| -> Value {
        list["resources"]
            .as_array()
            .unwrap()
            .iter()
            .find(|one| one["name"] == name)
            .cloned()
            .unwrap_or_default()
    };
    let parcels = find("parcels");
    assert_eq!(parcels["kind"], "Parcel");
    assert_eq!(parcels["singularName"], "parcel");
    assert_eq!(parcels["namespaced"], true);
    assert_eq!(parcels["shortNames"], json!(["pcl"]));
    assert_eq!(parcels["categories"], json!(["velocity"]));
    for verb in ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"] {
        assert!(parcels["verbs"].as_array().unwrap().contains(&json!(verb)), "{verb}");
    }
    assert_eq!(find("parcels/status")["kind"], "Parcel");
    let group = server.get("/apis/test.velocity.sh").await.ok();
    assert_eq!(group["preferredVersion"]["groupVersion"], "test.velocity.sh/v1");
    let groups = server.get("/apis").await.ok();
    assert!(groups["groups"].as_array().unwrap().iter().any(|group| group["name"] == "test.velocity.sh"));
    assert_eq!(server.get("/api").await.ok()["versions"], json!(["v1"]));
}

#[tokio::test]
async fn aggregated_discovery_has_everything_in_two_requests() {
    let server = server();
    let accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json";
    let reply = server.get_as("/apis", accept).await;
    assert!(reply.headers["content-type"].to_str().unwrap().contains("as=APIGroupDiscoveryList"));
    let groups = reply.ok();
    let group = groups["items"]
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one["metadata"]["name"] == "test.velocity.sh")
        .unwrap();
    let resource = &group["versions"][0]["resources"][0];
    assert_eq!(resource["resource"], "parcels");
    assert_eq!(resource["scope"], "Namespaced");
    assert_eq!(resource["responseKind"]["kind"], "Parcel");
    assert_eq!(resource["subresources"][0]["subresource"], "status");
    let core = server.get_as("/api", accept).await.ok();
    let resources = core["items"][0]["versions"][0]["resources"].as_array().unwrap();
    assert!(resources.iter().any(|one| one["resource"] == "secrets"));
}

#[tokio::test]
async fn openapi_documents_are_named_by_their_content() {
    let server = server();
    let index = server.get("/openapi/v3").await.ok();
    let url = index["paths"]["apis/test.velocity.sh/v1"]["serverRelativeURL"].as_str().unwrap().to_owned();
    let reply = server.get(&url).await;
    let etag = reply.headers["etag"].to_str().unwrap().to_owned();
    assert!(url.ends_with(etag.trim_matches('"')), "{url} {etag}");
    let document = reply.ok();
    let schema = &document["components"]["schemas"]["sh.velocity.test.v1.Parcel"];
    assert_eq!(schema["x-kubernetes-group-version-kind"][0]["kind"], "Parcel");
    assert_eq!(schema["properties"]["spec"]["properties"]["object"]["maxLength"], 40);
    let item = &document["paths"]["/apis/test.velocity.sh/v1/namespaces/{namespace}/parcels/{name}"];
    assert_eq!(item["patch"]["x-kubernetes-group-version-kind"]["kind"], "Parcel");
    let core = server.get("/openapi/v3/api/v1").await.ok();
    let secret = &core["components"]["schemas"]["io.k8s.api.core.v1.Secret"];
    assert_eq!(secret["properties"]["stringData"]["additionalProperties"]["type"], "string");
    let patch = &core["paths"]["/api/v1/namespaces/{namespace}/secrets/{name}"]["patch"];
    assert!(patch["requestBody"]["content"]["application/strategic-merge-patch+json"].is_object());
}

#[tokio::test]
async fn definitions_are_objects_too() {
    let server = server();
    let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/parcels.test.velocity.sh";
    let object = server.get(path).await.ok();
    let established = object["status"]["conditions"]
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one["type"] == "Established")
        .unwrap();
    assert_eq!(established["status"], "True");
    assert_eq!(object["status"]["acceptedNames"]["plural"], "parcels");
    if is_local(&server) {
        assert_eq!(server.delete(path).await.code, 405, "definitions come with the program");
    }
}

#[tokio::test]
async fn a_server_says_that_it_is_well_and_which_version_it_is() {
    let server = server();
    for path in ["/readyz", "/livez", "/healthz"] {
        assert_eq!(server.get(path).await.ok(), json!("ok"), "{path}");
    }
    assert_eq!(server.get("/version").await.ok()["major"], "1");
}
