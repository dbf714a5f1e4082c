//! From watch events to the strategies and bindings.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;

use futures::{Stream, StreamExt};
use kube::api::DynamicObject;
use kube::runtime::watcher::Event;

use super::Targets;
use super::binding_index::{BindingIndex, BindingName, Built, news};
use super::driver::{BATCH, Watched, label, note_error, note_event, set};
use super::secrets::SecretWatches;
use super::strategy_index::{Launch, StrategyIndex, name_of};

const STRATEGIES: &str = "AuthStrategy";
const BINDINGS: &str = "RoleBinding";

/// Follows the AuthStrategies, and the Secrets that they name.
pub(super) async fn follow_strategies(
    events: impl Stream<Item = Watched>,
    client: kube::Client,
    targets: &Targets,
) {
    let mut events = pin!(events.ready_chunks(BATCH));
    let launch = Launch {
        context: targets.access.clone(),
        default_namespace: targets.default_strategy.as_ref().map(|strategy| strategy.namespace.clone()),
    };
    let (mut index, mut listed) = (StrategyIndex::new(launch), false);
    let (mut watches, mut secrets) = SecretWatches::new(client, Arc::clone(&targets.metrics));
    loop {
        tokio::select! {
            batch = events.next() => {
                let Some(batch) = batch else { return };
                for event in batch {
                    listed |= take_strategy(&mut index, event, targets);
                }
            }
            Some((secret, known)) = secrets.recv() => {
                for name in index.secret(&secret, known) {
                    let strategy = name.to_string();
                    if let Some(problem) = index.problem(&name) {
                        tell(&strategy, problem);
                    } else {
                        tracing::info!(strategy, "an AuthStrategy runs with its Secret as it is now");
                    }
                }
            }
        }
        let wanted = index.wanted_secrets();
        watches.want(&wanted);
        index.forget_secrets(&wanted);
        if listed {
            publish_strategies(&index, targets);
        }
    }
}

/// Whether a list is complete.
fn take_strategy(index: &mut StrategyIndex, event: Watched, targets: &Targets) -> bool {
    let is_complete = matches!(event, Ok(Event::InitDone));
    match event {
        Ok(Event::Init) => index.begin_list(),
        Ok(Event::InitApply(object) | Event::Apply(object)) => apply_strategy(index, &object),
        Ok(Event::InitDone) => index.end_list(),
        Ok(Event::Delete(object)) => index.delete(&object),
        Err(error) => {
            note_error(&targets.metrics, STRATEGIES, &error);
            return false;
        }
    }
    note_event(&targets.metrics, STRATEGIES);
    is_complete
}

fn publish_strategies(index: &StrategyIndex, targets: &Targets) {
    let metrics = &targets.metrics.informer;
    targets.strategies.store(index.running());
    set(&metrics.broken.get_or_create(&label(STRATEGIES)), index.broken());
    metrics.synced.get_or_create(&label(STRATEGIES)).set(1);
    // Who is signed in must not look signed out only because a Secret has not been read yet.
    if index.knows_secrets() {
        targets.readiness.strategies_are_synced();
    }
}

fn apply_strategy(index: &mut StrategyIndex, object: &DynamicObject) {
    let name = name_of(object);
    let before = index.problem(&name).map(str::to_owned);
    index.apply(object);
    match index.problem(&name) {
        Some(problem) if before.as_deref() != Some(problem) => tell(&name.to_string(), problem),
        _ => {}
    }
}

fn tell(strategy: &str, error: &str) {
    tracing::error!(strategy, error, "an AuthStrategy does not run: nobody gets in through it");
}

/// Follows the RoleBindings. What they give counts from the moment at which it is published here.
pub(super) async fn follow_bindings(events: impl Stream<Item = Watched>, targets: &Targets) {
    let mut events = pin!(events.ready_chunks(BATCH));
    let (mut index, mut listed) = (BindingIndex::default(), false);
    let mut problems = BTreeMap::new();
    while let Some(batch) = events.next().await {
        for event in batch {
            match event {
                Ok(Event::Init) => index.begin_list(),
                Ok(Event::InitApply(object) | Event::Apply(object)) => index.apply(&object),
                Ok(Event::InitDone) => {
                    index.end_list();
                    listed = true;
                }
                Ok(Event::Delete(object)) => index.delete(&object),
                Err(error) => {
                    note_error(&targets.metrics, BINDINGS, &error);
                    continue;
                }
            }
            note_event(&targets.metrics, BINDINGS);
        }
        // Until a list is complete nothing is published, so that nobody takes a part for the whole.
        if listed && let Some(built) = index.take_changed() {
            publish_bindings(built, &mut problems, targets);
        }
    }
}

fn publish_bindings(built: Built, problems: &mut BTreeMap<BindingName, String>, targets: &Targets) {
    let Built { bindings, problems: now } = built;
    for ((namespace, name), error) in news(problems, &now) {
        tracing::warn!(namespace, name, error, "a RoleBinding gives nothing");
    }
    let metrics = &targets.metrics.informer;
    set(&metrics.broken.get_or_create(&label(BINDINGS)), now.len());
    *problems = now;
    targets.catalog.store_bindings(bindings);
    metrics.synced.get_or_create(&label(BINDINGS)).set(1);
    targets.readiness.bindings_are_synced();
}
