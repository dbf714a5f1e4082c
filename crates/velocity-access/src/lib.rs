//! Identity from credentials and the decisions of the access layers.
//!
//! An [`AuthStrategy`] is the validated form of the resource; an [`Authenticator`] runs one: it turns the [`Credentials`]
//! of a request into an [`Identity`], says that they are not its own, or why they are not good. [`Revocations`] knows what
//! has been revoked since. A [`Subject`] is the identity on one schema, with the RoleBindings that hold there: it decides
//! by roles, conditions and scopes, says which fields are seen and set, and explains itself. Row filters and masks are the
//! database's and the API's part.
//!
//! Nothing here reads a clock on the request path (`now` is passed in), and no token, claim or key ever enters an
//! error text or a log line.

pub mod api_key;
mod authenticator;
mod bearer;
mod binding;
mod claims;
mod credential_scope;
mod credential_store;
mod credentials;
mod dev_key;
mod duration;
mod error;
mod explanation;
mod identity;
mod jwks;
mod layer;
pub mod oidc;
pub mod rbac;
mod revocation;
mod sealing_key;
mod strategy;
mod subject;
mod token;
mod trusted_proxies;

pub use authenticator::{Authenticator, Context, StartError};
pub use binding::{Binding, Bindings, InvalidBinding, RefusedBinding};
pub use claims::ClaimError;
pub use credential_scope::{CredentialScope, InvalidScope, MAX_SCOPES, SchemaPattern};
pub use credential_store::{
    CredentialStore, EmptyStore, NewSession, SessionUpdate, StoreFuture, StoreUnavailable, StoredKey,
    StoredSession,
};
pub use credentials::Credentials;
pub use dev_key::{DEV_AUDIENCE, DEV_ISSUER, DevKey, DevKeyError};
pub use duration::{InvalidDuration, parse_duration};
pub use error::{AuthError, TokenRefusal};
pub use explanation::{Allowed, Explanation, HeldRole, LayerVerdict, RoleSource, Verdict};
pub use identity::{ActorType, Credential, Identity, IdentityError, IdentityParts, PLATFORM_ADMIN};
pub use jwks::{KeySourceStatus, RemoteKeySettings};
pub use layer::{Layer, Layers};
pub use rbac::Decision;
pub use revocation::{
    FRESHNESS, NoRevocations, RevocationChange, RevocationKind, RevocationSource, RevocationStatus,
    Revocations,
};
pub use sealing_key::SealingKey;
pub use strategy::AuthStrategy;
pub use subject::{AbacDenied, Acting, Subject};
pub use trusted_proxies::TrustedProxies;
