//! When a lease may be taken, and when it has to be given up. Pure: times are durations since some moment.

use std::time::Duration;

/// How long a lease holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// How long others leave it to its holder after it was last renewed.
    pub duration: Duration,
    /// How often it is renewed.
    pub renew: Duration,
    /// How long after the last renewal the holder stops, which has to be well before others may take it.
    pub give_up: Duration,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            duration: Duration::from_secs(30),
            renew: Duration::from_secs(10),
            give_up: Duration::from_secs(20),
        }
    }
}

/// A lease as it was seen. Nobody's clock counts but the watcher's own: a lease is over when it has not *changed* for its
/// duration, whatever times are written into it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Empty when it was released.
    pub(crate) holder: String,
    /// How long it holds, by its own account.
    pub(crate) duration: Duration,
}

/// What to do about a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Try to take it now; the API server decides who was first.
    Take,
    /// Leave it for so long, unless it changes.
    Wait(Duration),
}

/// What someone called `me` does about a lease that has been as it is for `unchanged`.
pub(crate) fn turn(seen: Option<&Seen>, unchanged: Duration, me: &str) -> Turn {
    let Some(seen) = seen else { return Turn::Take };
    // One's own lease is one of the process before this one, which ended without releasing it.
    if seen.holder.is_empty() || seen.holder == me || unchanged >= seen.duration {
        return Turn::Take;
    }
    Turn::Wait(seen.duration.saturating_sub(unchanged))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn held_by(holder: &str) -> Seen {
        Seen { holder: holder.into(), duration: 30 * SECOND }
    }

    #[test]
    fn a_lease_that_nobody_has_or_that_was_released_or_that_is_ones_own_is_taken_at_once() {
        assert_eq!(turn(None, Duration::ZERO, "me"), Turn::Take);
        assert_eq!(turn(Some(&held_by("")), Duration::ZERO, "me"), Turn::Take);
        assert_eq!(turn(Some(&held_by("me")), Duration::ZERO, "me"), Turn::Take);
    }

    #[test]
    fn a_lease_of_another_is_left_alone_until_it_has_not_changed_for_its_whole_duration() {
        let other = held_by("other");
        assert_eq!(turn(Some(&other), Duration::ZERO, "me"), Turn::Wait(30 * SECOND));
        assert_eq!(turn(Some(&other), 29 * SECOND, "me"), Turn::Wait(SECOND));
        assert_eq!(turn(Some(&other), 30 * SECOND, "me"), Turn::Take);
    }

    #[test]
    fn a_holder_stops_before_anyone_may_take_over() {
        let terms = Terms::default();
        assert!(terms.renew < terms.give_up && terms.give_up < terms.duration);
    }
}
