//! The provider: npm `oidc-provider`, run by Node.js.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// A provider of the test's own. It ends with this value.
pub(crate) struct Provider {
    /// Its issuer.
    pub(crate) issuer: String,
    control: String,
    http: reqwest::Client,
    _process: Child,
}

impl Provider {
    /// Starts one that knows `client` and gives access tokens for `access_token_ttl` seconds.
    pub(crate) async fn start(client: &Value, access_token_ttl: u32) -> Self {
        let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tools/oidc/provider.mjs");
        let modules = std::env::var("VELOCITY_OIDC_TOOLS");
        let modules = PathBuf::from(
            modules.unwrap_or_else(|_| panic!("VELOCITY_OIDC_TOOLS is not set: run make test-oidc")),
        );
        let config = json!({ "clients": [client], "accessTokenTtl": access_token_ttl });
        let mut process = Command::new("node")
            .arg(tools)
            .arg(modules)
            .arg(config.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|_| panic!("node cannot be started: run make test-oidc"));
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let told: Value = loop {
            let line = lines.next_line().await.unwrap().unwrap_or_else(|| panic!("the provider ended"));
            if line.starts_with('{') {
                break serde_json::from_str(&line).unwrap();
            }
        };
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let text = |member: &str| told[member].as_str().unwrap().to_owned();
        Self {
            issuer: text("issuer"),
            control: text("control"),
            http: reqwest::Client::new(),
            _process: process,
        }
    }

    pub(crate) async fn user(&self, name: &str, roles: &[&str]) {
        let attributes = json!({ "region": "west" });
        self.control("/user", json!({ "name": name, "roles": roles, "attributes": attributes })).await;
    }

    pub(crate) async fn forget(&self, name: &str) {
        self.control("/user", json!({ "name": name, "gone": true })).await;
    }

    pub(crate) async fn down(&self) {
        self.control("/down", json!({})).await;
    }

    pub(crate) async fn up(&self) {
        self.control("/up", json!({})).await;
    }

    /// How often a grant has succeeded or failed: `("success", "refresh_token")`.
    pub(crate) async fn count(&self, outcome: &str, grant: &str) -> u64 {
        let counts = self.control("/counts", json!({})).await;
        counts[format!("grant.{outcome}:{grant}")].as_u64().unwrap_or(0)
    }

    async fn control(&self, path: &str, body: Value) -> Value {
        let response = self.http.post(format!("{}{path}", self.control)).json(&body).send().await.unwrap();
        response.error_for_status().unwrap().json().await.unwrap()
    }
}
