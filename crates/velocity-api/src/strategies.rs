//! The AuthStrategies that run, and the identity of a request under the one that decides.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use jiff::Timestamp;
use velocity_access::{Authenticator, Identity};
use velocity_schema::schema::StrategyRef;

use crate::error::ApiError;

/// Every strategy that runs at one moment. One that is broken is not in it: nobody gets in through it.
pub type RunningStrategies = HashMap<StrategyRef, Arc<Authenticator>>;

/// The current [`RunningStrategies`]: written by the informer, read by every request without a lock.
#[derive(Clone, Default)]
pub struct Strategies(Arc<ArcSwap<RunningStrategies>>);

impl Strategies {
    /// Replaces them.
    pub fn store(&self, running: RunningStrategies) {
        self.0.store(Arc::new(running));
    }

    /// How many run.
    pub fn len(&self) -> usize {
        self.0.load().len()
    }

    /// Whether none runs.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The caller's identity under `strategy`. Without a strategy nobody has one.
    pub(crate) async fn authenticate(
        &self,
        strategy: Option<&StrategyRef>,
        headers: &HeaderMap,
    ) -> Result<Arc<Identity>, ApiError> {
        let running = strategy.and_then(|strategy| self.0.load().get(strategy).cloned());
        let Some(authenticator) = running else {
            let credential_sent = headers.contains_key(AUTHORIZATION);
            return Err(ApiError::NoStrategy { strategy: strategy.cloned(), credential_sent });
        };
        let credentials = headers.get_all(AUTHORIZATION).iter().map(http::HeaderValue::as_bytes);
        Ok(authenticator.authenticate(credentials, Timestamp::now()).await?)
    }
}
