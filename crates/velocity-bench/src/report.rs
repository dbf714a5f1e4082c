//! The figures as Markdown, each beside its bar.

use std::fmt::Write;

use crate::args::Operation;
use crate::figures::{Figures, Import, Masks, Requests, Schemas, Start};

/// The bars of requests: at least this share of pgbench, on that many connections.
const AT: usize = 16;
const READ_P99_AT: usize = 64;
const READ_P99_MS: f64 = 25.0;
/// With a row filter and three masks, of what it is without.
const MASKS_SHARE: f64 = 0.8;
const IMPORT_PER_SECOND: f64 = 20_000.0;
const AGAIN_SECONDS: f64 = 3.0;
const APPLY_SECONDS: f64 = 1.0;
const READY_SECONDS: f64 = 180.0;
const CHANGE_MS: f64 = 1000.0;
const CALLS: f64 = 20.0;

/// The whole report.
pub(crate) fn markdown(figures: &Figures) -> String {
    let mut text = String::new();
    let machine = &figures.machine;
    // Writing into a string cannot fail, here and below.
    let _ = writeln!(
        text,
        "{} cores of {}, load before {}; {}; velocityd {:.1} MB, velocity {:.1} MB\n",
        machine.cores,
        machine.cpu,
        machine.load_before,
        machine.pgbench,
        machine.velocityd_mb,
        machine.velocity_mb
    );
    if !figures.requests.is_empty() {
        requests(&mut text, &figures.requests);
    }
    if !figures.masks.is_empty() {
        masks(&mut text, &figures.masks);
    }
    if figures.import.is_some() || figures.start.is_some() || figures.schemas.is_some() {
        text.push_str("| measured | figure | bar |\n|---|---:|---|\n");
    }
    if let Some(figures) = &figures.import {
        import(&mut text, figures);
    }
    if let Some(figures) = &figures.start {
        start(&mut text, figures);
    }
    if let Some(figures) = &figures.schemas {
        schemas(&mut text, figures);
    }
    text
}

fn requests(text: &mut String, all: &[Requests]) {
    text.push_str(
        "| request | connections | req/s | p50 ms | p99 ms | pgbench/s | ratio | bar | CPU µs: api | postgres | client | all of pgbench |\n\
         |---|---:|---:|---:|---:|---:|---:|---|---:|---:|---:|---:|\n",
    );
    for figures in all {
        let _ = writeln!(
            text,
            "| {} | {} | {:.0} | {:.2} | {:.2} | {:.0} | {:.2} | {} | {:.0} | {:.0} | {:.0} | {:.0} |",
            name(figures.operation),
            figures.connections,
            figures.per_second,
            figures.p50_ms,
            figures.p99_ms,
            figures.pgbench_per_second,
            figures.ratio,
            bar(figures),
            figures.api_cpu_us,
            figures.postgres_cpu_us,
            figures.client_cpu_us,
            figures.pgbench_cpu_us,
        );
    }
    text.push('\n');
}

fn masks(text: &mut String, all: &[Masks]) {
    text.push_str(
        "| GET by id, connections | req/s without | with a row filter and three masks | ratio | bar | CPU µs: api without | with | postgres without | with |\n\
         |---:|---:|---:|---:|---|---:|---:|---:|---:|\n",
    );
    for figures in all {
        let bar = if figures.connections == AT {
            format!("≥ {MASKS_SHARE}: {}", verdict(figures.ratio >= MASKS_SHARE))
        } else {
            String::new()
        };
        let _ = writeln!(
            text,
            "| {} | {:.0} | {:.0} | {:.2} | {bar} | {:.0} | {:.0} | {:.0} | {:.0} |",
            figures.connections,
            figures.without_per_second,
            figures.with_per_second,
            figures.ratio,
            figures.without_api_cpu_us,
            figures.with_api_cpu_us,
            figures.without_postgres_cpu_us,
            figures.with_postgres_cpu_us,
        );
    }
    text.push('\n');
}

fn name(operation: Operation) -> &'static str {
    match operation {
        Operation::Read => "GET by id",
        Operation::List => "list of 20, filtered and sorted",
        Operation::Create => "create with its event",
        Operation::Patch => "PATCH of one field",
    }
}

fn bar(figures: &Requests) -> String {
    let share = match figures.operation {
        Operation::Read => 0.5,
        Operation::List => 0.4,
        Operation::Create | Operation::Patch => 0.6,
    };
    if figures.connections == AT {
        return format!("≥ {share}: {}", verdict(figures.ratio >= share));
    }
    if figures.operation == Operation::Read && figures.connections == READ_P99_AT {
        return format!("p99 < {READ_P99_MS} ms: {}", verdict(figures.p99_ms < READ_P99_MS));
    }
    String::new()
}

fn verdict(is_met: bool) -> &'static str {
    if is_met { "met" } else { "**missed**" }
}

fn import(text: &mut String, figures: &Import) {
    if let Some(why) = &figures.missing {
        let _ = writeln!(text, "| import of flights | not measured: {why} | |");
        return;
    }
    let _ = writeln!(
        text,
        "| import of {} flights in {:.1} s | {:.0} rows/s | ≥ {IMPORT_PER_SECOND}: {} |\n\
         | processor time of a row: server, postgres | {:.0} µs, {:.0} µs | |\n\
         | most memory of the CLI while importing | {:.0} MiB | |\n\
         | most memory of the server while importing | {:.0} MiB | |",
        figures.rows,
        figures.seconds,
        figures.per_second,
        verdict(figures.per_second >= IMPORT_PER_SECOND),
        figures.server_cpu_us,
        figures.postgres_cpu_us,
        figures.cli_peak_mib,
        figures.server_peak_mib,
    );
}

fn start(text: &mut String, figures: &Start) {
    let _ = writeln!(
        text,
        "| `velocityd dev` on an empty folder, to ready | {:.2} s | |\n\
         | on an existing folder | {:.2} s | < {AGAIN_SECONDS} s: {} |\n\
         | `apply --wait` of a new schema to the first POST's 201 | {:.2} s | < {APPLY_SECONDS} s: {} |",
        figures.first,
        figures.again,
        verdict(figures.again < AGAIN_SECONDS),
        figures.apply_to_create,
        verdict(figures.apply_to_create < APPLY_SECONDS),
    );
}

fn schemas(text: &mut String, figures: &Schemas) {
    let count = figures.count;
    let _ = writeln!(
        text,
        "| {count} schemas applied at once, until all are Ready | {:.1} s | < {READY_SECONDS} s for 1000: {} |\n\
         | until the API serves them all | {:.1} s | |\n\
         | processor time of the operator for all | {:.1} s | |\n\
         | `velocity apply` of a new field to the first answer that has it, {} times: p50 | {:.0} ms | |\n\
         | p99 | {:.0} ms | |\n\
         | slowest | {:.0} ms | < {CHANGE_MS} ms: {} |",
        figures.ready_s,
        verdict(count < 1000 || figures.ready_s < READY_SECONDS),
        figures.served_s,
        figures.operator_cpu_ms / 1000.0,
        figures.changes,
        figures.change_p50_ms,
        figures.change_p99_ms,
        figures.change_max_ms,
        verdict(figures.change_max_ms < CHANGE_MS),
    );
    let _ = writeln!(
        text,
        "| Kubernetes calls of the idle operator in a minute, over {:.0} s | {:.1} | < {CALLS}: {} |\n\
         | of the idle API | {:.1} | |\n\
         | processor time in an idle minute: operator, API | {:.0} ms, {:.0} ms | |\n\
         | memory of the API with 1 schema | {:.0} MiB | |\n\
         | with {count} | {:.0} MiB | |\n\
         | memory of the operator with 1 schema | {:.0} MiB | |\n\
         | with {count} | {:.0} MiB | |",
        figures.idle_s,
        figures.operator_calls,
        verdict(figures.operator_calls < CALLS),
        figures.api_calls,
        figures.operator_idle_cpu_ms,
        figures.api_idle_cpu_ms,
        figures.api_of_one_mib,
        figures.api_of_all_mib,
        figures.operator_of_one_mib,
        figures.operator_of_all_mib,
    );
}
