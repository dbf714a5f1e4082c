//! Real data: what the files of examples/nycflights say is what the tables hold.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use bigdecimal::BigDecimal;
use flate2::read::GzDecoder;

use crate::harness::{Cli, Server, project, untampered};

/// A file of the example: beside the schemas, or where this project's large files are.
pub(crate) fn data(name: &str) -> Option<PathBuf> {
    let folders = ["examples/nycflights/data", "../shared/data/nycflights"];
    let found = folders.iter().map(|folder| project().join(folder).join(name)).find(|path| path.is_file());
    if found.is_none() {
        eprintln!("SKIPPED: {name} is not there; `make data` fetches it");
    }
    found
}

/// A whole file, unpacked.
pub(crate) fn text(path: &Path) -> String {
    let mut text = String::new();
    let mut file = File::open(path).unwrap();
    if path.extension().is_some_and(|extension| extension == "gz") {
        GzDecoder::new(file).read_to_string(&mut text).unwrap();
    } else {
        file.read_to_string(&mut text).unwrap();
    }
    text
}

/// A server of the test's own with the example's schemas, and the small tables in it.
pub(crate) async fn air_traffic() -> Server {
    let server = Server::start().await;
    let cli = server.cli();
    cli.run(&["apply", "-f", "examples/nycflights", "--wait"]).await.ok();
    for table in ["airlines", "airports", "planes"] {
        let path = data(&format!("{table}.csv")).unwrap();
        import(&cli, table, &path, text(&path).lines().count() - 1).await;
    }
    server
}

/// Imports a file, all of whose rows are good.
async fn import(cli: &Cli, table: &str, path: &Path, rows: usize) {
    let arguments = ["record", "import", table, "-f", path.to_str().unwrap(), "--null", "NA"];
    let said = cli.run(&arguments).await.ok();
    assert_eq!(said.lines().last(), Some(&*format!("imported {rows}, skipped 0, rejected 0")), "{table}");
}

/// What a table comes to: of each column how many rows have a value, and the sum of numbers or of the texts' lengths.
type Totals = BTreeMap<String, (i64, String)>;

/// The columns whose values are numbers in the schema.
fn is_number(column: &str) -> bool {
    ![
        "carrier",
        "name",
        "faa",
        "dst",
        "tzone",
        "tailnum",
        "type",
        "manufacturer",
        "model",
        "engine",
        "origin",
        "dest",
        "time_hour",
    ]
    .contains(&column)
}

fn totals_of_file(text: &str) -> (i64, Totals) {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let columns: Vec<String> = reader.headers().unwrap().iter().map(str::to_owned).collect();
    let mut sums: Vec<(i64, BigDecimal)> = vec![(0, BigDecimal::from(0)); columns.len()];
    let mut rows = 0;
    for record in reader.records() {
        rows += 1;
        for ((value, column), (count, sum)) in record.unwrap().iter().zip(&columns).zip(&mut sums) {
            if value != "NA" {
                *count += 1;
                *sum += if is_number(column) {
                    value.parse::<BigDecimal>().unwrap()
                } else {
                    BigDecimal::from(i64::try_from(value.chars().count()).unwrap())
                };
            }
        }
    }
    let totals = columns.into_iter().zip(sums);
    (
        rows,
        totals.map(|(column, (count, sum))| (column, (count, sum.normalized().to_plain_string()))).collect(),
    )
}

async fn totals_of_table(server: &Server, table: &str, columns: &Totals) -> (i64, Totals) {
    let sql = server.sql().await;
    let mut totals = Totals::new();
    for column in columns.keys() {
        let value = match &**column {
            // As the file writes it: a time of day in UTC.
            "time_hour" => {
                r#"length(to_char("time_hour" at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'))"#.to_owned()
            }
            column if is_number(column) => format!("\"{column}\""),
            column => format!("length(\"{column}\")"),
        };
        let query = format!("select count(\"{column}\"), coalesce(sum({value}), 0)::text from {table}");
        let row = sql.query_one(&query, &[]).await.unwrap();
        let sum: BigDecimal = row.get::<_, &str>(1).parse().unwrap();
        totals.insert(column.clone(), (row.get(0), sum.normalized().to_plain_string()));
    }
    (crate::harness::count(&sql, &format!("select count(*) from {table}")).await, totals)
}

async fn holds_what_the_file_holds(server: &Server, table: &str, path: &Path) {
    let (rows, expected) = totals_of_file(&text(path));
    let name = format!("nyc__air__traffic.{table}_v1");
    assert_eq!(totals_of_table(server, &name, &expected).await, (rows, expected), "{table}");
    assert_eq!(
        untampered(&server.sql().await, &name).await,
        (rows, rows),
        "{table}: an event for each record"
    );
}

#[tokio::test]
async fn all_five_tables_hold_what_their_files_hold() {
    let server = air_traffic().await;
    for table in ["airlines", "airports", "planes"] {
        holds_what_the_file_holds(&server, table, &data(&format!("{table}.csv")).unwrap()).await;
    }
    exports_what_the_file_says(&server, "airports").await;
    exports_what_the_file_says(&server, "planes").await;
    for table in ["weather", "flights"] {
        let Some(path) = data(&format!("{table}.csv.gz")) else { continue };
        let rows = text(&path).lines().count() - 1;
        import(&server.cli(), table, &path, rows).await;
        holds_what_the_file_holds(&server, table, &path).await;
        if table == "flights" {
            flights_are_the_flights(&server, &text(&path)).await;
        }
    }
}

/// The export as CSV has the very rows of the file.
async fn exports_what_the_file_says(server: &Server, table: &str) {
    let file = text(&data(&format!("{table}.csv")).unwrap());
    let columns = file.lines().next().unwrap();
    let route = format!("/api/nyc/air/traffic/{table}/v1/export?format=csv&fields={columns}");
    let exported = server.admin().get(&route).await.expect(200).text;
    assert_eq!(rows_of(&exported, ""), rows_of(&file, "NA"), "{table}");
}

/// The rows in a fixed order, numbers without trailing zeros.
fn rows_of(text: &str, null: &str) -> Vec<Vec<String>> {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let columns: Vec<String> = reader.headers().unwrap().iter().map(str::to_owned).collect();
    let mut rows: Vec<Vec<String>> = reader
        .records()
        .map(|record| {
            let record = record.unwrap();
            let values = record.iter().zip(&columns);
            values
                .map(|(value, column)| match value {
                    value if value == null => "(none)".to_owned(),
                    value if is_number(column) => {
                        value.parse::<BigDecimal>().unwrap().normalized().to_plain_string()
                    }
                    value => value.to_owned(),
                })
                .collect()
        })
        .collect();
    rows.sort();
    rows
}

/// Questions that people ask of this data set, answered by the API and by the file.
async fn flights_are_the_flights(server: &Server, file: &str) {
    let mut per_carrier: BTreeMap<String, i64> = BTreeMap::new();
    let (mut early_from_ewr, mut distance, mut delay) = (0, 0_i64, 0_i64);
    let mut reader = csv::Reader::from_reader(file.as_bytes());
    let headers = reader.headers().unwrap().clone();
    let at = |name: &str| headers.iter().position(|header| header == name).unwrap();
    let (carrier, origin, time) = (at("carrier"), at("origin"), at("time_hour"));
    let (miles, minutes) = (at("distance"), at("dep_delay"));
    for record in reader.records() {
        let record = record.unwrap();
        *per_carrier.entry(record[carrier].to_owned()).or_default() += 1;
        early_from_ewr += i64::from(&record[origin] == "EWR" && &record[time] < "2013-02-01T00:00:00Z");
        distance += record[miles].parse::<i64>().unwrap();
        delay += record[minutes].parse::<i64>().unwrap_or(0);
    }
    let sql = server.sql().await;
    let table = "nyc__air__traffic.flights_v1";
    let sums = sql
        .query_one(&format!("select sum(distance)::bigint, sum(dep_delay)::bigint from {table}"), &[])
        .await;
    let sums = sums.unwrap();
    assert_eq!((sums.get::<_, i64>(0), sums.get::<_, i64>(1)), (distance, delay));
    let route = "/api/nyc/air/traffic/flights/v1";
    let admin = server.admin();
    let total = async |query: &str| {
        let page = admin.get(&format!("{route}?limit=1&count=exact&{query}")).await.expect(200).json();
        page["pagination"]["total"].as_i64().unwrap()
    };
    for (carrier, flights) in &per_carrier {
        assert_eq!(total(&format!("filter[carrier]={carrier}")).await, *flights, "{carrier}");
    }
    assert_eq!(total("filter[origin]=EWR&filter[time_hour][lt]=2013-02-01T00:00:00Z").await, early_from_ewr);
    let airport = serde_json::json!({"airport": "LGA"});
    let manager = server.actor_with("lena", &["station-manager"], &airport);
    let page = manager.get(&format!("{route}?limit=1000&filter[origin]=EWR")).await.expect(200);
    assert_eq!(page.data(), serde_json::json!([]), "the row filter holds");
}
