//! Looks at the locks on everything in a Postgres schema, again and again.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;
use velocity_testkit::TestDatabase;

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(3);

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Seen {
    /// The longest time that a transaction of the owner's was seen with ACCESS EXCLUSIVE.
    pub(super) held: Duration,
    /// The longest time that a session of the API's waited for a lock.
    pub(super) waited: Duration,
}

pub(super) struct Sampler {
    seen: Arc<Mutex<Seen>>,
    over: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

const LOOK: &str = "select a.usename = 'velocity_api', l.granted, l.virtualtransaction, coalesce(extract(epoch from clock_timestamp() - l.waitstart)::float8, 0)
    from pg_locks l join pg_stat_activity a on a.pid = l.pid
    where l.pid <> pg_backend_pid() and (not l.granted and a.datname = current_database()
      or l.granted and l.mode = 'AccessExclusiveLock' and l.database = (select oid from pg_database where datname = current_database())
        and l.relation in (select oid from pg_class where relnamespace = $1::text::regnamespace))";

impl Sampler {
    pub(super) async fn start(database: &TestDatabase, pg_schema: &str) -> Self {
        let (client, pg_schema) = (database.owner().await, pg_schema.to_owned());
        let look = client.prepare(LOOK).await.unwrap();
        let seen = Arc::new(Mutex::new(Seen::default()));
        let over = Arc::new(AtomicBool::new(false));
        let task = tokio::spawn({
            let (seen, over) = (Arc::clone(&seen), Arc::clone(&over));
            async move {
                let mut since: HashMap<String, Instant> = HashMap::new();
                while !over.load(Ordering::Relaxed) {
                    let now = Instant::now();
                    let rows = client.query(&look, &[&pg_schema]).await.unwrap();
                    let mut holders: HashMap<String, Instant> = HashMap::new();
                    for row in &rows {
                        let (api, granted): (bool, bool) = (row.get(0), row.get(1));
                        let mut seen = seen.lock().unwrap();
                        if granted && !api {
                            let holder: String = row.get(2);
                            let first = *since.get(&holder).unwrap_or(&now);
                            holders.insert(holder, first);
                            seen.held = seen.held.max(now - first);
                        } else if !granted && api {
                            seen.waited =
                                seen.waited.max(Duration::from_secs_f64(row.get::<_, f64>(3).max(0.0)));
                        }
                    }
                    since = holders;
                    tokio::time::sleep(PAUSE).await;
                }
            }
        });
        Self { seen, over, task }
    }

    pub(super) fn reset(&self) {
        *self.seen.lock().unwrap() = Seen::default();
    }

    pub(super) fn seen(&self) -> Seen {
        *self.seen.lock().unwrap()
    }

    pub(super) async fn stop(self) {
        self.over.store(true, Ordering::Relaxed);
        self.task.await.unwrap();
    }
}
