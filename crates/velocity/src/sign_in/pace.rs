//! How often it is asked whether a person has signed in, and for how long.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::failure::{Failure, Outcome};

/// Never faster than that, whatever the other side says.
const FASTEST: Duration = Duration::from_millis(100);
/// By how much it slows down when asked to (RFC 8628, section 3.5).
const SLOWER: Duration = Duration::from_secs(5);

/// The pace of the questions.
pub(crate) struct Pace {
    pause: Duration,
    deadline: Instant,
}

impl Pace {
    /// Every so many seconds, until so many have passed.
    pub(crate) fn new(interval: u64, expires_in: u64) -> Self {
        // A day is longer than any code lives, and a deadline that cannot be computed is none.
        let lifetime = Duration::from_secs(expires_in.min(86_400));
        Self {
            pause: Duration::from_secs(interval.min(60)).max(FASTEST),
            deadline: Instant::now() + lifetime,
        }
    }

    pub(crate) fn slow_down(&mut self) {
        self.pause += SLOWER;
    }

    /// Waits until it is time for the next question.
    pub(crate) async fn wait(&self) -> Outcome {
        if Instant::now() + self.pause > self.deadline {
            return Err(
                Failure::failed("nobody signed in in time").with_help("run `velocity auth login` again")
            );
        }
        sleep(self.pause).await;
        Ok(())
    }
}
