//! Which kinds there are, as the API server lists them.

use std::cell::RefCell;
use std::collections::HashMap;

use serde::Deserialize;
use velocity_contract::API_VERSION;
use velocity_schema::violation::did_you_mean;

use super::Cluster;
use crate::failure::{Exit, Failure, Outcome};
use crate::server::segment;

/// A kind of resource.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_field_names, reason = "the words of the Kubernetes API")]
pub(crate) struct Kind {
    /// `velocity.sh/v1`; `v1` for the core group.
    #[serde(skip)]
    pub(crate) api_version: String,
    /// `SchemaDefinition`.
    pub(crate) kind: String,
    /// `schemadefinitions`.
    #[serde(rename = "name")]
    pub(crate) plural: String,
    /// `schemadefinition`; older servers leave it empty.
    #[serde(default, rename = "singularName")]
    singular: String,
    /// `sd`.
    #[serde(default)]
    short_names: Vec<String>,
    /// Whether it lives in namespaces.
    pub(crate) namespaced: bool,
}

#[derive(Deserialize)]
struct ResourceList {
    resources: Vec<Kind>,
}

impl Kind {
    /// The path of all of them, or of those in one namespace.
    pub(crate) fn collection(&self, namespace: Option<&str>) -> String {
        let root = if self.api_version.contains('/') { "apis" } else { "api" };
        match namespace.filter(|_| self.namespaced) {
            Some(namespace) => {
                format!("/{root}/{}/namespaces/{}/{}", self.api_version, segment(namespace), self.plural)
            }
            None => format!("/{root}/{}/{}", self.api_version, self.plural),
        }
    }

    /// The path of one.
    pub(crate) fn object(&self, namespace: Option<&str>, name: &str) -> String {
        format!("{}/{}", self.collection(namespace), segment(name))
    }

    /// `schemadefinition.velocity.sh/NAME`, as kubectl names it.
    pub(crate) fn display(&self, name: &str) -> String {
        let kind = self.kind.to_ascii_lowercase();
        match self.api_version.split_once('/') {
            Some((group, _)) => format!("{kind}.{group}/{name}"),
            None => format!("{kind}/{name}"),
        }
    }

    fn is_called(&self, word: &str) -> bool {
        let word = word.to_ascii_lowercase();
        let (word, group) = word.split_once('.').unwrap_or((&word, ""));
        let own_group = self.api_version.split_once('/').map_or("", |(group, _)| group);
        (group.is_empty() || group == own_group)
            && (self.plural == word
                || self.singular == word
                || self.kind.to_ascii_lowercase() == word
                || self.short_names.iter().any(|short| short == word))
    }
}

/// The kinds of a cluster, asked for once each.
pub(crate) struct Kinds<'a> {
    cluster: &'a Cluster,
    seen: RefCell<HashMap<String, Vec<Kind>>>,
}

impl<'a> Kinds<'a> {
    pub(crate) fn of(cluster: &'a Cluster) -> Self {
        Self { cluster, seen: RefCell::default() }
    }

    /// The kind that a person means: singular, plural, kind or short name, ours first.
    pub(crate) async fn called(&self, word: &str) -> Outcome<Kind> {
        let ours = self.list(API_VERSION).await?;
        if let Some(kind) = ours.iter().find(|kind| kind.is_called(word)) {
            return Ok(kind.clone());
        }
        let core = self.list("v1").await?;
        core.into_iter().find(|kind| kind.is_called(word)).ok_or_else(|| {
            let near = did_you_mean(
                word,
                ours.iter().flat_map(|kind| [kind.plural.as_str(), kind.singular.as_str()]),
            );
            let known: Vec<&str> = ours.iter().map(|kind| kind.plural.as_str()).collect();
            Failure::usage(format!("there is no kind `{word}`{near}"))
                .with_help(format!("kinds of Velocity here: {}", known.join(", ")))
        })
    }

    /// The kind of a manifest.
    pub(crate) async fn of_manifest(&self, api_version: &str, kind: &str) -> Outcome<Kind> {
        let known = match self.list(api_version).await {
            Err(failure) if failure.exit() == Some(Exit::NotFound) => Vec::new(),
            other => other?,
        };
        known.into_iter().find(|known| known.kind == kind).ok_or_else(|| {
            let failure =
                Failure::failed(format!("the cluster does not know the kind {kind} of {api_version}"));
            if api_version == API_VERSION {
                failure.with_help("the CustomResourceDefinitions are missing: apply deploy/crds first")
            } else {
                failure
            }
        })
    }

    async fn list(&self, api_version: &str) -> Outcome<Vec<Kind>> {
        if let Some(known) = self.seen.borrow().get(api_version) {
            return Ok(known.clone());
        }
        let root = if api_version.contains('/') { "apis" } else { "api" };
        let answer = self.cluster.get(&format!("/{root}/{api_version}")).await?;
        let list: ResourceList = serde_json::from_value(answer.value()?).map_err(|error| {
            Failure::failed(format!("the kinds of {api_version} cannot be read: {error}"))
        })?;
        let kinds: Vec<Kind> = list
            .resources
            .into_iter()
            // `pods/status` and its like are parts of other kinds.
            .filter(|kind| !kind.plural.contains('/'))
            .map(|kind| Kind { api_version: api_version.to_owned(), ..kind })
            .collect();
        self.seen.borrow_mut().insert(api_version.to_owned(), kinds.clone());
        Ok(kinds)
    }
}
