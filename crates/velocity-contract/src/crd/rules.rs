//! Bounds and CEL rules that the types do not carry.

use serde_json::Value;

pub(super) fn schema_definition(_spec: &mut Value) {}

pub(super) fn auth_strategy(_spec: &mut Value) {}
