//! What outsiders see: resource types, HTTP bodies, the table of error codes.

pub mod auth_strategy;
