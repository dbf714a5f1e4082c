//! The resources as Kubernetes objects.
//!
//! For lists and watches wrap them in `kube::core::DeserializeGuard`, so that one unreadable object hurts only itself.

use std::borrow::Cow;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube_core::{NamespaceResourceScope, Resource};
use serde::ser::SerializeStruct;
use serde::{Deserialize, Serialize, Serializer};
use velocity_schema::spec::SchemaDefinitionSpec;

use crate::auth_strategy::AuthStrategySpec;
use crate::role_binding::RoleBindingSpec;
use crate::status::{AuthStrategyStatus, RoleBindingStatus, SchemaDefinitionStatus};
use crate::{API_VERSION, GROUP, VERSION};

macro_rules! kubernetes_object {
    ($(#[$doc:meta])* $name:ident, $plural:literal, $spec:ty, $status:ty) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Deserialize)]
        pub struct $name {
            /// Name, namespace, labels, annotations and what the API server keeps.
            pub metadata: ObjectMeta,
            /// What is wanted.
            pub spec: $spec,
            /// What is.
            #[serde(default)]
            pub status: Option<$status>,
        }

        impl $name {
            /// The kind, as manifests have it.
            pub const KIND: &'static str = stringify!($name);
            /// The plural, as paths have it.
            pub const PLURAL: &'static str = $plural;

            /// An object that is not on a cluster yet.
            pub fn new(namespace: impl Into<String>, name: impl Into<String>, spec: $spec) -> Self {
                let metadata = ObjectMeta {
                    name: Some(name.into()),
                    namespace: Some(namespace.into()),
                    ..ObjectMeta::default()
                };
                Self { metadata, spec, status: None }
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let fields = 4 + usize::from(self.status.is_some());
                let mut object = serializer.serialize_struct(Self::KIND, fields)?;
                object.serialize_field("apiVersion", API_VERSION)?;
                object.serialize_field("kind", Self::KIND)?;
                object.serialize_field("metadata", &self.metadata)?;
                object.serialize_field("spec", &self.spec)?;
                if let Some(status) = &self.status {
                    object.serialize_field("status", status)?;
                }
                object.end()
            }
        }

        impl Resource for $name {
            type DynamicType = ();
            type Scope = NamespaceResourceScope;

            fn kind((): &()) -> Cow<'_, str> {
                Self::KIND.into()
            }

            fn group((): &()) -> Cow<'_, str> {
                GROUP.into()
            }

            fn version((): &()) -> Cow<'_, str> {
                VERSION.into()
            }

            fn plural((): &()) -> Cow<'_, str> {
                Self::PLURAL.into()
            }

            fn meta(&self) -> &ObjectMeta {
                &self.metadata
            }

            fn meta_mut(&mut self) -> &mut ObjectMeta {
                &mut self.metadata
            }
        }
    };
}

kubernetes_object! {
    /// The contract of one object type, with where it stands.
    SchemaDefinition, "schemadefinitions", SchemaDefinitionSpec, SchemaDefinitionStatus
}

kubernetes_object! {
    /// How callers prove who they are, with where it stands.
    AuthStrategy, "authstrategies", AuthStrategySpec, AuthStrategyStatus
}

kubernetes_object! {
    /// Roles and attributes for an actor in a domain, with where it stands.
    RoleBinding, "rolebindings", RoleBindingSpec, RoleBindingStatus
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_object_carries_its_type_and_reads_back() {
        let json = json!({
            "apiVersion": "velocity.sh/v1", "kind": "AuthStrategy",
            "metadata": { "name": "keys", "namespace": "platform" },
            "spec": { "type": "apiKey", "apiKey": { "headerName": "X-Key" } },
        });
        let object: AuthStrategy = serde_json::from_value(json.clone()).unwrap();
        assert_eq!(serde_json::to_value(&object).unwrap(), json);
        assert_eq!(
            AuthStrategy::url_path(&(), Some("platform")),
            "/apis/velocity.sh/v1/namespaces/platform/authstrategies"
        );
    }
}
