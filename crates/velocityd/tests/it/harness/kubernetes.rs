//! The Kubernetes API of a server: raw, and through kubectl.

use std::process::Stdio;

use reqwest::{Client, Method, RequestBuilder};
use serde_json::Value;
use tokio::process::Command;

use super::programs::kubectl;
use super::server::Server;
use super::{Ran, Reply, send};

impl Server {
    /// A request to the Kubernetes API as its administrator.
    pub(crate) fn kubernetes(&self, method: Method, path: &str) -> RequestBuilder {
        let token = std::fs::read_to_string(self.data().join("kubernetes-token")).unwrap();
        let client = Client::builder().no_proxy().build().unwrap();
        client.request(method, format!("{}{path}", self.endpoints().kubernetes)).bearer_auth(token)
    }

    /// Applies an object of ours on the server's side.
    pub(crate) async fn apply_object(&self, object: &Value) -> Reply {
        let name = object["metadata"]["name"].as_str().unwrap();
        let path = format!("{}/{name}?fieldManager=test&force=true", collection(object));
        let request =
            self.kubernetes(Method::PATCH, &path).header("content-type", "application/apply-patch+yaml");
        send(request.body(object.to_string())).await
    }

    /// A SchemaDefinition as it is now.
    pub(crate) async fn schema_object(&self, namespace: &str, name: &str) -> Value {
        let path = format!("/apis/velocity.sh/v1/namespaces/{namespace}/schemadefinitions/{name}");
        send(self.kubernetes(Method::GET, &path)).await.expect(200).json()
    }

    /// Runs kubectl, where it is installed.
    pub(crate) async fn kubectl(&self, arguments: &[&str]) -> Option<Ran> {
        let mut command = Command::new(kubectl()?);
        command.arg("--kubeconfig").arg(self.data().join("kubeconfig")).args(arguments);
        // Its cache of what a server can do goes with the folder.
        command.env("HOME", self.folder()).env_remove("KUBECONFIG").stdin(Stdio::null()).kill_on_drop(true);
        Some(Ran::of(command.output().await.unwrap()))
    }
}

fn collection(object: &Value) -> String {
    let kind = object["kind"].as_str().unwrap().to_lowercase();
    let plural = match kind.strip_suffix('y') {
        Some(stem) => format!("{stem}ies"),
        None => format!("{kind}s"),
    };
    match (object["apiVersion"].as_str().unwrap(), object["metadata"]["namespace"].as_str()) {
        ("v1", None) => format!("/api/v1/{plural}"),
        (group, Some(namespace)) => format!("/apis/{group}/namespaces/{namespace}/{plural}"),
        (group, None) => format!("/apis/{group}/{plural}"),
    }
}
