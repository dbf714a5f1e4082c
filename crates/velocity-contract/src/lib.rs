//! What outsiders see: resource types, HTTP bodies, the table of error codes.
//!
//! Plain data. Without features it is light enough for any client; feature `crd` adds the resources as Kubernetes
//! objects and their CustomResourceDefinitions.

pub mod administration;
pub mod annotation;
pub mod auth;
pub mod auth_strategy;
pub mod bulk;
pub mod code;
#[cfg(feature = "crd")]
pub mod crd;
pub mod drift;
pub mod history;
pub mod listing;
pub mod page;
pub mod plan;
pub mod problem;
#[cfg(feature = "crd")]
pub mod resource;
pub mod role_binding;
pub mod status;
pub mod vouching;

pub use code::Code;
pub use problem::{FieldError, Problem};
#[cfg(feature = "crd")]
pub use resource::{AuthStrategy, RoleBinding, SchemaDefinition};

/// The API group of every resource.
pub const GROUP: &str = "velocity.sh";
/// The API version of every resource.
pub const VERSION: &str = "v1";
/// Group and version as `apiVersion` has them.
pub const API_VERSION: &str = "velocity.sh/v1";
