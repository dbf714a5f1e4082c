//! The Kubernetes API for one process: development and hermetic tests.
//!
//! [`LocalKube`] serves the kinds of a set of CustomResourceDefinitions, and namespaces, Secrets, ConfigMaps,
//! Events and Leases, in the words and shapes of a real API server: discovery, OpenAPI, list and watch, patches,
//! server-side apply, validation. It knows no kind of Velocity by name. Every write is on disk before it is
//! acknowledged.
//!
//! It runs nothing: no scheduler, no pods, no RBAC, no admission webhooks.

mod builtin;
mod clock;
mod collector;
mod crd;
mod field_error;
mod http;
mod kind;
mod kubeconfig;
mod merge;
mod object_meta;
mod openapi;
mod schema;
mod selector;
mod server;
mod status;
mod store;
mod strategic_merge;
mod strategy;
mod table;

pub use kubeconfig::kubeconfig;
pub use server::{LocalKube, OpenError, Options};
