use serde_json::json;

use crate::fake_api::{FakeApi, SCHEMA};
use crate::harness::{Home, exists};

#[test]
fn an_export_is_the_body_as_it_comes_and_a_file_appears_whole() {
    let api = FakeApi::start();
    let home = Home::at(&api);
    api.can(&format!("GET /api/{SCHEMA}/export"), 200, json!([1, 2]));
    assert_eq!(home.run("record export order --format ndjson --filter note=x").ok(), "[1,2]");
    assert!(api.seen("GET").line.ends_with("/export?filter%5Bnote%5D=x&format=ndjson"));
    home.run("record export order -f out.csv").ok();
    assert_eq!(home.read("out.csv"), "[1,2]");
    assert!(!exists(&home.path("out.csv.part")));
}

#[test]
fn a_refused_export_leaves_no_file() {
    let api = FakeApi::start();
    let home = Home::at(&api);
    let denied = velocity_contract::Problem::new(velocity_contract::Code::RbacDenied, "not for you");
    api.can(&format!("GET /api/{SCHEMA}/export"), 403, serde_json::to_value(denied).unwrap());
    assert_eq!(home.run("record export order -f out.csv").code, 4);
    assert!(!exists(&home.path("out.csv")) && !exists(&home.path("out.csv.part")));
}
