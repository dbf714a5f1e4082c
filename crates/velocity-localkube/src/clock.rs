//! The one place that reads the clock for what is stored.

use jiff::{Timestamp, Unit};

/// Now, as Kubernetes writes times: RFC 3339, UTC, whole seconds.
pub(crate) fn now() -> String {
    // Rounding down a time of this century cannot leave the range.
    let now = Timestamp::now();
    now.round(jiff::TimestampRound::new().smallest(Unit::Second).mode(jiff::RoundMode::Trunc))
        .unwrap_or(now)
        .to_string()
}
