//! The local Kubernetes API over real HTTP.
