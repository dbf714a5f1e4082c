//! Descriptions of live schemas: JSON Schema and OpenAPI. Pure functions of the schema and of what the caller may do, see
//! and set there.

pub(crate) mod json_schema;
pub(crate) mod openapi;
mod operations;
mod rights;

pub(crate) use rights::Rights;
