//! The work on one schema in the database: observe, plan, look at the data, decide, apply. The same for both lanes; the quick
//! one hands over what takes longer.

use std::collections::BTreeSet;
use std::time::Duration;

use kube::api::DynamicObject;
use tokio_postgres::Client;
use velocity_contract::annotation;
use velocity_schema::Schema;
use velocity_schema::spec::SchemaDefinitionSpec;
use velocity_sql::ddl::{self, Approval, Class, Decision, How, Live, Plan, Step};
use velocity_store::ddl::{ApplyError, Change, apply, begun_statements, probe};
use velocity_store::owner::OwnerPool;
use velocity_store::platform::{self, ProvisionedSpec};

use crate::error::{Error, answer};
use crate::jobs::Ticket;
use crate::outcome::{Blocked, Fact, Foreign, Missing, Outcome, Reached};
use crate::requests::{annotation, approved};
use crate::session::{Session, lock, unlock};
use crate::{drift, observe};

/// How long the quick lane works on a change of a table that is there; what takes longer is not quick.
const QUICK_MAX: Duration = Duration::from_secs(2);
/// The same for a table that is yet to be made: nobody waits for its locks, and on a busy machine it takes its time.
const CREATE_MAX: Duration = Duration::from_secs(15);
/// A table of this size is looked at as a whole within milliseconds, and indexed within the time of the quick lane.
const SMALL_ROWS: i64 = 50_000;
const SMALL_BYTES: i64 = 32 * 1024 * 1024;
/// How often, and how far apart, a job tries to get the schema's lock.
const BUSY_ATTEMPTS: usize = 20;
const BUSY_PAUSE: Duration = Duration::from_millis(100);
/// How often a plan may ask to be followed by another.
const ROUNDS: usize = 8;

/// What is to be done.
pub(crate) struct Order {
    pub(crate) spec: SchemaDefinitionSpec,
    pub(crate) schema: Schema,
    pub(crate) namespace: String,
    pub(crate) name: String,
    approved: Option<String>,
    fix: Option<String>,
    operator: String,
    now: jiff::Timestamp,
}

impl Order {
    pub(crate) fn new(
        object: &DynamicObject,
        (spec, schema): (SchemaDefinitionSpec, Schema),
        operator: &str,
        now: jiff::Timestamp,
    ) -> Self {
        Self {
            spec,
            schema,
            namespace: object.metadata.namespace.clone().unwrap_or_default(),
            name: object.metadata.name.clone().unwrap_or_default(),
            approved: approved(object).map(str::to_owned),
            fix: annotation(object, annotation::FIX_DRIFT).map(str::to_owned),
            operator: operator.to_owned(),
            now,
        }
    }

    fn path(&self) -> String {
        self.schema.path().to_string()
    }

    fn schema(&self) -> Box<Schema> {
        Box::new(self.schema.clone())
    }

    fn publication(&self) -> ProvisionedSpec {
        ProvisionedSpec {
            path: self.path(),
            namespace: self.namespace.clone(),
            spec: serde_json::to_value(&self.spec).unwrap_or_default(),
            spec_hash: self.schema.hash().to_string(),
        }
    }
}

/// Who works.
#[derive(Clone, Copy)]
pub(crate) enum Lane<'a> {
    /// A reconcile: what is not done soon is handed over.
    Quick,
    /// A job.
    Long(&'a Ticket),
}

impl Lane<'_> {
    /// How long anything in the session waits for a lock, where it does not say so itself.
    fn lock_timeout(self) -> &'static str {
        match self {
            Self::Quick => "1s",
            Self::Long(_) => "5s",
        }
    }

    fn is_quick(self) -> bool {
        matches!(self, Self::Quick)
    }
}

/// What the work came to.
pub(crate) enum End {
    Reached(Reached),
    /// It is for the other lane: the steps, once they are known.
    Long(Vec<Step>),
}

/// Makes the database what the order says, as far as it may.
pub(crate) async fn work(pool: &OwnerPool, order: &Order, lane: Lane<'_>) -> Result<End, Error> {
    let mut session = Session::open(pool).await?;
    let claim = observe::hold_claim(session.client(), order.schema.path(), &order.namespace, &order.name);
    if let Some(why) = answer(claim).await? {
        session.finish();
        return Ok(End::Reached(Reached {
            outcome: Outcome::Claimed(why),
            provisioned: None,
            facts: Vec::new(),
        }));
    }
    if !hold(&mut session, &order.path(), lane).await? {
        session.finish();
        return Err(Error::Busy);
    }
    let mut run = Run { client: session.client(), order, lane, facts: Vec::new(), repaired: false };
    // After an error, or too long a time, the session may be within a statement: it is closed, and its locks with it.
    let stop = run.all().await?;
    let facts = run.facts;
    if let Stop::Overran(steps) = stop {
        return Ok(End::Long(steps));
    }
    answer(unlock(session.client())).await?;
    session.finish();
    Ok(match stop {
        Stop::Reached(outcome, provisioned) => End::Reached(Reached { outcome, provisioned, facts }),
        Stop::Handed(steps) | Stop::Overran(steps) => End::Long(steps),
    })
}

/// Takes the schema's lock. A job insists: the session that the quick lane has just given up may take a moment to end.
async fn hold(session: &mut Session, path: &str, lane: Lane<'_>) -> Result<bool, Error> {
    for _ in 0..BUSY_ATTEMPTS {
        if answer(lock(session.client(), path, lane.lock_timeout())).await? {
            return Ok(true);
        }
        if lane.is_quick() {
            break;
        }
        tokio::time::sleep(BUSY_PAUSE).await;
    }
    Ok(false)
}

/// Where the work on a schema ends for now.
enum Stop {
    Reached(Outcome, Option<String>),
    /// Not begun, since it takes longer than the lane has.
    Handed(Vec<Step>),
    /// Begun, and took longer.
    Overran(Vec<Step>),
}

/// What became of a plan that was to be applied.
enum Applied {
    Yes,
    No(String),
    Overran,
}

struct Run<'a> {
    client: &'a mut Client,
    order: &'a Order,
    lane: Lane<'a>,
    facts: Vec<Fact>,
    /// Whether guards of a blocked repair were repaired already.
    repaired: bool,
}

impl Run<'_> {
    async fn all(&mut self) -> Result<Stop, Error> {
        for _ in 0..ROUNDS {
            if let Some(stop) = self.round().await? {
                return Ok(stop);
            }
        }
        Err(Error::Rounds(ROUNDS))
    }

    /// One look at the database and one plan; nothing when another one has to follow.
    async fn round(&mut self) -> Result<Option<Stop>, Error> {
        let order = self.order;
        let path = order.path();
        let live = answer(observe::live(self.client, &order.schema)).await?;
        let published = answer(platform::provisioned_by_path(self.client, &path)).await?;
        let wanted = order.schema.hash().to_string();
        let provisioned = published.as_ref().map(|spec| spec.spec_hash.clone());
        let mut plan = ddl::plan(&order.schema, &live, month(order.now));
        let foreign = Foreign::of(&plan);
        let fixes = !foreign.steps.is_empty() && order.fix.as_deref() == Some(foreign.hash.as_str());
        if fixes {
            plan = plan.removing_foreign();
        }
        if self.lane.is_quick() && !is_small(&live) && plan.steps.iter().any(|step| step.check.is_some()) {
            return Ok(Some(Stop::Handed(Vec::new())));
        }
        let unchanged = provisioned.as_deref() == Some(wanted.as_str());
        let context = Context { provisioned, drift: unchanged && !fixes && drift::is_drift(&plan), foreign };
        let findings = probe(self.client, &plan).await?;
        let approval = self.approval(&plan, &path, &wanted).await?;
        let approved = is_approved(&plan, &approval);
        match plan.decide(&findings, &approval) {
            Decision::Blocked { upkeep, pending, hash, approvable } => {
                let missing = match approvable {
                    true => Missing::Approval,
                    false if pending.iter().any(|step| step.refused) => Missing::Possibility,
                    false => Missing::Data,
                };
                let outdated = order.approved.clone().filter(|named| *named != hash);
                let change = Blocked { pending, hash, missing, outdated, drift: context.drift };
                self.blocked(upkeep, change, &context, &wanted).await
            }
            Decision::Apply(plan) => {
                if self.lane.is_quick() && !is_small(&live) && plan.steps.iter().any(is_long) {
                    return Ok(Some(Stop::Handed(plan.steps)));
                }
                let same = published.is_some_and(|spec| unchanged && spec.namespace == order.namespace);
                self.apply(plan, &context, approved, same, live.trashed_table.is_some()).await
            }
        }
    }

    async fn approval(&self, plan: &Plan, path: &str, wanted: &str) -> Result<Approval, Error> {
        let careful = |step: &Step| step.class == Class::Breaking || step.check.is_some();
        let begun = if plan.steps.iter().any(careful) {
            answer(begun_statements(self.client, path, wanted)).await?
        } else {
            BTreeSet::new()
        };
        Ok(Approval { named: self.order.approved.clone(), begun })
    }

    /// Nothing of the change is made; what keeps the table as it is, is.
    async fn blocked(
        &mut self,
        mut upkeep: Plan,
        change: Blocked,
        context: &Context,
        wanted: &str,
    ) -> Result<Option<Stop>, Error> {
        let repairs =
            if change.drift && !self.repaired { drift::at_once(&change.pending) } else { Vec::new() };
        let names = summaries(&repairs);
        upkeep.steps.extend(repairs);
        if !upkeep.is_empty() {
            match self.run(&upkeep, false, None, wanted).await? {
                Applied::Yes if !names.is_empty() => {
                    self.facts.push(Fact::Repaired(names));
                    self.repaired = true;
                    return Ok(None); // what is left is another plan
                }
                Applied::Yes | Applied::No(_) => {}
                Applied::Overran => return Ok(Some(Stop::Overran(Vec::new()))),
            }
        }
        let outcome = Outcome::Blocked { schema: self.order.schema(), change };
        Ok(Some(Stop::Reached(outcome, context.provisioned.clone())))
    }

    async fn apply(
        &mut self,
        plan: Plan,
        context: &Context,
        approved: bool,
        same: bool,
        restores: bool,
    ) -> Result<Option<Stop>, Error> {
        let (again, waits) = (plan.again, !plan.waiting.is_empty());
        let publication = (!again && !waits && !same).then(|| self.order.publication());
        let wanted = self.order.schema.hash().to_string();
        if !plan.is_empty() || publication.is_some() {
            match self.run(&plan, approved, publication.as_ref(), &wanted).await? {
                Applied::Yes => self.told(&plan, context.drift, restores),
                Applied::No(reason) => {
                    let outcome = Outcome::Failed { schema: self.order.schema(), reason };
                    // Some of it may have been done, the switch included.
                    let now = answer(platform::provisioned_by_path(self.client, &self.order.path())).await?;
                    return Ok(Some(Stop::Reached(outcome, now.map(|spec| spec.spec_hash))));
                }
                Applied::Overran => return Ok(Some(Stop::Overran(plan.steps))),
            }
        }
        if again {
            return Ok(None);
        }
        let schema = self.order.schema();
        Ok(Some(if waits {
            Stop::Reached(Outcome::Waiting { schema, waiting: plan.waiting }, context.provisioned.clone())
        } else {
            let foreign = if plan.foreign.is_empty() { Foreign::default() } else { context.foreign.clone() };
            Stop::Reached(Outcome::Ready { schema, foreign }, Some(wanted))
        }))
    }

    fn told(&mut self, plan: &Plan, drift: bool, restores: bool) {
        let steps: Vec<Step> = plan.steps.iter().filter(|step| !step.upkeep || !drift).cloned().collect();
        let steps = summaries(&steps);
        if restores {
            self.facts.push(Fact::Restored(steps.join("; ")));
        } else if drift {
            self.facts.push(Fact::Repaired(steps));
        } else if !steps.is_empty() {
            self.facts.push(Fact::Applied(steps));
        }
    }

    /// Applies a plan for as long as the lane has.
    async fn run(
        &mut self,
        plan: &Plan,
        approved: bool,
        publication: Option<&ProvisionedSpec>,
        spec_hash: &str,
    ) -> Result<Applied, Error> {
        let path = self.order.path();
        let lane = self.lane;
        let report = |progress| {
            if let Lane::Long(ticket) = lane {
                ticket.progress(&progress);
            }
        };
        let operator = &self.order.operator;
        let change =
            Change { plan, path: &path, spec_hash, approved, publication, operator, progress: Some(&report) };
        let result = match lane {
            Lane::Quick => {
                let limit = if plan.creates_table { CREATE_MAX } else { QUICK_MAX };
                match tokio::time::timeout(limit, apply(self.client, &change)).await {
                    Ok(result) => result,
                    Err(_) => return Ok(Applied::Overran),
                }
            }
            Lane::Long(ticket) => {
                ticket.begin(plan.steps.clone());
                let result = apply(self.client, &change).await;
                ticket.end();
                result
            }
        };
        match result {
            Ok(()) => Ok(Applied::Yes),
            Err(error) if error.is_transient() => Err(error.into()),
            Err(
                error @ (ApplyError::Step { .. }
                | ApplyError::LockNotAvailable { .. }
                | ApplyError::Unreachable(_)),
            ) => Ok(Applied::No(error.to_string())),
        }
    }
}

/// What a round knows beside its plan.
struct Context {
    provisioned: Option<String>,
    drift: bool,
    foreign: Foreign,
}

/// Whether someone agreed to this plan, or to one that it is left over from.
fn is_approved(plan: &Plan, approval: &Approval) -> bool {
    approval.named.as_deref() == Some(plan.hash().as_str())
        || plan.steps.iter().any(|step| approval.begun.contains(&step.sql))
}

fn is_small(live: &Live) -> bool {
    live.table.as_ref().is_none_or(|table| table.estimated_rows <= SMALL_ROWS && table.bytes <= SMALL_BYTES)
}

/// Whether a step looks at all rows of its table.
fn is_long(step: &Step) -> bool {
    let reads = step.check.is_some() || step.sql.contains("validate constraint");
    !step.upkeep && (reads || !matches!(step.how, How::Transaction))
}

fn summaries(steps: &[Step]) -> Vec<String> {
    steps.iter().map(|step| step.summary.clone()).collect()
}

fn month(now: jiff::Timestamp) -> (i32, u32) {
    let date = jiff::tz::Offset::UTC.to_datetime(now).date();
    (i32::from(date.year()), u32::try_from(date.month()).unwrap_or(1))
}
