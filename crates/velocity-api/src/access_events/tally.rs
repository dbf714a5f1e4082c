//! Requests without a valid credential, counted: a flood of them is a row a second, not a row each.

use std::collections::HashMap;
use std::sync::Mutex;

use tokio::sync::Notify;
use velocity_store::platform::AccessEventRow;

/// What makes two of them the same.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Key {
    second: i64,
    code: Option<String>,
    reason: Option<String>,
    address: Option<String>,
}

/// Counts until somebody takes them.
#[derive(Debug)]
pub(super) struct Tally {
    counted: Mutex<HashMap<Key, AccessEventRow>>,
    room: Notify,
    limit: usize,
}

impl Tally {
    pub(super) fn new(limit: usize) -> Self {
        Self { counted: Mutex::default(), room: Notify::new(), limit }
    }

    /// Counts one more; waits while there are as many different ones as may be.
    pub(super) async fn count(&self, row: AccessEventRow) {
        let mut waiting = Some(row);
        loop {
            let room = self.room.notified();
            tokio::pin!(room);
            // From here on a `take` is not missed.
            room.as_mut().enable();
            match waiting.take().and_then(|row| self.try_count(row)) {
                None => return,
                back => waiting = back,
            }
            room.await;
        }
    }

    /// Gives the row back where there is no room.
    fn try_count(&self, row: AccessEventRow) -> Option<AccessEventRow> {
        let key = Key {
            second: row.occurred_at.as_second(),
            code: row.code.clone(),
            reason: row.detail.clone(),
            address: row.ip.clone(),
        };
        let mut counted = self.lock();
        if let Some(same) = counted.get_mut(&key) {
            same.count = same.count.saturating_add(1);
        } else if counted.len() < self.limit {
            counted.insert(key, row);
        } else {
            return Some(row);
        }
        None
    }

    /// Takes the counts of the seconds before `second`, which nothing is added to any more.
    pub(super) fn take(&self, second: i64) -> Vec<AccessEventRow> {
        let taken: Vec<_> =
            self.lock().extract_if(|key, _| key.second < second).map(|(_, row)| row).collect();
        if !taken.is_empty() {
            self.room.notify_waiters();
        }
        taken
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Key, AccessEventRow>> {
        self.counted.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::Timestamp;
    use velocity_store::platform::AccessEventKind;

    use super::*;

    fn row(second: i64, reason: &str, address: &str) -> AccessEventRow {
        AccessEventRow {
            id: uuid::Uuid::now_v7().to_string(),
            occurred_at: Timestamp::from_second(second).unwrap(),
            kind: AccessEventKind::Denied,
            count: 1,
            actor: None,
            actor_type: None,
            strategy: None,
            path: None,
            operation: None,
            code: Some("AUTH_REQUIRED".to_owned()),
            layer: None,
            detail: Some(reason.to_owned()),
            record_ids: Vec::new(),
            fields: Vec::new(),
            request_id: None,
            trace_id: None,
            ip: Some(address.to_owned()),
        }
    }

    #[tokio::test]
    async fn the_same_reason_from_the_same_address_within_a_second_is_one_row() {
        let tally = Tally::new(8);
        for (second, reason, address) in [
            (1, "expired", "10.0.0.1"),
            (1, "expired", "10.0.0.1"),
            (1, "expired", "10.0.0.2"),
            (1, "none", "10.0.0.1"),
        ] {
            tally.count(row(second, reason, address)).await;
        }
        tally.count(row(2, "expired", "10.0.0.1")).await;
        let mut counts: Vec<i32> = tally.take(2).iter().map(|row| row.count).collect();
        counts.sort_unstable();
        assert_eq!(counts, [1, 1, 2]);
        assert_eq!(tally.take(3).len(), 1);
        assert!(tally.take(9).is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn who_comes_when_all_is_full_waits_until_something_is_taken() {
        let tally = Tally::new(1);
        tally.count(row(1, "expired", "10.0.0.1")).await;
        let mut second = std::pin::pin!(tally.count(row(1, "expired", "10.0.0.2")));
        assert!(tokio::time::timeout(Duration::from_mins(1), second.as_mut()).await.is_err());
        tally.count(row(1, "expired", "10.0.0.1")).await;
        assert_eq!(tally.take(2)[0].count, 2);
        second.await;
        assert_eq!(tally.take(2).len(), 1);
    }
}
