//! Many schemas, with API and operator as processes of their own: how long until all are ready, how soon a change of one is
//! served, the memory that they take, and what they cost while nothing happens.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::ensure;
use serde_json::{Value, json};

use crate::args::Args;
use crate::cli;
use crate::figures::Schemas;
use crate::http::{Connection, request};
use crate::kubernetes::Kubernetes;
use crate::latency::Latencies;
use crate::server::folder;
use crate::split::{API, OPERATOR, Split};

/// Schemas of one domain.
const PER_DOMAIN: usize = 100;
/// A look reads all of them: more often, and the looking would be measured.
const LOOK: Duration = Duration::from_secs(1);
/// Between two requests that ask for a new field.
const ASK: Duration = Duration::from_millis(2);
/// For the memory of the last reconciles to be given back.
const SETTLE: Duration = Duration::from_secs(5);
const PATIENCE_PER_SCHEMA: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_mins(1);

/// Applies one schema, then the rest, then changes some, then waits.
pub(crate) async fn run(args: &Args) -> anyhow::Result<Schemas> {
    let temporary = folder()?;
    let split = Split::start(args, &temporary.path().join("many")).await?;
    let mut kubernetes = Kubernetes::open(split.calls.address).await?;
    let domains: Vec<String> =
        (0..args.schemas.div_ceil(PER_DOMAIN)).map(|number| format!("d{number}")).collect();
    for domain in &domains {
        kubernetes.create_namespace(&namespace(domain)).await?;
    }
    create(&mut kubernetes, &domains, 0).await?;
    wait(&mut kubernetes, 1).await?;
    tokio::time::sleep(SETTLE).await;
    let (api_of_one_mib, operator_of_one_mib) = split.memory_mib()?;
    let (_, cpu) = split.cpu_ms()?;
    let started = Instant::now();
    for number in 1..args.schemas {
        create(&mut kubernetes, &domains, number).await?;
    }
    wait(&mut kubernetes, args.schemas).await?;
    let ready_s = started.elapsed().as_secs_f64();
    served(&split, &domains, args.schemas).await?;
    let served_s = started.elapsed().as_secs_f64();
    let operator_cpu_ms = split.cpu_ms()?.1 - cpu;
    tokio::time::sleep(SETTLE).await;
    let (api_of_all_mib, operator_of_all_mib) = split.memory_mib()?;
    eprintln!(
        "{} schemas ready after {ready_s:.1} s; API {api_of_one_mib:.0} MiB, then {api_of_all_mib:.0} MiB",
        args.schemas
    );
    let mut changes = changes(args, &split, &domains, temporary.path()).await?;
    tokio::time::sleep(SETTLE).await;
    let idle = idle(&split, Duration::from_secs(args.idle_seconds)).await?;
    split.stop().await?;
    let figures = Schemas {
        count: args.schemas,
        ready_s,
        served_s,
        operator_cpu_ms,
        changes: changes.len(),
        change_p50_ms: changes.percentile_ms(0.5),
        change_p99_ms: changes.percentile_ms(0.99),
        change_max_ms: changes.percentile_ms(1.0),
        api_of_one_mib,
        api_of_all_mib,
        operator_of_one_mib,
        operator_of_all_mib,
        idle_s: idle.seconds,
        operator_calls: idle.operator_calls,
        api_calls: idle.api_calls,
        operator_idle_cpu_ms: idle.operator_cpu_ms,
        api_idle_cpu_ms: idle.api_cpu_ms,
    };
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

/// Waits until each schema takes a record.
async fn served(split: &Split, domains: &[String], count: usize) -> anyhow::Result<()> {
    let token = split.token("writer")?;
    let mut connection = Connection::open(split.api()).await?;
    for number in 0..count {
        let path = endpoint(&domains[number / PER_DOMAIN], number);
        let post = request("POST", &path, &token, Some(("application/json", br#"{"name":"first"}"#)));
        until(&mut connection, &post, 201, &[404, 503]).await?;
    }
    Ok(())
}

/// Asks again and again as long as the answer is one of `not_yet`.
async fn until(
    connection: &mut Connection,
    request: &[u8],
    status: u16,
    not_yet: &[u16],
) -> anyhow::Result<()> {
    let started = Instant::now();
    loop {
        let got = connection.exchange(request).await?.status;
        if got == status {
            return Ok(());
        }
        ensure!(
            not_yet.contains(&got) && started.elapsed() < PATIENCE,
            "answered with {got} in place of {status}"
        );
        tokio::time::sleep(ASK).await;
    }
}

/// Adds a field to one schema after the other, all over the domains: from the start of `velocity apply` to the first record that
/// has a value in it.
async fn changes(args: &Args, split: &Split, domains: &[String], dir: &Path) -> anyhow::Result<Latencies> {
    let token = split.token("writer")?;
    let mut connection = Connection::open(split.api()).await?;
    let mut latencies = Latencies::default();
    let (config, file) = (split.config(), dir.join("change.json"));
    for change in 0..args.changes {
        let number = change * 37 % args.schemas;
        let field = format!("added_{change}");
        let domain = &domains[number / PER_DOMAIN];
        let mut changed = definition(&namespace(domain), domain, number);
        if let Some(fields) = changed["spec"]["fields"].as_array_mut() {
            fields.push(json!({"name": field, "type": "string", "maxLength": 20}));
        }
        std::fs::write(&file, changed.to_string())?;
        let body = json!({"name": "changed", &field: "here"}).to_string();
        let content = Some(("application/json", body.as_bytes()));
        let post = request("POST", &endpoint(domain, number), &token, content);
        connection.expect(&post, 400).await?;
        let started = Instant::now();
        let apply = cli::run(args, &config, ["apply".as_ref(), "-f".as_ref(), file.as_os_str()]);
        let (applied, seen) = tokio::join!(apply, until(&mut connection, &post, 201, &[400]));
        latencies.push(started.elapsed());
        applied?;
        seen?;
    }
    Ok(latencies)
}

struct Idle {
    seconds: f64,
    operator_calls: f64,
    api_calls: f64,
    operator_cpu_ms: f64,
    api_cpu_ms: f64,
}

/// Waits while nothing happens, and counts. All but the seconds is by the minute.
async fn idle(split: &Split, time: Duration) -> anyhow::Result<Idle> {
    let before = (split.calls.of(OPERATOR), split.calls.of(API), split.cpu_ms()?);
    let started = Instant::now();
    tokio::time::sleep(time).await;
    let seconds = started.elapsed().as_secs_f64();
    let after = (split.calls.of(OPERATOR), split.calls.of(API), split.cpu_ms()?);
    #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52 calls")]
    let calls = |before: u64, after: u64| (after - before) as f64 * 60.0 / seconds;
    Ok(Idle {
        seconds,
        operator_calls: calls(before.0, after.0),
        api_calls: calls(before.1, after.1),
        operator_cpu_ms: (after.2.1 - before.2.1) * 60.0 / seconds,
        api_cpu_ms: (after.2.0 - before.2.0) * 60.0 / seconds,
    })
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
