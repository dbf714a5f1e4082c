//! What people ask of an object beside its spec: its annotations. Pure.

use std::hash::{DefaultHasher, Hash, Hasher};

use kube::api::DynamicObject;
use velocity_contract::annotation;

/// What becomes of the data of an object that is deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum DeletionPolicy {
    Retain,
    Delete,
    /// Neither: nothing is done until it is one of them.
    Unknown(String),
}

/// The annotation's value.
pub(crate) fn annotation<'a>(object: &'a DynamicObject, name: &str) -> Option<&'a str> {
    object.metadata.annotations.as_ref()?.get(name).map(|value| value.trim())
}

/// The plan that is approved.
pub(crate) fn approved(object: &DynamicObject) -> Option<&str> {
    annotation(object, annotation::APPROVE_BREAKING)
}

/// The deletion policy.
pub(crate) fn deletion_policy(object: &DynamicObject) -> DeletionPolicy {
    match annotation(object, annotation::DELETION_POLICY) {
        None | Some("retain") => DeletionPolicy::Retain,
        Some("delete") => DeletionPolicy::Delete,
        Some(other) => DeletionPolicy::Unknown(other.to_owned()),
    }
}

/// What a plan that runs was made for: when it changes, the plan is outdated.
pub(crate) fn purpose(object: &DynamicObject) -> u64 {
    let metadata = &object.metadata;
    let mut hasher = DefaultHasher::new();
    let asked = [annotation::APPROVE_BREAKING, annotation::FIX_DRIFT, annotation::DELETION_POLICY]
        .map(|name| annotation(object, name));
    (metadata.generation, metadata.deletion_timestamp.is_some(), asked).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(metadata: &serde_json::Value) -> DynamicObject {
        serde_json::from_value(
            json!({"apiVersion": "velocity.sh/v1", "kind": "SchemaDefinition", "metadata": metadata}),
        )
        .unwrap()
    }

    #[test]
    fn a_policy_that_is_neither_word_is_neither() {
        let of = |value: &str| {
            deletion_policy(&object(&json!({"annotations": {"velocity.sh/deletion-policy": value}})))
        };
        assert_eq!(deletion_policy(&object(&json!({}))), DeletionPolicy::Retain);
        assert_eq!(of("retain"), DeletionPolicy::Retain);
        assert_eq!(of("delete"), DeletionPolicy::Delete);
        assert_eq!(of("Delete"), DeletionPolicy::Unknown("Delete".into()));
        assert_eq!(of(""), DeletionPolicy::Unknown(String::new()));
    }

    #[test]
    fn a_wish_to_look_again_does_not_outdate_what_runs() {
        let of = |annotations: &serde_json::Value| {
            purpose(&object(&json!({"generation": 1, "annotations": annotations})))
        };
        assert_eq!(of(&json!({})), of(&json!({"velocity.sh/reconcile-at": "2026-01-01T00:00:00Z"})));
        assert_ne!(of(&json!({})), of(&json!({"velocity.sh/approve-breaking": "sha256:1"})));
    }
}
