//! Looks at Postgres' locks all the time.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_postgres::Client;

use crate::harness::Cluster;

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(10);

/// Locks that keep writers out, held by anyone but the API; and how long anyone has been waiting for a lock of the table. The
/// database's own clock tells the time.
const LOOK: &str = "
select l.pid, coalesce(l.mode, ''), l.granted, extract(epoch from clock_timestamp())::float8 * 1000 as now,
  coalesce(extract(epoch from clock_timestamp() - l.waitstart)::float8 * 1000, 0) as waited, a.query
from pg_locks l join pg_stat_activity a on a.pid = l.pid
where l.locktype = 'relation' and l.relation in (
    select oid from pg_class where relnamespace = split_part($1, '.', 1)::regnamespace)
  and a.backend_type = 'client backend'
  and (not l.granted or (a.usename <> 'velocity_api'
    and l.mode in ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')))";

/// The worst that was seen, in milliseconds.
#[derive(Debug, Clone, Default)]
pub(crate) struct Worst {
    pub(crate) held_ms: f64,
    pub(crate) held: String,
    pub(crate) waited_ms: f64,
    pub(crate) waited: String,
}

impl fmt::Display for Worst {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let short = |text: &str| text.chars().take(120).collect::<String>();
        write!(
            formatter,
            "longest lock {:.0} ms ({}), longest wait {:.0} ms ({})",
            self.held_ms,
            short(&self.held),
            self.waited_ms,
            short(&self.waited)
        )
    }
}

/// Runs until it is stopped.
pub(crate) struct Sampler {
    stop: Arc<AtomicBool>,
    worst: Arc<Mutex<Worst>>,
    task: JoinHandle<()>,
}

impl Sampler {
    pub(crate) async fn start(cluster: &Cluster, table: &str) -> Self {
        let (stop, worst) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Worst::default())));
        let (client, table) = (cluster.sql().await, table.to_owned());
        let task = tokio::spawn(look(client, table, Arc::clone(&stop), Arc::clone(&worst)));
        Self { stop, worst, task }
    }

    pub(crate) fn worst(&self) -> Worst {
        self.worst.lock().unwrap().clone()
    }

    pub(crate) async fn stop(self) -> Worst {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await.unwrap();
        self.worst.lock().unwrap().clone()
    }
}

async fn look(client: Client, table: String, stop: Arc<AtomicBool>, worst: Arc<Mutex<Worst>>) {
    let statement = client.prepare(LOOK).await.unwrap();
    // Since when a session is seen with such a lock, without a break.
    let mut since: BTreeMap<i32, f64> = BTreeMap::new();
    while !stop.load(Ordering::Relaxed) {
        let rows = client.query(&statement, &[&table]).await.unwrap();
        let mut holders = BTreeMap::new();
        for row in &rows {
            let (pid, now): (i32, f64) = (row.get(0), row.get(3));
            let mut worst = worst.lock().unwrap();
            if row.get::<_, bool>(2) {
                let start = *holders.entry(pid).or_insert_with(|| since.get(&pid).copied().unwrap_or(now));
                if now - start > worst.held_ms {
                    (worst.held_ms, worst.held) = (now - start, row.get(5));
                }
            } else if row.get::<_, f64>(4) > worst.waited_ms {
                (worst.waited_ms, worst.waited) = (row.get(4), row.get(5));
            }
        }
        since = holders;
        tokio::time::sleep(PAUSE).await;
    }
}
