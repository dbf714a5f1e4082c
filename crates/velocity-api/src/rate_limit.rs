//! A token bucket for each actor.

use std::hash::{BuildHasher, RandomState};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::state::keyed::DefaultKeyedStateStore;
use governor::{Quota, RateLimiter};

use crate::config::RateConfig;

/// Full buckets are forgotten once in so many checks, so that actors who left cost nothing.
const CHECKS_BETWEEN_SWEEPS: u32 = 65_536;

/// Why a request has to wait: what the `X-RateLimit-*` headers say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Exceeded {
    /// The size of the bucket.
    pub(crate) limit: NonZeroU32,
    /// When one request will be let through again.
    pub(crate) retry_after: Duration,
}

/// The buckets of all actors.
pub(crate) struct ActorLimiter {
    limiter: RateLimiter<u64, DefaultKeyedStateStore<u64>, DefaultClock>,
    clock: DefaultClock,
    hasher: RandomState,
    burst: NonZeroU32,
    checks: AtomicU32,
}

impl ActorLimiter {
    pub(crate) fn new(config: RateConfig) -> Self {
        let quota = Quota::per_second(config.per_second).allow_burst(config.burst);
        Self {
            limiter: RateLimiter::keyed(quota),
            clock: DefaultClock::default(),
            hasher: RandomState::new(),
            burst: config.burst,
            checks: AtomicU32::new(0),
        }
    }

    /// Takes one token of the actor, whom `strategy` proved: actors of two strategies are two actors.
    pub(crate) fn take(&self, strategy: &str, actor: &str) -> Result<(), Exceeded> {
        if self.checks.fetch_add(1, Ordering::Relaxed) % CHECKS_BETWEEN_SWEEPS == CHECKS_BETWEEN_SWEEPS - 1 {
            self.limiter.retain_recent();
        }
        // The hash stands for the actor: no allocation per request, and a collision merely shares a bucket.
        let key = self.hasher.hash_one((strategy, actor));
        self.limiter.check_key(&key).map_err(|denied| Exceeded {
            limit: self.burst,
            retry_after: denied.wait_time_from(self.clock.now()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_actor_has_a_bucket_of_its_own() {
        let one_an_hour = RateConfig { per_second: NonZeroU32::MIN, burst: NonZeroU32::new(3).unwrap() };
        let limiter = ActorLimiter::new(one_an_hour);
        for _ in 0..3 {
            assert_eq!(limiter.take("platform/dev", "ravi"), Ok(()));
        }
        let exceeded = limiter.take("platform/dev", "ravi").unwrap_err();
        assert_eq!(exceeded.limit.get(), 3);
        assert!(exceeded.retry_after <= Duration::from_secs(1) && !exceeded.retry_after.is_zero());
        assert_eq!(limiter.take("platform/dev", "mia"), Ok(()));
        assert_eq!(limiter.take("platform/other", "ravi"), Ok(()));
    }
}
