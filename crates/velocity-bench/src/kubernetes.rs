//! The few calls to the Kubernetes API that the bench makes itself.

use std::net::SocketAddr;

use anyhow::Context;
use serde_json::{Value, json};

use crate::http::{Connection, request};

/// What stands where a token would.
const NO_TOKEN: &str = "bench";

/// A connection to a Kubernetes API that asks for no token.
pub(crate) struct Kubernetes {
    connection: Connection,
}

impl Kubernetes {
    pub(crate) async fn open(address: SocketAddr) -> anyhow::Result<Self> {
        Ok(Self { connection: Connection::open(address).await? })
    }

    /// Makes an object.
    pub(crate) async fn post(&mut self, path: &str, object: &Value) -> anyhow::Result<()> {
        let body = object.to_string();
        let request = request("POST", path, NO_TOKEN, Some(("application/json", body.as_bytes())));
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
        let request = request("GET", "/apis/velocity.sh/v1/schemadefinitions", NO_TOKEN, None);
        let list: Value = serde_json::from_slice(self.connection.expect(&request, 200).await?)?;
        let items = list["items"].as_array().context("a list without items")?;
        Ok((items.iter().filter(|item| item["status"]["phase"] == phase).count(), items.len()))
    }
}
