//! The leader's lease: of several operators only the one that holds it works. Kubernetes' own (`coordination.k8s.io`), kept as
//! client-go keeps it. The locks in the database are the second fence, for a holder that does not notice in time.

mod terms;

use std::pin::pin;
use std::time::Duration;

use futures::{Stream, StreamExt};
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::PostParams;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::context::MANAGER;
use terms::{Seen, Turn, turn};

pub use terms::Terms;

/// The lease's name, in whatever namespace.
pub const NAME: &str = "velocity-operator";
/// How long the Kubernetes API may take to answer before it is asked again.
const ANSWER_MAX: Duration = Duration::from_secs(5);
/// How soon a request about the lease is made again after one that failed.
const RETRY: Duration = Duration::from_secs(2);

/// Whose lease, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseConfig {
    /// Where it is kept; made when it is not there.
    pub namespace: String,
    /// Who this operator is: no other that runs at the same time may say the same. Who says what the process before it said
    /// takes over at once.
    pub identity: String,
    /// How long it holds.
    pub terms: Terms,
}

/// The lease, held. Each change of it names the version before, so that two can never both believe it theirs.
pub(crate) struct Held {
    api: Api<Lease>,
    config: LeaseConfig,
    lease: Lease,
    /// Just before the request that last renewed it was sent.
    renewed: Instant,
}

/// Waits for the lease and takes it; nothing when `shutdown` comes first.
pub(crate) async fn acquire(
    client: &Client,
    config: &LeaseConfig,
    shutdown: &CancellationToken,
) -> Option<Held> {
    let api: Api<Lease> = Api::namespaced(client.clone(), &config.namespace);
    let mut changes = pin!(watcher::watch_object(api.clone(), NAME).default_backoff());
    let mut told = false;
    loop {
        let lease = tokio::select! {
            () = shutdown.cancelled() => return None,
            lease = next(&mut changes) => lease,
        };
        if let Some(held) = contend(client, &api, config, lease, &mut changes, shutdown, &mut told).await {
            return held;
        }
    }
}

/// One attempt after another at the lease as it was seen, until it changes: then nothing. `Some(None)`: shutdown.
async fn contend(
    client: &Client,
    api: &Api<Lease>,
    config: &LeaseConfig,
    lease: Option<Lease>,
    changes: &mut (impl Stream<Item = watcher::Result<Option<Lease>>> + Unpin),
    shutdown: &CancellationToken,
    told: &mut bool,
) -> Option<Option<Held>> {
    let mut lease = lease;
    let mut since = Instant::now();
    loop {
        let pause = match turn(lease.as_ref().map(seen).as_ref(), since.elapsed(), &config.identity) {
            Turn::Take => match take(client, api, config, lease.clone()).await {
                Ok(held) => return Some(Some(held)),
                Err(error) => {
                    tracing::debug!(error = %error, "the lease could not be taken; trying again");
                    RETRY
                }
            },
            Turn::Wait(pause) => {
                if !*told {
                    let holder = lease.as_ref().map(seen).map(|seen| seen.holder).unwrap_or_default();
                    tracing::info!(lease.holder = holder, "another operator leads; standing by");
                    *told = true;
                }
                pause
            }
        };
        tokio::select! {
            () = shutdown.cancelled() => return Some(None),
            changed = next(changes) => {
                lease = changed;
                since = Instant::now();
            }
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// The next state of the lease; what the watch itself runs into is tried again by it.
async fn next(changes: &mut (impl Stream<Item = watcher::Result<Option<Lease>>> + Unpin)) -> Option<Lease> {
    loop {
        match changes.next().await {
            Some(Ok(lease)) => return lease,
            Some(Err(error)) => tracing::warn!(error = %error, "the lease cannot be watched; trying again"),
            None => std::future::pending().await,
        }
    }
}

fn seen(lease: &Lease) -> Seen {
    let spec = lease.spec.clone().unwrap_or_default();
    let seconds = spec.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
    Seen {
        holder: spec.holder_identity.unwrap_or_default(),
        duration: seconds.map_or(Terms::default().duration, Duration::from_secs),
    }
}

async fn take(
    client: &Client,
    api: &Api<Lease>,
    config: &LeaseConfig,
    lease: Option<Lease>,
) -> Result<Held, kube::Error> {
    let before = lease.as_ref().and_then(|lease| lease.spec.clone()).unwrap_or_default();
    let renewed = Instant::now();
    let now = MicroTime(k8s_openapi::jiff::Timestamp::now());
    let changed_hands = before.holder_identity.as_deref() != Some(config.identity.as_str());
    let spec = LeaseSpec {
        holder_identity: Some(config.identity.clone()),
        lease_duration_seconds: Some(i32::try_from(config.terms.duration.as_secs()).unwrap_or(i32::MAX)),
        acquire_time: Some(now.clone()),
        renew_time: Some(now),
        lease_transitions: Some(
            before.lease_transitions.unwrap_or(0) + i32::from(changed_hands && lease.is_some()),
        ),
        ..LeaseSpec::default()
    };
    let lease = if let Some(mut lease) = lease {
        lease.spec = Some(spec);
        api.replace(NAME, &params(), &lease).await?
    } else {
        let mut lease = Lease { spec: Some(spec), ..Lease::default() };
        lease.metadata.name = Some(NAME.to_owned());
        create(client, api, config, &lease).await?
    };
    tracing::info!(lease.identity = config.identity, "this operator leads");
    Ok(Held { api: api.clone(), config: config.clone(), lease, renewed })
}

/// Makes the lease, and its namespace where that is missing.
async fn create(
    client: &Client,
    api: &Api<Lease>,
    config: &LeaseConfig,
    lease: &Lease,
) -> Result<Lease, kube::Error> {
    match api.create(&params(), lease).await {
        Err(kube::Error::Api(status)) if status.code == 404 => {
            let mut namespace = Namespace::default();
            namespace.metadata.name = Some(config.namespace.clone());
            let made = Api::<Namespace>::all(client.clone()).create(&params(), &namespace).await;
            match made {
                Ok(_) => {}
                Err(kube::Error::Api(status)) if status.code == 409 => {}
                Err(error) => {
                    tracing::warn!(error = %error, namespace = config.namespace, "the lease's namespace is missing and could not be made; make it, or choose another with --lease-namespace");
                    return Err(error);
                }
            }
            api.create(&params(), lease).await
        }
        other => other,
    }
}

fn is_conflict(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 409)
}

fn params() -> PostParams {
    PostParams { field_manager: Some(MANAGER.into()), ..PostParams::default() }
}

impl Held {
    /// Renews the lease for as long as it can; resolves when it is lost, or so long not renewed that it soon might be.
    pub(crate) async fn keep(&mut self) {
        loop {
            tokio::time::sleep_until(self.renewed + self.config.terms.renew).await;
            let end = self.renewed + self.config.terms.give_up;
            match tokio::time::timeout_at(end, self.renew()).await {
                Ok(true) => {}
                Ok(false) => {
                    tracing::warn!("the lease is another's; this operator stops working");
                    return;
                }
                Err(_) => {
                    tracing::warn!("the lease could not be renewed in time; this operator stops working");
                    return;
                }
            }
        }
    }

    /// Renews it, however often it takes; whether it is still held.
    async fn renew(&mut self) -> bool {
        loop {
            let sent = Instant::now();
            let mut wanted = self.lease.clone();
            if let Some(spec) = &mut wanted.spec {
                spec.renew_time = Some(MicroTime(k8s_openapi::jiff::Timestamp::now()));
            }
            match tokio::time::timeout(ANSWER_MAX, self.api.replace(NAME, &params(), &wanted)).await {
                Ok(Ok(lease)) => {
                    (self.lease, self.renewed) = (lease, sent);
                    return true;
                }
                Ok(Err(kube::Error::Api(status))) if matches!(status.code, 404 | 409) => {
                    // An answer that was lost also looks like a conflict.
                    match tokio::time::timeout(ANSWER_MAX, self.api.get_opt(NAME)).await {
                        Ok(Ok(Some(lease))) if seen(&lease).holder == self.config.identity => {
                            self.lease = lease;
                        }
                        Ok(Ok(_)) => return false,
                        _ => tokio::time::sleep(RETRY).await,
                    }
                }
                Ok(Err(error)) => {
                    tracing::warn!(error = %error, "the lease could not be renewed; trying again");
                    tokio::time::sleep(RETRY).await;
                }
                Err(_) => {}
            }
        }
    }

    /// Gives it up, so that another takes over at once. Only for who has stopped working.
    pub(crate) async fn release(mut self) {
        match tokio::time::timeout(ANSWER_MAX, self.try_release()).await {
            Ok(Ok(())) => tracing::info!("gave up the lease"),
            Ok(Err(error)) => {
                tracing::debug!(error = %error, "the lease could not be given up; it will run out");
            }
            Err(_) => tracing::debug!("the lease could not be given up in time; it will run out"),
        }
    }

    async fn try_release(&mut self) -> Result<(), kube::Error> {
        loop {
            if let Some(spec) = &mut self.lease.spec {
                spec.holder_identity = Some(String::new());
                spec.renew_time = Some(MicroTime(k8s_openapi::jiff::Timestamp::now()));
            }
            let refused = match self.api.replace(NAME, &params(), &self.lease).await {
                Err(error) if is_conflict(&error) => error,
                other => return other.map(drop),
            };
            // The last renewal may have arrived though its answer was not waited for.
            match self.api.get_opt(NAME).await? {
                Some(lease) if seen(&lease).holder == self.config.identity => self.lease = lease,
                _ => return Err(refused),
            }
        }
    }
}
