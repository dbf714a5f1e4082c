//! How soon an object is worked on again: pauses grow with each attempt that came to nothing, for each object on its own.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use kube::api::DynamicObject;

/// The first pause: most of what goes wrong (a connection that broke, a target that is being made) is over by then.
const FIRST: Duration = Duration::from_millis(250);
/// The longest pause: how long after an outage a schema may still wait.
pub(crate) const LONGEST: Duration = Duration::from_mins(1);

/// The attempts of each object since it was last done with, or got another spec: its generation, and how many.
#[derive(Debug, Default)]
pub(crate) struct Retries(Mutex<HashMap<String, (Option<i64>, u32)>>);

impl Retries {
    /// The pause before the next attempt at `object`, at most `longest`.
    pub(crate) fn next(&self, object: &DynamicObject, longest: Duration) -> Duration {
        self.next_from(object, FIRST, longest)
    }

    /// The same, where the first pause is `first`.
    pub(crate) fn next_from(&self, object: &DynamicObject, first: Duration, longest: Duration) -> Duration {
        let mut attempts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (generation, attempt) = attempts.entry(key(object)).or_default();
        if *generation != object.metadata.generation {
            (*generation, *attempt) = (object.metadata.generation, 0);
        }
        let pause = pause(*attempt, rand::random(), first, longest);
        *attempt = attempt.saturating_add(1);
        pause
    }

    /// The object is done with: its next trouble starts with the shortest pause.
    pub(crate) fn forget(&self, object: &DynamicObject) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&key(object));
    }
}

/// The uid: an object that is made anew under an old name has no past. One kind never has another's uid.
fn key(object: &DynamicObject) -> String {
    object.metadata.uid.clone().unwrap_or_default()
}

/// Doubles with each attempt; `jitter` from 0 to 1 spreads the objects of one outage over half of the pause.
fn pause(attempt: u32, jitter: f64, first: Duration, longest: Duration) -> Duration {
    let whole = first.saturating_mul(1 << attempt.min(16)).min(longest);
    whole.mul_f64(0.5 + 0.5 * jitter.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(uid: &str) -> DynamicObject {
        let mut object = DynamicObject::new(
            "x",
            &kube::api::ApiResource::erase::<velocity_contract::SchemaDefinition>(&()),
        );
        object.metadata.uid = Some(uid.to_owned());
        object
    }

    #[test]
    fn pauses_double_up_to_the_longest() {
        let pauses: Vec<Duration> = (0..20).map(|attempt| pause(attempt, 1.0, FIRST, LONGEST)).collect();
        assert_eq!(pauses[..4], [FIRST, FIRST * 2, FIRST * 4, FIRST * 8]);
        assert_eq!(pauses[19], LONGEST);
        assert_eq!(pause(u32::MAX, 0.0, FIRST, LONGEST), LONGEST / 2);
        assert_eq!(pause(9, 1.0, FIRST, Duration::from_secs(5)), Duration::from_secs(5));
    }

    #[test]
    fn objects_do_not_wait_for_each_other_and_forget_what_is_over() {
        let retries = Retries::default();
        let (one, other) = (object("1"), object("2"));
        for _ in 0..10 {
            retries.next(&one, LONGEST);
        }
        assert!(retries.next(&one, LONGEST) >= LONGEST / 2);
        assert!(retries.next(&other, LONGEST) <= FIRST);
        retries.forget(&one);
        assert!(retries.next(&one, LONGEST) <= FIRST);
        retries.forget(&one);
        retries.forget(&other);
        assert!(retries.0.lock().unwrap().is_empty(), "nothing is kept of objects that are done with");
    }
}
