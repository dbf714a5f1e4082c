//! How long to leave a server alone after it could not be reached.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{ConnectError, Ran, Unavailable, UnavailableReason};

/// First pause: a dropped connection or a fail-over in progress deserves a quick second try.
const FIRST: Duration = Duration::from_millis(100);

/// Longest pause: recovery is noticed within this time.
const LONGEST: Duration = Duration::from_secs(3);

/// The state after consecutive failures to connect.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
    until: Option<Instant>,
    cause: Option<Arc<ConnectError>>,
}

impl Backoff {
    /// Whether the last attempt failed.
    pub(super) fn is_troubled(&self) -> bool {
        self.failures > 0
    }

    /// Whether an attempt may be made at `now`.
    pub(super) fn allows(&self, now: Instant) -> bool {
        self.until.is_none_or(|until| until <= now)
    }

    pub(super) fn succeeded(&mut self) {
        *self = Self::default();
    }

    /// Notes a failure. `jitter` from 0 to 1 spreads the clients of one server over half of the pause.
    pub(super) fn failed(&mut self, now: Instant, jitter: f64, cause: Arc<ConnectError>) {
        let pause = FIRST.saturating_mul(1 << self.failures.min(8)).min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        self.until = Some(now + pause.mul_f64(0.5 + 0.5 * jitter.clamp(0.0, 1.0)));
        self.cause = Some(cause);
    }

    /// What a caller is told meanwhile.
    pub(super) fn unavailable(&self, now: Instant) -> Unavailable {
        let remaining = self.until.map_or(Duration::ZERO, |until| until.saturating_duration_since(now));
        Unavailable {
            reason: UnavailableReason::Unreachable,
            retry_after: remaining.max(FIRST),
            ran: Ran::No,
            source: self.cause.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_limit_and_end_with_the_first_success() {
        let mut backoff = Backoff::default();
        let now = Instant::now();
        assert!(backoff.allows(now));
        let mut pauses = Vec::new();
        for _ in 0..12 {
            let cause = Arc::new(ConnectError::Protocol("test".into()));
            backoff.failed(now, 1.0, cause);
            assert!(!backoff.allows(now));
            pauses.push(backoff.unavailable(now).retry_after);
        }
        assert_eq!(pauses[..3], [FIRST, FIRST * 2, FIRST * 4]);
        assert_eq!(pauses[11], LONGEST);
        assert!(backoff.allows(now + LONGEST));
        backoff.succeeded();
        assert!(backoff.allows(now) && !backoff.is_troubled());
    }

    #[test]
    fn jitter_takes_up_to_half_of_the_pause_away() {
        let now = Instant::now();
        for jitter in [0.0, 0.5, 1.0] {
            let mut backoff = Backoff::default();
            for _ in 0..4 {
                backoff.failed(now, jitter, Arc::new(ConnectError::Protocol("test".into())));
            }
            let pause = backoff.unavailable(now).retry_after;
            assert!(pause >= FIRST * 4 && pause <= FIRST * 8, "{pause:?}");
        }
    }
}
