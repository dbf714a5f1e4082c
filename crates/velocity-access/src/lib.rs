//! Identity from credentials and the decisions of the access layers.
//!
//! An [`AuthStrategy`] is the validated form of the resource; an [`Authenticator`] runs one: it turns the
//! `Authorization` header into an [`Identity`] or says why not. [`rbac::decide`] then says whether that identity may
//! do an operation, and with which of its roles. Row filters and masks are the database's and the API's part.
//!
//! Nothing here reads a clock on the request path (`now` is passed in), and no token, claim or key ever enters an
//! error text or a log line.

mod authenticator;
mod bearer;
mod claims;
mod dev_key;
mod duration;
mod error;
mod identity;
mod jwks;
pub mod rbac;
mod strategy;
mod token;

pub use authenticator::{Authenticator, StartError};
pub use claims::ClaimError;
pub use dev_key::{DEV_AUDIENCE, DEV_ISSUER, DevKey, DevKeyError};
pub use duration::{InvalidDuration, parse_duration};
pub use error::{AuthError, TokenRefusal};
pub use identity::{ActorType, Identity, IdentityError, IdentityParts, PLATFORM_ADMIN};
pub use jwks::{KeySourceStatus, RemoteKeySettings};
pub use rbac::Decision;
pub use strategy::AuthStrategy;
