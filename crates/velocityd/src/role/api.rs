//! `velocityd api`, and the same within `velocityd dev`.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use ipnet::IpNet;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_postgres::{Client, Error};
use tokio_util::sync::CancellationToken;
use velocity_access::{Revocations, SealingKey};
use velocity_api::informer::{self, Targets};
use velocity_api::{
    Api, Config, CurrentCatalog, Database, Environment, Metrics, RateConfig, Readiness, StoredSpecs,
    Strategies,
};
use velocity_schema::schema::{MaskKey, StrategyRef};
use velocity_sql::query::CursorKey;
use velocity_store::owner::OwnerPool;
use velocity_store::platform::{cursor_key, mask_key, session_key};
use velocity_store::wire::{ExclusiveLimits, MuxLimits};

use super::stop_signal;
use crate::cli::ApiArgs;

/// What the API is put together from.
pub(crate) struct ApiParts {
    pub(crate) client: kube::Client,
    pub(crate) database_url: String,
    pub(crate) default_strategy: Option<StrategyRef>,
    pub(crate) rate: Option<RateConfig>,
    pub(crate) trusted_proxies: Vec<IpNet>,
    pub(crate) environment: Environment,
}

/// Runs the API against the cluster that this process belongs to, or the current kubeconfig.
pub(crate) async fn api(args: ApiArgs) -> anyhow::Result<()> {
    let rate = args.rate_limit.map(|per_second| RateConfig {
        per_second,
        burst: args.rate_burst.unwrap_or_else(|| per_second.saturating_mul(TEN)),
    });
    let listener =
        TcpListener::bind(args.listen).await.with_context(|| format!("cannot listen on {}", args.listen))?;
    let metrics = TcpListener::bind(args.metrics_listen)
        .await
        .with_context(|| format!("cannot listen on {}", args.metrics_listen))?;
    let client = kube::Client::try_default().await.context("no Kubernetes API to learn schemas from")?;
    let stop = CancellationToken::new();
    let parts = ApiParts {
        client,
        database_url: args.database_url,
        default_strategy: args.default_auth_strategy,
        rate,
        trusted_proxies: args.clients.trusted_proxies,
        environment: args.environment,
    };
    let serving = serve_api(parts, listener, metrics, stop.clone()).await?;
    tokio::select! {
        signal = stop_signal() => tracing::info!(signal = signal?, "stopping"),
        ended = serving.ended() => ended?,
    }
    stop.cancel();
    serving.stop().await;
    Ok(())
}

const TEN: std::num::NonZeroU32 = std::num::NonZeroU32::MIN.saturating_add(9);

/// A serving API.
pub(crate) struct Serving {
    readiness: Readiness,
    informer: JoinHandle<()>,
    server: JoinHandle<()>,
    metrics: JoinHandle<()>,
}

/// Starts the informer and serves the API and its metrics until `stop`.
pub(crate) async fn serve_api(
    parts: ApiParts,
    listener: TcpListener,
    metrics_listener: TcpListener,
    stop: CancellationToken,
) -> anyhow::Result<Serving> {
    let Keys { cursor, mask, sealing } = wait_for_keys(&parts.database_url).await?;
    let (mux, exclusive) = (MuxLimits::default(), ExclusiveLimits::default());
    let database = Database::open(&parts.database_url, mux, exclusive, cursor, mask).await?;
    let revocations = Revocations::new(database.revocation_source());
    revocations.spawn();
    let metrics = Metrics::new(vec![database.collector(), velocity_api::revocation_collector(&revocations)]);
    let targets = Targets {
        records: Some(database.records().clone()),
        access: velocity_access::Context {
            store: database.credential_store(),
            sealing_key: sealing,
            ..velocity_access::Context::default()
        },
        default_strategy: parts.default_strategy.clone(),
        ..Targets::new(
            CurrentCatalog::default(),
            Strategies::new(revocations),
            Readiness::default(),
            Arc::clone(&metrics),
        )
    };
    let specs = Arc::new(StoredSpecs::new(&parts.database_url)?);
    let informer = tokio::spawn(informer::run(parts.client, specs, targets.clone()));
    let config = Config {
        default_strategy: parts.default_strategy,
        rate: parts.rate,
        trusted_proxies: parts.trusted_proxies,
        environment: parts.environment,
        ..Config::default()
    };
    let Targets { catalog, strategies, readiness, .. } = targets;
    let api = Api::new(config, catalog, strategies, readiness.clone(), Arc::clone(&metrics), database);
    let server = tokio::spawn(velocity_api::serve(listener, api, stop.clone().cancelled_owned()));
    let metrics =
        tokio::spawn(velocity_api::serve_metrics(metrics_listener, metrics, stop.cancelled_owned()));
    Ok(Serving { readiness, informer, server, metrics })
}

/// The installation's keys.
struct Keys {
    cursor: CursorKey,
    mask: MaskKey,
    sealing: SealingKey,
}

/// The keys, once the operator has set the database up: API and operator may start in any order.
async fn wait_for_keys(url: &str) -> anyhow::Result<Keys> {
    let pool = OwnerPool::new(url, 1)?;
    let mut told = false;
    loop {
        let found = match pool.connection().await {
            Ok(mut connection) => keys(connection.client()).await.map_err(anyhow::Error::from),
            Err(error) => Err(error.into()),
        };
        match found {
            Ok(Some(keys)) => return Ok(keys),
            Ok(None) if !told => tracing::info!("waiting for the operator to set the database up"),
            Err(error) if !told => {
                tracing::warn!(error = format!("{error:#}"), "the database cannot be reached; trying again");
            }
            _ => {}
        }
        told = true;
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

async fn keys(client: &Client) -> Result<Option<Keys>, Error> {
    let found = (cursor_key(client).await?, mask_key(client).await?, session_key(client).await?);
    let (Some(cursor), Some(mask), Some(sealing)) = found else { return Ok(None) };
    Ok(Some(Keys {
        cursor: CursorKey::new(cursor),
        mask: MaskKey::new(mask),
        sealing: SealingKey::new(sealing),
    }))
}

impl Serving {
    /// Resolves once the first lists are complete.
    pub(crate) async fn ready(&self) -> anyhow::Result<()> {
        while !self.readiness.missing().is_empty() {
            anyhow::ensure!(
                !self.informer.is_finished(),
                "the informer ended before its first lists were complete"
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }

    /// Resolves when a part ends by itself, which none should.
    pub(crate) async fn ended(&self) -> anyhow::Result<()> {
        loop {
            for (part, task) in [
                ("informer", &self.informer),
                ("HTTP server", &self.server),
                ("metrics server", &self.metrics),
            ] {
                anyhow::ensure!(!task.is_finished(), "the {part} ended by itself");
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Waits until the requests under way are answered.
    pub(crate) async fn stop(self) {
        self.informer.abort();
        let _ = self.server.await;
        let _ = self.metrics.await;
    }
}
