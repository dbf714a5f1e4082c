//! Administration: the bodies of `/platform/api-keys`, `/platform/revocations` and `/platform/explain`. Unknown members of
//! requests are refused. Durations are a whole number and a unit `s`, `m`, `h` or `d`; times are RFC 3339.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

/// What a key may be used for, of what its owner may do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyScope {
    /// `org/app/domain/object/version`, in which `*` stands for any one part.
    pub schema: String,
    /// The operations; all where it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operations: Option<Vec<String>>,
    /// The fields that are seen and set; all where it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fields: Option<Vec<String>>,
}

/// The body of `POST /platform/api-keys`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ApiKeyRequest {
    /// Whom the key stands for.
    pub actor: String,
    /// The roles that it gives; RoleBindings of the actor come on top.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub roles: BTreeSet<String>,
    /// What expressions see as `actor.attributes`.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub attributes: Map<String, Value>,
    /// What it may be used for; without any, for all that its owner may do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<KeyScope>,
    /// How long it is valid, such as `90d`; for ever where it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in: Option<String>,
    /// What people call it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// The body of `POST /platform/api-keys/{id}/rotate`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ApiKeyRotation {
    /// How long the old key goes on working; `24h` where it is absent, `0s` ends it at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overlap: Option<String>,
    /// How long the new key is valid; where it is absent, as long as the old one was to be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in: Option<String>,
}

/// Whether a key works.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ApiKeyStatus {
    /// It works.
    Active,
    /// It works until `endsAt`: another took its place.
    Rotated,
    /// Its time is over.
    Expired,
    /// It was revoked.
    Revoked,
}

/// A key as it is listed: everything but the key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ApiKey {
    /// Its id, for `rotate` and `revoke`.
    pub id: String,
    /// What people call it.
    pub name: Option<String>,
    /// Whether it works.
    pub status: ApiKeyStatus,
    /// Whom it stands for.
    pub actor: String,
    /// The roles that it gives.
    pub roles: BTreeSet<String>,
    /// What expressions see as `actor.attributes`.
    pub attributes: Map<String, Value>,
    /// What it may be used for; empty: all that its owner may do.
    pub scopes: Vec<KeyScope>,
    /// When it was made.
    pub created_at: String,
    /// By whom.
    pub created_by: String,
    /// When it stops working; null: never.
    pub expires_at: Option<String>,
    /// When it stops working because another took its place.
    pub ends_at: Option<String>,
    /// The key that took its place.
    pub replaced_by: Option<String>,
    /// When it was revoked.
    pub revoked_at: Option<String>,
    /// When it was used last, to within some seconds.
    pub last_used_at: Option<String>,
    /// From where.
    pub last_used_ip: Option<String>,
}

/// A key that was just made: the one answer that has the key itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ApiKeyCreated {
    /// The key, `vel_<environment>_…`: nobody can show it again.
    pub key: String,
    /// The rest.
    #[serde(flatten)]
    pub listed: ApiKey,
}

/// What is revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RevocationKind {
    /// Everything that an actor comes with, of every strategy.
    Actor,
    /// One token, by its `jti`.
    Token,
    /// One browser or device session, by its id.
    Session,
    /// One API key, by its id.
    Key,
}

impl RevocationKind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Actor, Self::Token, Self::Session, Self::Key];

    /// The word in bodies and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Actor => "actor",
            Self::Token => "token",
            Self::Session => "session",
            Self::Key => "key",
        }
    }
}

/// The body of `POST /platform/revocations`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RevocationRequest {
    /// What is revoked: `actor`, `token`, `session` or `key`.
    pub kind: String,
    /// The actor's name, the token's `jti`, the session's or the key's id.
    pub value: String,
    /// Why.
    pub reason: String,
    /// When it ends by itself, such as the token's own end; never where it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
}

/// A revocation that is in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Revocation {
    /// Its id, for lifting it.
    pub id: String,
    /// What is revoked.
    pub kind: RevocationKind,
    /// Which one.
    pub value: String,
    /// Why.
    pub reason: String,
    /// When it was revoked.
    pub created_at: String,
    /// By whom.
    pub created_by: String,
    /// When it ends by itself; null: never.
    pub expires_at: Option<String>,
}

/// Whether something is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Allowed {
    /// It is.
    Yes,
    /// It is not.
    No,
    /// It depends on what was not given, such as the record or the time.
    Depends,
}

impl Serialize for Allowed {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Yes => serializer.serialize_bool(true),
            Self::No => serializer.serialize_bool(false),
            Self::Depends => serializer.serialize_str("depends"),
        }
    }
}

impl<'de> Deserialize<'de> for Allowed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::Bool(true) => Ok(Self::Yes),
            Value::Bool(false) => Ok(Self::No),
            Value::String(word) if word == "depends" => Ok(Self::Depends),
            _ => Err(serde::de::Error::custom("expected true, false or \"depends\"")),
        }
    }
}

/// What one layer says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Verdict {
    /// It lets everything through.
    Allow,
    /// It lets nothing through.
    Deny,
    /// It lets part of it through (some records, some fields), or depends on what was not given.
    Partial,
    /// It has nothing to say here.
    NotApplicable,
}

/// One layer of an explanation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LayerVerdict {
    /// `authentication`, `rbac`, `abac`, `scope`, `crossSchema`, `rowFilter`, `fieldRights`, `masking`, `rls`: in the order
    /// in which a request meets them.
    pub layer: String,
    /// What it says.
    pub verdict: Verdict,
    /// The rule that decided, as the schema has it: `access.roles.read`, `access.abac[0]: …`.
    pub rule: Option<String>,
    /// Why, for people.
    pub detail: String,
    /// What would change it.
    pub remedy: Option<String>,
}

/// A role of the actor, and where it comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoleSource {
    /// The role.
    pub role: String,
    /// `given` with the question, `key`, or `RoleBinding namespace/name`.
    pub from: String,
}

/// What the actor may do with one field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FieldRight {
    /// The field.
    pub field: String,
    /// `clear`, `masked` or `hidden`.
    pub read: String,
    /// Whether it may be set.
    pub write: bool,
    /// The mask (`partial`, `hash`, …), where `read` is `masked`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mask: Option<String>,
}

/// The answer of `GET /platform/explain`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    /// Whether it is allowed, all layers together.
    pub allowed: Allowed,
    /// The operation.
    pub operation: String,
    /// `org/app/domain/object/version`.
    pub schema: String,
    /// The actor.
    pub actor: String,
    /// The record, where one was asked about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The actor's roles here.
    pub roles: Vec<RoleSource>,
    /// What expressions see as `actor.attributes`.
    pub attributes: BTreeMap<String, Value>,
    /// Every layer.
    pub layers: Vec<LayerVerdict>,
    /// Every field.
    pub fields: Vec<FieldRight>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn whether_it_is_allowed_is_true_false_or_a_word() {
        for (allowed, text) in
            [(Allowed::Yes, "true"), (Allowed::No, "false"), (Allowed::Depends, "\"depends\"")]
        {
            assert_eq!(serde_json::to_string(&allowed).unwrap(), text);
            assert_eq!(serde_json::from_str::<Allowed>(text).unwrap(), allowed);
        }
        assert!(serde_json::from_str::<Allowed>("1").is_err());
    }

    #[test]
    fn a_request_for_a_key_needs_an_actor_and_knows_its_members() {
        let request: ApiKeyRequest = serde_json::from_value(json!({ "actor": "ravi" })).unwrap();
        assert_eq!(serde_json::to_value(&request).unwrap(), json!({ "actor": "ravi" }));
        assert!(
            serde_json::from_value::<ApiKeyRequest>(json!({ "actor": "ravi", "role": "reader" })).is_err()
        );
        assert!(serde_json::from_value::<ApiKeyRequest>(json!({ "roles": [] })).is_err());
    }
}
