//! The kinds that are served, and how requests find them.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use crate::schema::Schema;
use crate::table::Column;

/// The table of namespaces: every namespaced object needs its row there.
pub(crate) const NAMESPACES: &str = "/namespaces";
/// The table of CustomResourceDefinitions.
pub(crate) const DEFINITIONS: &str = "apiextensions.k8s.io/customresourcedefinitions";

/// What a kind does beyond storing objects that fit its schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Behaviour {
    Custom,
    Definition,
    Namespace,
    Secret,
    ConfigMap,
    Event,
    Lease,
}

/// One resource of one group, in all its served versions.
#[derive(Debug)]
#[expect(clippy::struct_field_names, reason = "named as in Kubernetes")]
pub(crate) struct Kind {
    pub(crate) group: String,
    pub(crate) plural: String,
    pub(crate) singular: String,
    pub(crate) kind: String,
    pub(crate) list_kind: String,
    pub(crate) short_names: Vec<String>,
    pub(crate) categories: Vec<String>,
    pub(crate) namespaced: bool,
    pub(crate) behaviour: Behaviour,
    /// Where its objects are stored; Events of both groups share one table.
    pub(crate) table: String,
    /// The `apiVersion` in which its objects are stored.
    pub(crate) stored_as: String,
    /// Served versions, preferred first.
    pub(crate) versions: Vec<Version>,
}

#[derive(Debug)]
pub(crate) struct Version {
    pub(crate) name: String,
    pub(crate) has_status: bool,
    pub(crate) schema: Schema,
    /// The schema as OpenAPI, for the documents.
    pub(crate) openapi: Value,
    pub(crate) columns: Vec<Column>,
    /// Field selectors besides `metadata.name` and `metadata.namespace`.
    pub(crate) selectable: Vec<String>,
}

/// A kind at the version that a request names.
#[derive(Debug, Clone)]
pub(crate) struct Endpoint {
    pub(crate) kind: Arc<Kind>,
    index: usize,
}

impl Endpoint {
    pub(crate) fn version(&self) -> &Version {
        &self.kind.versions[self.index]
    }

    pub(crate) fn schema(&self) -> &Schema {
        &self.version().schema
    }

    /// `v1`, or `group/v1`.
    pub(crate) fn api_version(&self) -> String {
        api_version(&self.kind.group, &self.version().name)
    }

    pub(crate) fn is_read_only(&self) -> bool {
        self.kind.behaviour == Behaviour::Definition
    }
}

pub(crate) fn api_version(group: &str, version: &str) -> String {
    if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") }
}

/// Every kind that this server knows.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    kinds: Vec<Arc<Kind>>,
    endpoints: BTreeMap<(String, String, String), Endpoint>,
}

impl Registry {
    pub(crate) fn add(&mut self, kind: Kind) {
        let kind = Arc::new(kind);
        for (index, version) in kind.versions.iter().enumerate() {
            self.endpoints.insert(
                (kind.group.clone(), version.name.clone(), kind.plural.clone()),
                Endpoint { kind: Arc::clone(&kind), index },
            );
        }
        self.kinds.push(kind);
    }

    pub(crate) fn find(&self, group: &str, version: &str, plural: &str) -> Option<&Endpoint> {
        self.endpoints.get(&(group.to_owned(), version.to_owned(), plural.to_owned()))
    }

    /// Endpoints of one group version, by plural.
    pub(crate) fn of_version<'a>(
        &'a self,
        group: &'a str,
        version: &'a str,
    ) -> impl Iterator<Item = &'a Endpoint> {
        self.endpoints.iter().filter(move |((g, v, _), _)| g == group && v == version).map(|(_, one)| one)
    }

    /// Groups with their versions, preferred first; the core group is `""`.
    pub(crate) fn groups(&self) -> BTreeMap<&str, Vec<&str>> {
        let mut groups: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for kind in &self.kinds {
            let versions = groups.entry(&kind.group).or_default();
            for version in &kind.versions {
                if !versions.contains(&version.name.as_str()) {
                    versions.push(&version.name);
                }
            }
        }
        for versions in groups.values_mut() {
            versions.sort_by_key(|version| std::cmp::Reverse(priority(version)));
        }
        groups
    }
}

/// Kubernetes' version order: `v2` > `v1` > `v1beta2` > `v1beta1` > `v1alpha1` > anything else.
pub(crate) fn priority(version: &str) -> (u8, u64, u64) {
    let Some(rest) = version.strip_prefix('v') else { return (0, 0, 0) };
    let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let Ok(major) = rest[..digits].parse::<u64>() else { return (0, 0, 0) };
    let stability = &rest[digits..];
    if stability.is_empty() {
        return (3, major, 0);
    }
    for (rank, word) in [(2, "beta"), (1, "alpha")] {
        if let Some(Ok(minor)) = stability.strip_prefix(word).map(str::parse::<u64>) {
            return (rank, major, minor);
        }
    }
    (0, 0, 0)
}

#[cfg(test)]
mod tests {
    use super::priority;

    #[test]
    fn stable_versions_come_before_beta_and_alpha() {
        let mut versions = ["v1alpha1", "v1", "foo", "v2", "v1beta2", "v1beta10", "v10"];
        versions.sort_by_key(|version| std::cmp::Reverse(priority(version)));
        assert_eq!(versions, ["v10", "v2", "v1", "v1beta10", "v1beta2", "v1alpha1", "foo"]);
    }
}
