//! From watch events to the catalog.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, Stream, StreamExt};
use jiff::Timestamp;
use kube::api::DynamicObject;
use kube::runtime::watcher::{self, Event};
use tokio::sync::mpsc::UnboundedReceiver;
use velocity_schema::{Schema, SchemaPath};

use super::Targets;
use super::schema_index::{Load, SchemaIndex, key_of};
use super::specs::{LoadError, ProvisionedSpecs, load};
use crate::metrics::Metrics;
use crate::renewal::{Renewal, Waiting};

const SCHEMAS: &str = "SchemaDefinition";
/// Most events that are taken together before the catalog is published: a storm of changes swaps it once.
pub(super) const BATCH: usize = 256;
/// First pause before a provisioned spec is asked for again, doubled up to [`LOAD_PAUSE_MAX`].
const LOAD_PAUSE: Duration = Duration::from_millis(250);
const LOAD_PAUSE_MAX: Duration = Duration::from_secs(30);

pub(super) type Watched = Result<Event<DynamicObject>, watcher::Error>;
type Loading = FuturesUnordered<BoxFuture<'static, Loaded>>;

/// A load that came back.
struct Loaded {
    wish: Wish,
    outcome: Result<Arc<Schema>, LoadError>,
}

/// What a load is for.
enum Wish {
    /// An object whose status names a spec that we do not have.
    Object {
        load: Load,
        /// How long the next attempt waits.
        pause: Duration,
    },
    /// Requests whose table has another shape than their schema, at this path.
    Requests(String),
}

/// Follows the SchemaDefinitions.
pub(super) async fn follow_schemas(
    events: impl Stream<Item = Watched>,
    specs: Arc<dyn ProvisionedSpecs>,
    targets: &Targets,
) {
    let mut events = pin!(events.ready_chunks(BATCH));
    let mut renewals = targets.catalog.renewals().listen();
    let mut follower = SchemaFollower {
        index: SchemaIndex::default(),
        loading: Loading::new(),
        waiting: Waiting::default(),
        listed: false,
        specs,
    };
    loop {
        let renewed = tokio::select! {
            batch = events.next() => match batch {
                Some(batch) => {
                    for event in batch {
                        follower.take(event, &targets.metrics);
                    }
                    None
                }
                None => return,
            },
            Some(loaded) = follower.loading.next() => follower.take_loaded(loaded, &targets.metrics),
            Some(renewal) = next(&mut renewals) => {
                follower.renew(renewal);
                None
            }
        };
        follower.publish(targets);
        // Only now is there something to be seen.
        if let Some(path) = renewed {
            follower.answer(&path);
        }
    }
}

/// The next wish of a request; never, where another informer listens.
async fn next(renewals: &mut Option<UnboundedReceiver<Renewal>>) -> Option<Renewal> {
    match renewals {
        Some(renewals) => renewals.recv().await,
        None => std::future::pending().await,
    }
}

struct SchemaFollower {
    index: SchemaIndex,
    loading: Loading,
    /// The requests that wait for a load.
    waiting: Waiting,
    /// Whether a list was complete once: until then nothing is published, so that nobody takes a part for the whole.
    listed: bool,
    specs: Arc<dyn ProvisionedSpecs>,
}

impl SchemaFollower {
    fn take(&mut self, event: Watched, metrics: &Metrics) {
        match event {
            Ok(Event::Init) => self.index.begin_list(),
            Ok(Event::InitApply(object) | Event::Apply(object)) => self.apply(&object),
            Ok(Event::InitDone) => {
                self.index.end_list();
                self.listed = true;
            }
            Ok(Event::Delete(object)) => self.index.delete(&key_of(&object)),
            Err(error) => return note_error(metrics, SCHEMAS, &error),
        }
        note_event(metrics, SCHEMAS);
    }

    fn apply(&mut self, object: &DynamicObject) {
        let key = key_of(object);
        let before = self.index.problem(&key).map(str::to_owned);
        let wanted = self.index.apply(object);
        match self.index.problem(&key) {
            Some(problem) if before.as_deref() != Some(problem) => {
                tracing::warn!(
                    schema.object = key,
                    error = problem,
                    "a SchemaDefinition cannot be served as declared"
                );
            }
            _ => {}
        }
        if let Some(wanted) = wanted {
            self.start_load(wanted, Duration::ZERO);
        }
    }

    fn start_load(&self, wanted: Load, pause: Duration) {
        let specs = Arc::clone(&self.specs);
        let loading = async move {
            tokio::time::sleep(pause).await;
            let outcome = load(&*specs, &wanted.path).await;
            let pause = (pause * 2).clamp(LOAD_PAUSE, LOAD_PAUSE_MAX);
            Loaded { wish: Wish::Object { load: wanted, pause }, outcome }
        };
        self.loading.push(loading.boxed());
    }

    /// Takes note of what was loaded. Gives the path whose requests wait for it.
    fn take_loaded(&mut self, loaded: Loaded, metrics: &Metrics) -> Option<String> {
        match (loaded.wish, loaded.outcome) {
            (Wish::Object { load, .. }, Ok(schema)) => {
                self.index.loaded(&load, schema);
                None
            }
            (Wish::Object { load, pause }, Err(error)) => {
                if self.index.awaits(&load) {
                    note_error(metrics, SCHEMAS, &error);
                    self.start_load(load, pause);
                }
                None
            }
            (Wish::Requests(path), Ok(schema)) => {
                self.index.renewed(schema);
                Some(path)
            }
            (Wish::Requests(path), Err(error)) => {
                note_error(metrics, SCHEMAS, &error);
                Some(path)
            }
        }
    }

    /// Looks a path up for a request, unless what it needs is there already.
    fn renew(&mut self, renewal: Renewal) {
        if self.index.catalog().serves_other(&renewal.path, &renewal.spec_hash) {
            renewal.answer();
            return;
        }
        let path = renewal.path.clone();
        if self.waiting.add(renewal) {
            self.start_renewal(path);
        }
    }

    fn start_renewal(&self, path: String) {
        let specs = Arc::clone(&self.specs);
        let loading = async move {
            let outcome = load(&*specs, &path).await;
            Loaded { wish: Wish::Requests(path), outcome }
        };
        self.loading.push(loading.boxed());
    }

    /// Lets the requests go on that waited for a load of their path.
    fn answer(&mut self, path: &str) {
        let catalog = self.index.catalog();
        let is_new_to = |hash: &str| catalog.serves_other(path, hash);
        if self.waiting.loaded(path, is_new_to) {
            self.start_renewal(path.to_owned());
        }
    }

    /// Costs what has changed, however many schemas there are.
    fn publish(&mut self, targets: &Targets) {
        if !self.listed {
            return;
        }
        let metrics = &targets.metrics.informer;
        let changes = self.index.take_changes();
        if changes.any {
            let catalog = self.index.catalog().clone();
            set(&metrics.served, catalog.served.len());
            set(&metrics.not_ready, catalog.not_ready.len());
            targets.catalog.store(catalog);
        }
        if let Some(records) = &targets.records {
            let is_gone = |path: &&SchemaPath| self.index.catalog().served.find(&path.to_string()).is_none();
            changes.gone.iter().filter(is_gone).for_each(|path| records.forget_table(path));
        }
        set(&metrics.broken.get_or_create(&label(SCHEMAS)), self.index.broken());
        metrics.synced.get_or_create(&label(SCHEMAS)).set(1);
        targets.readiness.schemas_are_synced();
    }
}

pub(super) fn label(kind: &'static str) -> Vec<(&'static str, &'static str)> {
    vec![("kind", kind)]
}

pub(super) fn set(gauge: &prometheus_client::metrics::gauge::Gauge, count: usize) {
    gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
}

pub(super) fn note_event(metrics: &Metrics, kind: &'static str) {
    metrics.informer.last_event.get_or_create(&label(kind)).set(Timestamp::now().as_second());
}

pub(super) fn note_error(metrics: &Metrics, kind: &'static str, error: &dyn std::error::Error) {
    metrics.informer.errors.get_or_create(&label(kind)).inc();
    let mut causes = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        causes = format!("{causes}: {cause}");
        source = cause.source();
    }
    tracing::warn!(kind, error = causes, "the informer could not learn of changes and tries again");
}
