use std::fmt::Write as _;
use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::fake_api::FakeApi;
use crate::harness::{Home, exists};

fn gzip(text: &str) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(text.as_bytes()).unwrap();
    gzip.finish().unwrap()
}

/// The record as the text that was sent.
fn sent(api: &FakeApi, id: &str) -> String {
    api.world().records[id].as_str().unwrap().to_owned()
}

#[test]
fn a_packed_file_becomes_records_with_every_digit() {
    let api = FakeApi::start();
    let home = Home::at(&api);
    // The name does not say that it is packed; its first bytes do.
    home.write(
        "orders.csv",
        gzip(
            "id,amount,note,paid\nO-1,10.357019999999999,NA,TRUE\nO-2,,\"\",\nO-3,-5,\"a,\"\"b\"\"\nc\",f\n",
        ),
    );
    let run = home.run("record import order -f orders.csv --null NA");
    assert_eq!((run.code, run.last_line()), (0, "imported 3, skipped 0, rejected 0"), "{}", run.all());
    assert_eq!(sent(&api, "O-1"), r#"{"id":"O-1","amount":10.357019999999999,"note":null,"paid":true}"#);
    assert_eq!(sent(&api, "O-2"), r#"{"id":"O-2","amount":null,"note":"","paid":null}"#);
    assert_eq!(sent(&api, "O-3"), r#"{"id":"O-3","amount":-5,"note":"a,\"b\"\nc","paid":false}"#);
    assert!(!exists(&home.path("orders.csv.rejects.csv")));
}

#[test]
fn bad_rows_are_set_aside_with_their_true_line_and_reason() {
    let api = FakeApi::start();
    let home = Home::at(&api);
    home.write("o.csv", "id,amount,note\nA,1,\"two\nlines\"\n\nB,x1,n\nC,2\nD,3,n\nA,4,n\nE,\"5\"6,n\n");
    let run = home.run("record import order -f o.csv --batch 2 --rejects bad.csv");
    assert_eq!((run.code, run.last_line()), (1, "imported 2, skipped 0, rejected 4"), "{}", run.all());
    insta::assert_snapshot!(home.read("bad.csv"), @r#"
    line,reason,row
    5,"amount: must be a number","B,x1,n"
    6,"has 2 cells, the header has 3","C,2"
    8,"UNIQUE_VIOLATION: `A` is taken","A,4,n"
    9,"there is text after a closing quote","E,""5""6,n"
    "#);
}

#[test]
fn an_unknown_column_stops_the_import_before_anything_is_sent() {
    let api = FakeApi::start();
    let home = Home::at(&api);
    home.write("o.csv", "id,amout,version,comment\nA,1,1,x\n");
    let run = home.run("record import order -f o.csv");
    assert_eq!((run.code, api.world().bulks), (2, 0));
    insta::assert_snapshot!(run.stderr, @"
    error: o.csv: the columns of the file are not those of the schema
      column `amout`: the schema has no such field (did you mean `amount`?)
      column `version`: the platform keeps `version` itself; leave it out with --map 'version=-'
      column `comment`: the schema has no such field
    help: --map COLUMN=FIELD names the field of a column, --map COLUMN=- leaves the column out
    ");
    let run = home.run("record import order -f o.csv --map amout=amount --map version=- --map comment=note");
    assert_eq!(run.last_line(), "imported 1, skipped 0, rejected 0", "{}", run.all());
    assert_eq!(sent(&api, "A"), r#"{"id":"A","amount":1,"note":"x"}"#);
}

#[test]
fn a_conflict_is_rejected_skipped_or_updated_as_wished() {
    let api = FakeApi::start();
    let home = Home::at(&api);
    home.write("one.csv", "id,amount\nA,1\n");
    home.write("two.csv", "id,amount\nA,2\nB,2\n");
    home.run("record import order -f one.csv").ok();
    assert_eq!(
        home.run("record import order -f two.csv --on-conflict skip").last_line(),
        "imported 1, skipped 1, rejected 0"
    );
    assert_eq!(sent(&api, "A"), r#"{"id":"A","amount":1}"#);
    assert_eq!(
        home.run("record import order -f two.csv --on-conflict update").last_line(),
        "imported 2, skipped 0, rejected 0"
    );
    assert_eq!(sent(&api, "A"), r#"{"id":"A","amount":2}"#);
    assert_eq!(home.run("record import order -f two.csv").last_line(), "imported 0, skipped 0, rejected 2");
}

#[test]
fn ndjson_and_standard_input_work_too() {
    let api = FakeApi::start();
    let home = Home::at(&api);
    let run = home.run_with_input(
        "record import order -f - --format ndjson",
        b"{\"id\":\"A\",\"amount\":1.50}\n\n[1]\n",
    );
    assert_eq!(run.last_line(), "imported 1, skipped 0, rejected 1", "{}", run.all());
    assert_eq!(sent(&api, "A"), r#"{"id":"A","amount":1.50}"#);
    assert!(home.read("import.rejects.csv").starts_with("line,reason,row\n3,\"is no JSON object"));
    let run = home.run_with_input("record import order -f - -o json", &gzip("id,amount\nB,2\n"));
    let counts: serde_json::Value = serde_json::from_str(&run.ok()).unwrap();
    assert_eq!(counts["imported"], 1);
}

#[test]
fn a_file_that_breaks_off_is_told_after_what_came_before_it() {
    let api = FakeApi::start();
    let home = Home::at(&api);
    home.write("o.csv", "id,note\nA,x\nB,\"never closed\n");
    let run = home.run("record import order -f o.csv");
    assert_eq!(run.code, 1);
    assert!(run.stderr.contains("line 3: the file ends inside a quote"), "{}", run.all());
    assert_eq!(api.world().records.len(), 1);
    let mut packed = gzip(&format!("id,note\n{}", "A,x\n".repeat(5000)));
    packed.truncate(packed.len() / 2);
    home.write("cut.csv.gz", packed);
    let run = home.run("record import order -f cut.csv.gz --on-conflict skip");
    assert_eq!(run.code, 1, "{}", run.all());
}

#[test]
fn memory_stays_small_however_large_the_file() {
    let api = FakeApi::start();
    let home = Home::at(&api);
    let note = "x".repeat(400);
    let mut text = String::from("id,amount,note\n");
    for row in 0..100_000 {
        let _ = writeln!(text, "O-{row},{row},{note}");
    }
    home.write("big.csv.gz", gzip(&text));
    let mut child = home.start("record import order -f big.csv.gz");
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    while child.try_wait().unwrap().is_none() {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kilobytes = line.and_then(|line| line.trim().split(' ').next()?.parse().ok());
        peak = kilobytes.unwrap_or(peak);
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let run = crate::harness::Run::from(child.wait_with_output().unwrap());
    assert_eq!(run.last_line(), "imported 100000, skipped 0, rejected 0", "{}", run.all());
    if cfg!(target_os = "linux") {
        // The text alone has 41 MB.
        assert!((1..40_000).contains(&peak), "{peak} kB");
    }
}
