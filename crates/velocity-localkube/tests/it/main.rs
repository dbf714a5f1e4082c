//! The local Kubernetes API over real HTTP, with raw requests, kube-rs and kubectl.
//!
//! Tests that take [`harness::server`] say what any Kubernetes API answers: with `KUBE_CONFORMANCE_URL` and
//! `KUBE_CONFORMANCE_TOKEN` set they run against that server instead. The others are about this implementation.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

mod access;
mod agreement;
mod apply;
mod clients;
mod deletion;
mod discovery;
mod harness;
mod kubectl;
mod lists;
mod objects;
mod patches;
mod persistence;
mod validation;
mod watches;
