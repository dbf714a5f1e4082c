//! The development AuthStrategies, the key of their tokens, and the configuration of the CLI.
//!
//! `default` is the installation's: it takes tokens of the folder's key (`dev`) and API keys (`dev-keys`). They are
//! applied at each start, so that a folder of an earlier version gets what it does not have yet.

use std::time::Duration;

use anyhow::Context;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;
use velocity_access::DevKey;
use velocity_contract::AuthStrategy;
use velocity_contract::auth_strategy::{
    ApiKeySpec, AuthStrategySpec, AuthStrategyType, CompositeSpec, CompositeStrategyRef,
};
use velocity_schema::schema::{SYSTEM_ROLE_ADMIN, StrategyRef};

use super::folder::Folder;

/// Where the strategies live; no schema's namespace, since those have at least two dashes.
const NAMESPACE: &str = "velocity";
/// Takes tokens.
const TOKENS: &str = "dev";
/// Takes API keys.
const KEYS: &str = "dev-keys";
/// Takes both.
const DEFAULT: &str = "default";
/// The administrator of the CLI's context.
const ADMIN: &str = "dev-admin";
/// Longer than anyone keeps a folder without starting it: every start writes a new token.
const ADMIN_TOKEN_LIFETIME: Duration = Duration::from_hours(365 * 24);
/// The file with the private key, which `velocity auth token` reads.
const KEY_FILE: &str = "dev-key.pem";

/// The key and the strategy that takes its tokens.
pub(crate) struct Identity {
    /// `velocity/default`.
    pub(crate) strategy: StrategyRef,
    key: DevKey,
}

/// Makes or reads the key, and applies the strategies.
pub(crate) async fn prepare(folder: &Folder, client: &kube::Client) -> anyhow::Result<Identity> {
    let pem = folder.secret(KEY_FILE, || Ok(DevKey::generate()?.to_pem().to_owned()))?;
    let key = DevKey::from_pem(&pem)
        .with_context(|| format!("{KEY_FILE} in the data folder is not a key; remove it to get a new one"))?;
    let params = PatchParams::apply("velocityd-dev").force();
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}});
    let namespaces: Api<kube::api::DynamicObject> = Api::all_with(
        client.clone(),
        &kube::api::ApiResource::from_gvk_with_plural(
            &kube::core::GroupVersionKind::gvk("", "v1", "Namespace"),
            "namespaces",
        ),
    );
    namespaces
        .patch(NAMESPACE, &params, &Patch::Apply(&namespace))
        .await
        .context("the namespace of the development strategy")?;
    let strategies: Api<AuthStrategy> = Api::namespaced(client.clone(), NAMESPACE);
    // The members first: a composite without one of them lets nobody in.
    for (name, spec) in [(TOKENS, key.strategy()), (KEYS, api_keys()), (DEFAULT, composite())] {
        let strategy = AuthStrategy::new(NAMESPACE, name, spec);
        strategies
            .patch(name, &params, &Patch::Apply(&strategy))
            .await
            .with_context(|| format!("the development strategy {NAMESPACE}/{name}"))?;
    }
    Ok(Identity { strategy: StrategyRef { namespace: NAMESPACE.into(), name: DEFAULT.into() }, key })
}

fn api_keys() -> AuthStrategySpec {
    let keys = ApiKeySpec { header_name: "X-API-Key".to_owned(), ip_allowlist: Vec::new() };
    AuthStrategySpec { api_key: Some(keys), ..empty(AuthStrategyType::ApiKey) }
}

fn composite() -> AuthStrategySpec {
    let member = |name: &str| CompositeStrategyRef { name: name.to_owned(), namespace: None };
    let strategies = vec![member(TOKENS), member(KEYS)];
    AuthStrategySpec { composite: Some(CompositeSpec { strategies }), ..empty(AuthStrategyType::Composite) }
}

fn empty(kind: AuthStrategyType) -> AuthStrategySpec {
    AuthStrategySpec { kind, jwt: None, oidc: None, api_key: None, composite: None, revocation: None }
}

impl Identity {
    /// Writes `config.yaml`, whose current context is this server as the administrator.
    pub(crate) fn write_config(&self, folder: &Folder, server: &str) -> anyhow::Result<()> {
        let roles = [SYSTEM_ROLE_ADMIN.to_owned()];
        let now = jiff::Timestamp::now();
        let token = self.key.mint(ADMIN, &roles, &serde_json::Map::new(), now, ADMIN_TOKEN_LIFETIME)?;
        let text = |text: &str| json!(text).to_string(); // a JSON string is a YAML string
        let config = format!(
            "currentContext: dev\ncontexts:\n  - name: dev\n    server: {}\n    kubeconfig: {}\n    token: {}\n",
            text(server),
            text(&folder.join("kubeconfig").to_string_lossy()),
            text(&token),
        );
        folder.write_secret("config.yaml", &config)?;
        Ok(())
    }
}
