//! The few calls to the Kubernetes API that the bench makes itself.

use anyhow::Context;
use serde_json::{Value, json};

use crate::http::{Connection, request};
use crate::server::Server;

/// A connection to the server's Kubernetes API.
pub(crate) struct Kubernetes {
    connection: Connection,
    token: String,
}

impl Kubernetes {
    pub(crate) async fn open(server: &Server) -> anyhow::Result<Self> {
        let path = server.dir().join("kubernetes-token");
        let token =
            std::fs::read_to_string(&path).with_context(|| format!("{} cannot be read", path.display()))?;
        Ok(Self { connection: Connection::open(server.kubernetes()?).await?, token: token.trim().to_owned() })
    }

    async fn post(&mut self, path: &str, object: &Value) -> anyhow::Result<()> {
        let body = object.to_string();
        let request = request("POST", path, &self.token, Some(("application/json", body.as_bytes())));
        self.connection.expect(&request, 201).await.map(drop)
    }

    pub(crate) async fn create_namespace(&mut self, name: &str) -> anyhow::Result<()> {
        let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        self.post("/api/v1/namespaces", &object).await
    }

    pub(crate) async fn create_schema(&mut self, namespace: &str, schema: &Value) -> anyhow::Result<()> {
        self.post(&format!("/apis/velocity.sh/v1/namespaces/{namespace}/schemadefinitions"), schema).await
    }

    /// How many schemas are in that phase, and how many there are.
    pub(crate) async fn count(&mut self, phase: &str) -> anyhow::Result<(usize, usize)> {
        let request = request("GET", "/apis/velocity.sh/v1/schemadefinitions", &self.token, None);
        let list: Value = serde_json::from_slice(self.connection.expect(&request, 200).await?)?;
        let items = list["items"].as_array().context("a list without items")?;
        Ok((items.iter().filter(|item| item["status"]["phase"] == phase).count(), items.len()))
    }
}
