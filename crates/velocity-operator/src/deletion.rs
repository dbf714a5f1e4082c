//! An object that is deleted: its claim is released. Its data stays, unless the deletion policy says otherwise and someone
//! has approved exactly that; then it goes to the trash.

use std::collections::BTreeMap;
use std::time::Duration;

use kube::Api;
use kube::api::DynamicObject;
use kube::runtime::controller::Action;
use kube::runtime::events::EventType;
use velocity_contract::annotation;
use velocity_contract::status::SchemaDefinitionStatus;
use velocity_schema::SchemaPath;
use velocity_sql::TableNames;
use velocity_sql::ddl::{Approval, Decision, Plan, delete_plan};
use velocity_store::ddl::{Change, apply};
use velocity_store::platform;

use crate::conditions::{self, Basis, blocked_message, reason};
use crate::context::Context;
use crate::error::{Error, answer};
use crate::jobs::Found;
use crate::outcome::{Blocked, Missing};
use crate::reconcile::{basis, shown};
use crate::requests::{DeletionPolicy, approved, deletion_policy};
use crate::retries::LONGEST;
use crate::session::{Session, lock, unlock};
use crate::{events, finalizers, observe, publish};

/// How long the table's lock is waited for, before the object is looked at again later.
const LOCK_MAX: Duration = Duration::from_secs(2);
/// What stands for a spec's hash where there is none any more.
const NO_SPEC: &str = "deleted";

/// What became of it.
enum Ending {
    /// It may go; the tables that went to the trash.
    Gone(Vec<String>),
    /// Its data waits for an approval, or for what points to it.
    Blocked(Blocked),
    /// The policy is none.
    Unknown(String),
}

/// Reconciles an object that is being deleted.
pub(crate) async fn reconcile(
    object: &DynamicObject,
    context: &Context,
    api: &Api<DynamicObject>,
) -> Result<Action, Error> {
    if !finalizers::is_on(object) {
        return Ok(Action::await_change());
    }
    match context.jobs.find(object) {
        Found::Running(..) | Found::Outdated => return Ok(Action::await_change()),
        Found::Done(Ok(reached), _) => events::tell_facts(context, object, &reached.facts).await,
        Found::Done(Err(_), _) | Found::Nothing => {}
    }
    match end(object, context).await {
        Ok(Ending::Gone(tables)) => {
            for table in tables {
                let text = format!(
                    "{table} and its history are in the trash for 30 days; apply a SchemaDefinition with the same path to have them back"
                );
                events::publish(context, object, EventType::Warning, reason::MOVED_TO_TRASH, &text).await;
            }
            finalizers::take_off(api, object).await?;
            context.retries.forget(object);
            context.slow.forget(object);
            context.told.forget(object);
            Ok(Action::await_change())
        }
        Ok(Ending::Blocked(change)) => {
            blocked(object, context, api, &change).await?;
            Ok(Action::requeue(match change.missing {
                Missing::Approval => context.config.resync,
                Missing::Data | Missing::Possibility => {
                    context.retries.next_from(object, context.config.data_pause, LONGEST)
                }
            }))
        }
        Ok(Ending::Unknown(policy)) => {
            let text = format!(
                "the annotation {} is `{policy}`, which is neither `retain` nor `delete`: nothing is deleted, and the object waits; correct or remove the annotation",
                annotation::DELETION_POLICY
            );
            let reason = reason::UNKNOWN_DELETION_POLICY;
            let status = |basis: &Basis<'_>| conditions::terminating(basis, reason, &text);
            hold(object, context, api, status, Some((reason, &text))).await?;
            Ok(Action::await_change())
        }
        Err(error) => {
            let reason = if error.is_lock() { reason::WAITING_FOR_LOCK } else { reason::RELEASING };
            if error.reason().is_some() {
                let text = format!("{error}; trying again");
                hold(object, context, api, |basis| conditions::terminating(basis, reason, &text), None)
                    .await?;
            }
            Err(error)
        }
    }
}

/// Says why the object is still there: in its status, and where that is news and a `warning`, in an Event before.
async fn hold(
    object: &DynamicObject,
    context: &Context,
    api: &Api<DynamicObject>,
    status: impl FnOnce(&Basis<'_>) -> SchemaDefinitionStatus,
    warning: Option<(&str, &str)>,
) -> Result<(), Error> {
    let before = publish::previous(object);
    let after = status(&basis(object, &before, &shown(jiff::Timestamp::now())));
    if let Some((reason, text)) = warning
        && before != after
        && context.told.is_news(object, reason, text)
    {
        events::publish(context, object, EventType::Warning, reason, text).await;
    }
    publish::status(api, object, &after).await?;
    Ok(())
}

async fn blocked(
    object: &DynamicObject,
    context: &Context,
    api: &Api<DynamicObject>,
    change: &Blocked,
) -> Result<(), Error> {
    let reason = if change.outdated.is_some() { reason::APPROVAL_OUTDATED } else { reason::DELETION_BLOCKED };
    let text = blocked_message(change, false);
    hold(object, context, api, |basis| conditions::deletion_blocked(basis, change), Some((reason, &text)))
        .await
}

async fn end(object: &DynamicObject, context: &Context) -> Result<Ending, Error> {
    let policy = deletion_policy(object);
    if let DeletionPolicy::Unknown(value) = policy {
        return Ok(Ending::Unknown(value));
    }
    let namespace = object.metadata.namespace.as_deref().unwrap_or_default();
    let name = object.metadata.name.as_deref().unwrap_or_default();
    let mut session = Session::open(&context.quick).await?;
    let mut tables = Vec::new();
    if policy == DeletionPolicy::Delete {
        let paths = answer(observe::claimed(session.client(), namespace, name)).await?;
        match drop_data(&mut session, &paths, approved(object), &context.config.lease.identity).await? {
            Ok(dropped) => tables = dropped,
            Err(change) => {
                session.finish();
                return Ok(Ending::Blocked(change));
            }
        }
    }
    answer(platform::release(session.client(), namespace, name)).await?;
    session.finish();
    Ok(Ending::Gone(tables))
}

/// Moves the tables of these paths to the trash, or says why not.
async fn drop_data(
    session: &mut Session,
    paths: &[SchemaPath],
    approved: Option<&str>,
    operator: &str,
) -> Result<Result<Vec<String>, Blocked>, Error> {
    let mut plans = Vec::new();
    for path in paths {
        if !answer(lock(session.client(), &path.to_string(), "1s")).await? {
            return Err(Error::Busy);
        }
        let live = answer(observe::live_at(session.client(), path)).await?;
        plans.push((path, delete_plan(path, &live)));
    }
    let all =
        Plan { steps: plans.iter().flat_map(|(_, plan)| plan.steps.clone()).collect(), ..Plan::default() };
    let approval = Approval { named: approved.map(str::to_owned), ..Approval::default() };
    if let Decision::Blocked { pending, hash, approvable, .. } = all.decide(&BTreeMap::new(), &approval) {
        let missing = if approvable { Missing::Approval } else { Missing::Possibility };
        let outdated = approved.filter(|named| *named != hash).map(str::to_owned);
        answer(unlock(session.client())).await?;
        return Ok(Err(Blocked { pending, hash, missing, outdated, drift: false }));
    }
    let mut tables = Vec::new();
    for (path, plan) in plans.iter().filter(|(_, plan)| !plan.is_empty()) {
        let text = path.to_string();
        let change = Change {
            plan,
            path: &text,
            spec_hash: NO_SPEC,
            approved: true,
            publication: None,
            operator,
            progress: None,
        };
        match tokio::time::timeout(LOCK_MAX, apply(session.client(), &change)).await {
            Ok(applied) => applied?,
            Err(_) => return Err(Error::Locked(plan.steps[0].summary.clone())),
        }
        tables.push(TableNames::of(path).display());
    }
    answer(unlock(session.client())).await?;
    Ok(Ok(tables))
}
