//! Many schemas: how long until all are ready, and the memory that they take.

use std::time::{Duration, Instant};

use anyhow::ensure;
use serde_json::{Value, json};

use crate::args::Args;
use crate::figures::Schemas;
use crate::kubernetes::Kubernetes;
use crate::server::{Server, folder};

/// Schemas of one domain.
const PER_DOMAIN: usize = 100;
const LOOK: Duration = Duration::from_millis(200);
/// For the memory of the last reconciles to be given back.
const SETTLE: Duration = Duration::from_secs(2);
const PATIENCE_PER_SCHEMA: Duration = Duration::from_secs(1);

/// Applies one schema, then the rest.
pub(crate) async fn run(args: &Args) -> anyhow::Result<Schemas> {
    let temporary = folder()?;
    let server = Server::start(args, &temporary.path().join("schemas")).await?;
    let mut kubernetes = Kubernetes::open(&server).await?;
    let domains: Vec<String> =
        (0..args.schemas.div_ceil(PER_DOMAIN)).map(|number| format!("d{number}")).collect();
    for domain in &domains {
        kubernetes.create_namespace(&namespace(domain)).await?;
    }
    create(&mut kubernetes, &domains, 0).await?;
    wait(&mut kubernetes, 1).await?;
    tokio::time::sleep(SETTLE).await;
    let memory_of_one_mib = server.memory_mib("VmRSS")?;
    let started = Instant::now();
    for number in 1..args.schemas {
        create(&mut kubernetes, &domains, number).await?;
    }
    wait(&mut kubernetes, args.schemas).await?;
    let ready_s = started.elapsed().as_secs_f64();
    tokio::time::sleep(SETTLE).await;
    let memory_of_all_mib = server.memory_mib("VmRSS")?;
    server.stop().await?;
    let figures = Schemas { count: args.schemas, ready_s, memory_of_one_mib, memory_of_all_mib };
    eprintln!("{figures:?}");
    Ok(figures)
}

async fn create(kubernetes: &mut Kubernetes, domains: &[String], number: usize) -> anyhow::Result<()> {
    let domain = &domains[number / PER_DOMAIN];
    let namespace = namespace(domain);
    kubernetes.create_schema(&namespace, &definition(&namespace, domain, number)).await
}

async fn wait(kubernetes: &mut Kubernetes, count: usize) -> anyhow::Result<()> {
    let started = Instant::now();
    let patience = PATIENCE_PER_SCHEMA * u32::try_from(count + 30)?;
    loop {
        let (ready, all) = kubernetes.count("Ready").await?;
        if ready >= count {
            return Ok(());
        }
        ensure!(started.elapsed() < patience, "only {ready} of {all} schemas are ready after {patience:?}");
        tokio::time::sleep(LOOK).await;
    }
}

/// The namespace of a domain.
pub(crate) fn namespace(domain: &str) -> String {
    format!("bench-many-{domain}")
}

/// Where a small schema is served.
pub(crate) fn endpoint(domain: &str, number: usize) -> String {
    format!("/api/bench/many/{domain}/thing-{number}/v1")
}

/// A small schema of a domain.
pub(crate) fn definition(namespace: &str, domain: &str, number: usize) -> Value {
    let object = format!("thing-{number}");
    json!({
        "apiVersion": "velocity.sh/v1",
        "kind": "SchemaDefinition",
        "metadata": {"name": object, "namespace": namespace},
        "spec": {
            "org": "bench",
            "app": "many",
            "domain": domain,
            "object": object,
            "version": "v1",
            "fields": [
                {"name": "name", "type": "string", "required": true, "maxLength": 80, "filterable": true, "sortable": true},
                {"name": "amount", "type": "number", "precision": 18, "scale": 2, "min": 0},
                {"name": "status", "type": "enum", "enum": ["open", "closed"], "default": "open", "filterable": true},
                {"name": "due", "type": "timestamp"},
                {"name": "details", "type": "json"}
            ],
            "access": {"roles": {"create": ["writer"], "read": ["reader", "writer"], "update": ["writer"]}}
        }
    })
}
