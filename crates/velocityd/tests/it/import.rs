//! Imports that go wrong: bad rows, interruptions, crashes of either side.

use std::io::Write;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;
use tokio::process::Child;

use crate::harness::{Cli, Domain, OPEN, Ran, Server, count, eventually, untampered};
use crate::nycflights;

const READING: &str = "
fields:
  - {name: code, type: string, required: true, unique: true, maxLength: 20, filterable: true, sortable: true}
  - {name: amount, type: number, precision: 8, scale: 2, min: 0}
  - {name: note, type: string}
";

async fn readings() -> (&'static Server, Domain<'static>, Cli) {
    let server = Server::shared().await;
    let domain = Domain::new(server);
    domain.apply("reading", &format!("{READING}{OPEN}")).await;
    (server, domain, server.cli())
}

fn write(server: &Server, domain: &Domain, name: &str, text: &str) -> PathBuf {
    let path = server.folder().join(format!("{}-{name}", domain.namespace()));
    std::fs::write(&path, text).unwrap();
    path
}

#[tokio::test]
async fn bad_rows_are_kept_apart_with_their_line_and_reason_and_the_good_ones_are_in() {
    let (server, domain, cli) = readings().await;
    let text = "code,amount,note\n\
                A1,1,fine\n\
                A2,2.50,\"two\nlines\"\n\
                A3,abc,no number\n\
                NA,5,no code\n\
                A4,4\n\
                A1,9,there already\n\
                A5,NA,\"a \"\"quote\"\"\"\n\
                A6,-1,too small\n\
                A7,7.005,too many digits\n";
    let path = write(server, &domain, "bad.csv", text);
    let rejects = path.with_extension("rejects.csv");
    let schema = domain.schema("reading");
    let arguments = ["record", "import", &schema, "-f", path.to_str().unwrap(), "--null", "NA", "--rejects"];
    let arguments = [&arguments[..], &[rejects.to_str().unwrap()]].concat();
    for run in 1..=3 {
        let ran = cli.run(&arguments).await;
        assert_eq!(ran.code, 1, "{ran:#?}");
        assert_eq!(
            ran.stdout.lines().last(),
            Some("imported 3, skipped 0, rejected 6"),
            "run {run}: {ran:#?}"
        );
        let mut reader = csv::Reader::from_path(&rejects).unwrap();
        assert_eq!(reader.headers().unwrap(), vec!["line", "reason", "row"]);
        let told: Vec<(u64, String, String)> = reader.deserialize().map(Result::unwrap).collect();
        let expected = [
            (5, "amount", "A3,abc,no number"),
            (6, "code", "NA,5,no code"),
            (7, "", "A4,4"),
            (8, "code", "A1,9,there already"),
            (10, "amount", "A6,-1,too small"),
            (11, "amount", "A7,7.005,too many digits"),
        ];
        assert_eq!(told.len(), expected.len(), "{told:#?}");
        for ((line, reason, row), (expected_line, word, expected_row)) in told.iter().zip(expected) {
            assert_eq!((*line, row.trim_end()), (expected_line, expected_row), "run {run}: {told:#?}");
            assert!(!reason.is_empty() && reason.contains(word), "{word}: {told:#?}");
        }
        let found =
            server.actor("ravi", &["writer"]).walk(&format!("{}?sort=code", domain.route("reading"))).await;
        let found: Vec<_> =
            found.iter().map(|record| (&record["code"], &record["amount"], &record["note"])).collect();
        assert_eq!(
            json!(found),
            json!([["A1", 1.0, "fine"], ["A2", 2.5, "two\nlines"], ["A5", null, "a \"quote\""]])
        );
    }
    assert_eq!(untampered(&server.sql().await, &domain.table("reading")).await, (3, 3));
    // The same rows, mended, beside those that are there.
    let mended = write(server, &domain, "mended.csv", &text.replace("A3,abc", "A3,3"));
    let mended = mended.to_str().unwrap();
    let skip = ["record", "import", &schema, "-f", mended, "--null", "NA", "--on-conflict", "skip"];
    let ran = cli.run(&skip).await;
    assert_eq!(ran.stdout.lines().last(), Some("imported 1, skipped 4, rejected 4"), "{ran:#?}");
}

#[tokio::test]
async fn a_column_that_nobody_knows_stops_the_import_unless_it_is_mapped() {
    let (server, domain, cli) = readings().await;
    let path = write(server, &domain, "columns.csv", "Kode,amount,colour\nA1,1,red\n");
    let schema = domain.schema("reading");
    let arguments = ["record", "import", &schema, "-f", path.to_str().unwrap()];
    let said = cli.run(&arguments).await;
    assert_ne!(said.code, 0);
    assert!(said.stderr.contains("Kode") && said.stderr.contains("colour"), "{said:#?}");
    assert_eq!(untampered(&server.sql().await, &domain.table("reading")).await, (0, 0));
    let mapped = [&arguments[..], &["--map", "Kode=code", "--map", "colour=-"]].concat();
    assert_eq!(cli.run(&mapped).await.ok().lines().last(), Some("imported 1, skipped 0, rejected 0"));
}

#[tokio::test]
async fn lines_of_json_are_imported_from_a_pipe_and_unpacked() {
    let (server, domain, cli) = readings().await;
    let schema = domain.schema("reading");
    let lines = "{\"code\":\"A1\",\"amount\":\"900000.01\"}\n\n{\"code\":\"A2\"}\nnonsense\n{\"code\":\"A3\",\"x\":1}\n";
    let piped = ["record", "import", &schema, "-f", "-", "--format", "ndjson"];
    let rejects = server.folder().join(format!("{}-piped.csv", domain.namespace()));
    let arguments = [&piped[..], &["--rejects", rejects.to_str().unwrap()]].concat();
    let ran = cli.run_on(lines, &arguments).await;
    assert_eq!(ran.stdout.lines().last(), Some("imported 2, skipped 0, rejected 2"), "{ran:#?}");
    let mut reader = csv::Reader::from_path(&rejects).unwrap();
    let told: Vec<(u64, String, String)> = reader.deserialize().map(Result::unwrap).collect();
    assert_eq!(told.iter().map(|reject| reject.0).collect::<Vec<_>>(), [4, 5], "{told:?}");
    // Whatever its name, what is packed is unpacked.
    let path = server.folder().join(format!("{}-packed.csv", domain.namespace()));
    packed(&path, "code\nA8\nA9\n");
    let arguments = ["record", "import", &schema, "-f", path.to_str().unwrap()];
    assert_eq!(cli.run(&arguments).await.ok().lines().last(), Some("imported 2, skipped 0, rejected 0"));
}

fn packed(path: &Path, text: &str) {
    let mut encoder = GzEncoder::new(std::fs::File::create(path).unwrap(), Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap();
}

/// So many rows of the real flights: enough to be interrupted in.
const FLIGHTS: i64 = 16_000;
const TABLE: &str = "nyc__air__traffic.flights_v1";

/// The first flights of the file, packed, in the server's folder; or rows like them where the file is missing.
fn some_flights(server: &Server) -> PathBuf {
    let rows = usize::try_from(FLIGHTS).unwrap();
    let text = match nycflights::data("flights.csv.gz") {
        Some(path) => nycflights::text(&path).lines().take(rows + 1).collect::<Vec<_>>().join("\n"),
        None => made_up(rows),
    };
    let path = server.folder().join("flights.csv.gz");
    packed(&path, &text);
    path
}

fn made_up(rows: usize) -> String {
    let header = "year,month,day,dep_time,sched_dep_time,dep_delay,arr_time,sched_arr_time,arr_delay,carrier,flight,\
                  tailnum,origin,dest,air_time,distance,hour,minute,time_hour";
    let row = |n: usize| {
        let hour = format!("2013-01-{:02}T{:02}:00:00Z", 1 + n / 1000 / 24 % 28, n / 1000 % 24);
        format!("2013,1,1,NA,515,NA,NA,819,NA,UA,{},N14228,EWR,IAH,NA,1400,5,15,{hour}", 1 + n % 1000)
    };
    std::iter::once(header.to_owned()).chain((0..rows).map(row)).collect::<Vec<_>>().join("\n")
}

fn begin(cli: &Cli, path: &Path) -> Child {
    cli.begin(&["record", "import", "flights", "-f", path.to_str().unwrap(), "--null", "NA"])
}

/// Waits until so many rows are there.
async fn reaches(server: &Server, rows: i64) {
    let sql = server.sql().await;
    eventually(&format!("{rows} rows"), async || {
        (count(&sql, &format!("select count(*) from {TABLE}")).await >= rows).then_some(())
    })
    .await;
}

/// Every row of the file is there once, with one event that says it was imported.
async fn is_complete(server: &Server) {
    let sql = server.sql().await;
    assert_eq!(untampered(&sql, TABLE).await, (FLIGHTS, FLIGHTS));
    let imported = format!(
        "select count(distinct record_id) from {TABLE}_history where operation = 'IMPORT' and version = 1"
    );
    assert_eq!(count(&sql, &imported).await, FLIGHTS);
}

#[tokio::test]
async fn an_import_that_is_interrupted_goes_on_when_it_is_run_again() {
    let server = nycflights::air_traffic().await;
    let path = some_flights(&server);
    let cli = server.cli();
    for (signal, rows) in [(Signal::SIGINT, 1), (Signal::SIGKILL, 6000)] {
        let child = begin(&cli, &path);
        reaches(&server, rows).await;
        kill(Pid::from_raw(child.id().unwrap().cast_signed()), signal).unwrap();
        let ran = Ran::of(child.wait_with_output().await.unwrap());
        assert_ne!(ran.code, 0, "it was not interrupted: {ran:#?}");
        if signal == Signal::SIGINT {
            assert_eq!(ran.code, 1, "{ran:#?}");
            assert!(ran.stderr.contains("again"), "{ran:#?}");
        }
        let (records, events) = untampered(&server.sql().await, TABLE).await;
        assert_eq!(records, events);
        assert!(records < FLIGHTS, "it was not interrupted in the middle: {records}");
    }
    for _ in 0..2 {
        let ran = Ran::of(begin(&cli, &path).wait_with_output().await.unwrap());
        let said = format!("imported {FLIGHTS}, skipped 0, rejected 0");
        assert_eq!(ran.ok().lines().last(), Some(&*said));
        is_complete(&server).await;
    }
}

#[tokio::test]
async fn an_import_outlives_a_crash_of_the_server() {
    let mut server = nycflights::air_traffic().await;
    server.stay();
    let path = some_flights(&server);
    let cli = server.cli();
    let child = begin(&cli, &path);
    for rows in [1, 5000] {
        reaches(&server, rows).await;
        server.kill().await;
        server.start_again().await;
        let (records, events) = untampered(&server.sql().await, TABLE).await;
        assert_eq!(records, events, "no half record");
        assert!(records < FLIGHTS, "it was not killed in the middle: {records}");
    }
    let ran = Ran::of(child.wait_with_output().await.unwrap());
    assert_eq!(ran.ok().lines().last(), Some(&*format!("imported {FLIGHTS}, skipped 0, rejected 0")));
    is_complete(&server).await;
}

#[tokio::test]
async fn an_import_whose_server_and_command_both_die_goes_on_when_it_is_run_again() {
    let mut server = nycflights::air_traffic().await;
    let path = some_flights(&server);
    let mut child = begin(&server.cli(), &path);
    reaches(&server, 2000).await;
    server.kill().await;
    child.kill().await.unwrap();
    server.start_again().await;
    let (records, events) = untampered(&server.sql().await, TABLE).await;
    assert!(records == events && (2000..FLIGHTS).contains(&records), "{records} records, {events} events");

    let ran = Ran::of(begin(&server.cli(), &path).wait_with_output().await.unwrap());

    assert_eq!(ran.ok().lines().last(), Some(&*format!("imported {FLIGHTS}, skipped 0, rejected 0")));
    is_complete(&server).await;
}
