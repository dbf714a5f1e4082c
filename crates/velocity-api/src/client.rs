//! Whose request it is, for handlers: the client's address, and what the request brings to say who sends it.

use std::net::IpAddr;

use http::Extensions;
use http::request::Parts;
use velocity_access::Credentials;

/// The client's address, in the extensions of every request that came over a socket. `None`: a trusted proxy said
/// something that is no address, so that nobody knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ClientAddress(pub(crate) Option<IpAddr>);

/// The client's address, if it is known.
pub(crate) fn address(extensions: &Extensions) -> Option<IpAddr> {
    extensions.get::<ClientAddress>().and_then(|client| client.0)
}

/// What the request brings to say who sends it.
pub(crate) fn credentials(parts: &Parts) -> Credentials<'_> {
    Credentials { headers: &parts.headers, method: &parts.method, ip: address(&parts.extensions) }
}
