//! Waiting for what comes by itself.

use std::time::Duration;

use tokio::time::{Instant, sleep};

/// When to give up. Says nothing about how long anything may take: only that a test shall end.
pub(crate) const PATIENCE: Duration = Duration::from_mins(2);

/// Looks again and again until there is something to see.
pub(crate) async fn eventually<T>(what: &str, look: impl AsyncFn() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(seen) = look().await {
            return seen;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        sleep(Duration::from_millis(20)).await;
    }
}
