//! How checking revocations goes, for `/metrics`: an outage of it is seen there before anyone is refused.

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use velocity_access::Revocations;

struct RevocationCollector(Revocations);

impl std::fmt::Debug for RevocationCollector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RevocationCollector")
    }
}

/// The numbers of these revocations for the metrics.
pub fn revocation_collector(revocations: &Revocations) -> Box<dyn Collector> {
    Box::new(RevocationCollector(revocations.clone()))
}

impl Collector for RevocationCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let status = self.0.status();
        let mut gauge = |name, help, value: f64| {
            ConstGauge::new(value).encode(encoder.encode_descriptor(name, help, None, MetricType::Gauge)?)
        };
        #[expect(clippy::cast_precision_loss, reason = "a count for a graph")]
        gauge("revocations_known", "Revocations that this replica knows", status.known as f64)?;
        // Before the first answer nothing is fresh.
        let age = status.age.map_or(f64::INFINITY, |age| age.as_secs_f64());
        gauge("revocations_age_seconds", "How old the last answer about revocations is", age)?;
        let failures = encoder.encode_descriptor(
            "revocations_failures",
            "Questions about revocations that failed",
            None,
            MetricType::Counter,
        )?;
        ConstCounter::new(status.failures).encode(failures)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use jiff::Timestamp;
    use velocity_access::{Identity, IdentityParts, NoRevocations};

    use super::*;
    use crate::metrics::Metrics;

    #[tokio::test]
    async fn the_age_of_the_last_answer_is_infinite_before_the_first() {
        let revocations = Revocations::new(Arc::new(NoRevocations));
        let metrics = Metrics::new(vec![revocation_collector(&revocations)]);
        let age = || {
            let text = metrics.text();
            let found = text.lines().find_map(|line| line.strip_prefix("velocity_revocations_age_seconds "));
            found.unwrap_or_else(|| panic!("{text}")).parse::<f64>().unwrap()
        };
        assert!(age().is_infinite());
        let identity = Identity::new(IdentityParts::user("ravi", "platform/dev", Timestamp::MAX)).unwrap();
        revocations.check(&identity, false, Timestamp::now()).await.unwrap();
        assert!(age().is_finite());
        let text = metrics.text();
        assert!(
            text.contains("velocity_revocations_failures_total 0")
                && text.contains("\nvelocity_revocations_known 0"),
            "{text}"
        );
    }
}
