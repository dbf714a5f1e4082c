//! `velocityd dev`: the same operator and API over a small built-in Kubernetes API and a private Postgres.

mod banner;
mod database;
mod endpoints;
mod folder;
mod identity;
mod kubernetes;

use anyhow::Context;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use velocity_schema::schema::StrategyRef;
use velocity_store::owner::OwnerPool;

use crate::cli::DevArgs;
use crate::role::{ApiParts, serve_api, stop_signal};

/// Enough for the set-up; the operator has its own.
const OWNER_CONNECTIONS: usize = 1;

/// Starts everything, says where it is, and runs until it is told to stop.
pub(crate) async fn run(args: DevArgs) -> anyhow::Result<()> {
    let folder = folder::Folder::claim(&args.data_dir)?;
    endpoints::forget(&folder);
    // Listen first: a port that is taken is said before anything is started.
    let api = bind(args.listen, "the API").await?;
    let kubernetes_listener = bind(args.kubernetes_listen, "the Kubernetes API").await?;
    let metrics = bind(args.metrics_listen, "metrics").await?;

    let stop = CancellationToken::new();
    let database = database::start(&args, &folder).await?;
    let owner = OwnerPool::new(&database.owner_url, OWNER_CONNECTIONS)?;
    velocity_store::platform::migrate(owner.connection().await?.client()).await?;
    let api_url = database.api_url(&folder, &owner).await?;
    let kubernetes = kubernetes::start(&folder, kubernetes_listener, stop.clone())?;
    let identity = identity::prepare(&folder, &kubernetes.client).await?;

    let mut operator = tokio::spawn(velocity_operator::run(
        kubernetes.client.clone(),
        database.owner_url.clone(),
        operator_config(&identity.strategy),
        stop.clone(),
    ));
    let endpoints = endpoints::Endpoints {
        api: format!("http://{}", api.local_addr()?),
        kubernetes: kubernetes.url.clone(),
        metrics: format!("http://{}", metrics.local_addr()?),
        postgres: database.owner_url.clone(),
        pid: std::process::id(),
    };
    let parts = ApiParts {
        client: kubernetes.client.clone(),
        database_url: api_url,
        default_strategy: Some(identity.strategy.clone()),
        rate: None,
        trusted_proxies: args.clients.trusted_proxies.clone(),
        environment: args.environment.clone(),
    };
    let serving = serve_api(parts, api, metrics, stop.clone()).await?;
    // The database stops last: requests and reconciles under way still need it.
    let stop_database = CancellationToken::new();
    let supervisor = tokio::spawn(database.supervise(stop_database.clone()));
    serving.ready().await?;

    identity.write_config(&folder, &endpoints.api)?;
    let written = endpoints.write(&folder)?;
    banner::print(&folder, &endpoints, supervisor_notice(&args));
    let reason = tokio::select! {
        signal = stop_signal() => signal.map(|_| ()),
        ended = serving.ended() => ended,
        ended = &mut operator => Err(match ended {
            Ok(Ok(())) => anyhow::anyhow!("the operator ended by itself"),
            Ok(Err(error)) => anyhow::Error::from(error).context("the operator ended"),
            Err(panic) => anyhow::Error::from(panic).context("the operator ended"),
        }),
    };
    drop(written);
    stop.cancel();
    serving.stop().await;
    if !operator.is_finished() {
        let _ = operator.await;
    }
    stop_database.cancel();
    supervisor.await.context("the database's supervisor ended")??;
    kubernetes.stop().await;
    reason
}

/// The folder is one process' at a time, and so is its Kubernetes API: who leads next is who led before, and does not wait
/// for a lease that a killed process left behind.
fn operator_config(strategy: &StrategyRef) -> velocity_operator::Config {
    let mut config = velocity_operator::Config {
        default_strategy: Some(strategy.clone()),
        ..velocity_operator::Config::default()
    };
    "velocityd-dev".clone_into(&mut config.lease.identity);
    config
}

fn supervisor_notice(args: &DevArgs) -> &'static str {
    if args.database_url.is_some() { "the given Postgres" } else { "a private Postgres" }
}

async fn bind(address: std::net::SocketAddr, what: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| {
        format!("{what} cannot listen on {address}; free it, or choose another (port 0 picks a free one)")
    })
}
