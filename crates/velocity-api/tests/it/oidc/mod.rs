//! Sign-in with OpenID Connect at a certified provider, by HTTP and in a real browser.
//!
//! These tests need Node.js and Chromium, so `make test` leaves them out and `make test-oidc` runs them.

mod agent;
mod browser;
mod device;
mod in_browser;
mod logins;
mod provider;
mod refresh;
mod world;
