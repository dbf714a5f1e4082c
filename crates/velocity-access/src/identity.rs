//! Who a caller is, within limits that the rest of the system may rely on.

use std::collections::BTreeSet;

use hashbrown::HashSet;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::credential_scope::{CredentialScope, MAX_SCOPES};

/// The role that may do everything everywhere; each use of it is an event.
pub const PLATFORM_ADMIN: &str = velocity_schema::schema::SYSTEM_ROLE_ADMIN;

/// Longest actor name in bytes: an e-mail address or a DN fits.
const MAX_ACTOR_BYTES: usize = 256;
/// Longest role name in bytes.
const MAX_ROLE_BYTES: usize = 128;
/// Most roles of one caller. All roles travel with each transaction.
pub(crate) const MAX_ROLES: usize = 256;
/// Most bytes of a caller's attributes as JSON. They travel with each transaction.
pub(crate) const MAX_ATTRIBUTES_BYTES: usize = 8 * 1024;

/// What kind of actor an identity stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum ActorType {
    /// Proven by a token of an issuer: a person, or a program that the issuer vouches for.
    User,
    /// Proven by a key that the platform issued.
    ApiKey,
    /// The platform itself.
    System,
}

impl ActorType {
    /// The name in events and expressions.
    pub fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::ApiKey => "apiKey",
            Self::System => "system",
        }
    }
}

/// What proved an identity: what can be revoked besides the actor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credential {
    /// A signed token.
    Token {
        /// Its `jti`, if it has one.
        id: Option<String>,
    },
    /// A session of ours.
    Session {
        /// Its id.
        id: String,
        /// What `X-CSRF-Token` must say when the session came as a cookie.
        csrf: String,
    },
    /// A key of ours.
    Key {
        /// Its id.
        id: String,
    },
}

impl Credential {
    /// The id by which it can be revoked.
    pub fn id(&self) -> Option<&str> {
        match self {
            Self::Token { id } => id.as_deref(),
            Self::Session { id, .. } | Self::Key { id } => Some(id),
        }
    }
}

/// What an identity is made of, before its limits have been checked.
#[derive(Debug, Clone)]
pub struct IdentityParts {
    /// Who the caller is, as the issuer names them.
    pub actor: String,
    /// What kind of actor that is.
    pub actor_type: ActorType,
    /// The roles that the caller claims. Names that no schema can grant are left out.
    pub roles: BTreeSet<String>,
    /// What expressions see as `actor.attributes`.
    pub attributes: Map<String, Value>,
    /// The strategy that proved it, `namespace/name`.
    pub strategy: String,
    /// What proved it.
    pub credential: Credential,
    /// What the credential is narrowed to; `None`: to nothing.
    pub scopes: Option<Vec<CredentialScope>>,
    /// When the credential expires.
    pub expires_at: Timestamp,
}

impl IdentityParts {
    /// A user without roles and attributes.
    pub fn user(actor: impl Into<String>, strategy: impl Into<String>, expires_at: Timestamp) -> Self {
        Self {
            actor: actor.into(),
            actor_type: ActorType::User,
            roles: BTreeSet::new(),
            attributes: Map::new(),
            strategy: strategy.into(),
            credential: Credential::Token { id: None },
            scopes: None,
            expires_at,
        }
    }
}

/// Why claims do not give an identity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// The actor is empty, too long, or has control characters.
    #[error("the actor must be 1 to {MAX_ACTOR_BYTES} bytes of text without control characters")]
    Actor,
    /// The token id is empty, too long, or has control characters.
    #[error(
        "the id of the credential (`jti`) must be 1 to {MAX_ACTOR_BYTES} bytes of text without control characters"
    )]
    TokenId,
    /// Too many roles.
    #[error("the caller has more than {MAX_ROLES} roles: map only those that are used here")]
    TooManyRoles,
    /// Attributes too big.
    #[error(
        "the caller's attributes are bigger than {MAX_ATTRIBUTES_BYTES} bytes: map only those that are used here"
    )]
    AttributesTooBig,
    /// No scopes, where some were meant, or too many.
    #[error("a credential that is narrowed has 1 to {MAX_SCOPES} scopes")]
    Scopes,
    /// A text in the attributes that Postgres cannot store.
    #[error("the caller's attributes hold a text with a null character")]
    NullInAttributes,
}

/// A caller whose credential has been verified.
#[derive(Debug, Clone, PartialEq)]
pub struct Identity {
    actor: String,
    actor_type: ActorType,
    roles: BTreeSet<String>,
    /// The same, to be looked up: every decision asks for a hundred roles or more.
    held: HashSet<String>,
    attributes: Map<String, Value>,
    attributes_json: String,
    strategy: String,
    credential: Credential,
    scopes: Option<Vec<CredentialScope>>,
    expires_at: Timestamp,
}

impl Identity {
    /// An identity, or the limit that it breaks.
    ///
    /// Roles whose names no schema can grant (a role is 1 to 128 letters, digits and any of `- _ . : / @`) are left out:
    /// directories send all of a person's groups, and leaving out a role never allows more.
    pub fn new(parts: IdentityParts) -> Result<Self, IdentityError> {
        let IdentityParts {
            actor,
            actor_type,
            mut roles,
            attributes,
            strategy,
            credential,
            scopes,
            expires_at,
        } = parts;
        if !is_plain(&actor) {
            return Err(IdentityError::Actor);
        }
        if credential.id().is_some_and(|id| !is_plain(id)) {
            return Err(IdentityError::TokenId);
        }
        if scopes.as_ref().is_some_and(|scopes| !(1..=MAX_SCOPES).contains(&scopes.len())) {
            return Err(IdentityError::Scopes);
        }
        roles.retain(|role| is_role_name(role));
        if roles.len() > MAX_ROLES {
            return Err(IdentityError::TooManyRoles);
        }
        let attributes_json = checked_attributes(&attributes)?;
        Ok(Self {
            actor,
            actor_type,
            held: roles.iter().cloned().collect(),
            roles,
            attributes,
            attributes_json,
            strategy,
            credential,
            scopes,
            expires_at,
        })
    }

    /// Who the caller is.
    pub fn actor(&self) -> &str {
        &self.actor
    }

    /// What kind of actor that is.
    pub fn actor_type(&self) -> ActorType {
        self.actor_type
    }

    /// All roles that the credential gives. What counts on a schema is what [`crate::Subject`] makes of them.
    pub fn roles(&self) -> &BTreeSet<String> {
        &self.roles
    }

    /// Whether the credential gives the role.
    pub fn holds(&self, role: &str) -> bool {
        self.held.contains(role)
    }

    /// What expressions see as `actor.attributes`.
    pub fn attributes(&self) -> &Map<String, Value> {
        &self.attributes
    }

    /// The attributes as JSON text, ready for `velocity.attributes`.
    pub fn attributes_json(&self) -> &str {
        &self.attributes_json
    }

    /// The strategy that proved it, `namespace/name`.
    pub fn strategy(&self) -> &str {
        &self.strategy
    }

    /// The credential's id, if it has one.
    pub fn token_id(&self) -> Option<&str> {
        self.credential.id()
    }

    /// What proved it.
    pub fn credential(&self) -> &Credential {
        &self.credential
    }

    /// What the credential is narrowed to; `None`: to nothing. A narrowed credential is for records only: it
    /// administrates nothing.
    pub fn scopes(&self) -> Option<&[CredentialScope]> {
        self.scopes.as_deref()
    }

    /// When the credential expires.
    pub fn expires_at(&self) -> Timestamp {
        self.expires_at
    }

    /// Whether the credential gives the role that may do everything everywhere. Whether that counts depends on the
    /// strategy, and whether the credential is narrowed on [`scopes`](Self::scopes).
    pub fn is_platform_admin(&self) -> bool {
        self.holds(PLATFORM_ADMIN)
    }

    /// Roughly how many bytes it takes in memory, for bounded caches.
    pub(crate) fn weight(&self) -> usize {
        // A parsed JSON value takes about three times its text.
        512 + self.actor.len()
            + self.roles.iter().map(|r| 2 * (48 + r.len())).sum::<usize>()
            + 4 * self.attributes_json.len()
    }
}

/// Attributes as JSON, or the limit that they break.
pub(crate) fn checked_attributes(attributes: &Map<String, Value>) -> Result<String, IdentityError> {
    if attributes.iter().any(|(key, value)| key.contains('\0') || has_null_character(value)) {
        return Err(IdentityError::NullInAttributes);
    }
    let json = serde_json::to_string(attributes).map_err(|_| IdentityError::AttributesTooBig)?;
    if json.len() > MAX_ATTRIBUTES_BYTES {
        return Err(IdentityError::AttributesTooBig);
    }
    Ok(json)
}

pub(crate) fn is_plain(text: &str) -> bool {
    (1..=MAX_ACTOR_BYTES).contains(&text.len()) && !text.chars().any(char::is_control)
}

/// What a schema takes as a role. Roles travel comma separated, and `*` means everyone in row filters.
pub(crate) fn is_role_name(role: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b':' | b'/' | b'@');
    (1..=MAX_ROLE_BYTES).contains(&role.len()) && role.bytes().all(allowed)
}

/// Recursion is bounded by the JSON parser, which refuses more than 128 levels.
fn has_null_character(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(has_null_character),
        Value::Object(members) => {
            members.iter().any(|(key, value)| key.contains('\0') || has_null_character(value))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parts() -> IdentityParts {
        IdentityParts::user("ravi", "platform/dev", Timestamp::MAX)
    }

    #[test]
    fn an_actor_is_plain_text_of_bounded_length() {
        for actor in ["", "a\0b", "a\nb", "\u{7f}", &"x".repeat(257)] {
            let identity = Identity::new(IdentityParts { actor: actor.to_owned(), ..parts() });
            assert_eq!(identity, Err(IdentityError::Actor), "{actor:?}");
        }
        for actor in ["ravi@acme.com", "CN=Ravi, O=Acme", "Ünïcode", "auth0|5f7c8ec7c33c6c004bbafe82"] {
            assert!(Identity::new(IdentityParts { actor: actor.to_owned(), ..parts() }).is_ok(), "{actor}");
        }
    }

    #[test]
    fn role_names_that_could_smuggle_another_role_are_left_out() {
        let roles = ["reader", "a,platform-admin", "*", "", " platform-admin", "x\0", &"r".repeat(129)];
        let roles = roles.iter().map(ToString::to_string).collect();
        let identity = Identity::new(IdentityParts { roles, ..parts() }).unwrap();
        assert_eq!(identity.roles().iter().collect::<Vec<_>>(), ["reader"]);
        assert!(!identity.is_platform_admin());
    }

    #[test]
    fn limits_on_roles_and_attributes_hold() {
        let roles = |n: usize| (0..n).map(|i| format!("role-{i}")).collect();
        assert!(Identity::new(IdentityParts { roles: roles(256), ..parts() }).is_ok());
        assert_eq!(
            Identity::new(IdentityParts { roles: roles(257), ..parts() }),
            Err(IdentityError::TooManyRoles)
        );
        let attributes = |n: usize| Map::from_iter([("a".to_owned(), json!("x".repeat(n)))]);
        assert!(Identity::new(IdentityParts { attributes: attributes(8 * 1024 - 8), ..parts() }).is_ok());
        assert_eq!(
            Identity::new(IdentityParts { attributes: attributes(8 * 1024 - 7), ..parts() }),
            Err(IdentityError::AttributesTooBig)
        );
    }

    #[test]
    fn a_null_character_anywhere_in_the_attributes_is_refused() {
        for attributes in [json!({ "a": ["x\0"] }), json!({ "a": { "b\0": 1 } }), json!({ "\0": 1 })] {
            let attributes = attributes.as_object().unwrap().clone();
            assert_eq!(
                Identity::new(IdentityParts { attributes, ..parts() }),
                Err(IdentityError::NullInAttributes)
            );
        }
    }
}
