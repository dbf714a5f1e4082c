//! What tests share: databases, servers, builders.
