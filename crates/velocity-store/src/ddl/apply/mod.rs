//! Applies a plan: what prepares it step by step, the switch in one transaction, and what may come later. A killed process
//! leaves whole steps only, and the next plan goes on from there.

mod batches;
mod error;
mod journal;
mod locks;

use tokio_postgres::{Client, Transaction};
use velocity_sql::ddl::{How, Plan, Stage, Step};

use self::batches::Backfill;
use self::journal::Entry;
use crate::platform::{ProvisionedSpec, provisioned_by_path, record_provisioned};

pub use self::error::ApplyError;
pub(super) use self::error::message;
pub use self::journal::begun_statements;

/// A plan with what it is for.
pub struct Change<'a> {
    /// The steps, as they were decided.
    pub plan: &'a Plan,
    /// The schema's path.
    pub path: &'a str,
    /// The hash of the spec that the plan is for.
    pub spec_hash: &'a str,
    /// Whether someone approved the plan, or one that it is left over from.
    pub approved: bool,
    /// What is provisioned with the switch; none while the plan leads only part of the way.
    pub publication: Option<&'a ProvisionedSpec>,
    /// Who runs it.
    pub operator: &'a str,
    /// Told before each step, and after each batch.
    pub progress: Option<&'a (dyn Fn(Progress) + Send + Sync)>,
}

/// How far a plan is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// The step that is being done, from 1.
    pub step: usize,
    /// How many there are.
    pub of: usize,
    /// The step's summary.
    pub summary: String,
    /// The rows that a backfill has looked at.
    pub rows: i64,
}

/// Applies a change. Writes nothing where there is nothing to do.
pub async fn apply(client: &mut Client, change: &Change<'_>) -> Result<(), ApplyError> {
    let publication = outstanding(client, change).await.map_err(ApplyError::Unreachable)?;
    if change.plan.steps.is_empty() && publication.is_none() {
        return Ok(());
    }
    let steps = ordered(change.plan);
    // Upkeep alone is no change.
    let entry = if steps.iter().any(|step| !step.upkeep) {
        Some(journal::begin(client, change, &steps).await.map_err(ApplyError::Unreachable)?)
    } else {
        None
    };
    let mut run = Run { change, entry, done: 0, of: steps.len() };
    let result = run.all(client, &steps, publication).await;
    if let (Err(error), Some(entry)) = (&result, entry) {
        entry.fail(client, &error.to_string()).await;
    }
    result
}

/// The publication, where it is not published already.
async fn outstanding<'a>(
    client: &Client,
    change: &Change<'a>,
) -> Result<Option<&'a ProvisionedSpec>, tokio_postgres::Error> {
    let Some(wanted) = change.publication else { return Ok(None) };
    let current = provisioned_by_path(client, &wanted.path).await?;
    let same = current.is_some_and(|current| {
        current.spec_hash == wanted.spec_hash && current.namespace == wanted.namespace
    });
    Ok((!same).then_some(wanted))
}

/// The steps in the order in which they are done. A new table's are done in the plan's own, all at once.
fn ordered(plan: &Plan) -> Vec<&Step> {
    if plan.creates_table {
        return plan.steps.iter().collect();
    }
    [Stage::Prepare, Stage::Switch, Stage::Finish].into_iter().flat_map(|stage| plan.of(stage)).collect()
}

/// A change on its way.
struct Run<'a> {
    change: &'a Change<'a>,
    entry: Option<Entry>,
    done: usize,
    of: usize,
}

impl Run<'_> {
    async fn all(
        &mut self,
        client: &mut Client,
        steps: &[&Step],
        publication: Option<&ProvisionedSpec>,
    ) -> Result<(), ApplyError> {
        let (before, rest) = if self.change.plan.creates_table {
            (&steps[..0], steps)
        } else {
            steps.split_at(steps.partition_point(|step| step.stage < Stage::Switch))
        };
        let (switch, after) = if self.change.plan.creates_table {
            (rest, &steps[..0])
        } else {
            rest.split_at(rest.partition_point(|step| step.stage < Stage::Finish))
        };
        for step in before {
            self.one(client, step).await?;
        }
        if !switch.is_empty() || publication.is_some() {
            self.together(client, switch, publication).await?;
        }
        for step in after {
            self.one(client, step).await?;
        }
        match self.entry {
            Some(entry) => entry.finish(client).await.map_err(ApplyError::Unreachable),
            None => Ok(()),
        }
    }

    async fn one(&mut self, client: &mut Client, step: &Step) -> Result<(), ApplyError> {
        match &step.how {
            How::Transaction => return self.together(client, &[step], None).await,
            How::Alone => {
                self.report(&step.summary, 0);
                alone(client, step).await?;
            }
            How::Batches { name, silent } => {
                let backfill = Backfill { path: self.change.path, name, silent: *silent, step };
                self.report(&step.summary, 0);
                backfill.run(client, |rows| self.report(&step.summary, rows)).await?;
            }
        }
        self.done += 1;
        match self.entry {
            Some(entry) => entry.done(client, self.done).await.map_err(ApplyError::Unreachable),
            None => Ok(()),
        }
    }

    /// Steps, and a publication, in one transaction: again and again until it has its locks.
    async fn together(
        &mut self,
        client: &mut Client,
        steps: &[&Step],
        publication: Option<&ProvisionedSpec>,
    ) -> Result<(), ApplyError> {
        let mut attempt = 1;
        loop {
            match self.transaction(client, steps, publication).await {
                Err(error) if error.is_contention() && attempt < locks::ATTEMPTS => {
                    locks::pause(attempt).await;
                    attempt += 1;
                }
                Err(ApplyError::Step { summary, source })
                    if source.code() == Some(&tokio_postgres::error::SqlState::LOCK_NOT_AVAILABLE) =>
                {
                    let blockers = locks::blockers(client, self.change.path).await;
                    return Err(ApplyError::LockNotAvailable { summary, blockers });
                }
                Err(error) => return Err(error),
                Ok(()) => {
                    self.done += steps.len();
                    return Ok(());
                }
            }
        }
    }

    async fn transaction(
        &self,
        client: &mut Client,
        steps: &[&Step],
        publication: Option<&ProvisionedSpec>,
    ) -> Result<(), ApplyError> {
        let transaction = settled(client).await.map_err(ApplyError::Unreachable)?;
        for (index, step) in steps.iter().enumerate() {
            self.report_at(self.done + index, &step.summary, 0);
            transaction.batch_execute(&step.sql).await.map_err(|source| ApplyError::of(step, source))?;
        }
        if let Some(spec) = publication {
            record_provisioned(&transaction, spec).await.map_err(ApplyError::Unreachable)?;
        }
        if let Some(entry) = self.entry {
            entry.done(&transaction, self.done + steps.len()).await.map_err(ApplyError::Unreachable)?;
        }
        transaction.commit().await.map_err(ApplyError::Unreachable)
    }

    fn report(&self, summary: &str, rows: i64) {
        self.report_at(self.done, summary, rows);
    }

    fn report_at(&self, done: usize, summary: &str, rows: i64) {
        if let Some(progress) = self.change.progress {
            progress(Progress { step: done + 1, of: self.of, summary: summary.to_owned(), rows });
        }
    }
}

/// A transaction that does not wait long, and finds nothing by accident.
async fn settled(client: &mut Client) -> Result<Transaction<'_>, tokio_postgres::Error> {
    let transaction = client.transaction().await?;
    let settings = format!(
        "set local lock_timeout = {}; set local search_path = pg_catalog, pg_temp",
        locks::TIMEOUT_MS
    );
    transaction.batch_execute(&settings).await?;
    Ok(transaction)
}

/// Outside a transaction. Such a step waits for older transactions by locks that hold up nobody: for as long as it takes.
async fn alone(client: &Client, step: &Step) -> Result<(), ApplyError> {
    client.batch_execute("set lock_timeout = 0").await.map_err(ApplyError::Unreachable)?;
    let result = client.batch_execute(&step.sql).await.map_err(|source| ApplyError::of(step, source));
    client.batch_execute("reset lock_timeout").await.map_err(ApplyError::Unreachable)?;
    result
}
