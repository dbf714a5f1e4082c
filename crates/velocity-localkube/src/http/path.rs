//! What a path names, and which verb a method is on it.

use http::Method;

use crate::kind::{Behaviour, Endpoint};
use crate::status::ApiError;

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Target {
    Health,
    Version,
    Root,
    /// `/api`
    LegacyVersions,
    /// `/apis`
    Groups,
    Group(String),
    /// `/api/v1` or `/apis/{group}/{version}`
    Resources {
        group: String,
        version: String,
    },
    OpenApiIndex,
    OpenApi {
        group: String,
        version: String,
    },
    OpenApiV2,
    Resource {
        group: String,
        version: String,
        namespace: Option<String>,
        plural: String,
        name: Option<String>,
        subresource: Option<String>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Get,
    List,
    Create,
    Update,
    Patch,
    Delete,
    DeleteCollection,
}

impl Verb {
    /// The kind that the verb's options have in messages.
    pub(super) fn options_kind(self) -> &'static str {
        match self {
            Self::Get => "GetOptions",
            Self::List => "ListOptions",
            Self::Create => "CreateOptions",
            Self::Update => "UpdateOptions",
            Self::Patch => "PatchOptions",
            Self::Delete | Self::DeleteCollection => "DeleteOptions",
        }
    }

    pub(super) fn of(method: &Method, named: bool) -> Result<Self, ApiError> {
        Ok(match (method.as_str(), named) {
            ("GET" | "HEAD", true) => Self::Get,
            ("GET" | "HEAD", false) => Self::List,
            ("POST", false) => Self::Create,
            ("PUT", true) => Self::Update,
            ("PATCH", true) => Self::Patch,
            ("DELETE", true) => Self::Delete,
            ("DELETE", false) => Self::DeleteCollection,
            _ => return Err(ApiError::method_not_allowed()),
        })
    }
}

impl Target {
    pub(super) fn parse(path: &str) -> Result<Self, ApiError> {
        let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
        match segments.as_slice() {
            [] => Ok(Self::Root),
            ["readyz" | "livez" | "healthz", ..] => Ok(Self::Health),
            ["version"] => Ok(Self::Version),
            ["api"] => Ok(Self::LegacyVersions),
            ["apis"] => Ok(Self::Groups),
            ["apis", group] => Ok(Self::Group((*group).to_owned())),
            ["openapi", "v3"] => Ok(Self::OpenApiIndex),
            ["openapi", "v2"] => Ok(Self::OpenApiV2),
            ["openapi", "v3", "api", version] => {
                Ok(Self::OpenApi { group: String::new(), version: (*version).to_owned() })
            }
            ["openapi", "v3", "apis", group, version] => {
                Ok(Self::OpenApi { group: (*group).to_owned(), version: (*version).to_owned() })
            }
            ["api", version, rest @ ..] => Self::resource("", version, rest),
            ["apis", group, version, rest @ ..] => Self::resource(group, version, rest),
            _ => Err(ApiError::no_page()),
        }
    }

    fn resource(group: &str, version: &str, rest: &[&str]) -> Result<Self, ApiError> {
        let (namespace, rest) = match rest {
            [] => return Ok(Self::Resources { group: group.to_owned(), version: version.to_owned() }),
            // A namespace itself, or one of its subresources.
            ["namespaces"] | ["namespaces", _] | ["namespaces", _, "status" | "finalize"]
                if group.is_empty() =>
            {
                (None, rest)
            }
            ["namespaces", namespace, rest @ ..] => (Some((*namespace).to_owned()), rest),
            rest => (None, rest),
        };
        let (plural, name, subresource) = match rest {
            [plural] => (plural, None, None),
            [plural, name] => (plural, Some(name), None),
            [plural, name, subresource] => (plural, Some(name), Some(subresource)),
            _ => return Err(ApiError::no_page()),
        };
        Ok(Self::Resource {
            group: group.to_owned(),
            version: version.to_owned(),
            namespace,
            plural: (*plural).to_owned(),
            name: name.map(|name| (*name).to_owned()),
            subresource: subresource.map(|name| (*name).to_owned()),
        })
    }
}

/// Refuses what the kind does not have: a namespace on a cluster-scoped kind, an unknown subresource, writes over
/// all namespaces at once.
pub(super) fn check(
    endpoint: &Endpoint,
    verb: Verb,
    namespace: Option<&str>,
    name: Option<&str>,
    subresource: Option<&str>,
) -> Result<(), ApiError> {
    let is_custom = endpoint.kind.behaviour == Behaviour::Custom;
    let no_route = || if is_custom { ApiError::no_page() } else { ApiError::unknown_path() };
    if endpoint.kind.namespaced && namespace.is_none() && (name.is_some() || verb != Verb::List) {
        return Err(if name.is_none() && !is_custom { ApiError::method_not_allowed() } else { no_route() });
    }
    if !endpoint.kind.namespaced && namespace.is_some() {
        return Err(no_route());
    }
    match subresource {
        None => Ok(()),
        Some("status") if endpoint.version().has_status => Ok(()),
        Some(_) if is_custom => {
            Err(ApiError::not_found(&endpoint.kind.group, &endpoint.kind.plural, name.unwrap_or_default()))
        }
        Some(_) => Err(ApiError::unknown_path()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_is_a_resource_and_a_place() {
        let resource = |path| match Target::parse(path).unwrap() {
            Target::Resource { namespace, plural, name, subresource, .. } => {
                (namespace, plural, name, subresource)
            }
            other => panic!("{other:?}"),
        };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(resource("/api/v1/namespaces/a"), (None, "namespaces".into(), some("a"), None));
        assert_eq!(
            resource("/api/v1/namespaces/a/status"),
            (None, "namespaces".into(), some("a"), some("status"))
        );
        assert_eq!(resource("/api/v1/namespaces/a/secrets"), (some("a"), "secrets".into(), None, None));
        assert_eq!(
            resource("/apis/x.io/v1/namespaces/a/things/b/status"),
            (some("a"), "things".into(), some("b"), some("status"))
        );
    }
}
