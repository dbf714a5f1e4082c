//! Where the servers are and who we are there: the config file and its contexts.

mod file;
mod locate;
pub(crate) mod private_file;

pub(crate) use file::{Config, Context, Credential, Oidc};
