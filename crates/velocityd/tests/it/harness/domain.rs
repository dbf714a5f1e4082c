//! Schemas in a domain that no other test uses.

use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};

use super::server::Server;
use super::{Reply, eventually, send};

/// Access for tests that are not about it: `writer` may do everything, `reader` may read, `west` sees rows of the west.
pub(crate) const OPEN: &str = "
access:
  roles:
    create: [writer]
    read: [writer, reader, regional]
    update: [writer]
    delete: [writer]
    restore: [writer]
    history: [writer, reader]
    export: [writer, reader]
";

/// A domain on a server.
pub(crate) struct Domain<'a> {
    server: &'a Server,
    org: String,
}

impl<'a> Domain<'a> {
    /// One that is not in use yet.
    pub(crate) fn new(server: &'a Server) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(1);
        Self { server, org: format!("org{}", COUNT.fetch_add(1, Ordering::Relaxed)) }
    }

    /// The namespace of its resources.
    pub(crate) fn namespace(&self) -> String {
        format!("{}-shop-sales", self.org)
    }

    /// What the command line calls a schema of it.
    pub(crate) fn schema(&self, object: &str) -> String {
        format!("{}/shop/sales/{object}/v1", self.org)
    }

    /// The route of a schema's records.
    pub(crate) fn route(&self, object: &str) -> String {
        format!("/api/{}", self.schema(object))
    }

    /// The table of a schema's records.
    pub(crate) fn table(&self, object: &str) -> String {
        format!("{}__shop__sales.{}_v1", self.org, object.replace('-', "_"))
    }

    /// A SchemaDefinition. `spec` is YAML without the place: fields, access and so on.
    pub(crate) fn definition(&self, object: &str, spec: &str) -> Value {
        let place = format!("org: {}\napp: shop\ndomain: sales\nobject: {object}\nversion: v1\n", self.org);
        let spec: Value = serde_saphyr::from_str(&format!("{place}{spec}")).unwrap();
        json!({
            "apiVersion": "velocity.sh/v1",
            "kind": "SchemaDefinition",
            "metadata": {"name": object, "namespace": self.namespace()},
            "spec": spec,
        })
    }

    /// Sends a schema to the Kubernetes API, and waits for nothing.
    pub(crate) async fn put(&self, object: &str, spec: &str) -> Reply {
        let namespace =
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace()}});
        self.server.apply_object(&namespace).await;
        self.server.apply_object(&self.definition(object, spec)).await
    }

    /// Sets annotations of a schema, as `kubectl annotate --overwrite` does.
    pub(crate) async fn annotate(&self, object: &str, annotations: &Value) {
        let path = format!("/apis/velocity.sh/v1/namespaces/{}/schemadefinitions/{object}", self.namespace());
        let request = self.server.kubernetes(reqwest::Method::PATCH, &path);
        let body = json!({"metadata": {"annotations": annotations}}).to_string();
        send(request.header("content-type", "application/merge-patch+json").body(body)).await.expect(200);
    }

    /// Applies a schema and waits until the API serves it.
    pub(crate) async fn apply(&self, object: &str, spec: &str) {
        let applied = self.put(object, spec).await;
        assert!(matches!(applied.status, 200 | 201), "{applied:#?}");
        self.served(object).await;
    }

    /// Waits until the API serves the schema as it was applied last.
    pub(crate) async fn served(&self, object: &str) {
        let status = self.settled(object, &["Ready"]).await;
        let wanted = format!("\"{}\"", status["specHash"].as_str().unwrap());
        let admin = self.server.admin();
        let path = format!("{}/schema.json", self.route(object));
        eventually(&format!("{object} to be served"), async || {
            let reply = admin.get(&path).await;
            (reply.status == 200 && reply.header("etag") == Some(&wanted)).then_some(())
        })
        .await;
    }

    /// The status, once the operator has seen the last change and ended in one of these phases.
    pub(crate) async fn settled(&self, object: &str, phases: &[&str]) -> Value {
        eventually(&format!("{object} to be {phases:?}"), async || {
            let found = self.server.schema_object(&self.namespace(), object).await;
            let status = &found["status"];
            let seen = status["observedGeneration"] == found["metadata"]["generation"];
            (seen && phases.iter().any(|phase| status["phase"] == *phase)).then(|| status.clone())
        })
        .await
    }
}

/// A condition of a status.
pub(crate) fn condition<'a>(status: &'a Value, kind: &str) -> &'a Value {
    let conditions = status["conditions"].as_array().unwrap();
    conditions.iter().find(|condition| condition["type"] == kind).unwrap_or(&Value::Null)
}

/// What the condition `Ready` says.
pub(crate) fn message(status: &Value) -> String {
    condition(status, "Ready")["message"].as_str().unwrap_or_default().to_owned()
}
