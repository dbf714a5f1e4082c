//! What there is and who asks: `GET /api`, `GET /auth/whoami`, `GET /version`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::auth::CredentialKind;

/// A schema that the caller can see, as `GET /api` lists it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SchemaListing {
    /// The organisation.
    pub org: String,
    /// The application.
    pub app: String,
    /// The domain.
    pub domain: String,
    /// The object type.
    pub object: String,
    /// The version of the contract.
    pub version: String,
    /// A name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// What the records are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The path of its routes.
    pub endpoint: String,
    /// The hash of the spec that is served: `sha256:…`.
    pub spec_hash: String,
    /// What the caller's roles may do: create, read, update, delete, restore, history, export.
    pub operations: Vec<String>,
}

impl SchemaListing {
    /// `org/app/domain/object/version`.
    pub fn path(&self) -> String {
        format!("{}/{}/{}/{}/{}", self.org, self.app, self.domain, self.object, self.version)
    }
}

/// Who the caller is, as `GET /auth/whoami` tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WhoAmI {
    /// The actor's id.
    pub actor: String,
    /// The kind of actor.
    #[serde(rename = "type")]
    pub actor_type: String,
    /// The roles that it holds.
    pub roles: Vec<String>,
    /// Its attributes.
    #[serde(default)]
    pub attributes: BTreeMap<String, Value>,
    /// The AuthStrategy that took the credential: `namespace/name`.
    pub strategy: String,
    /// When the credential ends: RFC 3339; null where it does not.
    pub expires_at: Option<String>,
    /// What kind of credential it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<CredentialKind>,
    /// The credential's id, by which it can be revoked: of a token its `jti`, of a session or key the platform's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential_id: Option<String>,
    /// For a session in a cookie: what requests that write must carry as `X-CSRF-Token`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub csrf_token: Option<String>,
}

/// What runs: the whole body of `GET /version`, which is for operations like the probes, not an answer of the API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerVersion {
    /// The program: `velocityd`.
    pub name: String,
    /// Its version.
    pub version: String,
}
