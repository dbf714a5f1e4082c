//! The Secrets that strategies name: each is watched by its name, and no other is ever asked for.
//!
//! On a cluster this needs `get`, `list` and `watch` of Secrets, with `resourceNames` if one likes: a list and a watch of
//! one name are allowed by it.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::sync::Arc;

use futures::StreamExt;
use k8s_openapi::ByteString;
use kube::ResourceExt;
use kube::api::{Api, ApiResource, DynamicObject};
use kube::core::GroupVersionKind;
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt, watcher as watch};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::driver::note_error;
use crate::metrics::Metrics;

const SECRETS: &str = "Secret";

/// Namespace and name.
pub(crate) type SecretName = (String, String);

/// What is known of a Secret. No value of it ever enters a text.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Known {
    /// It is not there.
    Missing,
    /// The Kubernetes API does not say: why.
    Unreadable(String),
    /// Its entries.
    Found(BTreeMap<String, Vec<u8>>),
}

impl Known {
    /// The text under `key`, without the line break that editors leave at the end; or why there is none.
    pub(crate) fn text(&self, key: &str) -> Result<String, String> {
        let bytes = match self {
            Self::Missing => return Err("is not there".to_owned()),
            Self::Unreadable(why) => return Err(format!("cannot be read: {why}")),
            Self::Found(entries) => entries.get(key).ok_or_else(|| format!("has nothing under `{key}`"))?,
        };
        let text = std::str::from_utf8(bytes).map_err(|_| format!("has no text under `{key}`"))?;
        let text = text.trim_end_matches(['\r', '\n']);
        if text.is_empty() { Err(format!("has nothing under `{key}`")) } else { Ok(text.to_owned()) }
    }

    fn of(object: &DynamicObject) -> Self {
        let data = object.data.get("data").and_then(serde_json::Value::as_object);
        let entries = data.into_iter().flatten().filter_map(|(key, value)| {
            Some((key.clone(), serde_json::from_value::<ByteString>(value.clone()).ok()?.0))
        });
        Self::Found(entries.collect())
    }
}

/// What a watch says.
pub(crate) type News = (SecretName, Known);

/// A watch for each Secret that is wanted.
pub(crate) struct SecretWatches {
    client: kube::Client,
    metrics: Arc<Metrics>,
    running: BTreeMap<SecretName, Watching>,
    news: mpsc::UnboundedSender<News>,
}

struct Watching(JoinHandle<()>);

impl Drop for Watching {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl SecretWatches {
    pub(crate) fn new(client: kube::Client, metrics: Arc<Metrics>) -> (Self, mpsc::UnboundedReceiver<News>) {
        let (news, receiver) = mpsc::unbounded_channel();
        (Self { client, metrics, running: BTreeMap::new(), news }, receiver)
    }

    /// Watches exactly these.
    pub(crate) fn want(&mut self, wanted: &BTreeSet<SecretName>) {
        self.running.retain(|name, _| wanted.contains(name));
        for name in wanted {
            if !self.running.contains_key(name) {
                let (client, metrics, news) =
                    (self.client.clone(), Arc::clone(&self.metrics), self.news.clone());
                let task = tokio::spawn(follow(client, name.clone(), metrics, news));
                self.running.insert(name.clone(), Watching(task));
            }
        }
    }
}

async fn follow(
    client: kube::Client,
    name: SecretName,
    metrics: Arc<Metrics>,
    news: mpsc::UnboundedSender<News>,
) {
    let kind = ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk("", "v1", SECRETS), "secrets");
    let api: Api<DynamicObject> = Api::namespaced_with(client, &name.0, &kind);
    let config = watch::Config::default().fields(&format!("metadata.name={}", name.1));
    let mut events = pin!(watch::watcher(api, config).default_backoff());
    let (mut listed, mut known) = (None, None);
    while let Some(event) = events.next().await {
        let now = match event {
            Ok(Event::Init) => {
                listed = None;
                continue;
            }
            Ok(Event::InitApply(object)) => {
                listed = is_it(&object, &name).then(|| Known::of(&object)).or(listed);
                continue;
            }
            Ok(Event::InitDone) => listed.take().unwrap_or(Known::Missing),
            Ok(Event::Apply(object)) if is_it(&object, &name) => Known::of(&object),
            Ok(Event::Delete(object)) if is_it(&object, &name) => Known::Missing,
            Ok(Event::Apply(_) | Event::Delete(_)) => continue,
            Err(error) => {
                note_error(&metrics, SECRETS, &error);
                // What was read stays in force while the Kubernetes API is away; what was never read is told to be so.
                match (&known, denial(&error)) {
                    (_, Some(why)) => Known::Unreadable(why),
                    (None, None) => Known::Unreadable("the Kubernetes API does not answer".to_owned()),
                    (Some(_), None) => continue,
                }
            }
        };
        if known.as_ref() != Some(&now) {
            known = Some(now.clone());
            let _ = news.send((name.clone(), now));
        }
    }
}

/// A server that does not know the selector would send others.
fn is_it(object: &DynamicObject, name: &SecretName) -> bool {
    object.name_any() == name.1 && object.namespace().as_deref().is_none_or(|namespace| namespace == name.0)
}

/// That the API may not read it.
fn denial(error: &watcher::Error) -> Option<String> {
    let (watcher::Error::InitialListFailed(source)
    | watcher::Error::WatchStartFailed(source)
    | watcher::Error::WatchFailed(source)) = error
    else {
        return None;
    };
    match source {
        kube::Error::Api(refused) if refused.code == 403 => {
            Some("the API may not get, list and watch it: grant that for this name".to_owned())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_secret_gives_its_text_and_nothing_else() {
        let object = serde_json::from_value(json!({
            "metadata": { "name": "s", "namespace": "n" },
            "data": { "good": "c2VjcmV0", "line": "c2VjcmV0Cg==", "empty": "", "bytes": "/w==", "broken": "%" }
        }))
        .unwrap();
        let known = Known::of(&object);
        assert_eq!(known.text("good").unwrap(), "secret");
        assert_eq!(known.text("line").unwrap(), "secret");
        for key in ["empty", "bytes", "broken", "other"] {
            assert!(known.text(key).unwrap_err().contains(key), "{key}");
        }
        assert!(Known::Missing.text("good").unwrap_err().contains("not there"));
        assert!(Known::Unreadable("why".into()).text("good").unwrap_err().contains("why"));
    }
}
