//! What the API counts. Labels are route templates and words of ours, never a tenant's or a caller's.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::routes::{ENDPOINTS, EndpointId};

/// Upper bounds in seconds: a read by id takes half a millisecond, the deadline is a minute.
const SECONDS: [f64; 15] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0];
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

type Labels = Vec<(&'static str, &'static str)>;

/// All metrics of one API.
pub struct Metrics {
    registry: Registry,
    /// One for each of [`ENDPOINTS`], then one for what matches none: handles, so that counting is one atomic add.
    endpoints: Vec<EndpointMetrics>,
    /// The informer's.
    pub(crate) informer: InformerMetrics,
    /// Panics that were caught.
    pub(crate) panics: Counter,
    /// Requests that were told to wait.
    pub(crate) rate_limited: Counter,
    /// Requests that ran once more because their schema had changed.
    pub(crate) repeated: Counter,
    /// Connections that are open.
    pub(crate) connections: Gauge,
}

struct EndpointMetrics {
    by_class: [Counter; 5],
    seconds: Histogram,
}

/// How the informer is.
#[derive(Clone, Default)]
pub(crate) struct InformerMetrics {
    pub(crate) served: Gauge,
    pub(crate) not_ready: Gauge,
    pub(crate) broken: Family<Labels, Gauge>,
    pub(crate) errors: Family<Labels, Counter>,
    pub(crate) last_event: Family<Labels, Gauge>,
    pub(crate) synced: Family<Labels, Gauge>,
}

impl Metrics {
    /// Metrics at zero, with those of other parts (the store's pools) beside them.
    pub fn new(others: Vec<Box<dyn Collector>>) -> Arc<Self> {
        let mut registry = Registry::with_prefix("velocity");
        let requests = Family::<Labels, Counter>::default();
        let durations =
            Family::<Labels, Histogram, fn() -> Histogram>::new_with_constructor(|| Histogram::new(SECONDS));
        registry.register("http_requests", "Requests that were answered", requests.clone());
        registry.register("http_request_seconds", "Time to the head of the response", durations.clone());
        let labels = ENDPOINTS.iter().map(|e| vec![("route", e.template), ("operation", e.operation)]);
        let endpoints = labels
            .chain([vec![("route", "none"), ("operation", "none")]])
            .map(|labels| EndpointMetrics {
                by_class: CLASSES.map(|class| {
                    let labels = labels.iter().copied().chain([("status", class)]).collect();
                    requests.get_or_create(&labels).clone()
                }),
                seconds: durations.get_or_create(&labels).clone(),
            })
            .collect();
        let informer = InformerMetrics::default();
        informer.register(registry.sub_registry_with_prefix("informer"));
        let (panics, rate_limited, connections) = (Counter::default(), Counter::default(), Gauge::default());
        registry.register("http_panics", "Requests whose handler panicked", panics.clone());
        registry.register("http_rate_limited", "Requests refused for the actor's rate", rate_limited.clone());
        let repeated = Counter::default();
        registry.register(
            "http_repeated",
            "Requests that ran once more under a changed schema",
            repeated.clone(),
        );
        registry.register("http_connections", "Open connections", connections.clone());
        for collector in others {
            registry.register_collector(collector);
        }
        Arc::new(Self { registry, endpoints, informer, panics, rate_limited, repeated, connections })
    }

    /// Counts an answered request.
    pub(crate) fn count(&self, endpoint: Option<EndpointId>, status: StatusCode, took: Duration) {
        let index = endpoint.map_or(ENDPOINTS.len(), EndpointId::index);
        let Some(metrics) = self.endpoints.get(index) else { return };
        let class = usize::from(status.as_u16() / 100).clamp(1, 5) - 1;
        metrics.by_class[class].inc();
        metrics.seconds.observe(took.as_secs_f64());
    }

    /// The OpenMetrics text.
    pub fn text(&self) -> String {
        let mut out = String::new();
        if encode(&mut out, &self.registry).is_err() {
            let _ = writeln!(out, "# EOF");
        }
        out
    }
}

impl InformerMetrics {
    fn register(&self, registry: &mut Registry) {
        registry.register("schemas_served", "Schemas that requests can use", self.served.clone());
        registry.register(
            "schemas_not_ready",
            "Schemas that are declared and not provisioned",
            self.not_ready.clone(),
        );
        registry.register(
            "broken_objects",
            "Objects that do not parse or validate, by kind",
            self.broken.clone(),
        );
        registry.register("errors", "Failed lists, watches and loads, by kind", self.errors.clone());
        registry.register(
            "last_event_timestamp_seconds",
            "When the last event arrived, by kind, in seconds since the epoch",
            self.last_event.clone(),
        );
        registry.register("synced", "Whether the first list is complete, by kind", self.synced.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_by_template_and_class() {
        let metrics = Metrics::new(Vec::new());
        let read = crate::routes::endpoint("GET", "/api/{org}/{app}/{domain}/{object}/{version}/{id}");
        metrics.count(read, StatusCode::OK, Duration::from_millis(1));
        metrics.count(read, StatusCode::NOT_FOUND, Duration::from_millis(1));
        metrics.count(None, StatusCode::NOT_FOUND, Duration::from_millis(1));
        let text = metrics.text();
        let line = |status: &str| {
            format!(
                r#"velocity_http_requests_total{{route="/api/{{org}}/{{app}}/{{domain}}/{{object}}/{{version}}/{{id}}",operation="read",status="{status}"}} 1"#
            )
        };
        assert!(text.contains(&line("2xx")) && text.contains(&line("4xx")), "{text}");
        assert!(text.contains(r#"route="none",operation="none",status="4xx"} 1"#), "{text}");
    }
}
