//! Authentication from the outside: tokens signed by an independent implementation, attacks on every check, and key
//! sets served by a real HTTP server.

#![expect(
    clippy::unwrap_used,
    reason = "clippy.toml allows it in tests, which helper functions are not taken for"
)]
#![expect(clippy::needless_pass_by_value, reason = "JSON literals are passed as they are written")]

mod algorithms;
mod api_keys;
mod attacks;
mod caching;
mod dev_key;
mod fuzz;
mod key_server;
#[cfg(feature = "removable-layers")]
mod layers;
mod mutate;
mod published_keys;
mod revocations;
mod signer;
mod store;
mod strategies;
mod subjects;
