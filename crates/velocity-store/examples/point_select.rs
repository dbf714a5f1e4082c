//! How near the client is to `pgbench` on a point select under row-level security.
//!
//! ```text
//! cargo run --release -p velocity-store --example point_select -- [seconds per line]
//! ```
//!
//! Starts a private Postgres, fills one table with 100,000 rows of 100 tenants, and reads single rows by key
//! as four roles in turn, with role and settings in each request. For comparison it runs `pgbench` where it
//! is installed, on the same database: a plain select, the same with its transaction in one pipeline, and
//! the same with one round trip per command.

use std::{
    error::Error,
    path::Path,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio_postgres::NoTls;
use velocity_localpg::{Durability, LocalPostgres, Options};
use velocity_store::wire::{
    Config, Exclusive, ExclusiveLimits, Mux, MuxLimits, Params, Pipeline, ResultSet, Session, SettingNames,
    Sql, Statement, WireError,
};

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

const ROWS: i64 = 100_000;
const ROLES: [&str; 4] = ["bench_0", "bench_1", "bench_2", "bench_3"];

const SETUP: &str = "
    create role bench_api login noinherit;
    create role bench_0; create role bench_1; create role bench_2; create role bench_3;
    grant bench_0, bench_1, bench_2, bench_3 to bench_api;
    create table records (id bigint, tenant int not null, name text not null, status text not null,
        amount numeric not null, quantity int not null, note text, a text, b text, c text,
        created_at timestamptz not null default now(), active boolean not null, primary key (tenant, id));
    insert into records
        select i, i % 100, 'name ' || i, 'open', i + 0.25, i % 1000, repeat('n', 80), repeat('a', 40),
            repeat('b', 40), repeat('c', 40), now(), i % 2 = 0 from generate_series(0, 99999) i;
    alter table records enable row level security;
    create policy tenant on records using
        (tenant = (select nullif(current_setting('velocity.tenant', true), '')::int));
    grant select on records to bench_0, bench_1, bench_2, bench_3;
    vacuum analyze records;
";

const SELECT: &str = "select id, tenant, name, status, amount, quantity, note, a, b, c, created_at, active \
                      from records where tenant = $1 and id = $2";

fn main() -> Outcome<()> {
    let seconds = std::env::args().nth(1).map_or(Ok(3.0), |text| text.parse())?;
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?
        .block_on(run(Duration::from_secs_f64(seconds)))
}

async fn run(period: Duration) -> Outcome<()> {
    let dir = tempfile::tempdir()?;
    let mut options = Options::new(dir.path());
    options.durability = Durability::None;
    options.offline = true;
    options.settings.push(("jit".into(), "off".into()));
    let postgres = LocalPostgres::start(options).await?;
    let url = postgres.url(postgres.superuser(), "postgres");
    let (admin, connection) = tokio_postgres::connect(&url, NoTls).await?;
    tokio::spawn(connection);
    for statement in SETUP.split(';').map(str::trim).filter(|text| !text.is_empty()) {
        admin.batch_execute(statement).await?;
    }

    println!("requests per second, callers (connections); four roles in turn");
    let config: Config = postgres.url("bench_api", "postgres").parse()?;
    let sessions: Arc<[Session]> = sessions()?.into();
    for (callers, connections) in [(1, 1), (16, 16), (64, 16), (64, 8)] {
        let limits = ExclusiveLimits { connections, ..ExclusiveLimits::default() };
        let lane = Lane::Exclusive(Exclusive::new(config.clone(), limits));
        measure(&format!("exclusive c={callers} ({connections})"), &lane, &sessions, callers, period).await?;
    }
    for (callers, connections) in [(1, 1), (16, 4), (64, 2), (64, 4)] {
        let limits = MuxLimits { connections, ..MuxLimits::default() };
        let lane = Lane::Mux(Mux::new(config.clone(), limits));
        measure(&format!("mux       c={callers} ({connections})"), &lane, &sessions, callers, period).await?;
    }
    compare_with_pgbench(&postgres, dir.path(), period)?;
    postgres.stop().await?;
    Ok(())
}

#[derive(Clone)]
enum Lane {
    Exclusive(Exclusive),
    Mux(Mux),
}

impl Lane {
    async fn run(&self, pipeline: Pipeline) -> Result<Vec<ResultSet>, WireError> {
        match self {
            Self::Exclusive(lane) => lane.pipeline(pipeline).await,
            Self::Mux(lane) => lane.pipeline(pipeline).await,
        }
    }
}

/// One session per role and tenant, with four settings each.
fn sessions() -> Outcome<Vec<Session>> {
    let names =
        SettingNames::new(["velocity.tenant", "velocity.actor", "velocity.request_id", "velocity.trace_id"])?;
    let mut sessions = Vec::new();
    for i in 0..100_usize {
        let tenant = i.to_string();
        let values = [
            &*tenant,
            "somebody@example.com",
            "01JH2Q7A8Y5R4Z6T3W9V1X0C2B",
            "4bf92f3577b34da6a3ce929d0e0e4736",
        ];
        sessions.push(Session::new(ROLES[i % ROLES.len()], &names, values)?);
    }
    Ok(sessions)
}

async fn measure(
    name: &str,
    lane: &Lane,
    sessions: &Arc<[Session]>,
    callers: u64,
    period: Duration,
) -> Outcome<()> {
    let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let sql = Sql::new(SELECT);
    let mut tasks = Vec::new();
    for caller in 0..callers {
        let (lane, sessions, sql) = (lane.clone(), Arc::clone(sessions), sql.clone());
        let (stop, answered) = (Arc::clone(&stop), Arc::clone(&answered));
        tasks.push(tokio::spawn(async move {
            let mut id = i64::try_from(caller).unwrap_or_default() * 7919;
            let mut times = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                id = (id + 7) % ROWS;
                let tenant = i32::try_from(id % 100).unwrap_or_default();
                let mut params = Params::new();
                params.int4(tenant).int8(id);
                let session = sessions[usize::try_from(tenant).unwrap_or_default()].clone();
                let began = Instant::now();
                let results = lane.run(Pipeline::one(session, Statement::new(sql.clone(), params))).await?;
                assert_eq!(results[0].rows().len(), 1, "row {id}");
                times.push(began.elapsed());
                answered.fetch_add(1, Ordering::Relaxed);
            }
            Ok::<_, WireError>(times)
        }));
    }
    // Plans settle within the first few requests.
    tokio::time::sleep(period / 5).await;
    let (from, began) = (answered.load(Ordering::Relaxed), Instant::now());
    tokio::time::sleep(period).await;
    let (count, elapsed) = (answered.load(Ordering::Relaxed) - from, began.elapsed());
    stop.store(true, Ordering::Relaxed);
    let mut times = Vec::new();
    for task in tasks {
        times.extend(task.await??);
    }
    times.sort_unstable();
    let at = |part: usize| times[(times.len() - 1) * part / 100];
    println!("{name:<28} {:>8.0}/s  p50 {:?}  p99 {:?}", per_second(count, elapsed), at(50), at(99));
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "a rate for people to read")]
fn per_second(count: u64, elapsed: Duration) -> f64 {
    count as f64 / elapsed.as_secs_f64()
}

const PLAIN: &str = r"\set id random(0, 99999)
\set tenant :id % 100
select id, tenant, name, status, amount, quantity, note, a, b, c, created_at, active from records where tenant = :tenant and id = :id;
";

const SETTINGS: &str = "select set_config('role', 'bench_0', true), set_config('velocity.tenant', :tenant::text, true), \
                        set_config('velocity.actor', 'somebody@example.com', true);";

fn compare_with_pgbench(postgres: &LocalPostgres, dir: &Path, period: Duration) -> Outcome<()> {
    let (head, select) = PLAIN.rsplit_once("\nselect").ok_or("the script has no select")?;
    let select = format!("select{select}");
    let scripts = [
        ("plain select", postgres.superuser(), PLAIN.to_owned()),
        (
            "role + select, one pipeline",
            "bench_api",
            format!("{head}\n\\startpipeline\n{SETTINGS}\n{select}\\endpipeline\n"),
        ),
        ("role + select, sequential", "bench_api", format!("{head}\nbegin;\n{SETTINGS}\n{select}commit;\n")),
    ];
    for (name, user, script) in scripts {
        let file = dir.join("pgbench.sql");
        std::fs::write(&file, script)?;
        for clients in ["1", "16", "64"] {
            let output = Command::new(postgres.bin_dir().join("pgbench"))
                .args(["-n", "-M", "prepared", "-j", "2", "-c", clients, "-T"])
                .arg(period.as_secs().max(1).to_string())
                .arg("-f")
                .arg(&file)
                .args(["-h", &postgres.socket_dir().display().to_string(), "-U", user, "postgres"])
                .output();
            let Ok(output) = output else {
                println!("pgbench is not installed");
                return Ok(());
            };
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            let tps = said.lines().find_map(|line| line.strip_prefix("tps = ")).unwrap_or("failed");
            println!("pgbench {name} c={clients}: {}", tps.split(' ').next().unwrap_or_default());
            if tps == "failed" {
                println!("{}", String::from_utf8_lossy(&output.stderr));
            }
        }
    }
    Ok(())
}
