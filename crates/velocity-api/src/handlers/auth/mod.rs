//! Signing in and out with OpenID Connect. The protocol itself is in `velocity_access::oidc`; here are its routes and
//! cookies.

mod cookies;
mod device;
mod login;
mod logout;
mod strategy;
mod whoami;

pub(crate) use device::device_login;
pub(crate) use login::{finish_login, start_login};
pub(crate) use logout::log_out;
pub(crate) use whoami::whoami;
