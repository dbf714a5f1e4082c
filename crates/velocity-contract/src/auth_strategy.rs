//! AuthStrategy as it is written: how callers prove who they are.
//!
//! Every field of the contract parses here, and an unknown one is an error. Whether a strategy makes sense, and
//! whether this version acts on it, is decided by the validated form in `velocity-access`.
//!
//! ```yaml
//! type: jwt
//! jwt:
//!   issuers:
//!     - issuer: https://id.acme.com/realms/acme
//!       audience: velocity                       # or a list
//!       jwksUrl: https://id.acme.com/realms/acme/protocol/openid-connect/certs
//!       algorithms: [RS256]
//!       clockSkew: 30s
//!       claimMapping:
//!         actorId: { path: $.preferred_username, transforms: [{ type: lowercase }] }
//!         roles:
//!           path: $.realm_access.roles
//!           transforms:
//!             - { type: prefixStrip, prefix: velocity- }   # other roles are dropped; `unmatched: keep` keeps them
//!             - { type: lookup, table: { buyers: [procurement-reader, procurement-writer] }, unmatched: keep }
//!             - { type: staticAppend, values: [employee] }
//!         attributes:
//!           - path: $.attributes                          # a whole object
//!           - { name: region, path: $.address.region }    # one attribute, as it is
//!           - name: teams
//!             path: $.groups
//!             transforms:
//!               - { type: split, separator: ";" }
//!               - { type: regexExtract, pattern: "^CN=([^,]+)" }
//! ```

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// How callers prove who they are. `type` names the one block that is set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(
    feature = "crd",
    derive(schemars::JsonSchema),
    schemars(extend("x-kubernetes-validations" = [
        {"rule": "(self.type == 'jwt') == has(self.jwt)", "message": "jwt is set exactly when type is jwt"},
        {"rule": "(self.type == 'oidc') == has(self.oidc)", "message": "oidc is set exactly when type is oidc"},
        {"rule": "(self.type == 'apiKey') == has(self.apiKey)", "message": "apiKey is set exactly when type is apiKey"},
        {"rule": "(self.type == 'composite') == has(self.composite)", "message": "composite is set exactly when type is composite"}
    ]))
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AuthStrategySpec {
    /// Which kind of credential this strategy takes.
    #[serde(rename = "type")]
    pub kind: AuthStrategyType,
    /// Signed bearer tokens of issuers that are named here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwt: Option<JwtSpec>,
    /// Sign-in at an OpenID Connect provider: authorisation code with PKCE and a server-side session for browsers,
    /// the device flow for the command line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oidc: Option<OidcSpec>,
    /// Long random keys that the platform issues; only their SHA-256 is stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_key: Option<ApiKeySpec>,
    /// Several strategies, tried in order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub composite: Option<CompositeSpec>,
    /// What happens when it cannot be checked whether a credential has been revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revocation: Option<RevocationSpec>,
}

/// The kinds of credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "crd", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum AuthStrategyType {
    /// Signed bearer tokens.
    Jwt,
    /// OpenID Connect sign-in with a session.
    Oidc,
    /// Keys issued by the platform.
    ApiKey,
    /// Several strategies in order.
    Composite,
}

/// Signed bearer tokens (RFC 7519) and who may issue them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "crd", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct JwtSpec {
    /// The issuers whose tokens are taken. A token is checked against the one that its `iss` claim names, and against
    /// no other.
    #[cfg_attr(
        feature = "crd",
        schemars(
            length(min = 1, max = 16),
            extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["issuer"])
        )
    )]
    pub issuers: Vec<JwtIssuerSpec>,
}

/// One issuer of tokens: its name, its keys, and what its claims mean here.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(
    feature = "crd",
    derive(schemars::JsonSchema),
    schemars(extend("x-kubernetes-validations" = [
        {"rule": "has(self.jwks) != has(self.jwksUrl)", "message": "set exactly one of jwks and jwksUrl"},
        {
            "rule": "!has(self.jwksUrl) || self.algorithms.all(a, !a.startsWith('HS'))",
            "message": "HMAC algorithms (HS256, HS384, HS512) need a secret, which a jwksUrl would publish: give the key inline in jwks",
            "fieldPath": ".algorithms"
        }
    ]))
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct JwtIssuerSpec {
    /// The exact value of the `iss` claim.
    #[cfg_attr(feature = "crd", schemars(length(min = 1, max = 512)))]
    pub issuer: String,
    /// Whom a token must be meant for: one text, or a list of which the token's `aud` claim must hold at least one.
    pub audience: AudienceSpec,
    /// Where the issuer publishes its keys. `https`, or `http` on a loopback address. Set this or `jwks`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(
        feature = "crd",
        schemars(
            length(max = 2048),
            extend("x-kubernetes-validations" = [{
                "rule": "self.startsWith('https://') || self.matches('^http://(localhost|127[.]0[.]0[.]1|\\\\[::1\\\\])(:[0-9]+)?(/|$)')",
                "message": "use an https URL (http only on a loopback address)"
            }])
        )
    )]
    pub jwks_url: Option<String>,
    /// The issuer's keys themselves, as a JSON Web Key Set (RFC 7517). Set this or `jwksUrl`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks: Option<JwksSpec>,
    /// Which signature algorithms are taken. `none` does not exist here; HMAC (HS…) needs an inline secret key. A
    /// token's algorithm must also fit the type of the key that it names.
    #[serde(default = "default_algorithms")]
    #[cfg_attr(
        feature = "crd",
        schemars(length(min = 1, max = 12), extend("x-kubernetes-list-type" = "set"))
    )]
    pub algorithms: Vec<JwtAlgorithm>,
    /// How far the issuer's clock and ours may differ when `exp`, `nbf` and `iat` are checked: a duration such as
    /// `30s`, at most `5m`.
    #[serde(default = "default_clock_skew")]
    #[cfg_attr(feature = "crd", schemars(length(max = 10), regex(pattern = r"^[0-9]+(s|m)$")))]
    pub clock_skew: String,
    /// Which claims say who the caller is, which roles they hold and which attributes they have.
    #[serde(default)]
    pub claim_mapping: ClaimMappingSpec,
}

/// Whom a token must be meant for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "a text or a list of texts")]
pub enum AudienceSpec {
    /// This audience.
    One(String),
    /// Any of these audiences.
    Any(Vec<String>),
}

impl AudienceSpec {
    /// The audiences, one or more as written.
    pub fn as_slice(&self) -> &[String] {
        match self {
            Self::One(audience) => std::slice::from_ref(audience),
            Self::Any(audiences) => audiences,
        }
    }
}

/// A structural schema cannot say "text or list", so the cluster takes any value and the operator checks it.
#[cfg(feature = "crd")]
impl schemars::JsonSchema for AudienceSpec {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Audience".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "x-kubernetes-preserve-unknown-fields": true })
    }
}

/// A JSON Web Key Set (RFC 7517).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "crd", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct JwksSpec {
    /// The keys: public RSA (2048 to 8192 bits), EC (P-256, P-384) and OKP (Ed25519) keys, or `oct` secrets for HMAC.
    #[cfg_attr(feature = "crd", schemars(length(min = 1, max = 64), schema_with = "crd::json_web_keys"))]
    pub keys: Vec<Map<String, Value>>,
}

/// Signature algorithms (RFC 7518, RFC 8037).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "crd", derive(schemars::JsonSchema))]
pub enum JwtAlgorithm {
    /// RSA PKCS#1 v1.5 with SHA-256.
    RS256,
    /// RSA PKCS#1 v1.5 with SHA-384.
    RS384,
    /// RSA PKCS#1 v1.5 with SHA-512.
    RS512,
    /// RSA PSS with SHA-256.
    PS256,
    /// RSA PSS with SHA-384.
    PS384,
    /// RSA PSS with SHA-512.
    PS512,
    /// ECDSA on P-256 with SHA-256.
    ES256,
    /// ECDSA on P-384 with SHA-384.
    ES384,
    /// Ed25519.
    EdDSA,
    /// HMAC with SHA-256.
    HS256,
    /// HMAC with SHA-384.
    HS384,
    /// HMAC with SHA-512.
    HS512,
}

impl JwtAlgorithm {
    /// The name in a token's `alg` header.
    pub fn name(self) -> &'static str {
        match self {
            Self::RS256 => "RS256",
            Self::RS384 => "RS384",
            Self::RS512 => "RS512",
            Self::PS256 => "PS256",
            Self::PS384 => "PS384",
            Self::PS512 => "PS512",
            Self::ES256 => "ES256",
            Self::ES384 => "ES384",
            Self::EdDSA => "EdDSA",
            Self::HS256 => "HS256",
            Self::HS384 => "HS384",
            Self::HS512 => "HS512",
        }
    }
}

/// From claims to an identity. Paths are JSONPath (RFC 9535) over the token's claims.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "crd", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClaimMappingSpec {
    /// Who the caller is: must give exactly one text, else the token is refused.
    #[serde(default = "default_actor_id")]
    pub actor_id: ClaimRuleSpec,
    /// Which roles the caller holds: a text or a list of texts. No value means no roles.
    #[serde(default = "default_roles")]
    pub roles: ClaimRuleSpec,
    /// Which attributes the caller has. Rules apply in order; a later one replaces what an earlier one gave.
    #[serde(default = "default_attributes")]
    #[cfg_attr(feature = "crd", schemars(length(max = 64)))]
    pub attributes: Vec<AttributeRuleSpec>,
}

impl Default for ClaimMappingSpec {
    fn default() -> Self {
        Self { actor_id: default_actor_id(), roles: default_roles(), attributes: default_attributes() }
    }
}

/// Where a value comes from and what is done to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "crd", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClaimRuleSpec {
    /// JSONPath over the claims, such as `$.realm_access.roles` or `$['https://acme.com/groups'][*]`.
    #[cfg_attr(feature = "crd", schemars(length(min = 1, max = 512)))]
    pub path: String,
    /// What is done to the values, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "crd", schemars(length(max = 16)))]
    pub transforms: Vec<TransformSpec>,
}

/// One attribute, or a whole object of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(
    feature = "crd",
    derive(schemars::JsonSchema),
    schemars(extend("x-kubernetes-validations" = [{
        "rule": "has(self.name) || !has(self.transforms)",
        "message": "transforms need a name: without one the path gives a whole object, which is taken as it is"
    }]))
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AttributeRuleSpec {
    /// The attribute's name. Without it the path must give an object, and each of its members becomes an attribute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "crd", schemars(length(max = 63), regex(pattern = r"^[A-Za-z_][A-Za-z0-9_]*$")))]
    pub name: Option<String>,
    /// JSONPath over the claims. Without transforms the value keeps its JSON type.
    #[cfg_attr(feature = "crd", schemars(length(min = 1, max = 512)))]
    pub path: String,
    /// What is done to the values, in order; the values must then be texts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "crd", schemars(length(max = 16)))]
    pub transforms: Vec<TransformSpec>,
}

/// One step over a list of texts. `type` says which; the other fields belong to single types.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(
    feature = "crd",
    derive(schemars::JsonSchema),
    schemars(extend("x-kubernetes-validations" = [
        {"rule": "(self.type == 'prefixStrip') == has(self.prefix)", "message": "prefix is set exactly for prefixStrip"},
        {"rule": "(self.type == 'split') == has(self.separator)", "message": "separator is set exactly for split"},
        {"rule": "(self.type == 'regexExtract') == has(self.pattern)", "message": "pattern is set exactly for regexExtract"},
        {"rule": "self.type == 'regexExtract' || !has(self.group)", "message": "group is for regexExtract"},
        {"rule": "(self.type == 'staticAppend') == has(self.values)", "message": "values is set exactly for staticAppend"},
        {"rule": "(self.type == 'lookup') == has(self.table)", "message": "table is set exactly for lookup"},
        {
            "rule": "self.type in ['prefixStrip', 'regexExtract', 'lookup'] || !has(self.unmatched)",
            "message": "unmatched is for prefixStrip, regexExtract and lookup"
        }
    ]))
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TransformSpec {
    /// What is done to each text.
    #[serde(rename = "type")]
    pub kind: TransformType,
    /// For prefixStrip: the text to take off the front.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "crd", schemars(length(min = 1, max = 256)))]
    pub prefix: Option<String>,
    /// For split: the text between the parts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "crd", schemars(length(min = 1, max = 16)))]
    pub separator: Option<String>,
    /// For regexExtract: a regular expression (RE2 syntax), searched anywhere in the text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "crd", schemars(length(min = 1, max = 512)))]
    pub pattern: Option<String>,
    /// For regexExtract: which group of the pattern to keep. Without it the first group, or the whole match where the
    /// pattern has no group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "crd", schemars(range(min = 0, max = 32)))]
    pub group: Option<u8>,
    /// For staticAppend: the texts to add at the end of the list, whatever the token says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "crd", schemars(length(min = 1, max = 64)))]
    pub values: Option<Vec<String>>,
    /// For lookup: each text is replaced by the list of texts found under it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "crd", schemars(extend("maxProperties" = 1024)))]
    pub table: Option<BTreeMap<String, Vec<String>>>,
    /// For prefixStrip, regexExtract and lookup: what happens to a text without the prefix, without a match, or not in
    /// the table. `drop` unless said otherwise, so that nothing unexpected becomes a role.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unmatched: Option<Unmatched>,
}

/// The kinds of transform.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "crd", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum TransformType {
    /// Leaves every text as it is.
    Identity,
    /// Takes `prefix` off the front.
    PrefixStrip,
    /// Cuts at each `separator`; the parts are trimmed and empty ones left out.
    Split,
    /// Upper case (Unicode).
    Uppercase,
    /// Lower case (Unicode).
    Lowercase,
    /// Keeps what `group` of `pattern` matched.
    RegexExtract,
    /// Adds `values` to the list.
    StaticAppend,
    /// Replaces each text by its entry in `table`.
    Lookup,
}

/// What happens to a text that a transform does not apply to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "crd", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum Unmatched {
    /// It is left out.
    #[default]
    Drop,
    /// It stays as it is.
    Keep,
}

/// Sign-in at an OpenID Connect provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "crd", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OidcSpec {
    /// The provider's discovery document, `https://…/.well-known/openid-configuration`.
    #[cfg_attr(feature = "crd", schemars(length(min = 1, max = 2048)))]
    pub discovery_url: String,
    /// The client that the provider knows us as.
    #[cfg_attr(feature = "crd", schemars(length(min = 1, max = 256)))]
    pub client_id: String,
    /// The Secret that holds the client's secret; a public client has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_secret_ref: Option<SecretKeyRef>,
    /// Where the provider sends the browser back to: the address of `/auth/callback` as browsers see it.
    #[cfg_attr(feature = "crd", schemars(length(min = 1, max = 2048)))]
    pub redirect_uri: String,
    /// What is asked for.
    #[serde(default = "default_scopes")]
    #[cfg_attr(feature = "crd", schemars(length(max = 32)))]
    pub scopes: Vec<String>,
    /// How long a session lasts without a new sign-in: a duration such as `8h`.
    #[serde(default = "default_session_ttl")]
    #[cfg_attr(feature = "crd", schemars(length(max = 10), regex(pattern = r"^[0-9]+(s|m|h|d)$")))]
    pub session_ttl: String,
    /// Which claims of the ID token say who the caller is, which roles they hold and which attributes they have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim_mapping: Option<ClaimMappingSpec>,
}

/// One entry of a Secret in the strategy's namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "crd", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SecretKeyRef {
    /// The Secret's name.
    #[cfg_attr(feature = "crd", schemars(length(min = 1, max = 253)))]
    pub name: String,
    /// The entry in its data.
    #[cfg_attr(feature = "crd", schemars(length(min = 1, max = 253)))]
    pub key: String,
}

/// Keys that the platform issues.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "crd", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ApiKeySpec {
    /// The request header that carries the key.
    #[serde(default = "default_header_name")]
    #[cfg_attr(feature = "crd", schemars(length(min = 1, max = 64), regex(pattern = r"^[A-Za-z0-9-]+$")))]
    pub header_name: String,
    /// From which addresses keys are taken: IP addresses or networks such as `10.0.0.0/8`. Empty: from anywhere.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "crd", schemars(length(max = 256)))]
    pub ip_allowlist: Vec<String>,
}

/// Several strategies, tried in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "crd", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CompositeSpec {
    /// The strategies; the first that recognises the credential decides.
    #[cfg_attr(feature = "crd", schemars(length(min = 1, max = 16)))]
    pub strategies: Vec<CompositeStrategyRef>,
}

/// Another AuthStrategy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "crd", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CompositeStrategyRef {
    /// Its name.
    #[cfg_attr(feature = "crd", schemars(length(min = 1, max = 253)))]
    pub name: String,
    /// Its namespace; without it this strategy's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "crd", schemars(length(min = 1, max = 63)))]
    pub namespace: Option<String>,
}

/// What happens when revocations cannot be checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "crd", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RevocationSpec {
    /// Whether requests are let through then. Without it they are answered 503 `REVOCATION_UNAVAILABLE`.
    #[serde(default)]
    pub fail_open: bool,
}

fn default_algorithms() -> Vec<JwtAlgorithm> {
    vec![JwtAlgorithm::RS256, JwtAlgorithm::ES256, JwtAlgorithm::EdDSA]
}

fn default_clock_skew() -> String {
    "60s".to_owned()
}

fn rule(path: &str) -> ClaimRuleSpec {
    ClaimRuleSpec { path: path.to_owned(), transforms: Vec::new() }
}

fn default_actor_id() -> ClaimRuleSpec {
    rule("$.sub")
}

fn default_roles() -> ClaimRuleSpec {
    rule("$.roles")
}

fn default_attributes() -> Vec<AttributeRuleSpec> {
    vec![AttributeRuleSpec { name: None, path: "$.attributes".to_owned(), transforms: Vec::new() }]
}

fn default_scopes() -> Vec<String> {
    vec!["openid".to_owned()]
}

fn default_session_ttl() -> String {
    "8h".to_owned()
}

fn default_header_name() -> String {
    "X-API-Key".to_owned()
}

#[cfg(feature = "crd")]
mod crd {
    /// Keys keep whatever members they have: RFC 7517 lets a key carry more than we read.
    pub(super) fn json_web_keys(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "array",
            "items": {
                "type": "object",
                "required": ["kty"],
                "properties": { "kty": { "type": "string", "enum": ["RSA", "EC", "OKP", "oct"] } },
                "x-kubernetes-preserve-unknown-fields": true
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_field_of_the_contract_parses_and_comes_back_unchanged() {
        for document in [
            json!({
                "type": "jwt",
                "jwt": { "issuers": [{
                    "issuer": "https://id.acme.com", "audience": ["velocity", "other"],
                    "jwksUrl": "https://id.acme.com/keys", "algorithms": ["RS256", "EdDSA"], "clockSkew": "30s",
                    "claimMapping": {
                        "actorId": { "path": "$.sub", "transforms": [
                            { "type": "identity" }, { "type": "lowercase" }, { "type": "uppercase" },
                            { "type": "prefixStrip", "prefix": "acme|", "unmatched": "keep" }] },
                        "roles": { "path": "$.realm_access.roles", "transforms": [
                            { "type": "split", "separator": " " },
                            { "type": "regexExtract", "pattern": "^app:(.*)$", "group": 1 },
                            { "type": "lookup", "table": { "a": ["b", "c"] } },
                            { "type": "staticAppend", "values": ["employee"] }] },
                        "attributes": [{ "path": "$.attributes" }, { "name": "region", "path": "$.r" }]
                    }
                }] }
            }),
            json!({ "type": "oidc", "oidc": {
                "discoveryUrl": "https://id.acme.com/.well-known/openid-configuration", "clientId": "velocity",
                "clientSecretRef": { "name": "oidc", "key": "secret" }, "redirectUri": "https://v.acme.com/auth/callback",
                "scopes": ["openid", "groups"], "sessionTtl": "8h" } }),
            json!({ "type": "apiKey", "apiKey": { "headerName": "X-Key", "ipAllowlist": ["10.0.0.0/8"] },
                "revocation": { "failOpen": true } }),
            json!({ "type": "composite", "composite": {
                "strategies": [{ "name": "jwt", "namespace": "platform" }, { "name": "keys" }] } }),
        ] {
            let spec: AuthStrategySpec = serde_json::from_value(document.clone()).unwrap();
            assert_eq!(serde_json::to_value(&spec).unwrap(), document);
        }
    }

    #[test]
    fn the_example_of_the_documentation_parses() {
        let lines = include_str!("auth_strategy.rs").lines().map_while(|line| line.strip_prefix("//!"));
        let example: Vec<&str> =
            lines.skip_while(|l| *l != " ```yaml").skip(1).take_while(|l| *l != " ```").collect();
        let spec: AuthStrategySpec = serde_saphyr::from_str(&example.join("\n")).unwrap();
        assert_eq!(spec.jwt.unwrap().issuers[0].claim_mapping.attributes.len(), 3);
    }

    #[test]
    fn defaults_are_those_of_the_documentation() {
        let spec: AuthStrategySpec = serde_json::from_value(json!({
            "type": "jwt",
            "jwt": { "issuers": [{ "issuer": "i", "audience": "a", "jwks": { "keys": [] } }] }
        }))
        .unwrap();
        let issuer = &spec.jwt.unwrap().issuers[0];
        assert_eq!(issuer.clock_skew, "60s");
        assert_eq!(issuer.claim_mapping.actor_id.path, "$.sub");
        assert_eq!(issuer.claim_mapping.roles.path, "$.roles");
        assert_eq!(issuer.claim_mapping.attributes[0].path, "$.attributes");
        let keys: ApiKeySpec = serde_json::from_value(json!({})).unwrap();
        assert_eq!(keys.header_name, "X-API-Key");
    }

    #[test]
    fn unknown_fields_and_unknown_algorithms_are_errors() {
        let issuer = |extra: Value| {
            let mut issuer = json!({ "issuer": "i", "audience": "a", "jwks": { "keys": [] } });
            issuer.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
            serde_json::from_value::<JwtIssuerSpec>(issuer).map_err(|e| e.to_string())
        };
        assert!(issuer(json!({ "jwksUri": "x" })).unwrap_err().contains("jwksUri"));
        assert!(issuer(json!({ "algorithms": ["none"] })).unwrap_err().contains("none"));
        assert!(issuer(json!({ "audience": 7 })).unwrap_err().contains("a text or a list of texts"));
        assert!(issuer(json!({})).is_ok());
    }
}
