//! AuthStrategies: says in their status whether they can be used, and why not.
//!
//! What a provider publishes is not fetched: that is the API's part. A Secret is asked for by its name, now and then; its
//! value is looked at no further than whether it is there.

mod verdict;

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::channel::mpsc;
use k8s_openapi::api::core::v1::Secret;
use kube::api::DynamicObject;
use kube::runtime::controller::{Action, Controller};
use kube::runtime::reflector::{ObjectRef, Store};
use kube::{Api, Client};
use tokio_util::sync::CancellationToken;
use velocity_contract::auth_strategy::SecretKeyRef;
use velocity_contract::status::{AuthStrategyStatus, Condition, ConditionStatus, condition, set_condition};
use velocity_schema::schema::StrategyRef;

use self::verdict::{ClientSecret, Others, Verdict, secret_ref, spec_of, verdict};
use crate::context::Context;
use crate::controller::{changes_and, strategy_resource};
use crate::publish;
use crate::reconcile::shown;
use crate::retries::LONGEST;

/// How often it is asked whether the Secret of a strategy is still there.
const SECRET_PAUSE: Duration = Duration::from_mins(10);

/// What a reconcile works with.
struct Strategies {
    context: Arc<Context>,
    all: Store<DynamicObject>,
}

/// Runs until `shutdown`.
pub(crate) async fn run(client: Client, context: Arc<Context>, shutdown: CancellationToken) {
    let resource = strategy_resource();
    let api: Api<DynamicObject> = Api::all_with(client, &resource);
    let (poke, pokes) = mpsc::unbounded();
    // What becomes of one strategy is news for the composites that may have it among their members.
    let (all, changes) = changes_and(api, resource.clone(), move |all| {
        for composite in all.state().iter().filter(|object| is_composite(object)) {
            let _ = poke.unbounded_send(ObjectRef::from_obj_with(&**composite, strategy_resource()));
        }
    });
    let strategies = Arc::new(Strategies { context, all: all.clone() });
    Controller::for_stream_with(changes, all, resource)
        .reconcile_on(pokes)
        .graceful_shutdown_on(shutdown.cancelled_owned())
        .run(
            reconcile,
            |object, error, strategies: Arc<Strategies>| {
                tracing::warn!(error = %error, "an AuthStrategy's status could not be written; trying again");
                Action::requeue(strategies.context.retries.next(&object, LONGEST))
            },
            strategies,
        )
        .for_each(|_| async {})
        .await;
}

fn is_composite(object: &DynamicObject) -> bool {
    object.data.pointer("/spec/type").and_then(serde_json::Value::as_str) == Some("composite")
}

async fn reconcile(object: Arc<DynamicObject>, strategies: Arc<Strategies>) -> Result<Action, kube::Error> {
    let context = &strategies.context;
    let secret = client_secret(&object, context).await?;
    let needs_look = !matches!(secret, ClientSecret::NotNeeded);
    let Verdict { ready, reason, message } =
        verdict(&object, &*strategies, context.default_namespace(), &secret);
    let before: AuthStrategyStatus = publish::status_of(&object);
    let mut after = before.clone();
    after.observed_generation = object.metadata.generation;
    set_condition(
        &mut after.conditions,
        Condition {
            kind: condition::READY.to_owned(),
            status: if ready { ConditionStatus::True } else { ConditionStatus::False },
            reason: reason.to_owned(),
            message,
            last_transition_time: shown(jiff::Timestamp::now()),
            observed_generation: object.metadata.generation,
        },
    );
    if after != before {
        let namespace = object.metadata.namespace.as_deref().unwrap_or_default();
        let api = Api::namespaced_with(context.client.clone(), namespace, &strategy_resource());
        publish::merge_status(&api, &object, &after).await?;
    }
    if matches!(secret, ClientSecret::Missing(_)) {
        return Ok(Action::requeue(context.retries.next(&object, LONGEST)));
    }
    context.retries.forget(&object);
    Ok(if needs_look { Action::requeue(SECRET_PAUSE) } else { Action::await_change() })
}

/// Whether the Secret that the strategy names is there, with the key.
async fn client_secret(object: &DynamicObject, context: &Context) -> Result<ClientSecret, kube::Error> {
    let Some(SecretKeyRef { name, key }) = secret_ref(object) else { return Ok(ClientSecret::NotNeeded) };
    let namespace = object.metadata.namespace.as_deref().unwrap_or_default();
    let secrets: Api<Secret> = Api::namespaced(context.client.clone(), namespace);
    let missing = |why: String| Ok(ClientSecret::Missing(why));
    match secrets.get_opt(&name).await {
        Ok(Some(secret)) => {
            let there =
                secret.data.is_some_and(|data| data.get(&key).is_some_and(|value| !value.0.is_empty()));
            if there {
                Ok(ClientSecret::Found)
            } else {
                missing(format!("the Secret `{name}` has nothing under `{key}`"))
            }
        }
        Ok(None) => missing(format!("there is no Secret `{name}` in `{namespace}`")),
        Err(kube::Error::Api(refused)) if refused.code == 403 => {
            missing(format!("the operator may not get the Secret `{name}` in `{namespace}`: grant it"))
        }
        Err(error) => Err(error),
    }
}

impl Others for Strategies {
    fn find(&self, name: &StrategyRef) -> Option<velocity_contract::auth_strategy::AuthStrategySpec> {
        let reference = ObjectRef::new_with(&name.name, strategy_resource()).within(&name.namespace);
        spec_of(&*self.all.get(&reference)?).ok()
    }

    fn is_there(&self, name: &StrategyRef) -> bool {
        self.all.get(&ObjectRef::new_with(&name.name, strategy_resource()).within(&name.namespace)).is_some()
    }
}
